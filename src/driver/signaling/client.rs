//! What a client of the rendezvous protocol does next: dial, greet, log in, stay, and come back.
//!
//! It reads no clock and touches no socket: time and frames go in, frames and news come out. Whether the connection
//! stands is told to it ([`Client::handle_open`], [`Client::handle_lost`]), whether it should is asked of it
//! ([`Client::wants_link`]). Sessions do not depend on it, so a loss is told and mended without haste.
//!
//! Waits grow from a quarter of a second to fifteen, with chance in them so that a thousand clients do not return at
//! once. Who was refused waits for other papers, or half a minute; who was replaced by another device always waits
//! that long, so that two devices do not take turns.

use super::protocol::{self, Hello, Parcel, Said, TurnOffer};
use crate::endpoint::Login;
use crate::endpoint::servers::Secret;
use crate::endpoint::signals::MAX_SIGNAL;
use crate::ids::SteamId;
use crate::session::reason::SIGNALING;
use crate::time::{Duration, Instant};
use std::collections::VecDeque;

/// For the connection to stand, TLS and WebSocket included.
const DIAL_TIME: Duration = Duration::from_secs(15);
/// For the server to say hello, and then to answer the login.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// A server silent for so long is gone.
const SILENCE: Duration = Duration::from_secs(45);
/// How often we ask a silent server for a sign of life.
const PING_EVERY: Duration = Duration::from_secs(20);
/// For a sign of life when the network has changed under the connection.
const DOUBT: Duration = Duration::from_secs(5);
/// First and longest wait before dialling again.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));
/// How long who was refused or replaced stays away.
const STAY_AWAY: Duration = Duration::from_secs(30);
/// A login that lasted so long makes up for the failures before it.
const SETTLED: Duration = Duration::from_secs(15);
/// Bounds of when a new welcome is asked for, after the last.
const REFRESH: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(6 * 3_600));
/// Signals waiting to be written.
const MAX_QUEUED: usize = 64;
/// A text of the server's is cut there, characters.
const MAX_TEXT: usize = 200;

/// What the client is to be told to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Text(String),
    Binary(Vec<u8>),
    Ping,
}

/// What has come of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum News {
    /// The first attempt begins.
    Connecting,
    /// A login is wanted: answer with [`Client::log_in`].
    Greeted { nonce: [u8; 32], time: u64, authorities: Vec<[u8; 32]> },
    /// We are in, or it is renewed (`again`).
    Welcomed { again: bool, time: u64, certificate: Vec<u8>, turn: Vec<TurnOffer> },
    /// We are not, or not any more. Told once for each cause in a row.
    Lost { reason: i32, text: String },
    /// A signal for us.
    Signal { from: SteamId, bytes: Vec<u8> },
    /// Nobody of that id is there.
    Offline(SteamId),
    /// The server sent something that cannot be read.
    Unreadable,
}

/// Why we wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    /// To try again: until the network changes.
    Lost,
    /// Until other papers come.
    Refused,
    /// For the other device's sake.
    Replaced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting { until: Instant, why: Pause },
    Dialling { until: Instant },
    Greeting { until: Instant },
    LoggingIn { until: Instant },
    Online { since: Instant, refresh_at: Option<Instant> },
}

pub(in super::super) struct Client {
    state: State,
    /// Dialled in vain since the last login that lasted.
    failures: u32,
    /// For chance in the waits; no secret.
    chance: u64,
    frames: VecDeque<Frame>,
    signals: usize,
    news: VecDeque<News>,
    heard_at: Instant,
    asked_at: Instant,
    /// In doubt, the connection is given up then unless something is heard.
    doubt_until: Option<Instant>,
    /// What the app was last told of a loss.
    told: Option<(i32, String)>,
    /// A token that came while the last one was being looked at.
    new_token: Option<Secret>,
}

impl Client {
    /// A client that dials at once. `chance` makes its waits differ from everybody else's.
    pub(in super::super) fn new(now: Instant, chance: u64) -> Client {
        Client {
            state: State::Dialling { until: now + DIAL_TIME },
            failures: 0,
            chance,
            frames: VecDeque::new(),
            signals: 0,
            news: VecDeque::from([News::Connecting]),
            heard_at: now,
            asked_at: now,
            doubt_until: None,
            told: None,
            new_token: None,
        }
    }

    /// Should there be a connection?
    pub(in super::super) fn wants_link(&self) -> bool {
        !matches!(self.state, State::Waiting { .. })
    }

