//! What we show the signaling server, and what we take from it: its word on authorities, time and our certificate.
//!
//! The app's own settings come first: authorities it named are the only ones; of two certificates the one is shown
//! whose authority we trust, then the one that holds longer. Whether the server is to be believed at all (its own
//! certificate was verified, or it is on this machine) is for the caller.

use super::Endpoint;
use super::config::Config;
use super::servers::Secret;
use crate::crypto::certificate::{Certificate, KeyId};
use crate::drops::Dropped;
use crate::ids::{AppId, SteamId};
use crate::session::trust::{Authorities, check_own};
use crate::time::Instant;

/// What the server has told us, beside the settings.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// How often a setting was changed.
    pub(super) version: u64,
    announced: Authorities,
    issued: Option<Certificate>,
}

impl Account {
    /// Whom to trust, and what to show.
    pub(super) fn papers(&self, config: &Config) -> (Authorities, Option<Certificate>) {
        let authorities = if config.authorities.rule() { &config.authorities } else { &self.announced };
        let rank = |paper: &Certificate| (authorities.is_trusted(paper.authority), paper.claims.expires_at);
        let certificate = [config.certificate, self.issued].into_iter().flatten().max_by_key(rank);
        (authorities.clone(), certificate)
    }
}

/// What a login shows of us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Who.
    pub steam_id: SteamId,
    /// In which app.
    pub app: AppId,
    /// Our Ed25519 public key.
    pub identity: [u8; 32],
    /// Its signature over the login.
    pub signature: [u8; 64],
    /// The certificate we show to peers, if there is one.
    pub certificate: Vec<u8>,
    /// LOGIN_TOKEN
    pub token: Secret,
}

impl Endpoint {
    /// Our steam id.
    pub fn steam_id(&self) -> SteamId {
        self.local.steam_id
    }

    /// The driver dropped something that came for us, or that we wanted carried.
    pub fn count_drop(&mut self, reason: Dropped) {
        self.drops.add(reason);
    }

    /// Changes whenever a setting has changed.
    pub fn config_version(&self) -> u64 {
        self.account.version
    }

    /// A login at the server `host` (the authority of its URL), which asked for it with `nonce`.
    pub fn login(&self, nonce: &[u8; 32], host: &str) -> Login {
        let local = &self.local;
        Login {
            steam_id: local.steam_id,
            app: local.app_id,
            identity: local.identity.public_key(),
            signature: local.identity.sign_login(local.app_id, local.steam_id, nonce, host),
            certificate: local.trust.certificate().to_vec(),
            token: self.config.login_token.clone(),
        }
    }

    /// A server we believe names its authorities and the time, seconds since 1970. They are trusted unless
    /// TRUSTED_AUTHORITIES names any; its time holds for those of them that are trusted.
    pub fn handle_announcement(&mut self, now: Instant, authorities: &[[u8; 32]], time: u64) {
        let announced = Authorities::of(authorities);
        if self.account.announced != announced {
            self.account.announced = announced;
            self.apply_trust(now);
        }
        for key in authorities {
            self.local.trust.handle_time(now, KeyId::of(key), time);
        }
    }

