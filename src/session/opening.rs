//! A session we began: from the first message of the handshake to the peer's yes.

use super::cause::Cause;
use super::connection::{Connection, Opened};
use super::dial::{Dial, Hinted, Retry};
use super::newcomer::MAX_EARLY;
use super::trust::Standing;
use super::{Context, Session, State};
use crate::crypto::packet::{Aead, PacketKeys};
use crate::drops::Dropped;
use crate::ids::ConnectionId;
use crate::path::route::Route;
use crate::time::{Deadline, Duration, Instant, Why};
use crate::wire::codec::Writer;
use crate::wire::frame::{Frame, Frames};
use crate::wire::packet::{Cookie, DataHeader, Finish, Hint, Response, TAG_SIZE};

/// While the app at the other end thinks, it is told so often that we still wait.
const REQUEST_EVERY: Duration = Duration::from_secs(2);

/// Message 3 that nothing answers for so long may have found that the peer forgot its message 2: message 1 goes
/// beside it from then on.
const START_OVER: Duration = Duration::from_secs(2);

/// So many handshakes are finished for one opening; their keys are all kept until the peer uses some.
const MAX_ATTEMPTS: usize = 4;

/// A handshake we finished, and what the peer may already have of it.
struct Attempt {
    connection: Connection,
    /// Message 3 and the first data: sent again as it is until the peer shows that it has it.
    flight: Vec<u8>,
    /// What the next packet under these keys is called.
    next_number: u64,
    /// Ways the flight still has to take this time.
    ways: Vec<Route>,
}

/// Message 3 is out, we wait for the peer's yes.
struct Finishing {
    /// The last one is being sent. An earlier one may have arrived, so its keys stay: who dropped them would
    /// not hear a peer that took it, and say the same twice under the next ones.
    attempts: Vec<Attempt>,
    retry: Retry,
    /// When message 1 goes again as well.
    start_over_at: Option<Instant>,
    /// It does.
    dials: bool,
    /// The peer has it and thinks.
    held: bool,
    request_at: Instant,
}

/// The opening of a session.
pub struct Opening {
    pub(super) began_at: Instant,
    pub(super) deadline: Instant,
    pub(super) dial: Box<Dial>,
    finishing: Option<Box<Finishing>>,
}

impl Opening {
    pub(super) fn new(now: Instant, patience: Duration, dial: Dial) -> Opening {
        Opening { began_at: now, deadline: now + patience, dial: Box::new(dial), finishing: None }
    }

    pub(super) fn local(&self) -> ConnectionId {
        self.dial.local
    }

    /// The handshake that looks for an answer, if one does.
    fn dialing(&mut self) -> Option<&mut Dial> {
        self.finishing.as_ref().is_none_or(|f| f.dials).then_some(&mut *self.dial)
    }

    /// How far the peer has proven who it is, once it has answered.
    pub(super) fn standing(&self) -> Option<Standing> {
        self.finishing.as_ref()?.attempts.last().map(|attempt| attempt.connection.hello.standing)
    }

    pub(super) fn add_route(&mut self, route: Route) {
        if let Some(dial) = self.dialing() {
            dial.add_target(route);
        }
    }

    /// What is being sent is due again at once.
    pub(super) fn repeat(&mut self) {
        if let Some(finishing) = &mut self.finishing {
            finishing.retry = Retry::new(Instant::ZERO);
        }
        if let Some(dial) = self.dialing() {
            dial.repeat();
        }
    }

    /// The keys, if it came that far.
    pub(super) fn into_connection(self) -> Option<Connection> {
        self.finishing?.attempts.pop().map(|attempt| attempt.connection)
    }

    pub(super) fn poll_timeout(&self, now: Instant) -> Deadline {
        let deadline = Deadline::new(self.deadline, Why::Session);
        let next = match &self.finishing {
            None => self.dial.poll_timeout(now),
            Some(finishing) if finishing.held => Some(finishing.request_at),
            Some(finishing) => {
                if finishing.attempts.last().is_some_and(|attempt| !attempt.ways.is_empty()) {
                    return Deadline::new(now, Why::Handshake);
                }
                let dial = finishing.dials.then(|| self.dial.poll_timeout(now)).flatten();
                [dial, finishing.start_over_at].into_iter().flatten().chain([finishing.retry.next()]).min()
            }
        };
        next.map_or(deadline, |at| deadline.min(Deadline::new(at, Why::Handshake)))
    }

    /// Is that one of the places where the peer may be?
    pub(super) fn talks_to(&self, route: Route) -> bool {
        let at = self.finishing.iter().flat_map(|f| &f.attempts).map(|attempt| attempt.connection.paths.active());
        self.dial.tries(route) || at.into_iter().any(|at| at == route)
    }

    /// What can only be carried as a signal is due at once when somebody carries it again.
    pub(super) fn handle_carrier(&mut self, online: bool, awaited: bool) {
        self.dial.awaits_carrier = awaited;
        if online {
            match &mut self.finishing {
                Some(finishing) if !finishing.dials => finishing.retry = Retry::new(Instant::ZERO),
                _ => self.dial.repeat(),
            }
        }
    }

