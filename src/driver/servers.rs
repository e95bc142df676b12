//! The servers one endpoint talks to: signaling and relays, as its settings and the signaling server name them.
//!
//! A seat visits this room each turn: [`Servers::exchange`] does the system calls; under the endpoint's lock,
//! [`Servers::deliver`] brings it what came and [`Servers::collect`] takes its wishes. Who carries signals is decided here: the app if it said so,
//! else the server when we are logged in.

use super::relays::{MAX_STREAMS, Relays};
use super::resolve::Ring;
use super::signaling::{News, Signaling};
use crate::drops::Dropped;
use crate::endpoint::Endpoint;
use crate::endpoint::servers::Secret;
use crate::endpoint::signals::Carrier;
use crate::time::Instant;
use mio::{Registry, Token};
use std::net::SocketAddr;

/// Tokens this room uses, from the one it is given on.
pub(super) const TOKENS: usize = 1 + MAX_STREAMS;

/// States of the signaling connection as the app is told of them.
const ONLINE: i32 = 3;
const CONNECTING: i32 = 1;
const LOST: i32 = 5;

pub(super) struct Servers {
    signaling: Option<Signaling>,
    relays: Relays,
    /// The settings we know.
    version: Option<u64>,
    papers: Papers,
    /// The authorities of the hello, whose time the welcomes tell.
    authorities: Vec<[u8; 32]>,
    first_token: usize,
    ring: Ring,
}

/// After a change of these the server is to look at us again.
#[derive(Default, PartialEq, Eq)]
struct Papers {
    token: Secret,
    certificate: Vec<u8>,
}

impl Servers {
    /// No servers yet. `ring` wakes the seat; `local` are our UDP sockets.
    pub(super) fn new(first_token: usize, ring: Ring, local: &[SocketAddr]) -> Servers {
        Servers {
            signaling: None,
            relays: Relays::new(first_token + 1, ring.clone(), local),
            version: None,
            papers: Papers::default(),
            authorities: Vec::new(),
            first_token,
            ring,
        }
    }

    /// The system says that the socket of this token became readable or writable.
    pub(super) fn handle_readiness(&mut self, token: usize) {
        match &mut self.signaling {
            Some(signaling) if token == self.first_token => signaling.handle_readiness(),
            _ => self.relays.handle_readiness(token),
        }
    }

    /// Interfaces changed.
    pub(super) fn handle_network_change(&mut self, now: Instant) {
        if let Some(signaling) = &mut self.signaling {
            signaling.handle_network_change(now);
        }
    }

    /// Does what is due, reads and writes a bite.
    pub(super) fn exchange(&mut self, now: Instant, registry: &Registry) {
        if let Some(signaling) = &mut self.signaling {
            signaling.exchange(now, registry);
        }
        self.relays.exchange(now);
    }

    /// Is there more to read, or something to tell?
    pub(super) fn is_busy(&self) -> bool {
        self.signaling.as_ref().is_some_and(Signaling::is_busy) || self.relays.is_busy()
    }

    /// Brings the endpoint what came.
    pub(super) fn deliver(&mut self, now: Instant, endpoint: &mut Endpoint) {
        if self.version != Some(endpoint.config_version()) {
            self.version = Some(endpoint.config_version());
            self.configure(now, endpoint);
        }
        while let Some(news) = self.signaling.as_mut().and_then(Signaling::poll_news) {
            self.handle_news(now, endpoint, news);
        }
        self.relays.deliver(now, endpoint);
    }

