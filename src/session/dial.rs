//! The first two handshake messages, seen from the side that begins.
//!
//! Message 1 goes to every address known for the peer, again and again until one answers or the session
//! gives up. Nothing that comes back is believed before it is verified; what cannot be verified is at
//! most a hint that colours the reason of a failure.

use super::cause::Cause;
use super::hello;
use super::local::Local;
use super::trust::Refusal;
use crate::crypto::cookie::CheckKey;
use crate::crypto::noise::{Initiator, Prologue, Split};
use crate::crypto::random::Random;
use crate::drops::Dropped;
use crate::ids::{ConnectionId, SessionId, SteamId};
use crate::path::route::Route;
use crate::settings::Settings;
use crate::time::{Duration, Instant};
use crate::transport::Windows;
use crate::wire::packet::{Cookie, Hint, HintCode, Init, Response, WIRE_VERSION};
use hello::{Disbelief, Heard, PeerHello, Side};

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
    route: Route,
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
    /// Its name of the last session it began here and that is over.
    ended: Option<SessionId>,
    noise: Initiator,
    check: CheckKey,
    ephemeral: [u8; 32],
    targets: Vec<Target>,
    retry: Retry,
    hint: Option<Hinted>,
    /// Nobody carries signals yet.
    pub(super) awaits_carrier: bool,
    /// Hints that came.
    pub(super) hints: u32,
    /// Answers that were not believed.
    pub(super) answers_refused: u32,
}

/// Why nothing came of a handshake.
#[derive(Clone)]
pub struct Hinted {
    /// The cause.
    pub cause: Cause,
    /// An SNM_END_ number.
    pub reason: i32,
    /// For humans.
    pub text: String,
}

