//! The sockets of one endpoint and the batches between them and the machine.
//!
//! Receiving and sending are done without the endpoint's lock, handing over and collecting with it; so
//! each step is a call of its own: [`Ports::receive`], [`Ports::hand_over`], [`Ports::collect`],
//! [`Ports::flush`]. Every step is a bounded bite and tells whether more is left. Nothing is collected
//! before everything collected has left: a full socket holds the machine back, and nothing piles up here.

use super::OpenError;
use super::udp::{LARGEST_RECEIVE, Received, Sent, Socket, lacks_family};
use crate::machine::{Datagram, Machine, Transmit, TransmitBuf};
use crate::time::Instant;
use std::io::ErrorKind;
use std::net::SocketAddr;

/// Receive calls in one bite.
const BITE_CALLS: usize = 64;
/// Bytes after which a bite of receiving ends: about a millisecond of opening packets at worst.
const BITE_RECEIVED: usize = 256 << 10;
/// Transmits in one bite.
const BITE_TRANSMITS: usize = 32;
/// Bytes after which a bite of collecting ends.
const BITE_COLLECTED: usize = 256 << 10;

/// What was received in one bite. One for all endpoints of a poll thread.
#[derive(Debug)]
pub(super) struct Inbound {
    buffer: Vec<u8>,
    received: Vec<Received>,
}

impl Inbound {
    pub(super) fn new() -> Inbound {
        Inbound { buffer: vec![0; BITE_RECEIVED + LARGEST_RECEIVE], received: Vec::with_capacity(BITE_CALLS) }
    }
}

/// A transmit on its way out.
#[derive(Debug)]
struct Leaving {
    buf: TransmitBuf,
    transmit: Transmit,
}

/// The sockets of one endpoint.
#[derive(Debug)]
pub(super) struct Ports {
    pub(super) sockets: Vec<Socket>,
    /// The socket the next bite starts with.
    first: usize,
    /// The first `collected` hold transmits, the first `left` of those have left; the rest are spares.
    leaving: Vec<Leaving>,
    collected: usize,
    left: usize,
    /// Bytes of the transmit at `left` that have left.
    left_bytes: usize,
    /// Remotes the system knows no way to, for the machine to hear of.
    unreachable: Vec<SocketAddr>,
}

impl Ports {
    /// Binds every address. A wildcard of a family the machine lacks is skipped if another is bound.
    ///
    /// # Errors
    /// The first address that cannot be bound.
    pub(super) fn bind(addresses: &[SocketAddr]) -> Result<Ports, OpenError> {
        let mut sockets = Vec::with_capacity(addresses.len());
        let mut skipped = None;
        for &address in addresses {
            match Socket::bind(address) {
                Ok(socket) => sockets.push(socket),
                Err(source) if address.ip().is_unspecified() && lacks_family(&source) => {
                    skipped = Some(OpenError::Bind { address, source });
                }
                Err(source) => return Err(OpenError::Bind { address, source }),
            }
        }
        match skipped {
            Some(e) if sockets.is_empty() => Err(e),
            _ => Ok(Ports {
                sockets,
                first: 0,
                leaving: Vec::new(),
                collected: 0,
                left: 0,
                left_bytes: 0,
                unreachable: Vec::new(),
            }),
        }
    }

    /// The addresses bound.
    pub(super) fn local(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(Socket::local).collect()
    }

    /// Reads a bite from the sockets. True when more may be there.
    pub(super) fn receive(&mut self, inbound: &mut Inbound) -> bool {
        inbound.received.clear();
        let mut used = 0;
        let mut calls = 0;
        // Who starts changes with the bite, so that a flooded socket cannot silence the others.
        let count = self.sockets.len();
        self.first = (self.first + 1) % count.max(1);
        for index in (0..count).map(|i| (self.first + i) % count) {
            let socket = &mut self.sockets[index];
            let mut useless = 0;
            while socket.readable && calls < BITE_CALLS && used < BITE_RECEIVED {
                calls += 1;
                match socket.receive(&mut inbound.buffer[used..used + LARGEST_RECEIVE], used) {
                    Ok(received) => {
                        used = received.bytes.end;
                        inbound.received.push(received);
                    }
                    Err(e) if e.kind() == ErrorKind::WouldBlock => socket.readable = false,
                    // Some systems report here that an earlier datagram of ours was refused: read on. But a
                    // socket with nothing else to say is left alone until the system speaks of it again.
                    Err(_) => {
                        useless += 1;
                        socket.readable = useless < BITE_CALLS / 4;
                    }
                }
            }
        }
        self.sockets.iter().any(|socket| socket.readable)
    }

