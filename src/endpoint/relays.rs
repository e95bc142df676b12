//! How we can be reached: what the driver gathered, and our places on relays, shared by all sessions.

use super::Endpoint;
use crate::drops::Dropped;
use crate::ids::RelayId;
use crate::machine::{Transmit, TransmitBuf};
use crate::time::Instant;
use crate::wire::candidate::Candidate;
use std::net::SocketAddr;

/// What lies between us and a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams of our own sockets.
    Udp,
    /// A byte stream, which the driver opens.
    Stream,
}

/// A relay we may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayServer {
    /// host:port as configured, for texts.
    pub name: String,
    /// Where it is.
    pub address: SocketAddr,
    /// How it is reached.
    pub transport: Transport,
    /// Shown to it.
    pub username: String,
    /// Never shown.
    pub password: String,
    /// Where in the world it stands; 0 unknown.
    pub pop: u32,
}

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

impl Endpoint {
    /// The relays there are now, all of them.
    pub fn set_relays(&mut self, _now: Instant, relays: Vec<RelayServer>) {
        self.relays = relays;
    }

    /// The relays there are.
    pub fn relays(&self) -> &[RelayServer] {
        &self.relays
    }

    /// What is to be done with streams.
    pub fn poll_stream(&mut self) -> Option<StreamWork> {
        None
    }

    /// What became of a stream.
    pub fn handle_stream(&mut self, _now: Instant, _relay: RelayId, _event: StreamEvent<'_>) {}

    /// Addresses of our own that peers may be told of, best first: of interfaces, and what servers saw.
    pub fn set_candidates(&mut self, now: Instant, candidates: Vec<Candidate>) {
        self.gathered = candidates;
        self.note_reach(now);
    }

    /// Works out anew how we can be reached; if that has changed, every session hears of it.
    fn note_reach(&mut self, now: Instant) {
        let reach = &mut self.local.reach;
        let candidates = self.gathered.clone();
        if candidates == reach.candidates {
            return;
        }
        reach.candidates = candidates;
        reach.revision += 1;
        for slot in 0..self.slots.len() {
            self.with_context(now, slot, |session, ctx| session.handle_reach_change(now, ctx));
        }
    }

    pub(super) fn is_gathering(&self) -> bool {
        false
    }

    pub(super) fn handle_from_relay(&mut self, _now: Instant, _from: SocketAddr, _bytes: &mut [u8]) {
        self.drops.add(Dropped::UnknownProtocol);
    }

    pub(super) fn send_by_relay(
        &mut self,
        _now: Instant,
        _relay: RelayId,
        _peer: SocketAddr,
        _segment_size: usize,
        _out: &mut TransmitBuf,
    ) -> Option<Transmit> {
        self.drops.add(Dropped::BadRelay);
        None
    }

    pub(super) fn poll_relays(&mut self, _now: Instant, _out: &mut TransmitBuf) -> Option<Transmit> {
        None
    }
}
