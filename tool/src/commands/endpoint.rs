//! The endpoint that `ping` and `listen` open: who it is, whom it believes, and how its sessions are described.

use super::{DEFAULT_APP, Failure, MAX_CERTIFICATE_FILE, app_id, steam_id};
use crate::files::{read, read_secret};
use crate::keys::Purpose;
use clap::Args;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use steamnetmsg::crypto::certificate::Certificate;
use steamnetmsg::crypto::identity::Seed;
use steamnetmsg::driver::{Driver, Gone, open};
use steamnetmsg::endpoint::config::Config;
use steamnetmsg::ids::{AppId, SteamId};
use steamnetmsg::session::trust::Authorities;

/// SNM_STATE_CONNECTING
const CONNECTING: i32 = 1;

/// SNM_STATE_FINDING_ROUTE
const FINDING_ROUTE: i32 = 2;

/// SNM_STATE_CONNECTED
const CONNECTED: i32 = 3;

/// SNM_INFO_UNAUTHENTICATED
const UNAUTHENTICATED: u32 = 1;

#[derive(Debug, Args)]
#[group(skip)] // the commands' own options have that name
pub(super) struct Options {
    /// Our steam id; a certificate says it already
    #[arg(long, value_name = "N", value_parser = steam_id, required_unless_present_any = ["identity", "cert"])]
    id: Option<SteamId>,
    /// The app (APP_ID); others are not heard
    #[arg(long, value_name = "N", value_parser = app_id, default_value = DEFAULT_APP)]
    app: AppId,
    /// A directory with our identity.key and identity.cert
    #[arg(long, value_name = "DIR", conflicts_with_all = ["key", "cert"])]
    identity: Option<PathBuf>,
    /// Our identity's secret key; without one it is made for this run
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Our certificate, which needs its key
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Public keys of the authorities we believe, comma separated, ! before a revoked one (TRUSTED_AUTHORITIES)
    #[arg(long, value_name = "PUBKEYS", allow_hyphen_values = true)]
    authority: Option<String>,
    /// Our socket, or one for each of IPv4 and IPv6, comma separated; port 0 for any
    #[arg(long, value_name = "IP:PORT", value_delimiter = ',')]
    bind: Vec<SocketAddr>,
    /// Talk to other machines though they prove nothing
    #[arg(long)]
    allow_without_auth: bool,
    /// The channel of the messages that are sent and echoed
    #[arg(long, value_name = "N", default_value_t = 0, allow_hyphen_values = true)]
    pub(super) channel: i32,
    /// Read the key though others than its owner may read it too
    #[arg(long)]
    allow_open_permissions: bool,
}

impl Options {
    /// Opens it.
    pub(super) fn open(&self) -> Result<(Arc<Driver>, SteamId), Failure> {
        let mut config = Config::new();
        config.app_id = self.app;
        config.settings.allow_without_auth = self.allow_without_auth;
        if !self.bind.is_empty() {
            config.bind.clone_from(&self.bind);
        }
        let in_directory = |name| self.identity.as_ref().map(|directory| directory.join(name));
        if let Some(key) = self.key.clone().or_else(|| in_directory("identity.key")) {
            config.identity_seed =
                Some(Seed::new(*read_secret(&key, Purpose::Identity, self.allow_open_permissions)?.seed()));
        }
        if let Some(cert) = self.cert.clone().or_else(|| in_directory("identity.cert")) {
            config.certificate = Some(certificate(&cert)?);
        }
        if let Some(list) = &self.authority {
            config.authorities =
                Authorities::parse(list).map_err(|says| Failure::Usage(format!("--authority {says}")))?;
        }
        let certified = config.certificate.as_ref().map(|certificate| certificate.claims.steam_id);
        // clap asks for one of the two.
        config.steam_id = self.id.or(certified).unwrap_or(SteamId(0));
        let me = config.steam_id;
        let driver = open(config, None).map_err(|e| Failure::System(format!("cannot open the endpoint: {e}")))?;
        Ok((driver, me))
    }
}

fn certificate(path: &Path) -> Result<Certificate, Failure> {
    Certificate::decode(&read(path, MAX_CERTIFICATE_FILE)?)
        .map_err(|why| Failure::System(format!("{} is no certificate: {why}", path.display())))
}

/// What a session is seen to be.
pub(super) enum Seen {
    /// There is none, or it has failed.
    Nothing,
    /// It is not connected yet.
    Coming,
    /// Messages flow; where the peer is, and whether it proved who it is.
    Connected(String),
}

pub(super) fn look_at(driver: &Driver, peer: SteamId) -> Result<Seen, Failure> {
    let (info, _) = driver.with_endpoint(|endpoint, now| endpoint.session_info(now, peer)).map_err(gone)?;
    let standing = if info.info_flags & UNAUTHENTICATED == 0 { "certified" } else { "not certified" };
    let address = info.remote_address.map_or_else(|| "an unknown address".to_owned(), |address| address.to_string());
    Ok(match info.state {
        CONNECTED => Seen::Connected(format!("{} at {address}, {standing}", peer.0)),
        CONNECTING | FINDING_ROUTE => Seen::Coming,
        _ => Seen::Nothing,
    })
}

pub(super) fn gone(error: Gone) -> Failure {
    Failure::System(error.to_string())
}

/// What a peer wrote, fit for a terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