    /// Hands what was received to the machine.
    pub(super) fn hand_over(inbound: &mut Inbound, machine: &mut impl Machine, now: Instant) {
        for received in inbound.received.drain(..) {
            for bytes in inbound.buffer[received.bytes].chunks_mut(received.stride) {
                machine.handle_datagram(now, Datagram { remote: received.remote, bytes });
            }
        }
    }

    /// Takes a bite of transmits from the machine, unless earlier ones still wait for room in a socket.
    /// True when the machine may have more.
    pub(super) fn collect(&mut self, machine: &mut impl Machine, now: Instant) -> bool {
        if self.is_full() {
            return false;
        }
        // Asked anew each time: a driver below may have refused to segment since.
        let max_segments = self.sockets.iter().map(Socket::max_segments).min().unwrap_or(1);
        let mut bytes = 0;
        while self.collected < BITE_TRANSMITS && bytes < BITE_COLLECTED {
            if self.collected == self.leaving.len() {
                let remote = SocketAddr::from(([0, 0, 0, 0], 0));
                let transmit = Transmit { remote, segment_size: 0 };
                self.leaving.push(Leaving { buf: TransmitBuf::new(max_segments), transmit });
            }
            let leaving = &mut self.leaving[self.collected];
            leaving.buf.max_segments = max_segments;
            match machine.poll_transmit(now, &mut leaving.buf) {
                Some(transmit) => leaving.transmit = transmit,
                None => return false,
            }
            bytes += leaving.buf.bytes.len();
            self.collected += 1;
        }
        true
    }

    /// Sends what was collected until all has left or a socket is full.
    pub(super) fn flush(&mut self) {
        while self.left < self.collected {
            let Leaving { buf, transmit } = &self.leaving[self.left];
            let family = transmit.remote.is_ipv4();
            let socket = self.sockets.iter_mut().find(|socket| socket.local().is_ipv4() == family);
            let sent = match socket {
                Some(socket) if !socket.writable => return,
                Some(socket) => socket.send(transmit.remote, &buf.bytes[self.left_bytes..], transmit.segment_size),
                None => Sent::Unreachable,
            };
            match sent {
                Sent::Done => {}
                Sent::Full(bytes) => {
                    self.left_bytes += bytes;
                    return;
                }
                Sent::Unreachable => {
                    if !self.unreachable.contains(&transmit.remote) {
                        self.unreachable.push(transmit.remote);
                    }
                }
            }
            self.left += 1;
            self.left_bytes = 0;
        }
        self.collected = 0;
        self.left = 0;
    }

    /// Does a full socket hold transmits back?
    pub(super) fn is_full(&self) -> bool {
        self.collected > 0
    }

    /// The remotes that proved unreachable since the last call.
    pub(super) fn take_unreachable(&mut self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.unreachable.drain(..)
    }

