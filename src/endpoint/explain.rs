//! What the app may ask about a session: state, info, status, and the long explanation.

use super::Endpoint;
use super::relays::{RelayServer, Transport};
use crate::ids::SteamId;
use crate::path::route::Route;
use crate::relay::State;
use crate::session::Session;
use crate::session::cause::Cause;
use crate::session::diagnosis::Diagnosis;
use crate::session::trust::Standing;
use crate::time::Instant;
use serde_json::json;
use std::net::SocketAddr;

/// SNM_INFO_UNAUTHENTICATED
const UNAUTHENTICATED: u32 = 1;
/// SNM_INFO_LOOPBACK
const LOOPBACK: u32 = 4;
/// SNM_INFO_FAST
const FAST: u32 = 8;
/// SNM_INFO_RELAYED
const RELAYED: u32 = 16;

/// What `getSessionConnectionInfo` tells, with the field meanings of the C header.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionInfo {
    /// Steam's connection state, 0 to 5.
    pub state: i32,
    /// The peer, 0 without a session.
    pub identity: u64,
    /// CONNECTION_USER_DATA.
    pub user_data: i64,
    /// Why it ended, 0 while alive.
    pub end_reason: i32,
    /// SNM_INFO_ bits.
    pub info_flags: u32,
    /// Where the peer is, when there is a path.
    pub remote_address: Option<SocketAddr>,
    /// POP codes of the peer's relay and of ours, 0 for none.
    pub pops: (u32, u32),
    /// Text of whoever ended it.
    pub end_debug: String,
    /// For humans.
    pub debug_description: String,
}

/// The measured side of a session, with the field meanings of the C header.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs)]
pub struct SessionStatus {
    pub ping: i32,
    pub local_quality: f32,
    pub remote_quality: f32,
    pub packets_out_per_second: f32,
    pub bytes_out_per_second: f32,
    pub packets_in_per_second: f32,
    pub bytes_in_per_second: f32,
    pub send_rate: i32,
    pub pending_unreliable: i32,
    pub pending_reliable: i32,
    pub send_unacknowledged_reliable: i32,
    /// Microseconds; `u64::MAX` when not connected.
    pub queue_time: u64,
    /// Microseconds, -1 unknown. Reading it resets it.
    pub max_jitter: i32,
}

impl Endpoint {
    /// State, info and status of a session; zeros without one.
    pub fn session_info(&mut self, now: Instant, peer: SteamId) -> (SessionInfo, SessionStatus) {
        if peer == self.config().steam_id {
            return self.loopback_info();
        }
        let Some(slot) = self.by_peer.get(&peer).copied() else {
            return Default::default();
        };
        let Some(session) = self.session_mut(slot) else {
            return Default::default();
        };
        let status = status_of(session, now);
        let route = session.route();
        let (theirs, ours) = session.relays();
        let ending = session.ending().cloned();
        let phase = session.phase();
        let mut flags = if certified(session) { 0 } else { UNAUTHENTICATED };
        if route.and_then(straight).is_some_and(is_near) {
            flags |= FAST;
        }
        let by_relay = session.is_relayed();
        if by_relay {
            flags |= RELAYED;
        }
        let way = match route {
            Some(Route::Signal(_)) => "signals",
            _ if by_relay => "relay",
            _ => "direct",
        };
        let mut info = SessionInfo {
            state: session.state(),
            identity: peer.0,
            user_data: session.settings().user_data,
            end_reason: ending.as_ref().map_or(0, |e| e.reason),
            info_flags: flags,
            // Where a relayed peer is, is the relay's business.
            remote_address: route.filter(|_| !by_relay).and_then(straight),
            pops: (theirs.map_or(0, |place| place.pop), 0),
            end_debug: ending.map(|e| e.text).unwrap_or_default(),
            debug_description: format!("#{:08x} {way} {peer} {phase}", session.id().0 as u32),
        };
        info.pops.1 = ours.map_or(0, |id| self.relay_pop(id));
        (info, status)
    }

    fn loopback_info(&self) -> (SessionInfo, SessionStatus) {
        if self.loopback.is_none() {
            return Default::default();
        }
        let info = SessionInfo {
            state: 3,
            identity: self.config().steam_id.0,
            user_data: self.config().settings.user_data,
            info_flags: LOOPBACK | FAST,
            debug_description: "loopback".to_owned(),
            ..SessionInfo::default()
        };
        let status = SessionStatus {
            ping: 0,
            local_quality: 1.0,
            remote_quality: 1.0,
            send_rate: i32::MAX,
            max_jitter: -1,
            ..SessionStatus::default()
        };
        (info, status)
    }

