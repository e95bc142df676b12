//! Our place on a TURN server: one allocation, its upkeep, and the way through it (RFC 8656).
//!
//! Decides when the server is asked for what, whether it is still there, and whom we may talk with
//! through it. Knows no session and no message; a datagram goes in and comes out as it is.
//!
//! - **Bindings only.** A channel binding is a permission too and takes one round trip, so there are no
//!   CreatePermission requests and no Send indications. What a peer sends from a port nobody is bound to
//!   comes as a Data indication and is taken.
//! - **The question whether the server is there is a Refresh.** A restarted server answers a Binding
//!   request and knows nothing of us; a Refresh it refuses. It is asked after seconds without a sign of
//!   life, repeated twice, and without an answer for two seconds the allocation counts as lost.
//! - **What a forger can do.** Nobody off the way from the server to us can guess a transaction id (96 bits).
//!   Who reads and writes on the way can answer unsigned with the right id, as in any STUN: end an attempt to
//!   allocate, or challenge (401, 438) until we take it for a refusal. That is what it could do by swallowing
//!   datagrams, and it learns from it no more than a hash of the password with a realm of its choice. It
//!   cannot make up an allocation, move its address or bind a peer: these need the server's signature.
//!   ChannelData and Data indications carry none: they are believed to be of the peer they name, whose
//!   packets are sealed, and to be a sign of life.
//! - **Same seed, same bytes.** Transaction ids are drawn from what is handed in.

mod explain;
mod framing;
mod login;
mod peers;
mod requests;
mod server;
mod stream;
mod stun;

pub use peers::{MAX_HELD, MAX_PEERS, WANTED_FOR};
pub use server::{RelayServer, Transport};
pub use stream::StreamNeed;

use crate::crypto::random::Random;
use crate::drops::Dropped;
use crate::time::{Deadline, Duration, Instant, Why};
use framing::{CHANNEL_HEADER, Kind, MAX_DATAGRAM};
use login::Login;
use peers::{Peers, Way};
use requests::{Request, Requests};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;
use stream::Stream;
use stun::{Answer, Arrival, Ask};

/// An attempt to get an allocation takes no longer, opening the stream included.
pub const ATTEMPT: Duration = Duration::from_secs(4);

/// After a failed attempt, and the most that this doubles to.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// A refusal of an allocation this young is a failure, not a loss: no hurry to have the same again.
const YOUNG: Duration = Duration::from_secs(10);

/// An allocation that lived so long shows that all is well: the next failure waits least.
const GROWN: Duration = Duration::from_secs(60);

/// Silence after which the server is asked whether it is there, while peers are wanted and while not:
/// the latter also keeps a NAT's binding.
const SILENCE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(20));

/// A server that does not answer for so long is lost.
const PATIENCE: Duration = Duration::from_secs(2);

/// A binding nobody answered is asked for anew.
const BIND_PATIENCE: Duration = Duration::from_secs(4);

/// Bindings under way at a time.
const MAX_BINDS: usize = 16;

/// How long an allocation lives unless refreshed: what we ask for, seconds.
const LIFETIME: u32 = 600;

/// Times a request is signed anew because the server has another nonce.
const MAX_CHALLENGES: u8 = 2;

/// How things stand with the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is being asked; for [`ATTEMPT`] at most.
    Allocating,
    /// It relays.
    Allocated {
        /// Where peers reach us through it.
        relayed: SocketAddr,
        /// Where it sees us: for UDP our own address behind NATs.
        mapped: SocketAddr,
        /// The smoothed round trip to it; none if no question was answered at the first time.
        rtt: Option<Duration>,
    },
    /// It did not let us.
    Failed {
        /// Why, for people.
        text: String,
        /// The next attempt.
        retry_at: Instant,
    },
    /// We left.
    Closed,
}

/// What became of a datagram that was to go through a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapped {
    /// It stands in the buffer, to be sent to the server.
    Ready,
    /// It waits until the server lets it through, and then comes out of [`Relay::poll_transmit`].
    Held,
    /// It cannot go this way: nobody called [`Relay::permit`] for its peer, the server refused, or it is too long.
    Refused,
}

/// A datagram of a peer inside one of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inner {
    /// Who sent it to our relayed address.
    pub peer: SocketAddr,
    /// Where its bytes are in the datagram of the server.
    pub data: Range<usize>,
}

