//! Time, links and datagrams: who is where, what is under way, what happens next.
//!
//! The world is the third driver of the machine. Time jumps from one thing due to the next; an
//! endpoint is woken at its deadline and not before, gets its datagrams, and is asked for datagrams
//! until it has none. So a missing deadline stalls it and a wrong one spins it, and both are caught.
//! TURN servers are nodes too, with links like everybody's.

use crate::turn::Turn;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{Ipv4Addr, SocketAddr};
use steamnetmsg::endpoint::Endpoint;
use steamnetmsg::endpoint::config::Config;
use steamnetmsg::endpoint::events::Event;
use steamnetmsg::endpoint::faults::{Dice, Direction, Link};
use steamnetmsg::endpoint::signals::Carrier;
use steamnetmsg::ids::{AppId, SteamId};
use steamnetmsg::machine::{Datagram, Machine, TransmitBuf};
use steamnetmsg::settings::Settings;
use steamnetmsg::time::{Deadline, Duration, Instant};

/// The delay of a link, one way, unless a test sets another.
pub const LAG: Duration = Duration::from_millis(25);

/// Largest UDP payload a link carries; longer ones vanish, as on a path without fragmentation.
const MTU: usize = 1_472;

/// Datagrams one endpoint may send before time must pass.
const MOST_TRANSMITS: u32 = 20_000;

/// Times one endpoint may be woken before time must pass.
const MOST_WAKINGS: u32 = 100;

/// An endpoint of the world, by the order in which they were added; or a TURN server, from
/// [`FIRST_TURN`] on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(usize);

/// The number of the first TURN server; there are never so many endpoints.
const FIRST_TURN: usize = 1 << 20;

impl Node {
    /// Its place among the TURN servers, if it is one.
    fn turn(self) -> Option<usize> {
        self.0.checked_sub(FIRST_TURN)
    }

    pub(crate) fn index(self) -> usize {
        self.0
    }
}

/// A datagram somebody sent while [`World::listen`] was on.
#[derive(Clone, Debug)]
pub struct Overheard {
    pub at: Instant,
    pub from: Node,
    pub source: SocketAddr,
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
}

pub(crate) struct Host {
    pub(crate) config: Config,
    pub(crate) address: SocketAddr,
    /// None while it is dead.
    pub(crate) machine: Option<Endpoint>,
    pub(crate) accepts: bool,
    pub(crate) keeps_events: bool,
    pub(crate) events: Vec<(Instant, Event)>,
    lives: u64,
    moves: u8,
    max_segments: usize,
    /// Something happened to it that may have changed what it wants.
    pub(crate) touched: bool,
    wake: Option<Deadline>,
    transmits_now: u32,
    wakings_now: u32,
}

pub struct World {
    pub(crate) seed: u64,
    pub(crate) now: Instant,
    pub(crate) dice: Dice,
    pub(crate) hosts: Vec<Host>,
    turns: Vec<Turn>,
    /// The links nobody set otherwise.
    pub weather: Direction,
    /// Datagrams damaged under way, percent.
    pub damage: f32,
    /// Calls machines when nothing is due, wakes them late, and lets apps use the fast lane.
    pub restless: bool,
    /// Somebody carries signals, as far as this; nobody if None.
    signal_weather: Option<Direction>,
    signals: BTreeMap<(Node, Node), Link>,
    signals_heard: usize,
    /// Who is said to have sent a node's signals, if not itself.
    renamed: BTreeMap<Node, SteamId>,
    addresses: BTreeMap<SocketAddr, Node>,
    links: BTreeMap<(Node, Node), Link>,
    cuts: BTreeSet<(Node, Node)>,
    overheard: Option<Vec<Overheard>>,
    transcript: DefaultHasher,
    out: TransmitBuf,
}

impl World {
    /// An empty world of which everything follows from `seed`.
    pub fn new(seed: u64) -> World {
        World {
            seed,
            now: Instant::from_nanos(1_000_000_000),
            dice: Dice::new(seed),
            hosts: Vec::new(),
            turns: Vec::new(),
            weather: Direction { lag: LAG, ..Direction::default() },
            damage: 0.0,
            restless: false,
            signal_weather: None,
            signals: BTreeMap::new(),
            signals_heard: 0,
            renamed: BTreeMap::new(),
            addresses: BTreeMap::new(),
            links: BTreeMap::new(),
            cuts: BTreeSet::new(),
            overheard: None,
            transcript: DefaultHasher::new(),
            out: TransmitBuf::new(1),
        }
    }

