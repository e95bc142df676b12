//! One client of the relay: its machine (the RFC 8656 state, by library), its relayed addresses, and its two ways out.
//!
//! Each client has a machine of its own, so what a datagram costs does not grow with the number of clients, and all
//! that belongs to a client goes with it. What reaches the machine was proven at the door. The machine's lock is never
//! held together with another client's: what goes to a neighbour is handed over after it is free.

use super::Relay;
use super::door::Admitted;
use super::ports::Lease;
use super::quota::Share;
use socket2::SockRef;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use stun_types::attribute::Nonce;
use stun_types::message::{Message, MessageWriteVec};
use stun_types::prelude::MessageWrite;
use stun_types::{AddressFamily, TransportType};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use turn_server_proto::api::{
    DelayedMessageOrChannelSend, SocketAllocateError, TcpConnectError, Transmit, TurnServerApi, TurnServerPollRet,
};
use turn_server_proto::server::TurnServer;
use turn_server_proto::types::message::REFRESH;
use turn_server_proto::types::prelude::DelayedTransmitBuild;
use turn_server_proto::types::transmit::TransmitBuild;

/// Datagrams from peers are no longer than this; what is longer was not sent by us, and is dropped.
pub const MAX_DATAGRAM: usize = 2_048;

/// Peers a client may reach at once.
const MAX_PEERS: usize = 256;

/// After this a client has to have asked for a peer again: channels hold for ten minutes.
const PEER_LIFE: Duration = Duration::from_secs(600);

/// What a machine may want done after one datagram; a bound, because it is not ours.
const MAX_STEPS: usize = 64;

/// The machine's own nonce never leaves, so it need not change.
const NONCE_LIFE: Duration = Duration::from_secs(400 * 24 * 3_600);

/// What a client is known by: the address it was reached at, and its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientKey {
    pub stream: bool,
    pub listen: SocketAddr,
    pub from: SocketAddr,
}

/// The way to a client.
#[derive(Clone, Debug)]
pub enum Outlet {
    /// From a listening socket, to the address as that socket sees it.
    Udp(Arc<UdpSocket>, SocketAddr),
    /// Into the queue of its connection.
    Stream(mpsc::Sender<Vec<u8>>),
}

/// A client that has, or is about to have, an allocation.
#[derive(Debug)]
pub struct Client {
    pub key: ClientKey,
    /// The whole name it proved.
    pub username: String,
    outlet: Outlet,
    share: Share,
    born: Instant,
    /// Set when it is to be forgotten.
    over: AtomicBool,
    state: Mutex<State>,
    own: Weak<Client>,
}

#[derive(Debug)]
struct State {
    machine: TurnServer,
    nonce: String,
    relayed: Vec<Relayed>,
    peers: HashMap<SocketAddr, Instant>,
    heard: Instant,
    wake: Option<stun_proto_time::Instant>,
}

/// A relayed address, and the task that reads from it.
#[derive(Debug)]
struct Relayed {
    lease: Lease,
    reads: AbortHandle,
}

impl Drop for Relayed {
    fn drop(&mut self) {
        self.reads.abort();
    }
}

/// The library's time: nanoseconds since some beginning.
mod stun_proto_time {
    pub use turn_server_proto::types::Instant;
}

/// What is to leave, once the lock is free.
enum Out {
    Client(Vec<u8>),
    Peer { from: SocketAddr, to: SocketAddr, data: Vec<u8> },
}

impl Client {
    /// One that was let in, and has nothing yet; `None` if the machine is not as it should be.
    pub fn new(
        relay: &Relay,
        key: ClientKey,
        outlet: Outlet,
        admitted: &Admitted,
        share: Share,
    ) -> Option<Arc<Client>> {
        let mut machine = TurnServer::new(TransportType::Udp, key.listen, relay.door.realm().to_owned());
        machine.set_nonce_expiry_duration(NONCE_LIFE);
        machine.add_user(admitted.username.clone(), relay.door.password(&admitted.username));
        let nonce = nonce_of(&mut machine, key, relay.machine_time())?;
        let now = Instant::now();
        let state = State { machine, nonce, relayed: Vec::new(), peers: HashMap::new(), heard: now, wake: None };
        Some(Arc::new_cyclic(|own| Client {
            key,
            username: admitted.username.clone(),
            outlet,
            share,
            born: now,
            over: AtomicBool::new(false),
            state: Mutex::new(state),
            own: own.clone(),
        }))
    }

