//! One peer, as the app sees it.
//!
//! Decides what state a session is in and what the app is told of it; owns the transport, so that
//! messages and their numbers outlive keys and paths. Which endpoint it belongs to, where datagrams are
//! routed and which address may enter is decided above. The states are those of Steam's documentation:
//!
//! | state | here | the app sees |
//! | --- | --- | --- |
//! | O | [`State::Opening`] | 1 connecting |
//! | P | [`State::Pending`] | 1, and a request event |
//! | C | [`State::Connected`] | 3 |
//! | FP, FL | [`State::Failed`] | 4, 5 |
//!
//! Invariants: nothing unauthenticated changes the state; a session ends with exactly one [`Outcome`] that
//! ends it; after an end no message of the old incarnation is ever delivered.

pub mod cause;
pub mod connection;
pub mod diagnosis;
pub mod dial;
mod ending;
pub mod farewell;
pub mod hello;
mod live;
pub mod local;
mod meter;
pub mod newcomer;
mod opening;
mod pending;
pub mod reason;
pub mod trust;
mod ways;

use crate::crypto::random::Random;
use crate::drops::{DropCounts, Dropped};
use crate::ids::{Channel, ConnectionId, SessionId, SteamId};
use crate::machine::TransmitBuf;
use crate::path::route::{Parcel, Route};
use crate::settings::Settings;
use crate::time::{Deadline, Duration, Instant, Why};
use crate::transport::cell::PeerCell;
use crate::transport::{Delivery, Transport, Windows};
use crate::wire::packet::{DataHeader, MAX_DATA_HEADER, TAG_SIZE};
use cause::Cause;
use connection::Connection;
use diagnosis::Unsent;
use dial::Dial;
use farewell::Farewell;
use hello::DATAGRAM_SIZE;
use live::Live;
use local::Local;
pub use meter::Measured;
use meter::Meter;
use newcomer::Newcomer;
use opening::Opening;
use pending::Pending;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a session needs of its endpoint while it works.
pub struct Context<'a> {
    /// Who we are.
    pub local: &'a mut Local,
    /// Randomness.
    pub random: &'a mut Random,
    /// What was dropped.
    pub drops: &'a mut DropCounts,
    /// Messages for the app.
    pub deliveries: &'a mut Vec<Delivery>,
}

/// How a session ended, as far as the app may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// 4 closed by peer, 5 problem detected locally.
    pub state: i32,
    /// An SNM_END_ number.
    pub reason: i32,
    /// For humans.
    pub text: String,
    /// The cause behind the reason.
    pub cause: Cause,
    /// The numbers as they were at the end.
    pub evidence: Vec<(&'static str, u64)>,
}

impl Ending {
    /// An end of this kind; evidence may follow.
    pub fn new(state: i32, reason: i32, cause: Cause, text: impl Into<String>) -> Ending {
        Ending { state, reason, text: text.into(), cause, evidence: Vec::new() }
    }
}

/// Something the endpoint has to act on.
pub enum Outcome {
    /// The app is asked whether to accept.
    Requested,
    /// The app is told of a failure; the session stays, failed.
    Failed(Ending),
    /// The session is no more.
    Ended(Ending),
    /// The peer ended an idle session just when the app sent: these messages need a new session.
    Reopen(Vec<(Channel, Box<[u8]>)>),
    /// The peer was restarted: the old session is gone, and this one knocks.
    Replaced {
        /// The new incarnation.
        newcomer: Box<Newcomer>,
        /// Reliable messages were lost with the old one.
        lost_data: bool,
    },
}

enum State {
    Opening(Box<Opening>),
    Pending(Pending),
    Connected(Box<Live>),
    /// `once`: the peer closed while we held data; the next plain send is told, and clears it.
    Failed {
        ending: Ending,
        at: Instant,
        once: bool,
        route: Option<Route>,
        last: Last,
    },
    Ended,
}

/// What was measured of a session until it failed.
#[derive(Clone, Copy)]
struct Last {
    measured: Measured,
    remote_quality: Option<u8>,
    rtt: Option<Duration>,
}

/// One peer's session.
pub struct Session {
    peer: SteamId,
    id: SessionId,
    settings: Settings,
    cell: Arc<PeerCell>,
    state: State,
    transport: Option<Box<Transport>>,
    channels: BTreeSet<Channel>,
    /// The channel the open set was asked for last.
    last_channel: Option<Channel>,
    meter: Meter,
    unsent: Unsent,
    outcomes: Vec<Outcome>,
    farewells: Vec<Farewell>,
}

