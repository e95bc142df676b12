//! Who we are: all sessions of one steam id behind one wall.
//!
//! Decides which session a call or a datagram belongs to, who may enter, and what the app is told. The
//! six calls are here ([`Endpoint::send`] and its neighbours), datagrams come in by `incoming.rs`, sessions
//! come and go in `table.rs`, and `tuning.rs` changes what they run with. Every limit of an endpoint stands beside the table it bounds.

mod account;
mod agenda;
pub mod config;
pub mod events;
mod explain;
pub mod faults;
mod incoming;
pub mod lanes;
mod loopback;
pub mod mailbox;
mod past;
pub mod relays;
pub mod servers;
pub mod signals;
mod strangers;
mod table;
mod tuning;

use crate::crypto::cookie::ResetKey;
use crate::crypto::identity::{Identity, Seed};
use crate::crypto::noise::StaticKey;
use crate::crypto::random::Random;
use crate::drops::{DropCounts, Dropped};
use crate::ids::{Channel, ConnectionId, SteamId};
use crate::machine::{Datagram, Machine, Transmit, TransmitBuf};
use crate::path::reach::Reach;
use crate::path::route::Route;
use crate::session::Session;
use crate::session::farewell::Farewell;
use crate::session::local::Local;
use crate::session::reason;
use crate::session::trust::Trust;
use crate::time::{Deadline, Duration, Instant, Why};
use crate::transport::Delivery;
use agenda::{Agenda, Task};
use config::{Config, ConfigError, PeerOverrides};
use events::{Event, Events};
use faults::Link;
use lanes::{Outgoing, PeerTable, charge};
use loopback::Loopback;
use mailbox::{Mailbox, SessionKey};
use past::{Opened, Overtaken, Past};
use relays::Relays;
use signals::Signals;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use strangers::Strangers;
use table::Slot;

pub use account::Login;
pub use explain::{SessionInfo, SessionStatus};

/// Send flags, the numbers of Steam's header.
pub mod flags {
    /// Ends the Nagle wait of everything queued for the peer.
    pub const NO_NAGLE: i32 = 1;
    /// Send now or not at all (unreliable only).
    pub const NO_DELAY: i32 = 4;
    /// Exactly once, in order within the channel.
    pub const RELIABLE: i32 = 8;
    /// Starts a failed session afresh.
    pub const AUTO_RESTART: i32 = 32;
}

