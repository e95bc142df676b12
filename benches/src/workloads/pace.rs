//! Events at an even rate, on an absolute schedule: being late once does not make all later ones late.

use std::time::Duration;

/// A rate from a point in time on.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    begin: u64,
    every_ns: f64,
    count: u64,
    taken: u64,
}

impl Pace {
    /// `hz` events a second for so many seconds, the first one at `begin`, ns.
    pub fn new(begin: u64, hz: f64, seconds: f64) -> Pace {
        Pace { begin, every_ns: 1e9 / hz, count: (hz * seconds).round() as u64, taken: 0 }
    }

    /// Takes the next event if it is due: its number.
    pub fn take(&mut self, now: u64) -> Option<u64> {
        if self.taken >= self.count || now < self.next_at() {
            return None;
        }
        self.taken += 1;
        Some(self.taken - 1)
    }

    /// Gives the last event back: it could not be done yet.
    pub fn put_back(&mut self) {
        self.taken -= 1;
    }

    /// How long until the next event, at most `longest`.
    pub fn wait(&self, now: u64, longest: Duration) -> Duration {
        if self.is_over() { longest } else { Duration::from_nanos(self.next_at().saturating_sub(now)).min(longest) }
    }

    /// All events were taken.
    pub fn is_over(&self) -> bool {
        self.taken >= self.count
    }

    /// How many there are in all.
    pub fn count(&self) -> u64 {
        self.count
    }

    fn next_at(&self) -> u64 {
        self.begin + (self.taken as f64 * self.every_ns) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_when_they_are_due_and_not_more_than_asked_for() {
        let mut pace = Pace::new(1_000_000_000, 100.0, 0.05);
        assert_eq!(pace.take(999_999_999), None);
        assert_eq!(pace.wait(999_999_000, Duration::from_secs(1)), Duration::from_nanos(1_000));
        assert_eq!(pace.take(1_000_000_000), Some(0));
        assert_eq!(pace.take(1_009_999_999), None);
        // Late for two: both come at once, the next one on time.
        assert_eq!((pace.take(1_025_000_000), pace.take(1_025_000_000)), (Some(1), Some(2)));
        pace.put_back();
        assert_eq!((pace.take(1_025_000_000), pace.take(1_025_000_000)), (Some(2), None));
        assert_eq!((pace.take(2_000_000_000), pace.take(2_000_000_000)), (Some(3), Some(4)));
        assert!(pace.is_over() && pace.take(u64::MAX).is_none());
        assert_eq!(pace.wait(0, Duration::from_millis(3)), Duration::from_millis(3));
    }
}
