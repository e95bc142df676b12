//! Tags that prove something without anything being stored.
//!
//! All are HMAC-SHA256 (RFC 2104) cut to 16 bytes: the check value that shows a stranger knows whom it is
//! talking to, the cookie that shows it receives at its address, and the token that shows a reset comes
//! from whoever took part in the handshake.

use super::equal;
use super::random::Random;
use crate::ids::{AppId, ConnectionId, SessionId, SteamId};
use crate::time::{Duration, Instant};
use ring::{digest, hmac};
use std::net::{IpAddr, SocketAddr};

/// A cookie is good in the period it was made in, and in the one after it.
pub const COOKIE_PERIOD: Duration = Duration::from_secs(120);

/// Makes and checks the value at the end of a first packet.
///
/// The key comes from {label, app, steam id} only (as WireGuard's mac1 comes from the public key; Donenfeld,
/// NDSS 2017, section 5.3): whoever knows whom it wants can make the value, and a scanner that does not
/// finds nobody at home.
#[derive(Clone, Debug)]
pub struct CheckKey(hmac::Key);

impl CheckKey {
    /// The key for packets to `intended` in `app`.
    pub fn new(app: AppId, intended: SteamId) -> CheckKey {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(b"steamnetmsg check value v0");
        hash.update(&app.0.to_be_bytes());
        hash.update(&intended.0.to_be_bytes());
        CheckKey(hmac::Key::new(hmac::HMAC_SHA256, hash.finish().as_ref()))
    }

    /// The check value of `bytes`.
    pub fn value(&self, bytes: &[u8]) -> [u8; 16] {
        mac(&self.0, &[bytes])
    }

    /// Is `value` the check value of `bytes`?
    pub fn verify(&self, bytes: &[u8], value: &[u8; 16]) -> bool {
        equal(&self.value(bytes), value)
    }
}

/// Makes cookies, and knows its own again.
///
/// The number of the period stands under the tag, so cookies expire without a secret being replaced.
#[derive(Debug)]
pub struct CookieJar(hmac::Key);

impl CookieJar {
    /// A jar with a secret of its own.
    pub fn new(random: &mut Random) -> CookieJar {
        CookieJar(secret_key(&random.bytes(), b"steamnetmsg cookie v0"))
    }

    /// The cookie for whoever sends from `address` about `session`.
    pub fn cookie(&self, now: Instant, address: SocketAddr, session: SessionId) -> [u8; 16] {
        self.of_period(period(now), address, session)
    }

    /// Was `cookie` made for them, in this period or the last?
    pub fn verify(&self, now: Instant, address: SocketAddr, session: SessionId, cookie: &[u8; 16]) -> bool {
        let current = period(now);
        [Some(current), current.checked_sub(1)]
            .into_iter()
            .flatten()
            .any(|period| equal(&self.of_period(period, address, session), cookie))
    }

    fn of_period(&self, period: u64, address: SocketAddr, session: SessionId) -> [u8; 16] {
        let (period, port, session) = (period.to_be_bytes(), address.port().to_be_bytes(), session.0.to_be_bytes());
        // The address goes last: it alone varies in length.
        match address.ip() {
            IpAddr::V4(ip) => mac(&self.0, &[&period, &session, &port, &ip.octets()]),
            IpAddr::V6(ip) => mac(&self.0, &[&period, &session, &port, &ip.octets()]),
        }
    }
}

fn period(now: Instant) -> u64 {
    now.as_nanos() / COOKIE_PERIOD.as_nanos() as u64
}

/// Makes the tokens by which a peer believes that we have lost a connection.
///
/// From a seed that outlives us the tokens outlive us too: after a restart we can still answer stray packets
/// (RFC 9000, section 10.3).
#[derive(Debug)]
pub struct ResetKey(hmac::Key);

impl ResetKey {
    /// The key of `seed`: the identity's, or a random one.
    pub fn from_seed(seed: &[u8; 32]) -> ResetKey {
        ResetKey(secret_key(seed, b"steamnetmsg reset v0"))
    }

    /// The token of the connection we called `id`.
    pub fn token(&self, id: ConnectionId) -> [u8; 16] {
        mac(&self.0, &[&id.0.to_be_bytes()])
    }
}

/// A key for one purpose, so that a seed can serve several.
fn secret_key(seed: &[u8; 32], label: &[u8]) -> hmac::Key {
    let purpose = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, seed), label);
    hmac::Key::new(hmac::HMAC_SHA256, purpose.as_ref())
}

fn mac(key: &hmac::Key, parts: &[&[u8]]) -> [u8; 16] {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(part);
    }
    let mut tag = [0; 16];
    tag.copy_from_slice(&context.sign().as_ref()[..16]);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("a literal address")
    }

    #[test]
    fn a_check_value_is_for_one_app_one_id_and_these_bytes() {
        let key = CheckKey::new(AppId(480), SteamId(7));
        let value = key.value(b"first packet");
        assert!(key.verify(b"first packet", &value));
        assert!(!key.verify(b"first packe!", &value));
        assert!(!CheckKey::new(AppId(481), SteamId(7)).verify(b"first packet", &value));
        assert!(!CheckKey::new(AppId(480), SteamId(8)).verify(b"first packet", &value));
        for bit in 0..128 {
            let mut flipped = value;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.verify(b"first packet", &flipped), "bit {bit}");
        }
    }

    #[test]
    fn a_cookie_is_for_one_address_and_session() {
        let jar = CookieJar::new(&mut Random::from_seed([1; 32]));
        let from = address("127.0.0.1:4000");
        let cookie = jar.cookie(at(1), from, SessionId(5));
        assert!(jar.verify(at(1), from, SessionId(5), &cookie));
        assert!(!jar.verify(at(1), from, SessionId(6), &cookie));
        assert!(!jar.verify(at(1), address("127.0.0.1:4001"), SessionId(5), &cookie));
        assert!(!jar.verify(at(1), address("127.0.0.2:4000"), SessionId(5), &cookie));
        assert!(!jar.verify(at(1), address("[::ffff:127.0.0.1]:4000"), SessionId(5), &cookie));
        assert!(!CookieJar::new(&mut Random::from_seed([2; 32])).verify(at(1), from, SessionId(5), &cookie));
        let six = jar.cookie(at(1), address("[::1]:4000"), SessionId(5));
        assert!(jar.verify(at(1), address("[::1]:4000"), SessionId(5), &six));
    }

    #[test]
    fn a_cookie_lives_through_the_next_period_and_no_longer() {
        let jar = CookieJar::new(&mut Random::from_seed([1; 32]));
        let (from, session) = (address("[::1]:9"), SessionId(1));
        let cookie = jar.cookie(at(119), from, session);
        for (seconds, good) in [(0, true), (119, true), (120, true), (239, true), (240, false), (9_999, false)] {
            assert_eq!(jar.verify(at(seconds), from, session, &cookie), good, "{seconds} s");
        }
        let later = jar.cookie(at(240), from, session);
        assert!(!jar.verify(at(239), from, session, &later), "not before it was made");
    }

    #[test]
    fn reset_tokens_belong_to_a_connection_and_survive_with_the_seed() {
        let token = |seed: u8, id| ResetKey::from_seed(&[seed; 32]).token(ConnectionId(id));
        assert_eq!(token(1, 1), token(1, 1));
        assert_ne!(token(1, 1), token(1, 2));
        assert_ne!(token(1, 1), token(2, 1));
    }
}
