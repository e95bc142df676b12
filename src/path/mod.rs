//! Where a session's datagrams go.
//!
//! A connection has one active route and knows others. Some are made of candidates, its own places and the
//! peer's ([`reach`]); others were learned, because authenticated packets came that way. Each is proven by a sealed
//! probe and its answer, which also measures it (RFC 9000 section 8.2, without its roles). Among the proven ones data
//! takes the best: direct before relayed, then the shorter round trip, with hysteresis. One more stays warm. When
//! the active route falls silent all are asked, and the first to answer takes over.
//!
//! Nobody can aim us at a victim: an unproven route gets at most [`MAX_PROBES`] small probes in a row, few rows of
//! them, and no data. Knows no message.

mod pairs;
pub mod reach;
pub mod route;

use crate::crypto::random::Random;
use crate::time::{Duration, Instant};
use pairs::Pair;
use route::Route;

/// An unproven route is given up after so many probes; one made of candidates is tried again later.
const MAX_PROBES: u32 = 5;

/// Time between two probes.
const PROBE_EVERY: Duration = Duration::from_millis(200);

/// Learned routes that are validated at a time; more wait for the next occasion.
const MAX_LEARNING: usize = 4;

/// Routes of one connection.
const MAX_ROUTES: usize = 64;

/// Rows of probes that a candidate gets if none is answered.
const MAX_ROWS: u32 = 5;

/// Time between two rows, while nothing but signals connects us, and later.
const ROW_EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// The active route and one more are measured so often, if there is more than one.
const SPARE_EVERY: Duration = Duration::from_secs(15);

/// A round trip measured longer ago says little.
const FRESH: Duration = Duration::from_secs(40);

/// Answers that wait to be sent to probes; more are dropped, the prober asks again.
const MAX_REPLIES: usize = 16;

/// In doubt all routes are asked again after so long.
const DOUBT_EVERY: Duration = Duration::from_secs(1);

/// A route that carried nothing for so long, while the peer asks on others, is in doubt.
const SILENCE: Duration = Duration::from_millis(400);

/// Packets that may be carried as signals at once, and how long one more takes.
const SIGNAL_BURST: u32 = 6;
const SIGNAL_EVERY: Duration = Duration::from_millis(250);

/// Our candidates are told again after so long, twice as long each time, until they are taken.
const TELL_EVERY: Duration = Duration::from_millis(300);
const TELL_MOST: u32 = 12;

/// Our candidates, until the peer has them.
#[derive(Debug)]
struct Telling {
    revision: u64,
    due_at: Instant,
    wait: Duration,
    told: u32,
    /// Ways it still has to leave by this time.
    ways: Vec<Route>,
}

/// The active route carries nothing, as it seems.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    since: Instant,
    /// Until then it may still answer.
    until: Instant,
}

/// The paths of one connection.
#[derive(Debug)]
pub struct Paths {
    active: Route,
    heard_at: Instant,
    pairs: Vec<Pair>,
    /// Answers to what came, oldest first.
    replies: Vec<(Route, PathFrame)>,
    doubt: Option<Doubt>,
    telling: Option<Box<Telling>>,
    peer_revision: u64,
    /// Packets that may still be carried as signals, and since when that is so.
    signals: (u32, Instant),
}

/// A path frame that wants to leave, by a route of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathFrame {
    /// Is this path alive?
    Probe(u64),
    /// It is.
    Reply(u64),
    /// Our candidates, of this revision.
    Candidates(u64),
    /// The peer's candidates of this revision are here.
    Taken(u64),
}

/// The path moved to another route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The new path's round trip, if it is unambiguous.
    pub rtt: Option<Duration>,
}

impl Paths {
    /// `active` was proven by the handshake.
    pub fn new(active: Route) -> Paths {
        Paths {
            active,
            heard_at: Instant::ZERO,
            pairs: Vec::new(),
            replies: Vec::new(),
            doubt: None,
            telling: None,
            peer_revision: 0,
            signals: (SIGNAL_BURST, Instant::ZERO),
        }
    }