impl Session {
    fn new(
        now: Instant,
        peer: SteamId,
        id: SessionId,
        settings: Settings,
        cell: Arc<PeerCell>,
        state: State,
    ) -> Session {
        cell.set_limit(settings.send_buffer_size.into());
        Session {
            peer,
            id,
            settings,
            cell,
            state,
            transport: None,
            channels: BTreeSet::new(),
            last_channel: None,
            meter: Meter::new(now),
            unsent: Unsent::default(),
            outcomes: Vec::new(),
            farewells: Vec::new(),
        }
    }

    /// We want to talk: begins a handshake. Routes follow by [`Session::add_route`]. `ended` is the peer's name of
    /// the last session it began with us and that is over.
    #[allow(clippy::too_many_arguments)] // who, by which names, and with what
    pub fn open(
        now: Instant,
        peer: SteamId,
        id: SessionId,
        connection: ConnectionId,
        ended: Option<SessionId>,
        settings: Settings,
        cell: Arc<PeerCell>,
        ctx: &mut Context<'_>,
    ) -> Session {
        let dial = Dial::new(now, ctx.local, connection, id, peer, ended, ctx.random);
        let opening = Opening::new(now, settings.timeout_initial, dial);
        let mut session = Session::new(now, peer, id, settings, cell, State::Opening(Box::new(opening)));
        let windows = Windows::of(&session.settings);
        session.transport = Some(Box::new(Transport::new(&session.settings, windows, session.cell.clone())));
        session
    }

    /// Somebody wants to talk to us.
    pub fn pending(
        now: Instant,
        peer: SteamId,
        id: SessionId,
        newcomer: Box<Newcomer>,
        settings: Settings,
        cell: Arc<PeerCell>,
    ) -> Session {
        let state = State::Pending(Pending::new(now, newcomer));
        let mut session = Session::new(now, peer, id, settings, cell, state);
        session.outcomes.push(Outcome::Requested);
        session
    }

    /// Our name for the session.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Whom it is with.
    pub fn peer(&self) -> SteamId {
        self.peer
    }

    /// Its send budget.
    pub fn cell(&self) -> &Arc<PeerCell> {
        &self.cell
    }

