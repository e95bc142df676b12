//! The one clock of the house: monotonic, the same for every endpoint of the process.
//!
//! It starts far from zero so that a span subtracted from an early reading is not cut short, and so
//! that nobody mistakes a reading for a span. `snm_time_now` shows it in microseconds.

use crate::time::Instant;
use std::sync::OnceLock;

/// What the clock reads at its first use in the process, in nanoseconds.
const FIRST_READING_NANOS: u64 = 3_000_000_000_000_000;

/// The time now. Never runs backwards.
#[allow(clippy::disallowed_methods)] // this is the room that reads the clock
pub fn now() -> Instant {
    static START: OnceLock<std::time::Instant> = OnceLock::new();
    let start = START.get_or_init(std::time::Instant::now);
    // 2^64 ns are 584 years.
    Instant::from_nanos(FIRST_READING_NANOS + start.elapsed().as_nanos() as u64)
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