/// Why a message was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The session is broken and the message does not ask to restart it.
    #[error("the session with this user is broken: close it, or send with AUTO_RESTART_BROKEN_SESSION")]
    NoConnection,
    /// Steam id 0, or larger than a message may be.
    #[error("{0}")]
    InvalidParam(&'static str),
    /// The send buffer, or another table, is full.
    #[error("{0}")]
    LimitExceeded(&'static str),
    /// NO_DELAY, and it could not leave at once.
    #[error("NO_DELAY: the message could not leave at once and was dropped")]
    Ignored,
}

/// Largest message, bytes, as in Steam's header.
pub const MAX_MESSAGE_SIZE: usize = 524_288;

/// NO_DELAY drops a message that would wait longer than this.
pub const NO_DELAY_LIMIT: Duration = Duration::from_millis(200);

/// Peers with addresses or settings of their own.
const MAX_KNOWN_PEERS: usize = 65_536;

/// Addresses of one peer.
const MAX_ADDRESSES: usize = 16;

/// Channels with a priority of their own.
const MAX_PRIORITIES: usize = 4_096;

/// Stateless answers that wait to be sent; more are dropped, their askers ask again.
const MAX_REPLIES: usize = 512;

/// One local identity and all its sessions. The state machine behind the wall.
pub struct Endpoint {
    config: Config,
    overrides: BTreeMap<SteamId, PeerOverrides>,
    book: BTreeMap<SteamId, Vec<SocketAddr>>,
    priorities: BTreeMap<Channel, i32>,
    local: Local,
    random: Random,
    drops: DropCounts,
    mailbox: Arc<Mailbox>,
    peers: Arc<PeerTable>,
    events: Events,
    past: Past,
    opened: Opened,
    overtaken: Overtaken,
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    by_peer: BTreeMap<SteamId, usize>,
    by_key: BTreeMap<SessionKey, usize>,
    routes: BTreeMap<ConnectionId, usize>,
    resets: BTreeMap<[u8; 16], usize>,
    farewells: BTreeMap<ConnectionId, Farewell>,
    strangers: Strangers,
    loopback: Option<Loopback>,
    agenda: Agenda,
    replies: VecDeque<(Route, Vec<u8>)>,
    signals: Signals,
    relays: Relays,
    reset_budget: ResetBudget,
    next_key: u64,
    fault_send: Option<Box<Link>>,
    fault_recv: Option<Box<Link>>,
    fault_seed: u64,
    account: account::Account,
    /// What one visit of a session delivers, on its way to the mailbox.
    deliveries: Vec<Delivery>,
}

/// Resets answer strangers' packets; so many a second at most.
#[derive(Debug)]
struct ResetBudget {
    left: u32,
    refilled_at: Instant,
}

impl ResetBudget {
    const PER_SECOND: u32 = 100;

    fn take(&mut self, now: Instant) -> bool {
        if now.saturating_since(self.refilled_at) >= Duration::from_secs(1) {
            self.refilled_at = now;
            self.left = ResetBudget::PER_SECOND;
        }
        let granted = self.left > 0;
        self.left = self.left.saturating_sub(1);
        granted
    }
}

impl Endpoint {
    /// An endpoint with `config`, every secret drawn from `seed`. `aead_support` says which ciphers the
    /// machine has in hardware (`crypto::packet::aead_support`).
    ///
    /// # Errors
    /// The key whose value is missing or contradicts another.
    pub fn new(config: Config, seed: [u8; 32], aead_support: u8, now: Instant) -> Result<Endpoint, ConfigError> {
        config.validate()?;
        let mut random = Random::from_seed(seed);
        let identity_seed = config.identity_seed.clone().unwrap_or_else(|| Seed::new(random.bytes()));
        let identity = Identity::from_seed(identity_seed.bytes());
        let static_key = StaticKey::generate(&mut random);
        let binding = identity.sign_binding(config.app_id, config.steam_id, static_key.public(), 0);
        let local = Local {
            steam_id: config.steam_id,
            app_id: config.app_id,
            identity,
            static_key,
            binding,
            reset_key: ResetKey::from_seed(identity_seed.bytes()),
            trust: Trust::default(),
            reach: Reach::default(),
            aead_support,
        };
        let strangers = Strangers::new(&local, &mut random);
        let fault_seed = match config.faults.seed {
            0 => random.next_u64(),
            seed => seed,
        };
        let mut endpoint = Endpoint {
            config,
            overrides: BTreeMap::new(),
            book: BTreeMap::new(),
            priorities: BTreeMap::new(),
            local,
            random,
            drops: DropCounts::default(),
            mailbox: Arc::default(),
            peers: Arc::default(),
            events: Events::default(),
            past: Past::default(),
            opened: Opened::default(),
            overtaken: Overtaken::default(),
            slots: Vec::new(),
            free: Vec::new(),
            by_peer: BTreeMap::new(),
            by_key: BTreeMap::new(),
            routes: BTreeMap::new(),
            resets: BTreeMap::new(),
            farewells: BTreeMap::new(),
            strangers,
            loopback: None,
            agenda: Agenda::default(),
            replies: VecDeque::new(),
            signals: Signals::default(),
            relays: Relays::default(),
            reset_budget: ResetBudget { left: ResetBudget::PER_SECOND, refilled_at: now },
            next_key: 0,
            fault_send: None,
            fault_recv: None,
            fault_seed,
            account: account::Account::default(),
            deliveries: Vec::new(),
        };
        endpoint.apply_trust(now);
        endpoint.apply_faults();
        Ok(endpoint)
    }

    /// Received messages wait here for the app.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// The cells the fast lane of sending looks at.
    pub fn peers(&self) -> &Arc<PeerTable> {
        &self.peers
    }

    /// The configuration as it stands.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Our Ed25519 public key.
    pub fn public_key(&self) -> [u8; 32] {
        self.local.identity.public_key()
    }

    /// What was dropped so far, by reason.
    pub fn drops(&self) -> &DropCounts {
        &self.drops
    }

    /// Sends one message; see the C header for every rule.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send(
        &mut self,
        now: Instant,
        to: SteamId,
        payload: Box<[u8]>,
        send_flags: i32,
        channel: Channel,
    ) -> Result<(), SendError> {
        if to.0 == 0 {
            return Err(SendError::InvalidParam("steam id 0 is nobody"));
        }
        if payload.len() > MAX_MESSAGE_SIZE {
            return Err(SendError::InvalidParam("a message has at most 524288 bytes"));
        }
        if to == self.local.steam_id {
            return self.send_to_ourselves(now, payload, send_flags, channel);
        }
        let no_delay = send_flags & flags::NO_DELAY != 0 && send_flags & flags::RELIABLE == 0;
        let slot = self.sendable_slot(now, to, send_flags, no_delay, payload.len())?;
        let Some(session) = self.session_mut(slot) else {
            return Err(SendError::NoConnection);
        };
        if !session.has_room_for(channel) {
            return Err(SendError::LimitExceeded("a session carries at most 4096 channels"));
        }
        let cell = session.cell().clone();
        // Known since the handshake, before the peer's yes.
        let most = cell.max_message();
        if most != 0 && most < payload.len() as u64 {
            return Err(SendError::InvalidParam("the peer takes no message of this size (its RECV_MAX_MESSAGE_SIZE)"));
        }
        let waits = session.transport().is_some_and(|t| t.queue_delay() > NO_DELAY_LIMIT);
        if no_delay && (!session.is_connected() || waits) {
            return Err(SendError::Ignored);
        }
        if !cell.reserve(charge(payload.len())) {
            return Err(SendError::LimitExceeded("the send buffer of this session is full (SEND_BUFFER_SIZE)"));
        }
        self.push(now, slot, payload, send_flags, channel);
        Ok(())
    }

    /// Takes a message from the fast lane; its room is already reserved in the peer's cell.
    pub fn take_outgoing(&mut self, now: Instant, message: Outgoing) {
        let Outgoing { to, cell, channel, flags: send_flags, payload } = message;
        let slot = self.by_peer.get(&to).copied();
        let same = slot.filter(|s| self.session(*s).is_some_and(|session| Arc::ptr_eq(session.cell(), &cell)));
        match same {
            // It found room for one more channel before it took the lane.
            Some(slot) if self.session(slot).is_some_and(Session::is_connected) => {
                self.queue(now, slot, payload, send_flags, channel);
                self.agenda.push_ready(Task::Session(slot));
            }
            _ => {
                cell.release(charge(payload.len()));
                // A session that failed meanwhile has taken the message with it: the app is told by the event, or
                // by its next send. Otherwise it is as if it had been sent just after.
                let failed = slot.and_then(|s| self.session(s)).is_some_and(|s| s.ending().is_some());
                if failed || self.send(now, to, payload, send_flags, channel).is_err() {
                    self.drops.add(Dropped::SessionGone);
                }
            }
        }
    }

    fn push(&mut self, now: Instant, slot: usize, payload: Box<[u8]>, send_flags: i32, channel: Channel) {
        self.queue(now, slot, payload, send_flags, channel);
        self.touch(now, slot);
    }

    fn queue(&mut self, now: Instant, slot: usize, payload: Box<[u8]>, send_flags: i32, channel: Channel) {
        let priority = self.priorities.get(&channel).copied().unwrap_or(0);
        if let Some(session) = self.session_mut(slot) {
            let no_nagle = send_flags & (flags::NO_NAGLE | flags::NO_DELAY) != 0;
            session.push(now, channel, send_flags & flags::RELIABLE != 0, no_nagle, payload, priority);
        }
    }

    /// The slot of a session that takes a message for `to`: the live one, or one that begins now.
    fn sendable_slot(
        &mut self,
        now: Instant,
        to: SteamId,
        send_flags: i32,
        no_delay: bool,
        size: usize,
    ) -> Result<usize, SendError> {
        let mut failed = None;
        if let Some(slot) = self.by_peer.get(&to).copied()
            && let Some(session) = self.session(slot)
        {
            if session.is_pending() {
                self.accept(now, to);
                return Ok(slot);
            }
            if session.ending().is_none() {
                return Ok(slot);
            }
            if send_flags & flags::AUTO_RESTART == 0 {
                if session.fails_once() {
                    self.remove(slot);
                }
                return Err(SendError::NoConnection);
            }
            failed = Some(slot);
        }
        if no_delay {
            return Err(SendError::Ignored);
        }
        let settings = self.settings_for(to);
        if charge(size) > settings.send_buffer_size.into() {
            return Err(SendError::LimitExceeded("the message is larger than SEND_BUFFER_SIZE"));
        }
        // Only now: what starts nothing wipes nothing.
        if let Some(slot) = failed {
            self.remove(slot);
        }
        Ok(self.open_session(now, to, settings))
    }

    fn send_to_ourselves(
        &mut self,
        now: Instant,
        payload: Box<[u8]>,
        send_flags: i32,
        channel: Channel,
    ) -> Result<(), SendError> {
        let me = self.local.steam_id;
        let settings = self.settings_for(me);
        let loopback = match &mut self.loopback {
            Some(loopback) => loopback,
            none => {
                self.next_key += 1;
                none.insert(Loopback::new(now, me, SessionKey(self.next_key)))
            }
        };
        loopback.send(now, &settings, &self.mailbox, payload, send_flags, channel)
    }

    /// Lets the app's reads (credits to the peers, idle timers) take effect. Call it once a turn.
    pub fn handle_reads(&mut self, now: Instant) {
        for (key, channel, reads) in self.mailbox.take_reads() {
            if let Some(loopback) = self.loopback.as_mut().filter(|l| l.key() == key) {
                loopback.renew(now);
            }
            if let Some(slot) = self.by_key.get(&key).copied() {
                if let Some(session) = self.session_mut(slot) {
                    session.handle_read(now, channel, reads.bytes, reads.messages);
                }
                self.touch(now, slot);
            }
        }
    }

    /// Accepts a pending request. False without a live session.
    pub fn accept(&mut self, now: Instant, peer: SteamId) -> bool {
        if peer == self.local.steam_id {
            return self.loopback.as_mut().map(|l| l.renew(now)).is_some();
        }
        let Some(slot) = self.by_peer.get(&peer).copied() else {
            return false;
        };
        if self.session(slot).is_none_or(|s| s.ending().is_some()) {
            return false;
        }
        self.events.withdraw_request(peer);
        self.with_context(now, slot, |session, ctx| session.accept(now, ctx));
        true
    }

    /// Ends the session. False without one.
    pub fn close_session(&mut self, now: Instant, peer: SteamId) -> bool {
        if peer == self.local.steam_id {
            return self.close_loopback();
        }
        let Some(slot) = self.by_peer.get(&peer).copied() else {
            return false;
        };
        self.mailbox.discard(peer, None);
        self.events.withdraw_request(peer);
        self.close_slot(now, slot);
        true
    }

    /// Ends one channel, and the session with the last. False when the channel is not open.
    pub fn close_channel(&mut self, now: Instant, peer: SteamId, channel: Channel) -> bool {
        let was_last = if peer == self.local.steam_id {
            self.loopback.as_mut().and_then(|l| l.close_channel(channel))
        } else {
            let slot = self.by_peer.get(&peer).copied();
            slot.and_then(|s| self.session_mut(s)).and_then(|s| s.close_channel(channel))
        };
        match was_last {
            None => false,
            Some(true) => self.close_session(now, peer),
            Some(false) => {
                self.mailbox.discard(peer, Some(channel));
                true
            }
        }
    }

    fn close_loopback(&mut self) -> bool {
        let me = self.local.steam_id;
        match self.loopback.take() {
            Some(loopback) => {
                self.mailbox.discard(me, None);
                self.mailbox.forget_session(loopback.key());
                true
            }
            None => false,
        }
    }

    /// Ends the Nagle wait. False without a session.
    pub fn flush(&mut self, now: Instant, peer: SteamId) -> bool {
        if peer == self.local.steam_id {
            return self.loopback.is_some();
        }
        let Some(slot) = self.by_peer.get(&peer).copied() else {
            return false;
        };
        match self.session_mut(slot) {
            Some(session) if session.ending().is_none() => session.flush(),
            _ => return false,
        }
        self.touch(now, slot);
        true
    }

    /// The socket refused a datagram to `remote` for good (host or network unreachable). Nobody is
    /// believed for that: the network may come back, and the session's own time-outs decide. It is told to who
    /// asks why nothing comes.
    pub fn handle_send_error(&mut self, now: Instant, remote: SocketAddr) {
        let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
        self.slots.iter_mut().flatten().for_each(|slot| slot.session.handle_send_error(now, remote));
    }

    /// The next event for the app.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.take()
    }

    /// How many events wait.
    pub fn events_waiting(&self) -> usize {
        self.events.len()
    }

    /// Closes every session and lets the peers know; drive the machine on until [`Endpoint::is_drained`].
    pub fn shutdown(&mut self, now: Instant) {
        for slot in 0..self.slots.len() {
            if let Some(session) = self.session_mut(slot) {
                session.close(now, reason::CLOSED, "The endpoint was destroyed");
                self.carry_on_farewell(now, slot);
                self.remove(slot);
            }
        }
        self.close_loopback();
    }

    /// Nothing is left to tell anybody.
    pub fn is_drained(&self) -> bool {
        self.farewells.values().all(Farewell::is_told)
            && self.replies.is_empty()
            && self.signals.is_empty()
            && self.fault_send.as_ref().is_none_or(|link| link.is_empty())
    }
}

