//! Who we are: all sessions of one steam id behind one wall.

pub mod config;
pub mod events;
pub mod faults;
pub mod lanes;
pub mod mailbox;

use crate::drops::DropCounts;
use crate::ids::{Channel, SteamId};
use crate::machine::{Datagram, Machine, Transmit, TransmitBuf};
use crate::time::{Deadline, Instant};
use config::{Config, ConfigError, Value};
use events::Event;
use lanes::{Outgoing, PeerTable};
use mailbox::Mailbox;
use std::net::SocketAddr;
use std::sync::Arc;

/// Send flags, the numbers of Steam's header.
pub mod flags {
    /// Ends the Nagle wait of everything queued for the peer.
    pub const NO_NAGLE: i32 = 1;
    /// Send now or not at all (unreliable only).
    pub const NO_DELAY: i32 = 4;
    /// Exactly once, in order within the channel.
    pub const RELIABLE: i32 = 8;
    /// Starts a failed session afresh.
    pub const AUTO_RESTART: i32 = 32;
}

/// Why a message was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The session is broken and the message does not ask to restart it.
    #[error("the session with this user is broken: close it, or send with AUTO_RESTART_BROKEN_SESSION")]
    NoConnection,
    /// Steam id 0, or larger than a message may be.
    #[error("{0}")]
    InvalidParam(&'static str),
    /// The send buffer is full.
    #[error("{0}")]
    LimitExceeded(&'static str),
    /// NO_DELAY, and it could not leave at once.
    #[error("NO_DELAY: the message could not leave at once and was dropped")]
    Ignored,
}

/// Largest message, bytes, as in Steam's header.
pub const MAX_MESSAGE_SIZE: usize = 524_288;

/// What `getSessionConnectionInfo` tells, with the field meanings of the C header.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionInfo {
    /// Steam's connection state, 0 to 5.
    pub state: i32,
    /// The peer, 0 without a session.
    pub identity: u64,
    /// CONNECTION_USER_DATA.
    pub user_data: i64,
    /// Why it ended, 0 while alive.
    pub end_reason: i32,
    /// SNM_INFO_ bits.
    pub info_flags: u32,
    /// Where the peer is, when there is a path.
    pub remote_address: Option<SocketAddr>,
    /// Text of whoever ended it.
    pub end_debug: String,
    /// For humans.
    pub debug_description: String,
}

/// The measured side of a session, with the field meanings of the C header.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct SessionStatus {
    pub ping: i32,
    pub local_quality: f32,
    pub remote_quality: f32,
    pub packets_out_per_second: f32,
    pub bytes_out_per_second: f32,
    pub packets_in_per_second: f32,
    pub bytes_in_per_second: f32,
    pub send_rate: i32,
    pub pending_unreliable: i32,
    pub pending_reliable: i32,
    pub send_unacknowledged_reliable: i32,
    /// Microseconds; `u64::MAX` when not connected.
    pub queue_time: u64,
    /// Microseconds, -1 unknown. Reading it resets it.
    pub max_jitter: i32,
}

/// One local identity and all its sessions. The state machine behind the wall.
pub struct Endpoint {
    mailbox: Arc<Mailbox>,
    peers: Arc<PeerTable>,
}

impl Endpoint {
    /// An endpoint with `config`, every secret drawn from `seed`.
    ///
    /// # Errors
    /// The key whose value is missing or contradicts another.
    pub fn new(_config: Config, _seed: [u8; 32], _now: Instant) -> Result<Endpoint, ConfigError> {
        todo!()
    }

    /// Received messages wait here for the app.
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// The cells the fast lane of sending looks at.
    pub fn peers(&self) -> &Arc<PeerTable> {
        &self.peers
    }

    /// The configuration as it stands.
    pub fn config(&self) -> &Config {
        todo!()
    }

