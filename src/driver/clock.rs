//! The one clock of the house: monotonic, the same for every endpoint of the process.
//!
//! It starts far from zero so that a span subtracted from an early reading is not cut short, and so
//! that nobody mistakes a reading for a span. `snm_time_now` shows it in microseconds. Where the system can
//! tell, time in which the machine slept counts: certificates age in a sleeping laptop, and peers give up on it.

use crate::time::{Duration, Instant};
use std::sync::OnceLock;

/// What the clock reads at its first use in the process, in nanoseconds.
const FIRST_READING_NANOS: u64 = 3_000_000_000_000_000;

/// The time now. Never runs backwards.
pub fn now() -> Instant {
    static START: OnceLock<Duration> = OnceLock::new();
    let reading = since_boot();
    let start = *START.get_or_init(|| reading);
    // 2^64 ns are 584 years. A thread that lost the race for the first reading may have read before it.
    Instant::from_nanos(FIRST_READING_NANOS + reading.saturating_sub(start).as_nanos() as u64)
}

/// Time since the machine started, sleep included.
#[cfg(target_os = "linux")]
fn since_boot() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Time since some moment; whether sleep counts is the system's affair.
#[cfg(not(target_os = "linux"))]
#[allow(clippy::disallowed_methods)] // this is the room that reads the clock
fn since_boot() -> Duration {
    static START: OnceLock<std::time::Instant> = OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_starts_at_three_million_seconds_and_never_runs_backwards() {
        let mut last = now();
        assert!(last.as_micros() >= 3_000_000_000_000);
        for _ in 0..1_000 {
            let next = now();
            assert!(next >= last);
            last = next;
        }
    }
}
