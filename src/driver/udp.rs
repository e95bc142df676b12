//! One UDP socket: how it is bound, how a batch of datagrams is read from it, how a transmit leaves.
//!
//! It uses the segmentation offloads where the system has them (quinn-udp) and plain calls elsewhere
//! (Wine among them, where quinn-udp refuses the socket). What an error of a send means is decided here:
//! [`Sent`]. The socket is edge triggered, so it remembers whether it may still be readable or writable;
//! the system is asked to tell of room to write only while there is none, because it would else wake us
//! for every datagram that has left.

use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use quinn_udp::{RecvMeta, UdpSockRef, UdpSocketState};
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::SocketAddr;
use std::ops::Range;

/// What is asked of the system for each of a socket's buffers, bytes. It may give less.
const SOCKET_BUFFER: usize = 4 << 20;

/// The largest thing one receive can bring: a UDP payload, or several the system has glued together.
pub(super) const LARGEST_RECEIVE: usize = 65_536;

/// The most bytes handed to the system for segmentation at once: a UDP payload with room for headers.
const LARGEST_SEND: usize = 65_000;

/// Datagrams received in one call: equal lengths but for the last.
#[derive(Clone, Debug)]
pub(super) struct Received {
    /// Who sent them.
    pub remote: SocketAddr,
    /// Where they lie in the buffer.
    pub bytes: Range<usize>,
    /// Length of each but the last, at least 1.
    pub stride: usize,
}

/// What became of a transmit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// Handed to the system, or lost as datagrams are.
    Done,
    /// The socket is full; so many bytes are gone, the rest waits until it is writable.
    Full(usize),
    /// The system knows no way to the remote.
    Unreachable,
}

/// A bound, non-blocking UDP socket.
#[derive(Debug)]
pub(super) struct Socket {
    io: UdpSocket,
    /// `None`: plain calls.
    offload: Option<UdpSocketState>,
    local: SocketAddr,
    /// There may be something to read.
    pub(super) readable: bool,
    /// There may be room to write.
    pub(super) writable: bool,
    token: Token,
    /// The system was asked to tell of room to write.
    asked_for_room: bool,
}

impl Socket {
    /// Binds `address`; an IPv6 socket never takes IPv4, which has a socket of its own.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn bind(address: SocketAddr) -> io::Result<Socket> {
        let kind = socket2::Type::DGRAM;
        let socket = socket2::Socket::new(socket2::Domain::for_address(address), kind, Some(socket2::Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        // Best effort: the system's own limits hold.
        let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
        let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
        socket.bind(&address.into())?;
        let io = UdpSocket::from_std(socket.into());
        let offload = UdpSocketState::new(UdpSockRef::from(&io)).ok();
        let local = io.local_addr()?;
        Ok(Socket { io, offload, local, readable: true, writable: true, token: Token(0), asked_for_room: false })
    }

    /// Lets the poll behind `registry` tell of it as `token`.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.token = token;
        registry.register(&mut self.io, token, Interest::READABLE)
    }

