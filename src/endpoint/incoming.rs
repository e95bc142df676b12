//! Datagrams: which session each belongs to, and what goes out.
//!
//! A datagram nobody knows what to do with is counted by reason and forgotten.

use super::agenda::Task;
use super::{Endpoint, MAX_REPLIES};
use crate::drops::Dropped;
use crate::ids::ConnectionId;
use crate::machine::{Datagram, Transmit, TransmitBuf};
use crate::path::reach::Policy;
use crate::path::route::{Parcel, Route};
use crate::time::Instant;
use crate::wire::packet::{DataHeader, Packet, Protocol, Reset};
use std::net::SocketAddr;

/// A stray packet shorter than this gets no reset: the answer must be smaller than the question. A bare PING
/// is longer.
const LEAST_STRAY: usize = 22;

impl Endpoint {
    /// Lets in what the injected faults held back and is due now.
    pub(super) fn handle_delayed(&mut self, now: Instant) {
        while let Some((remote, mut bytes)) = self.fault_recv.as_mut().and_then(|link| link.poll(now)) {
            self.handle_arrived(now, Datagram { remote, bytes: &mut bytes });
            if let Some(link) = &mut self.fault_recv {
                link.recycle(bytes);
            }
        }
    }

    pub(super) fn handle_arrived(&mut self, now: Instant, datagram: Datagram<'_>) {
        let Datagram { remote, bytes } = datagram;
        let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
        match Protocol::of(bytes) {
            Ok(Protocol::Stun | Protocol::ChannelData) => self.handle_from_relay(now, remote, bytes),
            _ => self.handle_routed(now, Route::Direct(remote), bytes),
        }
    }

    /// Takes a datagram of ours, however it came.
    pub(super) fn handle_routed(&mut self, now: Instant, from: Route, bytes: &mut [u8]) {
        let result = match Protocol::of(bytes) {
            Ok(Protocol::Data) => self.handle_data(now, from, bytes),
            Ok(Protocol::Control) => self.handle_control(now, from, bytes),
            Ok(Protocol::Stun | Protocol::ChannelData) => Err(Dropped::UnknownProtocol),
            Err(why) => Err(why),
        };
        if let Err(why) = result {
            self.drops.add(why);
        }
    }

    fn handle_data(&mut self, now: Instant, from: Route, bytes: &mut [u8]) -> Result<(), Dropped> {
        let header = DataHeader::decode(bytes)?;
        if let Some(slot) = self.routes.get(&header.destination).copied() {
            if self.session(slot).is_some_and(|session| !session.policy().admits(from)) {
                return Err(Dropped::Refused);
            }
            let handled = self.with_context(now, slot, |s, ctx| s.handle_data(now, from, &header, bytes, ctx));
            return handled.unwrap_or(Err(Dropped::UnknownConnection));
        }
        if let Some(farewell) = self.farewells.get_mut(&header.destination) {
            farewell.handle_data(now, &header, bytes)?;
            self.touch_farewell(now, header.destination);
            return Ok(());
        }
        if !self.strangers.knows(header.destination) && bytes.len() >= LEAST_STRAY && self.reset_budget.take(now) {
            self.answer_stray(from, header.destination);
        }
        Err(Dropped::UnknownConnection)
    }

    /// A connection we lost, or never had: only who was told the token in its handshake believes this.
    fn answer_stray(&mut self, from: Route, connection: ConnectionId) {
        let mut reply = Vec::with_capacity(32);
        Reset { connection, token: self.local.reset_key.token(connection) }.encode(&mut reply);
        self.push_reply(from, reply);
    }

    fn push_reply(&mut self, to: Route, reply: Vec<u8>) {
        if !reply.is_empty() && self.replies.len() < MAX_REPLIES {
            self.replies.push_back((to, reply));
        }
    }

