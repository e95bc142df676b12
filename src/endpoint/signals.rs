//! Signals: datagrams of ours that somebody else carries, by the users' names instead of their addresses.
//!
//! A session that knows no address begins with them: the three messages of the handshake travel as signals, with
//! candidates sealed inside the last two, and the first data rides behind the third. They may be lost, doubled and come
//! out of order, as datagrams may. Who carries them vouches for who sent them, and is believed no further than that.

use super::{Endpoint, events::Event};
use crate::drops::Dropped;
use crate::ids::SteamId;
use crate::path::route::Route;
use crate::session::Session;
use crate::time::Instant;
use std::collections::VecDeque;

/// The longest signal, bytes.
pub const MAX_SIGNAL: usize = 4_096;

/// Signals that wait to be carried; the oldest makes room.
const MAX_SIGNALS: usize = 1_024;

/// Is there somebody who carries signals?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carrier {
    /// Nobody is asked to.
    #[default]
    Nobody,
    /// There will be, or will be again.
    Waiting,
    /// Yes.
    Online,
}

/// The signals of an endpoint.
#[derive(Debug, Default)]
pub(super) struct Signals {
    carrier: Carrier,
    waiting: VecDeque<(SteamId, Vec<u8>)>,
}

impl Signals {
    /// May peers be looked for by signals now?
    pub(super) fn is_online(&self) -> bool {
        self.carrier == Carrier::Online
    }

    /// May they be later?
    pub(super) fn is_awaited(&self) -> bool {
        self.carrier == Carrier::Waiting
    }

    /// Is nothing left to be carried?
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Queues a signal, if somebody carries it.
    pub(super) fn push(&mut self, to: SteamId, bytes: &[u8]) -> Result<(), Dropped> {
        if self.carrier != Carrier::Online || bytes.len() > MAX_SIGNAL {
            return Err(Dropped::NoCarrier);
        }
        self.waiting.push_back((to, bytes.to_vec()));
        if self.waiting.len() > MAX_SIGNALS {
            self.waiting.pop_front();
            return Err(Dropped::NoCarrier);
        }
        Ok(())
    }
}

impl Endpoint {
    /// Says whether there is somebody who carries signals.
    pub fn set_signaling(&mut self, now: Instant, carrier: Carrier) {
        let before = std::mem::replace(&mut self.signals.carrier, carrier);
        if before == carrier {
            return;
        }
        self.local.reach.signals = carrier == Carrier::Online;
        self.local.reach.signals_awaited = carrier == Carrier::Waiting;
        if carrier != Carrier::Online {
            self.signals.waiting.clear();
        }
        for slot in 0..self.slots.len() {
            if self.session(slot).is_some_and(Session::is_opening) {
                if let Some(session) = self.session_mut(slot) {
                    session.handle_carrier(carrier == Carrier::Online, carrier == Carrier::Waiting);
                }
                self.dial_known_addresses(now, slot);
                self.touch(now, slot);
            }
        }
    }

    /// Is there somebody who carries signals?
    pub fn carrier(&self) -> Carrier {
        self.signals.carrier
    }

    /// Takes a signal that was carried here. It is spoilt.
    pub fn handle_signal(&mut self, now: Instant, from: SteamId, bytes: &mut [u8]) {
        if from.0 == 0 || from == self.local.steam_id || bytes.len() > MAX_SIGNAL {
            self.drops.add(Dropped::BadLength);
            return;
        }
        self.handle_routed(now, Route::Signal(from), bytes);
    }

    /// The next signal to carry, and to whom.
    pub fn poll_signal(&mut self) -> Option<(SteamId, Vec<u8>)> {
        self.signals.waiting.pop_front()
    }

    /// How long the next signal to carry is, if there is one.
    pub fn next_signal_size(&self) -> Option<usize> {
        self.signals.waiting.front().map(|(_, bytes)| bytes.len())
    }

    /// Who carries signals says that `peer` is not there. Only a session that nothing came back to believes it.
    pub fn handle_offline(&mut self, now: Instant, peer: SteamId) {
        if let Some(slot) = self.by_peer.get(&peer).copied()
            && let Some(session) = self.session_mut(slot)
        {
            session.handle_offline(now);
            self.touch(now, slot);
        }
    }

    /// What became of the connection to the signaling server: 3 online, 1 connecting, 5 refused or lost.
    pub fn handle_signaling_event(&mut self, state: i32, reason: i32, text: String) {
        self.events.push(Event::Signaling { state, reason, text }, &mut self.drops);
    }
}
