//! The contract, said small: reads what was seen of a world and names the first law it breaks.
//!
//! The model knows no packet. For each endpoint and peer it keeps a [`Side`]: what the app did and was
//! told, hence what a call must answer. Where something under way decides, a set of answers is allowed:
//! a datagram may be late by [`FLIGHT`], and an arrival shows only when it is read.

use crate::log::{Entry, Got, What};
use crate::play::SHORT_IDLE;
use crate::script::{INVALID, NOBODY, Setup};
use std::collections::{BTreeMap, BTreeSet};
use steamnetmsg::time::{Duration, Instant};

/// The oldest a datagram gets: lag, jitter, reordering, and the queue of the narrowest link.
const FLIGHT: Duration = Duration::from_millis(1_500);

/// A pending request is raised again after five seconds, never sooner.
const REQUEST_AGAIN: Duration = Duration::from_millis(4_900);

/// On good links a handshake, and a yes, need no longer.
const SOON: Duration = Duration::from_secs(4);

/// Idle time-outs of the two sides may differ by what is not worth another question.
const IDLE_SLACK: Duration = Duration::from_secs(1);

/// What the first packet of a handshake frees of the send buffer at most: it is full of empty messages.
const EARLY_ROOM: u64 = 16_384;

const RELIABLE: i32 = 8;
const NO_DELAY: i32 = 4;
const RESTART: i32 = 32;

/// A law that was broken.
#[derive(Clone, Debug, PartialEq)]
pub struct Broken {
    pub law: &'static str,
    pub text: String,
}

type Judgement = Result<(), Broken>;

fn hold(is_kept: bool, law: &'static str, text: impl FnOnce() -> String) -> Judgement {
    if is_kept { Ok(()) } else { Err(Broken { law, text: text() }) }
}

/// How a session stands, from what its app did and was told.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Stage {
    #[default]
    Nothing,
    /// We sent, and wait for the peer's yes.
    Opened,
    /// The peer asks.
    Asked,
    /// Seen connected, or we said yes.
    Connected,
    /// We were told that it failed.
    Failed(Instant),
    /// The peer closed it while we held data: the next send is told.
    Lost(Instant),
}

/// What one endpoint knows of one peer.
#[derive(Debug, Default)]
struct Side {
    stage: Stage,
    state: i32,
    session: u32,
    begun: Instant,
    /// A request came whose session was not seen yet.
    asked_anew: bool,
    /// When the last request was told, and of which session of the peer.
    requested: Option<(Instant, u32)>,
    /// Bytes charged to the send buffer in this session, had none of them left.
    charged: u64,
    /// The peer ended it idle while we sent: messages moved here from the session before, and count anew.
    reopened: bool,
    /// Channels we sent on, or read from, in this session.
    open: BTreeSet<i32>,
    /// How many messages we sent in this session, by channel and reliability.
    numbers: BTreeMap<(i32, bool), u64>,
    /// We closed what may have been the last channel; what is seen next tells.
    closing: Option<Instant>,
    /// When we closed sessions, and channels, with the peer.
    closes: Vec<Instant>,
    channel_closes: BTreeMap<i32, Instant>,
    /// When sessions ended here for any reason: closed, failed, killed, idle.
    ends: Vec<Instant>,
    kills: Vec<Instant>,
    /// From yes to end; messages come only meanwhile.
    engaged: Vec<(Instant, Option<Instant>)>,
    /// Last reliable message read, by channel: its session at the sender, and number.
    last_read: BTreeMap<i32, (u32, u64)>,
    /// Channels whose unread messages we gave up since the last read.
    gaps: BTreeSet<i32>,
    /// When we used sessions with the peer.
    uses: Vec<Instant>,
}

/// A message that was answered 1.
#[derive(Debug)]
struct Message {
    from: usize,
    to: usize,
    session: u32,
    channel: i32,
    reliable: bool,
    number: u64,
    size: usize,
    at: Instant,
    arrived: Option<Instant>,
    read: Option<Instant>,
    reopened: bool,
}

/// Something that has to come true by a time, unless the world gets in its way.
#[derive(Debug)]
struct Promise {
    by: Instant,
    /// To whom.
    at: usize,
    of: usize,
    session: u32,
    what: Due,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Due {
    /// `at` is told that `of` wants to talk.
    Request,
    /// `at`, who asked, is connected: `of` said yes.
    Connected,
}

pub struct Model<'a> {
    setup: &'a Setup,
    now: Instant,
    sides: BTreeMap<(usize, usize), Side>,
    messages: BTreeMap<usize, Message>,
    /// Ids of messages by sender, receiver, channel, reliability and number.
    by_number: BTreeMap<(usize, usize, i32, bool, u64), Vec<usize>>,
    /// When sessions began and ended, by owner, peer and count.
    sessions: BTreeMap<(usize, usize, u32), (Instant, Option<Instant>)>,
    alive: Vec<bool>,
    /// Since when the dead are dead.
    dead: BTreeMap<usize, Instant>,
    /// Since when nothing passes between two, if nothing does.
    cut: BTreeMap<(usize, usize), Instant>,
    promises: Vec<Promise>,
    last_arrival: BTreeMap<(usize, i32), Instant>,
    /// Sessions that failed and whose app was told, by owner, peer and count.
    failures: BTreeSet<(usize, usize, u32)>,
}

