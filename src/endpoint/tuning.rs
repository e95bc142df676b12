//! What the app changes while an endpoint runs: settings, addresses, priorities, and word of a new network.
//!
//! A change holds for sessions that live, as far as it can, and for those to come.

use super::config::{ConfigError, Scope, Value};
use super::faults::{Direction, Link};
use super::{Endpoint, MAX_ADDRESSES, MAX_KNOWN_PEERS, MAX_PRIORITIES, SendError};
use crate::ids::{Channel, SteamId};
use crate::session::Session;
use crate::session::cause::Cause;
use crate::settings::Settings;
use crate::time::Instant;
use std::net::SocketAddr;

impl Endpoint {
    /// Higher first, equal share fairly; 0 by default.
    ///
    /// # Errors
    /// Too many channels with a priority of their own.
    pub fn set_channel_priority(&mut self, channel: Channel, priority: i32) -> Result<(), SendError> {
        if self.priorities.len() >= MAX_PRIORITIES && !self.priorities.contains_key(&channel) {
            return Err(SendError::LimitExceeded("at most 4096 channels have a priority of their own"));
        }
        self.priorities.insert(channel, priority);
        for slot in self.slots.iter_mut().flatten() {
            slot.session.set_priority(channel, priority);
        }
        Ok(())
    }

    pub(super) fn settings_for(&self, peer: SteamId) -> Settings {
        self.config.settings_for(self.overrides.get(&peer))
    }

    /// Changes a live setting.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn set_config(&mut self, now: Instant, key: i32, value: Value<'_>) -> Result<(), ConfigError> {
        let seed_before = self.config.faults.seed;
        self.config.set(key, value, Scope::Live)?;
        if self.config.faults.seed != seed_before {
            self.fault_seed = self.config.faults.seed;
            self.fault_send = None;
            self.fault_recv = None;
        }
        self.account.version += 1;
        self.apply_faults();
        self.apply_trust(now);
        for slot in 0..self.slots.len() {
            self.apply_settings(now, slot);
        }
        Ok(())
    }

    /// Changes a setting for one peer; it outlives the session.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn set_peer_config(
        &mut self,
        now: Instant,
        peer: SteamId,
        key: i32,
        value: Value<'_>,
    ) -> Result<(), ConfigError> {
        if peer.0 == 0 {
            return Err(ConfigError::Invalid("steam id 0 is nobody".to_owned()));
        }
        if self.overrides.len() >= MAX_KNOWN_PEERS && !self.overrides.contains_key(&peer) {
            return Err(ConfigError::Limit("at most 65536 peers have settings of their own".to_owned()));
        }
        let mut overrides = self.overrides.get(&peer).cloned().unwrap_or_default();
        overrides.set(&self.config, key, value)?;
        if !overrides.is_empty() {
            self.overrides.insert(peer, overrides);
        }
        if let Some(slot) = self.by_peer.get(&peer).copied() {
            self.apply_settings(now, slot);
        }
        Ok(())
    }

    /// Forgets the settings of one peer.
    pub fn reset_peer(&mut self, now: Instant, peer: SteamId) {
        self.overrides.remove(&peer);
        if let Some(slot) = self.by_peer.get(&peer).copied() {
            self.apply_settings(now, slot);
        }
    }

    fn apply_settings(&mut self, now: Instant, slot: usize) {
        let Some(peer) = self.session(slot).map(Session::peer) else {
            return;
        };
        let settings = self.settings_for(peer);
        if let Some(session) = self.session_mut(slot) {
            session.set_settings(settings);
        }
        self.touch(now, slot);
    }

    /// New authorities and a new certificate hold for handshakes from now on; a revoked authority ends the
    /// sessions of those it certified.
    pub(super) fn apply_trust(&mut self, now: Instant) {
        let (authorities, certificate) = self.account.papers(&self.config);
        self.local.trust.configure(now, authorities, certificate);
        for slot in 0..self.slots.len() {
            let standing = self.session(slot).and_then(Session::standing);
            let Some(refusal) = standing.and_then(|standing| self.local.trust.has_revoked(standing)) else {
                continue;
            };
            match self.session_mut(slot) {
                // The app has not let it in, so it need not hear that it is gone.
                Some(session) if session.is_pending() => {
                    let peer = session.peer();
                    session.close(now, refusal.reason(), &refusal.to_string());
                    self.events.withdraw_request(peer);
                    self.carry_on_farewell(now, slot);
                    self.remove(slot);
                }
                Some(session) => {
                    session.fail_for(now, Cause::CertificateRefused, refusal.reason(), refusal.to_string());
                    self.touch(now, slot);
                }
                None => {}
            }
        }
    }

    pub(super) fn apply_faults(&mut self) {
        let faults = &self.config.faults;
        let apply = |link: &mut Option<Box<Link>>, settings: &Direction, seed: u64| match link {
            Some(link) => link.set(settings.clone()),
            None if !settings.is_clean() => *link = Some(Box::new(Link::new(settings.clone(), seed))),
            None => {}
        };
        apply(&mut self.fault_send, &faults.send, self.fault_seed);
        apply(&mut self.fault_recv, &faults.recv, self.fault_seed ^ u64::MAX);
    }

    /// Adds an address under which `peer` may be reached.
    ///
    /// # Errors
    /// The table is full.
    pub fn add_peer_address(&mut self, now: Instant, peer: SteamId, address: SocketAddr) -> Result<(), SendError> {
        if peer.0 == 0 || address.port() == 0 || address.ip().is_unspecified() || address.ip().is_multicast() {
            return Err(SendError::InvalidParam("nobody can be reached there"));
        }
        if self.book.len() >= MAX_KNOWN_PEERS && !self.book.contains_key(&peer) {
            return Err(SendError::LimitExceeded("the address book holds at most 65536 peers"));
        }
        let addresses = self.book.entry(peer).or_default();
        if !addresses.contains(&address) {
            if addresses.len() >= MAX_ADDRESSES {
                return Err(SendError::LimitExceeded("a peer has at most 16 addresses"));
            }
            addresses.push(address);
        }
        if let Some(slot) = self.by_peer.get(&peer).copied()
            && self.session(slot).is_some_and(Session::is_opening)
        {
            self.dial_known_addresses(now, slot);
            self.touch(now, slot);
        }
        Ok(())
    }

    /// Forgets the addresses of `peer`.
    pub fn remove_peer_address(&mut self, _now: Instant, peer: SteamId) {
        self.book.remove(&peer);
    }

    /// Interfaces changed: every path is proven anew.
    pub fn handle_network_change(&mut self, now: Instant) {
        for slot in 0..self.slots.len() {
            let Endpoint { slots, book, .. } = self;
            if let Some(entry) = &mut slots[slot] {
                let known = book.get(&entry.session.peer()).map(Vec::as_slice).unwrap_or_default();
                entry.session.handle_network_change(now, known);
                self.touch(now, slot);
            }
        }
    }
}
