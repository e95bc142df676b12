//! Every setting: its key, type, default, range, when it may change, and why it is limited so.
//!
//! [`KEYS`] is the only place that knows a key. What a key means for one session lands in [`Settings`];
//! a peer's overrides are laid over the endpoint's values when a session asks for its settings. Keys of
//! things this version lacks are known too: they take their default and refuse everything else.

use super::faults::FaultSettings;
use super::servers::{Secret, SignalingUrl, TurnUrl, split_list};
use crate::crypto::certificate::Certificate;
use crate::crypto::identity::{Identity, Seed};
use crate::ids::{AppId, SteamId};
use crate::session::trust::{Authorities, check_own};
use crate::settings::Settings;
use crate::time::Duration;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

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

impl Value<'_> {
    fn type_name(&self) -> &'static str {
        match self {
            Value::Int(_) => "an int",
            Value::Float(_) => "a float",
            Value::String(_) => "a string",
            Value::Bytes(_) => "bytes",
        }
    }
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

/// Where a value is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In a configuration no endpoint was made from yet.
    Create,
    /// On a running endpoint.
    Live,
    /// For one peer of a running endpoint.
    Peer,
}

/// Everything an endpoint is created with.
#[derive(Clone, Debug)]
pub struct Config {
    /// LOCAL_STEAM_ID; 0 until set.
    pub steam_id: SteamId,
    /// APP_ID
    pub app_id: AppId,
    /// BIND_ADDRESS: at most one address of each family.
    pub bind: Vec<SocketAddr>,
    /// IDENTITY_KEY
    pub identity_seed: Option<Seed>,
    /// CERTIFICATE
    pub certificate: Option<Certificate>,
    /// TRUSTED_AUTHORITIES
    pub authorities: Authorities,
    /// CALLBACK_MODE: true on the poll thread.
    pub callbacks_on_poll_thread: bool,
    /// POLL_GROUP, -1 its own.
    pub poll_group: i32,
    /// MAX_PENDING_REQUESTS
    pub max_pending_requests: u32,
    /// SIGNALING_URL
    pub signaling: Option<SignalingUrl>,
    /// SIGNALING_CA: a file of certificates in PEM.
    pub signaling_ca: String,
    /// LOGIN_TOKEN
    pub login_token: Secret,
    /// P2P_TURN_SERVER_LIST
    pub turn_servers: Vec<TurnUrl>,
    /// P2P_TURN_USER_LIST: one for each server, by position; missing ones are empty.
    pub turn_users: Vec<String>,
    /// P2P_TURN_PASS_LIST: as the users.
    pub turn_passwords: Vec<Secret>,
    /// The FAKE_… keys.
    pub faults: FaultSettings,
    /// What sessions run with, unless a peer's override says otherwise.
    pub settings: Settings,
}

impl Default for Config {
    fn default() -> Config {
        Config::new()
    }
}

impl Config {
    /// All defaults; LOCAL_STEAM_ID is still to be set.
    pub fn new() -> Config {
        Config {
            steam_id: SteamId(0),
            app_id: AppId(480),
            bind: vec![
                SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
                SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
            ],
            identity_seed: None,
            certificate: None,
            authorities: Authorities::default(),
            callbacks_on_poll_thread: false,
            poll_group: -1,
            max_pending_requests: 64,
            signaling: None,
            signaling_ca: String::new(),
            login_token: Secret::default(),
            turn_servers: Vec::new(),
            turn_users: Vec::new(),
            turn_passwords: Vec::new(),
            faults: FaultSettings::default(),
            settings: Settings::default(),
        }
    }

    /// Sets one key. On a running endpoint the result is checked for contradictions at once, so that a
    /// refused change changes nothing; before, [`Config::validate`] does it when all keys are in.
    ///
    /// # Errors
    /// See [`ConfigError`]; the text names the key, its range and what was given.
    pub fn set(&mut self, key: i32, value: Value<'_>, scope: Scope) -> Result<(), ConfigError> {
        let key = find(key)?;
        key.check(value, scope)?;
        if scope == Scope::Create {
            return key.store(self, value);
        }
        let mut changed = self.clone();
        key.store(&mut changed, value)?;
        check_rates(&changed.settings)?;
        changed.check_certificate()?;
        *self = changed;
        Ok(())
    }