/// One allocation on one server.
#[derive(Debug)]
pub struct Relay {
    server: RelayServer,
    /// What this allocation was or is asked for with.
    login: Login,
    random: Random,
    state: State,
    revision: u64,
    trouble: Option<String>,
    requests: Requests,
    peers: Peers,
    /// Datagrams that waited and may leave, wrapped.
    ready: VecDeque<Vec<u8>>,
    stream: Stream,
    /// When the attempt began, or the allocation came to be.
    since: Instant,
    /// This attempt met an allocation of an earlier life and is ending it.
    met_old: bool,
    backoff: Duration,
    heard_at: Instant,
    refresh_at: Instant,
    lives_until: Instant,
}

impl Relay {
    /// Begins to ask `server` for a relayed address of the family of its own; `random` is for
    /// transaction ids.
    pub fn new(now: Instant, server: RelayServer, random: Random) -> Relay {
        let reliable = server.transport == Transport::Stream;
        let mut relay = Relay {
            login: Login::new(&server.username, &server.password),
            server,
            random,
            state: State::Allocating,
            revision: 0,
            trouble: None,
            requests: Requests::new(reliable),
            peers: Peers::new(),
            ready: VecDeque::new(),
            stream: Stream::default(),
            since: now,
            met_old: false,
            backoff: BACKOFF.0,
            heard_at: now,
            refresh_at: now,
            lives_until: now,
        };
        relay.begin(now);
        relay
    }

    /// The server, with the newest credentials.
    pub fn server(&self) -> &RelayServer {
        &self.server
    }

    /// How things stand.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Grows whenever [`Relay::state`] is another one; a new round trip alone does not count.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Why the last attempt failed or the last allocation was lost; none if neither ever happened.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Whether the allocation may be lost: the server has been asked twice and does not answer.
    pub fn is_doubtful(&self) -> bool {
        self.is_allocated() && self.requests.refresh_sends().is_some_and(|sends| sends >= 2)
    }

    /// Whether it was closed and the server has been told, or will not hear any more.
    pub fn is_finished(&self) -> bool {
        self.state == State::Closed && self.requests.is_empty()
    }

    /// Datagrams that waited for a permission in vain.
    pub fn held_dropped(&self) -> u64 {
        self.peers.held_dropped()
    }

    fn is_allocated(&self) -> bool {
        matches!(self.state, State::Allocated { .. })
    }

    fn is_stream(&self) -> bool {
        self.server.transport == Transport::Stream
    }

    /// Credentials from now on. A password for the same user is used at once. Another user's are for the next
    /// allocation, because a server lets nobody else refresh this one (RFC 8656 section 5); it is asked for
    /// when the server takes the old ones no more, or at once if there is none now.
    pub fn set_credentials(&mut self, now: Instant, username: &str, password: &str) {
        if (self.server.username.as_str(), self.server.password.as_str()) == (username, password) {
            return;
        }
        self.server.username = username.to_owned();
        self.server.password = password.to_owned();
        if self.login.username() == username {
            self.login.set_password(password);
        }
        if matches!(self.state, State::Allocating | State::Failed { .. }) {
            self.stream.close();
            self.backoff = BACKOFF.0;
            self.begin(now);
        }
    }

    /// Asks whether the server is there, unless it was heard just now: for whoever finds a path through
    /// it silent.
    pub fn check(&mut self, now: Instant) {
        let silent = self.heard_at + PATIENCE / 4 <= now;
        if self.is_allocated() && silent && self.requests.refresh_sends().is_none() {
            self.ask(now, Ask::Refresh { lifetime: LIFETIME }, 0, PATIENCE);
        }
    }

    /// Lets `peer` talk with us through the server, for [`WANTED_FOR`] after the last call; also before there is
    /// an allocation and over its loss. The peer asked for longest ago makes room among [`MAX_PEERS`].
    /// False if it can never be: another address family, or an end.
    pub fn permit(&mut self, now: Instant, peer: SocketAddr) -> bool {
        let fits = peer.is_ipv4() == self.server.address.is_ipv4() && self.state != State::Closed;
        let permitted = fits && self.peers.permit(now, peer);
        self.ask_for_peers(now);
        permitted
    }

