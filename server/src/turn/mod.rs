//! STUN and TURN (RFC 8489, RFC 8656) on one port: over UDP, over TCP, and over TLS for networks that let nothing else
//! through.
//!
//! | room | decides |
//! | --- | --- |
//! | [`door`] | who may in |
//! | [`quota`] | how much one user may have |
//! | [`ports`] | which relayed addresses there are, and whose they are |
//! | [`client`] | what one client does, and where its datagrams go |
//! | [`udp`], [`stream`] | nothing: they bring datagrams and frames in |
//!
//! Here is what happens with each: answered, refused, let through to its client, or dropped and counted. The protocol's
//! state itself is the library's (`turn-server-proto`).

pub mod client;
pub mod door;
pub mod ports;
pub mod quota;
pub mod stream;
pub mod udp;

use crate::config::{Problem, Turn};
use crate::counters::Counters;
use crate::limits::{Rate, SourceRates};
use crate::networks::Peers;
use client::{Client, ClientKey, Outlet, is_unusable};
use door::{Door, Refusal};
use ports::Ports;
use quota::{Exhausted, Quotas};
use std::collections::HashMap;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use steamnetmsg_tool::clock;
use stun_types::attribute::ErrorCode;
use stun_types::message::{BINDING, Message, MessageClass};
use tokio::time::Instant;
use turn_server_proto::types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH, SEND};

/// How often clients are looked at for what time does to them.
const SWEEP: Duration = Duration::from_secs(1);

/// The STUN and TURN server.
#[derive(Debug)]
pub struct Relay {
    pub counters: Arc<Counters>,
    door: Door,
    peers: Peers,
    ports: Arc<Ports>,
    quotas: Arc<Quotas>,
    answers: SourceRates,
    clients: Mutex<HashMap<ClientKey, Arc<Client>>>,
    idle: Duration,
    longest: Duration,
    beginning: Instant,
    own: Weak<Relay>,
}

