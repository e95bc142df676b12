//! The relays of an endpoint, as the driver sees them: which there are, and the byte streams some of them need.

use super::Endpoint;
use crate::ids::RelayId;
use crate::time::Instant;
use std::net::SocketAddr;

/// What lies between us and a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams of our own sockets.
    Udp,
    /// A byte stream, which the driver opens.
    Stream,
}

/// A relay we may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayServer {
    /// host:port as configured, for texts.
    pub name: String,
    /// Where it is.
    pub address: SocketAddr,
    /// How it is reached.
    pub transport: Transport,
    /// Shown to it.
    pub username: String,
    /// Never shown.
    pub password: String,
    /// Where in the world it stands; 0 unknown.
    pub pop: u32,
}

/// What the driver is to do with the stream of a relay.
#[derive(Debug, PartialEq, Eq)]
pub enum StreamWork {
    /// Connect it.
    Open(RelayId, SocketAddr),
    /// Send these bytes: whole TURN messages, so that they may be lost together.
    Write(RelayId, Vec<u8>),
    /// End it.
    Close(RelayId),
}

/// What became of the stream of a relay.
#[derive(Debug)]
pub enum StreamEvent<'a> {
    /// It stands, from this address of ours.
    Opened {
        /// Our end.
        local: SocketAddr,
    },
    /// These came.
    Bytes(&'a mut [u8]),
    /// It ended, or never stood; why.
    Closed(String),
}

impl Endpoint {
    /// The relays there are now, all of them.
    pub fn set_relays(&mut self, _now: Instant, relays: Vec<RelayServer>) {
        self.relays = relays;
    }

    /// The relays there are.
    pub fn relays(&self) -> &[RelayServer] {
        &self.relays
    }

    /// What is to be done with streams.
    pub fn poll_stream(&mut self) -> Option<StreamWork> {
        None
    }

    /// What became of a stream.
    pub fn handle_stream(&mut self, _now: Instant, _relay: RelayId, _event: StreamEvent<'_>) {}
}