    /// Appends to `out` what brings `datagram` through the server to `peer`, to be sent to the server; or
    /// keeps it while the permission is under way ([`MAX_HELD`] for all peers; the oldest makes room).
    pub fn wrap(&mut self, now: Instant, peer: SocketAddr, datagram: &[u8], out: &mut Vec<u8>) -> Wrapped {
        if datagram.len() > MAX_DATAGRAM {
            return Wrapped::Refused;
        }
        match (self.peers.way(now, peer), &self.state) {
            (Way::Open(channel), State::Allocated { .. }) => {
                framing::push_channel(channel, datagram, self.is_stream(), out);
                Wrapped::Ready
            }
            (Way::Waiting, State::Allocated { .. } | State::Allocating) => {
                self.peers.hold(peer, datagram);
                Wrapped::Held
            }
            _ => Wrapped::Refused,
        }
    }

    /// Leaves: the server is told once or twice, without waiting for its word.
    pub fn close(&mut self, now: Instant) {
        let allocated = self.is_allocated();
        self.turn_to(State::Closed);
        self.requests.clear();
        self.ready.clear();
        self.peers.begin_anew(now);
        if self.is_stream() {
            self.stream.close(); // which ends the allocation too (RFC 8656 section 7)
        } else if allocated {
            self.ask(now, Ask::Refresh { lifetime: 0 }, 0, PATIENCE / 2);
        }
    }

    // ---- what comes in ----

    /// Takes a datagram of the server's own address: the datagram of a peer in it, or `None` if it was for us.
    ///
    /// # Errors
    /// It is nothing that one could expect from the server now, and has changed nothing.
    pub fn handle_datagram(&mut self, now: Instant, bytes: &[u8]) -> Result<Option<Inner>, Dropped> {
        match framing::kind(bytes) {
            Some(Kind::Channel(channel, length)) => {
                let peer = self.peers.peer_of(channel).filter(|_| self.is_allocated());
                let peer = peer.ok_or(Dropped::UnknownConnection)?;
                self.heard_at = now;
                Ok(Some(Inner { peer, data: CHANNEL_HEADER..CHANNEL_HEADER + length }))
            }
            Some(Kind::Stun) => match stun::read(bytes).ok_or(Dropped::BadHeader)? {
                Arrival::Data(peer, _) if !self.is_allocated() || !self.peers.knows(peer.ip()) => {
                    Err(Dropped::UnknownConnection)
                }
                Arrival::Data(peer, data) => {
                    self.heard_at = now;
                    Ok(Some(Inner { peer, data }))
                }
                Arrival::Answer(id, message) => {
                    let verified = self.login.verify(&message);
                    self.handle_answer(now, id, stun::answer(&message), verified).map(|()| None)
                }
            },
            None => Err(Dropped::UnknownProtocol),
        }
    }

    fn handle_answer(&mut self, now: Instant, id: u128, answer: Answer, verified: bool) -> Result<(), Dropped> {
        if !self.requests.knows(id) {
            return Err(Dropped::Stale); // most often the answer to a repeat
        }
        // A challenge is never signed. Another refusal need not be while nothing is at stake.
        let unsigned_will_do = match &answer {
            Answer::Challenge(..) => true,
            Answer::Error(..) => self.state == State::Allocating,
            Answer::Success { .. } => false,
        };
        if !verified && !unsigned_will_do {
            return Err(Dropped::BadSeal);
        }
        let Some(request) = self.requests.take(id) else { return Ok(()) };
        self.heard_at = now;
        self.measure(request.round_trip(now));
        match answer {
            Answer::Challenge(_, challenge) if request.challenges < MAX_CHALLENGES => {
                self.login.challenge(challenge);
                self.ask(now, request.ask, request.challenges + 1, self.patience_of(request.ask));
            }
            Answer::Challenge(code, _) => self.refused(now, &request, code, ""),
            Answer::Error(code, reason) => self.refused(now, &request, code, &reason),
            Answer::Success { relayed, mapped, lifetime } => match request.ask {
                Ask::Allocate { .. } => match relayed {
                    Some(relayed) => self.allocated(now, relayed, mapped.unwrap_or(relayed), lifetime),
                    None => self.fail(now, explain::no_address(&self.server)),
                },
                Ask::Refresh { .. } if self.state == State::Allocating => self.ask_to_allocate(now),
                Ask::Refresh { .. } => self.lives_for(now, lifetime),
                Ask::Bind { peer, .. } => self.bound(now, peer),
            },
        }
        self.ask_for_peers(now);
        Ok(())
    }

