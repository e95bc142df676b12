//! Handshakes that others begin, until we know who they are.
//!
//! Nothing is kept for who cannot show that it knows our steam id (the check value) and, once the table
//! fills, that it really is at its address (a cookie). What is kept is bounded in number, size and time.

use crate::crypto::cookie::{CheckKey, CookieJar};
use crate::crypto::noise::{Prologue, Responder};
use crate::crypto::packet::{Aead, PacketKeys};
use crate::crypto::random::Random;
use crate::drops::Dropped;
use crate::ids::{AppId, ConnectionId, SessionId};
use crate::path::route::Route;
use crate::session::connection::Connection;
use crate::session::hello::{self, ANYONE, Heard, Side};
use crate::session::local::Local;
use crate::session::newcomer::Newcomer;
use crate::session::trust::Refusal;
use crate::settings::Settings;
use crate::time::{Duration, Instant};
use crate::transport::Windows;
use crate::wire::packet::{Cookie, Finish, Hint, HintCode, Init, Response, WIRE_VERSION};
use std::collections::BTreeMap;

/// Half-open handshakes at a time; one more takes the place of the oldest, whose sender tries again.
pub const MAX_HALF_OPEN: usize = 256;

/// With so many half-open, a cookie comes first.
pub const COOKIE_MARK: usize = 64;

/// A half-open handshake is forgotten after so long.
pub(super) const HALF_OPEN_LIFE: Duration = Duration::from_secs(10);

/// An answer is repeated at most so often.
const MAX_RESPONSES: u32 = 16;

struct HalfOpen {
    noise: Responder,
    remote: ConnectionId,
    /// What was told to be granted.
    windows: Windows,
    session: SessionId,
    from: Route,
    response: Vec<u8>,
    responses: u32,
    sent_at: Instant,
    expires_at: Instant,
}

/// Somebody whose handshake is complete.
pub struct Caller {
    /// Who it is.
    pub newcomer: Box<Newcomer>,
    /// Why its papers are refused, if they are.
    pub refusal: Option<Refusal>,
    /// The last session we began there, if that is over there.
    pub ended: Option<SessionId>,
}

/// The half-open handshakes of one endpoint.
pub struct Strangers {
    half_open: BTreeMap<ConnectionId, HalfOpen>,
    by_origin: BTreeMap<(Route, SessionId), ConnectionId>,
    jar: CookieJar,
    check: CheckKey,
}

impl Strangers {
    /// None yet.
    pub fn new(local: &Local, random: &mut Random) -> Strangers {
        Strangers {
            half_open: BTreeMap::new(),
            by_origin: BTreeMap::new(),
            jar: CookieJar::new(random),
            check: CheckKey::new(local.app_id, local.steam_id),
        }
    }

    /// Is this id in use?
    pub fn knows(&self, id: ConnectionId) -> bool {
        self.half_open.contains_key(&id)
    }

