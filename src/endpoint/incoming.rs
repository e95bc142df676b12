//! Datagrams: which session each belongs to, and what goes out.
//!
//! A datagram nobody knows what to do with is counted by reason and forgotten.

use super::agenda::Task;
use super::{Endpoint, MAX_REPLIES};
use crate::drops::Dropped;
use crate::ids::ConnectionId;
use crate::machine::{Datagram, Transmit, TransmitBuf};
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
        let result = match Protocol::of(bytes) {
            Ok(Protocol::Data) => self.handle_data(now, remote, bytes),
            Ok(Protocol::Control) => self.handle_control(now, remote, bytes),
            Ok(Protocol::Stun | Protocol::ChannelData) => Err(Dropped::UnknownProtocol),
            Err(why) => Err(why),
        };
        if let Err(why) = result {
            self.drops.add(why);
        }
    }

    fn handle_data(&mut self, now: Instant, from: SocketAddr, bytes: &mut [u8]) -> Result<(), Dropped> {
        let header = DataHeader::decode(bytes)?;
        if let Some(slot) = self.routes.get(&header.destination).copied() {
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
    fn answer_stray(&mut self, from: SocketAddr, connection: ConnectionId) {
        let mut reply = Vec::with_capacity(32);
        Reset { connection, token: self.local.reset_key.token(connection) }.encode(&mut reply);
        self.push_reply(from, reply);
    }

    fn push_reply(&mut self, to: SocketAddr, reply: Vec<u8>) {
        if !reply.is_empty() && self.replies.len() < MAX_REPLIES {
            self.replies.push_back((to, reply));
        }
    }

    fn handle_control(&mut self, now: Instant, from: SocketAddr, bytes: &mut [u8]) -> Result<(), Dropped> {
        let (destination, rest_start) = match Packet::decode(bytes)? {
            Packet::Init { init, covered, check } => {
                let id = self.fresh_id();
                let mut reply = Vec::new();
                let Endpoint { strangers, local, config, random, .. } = self;
                let taken = strangers.handle_init(
                    now,
                    from,
                    &init,
                    covered,
                    &check,
                    id,
                    local,
                    &config.settings,
                    random,
                    &mut reply,
                );
                self.push_reply(from, reply);
                return taken;
            }
            Packet::Finish(finish) => {
                let rest_start = finish.rest_start();
                let destination = finish.destination;
                if self.strangers.knows(destination) {
                    let (newcomer, refusal) = self.strangers.handle_finish(now, from, &finish, &mut self.local)?;
                    self.handle_newcomer(now, newcomer, refusal)?;
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
        out.bytes.clear();
        if let Some((remote, reply)) = self.replies.pop_front() {
            out.bytes.extend_from_slice(&reply);
            return Some(Transmit { remote, segment_size: reply.len() });
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
                    let remote = self.farewells.get_mut(&id).and_then(|f| f.poll_transmit(now, &mut out.bytes));
                    if let Some(remote) = remote {
                        self.agenda.push_ready(task);
                        return Some(Transmit { remote, segment_size: out.bytes.len() });
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

    fn poll_session(&mut self, now: Instant, slot: usize, out: &mut TransmitBuf) -> Option<Transmit> {
        let Endpoint { slots, local, random, drops, deliveries, agenda, .. } = self;
        let entry = slots.get_mut(slot)?.as_mut()?;
        let mut ctx = crate::session::Context { local, random, drops, deliveries };
        let transmit = entry.session.poll_transmit(now, out, &mut ctx);
        if transmit.is_some() {
            agenda.push_ready(Task::Session(slot));
        } else {
            out.bytes.clear();
            agenda.schedule(Task::Session(slot), entry.session.poll_timeout(now));
        }
        transmit
    }
}