    /// Nobody but who carries signals could know whether the peer is there.
    pub(super) fn may_be_offline(&self) -> bool {
        self.finishing.is_none() && self.dial.is_by_signals_only()
    }

    pub(super) fn candidates(&self) -> &[u8] {
        let attempt = self.finishing.as_ref().and_then(|f| f.attempts.last());
        attempt.map_or(&[], |attempt| &attempt.connection.hello.candidates)
    }

    pub(super) fn phase_name(&self) -> &'static str {
        match &self.finishing {
            None => "dialing",
            Some(finishing) if finishing.held => "waiting",
            Some(_) => "finishing",
        }
    }

    /// What it waits for. `unsent`: the operating system refuses to send.
    pub(super) fn verdict(&self, unsent: bool) -> Hinted {
        let Some(finishing) = &self.finishing else { return self.dial.verdict(unsent) };
        let address = finishing.attempts.last().map(|attempt| attempt.connection.paths.active());
        let peer = match address {
            Some(route) if !route.is_signal() => route.to_string(),
            _ => "the peer".to_owned(),
        };
        match (finishing.held, finishing.dials) {
            (true, _) => {
                Hinted::new(Cause::PeerDeciding, format!("{peer} has the request and its app did not accept yet"))
            }
            (_, dials) => {
                let again = if dials { ", also when begun anew" } else { "" };
                Hinted::new(Cause::Unconfirmed, format!("{peer} answered, but does not confirm the handshake{again}"))
            }
        }
    }
}

impl Finishing {
    /// Opens a packet with the keys it was sealed under; says whose they are.
    fn open(&mut self, now: Instant, header: &DataHeader, datagram: &mut [u8]) -> Result<(usize, Opened), Dropped> {
        let newest = self.attempts.len() - 1;
        for (index, attempt) in self.attempts[..newest].iter_mut().enumerate() {
            let mut copy = datagram.to_vec(); // what does not open is spoilt
            if let Ok(opened) = attempt.connection.open(now, header, &mut copy, OLD_KEY_LIFETIME) {
                datagram.copy_from_slice(&copy);
                return Ok((index, opened));
            }
        }
        Ok((newest, self.attempts[newest].connection.open(now, header, datagram, OLD_KEY_LIFETIME)?))
    }
}

/// Old keys of a connection nobody accepted are kept for so long.
const OLD_KEY_LIFETIME: Duration = Duration::from_secs(3);

