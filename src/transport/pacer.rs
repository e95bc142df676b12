//! When the next packet may leave: packets are spread over time at the rate congestion control allows.
//!
//! A virtual clock runs ahead of the real one by the time the bytes sent so far take at the pacing rate.
//! Being woken late is forgiven up to [`FORGIVEN`], so a burst lasts at most that long at the rate.

use crate::time::{Duration, Instant};

/// Oversleep that may be made up for, and so the longest burst.
pub const FORGIVEN: Duration = Duration::from_millis(1);

/// Paces one path.
#[derive(Debug, Default)]
pub struct Pacer {
    next: Instant,
}

impl Pacer {
    /// May a packet leave now?
    pub fn allows(&self, now: Instant) -> bool {
        self.next <= now
    }

    /// When the next packet may leave.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// A packet of so many bytes left, at a rate in bytes per second.
    pub fn sent(&mut self, now: Instant, bytes: usize, rate: u64) {
        let span = Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / rate.max(1));
        self.next = self.next.max(now - FORGIVEN) + span;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_even_when_woken_late() {
        let mut pacer = Pacer::default();
        let mut now = Instant::ZERO + Duration::from_secs(1);
        let (mut sent, start) = (0u64, now);
        while sent < 1_000_000 {
            while pacer.allows(now) {
                pacer.sent(now, 1_000, 1_000_000);
                sent += 1_000;
            }
            now = pacer.next() + Duration::from_micros(300);
        }
        let seconds = now.saturating_since(start).as_secs_f64();
        assert!((0.98..1.02).contains(&seconds), "{seconds}");
    }

    #[test]
    fn a_long_pause_earns_one_short_burst_only() {
        let mut pacer = Pacer::default();
        let now = Instant::ZERO + Duration::from_secs(100);
        let mut burst = 0;
        while pacer.allows(now) {
            pacer.sent(now, 1_000, 1_000_000);
            burst += 1_000;
        }
        assert!(burst <= 2_000, "{burst}");
    }
}
