//! Which packets were here before.
//!
//! A bitmap over the last [`WINDOW`] packet numbers (the scheme of RFC 6479, with a bit per number): older ones
//! count as seen. Ask before opening, so that a repeated packet costs no cipher; note after opening, so that a
//! forged number moves nothing.

/// How many packet numbers back from the highest can still arrive for the first time.
pub const WINDOW: u64 = 2_048;

/// The packet numbers seen of one connection. 264 bytes, whatever happens.
#[derive(Clone, Debug)]
pub struct ReplayWindow {
    /// One above the highest number seen; 0 when there is none.
    end: u64,
    /// Bit `pn % WINDOW` tells whether `pn` was seen, for the `WINDOW` numbers below `end`.
    seen: [u64; WINDOW as usize / 64],
}

impl Default for ReplayWindow {
    fn default() -> ReplayWindow {
        ReplayWindow { end: 0, seen: [0; WINDOW as usize / 64] }
    }
}

impl ReplayWindow {
    /// Is `pn` new, as far as the window tells?
    #[inline]
    pub fn check(&self, pn: u64) -> bool {
        if pn >= self.end {
            // The very last number has none above it that could end the window.
            return pn != u64::MAX;
        }
        self.end - pn <= WINDOW && self.seen[word(pn)] & bit(pn) == 0
    }

    /// Notes that `pn` was here. Numbers that fell out of the window are ignored.
    #[inline]
    pub fn mark(&mut self, pn: u64) {
        if pn == u64::MAX || self.end.saturating_sub(pn) > WINDOW {
            return;
        }
        if pn >= self.end {
            // The slots from the old end up to here still speak of numbers one window earlier.
            if pn - self.end >= WINDOW {
                self.seen.fill(0);
            } else {
                for skipped in self.end..pn {
                    self.seen[word(skipped)] &= !bit(skipped);
                }
            }
            self.end = pn + 1;
        }
        self.seen[word(pn)] |= bit(pn);
    }

    /// The highest number seen.
    #[inline]
    pub fn largest(&self) -> Option<u64> {
        self.end.checked_sub(1)
    }
}

#[inline]
fn word(pn: u64) -> usize {
    (pn % WINDOW / 64) as usize
}

#[inline]
fn bit(pn: u64) -> u64 {
    1 << (pn % 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_number_is_new_once() {
        let mut window = ReplayWindow::default();
        assert_eq!(window.largest(), None);
        for pn in [0, 5, 3, 2_000] {
            assert!(window.check(pn));
            window.mark(pn);
            assert!(!window.check(pn));
        }
        assert_eq!(window.largest(), Some(2_000));
        assert!(window.check(1));
    }

    #[test]
    fn the_window_ends_where_it_says() {
        let mut window = ReplayWindow::default();
        window.mark(10_000);
        assert!(window.check(10_001 - WINDOW));
        assert!(!window.check(10_000 - WINDOW));
        window.mark(9_999 - WINDOW);
        assert_eq!(window.largest(), Some(10_000));
        assert!(window.check(9_999), "a number below the window must not take a slot of it");
    }

    #[test]
    fn the_last_numbers_there_are_do_not_overflow() {
        let mut window = ReplayWindow::default();
        window.mark(u64::MAX - 1);
        assert!(!window.check(u64::MAX - 1));
        assert!(!window.check(u64::MAX));
        window.mark(u64::MAX);
        assert_eq!(window.largest(), Some(u64::MAX - 1));
    }

    proptest! {
        #[test]
        fn the_window_agrees_with_a_set_that_forgets_nothing(
            start in prop_oneof![Just(0u64), any::<u64>().prop_map(|pn| pn / 2)],
            steps in prop::collection::vec((0u64..3 * WINDOW, any::<bool>()), 0..200),
        ) {
            let mut window = ReplayWindow::default();
            let mut set = BTreeSet::new();
            let mut around = start;
            for (step, ahead) in steps {
                let pn = if ahead { around + step % 200 } else { around.saturating_sub(step) };
                let highest = set.last().copied();
                let fresh = !set.contains(&pn) && highest.is_none_or(|highest: u64| pn + WINDOW > highest);
                prop_assert_eq!(window.check(pn), fresh, "{}", pn);
                window.mark(pn);
                set.insert(pn);
                if ahead && step % 7 == 0 {
                    around += step;
                }
            }
        }
    }
}
