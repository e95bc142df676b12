//! The first two handshake messages, seen from the side that begins.
//!
//! Message 1 goes to every address known for the peer, again and again until one answers or the session
//! gives up. Nothing that comes back is believed before it is verified; what cannot be verified is at
//! most a hint that colours the reason of a failure.

use super::cause::Cause;
use super::hello;
use super::local::Local;
use crate::crypto::cookie::CheckKey;
use crate::crypto::noise::{Initiator, Prologue, Split};
use crate::crypto::random::Random;
use crate::drops::Dropped;
use crate::ids::{ConnectionId, SessionId, SteamId};
use crate::time::{Duration, Instant};
use crate::transport::Windows;
use crate::wire::packet::{Cookie, Hint, HintCode, Init, Response, WIRE_VERSION};
use hello::{Disbelief, PeerHello, Side};
use std::net::SocketAddr;

/// The first repeat of a handshake message comes after so long, the next ones later and later.
const FIRST_RETRY: Duration = Duration::from_millis(150);

/// Repeats are never further apart.
const LAST_RETRY: Duration = Duration::from_secs(1);

/// No more addresses than these are tried for one peer.
pub const MAX_TARGETS: usize = 16;

/// When a message is to be repeated.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    next: Instant,
    wait: Duration,
}

impl Retry {
    /// The message is due at once.
    pub fn new(now: Instant) -> Retry {
        Retry { next: now, wait: FIRST_RETRY }
    }

    /// When it is due.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// It was sent.
    pub fn sent(&mut self, now: Instant) {
        self.next = now + self.wait;
        self.wait = (self.wait * 3 / 2).min(LAST_RETRY);
    }
}

#[derive(Debug)]
struct Target {
    address: SocketAddr,
    cookie: Option<[u8; 16]>,
    due: bool,
    sent: u32,
    sent_at: Instant,
}

/// A handshake we began, before its answer.
pub struct Dial {
    /// Where answers come to.
    pub local: ConnectionId,
    session: SessionId,
    peer: SteamId,
    noise: Initiator,
    check: CheckKey,
    ephemeral: [u8; 32],
    targets: Vec<Target>,
    retry: Retry,
    hint: Option<(Cause, String)>,
    /// Hints that came.
    pub(super) hints: u32,
    /// Answers that were not believed.
    pub(super) answers_refused: u32,
}

/// A verified answer.
pub struct Answered {
    /// Who answered.
    pub hello: PeerHello,
    /// The responder's connection id.
    pub remote: ConnectionId,
    /// Message 3, ready to send.
    pub message: Vec<u8>,
    /// The keys.
    pub split: Split,
    /// The round trip, if message 1 went only once.
    pub rtt: Option<Duration>,
}

impl Dial {
    /// Begins; addresses follow by [`Dial::add_target`].
    pub fn new(
        now: Instant,
        local: &Local,
        connection: ConnectionId,
        session: SessionId,
        peer: SteamId,
        random: &mut Random,
    ) -> Dial {
        let prologue = Prologue::new(WIRE_VERSION, local.app_id, session);
        let (noise, ephemeral) = Initiator::new(&local.static_key, prologue, random);
        Dial {
            local: connection,
            session,
            peer,
            noise,
            check: CheckKey::new(local.app_id, peer),
            ephemeral,
            targets: Vec::new(),
            retry: Retry::new(now),
            hint: None,
            hints: 0,
            answers_refused: 0,
        }
    }

    /// One more place to try, at once.
    pub fn add_target(&mut self, address: SocketAddr) {
        if let Some(target) = self.targets.iter_mut().find(|t| t.address == address) {
            target.due = true;
        } else if self.targets.len() < MAX_TARGETS {
            self.targets.push(Target { address, cookie: None, due: true, sent: 0, sent_at: Instant::ZERO });
        }
    }

    /// Message 1 is due again everywhere, at once.
    pub fn repeat(&mut self) {
        self.retry = Retry::new(Instant::ZERO);
    }

    /// How many addresses were tried, and how often in all.
    pub fn tried(&self) -> (u64, u64) {
        (self.targets.len() as u64, self.targets.iter().map(|t| u64::from(t.sent)).sum())
    }

    /// Is the peer looked for there?
    pub fn tries(&self, address: SocketAddr) -> bool {
        self.targets.iter().any(|t| t.address == address)
    }

    /// Is any address known?
    pub fn has_targets(&self) -> bool {
        !self.targets.is_empty()
    }

    /// Why nothing came of it so far. `unsent`: the operating system refuses to send.
    pub fn verdict(&self, unsent: bool) -> (Cause, String) {
        match &self.hint {
            Some(hint) => hint.clone(),
            None if self.targets.is_empty() => {
                (Cause::NoAddress, format!("No address of {} is known (snm_add_peer_address)", self.peer))
            }
            None if unsent => {
                let text = format!("Timed out attempting to connect: this machine cannot send to {}", self.places());
                (Cause::NetworkUnreachable, text)
            }
            None if self.answers_refused > 0 => {
                let text = format!("{} answers came from {}, none verifies", self.answers_refused, self.places());
                (Cause::BadAnswer, text)
            }
            None => {
                let tries = self.tried().1;
                (Cause::NoAnswer, format!("Nobody answered at {} in {tries} tries", self.places()))
            }
        }
    }

