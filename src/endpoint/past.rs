//! What is remembered of sessions that are over: how they ended, for whoever asks why there is none any more,
//! and their names, so that none is taken up a second time.

use crate::ids::{SessionId, SteamId};
use crate::session::Ending;
use crate::time::Instant;
use std::collections::VecDeque;

/// The endings of so many users are remembered, the latest ones.
const MAX_ENDINGS: usize = 64;

/// The latest endings, oldest first, one for each user.
#[derive(Debug, Default)]
pub struct Past(VecDeque<(SteamId, Ending, Instant)>);

impl Past {
    /// The session with `peer` has just ended.
    pub fn note(&mut self, now: Instant, peer: SteamId, ending: Ending) {
        self.0.retain(|(of, ..)| *of != peer);
        if self.0.len() >= MAX_ENDINGS {
            self.0.pop_front();
        }
        self.0.push_back((peer, ending, now));
    }

    /// How the last session with `peer` ended, and when.
    pub fn of(&self, peer: SteamId) -> Option<(&Ending, Instant)> {
        self.0.iter().find(|(of, ..)| *of == peer).map(|(_, ending, at)| (ending, *at))
    }
}

/// The names of so many sessions are remembered, the latest ones.
const MAX_OPENED: usize = 1_024;

/// The peers' names of the latest sessions that stood. A peer that never heard our yes goes on asking under the
/// same name; were it let in again after that session is over, what we had of it would come twice.
#[derive(Debug, Default)]
pub struct Opened(VecDeque<(SteamId, SessionId)>);

impl Opened {
    /// A session of `peer` stands that it calls so.
    pub fn note(&mut self, peer: SteamId, name: SessionId) {
        if self.has(peer, name) {
            return;
        }
        if self.0.len() >= MAX_OPENED {
            self.0.pop_front();
        }
        self.0.push_back((peer, name));
    }

    /// Did one stand?
    pub fn has(&self, peer: SteamId, name: SessionId) -> bool {
        self.0.contains(&(peer, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::cause::Cause;

    #[test]
    fn the_last_ending_of_each_of_the_latest_users_is_remembered() {
        let mut past = Past::default();
        let ending = |cause: Cause| Ending::new(0, cause.reason(), cause, "");
        for n in 0..=MAX_ENDINGS as u64 {
            past.note(Instant::from_nanos(n), SteamId(n), ending(Cause::Idle));
        }
        past.note(Instant::from_nanos(1_000), SteamId(5), ending(Cause::ClosedHere));
        assert_eq!(past.of(SteamId(0)), None, "the oldest made room");
        assert_eq!(past.of(SteamId(1)), Some((&ending(Cause::Idle), Instant::from_nanos(1))));
        assert_eq!(past.of(SteamId(5)), Some((&ending(Cause::ClosedHere), Instant::from_nanos(1_000))));
        assert_eq!(past.0.len(), MAX_ENDINGS);
    }
}
