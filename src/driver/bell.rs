//! Where app threads sleep until messages or events wait for them, and how they are woken.
//!
//! No wake-up is lost: a sleeper counts itself in before it looks for work, a ringer makes the work
//! visible before it reads the count, and a fence on each side makes one of the two see the other. So
//! ringing costs no lock while nobody sleeps.

use crate::time::{Duration, Instant};
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Condvar, Mutex, PoisonError};

#[derive(Debug, Default)]
pub(super) struct Bell {
    sleepers: AtomicUsize,
    door: Mutex<()>,
    condvar: Condvar,
}

impl Bell {
    /// Wakes every sleeper to look again. Call it after the work is visible.
    pub(super) fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.sleepers.load(Ordering::Relaxed) > 0 {
            // A sleeper that has looked but does not yet wait holds the door: pass through after it.
            drop(self.door.lock().unwrap_or_else(PoisonError::into_inner));
            self.condvar.notify_all();
        }
    }

    /// Sleeps until `look` answers something or `until` has come (`None`: for ever).
    pub(super) fn sleep<R>(&self, until: Option<Instant>, look: impl Fn() -> Option<R>) -> Option<R> {
        let mut door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        self.sleepers.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let answer = loop {
            if let Some(answer) = look() {
                break Some(answer);
            }
            door = match until {
                None => self.condvar.wait(door).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_since(super::clock::now());
                    if left == Duration::ZERO {
                        break None;
                    }
                    self.condvar.wait_timeout(door, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        };
        self.sleepers.fetch_sub(1, Ordering::Relaxed);
        drop(door);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;

    #[test]
    fn no_ring_is_lost_between_looking_and_sleeping() {
        // Two threads take turns through one number; a single lost ring would hang the game.
        let bells = Arc::new((Bell::default(), Bell::default(), AtomicU32::new(0)));
        let other = bells.clone();
        let thread = std::thread::spawn(move || {
            for turn in 0..20_000 {
                let (mine, theirs, number) = &*other;
                mine.sleep(None, || (number.load(Ordering::Relaxed) == 2 * turn + 1).then_some(())).unwrap();
                number.store(2 * turn + 2, Ordering::Relaxed);
                theirs.ring();
            }
        });
        for turn in 0..20_000 {
            let (theirs, mine, number) = &*bells;
            number.store(2 * turn + 1, Ordering::Relaxed);
            theirs.ring();
            mine.sleep(None, || (number.load(Ordering::Relaxed) == 2 * turn + 2).then_some(())).unwrap();
        }
        thread.join().unwrap();
    }

    #[test]
    fn sleep_ends_when_its_time_has_come() {
        let bell = Bell::default();
        assert_eq!(bell.sleep(Some(super::super::clock::now() + Duration::from_millis(1)), || None::<()>), None);
        assert_eq!(bell.sleep(Some(Instant::ZERO), || Some(7)), Some(7));
    }

    #[test]
    fn one_ring_wakes_all_sleepers() {
        let bell = Arc::new((Bell::default(), AtomicU32::new(0)));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let bell = bell.clone();
                std::thread::spawn(move || bell.0.sleep(None, || (bell.1.load(Ordering::Relaxed) > 0).then_some(())))
            })
            .collect();
        while bell.0.sleepers.load(Ordering::Relaxed) < 4 {
            std::thread::yield_now();
        }
        bell.1.store(1, Ordering::Relaxed);
        bell.0.ring();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), Some(()));
        }
    }
}
