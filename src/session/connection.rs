//! One keyed incarnation under a session: a handshake's keys, its connection ids and its paths.
//!
//! Knows nothing of messages. Invariant: nothing it returns from [`Connection::open`] was seen before,
//! and nothing but an opened packet changes it.

use super::hello::PeerHello;
use crate::crypto::CryptoError;
use crate::crypto::packet::PacketKeys;
use crate::crypto::replay::ReplayWindow;
use crate::drops::Dropped;
use crate::ids::ConnectionId;
use crate::path::reach::{Policy, Reach};
use crate::path::route::Route;
use crate::path::{Moved, Paths};
use crate::time::{Duration, Instant};
use crate::wire::candidate::{self, Candidate, CandidateKind};
use crate::wire::packet::{self, DataHeader};
use std::ops::Range;

/// Keys, ids and paths of one connection.
pub struct Connection {
    /// What the peer writes on packets to us.
    pub local: ConnectionId,
    /// What we write on packets to the peer.
    pub remote: ConnectionId,
    /// What the peer said of itself.
    pub hello: PeerHello,
    /// Where packets go.
    pub paths: Paths,
    /// The handshake's round trip, if it was unambiguous.
    pub rtt: Option<Duration>,
    keys: PacketKeys,
    replay: ReplayWindow,
    largest: Option<u64>,
}

/// An opened packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its number.
    pub number: u64,
    /// No packet with a larger number was opened before.
    pub newest: bool,
    /// Where its frames lie in the datagram.
    pub frames: Range<usize>,
}

impl Connection {
    /// A connection whose handshake is complete.
    pub fn new(
        local: ConnectionId,
        remote: ConnectionId,
        hello: PeerHello,
        keys: PacketKeys,
        route: Route,
        rtt: Option<Duration>,
    ) -> Connection {
        Connection {
            local,
            remote,
            hello,
            paths: Paths::new(route),
            rtt,
            keys,
            replay: ReplayWindow::default(),
            largest: None,
        }
    }

    /// Every way that our places and the peer's make is tried. What became of the active one, if it is no more.
    pub fn pair_up(&mut self, now: Instant, reach: &Reach, policy: Policy) -> Option<Moved> {
        let routes = reach.routes(&self.candidates(), policy);
        self.paths.set_routes(now, &routes, Route::Signal(self.hello.steam_id))
    }

    /// Where the peer says that it may be reached.
    fn candidates(&self) -> Vec<Candidate> {
        candidate::decode(&self.hello.candidates).unwrap_or_default() // they were checked when they came
    }

    /// The place on a relay, of the peer's, that packets go to.
    pub fn peer_relay(&self) -> Option<Candidate> {
        let active = self.paths.active().address();
        self.candidates().into_iter().find(|c| c.kind == CandidateKind::Relayed && Some(c.address) == active)
    }

    /// Does a relay lie between us, ours or the peer's?
    pub fn is_relayed(&self) -> bool {
        matches!(self.paths.active(), Route::Relay(..)) || self.peer_relay().is_some()
    }

    /// Opens a data packet in place. `old_key_lifetime` is three probe timeouts.
    ///
    /// # Errors
    /// Why the packet was dropped; nothing has changed then.
    pub fn open(
        &mut self,
        now: Instant,
        header: &DataHeader,
        datagram: &mut [u8],
        old_key_lifetime: Duration,
    ) -> Result<Opened, Dropped> {
        let number = packet::expand(header.truncated, header.pn_len, self.largest);
        if !self.replay.check(number) {
            return Err(Dropped::Replayed);
        }
        let (head, body) = datagram.split_at_mut(header.len);
        let length = self.keys.open(now, old_key_lifetime, header.phase, number, head, body)?;
        self.replay.mark(number);
        let newest = self.largest.is_none_or(|l| number > l);
        if newest {
            self.largest = Some(number);
        }
        Ok(Opened { number, newest, frames: header.len..header.len + length })
    }

    /// Begins packet `number` at the end of `out`: writes its header and returns the header's length.
    /// `None` when too many packets are unacknowledged.
    pub fn begin_packet(&mut self, number: u64, largest_acked: Option<u64>, out: &mut Vec<u8>) -> Option<usize> {
        let pn_len = packet::pn_len(number, largest_acked)?;
        let start = out.len();
        DataHeader::new(self.remote, self.keys.send_phase(), number, pn_len).encode(out);
        Some(out.len() - start)
    }

    /// Seals the packet that begins at `start` of `out`.
    ///
    /// # Errors
    /// The key must not be used any further.
    pub fn seal(&mut self, number: u64, out: &mut Vec<u8>, start: usize, header: usize) -> Result<(), CryptoError> {
        self.keys.seal(number, out, start, header)
    }

    /// The peer acknowledged packets up to `largest`.
    pub fn handle_acked(&mut self, largest: u64) {
        self.keys.handle_acked(largest);
    }

    /// Has somebody tried to forge packets more often than the cipher stands?
    pub fn is_worn_out(&self) -> bool {
        self.keys.failed_opens_exhausted()
    }
}