    /// Looks for what is missing and what contradicts, before an endpoint is made.
    ///
    /// # Errors
    /// The key to change, and to what.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.steam_id.0 == 0 {
            return Err(ConfigError::Invalid(
                "LOCAL_STEAM_ID (10000) is required: set it to the steam id this endpoint speaks for".into(),
            ));
        }
        check_rates(&self.settings)?;
        self.check_certificate()
    }

    fn check_certificate(&self) -> Result<(), ConfigError> {
        let Some(certificate) = &self.certificate else {
            return Ok(());
        };
        let invalid = |says: String| ConfigError::Invalid(format!("CERTIFICATE (10004): {says}"));
        let Some(seed) = &self.identity_seed else {
            return Err(invalid("set IDENTITY_KEY (10003) to the key that was certified".to_owned()));
        };
        let key = Identity::from_seed(seed.bytes()).public_key();
        check_own(certificate, &self.authorities, self.app_id, self.steam_id, &key).map_err(invalid)
    }

    /// What a session with a peer of these overrides runs with.
    pub fn settings_for(&self, overrides: Option<&PeerOverrides>) -> Settings {
        let mut settings = self.settings;
        for (key, value) in overrides.iter().flat_map(|overrides| &overrides.0) {
            if let Some(Key { kind: Kind::Int { store: Store::Session(store), .. }, .. }) =
                KEYS.iter().find(|k| k.number == *key)
            {
                store(&mut settings, *value);
            }
        }
        settings
    }
}

/// What was set for one peer: values by key, at most one for each key that may differ by peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerOverrides(BTreeMap<i32, i64>);

impl PeerOverrides {
    /// Sets one key for the peer of an endpoint that runs with `config`. A refused change changes nothing.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn set(&mut self, config: &Config, key: i32, value: Value<'_>) -> Result<(), ConfigError> {
        let key = find(key)?;
        key.check(value, Scope::Peer)?;
        let (Value::Int(value), false) = (value, matches!(key.life, Life::Later)) else {
            return Ok(()); // the default of a key this version lacks: nothing to remember
        };
        let mut changed = self.clone();
        changed.0.insert(key.number, value);
        check_rates(&config.settings_for(Some(&changed)))?;
        *self = changed;
        Ok(())
    }

    /// True when nothing differs from the endpoint's own values.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn check_rates(settings: &Settings) -> Result<(), ConfigError> {
    let (min, max) = (settings.send_rate_min, settings.send_rate_max);
    if max != 0 && min > max {
        return Err(ConfigError::Invalid(format!(
            "SEND_RATE_MIN (10) is {min}, above SEND_RATE_MAX (11), which is {max}: raise the maximum first, or lower the minimum first"
        )));
    }
    Ok(())
}

/// When a key may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Only before the endpoint is made.
    Fixed,
    /// At any time.
    Live,
    /// At any time, and for one peer alone.
    PerPeer,
    /// Not in this version: only its default is accepted.
    Later,
}

/// Where an int goes.
#[derive(Clone, Copy, Debug)]
pub enum Store {
    /// Into the endpoint's own values.
    Endpoint(fn(&mut Config, i64)),
    /// Into what sessions run with.
    Session(fn(&mut Settings, i64)),
}

/// A key's type, default and range.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `min..=max`, or 0 where `or_zero`.
    #[allow(missing_docs)]
    Int { default: i64, min: i64, max: i64, or_zero: bool, store: Store },
    /// `min..=max`, never NaN.
    #[allow(missing_docs)]
    Float { default: f64, min: f64, max: f64, store: fn(&mut Config, f64) },
    /// UTF-8, at most `max` bytes; the parser names what it expects.
    #[allow(missing_docs)]
    Text { default: &'static str, max: usize, store: fn(&mut Config, &str) -> Result<(), String> },
    /// Exactly `len` bytes, or none where `or_none`; the parser names what it expects.
    #[allow(missing_docs)]
    Bytes { len: usize, or_none: bool, store: fn(&mut Config, &[u8]) -> Result<(), String> },
    /// What a later version will take; the default is accepted.
    #[allow(missing_docs)]
    Absent { default: Value<'static>, what: &'static str },
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its number: Steam's where Steam has the option.
    pub number: i32,
    /// Its name in the C header, without `SNM_CONFIG_`.
    pub name: &'static str,
    /// When it may be set.
    pub life: Life,
    /// Type, default and range.
    pub kind: Kind,
    /// Why the range is what it is.
    pub why: &'static str,
}

fn find(number: i32) -> Result<&'static Key, ConfigError> {
    KEYS.iter().find(|key| key.number == number).ok_or_else(|| {
        ConfigError::Invalid(format!("there is no config key {number}; see SNM_CONFIG_ in steamnetmsg.h"))
    })
}

impl Key {
    fn invalid(&self, says: impl std::fmt::Display) -> ConfigError {
        ConfigError::Invalid(format!("{} ({}) {says}", self.name, self.number))
    }

