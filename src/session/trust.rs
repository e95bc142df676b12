//! Whom we believe: the authorities we trust, the certificate we show, and what time it is for them.
//!
//! No clock of this machine is trusted. Authority time is the newest moment we know of from anything a trusted
//! authority signed, plus what has passed since on the driver's clock. It never runs backwards, so an old
//! certificate cannot turn it back; but what an authority said that is trusted no more is forgotten with it. After a
//! restart it begins again with our own certificate.

use super::{Session, State, reason};
use crate::crypto::certificate::{Certificate, KeyId, NotACertificate};
use crate::crypto::identity::is_sound;
use crate::ids::{AppId, SteamId};
use crate::path::route::Route;
use crate::settings::Settings;
use crate::time::Instant;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::BTreeMap;
use std::fmt;

/// Authorities of one endpoint, revoked ones included.
pub const MAX_AUTHORITIES: usize = 16;

/// The authorities of an endpoint, as `TRUSTED_AUTHORITIES` lists them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorities {
    trusted: Vec<[u8; 32]>,
    revoked: Vec<[u8; 32]>,
}

impl Authorities {
    /// Reads a comma separated list of Ed25519 public keys in base64url, a `!` before those that were revoked.
    ///
    /// # Errors
    /// What the list must look like.
    pub fn parse(list: &str) -> Result<Authorities, String> {
        let mut all = Authorities::default();
        for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (revoked, text) = entry.strip_prefix('!').map_or((false, entry), |text| (true, text));
            let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok();
            let key = bytes.and_then(|bytes| bytes.try_into().ok()).filter(is_sound).ok_or_else(|| {
                format!("takes Ed25519 public keys of 43 base64url characters, comma separated; \"{entry}\" is none")
            })?;
            if all.trusted.contains(&key) || all.revoked.contains(&key) {
                return Err(format!("names \"{text}\" twice"));
            }
            if all.trusted.len() + all.revoked.len() >= MAX_AUTHORITIES {
                return Err(format!("takes at most {MAX_AUTHORITIES} keys"));
            }
            if revoked { &mut all.revoked } else { &mut all.trusted }.push(key);
        }
        Ok(all)
    }

    /// The first sixteen sound ones of these public keys, each once.
    pub fn of(keys: &[[u8; 32]]) -> Authorities {
        let mut all = Authorities::default();
        for key in keys.iter().filter(|key| is_sound(key)) {
            if all.trusted.len() < MAX_AUTHORITIES && !all.trusted.contains(key) {
                all.trusted.push(*key);
            }
        }
        all
    }

    /// Is there anybody whose word decides who enters, or once did?
    pub fn rule(&self) -> bool {
        !self.trusted.is_empty() || !self.revoked.is_empty()
    }

    fn trusted(&self, id: KeyId) -> Option<&[u8; 32]> {
        self.trusted.iter().find(|key| KeyId::of(key) == id)
    }

    /// Is the authority of this id trusted?
    pub fn is_trusted(&self, id: KeyId) -> bool {
        self.trusted(id).is_some()
    }

    /// Was the authority of this id revoked?
    pub fn revoked(&self, id: KeyId) -> bool {
        self.revoked.iter().any(|key| KeyId::of(key) == id)
    }
}

/// Does our own certificate say what we are, and is it signed, where we know by whom?
///
/// # Errors
/// What does not fit.
pub fn check_own(
    certificate: &Certificate,
    authorities: &Authorities,
    app: AppId,
    steam_id: SteamId,
    identity_key: &[u8; 32],
) -> Result<(), String> {
    if let Some(key) = authorities.trusted(certificate.authority)
        && certificate.verify(key).is_err()
    {
        return Err(Refusal::Signature(certificate.authority).to_string());
    }
    belongs(certificate, app, steam_id, identity_key).map_err(|refusal| refusal.to_string())
}

/// How far somebody's claim to a steam id is proven. A certified one is above a mere claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It says so.
    Claimed,
    /// A trusted authority says so.
    Certified(KeyId),
}

