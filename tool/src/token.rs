//! The login token: a game's backend says that a steam id, in an app, belongs to whoever holds an identity key.
//!
//! It is a JWT (RFC 7519) signed with EdDSA (RFC 8037), so every language can make one; `docs/tokens.md` shows how.
//! Only a server that hands out certificates reads it. The key is in `cnf` (RFC 7800), so a stolen token is worth
//! nothing without the key. Keys to verify with are ours, never the token's.
//!
//! The time is handed in: it is the checking server's own.

use crate::jws;
use crate::keys::{PublicKey, Purpose, SecretKey};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use steamnetmsg::ids::{AppId, SteamId};

/// No token holds longer, seconds: it is used once, to fetch a certificate.
pub const MAX_LIFETIME: u64 = 3_600;

/// How long a token holds when nothing else is asked for, seconds.
pub const DEFAULT_LIFETIME: u64 = 600;

/// How far the clocks of backend and checker may be apart, seconds.
pub const LEEWAY: u64 = 5;

/// No token is longer, bytes. One as made here has about 400.
pub const MAX_LEN: usize = 4_096;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Who: `sub`, in decimal.
    pub steam_id: SteamId,
    /// In which app: `aud`, in decimal.
    pub app: AppId,
    /// The key that speaks for him: `cnf`.
    pub identity_key: PublicKey,
    /// When it was made, seconds since 1970: `iat`.
    pub issued_at: Option<u64>,
    /// The first second in which it holds no more: `exp`.
    pub expires_at: u64,
    /// Who made it, if he says: `iss`.
    pub issuer: Option<String>,
}

