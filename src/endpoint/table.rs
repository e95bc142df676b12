//! Sessions come and go: slots, routes, and what a session's outcome means for its endpoint.

use super::agenda::Task;
use super::events::Event;
use super::mailbox::{Limits, Origin, SessionKey};
use super::strangers::Caller;
use super::{Endpoint, lanes};
use crate::drops::Dropped;
use crate::ids::{Channel, ConnectionId, SessionId, SteamId};
use crate::path::route::Route;
use crate::session::cause::Cause;
use crate::session::farewell::Farewell;
use crate::session::newcomer::Newcomer;
use crate::session::trust::Refusal;
use crate::session::{Context, Ending, Outcome, Session, reason};
use crate::settings::Settings;
use crate::time::{Deadline, Instant, Why};
use crate::transport::cell::PeerCell;
use std::sync::Arc;

/// Closed connections that still say so; the one that has said so for longest makes room.
const MAX_FAREWELLS: usize = 1_024;

/// A session and what the endpoint notes of it.
pub(super) struct Slot {
    pub(super) session: Session,
    pub(super) key: SessionKey,
    routed: [Option<ConnectionId>; 2],
    reset: Option<[u8; 16]>,
    /// Closed by the app, still delivering until then (CLOSE_FLUSH).
    pub(super) flushing_until: Option<Instant>,
    held_back: bool,
    /// It stood, and its name is remembered.
    stood: bool,
    /// Our own handshake carries it, and we wait for what comes of that.
    asking: bool,
    /// Whom we have let in at our places on relays for it.
    permitted: Box<[u8]>,
}

impl Endpoint {
    pub(super) fn session(&self, slot: usize) -> Option<&Session> {
        self.slots.get(slot).and_then(Option::as_ref).map(|s| &s.session)
    }

    pub(super) fn session_mut(&mut self, slot: usize) -> Option<&mut Session> {
        self.slots.get_mut(slot).and_then(Option::as_mut).map(|s| &mut s.session)
    }

