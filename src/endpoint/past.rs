//! What is remembered of sessions that are over: how they ended, for whoever asks why there is none any more,
//! their names, so that none is taken up a second time, and whose handshakes gave way to ours.

use super::strangers::HALF_OPEN_LIFE;
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

/// The peers' names of the latest sessions that stood, or that our app turned down. A peer that never heard our
/// word goes on asking under the same name; were it let in again after that session is over, what we had of it
/// would come twice.
#[derive(Debug, Default)]
pub struct Opened(VecDeque<(SteamId, SessionId, i32)>);

impl Opened {
    /// `peer` calls a session so that stands, or was turned down. `reason` is what to tell when it asks again.
    pub fn note(&mut self, peer: SteamId, name: SessionId, reason: i32) {
        if self.reason(peer, name).is_some() {
            return;
        }
        if self.0.len() >= MAX_OPENED {
            self.0.pop_front();
        }
        self.0.push_back((peer, name, reason));
    }

    /// Why a session of that name is not taken up, if it was before.
    pub fn reason(&self, peer: SteamId, name: SessionId) -> Option<i32> {
        self.0.iter().find(|(of, called, _)| (*of, *called) == (peer, name)).map(|(.., reason)| *reason)
    }

    /// The last one of `peer`.
    pub fn last(&self, peer: SteamId) -> Option<SessionId> {
        self.0.iter().rev().find(|(of, ..)| *of == peer).map(|(_, name, _)| *name)
    }
}

/// So many peers are remembered whose handshakes ours took the place of, the latest ones.
const MAX_OVERTAKEN: usize = 1_024;

/// Until when a handshake that a peer began may have given way to one of ours (both began at once). It must not be
/// taken up when that session is over: its owner has given it up, and what rides on it has come already.
#[derive(Debug, Default)]
pub struct Overtaken(VecDeque<(SteamId, Instant)>);

impl Overtaken {
    /// Our handshake with `peer` has just come to something, or to nothing.
    pub fn note(&mut self, now: Instant, peer: SteamId) {
        self.0.retain(|(of, at)| *of != peer && *at + HALF_OPEN_LIFE > now);
        if self.0.len() >= MAX_OVERTAKEN {
            self.0.pop_front();
        }
        self.0.push_back((peer, now));
    }

    /// Is a handshake of `peer` that began at `asked_at` older than that?
    pub fn covers(&self, peer: SteamId, asked_at: Instant) -> bool {
        self.0.iter().any(|(of, at)| *of == peer && asked_at < *at)
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

    #[test]
    fn the_latest_names_are_remembered_with_their_reasons() {
        let mut opened = Opened::default();
        for n in 0..=MAX_OPENED as u64 {
            opened.note(SteamId(n % 2), SessionId(n), n as i32);
        }
        opened.note(SteamId(0), SessionId(2), 77);
        assert_eq!(opened.reason(SteamId(0), SessionId(0)), None, "the oldest made room");
        assert_eq!(opened.reason(SteamId(0), SessionId(2)), Some(2), "the first reason stays");
        assert_eq!(opened.reason(SteamId(1), SessionId(2)), None, "a name is its owner's");
        assert_eq!(opened.last(SteamId(1)), Some(SessionId(MAX_OPENED as u64 - 1)));
        assert_eq!(opened.last(SteamId(9)), None);
        assert_eq!(opened.0.len(), MAX_OPENED);
    }

    #[test]
    fn a_handshake_is_overtaken_by_what_came_after_it_began() {
        let mut overtaken = Overtaken::default();
        let at = |n: u64| Instant::from_nanos(n);
        for n in 0..=MAX_OVERTAKEN as u64 {
            overtaken.note(at(10 + n), SteamId(n));
        }
        assert!(!overtaken.covers(SteamId(0), at(0)), "the oldest made room");
        assert!(overtaken.covers(SteamId(1), at(10)) && !overtaken.covers(SteamId(1), at(11)));
        overtaken.note(at(50), SteamId(1));
        assert!(overtaken.covers(SteamId(1), at(49)) && !overtaken.covers(SteamId(1), at(50)));
        assert_eq!(overtaken.0.len(), MAX_OVERTAKEN);
        overtaken.note(at(60) + HALF_OPEN_LIFE * 2, SteamId(2));
        assert_eq!(overtaken.0.len(), 1, "older half-open handshakes are gone themselves");
    }
}