    /// Has it nothing any more?
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed) || self.lock().relayed.is_empty()
    }

    /// Ends it: its addresses are free when the last hold on it is gone.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
        self.lock().relayed.clear();
    }

    /// May it reach these as well? Says when it asks for too many.
    pub fn note_peers(&self, peers: &[SocketAddr], now: Instant) -> bool {
        let mut state = self.lock();
        if state.peers.len() + peers.len() > MAX_PEERS {
            state.peers.retain(|_, asked| now.saturating_duration_since(*asked) < PEER_LIFE);
        }
        let new = peers.iter().filter(|peer| !state.peers.contains_key(peer)).count();
        if state.peers.len() + new > MAX_PEERS {
            return false;
        }
        state.peers.extend(peers.iter().map(|peer| (*peer, now)));
        true
    }

    /// Takes a request that was proven, or data, of this client. `request` is the former.
    pub fn handle(&self, relay: &Relay, datagram: &[u8], request: Option<(&Message<'_>, &Admitted)>) {
        let mut outs = Vec::new();
        let mut state = self.lock();
        state.heard = Instant::now();
        let anew = request.map(|(message, admitted)| relay.door.sign_anew(message, admitted, &state.nonce));
        let bytes = anew.as_deref().unwrap_or(datagram);
        let transmit = Transmit::new(bytes, TransportType::Udp, self.key.from, self.key.listen);
        match state.machine.recv(transmit, relay.machine_time()) {
            // The one that matters for speed: data, sent from where it lies.
            Some(TransmitBuild { data: DelayedMessageOrChannelSend::Range(data, range), from, to, .. })
                if from != self.key.listen =>
            {
                let socket = state.relayed.iter().find(|relayed| relayed.lease.public == from);
                let socket = socket.map(|relayed| relayed.lease.socket.clone());
                drop(state);
                return self.send_to_peer(relay, socket.as_deref(), from, to, &data[range]);
            }
            Some(TransmitBuild { data, from, to, .. }) => outs.push(self.out(from, to, data.build())),
            None => {}
        }
        if request.is_some() {
            self.run_machine(relay, &mut state, &mut outs);
        }
        drop(state);
        self.send(relay, outs);
    }

    /// Takes what a peer sent to one of its relayed addresses.
    pub fn handle_peer(&self, relay: &Relay, public: SocketAddr, peer: SocketAddr, data: &[u8]) {
        if !self.share.spend(data.len(), Instant::now()) {
            relay.counters.turn_too_fast.increment(1);
            return;
        }
        let transmit = Transmit::new(data, TransportType::Udp, peer, public);
        let built = self.lock().machine.recv(transmit, relay.machine_time()).map(|built| built.data.build());
        if let Some(bytes) = built {
            relay.counters.turn_datagrams.increment(1);
            relay.counters.turn_bytes.increment(data.len() as u64);
            self.send_to_client(relay, bytes);
        }
    }

    /// Lets time pass. Says whether it is over.
    pub fn handle_timeout(&self, relay: &Relay, idle: Duration, longest: Duration, now: Instant) -> bool {
        let mut outs = Vec::new();
        let mut state = self.lock();
        let silent = now.saturating_duration_since(state.heard) >= idle;
        if silent || now.saturating_duration_since(self.born) >= longest {
            return true;
        }
        if state.wake.is_none_or(|wake| wake <= relay.machine_time()) {
            self.run_machine(relay, &mut state, &mut outs);
        }
        let over = state.relayed.is_empty();
        drop(state);
        self.send(relay, outs);
        over
    }

    /// Does what the machine wants done.
    fn run_machine(&self, relay: &Relay, state: &mut State, outs: &mut Vec<Out>) {
        let now = relay.machine_time();
        for _ in 0..MAX_STEPS {
            match state.machine.poll(now) {
                TurnServerPollRet::AllocateSocket {
                    transport,
                    listen_addr,
                    client_addr,
                    allocation_transport,
                    family,
                } => {
                    let address = self.allocate(relay, state, allocation_transport, family);
                    state.machine.allocated_socket(
                        transport,
                        listen_addr,
                        client_addr,
                        allocation_transport,
                        family,
                        address,
                        now,
                    );
                }
                // RFC 6062 is not served; the door lets none of its requests pass.
                TurnServerPollRet::TcpConnect { relayed_addr, peer_addr, listen_addr, client_addr } => {
                    let refused = Err(TcpConnectError::Forbidden);
                    state.machine.tcp_connected(relayed_addr, peer_addr, listen_addr, client_addr, refused, now);
                }
                TurnServerPollRet::TcpClose { .. } => {}
                TurnServerPollRet::SocketClose { listen_addr, .. } => {
                    state.relayed.retain(|relayed| relayed.lease.public != listen_addr);
                }
                TurnServerPollRet::WaitUntil(at) => {
                    state.wake = Some(at);
                    break;
                }
            }
        }
        while let Some(transmit) = state.machine.poll_transmit(now) {
            outs.push(self.out(transmit.from, transmit.to, transmit.data));
        }
    }

    fn allocate(
        &self,
        relay: &Relay,
        state: &mut State,
        transport: TransportType,
        family: AddressFamily,
    ) -> Result<SocketAddr, SocketAllocateError> {
        let v4 = family == AddressFamily::IPV4;
        if transport != TransportType::Udp || !relay.ports.has_family(v4) {
            return Err(SocketAllocateError::AddressFamilyNotSupported);
        }
        let lease = relay.ports.lease(v4, &self.own).ok_or(SocketAllocateError::InsufficientCapacity)?;
        let public = lease.public;
        let reads = tokio::spawn(read(relay.own(), self.own.clone(), lease.socket.clone(), public)).abort_handle();
        state.relayed.push(Relayed { lease, reads });
        relay.counters.turn_allocations_made.increment(1);
        Ok(public)
    }

    fn out(&self, from: SocketAddr, to: SocketAddr, data: Vec<u8>) -> Out {
        if from == self.key.listen { Out::Client(data) } else { Out::Peer { from, to, data } }
    }

    fn send(&self, relay: &Relay, outs: Vec<Out>) {
        for out in outs {
            match out {
                Out::Client(bytes) => self.send_to_client(relay, bytes),
                Out::Peer { from, to, data } => {
                    let socket = {
                        let state = self.lock();
                        let found = state.relayed.iter().find(|relayed| relayed.lease.public == from);
                        found.map(|relayed| relayed.lease.socket.clone())
                    };
                    self.send_to_peer(relay, socket.as_deref(), from, to, &data);
                }
            }
        }
    }

    /// Out of a relayed address, or straight across to a neighbour's: such a datagram would come back to this machine.
    fn send_to_peer(&self, relay: &Relay, socket: Option<&UdpSocket>, from: SocketAddr, to: SocketAddr, data: &[u8]) {
        if !self.share.spend(data.len(), Instant::now()) {
            relay.counters.turn_too_fast.increment(1);
            return;
        }
        if let Some(neighbour) = relay.ports.owner(to) {
            relay.counters.turn_datagrams.increment(1);
            relay.counters.turn_bytes.increment(data.len() as u64);
            return neighbour.handle_peer(relay, to, from, data);
        }
        // What was allowed when the permission was made is judged again, here where it counts.
        if !relay.may_reach(to.ip()) {
            relay.counters.turn_denied.increment(1);
            return;
        }
        // A full socket is a full network: the datagram is lost, as they are.
        if let Some(socket) = socket
            && send_now(socket, data, to)
        {
            relay.counters.turn_datagrams.increment(1);
            relay.counters.turn_bytes.increment(data.len() as u64);
        }
    }

    fn send_to_client(&self, relay: &Relay, bytes: Vec<u8>) {
        self.outlet.send(relay, bytes);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // After a fault in the machine this client is ended; what it holds is still to be given back.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outlet {
    /// Sends to the client, or drops what does not fit.
    pub fn send(&self, relay: &Relay, mut bytes: Vec<u8>) {
        match self {
            Outlet::Udp(socket, to) => {
                // As above: a full socket loses it.
                send_now(socket, &bytes, *to);
            }
            Outlet::Stream(queue) => {
                // On a stream every item begins at a multiple of four (RFC 8656, section 12.5).
                bytes.resize(bytes.len().next_multiple_of(4), 0);
                if queue.try_send(bytes).is_err() {
                    relay.counters.turn_slow_reader.increment(1);
                }
            }
        }
    }
}

/// Sends at once or not at all. Not through the runtime: to that a socket is full until it has been told otherwise, which
/// would lose the first datagram of every allocation.
fn send_now(socket: &UdpSocket, data: &[u8], to: SocketAddr) -> bool {
    SockRef::from(socket).send_to(data, &to.into()).is_ok()
}

/// Reads what peers send to a relayed address, as long as its client is there.
async fn read(relay: Weak<Relay>, client: Weak<Client>, socket: Arc<UdpSocket>, public: SocketAddr) {
    let mut buffer = [0; MAX_DATAGRAM + 1];
    loop {
        // A peer that is not there makes the system say so here; others may be.
        let Ok((len, peer)) = socket.recv_from(&mut buffer).await else {
            tokio::task::yield_now().await;
            continue;
        };
        let (Some(relay), Some(client)) = (relay.upgrade(), client.upgrade()) else { return };
        if len > MAX_DATAGRAM {
            relay.counters.turn_garbage.increment(1);
            continue;
        }
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        relay.guarded(&client, |client| client.handle_peer(&relay, public, peer, &buffer[..len]));
    }
}

/// The nonce the machine wants to see from its client: it says so when it is asked without.
fn nonce_of(machine: &mut TurnServer, key: ClientKey, now: stun_proto_time::Instant) -> Option<String> {
    let question = Message::builder_request(REFRESH, MessageWriteVec::new()).finish();
    let transmit = Transmit::new(question, TransportType::Udp, key.from, key.listen);
    let answer = machine.recv(transmit, now)?.data.build();
    let answer = Message::from_bytes(&answer).ok()?;
    answer.attribute::<Nonce>().ok().map(|nonce| nonce.nonce().to_owned())
}

/// Is this the address of a peer that nobody may reach, whatever its port?
pub fn is_unusable(ip: IpAddr) -> bool {
    ip.is_unspecified() || ip.is_multicast()
}
