//! Why a session is where it is: one cause, one sentence, and the numbers from which it follows.
//!
//! Where several causes hold, the one nearest to the wire is named: who hears nothing need not be told that his
//! messages wait. What it says changes nothing.

use super::cause::Cause;
use super::dial::{Dial, Hinted};
use super::live::Live;
use super::newcomer::Newcomer;
use super::opening::Opening;
use super::{Ending, Session, State};
use crate::path::route::Route;
use crate::time::{Duration, Instant};
use crate::transport::Transport;
use std::net::SocketAddr;

/// A refusal of the operating system to send counts for so long.
const SEND_ERROR_COUNTS: Duration = Duration::from_secs(3);

/// Messages that leave within this span do not count as waiting.
const NO_WAIT: Duration = Duration::from_millis(100);

/// From so much loss on it is the loss that holds messages up, percent.
const LOSSY: f32 = 5.0;

/// So many probe timeouts in a row without an acknowledgement are silence.
const SILENT_TIMEOUTS: u32 = 2;

/// A cause with its sentence and its evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// Why.
    pub cause: Cause,
    /// The same as a sentence, with what is known of this session.
    pub why: String,
    /// Fields and their numbers.
    pub evidence: Vec<(&'static str, u64)>,
}

/// What the operating system refused to send to the peer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unsent {
    count: u64,
    at: Option<Instant>,
}

impl Unsent {
    pub(super) fn note(&mut self, now: Instant) {
        self.count += 1;
        self.at = Some(now);
    }

    pub(super) fn counts(&self, now: Instant) -> bool {
        self.at.is_some_and(|at| now.saturating_since(at) < SEND_ERROR_COUNTS)
    }

    fn evidence(&self, now: Instant) -> [(&'static str, u64); 2] {
        [("send_errors", self.count), ("send_error_ms_ago", self.at.map_or(0, |at| ms(now.saturating_since(at))))]
    }
}

impl Ending {
    /// What is said of a session that ended at `at`.
    pub fn diagnose(&self, now: Instant, at: Instant) -> Diagnosis {
        let ago = now.saturating_since(at);
        let meaning = self.cause.meaning().trim_end_matches('.');
        let why = match self.text.as_str() {
            "" => format!("{meaning} ({} ago)", span(ago)),
            text => format!("{meaning} ({} ago: {text})", span(ago)),
        };
        let mut evidence = self.evidence.clone();
        evidence.push(("ended_ms_ago", ms(ago)));
        Diagnosis { cause: self.cause, why, evidence }
    }
}

impl Session {
    /// The operating system refuses to send to `remote` for now: remembered for the diagnosis, if it concerns us.
    pub fn handle_send_error(&mut self, now: Instant, remote: SocketAddr) {
        let remote = Route::Direct(remote);
        let ours = match &self.state {
            State::Opening(opening) => opening.talks_to(remote),
            State::Connected(live) => live.connection.paths.active() == remote,
            _ => false,
        };
        if ours {
            self.unsent.note(now);
        }
    }

    /// Why it is where it is. `unread`: bytes and messages that arrived and wait for the app, if that is known.
    pub fn diagnose(&self, now: Instant, unread: Option<(u64, u64)>) -> Diagnosis {
        match &self.state {
            State::Opening(opening) => self.diagnose_opening(now, opening),
            State::Pending(pending) => diagnose_pending(now, &pending.newcomer, pending.began_at),
            State::Connected(live) => match &self.transport {
                Some(transport) => self.diagnose_live(now, live, transport, unread),
                None => Diagnosis { cause: Cause::Connected, why: String::new(), evidence: Vec::new() },
            },
            State::Failed { ending, at, .. } => ending.diagnose(now, *at),
            State::Ended => Diagnosis { cause: Cause::NoSession, why: String::new(), evidence: Vec::new() },
        }
    }

    fn diagnose_opening(&self, now: Instant, opening: &Opening) -> Diagnosis {
        let waited = now.saturating_since(opening.began_at);
        let left = opening.deadline.saturating_since(now);
        let mut evidence = vec![("waited_ms", ms(waited)), ("gives_up_in_ms", ms(left))];
        evidence.extend(self.unsent.evidence(now));
        evidence.extend(opening.dial.evidence());
        let Hinted { cause, text: says, .. } = opening.verdict(self.unsent.counts(now));
        let why = format!("{says} (for {}; gives up in {})", span(waited), span(left));
        Diagnosis { cause, why, evidence }
    }