    fn measure(&mut self, sample: Option<Duration>) {
        if let (State::Allocated { rtt, .. }, Some(sample)) = (&mut self.state, sample) {
            *rtt = Some(rtt.map_or(sample, |rtt| (rtt * 7 + sample) / 8));
        }
    }

    fn refused(&mut self, now: Instant, request: &Request, code: u16, reason: &str) {
        let text = explain::refusal(&self.server, self.login.username(), code, reason);
        match (&self.state, request.ask) {
            (State::Allocating, Ask::Allocate { .. }) if code == 437 && !self.met_old => {
                // An allocation of an earlier life of ours, from the same port: it is ended first.
                self.met_old = true;
                self.ask(now, Ask::Refresh { lifetime: 0 }, 0, ATTEMPT);
            }
            (State::Allocating, Ask::Refresh { .. }) if code == 437 => self.ask_to_allocate(now),
            (State::Allocating, Ask::Refresh { .. }) => self.fail(now, explain::held_by_another(&self.server, code)),
            (State::Allocating, _) if code == 441 => self.fail(now, explain::held_by_another(&self.server, code)),
            (State::Allocating, _) => self.fail(now, text),
            (State::Allocated { .. }, Ask::Bind { peer, .. }) if code != 437 => self.peers.refused(now, peer),
            (State::Allocated { .. }, _) => self.lose(now, text),
            (State::Failed { .. } | State::Closed, _) => {}
        }
    }

    // ---- what becomes of the allocation ----

    fn turn_to(&mut self, state: State) {
        self.revision += 1;
        self.state = state;
    }

    fn begin(&mut self, now: Instant) {
        self.turn_to(State::Allocating);
        self.since = now;
        self.met_old = false;
        self.requests.clear();
        self.ready.clear();
        if self.login.username() != self.server.username {
            self.login = Login::new(&self.server.username, &self.server.password);
        }
        if self.is_stream() {
            self.stream.open();
        } else {
            self.ask_to_allocate(now);
        }
    }

    fn ask_to_allocate(&mut self, now: Instant) {
        self.ask(now, Ask::Allocate { ipv6: self.server.address.is_ipv6() }, 0, ATTEMPT);
    }

    fn allocated(&mut self, now: Instant, relayed: SocketAddr, mapped: SocketAddr, lifetime: Option<u32>) {
        self.turn_to(State::Allocated { relayed, mapped, rtt: None });
        self.since = now;
        self.lives_for(now, lifetime);
    }

    fn lives_for(&mut self, now: Instant, lifetime: Option<u32>) {
        let lifetime = Duration::from_secs(lifetime.unwrap_or(LIFETIME).clamp(10, 3_600).into());
        self.lives_until = now + lifetime;
        self.refresh_at = now + lifetime / 2;
    }

    fn fail(&mut self, now: Instant, text: String) {
        let retry_at = now + self.backoff;
        self.backoff = (self.backoff * 2).min(BACKOFF.1);
        self.trouble = Some(text.clone());
        self.turn_to(State::Failed { text, retry_at });
        self.requests.clear();
        self.ready.clear();
        self.stream.close();
        self.peers.begin_anew(now);
    }

    fn lose(&mut self, now: Instant, text: String) {
        let lived = now.saturating_since(self.since);
        if lived >= GROWN {
            self.backoff = BACKOFF.0;
        }
        if lived < YOUNG {
            return self.fail(now, text);
        }
        self.start_over(now, text);
    }

    /// It does not answer, which takes its time anyhow: the next attempt begins at once.
    fn fell_silent(&mut self, now: Instant) {
        self.start_over(now, explain::silence(&self.server));
    }

    fn start_over(&mut self, now: Instant, text: String) {
        self.trouble = Some(text);
        self.stream.close();
        self.peers.begin_anew(now);
        self.begin(now);
    }