/// Why a token is refused. The text completes "the token …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Longer than any.
    #[error("has {0} bytes, more than {MAX_LEN}")]
    Long(usize),
    /// No JWT.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// Signed in another way.
    #[error("is signed with {0}, not EdDSA")]
    Algorithm(String),
    /// An extension must be understood, and none is.
    #[error("asks for extensions (crit) that are not understood here")]
    Critical,
    /// A JWT of another kind.
    #[error("is of type {0:?}, not JWT")]
    Type(String),
    /// By nobody we trust.
    #[error("is not signed by any of the trusted backends ({0})")]
    Signature(usize),
    /// A claim that must be there is not.
    #[error("has no {0}")]
    Missing(&'static str),
    /// A claim of the wrong form.
    #[error("has an unusable {0}: {1}")]
    Unusable(&'static str, &'static str),
    /// For another app.
    #[error("is for app {0} (aud), not {1}")]
    App(String, u32),
    /// Of another backend.
    #[error("is of issuer {0:?} (iss), not {1:?}")]
    Issuer(String, String),
    /// Its time has passed.
    #[error("expired {0} s ago (exp)")]
    Expired(u64),
    /// Its time has not come.
    #[error("holds only in {0} s ({1}); are the clocks right?")]
    Early(u64, &'static str),
    /// It would hold for too long.
    #[error("would hold for {0} s more (exp), and {MAX_LIFETIME} s are the most")]
    Lifetime(u64),
}

/// Writes the token that says `login`, signed by a backend's key; `None` for a key of another purpose.
pub fn issue(backend: &SecretKey, login: &Login) -> Option<String> {
    if backend.purpose() != Purpose::Backend {
        return None;
    }
    jws::install();
    let claims = Claims {
        iss: login.issuer.clone().map(Value::String),
        sub: Some(login.steam_id.0.to_string().into()),
        aud: Some(login.app.0.to_string().into()),
        exp: Some(login.expires_at.into()),
        nbf: None,
        iat: login.issued_at.map(Value::from),
        cnf: Some(json!({ "jwk": { "kty": "OKP", "crv": "Ed25519", "x": login.identity_key.to_string() } })),
    };
    encode(&Header::new(Algorithm::EdDSA), &claims, &jws::signing_key(backend.seed())).ok()
}

/// Checks tokens: for one app, of the backends it trusts.
#[derive(Debug)]
pub struct Checker {
    backends: Vec<DecodingKey>,
    app: AppId,
    issuer: Option<String>,
}

impl Checker {
    /// Trusts these backends, and where `issuer` is given only tokens that name it.
    pub fn new(backends: &[PublicKey], app: AppId, issuer: Option<String>) -> Checker {
        jws::install();
        Checker { backends: backends.iter().map(|key| jws::verifying_key(&key.0)).collect(), app, issuer }
    }

    /// What a token says, if all of it is right at `now`, seconds since 1970. That the caller holds the identity
    /// key is still to be proven.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn check(&self, token: &str, now: u64) -> Result<Login, Refusal> {
        if token.len() > MAX_LEN {
            return Err(Refusal::Long(token.len()));
        }
        check_header(&decode_header(token).map_err(unreadable)?)?;
        let claims = self.verified(token)?;
        let login = Login {
            steam_id: steam_id(text("sub", claims.sub)?.ok_or(Refusal::Missing("sub"))?)?,
            app: self.app_of(claims.aud.ok_or(Refusal::Missing("aud"))?)?,
            identity_key: confirmed_key(&claims.cnf.ok_or(Refusal::Missing("cnf"))?)?,
            issued_at: number("iat", claims.iat)?,
            expires_at: number("exp", claims.exp)?.ok_or(Refusal::Missing("exp"))?,
            issuer: text("iss", claims.iss)?,
        };
        if let Some(wanted) = &self.issuer {
            match &login.issuer {
                None => return Err(Refusal::Missing("iss")),
                Some(other) if other != wanted => return Err(Refusal::Issuer(plain(other), wanted.clone())),
                Some(_) => {}
            }
        }
        check_times(&login, number("nbf", claims.nbf)?, now)?;
        Ok(login)
    }

    /// The claims, once one of the backends has signed them.
    fn verified(&self, token: &str) -> Result<Claims, Refusal> {
        let mut rules = Validation::new(Algorithm::EdDSA);
        // The claims are judged here, with the time that was handed in.
        rules.required_spec_claims.clear();
        (rules.validate_exp, rules.validate_nbf, rules.validate_aud) = (false, false, false);
        for backend in &self.backends {
            match decode::<Claims>(token, backend, &rules) {
                Ok(read) => return Ok(read.claims),
                Err(error) if matches!(error.kind(), ErrorKind::InvalidSignature) => {}
                Err(error) => return Err(unreadable(error)),
            }
        }
        Err(Refusal::Signature(self.backends.len()))
    }

    /// `aud` is one text or several (RFC 7519, section 4.1.3); ours must be among them.
    fn app_of(&self, aud: Value) -> Result<AppId, Refusal> {
        let ours = self.app.0.to_string();
        let named = match aud {
            Value::String(one) => vec![one],
            Value::Array(several) => several
                .into_iter()
                .map(|one| text("aud", Some(one)).map(Option::unwrap_or_default))
                .collect::<Result<_, _>>()?,
            _ => return Err(Refusal::Unusable("aud", "it must be the app id as text")),
        };
        if named.contains(&ours) { Ok(self.app) } else { Err(Refusal::App(plain(&named.join(", ")), self.app.0)) }
    }
}

/// The claims as they stand; repeated ones are no JSON for `serde`, which is well.
#[derive(Serialize, Deserialize)]
struct Claims {
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<Value>,
    sub: Option<Value>,
    aud: Option<Value>,
    exp: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<Value>,
    cnf: Option<Value>,
}

fn check_header(header: &Header) -> Result<(), Refusal> {
    if header.alg != Algorithm::EdDSA {
        return Err(Refusal::Algorithm(format!("{:?}", header.alg)));
    }
    if header.crit.is_some() {
        return Err(Refusal::Critical);
    }
    match &header.typ {
        Some(typ) if !typ.eq_ignore_ascii_case("JWT") => Err(Refusal::Type(plain(typ))),
        _ => Ok(()),
    }
}

fn check_times(login: &Login, not_before: Option<u64>, now: u64) -> Result<(), Refusal> {
    for (start, claim) in [(not_before, "nbf"), (login.issued_at, "iat")] {
        if let Some(start) = start.filter(|start| *start > now.saturating_add(LEEWAY)) {
            return Err(Refusal::Early(start - now, claim));
        }
    }
    if login.expires_at.saturating_add(LEEWAY) <= now {
        return Err(Refusal::Expired(now - login.expires_at));
    }
    if login.expires_at > now.saturating_add(MAX_LIFETIME + LEEWAY) {
        return Err(Refusal::Lifetime(login.expires_at - now));
    }
    Ok(())
}

