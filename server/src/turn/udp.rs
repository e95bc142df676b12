//! Datagrams in, from one listening socket. Answers leave by the same socket.

use super::Relay;
use super::client::{ClientKey, Outlet};
use crate::serve;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::UdpSocket;

/// Datagrams that wait to be read, and to be sent, bytes; the system may grant less.
const SOCKET_BUFFER: usize = 4 * 1024 * 1024;

/// No datagram of a client is longer: a whole one of a peer in a Send indication, and its attributes.
const MAX_DATAGRAM: usize = super::client::MAX_DATAGRAM + 512;

/// Takes an address for UDP.
///
/// # Errors
/// As the system says.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = serve::socket(address, socket2::Type::DGRAM)?;
    // More would be better and is not always granted.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

/// Reads for ever.
pub async fn run(relay: Arc<Relay>, socket: Arc<UdpSocket>, listen: SocketAddr) {
    let mut buffer = vec![0; MAX_DATAGRAM + 1];
    loop {
        // Somebody we answered is not there: said here, and no matter.
        let Ok((len, from)) = socket.recv_from(&mut buffer).await else {
            tokio::task::yield_now().await;
            continue;
        };
        if len > MAX_DATAGRAM {
            relay.counters.turn_garbage.increment(1);
            continue;
        }
        let key = ClientKey { stream: false, listen, from: SocketAddr::new(from.ip().to_canonical(), from.port()) };
        relay.handle(key, &Outlet::Udp(socket.clone(), from), &buffer[..len]);
    }
}
