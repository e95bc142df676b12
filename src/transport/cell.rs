//! The send budget of one peer, shared between the session and the threads that send to it.
//!
//! A sending thread reserves room here without the endpoint's lock; the outbox gives it back as bytes
//! leave for the first time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The least a message is charged against the send buffer, so that empty messages are bounded too.
pub const LEAST_CHARGE: u64 = 32;

/// What the send buffer is charged for a message of `size` bytes.
pub fn charge(size: usize) -> u64 {
    (size as u64).max(LEAST_CHARGE)
}

/// What a sending thread may know of one peer.
#[derive(Debug, Default)]
pub struct PeerCell {
    /// Connected: messages may take the lane.
    open: AtomicBool,
    /// Charged bytes waiting.
    pending: AtomicU64,
    /// SEND_BUFFER_SIZE.
    limit: AtomicU64,
    /// What the path carries, bytes per second.
    rate: AtomicU64,
    /// Largest message the peer takes.
    max_message: AtomicU64,
}

impl PeerCell {
    /// May messages take the lane?
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Lets messages in, or not.
    pub fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Release);
    }

    /// Sets the send buffer's size.
    pub fn set_limit(&self, bytes: u64) {
        self.limit.store(bytes, Ordering::Relaxed);
    }

    /// Sets the largest message the peer takes.
    pub fn set_max_message(&self, bytes: u64) {
        self.max_message.store(bytes, Ordering::Relaxed);
    }

    /// Largest message the peer takes; 0 while unknown.
    pub fn max_message(&self) -> u64 {
        self.max_message.load(Ordering::Relaxed)
    }

    /// Publishes what the path carries, bytes per second.
    pub fn set_rate(&self, rate: u64) {
        self.rate.store(rate, Ordering::Relaxed);
    }

    /// The estimated wait of a message queued now, microseconds.
    pub fn queue_delay_us(&self) -> u64 {
        self.pending().saturating_mul(1_000_000) / self.rate.load(Ordering::Relaxed).max(1)
    }

    /// Takes room for `charge` bytes; false when it would overflow the send buffer.
    pub fn reserve(&self, charge: u64) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        self.pending
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |pending| {
                (pending + charge <= limit).then_some(pending + charge)
            })
            .is_ok()
    }

    /// Takes room even where there is none, for messages that had it before.
    pub fn force(&self, charge: u64) {
        self.pending.fetch_add(charge, Ordering::AcqRel);
    }

    /// Gives room back.
    pub fn release(&self, charge: u64) {
        let before = self.pending.fetch_sub(charge, Ordering::AcqRel);
        debug_assert!(before >= charge, "released more than was reserved");
    }

    /// Charged bytes waiting.
    pub fn pending(&self) -> u64 {
        self.pending.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_given_until_the_limit_and_again_after_release() {
        let cell = PeerCell::default();
        cell.set_limit(100);
        assert!(cell.reserve(charge(60)));
        assert!(cell.reserve(charge(0)));
        assert!(!cell.reserve(charge(10)));
        cell.release(60);
        assert!(cell.reserve(68));
        assert_eq!(cell.pending(), 100);
    }
}