    /// Lets a session work with what it needs of the endpoint, delivers what came of it, and notes the rest.
    pub(super) fn with_context<R>(
        &mut self,
        now: Instant,
        slot: usize,
        work: impl FnOnce(&mut Session, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let mut deliveries = std::mem::take(&mut self.deliveries);
        let Endpoint { slots, local, random, drops, mailbox, .. } = self;
        let entry = slots.get_mut(slot)?.as_mut()?;
        let mut ctx = Context { local, random, drops, deliveries: &mut deliveries };
        let result = work(&mut entry.session, &mut ctx);
        if !deliveries.is_empty() {
            if entry.flushing_until.is_none() {
                let settings = entry.session.settings();
                let origin = Origin {
                    session: entry.key,
                    peer: entry.session.peer(),
                    user_data: settings.user_data,
                    limits: Limits {
                        bytes: settings.recv_buffer_size.into(),
                        messages: settings.recv_buffer_messages.into(),
                    },
                };
                for _ in 0..mailbox.deliver(now, &origin, deliveries.drain(..)) {
                    drops.add(Dropped::UnreliableOverflow);
                }
            }
            deliveries.clear();
        }
        self.deliveries = deliveries;
        self.touch(now, slot);
        Some(result)
    }

    /// A connection id nobody uses.
    pub(super) fn fresh_id(&mut self) -> ConnectionId {
        loop {
            let id = ConnectionId(self.random.next_u32());
            let used = self.routes.contains_key(&id) || self.farewells.contains_key(&id) || self.strangers.knows(id);
            if !used {
                return id;
            }
        }
    }

    fn insert(&mut self, session: Session) -> usize {
        let peer = session.peer();
        self.next_key += 1;
        let key = SessionKey(self.next_key);
        self.peers.insert(peer, session.cell().clone());
        let asking = session.is_opening();
        let slot = Slot {
            session,
            key,
            routed: [None; 2],
            reset: None,
            flushing_until: None,
            held_back: false,
            stood: false,
            asking,
            permitted: Box::default(),
        };
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index] = Some(slot);
                index
            }
            None => {
                self.slots.push(Some(slot));
                self.slots.len() - 1
            }
        };
        self.by_peer.insert(peer, index);
        self.by_key.insert(key, index);
        index
    }

    /// Takes a session out of every table. What it left to say is kept by [`Endpoint::carry_on_farewell`].
    pub(super) fn remove(&mut self, slot: usize) {
        let Some(gone) = self.slots.get_mut(slot).and_then(Option::take) else {
            return;
        };
        let peer = gone.session.peer();
        gone.session.cell().set_open(false);
        if self.by_peer.get(&peer) == Some(&slot) {
            self.by_peer.remove(&peer);
            self.peers.remove(peer);
        }
        self.by_key.remove(&gone.key);
        for id in gone.routed.into_iter().flatten() {
            self.routes.remove(&id);
        }
        if let Some(token) = gone.reset {
            self.resets.remove(&token);
        }
        for _ in 0..self.mailbox.forget_session(gone.key) {
            self.drops.add(Dropped::SessionGone);
        }
        self.agenda.forget(Task::Session(slot));
        self.free.push(slot);
    }

    /// Begins a session with `peer`.
    pub(super) fn open_session(&mut self, now: Instant, peer: SteamId, settings: Settings) -> usize {
        self.end_flushing(now, peer);
        let id = SessionId(self.random.next_u64());
        let connection = self.fresh_id();
        let cell = Arc::new(PeerCell::default());
        let ended = self.opened.last(peer);
        let Endpoint { local, random, drops, deliveries, .. } = self;
        let mut ctx = Context { local, random, drops, deliveries };
        let session = Session::open(now, peer, id, connection, ended, settings, cell, &mut ctx);
        let slot = self.insert(session);
        self.dial_known_addresses(now, slot);
        self.touch(now, slot);
        slot
    }

    /// Gives an opening session the addresses it may try. Fails it when there are some and none is allowed.
    pub(super) fn dial_known_addresses(&mut self, now: Instant, slot: usize) {
        let Endpoint { slots, book, local, signals, .. } = self;
        let Some(session) = slots.get_mut(slot).and_then(Option::as_mut).map(|s| &mut s.session) else {
            return;
        };
        let (peer, policy, settings) = (session.peer(), session.policy(), *session.settings());
        let addresses = book.get(&peer).into_iter().flatten().map(|address| Route::Direct(*address));
        let known: Vec<Route> = addresses
            .filter(|route| policy.admits(*route))
            .chain(signals.is_online().then_some(Route::Signal(peer)))
            .collect();
        let mut allowed = known.iter().filter(|route| local.trust.may_dial(&settings, **route)).peekable();
        // Whom to trust may yet be learned where signals are carried.
        if allowed.peek().is_none() && !known.is_empty() && !signals.is_awaited() {
            session.fail(now, Cause::AuthRequiredHere, NOT_ADMITTED);
            return;
        }
        allowed.for_each(|route| session.add_route(*route));
    }

    /// Somebody's handshake is complete, and the identity is one we may talk to.
    pub(super) fn handle_newcomer(&mut self, now: Instant, caller: Caller) -> Result<(), Dropped> {
        let Caller { newcomer, refusal, ended } = caller;
        let peer = newcomer.connection.hello.steam_id;
        let id = newcomer.connection.local;
        let from = newcomer.connection.paths.active();
        if matches!(from, Route::Signal(carried) if carried != peer) {
            self.strangers.remove(id);
            return Err(Dropped::BadHandshake);
        }
        let settings = self.settings_for(peer);
        let standing = newcomer.connection.hello.standing;
        let admitted = self.local.trust.admits(&settings, standing, from);
        let refusal = refusal.or(self.local.trust.has_revoked(standing));
        if let Some(refusal) = refusal.or((!admitted).then_some(Refusal::Missing)) {
            return self.turn_away(now, newcomer, refusal.reason(), &format!("The peer refuses us: {refusal}"));
        }
        let slot = self.by_peer.get(&peer).copied();
        let name = newcomer.connection.hello.session;
        let stands = slot.and_then(|slot| self.session(slot)).and_then(Session::name_at_peer) == Some(name);
        if let Some(reason) = self.opened.reason(peer, name).filter(|_| !stands) {
            return self.turn_away(now, newcomer, reason, OVER);
        }
        if self.overtaken.covers(peer, newcomer.asked_at) {
            // It gave way to ours. Should the peer not know that, it starts over.
            self.strangers.remove(id);
            return Err(Dropped::Stale);
        }
        let Some(slot) = slot else {
            return self.add_pending(now, peer, newcomer, settings);
        };
        let me = self.local.steam_id;
        let Some(session) = self.session_mut(slot) else {
            return Err(Dropped::Stale);
        };
        // Nobody who merely claims an id disturbs who has proven it.
        if session.best_standing().is_some_and(|present| present > standing) {
            return self.turn_away(now, newcomer, reason::BAD_CERT, OUTRANKED);
        }
        let outranks = session.standing().is_some_and(|present| present < standing);
        if session.is_opening() && ended == Some(session.id()) {
            session.handle_ended(now, OVER);
            self.touch(now, slot);
            return self.replace_failed(now, slot, newcomer, settings);
        }
        if session.is_opening() {
            // Both began at once: the handshake of the smaller steam id carries data.
            if peer < me {
                self.strangers.remove(id);
                self.with_context(now, slot, |session, ctx| session.adopt(now, newcomer, ctx));
                return Ok(());
            }
            session.learn_route(from);
            self.strangers.remove(id);
            self.touch(now, slot);
            return Err(Dropped::Stale);
        }
        if session.is_connected() {
            // Both began at once and ours won: what is left of the peer's handshake comes late.
            if stands {
                session.handle_asked_again(now, from);
                self.touch(now, slot);
                return Err(Dropped::Stale);
            }
            if session.is_younger_than(newcomer.asked_at) {
                return Err(Dropped::Stale);
            }
            if outranks {
                session.replace(newcomer); // nor is who has proven it kept waiting by who merely claims
            } else {
                session.challenge(now, newcomer);
            }
            self.strangers.remove(id);
            self.touch(now, slot);
            return Ok(());
        }
        if session.is_pending() {
            let newest = session.handle_newer_request(now, newcomer);
            if newest {
                self.strangers.remove(id);
            }
            self.touch(now, slot);
            return if newest { Ok(()) } else { Err(Dropped::Stale) };
        }
        self.replace_failed(now, slot, newcomer, settings)
    }

    /// A new request takes the place of a failed session, if there is room for it.
    fn replace_failed(
        &mut self,
        now: Instant,
        slot: usize,
        newcomer: Box<Newcomer>,
        settings: Settings,
    ) -> Result<(), Dropped> {
        if !self.has_room_for_request() {
            return self.find_no_room(now, newcomer);
        }
        self.remove(slot);
        self.add_pending(now, newcomer.connection.hello.steam_id, newcomer, settings)
    }

    /// Tells a newcomer why it is not let in.
    fn turn_away(&mut self, now: Instant, newcomer: Box<Newcomer>, reason: i32, text: &str) -> Result<(), Dropped> {
        self.strangers.remove(newcomer.connection.local);
        self.add_farewell(now, newcomer.turn_away(now, reason, text));
        Err(Dropped::Refused)
    }

    fn has_room_for_request(&self) -> bool {
        let pending = self.slots.iter().flatten().filter(|s| s.session.is_pending()).count();
        pending < self.config.max_pending_requests as usize
    }

    /// Who is half-open still may find room later, by repeating itself. Who was told to wait is told that it waits
    /// in vain.
    fn find_no_room(&mut self, now: Instant, newcomer: Box<Newcomer>) -> Result<(), Dropped> {
        if self.strangers.knows(newcomer.connection.local) {
            return Err(Dropped::TooManyStrangers);
        }
        self.turn_away(now, newcomer, reason::GENERIC, NO_ROOM)
    }

    fn add_pending(
        &mut self,
        now: Instant,
        peer: SteamId,
        newcomer: Box<Newcomer>,
        settings: Settings,
    ) -> Result<(), Dropped> {
        if !self.has_room_for_request() {
            return self.find_no_room(now, newcomer);
        }
        self.end_flushing(now, peer);
        self.strangers.remove(newcomer.connection.local);
        let id = SessionId(self.random.next_u64());
        let session = Session::pending(now, peer, id, newcomer, settings, Arc::new(PeerCell::default()));
        let slot = self.insert(session);
        self.touch(now, slot);
        Ok(())
    }

    /// Ends what a closed session with `peer` is still delivering: a new one begins.
    fn end_flushing(&mut self, now: Instant, peer: SteamId) {
        let flushing = |s: &Slot| s.flushing_until.is_some() && s.session.peer() == peer;
        let old = self.slots.iter().position(|s| s.as_ref().is_some_and(flushing));
        if let Some(slot) = old {
            self.end_slot(now, slot);
        }
    }

    /// The app closes a session.
    pub(super) fn close_slot(&mut self, now: Instant, slot: usize) {
        let Some(entry) = self.slots.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        let flush = entry.session.settings().close_flush;
        if !flush.is_zero() && entry.session.is_connected() && entry.session.holds_reliable() {
            let peer = entry.session.peer();
            entry.flushing_until = Some(now + flush);
            entry.session.flush();
            entry.session.cell().set_open(false);
            self.by_peer.remove(&peer);
            self.peers.remove(peer);
            self.touch(now, slot);
            return;
        }
        self.end_slot(now, slot);
    }

    fn end_slot(&mut self, now: Instant, slot: usize) {
        self.note_asked(now, slot);
        if let Some(session) = self.session_mut(slot) {
            let peer = session.peer();
            let turned_down = session.request_name();
            let closed = ending_by(Cause::ClosedHere, 0, "");
            let ending = session.ending().cloned().unwrap_or(closed);
            session.close(now, reason::CLOSED, "CloseSessionWithUser");
            self.past.note(now, peer, ending);
            if let Some(name) = turned_down {
                self.opened.note(peer, name, reason::CLOSED);
            }
        }
        self.carry_on_farewell(now, slot);
        self.remove(slot);
    }

    /// Our handshake came to something, or to nothing: what the peer began before that has given way to it, if its
    /// steam id is the larger.
    fn note_asked(&mut self, now: Instant, slot: usize) {
        let Some(entry) = self.slots.get_mut(slot).and_then(Option::as_mut) else { return };
        let peer = entry.session.peer();
        if std::mem::take(&mut entry.asking) && peer > self.local.steam_id {
            self.overtaken.note(now, peer);
        }
    }

    /// Takes over what an ended session still has to tell its peer.
    pub(super) fn carry_on_farewell(&mut self, now: Instant, slot: usize) {
        let farewells = self.session_mut(slot).map(Session::take_farewells).unwrap_or_default();
        farewells.into_iter().for_each(|farewell| self.add_farewell(now, farewell));
    }

    fn add_farewell(&mut self, now: Instant, farewell: Farewell) {
        if self.farewells.len() >= MAX_FAREWELLS
            && let Some(id) = self.farewells.iter().min_by_key(|(_, f)| f.ends_at()).map(|(id, _)| *id)
        {
            self.remove_farewell(id);
        }
        let id = farewell.local();
        self.routes.remove(&id);
        self.farewells.insert(id, farewell);
        self.touch_farewell(now, id);
    }

    pub(super) fn touch_farewell(&mut self, _now: Instant, id: ConnectionId) {
        if let Some(farewell) = self.farewells.get(&id) {
            self.agenda.push_ready(Task::Farewell(id));
            let deadline = Deadline::new(farewell.poll_timeout(), Why::Session);
            self.agenda.schedule(Task::Farewell(id), Some(deadline));
        }
    }

    fn remove_farewell(&mut self, id: ConnectionId) {
        self.farewells.remove(&id);
        self.agenda.forget(Task::Farewell(id));
    }

    pub(super) fn handle_farewell_timeout(&mut self, now: Instant, id: ConnectionId) {
        match self.farewells.get(&id) {
            Some(farewell) if farewell.is_over(now) => self.remove_farewell(id),
            _ => self.touch_farewell(now, id),
        }
    }

    pub(super) fn handle_session_timeout(&mut self, now: Instant, slot: usize) {
        let flushing = self.slots.get(slot).and_then(Option::as_ref).and_then(|s| s.flushing_until);
        if flushing.is_some_and(|at| at <= now) {
            self.end_slot(now, slot);
            return;
        }
        self.with_context(now, slot, |session, ctx| session.handle_timeout(now, ctx));
    }

    /// Notes what changed about a session: outcomes, routes, deadlines. Call it after every visit.
    pub(super) fn touch(&mut self, now: Instant, slot: usize) {
        self.carry_on_farewell(now, slot);
        let Some(session) = self.session_mut(slot) else { return };
        for outcome in session.take_outcomes() {
            self.handle_outcome(now, slot, outcome);
        }
        if self.session(slot).is_some_and(|session| !session.is_opening()) {
            self.note_asked(now, slot);
        }
        let Some(entry) = self.slots.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        if entry.flushing_until.is_some() && !entry.session.holds_reliable() {
            self.end_slot(now, slot);
            return;
        }
        entry.session.publish();
        let ids = entry.session.connection_ids();
        if ids != entry.routed {
            for id in std::mem::replace(&mut entry.routed, ids).into_iter().flatten() {
                self.routes.remove(&id);
            }
            for id in ids.into_iter().flatten() {
                self.routes.insert(id, slot);
            }
        }
        let token = entry.session.reset_token();
        if token != entry.reset {
            if let Some(old) = std::mem::replace(&mut entry.reset, token) {
                self.resets.remove(&old);
            }
            if let Some(token) = token {
                self.resets.insert(token, slot);
            }
        }
        if let Some(name) = entry.session.name_at_peer().filter(|_| !entry.stood) {
            entry.stood = true;
            self.opened.note(entry.session.peer(), name, reason::NO_CONNECTION);
        }
        if *entry.permitted != *entry.session.candidate_list() && !entry.session.is_pending() {
            entry.permitted = entry.session.candidate_list().into();
            self.permit(now, slot);
        }
        let Some(entry) = self.slots.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        let held_back = entry.session.transport().is_some_and(|t| t.holds_peer_back());
        if held_back != entry.held_back {
            entry.held_back = held_back;
            self.mailbox.set_held_back(entry.key, held_back);
        }
        let mut deadline = entry.session.poll_timeout(now);
        if let Some(at) = entry.flushing_until {
            deadline = Deadline::earlier(deadline, Some(Deadline::new(at, Why::Session)));
        }
        self.agenda.push_ready(Task::Session(slot));
        self.agenda.schedule(Task::Session(slot), deadline);
    }

    fn handle_outcome(&mut self, now: Instant, slot: usize, outcome: Outcome) {
        let Some(entry) = self.slots.get(slot).and_then(Option::as_ref) else {
            return;
        };
        let peer = entry.session.peer();
        let flushing = entry.flushing_until.is_some();
        match outcome {
            Outcome::Requested => self.events.push(Event::SessionRequest { from: peer }, &mut self.drops),
            Outcome::Failed(ending) if flushing => {
                self.past.note(now, peer, ending);
                self.remove(slot);
            }
            Outcome::Failed(ending) => self.tell_failure(peer, ending),
            Outcome::Ended(ending) => {
                self.past.note(now, peer, ending);
                if !flushing {
                    self.events.withdraw_request(peer);
                }
                self.remove(slot);
            }
            Outcome::Reopen(messages) => {
                self.remove(slot);
                if !flushing {
                    self.reopen(now, peer, messages);
                }
            }
            Outcome::Replaced { newcomer, lost_data } => {
                // What the old session had to say may have opened the next one already, in its place.
                if !self.session(slot).is_some_and(Session::is_opening) {
                    self.remove(slot);
                }
                let lost = if lost_data { "; what it had not acknowledged is lost" } else { "" };
                let ending = ending_by(Cause::PeerRestarted, 5, &format!("The peer was restarted{lost}"));
                self.past.note(now, peer, ending.clone());
                if lost_data && !flushing {
                    self.tell_failure(peer, ending);
                }
                let caller = Caller { newcomer, refusal: None, ended: None };
                if let Err(why) = self.handle_newcomer(now, caller) {
                    self.drops.add(why);
                }
            }
        }
    }

    fn tell_failure(&mut self, peer: SteamId, ending: Ending) {
        self.events.withdraw_request(peer);
        let Ending { state, reason, text, .. } = ending;
        self.events.push(Event::SessionFailed { peer, reason, state, text }, &mut self.drops);
    }

    /// The peer ended an idle session while these messages were on their way: they open the next one.
    fn reopen(&mut self, now: Instant, peer: SteamId, messages: Vec<(Channel, Box<[u8]>)>) {
        let settings = self.settings_for(peer);
        let slot = self.open_session(now, peer, settings);
        for (channel, payload) in messages {
            let priority = self.priorities.get(&channel).copied().unwrap_or(0);
            if let Some(session) = self.session_mut(slot) {
                session.cell().force(lanes::charge(payload.len()));
                session.push(now, channel, true, false, payload, priority);
            }
        }
        self.touch(now, slot);
    }
}

fn ending_by(cause: Cause, state: i32, text: &str) -> Ending {
    Ending::new(state, cause.reason(), cause, text)
}

const NOT_ADMITTED: &str = "Without TRUSTED_AUTHORITIES nobody proves who he is, so peers beyond loopback are not looked for: \
     name an authority, or set IP_ALLOW_WITHOUT_AUTH";
const OVER: &str = "The peer has had this session, and it is over there";
const NO_ROOM: &str = "Too many requests wait at the peer";
const OUTRANKED: &str = "The peer refuses us: somebody with a certificate for this user is there already";
