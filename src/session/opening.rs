//! A session we began: from the first message of the handshake to the peer's yes.

use super::cause::Cause;
use super::connection::Connection;
use super::dial::{Dial, Retry};
use super::{Context, Session, State};
use crate::crypto::packet::{Aead, PacketKeys};
use crate::drops::Dropped;
use crate::ids::ConnectionId;
use crate::time::{Deadline, Duration, Instant, Why};
use crate::wire::codec::Writer;
use crate::wire::frame::{Frame, Frames};
use crate::wire::packet::{Cookie, DataHeader, Finish, Hint, Response, TAG_SIZE};
use std::net::SocketAddr;

/// While the app at the other end thinks, it is told so often that we still wait.
const REQUEST_EVERY: Duration = Duration::from_secs(2);

pub(super) enum Phase {
    /// Message 1 is out.
    Dialing(Box<Dial>),
    /// Message 3 is out, we wait for the peer's yes.
    Finishing {
        connection: Box<Connection>,
        /// Message 3 and the first data: sent again as it is until the peer shows that it has it.
        flight: Vec<u8>,
        retry: Retry,
        /// The peer has it and thinks.
        held: bool,
        request_at: Instant,
    },
}

/// The opening of a session.
pub struct Opening {
    pub(super) began_at: Instant,
    pub(super) deadline: Instant,
    pub(super) phase: Phase,
}

impl Opening {
    pub(super) fn new(now: Instant, patience: Duration, dial: Dial) -> Opening {
        Opening { began_at: now, deadline: now + patience, phase: Phase::Dialing(Box::new(dial)) }
    }

    pub(super) fn local(&self) -> ConnectionId {
        match &self.phase {
            Phase::Dialing(dial) => dial.local,
            Phase::Finishing { connection, .. } => connection.local,
        }
    }

    pub(super) fn add_address(&mut self, address: SocketAddr) {
        if let Phase::Dialing(dial) = &mut self.phase {
            dial.add_target(address);
        }
    }

    /// What is being sent is due again at once.
    pub(super) fn repeat(&mut self) {
        match &mut self.phase {
            Phase::Dialing(dial) => dial.repeat(),
            Phase::Finishing { retry, .. } => *retry = Retry::new(Instant::ZERO),
        }
    }

    /// The keys, if it came that far.
    pub(super) fn into_connection(self) -> Option<Connection> {
        match self.phase {
            Phase::Finishing { connection, .. } => Some(*connection),
            Phase::Dialing(_) => None,
        }
    }

    pub(super) fn poll_timeout(&self, now: Instant) -> Deadline {
        let deadline = Deadline::new(self.deadline, Why::Session);
        let next = match &self.phase {
            Phase::Dialing(dial) => dial.poll_timeout(now),
            Phase::Finishing { held: true, request_at, .. } => Some(*request_at),
            Phase::Finishing { retry, .. } => Some(retry.next()),
        };
        next.map_or(deadline, |at| deadline.min(Deadline::new(at, Why::Handshake)))
    }

    /// Is that one of the places where the peer may be?
    pub(super) fn talks_to(&self, address: SocketAddr) -> bool {
        match &self.phase {
            Phase::Dialing(dial) => dial.tries(address),
            Phase::Finishing { connection, .. } => connection.paths.active() == address,
        }
    }

    pub(super) fn phase_name(&self) -> &'static str {
        match &self.phase {
            Phase::Dialing(_) => "dialing",
            Phase::Finishing { held: true, .. } => "waiting",
            Phase::Finishing { .. } => "finishing",
        }
    }
}

impl Session {
    /// A cookie for our message 1.
    ///
    /// # Errors
    /// Why it was dropped.
    pub fn handle_cookie(&mut self, cookie: &Cookie, from: SocketAddr) -> Result<(), Dropped> {
        self.dial().ok_or(Dropped::Stale)?.handle_cookie(cookie, from)
    }

    /// A hint why nobody answers.
    ///
    /// # Errors
    /// Why it was dropped.
    pub fn handle_hint(&mut self, hint: &Hint) -> Result<(), Dropped> {
        self.dial().ok_or(Dropped::Stale)?.handle_hint(hint)
    }

    fn dial(&mut self) -> Option<&mut Dial> {
        match &mut self.state {
            State::Opening(opening) => match &mut opening.phase {
                Phase::Dialing(dial) => Some(dial),
                Phase::Finishing { .. } => None,
            },
            _ => None,
        }
    }

    /// The peer's handshake has shown that it is at `address`: our own may go there as well.
    pub fn learn_address(&mut self, address: SocketAddr) {
        if let Some(dial) = self.dial() {
            dial.add_target(address);
        }
    }

