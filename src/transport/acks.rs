//! What arrived and has to be acknowledged, and when (RFC 9000 section 13.2).
//!
//! An acknowledgement rides on the next packet that goes anyway. On its own it goes when two packets
//! wait for it, when one arrived out of order, or when one has waited for [`MAX_ACK_DELAY`].

use crate::ranges::RangeSet;
use crate::time::{Duration, Instant};
use crate::wire::ack::{AckFrame, MAX_ACK_RANGES};
use crate::wire::codec::Writer;

/// An acknowledgement is never held back longer.
pub const MAX_ACK_DELAY: Duration = Duration::from_millis(25);

/// Packets that wait for an acknowledgement make it due.
const EVERY: u32 = 2;

/// The acknowledgements one connection owes.
#[derive(Debug, Default)]
pub struct Acks {
    received: RangeSet,
    largest_at: Instant,
    waiting: u32,
    at_once: bool,
    deadline: Option<Instant>,
}

impl Acks {
    /// A packet arrived.
    pub fn record(&mut self, now: Instant, number: u64, ack_eliciting: bool) {
        let largest = self.received.largest();
        let in_order = largest.is_none_or(|l| number == l + 1);
        if largest.is_none_or(|l| number > l) {
            self.largest_at = now;
        }
        self.received.insert(number..number + 1);
        while self.received.range_count() > MAX_ACK_RANGES {
            self.received.pop_lowest();
        }
        if ack_eliciting {
            self.waiting += 1;
            self.at_once |= !in_order;
            self.deadline.get_or_insert(now + MAX_ACK_DELAY);
        }
    }

    /// The largest packet number that arrived.
    pub fn largest(&self) -> Option<u64> {
        self.received.largest()
    }

    /// Must the acknowledgement go now, on its own if need be?
    pub fn is_due(&self, now: Instant) -> bool {
        self.waiting >= EVERY || (self.at_once && self.waiting > 0) || self.deadline.is_some_and(|d| d <= now)
    }

    /// When it must go.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Writes the acknowledgement; its largest number, or `None` when nothing is owed or it does not fit.
    pub fn write(&mut self, now: Instant, out: &mut Writer<'_>) -> Option<u64> {
        let largest = self.received.largest().filter(|_| self.waiting > 0)?;
        let delay = now.saturating_since(self.largest_at);
        if !AckFrame::write(out, &self.received, delay.as_micros() as u64) {
            return None;
        }
        self.waiting = 0;
        self.at_once = false;
        self.deadline = None;
        Some(largest)
    }

    /// The peer has our acknowledgement up to `largest`: what is older need not be told again.
    pub fn handle_acked(&mut self, largest: u64) {
        self.received.remove_below(largest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_packet_waits_two_or_a_gap_do_not() {
        let mut acks = Acks::default();
        acks.record(Instant::ZERO, 0, true);
        assert!(!acks.is_due(Instant::ZERO));
        assert!(acks.is_due(Instant::ZERO + MAX_ACK_DELAY));
        acks.record(Instant::ZERO, 1, true);
        assert!(acks.is_due(Instant::ZERO));
        let mut bytes = Vec::new();
        assert_eq!(acks.write(Instant::ZERO, &mut Writer::new(&mut bytes, 100)), Some(1));
        acks.record(Instant::ZERO, 3, true);
        assert!(acks.is_due(Instant::ZERO), "a gap is told at once");
    }

    #[test]
    fn the_ranges_are_bounded_and_the_newest_stay() {
        let mut acks = Acks::default();
        for n in 0..10_000 {
            acks.record(Instant::ZERO, n * 2, false);
        }
        assert_eq!(acks.received.range_count(), MAX_ACK_RANGES);
        assert_eq!(acks.largest(), Some(19_998));
    }
}
