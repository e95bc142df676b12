//! What is known of a TURN server before it is asked: where it is and who we are to it.

use std::fmt;
use std::net::SocketAddr;

/// How bytes get to a TURN server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams from the endpoint's own socket.
    Udp,
    /// A stream of bytes: TCP, or TLS over it, which is the driver's business.
    Stream,
}

/// A TURN server and our credentials there.
#[derive(Clone, PartialEq, Eq)]
pub struct RelayServer {
    /// `host:port` as it was configured, for texts.
    pub name: String,
    /// The same, resolved.
    pub address: SocketAddr,
    /// How to get there.
    pub transport: Transport,
    /// Up to 512 bytes; longer ones cannot be said in STUN (RFC 8489 section 14.3).
    pub username: String,
    /// The long-term password, or the server's signature of the username.
    pub password: String,
    /// The point of presence it stands in, four letters as a number; 0 if unknown.
    pub pop: u32,
}

impl RelayServer {
    /// Whether `other` is the same place, whatever our credentials are there.
    pub fn is_same_place(&self, other: &RelayServer) -> bool {
        (self.address, self.transport) == (other.address, other.transport)
    }
}

impl fmt::Debug for RelayServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelayServer({}, {}, {:?}, {:?})", self.name, self.address, self.transport, self.username)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_password() {
        let server = RelayServer {
            name: "turn.example:3478".into(),
            address: SocketAddr::from(([192, 0, 2, 1], 3478)),
            transport: Transport::Udp,
            username: "alice".into(),
            password: "hunter2".into(),
            pop: 0,
        };
        assert!(!format!("{server:?}").contains("hunter2"));
    }
}