    /// May this value be set here and now? Text formats are judged by [`Key::store`].
    fn check(&self, value: Value<'_>, scope: Scope) -> Result<(), ConfigError> {
        let Key { name, number, why, .. } = self;
        match (self.kind, value) {
            (Kind::Int { min, max, or_zero, .. }, Value::Int(given)) => {
                if *name == REQUIRED && given == 0 {
                    return Err(self.invalid(format_args!("must not be 0 ({why})")));
                }
                let allowed = (min..=max).contains(&given) || (or_zero && given == 0);
                if !allowed {
                    let zero = if or_zero { "0 or " } else { "" };
                    return Err(self.invalid(format_args!("must be {zero}{min} to {max} ({why}); {given} was given")));
                }
            }
            (Kind::Float { min, max, .. }, Value::Float(given)) => {
                if !(min..=max).contains(&given) {
                    return Err(self.invalid(format_args!("must be {min} to {max} ({why}); {given} was given")));
                }
            }
            (Kind::Text { max, .. }, Value::String(given)) => {
                if given.len() > max {
                    let len = given.len();
                    return Err(self.invalid(format_args!("takes at most {max} bytes ({why}); {len} were given")));
                }
            }
            (Kind::Bytes { len, or_none, .. }, Value::Bytes(given)) => {
                if given.len() != len && !(or_none && given.is_empty()) {
                    let (given, none) = (given.len(), if or_none { ", or none" } else { "" });
                    return Err(
                        self.invalid(format_args!("takes exactly {len} bytes{none} ({why}); {given} were given"))
                    );
                }
            }
            (Kind::Absent { default, what }, given)
                if std::mem::discriminant(&default) == std::mem::discriminant(&given) =>
            {
                if given != default {
                    return Err(ConfigError::State(format!(
                        "{name} ({number}) cannot be set: this version has no {what}; only the default is accepted"
                    )));
                }
            }
            (kind, given) => {
                return Err(self.invalid(format_args!("takes {}; {} was given", kind.type_name(), given.type_name())));
            }
        }
        match (scope, self.life) {
            (_, Life::Later)
            | (Scope::Create, _)
            | (Scope::Live, Life::Live | Life::PerPeer)
            | (Scope::Peer, Life::PerPeer) => Ok(()),
            (Scope::Live | Scope::Peer, Life::Fixed) => Err(ConfigError::State(format!(
                "{name} ({number}) is fixed when the endpoint is created: set it on the snm_config"
            ))),
            (Scope::Peer, Life::Live) => Err(ConfigError::State(format!(
                "{name} ({number}) holds for the whole endpoint and cannot differ by peer: use snm_endpoint_set_…"
            ))),
        }
    }

    /// Puts a checked value where it belongs.
    fn store(&self, config: &mut Config, value: Value<'_>) -> Result<(), ConfigError> {
        match (self.kind, value) {
            (Kind::Int { store: Store::Endpoint(store), .. }, Value::Int(value)) => store(config, value),
            (Kind::Int { store: Store::Session(store), .. }, Value::Int(value)) => store(&mut config.settings, value),
            (Kind::Float { store, .. }, Value::Float(value)) => store(config, value),
            (Kind::Text { store, .. }, Value::String(value)) => {
                store(config, value).map_err(|says| self.invalid(says))?
            }
            (Kind::Bytes { store, .. }, Value::Bytes(value)) => {
                store(config, value).map_err(|says| self.invalid(says))?
            }
            _ => {} // an absent key at its default; other mismatches did not pass the check
        }
        Ok(())
    }
}

impl Kind {
    fn type_name(&self) -> &'static str {
        match self {
            Kind::Int { .. } => "an int",
            Kind::Float { .. } => "a float",
            Kind::Text { .. } => "a string",
            Kind::Bytes { .. } => "bytes",
            Kind::Absent { default, .. } => default.type_name(),
        }
    }
}

/// BIND_ADDRESS: a comma separated list, at most one address of each family.
fn parse_bind(text: &str) -> Result<Vec<SocketAddr>, String> {
    let mut list: Vec<SocketAddr> = Vec::new();
    for part in text.split(',').map(str::trim) {
        let address: SocketAddr = part.parse().map_err(|_| {
            format!("takes a list like 0.0.0.0:27015,[::]:27015 of IP addresses with ports; \"{part}\" is none")
        })?;
        if address.ip().is_multicast() {
            return Err(format!("takes addresses of this machine; {address} is a multicast address"));
        }
        if list.iter().any(|other| other.is_ipv4() == address.is_ipv4()) {
            return Err(format!("takes one address of each family, IPv4 and IPv6; {address} is one too many"));
        }
        list.push(address);
    }
    Ok(list)
}

fn parse_certificate(bytes: &[u8]) -> Result<Option<Certificate>, String> {
    if bytes.is_empty() {
        return Ok(None);
    }
    Certificate::decode(bytes).map(Some).map_err(|why| format!("is no certificate: {why}"))
}

/// LOGIN_TOKEN: printable, without spaces, as every encoding of a token is.
fn parse_token(text: &str) -> Result<Secret, String> {
    match text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(Secret::new(text)),
        false => Err("takes a token of printable characters without spaces; is there a line end in it?".to_owned()),
    }
}

