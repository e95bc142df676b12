//! The contract, said small: reads what was seen of a world and names the first law it breaks.
//!
//! The model knows no packet. For each endpoint and peer it keeps a [`Side`]: what the app did and was
//! told, hence what a call must answer. Where something under way decides, a set of answers is allowed:
//! a datagram may be late by [`FLIGHT`], and an arrival shows only when it is read.

mod calls;
mod messages;
mod told;

use crate::log::{Entry, What};
use crate::script::{NOBODY, Setup};
use std::collections::{BTreeMap, BTreeSet};
use steamnetmsg::time::{Duration, Instant};

/// The oldest a datagram gets: lag, jitter, reordering, and the queue of the narrowest link.
const FLIGHT: Duration = Duration::from_millis(1_500);

/// A request is raised for so long after its requester was heard.
const REQUESTER_HEARD: Duration = Duration::from_secs(5);

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
    /// It was connected, as far as its app could see.
    stood: bool,
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
    /// Channels that are open if a message on them moved here from the session before.
    may_be_open: BTreeSet<i32>,
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
    /// When the session began in which it was sent.
    begun: Instant,
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
    /// When addresses changed last.
    moved: BTreeMap<usize, Instant>,
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
        moved: BTreeMap::new(),
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
                self.moved.insert(who, self.now);
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
        side.stood = stage == Stage::Connected;
        side.asked_anew = false;
        side.charged = 0;
        side.reopened = false;
        side.open.clear();
        side.may_be_open.clear();
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
        // Who was not heard saying yes starts over with whoever runs there next: another app, that had nothing yet.
        let asks = |m: &Message| {
            let side = self.sides.get(&(m.from, who));
            side.is_some_and(|side| side.stage == Stage::Opened && side.session == m.session)
        };
        for message in self.messages.values_mut().filter(|m| m.to == who && asks(m)) {
            (message.arrived, message.read) = (None, None);
        }
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

    /// Did `who` close a session just before the one it has now? The peer, whose own handshake gave way to the closed
    /// one, may have ended with it, while its handshake was taken here.
    fn crossed(&self, who: usize, peer: usize) -> bool {
        let side = self.sides.get(&(who, peer));
        side.is_some_and(|side| side.closes.last().is_some_and(|at| *at + FLIGHT >= side.begun))
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

    fn pending(&self, who: usize) -> usize {
        self.sides.iter().filter(|((a, _), side)| *a == who && side.stage == Stage::Asked).count()
    }
}
