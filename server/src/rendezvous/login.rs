//! Who somebody is: what proves it, what he gets for it, and until when it holds.
//!
//! Two things are proven. That he holds the identity key: by a signature over the nonce of this connection and the
//! name of this server. That the steam id belongs to the key: by a certificate of a trusted authority, or a token of
//! the app's backend; with `--dev` by nothing. A token earns a certificate. A certificate earns none, or one issue would
//! hold for ever.
//!
//! The time is handed in.

use super::messages::{Login, Refused, from_b64};
use crate::config::Settings;
use ring::signature::{ED25519, UnparsedPublicKey};
use steamnetmsg::crypto::certificate::{Certificate, Claims};
use steamnetmsg::crypto::identity::is_sound;
use steamnetmsg::ids::{AppId, SteamId};
use steamnetmsg_tool::keys::PublicKey;
use steamnetmsg_tool::token::Checker;

/// Keeps a login's signature apart from any other the identity key makes.
const LABEL: &[u8; 19] = b"steamnetmsg login 0";

/// Who he is was not proven.
pub const NOT_PROVEN: i32 = 4_003;

/// Who has logged in, and on what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub app: AppId,
    pub steam_id: SteamId,
    pub identity: [u8; 32],
    /// The certificate he gets.
    pub certificate: Option<Certificate>,
    /// When what he proved ends, seconds since 1970; he has to have proven it anew by then.
    pub expires: Option<u64>,
}

/// What the identity key signs: where he logs in, as whom, and the nonce this server just made.
pub fn signed_by_login(nonce: &[u8; 32], app: AppId, steam_id: SteamId, identity: &[u8; 32], host: &str) -> Vec<u8> {
    [LABEL, &nonce[..], &app.0.to_be_bytes(), &steam_id.0.to_be_bytes(), identity, host.as_bytes()].concat()
}

/// Checks a login. `host` is what the request named as this server.
///
/// # Errors
/// What is told to who is not let in.
pub fn check(settings: &Settings, login: &Login, nonce: &[u8; 32], host: &str, now: u64) -> Result<User, Refused> {
    let (app, steam_id, identity) = (AppId(login.app), login.steam_id, login.identity);
    if !settings.apps.is_empty() && !settings.apps.iter().any(|served| served.id == app.0) {
        return refused(format!("app {} is not served here", app.0));
    }
    if !is_sound(&identity) {
        return refused("anybody can sign for that identity key");
    }
    let key = UnparsedPublicKey::new(&ED25519, identity);
    let signed_for =
        |host: &str| key.verify(&signed_by_login(nonce, app, steam_id, &identity, host), &login.signature).is_ok();
    let signed = match &settings.hosts {
        Some(hosts) => hosts.iter().any(|host| signed_for(host)),
        None => signed_for(host),
    };
    if !signed {
        return refused(match &settings.hosts {
            Some(hosts) => format!("the login is not signed for this server, which is called {}", hosts.join(", ")),
            None => format!("the login is not signed for {host}"),
        });
    }
    let user = User { app, steam_id, identity, certificate: None, expires: None };
    if let Some(token) = &login.token {
        return check_token(settings, user, token, now);
    }
    match &login.certificate {
        Some(text) => check_certificate(settings, user, text, now),
        None if settings.dev => Ok(certified(settings, user, now, None)),
        None => refused("the login has no certificate and no token: nothing says whose steam id that is"),
    }
}

/// Checks a token of somebody who is logged in already, or logs in with it.
///
/// # Errors
/// What is told to him.
pub fn check_token(settings: &Settings, user: User, token: &str, now: u64) -> Result<User, Refused> {
    let Some(app) = settings.apps.iter().find(|app| app.id == user.app.0 && !app.backends.is_empty()) else {
        return refused(format!("no backend is trusted for app {}, so no token is", user.app.0));
    };
    let checker = Checker::new(&app.backends, user.app, app.issuer.clone());
    let said = checker.check(token, now).or_else(|why| refused(format!("the token {why}")))?;
    if said.steam_id != user.steam_id {
        return refused("the token is about another steam id");
    }
    if said.identity_key != PublicKey(user.identity) {
        return refused("the token is about another identity key");
    }
    Ok(certified(settings, user, now, Some(said.expires_at)))
}

/// The same user at a later time: with `--dev` he is certified anew, and otherwise nothing changes without a new proof.
pub fn renewed(settings: &Settings, user: User, now: u64) -> User {
    if settings.dev { certified(settings, user, now, None) } else { user }
}

/// What somebody who is let in gets on the spot; without an authority he is in for as long as his token says.
fn certified(settings: &Settings, user: User, now: u64, otherwise: Option<u64>) -> User {
    let Some(authority) = &settings.authority else {
        return User { certificate: None, expires: otherwise, ..user };
    };
    let expires_at = now + settings.certificate_lifetime.as_secs();
    let claims =
        Claims { app: user.app, steam_id: user.steam_id, identity_key: user.identity, issued_at: now, expires_at };
    User { certificate: Some(authority.issue(&claims)), expires: Some(expires_at), ..user }
}

fn check_certificate(settings: &Settings, user: User, text: &str, now: u64) -> Result<User, Refused> {
    let bytes = from_b64(text).map_or_else(|| refused("the certificate is no base64url"), Ok)?;
    let certificate = Certificate::decode(&bytes).or_else(|why| refused(format!("no certificate: {why}")))?;
    let said = &certificate.claims;
    if !settings.authorities.iter().any(|authority| certificate.verify(authority).is_ok()) {
        return refused(format!(
            "no authority trusted here signed the certificate (it names {})",
            certificate.authority
        ));
    }
    if (said.app, said.steam_id, said.identity_key) != (user.app, user.steam_id, user.identity) {
        return refused("the certificate is about somebody else");
    }
    if said.expires_at <= now {
        return refused(format!("the certificate expired {} s ago", now - said.expires_at));
    }
    if settings.dev {
        return Ok(certified(settings, user, now, None));
    }
    Ok(User { expires: Some(said.expires_at), ..user })
}

fn refused<T>(text: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { reason: NOT_PROVEN, text: text.into() })
}