    /// Is there an unreachable remote to tell of?
    pub(super) fn has_unreachable(&self) -> bool {
        !self.unreachable.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Deadline;
    use std::collections::VecDeque;

    /// A machine that keeps what it gets and sends what it is told.
    #[derive(Default)]
    struct Echo {
        got: Vec<(SocketAddr, Vec<u8>)>,
        out: VecDeque<(SocketAddr, Vec<u8>, usize)>,
    }

    impl Machine for Echo {
        fn handle_datagram(&mut self, _now: Instant, datagram: Datagram<'_>) {
            self.got.push((datagram.remote, datagram.bytes.to_vec()));
        }

        fn handle_timeout(&mut self, _now: Instant) {}

        fn poll_transmit(&mut self, _now: Instant, out: &mut TransmitBuf) -> Option<Transmit> {
            let (remote, bytes, segment_size) = self.out.pop_front()?;
            out.bytes.clear();
            out.bytes.extend_from_slice(&bytes);
            Some(Transmit { remote, segment_size })
        }

        fn poll_timeout(&self) -> Option<Deadline> {
            None
        }
    }

    fn ports(addresses: &[&str]) -> Ports {
        Ports::bind(&addresses.iter().map(|a| a.parse().unwrap()).collect::<Vec<_>>()).unwrap()
    }

    fn send_all(ports: &mut Ports, machine: &mut Echo) {
        while ports.collect(machine, Instant::ZERO) || ports.is_full() {
            ports.sockets.iter_mut().for_each(|socket| socket.writable = true);
            ports.flush();
        }
    }

    fn receive_until(ports: &mut Ports, machine: &mut Echo, count: usize) {
        let mut inbound = Inbound::new();
        while machine.got.len() < count {
            ports.sockets.iter_mut().for_each(|socket| socket.readable = true);
            ports.receive(&mut inbound);
            Ports::hand_over(&mut inbound, machine, Instant::ZERO);
        }
    }

    #[test]
    fn a_burst_larger_than_a_bite_arrives_in_order_datagram_by_datagram() {
        let (mut a, mut b) = (ports(&["127.0.0.1:0"]), ports(&["127.0.0.1:0"]));
        let mut sender = Echo::default();
        for i in 0..100u8 {
            sender.out.push_back((b.local()[0], [vec![i; 900], vec![i; 900], vec![i; 100]].concat(), 900));
        }
        send_all(&mut a, &mut sender);
        let mut receiver = Echo::default();
        receive_until(&mut b, &mut receiver, 300);
        for (i, (from, bytes)) in receiver.got.iter().enumerate() {
            assert_eq!(*from, a.local()[0]);
            assert_eq!(*bytes, vec![(i / 3) as u8; if i % 3 == 2 { 100 } else { 900 }]);
        }
    }

    #[test]
    fn a_transmit_leaves_by_the_socket_of_its_family() {
        let mut a = ports(&["127.0.0.1:0", "[::1]:0"]);
        let mut b = ports(&["[::1]:0", "127.0.0.1:0"]);
        let mut sender = Echo::default();
        for to in b.local() {
            sender.out.push_back((to, b"hello".to_vec(), 5));
        }
        send_all(&mut a, &mut sender);
        let mut receiver = Echo::default();
        receive_until(&mut b, &mut receiver, 2);
        let mut from: Vec<_> = receiver.got.iter().map(|(from, _)| *from).collect();
        from.sort();
        assert_eq!(from, a.local());
    }

    #[test]
    fn a_remote_without_a_socket_of_its_family_is_told_once_and_holds_nothing_back() {
        let (mut a, mut b) = (ports(&["127.0.0.1:0"]), ports(&["127.0.0.1:0"]));
        let lost: SocketAddr = "[::1]:5".parse().unwrap();
        let mut sender = Echo::default();
        sender.out.extend([(lost, vec![1], 1), (lost, vec![2], 1), (b.local()[0], vec![3], 1)]);
        send_all(&mut a, &mut sender);
        assert!(a.has_unreachable());
        assert_eq!(a.take_unreachable().collect::<Vec<_>>(), [lost]);
        assert!(!a.has_unreachable());
        let mut receiver = Echo::default();
        receive_until(&mut b, &mut receiver, 1);
        assert_eq!(receiver.got[0].1, [3]);
    }

    #[test]
    fn a_full_socket_holds_the_machine_back_and_loses_nothing() {
        let (mut a, mut b) = (ports(&["127.0.0.1:0"]), ports(&["127.0.0.1:0"]));
        let mut sender = Echo::default();
        sender.out.extend([(b.local()[0], vec![1], 1), (b.local()[0], vec![2], 1)]);
        a.sockets[0].writable = false;
        assert!(!a.collect(&mut sender, Instant::ZERO));
        a.flush();
        assert!(a.is_full());
        sender.out.push_back((b.local()[0], vec![3], 1));
        assert!(!a.collect(&mut sender, Instant::ZERO));
        assert_eq!(sender.out.len(), 1, "nothing more is taken while the socket is full");
        a.sockets[0].writable = true;
        a.flush();
        assert!(!a.is_full());
        send_all(&mut a, &mut sender);
        let mut receiver = Echo::default();
        receive_until(&mut b, &mut receiver, 3);
        assert_eq!(receiver.got.iter().map(|(_, bytes)| bytes[0]).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn a_taken_port_is_an_error_that_names_the_address() {
        let first = ports(&["127.0.0.1:0"]);
        let e = Ports::bind(&first.local()).unwrap_err();
        assert!(e.to_string().contains(&first.local()[0].to_string()), "{e}");
    }

    #[test]
    fn one_flooded_socket_leaves_room_for_the_other() {
        let mut a = ports(&["127.0.0.1:0"]);
        let mut b = ports(&["127.0.0.1:0", "127.0.0.1:0"]);
        let [flooded, quiet] = b.local()[..] else { unreachable!() };
        let mut sender = Echo::default();
        sender.out.extend((0..200).map(|_| (flooded, vec![0], 1)));
        sender.out.push_back((quiet, vec![1], 1));
        send_all(&mut a, &mut sender);
        let (mut inbound, mut receiver) = (Inbound::new(), Echo::default());
        for _ in 0..2 {
            b.receive(&mut inbound);
            Ports::hand_over(&mut inbound, &mut receiver, Instant::ZERO);
        }
        assert!(receiver.got.len() <= 2 * BITE_CALLS, "a bite is bounded");
        assert!(receiver.got.iter().any(|(_, bytes)| bytes == &[1]));
    }
}