impl Machine for Endpoint {
    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) {
        match &mut self.fault_recv {
            Some(link) if !(link.settings().is_clean() && link.is_empty()) => {
                if link.push(now, datagram.remote, datagram.bytes) == 0 {
                    self.drops.add(Dropped::Injected);
                }
                self.handle_delayed(now);
            }
            _ => self.handle_arrived(now, datagram),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.handle_delayed(now);
        self.handle_relay_timeout(now);
        // Each once: what only wants to send stays due until poll_transmit has come by.
        let due: Vec<Task> = std::iter::from_fn(|| self.agenda.take_due(now)).collect();
        for task in due {
            match task {
                Task::Session(slot) => self.handle_session_timeout(now, slot),
                Task::Farewell(id) => self.handle_farewell_timeout(now, id),
            }
        }
        let idle = self.loopback.as_ref().map(|l| l.idle_at(&self.config.settings));
        if idle.is_some_and(|at| at <= now)
            && let Some(loopback) = self.loopback.take()
        {
            self.mailbox.forget_session(loopback.key());
        }
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBuf) -> Option<Transmit> {
        let faulty = self.fault_send.as_ref().is_some_and(|l| !(l.settings().is_clean() && l.is_empty()));
        if !faulty {
            return self.poll_clean(now, out);
        }
        while let Some(transmit) = self.poll_clean(now, out) {
            let Some(link) = &mut self.fault_send else { break };
            for datagram in out.bytes.chunks(transmit.segment_size.max(1)) {
                if link.push(now, transmit.remote, datagram) == 0 {
                    self.drops.add(Dropped::Injected);
                }
            }
        }
        let link = self.fault_send.as_mut()?;
        let (remote, bytes) = link.poll(now)?;
        out.bytes.clear();
        out.bytes.extend_from_slice(&bytes);
        link.recycle(bytes);
        Some(Transmit { remote, segment_size: out.bytes.len() })
    }

    fn poll_timeout(&self) -> Option<Deadline> {
        let mut next = self.agenda.poll_timeout();
        if !self.replies.is_empty() {
            next = Some(Deadline::new(Instant::ZERO, Why::Transmit));
        }
        next = Deadline::earlier(next, self.relay_deadline());
        for link in [&self.fault_send, &self.fault_recv].into_iter().flatten() {
            next = Deadline::earlier(next, link.poll_timeout().map(|at| Deadline::new(at, Why::Fault)));
        }
        let idle = self.loopback.as_ref().map(|l| l.idle_at(&self.config.settings));
        Deadline::earlier(next, idle.map(|at| Deadline::new(at, Why::Session)))
    }
}