impl Session {
    /// A cookie for our message 1.
    ///
    /// # Errors
    /// Why it was dropped.
    pub fn handle_cookie(&mut self, cookie: &Cookie, from: Route) -> Result<(), Dropped> {
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
            State::Opening(opening) => opening.dialing(),
            _ => None,
        }
    }

    /// The peer's handshake has come by `route`: our own may go there as well.
    pub fn learn_route(&mut self, route: Route) {
        if let Some(dial) = self.dial() {
            dial.add_target(route);
        }
    }

    /// Message 2. When it verifies, message 3 and the first data are ready to go.
    ///
    /// # Errors
    /// Why it was dropped.
    pub fn handle_response(
        &mut self,
        now: Instant,
        from: Route,
        response: &Response<'_>,
        ctx: &mut Context<'_>,
    ) -> Result<(), Dropped> {
        let windows = *self.transport.as_ref().ok_or(Dropped::Stale)?.windows();
        let settings = self.settings;
        let dial = self.dial().ok_or(Dropped::Stale)?;
        let answered = dial.handle_response(now, ctx.local, &settings, &windows, from, response)?;
        let local = dial.local;
        let keys = PacketKeys::new(&answered.split, Aead::choose(ctx.local.aead_support, answered.hello.aead));
        let mut connection = Connection::new(local, answered.remote, answered.hello, keys, from, answered.rtt);
        connection.pair_up(now, &ctx.local.reach, self.policy());
        if let Err(text) = self.begin_connection(&connection, 0) {
            self.fail(now, Cause::MessageTooLarge, text);
            return Ok(());
        }
        let mut flight = Vec::with_capacity(1_200);
        Finish { destination: connection.remote, message: &answered.message, rest: &[] }.encode(&mut flight);
        let told = ctx.local.reach.told(self.policy()).len();
        self.write_early(now, &mut connection, told, &mut flight);
        let next_number = self.transport.as_ref().map_or(0, |t| t.next_number().0);
        if let State::Opening(opening) = &mut self.state {
            let mut attempts = opening.finishing.take().map_or_else(Vec::new, |earlier| earlier.attempts);
            attempts.push(Attempt { connection, flight, next_number, ways: Vec::new() });
            let start_over_at = (attempts.len() < MAX_ATTEMPTS).then(|| now + START_OVER);
            let retry = Retry::new(now);
            let finishing = Finishing { attempts, retry, start_over_at, dials: false, held: false, request_at: now };
            opening.finishing = Some(Box::new(finishing));
        }
        Ok(())
    }

    /// The one data packet that may go before the peer's yes, behind message 3 in the same datagram.
    /// `told`: how long our candidates are, bytes; the peer keeps both or neither.
    fn write_early(&mut self, now: Instant, connection: &mut Connection, told: usize, flight: &mut Vec<u8>) {
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
        let end = (limit - TAG_SIZE).min(flight.len() + MAX_EARLY.saturating_sub(told));
        let wrote = transport.write_early(&mut Writer::new(flight, end));
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
        from: Route,
        header: &DataHeader,
        datagram: &mut [u8],
        ctx: &mut Context<'_>,
    ) -> Result<(), Dropped> {
        let State::Opening(opening) = &mut self.state else {
            return Err(Dropped::UnknownConnection);
        };
        let Some(finishing) = &mut opening.finishing else {
            return Err(Dropped::Stale);
        };
        let (index, opened) = finishing.open(now, header, datagram)?;
        let earlier = index + 1 < finishing.attempts.len();
        // These are the keys the peer has: all others go.
        finishing.attempts.swap(0, index);
        finishing.attempts.truncate(1);
        finishing.dials = false;
        finishing.start_over_at = None;
        if earlier && !self.take_up(now) {
            return Ok(());
        }
        self.meter.count_in(now, datagram.len(), opened.number);
        let plaintext = &datagram[opened.frames];
        let mut frames = Frames::new(plaintext);
        while let Ok(Some(frame)) = frames.next_frame() {
            match frame {
                Frame::Hold => {
                    if let Some(finishing) = self.finishing()
                        && !std::mem::replace(&mut finishing.held, true)
                    {
                        finishing.request_at = now + REQUEST_EVERY;
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
                        self.connect_acknowledged(now, from, connection, opened.number, plaintext, ctx);
                        self.note_path(now, from, opened.newest);
                    }
                    return Ok(());
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn finishing(&mut self) -> Option<&mut Finishing> {
        match &mut self.state {
            State::Opening(opening) => opening.finishing.as_deref_mut(),
            _ => None,
        }
    }

    /// The peer has the keys of an earlier handshake than the last one: packets go on under those. False when
    /// the session failed over it.
    fn take_up(&mut self, now: Instant) -> bool {
        let Some(attempt) = self.finishing().and_then(|f| f.attempts.pop()) else { return false };
        let taken = self.begin_connection(&attempt.connection, attempt.next_number);
        if let Some(finishing) = self.finishing() {
            finishing.attempts.push(attempt);
        }
        if let Err(text) = taken {
            self.fail(now, Cause::MessageTooLarge, text);
            return false;
        }
        true
    }

    pub(super) fn handle_opening_timeout(&mut self, now: Instant, ctx: &mut Context<'_>) {
        let State::Opening(opening) = &mut self.state else { return };
        if opening.deadline > now {
            if let Some(finishing) = &mut opening.finishing
                && finishing.start_over_at.is_some_and(|at| at <= now)
            {
                finishing.start_over_at = None;
                finishing.dials = true;
                opening.dial.start_over(now, ctx.local, ctx.random);
            }
            return;
        }
        let Hinted { cause, reason, text } = opening.verdict(self.unsent.counts(now));
        let text = match cause {
            Cause::PeerDeciding => "Timed out attempting to connect: the peer did not accept".to_owned(),
            Cause::Unconfirmed => "Timed out attempting to connect: the peer stopped answering".to_owned(),
            _ => text,
        };
        self.fail_for(now, cause, reason, text);
    }

    pub(super) fn poll_opening(&mut self, now: Instant, out: &mut Vec<u8>, ctx: &mut Context<'_>) -> Option<Route> {
        let State::Opening(opening) = &mut self.state else {
            return None;
        };
        let Some(finishing) = &mut opening.finishing else {
            return opening.dial.poll_transmit(now, ctx.local, out);
        };
        let attempt = finishing.attempts.last_mut()?;
        if finishing.held {
            if finishing.request_at > now {
                return None;
            }
            finishing.request_at = now + REQUEST_EVERY;
            let transport = self.transport.as_mut()?;
            let (number, acked) = transport.next_number();
            let header = attempt.connection.begin_packet(number, acked, out)?;
            Frame::Request.write(&mut Writer::new(out, header + 1));
            attempt.connection.seal(number, out, 0, header).ok()?;
            transport.handle_sent_bare(now, out.len());
            return Some(attempt.connection.paths.active());
        }
        if finishing.retry.next() <= now {
            finishing.retry.sent(now);
            // By every way there may be, the one that the answer came by first.
            attempt.ways = attempt.connection.paths.all().collect();
            attempt.ways.reverse();
        }
        if let Some(route) = attempt.ways.pop() {
            out.extend_from_slice(&attempt.flight);
            return Some(route);
        }
        finishing.dials.then(|| opening.dial.poll_transmit(now, ctx.local, out)).flatten()
    }
}
