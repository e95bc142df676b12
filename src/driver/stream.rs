//! One TCP connection to a server, under TLS if need be: opened without waiting, read and written without blocking.
//!
//! It is edge triggered: after the system has spoken of it, [`Stream::poll_open`], and then `Read` and `Write`, are to
//! be called until they say `WouldBlock`.

use super::tls;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::ClientConnection;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

#[derive(Debug)]
pub(super) struct Stream {
    tcp: TcpStream,
    tls: Option<Box<ClientConnection>>,
    remote: SocketAddr,
    connected: bool,
}

/// Who is at the other end, when it has to prove that.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proof<'a> {
    /// The name that was dialled.
    pub(super) host: &'a str,
    /// `SIGNALING_CA`
    pub(super) ca: &'a str,
}

impl Stream {
    /// Begins to connect to `remote`, under TLS if it has to prove who it is.
    ///
    /// # Errors
    /// What can be known at once, for people.
    pub(super) fn connect(
        remote: SocketAddr,
        proof: Option<Proof<'_>>,
        registry: &Registry,
        token: Token,
    ) -> Result<Stream, String> {
        let tls = proof.map(|proof| tls::connection(proof.host, proof.ca)).transpose()?.map(Box::new);
        let cannot = |error: io::Error| format!("cannot connect to {remote}: {error}");
        let mut tcp = TcpStream::connect(remote).map_err(cannot)?;
        registry.register(&mut tcp, token, Interest::READABLE | Interest::WRITABLE).map_err(cannot)?;
        Ok(Stream { tcp, tls, remote, connected: false })
    }

    /// The server's address.
    pub(super) fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// Our end, once the connection stands; `None` until then.
    ///
    /// # Errors
    /// Why it never will, for people.
    pub(super) fn poll_open(&mut self) -> Result<Option<SocketAddr>, String> {
        if !self.connected && !self.is_connected().map_err(|e| format!("cannot connect to {}: {e}", self.remote))? {
            return Ok(None);
        }
        self.connected = true;
        if let Some(tls) = &mut self.tls {
            while tls.is_handshaking() {
                match tls.complete_io(&mut self.tcp) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(tls::describe(&error)),
                }
            }
        }
        self.tcp.local_addr().map(Some).map_err(|error| error.to_string())
    }

    fn is_connected(&self) -> io::Result<bool> {
        if let Some(error) = self.tcp.take_error()? {
            return Err(error);
        }
        match self.tcp.peer_addr() {
            Ok(_) => {
                // Signals are small, and wait for nothing. Where it is refused they only come a little later.
                let _ = self.tcp.set_nodelay(true);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => rustls::Stream::new(&mut **tls, &mut self.tcp).read(into),
            None => self.tcp.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => rustls::Stream::new(&mut **tls, &mut self.tcp).write(bytes),
            None => self.tcp.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => rustls::Stream::new(&mut **tls, &mut self.tcp).flush(),
            None => self.tcp.flush(),
        }
    }
}
