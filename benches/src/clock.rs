//! The machine's clocks, as numbers that mean the same in every process.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of CLOCK_MONOTONIC: comparable between the processes of one machine.
pub fn now_ns() -> u64 {
    read(ClockId::Monotonic)
}

/// Nanoseconds of CPU this process has used, all threads, user and system.
pub fn cpu_ns() -> u64 {
    read(ClockId::ProcessCPUTime)
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    // Both clocks start at zero and count up.
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