    /// Why the session is as it is, as JSON.
    pub fn explain(&self, now: Instant, peer: SteamId) -> String {
        let drops: serde_json::Map<String, serde_json::Value> =
            self.drops().iter().map(|(name, count)| (name.to_owned(), count.into())).collect();
        let addresses: Vec<String> = self.book.get(&peer).into_iter().flatten().map(SocketAddr::to_string).collect();
        let mut all = json!({
            "steam_id": peer.0.to_string(),
            "local_steam_id": self.config().steam_id.0.to_string(),
            "known_addresses": addresses,
            "endpoint_dropped": drops,
            "relays": self.relay_states().map(|(server, state)| explain_relay(server, state)).collect::<Vec<_>>(),
        });
        let session = self.by_peer.get(&peer).and_then(|slot| self.session(*slot));
        all["session"] = match session {
            _ if peer == self.config().steam_id && self.loopback.is_some() => {
                json!({ "phase": "loopback", "state": 3 })
            }
            None => serde_json::Value::Null,
            Some(session) => explain_session(session, now),
        };
        let Diagnosis { cause, why, evidence } = self.diagnose(now, peer);
        all["cause"] = cause.word().into();
        all["why"] = why.into();
        all["advice"] = cause.advice().into();
        let evidence = evidence.into_iter().map(|(field, n)| (field.to_owned(), serde_json::Value::from(n)));
        all["evidence"] = serde_json::Value::Object(evidence.collect());
        all["evidence"]["known_addresses"] = addresses.len().into();
        if let Some((ending, at)) = self.past.of(peer) {
            let Diagnosis { cause, why, .. } = ending.diagnose(now, at);
            all["previous"] = json!({ "cause": cause.word(), "why": why, "end_reason": ending.reason });
        }
        all.to_string()
    }

    /// Why the session with `peer` is where it is, or why there is none.
    pub fn diagnose(&self, now: Instant, peer: SteamId) -> Diagnosis {
        let slot = self.by_peer.get(&peer).and_then(|slot| self.slots.get(*slot)).and_then(Option::as_ref);
        let nothing = |cause: Cause| Diagnosis { cause, why: cause.meaning().to_owned(), evidence: Vec::new() };
        match (slot, self.past.of(peer)) {
            _ if peer == self.config().steam_id && self.loopback.is_some() => nothing(Cause::Loopback),
            (Some(slot), _) => slot.session.diagnose(now, Some(self.mailbox.unread_of(slot.key))),
            (None, Some((ending, at))) => ending.diagnose(now, at),
            (None, None) => nothing(Cause::NoSession),
        }
    }
}

fn certified(session: &Session) -> bool {
    session.standing().is_some_and(|standing| standing != Standing::Claimed)
}

fn explain_relay(server: &RelayServer, state: &State) -> serde_json::Value {
    let (state, why) = match state {
        State::Allocating => ("asked", ""),
        State::Allocated { .. } => ("allocated", ""),
        State::Failed { text, .. } => ("failed", text.as_str()),
        State::Closed => ("left", ""),
    };
    let transport = match server.transport {
        Transport::Udp => "udp",
        Transport::Stream => "stream",
    };
    json!({ "name": server.name, "transport": transport, "state": state, "why": why })
}

fn explain_session(session: &Session, now: Instant) -> serde_json::Value {
    let mut all = json!({ "phase": session.phase(), "state": session.state(), "certified": certified(session) });
    if let Some(route) = session.route() {
        let kind = match route {
            Route::Signal(_) => "signals",
            _ if session.is_relayed() => "relayed",
            _ => "direct",
        };
        let (proven, known) = session.ways();
        all["path"] = json!({ "remote": route.to_string(), "kind": kind, "ways": known, "ways_proven": proven });
    }
    if let Some(ending) = session.ending() {
        all["end_reason"] = ending.reason.into();
        all["end_text"] = ending.text.clone().into();
    }
    if let Some(transport) = session.transport() {
        let (reliable, unreliable, unacknowledged) = transport.pending();
        all["transport"] = json!({
            "rtt_us": transport.rtt().map(|rtt| rtt.as_micros() as u64),
            "send_rate": transport.rate(),
            "lost_packets": transport.lost_packets(),
            "pending_reliable": reliable,
            "pending_unreliable": unreliable,
            "unacknowledged_reliable": unacknowledged,
        });
    }
    let next = session.poll_timeout(now);
    if let Some(deadline) = next {
        all["next"] = json!({
            "in_us": deadline.at.saturating_since(now).as_micros() as u64,
            "why": format!("{:?}", deadline.why),
        });
    }
    all
}

fn status_of(session: &mut Session, now: Instant) -> SessionStatus {
    let (measured, remote_quality, jitter) = session.measure(now);
    let connected = session.is_connected();
    let mut status = SessionStatus {
        ping: session.rtt().map_or(-1, |rtt| clamped((rtt.as_micros() as u64 + 500) / 1_000)),
        local_quality: measured.quality,
        remote_quality: remote_quality.map_or(-1.0, |percent| f32::from(percent) / 100.0),
        packets_out_per_second: measured.packets_out,
        bytes_out_per_second: measured.bytes_out,
        packets_in_per_second: measured.packets_in,
        bytes_in_per_second: measured.bytes_in,
        queue_time: u64::MAX,
        max_jitter: jitter.map_or(-1, |j| clamped(j.as_micros() as u64)),
        ..SessionStatus::default()
    };
    if let Some(transport) = session.transport() {
        let (reliable, unreliable, unacknowledged) = transport.pending();
        status.send_rate = clamped(transport.rate());
        status.pending_reliable = clamped(reliable);
        status.pending_unreliable = clamped(unreliable);
        status.send_unacknowledged_reliable = clamped(unacknowledged);
        if connected {
            status.queue_time = transport.queue_delay().as_micros() as u64;
        }
    }
    status
}

fn clamped(value: u64) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// The address at the other end of a route without a relay of ours.
fn straight(route: Route) -> Option<SocketAddr> {
    match route {
        Route::Direct(address) => Some(address),
        Route::Relay(..) | Route::Signal(_) => None,
    }
}

/// On this machine or the local network.
fn is_near(address: SocketAddr) -> bool {
    match address.ip().to_canonical() {
        std::net::IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        std::net::IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}
