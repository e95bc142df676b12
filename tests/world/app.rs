//! What the app on an endpoint does: send, receive, accept, close, ask, and wait for the world.

use crate::sim::{LAG, Node, World};
use std::net::SocketAddr;
use steamnetmsg::endpoint::events::Event;
use steamnetmsg::endpoint::lanes::{Outgoing, charge};
use steamnetmsg::endpoint::mailbox::Message;
use steamnetmsg::endpoint::{Endpoint, SendError, SessionInfo, SessionStatus, flags};
use steamnetmsg::ids::{Channel, SteamId};
use steamnetmsg::time::{Duration, Instant};

/// Steam's connection states, as the info tells them.
pub const NONE: i32 = 0;
pub const CONNECTING: i32 = 1;
pub const CONNECTED: i32 = 3;
pub const CLOSED_BY_PEER: i32 = 4;
pub const PROBLEM_LOCALLY: i32 = 5;

/// End reasons.
pub const END_CLOSED: i32 = 1001;
pub const END_TIMEOUT: i32 = 5003;

/// The channel of the message that brings a session up, so that the channels of the tests are untouched.
pub const GREETING: i32 = 424_242;

pub const RELIABLE: i32 = flags::RELIABLE;
pub const UNRELIABLE: i32 = 0;

pub const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

impl World {
    /// Two endpoints that know each other's address. Neither accepts by itself.
    pub fn pair(&mut self) -> (Node, Node) {
        let (a, b) = (self.add(1_001), self.add(1_002));
        self.introduce(a, b);
        (a, b)
    }

    /// Two endpoints with a session that stands and has nothing on its way; the first one asked.
    pub fn connected_pair(&mut self) -> (Node, Node) {
        let (a, b) = self.pair();
        self.connect(a, b);
        (a, b)
    }

    /// Tells two endpoints each other's address.
    pub fn introduce(&mut self, a: Node, b: Node) {
        self.tell_address(a, b, self.address(b));
        self.tell_address(b, a, self.address(a));
    }

    /// Tells `at` an address of `about`.
    pub fn tell_address(&mut self, at: Node, about: Node, address: SocketAddr) {
        let (now, id) = (self.now, self.id(about));
        self.machine(at).add_peer_address(now, id, address).expect("a few addresses always fit");
    }

    /// Brings a session up, lets everything settle, and forgets the events that took.
    pub fn connect(&mut self, a: Node, b: Node) {
        let accepted = std::mem::replace(&mut self.host(b).accepts, true);
        self.send(a, b, GREETING, RELIABLE, b"hello").expect("the first message is queued");
        let mut heard = Vec::new();
        self.wait("the first message arrives", secs(20), |w| {
            heard.extend(w.receive(b, GREETING));
            !heard.is_empty()
        });
        assert_eq!(&*heard[0].payload, b"hello");
        self.wait("both are connected and all is acknowledged", secs(20), |w| {
            let status = w.status(a, b);
            w.state(a, b) == CONNECTED
                && w.state(b, a) == CONNECTED
                && status.pending_reliable + status.send_unacknowledged_reliable == 0
        });
        self.run(LAG * 20);
        self.host(b).accepts = accepted;
        self.host(a).events.clear();
        self.host(b).events.clear();
    }

    /// Lets time pass until `done`; fails when it is not after `span`.
    pub fn wait(&mut self, what: &str, span: Duration, done: impl FnMut(&mut World) -> bool) {
        assert!(self.run_until(span, done), "within {span:?} should have come true: {what}");
    }

    pub fn send(&mut self, from: Node, to: Node, channel: i32, flags: i32, bytes: &[u8]) -> Result<(), SendError> {
        self.send_to_id(from, self.id(to), channel, flags, bytes)
    }

