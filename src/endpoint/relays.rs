//! How we can be reached: what the driver gathered, and our places on relays, shared by all sessions.
//!
//! One place on each relay serves every peer. A session's datagrams by a relay are wrapped here on their way out and
//! unwrapped on their way in; nothing above the routes knows of it. Who has told us where it may be reached may send
//! to our places: that is renewed for as long as its session stands.

use super::Endpoint;
use crate::crypto::random::Random;
use crate::drops::Dropped;
use crate::ids::RelayId;
use crate::machine::{Transmit, TransmitBuf};
use crate::path::route::Route;
use crate::relay::{Relay, State, StreamNeed, Wrapped};
use crate::time::{Deadline, Duration, Instant, Why};
use crate::wire::candidate::{Candidate, CandidateKind, MAX_CANDIDATES};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

pub use crate::relay::{RelayServer, Transport};

/// Peers are let in anew so often; a relay forgets after five minutes (RFC 8656 section 9).
const PERMIT_EVERY: Duration = Duration::from_secs(120);

/// Pieces of work for streams that wait; a datagram that finds no room is lost, as on a bad line.
const MAX_STREAM_WORK: usize = 1_024;

/// What the driver is to do with the stream of a relay.
#[derive(Debug, PartialEq, Eq)]
pub enum StreamWork {
    /// Connect it.
    Open(RelayId, SocketAddr),
    /// Send these bytes: whole TURN messages, so that they may be lost together.
    Write(RelayId, Vec<u8>),
    /// End it.
    Close(RelayId),
}

/// What became of the stream of a relay.
#[derive(Debug)]
pub enum StreamEvent<'a> {
    /// It stands, from this address of ours.
    Opened {
        /// Our end.
        local: SocketAddr,
    },
    /// These came.
    Bytes(&'a mut [u8]),
    /// It ended, or never stood; why.
    Closed(String),
}

/// The relays of an endpoint.
#[derive(Default)]
pub(super) struct Relays {
    places: BTreeMap<RelayId, Relay>,
    next_id: u8,
    /// The servers as they were named last.
    servers: Vec<RelayServer>,
    streams: VecDeque<StreamWork>,
    /// The last words to relays we left, and their addresses.
    farewells: VecDeque<(SocketAddr, Vec<u8>)>,
    permit_at: Option<Instant>,
    /// When they were looked at last.
    seen_at: Instant,
    /// Addresses of our own that the driver found.
    gathered: Vec<Candidate>,
    /// Where datagrams are wrapped, kept for its room.
    wrapped: Vec<u8>,
}

impl Relays {
    fn poll_timeout(&self, now: Instant) -> Option<Deadline> {
        let places = self.places.values().filter_map(|relay| relay.poll_timeout(now));
        places.chain(self.permit_at.map(|at| Deadline::new(at, Why::Relay))).min()
    }

    fn work(&mut self, work: StreamWork) -> Result<(), Dropped> {
        if self.streams.len() >= MAX_STREAM_WORK && matches!(work, StreamWork::Write(..)) {
            return Err(Dropped::BadRelay);
        }
        self.streams.push_back(work);
        Ok(())
    }

    /// Where we can be reached: places on relays first, the nearest first, then what is ours.
    fn candidates(&self) -> (Vec<Candidate>, Vec<(RelayId, SocketAddr)>) {
        let mut places: Vec<_> = self
            .places
            .iter()
            .filter_map(|(id, relay)| match relay.state() {
                State::Allocated { relayed, mapped, rtt } => {
                    let straight = (relay.server().transport == Transport::Udp).then_some(*mapped);
                    Some((rtt.unwrap_or(Duration::MAX), *id, *relayed, straight, relay.server().pop))
                }
                _ => None,
            })
            .collect();
        places.sort_by_key(|(rtt, ..)| *rtt);
        let relayed = places.iter().map(|(_, _, address, _, pop)| (CandidateKind::Relayed, *address, *pop));
        let seen = places.iter().filter_map(|(_, _, _, mapped, _)| mapped.map(|a| (CandidateKind::Reflexive, a, 0)));
        let gathered = self.gathered.iter().map(|c| (c.kind, c.address, c.pop));
        let mut all: Vec<Candidate> = Vec::new();
        for (kind, address, pop) in relayed.chain(gathered).chain(seen) {
            if !all.iter().any(|c| c.address == address) && all.len() < MAX_CANDIDATES {
                all.push(Candidate { kind, pop, address });
            }
        }
        (all, places.iter().map(|(_, id, address, _, _)| (*id, *address)).collect())
    }
}