    /// Are we logged in?
    pub(in super::super) fn is_online(&self) -> bool {
        matches!(self.state, State::Online { .. })
    }

    /// The connection stands.
    pub(super) fn handle_open(&mut self, now: Instant) {
        self.state = State::Greeting { until: now + ANSWER_TIME };
        self.handle_alive(now);
        self.asked_at = now;
    }

    /// A frame of any kind came.
    pub(super) fn handle_alive(&mut self, now: Instant) {
        self.heard_at = now;
        self.doubt_until = None;
    }

    /// A text frame came.
    pub(super) fn handle_text(&mut self, now: Instant, text: &str) {
        match (protocol::read_text(text), self.state) {
            (Ok(Said::Hello(Hello { nonce, time, authorities })), State::Greeting { .. }) => {
                self.state = State::LoggingIn { until: now + ANSWER_TIME };
                self.news.push_back(News::Greeted { nonce, time, authorities });
            }
            (Ok(Said::Welcome(welcome)), State::LoggingIn { .. } | State::Online { .. }) => {
                let again = self.is_online();
                let lifetime = welcome.expires.map(|ends| Duration::from_secs(ends.saturating_sub(welcome.time)));
                let refresh_at =
                    lifetime.map(|span| now + (span.min(REFRESH.1 * 2) * 3 / 4).clamp(REFRESH.0, REFRESH.1));
                let since = if let State::Online { since, .. } = self.state { since } else { now };
                self.state = State::Online { since, refresh_at };
                self.told = None;
                let protocol::Welcome { time, certificate, turn, .. } = welcome;
                self.news.push_back(News::Welcomed { again, time, certificate, turn });
                if let Some(token) = self.new_token.take() {
                    self.frames.push_back(Frame::Text(protocol::token(&token)));
                }
            }
            (
                Ok(Said::Refused(reason, text)),
                State::Greeting { .. } | State::LoggingIn { .. } | State::Online { .. },
            ) => {
                self.hang_up();
                // What was refused may have been the old token.
                let renewed = self.new_token.take().is_some();
                let until = now + if renewed { BACK_OFF.0 } else { STAY_AWAY };
                self.state = State::Waiting { until, why: Pause::Refused };
                self.tell(reason, format!("the signaling server refused the login: {}", cut(&text)));
            }
            (Ok(Said::Replaced), State::LoggingIn { .. } | State::Online { .. }) => {
                self.hang_up();
                self.state = State::Waiting { until: now + STAY_AWAY, why: Pause::Replaced };
                self.tell(SIGNALING, "another device has logged in as this user".to_owned());
            }
            (Ok(Said::Nothing), _) => {}
            _ => self.news.push_back(News::Unreadable),
        }
    }

    /// A binary frame came.
    pub(super) fn handle_binary(&mut self, frame: &[u8]) {
        let news = match protocol::read_binary(frame) {
            Ok(Parcel::Signal { from, bytes }) if self.is_online() => News::Signal { from, bytes },
            Ok(Parcel::Offline(peer)) if self.is_online() => News::Offline(peer),
            _ => News::Unreadable,
        };
        self.news.push_back(news);
    }

    /// The connection ended, or never stood.
    pub(super) fn handle_lost(&mut self, now: Instant, why: &str) {
        if !self.wants_link() {
            return; // we hung up ourselves
        }
        if let State::Online { since, .. } = self.state
            && now.saturating_since(since) >= SETTLED
        {
            self.failures = 0;
        }
        self.hang_up();
        self.failures = self.failures.saturating_add(1);
        self.state = State::Waiting { until: now + self.back_off(), why: Pause::Lost };
        self.tell(SIGNALING, cut(why));
    }

    /// Answers [`News::Greeted`].
    pub(in super::super) fn log_in(&mut self, login: &Login) {
        if let State::LoggingIn { .. } = self.state {
            self.new_token = None;
            self.frames.push_back(Frame::Text(protocol::login(login)));
        }
    }

    /// The app has other papers: a token, or (`None`) a certificate.
    pub(in super::super) fn renew(&mut self, now: Instant, token: Option<Secret>) {
        match self.state {
            State::Waiting { why: Pause::Refused, .. } => self.dial(now),
            State::Online { .. } => {
                let token = token.filter(|token| !token.is_empty());
                self.frames.extend(token.map(|token| Frame::Text(protocol::token(&token))));
            }
            State::LoggingIn { .. } => self.new_token = token.or(self.new_token.take()),
            _ => {} // the login to come shows it
        }
    }