    /// A certificate of ours, fresh from the server.
    ///
    /// # Errors
    /// Why it is none for us.
    pub fn handle_issued(&mut self, now: Instant, bytes: &[u8]) -> Result<(), String> {
        let certificate = Certificate::decode(bytes).map_err(|why| format!("the certificate cannot be read: {why}"))?;
        let (authorities, _) = self.account.papers(&self.config);
        let local = &self.local;
        check_own(&certificate, &authorities, local.app_id, local.steam_id, &local.identity.public_key())?;
        self.account.issued = Some(certificate);
        self.apply_trust(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::certificate::{Authority, Claims};
    use crate::crypto::identity::verify_login;
    use crate::endpoint::config::{Scope, Value};
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    const NOW: Instant = Instant::from_nanos(5_000_000_000_000);

    fn endpoint() -> Endpoint {
        let mut config = Config::new();
        config.set(10_000, Value::Int(7), Scope::Create).expect("a steam id");
        Endpoint::new(config, [3; 32], 0, NOW).expect("an endpoint")
    }

    fn authority(n: u8) -> Authority {
        Authority::from_seed(&[n; 32])
    }

    fn issued(endpoint: &Endpoint, n: u8, issued_at: u64) -> Vec<u8> {
        let (app, steam_id, identity_key) = (AppId(480), SteamId(7), endpoint.public_key());
        let claims = Claims { app, steam_id, identity_key, issued_at, expires_at: issued_at + 100 };
        authority(n).issue(&claims).as_bytes().to_vec()
    }

    #[test]
    fn a_login_is_signed_for_its_server_and_nonce_and_no_other() {
        let endpoint = endpoint();
        let login = endpoint.login(&[9; 32], "play.example");
        let verify = |nonce: &[u8; 32], host| {
            verify_login(&login.identity, login.app, login.steam_id, nonce, host, &login.signature)
        };
        assert!(verify(&[9; 32], "play.example").is_ok());
        assert!(verify(&[8; 32], "play.example").is_err());
        assert!(verify(&[9; 32], "play.example:1").is_err());
    }

    #[test]
    fn announced_authorities_are_trusted_until_the_app_names_its_own() {
        let mut endpoint = endpoint();
        let paper = issued(&endpoint, 1, 1_000);
        assert_eq!(endpoint.local.trust.time(NOW), None);
        endpoint.handle_announcement(NOW, &[authority(1).public_key()], 1_050);
        assert_eq!(endpoint.local.trust.time(NOW), Some(1_050));
        endpoint.handle_issued(NOW, &paper).expect("ours");
        assert_eq!(endpoint.local.trust.certificate(), paper);
        let own = URL_SAFE_NO_PAD.encode(authority(2).public_key());
        endpoint.set_config(NOW, 10_005, Value::String(&own)).expect("a key");
        assert_eq!(endpoint.local.trust.time(NOW), None, "what a stranger said of the time is forgotten");
        endpoint.handle_announcement(NOW, &[authority(1).public_key()], 9_999);
        assert_eq!(endpoint.local.trust.time(NOW), None, "the announced one is still a stranger");
        // The later paper of a stranger does not replace that of somebody trusted.
        let trusted = issued(&endpoint, 2, 500);
        endpoint.handle_issued(NOW, &trusted).expect("ours");
        assert_eq!(endpoint.local.trust.certificate(), trusted);
    }

    #[test]
    fn a_certificate_for_somebody_else_or_forged_is_refused() {
        let mut endpoint = endpoint();
        endpoint.handle_announcement(NOW, &[authority(1).public_key()], 1);
        let mut paper = issued(&endpoint, 1, 1_000);
        paper[132] ^= 1;
        assert!(endpoint.handle_issued(NOW, &paper).is_err_and(|says| says.contains("not signed")));
        let claims = Claims {
            app: AppId(480),
            steam_id: SteamId(8),
            identity_key: endpoint.public_key(),
            issued_at: 1,
            expires_at: 2,
        };
        assert!(endpoint.handle_issued(NOW, authority(1).issue(&claims).as_bytes()).is_err());
        assert!(endpoint.handle_issued(NOW, &[]).is_err());
        assert!(endpoint.local.trust.certificate().is_empty());
    }

    #[test]
    fn with_announced_authorities_a_claim_is_not_enough_any_more() {
        use crate::session::trust::Standing;
        let mut endpoint = endpoint();
        let near = crate::path::route::Route::Direct(([127, 0, 0, 1], 5).into());
        let settings = endpoint.config.settings;
        assert!(endpoint.local.trust.admits(&settings, Standing::Claimed, near));
        endpoint.handle_announcement(NOW, &[authority(1).public_key()], 1);
        assert!(!endpoint.local.trust.admits(&settings, Standing::Claimed, near));
    }
}
