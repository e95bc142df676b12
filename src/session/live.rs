//! A connected session: its packets, its signs of life, its agreement to end, and the restarted peer.

use super::cause::Cause;
use super::connection::Connection;
use super::newcomer::{Newcomer, Word};
use super::{Context, Ending, Outcome, Session, State, reason};
use crate::drops::Dropped;
use crate::machine::TransmitBuf;
use crate::path::PathFrame;
use crate::path::reach::Policy;
use crate::path::route::{Parcel, Route};
use crate::settings::Settings;
use crate::time::{Deadline, Duration, Instant, Why};
use crate::transport::{Control, Violation};
use crate::wire::candidate;
use crate::wire::codec::Writer;
use crate::wire::frame::{Frame, Frames};
use crate::wire::packet::{DataHeader, TAG_SIZE};

/// A silent peer is asked for a sign of life so often within TIMEOUT_CONNECTED.
const PINGS: u32 = 4;

/// A NAT keeps its binding this long at least (RFC 4787 section 4.3 asks for more; practice for this).
const BINDING_LIFE: Duration = Duration::from_secs(15);

/// Without so many unanswered pings no peer is given up: our own process may have slept.
const LEAST_PINGS: u32 = 3;

/// A probe timeout puts the path in doubt, or a packet that is overdue, or so many pings without an answer.
const DOUBTFUL: u32 = 2;

/// The old incarnation of a peer has so long to answer before a new one takes its place.
const CHALLENGE: Duration = Duration::from_secs(1);

/// Within it, it is asked so often.
const CHALLENGE_PING: Duration = Duration::from_millis(200);

/// The peer hears so often how well its packets arrive.
const QUALITY_EVERY: Duration = Duration::from_secs(10);

/// An idle session whose peer holds data back looks again after so long.
const IDLE_RETRY: Duration = Duration::from_secs(1);

/// When nobody uses the session.
#[derive(Debug)]
pub(super) struct Idle {
    used_at: Instant,
    /// The peer said: not before then.
    not_before: Instant,
    proposed_at: Option<Instant>,
}

impl Idle {
    /// Somebody uses it.
    pub(super) fn renew(&mut self, now: Instant) {
        self.used_at = now;
        self.proposed_at = None;
    }

    fn due(&self, settings: &Settings) -> Instant {
        (self.used_at + settings.session_idle_timeout).max(self.not_before)
    }
}

/// A new incarnation of the peer that wants the session.
pub(super) struct Challenger {
    pub(super) newcomer: Box<Newcomer>,
    deadline: Instant,
    next_ping: Instant,
    /// An acknowledgement of this packet or a later one proves that the old incarnation lives.
    asked_in: u64,
}

/// What only a connected session has.
pub(super) struct Live {
    pub(super) connection: Connection,
    pub(super) challenger: Option<Challenger>,
    pub(super) idle: Idle,
    pub(super) remote_quality: Option<u8>,
    pub(super) since: Instant,
    pub(super) heard_at: Instant,
    /// The last ping went then; it was heard then, if none did since.
    pub(super) next_ping: Instant,
    pub(super) pings: u32,
    /// Packets that did not open since.
    pub(super) bad_since_heard: u64,
    quality_at: Instant,
    /// Since when only signals connect us, if they do.
    pub(super) signals_since: Instant,
}

impl Live {
    pub(super) fn new(now: Instant, connection: Connection) -> Live {
        Live {
            connection,
            challenger: None,
            idle: Idle { used_at: now, not_before: now, proposed_at: None },
            remote_quality: None,
            since: now,
            heard_at: now,
            next_ping: now,
            pings: 0,
            bad_since_heard: 0,
            quality_at: now + QUALITY_EVERY / 2,
            signals_since: now,
        }
    }

    fn heard(&mut self, now: Instant) {
        self.heard_at = now;
        self.next_ping = now;
        self.pings = 0;
        self.bad_since_heard = 0;
    }

