//! The ways between a session and its peer: which may be taken, which are, and what is known of them.

use super::cause::Cause;
use super::{Context, Session, State};
use crate::ids::RelayId;
use crate::path::reach::Policy;
use crate::path::route::Route;
use crate::time::Instant;
use crate::wire::candidate::{self, Candidate};
use std::net::SocketAddr;

impl Session {
    /// How the peer is reached, or was.
    pub fn route(&self) -> Option<Route> {
        match &self.state {
            State::Connected(live) => Some(live.connection.paths.active()),
            State::Failed { route, .. } => *route,
            _ => None,
        }
    }

    /// Does a relay lie between us, ours or the peer's?
    pub fn is_relayed(&self) -> bool {
        match &self.state {
            State::Connected(live) => live.connection.is_relayed(),
            State::Failed { route, .. } => matches!(route, Some(Route::Relay(..))),
            _ => false,
        }
    }

    /// The place on a relay of the peer's and of ours that the way leads over, if it does.
    pub fn relays(&self) -> (Option<Candidate>, Option<RelayId>) {
        let State::Connected(live) = &self.state else { return (None, None) };
        let ours = match live.connection.paths.active() {
            Route::Relay(id, _) => Some(id),
            _ => None,
        };
        (live.connection.peer_relay(), ours)
    }

    /// How many ways to the peer are proven, and how many known.
    pub fn ways(&self) -> (usize, usize) {
        match &self.state {
            State::Connected(live) => live.connection.paths.counts(),
            _ => (0, 0),
        }
    }

    /// What the peer says of where it may be reached.
    pub fn candidates(&self) -> Vec<Candidate> {
        candidate::decode(self.candidate_list()).unwrap_or_default()
    }

    /// The same as it came.
    pub fn candidate_list(&self) -> &[u8] {
        match &self.state {
            State::Connected(live) => &live.connection.hello.candidates,
            State::Pending(pending) => &pending.newcomer.connection.hello.candidates,
            State::Opening(opening) => opening.candidates(),
            _ => &[],
        }
    }

    /// Which ways it may take.
    pub fn policy(&self) -> Policy {
        Policy(self.settings.transports)
    }

    /// Somebody carries signals again, or nobody any more.
    pub fn handle_carrier(&mut self, online: bool, awaited: bool) {
        if let State::Opening(opening) = &mut self.state {
            opening.handle_carrier(online, awaited);
        }
    }

    /// Who carries signals says that the peer is not there. Believed while nothing came back, and no address is
    /// known that might know better.
    pub fn handle_offline(&mut self, now: Instant) {
        if let State::Opening(opening) = &self.state
            && opening.may_be_offline()
        {
            let text = format!("The signaling server says that {} is not online", self.peer);
            self.fail(now, Cause::PeerOffline, text);
        }
    }

    /// One more place to look for the peer, while we look.
    pub fn add_route(&mut self, route: Route) {
        if let State::Opening(opening) = &mut self.state {
            opening.add_route(route);
        }
    }

    /// Interfaces changed: the path is proven anew, and so is every other address known for the peer.
    pub fn handle_network_change(&mut self, now: Instant, known: &[SocketAddr]) {
        match &mut self.state {
            State::Connected(live) => {
                let active = live.connection.paths.active();
                for route in std::iter::once(active).chain(known.iter().map(|address| Route::Direct(*address))) {
                    live.connection.paths.learn(now, route);
                }
                if let Some(transport) = &mut self.transport {
                    transport.ping();
                }
            }
            State::Opening(opening) => opening.repeat(),
            _ => {}
        }
    }

    /// Has no way been found for so long that there is none?
    pub(super) fn lacks_path(&self, now: Instant) -> bool {
        let State::Connected(live) = &self.state else { return false };
        live.no_path_at(&self.settings).is_some_and(|at| at <= now)
    }

    /// Our places have changed: the ways are found anew, and the peer is told.
    pub fn handle_reach_change(&mut self, now: Instant, ctx: &Context<'_>) {
        self.pair_up(now, ctx);
        if let State::Connected(live) = &mut self.state {
            live.connection.paths.tell(now, ctx.local.reach.revision);
        }
    }

    /// Our places or the peer's have changed: the ways between them are found anew.
    pub(super) fn pair_up(&mut self, now: Instant, ctx: &Context<'_>) {
        let policy = self.policy();
        if let (State::Connected(live), Some(transport)) = (&mut self.state, &mut self.transport)
            && let Some(moved) = live.connection.pair_up(now, &ctx.local.reach, policy)
        {
            live.signals_since = now;
            transport.handle_path_change(moved.rtt, false);
        }
    }

    /// The peer begins the handshake of this session anew: it has not heard us, and may be somewhere else now.
    pub fn handle_asked_again(&mut self, now: Instant, from: Route) {
        self.note_path(now, from, true);
    }

    /// The peer may be somewhere else now.
    pub(super) fn note_path(&mut self, now: Instant, from: Route, newest: bool) {
        if let State::Connected(live) = &mut self.state {
            live.connection.paths.handle_packet(now, from, newest);
        }
    }
}