    /// For those who are no endpoint of this world.
    pub fn send_to_id(
        &mut self,
        from: Node,
        to: SteamId,
        channel: i32,
        flags: i32,
        bytes: &[u8],
    ) -> Result<(), SendError> {
        let (now, channel, payload) = (self.now, Channel(channel), Box::<[u8]>::from(bytes));
        let lane = self.restless && flags == RELIABLE && self.dice.percent(50.0);
        let machine = self.machine(from);
        match machine.peers().cell(to).filter(|cell| lane && cell.is_open()) {
            Some(cell) if cell.reserve(charge(payload.len())) => {
                machine.take_outgoing(now, Outgoing { to, cell, channel, flags, payload });
                Ok(())
            }
            Some(_) => Err(SendError::LimitExceeded("the lane is full")),
            None => machine.send(now, to, payload, flags, channel),
        }
    }

    /// Takes everything that waits on a channel.
    pub fn receive(&mut self, at: Node, channel: i32) -> Vec<Message> {
        self.receive_some(at, channel, usize::MAX)
    }

    /// Takes up to `max` messages that wait on a channel.
    pub fn receive_some(&mut self, at: Node, channel: i32, max: usize) -> Vec<Message> {
        let mut out = Vec::new();
        let taken = self.machine(at).mailbox().take(Channel(channel), max, &mut out);
        assert_eq!(taken, out.len());
        out
    }

    pub fn accept(&mut self, at: Node, peer: Node) -> bool {
        let (now, peer) = (self.now, self.id(peer));
        self.machine(at).accept(now, peer)
    }

    /// Accepts every request from here on as it comes.
    pub fn accept_all(&mut self, at: Node) {
        self.host(at).accepts = true;
    }

    pub fn close(&mut self, at: Node, peer: Node) -> bool {
        let (now, peer) = (self.now, self.id(peer));
        self.machine(at).close_session(now, peer)
    }

    pub fn close_channel(&mut self, at: Node, peer: Node, channel: i32) -> bool {
        let (now, peer) = (self.now, self.id(peer));
        self.machine(at).close_channel(now, peer, Channel(channel))
    }

    pub fn info(&mut self, at: Node, about: Node) -> SessionInfo {
        let (now, about) = (self.now, self.id(about));
        self.machine(at).session_info(now, about).0
    }

    pub fn status(&mut self, at: Node, about: Node) -> SessionStatus {
        let (now, about) = (self.now, self.id(about));
        self.machine(at).session_info(now, about).1
    }

    pub fn state(&mut self, at: Node, about: Node) -> i32 {
        self.info(at, about).state
    }

    /// When `at` was told that `from` wants to talk.
    pub fn requests(&mut self, at: Node, from: Node) -> Vec<Instant> {
        self.settle();
        let from = self.id(from);
        let events = self.host(at).events.iter();
        events.filter(|(_, event)| *event == Event::SessionRequest { from }).map(|(when, _)| *when).collect()
    }

    /// When `at` was told that a session with `peer` failed, in which state and why.
    pub fn failures(&mut self, at: Node, peer: Node) -> Vec<(Instant, i32, i32)> {
        self.settle();
        let with = self.id(peer);
        let failure = |(when, event): &(Instant, Event)| match event {
            Event::SessionFailed { peer, reason, state, .. } if *peer == with => Some((*when, *state, *reason)),
            _ => None,
        };
        self.host(at).events.iter().filter_map(failure).collect()
    }

    /// Fails if `at` was told anything.
    pub fn assert_no_events(&mut self, at: Node) {
        self.settle();
        assert_eq!(self.host(at).events, [], "{at:?} should not have been told anything");
    }

    pub fn now(&self) -> Instant {
        self.now
    }

    pub fn address(&self, node: Node) -> SocketAddr {
        self.hosts[node.index()].address
    }

    pub fn id(&self, node: Node) -> SteamId {
        self.hosts[node.index()].config.steam_id
    }

    pub fn machine(&mut self, node: Node) -> &mut Endpoint {
        let host = self.host(node);
        host.touched = true;
        host.machine.as_mut().expect("it is alive")
    }
}