fn steam_id(sub: String) -> Result<SteamId, Refusal> {
    match sub.parse::<u64>() {
        // One way to write each: no sign, no zero in front.
        Ok(id) if id != 0 && id.to_string() == sub => Ok(SteamId(id)),
        _ => Err(Refusal::Unusable("sub", "it must be a steam id in decimal, not 0")),
    }
}

/// The Ed25519 key in `cnf.jwk` (RFC 7800 section 3.2, RFC 8037 section 2).
fn confirmed_key(cnf: &Value) -> Result<PublicKey, Refusal> {
    let jwk = &cnf["jwk"];
    if jwk.get("d").is_some() {
        return Err(Refusal::Unusable("cnf", "it gives away the private key (d)"));
    }
    if jwk["kty"] != "OKP" || jwk["crv"] != "Ed25519" {
        return Err(Refusal::Unusable("cnf", "it must hold a jwk with kty OKP and crv Ed25519"));
    }
    let key = jwk["x"].as_str().and_then(|x| x.parse().ok());
    key.ok_or(Refusal::Unusable("cnf", "jwk.x must be the 32 bytes of an Ed25519 public key in base64url"))
}

fn text(claim: &'static str, value: Option<Value>) -> Result<Option<String>, Refusal> {
    match value {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refusal::Unusable(claim, "it must be text")),
    }
}

fn number(claim: &'static str, value: Option<Value>) -> Result<Option<u64>, Refusal> {
    let whole = "it must be a whole number of seconds since 1970";
    value.map(|value| value.as_u64().ok_or(Refusal::Unusable(claim, whole))).transpose()
}

fn unreadable(error: Error) -> Refusal {
    Refusal::Unreadable(plain(&error.to_string()))
}