    /// After sending: asks to be told of room to write if there is none, and no more once there is.
    pub(super) fn settle_interest(&mut self, registry: &Registry) {
        let full = !self.writable;
        if full == self.asked_for_room {
            return;
        }
        let interest = if full { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        // Out of memory at worst: asked again after the next turn.
        if registry.reregister(&mut self.io, self.token, interest).is_ok() {
            self.asked_for_room = full;
        }
    }

    /// The address it is bound to, with the port the system chose.
    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// How many equal datagrams it takes at once. May drop to 1 at any time.
    pub(super) fn max_segments(&self) -> usize {
        self.offload.as_ref().map_or(1, UdpSocketState::max_gso_segments).max(1)
    }

    /// Receives once into `buffer`, which must have room for [`LARGEST_RECEIVE`]; `base` is where it lies.
    ///
    /// # Errors
    /// Those of the system; `WouldBlock` when nothing is there.
    pub(super) fn receive(&self, buffer: &mut [u8], base: usize) -> io::Result<Received> {
        let Some(offload) = &self.offload else {
            let (len, remote) = self.io.recv_from(buffer)?;
            return Ok(Received { remote, bytes: base..base + len, stride: len.max(1) });
        };
        let mut meta = [RecvMeta::default()];
        self.io.try_io(|| offload.recv(UdpSockRef::from(&self.io), &mut [IoSliceMut::new(buffer)], &mut meta))?;
        let [meta] = meta;
        Ok(Received { remote: meta.addr, bytes: base..base + meta.len, stride: meta.stride.max(1) })
    }

    /// Sends `bytes`, datagrams of `segment_size` (the last may be shorter), to `remote`.
    pub(super) fn send(&mut self, remote: SocketAddr, bytes: &[u8], segment_size: usize) -> Sent {
        let segment_size = segment_size.max(1);
        let mut gone = 0;
        while gone < bytes.len() {
            let rest = &bytes[gone..];
            let at_once = self.max_segments().min(LARGEST_SEND / segment_size).max(1);
            let chunk = &rest[..rest.len().min(at_once * segment_size)];
            let result = if chunk.len() <= segment_size {
                // One datagram: a plain call is cheaper.
                self.io.send_to(chunk, remote).map(|_| chunk.len())
            } else {
                self.send_segmented(remote, chunk, segment_size)
            };
            match result {
                Ok(len) => gone += len,
                Err(e) => match verdict(&e) {
                    Verdict::Again => {}
                    Verdict::Full => {
                        self.writable = false;
                        return Sent::Full(gone);
                    }
                    Verdict::Lost => gone += chunk.len(),
                    Verdict::Unreachable => return Sent::Unreachable,
                },
            }
        }
        Sent::Done
    }

    /// Sends several datagrams in one call; when a driver below refuses to cut them, sends the first alone,
    /// so that nothing is lost and the caller goes on with the rest. Answers the bytes gone.
    fn send_segmented(&self, remote: SocketAddr, chunk: &[u8], segment_size: usize) -> io::Result<usize> {
        let result = match &self.offload {
            Some(offload) => {
                let transmit = quinn_udp::Transmit {
                    destination: remote,
                    ecn: None,
                    contents: chunk,
                    segment_size: Some(segment_size),
                    src_ip: None,
                };
                self.io.try_io(|| offload.try_send(UdpSockRef::from(&self.io), &transmit))
            }
            None => Err(ErrorKind::InvalidInput.into()),
        };
        match result {
            Ok(()) => Ok(chunk.len()),
            Err(e) if refuses_to_cut(&e) => self.io.send_to(&chunk[..segment_size], remote),
            Err(e) => Err(e),
        }
    }
}

/// Does this system lack the address family (or is it switched off)?
pub(super) fn lacks_family(e: &io::Error) -> bool {
    matches!(e.kind(), ErrorKind::AddrNotAvailable | ErrorKind::Unsupported) || e.raw_os_error() == Some(NO_FAMILY)
}

#[cfg(unix)]
const NO_FAMILY: i32 = libc::EAFNOSUPPORT;
#[cfg(not(unix))]
const NO_FAMILY: i32 = 10_047; // WSAEAFNOSUPPORT

#[cfg(unix)]
fn refuses_to_cut(e: &io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::EIO | libc::EINVAL)) || e.kind() == ErrorKind::InvalidInput
}

#[cfg(not(unix))]
fn refuses_to_cut(e: &io::Error) -> bool {
    e.kind() == ErrorKind::InvalidInput
}

/// What a failed send call means.
enum Verdict {
    /// Nothing: call again.
    Again,
    /// Wait until writable.
    Full,
    /// This one is lost, as on any network: too big for the path, no buffers, refused by a packet filter.
    Lost,
    /// No way there.
    Unreachable,
}