/// Why a peer's papers are refused. The text completes "the certificate …".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is none, and one is needed.
    Missing,
    /// Bytes that are no certificate.
    Unreadable(NotACertificate),
    /// Of an authority that is not among ours.
    UnknownAuthority(KeyId),
    /// Of an authority that was revoked.
    RevokedAuthority(KeyId),
    /// Not signed by the authority it names.
    Signature(KeyId),
    /// For another app: its, ours.
    App(AppId, AppId),
    /// For another user: its, who shows it.
    User(SteamId, SteamId),
    /// For another identity key.
    Key,
    /// It ended so many seconds ago.
    Expired(u64),
    /// The handshake key is not signed by the identity key.
    Binding,
}

impl Refusal {
    /// Its SNM_END_ number.
    pub fn reason(self) -> i32 {
        match self {
            Refusal::Unreadable(NotACertificate::Version(_)) => reason::BAD_VERSION,
            Refusal::Binding => reason::BAD_CRYPT,
            _ => reason::BAD_CERT,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Missing => f.write_str("no certificate, and without one nobody enters from there"),
            Refusal::Unreadable(what) => write!(f, "the certificate cannot be read: {what}"),
            Refusal::UnknownAuthority(id) => write!(f, "the certificate is of authority {id}, which is not trusted"),
            Refusal::RevokedAuthority(id) => write!(f, "the certificate is of authority {id}, which was revoked"),
            Refusal::Signature(id) => write!(f, "the certificate is not signed by authority {id}"),
            Refusal::App(its, ours) => write!(f, "the certificate is for app {}, not {}", its.0, ours.0),
            Refusal::User(its, who) => write!(f, "the certificate is for {its}, not {who}"),
            Refusal::Key => f.write_str("the certificate is for another identity key"),
            Refusal::Expired(ago) => write!(f, "the certificate expired {ago} s ago by authority time"),
            Refusal::Binding => f.write_str("the identity key has not signed the handshake key"),
        }
    }
}

/// The trust of one endpoint.
#[derive(Debug, Default)]
pub struct Trust {
    authorities: Authorities,
    certificate: Option<Certificate>,
    /// Seconds since 1970 on the clock of each trusted authority, and when that was.
    learned: BTreeMap<KeyId, (u64, Instant)>,
}

impl Trust {
    /// Takes new authorities and a new certificate of our own; both hold for handshakes from now on.
    pub fn configure(&mut self, now: Instant, authorities: Authorities, certificate: Option<Certificate>) {
        self.authorities = authorities;
        self.certificate = certificate;
        let Trust { authorities, learned, .. } = self;
        learned.retain(|id, _| authorities.trusted(*id).is_some());
        if let Some(own) = self.certificate
            && self.authorities.trusted(own.authority).is_some_and(|key| own.verify(key).is_ok())
        {
            self.learn(now, own.authority, own.claims.issued_at);
        }
    }

    /// Our certificate as it travels, or nothing.
    pub fn certificate(&self) -> &[u8] {
        self.certificate.as_ref().map_or(&[], |own| own.as_bytes())
    }

    /// Authority time, seconds since 1970, if we have learned of any.
    pub fn time(&self, now: Instant) -> Option<u64> {
        let passed = |(time, at): &(u64, Instant)| time.saturating_add(now.saturating_since(*at).as_secs());
        self.learned.values().map(passed).max()
    }

    /// Somebody we believe says what time it is for an authority; heard only for one that is trusted.
    pub fn handle_time(&mut self, now: Instant, authority: KeyId, time: u64) {
        if self.authorities.is_trusted(authority) {
            self.learn(now, authority, time);
        }
    }

    /// A trusted authority has said that it is at least `time`.
    fn learn(&mut self, now: Instant, authority: KeyId, time: u64) {
        let known = self.learned.entry(authority).or_insert((time, now));
        if known.0.saturating_add(now.saturating_since(known.1).as_secs()) < time {
            *known = (time, now);
        }
    }

    /// May somebody of this standing talk to us from there?
    pub fn admits(&self, settings: &Settings, standing: Standing, from: Route) -> bool {
        let near = from.is_near(); // never by a relay or a signal, wherever these are
        let near_enters = settings.localhost_allow_without_auth.unwrap_or(!self.authorities.rule());
        standing != Standing::Claimed || settings.allow_without_auth || (near && near_enters)
    }