    /// Message 2. When it verifies, message 3 and the first data are ready to go.
    ///
    /// # Errors
    /// Why it was dropped.
    pub fn handle_response(
        &mut self,
        now: Instant,
        from: SocketAddr,
        response: &Response<'_>,
        ctx: &mut Context<'_>,
    ) -> Result<(), Dropped> {
        let windows = *self.transport.as_ref().ok_or(Dropped::Stale)?.windows();
        let idle = self.settings.session_idle_timeout;
        let dial = self.dial().ok_or(Dropped::Stale)?;
        let answered = dial.handle_response(now, ctx.local, &windows, idle, from, response)?;
        let local = dial.local;
        let keys = PacketKeys::new(&answered.split, Aead::choose(ctx.local.aead_support, answered.hello.aead));
        let mut connection = Connection::new(local, answered.remote, answered.hello, keys, from, answered.rtt);
        if let Err(text) = self.begin_connection(&connection, 0) {
            self.fail(now, Cause::MessageTooLarge, text);
            return Ok(());
        }
        let mut flight = Vec::with_capacity(1_200);
        Finish { destination: connection.remote, message: &answered.message, rest: &[] }.encode(&mut flight);
        self.write_early(now, &mut connection, &mut flight);
        if let State::Opening(opening) = &mut self.state {
            opening.phase = Phase::Finishing {
                connection: Box::new(connection),
                flight,
                retry: Retry::new(now),
                held: false,
                request_at: now,
            };
        }
        Ok(())
    }

    /// The one data packet that may go before the peer's yes, behind message 3 in the same datagram.
    fn write_early(&mut self, now: Instant, connection: &mut Connection, flight: &mut Vec<u8>) {
        let limit = usize::from(super::DATAGRAM_SIZE).min(connection.hello.max_datagram.into());
        let Some(transport) = &mut self.transport else { return };
        let (number, acked) = transport.next_number();
        let start = flight.len();
        if start + 64 > limit || !transport.has_work() {
            return;
        }
        let Some(header) = connection.begin_packet(number, acked, flight) else {
            return;
        };
        let wrote = transport.write_early(&mut Writer::new(flight, limit - TAG_SIZE));
        if !wrote || connection.seal(number, flight, start, header).is_err() {
            flight.truncate(start);
            return;
        }
        transport.handle_sent(now, flight.len() - start);
    }

    /// The peer's first sealed packets: it thinks, accepts or refuses.
    pub(super) fn handle_first_data(
        &mut self,
        now: Instant,
        from: SocketAddr,
        header: &DataHeader,
        datagram: &mut [u8],
        ctx: &mut Context<'_>,
    ) -> Result<(), Dropped> {
        let State::Opening(opening) = &mut self.state else {
            return Err(Dropped::UnknownConnection);
        };
        let Phase::Finishing { connection, held, request_at, .. } = &mut opening.phase else {
            return Err(Dropped::Stale);
        };
        let opened = connection.open(now, header, datagram, Duration::from_secs(3))?;
        self.meter.count_in(now, datagram.len(), opened.number);
        let plaintext = &datagram[opened.frames];
        let mut frames = Frames::new(plaintext);
        while let Ok(Some(frame)) = frames.next_frame() {
            match frame {
                Frame::Hold => {
                    if !std::mem::replace(held, true) {
                        *request_at = now + REQUEST_EVERY;
                    }
                    return Ok(());
                }
                Frame::Close { reason, text } => {
                    self.handle_close(now, reason as i32, text);
                    return Ok(());
                }
                // Whoever sends anything that wants an answer has accepted, even if its ACCEPT was lost.
                frame if frame.is_ack_eliciting() => {
                    let State::Opening(opening) = std::mem::replace(&mut self.state, State::Ended) else {
                        return Ok(());
                    };
                    if let Some(connection) = opening.into_connection() {
                        self.connect_acknowledged(now, connection, opened.number, plaintext, ctx);
                        self.note_path(from, opened.newest, ctx);
                    }
                    return Ok(());
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn handle_opening_timeout(&mut self, now: Instant) {
        let State::Opening(opening) = &self.state else { return };
        if opening.deadline > now {
            return;
        }
        let (cause, text) = match &opening.phase {
            Phase::Dialing(dial) => dial.verdict(self.unsent.counts(now)),
            Phase::Finishing { held: true, .. } => {
                (Cause::PeerDeciding, "Timed out attempting to connect: the peer did not accept".to_owned())
            }
            _ => (Cause::Unconfirmed, "Timed out attempting to connect: the peer stopped answering".to_owned()),
        };
        self.fail(now, cause, text);
    }

    pub(super) fn poll_opening(
        &mut self,
        now: Instant,
        out: &mut Vec<u8>,
        ctx: &mut Context<'_>,
    ) -> Option<SocketAddr> {
        let State::Opening(opening) = &mut self.state else {
            return None;
        };
        match &mut opening.phase {
            Phase::Dialing(dial) => dial.poll_transmit(now, ctx.local, out),
            Phase::Finishing { connection, held: true, request_at, .. } => {
                if *request_at > now {
                    return None;
                }
                *request_at = now + REQUEST_EVERY;
                let transport = self.transport.as_mut()?;
                let (number, acked) = transport.next_number();
                let header = connection.begin_packet(number, acked, out)?;
                Frame::Request.write(&mut Writer::new(out, header + 1));
                connection.seal(number, out, 0, header).ok()?;
                transport.handle_sent_bare(now, out.len());
                Some(connection.paths.active())
            }
            Phase::Finishing { connection, flight, retry, .. } => {
                if retry.next() > now {
                    return None;
                }
                retry.sent(now);
                out.extend_from_slice(flight);
                Some(connection.paths.active())
            }
        }
    }
}