    /// A new endpoint. No two share an address; several may share a steam id.
    pub fn add(&mut self, steam_id: u64) -> Node {
        self.add_with(steam_id, |_| ())
    }

    /// A new endpoint whose configuration `tweak` has changed from the world's: an address of its own
    /// that is not loopback, and peers without a certificate welcome.
    pub fn add_with(&mut self, steam_id: u64, tweak: impl FnOnce(&mut Config)) -> Node {
        let node = Node(self.hosts.len());
        let address = nth_address(10, node.0);
        let mut config = Config {
            steam_id: SteamId(steam_id),
            app_id: AppId(480),
            bind: vec![address],
            settings: Settings { allow_without_auth: true, ..Settings::default() },
            ..Config::new()
        };
        tweak(&mut config);
        let address = config.bind[0];
        self.hosts.push(Host {
            config,
            address,
            machine: None,
            accepts: false,
            keeps_events: false,
            events: Vec::new(),
            lives: 0,
            moves: 0,
            max_segments: if self.dice.percent(50.0) { 1 } else { 16 },
            touched: false,
            wake: None,
            transmits_now: 0,
            wakings_now: 0,
        });
        assert!(self.addresses.insert(address, node).is_none(), "two endpoints at {address}");
        self.start(node);
        node
    }

    /// A new TURN server for datagrams, which lets this user in; its addresses are on a network of their own.
    /// [`World::turn`] is its switchboard: users, an end, a restart.
    pub fn add_turn(&mut self, username: &str, password: &str) -> Node {
        let node = Node(FIRST_TURN + self.turns.len());
        let mut turn = Turn::new(SocketAddr::new(nth_address(203, self.turns.len()).ip(), 3478), false);
        turn.add_user(username, password);
        self.turns.push(turn);
        node
    }

    /// A TURN server.
    pub fn turn(&mut self, node: Node) -> &mut Turn {
        let index = node.turn().expect("it is a TURN server");
        &mut self.turns[index]
    }

    /// Ends an endpoint without a word, as a power cut does.
    pub fn kill(&mut self, node: Node) {
        let host = &mut self.hosts[node.0];
        host.machine = None;
        host.wake = None;
    }

    /// Starts a killed endpoint afresh: same steam id, configuration and address, nothing remembered.
    pub fn start(&mut self, node: Node) {
        let host = &mut self.hosts[node.0];
        assert!(host.machine.is_none(), "{node:?} is alive");
        host.lives += 1;
        let seed = self.seed_of(node);
        let host = &mut self.hosts[node.0];
        let machine = Endpoint::new(host.config.clone(), seed, 3, self.now);
        host.machine = Some(machine.expect("the world's configuration is valid"));
        host.touched = true;
    }

    /// From which an endpoint draws all its secrets, in the life it has now.
    pub fn seed_of(&self, node: Node) -> [u8; 32] {
        let mut dice = Dice::new(self.seed ^ (node.0 as u64 + 1) << 20 ^ self.hosts[node.0].lives << 52);
        let mut seed = [0; 32];
        seed.chunks_exact_mut(8).for_each(|eight| eight.copy_from_slice(&dice.number().to_le_bytes()));
        seed
    }

    /// Gives an endpoint another address, as a NAT does that lost its binding. The endpoint does not
    /// notice; what is under way to the old address is lost.
    pub fn rebind(&mut self, node: Node) -> SocketAddr {
        let host = &mut self.hosts[node.0];
        host.moves += 1;
        let address = nth_address(10 + host.moves, node.0);
        self.addresses.remove(&host.address);
        self.addresses.insert(address, node);
        host.address = address;
        for ((_, to), link) in &mut self.links {
            if *to == node {
                *link = Link::new(link.settings().clone(), self.dice.number());
            }
        }
        address
    }

    /// Makes a link, one way.
    pub fn set_link(&mut self, from: Node, to: Node, settings: Direction) {
        self.link(from, to).set(settings);
    }