    /// Takes what the endpoint wants of servers; `own`: the app carries signals itself. True when
    /// [`Servers::exchange`] has to come after it.
    pub(super) fn collect(&mut self, now: Instant, endpoint: &mut Endpoint, own: bool, registry: &Registry) -> bool {
        let online = self.signaling.as_ref().is_some_and(Signaling::is_online);
        let carrier = match &self.signaling {
            _ if own || online => Carrier::Online,
            Some(_) => Carrier::Waiting,
            None => Carrier::Nobody,
        };
        if endpoint.carrier() != carrier {
            endpoint.set_signaling(now, carrier);
        }
        if let Some(signaling) = self.signaling.as_mut().filter(|_| online && !own) {
            while let Some((to, bytes)) = endpoint.poll_signal() {
                if !signaling.send_signal(to, &bytes) {
                    endpoint.count_drop(Dropped::SignalOverflow);
                }
            }
        }
        self.relays.collect(now, endpoint, registry);
        self.signaling.as_ref().is_some_and(Signaling::wants_exchange) || self.relays.wants_exchange()
    }

    /// When [`Servers::exchange`] is due though nothing happens.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let signaling = self.signaling.as_ref().and_then(Signaling::poll_timeout);
        [signaling, self.relays.poll_timeout()].into_iter().flatten().min()
    }

    /// Logs out: nobody is to look for us any more.
    pub(super) fn log_out(&mut self) {
        if let Some(signaling) = self.signaling.take() {
            signaling.close();
        }
    }

    fn configure(&mut self, now: Instant, endpoint: &Endpoint) {
        let config = endpoint.config();
        let same = |old: &Signaling| config.signaling.as_ref() == Some(old.url()) && config.signaling_ca == old.ca();
        let certificate = config.certificate.as_ref().map(|own| own.as_bytes().to_vec()).unwrap_or_default();
        let papers = Papers { token: config.login_token.clone(), certificate };
        if !self.signaling.as_ref().is_some_and(same) {
            self.log_out();
            if config.signaling.is_none() {
                self.relays.announce(now, Vec::new());
            }
            self.signaling = config.signaling.clone().map(|url| {
                let (token, ring) = (Token(self.first_token), self.ring.clone());
                let chance = now.as_nanos() ^ endpoint.steam_id().0;
                Signaling::new(now, url, config.signaling_ca.clone(), token, ring, chance)
            });
        } else if self.papers != papers
            && let Some(signaling) = &mut self.signaling
        {
            let token = (self.papers.token != papers.token).then(|| papers.token.clone());
            signaling.renew(now, token);
        }
        self.papers = papers;
        self.relays.configure(now, config);
    }

    fn handle_news(&mut self, now: Instant, endpoint: &mut Endpoint, news: News) {
        let Some(signaling) = &mut self.signaling else { return };
        let url = signaling.url().to_string();
        match news {
            News::Connecting => endpoint.handle_signaling_event(CONNECTING, 0, format!("connecting to {url}")),
            News::Greeted { nonce, time, authorities } => {
                self.authorities = if signaling.is_believed() { authorities } else { Vec::new() };
                if signaling.is_believed() {
                    endpoint.handle_announcement(now, &self.authorities, time);
                }
                signaling.log_in(&endpoint.login(&nonce, &signaling.url().authority));
            }
            News::Welcomed { again, time, certificate, turn } => {
                if signaling.is_believed() {
                    endpoint.handle_announcement(now, &self.authorities, time);
                }
                let issued = if certificate.is_empty() { Ok(()) } else { endpoint.handle_issued(now, &certificate) };
                if issued.is_err() {
                    endpoint.count_drop(Dropped::BadRendezvous);
                }
                if !again {
                    let but = issued.err().map(|why| format!(", but the server's certificate for us: {why}"));
                    let text = format!("logged in at {url}{}", but.unwrap_or_default());
                    endpoint.handle_signaling_event(ONLINE, 0, text);
                }
                self.relays.announce(now, turn);
            }
            News::Lost { reason, text } => {
                endpoint.handle_signaling_event(LOST, reason, format!("{text} ({url})"));
            }
            News::Signal { from, mut bytes } => endpoint.handle_signal(now, from, &mut bytes),
            News::Offline(peer) => endpoint.handle_offline(now, peer),
            News::Unreadable => endpoint.count_drop(Dropped::BadRendezvous),
        }
    }
}
