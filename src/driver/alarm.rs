//! Sleeping until a deadline with the precision the pacer needs.
//!
//! The system's poll call counts in milliseconds on most systems and rounds up. On Linux a timer
//! descriptor, polled with the sockets, wakes to the microsecond.

use crate::time::Duration;
use std::io;

pub(super) use imp::Alarm;

#[cfg(target_os = "linux")]
mod imp {
    use super::*;
    use mio::unix::SourceFd;
    use mio::{Interest, Registry, Token};
    use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
    use std::os::fd::{AsRawFd, OwnedFd};

    /// From here on a millisecond more or less matters to nobody, and the poll call's own timeout is cheaper.
    const COARSE: Duration = Duration::from_millis(50);

    /// The timer of one poll thread.
    #[derive(Debug)]
    pub(in super::super) struct Alarm(OwnedFd);

    impl Alarm {
        /// A timer whose ring arrives as `token`, which needs no answer.
        pub(in super::super) fn new(registry: &Registry, token: Token) -> io::Result<Alarm> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
            // Edge triggered: every expiry is an edge, so it never has to be read.
            registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
            Ok(Alarm(timer))
        }

        /// The timeout for the poll call that sleeps for `span`.
        pub(in super::super) fn arm(&mut self, span: Duration) -> Option<Duration> {
            if span >= COARSE {
                return Some(span);
            }
            let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
            // Below a second, so it fits; zero would disarm.
            let value = Timespec { tv_sec: 0, tv_nsec: span.as_nanos().max(1) as _ };
            let spec = Itimerspec { it_interval: zero, it_value: value };
            match rustix::time::timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &spec) {
                Ok(_) => None,
                Err(_) => Some(span),
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use super::*;
    use mio::{Registry, Token};

    /// Nothing: the poll call's own timeout serves, rounded up so that waking early cannot spin.
    #[derive(Debug)]
    pub(in super::super) struct Alarm;

    impl Alarm {
        /// The timer of one poll thread.
        pub(in super::super) fn new(_registry: &Registry, _token: Token) -> io::Result<Alarm> {
            Ok(Alarm)
        }

        /// The timeout for the poll call that sleeps for `span`.
        pub(in super::super) fn arm(&mut self, span: Duration) -> Option<Duration> {
            Some(Duration::from_millis(span.as_micros().div_ceil(1_000).try_into().unwrap_or(u64::MAX)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll, Token};

    #[test]
    fn a_fine_deadline_wakes_the_poll_call_and_can_be_armed_again() {
        let mut poll = Poll::new().unwrap();
        let mut alarm = Alarm::new(poll.registry(), Token(9)).unwrap();
        for span in [Duration::ZERO, Duration::from_micros(300), Duration::from_millis(2)] {
            let start = super::super::clock::now();
            let timeout = alarm.arm(span);
            // A timer that never rang would hang here.
            poll.poll(&mut Events::with_capacity(4), timeout).unwrap();
            assert!(super::super::clock::now().saturating_since(start) >= span);
        }
    }

    #[test]
    fn a_far_deadline_is_left_to_the_poll_call() {
        let poll = Poll::new().unwrap();
        let mut alarm = Alarm::new(poll.registry(), Token(9)).unwrap();
        assert!(alarm.arm(Duration::from_secs(3)).is_some_and(|timeout| timeout >= Duration::from_secs(3)));
    }
}