    /// Nothing passes between these two any more.
    pub fn cut(&mut self, a: Node, b: Node) {
        self.cuts.extend([(a, b), (b, a)]);
    }

    /// Everything passes between these two again.
    pub fn heal(&mut self, a: Node, b: Node) {
        self.cuts.remove(&(a, b));
        self.cuts.remove(&(b, a));
    }

    /// Keeps a copy of everything sent from now on.
    pub fn listen(&mut self) {
        self.overheard = Some(Vec::new());
    }

    /// What was sent since [`World::listen`]; goes on listening.
    pub fn take_overheard(&mut self) -> Vec<Overheard> {
        self.settle();
        std::mem::take(self.overheard.as_mut().expect("listen first"))
    }

    /// Puts a datagram before an endpoint, with whatever source one likes.
    pub fn inject(&mut self, to: Node, source: SocketAddr, bytes: &[u8]) {
        let now = self.now;
        let mut bytes = bytes.to_vec();
        let host = &mut self.hosts[to.0];
        let machine = host.machine.as_mut().expect("it is alive");
        machine.handle_datagram(now, Datagram { remote: source, bytes: &mut bytes });
        host.touched = true;
        self.settle();
    }

    /// Sends a datagram from an endpoint's address that the endpoint knows nothing of.
    pub fn post(&mut self, from: Node, to: SocketAddr, bytes: &[u8]) {
        let source = self.hosts[from.0].address;
        self.send_datagram(from, source, to, bytes);
    }

    pub fn seed(&self) -> u64 {
        self.seed
    }

    pub(crate) fn host(&mut self, node: Node) -> &mut Host {
        &mut self.hosts[node.0]
    }