    fn places(&self) -> String {
        let places: Vec<String> = self.targets.iter().map(|t| t.address.to_string()).collect();
        places.join(", ")
    }

    /// Somebody asks for proof of our address first. Not authenticated: it only repeats message 1.
    pub fn handle_cookie(&mut self, cookie: &Cookie, from: SocketAddr) -> Result<(), Dropped> {
        let target = self.targets.iter_mut().find(|t| t.address == from);
        match target.filter(|_| cookie.session == self.session) {
            // A cookie is answered once; whoever forges others gains nothing.
            Some(target) if target.cookie != Some(cookie.cookie) => {
                target.cookie = Some(cookie.cookie);
                target.due |= target.sent < 8;
                Ok(())
            }
            _ => Err(Dropped::Stale),
        }
    }

    /// Somebody says why it does not answer. Not authenticated: a hint only.
    pub fn handle_hint(&mut self, hint: &Hint) -> Result<(), Dropped> {
        if hint.session != self.session {
            return Err(Dropped::Stale);
        }
        self.hints = self.hints.saturating_add(1);
        self.hint = Some(match hint.code {
            HintCode::OtherVersion => {
                (Cause::OtherVersion, format!("The peer speaks wire version {}, we speak {WIRE_VERSION}", hint.version))
            }
            HintCode::OtherApp => (Cause::OtherApp, "The peer runs another app (APP_ID)".to_owned()),
        });
        Ok(())
    }

    /// An answer came. When it verifies, message 3 is ready.
    ///
    /// # Errors
    /// Why it was dropped; the genuine answer may still come.
    pub fn handle_response(
        &mut self,
        now: Instant,
        local: &Local,
        windows: &Windows,
        idle: Duration,
        from: SocketAddr,
        response: &Response<'_>,
    ) -> Result<Answered, Dropped> {
        let answered = self.believe(now, local, windows, idle, from, response);
        self.answers_refused = self.answers_refused.saturating_add(answered.is_err().into());
        answered
    }

    fn believe(
        &mut self,
        now: Instant,
        local: &Local,
        windows: &Windows,
        idle: Duration,
        from: SocketAddr,
        response: &Response<'_>,
    ) -> Result<Answered, Dropped> {
        let mut payload = Vec::new();
        let remote_static =
            self.noise.read_response(response.message, &mut payload).map_err(|_| Dropped::BadHandshake)?;
        let hello = match hello::read(local, &payload, &remote_static, Side::Responder) {
            Ok(hello) if hello.steam_id == self.peer => hello,
            Ok(other) => {
                self.hint =
                    Some((Cause::OtherIdentity, format!("{from} answers as {}, not {}", other.steam_id, self.peer)));
                return Err(Dropped::BadHandshake);
            }
            Err(Disbelief::BadSignature) => {
                self.hint = Some((Cause::BadSignature, format!("The signature of {from} does not verify")));
                return Err(Dropped::BadHandshake);
            }
            Err(Disbelief::Malformed | Disbelief::NotForUs) => return Err(Dropped::BadHandshake),
        };
        let mut ours = Vec::new();
        hello::write(local, self.session, self.peer, windows, idle, self.local, &mut ours);
        let mut message = Vec::new();
        let split = self.noise.write_finish(&ours, &mut message).map_err(|_| Dropped::BadHandshake)?;
        let target = self.targets.iter().find(|t| t.address == from && t.sent == 1);
        Ok(Answered {
            hello,
            remote: response.source,
            message,
            split,
            rtt: target.map(|t| now.saturating_since(t.sent_at)),
        })
    }

    /// The next message 1, and where it goes.
    pub fn poll_transmit(&mut self, now: Instant, local: &Local, out: &mut Vec<u8>) -> Option<SocketAddr> {
        if self.retry.next() <= now {
            self.retry.sent(now);
            self.targets.iter_mut().for_each(|t| t.due = true);
        }
        let target = self.targets.iter_mut().find(|t| t.due)?;
        target.due = false;
        target.sent += 1;
        target.sent_at = now;
        Init {
            version: WIRE_VERSION,
            app: local.app_id,
            source: self.local,
            session: self.session,
            ephemeral: self.ephemeral,
            cookie: target.cookie,
        }
        .encode(out, |covered| self.check.value(covered));
        Some(target.address)
    }

    /// When [`Dial::poll_transmit`] has something again.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        if self.targets.iter().any(|t| t.due) {
            return Some(now);
        }
        self.has_targets().then(|| self.retry.next())
    }
}
