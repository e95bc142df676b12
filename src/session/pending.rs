//! A session the peer began: from its complete handshake to the app's yes; and a new incarnation of a
//! connected peer, which may end as one.

use super::cause::Cause;
use super::farewell::Farewell;
use super::newcomer::Newcomer;
use super::{Context, Ending, Outcome, Session, State, reason};
use crate::drops::Dropped;
use crate::ids::ConnectionId;
use crate::time::{Deadline, Duration, Instant, Why};
use crate::transport::{Control, Transport};

/// A requester that was not heard for so long is gone: it says every two seconds that it waits, and says so
/// when it gives up.
const REQUESTER_PATIENCE: Duration = Duration::from_secs(8);

/// A request is raised again so often while the requester waits.
const REQUEST_AGAIN: Duration = Duration::from_secs(5);

/// Nobody is asked about one peer more often, however often that begins.
const REQUEST_LEAST: Duration = Duration::from_secs(1);

/// What a peer is told that took a handshake which gave way to its own.
const GAVE_WAY: &str = "The handshake gave way to the peer's own";

/// A request and when the app is asked about it.
pub(super) struct Pending {
    pub(super) newcomer: Box<Newcomer>,
    pub(super) began_at: Instant,
    posted_at: Instant,
    again_at: Instant,
}

impl Pending {
    /// The app is being asked for the first time.
    pub(super) fn new(now: Instant, newcomer: Box<Newcomer>) -> Pending {
        Pending { newcomer, began_at: now, posted_at: now, again_at: now + REQUEST_AGAIN }
    }

    /// When it has something to do.
    pub(super) fn poll_timeout(&self, now: Instant) -> Deadline {
        if self.newcomer.wants_transmit() {
            return Deadline::new(now, Why::Transmit);
        }
        Deadline::new((self.newcomer.heard_at + REQUESTER_PATIENCE).min(self.again_at), Why::Session)
    }
}

impl Session {
    /// The app accepts, or sends, which is the same.
    pub fn accept(&mut self, now: Instant, ctx: &mut Context<'_>) {
        if !self.is_pending() {
            self.renew(now);
            return;
        }
        let State::Pending(pending) = std::mem::replace(&mut self.state, State::Ended) else {
            return;
        };
        let newcomer = pending.newcomer;
        self.transport = Some(Box::new(Transport::new(&self.settings, newcomer.windows, self.cell.clone())));
        self.adopt(now, newcomer, ctx);
    }

    /// Data flows over a connection the peer began.
    pub fn adopt(&mut self, now: Instant, newcomer: Box<Newcomer>, ctx: &mut Context<'_>) {
        let given_up = self.transport.as_ref().map_or(0, |t| t.next_number().0);
        let Newcomer { connection, early, next_number, windows, .. } = *newcomer;
        if let Some(transport) = &mut self.transport {
            transport.set_windows(windows);
        }
        if let Err(text) = self.begin_connection(&connection, next_number) {
            self.farewells.push(Farewell::close(now, connection, next_number, reason::GENERIC, &text, None));
            self.fail(now, Cause::MessageTooLarge, text);
            return;
        }
        self.give_up_opening(now, given_up);
        self.connect(now, connection, ctx);
        let Some(transport) = &mut self.transport else { return };
        transport.push_control(Control::Accept);
        if let (Some(early), Some(from)) = (early, self.route()) {
            self.handle_frames(now, from, early.number, &early.frames, ctx);
        }
    }

    /// Our own handshake gives way to the peer's. The peer may have taken it nevertheless, if it closed its own.
    /// `number` is that of its next packet.
    fn give_up_opening(&mut self, now: Instant, number: u64) {
        if self.is_opening()
            && let State::Opening(opening) = std::mem::replace(&mut self.state, State::Ended)
            && let Some(connection) = opening.into_connection()
        {
            self.farewells.push(Farewell::given_up(now, connection, number, reason::CLOSED, GAVE_WAY));
        }
    }

    /// A complete handshake of the same peer while this session lives: it may be a restart.
    pub fn challenge(&mut self, now: Instant, newcomer: Box<Newcomer>) {
        if let State::Connected(live) = &mut self.state {
            let Some(transport) = &mut self.transport else { return };
            live.challenge(now, newcomer, transport.next_number().0);
            transport.ping();
        }
    }

    /// The last handshake message came again: our HOLD was lost. It is not verified a second time, so it
    /// does no more than repeat that.
    ///
    /// # Errors
    /// Nobody waits for a HOLD.
    pub fn handle_repeated_finish(&mut self, now: Instant, destination: ConnectionId) -> Result<(), Dropped> {
        let waiting = match &mut self.state {
            State::Pending(pending) => Some(&mut pending.newcomer),
            State::Connected(live) => live.challenger.as_mut().map(|c| &mut c.newcomer),
            _ => None,
        };
        let newcomer = waiting.filter(|n| n.connection.local == destination).ok_or(Dropped::Stale)?;
        newcomer.handle_repeat(now);
        Ok(())
    }

    /// Another handshake of a peer whose request waits. False when it is of the session that asked: then the
    /// first one stands, and the peer, which has not heard so, is told once more.
    pub fn handle_newer_request(&mut self, now: Instant, newcomer: Box<Newcomer>) -> bool {
        let State::Pending(pending) = &mut self.state else { return false };
        let newcomer = *newcomer;
        if pending.newcomer.connection.hello.session == newcomer.connection.hello.session {
            pending.newcomer.heard_at = now;
            pending.newcomer.connection.paths = newcomer.connection.paths; // it may have moved
            pending.newcomer.handle_repeat(now);
            return false;
        }
        *pending.newcomer = newcomer;
        pending.again_at = pending.again_at.min(pending.posted_at + REQUEST_LEAST);
        true
    }

    pub(super) fn handle_pending_timeout(&mut self, now: Instant) {
        let State::Pending(pending) = &mut self.state else { return };
        if pending.newcomer.heard_at + REQUESTER_PATIENCE <= now {
            self.end_request("It fell silent");
        } else if pending.again_at <= now {
            pending.again_at = now + REQUEST_AGAIN;
            // Only while the requester still says that it waits.
            if pending.newcomer.heard_at + REQUEST_AGAIN > now {
                pending.posted_at = now;
                self.outcomes.push(Outcome::Requested);
            }
        }
    }

    /// Whoever asked does so no more.
    pub(super) fn end_request(&mut self, text: &str) {
        self.state = State::Ended;
        let cause = Cause::RequestWithdrawn;
        self.outcomes.push(Outcome::Ended(Ending::new(0, cause.reason(), cause, text)));
    }
}
