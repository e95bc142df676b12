//! The out lane: what a sending thread may decide without the endpoint's lock.
//!
//! Each connected peer has a [`PeerCell`] of atomics; a thread that finds it open reserves room in it
//! and hands the message over. The session gives room back as bytes leave.

use crate::ids::{Channel, SteamId};
pub use crate::transport::cell::{LEAST_CHARGE, PeerCell, charge};
use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

/// The cells of all peers with a session, read by every sending thread, written when sessions come and go.
#[derive(Debug, Default)]
pub struct PeerTable(RwLock<BTreeMap<SteamId, Arc<PeerCell>>>);

impl PeerTable {
    /// The cell of `peer`.
    pub fn cell(&self, peer: SteamId) -> Option<Arc<PeerCell>> {
        self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner()).get(&peer).cloned()
    }

    /// Publishes a cell.
    pub fn insert(&self, peer: SteamId, cell: Arc<PeerCell>) {
        self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(peer, cell);
    }

    /// Withdraws a cell.
    pub fn remove(&self, peer: SteamId) {
        self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(&peer);
    }

    /// Everyone with a cell.
    pub fn peers(&self) -> Vec<SteamId> {
        self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner()).keys().copied().collect()
    }
}

/// A message on the out lane: its room is reserved in `cell`.
#[derive(Debug)]
pub struct Outgoing {
    /// To whom.
    pub to: SteamId,
    /// The cell its room was reserved in.
    pub cell: Arc<PeerCell>,
    /// On which channel.
    pub channel: Channel,
    /// Send flags.
    pub flags: i32,
    /// The bytes.
    pub payload: Box<[u8]>,
}