impl Relay {
    /// One without clients.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn new(turn: &Turn, counters: Arc<Counters>) -> Result<Arc<Relay>, Problem> {
        let nonces = crate::random()?;
        Ok(Arc::new_cyclic(|own| Relay {
            counters,
            door: Door::new(&turn.realm, &turn.secret, nonces),
            peers: turn.peers.clone(),
            ports: Ports::new(turn.addresses.clone(), turn.ports),
            quotas: Quotas::new(turn.allocations, turn.allocations_per_user, turn.bytes_per_second_per_user),
            answers: SourceRates::new(Rate::new(turn.answers_per_second_per_source, 3)),
            clients: Mutex::default(),
            idle: turn.idle,
            longest: turn.longest,
            beginning: Instant::now(),
            own: own.clone(),
        }))
    }

    /// Takes a datagram, or a frame of a stream. Where it comes from is `key`, and the way back `outlet`.
    pub fn handle(&self, key: ClientKey, outlet: &Outlet, datagram: &[u8]) {
        let client = self.lock().get(&key).cloned();
        match datagram.first() {
            Some(0..=3) => match Message::from_bytes(datagram) {
                Ok(message) => self.handle_stun(key, outlet, datagram, &message, client),
                Err(_) => self.counters.turn_garbage.increment(1),
            },
            // ChannelData: only of who has an allocation, and no stranger is answered.
            Some(0x40..=0x7f) if client.is_some() => {
                if let Some(client) = client {
                    self.guarded(&client, |client| client.handle(self, datagram, None));
                }
            }
            _ => self.counters.turn_garbage.increment(1),
        }
    }

    fn handle_stun(
        &self,
        key: ClientKey,
        outlet: &Outlet,
        datagram: &[u8],
        message: &Message<'_>,
        client: Option<Arc<Client>>,
    ) {
        match (message.class(), message.method()) {
            (MessageClass::Request, BINDING) => {
                if self.may_answer(key.from.ip()) {
                    self.counters.stun_answers.increment(1);
                    outlet.send(self, self.door.binding(message, key.from));
                }
            }
            (MessageClass::Request, ALLOCATE | REFRESH | CREATE_PERMISSION | CHANNEL_BIND) => {
                self.handle_request(key, outlet, message, client);
            }
            (MessageClass::Indication, SEND) if client.is_some() => {
                if let Some(client) = client {
                    self.guarded(&client, |client| client.handle(self, datagram, None));
                }
            }
            _ => self.counters.turn_garbage.increment(1),
        }
    }

    fn handle_request(&self, key: ClientKey, outlet: &Outlet, request: &Message<'_>, client: Option<Arc<Client>>) {
        let known = client.as_ref().map(|client| client.username.as_str());
        let admitted = match self.door.admit(request, key.from, known, clock::now()) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                self.counters.turn_unauthorized.increment(1);
                if let Refusal::Answer(answer) = refusal
                    && self.may_answer(key.from.ip())
                {
                    outlet.send(self, answer);
                }
                return;
            }
        };
        let refuse = |code| outlet.send(self, self.door.refuse(request, &admitted, code));
        let client = match client {
            Some(client) if client.username != admitted.username => return refuse(ErrorCode::WRONG_CREDENTIALS),
            Some(client) => client,
            None if request.method() != ALLOCATE => return refuse(ErrorCode::ALLOCATION_MISMATCH),
            None if door::NOT_SERVED.iter().any(|attribute| request.has_attribute(*attribute)) => {
                return refuse(ErrorCode::INSUFFICIENT_CAPACITY);
            }
            None => match self.quotas.take(&admitted.user, Instant::now()) {
                Ok(share) => {
                    let made = Client::new(self, key, outlet.clone(), &admitted, share);
                    let Some(made) = made else { return refuse(ErrorCode::SERVER_ERROR) };
                    self.lock().insert(key, made.clone());
                    made
                }
                Err(exhausted) => {
                    self.counters.turn_quota.increment(1);
                    return refuse(match exhausted {
                        Exhausted::User => ErrorCode::ALLOCATION_QUOTA_REACHED,
                        Exhausted::Server => ErrorCode::INSUFFICIENT_CAPACITY,
                    });
                }
            },
        };
        let peers = door::peers(request);
        if peers.iter().any(|peer| !self.may_permit(peer.ip())) {
            self.counters.turn_denied.increment(1);
            return refuse(ErrorCode::FORBIDDEN);
        }
        if !client.note_peers(&peers, Instant::now()) {
            self.counters.turn_quota.increment(1);
            return refuse(ErrorCode::INSUFFICIENT_CAPACITY);
        }
        self.guarded(&client, |client| client.handle(self, &[], Some((request, &admitted))));
        if client.is_over() {
            self.forget_client(&client);
        }
    }

    /// May somebody at this address, who is not proven, be answered once more?
    fn may_answer(&self, ip: IpAddr) -> bool {
        let may = self.answers.take(ip, Instant::now());
        if !may {
            self.counters.turn_too_fast.increment(1);
        }
        may
    }

    /// May a datagram be sent to this address of the network?
    fn may_reach(&self, ip: IpAddr) -> bool {
        // What else runs on this machine is nobody's business, unless it is named.
        let named = self.peers.names(ip);
        !is_unusable(ip) && (named || !self.ports.is_own(ip) && self.peers.allows(ip))
    }

    /// May a client ask to reach it? Our own address, too: that is where its neighbours' relayed addresses are.
    fn may_permit(&self, ip: IpAddr) -> bool {
        self.ports.is_own(ip.to_canonical()) || self.may_reach(ip.to_canonical())
    }

    /// Runs what touches a client's machine. The machine is not ours: should it fail, this client ends, and no other.
    fn guarded(&self, client: &Arc<Client>, act: impl FnOnce(&Client)) {
        if catch_unwind(AssertUnwindSafe(|| act(client))).is_err() {
            self.counters.turn_faults.increment(1);
            client.end();
            self.forget_client(client);
        }
    }

    fn forget_client(&self, client: &Arc<Client>) {
        let mut clients = self.lock();
        if clients.get(&client.key).is_some_and(|here| Arc::ptr_eq(here, client)) {
            clients.remove(&client.key);
        }
        drop(clients);
        client.end();
    }

    /// Forgets the client of a connection that ended.
    pub fn hang_up(&self, key: ClientKey) {
        let client = self.lock().remove(&key);
        if let Some(client) = client {
            client.end();
        }
    }

    /// Has it an allocation?
    pub fn serves(&self, key: ClientKey) -> bool {
        self.lock().contains_key(&key)
    }

    /// Lets time pass for everybody, for ever.
    pub async fn sweep(self: Arc<Relay>) {
        let mut ticks = tokio::time::interval(SWEEP);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let now = ticks.tick().await;
            let clients: Vec<Arc<Client>> = self.lock().values().cloned().collect();
            for client in &clients {
                let mut over = false;
                self.guarded(client, |client| over = client.handle_timeout(&self, self.idle, self.longest, now));
                if over {
                    self.forget_client(client);
                }
            }
            self.counters.turn_allocations.set(self.lock().len() as f64);
            self.answers.forget(now);
        }
    }

    /// The time as machines have it.
    fn machine_time(&self) -> turn_server_proto::types::Instant {
        let since = Instant::now().saturating_duration_since(self.beginning);
        turn_server_proto::types::Instant::from_nanos(since.as_nanos() as i64)
    }

    fn own(&self) -> Weak<Relay> {
        self.own.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ClientKey, Arc<Client>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