    /// What it runs with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Changes what it runs with. Receive windows count from the next session on.
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
        self.cell.set_limit(settings.send_buffer_size.into());
        if let Some(transport) = &mut self.transport {
            transport.set_rate_bounds(&self.settings);
            if let State::Connected(live) = &self.state {
                transport.set_packet_room(packet_room(&self.settings, &live.connection));
            }
        }
    }

    /// Steam's connection state.
    pub fn state(&self) -> i32 {
        match &self.state {
            State::Opening(_) | State::Pending(_) => 1,
            // Only signals connect us yet: the way is being found.
            State::Connected(live) if live.connection.paths.active().is_signal() => 2,
            State::Connected(_) => 3,
            State::Failed { ending, .. } => ending.state,
            State::Ended => 0,
        }
    }

    /// Does it wait for the app's yes?
    pub fn is_pending(&self) -> bool {
        matches!(self.state, State::Pending(_))
    }

    /// Are we still trying to reach the peer?
    pub fn is_opening(&self) -> bool {
        matches!(self.state, State::Opening(_))
    }

    /// Do messages flow?
    pub fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected(_))
    }

    /// Why it failed.
    pub fn ending(&self) -> Option<&Ending> {
        match &self.state {
            State::Failed { ending, .. } => Some(ending),
            _ => None,
        }
    }

    /// Does the next plain send clear the failure?
    pub fn fails_once(&self) -> bool {
        matches!(self.state, State::Failed { once: true, .. })
    }

    /// The peer's name for the session, while it stands.
    pub fn name_at_peer(&self) -> Option<SessionId> {
        match &self.state {
            State::Connected(live) => Some(live.connection.hello.session),
            _ => None,
        }
    }

    /// The peer's name for the session, while it asks for it.
    pub fn request_name(&self) -> Option<SessionId> {
        match &self.state {
            State::Pending(pending) => Some(pending.newcomer.connection.hello.session),
            _ => None,
        }
    }

    /// The transport's figures.
    pub fn transport(&self) -> Option<&Transport> {
        self.transport.as_deref()
    }

    /// Rates and quality here, quality at the peer (0 to 100), jitter since last asked. A failed session shows
    /// what it was when it failed.
    pub fn measure(&mut self, now: Instant) -> (Measured, Option<u8>, Option<Duration>) {
        let last = self.last(now);
        (last.measured, last.remote_quality, self.meter.take_max_jitter())
    }

    fn last(&mut self, now: Instant) -> Last {
        let remote_quality = match &self.state {
            State::Failed { last, .. } => return *last,
            State::Connected(live) => live.remote_quality,
            _ => None,
        };
        Last { measured: self.meter.measured(now), remote_quality, rtt: self.rtt() }
    }

    /// The round trip of a session that stands, or stood until it failed.
    pub fn rtt(&self) -> Option<Duration> {
        match &self.state {
            State::Connected(_) => self.transport.as_ref().and_then(|t| t.rtt()),
            State::Failed { last, .. } => last.rtt,
            _ => None,
        }
    }

    /// The ids under which datagrams reach it.
    pub fn connection_ids(&self) -> [Option<ConnectionId>; 2] {
        match &self.state {
            State::Opening(opening) => [Some(opening.local()), None],
            State::Pending(pending) => [Some(pending.newcomer.connection.local), None],
            State::Connected(live) => {
                [Some(live.connection.local), live.challenger.as_ref().map(|c| c.newcomer.connection.local)]
            }
            State::Failed { .. } | State::Ended => [None, None],
        }
    }

    /// The token with which the peer ends a session it lost.
    pub fn reset_token(&self) -> Option<[u8; 16]> {
        match &self.state {
            State::Connected(live) => live.connection.hello.reset_token,
            _ => None,
        }
    }

    /// One more wish of the app to have messages carried: queues one whose room is reserved.
    pub fn push(
        &mut self,
        now: Instant,
        channel: Channel,
        reliable: bool,
        no_nagle: bool,
        payload: Box<[u8]>,
        priority: i32,
    ) {
        self.open_channel(channel);
        self.renew(now);
        let connected = self.is_connected();
        let Some(transport) = &mut self.transport else { return };
        let reliable = reliable || (!connected && !self.settings.early_unreliable);
        let wait = if no_nagle { Duration::ZERO } else { self.settings.nagle_time };
        transport.push(channel, reliable, payload, priority, now + wait);
        if no_nagle {
            transport.flush();
        }
    }

    /// Ends the wait of small messages for company.
    pub fn flush(&mut self) {
        if let Some(transport) = &mut self.transport {
            transport.flush();
        }
    }

    /// Changes a channel's priority.
    pub fn set_priority(&mut self, channel: Channel, priority: i32) {
        if let Some(transport) = &mut self.transport {
            transport.set_priority(channel, priority);
        }
    }

    /// Is there room for one more channel to send on?
    pub fn has_room_for(&self, channel: Channel) -> bool {
        self.transport.as_ref().is_none_or(|t| t.has_room_for(channel))
    }

    fn open_channel(&mut self, channel: Channel) {
        if self.last_channel != Some(channel) {
            self.last_channel = Some(channel);
            self.channels.insert(channel);
        }
    }

    /// The app closes a channel. `None`: it was not open. `Some(true)`: it was the last.
    pub fn close_channel(&mut self, channel: Channel) -> Option<bool> {
        self.last_channel = None;
        self.channels.remove(&channel).then_some(self.channels.is_empty())
    }

    /// The app read, or gave up, messages of this session.
    pub fn handle_read(&mut self, now: Instant, channel: Channel, bytes: u64, messages: u64) {
        self.renew(now);
        if messages > 0
            && let Some(transport) = &mut self.transport
        {
            transport.consume(channel, bytes, messages);
        }
    }

    /// The app uses the session: the idle time starts anew.
    pub fn renew(&mut self, now: Instant) {
        if let State::Connected(live) = &mut self.state {
            live.idle.renew(now);
        }
    }

    /// Keys of a new connection are there. An error says why nothing can be carried over it.
    fn begin_connection(&mut self, connection: &Connection, next_number: u64) -> Result<(), String> {
        let room = packet_room(&self.settings, connection);
        if let Some(transport) = &mut self.transport {
            transport.begin_connection(next_number, &connection.hello.windows, room, connection.rtt);
        }
        self.meter.begin_connection();
        let most = connection.hello.windows.max_message as usize;
        self.cell.set_max_message(most as u64);
        match self.transport.as_ref().map_or(0, |t| t.largest_waiting()) {
            largest if largest > most => {
                Err(format!("A queued message of {largest} bytes is larger than the peer takes ({most})"))
            }
            _ => Ok(()),
        }
    }

    fn connect(&mut self, now: Instant, connection: Connection, ctx: &Context<'_>) {
        if let Some(transport) = &mut self.transport {
            transport.open();
        }
        self.state = State::Connected(Box::new(Live::new(now, connection)));
        self.pair_up(now, ctx);
        self.cell.set_open(true);
    }

    /// What the session leaves behind when it ends, for the endpoint to carry on.
    pub fn take_farewells(&mut self) -> Vec<Farewell> {
        std::mem::take(&mut self.farewells)
    }

    /// What the endpoint has to act on, oldest first.
    pub fn take_outcomes(&mut self) -> Vec<Outcome> {
        std::mem::take(&mut self.outcomes)
    }

    /// Takes a data packet routed to this session.
    ///
    /// # Errors
    /// Why it was dropped.
    pub fn handle_data(
        &mut self,
        now: Instant,
        from: Route,
        header: &DataHeader,
        datagram: &mut [u8],
        ctx: &mut Context<'_>,
    ) -> Result<(), Dropped> {
        match &mut self.state {
            State::Opening(_) => self.handle_first_data(now, from, header, datagram, ctx),
            State::Pending(pending) => {
                if pending.newcomer.handle_data(now, header, datagram)? == newcomer::Word::Cancelled {
                    self.say_farewell(now, None);
                    self.end_request("It gave up");
                }
                Ok(())
            }
            State::Connected(_) => self.handle_live_data(now, from, header, datagram, ctx),
            State::Failed { .. } | State::Ended => Err(Dropped::UnknownConnection),
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant, ctx: &mut Context<'_>) {
        if let Some(transport) = &mut self.transport {
            transport.handle_timeout(now, ctx.drops);
        }
        match &self.state {
            State::Opening(_) => self.handle_opening_timeout(now, ctx),
            State::Pending(_) => self.handle_pending_timeout(now),
            State::Connected(_) => self.handle_live_timeout(now),
            State::Failed { at, ending, .. } => {
                if *at + self.settings.session_idle_timeout <= now {
                    self.outcomes.push(Outcome::Ended(ending.clone()));
                    self.state = State::Ended;
                }
            }
            State::Ended => {}
        }
    }

    /// Tells sending threads how fast messages leave, and whether they may take the lane.
    pub fn publish(&self) {
        if let Some(transport) = &self.transport {
            self.cell.set_rate(transport.rate());
            if transport.is_crowded() {
                self.cell.set_open(false); // the lane cannot tell when there is room for one more channel
            }
        }
    }

    /// Writes the next datagrams.
    pub fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBuf, ctx: &mut Context<'_>) -> Option<Parcel> {
        let route = match &mut self.state {
            State::Opening(_) => self.poll_opening(now, &mut out.bytes, ctx)?,
            State::Pending(pending) => pending.newcomer.poll_transmit(&mut out.bytes)?,
            State::Connected(_) => return self.poll_live(now, out, ctx),
            State::Failed { .. } | State::Ended => return None,
        };
        self.meter.count_out(now, out.bytes.len());
        Some(Parcel { route, segment_size: out.bytes.len() })
    }

    /// When [`Session::handle_timeout`] or [`Session::poll_transmit`] has something to do.
    pub fn poll_timeout(&self, now: Instant) -> Option<Deadline> {
        match &self.state {
            State::Opening(opening) => Some(opening.poll_timeout(now)),
            State::Pending(pending) => Some(pending.poll_timeout(now)),
            State::Connected(live) => {
                let own = live.poll_timeout(now, &self.settings);
                let mut transport = self.transport.as_ref().and_then(|t| t.poll_timeout(now));
                if let (Some(deadline), Some(until)) = (&mut transport, live.connection.paths.held_until(now)) {
                    deadline.at = deadline.at.max(until);
                }
                let overdue = self.transport.as_ref().and_then(|t| t.overdue_at());
                let overdue =
                    overdue.filter(|_| live.connection.paths.may_doubt()).map(|at| Deadline::new(at, Why::Path));
                Deadline::earlier(Deadline::earlier(Some(own), transport), overdue)
            }
            State::Failed { at, .. } => Some(Deadline::new(*at + self.settings.session_idle_timeout, Why::Session)),
            State::Ended => None,
        }
    }

    /// Forgets the transport's remaining messages for good, but lets it deliver until then (CLOSE_FLUSH).
    pub fn holds_reliable(&self) -> bool {
        self.transport.as_ref().is_some_and(|t| t.holds_reliable())
    }

    /// For people: how far it has come.
    pub fn phase(&self) -> &'static str {
        match &self.state {
            State::Opening(opening) => opening.phase_name(),
            State::Pending(_) => "pending",
            State::Connected(_) => "connected",
            State::Failed { .. } => "failed",
            State::Ended => "ended",
        }
    }
}

/// What one of our packets holds, bytes of frames.
fn packet_room(settings: &Settings, connection: &Connection) -> usize {
    let configured = if settings.mtu_packet_size == 0 { DATAGRAM_SIZE } else { settings.mtu_packet_size };
    let size = configured.min(DATAGRAM_SIZE).min(connection.hello.max_datagram);
    usize::from(size) - MAX_DATA_HEADER - TAG_SIZE
}
