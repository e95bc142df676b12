//! The wall between the core and whoever drives it.
//!
//! Prefixes are grammar: `handle_*` goes in, `poll_*` comes out. Six laws hold, each proven by a
//! property test: any order of calls is right; no spin; no stall; same seed, same bytes; bounded;
//! nothing before authentication changes state.

use crate::time::{Deadline, Instant};
use std::net::SocketAddr;

/// The bytes of one UDP receive. They are opened in place, so they are handed in mutable.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// Who sent it, as the socket tells.
    pub remote: SocketAddr,
    /// The UDP payload.
    pub bytes: &'a mut [u8],
}

/// What [`Machine::poll_transmit`] put into the buffer: one datagram, or several equal ones to one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where it goes. The driver picks the socket of the same address family.
    pub remote: SocketAddr,
    /// Length of each datagram but the last, which may be shorter; equal to the buffer's length when
    /// there is just one.
    pub segment_size: usize,
}

/// Where [`Machine::poll_transmit`] writes.
#[derive(Debug)]
pub struct TransmitBuf {
    /// The datagrams of one [`Transmit`], end to end. Cleared by the machine before it writes.
    pub bytes: Vec<u8>,
    /// How many equal datagrams the socket takes at once (1 without segmentation offload).
    pub max_segments: usize,
}

impl TransmitBuf {
    /// An empty buffer for a socket that takes `max_segments` equal datagrams at once.
    pub fn new(max_segments: usize) -> TransmitBuf {
        TransmitBuf { bytes: Vec::with_capacity(65_536), max_segments: max_segments.max(1) }
    }
}

/// A protocol state machine without sockets, clocks, threads or randomness of its own.
pub trait Machine {
    /// Takes a datagram. A bad one is counted by reason and changes nothing.
    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>);

    /// Does what is due. Calling it early, late or twice is harmless.
    fn handle_timeout(&mut self, now: Instant);

    /// Writes the next datagrams into `out`; `None` when nothing may be sent now.
    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBuf) -> Option<Transmit>;

    /// When [`Machine::handle_timeout`] should be called next; `None` for never.
    fn poll_timeout(&self) -> Option<Deadline>;
}