    /// Sends one message; see the C header for every rule.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send(
        &mut self,
        _now: Instant,
        _to: SteamId,
        _payload: Box<[u8]>,
        _flags: i32,
        _channel: Channel,
    ) -> Result<(), SendError> {
        todo!()
    }

    /// Takes a message from the fast lane; its room is already reserved in the peer's cell.
    pub fn take_outgoing(&mut self, _now: Instant, _message: Outgoing) {
        todo!()
    }

    /// Lets the app's reads (credits to the peers, idle timers) take effect. Call it once a turn.
    pub fn handle_reads(&mut self, _now: Instant) {
        todo!()
    }

    /// Accepts a pending request. False without a live session.
    pub fn accept(&mut self, _now: Instant, _peer: SteamId) -> bool {
        todo!()
    }

    /// Ends the session. False without one.
    pub fn close_session(&mut self, _now: Instant, _peer: SteamId) -> bool {
        todo!()
    }

    /// Ends one channel, and the session with the last.
    pub fn close_channel(&mut self, _now: Instant, _peer: SteamId, _channel: Channel) -> bool {
        todo!()
    }

    /// State, info and status of a session; zeros without one.
    pub fn session_info(&mut self, _now: Instant, _peer: SteamId) -> (SessionInfo, SessionStatus) {
        todo!()
    }

    /// Ends the Nagle wait. False without a session.
    pub fn flush(&mut self, _now: Instant, _peer: SteamId) -> bool {
        todo!()
    }

    /// Higher first, equal share fairly; 0 by default.
    ///
    /// # Errors
    /// Too many channels with a priority of their own.
    pub fn set_channel_priority(&mut self, _channel: Channel, _priority: i32) -> Result<(), SendError> {
        todo!()
    }

    /// Changes a live setting.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn set_config(&mut self, _now: Instant, _key: i32, _value: Value<'_>) -> Result<(), ConfigError> {
        todo!()
    }

    /// Changes a setting for one peer; it outlives the session.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn set_peer_config(
        &mut self,
        _now: Instant,
        _peer: SteamId,
        _key: i32,
        _value: Value<'_>,
    ) -> Result<(), ConfigError> {
        todo!()
    }

    /// Forgets the settings of one peer.
    pub fn reset_peer(&mut self, _now: Instant, _peer: SteamId) {
        todo!()
    }

    /// Adds an address under which `peer` may be reached.
    ///
    /// # Errors
    /// The table is full.
    pub fn add_peer_address(&mut self, _now: Instant, _peer: SteamId, _address: SocketAddr) -> Result<(), SendError> {
        todo!()
    }

    /// Forgets the addresses of `peer`.
    pub fn remove_peer_address(&mut self, _now: Instant, _peer: SteamId) {
        todo!()
    }

    /// Why the session is as it is, as JSON.
    pub fn explain(&self, _now: Instant, _peer: SteamId) -> String {
        todo!()
    }

    /// Our Ed25519 public key.
    pub fn public_key(&self) -> [u8; 32] {
        todo!()
    }

    /// Interfaces changed: every path is proven anew.
    pub fn handle_network_change(&mut self, _now: Instant) {
        todo!()
    }

    /// The socket refused a datagram to `remote` for good (host or network unreachable).
    pub fn handle_send_error(&mut self, _now: Instant, _remote: SocketAddr) {
        todo!()
    }

    /// The next event for the app.
    pub fn poll_event(&mut self) -> Option<Event> {
        todo!()
    }

    /// How many events wait.
    pub fn events_waiting(&self) -> usize {
        todo!()
    }

    /// Closes every session and lets the peers know; drive the machine on until [`Endpoint::is_drained`].
    pub fn shutdown(&mut self, _now: Instant) {
        todo!()
    }

    /// Nothing is left to tell anybody.
    pub fn is_drained(&self) -> bool {
        todo!()
    }

    /// What was dropped so far, by reason.
    pub fn drops(&self) -> &DropCounts {
        todo!()
    }
}

impl Machine for Endpoint {
    fn handle_datagram(&mut self, _now: Instant, _datagram: Datagram<'_>) {
        todo!()
    }

    fn handle_timeout(&mut self, _now: Instant) {
        todo!()
    }

    fn poll_transmit(&mut self, _now: Instant, _out: &mut TransmitBuf) -> Option<Transmit> {
        todo!()
    }

    fn poll_timeout(&self) -> Option<Deadline> {
        todo!()
    }
}