    /// May we look for a peer there, whose standing we do not know yet?
    pub fn may_dial(&self, settings: &Settings, to: Route) -> bool {
        self.authorities.rule() || self.admits(settings, Standing::Claimed, to)
    }

    /// Judges the certificate that the holder of `identity_key` shows for `steam_id`. Without an authority
    /// nothing can be judged, and everybody merely claims.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn judge(
        &mut self,
        now: Instant,
        shown: &[u8],
        app: AppId,
        steam_id: SteamId,
        identity_key: &[u8; 32],
    ) -> Result<Standing, Refusal> {
        if shown.is_empty() || !self.authorities.rule() {
            return Ok(Standing::Claimed);
        }
        let certificate = Certificate::decode(shown).map_err(Refusal::Unreadable)?;
        let authority = certificate.authority;
        if self.authorities.revoked(authority) {
            return Err(Refusal::RevokedAuthority(authority));
        }
        let key = self.authorities.trusted(authority).ok_or(Refusal::UnknownAuthority(authority))?;
        certificate.verify(key).map_err(|_| Refusal::Signature(authority))?;
        if certificate.claims.app == app {
            self.learn(now, authority, certificate.claims.issued_at);
        }
        belongs(&certificate, app, steam_id, identity_key)?;
        match self.time(now) {
            Some(time) if time >= certificate.claims.expires_at => {
                Err(Refusal::Expired(time - certificate.claims.expires_at))
            }
            _ => Ok(Standing::Certified(authority)),
        }
    }

    /// Was somebody of this standing certified by an authority that was revoked since?
    pub fn has_revoked(&self, standing: Standing) -> Option<Refusal> {
        match standing {
            Standing::Certified(id) if self.authorities.revoked(id) => Some(Refusal::RevokedAuthority(id)),
            _ => None,
        }
    }
}

/// Does the certificate speak of this app, user and key?
fn belongs(certificate: &Certificate, app: AppId, steam_id: SteamId, key: &[u8; 32]) -> Result<(), Refusal> {
    let claims = &certificate.claims;
    if claims.app != app {
        return Err(Refusal::App(claims.app, app));
    }
    if claims.steam_id != steam_id {
        return Err(Refusal::User(claims.steam_id, steam_id));
    }
    if claims.identity_key != *key {
        return Err(Refusal::Key);
    }
    Ok(())
}

impl Session {
    /// The better standing of the peer and of whoever says that it is the peer, restarted.
    pub fn best_standing(&self) -> Option<Standing> {
        let challenger = match &self.state {
            State::Connected(live) => live.challenger.as_ref().map(|c| c.newcomer.connection.hello.standing),
            _ => None,
        };
        self.standing().max(challenger)
    }

    /// How far it is proven that the peer is who it says, once it has said so.
    pub fn standing(&self) -> Option<Standing> {
        match &self.state {
            State::Pending(pending) => Some(pending.newcomer.connection.hello.standing),
            State::Connected(live) => Some(live.connection.hello.standing),
            State::Opening(opening) => opening.standing(),
            State::Failed { .. } | State::Ended => None,
        }
    }

