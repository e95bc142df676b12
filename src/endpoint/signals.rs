//! Signals: who carries them, those that came, those to be carried.

use super::Endpoint;
use super::events::Event;
use crate::ids::SteamId;
use crate::time::Instant;

/// Is there somebody who carries signals?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carrier {
    /// Nobody, and nobody is expected.
    #[default]
    Nobody,
    /// Not now, but soon perhaps.
    Waiting,
    /// Yes.
    Online,
}

impl Endpoint {
    /// Somebody carries signals from now on, or nobody.
    pub fn set_signaling(&mut self, _now: Instant, carrier: Carrier) {
        self.carrier = carrier;
    }

    /// Who carries signals.
    pub fn carrier(&self) -> Carrier {
        self.carrier
    }

    /// A signal came.
    pub fn handle_signal(&mut self, _now: Instant, _from: SteamId, _bytes: &mut [u8]) {}

    /// The next signal to be carried.
    pub fn poll_signal(&mut self) -> Option<(SteamId, Vec<u8>)> {
        None
    }

    /// The server says that nobody of this steam id is online.
    pub fn handle_offline(&mut self, _now: Instant, _peer: SteamId) {}

    /// The connection to the signaling server has come, gone or been refused; the app is told.
    pub fn handle_signaling_event(&mut self, _now: Instant, state: i32, reason: i32, text: String) {
        self.events.push(Event::Signaling { state, reason, text }, &mut self.drops);
    }
}