const fn int(default: i64, min: i64, max: i64, store: Store) -> Kind {
    Kind::Int { default, min, max, or_zero: false, store }
}

const fn int_or_zero(default: i64, min: i64, max: i64, store: Store) -> Kind {
    Kind::Int { default, min, max, or_zero: true, store }
}

const fn float(default: f64, min: f64, max: f64, store: fn(&mut Config, f64)) -> Kind {
    Kind::Float { default, min, max, store }
}

const fn words(max: usize, store: fn(&mut Config, &str) -> Result<(), String>) -> Kind {
    Kind::Text { default: "", max, store }
}

const fn absent(default: Value<'static>, what: &'static str) -> Kind {
    Kind::Absent { default, what }
}

const fn key(number: i32, name: &'static str, life: Life, kind: Kind, why: &'static str) -> Key {
    Key { number, name, life, kind, why }
}

fn ms(value: i64) -> Duration {
    Duration::from_millis(value as u64) // every int of the table that is a time has min >= 0
}

fn ms_f(value: f64) -> Duration {
    Duration::from_secs_f64(value / 1_000.0) // likewise, and bounded
}

use Life::{Fixed, Later, Live, PerPeer};
use Store::{Endpoint as E, Session as S};

const PERCENT: &str = "it is a percentage";
const FAKE_MS: &str = "milliseconds, as Steam bounds injected delays";
const DAY_MS: i64 = 86_400_000;
const TIMEOUT: &str = "milliseconds, at most a day";
const BYTES_MAX: i64 = 268_435_456;
const BOOL: &str = "0 no, 1 yes";
const STUN: &str = "STUN client";
const NONE: &str = "not in this version";
const RATE_MAX: i64 = i32::MAX as i64;

/// The one key without a default.
const REQUIRED: &str = "LOCAL_STEAM_ID";