    fn diagnose_live(&self, now: Instant, live: &Live, transport: &Transport, unread: Option<(u64, u64)>) -> Diagnosis {
        let to = live.connection.paths.active();
        let silent = now.saturating_since(live.heard_at);
        let (reliable, unreliable, unacknowledged) = transport.pending();
        let waiting = reliable + unreliable;
        let queue = transport.queue_delay();
        let loss = transport.loss_percent();
        let blocked = transport.channels_blocked();
        let nagle = transport.waits_for_company(now);
        let probed = now.saturating_since(live.next_ping) > transport.probe_timeout() * 3;
        let unanswered = (live.pings > 0 && probed) || transport.timeouts() >= SILENT_TIMEOUTS;

        let (cause, why) = if self.unsent.counts(now) {
            let why = format!("The operating system refuses to send to {to}, nothing was heard for {}", span(silent));
            (Cause::NetworkUnreachable, why)
        } else if live.challenger.is_some() {
            (Cause::Challenged, format!("A newcomer has the steam id of {to}, which is asked whether it lives"))
        } else if unanswered && live.bad_since_heard > 0 {
            let why = format!("{} packets came from {to} in {}, none opens", live.bad_since_heard, span(silent));
            (Cause::Undecryptable, why)
        } else if unanswered {
            let limit = span(self.settings.timeout_connected);
            (
                Cause::Silent,
                format!("Nothing was heard from {to} for {}; after {limit} the session fails", span(silent)),
            )
        } else if live.connection.paths.active().is_signal() {
            let (proven, known) = live.connection.paths.counts();
            let why = format!("The peer answers by signals only; of {known} other ways {proven} are proven");
            (Cause::NoPath, why)
        } else if let Some((bytes, messages)) = unread.filter(|u| u.1 > 0 && transport.holds_peer_back()) {
            let why = format!("{to} has to wait: {messages} messages, {bytes} bytes, are not read here");
            (Cause::AppNotReading, why)
        } else if blocked > 0 && transport.is_still() {
            let why = format!("{waiting} bytes wait on {blocked} channels: the app at {to} does not read them");
            (Cause::PeerNotReading, why)
        } else if let Some(left) = nagle {
            (Cause::Nagle, format!("{waiting} bytes wait {} more for company", span(left)))
        } else if queue >= NO_WAIT && loss >= LOSSY {
            (
                Cause::Lossy,
                format!("{waiting} bytes wait {}: the line to {to} loses {loss:.0} % of packets", span(queue)),
            )
        } else if queue >= NO_WAIT {
            let rate = transport.rate();
            (Cause::SlowLink, format!("{waiting} bytes wait {}: the line to {to} carries {rate} bytes/s", span(queue)))
        } else {
            (Cause::Connected, format!("Connected with {to}, heard {} ago", span(silent)))
        };

        let mut evidence = vec![
            ("silent_ms", ms(silent)),
            ("pings_unanswered", live.pings.into()),
            ("rtt_us", transport.rtt().map_or(0, us)),
            ("send_rate", transport.rate()),
            ("loss_percent", loss.round() as u64),
            ("lost_packets", transport.lost_packets()),
            ("pending_reliable", reliable),
            ("pending_unreliable", unreliable),
            ("unacknowledged", unacknowledged),
            ("queue_us", us(queue)),
            ("nagle_us", nagle.map_or(0, us)),
            ("send_buffer_used", self.cell.pending()),
            ("send_buffer_size", self.settings.send_buffer_size.into()),
            ("channels_blocked", blocked as u64),
            ("peer_waits", transport.holds_peer_back().into()),
            ("undecryptable_since_heard", live.bad_since_heard),
            ("ways", live.connection.paths.counts().1 as u64),
            ("ways_proven", live.connection.paths.counts().0 as u64),
        ];
        if let Some((bytes, messages)) = unread {
            evidence.extend([("unread_bytes", bytes), ("unread_messages", messages)]);
        }
        evidence.extend(self.unsent.evidence(now));
        Diagnosis { cause, why, evidence }
    }
}

fn diagnose_pending(now: Instant, newcomer: &Newcomer, began_at: Instant) -> Diagnosis {
    let (waited, heard) = (now.saturating_since(began_at), now.saturating_since(newcomer.heard_at));
    let from = newcomer.connection.paths.active();
    let why = format!("{from} wants to talk for {}; this app has not accepted yet", span(waited));
    let evidence = vec![("waited_ms", ms(waited)), ("heard_ms_ago", ms(heard))];
    Diagnosis { cause: Cause::AppDeciding, why, evidence }
}

impl Dial {
    fn evidence(&self) -> [(&'static str, u64); 4] {
        let (addresses, tries) = self.tried();
        [
            ("addresses", addresses),
            ("tries", tries),
            ("answers_refused", self.answers_refused.into()),
            ("hints", self.hints.into()),
        ]
    }
}

fn ms(span: Duration) -> u64 {
    span.as_millis() as u64
}

fn us(span: Duration) -> u64 {
    span.as_micros() as u64
}

/// For people: milliseconds below a second, else seconds.
fn span(span: Duration) -> String {
    match ms(span) {
        ms @ 0..1_000 => format!("{ms} ms"),
        ms => format!("{:.1} s", ms as f64 / 1_000.0),
    }
}