    /// Takes message 1; what is to be answered is appended to `reply`. `id` is unused so far.
    ///
    /// # Errors
    /// Why it was dropped. A hint or cookie may be in `reply` even then.
    #[allow(clippy::too_many_arguments)] // a message, who it is from, and who we are
    pub fn handle_init(
        &mut self,
        now: Instant,
        from: Route,
        init: &Init,
        covered: &[u8],
        check: &[u8; 16],
        id: ConnectionId,
        local: &Local,
        settings: &Settings,
        random: &mut Random,
        reply: &mut Vec<u8>,
    ) -> Result<(), Dropped> {
        if !self.knows_us(init.app, local, covered, check) {
            return Err(Dropped::NotForUs);
        }
        let hint = |code| Hint { destination: init.source, session: init.session, code, version: WIRE_VERSION };
        if init.version != WIRE_VERSION {
            hint(HintCode::OtherVersion).encode(reply);
            return Err(Dropped::OtherVersion);
        }
        if init.app != local.app_id {
            hint(HintCode::OtherApp).encode(reply);
            return Err(Dropped::OtherVersion);
        }
        self.expire(now);
        if let Some(known) = self.by_origin.get(&(from, init.session)) {
            if let Some(half) = self.half_open.get_mut(known) {
                half.responses += 1;
                if half.responses > MAX_RESPONSES {
                    return Err(Dropped::Stale);
                }
                reply.extend_from_slice(&half.response);
            }
            return Ok(());
        }
        if self.half_open.len() >= COOKIE_MARK {
            // Who carries signals vouches for where they come from.
            if let Some(address) = from.address()
                && !init.cookie.is_some_and(|c| self.jar.verify(now, address, init.session, &c))
            {
                let cookie = self.jar.cookie(now, address, init.session);
                Cookie { destination: init.source, session: init.session, cookie }.encode(reply);
                return Err(Dropped::CookieNeeded);
            }
            // Who proves its address takes the place of who began longest ago: nobody can lock the others out
            // for longer than it takes to come back.
            if self.half_open.len() >= MAX_HALF_OPEN
                && let Some(oldest) = self.half_open.iter().min_by_key(|(_, h)| h.expires_at).map(|(id, _)| *id)
            {
                self.remove(oldest);
            }
        }
        let prologue = Prologue::new(init.version, init.app, init.session);
        let mut noise = Responder::new(&local.static_key, prologue, &init.ephemeral, random);
        let mut ours = Vec::new();
        let windows = Windows::of(settings);
        hello::write(local, SessionId(random.next_u64()), ANYONE, &windows, settings, id, None, &mut ours);
        let mut message = Vec::new();
        noise.write_response(&ours, &mut message).map_err(|_| Dropped::BadHandshake)?;
        Response { destination: init.source, source: id, message: &message }.encode(reply);
        self.by_origin.insert((from, init.session), id);
        self.half_open.insert(
            id,
            HalfOpen {
                noise,
                remote: init.source,
                windows,
                session: init.session,
                from,
                response: reply.clone(),
                responses: 1,
                sent_at: now,
                expires_at: now + HALF_OPEN_LIFE,
            },
        );
        Ok(())
    }

    fn knows_us(&self, app: AppId, local: &Local, covered: &[u8], check: &[u8; 16]) -> bool {
        if app == local.app_id {
            self.check.verify(covered, check)
        } else {
            CheckKey::new(app, local.steam_id).verify(covered, check)
        }
    }

    /// Takes message 3: now we know who it is, and why we refuse its papers if we do. The handshake stays
    /// half-open until [`Strangers::remove`].
    ///
    /// # Errors
    /// Why it was dropped.
    pub fn handle_finish(
        &mut self,
        now: Instant,
        from: Route,
        finish: &Finish<'_>,
        local: &mut Local,
    ) -> Result<Caller, Dropped> {
        let half = self.half_open.get_mut(&finish.destination).ok_or(Dropped::UnknownConnection)?;
        if half.expires_at <= now {
            return Err(Dropped::Stale);
        }
        let mut payload = Vec::new();
        let (remote_static, split) =
            half.noise.read_finish(finish.message, &mut payload).map_err(|_| Dropped::BadHandshake)?;
        let Heard { hello, refusal, ended } =
            hello::read(local, now, &payload, &remote_static, Side::Initiator).map_err(|_| Dropped::BadHandshake)?;
        if hello.session != half.session || hello.steam_id == local.steam_id {
            return Err(Dropped::BadHandshake);
        }
        let keys = PacketKeys::new(&split, Aead::choose(local.aead_support, hello.aead));
        let rtt = (half.responses == 1).then(|| now.saturating_since(half.sent_at));
        let connection = Connection::new(finish.destination, half.remote, hello, keys, from, rtt);
        let asked_at = half.expires_at - HALF_OPEN_LIFE;
        let newcomer = Box::new(Newcomer::new(now, asked_at, connection, half.windows));
        Ok(Caller { newcomer, refusal, ended })
    }

    /// The handshake is complete, or refused.
    pub fn remove(&mut self, id: ConnectionId) {
        if let Some(half) = self.half_open.remove(&id) {
            self.by_origin.remove(&(half.from, half.session));
        }
    }

    fn expire(&mut self, now: Instant) {
        let old: Vec<ConnectionId> =
            self.half_open.iter().filter(|(_, h)| h.expires_at <= now).map(|(id, _)| *id).collect();
        old.into_iter().for_each(|id| self.remove(id));
    }
}