/// The one table of settings.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key(2, "FAKE_PACKET_LOSS_SEND", Live, float(0.0, 0.0, 100.0, |c, v| c.faults.send.loss = v as f32), PERCENT),
    key(3, "FAKE_PACKET_LOSS_RECV", Live, float(0.0, 0.0, 100.0, |c, v| c.faults.recv.loss = v as f32), PERCENT),
    key(4, "FAKE_PACKET_LAG_SEND", Live, int(0, 0, 5_000, E(|c, v| c.faults.send.lag = ms(v))), FAKE_MS),
    key(5, "FAKE_PACKET_LAG_RECV", Live, int(0, 0, 5_000, E(|c, v| c.faults.recv.lag = ms(v))), FAKE_MS),
    key(6, "FAKE_PACKET_REORDER_SEND", Live, float(0.0, 0.0, 100.0, |c, v| c.faults.send.reorder = v as f32), PERCENT),
    key(7, "FAKE_PACKET_REORDER_RECV", Live, float(0.0, 0.0, 100.0, |c, v| c.faults.recv.reorder = v as f32), PERCENT),
    key(8, "FAKE_PACKET_REORDER_TIME", Live, int(15, 0, 5_000, E(|c, v| {
        c.faults.send.reorder_time = ms(v);
        c.faults.recv.reorder_time = ms(v);
    })), FAKE_MS),
    key(26, "FAKE_PACKET_DUP_SEND", Live, float(0.0, 0.0, 100.0, |c, v| c.faults.send.dup = v as f32), PERCENT),
    key(27, "FAKE_PACKET_DUP_RECV", Live, float(0.0, 0.0, 100.0, |c, v| c.faults.recv.dup = v as f32), PERCENT),
    key(28, "FAKE_PACKET_DUP_TIME_MAX", Live, int(10, 0, 5_000, E(|c, v| {
        c.faults.send.dup_time_max = ms(v);
        c.faults.recv.dup_time_max = ms(v);
    })), FAKE_MS),
    key(42, "FAKE_RATE_LIMIT_SEND_RATE", Live, int(0, 0, RATE_MAX, E(|c, v| c.faults.send.rate = v as u64)), "bytes per second, 0 for no limit"),
    key(43, "FAKE_RATE_LIMIT_SEND_BURST", Live, int(16_384, 0, RATE_MAX, E(|c, v| c.faults.send.rate_burst = v as u64)), "bytes"),
    key(44, "FAKE_RATE_LIMIT_RECV_RATE", Live, int(0, 0, RATE_MAX, E(|c, v| c.faults.recv.rate = v as u64)), "bytes per second, 0 for no limit"),
    key(45, "FAKE_RATE_LIMIT_RECV_BURST", Live, int(16_384, 0, RATE_MAX, E(|c, v| c.faults.recv.rate_burst = v as u64)), "bytes"),
    key(53, "FAKE_PACKET_JITTER_SEND_AVG", Live, float(0.0, 0.0, 5_000.0, |c, v| c.faults.send.jitter_avg = ms_f(v)), FAKE_MS),
    key(54, "FAKE_PACKET_JITTER_SEND_MAX", Live, float(100.0, 0.0, 5_000.0, |c, v| c.faults.send.jitter_max = ms_f(v)), FAKE_MS),
    key(55, "FAKE_PACKET_JITTER_SEND_PCT", Live, float(75.0, 0.0, 100.0, |c, v| c.faults.send.jitter_pct = v as f32), PERCENT),
    key(56, "FAKE_PACKET_JITTER_RECV_AVG", Live, float(0.0, 0.0, 5_000.0, |c, v| c.faults.recv.jitter_avg = ms_f(v)), FAKE_MS),
    key(57, "FAKE_PACKET_JITTER_RECV_MAX", Live, float(100.0, 0.0, 5_000.0, |c, v| c.faults.recv.jitter_max = ms_f(v)), FAKE_MS),
    key(58, "FAKE_PACKET_JITTER_RECV_PCT", Live, float(75.0, 0.0, 100.0, |c, v| c.faults.recv.jitter_pct = v as f32), PERCENT),
    key(10_013, "FAKE_PACKET_BURST_LOSS_SEND", Live, float(1.0, 1.0, 1_000.0, |c, v| c.faults.send.burst = v as f32), "a mean burst length in packets"),
    key(10_014, "FAKE_PACKET_BURST_LOSS_RECV", Live, float(1.0, 1.0, 1_000.0, |c, v| c.faults.recv.burst = v as f32), "a mean burst length in packets"),
    key(10_015, "FAKE_NETWORK_SEED", Live, int(0, i64::MIN, i64::MAX, E(|c, v| c.faults.seed = v as u64)), "any number, 0 for a random one"),

    key(9, "SEND_BUFFER_SIZE", PerPeer, int(524_288, 4_096, BYTES_MAX, S(|s, v| s.send_buffer_size = v as u32)), "bytes a session, Steam's bounds"),
    key(10, "SEND_RATE_MIN", PerPeer, int(16_384, 1_024, BYTES_MAX, S(|s, v| s.send_rate_min = v as u64)), "bytes per second, Steam's bounds"),
    key(11, "SEND_RATE_MAX", PerPeer, int_or_zero(0, 1_024, BYTES_MAX, S(|s, v| s.send_rate_max = v as u64)), "bytes per second, 0 for no ceiling"),
    key(12, "NAGLE_TIME", PerPeer, int(5_000, 0, 20_000, S(|s, v| s.nagle_time = Duration::from_micros(v as u64))), "microseconds, Steam's bounds"),
    key(23, "IP_ALLOW_WITHOUT_AUTH", PerPeer, int(0, 0, 2, S(|s, v| s.allow_without_auth = v != 0)), "0 no, 1 or 2 yes"),
    key(24, "TIMEOUT_INITIAL", PerPeer, int(10_000, 1, DAY_MS, S(|s, v| s.timeout_initial = ms(v))), TIMEOUT),
    key(25, "TIMEOUT_CONNECTED", PerPeer, int(10_000, 1, DAY_MS, S(|s, v| s.timeout_connected = ms(v))), TIMEOUT),
    key(32, "MTU_PACKET_SIZE", PerPeer, int_or_zero(0, 200, 9_000, S(|s, v| s.mtu_packet_size = v as u16)), "bytes of UDP payload, 0 to discover freely"),
    key(40, "CONNECTION_USER_DATA", PerPeer, int(0, i64::MIN, i64::MAX, S(|s, v| s.user_data = v)), "any number"),
    key(47, "RECV_BUFFER_SIZE", PerPeer, int(1_048_576, 4_096, BYTES_MAX, S(|s, v| s.recv_buffer_size = v as u32)), "bytes a session"),
    key(48, "RECV_BUFFER_MESSAGES", PerPeer, int(1_000, 1, 1_000_000, S(|s, v| s.recv_buffer_messages = v as u32)), "messages a session; each costs memory even when empty"),
    key(49, "RECV_MAX_MESSAGE_SIZE", PerPeer, int(524_288, 1, 524_288, S(|s, v| s.recv_max_message_size = v as u32)), "bytes; no message is larger than 524288"),
    key(52, "IP_LOCALHOST_ALLOW_WITHOUT_AUTH", PerPeer, int(1, 0, 2, S(|s, v| s.localhost_allow_without_auth = Some(v != 0))), "0 no, 1 or 2 yes"),
    key(104, "P2P_TRANSPORT_ICE_ENABLE", PerPeer, int(0x7fff_ffff, 1, 0x7fff_ffff, S(|s, v| s.transports = v as i32)), "bits: 1 relay, 2 private, 4 public addresses"),
    key(10_008, "SESSION_IDLE_TIMEOUT", PerPeer, int(180_000, 1, DAY_MS, S(|s, v| s.session_idle_timeout = ms(v))), TIMEOUT),
    key(10_012, "EARLY_UNRELIABLE", PerPeer, int(0, 0, 1, S(|s, v| s.early_unreliable = v != 0)), BOOL),
    key(10_017, "CLOSE_FLUSH", PerPeer, int(0, 0, 60_000, S(|s, v| s.close_flush = ms(v))), "milliseconds; a closed session may linger a minute at most"),

    key(10_000, REQUIRED, Fixed, int(0, i64::MIN, i64::MAX, E(|c, v| c.steam_id = SteamId(v as u64))), "the bits of a 64-bit steam id, not 0"),
    key(10_001, "APP_ID", Fixed, int(480, 0, u32::MAX as i64, E(|c, v| c.app_id = AppId(v as u32))), "an app id has 32 bits"),
    key(10_002, "BIND_ADDRESS", Fixed, Kind::Text { default: "0.0.0.0:0,[::]:0", max: 256, store: |c, text| { c.bind = parse_bind(text)?; Ok(()) } }, "two addresses at most"),
    key(10_003, "IDENTITY_KEY", Fixed, Kind::Bytes { len: 32, or_none: false, store: |c, bytes| { c.identity_seed = bytes.try_into().ok().map(Seed::new); Ok(()) } }, "an Ed25519 seed"),
    key(10_004, "CERTIFICATE", Live, Kind::Bytes { len: Certificate::LEN, or_none: true, store: |c, bytes| { c.certificate = parse_certificate(bytes)?; Ok(()) } }, "what an authority signed"),
    key(10_005, "TRUSTED_AUTHORITIES", Live, Kind::Text { default: "", max: 1_024, store: |c, text| { c.authorities = Authorities::parse(text)?; Ok(()) } }, "sixteen keys at most"),
    key(10_009, "CALLBACK_MODE", Live, int(0, 0, 1, E(|c, v| c.callbacks_on_poll_thread = v != 0)), "0 in snm_run_callbacks, 1 on the poll thread"),
    key(10_010, "POLL_GROUP", Fixed, int(-1, -1, RATE_MAX, E(|c, v| c.poll_group = v as i32)), "the number of a group, -1 for a thread of its own"),
    key(10_011, "MAX_PENDING_REQUESTS", Live, int(64, 0, 65_536, E(|c, v| c.max_pending_requests = v as u32)), "each costs memory on a stranger's word"),

    key(107, "P2P_TURN_SERVER_LIST", Live, words(2_048, |c, text| { c.turn_servers = TurnUrl::parse_list(text)?; Ok(()) }), "eight relays at most"),
    key(108, "P2P_TURN_USER_LIST", Live, words(4_096, |c, text| { c.turn_users = split_list(text).into_iter().map(str::to_owned).collect(); Ok(()) }), "one for each relay"),
    key(109, "P2P_TURN_PASS_LIST", Live, words(4_096, |c, text| { c.turn_passwords = split_list(text).into_iter().map(Secret::new).collect(); Ok(()) }), "one for each relay"),
    key(10_006, "SIGNALING_URL", Live, words(1_024, |c, text| { c.signaling = SignalingUrl::parse(text)?; Ok(()) }), "where the signaling server is"),
    key(10_016, "LOGIN_TOKEN", Live, words(6_144, |c, text| { c.login_token = parse_token(text)?; Ok(()) }), "a login is a message of 8 KiB at most"),
    key(10_018, "SIGNALING_CA", Live, words(4_096, |c, text| { text.clone_into(&mut c.signaling_ca); Ok(()) }), "the path of a file"),

    key(103, "P2P_STUN_SERVER_LIST", Later, absent(Value::String(""), STUN), NONE),
    key(10_007, "LAN_DISCOVERY", Later, absent(Value::Int(0), "LAN discovery"), NONE),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::certificate::{Authority, Claims};

    fn ready() -> Config {
        let mut config = Config::new();
        config.set(10_000, Value::Int(7), Scope::Create).expect("a steam id");
        config
    }

    const AUTHORITY: &str = "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w";

    /// A certificate of [`AUTHORITY`].
    fn certified(steam_id: u64, seed: &[u8; 32]) -> [u8; Certificate::LEN] {
        let identity_key = Identity::from_seed(seed).public_key();
        let (app, steam_id) = (AppId(480), SteamId(steam_id));
        let claims = Claims { app, steam_id, identity_key, issued_at: 1, expires_at: 2 };
        *Authority::from_seed(&[1; 32]).issue(&claims).as_bytes()
    }

    fn text(result: Result<(), ConfigError>) -> String {
        result.expect_err("it is refused").to_string()
    }

    #[test]
    fn every_default_of_the_table_is_what_a_new_config_holds() {
        for key in KEYS {
            let value = match key.kind {
                // The steam id has no default, and whether loopback is open was not asked until it is set.
                Kind::Int { default, .. } if ![10_000, 52].contains(&key.number) => Value::Int(default),
                Kind::Float { default, .. } => Value::Float(default),
                Kind::Text { default, .. } => Value::String(default),
                Kind::Absent { default, .. } => default,
                _ => continue,
            };
            let mut config = Config::new();
            config.set(key.number, value, Scope::Create).unwrap_or_else(|e| panic!("{}: {e}", key.name));
            assert_eq!(format!("{config:?}"), format!("{:?}", Config::new()), "{}", key.name);
        }
    }

    #[test]
    fn every_key_stores_into_a_place_of_its_own() {
        let mut seen = BTreeMap::new();
        let certificate = certified(7, &[9; 32]);
        for key in KEYS {
            let mut config = Config::new();
            let value = match key.kind {
                Kind::Int { default, max, .. } => Value::Int(if default == max { max - 1 } else { max }),
                Kind::Float { default, max, .. } => Value::Float(if default == max { max - 1.0 } else { max }),
                Kind::Text { .. } if key.number == 10_005 => Value::String(AUTHORITY),
                Kind::Text { .. } if key.number == 10_006 => Value::String("wss://play.example"),
                Kind::Text { .. } => Value::String("127.0.0.1:1"),
                Kind::Bytes { len: 32, .. } => Value::Bytes(&[9; 32]),
                Kind::Bytes { .. } => Value::Bytes(&certificate),
                Kind::Absent { .. } => continue,
            };
            config.set(key.number, value, Scope::Create).unwrap_or_else(|e| panic!("{}: {e}", key.name));
            let now = format!("{config:?}");
            assert_ne!(now, format!("{:?}", Config::new()), "{} changes nothing", key.name);
            assert_eq!(seen.insert(now, key.name), None, "{} changes what another key changes", key.name);
        }
    }

    #[test]
    fn no_number_or_name_is_used_twice() {
        let numbers: std::collections::BTreeSet<_> = KEYS.iter().map(|key| key.number).collect();
        let names: std::collections::BTreeSet<_> = KEYS.iter().map(|key| key.name).collect();
        assert_eq!((numbers.len(), names.len()), (KEYS.len(), KEYS.len()));
    }

    #[test]
    fn a_refusal_names_the_key_the_range_and_what_was_given() {
        let said = text(ready().set(12, Value::Int(20_001), Scope::Create));
        for part in ["NAGLE_TIME", "12", "0 to 20000", "20001"] {
            assert!(said.contains(part), "{said}");
        }
        assert!(text(ready().set(12, Value::Float(1.0), Scope::Create)).contains("takes an int; a float was given"));
        assert!(text(ready().set(2, Value::Float(f64::NAN), Scope::Create)).contains("0 to 100"));
        assert!(text(ready().set(4711, Value::Int(1), Scope::Create)).contains("4711"));
        assert!(text(ready().set(10_003, Value::Bytes(&[0; 31]), Scope::Create)).contains("exactly 32 bytes"));
        assert!(text(ready().set(11, Value::Int(1), Scope::Create)).contains("0 or 1024 to"));
    }

    #[test]
    fn fixed_keys_and_whole_endpoint_keys_say_where_they_belong() {
        assert!(matches!(ready().set(10_001, Value::Int(1), Scope::Live), Err(ConfigError::State(_))));
        assert!(matches!(ready().set(2, Value::Float(1.0), Scope::Peer), Err(ConfigError::State(_))));
        assert!(ready().set(2, Value::Float(1.0), Scope::Live).is_ok());
        assert!(matches!(ready().set(10_001, Value::Int(-1), Scope::Live), Err(ConfigError::Invalid(_))));
    }

    #[test]
    fn what_this_version_lacks_takes_its_default_and_nothing_else() {
        assert_eq!(ready().set(103, Value::String(""), Scope::Create), Ok(()));
        assert_eq!(ready().set(104, Value::Int(0x7fff_ffff), Scope::Peer), Ok(()));
        assert!(
            text(ready().set(103, Value::String("stun.example.org:3478"), Scope::Create))
                .contains("this version has no STUN")
        );
        assert!(matches!(ready().set(104, Value::Int(1), Scope::Live), Err(ConfigError::State(_))));
        assert!(matches!(ready().set(104, Value::String(""), Scope::Live), Err(ConfigError::Invalid(_))));
    }

    #[test]
    fn an_endpoint_without_a_steam_id_is_refused() {
        assert!(text(Config::new().validate()).contains("LOCAL_STEAM_ID"));
        assert!(matches!(ready().set(10_000, Value::Int(0), Scope::Create), Err(ConfigError::Invalid(_))));
        assert_eq!(ready().validate(), Ok(()));
        let mut negative = ready();
        negative.set(10_000, Value::Int(-1), Scope::Create).expect("the bits of a large id");
        assert_eq!(negative.steam_id, SteamId(u64::MAX));
    }

    #[test]
    fn rates_that_contradict_are_refused_whichever_came_first() {
        let mut config = ready();
        config.set(11, Value::Int(10_000), Scope::Create).expect("alone it is fine");
        assert!(text(config.validate()).contains("SEND_RATE_MIN"));
        let mut live = ready();
        assert!(live.set(11, Value::Int(10_000), Scope::Live).is_err());
        assert_eq!(live.settings.send_rate_max, 0, "a refused change changes nothing");
        live.set(10, Value::Int(10_000), Scope::Live).expect("minimum first");
        live.set(11, Value::Int(10_000), Scope::Live).expect("a fixed rate");
    }

    #[test]
    fn a_certificate_must_be_of_the_key_and_id_it_is_used_with() {
        let mut config = ready();
        let set = |config: &mut Config, steam_id, seed| {
            config.set(10_004, Value::Bytes(&certified(steam_id, seed)), Scope::Create).expect("a certificate");
        };
        set(&mut config, 7, &[9; 32]);
        assert!(text(config.validate()).contains("IDENTITY_KEY (10003)"));
        config.set(10_003, Value::Bytes(&[9; 32]), Scope::Create).expect("a seed");
        config.set(10_005, Value::String(AUTHORITY), Scope::Create).expect("a key");
        assert_eq!(config.validate(), Ok(()));
        set(&mut config, 8, &[9; 32]);
        assert!(text(config.validate()).contains("for steamid:8, not steamid:7"));
        set(&mut config, 7, &[8; 32]);
        assert!(text(config.validate()).contains("another identity key"));
        let mut forged = certified(7, &[9; 32]);
        forged[100] ^= 1;
        config.set(10_004, Value::Bytes(&forged), Scope::Create).expect("it can be read");
        assert!(text(config.validate()).contains("not signed by authority"));
        assert!(text(config.set(10_004, Value::Bytes(&[9; 133]), Scope::Create)).contains("version 9"));
        config.set(10_004, Value::Bytes(&[]), Scope::Live).expect("none");
        assert_eq!(config.validate(), Ok(()));
    }

    #[test]
    fn bind_addresses_are_one_of_each_family() {
        let mut config = ready();
        config.set(10_002, Value::String("127.0.0.1:0, [::1]:5"), Scope::Create).expect("a pair");
        assert_eq!(config.bind.len(), 2);
        for bad in ["", "localhost:1", "127.0.0.1", "1.1.1.1:1,2.2.2.2:2", "224.0.0.1:5", "::1:5"] {
            assert!(text(config.set(10_002, Value::String(bad), Scope::Create)).contains("BIND_ADDRESS"), "{bad}");
        }
        assert_eq!(config.bind.len(), 2, "a refused list changes nothing");
    }

    #[test]
    fn servers_and_tokens_are_judged_by_form_and_a_refused_one_changes_nothing() {
        let mut config = ready();
        config.set(10_006, Value::String("wss://play.example"), Scope::Create).expect("a URL");
        let said = text(config.set(10_006, Value::String("https://play.example"), Scope::Live));
        assert!(said.starts_with("SIGNALING_URL (10006)") && said.contains("https"), "{said}");
        assert_eq!(config.signaling.as_ref().map(|url| url.secure), Some(true));
        config.set(10_006, Value::String(""), Scope::Live).expect("none");
        assert_eq!(config.signaling, None);
        assert!(text(config.set(10_016, Value::String("a b"), Scope::Live)).contains("LOGIN_TOKEN"));
        assert!(text(config.set(107, Value::String("turn:"), Scope::Live)).contains("P2P_TURN_SERVER_LIST (107)"));
        config.set(109, Value::String("a,,c"), Scope::Live).expect("by position");
        assert_eq!(config.turn_passwords.iter().map(Secret::text).collect::<Vec<_>>(), ["a", "", "c"]);
    }

    #[test]
    fn a_peers_overrides_lie_over_the_endpoints_values_and_only_theirs() {
        let mut config = ready();
        let mut peer = PeerOverrides::default();
        peer.set(&config, 9, Value::Int(8_192)).expect("per peer");
        assert!(peer.set(&config, 11, Value::Int(10_000)).is_err(), "below the endpoint's minimum");
        assert!(peer.set(&config, 10_001, Value::Int(1)).is_err());
        config.set(25, Value::Int(2_000), Scope::Live).expect("live");
        let settings = config.settings_for(Some(&peer));
        assert_eq!((settings.send_buffer_size, settings.timeout_connected), (8_192, Duration::from_secs(2)));
        assert_eq!(config.settings_for(None).send_buffer_size, 524_288);
    }
}