/// A stranger's words, fit for a log: short, and nothing in them that drives a terminal.
fn plain(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use ring::signature::Ed25519KeyPair;

    const NOW: u64 = 1_800_000_000;
    const SEED: [u8; 32] = [3; 32];

    fn backend() -> SecretKey {
        SecretKey::from_seed(Purpose::Backend, &SEED)
    }

    fn login() -> Login {
        Login {
            steam_id: SteamId(76_561_197_960_265_729),
            app: AppId(480),
            identity_key: SecretKey::from_seed(Purpose::Identity, &[9; 32]).public(),
            issued_at: Some(NOW),
            expires_at: NOW + DEFAULT_LIFETIME,
            issuer: None,
        }
    }

    fn checker() -> Checker {
        let other = SecretKey::from_seed(Purpose::Backend, &[4; 32]).public();
        Checker::new(&[other, backend().public()], AppId(480), None)
    }

    fn issued(login: &Login) -> String {
        issue(&backend(), login).expect("a backend's key")
    }

    /// A token of any header and claims, signed as it should be.
    fn signed(header: &str, claims: &str) -> String {
        let message = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
        let pair = Ed25519KeyPair::from_seed_unchecked(&SEED).expect("a seed");
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(pair.sign(message.as_bytes())))
    }

    const HEADER: &str = r#"{"alg":"EdDSA","typ":"JWT"}"#;

    /// The claims of [`login`], one of them replaced, or left out where `value` is null.
    fn with(claim: &str, value: Value) -> Result<Login, Refusal> {
        let x = login().identity_key.to_string();
        let mut claims = json!({
            "sub": "76561197960265729", "aud": "480", "exp": NOW + 600, "iat": NOW,
            "cnf": { "jwk": { "kty": "OKP", "crv": "Ed25519", "x": x } },
        });
        claims[claim] = value;
        if claims[claim].is_null() {
            claims.as_object_mut().expect("an object").remove(claim);
        }
        checker().check(&signed(HEADER, &claims.to_string()), NOW)
    }

    #[test]
    fn what_a_backend_says_is_what_the_checker_hears() {
        assert_eq!(checker().check(&issued(&login()), NOW), Ok(login()));
        assert_eq!(with("iat", Value::Null), Ok(Login { issued_at: None, ..login() }));
        assert_eq!(with("aud", json!(["other", "480"])), Ok(login()), "several audiences, ours among them");
        assert_eq!(with("unheard", json!({ "of": 1 })), Ok(login()), "other claims do no harm");
    }

    #[test]
    fn keys_of_other_purposes_issue_nothing() {
        for purpose in [Purpose::Authority, Purpose::Identity] {
            assert_eq!(issue(&SecretKey::from_seed(purpose, &SEED), &login()), None);
        }
    }

    #[test]
    fn no_character_of_a_token_can_be_changed() {
        let good = issued(&login());
        for at in 0..good.len() {
            let mut bytes = good.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let bad = String::from_utf8(bytes).expect("ASCII");
            assert!(checker().check(&bad, NOW).is_err(), "character {at}");
        }
        for len in 0..good.len() {
            assert!(checker().check(&good[..len], NOW).is_err(), "cut to {len}");
        }
        assert!(checker().check(&format!("{good}A"), NOW).is_err());
        assert!(checker().check(&format!("{good}."), NOW).is_err());
    }

    #[test]
    fn a_backend_that_is_not_trusted_is_not_believed() {
        let stranger = Checker::new(&[SecretKey::from_seed(Purpose::Backend, &[4; 32]).public()], AppId(480), None);
        assert_eq!(stranger.check(&issued(&login()), NOW), Err(Refusal::Signature(1)));
        assert_eq!(Checker::new(&[], AppId(480), None).check(&issued(&login()), NOW), Err(Refusal::Signature(0)));
    }

    #[test]
    fn the_token_does_not_choose_how_it_is_verified() {
        let claims = json!({ "sub": "1" }).to_string();
        let refused = |header: &str| checker().check(&signed(header, &claims), NOW).expect_err("refused");
        assert_eq!(refused(r#"{"alg":"HS256"}"#), Refusal::Algorithm("HS256".to_owned()));
        assert!(matches!(refused(r#"{"alg":"none"}"#), Refusal::Unreadable(_)));
        assert!(matches!(refused(r#"{"typ":"JWT"}"#), Refusal::Unreadable(_)));
        assert_eq!(refused(r#"{"alg":"EdDSA","crit":["b64"],"b64":false}"#), Refusal::Critical);
        assert_eq!(refused(r#"{"alg":"EdDSA","typ":"dpop+jwt"}"#), Refusal::Type("dpop+jwt".to_owned()));
        let unsigned = format!("{}.{}.", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(&claims));
        assert_eq!(checker().check(&unsigned, NOW), Err(Refusal::Signature(2)));
    }

    #[test]
    fn a_key_that_the_token_brings_is_not_used() {
        let stranger = Ed25519KeyPair::from_seed_unchecked(&[5; 32]).expect("a seed");
        let x = SecretKey::from_seed(Purpose::Backend, &[5; 32]).public().to_string();
        let header = json!({ "alg": "EdDSA", "jwk": { "kty": "OKP", "crv": "Ed25519", "x": x } }).to_string();
        let good = issued(&login());
        let claims = good.split('.').nth(1).expect("claims");
        let message = format!("{}.{claims}", URL_SAFE_NO_PAD.encode(header));
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(stranger.sign(message.as_bytes())));
        assert_eq!(checker().check(&token, NOW), Err(Refusal::Signature(2)));
    }

    #[test]
    fn every_claim_that_is_needed_is_missed() {
        for claim in ["sub", "aud", "exp", "cnf"] {
            let refusal = with(claim, Value::Null).expect_err("refused").to_string();
            assert_eq!(refusal, format!("has no {claim}"));
        }
    }

    #[test]
    fn every_claim_of_the_wrong_form_is_named() {
        let jwk = |jwk: Value| json!({ "jwk": jwk });
        let x = login().identity_key.to_string();
        for (claim, value) in [
            ("sub", json!(76_561_197_960_265_729_u64)),
            ("sub", json!("0")),
            ("sub", json!("+1")),
            ("sub", json!("01")),
            ("sub", json!(" 1")),
            ("sub", json!("18446744073709551616")),
            ("sub", json!("anna")),
            ("aud", json!(480)),
            ("aud", json!([480])),
            ("exp", json!("1800000600")),
            ("exp", json!(1_800_000_600.5)),
            ("exp", json!(-1)),
            ("iat", json!("now")),
            ("nbf", json!([])),
            ("iss", json!(5)),
            ("cnf", json!("x")),
            ("cnf", json!({ "kid": "1" })),
            ("cnf", jwk(json!({ "kty": "EC", "crv": "P-256", "x": x, "y": x }))),
            ("cnf", jwk(json!({ "kty": "OKP", "crv": "X25519", "x": x }))),
            ("cnf", jwk(json!({ "kty": "OKP", "crv": "Ed25519", "x": "short" }))),
            ("cnf", jwk(json!({ "kty": "OKP", "crv": "Ed25519" }))),
            ("cnf", jwk(json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "d": x }))),
        ] {
            match with(claim, value.clone()) {
                Err(Refusal::Unusable(named, _)) => assert_eq!(named, claim, "{value}"),
                other => panic!("{claim} {value}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_claim_that_comes_twice_is_refused() {
        let good = issued(&login());
        let claims = URL_SAFE_NO_PAD.decode(good.split('.').nth(1).expect("claims")).expect("base64url");
        let claims = String::from_utf8(claims).expect("JSON").replacen('{', r#"{"sub":"1","#, 1);
        assert!(matches!(checker().check(&signed(HEADER, &claims), NOW), Err(Refusal::Unreadable(_))));
    }

    #[test]
    fn another_app_and_another_issuer_are_refused() {
        assert_eq!(with("aud", json!("481")), Err(Refusal::App("481".to_owned(), 480)));
        assert_eq!(with("aud", json!([])), Err(Refusal::App(String::new(), 480)));
        let strict = Checker::new(&[backend().public()], AppId(480), Some("game".to_owned()));
        let of = |issuer: Option<&str>| issued(&Login { issuer: issuer.map(str::to_owned), ..login() });
        assert!(strict.check(&of(Some("game")), NOW).is_ok());
        assert_eq!(strict.check(&of(None), NOW), Err(Refusal::Missing("iss")));
        let other = Refusal::Issuer("mod".to_owned(), "game".to_owned());
        assert_eq!(strict.check(&of(Some("mod")), NOW), Err(other));
    }

    #[test]
    fn a_token_holds_from_its_first_second_to_its_last() {
        let token = issued(&login());
        let at = |now| checker().check(&token, now);
        assert_eq!(at(NOW - LEEWAY - 1), Err(Refusal::Early(LEEWAY + 1, "iat")));
        assert!(at(NOW - LEEWAY).is_ok());
        assert!(at(NOW + DEFAULT_LIFETIME + LEEWAY - 1).is_ok());
        assert_eq!(at(NOW + DEFAULT_LIFETIME + LEEWAY), Err(Refusal::Expired(LEEWAY)));
        assert_eq!(with("nbf", json!(NOW + LEEWAY + 1)), Err(Refusal::Early(LEEWAY + 1, "nbf")));
        assert!(with("exp", json!(NOW + MAX_LIFETIME + LEEWAY)).is_ok());
        let long = MAX_LIFETIME + LEEWAY + 1;
        assert_eq!(with("exp", json!(NOW + long)), Err(Refusal::Lifetime(long)));
        assert_eq!(with("exp", json!(u64::MAX)), Err(Refusal::Lifetime(u64::MAX - NOW)));
        assert_eq!(checker().check(&token, u64::MAX), Err(Refusal::Expired(u64::MAX - NOW - DEFAULT_LIFETIME)));
    }

    #[test]
    fn what_a_stranger_wrote_drives_no_terminal() {
        let refusal = with("aud", json!("\u{1b}[2Jcleared")).expect_err("refused").to_string();
        assert_eq!(refusal, "is for app ?[2Jcleared (aud), not 480");
        let header = checker().check(&signed("{\"alg\":\"\u{1b}[2J\"}", "{}"), NOW).expect_err("refused");
        assert!(!header.to_string().contains('\u{1b}'), "{header}");
    }

    #[test]
    fn an_endless_token_is_not_read() {
        assert_eq!(checker().check(&"A".repeat(MAX_LEN + 1), NOW), Err(Refusal::Long(MAX_LEN + 1)));
    }
}