    fn bound(&mut self, now: Instant, peer: SocketAddr) {
        self.peers.bound(now, peer);
        if let Way::Open(channel) = self.peers.way(now, peer) {
            for datagram in self.peers.take_held(peer) {
                let mut bytes = Vec::with_capacity(CHANNEL_HEADER + datagram.len() + 3);
                framing::push_channel(channel, &datagram, self.is_stream(), &mut bytes);
                self.ready.push_back(bytes);
            }
        }
    }

    // ---- what is asked ----

    fn patience_of(&self, ask: Ask) -> Duration {
        match (&self.state, ask) {
            (State::Allocating, _) => ATTEMPT,
            (_, Ask::Bind { .. }) => BIND_PATIENCE,
            _ => PATIENCE,
        }
    }

    fn ask(&mut self, now: Instant, ask: Ask, challenges: u8, patience: Duration) {
        let mut id = [0; 16];
        self.random.fill(&mut id[4..]);
        let id = u128::from_be_bytes(id);
        match stun::request(ask, id, &self.login) {
            Some(bytes) => self.requests.push(now, ask, challenges, id, bytes, patience),
            None if self.state == State::Allocating => self.fail(now, explain::unspeakable(&self.server)),
            None => {} // as if it were never answered; what we sign with fitted when we allocated
        }
    }

    fn ask_for_peers(&mut self, now: Instant) {
        while self.is_allocated() && self.requests.binds() < MAX_BINDS {
            let Some((peer, channel)) = self.peers.poll_ask(now) else { return };
            self.ask(now, Ask::Bind { peer, channel }, 0, BIND_PATIENCE);
        }
    }

    /// When the server is to be asked whether it is there; none while it is asked.
    fn question_at(&self, now: Instant) -> Option<Instant> {
        let (in_use, idle) = SILENCE;
        let silence = if self.peers.is_in_use(now) { in_use } else { idle };
        (self.is_allocated() && self.requests.refresh_sends().is_none())
            .then(|| self.refresh_at.min(self.heard_at + silence))
    }

    // ---- time, and what goes out ----

    /// Does what is due. Calling it early, late or twice is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &self.state {
            State::Allocating if self.since + ATTEMPT <= now => {
                self.fail(now, explain::no_answer(&self.server, self.stream.is_open()));
            }
            State::Failed { retry_at, .. } if *retry_at <= now => self.begin(now),
            State::Allocated { .. } if self.lives_until <= now => self.fell_silent(now),
            _ => {}
        }
        while let Some(request) = self.requests.take_given_up(now) {
            match request.ask {
                Ask::Bind { peer, .. } => self.peers.unanswered(now, peer),
                // It spoke since: the answers were lost.
                Ask::Refresh { .. } if self.heard_at > request.asked_at() => self.refresh_at = now + SILENCE.0,
                _ if self.is_allocated() => self.fell_silent(now),
                _ => {}
            }
        }
        if self.question_at(now).is_some_and(|at| at <= now) {
            self.ask(now, Ask::Refresh { lifetime: LIFETIME }, 0, PATIENCE);
        }
        self.ask_for_peers(now);
    }

    /// Appends the next datagram, or piece of the stream, for the server to `out`; false if there is none now.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        if self.is_stream() && !self.stream.is_open() {
            return false;
        }
        if let Some(bytes) = self.ready.pop_front() {
            out.extend_from_slice(&bytes);
            return true;
        }
        let request = self.requests.poll_transmit(now);
        request.map(|bytes| out.extend_from_slice(bytes)).is_some()
    }

    /// When [`Relay::handle_timeout`] should be called next, or [`Relay::poll_transmit`] has something.
    pub fn poll_timeout(&self, now: Instant) -> Option<Deadline> {
        let own = match &self.state {
            State::Allocating => Some(self.since + ATTEMPT),
            State::Failed { retry_at, .. } => Some(*retry_at),
            State::Allocated { .. } => Some(self.lives_until),
            State::Closed => None,
        };
        let free = self.is_allocated() && self.requests.binds() < MAX_BINDS;
        let peers = self.peers.poll_timeout().filter(|_| free);
        let ready = (!self.ready.is_empty()).then_some(now);
        let all = [own, ready, self.requests.poll_timeout(), self.question_at(now), peers];
        all.into_iter().flatten().min().map(|at| Deadline::new(at, Why::Relay))
    }
}
