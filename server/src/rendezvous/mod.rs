//! The rendezvous: who logs in gets a certificate, credentials for relays, and a way to leave signals for others.
//!
//! | room | decides |
//! | --- | --- |
//! | [`messages`] | nothing: bytes ↔ values |
//! | [`login`] | who somebody is, on what proof, and until when |
//! | [`hub`] | who is online, and what waits for him |
//! | [`connection`] | one client's life: hello, login, signals, silence, end |
//!
//! A server keeps nothing of anybody who is gone. `docs/rendezvous.md` is the protocol.

pub mod connection;
pub mod hub;
pub mod login;
pub mod messages;

use crate::config::Settings;
use crate::counters::Counters;
use crate::credentials;
use crate::limits::{Full, Place, Places, Rate, SourceRates};
use hub::Hub;
use messages::{TurnServer, Welcome, b64};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use zeroize::Zeroizing;

/// A relay that clients are told of, with what their credentials are made from.
#[derive(Debug)]
pub struct Offer {
    pub url: String,
    pub pop: Option<String>,
    pub secret: Zeroizing<Vec<u8>>,
    pub lifetime: Duration,
}

/// What all connections share.
#[derive(Debug)]
pub struct Rendezvous {
    pub settings: Arc<Settings>,
    pub counters: Arc<Counters>,
    hub: Arc<Hub>,
    offers: Vec<Offer>,
    stun: Vec<String>,
    connected: Arc<Places>,
    waiting: Arc<Places>,
    connects: SourceRates,
}

/// What one connection holds while it lives.
#[derive(Debug)]
pub struct Admission {
    /// Until it logs in.
    waiting: Place,
    /// Until it ends.
    _connected: Place,
    /// Where the client is, as far as we know.
    source: SocketAddr,
    /// How it called this server.
    host: String,
    /// Turns true when the server is about to end.
    closing: watch::Receiver<bool>,
    /// Held until the end, so that the server can wait for it.
    _alive: mpsc::Sender<()>,
}

impl Rendezvous {
    /// Nobody is online yet.
    pub fn new(settings: Arc<Settings>, counters: Arc<Counters>, offers: Vec<Offer>, stun: Vec<String>) -> Rendezvous {
        let limits = &settings.limits;
        Rendezvous {
            hub: Hub::new(limits.signals_queued),
            offers,
            stun,
            connected: Places::new(limits.connections, limits.connections_per_source),
            waiting: Places::new(limits.waiting_for_login, limits.waiting_for_login_per_source),
            connects: SourceRates::new(Rate::new(limits.connects_per_second_per_source, 3)),
            settings,
            counters,
        }
    }

    /// Is there room for one more of this source?
    ///
    /// # Errors
    /// What there is too much of.
    pub fn admit(
        &self,
        source: SocketAddr,
        host: String,
        closing: watch::Receiver<bool>,
        alive: mpsc::Sender<()>,
    ) -> Result<Admission, &'static str> {
        if !self.connects.take(source.ip(), Instant::now()) {
            return Err("too many connections a second from this address");
        }
        let told = |full: Full| match full {
            Full::All => "the server is full",
            Full::Source => "too many connections from this address",
        };
        let waiting = self.waiting.take(source.ip()).map_err(told)?;
        let connected = self.connected.take(source.ip()).map_err(told)?;
        Ok(Admission { waiting, _connected: connected, source, host, closing, _alive: alive })
    }

    /// Users online.
    pub fn online(&self) -> usize {
        self.hub.len()
    }

    /// Forgets rates that are whole again.
    pub fn forget(&self) {
        self.connects.forget(Instant::now());
    }

    fn welcome(&self, user: &login::User, source: SocketAddr, now: u64) -> Welcome {
        let turn = self.offers.iter().map(|offer| {
            let made = credentials::mint(&offer.secret, user.steam_id.0, user.app.0, now, offer.lifetime);
            TurnServer {
                url: offer.url.clone(),
                username: made.username,
                password: made.password,
                pop: offer.pop.clone(),
                expires: made.expires,
            }
        });
        Welcome {
            time: now,
            certificate: user.certificate.as_ref().map(|certificate| b64(certificate.as_bytes())),
            expires: user.expires,
            turn: turn.collect(),
            stun: self.stun.clone(),
            your_address: SocketAddr::new(source.ip().to_canonical(), source.port()).to_string(),
        }
    }
}

/// `HOST:PORT` of a URL, with the brackets that an IPv6 address needs.
pub fn authority_part(host: &str, port: u16) -> String {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) => format!("[{ip}]:{port}"),
        _ => format!("{host}:{port}"),
    }
}
