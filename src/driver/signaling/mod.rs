//! The built-in signaling: one connection to the rendezvous server, for as long as the settings name one.
//!
//! | file | decides |
//! | --- | --- |
//! | `protocol` | what the words mean |
//! | `client` | what is said when, and when to come back; knows no socket |
//! | `link` | how bytes get there and back |
//!
//! Here they meet: [`Signaling::exchange`] does the system calls, without the endpoint's lock; what came of them waits
//! as news for whoever holds it.

mod client;
mod link;
mod protocol;

pub(super) use client::News;
pub(super) use protocol::TurnOffer;

use super::resolve::Ring;
use crate::endpoint::Login;
use crate::endpoint::servers::{Secret, SignalingUrl};
use crate::ids::SteamId;
use crate::time::Instant;
use client::Client;
use link::Link;
use mio::{Registry, Token};
use std::net::SocketAddr;

pub(super) struct Signaling {
    url: SignalingUrl,
    /// `SIGNALING_CA`
    ca: String,
    client: Client,
    link: Option<Link>,
    token: Token,
    ring: Ring,
    /// More may be there to read.
    more: bool,
}

impl Signaling {
    /// Begins to log in at `url`. Readiness of its socket comes as `token`; `chance` spreads its waits.
    pub(super) fn new(now: Instant, url: SignalingUrl, ca: String, token: Token, ring: Ring, chance: u64) -> Signaling {
        Signaling { url, ca, client: Client::new(now, chance), link: None, token, ring, more: false }
    }

    /// The server's URL.
    pub(super) fn url(&self) -> &SignalingUrl {
        &self.url
    }

    /// `SIGNALING_CA`, as it was when we began.
    pub(super) fn ca(&self) -> &str {
        &self.ca
    }

    /// Is the server to be believed in what it says of authorities and the time? Its certificate was verified, or it
    /// is on this machine.
    pub(super) fn is_believed(&self) -> bool {
        believes(self.url.secure, self.link.as_ref().and_then(Link::remote))
    }

    /// Are we logged in?
    pub(super) fn is_online(&self) -> bool {
        self.client.is_online()
    }

    /// The system says that the socket became readable or writable.
    pub(super) fn handle_readiness(&mut self) {
        if let Some(link) = &mut self.link {
            link.handle_readiness();
        }
    }

    /// Interfaces changed.
    pub(super) fn handle_network_change(&mut self, now: Instant) {
        self.client.handle_network_change(now);
    }

    /// Does what is due, reads a bite and writes what waits.
    pub(super) fn exchange(&mut self, now: Instant, registry: &Registry) {
        self.more = false;
        self.client.handle_timeout(now);
        if !self.client.wants_link() {
            return self.hang_up();
        }
        let link = match self.link.take() {
            Some(link) => Ok(link),
            None => Link::start(&self.url, &self.ca, self.token, &self.ring),
        };
        let went = link.and_then(|mut link| {
            let more = link.exchange(now, &self.url, &mut self.client, registry)?;
            self.link = Some(link);
            Ok(more)
        });
        match went {
            Ok(more) if self.client.wants_link() => self.more = more,
            Ok(_) => self.hang_up(),
            Err(why) => self.client.handle_lost(now, &why),
        }
    }

    /// Is there more to read, or news?
    pub(super) fn is_busy(&self) -> bool {
        self.more || self.client.has_news()
    }

    /// Is there something to write, or a connection to begin?
    pub(super) fn wants_exchange(&self) -> bool {
        self.client.has_frames() || (self.client.wants_link() && self.link.is_none())
    }

    /// When [`Signaling::exchange`] is due though nothing happens.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let link = self.link.as_ref().and_then(Link::poll_timeout);
        [self.client.poll_timeout(), link].into_iter().flatten().min()
    }

    /// What has come of it.
    pub(super) fn poll_news(&mut self) -> Option<News> {
        self.client.poll_news()
    }

    /// Answers [`News::Greeted`].
    pub(super) fn log_in(&mut self, login: &Login) {
        self.client.log_in(login);
    }

    /// The app has other papers: a token, or (`None`) a certificate.
    pub(super) fn renew(&mut self, now: Instant, token: Option<Secret>) {
        self.client.renew(now, token);
    }

    /// Sends a signal; false when there is no room for it.
    pub(super) fn send_signal(&mut self, to: SteamId, bytes: &[u8]) -> bool {
        self.client.send_signal(to, bytes)
    }

    /// Says goodbye.
    pub(super) fn close(mut self) {
        self.hang_up();
    }

    fn hang_up(&mut self) {
        if let Some(link) = self.link.take() {
            link.close();
        }
    }
}

/// Is a server to be believed that is there?
fn believes(secure: bool, remote: Option<SocketAddr>) -> bool {
    secure || remote.is_some_and(|remote| remote.ip().to_canonical().is_loopback())
}

#[cfg(test)]
pub(super) mod tests;