    fn handle_control(&mut self, now: Instant, from: Route, bytes: &mut [u8]) -> Result<(), Dropped> {
        if !Policy(self.config.settings.transports).admits(from) {
            return Err(Dropped::Refused);
        }
        let (destination, rest_start) = match Packet::decode(bytes)? {
            // What we say of where we can be reached must be known first; the peer asks again.
            Packet::Init { .. } | Packet::Response(_) if from.is_signal() && self.is_gathering() => {
                return Err(Dropped::Gathering);
            }
            Packet::Init { init, covered, check } => {
                let id = self.fresh_id();
                let settings = match from {
                    Route::Signal(peer) => self.settings_for(peer),
                    _ => self.config.settings,
                };
                let mut reply = Vec::new();
                let Endpoint { strangers, local, random, .. } = self;
                let taken =
                    strangers.handle_init(now, from, &init, covered, &check, id, local, &settings, random, &mut reply);
                self.push_reply(from, reply);
                return taken;
            }
            Packet::Finish(finish) => {
                let rest_start = finish.rest_start();
                let destination = finish.destination;
                if self.strangers.knows(destination) {
                    let caller = self.strangers.handle_finish(now, from, &finish, &mut self.local)?;
                    self.handle_newcomer(now, caller)?;
                } else if let Some(farewell) = self.farewells.get_mut(&destination) {
                    farewell.handle_repeat(now);
                    self.touch_farewell(now, destination);
                    return Ok(());
                } else {
                    let slot = self.routes.get(&destination).copied().ok_or(Dropped::UnknownConnection)?;
                    let repeated = self.with_context(now, slot, |s, _| s.handle_repeated_finish(now, destination));
                    repeated.unwrap_or(Err(Dropped::UnknownConnection))?;
                }
                (destination, rest_start)
            }
            Packet::Response(response) => {
                let slot = self.routes.get(&response.destination).copied().ok_or(Dropped::UnknownConnection)?;
                let handled = self.with_context(now, slot, |s, ctx| s.handle_response(now, from, &response, ctx));
                return handled.unwrap_or(Err(Dropped::UnknownConnection));
            }
            Packet::Cookie(cookie) => {
                let slot = self.routes.get(&cookie.destination).copied().ok_or(Dropped::UnknownConnection)?;
                let handled = self.with_context(now, slot, |s, _| s.handle_cookie(&cookie, from));
                return handled.unwrap_or(Err(Dropped::UnknownConnection));
            }
            Packet::Hint(hint) => {
                let slot = self.routes.get(&hint.destination).copied().ok_or(Dropped::UnknownConnection)?;
                let handled = self.with_context(now, slot, |s, _| s.handle_hint(&hint));
                return handled.unwrap_or(Err(Dropped::UnknownConnection));
            }
            Packet::Reset(reset) => {
                let slot = self.resets.get(&reset.token).copied().ok_or(Dropped::UnknownConnection)?;
                self.with_context(now, slot, |s, _| s.handle_reset(now));
                return Ok(());
            }
            Packet::Punch => return Err(Dropped::Stale),
        };
        // The first data may ride behind the last handshake message.
        let rest = &mut bytes[rest_start..];
        if rest.is_empty() {
            return Ok(());
        }
        let header = DataHeader::decode(rest)?;
        let slot = self.routes.get(&destination).copied().filter(|_| header.destination == destination);
        let slot = slot.ok_or(Dropped::UnknownConnection)?;
        let handled = self.with_context(now, slot, |s, ctx| s.handle_data(now, from, &header, rest, ctx));
        handled.unwrap_or(Err(Dropped::UnknownConnection))
    }

    /// The next datagrams, before any injected fault.
    pub(super) fn poll_clean(&mut self, now: Instant, out: &mut TransmitBuf) -> Option<Transmit> {
        while let Some(Parcel { route, segment_size }) = self.poll_parcel(now, out) {
            match route {
                Route::Direct(remote) => return Some(Transmit { remote, segment_size }),
                Route::Signal(peer) => {
                    if let Err(why) = self.signals.push(peer, &out.bytes) {
                        self.drops.add(why);
                    }
                }
                Route::Relay(relay, peer) => {
                    let transmit = self.send_by_relay(now, relay, peer, segment_size, out);
                    if transmit.is_some() {
                        return transmit;
                    }
                }
            }
        }
        self.poll_relays(now, out)
    }

    /// The next datagrams that are ours, and their way.
    fn poll_parcel(&mut self, now: Instant, out: &mut TransmitBuf) -> Option<Parcel> {
        out.bytes.clear();
        if let Some((route, reply)) = self.replies.pop_front() {
            out.bytes.extend_from_slice(&reply);
            return Some(Parcel { route, segment_size: reply.len() });
        }
        while let Some(task) = self.agenda.take_ready() {
            match task {
                Task::Session(slot) => {
                    let sent = self.poll_session(now, slot, out);
                    if sent.is_some() {
                        return sent;
                    }
                }
                Task::Farewell(id) => {
                    let route = self.farewells.get_mut(&id).and_then(|f| f.poll_transmit(now, &mut out.bytes));
                    if let Some(route) = route {
                        self.agenda.push_ready(task);
                        return Some(Parcel { route, segment_size: out.bytes.len() });
                    }
                    out.bytes.clear();
                    if let Some(farewell) = self.farewells.get(&id) {
                        let at = farewell.poll_timeout();
                        let deadline = crate::time::Deadline::new(at, crate::time::Why::Session);
                        self.agenda.schedule(task, Some(deadline));
                    }
                }
            }
        }
        None
    }

    fn poll_session(&mut self, now: Instant, slot: usize, out: &mut TransmitBuf) -> Option<Parcel> {
        let Endpoint { slots, local, random, drops, deliveries, agenda, .. } = self;
        let entry = slots.get_mut(slot)?.as_mut()?;
        let mut ctx = crate::session::Context { local, random, drops, deliveries };
        let parcel = entry.session.poll_transmit(now, out, &mut ctx);
        if parcel.is_some() {
            agenda.push_ready(Task::Session(slot));
        } else {
            out.bytes.clear();
            agenda.schedule(Task::Session(slot), entry.session.poll_timeout(now));
        }
        parcel
    }
}
