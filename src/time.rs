//! Points in time for a core that never reads a clock.
//!
//! [`Instant`] has no `now()`: whoever drives the core hands the time in. Spans are
//! [`std::time::Duration`]. A [`Deadline`] says why it exists, so that a driver that wakes for
//! nothing can be explained.

use std::ops::{Add, AddAssign, Sub};
pub use std::time::Duration;

/// A point on the driver's monotonic clock, in nanoseconds. Only differences mean anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The clock's own zero.
    pub const ZERO: Instant = Instant(0);

    /// The point `nanos` nanoseconds after the clock's zero.
    pub const fn from_nanos(nanos: u64) -> Instant {
        Instant(nanos)
    }

    /// Nanoseconds since the clock's zero.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Microseconds since the clock's zero, rounded down.
    pub const fn as_micros(self) -> u64 {
        self.0 / 1_000
    }

    /// The span from `earlier` to here; zero when `earlier` is later.
    pub fn saturating_since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, span: Duration) -> Instant {
        Instant(self.0.saturating_add(nanos(span)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, span: Duration) {
        *self = *self + span;
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;
    fn sub(self, span: Duration) -> Instant {
        Instant(self.0.saturating_sub(nanos(span)))
    }
}

/// Why the core wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Something can be sent at once.
    Transmit,
    /// The pacer lets the next packet go.
    Pacing,
    /// Small messages have waited long enough for company.
    Nagle,
    /// An acknowledgement may be held back no longer.
    Ack,
    /// A packet counts as lost, or the peer must be probed for acknowledgements.
    Loss,
    /// A handshake message is sent again.
    Handshake,
    /// A silent peer is asked for a sign of life.
    Keepalive,
    /// A path is probed.
    Path,
    /// A relay is asked for something, or its answer is overdue.
    Relay,
    /// A session ends or changes state: initial, connected or idle time-out, end of a linger.
    Session,
    /// An injected fault lets a delayed datagram go.
    Fault,
}

/// A point in time at which the core wants `handle_timeout`, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    /// When.
    pub at: Instant,
    /// Why.
    pub why: Why,
}

impl Deadline {
    /// A deadline at `at`, because of `why`.
    pub fn new(at: Instant, why: Why) -> Deadline {
        Deadline { at, why }
    }

    /// The earlier of two deadlines that may not exist.
    pub fn earlier(a: Option<Deadline>, b: Option<Deadline>) -> Option<Deadline> {
        match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_instead_of_wrapping() {
        let t = Instant::from_nanos(5);
        assert_eq!(t - Duration::from_secs(1), Instant::ZERO);
        assert_eq!((t + Duration::MAX).as_nanos(), u64::MAX);
        assert_eq!(Instant::ZERO.saturating_since(t), Duration::ZERO);
    }

    #[test]
    fn the_earlier_deadline_wins_and_none_loses() {
        let a = Deadline::new(Instant::from_nanos(1), Why::Ack);
        let b = Deadline::new(Instant::from_nanos(2), Why::Loss);
        assert_eq!(Deadline::earlier(Some(a), Some(b)), Some(a));
        assert_eq!(Deadline::earlier(None, Some(b)), Some(b));
        assert_eq!(Deadline::earlier(None, None), None);
    }
}
