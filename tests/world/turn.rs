//! A TURN server in the simulated world: datagrams in, datagrams out, in virtual time.
//!
//! Each client has a server of its own (`turn-server-proto`), so that one restarted or gone leaves no trace in
//! another's. All addresses of one server, that for clients and those it relays, share its host; the ports
//! from 49,152 on are relayed. Streams are cut into messages, and filled up to four bytes, here: the library
//! leaves out the padding that RFC 8656 section 12.5 wants there. It draws nonces of its own, so worlds with it do not repeat byte by byte.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use steamnetmsg::time::{Duration, Instant};
use turn_server_proto::api::{SocketAllocateError, Transmit, TurnServerApi, TurnServerPollRet};
use turn_server_proto::server::TurnServer;
use turn_server_proto::types::{Instant as TurnInstant, TransportType};

/// A datagram, or a piece of a stream: from where, to where, what.
pub type Parcel = (SocketAddr, SocketAddr, Vec<u8>);

pub struct Turn {
    address: SocketAddr,
    transport: TransportType,
    users: BTreeMap<String, String>,
    clients: BTreeMap<SocketAddr, TurnServer>,
    /// What came of each client's stream and is no whole message yet.
    partial: BTreeMap<SocketAddr, Vec<u8>>,
    /// Relayed addresses, and whose they are.
    relayed: BTreeMap<SocketAddr, SocketAddr>,
    next_port: u16,
    out: VecDeque<Parcel>,
    wake: Option<Instant>,
    alive: bool,
    /// No more allocations: 508.
    pub full: bool,
}

impl Turn {
    /// A server for datagrams, or for streams, that knows nobody yet.
    pub fn new(address: SocketAddr, streams: bool) -> Turn {
        Turn {
            address,
            transport: if streams { TransportType::Tcp } else { TransportType::Udp },
            users: BTreeMap::new(),
            clients: BTreeMap::new(),
            partial: BTreeMap::new(),
            relayed: BTreeMap::new(),
            next_port: 49_152,
            out: VecDeque::new(),
            wake: None,
            alive: true,
            full: false,
        }
    }

    /// Where clients ask.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether an address is one of this server's.
    pub fn owns(&self, address: SocketAddr) -> bool {
        address.ip() == self.address.ip()
    }

    /// Whether clients come by streams.
    pub fn is_for_streams(&self) -> bool {
        self.transport == TransportType::Tcp
    }

    /// Clients with an allocation.
    pub fn allocations(&self) -> usize {
        self.relayed.len()
    }

    /// Somebody who may ask for relayed addresses, or another password.
    pub fn add_user(&mut self, username: &str, password: &str) {
        self.users.insert(username.to_owned(), password.to_owned());
        for server in self.clients.values_mut() {
            server.add_user(username.to_owned(), password.to_owned());
        }
    }

    /// The credentials have expired: unknown for whoever has no allocation yet.
    pub fn remove_user(&mut self, username: &str) {
        self.users.remove(username);
    }

    /// Ends without a word and forgets everything but its users.
    pub fn kill(&mut self) {
        self.alive = false;
        self.clients.clear();
        self.partial.clear();
        self.relayed.clear();
        self.out.clear();
        self.wake = None;
    }

    /// Back after [`Turn::kill`]; or both in one.
    pub fn restart(&mut self) {
        self.kill();
        self.alive = true;
    }

    pub fn is_alive(&self) -> bool {
        self.alive
    }

    /// A client's stream has ended, and its allocation with it.
    pub fn disconnect(&mut self, client: SocketAddr) {
        self.clients.remove(&client);
        self.partial.remove(&client);
        self.relayed.retain(|_, of| *of != client);
    }

    /// Takes what came for any of its addresses.
    pub fn handle(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        if !self.alive {
            return;
        }
        if to != self.address || self.transport == TransportType::Udp {
            return self.handle_whole(now, from, to, bytes);
        }
        let mut stream = self.partial.remove(&from).unwrap_or_default();
        stream.extend_from_slice(bytes);
        while let Some(length) = first_message(&stream) {
            self.handle_whole(now, from, to, &stream[..length]);
            stream.drain(..length.next_multiple_of(4));
        }
        self.partial.insert(from, stream);
    }

    fn handle_whole(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let client = if to == self.address { Some(from) } else { self.relayed.get(&to).copied() };
        let Some(client) = client else { return };
        let (address, transport, users) = (self.address, self.transport, &self.users);
        let server = self.clients.entry(client).or_insert_with(|| {
            let mut server = TurnServer::new(transport, address, "the world".to_owned());
            users.iter().for_each(|(name, password)| server.add_user(name.clone(), password.clone()));
            server
        });
        let transport = if to == address { transport } else { TransportType::Udp };
        let answer = server.recv(Transmit::new(bytes, transport, from, to), turn_instant(now)).map(|a| a.build());
        if let Some(answer) = answer {
            self.out.push_back((answer.from, answer.to, answer.data));
        }
        self.work(now, client);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let clients: Vec<SocketAddr> = self.clients.keys().copied().collect();
        self.wake = None;
        clients.into_iter().for_each(|client| self.work(now, client));
    }

    /// Lets one client's server say all it has to.
    fn work(&mut self, now: Instant, client: SocketAddr) {
        let now_there = turn_instant(now);
        let Some(server) = self.clients.get_mut(&client) else { return };
        loop {
            match server.poll(now_there) {
                TurnServerPollRet::AllocateSocket {
                    transport,
                    listen_addr,
                    client_addr,
                    allocation_transport,
                    family,
                } => {
                    let place = SocketAddr::new(self.address.ip(), self.next_port);
                    let socket = if self.full { Err(SocketAllocateError::InsufficientCapacity) } else { Ok(place) };
                    if socket.is_ok() {
                        self.next_port += 1;
                        self.relayed.insert(place, client);
                    }
                    server.allocated_socket(
                        transport,
                        listen_addr,
                        client_addr,
                        allocation_transport,
                        family,
                        socket,
                        now_there,
                    );
                }
                TurnServerPollRet::SocketClose { listen_addr, .. } => drop(self.relayed.remove(&listen_addr)),
                TurnServerPollRet::TcpConnect { .. } | TurnServerPollRet::TcpClose { .. } => {}
                TurnServerPollRet::WaitUntil(at) => {
                    let at = now + at.saturating_duration_since(now_there).max(Duration::from_millis(1));
                    self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
                    break;
                }
            }
        }
        while let Some(parcel) = server.poll_transmit(now_there) {
            self.out.push_back((parcel.from, parcel.to, parcel.data));
        }
    }

    /// The next thing it sends. What goes from one relayed address to another stays inside.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Parcel> {
        loop {
            let (from, to, mut bytes) = self.out.pop_front()?;
            if !self.owns(to) {
                if from == self.address && self.transport == TransportType::Tcp {
                    bytes.resize(bytes.len().next_multiple_of(4), 0);
                }
                return Some((from, to, bytes));
            }
            self.handle(now, from, to, &bytes);
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.wake
    }
}

/// The length without padding of the message that a stream begins with, if it is all there.
fn first_message(stream: &[u8]) -> Option<usize> {
    let head: [u8; 4] = stream.get(..4)?.try_into().ok()?;
    let header = if head[0] >> 6 == 0 { 20 } else { 4 };
    let length = header + usize::from(u16::from_be_bytes([head[2], head[3]]));
    (stream.len() >= length.next_multiple_of(4)).then_some(length)
}

fn turn_instant(now: Instant) -> TurnInstant {
    TurnInstant::from_nanos(i64::try_from(now.as_nanos()).expect("the world does not get that old"))
}
