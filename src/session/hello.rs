//! What each side of a handshake says of itself, and whether to believe it.

use super::local::Local;
use super::trust::{Refusal, Standing};
use crate::crypto::identity::verify_binding;
use crate::ids::{ConnectionId, SessionId, SteamId};
use crate::path::reach::Policy;
use crate::settings::Settings;
use crate::time::Instant;
use crate::transport::{MAX_ACK_DELAY, Windows};
use crate::wire::identity::IdentityPayload;
use crate::wire::packet::INIT_SIZE;
use crate::wire::params::Params;

/// UDP payload of our datagrams, bytes: what every path of the internet carries.
pub const DATAGRAM_SIZE: u16 = INIT_SIZE as u16;

/// A peer's own words, checked.
#[derive(Clone, Debug)]
pub struct PeerHello {
    /// Who it is.
    pub steam_id: SteamId,
    /// How far that is proven.
    pub standing: Standing,
    /// Its name for the session.
    pub session: SessionId,
    /// What it lets us start.
    pub windows: Windows,
    /// Its idle time-out, for explanations.
    pub idle_timeout_ms: u32,
    /// The ciphers it has in hardware.
    pub aead: u8,
    /// The largest datagram it takes.
    pub max_datagram: u16,
    /// With this it ends sessions it lost.
    pub reset_token: Option<[u8; 16]>,
    /// Where it may be reached: a list as of [`crate::wire::candidate`], checked.
    pub candidates: Box<[u8]>,
}

/// A hello that was read.
pub struct Heard {
    /// What it says.
    pub hello: PeerHello,
    /// Why its papers are refused, if they are.
    pub refusal: Option<Refusal>,
    /// Our name of the last session that we began there and that is over there.
    pub ended: Option<SessionId>,
}

/// Whose hello it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// In message 3, of whoever began.
    Initiator,
    /// In message 2, of whoever answers.
    Responder,
}

/// Nobody in particular: whom a responder addresses.
pub const ANYONE: SteamId = SteamId(0);

/// Why a hello is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disbelief {
    /// Not what the protocol says it is.
    Malformed,
    /// It means to talk to somebody else.
    NotForUs,
}

/// Writes our hello for a handshake. `windows` is what we grant, `ended` the peer's name of its last session here
/// that is over.
#[allow(clippy::too_many_arguments)] // each is one thing to say
pub fn write(
    local: &Local,
    session: SessionId,
    intended: SteamId,
    windows: &Windows,
    settings: &Settings,
    connection: ConnectionId,
    ended: Option<SessionId>,
    out: &mut Vec<u8>,
) {
    let params = Params {
        max_message: windows.max_message,
        session_bytes: windows.session.0,
        session_messages: windows.session.1,
        channel_bytes: windows.channel.0,
        channel_messages: windows.channel.1,
        idle_timeout_ms: settings.session_idle_timeout.as_millis().try_into().unwrap_or(u32::MAX),
        aead: local.aead_support,
        reset_token: Some(local.reset_key.token(connection)),
        max_ack_delay_us: MAX_ACK_DELAY.as_micros() as u32,
        max_datagram: DATAGRAM_SIZE,
        candidates: local.reach.told(Policy(settings.transports)),
        ended,
    };
    IdentityPayload {
        session,
        steam_id: local.steam_id,
        intended,
        identity_key: local.identity.public_key(),
        not_after: 0,
        signature: local.binding,
        certificate: local.trust.certificate(),
        params,
    }
    .encode(out);
}

/// Reads a peer's hello, and judges who it says it is. A refused peer is still told why, which needs what
/// else it said. A responder does not know yet whom it answers, and addresses nobody.
///
/// # Errors
/// Why there is nothing to answer.
pub fn read(
    local: &mut Local,
    now: Instant,
    bytes: &[u8],
    remote_static: &[u8; 32],
    side: Side,
) -> Result<Heard, Disbelief> {
    let payload = IdentityPayload::decode(bytes).map_err(|_| Disbelief::Malformed)?;
    if payload.steam_id.0 == 0 {
        return Err(Disbelief::Malformed);
    }
    if side == Side::Initiator && payload.intended != local.steam_id {
        return Err(Disbelief::NotForUs);
    }
    let judged = judge(local, now, &payload, remote_static);
    let p = payload.params;
    let hello = PeerHello {
        steam_id: payload.steam_id,
        standing: judged.unwrap_or(Standing::Claimed),
        session: payload.session,
        windows: Windows {
            session: (p.session_bytes, p.session_messages),
            channel: (p.channel_bytes, p.channel_messages),
            max_message: p.max_message,
        },
        idle_timeout_ms: p.idle_timeout_ms,
        aead: p.aead,
        max_datagram: p.max_datagram,
        reset_token: p.reset_token,
        candidates: p.candidates.into(),
    };
    Ok(Heard { hello, refusal: judged.err(), ended: p.ended })
}

fn judge(
    local: &mut Local,
    now: Instant,
    payload: &IdentityPayload<'_>,
    remote_static: &[u8; 32],
) -> Result<Standing, Refusal> {
    let IdentityPayload { steam_id, identity_key, not_after, signature, .. } = payload;
    verify_binding(identity_key, local.app_id, *steam_id, remote_static, *not_after, signature)
        .map_err(|_| Refusal::Binding)?;
    if *not_after != 0 && local.trust.time(now).is_some_and(|time| time >= *not_after) {
        return Err(Refusal::Binding);
    }
    local.trust.judge(now, payload.certificate, local.app_id, *steam_id, identity_key)
}