    /// Is it connected, and was it not yet at `time`?
    pub fn is_younger_than(&self, time: Instant) -> bool {
        matches!(&self.state, State::Connected(live) if live.since > time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::certificate::{Authority, Claims};
    use crate::time::Duration;

    const APP: AppId = AppId(480);
    const WHO: SteamId = SteamId(7);
    const KEY: [u8; 32] = [5; 32];
    const CLAIMS: Claims = Claims { app: APP, steam_id: WHO, identity_key: KEY, issued_at: 1_000, expires_at: 2_000 };
    const AT: Instant = Instant::from_nanos(5_000_000_000_000);

    fn authority(n: u8) -> Authority {
        Authority::from_seed(&[n; 32])
    }

    fn text(n: u8) -> String {
        URL_SAFE_NO_PAD.encode(authority(n).public_key())
    }

    fn trusting(list: &str) -> Trust {
        let mut trust = Trust::default();
        trust.configure(AT, Authorities::parse(list).expect("a list"), None);
        trust
    }

    fn judged(trust: &mut Trust, shown: &[u8]) -> Result<Standing, Refusal> {
        trust.judge(AT, shown, APP, WHO, &KEY)
    }

    #[test]
    fn a_good_certificate_certifies_under_any_trusted_authority() {
        let mut trust = trusting(&format!("{}, {}", text(1), text(2)));
        for n in [1, 2] {
            let id = KeyId::of(&authority(n).public_key());
            assert_eq!(judged(&mut trust, authority(n).issue(&CLAIMS).as_bytes()), Ok(Standing::Certified(id)));
        }
    }

    #[test]
    fn every_fault_is_told_apart() {
        let mut trust = trusting(&format!("{},!{}", text(1), text(2)));
        let good = authority(1);
        let id = |n| KeyId::of(&authority(n).public_key());
        let mut forged = *good.issue(&CLAIMS).as_bytes();
        forged[132] ^= 1;
        let mut newer = forged;
        newer[0] = 9;
        let cases = [
            (good.issue(&Claims { app: AppId(1), ..CLAIMS }).as_bytes().to_vec(), Refusal::App(AppId(1), APP), 4003),
            (
                good.issue(&Claims { steam_id: SteamId(8), ..CLAIMS }).as_bytes().to_vec(),
                Refusal::User(SteamId(8), WHO),
                4003,
            ),
            (good.issue(&Claims { identity_key: [6; 32], ..CLAIMS }).as_bytes().to_vec(), Refusal::Key, 4003),
            (forged.to_vec(), Refusal::Signature(id(1)), 4003),
            (authority(2).issue(&CLAIMS).as_bytes().to_vec(), Refusal::RevokedAuthority(id(2)), 4003),
            (authority(3).issue(&CLAIMS).as_bytes().to_vec(), Refusal::UnknownAuthority(id(3)), 4003),
            (newer.to_vec(), Refusal::Unreadable(NotACertificate::Version(9)), 4006),
            (vec![1; 7], Refusal::Unreadable(NotACertificate::Length(7)), 4003),
        ];
        for (shown, refusal, reason) in cases {
            assert_eq!(judged(&mut trust, &shown), Err(refusal));
            assert_eq!(refusal.reason(), reason, "{refusal}");
        }
        assert_eq!(Refusal::Binding.reason(), 4002);
    }

    #[test]
    fn a_certificate_expires_by_authority_time_and_no_other() {
        let mut trust = trusting(&text(1));
        let old = authority(1).issue(&CLAIMS);
        assert!(judged(&mut trust, old.as_bytes()).is_ok(), "nothing newer is known");
        assert_eq!(trust.time(AT), Some(1_000));
        // Its life passes on the driver's clock.
        let later = AT + Duration::from_secs(1_000);
        assert_eq!(trust.judge(later, old.as_bytes(), APP, WHO, &KEY), Err(Refusal::Expired(0)));
        let just = AT + Duration::from_secs(999);
        assert!(trust.judge(just, old.as_bytes(), APP, WHO, &KEY).is_ok());
        // Somebody's newer certificate tells that time has passed, even one that is not good for this user.
        let newer = authority(1).issue(&Claims { steam_id: SteamId(8), issued_at: 2_500, expires_at: 3_000, ..CLAIMS });
        assert!(judged(&mut trust, newer.as_bytes()).is_err());
        assert_eq!(judged(&mut trust, old.as_bytes()), Err(Refusal::Expired(500)));
        // A forged one tells nothing.
        let forged = authority(9).issue(&Claims { issued_at: 9_000, expires_at: 9_999, ..CLAIMS });
        assert!(judged(&mut trust, forged.as_bytes()).is_err());
        assert_eq!(trust.time(AT), Some(2_500));
    }

    #[test]
    fn without_an_authority_everybody_merely_claims() {
        let mut trust = Trust::default();
        assert_eq!(judged(&mut trust, authority(1).issue(&CLAIMS).as_bytes()), Ok(Standing::Claimed));
        assert_eq!(judged(&mut trust, b"rubbish"), Ok(Standing::Claimed));
    }

    #[test]
    fn who_enters_without_a_certificate_follows_the_rules() {
        let direct = |ip: [u8; 4]| Route::Direct((ip, 5).into());
        let (near, far) = (direct([127, 0, 0, 1]), direct([192, 0, 2, 1]));
        let settings = |allow, local| Settings {
            allow_without_auth: allow,
            localhost_allow_without_auth: local,
            ..Settings::default()
        };
        let (open, closed) = (Trust::default(), trusting(&text(1)));
        let cases = [
            (false, None, [true, false], [false, false]),
            (false, Some(true), [true, false], [true, false]),
            (false, Some(false), [false, false], [false, false]),
            (true, None, [true, true], [true, true]),
        ];
        for (allow, local, without_authority, with_authority) in cases {
            for (trust, expected) in [(&open, without_authority), (&closed, with_authority)] {
                let settings = settings(allow, local);
                let found = [near, far].map(|from| trust.admits(&settings, Standing::Claimed, from));
                assert_eq!(found, expected, "{allow} {local:?}");
                let certified = Standing::Certified(KeyId([0; 8]));
                assert!(trust.admits(&settings, certified, far));
            }
        }
        assert!(closed.may_dial(&settings(false, None), far) && !open.may_dial(&settings(false, None), far));
    }

    #[test]
    fn a_list_that_is_none_says_what_one_looks_like() {
        for bad in ["x", "!", &text(1)[..42], &format!("{0},{0}", text(1)), &format!("{0},!{0}", text(1))] {
            assert!(Authorities::parse(bad).is_err(), "{bad}");
        }
        let many: Vec<String> = (0..=MAX_AUTHORITIES as u8).map(text).collect();
        assert!(Authorities::parse(&many.join(",")).is_err_and(|says| says.contains("16")));
        assert!(Authorities::parse(&many[1..].join(" , ")).is_ok());
        assert_eq!(Authorities::parse(""), Ok(Authorities::default()));
        assert_eq!(Authorities::parse(&format!("{}=", text(1))), Authorities::parse(&text(1)));
    }

    #[test]
    fn what_a_revoked_authority_said_of_the_time_is_forgotten_with_it() {
        let mut trust = trusting(&format!("{},{}", text(1), text(2)));
        let far = Claims { steam_id: SteamId(8), issued_at: u64::MAX - 1, expires_at: u64::MAX, ..CLAIMS };
        assert!(judged(&mut trust, authority(2).issue(&far).as_bytes()).is_err());
        let good = authority(1).issue(&CLAIMS);
        assert!(matches!(judged(&mut trust, good.as_bytes()), Err(Refusal::Expired(_))));
        trust.configure(AT, Authorities::parse(&format!("{},!{}", text(1), text(2))).expect("a list"), None);
        assert!(judged(&mut trust, good.as_bytes()).is_ok());
        // Nor does the certificate of another app, or our own by somebody we do not trust, tell the time.
        let foreign = Claims { app: AppId(1), issued_at: 5_000, expires_at: 6_000, ..CLAIMS };
        assert!(judged(&mut trust, authority(1).issue(&foreign).as_bytes()).is_err());
        let own = authority(3).issue(&Claims { issued_at: 9_000, expires_at: 9_999, ..CLAIMS });
        trust.configure(AT, Authorities::parse(&text(1)).expect("a list"), Some(own));
        assert!(judged(&mut trust, good.as_bytes()).is_ok());
    }

    #[test]
    fn with_its_only_authority_revoked_an_endpoint_lets_nobody_in() {
        let mut trust = trusting(&format!("!{}", text(1)));
        let near = Route::Direct(([127, 0, 0, 1], 5).into());
        assert!(!trust.admits(&Settings::default(), Standing::Claimed, near));
        assert!(judged(&mut trust, authority(1).issue(&CLAIMS).as_bytes()).is_err());
    }

    #[test]
    fn a_key_that_anybody_can_sign_for_is_no_authority() {
        assert!(Authorities::parse(&"A".repeat(43)).is_err());
    }

    #[test]
    fn a_certified_standing_is_above_a_claim() {
        assert!(Standing::Certified(KeyId([0; 8])) > Standing::Claimed);
    }
}
