//! Every setting: its key, type, default, range, and when it may change.

use super::faults::FaultSettings;
use crate::ids::{AppId, SteamId};
use crate::settings::Settings;
use std::net::SocketAddr;

/// A value handed in for a key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// For keys of type int.
    Int(i64),
    /// For keys of type float.
    Float(f64),
    /// For keys of type string.
    String(&'a str),
    /// For keys of type bytes.
    Bytes(&'a [u8]),
}

/// Why a setting was refused; the text names the key and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Unknown key, wrong type, out of range, contradiction.
    #[error("{0}")]
    Invalid(String),
    /// A known key that cannot be set now or in this build.
    #[error("{0}")]
    State(String),
    /// A table is full.
    #[error("{0}")]
    Limit(String),
}

/// Everything an endpoint is created with.
#[derive(Clone, Debug)]
pub struct Config {
    /// LOCAL_STEAM_ID
    pub steam_id: SteamId,
    /// APP_ID
    pub app_id: AppId,
    /// BIND_ADDRESS
    pub bind: Vec<SocketAddr>,
    /// IDENTITY_KEY
    pub identity_seed: Option<[u8; 32]>,
    /// CALLBACK_MODE: true on the poll thread.
    pub callbacks_on_poll_thread: bool,
    /// POLL_GROUP, -1 its own.
    pub poll_group: i32,
    /// MAX_PENDING_REQUESTS
    pub max_pending_requests: u32,
    /// The FAKE_… keys.
    pub faults: FaultSettings,
    /// What sessions run with, unless a peer's override says otherwise.
    pub settings: Settings,
}