impl Hinted {
    /// With the cause's own reason.
    pub fn new(cause: Cause, text: String) -> Hinted {
        Hinted { cause, reason: cause.reason(), text }
    }
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
        ended: Option<SessionId>,
        random: &mut Random,
    ) -> Dial {
        let prologue = Prologue::new(WIRE_VERSION, local.app_id, session);
        let (noise, ephemeral) = Initiator::new(&local.static_key, prologue, random);
        Dial {
            local: connection,
            session,
            peer,
            ended,
            noise,
            check: CheckKey::new(local.app_id, peer),
            ephemeral,
            targets: Vec::new(),
            retry: Retry::new(now),
            hint: None,
            awaits_carrier: local.reach.signals_awaited,
            hints: 0,
            answers_refused: 0,
        }
    }

    /// Begins again at every address: the same session and connection id, a fresh key.
    pub fn start_over(&mut self, now: Instant, local: &Local, random: &mut Random) {
        let prologue = Prologue::new(WIRE_VERSION, local.app_id, self.session);
        (self.noise, self.ephemeral) = Initiator::new(&local.static_key, prologue, random);
        self.targets.iter_mut().for_each(|t| t.sent = 0);
        self.retry = Retry::new(now);
    }

    /// One more place to try, at once.
    pub fn add_target(&mut self, route: Route) {
        if let Some(target) = self.targets.iter_mut().find(|t| t.route == route) {
            target.due = true;
        } else if self.targets.len() < MAX_TARGETS {
            self.targets.push(Target { route, cookie: None, due: true, sent: 0, sent_at: Instant::ZERO });
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
    pub fn tries(&self, route: Route) -> bool {
        self.targets.iter().any(|t| t.route == route)
    }

    /// Is any way known?
    pub fn has_targets(&self) -> bool {
        !self.targets.is_empty()
    }

    /// Is there no way but signals?
    pub fn is_by_signals_only(&self) -> bool {
        self.has_targets() && self.targets.iter().all(|t| t.route.is_signal())
    }

    /// Why nothing came of it so far. `unsent`: the operating system refuses to send.
    pub fn verdict(&self, unsent: bool) -> Hinted {
        match &self.hint {
            Some(hint) => hint.clone(),
            None if self.awaits_carrier && self.targets.iter().all(|t| t.route.is_signal()) => Hinted::new(
                Cause::SignalingDown,
                "Timed out attempting to connect: the signaling server is not reached".to_owned(),
            ),
            None if self.targets.is_empty() => {
                Hinted::new(Cause::NoAddress, format!("No address of {} is known (snm_add_peer_address)", self.peer))
            }
            None if unsent => {
                let text = format!("Timed out attempting to connect: this machine cannot send to {}", self.places());
                Hinted::new(Cause::NetworkUnreachable, text)
            }
            None if self.answers_refused > 0 => {
                let text = format!("{} answers came from {}, none verifies", self.answers_refused, self.places());
                Hinted::new(Cause::BadAnswer, text)
            }
            None => {
                let tries = self.tried().1;
                Hinted::new(Cause::NoAnswer, format!("Nobody answered at {} in {tries} tries", self.places()))
            }
        }
    }

    fn places(&self) -> String {
        let places: Vec<String> = self.targets.iter().map(|t| t.route.to_string()).collect();
        places.join(", ")
    }

    /// Somebody asks for proof of our address first. Not authenticated: it only repeats message 1.
    pub fn handle_cookie(&mut self, cookie: &Cookie, from: Route) -> Result<(), Dropped> {
        let target = self.targets.iter_mut().find(|t| t.route == from);
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
            HintCode::OtherVersion => Hinted::new(
                Cause::OtherVersion,
                format!("The peer speaks wire version {}, we speak {WIRE_VERSION}", hint.version),
            ),
            HintCode::OtherApp => Hinted::new(Cause::OtherApp, "The peer runs another app (APP_ID)".to_owned()),
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
        local: &mut Local,
        settings: &Settings,
        windows: &Windows,
        from: Route,
        response: &Response<'_>,
    ) -> Result<Answered, Dropped> {
        let answered = self.believe(now, local, settings, windows, from, response);
        self.answers_refused = self.answers_refused.saturating_add(answered.is_err().into());
        answered
    }

    fn believe(
        &mut self,
        now: Instant,
        local: &mut Local,
        settings: &Settings,
        windows: &Windows,
        from: Route,
        response: &Response<'_>,
    ) -> Result<Answered, Dropped> {
        let mut payload = Vec::new();
        let remote_static =
            self.noise.read_response(response.message, &mut payload).map_err(|_| Dropped::BadHandshake)?;
        let hello = match hello::read(local, now, &payload, &remote_static, Side::Responder) {
            Ok(Heard { hello, refusal, .. }) => match self.refuse(local, settings, from, &hello, refusal) {
                Some(hint) => {
                    self.hint = Some(hint);
                    return Err(Dropped::BadHandshake);
                }
                None => hello,
            },
            Err(Disbelief::Malformed | Disbelief::NotForUs) => return Err(Dropped::BadHandshake),
        };
        let mut ours = Vec::new();
        hello::write(local, self.session, self.peer, windows, settings, self.local, self.ended, &mut ours);
        let mut message = Vec::new();
        let split = self.noise.write_finish(&ours, &mut message).map_err(|_| Dropped::BadHandshake)?;
        let target = self.targets.iter().find(|t| t.route == from && t.sent == 1);
        Ok(Answered {
            hello,
            remote: response.source,
            message,
            split,
            rtt: target.map(|t| now.saturating_since(t.sent_at)),
        })
    }

    /// Why this answer is not of whom we look for, if so.
    fn refuse(
        &self,
        local: &Local,
        settings: &Settings,
        from: Route,
        hello: &PeerHello,
        refusal: Option<Refusal>,
    ) -> Option<Hinted> {
        if hello.steam_id != self.peer {
            let text = format!("{from} answers as {}, not {}", hello.steam_id, self.peer);
            return Some(Hinted::new(Cause::OtherIdentity, text));
        }
        let admitted = local.trust.admits(settings, hello.standing, from);
        let refusal = refusal.or((!admitted).then_some(Refusal::Missing))?;
        let cause = match refusal {
            Refusal::Missing => Cause::AuthRequiredHere,
            Refusal::Binding => Cause::BadSignature,
            _ => Cause::CertificateRefused,
        };
        let text = format!("{from} answers, and we refuse it: {refusal}");
        Some(Hinted { cause, reason: refusal.reason(), text })
    }

    /// The next message 1, and where it goes.
    pub fn poll_transmit(&mut self, now: Instant, local: &Local, out: &mut Vec<u8>) -> Option<Route> {
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
        Some(target.route)
    }

    /// When [`Dial::poll_transmit`] has something again.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        if self.targets.iter().any(|t| t.due) {
            return Some(now);
        }
        self.has_targets().then(|| self.retry.next())
    }
}