/// Reads a log; an error names the first broken law.
pub fn judge(setup: &Setup, log: &[Entry]) -> Judgement {
    let mut model = Model {
        setup,
        now: Instant::ZERO,
        sides: BTreeMap::new(),
        messages: BTreeMap::new(),
        by_number: BTreeMap::new(),
        sessions: BTreeMap::new(),
        alive: vec![true; setup.len()],
        dead: BTreeMap::new(),
        cut: BTreeMap::new(),
        promises: Vec::new(),
        last_arrival: BTreeMap::new(),
        failures: BTreeSet::new(),
    };
    for (place, entry) in log.iter().enumerate() {
        model.take(entry).map_err(|Broken { law, text }| {
            let what = shorten(format!("{:?}", entry.what));
            let seconds = entry.at.as_micros() as f64 / 1e6 - 1.0;
            Broken { law, text: format!("{text}\n  at entry {place}, {seconds:.6} s, endpoint {}: {what}", entry.who) }
        })?;
    }
    Ok(())
}

fn shorten(text: String) -> String {
    text.chars().take(600).collect()
}

impl Model<'_> {
    fn take(&mut self, entry: &Entry) -> Judgement {
        let who = entry.who;
        hold(entry.at >= self.now, "time does not run backwards", String::new)?;
        self.now = entry.at;
        self.check_promises()?;
        self.check_silence()?;
        match &entry.what {
            What::Seen { peer, state, session } => self.see(who, *peer, *state, *session),
            What::Sent { to, id, channel, flags, size, answer, session } => {
                self.send(who, *to, *id, *channel, *flags, *size, *answer, *session)
            }
            What::Read { channel, max, got } => {
                hold(got.len() <= *max, "no more is read than asked for", || format!("{} of {max}", got.len()))?;
                got.iter().try_for_each(|got| self.read(who, *channel, got))
            }
            What::Accepted { peer, answer } => self.accept(who, *peer, *answer),
            What::Closed { peer, answer } => self.close(who, *peer, *answer),
            What::ClosedChannel { peer, channel, answer } => self.close_channel(who, *peer, *channel, *answer),
            What::Requested { from } => self.request(who, *from),
            What::Failed { peer, state, reason, text } => self.fail(who, *peer, *state, *reason, text),
            What::Cut { peer } => {
                self.disturb(who, Some(*peer));
                self.cut.insert((who.min(*peer), who.max(*peer)), self.now);
                Ok(())
            }
            What::Healed { peer } => {
                self.cut.remove(&(who.min(*peer), who.max(*peer)));
                Ok(())
            }
            What::Killed => {
                self.kill(who);
                Ok(())
            }
            What::Started => {
                self.alive[who] = true;
                self.dead.remove(&who);
                Ok(())
            }
            What::Moved => {
                self.disturb(who, None);
                Ok(())
            }
            What::Waiting { messages, events } => self.wait(who, *messages, *events),
            What::Quiet => {
                self.cut.clear();
                Ok(())
            }
            What::End => self.end(),
        }
    }

    fn side(&mut self, who: usize, peer: usize) -> &mut Side {
        self.sides.entry((who, peer)).or_default()
    }

    /// Promises on the way of these are off.
    fn disturb(&mut self, who: usize, peer: Option<usize>) {
        let hits = |p: &Promise| match peer {
            Some(peer) => (p.at, p.of) == (who, peer) || (p.at, p.of) == (peer, who),
            None => p.at == who || p.of == who,
        };
        self.promises.retain(|p| !hits(p));
    }

    fn promise(&mut self, what: Due, at: usize, of: usize, session: u32) {
        let is_cut = self.cut.contains_key(&(at.min(of), at.max(of)));
        if self.setup.is_good(at, of) && !is_cut && self.alive[at] && self.alive[of] {
            self.promises.push(Promise { by: self.now + SOON, at, of, session, what });
        }
    }

    fn check_promises(&mut self) -> Judgement {
        match self.promises.iter().find(|p| p.by < self.now) {
            None => Ok(()),
            Some(Promise { what: Due::Request, at, of, .. }) => {
                hold(false, "a request is told", || format!("{at} was not told in time that {of} wants to talk"))
            }
            Some(Promise { what: Due::Connected, at, of, .. }) => {
                hold(false, "a yes connects", || format!("{of} said yes and {at} is not connected in time"))
            }
        }
    }

    /// Whoever hears nothing any more notices in time.
    fn check_silence(&mut self) -> Judgement {
        let dead = self.dead.iter().flat_map(|(dead, since)| (0..self.setup.len()).map(move |a| ((a, *dead), *since)));
        for ((a, b), since) in self.cut.iter().map(|(pair, since)| (*pair, *since)).chain(dead) {
            for (who, peer) in [(a, b), (b, a)] {
                let limit = self.setup.hosts[who].settings.timeout_connected + FLIGHT + Duration::from_millis(600);
                if let Some(side) = self.sides.get(&(who, peer))
                    && self.alive[who]
                    && side.state == 3
                    && side.engaged.last().is_some_and(|(yes, _)| since.max(*yes) + limit < self.now)
                {
                    return hold(false, "silence is noticed", || format!("{who} still thinks it hears {peer}"));
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, who: usize, peer: usize, session: u32, stage: Stage) {
        let now = self.now;
        self.sessions.entry((who, peer, session)).or_insert((now, None));
        let side = self.side(who, peer);
        side.session = session;
        side.stage = stage;
        side.state = if stage == Stage::Connected { 3 } else { 1 };
        side.begun = now;
        side.asked_anew = false;
        side.charged = 0;
        side.reopened = false;
        side.open.clear();
        side.numbers.clear();
        side.uses.push(now);
        if stage != Stage::Asked && side.engaged.last().is_none_or(|(_, end)| end.is_some()) {
            side.engaged.push((now, None));
        }
    }

    /// The session of `who` with `peer` is over, whatever ended it.
    fn finish(&mut self, who: usize, peer: usize, stage: Stage) {
        let now = self.now;
        let side = self.side(who, peer);
        side.stage = stage;
        side.ends.push(now);
        let session = side.session;
        if let Some((_, end @ None)) = side.engaged.last_mut() {
            *end = Some(now);
        }
        if stage == Stage::Nothing {
            side.state = 0;
            side.session = 0;
        }
        if let Some((_, end @ None)) = self.sessions.get_mut(&(who, peer, session)) {
            *end = Some(now);
        }
        self.promises.retain(|p| !(p.what == Due::Connected && (p.at, p.of) == (who, peer)));
        self.promises.retain(|p| !(p.what == Due::Request && (p.of, p.at) == (who, peer)));
    }

    fn kill(&mut self, who: usize) {
        self.alive[who] = false;
        self.dead.insert(who, self.now);
        self.disturb(who, None);
        for peer in (0..self.setup.len()).chain([NOBODY]) {
            if self.side(who, peer).session != 0 || self.side(who, peer).asked_anew {
                self.finish(who, peer, Stage::Nothing);
            }
            let now = self.now;
            let side = self.side(who, peer);
            side.kills.push(now);
            side.ends.push(now);
            let (kills, ends, closes) = (side.kills.clone(), side.ends.clone(), side.closes.clone());
            *side = Side { kills, ends, closes, ..Side::default() };
        }
        self.last_arrival.retain(|(reader, _), _| *reader != who);
    }

    /// Did `peer` end sessions with `who` since the one of `who` began? Something under way then may be older.
    fn ended_there(&self, who: usize, peer: usize, which: fn(&Side) -> &[Instant]) -> bool {
        let begun = self.sides.get(&(who, peer)).map_or(Instant::ZERO, |side| side.begun);
        let there = self.sides.get(&(peer, who)).map(which).unwrap_or_default();
        there.iter().any(|at| *at + FLIGHT >= begun)
    }

    fn closed_there(&self, who: usize, peer: usize) -> bool {
        self.ended_there(who, peer, |side| &side.closes)
    }

    /// May both have agreed that nobody uses the session?
    fn may_be_idle(&self, who: usize, peer: usize) -> bool {
        let idle = |at: usize| self.setup.hosts.get(at).map(|host| host.settings.session_idle_timeout);
        let least = idle(who).into_iter().chain(idle(peer)).min().unwrap_or_default();
        let sides = [self.sides.get(&(who, peer)), self.sides.get(&(peer, who))];
        let mut uses = sides.into_iter().flatten().flat_map(|side| &side.uses);
        // A use while the agreement is under way comes too late for it.
        uses.all(|used| *used + least <= self.now + IDLE_SLACK || *used + FLIGHT >= self.now)
    }

    /// What the info tells has changed: was there a reason?
    fn see(&mut self, who: usize, peer: usize, state: i32, session: u32) -> Judgement {
        hold((0..=5).contains(&state), "states are 0 to 5", || format!("{state}"))?;
        hold((state == 0) == (session == 0), "state 0 is no session", || format!("{state}, {session}"))?;
        if session != self.side(who, peer).session {
            return self.see_other_session(who, peer, state, session);
        }
        self.side(who, peer).asked_anew = false;
        let (closed, now) = (self.closed_there(who, peer), self.now);
        let side = self.side(who, peer);
        let before = std::mem::replace(&mut side.state, state);
        match (side.stage, state) {
            (_, state) if state == before => Ok(()),
            (Stage::Opened, 3) => {
                side.stage = Stage::Connected;
                let session = side.session;
                self.promises.retain(|p| !(p.what == Due::Connected && p.at == who && p.session == session));
                self.promises.retain(|p| !(p.what == Due::Request && (p.of, p.at) == (who, peer)));
                Ok(())
            }
            (Stage::Asked, 3) => hold(false, "nothing connects without a yes", String::new),
            (Stage::Connected, 3) if before == 1 => Ok(()),
            (Stage::Failed(_), 4 | 5) if before < 4 => Ok(()),
            (Stage::Opened | Stage::Connected, 4) => {
                hold(closed, "a failure is told", || format!("{who} sees {peer} closed, who did not close"))?;
                side.state = 4;
                self.finish(who, peer, Stage::Lost(now));
                self.side(who, peer).state = 4;
                Ok(())
            }
            (_, 4 | 5) => hold(false, "a failure is told", || format!("state {state} without an event")),
            (stage, _) => hold(false, "states follow from what happened", || format!("{stage:?}: {before} to {state}")),
        }
    }

    fn see_other_session(&mut self, who: usize, peer: usize, state: i32, session: u32) -> Judgement {
        let now = self.now;
        let (closed, idle) = (self.closed_there(who, peer), self.may_be_idle(who, peer));
        let keeps = self.setup.hosts[who].settings.session_idle_timeout;
        let side = self.side(who, peer);
        let stage = side.stage;
        if session == 0 && side.closing == Some(now) {
            self.close_now(who, peer);
            return Ok(());
        }
        if side.asked_anew {
            // The request told why. A yes in the same instant is in the stage already.
            if session == 0 {
                hold(stage == Stage::Asked || closed, "a session does not vanish", || format!("{stage:?}"))?;
                self.finish(who, peer, Stage::Nothing);
                self.side(who, peer).asked_anew = false;
                return Ok(());
            }
            let right = match stage {
                Stage::Asked => state == 1,
                _ => matches!(state, 3 | 4),
            };
            hold(right, "a request is state 1 until the yes", || format!("{stage:?}, state {state}"))?;
            self.begin(who, peer, session, stage);
            return Ok(());
        }
        if session == 0 {
            let right = match stage {
                Stage::Nothing | Stage::Asked => true,
                Stage::Opened | Stage::Connected => closed || idle,
                Stage::Failed(at) | Stage::Lost(at) => at + keeps <= now,
            };
            hold(right, "a session does not vanish", || {
                format!("{stage:?}, nobody closed it, nobody had time to idle")
            })?;
            self.finish(who, peer, Stage::Nothing);
            return Ok(());
        }
        let was_engaged = matches!(stage, Stage::Opened | Stage::Connected);
        hold(was_engaged && idle, "a session has a reason", || format!("state {state} after {stage:?}"))?;
        let old = side.session;
        self.finish(who, peer, Stage::Nothing);
        self.begin(who, peer, session, if state == 3 { Stage::Connected } else { Stage::Opened });
        self.side(who, peer).reopened = true;
        for message in self.messages.values_mut() {
            if (message.from, message.to, message.session) == (who, peer, old) && message.read.is_none() {
                message.reopened = true;
                message.session = session;
            }
        }
        Ok(())
    }

    fn request(&mut self, who: usize, from: usize) -> Judgement {
        let law = "a request has somebody who asks";
        let opened = self.sides.get(&(from, who)).is_some_and(|side| {
            let patience = Duration::from_secs(8) + FLIGHT;
            side.stage == Stage::Opened
                || side.stage == Stage::Connected
                || side.ends.last().is_some_and(|at| *at + patience >= self.now)
        });
        hold(opened, law, || format!("{from} does not ask {who}"))?;
        let session = self.sides.get(&(from, who)).map_or(0, |side| side.session);
        let replaced = self.ended_there(who, from, |side| &side.ends);
        let now = self.now;
        // The first one may have been the request of the session before.
        let ended = self.sides.get(&(from, who)).and_then(|side| side.ends.last().copied());
        let side = self.side(who, from);
        if let Some((at, of)) = side.requested {
            hold(
                of != session || ended.is_some_and(|ended| ended + FLIGHT >= at) || at + REQUEST_AGAIN <= now,
                "requests are not told too often",
                || format!("again after {:?}", now.saturating_since(at)),
            )?;
        }
        side.requested = Some((now, session));
        match side.stage {
            Stage::Opened | Stage::Connected => {
                hold(replaced, "no request while connected", || format!("{from} never lost the session"))?;
                self.finish(who, from, Stage::Asked);
            }
            Stage::Failed(_) | Stage::Lost(_) | Stage::Nothing | Stage::Asked => {}
        }
        let side = self.side(who, from);
        side.stage = Stage::Asked;
        side.asked_anew = true;
        let pending = self.pending(who);
        let is_full = pending >= self.setup.hosts[who].max_pending as usize;
        self.promises.retain(|p| !(p.what == Due::Request && p.at == who && (p.of == from || is_full)));
        Ok(())
    }

    fn pending(&self, who: usize) -> usize {
        self.sides.iter().filter(|((a, _), side)| *a == who && side.stage == Stage::Asked).count()
    }

    fn fail(&mut self, who: usize, peer: usize, state: i32, reason: i32, text: &str) -> Judgement {
        let now = self.now;
        let closed = self.closed_there(who, peer);
        let gone = self.ended_there(who, peer, |side| &side.ends);
        let settings = self.setup.hosts[who].settings;
        let side = self.side(who, peer);
        let (stage, begun) = (side.stage, side.begun);
        let engaged = matches!(stage, Stage::Opened | Stage::Connected);
        hold(engaged, "a failure has somebody who waits", || format!("{stage:?}: {state} {reason} {text}"))?;
        let what =
            || format!("{stage:?}: state {state}, reason {reason}, {text:?}, {:?} old", now.saturating_since(begun));
        let late = Duration::from_millis(10);
        let waited = |span: Duration| begun + span <= now;
        let right = match (state, reason) {
            (5, 5003) if peer != NOBODY => waited(settings.timeout_initial.min(settings.timeout_connected)),
            (5, 5008) if peer == NOBODY => {
                waited(settings.timeout_initial) && now <= begun + settings.timeout_initial + late
            }
            // The peer says no.
            (4, 1001) => {
                hold(stage == Stage::Opened, "a peer's close of a connected session is no failure", what)?;
                closed
            }
            // It gave up, or does not remember.
            (4, 5003) | (5, 5010) => gone,
            (_, 5001) if text.contains("larger than the peer takes") => peer != NOBODY,
            _ => false,
        };
        hold(right, "a failure has a cause", what)?;
        let session = self.side(who, peer).session;
        self.failures.insert((who, peer, session));
        self.finish(who, peer, Stage::Failed(now));
        Ok(())
    }

    fn accept(&mut self, who: usize, peer: usize, answer: bool) -> Judgement {
        let now = self.now;
        let side = self.side(who, peer);
        let live = matches!(side.stage, Stage::Opened | Stage::Asked | Stage::Connected);
        hold(answer == live, "accept is true for a live session", || format!("{:?}: {answer}", side.stage))?;
        side.uses.extend(live.then_some(now));
        if side.stage == Stage::Asked {
            self.say_yes(who, peer);
        }
        Ok(())
    }

    fn say_yes(&mut self, who: usize, peer: usize) {
        let now = self.now;
        let side = self.side(who, peer);
        side.stage = Stage::Connected;
        side.engaged.push((now, None));
        if !side.asked_anew {
            side.state = 3;
        }
        let initial = self.setup.hosts[peer].settings.timeout_initial;
        let asker = self.side(peer, who);
        // Its time may be nearly up, and what was accepted the request of a session that has just ended.
        let is_this = asker.ends.last().is_none_or(|at| *at + FLIGHT * 2 < now);
        if asker.stage == Stage::Opened && is_this && asker.begun + initial >= now + SOON {
            let session = asker.session;
            self.promise(Due::Connected, peer, who, session);
        }
    }

    fn close(&mut self, who: usize, peer: usize, answer: bool) -> Judgement {
        let side = self.side(who, peer);
        hold(answer == (side.stage != Stage::Nothing), "close is true for a session", || {
            format!("{:?}: {answer}", side.stage)
        })?;
        if answer {
            self.close_now(who, peer);
        }
        Ok(())
    }

    fn close_now(&mut self, who: usize, peer: usize) {
        let now = self.now;
        let side = self.side(who, peer);
        side.closes.push(now);
        side.asked_anew = false;
        let read: Vec<i32> = side.last_read.keys().copied().collect();
        side.gaps.extend(read);
        self.disturb(who, Some(peer));
        self.finish(who, peer, Stage::Nothing);
    }

    fn close_channel(&mut self, who: usize, peer: usize, channel: i32, answer: bool) -> Judgement {
        let sent_to_us = |m: &Message| (m.from, m.to, m.channel) == (peer, who, channel);
        let may_have_come = self.messages.values().any(sent_to_us);
        let others_may_have_come =
            self.messages.values().any(|m| (m.from, m.to) == (peer, who) && m.channel != channel);
        let side = self.side(who, peer);
        let live = matches!(side.stage, Stage::Opened | Stage::Connected);
        let is_open = live && side.open.contains(&channel);
        let law = "closeChannel is true for an open channel";
        hold(!is_open || answer, law, || format!("channel {channel} is open in {:?}", side.stage))?;
        hold(!answer || is_open || (live && may_have_come), law, || format!("channel {channel} was never open"))?;
        if !answer {
            return Ok(());
        }
        side.open.remove(&channel);
        side.gaps.insert(channel);
        let was_last = side.open.is_empty();
        let now = self.now;
        let side = self.side(who, peer);
        side.channel_closes.insert(channel, now);
        if was_last && !others_may_have_come {
            self.close_now(who, peer);
        } else if was_last {
            side.closing = Some(now); // an unread message of another channel keeps the session
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "one call of the app, as it was")]
    fn send(
        &mut self,
        who: usize,
        to: usize,
        id: usize,
        channel: i32,
        flags: i32,
        size: usize,
        answer: i32,
        session: u32,
    ) -> Judgement {
        let (allowed, why) = self.answers(who, to, flags, size);
        hold(allowed.contains(&answer), "a send answers as its state says", || {
            format!("{answer} where {allowed:?} would be right: {why}")
        })?;
        let now = self.now;
        let side = self.side(who, to);
        let stage = side.stage;
        if answer == 3 && matches!(stage, Stage::Lost(_)) {
            self.finish(who, to, Stage::Nothing);
            return Ok(());
        }
        // Even a refused send says yes.
        if stage == Stage::Asked && to != INVALID && size <= 524_288 {
            self.say_yes(who, to);
        }
        if answer != 1 {
            return Ok(());
        }
        let mut reliable = flags & RELIABLE != 0;
        match stage {
            Stage::Nothing | Stage::Failed(_) | Stage::Lost(_) => {
                self.begin(who, to, session, if to == who { Stage::Connected } else { Stage::Opened });
                let there = self.sides.get(&(to, who)).map_or(Stage::Nothing, |side| side.stage);
                let has_room = to < self.setup.len() && self.pending(to) < self.setup.hosts[to].max_pending as usize;
                if to != who && there == Stage::Nothing && has_room {
                    self.promise(Due::Request, to, who, session);
                }
            }
            _ => {}
        }
        if to != who && matches!(self.side(who, to).stage, Stage::Opened) {
            reliable |= !self.setup.hosts[who].settings.early_unreliable;
            // The peer wants to talk as well: nobody needs to be asked.
            self.promises.retain(|p| !(p.what == Due::Request && (p.at, p.of) == (who, to)));
        }
        let side = self.side(who, to);
        side.uses.push(now);
        side.charged += charge(size);
        side.open.insert(channel);
        let number = side.numbers.entry((channel, reliable)).or_default();
        *number += 1;
        let number = *number;
        let reopened = side.reopened;
        let message = Message {
            from: who,
            to,
            session,
            channel,
            reliable,
            number,
            size,
            at: now,
            arrived: None,
            read: None,
            reopened,
        };
        self.by_number.entry((who, to, channel, reliable, number)).or_default().push(id);
        self.messages.insert(id, message);
        Ok(())
    }

    /// What a send may answer now, and why.
    fn answers(&self, who: usize, to: usize, flags: i32, size: usize) -> (Vec<i32>, &'static str) {
        let nothing = Side::default();
        let side = self.sides.get(&(who, to)).unwrap_or(&nothing);
        let settings = &self.setup.hosts[who].settings;
        let no_delay = flags & NO_DELAY != 0 && flags & RELIABLE == 0;
        let buffer = u64::from(settings.send_buffer_size);
        let fits_alone = charge(size) <= buffer;
        let may_be_full = side.reopened || side.charged + charge(size) > buffer;
        let most = if to < self.setup.len() { self.setup.hosts[to].settings.recv_max_message_size } else { u32::MAX };
        if to == INVALID || size > 524_288 {
            return (vec![8], "nobody, or too large");
        }
        if to == who {
            return (self.answers_to_oneself(who, flags, size), "to oneself");
        }
        let may_be_too_large = size > most as usize;
        match side.stage {
            Stage::Opened if may_be_too_large && no_delay => (vec![8, 41], "the handshake may have told the limit"),
            Stage::Opened if may_be_too_large => (vec![1, 8, 25], "the handshake may have told the limit"),
            Stage::Failed(_) | Stage::Lost(_) if flags & RESTART == 0 => (vec![3], "the session failed"),
            Stage::Nothing | Stage::Failed(_) | Stage::Lost(_) | Stage::Opened if no_delay => {
                (vec![41], "NO_DELAY, and not connected")
            }
            Stage::Nothing | Stage::Failed(_) | Stage::Lost(_) if fits_alone => (vec![1], "a new session"),
            Stage::Nothing | Stage::Failed(_) | Stage::Lost(_) => (vec![25], "larger than the send buffer"),
            Stage::Opened if !may_be_full => (vec![1], "room in the send buffer"),
            Stage::Opened if !side.reopened && side.charged + charge(size) > buffer + EARLY_ROOM => {
                (vec![25], "no room in the send buffer")
            }
            Stage::Opened => (vec![1, 25], "the first packet may have made room"),
            _ if may_be_too_large => (vec![8], "larger than the peer takes"),
            Stage::Asked if no_delay && fits_alone => (vec![1], "the first message after the yes"),
            Stage::Asked if fits_alone => (vec![1], "the first message after the yes"),
            Stage::Asked => (vec![25], "larger than the send buffer"),
            Stage::Connected => {
                let mut allowed = vec![1];
                allowed.extend(may_be_full.then_some(25));
                allowed.extend((no_delay && side.charged > 0).then_some(41));
                if !fits_alone {
                    allowed.retain(|answer| *answer != 1);
                }
                (allowed, "connected")
            }
        }
    }

    fn answers_to_oneself(&self, who: usize, flags: i32, size: usize) -> Vec<i32> {
        let settings = &self.setup.hosts[who].settings;
        let unread = |m: &&Message| (m.from, m.to) == (who, who) && m.read.is_none();
        let (count, bytes) =
            self.messages.values().filter(unread).fold((0, 0), |(count, bytes), m| (count + 1, bytes + m.size));
        let (most, room) = (settings.recv_buffer_messages as usize, settings.recv_buffer_size as usize);
        match (count >= most || bytes + size > room.max(size), flags & RELIABLE != 0) {
            (true, true) => vec![1, 25], // given up, or pushed out, ones may be counted
            _ => vec![1],
        }
    }

    fn read(&mut self, who: usize, channel: i32, got: &Got) -> Judgement {
        let Got { from, number, reliable, size, received, .. } = *got;
        let what = || format!("message {number} of {from} on channel {channel}, {size} bytes");
        hold(got.intact, "nothing is altered", what)?;
        let id = self.identify(who, channel, got)?;
        let user_data = self.setup.hosts[who].settings.user_data;
        hold(got.user_data == user_data, "the user data is the session's", what)?;
        let Some(message) = self.messages.get_mut(&id) else {
            return hold(false, "nothing is invented", what);
        };
        hold(message.read.is_none(), "nothing comes twice", what)?;
        hold(message.at <= received && received <= self.now, "nothing comes early", what)?;
        hold(message.reliable == reliable, "reliable stays reliable", what)?;
        hold(message.number == number || message.reopened, "numbers count from 1", || {
            format!("{}, which was sent as number {}", what(), message.number)
        })?;
        message.arrived = Some(received);
        message.read = Some(self.now);
        let (session, reopened) = (message.session, message.reopened);
        let begun = self.sessions.get(&(from, who, session)).map_or(Instant::ZERO, |(begun, _)| *begun);
        let last = self.last_arrival.insert((who, channel), received).unwrap_or(Instant::ZERO);
        hold(last <= received, "a channel is read in order of arrival", what)?;
        let side = self.side(who, from);
        if who != from {
            let meanwhile = |(start, end): &(Instant, Option<Instant>)| {
                *start <= received && end.is_none_or(|end| end >= received && end >= begun)
            };
            hold(side.engaged.iter().any(meanwhile), "nothing comes before the yes", what)?;
        }
        let dropped = side.closes.last().max(side.channel_closes.get(&channel)).copied();
        hold(dropped.is_none_or(|at| received >= at), "closing gives up what is unread", what)?;
        if reliable {
            let gap = side.gaps.remove(&channel);
            let before = side.last_read.insert(channel, (session, number));
            let (last_session, last_number) = before.unwrap_or((0, 0));
            let first = session != last_session;
            let next = if first { 1 } else { last_number + 1 };
            hold(session >= last_session, "order is kept", what)?;
            let in_order = number == next || (gap && number > next) || reopened;
            hold(in_order, "order is kept", || format!("{} where {next} is next", what()))?;
        }
        if side.stage == Stage::Connected && side.begun <= received {
            side.open.insert(channel);
        }
        Ok(())
    }

    /// Which of the messages sent this is.
    fn identify(&self, who: usize, channel: i32, got: &Got) -> Result<usize, Broken> {
        let what = || format!("message {} of {} on channel {channel}", got.number, got.from);
        if let Some(id) = got.id {
            let right = |m: &Message| (m.from, m.to, m.channel, m.size) == (got.from, who, channel, got.size);
            hold(self.messages.get(&id).is_some_and(right), "nothing is invented", what)?;
            return Ok(id);
        }
        // Too short to say which: the latest that it may be.
        let key = (got.from, who, channel, got.reliable, got.number);
        let same = self.by_number.get(&key).map(Vec::as_slice).unwrap_or_default();
        let fits = |id: &&usize| self.messages[*id].size == got.size && self.messages[*id].at <= got.received;
        let unread = same.iter().rev().filter(fits).find(|id| self.messages[*id].read.is_none());
        match unread.or(same.iter().rev().find(fits)) {
            Some(id) => Ok(*id),
            None => {
                let moved = |m: &Message| m.reopened && m.read.is_none() && m.size == got.size;
                let ours = |m: &Message| (m.from, m.to, m.channel) == (got.from, who, channel);
                let found = self.messages.iter().find(|(_, m)| ours(m) && moved(m)).map(|(id, _)| *id);
                found.ok_or_else(|| Broken { law: "nothing is invented", text: what() })
            }
        }
    }

    fn wait(&mut self, who: usize, messages: usize, events: usize) -> Judgement {
        let settings = &self.setup.hosts[who].settings;
        let pending = self.pending(who);
        let most = self.setup.hosts[who].max_pending as usize;
        hold(pending <= most, "pending requests are bounded", || format!("{pending} of {most}"))?;
        hold(events <= 1_024 + most, "events are bounded", || format!("{events} wait"))?;
        // Each session holds so many reliable and so many unreliable ones.
        let sessions = self.sessions.keys().filter(|(_, to, _)| *to == who).count();
        let room = 2 * settings.recv_buffer_messages as usize * (sessions + 1);
        hold(messages <= room, "unread messages are bounded", || format!("{messages} wait, {room} would be many"))
    }

    fn end(&mut self) -> Judgement {
        for (id, message) in &self.messages {
            if message.reliable && message.read.is_none() && !self.may_be_lost(message) {
                let text = format!("message {id} was answered 1 and never came: {message:?}");
                return hold(false, "nothing is lost in silence", || text);
            }
        }
        self.check_unread_bounds()?;
        for a in 0..self.setup.len() {
            for b in (0..self.setup.len()).filter(|b| *b != a) {
                let state = |a, b| self.sides.get(&(a, b)).map_or(0, |side: &Side| side.state);
                let (here, there) = (state(a, b), state(b, a));
                let both = || format!("{a} sees {b} in {here}, {b} sees {a} in {there}");
                hold(here != 1, "nothing opens for ever", both)?;
                hold((here == 3) == (there == 3), "both sides agree in the end", both)?;
                let short = |at: usize| self.setup.hosts[at].settings.session_idle_timeout <= SHORT_IDLE;
                let all_short = (0..self.setup.len()).all(short);
                hold(!all_short || here == 0, "an idle session ends", both)?;
            }
        }
        Ok(())
    }

    /// Is there a reason, told to somebody, why this message did not come?
    fn may_be_lost(&self, m: &Message) -> bool {
        let Some((begun, end)) = self.sessions.get(&(m.from, m.to, m.session)) else { return true };
        let ours = &self.sides[&(m.from, m.to)];
        let meanwhile = |at: &Instant| *at + FLIGHT >= *begun && end.is_none_or(|end| end + FLIGHT >= *at);
        // Its sender closed the session, was killed, or was told that it failed.
        let sender_knows = ours.closes.iter().chain(&ours.kills).any(|at| *at >= m.at && Some(*at) == *end)
            || self.failed(m.from, m.to, m.session);
        // Its receiver closed the session, or was killed; either gives up what came before and is unread, be it
        // of a session that has ended.
        let Some(theirs) = self.sides.get(&(m.to, m.from)) else { return sender_knows };
        let receiver_ended = theirs.closes.iter().chain(&theirs.kills).any(|at| *at >= m.at || meanwhile(at));
        let gave_up = theirs.channel_closes.get(&m.channel).is_some_and(|at| *at >= m.at);
        sender_knows || receiver_ended || gave_up
    }

    fn failed(&self, who: usize, peer: usize, session: u32) -> bool {
        self.failures.contains(&(who, peer, session))
    }

    /// Never more unread reliable messages of one session than granted; one alone may be larger.
    fn check_unread_bounds(&self) -> Judgement {
        let mut by_session: BTreeMap<(usize, usize, u32), Vec<(Instant, bool, usize)>> = BTreeMap::new();
        for m in self.messages.values().filter(|m| m.reliable && m.from != m.to && !m.reopened) {
            if let (Some(arrived), Some(read)) = (m.arrived, m.read) {
                let changes = by_session.entry((m.to, m.from, m.session)).or_default();
                changes.push((arrived, true, m.size));
                changes.push((read, false, m.size));
            }
        }
        for ((who, from, _), mut changes) in by_session {
            changes.sort_by_key(|(at, comes, _)| (*at, *comes));
            let settings = &self.setup.hosts[who].settings;
            let (mut count, mut bytes, mut with_bytes) = (0i64, 0i64, 0i64);
            for (at, comes, size) in changes {
                let sign = if comes { 1 } else { -1 };
                count += sign;
                bytes += sign * size as i64;
                with_bytes += sign * i64::from(size > 0);
                let kept = count <= i64::from(settings.recv_buffer_messages)
                    && (with_bytes <= 1 || bytes <= i64::from(settings.recv_buffer_size));
                hold(kept, "unread messages are bounded", || {
                    format!("{count} of {from} with {bytes} bytes waited at {who} at {at:?}")
                })?;
            }
        }
        Ok(())
    }
}

/// What the send buffer is charged for a message.
fn charge(size: usize) -> u64 {
    (size as u64).max(32)
}
