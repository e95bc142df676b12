//! Where a session's datagrams go.
//!
//! A connection has one active address. An authenticated packet from elsewhere starts a validation: a
//! sealed probe is sent there, and only its answer moves the path (RFC 9000 section 9, without its
//! roles). Nobody can aim us at a victim: an unproven address gets at most [`MAX_PROBES`] small probes.
//! Knows no message.

use crate::time::{Duration, Instant};
use std::net::SocketAddr;

/// An unproven address is given up after so many probes.
const MAX_PROBES: u32 = 5;

/// Time between two probes.
const PROBE_EVERY: Duration = Duration::from_millis(200);

/// Addresses that are validated at a time; more wait for the next occasion.
const MAX_PROBING: usize = 4;

/// Answers that wait to be sent to probes; more are dropped, the prober asks again.
const MAX_REPLIES: usize = 4;

#[derive(Clone, Copy, Debug)]
struct Probing {
    remote: SocketAddr,
    token: u64,
    sent: u32,
    last_at: Option<Instant>,
}

/// The paths of one connection.
#[derive(Debug)]
pub struct Paths {
    active: SocketAddr,
    probing: Vec<Probing>,
    replies: Vec<(SocketAddr, u64)>,
}

/// A path frame that wants to leave, to an address of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathFrame {
    /// Is this path alive?
    Probe(u64),
    /// It is.
    Reply(u64),
}

impl Paths {
    /// `active` was proven by the handshake.
    pub fn new(active: SocketAddr) -> Paths {
        Paths { active, probing: Vec::new(), replies: Vec::new() }
    }

    /// Where data goes.
    pub fn active(&self) -> SocketAddr {
        self.active
    }

    /// An authenticated packet came from `remote`; `newest` when it has the largest number so far.
    /// `token` is a fresh random number, used if a validation starts.
    pub fn handle_packet(&mut self, remote: SocketAddr, newest: bool, token: u64) {
        if remote != self.active && newest {
            self.probe(remote, token);
        }
    }

    /// Begins to validate an address, unless that is under way. `token` is a fresh random number.
    pub fn probe(&mut self, remote: SocketAddr, token: u64) {
        if self.probing.len() < MAX_PROBING && !self.probing.iter().any(|p| p.remote == remote) {
            self.probing.push(Probing { remote, token, sent: 0, last_at: None });
        }
    }

    /// The peer probes the path from `remote`.
    pub fn handle_probe(&mut self, remote: SocketAddr, token: u64) {
        if self.replies.len() < MAX_REPLIES {
            self.replies.push((remote, token));
        }
    }

    /// A probe is answered: the path moves if it is ours. Returns its round trip, when it moved.
    pub fn handle_reply(&mut self, now: Instant, token: u64) -> Option<Moved> {
        let at = self.probing.iter().position(|p| p.token == token)?;
        let probing = self.probing.swap_remove(at);
        let moved = probing.remote != self.active;
        self.probing.clear(); // the quickest answer decides
        self.active = probing.remote;
        let rtt = probing.last_at.filter(|_| probing.sent == 1).map(|at| now.saturating_since(at));
        moved.then_some(Moved { rtt })
    }

    /// The next path frame, and where it goes.
    pub fn poll_frame(&mut self, now: Instant) -> Option<(SocketAddr, PathFrame)> {
        if let Some((remote, token)) = self.replies.pop() {
            return Some((remote, PathFrame::Reply(token)));
        }
        self.probing.retain(|p| p.sent < MAX_PROBES || p.last_at.is_some_and(|at| at + PROBE_EVERY > now));
        let due = |p: &&mut Probing| p.last_at.is_none_or(|at| at + PROBE_EVERY <= now);
        let probing = self.probing.iter_mut().find(due)?;
        probing.sent += 1;
        probing.last_at = Some(now);
        Some((probing.remote, PathFrame::Probe(probing.token)))
    }

    /// When [`Paths::poll_frame`] has something again; `None` for never.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        if !self.replies.is_empty() {
            return Some(now);
        }
        self.probing.iter().map(|p| p.last_at.map_or(now, |at| at + PROBE_EVERY)).min()
    }
}

/// The path moved to another address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The new path's round trip, if it is unambiguous.
    pub rtt: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn only_an_answered_probe_moves_the_path() {
        let mut paths = Paths::new(addr(1));
        let now = Instant::ZERO;
        paths.handle_packet(addr(2), true, 77);
        assert_eq!(paths.active(), addr(1));
        assert_eq!(paths.poll_frame(now), Some((addr(2), PathFrame::Probe(77))));
        assert_eq!(paths.handle_reply(now, 78), None);
        assert_eq!(paths.active(), addr(1));
        assert!(paths.handle_reply(now + Duration::from_millis(30), 77).is_some());
        assert_eq!(paths.active(), addr(2));
    }

    #[test]
    fn an_address_that_never_answers_gets_a_few_probes_and_no_more() {
        let mut paths = Paths::new(addr(1));
        let mut now = Instant::ZERO;
        paths.handle_packet(addr(2), true, 77);
        let mut probes = 0;
        while let Some(at) = paths.poll_timeout(now) {
            now = at.max(now);
            probes += usize::from(paths.poll_frame(now).is_some());
        }
        assert_eq!(probes, MAX_PROBES as usize);
        assert_eq!(paths.active(), addr(1));
    }

    #[test]
    fn an_old_packet_replayed_from_elsewhere_starts_nothing() {
        let mut paths = Paths::new(addr(1));
        paths.handle_packet(addr(2), false, 77);
        assert_eq!(paths.poll_timeout(Instant::ZERO), None);
    }
}
