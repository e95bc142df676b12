//! Plays a script in the simulated world and writes down what is seen.

use crate::app::{ms, secs};
use crate::log::{Entry, Got, What};
use crate::script::{Deed, INVALID, NOBODY, Setup, Step};
use crate::sim::{LAG, Node, World};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use steamnetmsg::endpoint::SendError;
use steamnetmsg::endpoint::events::Event;
use steamnetmsg::endpoint::faults::{Dice, Direction};
use steamnetmsg::endpoint::lanes::PeerCell;
use steamnetmsg::endpoint::mailbox::Message;
use steamnetmsg::ids::{Channel, SteamId};
use steamnetmsg::time::{Duration, Instant};

/// Nobody is looked at more rarely.
pub const LOOK_EVERY: Duration = ms(500);

/// The quiet end lasts so long at least: time-outs, then everything queued at the slowest rate.
const QUIET: Duration = secs(45);

/// An idle session short enough to be waited for at the end.
pub const SHORT_IDLE: Duration = secs(20);

fn steam_id(number: usize) -> SteamId {
    SteamId(if number == INVALID { 0 } else { 1_000 + number as u64 })
}

fn number_of(id: SteamId) -> usize {
    id.0 as usize - 1_000
}

/// The bytes of message `id`: the first two say which it is.
fn payload(id: usize, size: usize) -> Vec<u8> {
    let mut dice = Dice::new(id as u64);
    let mut bytes = Vec::with_capacity(size + 8);
    bytes.extend((id as u16).to_le_bytes());
    while bytes.len() < size {
        bytes.extend(dice.number().to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

fn got(message: &Message) -> Got {
    let bytes = &*message.payload;
    let id = (bytes.len() >= 2).then(|| usize::from(u16::from_le_bytes([bytes[0], bytes[1]])));
    Got {
        from: number_of(message.from),
        id,
        intact: id.is_none_or(|id| *bytes == *payload(id, bytes.len())),
        size: bytes.len(),
        number: message.number,
        reliable: message.reliable,
        user_data: message.user_data,
        received: message.received,
    }
}

/// The result number of the C interface.
fn code(error: SendError) -> i32 {
    match error {
        SendError::NoConnection => 3,
        SendError::InvalidParam(_) => 8,
        SendError::LimitExceeded(_) => 25,
        SendError::Ignored => 41,
    }
}

/// The cell of the current session and how many there were: each session has its own.
type Counted = (Option<Arc<PeerCell>>, u32);

struct Player<'a> {
    setup: &'a Setup,
    world: World,
    nodes: Vec<Node>,
    log: Vec<Entry>,
    /// What was seen last, by endpoint and peer.
    seen: BTreeMap<(usize, usize), (i32, u32)>,
    sessions: BTreeMap<(usize, usize), Counted>,
    paused: BTreeSet<usize>,
    channels: BTreeSet<i32>,
    next_read: Vec<Instant>,
    sent: usize,
}

/// Plays `steps` and then lets the world come to rest.
pub fn play(setup: &Setup, steps: &[Step]) -> Vec<Entry> {
    let mut world = World::new(setup.seed);
    world.restless = setup.restless;
    let add = |world: &mut World, (number, host): (usize, &crate::script::HostSetup)| {
        let node = world.add_with(steam_id(number).0, |config| {
            config.settings = host.settings;
            config.max_pending_requests = host.max_pending;
        });
        world.host(node).accepts = host.accepts;
        node
    };
    let nodes: Vec<Node> = setup.hosts.iter().enumerate().map(|host| add(&mut world, host)).collect();
    world.damage = setup.damage;
    for (from, links) in setup.links.iter().enumerate() {
        for (to, link) in links.iter().enumerate() {
            world.set_link(nodes[from], nodes[to], link.clone());
        }
    }
    let start = world.now();
    let mut player = Player {
        setup,
        nodes,
        log: Vec::new(),
        seen: BTreeMap::new(),
        sessions: BTreeMap::new(),
        paused: BTreeSet::new(),
        channels: BTreeSet::new(),
        next_read: vec![start; setup.len()],
        sent: 0,
        world,
    };
    (0..setup.len()).for_each(|who| player.introduce(who));
    for step in steps {
        player.wait_until(start + step.at);
        player.take(step);
    }
    player.come_to_rest();
    player.log
}

impl Player<'_> {
    fn is_alive(&self, who: usize) -> bool {
        self.world.hosts[self.nodes[who].index()].machine.is_some()
    }

    fn note(&mut self, who: usize, what: What) {
        self.log.push(Entry { at: self.world.now(), who, what });
    }

    /// Everybody alive learns the address of `who`, and the other way round.
    fn introduce(&mut self, who: usize) {
        for other in (0..self.setup.len()).filter(|other| *other != who) {
            for (at, about) in [(who, other), (other, who)] {
                if self.is_alive(at) {
                    let address = self.world.address(self.nodes[about]);
                    self.world.tell_address(self.nodes[at], self.nodes[about], address);
                }
            }
        }
    }

    fn wait_until(&mut self, end: Instant) {
        self.look();
        while self.world.now() < end {
            let now = self.world.now();
            let reads = (0..self.setup.len()).filter(|who| self.reads(*who)).map(|who| self.next_read[who]);
            let next = reads.chain([end, now + LOOK_EVERY]).min().unwrap_or(end).max(now);
            let told = |world: &mut World| world.hosts.iter().any(|host| !host.events.is_empty());
            self.world.run_until(next.saturating_since(now), told);
            self.look();
            for who in (0..self.setup.len()).filter(|who| self.reads(*who)).collect::<Vec<_>>() {
                if self.next_read[who] <= self.world.now() {
                    let every = self.setup.hosts[who].reads.unwrap_or(ms(100));
                    self.next_read[who] = self.world.now() + every;
                    self.read_all(who);
                }
            }
        }
    }

    fn reads(&self, who: usize) -> bool {
        self.is_alive(who) && self.setup.hosts[who].reads.is_some() && !self.paused.contains(&who)
    }

    fn read_all(&mut self, who: usize) {
        for channel in self.channels.clone() {
            if self.world.machine(self.nodes[who]).mailbox().waiting() == 0 {
                return;
            }
            self.read(who, channel, usize::MAX);
        }
    }

    fn read(&mut self, who: usize, channel: i32, max: usize) {
        let messages = self.world.receive_some(self.nodes[who], channel, max);
        if !messages.is_empty() {
            self.note(who, What::Read { channel, max, got: messages.iter().map(got).collect() });
        }
    }

    /// Notes events, and every state that changed.
    fn look(&mut self) {
        self.world.settle();
        let mut told: Vec<(Instant, usize, Event)> = Vec::new();
        for (who, node) in self.nodes.iter().enumerate() {
            let events = std::mem::take(&mut self.world.hosts[node.index()].events);
            told.extend(events.into_iter().map(|(at, event)| (at, who, event)));
        }
        told.sort_by_key(|(at, ..)| *at);
        for (at, who, event) in told {
            let accepts = self.world.host(self.nodes[who]).accepts;
            match event {
                Event::SessionRequest { from } => {
                    let from = number_of(from);
                    self.seen.remove(&(who, from)); // so that it is told even if it is as before
                    self.log.push(Entry { at, who, what: What::Requested { from } });
                    if accepts {
                        self.log.push(Entry { at, who, what: What::Accepted { peer: from, answer: true } });
                    }
                }
                Event::Signaling { .. } => unreachable!("nobody carries signals in this world"),
                Event::SessionFailed { peer, reason, state, text } => {
                    let what = What::Failed { peer: number_of(peer), state, reason, text };
                    self.log.push(Entry { at, who, what });
                }
            }
        }
        for who in 0..self.setup.len() {
            if self.is_alive(who) {
                (0..self.setup.len()).chain([NOBODY]).for_each(|peer| {
                    self.look_at(who, peer);
                });
            }
        }
    }

    /// Notes what `who` is told of `peer`, when it changed; returns the session.
    fn look_at(&mut self, who: usize, peer: usize) -> u32 {
        let now = self.world.now();
        let Some(machine) = &mut self.world.hosts[self.nodes[who].index()].machine else { return 0 };
        let state = machine.session_info(now, steam_id(peer)).0.state;
        let cell = machine.peers().cell(steam_id(peer));
        let before = self.seen.get(&(who, peer)).copied();
        let (known, count) = self.sessions.entry((who, peer)).or_default();
        let is_new = match (&cell, &*known) {
            (Some(cell), Some(known)) => !Arc::ptr_eq(cell, known),
            // The session with ourselves has no cell.
            (None, _) => who == peer && state != 0 && before.is_none_or(|(state, _)| state == 0),
            (Some(_), None) => true,
        };
        *count += u32::from(is_new);
        if is_new {
            *known = cell; // kept, so that no other cell comes to lie there
        }
        let session = if state == 0 { 0 } else { *count };
        if before != Some((state, session)) {
            self.seen.insert((who, peer), (state, session));
            self.note(who, What::Seen { peer, state, session });
        }
        session
    }

    fn take(&mut self, step: &Step) {
        let who = step.who;
        let (node, now) = (self.nodes[who], self.world.now());
        if let Deed::Start = step.deed {
            return self.start(who);
        }
        if !self.is_alive(who) {
            return;
        }
        match step.deed {
            Deed::Send { to, channel, flags, size, count } => {
                (0..count).for_each(|_| self.send(who, to, channel, flags, size));
            }
            Deed::Read { channel, max } => self.read(who, channel, max),
            Deed::PauseReading => drop(self.paused.insert(who)),
            Deed::ResumeReading => drop(self.paused.remove(&who)),
            Deed::Accept { peer } => {
                let answer = self.world.machine(node).accept(now, steam_id(peer));
                self.note(who, What::Accepted { peer, answer });
            }
            Deed::Close { peer } => {
                let answer = self.world.machine(node).close_session(now, steam_id(peer));
                self.note(who, What::Closed { peer, answer });
            }
            Deed::CloseChannel { peer, channel } => {
                let answer = self.world.machine(node).close_channel(now, steam_id(peer), Channel(channel));
                self.note(who, What::ClosedChannel { peer, channel, answer });
            }
            Deed::Cut { peer } => {
                self.world.cut(node, self.nodes[peer]);
                self.note(who, What::Cut { peer });
            }
            Deed::Heal { peer } => {
                self.world.heal(node, self.nodes[peer]);
                self.note(who, What::Healed { peer });
            }
            Deed::Kill => {
                self.world.kill(node);
                self.seen.retain(|(at, _), _| *at != who);
                self.note(who, What::Killed);
            }
            Deed::Start => {}
            Deed::Move => {
                self.world.rebind(node);
                self.introduce(who);
                self.note(who, What::Moved);
            }
        }
        // Before anything is sent, and after.
        self.look();
        if self.is_alive(who) {
            let machine = self.world.machine(node);
            let (messages, events) = (machine.mailbox().waiting(), machine.events_waiting());
            self.note(who, What::Waiting { messages, events });
        }
    }

    fn start(&mut self, who: usize) {
        if !self.is_alive(who) {
            self.world.start(self.nodes[who]);
            self.introduce(who);
            self.note(who, What::Started);
        }
    }

    fn send(&mut self, who: usize, to: usize, channel: i32, flags: i32, size: usize) {
        let (node, now, id) = (self.nodes[who], self.world.now(), self.sent);
        self.sent += 1;
        self.channels.insert(channel);
        // No one looks between this and what was seen last but the app itself: nothing came in.
        let before = self.log.len();
        let sent = self.world.machine(node).send(now, steam_id(to), payload(id, size).into(), flags, Channel(channel));
        let answer = sent.map_or_else(code, |()| 1);
        let session = self.look_at(who, to);
        // The call first, then what it changed.
        let what = What::Sent { to, id, channel, flags, size, answer, session };
        self.log.insert(before, Entry { at: now, who, what });
    }

    /// Heals the world, brings everybody back, accepts and reads everything, and waits.
    fn come_to_rest(&mut self) {
        self.look();
        self.world.damage = 0.0;
        for a in 0..self.setup.len() {
            for b in 0..self.setup.len() {
                self.world.heal(self.nodes[a], self.nodes[b]);
                self.world.set_link(self.nodes[a], self.nodes[b], Direction { lag: LAG, ..Direction::default() });
            }
            self.start(a);
        }
        self.note(0, What::Quiet);
        for who in 0..self.setup.len() {
            self.world.accept_all(self.nodes[who]);
            for peer in (0..self.setup.len()).filter(|peer| *peer != who) {
                let (node, now) = (self.nodes[who], self.world.now());
                let answer = self.world.machine(node).accept(now, steam_id(peer));
                self.note(who, What::Accepted { peer, answer });
                self.look();
            }
        }
        let idle = self.setup.hosts.iter().map(|host| host.settings.session_idle_timeout).max().unwrap_or_default();
        let quiet = if idle <= SHORT_IDLE { QUIET + idle * 2 } else { QUIET };
        let end = self.world.now() + quiet;
        while self.world.now() < end {
            self.wait_until(self.world.now() + ms(200));
            (0..self.setup.len()).for_each(|who| self.read_all(who));
        }
        for who in 0..self.setup.len() {
            let left = self.world.machine(self.nodes[who]).mailbox().waiting();
            assert_eq!(left, 0, "everything was read");
        }
        self.look();
        self.note(0, What::End);
    }
}