    pub(super) fn challenge(&mut self, now: Instant, newcomer: Box<Newcomer>, asked_in: u64) {
        let (deadline, next_ping) = (now + CHALLENGE, now + CHALLENGE_PING);
        self.challenger = Some(Challenger { newcomer, deadline, next_ping, asked_in });
    }

    fn ping_due(&self, settings: &Settings) -> Instant {
        self.next_ping + ping_interval(settings)
    }

    fn is_dead(&self, now: Instant, settings: &Settings) -> bool {
        self.heard_at + settings.timeout_connected <= now && self.pings >= LEAST_PINGS
    }

    /// Until when a way must have been found, while only signals connect us.
    pub(super) fn no_path_at(&self, settings: &Settings) -> Option<Instant> {
        let since = self.connection.paths.active().is_signal().then_some(self.signals_since)?;
        Some(since + settings.timeout_initial)
    }

    pub(super) fn poll_timeout(&self, now: Instant, settings: &Settings) -> Deadline {
        let mut next = Deadline::new(self.ping_due(settings), Why::Keepalive);
        if self.pings >= LEAST_PINGS {
            next = next.min(Deadline::new(self.heard_at + settings.timeout_connected, Why::Session));
        }
        let idle = match self.idle.proposed_at {
            None => self.idle.due(settings),
            Some(at) => at + settings.timeout_connected,
        };
        next = next.min(Deadline::new(idle, Why::Session));
        if let Some(challenger) = &self.challenger {
            next = next.min(Deadline::new(challenger.deadline.min(challenger.next_ping), Why::Session));
            if challenger.newcomer.wants_transmit() {
                next = next.min(Deadline::new(now, Why::Transmit));
            }
        }
        if let Some(at) = self.no_path_at(settings) {
            next = next.min(Deadline::new(at, Why::Path));
        }
        if let Some(at) = self.connection.paths.poll_timeout(now) {
            next = next.min(Deadline::new(at, Why::Path));
        }
        next.min(Deadline::new(self.quality_at, Why::Keepalive))
    }
}

fn ping_interval(settings: &Settings) -> Duration {
    (settings.timeout_connected / PINGS).min(BINDING_LIFE)
}

/// What the frames of a packet came to, beyond the messages.
enum Verdict {
    Continue,
    Violation(&'static str),
    Close(i32, String),
    IdleAgreed,
}

impl Session {
    /// The peer's first packet after its yes: it may acknowledge our early data before the rest goes again.
    pub(super) fn connect_acknowledged(
        &mut self,
        now: Instant,
        from: Route,
        connection: Connection,
        number: u64,
        frames: &[u8],
        ctx: &mut Context<'_>,
    ) {
        self.state = State::Connected(Box::new(Live::new(now, connection)));
        self.pair_up(now, ctx);
        self.handle_frames(now, from, number, frames, ctx);
        if self.is_connected() {
            if let Some(transport) = &mut self.transport {
                transport.open();
            }
            self.cell.set_open(true);
        }
    }

    pub(super) fn handle_live_data(
        &mut self,
        now: Instant,
        from: Route,
        header: &DataHeader,
        datagram: &mut [u8],
        ctx: &mut Context<'_>,
    ) -> Result<(), Dropped> {
        let (State::Connected(live), Some(transport)) = (&mut self.state, &mut self.transport) else {
            return Err(Dropped::UnknownConnection);
        };
        if let Some(challenger) = &mut live.challenger
            && challenger.newcomer.connection.local == header.destination
        {
            if challenger.newcomer.handle_data(now, header, datagram)? == Word::Cancelled {
                live.challenger = None;
            }
            return Ok(());
        }
        let opened = match live.connection.open(now, header, datagram, transport.probe_timeout() * 3) {
            Ok(opened) => opened,
            Err(Dropped::Replayed) => {
                self.meter.count_duplicate();
                return Err(Dropped::Replayed);
            }
            Err(why) => {
                live.bad_since_heard += 1;
                if live.connection.is_worn_out() {
                    self.fail(now, Cause::Forged, "Too many forged packets for the cipher in use");
                }
                return Err(why);
            }
        };
        self.meter.count_in(now, datagram.len(), opened.number);
        live.heard(now);
        let challenger = live.challenger.take();
        self.handle_frames(now, from, opened.number, &datagram[opened.frames], ctx);
        if let Some(challenger) = challenger {
            self.judge_challenger(now, challenger);
        }
        self.note_path(now, from, opened.newest);
        Ok(())
    }

