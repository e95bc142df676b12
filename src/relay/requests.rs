//! What we asked a TURN server and wait to hear: repeated on the way that loses, given up in time.
//!
//! The repeats are fixed, not doubled as RFC 8489 section 6.2.1 has it: nothing is asked longer than four
//! seconds, so that five datagrams are the most that an unanswered question costs.

use super::stun::Ask;
use crate::time::{Duration, Instant};

/// A question is sent at once, and again after 0.5, 1, 2 and 3 seconds.
const REPEATS: [Duration; 4] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(3)];

/// A question and its bytes.
#[derive(Debug)]
pub struct Request {
    /// What is asked.
    pub ask: Ask,
    /// Times the server wanted another signature for it.
    pub challenges: u8,
    id: u128,
    bytes: Vec<u8>,
    asked_at: Instant,
    sent_at: Instant,
    sends: usize,
    give_up_at: Instant,
}

/// All questions under way: one about the allocation itself, and a few about peers.
#[derive(Debug, Default)]
pub struct Requests {
    waiting: Vec<Request>,
    /// Nothing is lost on the way, so nothing is said twice.
    reliable: bool,
}

impl Requests {
    /// No questions; `reliable` for a stream.
    pub fn new(reliable: bool) -> Requests {
        Requests { waiting: Vec::new(), reliable }
    }

    /// A new question, to be answered within `patience`.
    pub fn push(&mut self, now: Instant, ask: Ask, challenges: u8, id: u128, bytes: Vec<u8>, patience: Duration) {
        let give_up_at = now + patience;
        self.waiting.push(Request { ask, challenges, id, bytes, asked_at: now, sent_at: now, sends: 0, give_up_at });
    }

    /// Nobody waits for anything any more.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether a question has this transaction id.
    pub fn knows(&self, id: u128) -> bool {
        self.waiting.iter().any(|request| request.id == id)
    }

    /// The question with this transaction id is answered.
    pub fn take(&mut self, id: u128) -> Option<Request> {
        let at = self.waiting.iter().position(|request| request.id == id)?;
        Some(self.waiting.swap_remove(at))
    }

    /// How often the question whether the allocation lives was sent; `None` if it is not asked.
    pub fn refresh_sends(&self) -> Option<usize> {
        self.waiting.iter().find(|r| matches!(r.ask, Ask::Refresh { .. })).map(|request| request.sends)
    }

    /// Questions about peers.
    pub fn binds(&self) -> usize {
        self.waiting.iter().filter(|request| matches!(request.ask, Ask::Bind { .. })).count()
    }

    /// A question nobody answered in time.
    pub fn take_given_up(&mut self, now: Instant) -> Option<Request> {
        let at = self.waiting.iter().position(|request| request.give_up_at <= now)?;
        Some(self.waiting.swap_remove(at))
    }

    /// The bytes to be sent now.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<&[u8]> {
        let reliable = self.reliable;
        let due = |request: &&mut Request| request.due_at(reliable).is_some_and(|at| at <= now);
        let request = self.waiting.iter_mut().find(due)?;
        // Repeats that are overdue are not made up for: the next comes in its time.
        request.sends += 1;
        while !reliable && request.due_at(reliable).is_some_and(|at| at <= now) {
            request.sends += 1;
        }
        request.sent_at = now;
        Some(&request.bytes)
    }

    /// When something is to be sent or given up.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.waiting.iter().map(|r| r.due_at(self.reliable).unwrap_or(r.give_up_at).min(r.give_up_at)).min()
    }
}

impl Request {
    /// How long the answer took; `None` if it may be one to an earlier copy.
    pub fn round_trip(&self, now: Instant) -> Option<Duration> {
        (self.sends == 1).then(|| now.saturating_since(self.sent_at))
    }

    /// When it was asked first.
    pub fn asked_at(&self) -> Instant {
        self.asked_at
    }

    fn due_at(&self, reliable: bool) -> Option<Instant> {
        match self.sends {
            0 => Some(self.asked_at),
            _ if reliable => None,
            n => REPEATS.get(n - 1).map(|after| self.asked_at + *after),
        }
    }
}
