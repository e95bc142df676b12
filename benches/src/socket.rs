//! A UDP socket as `linksim` and plain UDP use it: never blocking, with room for a burst.

use std::io;
use std::net::{SocketAddr, UdpSocket};

/// Asked of the system for each direction; it may give less.
const BUFFER_BYTES: usize = 4 << 20;

/// Binds one; port 0 takes a free one.
///
/// # Errors
/// The address is taken or not ours, or no more files may be open.
pub fn bind(at: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(at)?;
    socket.set_nonblocking(true)?;
    let options = socket2::SockRef::from(&socket);
    options.set_recv_buffer_size(BUFFER_BYTES)?;
    options.set_send_buffer_size(BUFFER_BYTES)?;
    Ok(socket)
}