    /// An address nobody has.
    pub fn nowhere(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::new(10, 255, 255, 1), 9))
    }

    /// One number for all that was sent and all that was told so far.
    pub fn transcript(&self) -> u64 {
        self.transcript.finish()
    }

    /// Lets time pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.step(end) {}
    }

    /// Lets time pass until `done` or for `span`; says whether it was done.
    pub fn run_until(&mut self, span: Duration, mut done: impl FnMut(&mut World) -> bool) -> bool {
        let end = self.now + span;
        loop {
            self.settle();
            if done(self) {
                return true;
            }
            if !self.step(end) {
                return done(self);
            }
        }
    }

    /// Does everything due next, at or before `end`; false when nothing is and time stands at `end`.
    fn step(&mut self, end: Instant) -> bool {
        self.settle();
        let mut next = self.next_due();
        if self.restless {
            next = self.disturb(next);
        }
        let Some(next) = next.filter(|next| *next <= end) else {
            self.pass_to(end);
            return false;
        };
        self.pass_to(next);
        self.deliver();
        self.wake();
        self.settle();
        true
    }

    fn next_due(&self) -> Option<Instant> {
        let wakes = self.hosts.iter().filter_map(|host| host.wake).map(|wake| wake.at);
        let arrivals = self.links.values().chain(self.signals.values()).filter_map(Link::poll_timeout);
        let turns = self.turns.iter().filter_map(Turn::poll_timeout);
        wakes.chain(arrivals).chain(turns).min()
    }

    /// Wakes come late, and calls come that nobody asked for.
    fn disturb(&mut self, next: Option<Instant>) -> Option<Instant> {
        let late = Duration::from_micros(self.dice.below(3_000));
        let victim = self.dice.below(self.hosts.len() as u64) as usize;
        let call = self.dice.below(4);
        let (now, host) = (self.now, &mut self.hosts[victim]);
        if let Some(machine) = &mut host.machine {
            match call {
                0 => machine.handle_timeout(now),
                1 => machine.handle_reads(now),
                2 => assert_eq!(machine.poll_timeout(), machine.poll_timeout(), "asking changes nothing"),
                // Asked for datagrams, below.
                _ => {}
            }
            host.touched = true;
            self.settle();
        }
        next.map(|next| next.max(self.now) + late)
    }

    fn pass_to(&mut self, time: Instant) {
        if time > self.now {
            self.now = time;
            for host in &mut self.hosts {
                host.transmits_now = 0;
                host.wakings_now = 0;
            }
        }
    }

    fn deliver(&mut self) {
        for ((from, to), link) in &mut self.signals {
            while let Some((_, mut bytes)) = link.poll(self.now) {
                let from = self.renamed.get(from).copied().unwrap_or(self.hosts[from.0].config.steam_id);
                let host = &mut self.hosts[to.0];
                if let Some(machine) = &mut host.machine {
                    machine.handle_signal(self.now, from, &mut bytes);
                    host.touched = true;
                }
                link.recycle(bytes);
            }
        }
        for ((_, to), link) in &mut self.links {
            while let Some((source, mut bytes)) = link.poll(self.now) {
                if let Some(turn) = to.turn() {
                    let port = bytes.split_off(bytes.len() - 2);
                    let turn = &mut self.turns[turn];
                    let target = SocketAddr::new(turn.address().ip(), u16::from_be_bytes([port[0], port[1]]));
                    turn.handle(self.now, source, target, &bytes);
                    link.recycle(bytes);
                    continue;
                }
                let host = &mut self.hosts[to.0];
                if let Some(machine) = &mut host.machine {
                    machine.handle_datagram(self.now, Datagram { remote: source, bytes: &mut bytes });
                    host.touched = true;
                }
                link.recycle(bytes);
            }
        }
    }

    fn wake(&mut self) {
        for (index, host) in self.hosts.iter_mut().enumerate() {
            let Some(wake) = host.wake.filter(|wake| wake.at <= self.now) else {
                continue;
            };
            host.wakings_now += 1;
            assert!(host.wakings_now <= MOST_WAKINGS, "endpoint {index} spins: woken again and again for {wake:?}");
            if let Some(machine) = &mut host.machine {
                machine.handle_timeout(self.now);
                host.touched = true;
            }
        }
        for turn in self.turns.iter_mut().filter(|turn| turn.poll_timeout().is_some_and(|at| at <= self.now)) {
            turn.handle_timeout(self.now);
        }
    }

    /// Lets every endpoint something happened to send all it wants, tell its events, and set its alarm.
    pub(crate) fn settle(&mut self) {
        for index in 0..self.hosts.len() {
            while std::mem::take(&mut self.hosts[index].touched) {
                self.settle_one(Node(index));
            }
        }
        for index in 0..self.turns.len() {
            while let Some((source, to, bytes)) = self.turns[index].poll_transmit(self.now) {
                self.send_datagram(Node(FIRST_TURN + index), source, to, &bytes);
            }
        }
    }

    fn settle_one(&mut self, node: Node) {
        let now = self.now;
        // Taken out for the while, so that the rest of the world can be changed beside it.
        let Some(mut machine) = self.hosts[node.0].machine.take() else {
            return;
        };
        machine.handle_reads(now);
        let mut out = std::mem::replace(&mut self.out, TransmitBuf { bytes: Vec::new(), max_segments: 1 });
        out.max_segments = self.hosts[node.0].max_segments;
        while let Some(transmit) = machine.poll_transmit(now, &mut out) {
            let host = &mut self.hosts[node.0];
            host.transmits_now += 1;
            assert!(host.transmits_now <= MOST_TRANSMITS, "{node:?} spins: it never stops sending");
            assert!(!out.bytes.is_empty() && transmit.segment_size > 0, "a transmit has bytes");
            let segments = out.bytes.len().div_ceil(transmit.segment_size);
            assert!(segments <= out.max_segments, "{segments} segments where {} were asked for", out.max_segments);
            for bytes in out.bytes.chunks(transmit.segment_size) {
                let source = self.hosts[node.0].address;
                self.send_datagram(node, source, transmit.remote, bytes);
            }
        }
        self.out = out;
        while let Some((to, bytes)) = machine.poll_signal() {
            self.send_signal(node, to, &bytes);
        }
        let host = &mut self.hosts[node.0];
        while let Some(event) = if host.keeps_events { None } else { machine.poll_event() } {
            (now, node, format!("{event:?}")).hash(&mut self.transcript);
            if let (true, Event::SessionRequest { from }) = (host.accepts, &event) {
                machine.accept(now, *from);
                host.touched = true;
            }
            host.events.push((now, event));
        }
        host.wake = machine.poll_timeout();
        host.machine = Some(machine);
    }

    fn send_datagram(&mut self, from: Node, source: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let now = self.now;
        (now, from, to, bytes).hash(&mut self.transcript);
        if let Some(overheard) = &mut self.overheard {
            overheard.push(Overheard { at: now, from, source, to, bytes: bytes.to_vec() });
        }
        let Some(target) = self.node_at(to) else { return };
        if bytes.len() > MTU || self.cuts.contains(&(from, target)) {
            return;
        }
        let mut bytes = Cow::Borrowed(bytes);
        if self.dice.percent(self.damage) {
            bytes = Cow::Owned(damaged(&mut self.dice, &bytes));
        }
        if target.turn().is_some() {
            // Many addresses are one node; a link only tells the source.
            bytes.to_mut().extend(to.port().to_be_bytes());
        }
        self.link(from, target).push(now, source, &bytes);
    }

    fn node_at(&self, address: SocketAddr) -> Option<Node> {
        let turn = || self.turns.iter().position(|turn| turn.owns(address)).map(|index| Node(FIRST_TURN + index));
        self.addresses.get(&address).copied().or_else(turn)
    }

    fn send_signal(&mut self, from: Node, to: SteamId, bytes: &[u8]) {
        let (now, source) = (self.now, self.hosts[from.0].address);
        (now, from, to.0, bytes).hash(&mut self.transcript);
        self.signals_heard += 1;
        let weather = self.signal_weather.clone().expect("nobody carries signals in this world");
        let seed = self.seed ^ (from.0 as u64) << 40;
        let is_called = |n: &Node| self.hosts[n.0].config.steam_id == to || self.renamed.get(n) == Some(&to);
        let targets: Vec<Node> = (0..self.hosts.len()).map(Node).filter(is_called).collect();
        for target in targets {
            let new = || Link::new(weather.clone(), Dice::new(seed ^ target.0 as u64).number());
            self.signals.entry((from, target)).or_insert_with(new).push(now, source, bytes);
        }
    }

    /// From now on somebody carries the signals of everybody, with this weather.
    pub fn carry_signals(&mut self, weather: Direction) {
        self.signal_weather = Some(weather);
        for index in 0..self.hosts.len() {
            self.set_carrier(Node(index), Carrier::Online);
        }
    }

    /// Counts signals from now on.
    pub fn listen_to_signals(&mut self) {
        self.signals_heard = 0;
    }

    /// Signals sent since.
    pub fn signals_heard(&self) -> usize {
        self.signals_heard
    }

    /// The carrier says that what `node` sends is of somebody else.
    pub fn rename_signals_of(&mut self, node: Node, as_of: SteamId) {
        self.renamed.insert(node, as_of);
    }

    /// Says to one endpoint whether somebody carries its signals.
    pub fn set_carrier(&mut self, node: Node, carrier: Carrier) {
        let (now, host) = (self.now, &mut self.hosts[node.0]);
        host.machine.as_mut().expect("it is alive").set_signaling(now, carrier);
        host.touched = true;
        self.settle();
    }

    fn link(&mut self, from: Node, to: Node) -> &mut Link {
        let seed = self.seed ^ ((from.0 as u64) << 32 | to.0 as u64) << 8;
        self.links.entry((from, to)).or_insert_with(|| Link::new(self.weather.clone(), Dice::new(seed).number()))
    }
}

/// A copy with a bit flipped, cut short, or made longer.
pub fn damaged(dice: &mut Dice, bytes: &[u8]) -> Vec<u8> {
    let mut copy = bytes.to_vec();
    match dice.below(4) {
        0 => copy.truncate(dice.below(bytes.len() as u64) as usize),
        1 => copy.extend((0..=dice.below(40)).map(|n| n as u8)),
        _ => {
            let bit = dice.below(copy.len() as u64 * 8) as usize;
            copy[bit / 8] ^= 1 << (bit % 8);
        }
    }
    copy
}

/// The `n`th address of the network `net`.0.0.0.
pub fn nth_address(net: u8, n: usize) -> SocketAddr {
    let n = n as u32 + 1;
    SocketAddr::from((Ipv4Addr::from(u32::from(net) << 24 | ((n / 250) << 8) | (n % 250 + 1)), 5_000))
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let seconds = self.now.as_micros() as f64 / 1e6;
            eprintln!("this world had seed {} and stood at {seconds:.6} s (it starts at 1 s)", self.seed);
        }
    }
}