    /// Where data goes.
    pub fn active(&self) -> Route {
        self.active
    }

    /// Every route that may lead to the peer, the active one first.
    pub fn all(&self) -> impl Iterator<Item = Route> + '_ {
        std::iter::once(self.active).chain(self.pairs.iter().map(|p| p.route).filter(|r| *r != self.active))
    }

    /// How many routes are proven, and how many known.
    pub fn counts(&self) -> (usize, usize) {
        (self.pairs.iter().filter(|p| p.proven).count(), self.pairs.len())
    }

    /// The routes that candidates make, and whether a relay lies on each. Those that are no more go, and each new one
    /// is probed at once. Moves when the active one was by a relay and is no more: to the best other, or else to
    /// `last_resort`.
    pub fn set_routes(&mut self, now: Instant, routes: &[(Route, bool)], last_resort: Route) -> Option<Moved> {
        self.pairs.retain(|p| p.is_learned() || routes.iter().any(|(route, _)| *route == p.route));
        for (route, relayed) in routes {
            let known = self.pairs.iter_mut().find(|p| p.route == *route).map(|p| p.tell(*relayed));
            if known.is_none() && self.pairs.len() < MAX_ROUTES {
                self.pairs.push(Pair::told(now, *route, *relayed));
            }
        }
        let gone = |route: Route| matches!(route, Route::Relay(..)) && !self.pairs.iter().any(|p| p.route == route);
        if !gone(self.active) {
            return None;
        }
        self.pairs.iter_mut().for_each(|p| p.ask(now));
        let best = self.best(now);
        Some(self.move_to(now, best.unwrap_or(last_resort)))
    }

    /// An authenticated packet came by `route`; `newest` when it has the largest number so far.
    pub fn handle_packet(&mut self, now: Instant, route: Route, newest: bool) {
        if route == self.active {
            self.heard_at = now;
        } else if newest && !route.is_signal() {
            match self.pairs.iter_mut().find(|p| p.route == route) {
                // The peer may have moved there: prove it, and follow.
                Some(known) if known.is_learned() => known.follow(now),
                Some(_) => {}
                None => self.learn(now, route),
            }
        }
    }

    /// Begins to validate a route that nobody told of, unless that is under way.
    pub fn learn(&mut self, now: Instant, route: Route) {
        let learning = self.pairs.iter().filter(|p| p.is_learned() && p.is_asked()).count();
        if self.pairs.iter().any(|p| p.route == route) {
            self.pairs.iter_mut().filter(|p| p.route == route).for_each(|p| p.follow(now));
        } else if learning < MAX_LEARNING && self.pairs.len() < MAX_ROUTES && !route.is_signal() {
            self.pairs.push(Pair::learned(now, route));
        }
    }

    /// The peer probes the path by `route`.
    pub fn handle_probe(&mut self, now: Instant, route: Route, token: u64) {
        if self.replies.len() < MAX_REPLIES {
            self.replies.push((route, PathFrame::Reply(token)));
        }
        // It looks for other ways, and nothing comes by ours.
        if route != self.active && self.heard_at + SILENCE <= now {
            self.doubt(now);
        }
    }

    /// A probe is answered: the path moves if that is better.
    pub fn handle_reply(&mut self, now: Instant, token: u64) -> Option<Moved> {
        let at = self.pairs.iter().position(|p| p.asked(token))?;
        let asked_to_follow = self.pairs[at].handle_reply(now, token);
        self.keep_warm(now);
        let route = self.pairs[at].route;
        if route == self.active {
            self.heard_at = now;
            self.doubt = None;
            self.pairs.iter_mut().for_each(Pair::stay);
            return None;
        }
        let better = match self.doubt {
            _ if self.active.is_signal() || asked_to_follow => true,
            Some(doubt) => doubt.until <= now,
            None => self.active_pair().is_some_and(|active| self.pairs[at].is_better_than(active)),
        };
        if asked_to_follow {
            // The quickest answer decides; what else was learned waits for its next packet.
            self.pairs.retain(|p| p.route == route || !p.is_learned() || p.proven);
        }
        better.then(|| self.move_to(now, route))
    }

    fn active_pair(&self) -> Option<&Pair> {
        self.pairs.iter().find(|p| p.route == self.active)
    }

    fn move_to(&mut self, now: Instant, route: Route) -> Moved {
        if !self.pairs.iter().any(|p| p.route == self.active) && matches!(self.active, Route::Direct(_)) {
            self.pairs.push(Pair::left(self.active)); // proven once, by the handshake
        }
        self.active = route;
        self.heard_at = now;
        self.doubt = None;
        Moved { rtt: self.active_pair().and_then(|p| p.last_rtt()) }
    }

    /// The best route that answered of late, but the active one.
    fn best(&self, now: Instant) -> Option<Route> {
        let fresh = |p: &&Pair| p.route != self.active && p.answered_since(now - FRESH);
        self.pairs.iter().filter(fresh).min_by_key(|p| p.score()).map(|p| p.route)
    }

    /// Are there other routes, and is the active one not in doubt yet?
    pub fn may_doubt(&self) -> bool {
        self.doubt.is_none() && !self.active.is_signal() && self.pairs.iter().any(|p| p.route != self.active)
    }

    /// Nothing seems to come through: every route is asked.
    pub fn doubt(&mut self, now: Instant) {
        if self.active.is_signal() || !self.pairs.iter().any(|p| p.route != self.active) {
            return;
        }
        if self.doubt.is_none_or(|doubt| doubt.since + DOUBT_EVERY <= now) {
            let patience = self.active_pair().and_then(|p| p.rtt).unwrap_or(Duration::from_millis(30)) * 3 / 2;
            let patience = patience + Duration::from_millis(20);
            self.doubt = Some(Doubt { since: now, until: now + patience.min(Duration::from_millis(400)) });
            self.ask_all(now);
        }
    }

    fn ask_all(&mut self, now: Instant) {
        self.pairs.iter_mut().for_each(|p| p.ask(now));
        let active = self.active;
        if !active.is_signal() && !self.pairs.iter().any(|p| p.route == active) {
            self.pairs.push(Pair::proven(now, active));
        }
    }

    /// Does what is due: in doubt, the best that answered takes over.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Moved> {
        let doubt = self.doubt.filter(|doubt| doubt.until <= now)?;
        let answered = |p: &&Pair| p.route != self.active && p.answered_since(doubt.since);
        let best = self.pairs.iter().filter(answered).min_by_key(|p| p.score()).map(|p| p.route)?;
        Some(self.move_to(now, best))
    }

    /// Tells the peer our candidates of `revision`, by the active route and by a signal, until it has them.
    pub fn tell(&mut self, now: Instant, revision: u64) {
        let telling = Telling { revision, due_at: now, wait: TELL_EVERY, told: 0, ways: Vec::new() };
        self.telling = Some(Box::new(telling));
    }

    /// The peer has our candidates of this revision.
    pub fn handle_taken(&mut self, revision: u64) {
        if self.telling.as_ref().is_some_and(|t| t.revision <= revision) {
            self.telling = None;
        }
    }

    /// The peer's candidates came by `route`. False when they are old; they are confirmed in any case.
    pub fn handle_candidates(&mut self, route: Route, revision: u64) -> bool {
        if self.replies.len() < MAX_REPLIES {
            self.replies.push((route, PathFrame::Taken(revision)));
        }
        let newer = revision > self.peer_revision;
        self.peer_revision = self.peer_revision.max(revision);
        newer
    }

    /// May a packet with data leave by the active route? As signals only a few may.
    pub fn takes_data(&mut self, now: Instant) -> bool {
        if !self.active.is_signal() {
            return true;
        }
        while self.signals.0 < SIGNAL_BURST && self.signals.1 + SIGNAL_EVERY <= now {
            self.signals = (self.signals.0 + 1, self.signals.1 + SIGNAL_EVERY);
        }
        match self.signals.0 {
            0 => return false,
            SIGNAL_BURST => self.signals.1 = now,
            _ => {}
        }
        self.signals.0 -= 1;
        true
    }

    /// Until when no packet with data may leave by the active route; `None` when one may now.
    pub fn held_until(&self, now: Instant) -> Option<Instant> {
        let next = self.signals.1 + SIGNAL_EVERY;
        (self.active.is_signal() && self.signals.0 == 0 && next > now).then_some(next)
    }

    /// The next path frame, and where it goes. `signal` is the way of signals to the peer, if there is one.
    pub fn poll_frame(
        &mut self,
        now: Instant,
        signal: Option<Route>,
        random: &mut Random,
    ) -> Option<(Route, PathFrame)> {
        if !self.replies.is_empty() {
            return Some(self.replies.remove(0));
        }
        if let Some(telling) = &mut self.telling {
            if telling.due_at <= now {
                telling.due_at = now + telling.wait;
                telling.wait *= 2;
                telling.told += 1;
                telling.ways = std::iter::once(self.active).chain(signal.filter(|s| *s != self.active)).collect();
            }
            if let Some(route) = telling.ways.pop() {
                return Some((route, PathFrame::Candidates(telling.revision)));
            }
            if telling.told >= TELL_MOST {
                self.telling = None;
            }
        }
        self.pairs.retain(|p| !p.is_given_up(now));
        let wait = if self.active.is_signal() { ROW_EVERY.0 } else { ROW_EVERY.1 };
        let (route, token) = self.pairs.iter_mut().find_map(|p| p.poll(now, wait, random))?;
        Some((route, PathFrame::Probe(token)))
    }

    /// The active route and one more are asked now and then, if there are several.
    fn keep_warm(&mut self, now: Instant) {
        let active = self.active;
        let spare = self.pairs.iter().filter(|p| p.route != active && p.proven).min_by_key(|p| {
            // One that shares nothing with the active one, if there is one.
            (p.shares_with(active), p.score())
        });
        let Some(spare) = spare.map(|p| p.route) else { return };
        let warm = self.pairs.iter_mut().filter(|p| p.route == spare || p.route == active);
        warm.for_each(|p| p.ask_later(now + SPARE_EVERY));
    }

    /// When [`Paths::poll_frame`] or [`Paths::handle_timeout`] has something again; `None` for never.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        if !self.replies.is_empty() {
            return Some(now);
        }
        let telling = self.telling.as_ref().map(|t| if t.ways.is_empty() { t.due_at } else { now });
        let answered =
            |doubt: &Doubt| self.pairs.iter().any(|p| p.route != self.active && p.answered_since(doubt.since));
        let doubt = self.doubt.filter(answered).map(|doubt| doubt.until);
        self.pairs.iter().filter_map(Pair::poll_timeout).chain(telling).chain(doubt).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{RelayId, SteamId};
    use std::net::SocketAddr;

    const SIGNAL: Route = Route::Signal(SteamId(7));

    fn direct(port: u16) -> Route {
        Route::Direct(SocketAddr::from(([192, 0, 2, 1], port)))
    }

    fn relay(id: u8, port: u16) -> Route {
        Route::Relay(RelayId(id), SocketAddr::from(([198, 51, 100, id + 1], port)))
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// Lets the probes that are due be answered, or not, each after its route's round trip. Ends at `until`.
    fn live(paths: &mut Paths, from: Instant, until: Instant, rtt: impl Fn(Route) -> Option<Duration>) -> Vec<Route> {
        let mut random = Random::from_seed([1; 32]);
        let mut answers: Vec<(Instant, u64)> = Vec::new();
        let (mut now, mut sent) = (from, Vec::new());
        loop {
            while let Some((route, frame)) = paths.poll_frame(now, None, &mut random) {
                sent.push(route);
                if let (PathFrame::Probe(token), Some(rtt)) = (frame, rtt(route)) {
                    answers.push((now + rtt, token));
                }
            }
            let next = answers.iter().map(|(at, _)| *at).chain(paths.poll_timeout(now)).min();
            match next {
                Some(at) if at <= until => now = at.max(now),
                _ => return sent,
            }
            answers.sort();
            while answers.first().is_some_and(|(at, _)| *at <= now) {
                paths.handle_reply(now, answers.remove(0).1);
            }
            paths.handle_timeout(now);
        }
    }

    #[test]
    fn only_an_answered_probe_moves_the_path() {
        let mut paths = Paths::new(direct(1));
        paths.handle_packet(Instant::ZERO, direct(2), true);
        live(&mut paths, Instant::ZERO, Instant::ZERO + ms(100), |_| None);
        assert_eq!(paths.active(), direct(1));
        assert_eq!(paths.handle_reply(Instant::ZERO + ms(100), 78), None);
        live(&mut paths, Instant::ZERO + ms(150), Instant::ZERO + ms(400), |_| Some(ms(30)));
        assert_eq!(paths.active(), direct(2));
    }

    #[test]
    fn a_route_that_never_answers_gets_a_few_probes_and_no_more() {
        let mut paths = Paths::new(direct(1));
        paths.handle_packet(Instant::ZERO, direct(2), true);
        let sent = live(&mut paths, Instant::ZERO, Instant::ZERO + ms(100_000), |_| None);
        assert_eq!(sent, vec![direct(2); MAX_PROBES as usize]);
        assert_eq!(paths.active(), direct(1));
    }

    #[test]
    fn a_candidate_that_never_answers_is_given_up_after_a_few_rows() {
        let mut paths = Paths::new(direct(1));
        paths.set_routes(Instant::ZERO, &[(direct(2), false)], SIGNAL);
        let sent = live(&mut paths, Instant::ZERO, Instant::ZERO + ms(1_000_000), |_| None);
        assert_eq!(sent.len(), (MAX_PROBES * MAX_ROWS) as usize);
    }

    #[test]
    fn an_old_packet_replayed_from_elsewhere_starts_nothing() {
        let mut paths = Paths::new(direct(1));
        paths.handle_packet(Instant::ZERO, direct(2), false);
        assert_eq!(paths.poll_timeout(Instant::ZERO), None);
    }

    #[test]
    fn relayed_first_direct_as_soon_as_proven_and_never_back_for_speed() {
        let mut paths = Paths::new(SIGNAL);
        paths.set_routes(Instant::ZERO, &[(relay(0, 1), true), (relay(1, 1), true), (direct(2), false)], SIGNAL);
        let rtt = |route| match route {
            Route::Relay(RelayId(0), _) => Some(ms(20)),
            Route::Relay(..) => Some(ms(30)),
            _ => Some(ms(90)),
        };
        live(&mut paths, Instant::ZERO, Instant::ZERO + ms(50), rtt);
        assert_eq!(paths.active(), relay(0, 1));
        live(&mut paths, Instant::ZERO + ms(50), Instant::ZERO + ms(60_000), rtt);
        assert_eq!(paths.active(), direct(2));
    }

    #[test]
    fn a_little_better_is_not_worth_a_move() {
        let mut paths = Paths::new(SIGNAL);
        paths.set_routes(Instant::ZERO, &[(relay(0, 1), true), (relay(1, 1), true)], SIGNAL);
        let rtt = |route| match route {
            Route::Relay(RelayId(0), _) => Some(ms(50)),
            _ => Some(ms(51)),
        };
        live(&mut paths, Instant::ZERO, Instant::ZERO + ms(50), rtt);
        assert_eq!(paths.active(), relay(0, 1));
        live(&mut paths, Instant::ZERO + ms(50), Instant::ZERO + ms(100_000), |_| Some(ms(49)));
        assert_eq!(paths.active(), relay(0, 1));
        live(&mut paths, Instant::ZERO + ms(100_001), Instant::ZERO + ms(200_000), |route| match route {
            Route::Relay(RelayId(0), _) => Some(ms(50)),
            _ => Some(ms(20)),
        });
        assert_eq!(paths.active(), relay(1, 1));
    }

    #[test]
    fn in_doubt_the_active_route_may_answer_first_and_then_stays() {
        let mut paths = Paths::new(SIGNAL);
        paths.set_routes(Instant::ZERO, &[(relay(0, 1), true), (relay(1, 1), true)], SIGNAL);
        let rtt = |route| match route {
            Route::Relay(RelayId(0), _) => Some(ms(20)),
            _ => Some(ms(30)),
        };
        live(&mut paths, Instant::ZERO, Instant::ZERO + ms(1_000), rtt);
        let now = Instant::ZERO + ms(1_000);
        paths.doubt(now);
        live(&mut paths, now, now + ms(1_000), rtt);
        assert_eq!(paths.active(), relay(0, 1));
        let now = now + ms(1_000);
        paths.doubt(now);
        let dead = |route| (route == relay(1, 1)).then_some(ms(30));
        live(&mut paths, now, now + ms(300), dead);
        assert_eq!(paths.active(), relay(1, 1));
    }

    #[test]
    fn a_relay_that_is_no_more_takes_its_routes_along() {
        let mut paths = Paths::new(SIGNAL);
        let both = [(relay(0, 1), true), (relay(1, 1), true)];
        paths.set_routes(Instant::ZERO, &both, SIGNAL);
        live(&mut paths, Instant::ZERO, Instant::ZERO + ms(1_000), |_| Some(ms(20)));
        let first = paths.active();
        let other: Vec<_> = both.into_iter().filter(|(route, _)| *route != first).collect();
        assert!(paths.set_routes(Instant::ZERO + ms(1_000), &other, SIGNAL).is_some());
        assert_eq!(paths.active(), other[0].0);
        assert!(paths.set_routes(Instant::ZERO + ms(1_000), &[], SIGNAL).is_some());
        assert_eq!(paths.active(), SIGNAL);
    }

    #[test]
    fn few_packets_with_data_are_carried_as_signals() {
        let mut paths = Paths::new(SIGNAL);
        let mut now = Instant::ZERO + ms(10_000);
        let mut sent = 0;
        let end = now + ms(10_000);
        while now < end {
            while paths.takes_data(now) {
                sent += 1;
            }
            now = paths.held_until(now).expect("held");
        }
        assert!((40..=50).contains(&sent), "{sent}");
    }

    #[test]
    fn candidates_are_told_until_they_are_taken() {
        let mut paths = Paths::new(direct(1));
        let mut random = Random::from_seed([1; 32]);
        paths.tell(Instant::ZERO, 3);
        let mut ways = Vec::new();
        while let Some((way, frame)) = paths.poll_frame(Instant::ZERO, Some(SIGNAL), &mut random) {
            assert_eq!(frame, PathFrame::Candidates(3));
            ways.push(way);
        }
        ways.sort();
        assert_eq!(ways, [direct(1), SIGNAL]);
        assert_eq!(paths.poll_timeout(Instant::ZERO), Some(Instant::ZERO + TELL_EVERY));
        paths.handle_taken(2);
        assert!(paths.poll_timeout(Instant::ZERO).is_some());
        paths.handle_taken(3);
        assert_eq!(paths.poll_timeout(Instant::ZERO), None);
        assert!(paths.handle_candidates(direct(1), 5));
        assert!(!paths.handle_candidates(direct(1), 5), "again");
    }
}
