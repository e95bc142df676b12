//! How we can be reached: what the driver gathered, and our places on relays, shared by all sessions.

use super::Endpoint;
use crate::drops::Dropped;
use crate::ids::RelayId;
use crate::machine::{Transmit, TransmitBuf};
use crate::time::Instant;
use crate::wire::candidate::Candidate;
use std::net::SocketAddr;

impl Endpoint {
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