    /// The old incarnation of the peer was heard while a new one knocks.
    fn judge_challenger(&mut self, now: Instant, challenger: Challenger) {
        let acked = self.transport.as_ref().and_then(|t| t.next_number().1);
        if let State::Connected(live) = &mut self.state {
            if acked.is_some_and(|acked| acked >= challenger.asked_in) {
                // It answers: two devices with one steam id must not take turns.
                let text = "Another endpoint with this steam id is connected to the peer";
                self.refuse(now, challenger.newcomer, reason::GENERIC, text);
            } else {
                live.challenger = Some(challenger); // what was heard may have been under way for long
            }
            return;
        }
        // The old one has just ended: the newcomer takes its place. What the end cost is told as ever.
        let lost_data = self.fails_once();
        self.outcomes.retain(|o| !matches!(o, Outcome::Ended(_)));
        self.outcomes.push(Outcome::Replaced { newcomer: challenger.newcomer, lost_data });
    }

    /// Takes the frames of an opened packet.
    pub(super) fn handle_frames(
        &mut self,
        now: Instant,
        from: Route,
        number: u64,
        frames: &[u8],
        ctx: &mut Context<'_>,
    ) {
        let (State::Connected(live), Some(transport)) = (&mut self.state, &mut self.transport) else {
            return;
        };
        let mut reader = Frames::new(frames);
        let (mut ack_eliciting, mut news, mut candidates_changed) = (false, false, false);
        let mut verdict = Verdict::Continue;
        loop {
            let frame = match reader.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(_) => {
                    verdict = Verdict::Violation("a packet breaks the format");
                    break;
                }
            };
            ack_eliciting |= frame.is_ack_eliciting();
            news |= matches!(frame, Frame::Message(_));
            match transport.handle_frame(now, &frame, ctx.drops) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(Violation(text)) => {
                    verdict = Verdict::Violation(text);
                    break;
                }
            }
            match frame {
                Frame::Close { reason, text } => {
                    verdict = Verdict::Close(reason as i32, text.to_owned());
                    break;
                }
                Frame::IdlePropose => {
                    let remaining = live.idle.due(&self.settings).saturating_since(now);
                    // Both timers ran from nearly the same moment: a little early is not worth another round.
                    if transport.holds_reliable() {
                        transport.push_control(Control::IdleRefuse(IDLE_RETRY.as_millis() as u64));
                    } else if remaining < IDLE_RETRY / 4 {
                        transport.push_control(Control::IdleConsent);
                    } else {
                        transport.push_control(Control::IdleRefuse(remaining.as_millis() as u64));
                    }
                }
                Frame::IdleConsent if live.idle.proposed_at.is_some() && !news && !transport.holds_reliable() => {
                    verdict = Verdict::IdleAgreed;
                    break;
                }
                Frame::IdleRefuse { remaining_ms } if live.idle.proposed_at.is_some() => {
                    live.idle.proposed_at = None;
                    let span = Duration::from_millis(remaining_ms).min(self.settings.session_idle_timeout);
                    live.idle.not_before = now + span.max(IDLE_RETRY / 4);
                }
                Frame::Quality { percent } => live.remote_quality = Some(percent),
                Frame::PathProbe(token) => live.connection.paths.handle_probe(now, from, token),
                Frame::Candidates { revision, list } => {
                    if candidate::decode(list).is_err() {
                        verdict = Verdict::Violation("its candidates break the format");
                        break;
                    }
                    if live.connection.paths.handle_candidates(from, revision) {
                        live.connection.hello.candidates = list.into();
                        candidates_changed = true;
                    }
                }
                Frame::CandidatesTaken(revision) => live.connection.paths.handle_taken(revision),
                Frame::PathReply(token) => {
                    if let Some(moved) = live.connection.paths.handle_reply(now, token) {
                        transport.handle_path_change(moved.rtt, false);
                    }
                }
                _ => {}
            }
        }
        transport.handle_packet(now, number, ack_eliciting);
        if let Some(largest) = transport.next_number().1 {
            live.connection.handle_acked(largest);
        }
        let before = ctx.deliveries.len();
        ctx.deliveries.extend(transport.take_ready());
        if ctx.deliveries.len() > before {
            live.idle.renew(now);
            for delivery in &ctx.deliveries[before..] {
                if self.last_channel != Some(delivery.channel) {
                    self.last_channel = Some(delivery.channel);
                    self.channels.insert(delivery.channel);
                }
            }
        }
        if candidates_changed {
            self.pair_up(now, ctx);
        }
        match verdict {
            Verdict::Continue => {}
            Verdict::Violation(text) => {
                self.fail(now, Cause::Violation, format!("The peer broke the protocol: {text}"));
            }
            Verdict::Close(reason, text) => self.handle_close(now, reason, &text),
            Verdict::IdleAgreed => {
                let text = "Session idle timeout";
                self.close(now, reason::IDLE, text);
                self.outcomes.push(Outcome::Ended(Ending::new(0, reason::IDLE, Cause::Idle, text)));
            }
        }
    }

    pub(super) fn handle_live_timeout(&mut self, now: Instant) {
        if self.lacks_path(now) {
            self.fail(
                now,
                Cause::NoPath,
                "Timed out attempting to connect: no datagram comes through in either direction",
            );
            return;
        }
        let (State::Connected(live), Some(transport)) = (&mut self.state, &mut self.transport) else {
            return;
        };
        if let Some(challenger) = &mut live.challenger {
            if challenger.deadline <= now {
                if let Some(challenger) = live.challenger.take() {
                    self.replace(challenger.newcomer);
                }
                return;
            }
            if challenger.next_ping <= now {
                challenger.next_ping = now + CHALLENGE_PING;
                transport.ping();
            }
        }
        if live.is_dead(now, &self.settings) {
            let silent_ms = now.saturating_since(live.heard_at).as_millis();
            let (cause, beside) = match live.bad_since_heard {
                _ if self.unsent.counts(now) => (Cause::NetworkUnreachable, "; the operating system refuses to send"),
                0 => (Cause::Silent, ""),
                _ => (Cause::Undecryptable, ", but what does not open"),
            };
            self.fail(now, cause, format!("Connection dropped: nothing heard for {silent_ms} ms{beside}"));
            return;
        }
        let overdue = transport.overdue_at().is_some_and(|at| at <= now);
        if overdue || transport.timeouts() > 0 || live.pings >= DOUBTFUL {
            live.connection.paths.doubt(now);
        }
        if let Some(moved) = live.connection.paths.handle_timeout(now) {
            transport.handle_path_change(moved.rtt, true);
        }
        if live.ping_due(&self.settings) <= now {
            live.next_ping = now;
            live.pings += 1;
            transport.ping();
        }
        match live.idle.proposed_at {
            None if live.idle.due(&self.settings) > now => {}
            None if transport.holds_reliable() => live.idle.not_before = now + IDLE_RETRY,
            None => {
                live.idle.proposed_at = Some(now);
                transport.push_control(Control::IdlePropose);
            }
            Some(at) if at + self.settings.timeout_connected <= now => {
                self.fail(now, Cause::IdleUnanswered, "The peer does not answer whether the idle session may end");
                return;
            }
            Some(_) => {}
        }
        if transport.is_ignored() {
            self.fail(now, Cause::Ignored, "The peer broke the protocol: it acknowledges nothing");
            return;
        }
        if live.quality_at <= now {
            live.quality_at = now + QUALITY_EVERY;
            let quality = self.meter.measured(now).quality;
            if quality >= 0.0 {
                transport.push_control(Control::Quality((quality * 100.0).round() as u8));
            }
        }
    }

    pub(super) fn poll_live(&mut self, now: Instant, out: &mut TransmitBuf, ctx: &mut Context<'_>) -> Option<Parcel> {
        let (State::Connected(live), Some(transport)) = (&mut self.state, &mut self.transport) else {
            return None;
        };
        if let Some(challenger) = &mut live.challenger
            && let Some(route) = challenger.newcomer.poll_transmit(&mut out.bytes)
        {
            return Some(Parcel { route, segment_size: out.bytes.len() });
        }
        let connection = &mut live.connection;
        let bytes = &mut out.bytes;
        let signal = ctx.local.reach.signals.then_some(Route::Signal(self.peer));
        if let Some((route, frame)) = connection.paths.poll_frame(now, signal, ctx.random) {
            let (number, acked) = transport.next_number();
            let header = connection.begin_packet(number, acked, bytes)?;
            let mut list = Vec::new();
            let frame = match frame {
                PathFrame::Probe(token) => Frame::PathProbe(token),
                PathFrame::Reply(token) => Frame::PathReply(token),
                PathFrame::Taken(revision) => Frame::CandidatesTaken(revision),
                PathFrame::Candidates(revision) => {
                    list = ctx.local.reach.told(Policy(self.settings.transports));
                    Frame::Candidates { revision, list: &list }
                }
            };
            frame.write(&mut Writer::new(bytes, header + 16 + list.len()));
            connection.seal(number, bytes, 0, header).ok()?;
            transport.handle_sent_bare(now, bytes.len());
            self.meter.count_out(now, bytes.len());
            return Some(Parcel { route, segment_size: bytes.len() });
        }
        if connection.paths.held_until(now).is_some() {
            return None;
        }
        let most_segments = if connection.paths.active().is_signal() { 1 } else { out.max_segments };
        let room = transport.packet_room();
        let mut worn_out = false;
        let mut segment_size = 0;
        for _ in 0..most_segments {
            let start = bytes.len();
            let (number, acked) = transport.next_number();
            let Some(header) = connection.begin_packet(number, acked, bytes) else {
                break;
            };
            let full = if segment_size == 0 { room } else { segment_size - header - TAG_SIZE };
            let limit = start + header + full;
            if !transport.write_packet(now, &mut Writer::new(bytes, limit)) {
                bytes.truncate(start);
                break;
            }
            if connection.seal(number, bytes, start, header).is_err() {
                bytes.truncate(start);
                worn_out = true;
                break;
            }
            let size = bytes.len() - start;
            debug_assert!(size <= header + room + TAG_SIZE);
            transport.handle_sent(now, size);
            self.meter.count_out(now, size);
            // Equal segments only, the last may be shorter; a short first one would make all short.
            if segment_size == 0 {
                segment_size = size;
            }
            if size < segment_size.max(room / 2) || bytes.len() + segment_size > MAX_BURST_BYTES {
                break;
            }
        }
        let route = connection.paths.active();
        if segment_size > 0 {
            connection.paths.takes_data(now);
        }
        if worn_out {
            self.fail(
                now,
                Cause::KeyWornOut,
                "The key has sealed as much as it may, and the peer confirmed no newer one",
            );
        }
        (segment_size > 0).then_some(Parcel { route, segment_size })
    }
}

/// The most one call of the operating system takes as segments, bytes (a UDP datagram's own limit).
const MAX_BURST_BYTES: usize = 65_000;