impl Endpoint {
    /// The relays there are now, all of them: those known stay, with new credentials if they have some; those that
    /// are named no more are left.
    pub fn set_relays(&mut self, now: Instant, servers: Vec<RelayServer>) {
        let Endpoint { relays, random, .. } = self;
        relays.seen_at = now;
        let Relays { places, streams, farewells, .. } = relays;
        let gone: Vec<RelayId> = places
            .iter()
            .filter(|(_, relay)| !servers.iter().any(|server| server.is_same_place(relay.server())))
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            if let Some(mut relay) = places.remove(&id) {
                relay.close(now);
                let mut last = Vec::new();
                if relay.poll_transmit(now, &mut last) {
                    farewells.push_back((relay.server().address, last));
                }
                while let Some(need) = relay.poll_stream() {
                    if need == StreamNeed::Close {
                        streams.push_back(StreamWork::Close(id));
                    }
                }
            }
        }
        for server in &servers {
            match places.values_mut().find(|relay| relay.server().is_same_place(server)) {
                Some(known) => known.set_credentials(now, &server.username, &server.password),
                None => {
                    while places.contains_key(&RelayId(relays.next_id)) {
                        relays.next_id = relays.next_id.wrapping_add(1); // eight at most are there
                    }
                    let id = RelayId(relays.next_id);
                    relays.next_id = relays.next_id.wrapping_add(1);
                    places.insert(id, Relay::new(now, server.clone(), Random::from_seed(random.bytes())));
                }
            }
        }
        relays.servers = servers;
        self.note_reach(now);
    }

    /// The relays there are.
    pub fn relays(&self) -> &[RelayServer] {
        &self.relays.servers
    }

    /// What became of each: its name, and where we are there or why we are not.
    pub fn relay_states(&self) -> impl Iterator<Item = (&RelayServer, &State)> {
        self.relays.places.values().map(|relay| (relay.server(), relay.state()))
    }

    /// Where in the world one of our relays stands.
    pub(super) fn relay_pop(&self, id: RelayId) -> u32 {
        self.relays.places.get(&id).map_or(0, |relay| relay.server().pop)
    }

    /// What is to be done with streams.
    pub fn poll_stream(&mut self) -> Option<StreamWork> {
        self.relays.streams.pop_front()
    }

    /// What became of a stream.
    pub fn handle_stream(&mut self, now: Instant, id: RelayId, event: StreamEvent<'_>) {
        let Some(relay) = self.relays.places.get_mut(&id) else { return };
        match event {
            StreamEvent::Opened { .. } => relay.handle_stream_opened(now),
            StreamEvent::Closed(why) => relay.handle_stream_closed(now, &why),
            StreamEvent::Bytes(bytes) => {
                relay.handle_stream_bytes(now, bytes);
                loop {
                    let relay = self.relays.places.get_mut(&id);
                    match relay
                        .and_then(|relay| relay.poll_inner(now))
                        .map(|r| r.map(|(from, data)| (from, data.to_vec())))
                    {
                        Some(Ok((peer, mut data))) => self.handle_routed(now, Route::Relay(id, peer), &mut data),
                        Some(Err(why)) => self.drops.add(why),
                        None => break,
                    }
                }
            }
        }
        self.note_reach(now);
    }

    /// Addresses of our own that peers may be told of, best first: of interfaces, and what servers saw.
    pub fn set_candidates(&mut self, now: Instant, candidates: Vec<Candidate>) {
        self.relays.gathered = candidates;
        self.note_reach(now);
    }

    /// Works out anew how we can be reached; if that has changed, every session hears of it.
    fn note_reach(&mut self, now: Instant) {
        let (candidates, relays) = self.relays.candidates();
        let reach = &mut self.local.reach;
        if candidates == reach.candidates && relays == reach.relays {
            return;
        }
        let new_place = relays.iter().any(|place| !reach.relays.contains(place));
        reach.candidates = candidates;
        reach.relays = relays;
        reach.revision += 1;
        if new_place {
            self.permit_all(now);
        }
        for slot in 0..self.slots.len() {
            self.with_context(now, slot, |session, ctx| session.handle_reach_change(now, ctx));
        }
    }

    /// Is it still open how we can be reached?
    pub(super) fn is_gathering(&self) -> bool {
        self.relays.places.values().any(|relay| matches!(relay.state(), State::Allocating))
    }

    /// The peer of a session may send to our places.
    pub(super) fn permit(&mut self, now: Instant, slot: usize) {
        let Some(session) = self.session(slot).filter(|session| !session.is_pending()) else { return };
        if !session.policy().relayed() || self.relays.places.is_empty() {
            return;
        }
        let theirs = self.local.reach.believed(&session.candidates());
        let outside = theirs.iter().filter(|c| c.kind != CandidateKind::Host);
        for candidate in outside {
            for relay in self.relays.places.values_mut() {
                relay.permit(now, candidate.address);
            }
        }
    }

    fn permit_all(&mut self, now: Instant) {
        (0..self.slots.len()).for_each(|slot| self.permit(now, slot));
        self.relays.permit_at = (!self.relays.places.is_empty()).then(|| now + PERMIT_EVERY);
    }

    pub(super) fn handle_from_relay(&mut self, now: Instant, from: SocketAddr, bytes: &mut [u8]) {
        let by_udp = |relay: &Relay| relay.server().transport == Transport::Udp && relay.server().address == from;
        let Some((id, relay)) = self.relays.places.iter_mut().find(|(_, relay)| by_udp(relay)) else {
            self.drops.add(Dropped::UnknownProtocol);
            return;
        };
        let id = *id;
        match relay.handle_datagram(now, bytes) {
            Ok(Some(inner)) => self.handle_routed(now, Route::Relay(id, inner.peer), &mut bytes[inner.data]),
            Ok(None) => self.note_reach(now),
            Err(why) => self.drops.add(why),
        }
    }

    /// Wraps what lies in `out` for `peer`. `None`: it goes by a stream, or waits, or is lost.
    pub(super) fn send_by_relay(
        &mut self,
        now: Instant,
        id: RelayId,
        peer: SocketAddr,
        segment_size: usize,
        out: &mut TransmitBuf,
    ) -> Option<Transmit> {
        let Some(relay) = self.relays.places.get_mut(&id) else {
            self.drops.add(Dropped::BadRelay);
            return None;
        };
        let mut wrapped = std::mem::take(&mut self.relays.wrapped);
        wrapped.clear();
        let mut first = 0;
        for datagram in out.bytes.chunks(segment_size) {
            match relay.wrap(now, peer, datagram, &mut wrapped) {
                Wrapped::Ready if first == 0 => first = wrapped.len(),
                Wrapped::Ready | Wrapped::Held => {}
                Wrapped::Refused => self.drops.add(Dropped::BadRelay),
            }
        }
        let transport = relay.server().transport;
        let remote = relay.server().address;
        std::mem::swap(&mut out.bytes, &mut wrapped);
        self.relays.wrapped = wrapped;
        if first == 0 {
            return None;
        }
        match transport {
            Transport::Udp => Some(Transmit { remote, segment_size: first }),
            Transport::Stream => {
                if let Err(why) = self.relays.work(StreamWork::Write(id, out.bytes.clone())) {
                    self.drops.add(why);
                }
                None
            }
        }
    }

    /// What relays are asked and told.
    pub(super) fn poll_relays(&mut self, now: Instant, out: &mut TransmitBuf) -> Option<Transmit> {
        out.bytes.clear();
        if let Some((remote, bytes)) = self.relays.farewells.pop_front() {
            out.bytes.extend_from_slice(&bytes);
            return Some(Transmit { remote, segment_size: bytes.len() });
        }
        let Relays { places, streams, .. } = &mut self.relays;
        for (id, relay) in places {
            while relay.poll_transmit(now, &mut out.bytes) {
                if relay.server().transport == Transport::Udp {
                    return Some(Transmit { remote: relay.server().address, segment_size: out.bytes.len() });
                }
                streams.push_back(StreamWork::Write(*id, std::mem::take(&mut out.bytes)));
            }
            while let Some(need) = relay.poll_stream() {
                streams.push_back(match need {
                    StreamNeed::Open => StreamWork::Open(*id, relay.server().address),
                    StreamNeed::Close => StreamWork::Close(*id),
                });
            }
        }
        None
    }

    pub(super) fn handle_relay_timeout(&mut self, now: Instant) {
        self.relays.seen_at = now;
        if self.relays.poll_timeout(now).is_none_or(|deadline| deadline.at > now) {
            return;
        }
        self.relays.places.values_mut().for_each(|relay| relay.handle_timeout(now));
        if self.relays.permit_at.is_some_and(|at| at <= now) {
            self.permit_all(now);
        }
        self.note_reach(now);
    }

    pub(super) fn relay_deadline(&self) -> Option<Deadline> {
        if !self.relays.farewells.is_empty() {
            return Some(Deadline::new(Instant::ZERO, Why::Transmit));
        }
        self.relays.poll_timeout(self.relays.seen_at)
    }
}