fn verdict(e: &io::Error) -> Verdict {
    match e.kind() {
        ErrorKind::Interrupted => Verdict::Again,
        ErrorKind::WouldBlock => Verdict::Full,
        ErrorKind::ConnectionRefused
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown
        | ErrorKind::AddrNotAvailable
        | ErrorKind::InvalidInput
        | ErrorKind::Unsupported => Verdict::Unreachable,
        _ if e.raw_os_error() == Some(NO_FAMILY) => Verdict::Unreachable,
        _ => Verdict::Lost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(in super::super) fn pair(address: &str) -> (Socket, Socket) {
        let address: SocketAddr = address.parse().unwrap();
        (Socket::bind(address).unwrap(), Socket::bind(address).unwrap())
    }

    fn receive_all(socket: &Socket, count: usize) -> Vec<Vec<u8>> {
        let mut buffer = vec![0; LARGEST_RECEIVE];
        let mut all = Vec::new();
        while all.len() < count {
            match socket.receive(&mut buffer, 0) {
                Ok(received) => all.extend(buffer[received.bytes].chunks(received.stride).map(<[u8]>::to_vec)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(e) => panic!("{e}"),
            }
        }
        all
    }

    fn five_datagrams_arrive_whole(mut from: Socket, to: Socket) {
        let bytes: Vec<u8> = (0..4_500).map(|i| (i / 1_000) as u8).collect();
        assert_eq!(from.send(to.local(), &bytes, 1_000), Sent::Done);
        let all = receive_all(&to, 5);
        assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [1_000, 1_000, 1_000, 1_000, 500]);
        assert_eq!(all.concat(), bytes);
    }

    #[test]
    fn segments_arrive_as_single_datagrams_with_the_offload_and_without() {
        let (from, to) = pair("127.0.0.1:0");
        five_datagrams_arrive_whole(from, to);
        let (mut from, mut to) = pair("127.0.0.1:0");
        from.offload = None;
        to.offload = None;
        assert_eq!(from.max_segments(), 1);
        five_datagrams_arrive_whole(from, to);
    }

    #[test]
    fn a_refused_segmentation_loses_nothing() {
        let (mut from, to) = pair("127.0.0.1:0");
        from.offload = None;
        let bytes = [7; 2_500];
        assert_eq!(from.send_segmented(to.local(), &bytes, 1_000).unwrap(), 1_000);
        assert_eq!(receive_all(&to, 1), [vec![7; 1_000]]);
    }

    #[test]
    fn more_segments_than_one_call_takes_all_leave() {
        let (mut from, to) = pair("127.0.0.1:0");
        let bytes: Vec<u8> = (0..150_000).map(|i| (i / 1_000) as u8).collect();
        assert_eq!(from.send(to.local(), &bytes, 1_000), Sent::Done);
        assert_eq!(receive_all(&to, 150).concat(), bytes);
    }

    #[test]
    fn a_datagram_beyond_what_udp_carries_is_lost_and_not_an_error() {
        let (mut from, to) = pair("127.0.0.1:0");
        assert_eq!(from.send(to.local(), &[0; 70_000], 70_000), Sent::Done);
        assert_eq!(from.send(to.local(), b"after", 5), Sent::Done);
        assert_eq!(receive_all(&to, 1), [b"after".to_vec()]);
    }

    #[test]
    fn a_full_socket_is_told_of_room_and_an_empty_one_is_not_bothered() {
        let mut poll = mio::Poll::new().unwrap();
        let mut events = mio::Events::with_capacity(4);
        let (mut socket, other) = pair("127.0.0.1:0");
        socket.register(poll.registry(), Token(5)).unwrap();
        socket.send(other.local(), b"x", 1);
        receive_all(&other, 1);
        poll.poll(&mut events, Some(std::time::Duration::ZERO)).unwrap();
        assert!(events.is_empty(), "a datagram that left is no news");
        socket.writable = false;
        socket.settle_interest(poll.registry());
        poll.poll(&mut events, None).unwrap();
        assert!(events.iter().any(|event| event.token() == Token(5) && event.is_writable()));
        socket.writable = true;
        socket.settle_interest(poll.registry());
        poll.poll(&mut events, Some(std::time::Duration::ZERO)).unwrap();
        socket.send(other.local(), b"x", 1);
        receive_all(&other, 1);
        poll.poll(&mut events, Some(std::time::Duration::ZERO)).unwrap();
        assert!(events.is_empty());
    }

    #[test]
    fn a_remote_of_another_family_or_without_port_is_unreachable() {
        let (mut from, _) = pair("127.0.0.1:0");
        assert_eq!(from.send("[::1]:9".parse().unwrap(), b"x", 1), Sent::Unreachable);
        assert_eq!(from.send("127.0.0.1:0".parse().unwrap(), b"x", 1), Sent::Unreachable);
    }
}