    /// Sends a signal, if we are in and there is room for it.
    pub(in super::super) fn send_signal(&mut self, to: SteamId, bytes: &[u8]) -> bool {
        let fits = self.is_online() && self.signals < MAX_QUEUED && (1..=MAX_SIGNAL).contains(&bytes.len());
        if fits {
            self.signals += 1;
            self.frames.push_back(Frame::Binary(protocol::signal(to, bytes)));
        }
        fits
    }

    /// Interfaces changed: who waits goes at once, who is connected wants to know soon whether that is so.
    pub(in super::super) fn handle_network_change(&mut self, now: Instant) {
        match self.state {
            State::Waiting { why: Pause::Lost, .. } => {
                self.failures = 0;
                self.dial(now);
            }
            State::Online { .. } => {
                self.ask(now);
                self.doubt_until = Some(now + DOUBT);
            }
            _ => {}
        }
    }

    /// Does what is due.
    pub(in super::super) fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|at| at > now) {
            return;
        }
        match self.state {
            State::Waiting { .. } => self.dial(now),
            State::Dialling { .. } => self.handle_lost(now, "the signaling server cannot be reached: no answer"),
            State::Greeting { .. } => self.handle_lost(now, "the signaling server did not say hello; is it one?"),
            State::LoggingIn { .. } => self.handle_lost(now, "the signaling server did not answer the login"),
            State::Online { since, refresh_at } => {
                let doubted = self.doubt_until.is_some_and(|until| until <= now);
                if doubted || now.saturating_since(self.heard_at) >= SILENCE {
                    return self.handle_lost(now, "the signaling server fell silent");
                }
                if refresh_at.is_some_and(|at| at <= now) {
                    // Should the answer be lost, it is asked for again.
                    self.state = State::Online { since, refresh_at: Some(now + ANSWER_TIME) };
                    self.frames.push_back(Frame::Text(protocol::refresh()));
                }
                if self.asks_at() <= now {
                    self.ask(now);
                }
            }
        }
    }

    /// When [`Client::handle_timeout`] is due.
    pub(in super::super) fn poll_timeout(&self) -> Option<Instant> {
        Some(match self.state {
            State::Waiting { until, .. }
            | State::Dialling { until }
            | State::Greeting { until }
            | State::LoggingIn { until } => until,
            State::Online { refresh_at, .. } => {
                let silent_at = self.heard_at + SILENCE;
                [refresh_at, self.doubt_until].into_iter().flatten().fold(silent_at.min(self.asks_at()), Instant::min)
            }
        })
    }

    /// The next frame to write.
    pub(super) fn poll_frame(&mut self) -> Option<Frame> {
        let frame = self.frames.pop_front()?;
        self.signals -= usize::from(matches!(frame, Frame::Binary(_)));
        Some(frame)
    }

    /// Are there frames to write?
    pub(in super::super) fn has_frames(&self) -> bool {
        !self.frames.is_empty()
    }

    /// What has come of it since the last call.
    pub(in super::super) fn poll_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// Is there news?
    pub(in super::super) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    fn asks_at(&self) -> Instant {
        self.heard_at.max(self.asked_at) + PING_EVERY
    }

    fn ask(&mut self, now: Instant) {
        self.asked_at = now;
        self.frames.push_back(Frame::Ping);
    }

    fn dial(&mut self, now: Instant) {
        self.state = State::Dialling { until: now + DIAL_TIME };
    }

    /// What was to be written is lost with the connection.
    fn hang_up(&mut self) {
        self.frames.clear();
        self.signals = 0;
        self.doubt_until = None;
    }

    fn tell(&mut self, reason: i32, text: String) {
        let told = Some((reason, text.clone()));
        if self.told != told {
            self.told = told;
            self.news.push_back(News::Lost { reason, text });
        }
    }

    /// The wait after so many failures: anything from the shortest to twice that for each failure.
    fn back_off(&mut self) -> Duration {
        let (least, most) = BACK_OFF;
        let span = (least * 2u32.saturating_pow(self.failures.min(16) + 1)).min(most) - least;
        // Marsaglia's xorshift: any number but 0 goes round all of them.
        self.chance = self.chance.max(1);
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        least + span.mul_f64((self.chance >> 11) as f64 / (1u64 << 53) as f64)
    }
}

/// The text, up to a bound.
fn cut(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests;
