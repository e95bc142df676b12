//! The configuration file as it is written: every key, its form and its default. What is no key is an error.
//!
//! The server's README is the manual of these.

use crate::networks::Network;
use serde::{Deserialize, Deserializer, de};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use steamnetmsg_tool::keys::PublicKey;

/// The whole file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct File {
    pub listen: Vec<SocketAddr>,
    pub public_hosts: Vec<String>,
    pub authority_key: Option<PathBuf>,
    #[serde(deserialize_with = "public_keys")]
    pub authorities: Vec<PublicKey>,
    pub certificate_lifetime: Option<Span>,
    pub app: Vec<App>,
    pub tls: Option<Tls>,
    pub rendezvous: Rendezvous,
    pub http: Http,
    pub limits: Limits,
    pub turn: Turn,
    pub relay: Vec<Relay>,
    pub log: Log,
}

/// `[[app]]`: an app that may use this server, and the backends whose tokens let its players in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    pub id: u32,
    #[serde(default, deserialize_with = "public_keys")]
    pub backends: Vec<PublicKey>,
    pub issuer: Option<String>,
}

/// `[tls]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// `[rendezvous]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rendezvous {
    pub offline_notices: bool,
    pub login_time: Span,
    pub ping_every: Span,
    pub silence: Span,
}

impl Default for Rendezvous {
    fn default() -> Rendezvous {
        Rendezvous { offline_notices: true, login_time: Span::s(10), ping_every: Span::s(20), silence: Span::s(45) }
    }
}

/// `[http]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    pub trusted_proxies: Vec<Network>,
    pub metrics_listen: Option<SocketAddr>,
}

/// `[limits]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    pub connections: usize,
    pub connections_per_source: usize,
    pub connects_per_second_per_source: u64,
    pub waiting_for_login: usize,
    pub waiting_for_login_per_source: usize,
    pub signals_per_second: u64,
    pub signal_bytes_per_second: u64,
    pub signals_queued: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 100_000,
            connections_per_source: 256,
            connects_per_second_per_source: 10,
            waiting_for_login: 1_024,
            waiting_for_login_per_source: 16,
            signals_per_second: 100,
            signal_bytes_per_second: 131_072,
            signals_queued: 64,
        }
    }
}

/// `[turn]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Turn {
    pub enabled: bool,
    pub listen: Vec<SocketAddr>,
    pub tls_listen: Vec<SocketAddr>,
    pub host: Option<String>,
    pub pop: Option<String>,
    pub realm: String,
    pub secret: Option<String>,
    pub secret_file: Option<PathBuf>,
    pub credentials_lifetime: Span,
    pub relay_addresses: Vec<IpAddr>,
    pub relay_bind: Vec<IpAddr>,
    pub relay_ports: PortRange,
    pub allowed_peers: Vec<Network>,
    pub denied_peers: Vec<Network>,
    pub allocations: usize,
    pub allocations_per_user: usize,
    pub bytes_per_second_per_user: u64,
    pub streams: usize,
    pub streams_per_source: usize,
    pub answers_per_second_per_source: u64,
    pub idle: Span,
    pub longest: Span,
}

impl Default for Turn {
    fn default() -> Turn {
        Turn {
            enabled: true,
            listen: Vec::new(),
            tls_listen: Vec::new(),
            host: None,
            pop: None,
            realm: "steamnetmsg".to_owned(),
            secret: None,
            secret_file: None,
            credentials_lifetime: Span::s(12 * 3_600),
            relay_addresses: Vec::new(),
            relay_bind: Vec::new(),
            relay_ports: PortRange { first: 49_152, last: 65_535 },
            allowed_peers: Vec::new(),
            denied_peers: Vec::new(),
            allocations: 10_000,
            allocations_per_user: 8,
            bytes_per_second_per_user: 1_250_000,
            streams: 4_096,
            streams_per_source: 64,
            answers_per_second_per_source: 20,
            idle: Span::s(900),
            longest: Span::s(24 * 3_600),
        }
    }
}

/// `[[relay]]`: a TURN server of somebody else that shares a secret with this one, such as coturn.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relay {
    pub url: String,
    pub pop: Option<String>,
    pub secret: Option<String>,
    pub secret_file: Option<PathBuf>,
}

/// `[log]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    #[serde(deserialize_with = "level")]
    pub level: Option<tracing::Level>,
}

/// A span of time: `"24h"`, `"90s"`, `"7 days"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// So many seconds.
    pub const fn s(seconds: u64) -> Span {
        Span(Duration::from_secs(seconds))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Span, D::Error> {
        let text = String::deserialize(from)?;
        let span = humantime::parse_duration(&text).map_err(|_| {
            de::Error::custom(format!("{text:?} is no span of time; one is written \"90s\" or \"24h\""))
        })?;
        Ok(Span(span))
    }
}

/// Ports from the first to the last, both included: `"49152-65535"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

impl<'de> Deserialize<'de> for PortRange {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<PortRange, D::Error> {
        let text = String::deserialize(from)?;
        let ports = text.split_once('-').and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
        match ports {
            Some((first, last)) if first > 0 && first <= last => Ok(PortRange { first, last }),
            _ => Err(de::Error::custom(format!("{text:?} is no range of ports; one is written \"49152-65535\""))),
        }
    }
}

fn public_keys<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<PublicKey>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    texts.iter().map(|text| text.parse().map_err(|why| de::Error::custom(format!("{text:?}: {why}")))).collect()
}

fn level<'de, D: Deserializer<'de>>(from: D) -> Result<Option<tracing::Level>, D::Error> {
    let text = String::deserialize(from)?;
    let level =
        text.parse().map_err(|_| de::Error::custom(format!("{text:?} is no level: error, warn, info, debug")))?;
    Ok(Some(level))
}
