//! One route and what was measured of it.

use super::route::Route;
use super::{MAX_PROBES, MAX_ROWS, PROBE_EVERY};
use crate::crypto::random::Random;
use crate::time::{Duration, Instant};
use std::collections::VecDeque;

/// Probes whose answers may still come.
const MAX_ASKED: usize = 8;

/// A route of the same kind must be better by a fifth and this much.
const HYSTERESIS: Duration = Duration::from_millis(2);

/// What a route is worth: direct before relayed, then the round trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Score {
    relayed: bool,
    rtt: Duration,
}

/// A route that may lead to the peer.
#[derive(Debug)]
pub struct Pair {
    /// The route.
    pub route: Route,
    /// A probe was answered, or the handshake came that way.
    pub proven: bool,
    /// The shortest round trip of late.
    pub rtt: Option<Duration>,
    /// A relay lies on it, ours or the peer's.
    relayed: bool,
    /// Nobody told of it, packets came that way.
    learned: bool,
    /// The peer moved there, as it seems.
    follow: bool,
    asked: VecDeque<(u64, Instant)>,
    /// Probes without an answer, in this row; and rows.
    unanswered: u32,
    rows: u32,
    due_at: Option<Instant>,
    answered_at: Option<Instant>,
    last_rtt: Option<Duration>,
}

impl Pair {
    fn new(route: Route) -> Pair {
        Pair {
            route,
            proven: false,
            rtt: None,
            relayed: matches!(route, Route::Relay(..)),
            learned: true,
            follow: false,
            asked: VecDeque::new(),
            unanswered: 0,
            rows: 0,
            due_at: None,
            answered_at: None,
            last_rtt: None,
        }
    }

    /// Of candidates. `relayed`: a relay lies on it.
    pub fn told(now: Instant, route: Route, relayed: bool) -> Pair {
        Pair { learned: false, relayed, due_at: Some(now), ..Pair::new(route) }
    }

    /// A packet came that way.
    pub fn learned(now: Instant, route: Route) -> Pair {
        Pair { follow: true, due_at: Some(now), ..Pair::new(route) }
    }

    /// Proven by the handshake; asked now.
    pub fn proven(now: Instant, route: Route) -> Pair {
        Pair { proven: true, due_at: Some(now), ..Pair::new(route) }
    }

    /// Proven by the handshake, and left since.
    pub fn left(route: Route) -> Pair {
        Pair { proven: true, ..Pair::new(route) }
    }

    /// A candidate makes it as well.
    pub fn tell(&mut self, relayed: bool) {
        self.learned = false;
        self.relayed = relayed;
    }

    /// Did nobody tell of it?
    pub fn is_learned(&self) -> bool {
        self.learned
    }

    /// Is a probe due, or its answer?
    pub fn is_asked(&self) -> bool {
        self.due_at.is_some()
    }

    /// The peer seems to have moved there: prove it, unless that is under way.
    pub fn follow(&mut self, now: Instant) {
        if !self.follow {
            self.follow = true;
            self.unanswered = 0;
            self.due_at = Some(now);
        }
    }

    /// The peer has not moved: what it had answers.
    pub fn stay(&mut self) {
        self.follow = false;
    }

    /// A row of probes begins now.
    pub fn ask(&mut self, now: Instant) {
        self.unanswered = 0;
        self.due_at = Some(now);
    }

    /// A probe is due by then, or before.
    pub fn ask_later(&mut self, at: Instant) {
        self.unanswered = 0;
        self.due_at = Some(self.due_at.map_or(at, |due| due.min(at)));
    }

    /// Is this the token of a probe of ours?
    pub fn asked(&self, token: u64) -> bool {
        self.asked.iter().any(|(asked, _)| *asked == token)
    }

    /// A probe is answered: the route is proven. True when the peer seems to have moved there.
    pub fn handle_reply(&mut self, now: Instant, token: u64) -> bool {
        if let Some((_, at)) = self.asked.iter().find(|(asked, _)| *asked == token) {
            let rtt = now.saturating_since(*at);
            self.last_rtt = Some(rtt);
            // A shorter one counts at once, a longer one by and by: what waited in a queue says little.
            self.rtt = Some(self.rtt.map_or(rtt, |old| rtt.min((old * 7 + rtt) / 8)));
        }
        self.proven = true;
        self.asked.clear();
        self.answered_at = Some(now);
        self.unanswered = 0;
        self.rows = 0;
        self.due_at = None;
        std::mem::take(&mut self.follow)
    }

    /// The round trip of the last answer.
    pub fn last_rtt(&self) -> Option<Duration> {
        self.last_rtt
    }

    /// Was a probe answered since?
    pub fn answered_since(&self, since: Instant) -> bool {
        self.answered_at.is_some_and(|at| at >= since)
    }

    /// What it is worth.
    pub fn score(&self) -> Score {
        Score { relayed: self.relayed, rtt: self.rtt.unwrap_or(Duration::MAX) }
    }

    /// Is it so much better that moving is worth it?
    pub fn is_better_than(&self, other: &Pair) -> bool {
        let (ours, theirs) = (self.score(), other.score());
        match ours.relayed.cmp(&theirs.relayed) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Greater => false,
            std::cmp::Ordering::Equal if other.rtt.is_none() => false,
            std::cmp::Ordering::Equal => ours.rtt.saturating_mul(5) / 4 + HYSTERESIS < theirs.rtt,
        }
    }

    /// Would both fail together?
    pub fn shares_with(&self, other: Route) -> bool {
        let same_relay = match (self.route, other) {
            (Route::Relay(a, _), Route::Relay(b, _)) => a == b,
            _ => false,
        };
        same_relay || self.route.address().map(|a| a.ip()) == other.address().map(|a| a.ip())
    }

    /// Nobody answers there, and nobody told of it.
    pub fn is_given_up(&self, now: Instant) -> bool {
        self.learned && !self.proven && self.unanswered >= MAX_PROBES && self.due_at.is_none_or(|at| at <= now)
    }

    /// The next probe, when it is due. `row_every`: so long after a row without an answer the next one begins.
    pub fn poll(&mut self, now: Instant, row_every: Duration, random: &mut Random) -> Option<(Route, u64)> {
        self.due_at.filter(|at| *at <= now)?;
        if self.unanswered >= MAX_PROBES {
            self.follow = false;
            self.rows += 1;
            self.unanswered = 0;
            let again = !self.learned && self.rows < MAX_ROWS;
            self.due_at = again.then(|| now + row_every);
            return None;
        }
        let token = random.next_u64();
        if self.asked.len() >= MAX_ASKED {
            self.asked.pop_front();
        }
        self.asked.push_back((token, now));
        self.unanswered += 1;
        self.due_at = Some(now + PROBE_EVERY);
        Some((self.route, token))
    }

    /// When [`Pair::poll`] has something again.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due_at
    }
}
