//! What every program here asks of the system about itself.

use rustix::process::{Resource, Rlimit, Signal, getppid, getrlimit, set_parent_process_death_signal, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity, set_current_timer_slack};
use std::fs;
use std::num::NonZeroU64;

/// In the environment of every process that `bench` starts: its own process id.
pub const PARENT: &str = "SNM_BENCH_PARENT";

/// Lets this process end when `bench`, which started it, is gone, however that ended. Started by hand, it lives on.
pub fn end_with_parent() {
    let Some(parent) = std::env::var(PARENT).ok().and_then(|text| text.parse::<i32>().ok()) else { return };
    // It cannot fail for a signal that exists.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    // It may have ended before this was asked for.
    if getppid().is_none_or(|now| now.as_raw_nonzero().get() != parent) {
        std::process::exit(1);
    }
}

/// Allows as many open files as the system grants without asking: a session may need a socket.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // A lower limit is an error message later, when a socket is refused.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Lets waits end on time instead of up to 50 µs late.
pub fn sharpen_timers() {
    // Refused, waits are a little longer.
    let _ = set_current_timer_slack(NonZeroU64::new(1));
}

/// Keeps this process, and the threads it starts from now on, on one core; false when there is no such core.
pub fn stay_on_core(core: usize) -> bool {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).is_ok()
}

/// Kibibytes of memory this process has now ("VmRSS") or had at most ("VmHWM"); 0 where the system does not say.
pub fn memory_kib(which: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(which)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
