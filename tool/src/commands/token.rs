//! `token`: issuing a login token as a backend would, and checking one as a server would.

use super::{Failure, app_id, say, steam_id};
use crate::clock;
use crate::files::{public_key, read_secret};
use crate::keys::Purpose;
use crate::token::{Checker, DEFAULT_LIFETIME, Login, MAX_LEN, MAX_LIFETIME, issue};
use clap::{Args, Subcommand};
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;
use steamnetmsg::ids::{AppId, SteamId};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Makes a token and prints it
    Issue(Issue),
    /// Prints what a token says, or why it is refused: exit code 1
    Check(Check),
}

#[derive(Debug, Args)]
pub(super) struct Issue {
    /// The backend's secret key
    #[arg(long, value_name = "FILE")]
    backend: PathBuf,
    /// Who logs in
    #[arg(long, value_name = "N", value_parser = steam_id)]
    steam_id: SteamId,
    /// To which app (APP_ID)
    #[arg(long, value_name = "N", value_parser = app_id)]
    app: AppId,
    /// The player's identity: its public key, or a file with it, or the key file
    #[arg(long, value_name = "PUBKEY|FILE", allow_hyphen_values = true)]
    identity: String,
    /// For how long it holds, an hour at most
    #[arg(long, value_name = "TIME", value_parser = lifetime, default_value = "10m")]
    lifetime: u64,
    /// Who issues it (iss)
    #[arg(long, value_name = "TEXT")]
    issuer: Option<String>,
    /// Read keys though others than their owner may read them too
    #[arg(long)]
    allow_open_permissions: bool,
}

#[derive(Debug, Args)]
pub(super) struct Check {
    /// The token; without one, or with -, it is read from standard input
    #[arg(allow_hyphen_values = true)]
    token: Option<String>,
    /// The backends that are trusted
    #[arg(long, value_name = "PUBKEY|FILE", required = true, value_delimiter = ',', allow_hyphen_values = true)]
    backend: Vec<String>,
    /// The app it must be for (APP_ID)
    #[arg(long, value_name = "N", value_parser = app_id)]
    app: AppId,
    /// The issuer it must name (iss)
    #[arg(long, value_name = "TEXT")]
    issuer: Option<String>,
    /// Judge it as of then, not now: 2027-01-31T12:00:00Z, or seconds since 1970
    #[arg(long, value_name = "TIME", value_parser = clock::read)]
    at: Option<u64>,
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Issue(issue) => make(issue),
        Command::Check(check) => judge(&check),
    }
}

fn make(asked: Issue) -> Result<(), Failure> {
    let now = clock::now();
    let backend = read_secret(&asked.backend, Purpose::Backend, asked.allow_open_permissions)?;
    let login = Login {
        steam_id: asked.steam_id,
        app: asked.app,
        identity_key: public_key(&asked.identity, Purpose::Identity, asked.allow_open_permissions)?,
        issued_at: Some(now),
        expires_at: now.saturating_add(asked.lifetime),
        issuer: asked.issuer,
    };
    say(issue(&backend, &login).ok_or_else(|| Failure::System("the key signs no tokens".to_owned()))?)
}

fn judge(check: &Check) -> Result<(), Failure> {
    let backends = check.backend.iter().map(|text| public_key(text, Purpose::Backend, false));
    let checker = Checker::new(&backends.collect::<Result<Vec<_>, _>>()?, check.app, check.issuer.clone());
    let token = match check.token.as_deref() {
        None | Some("-") => &from_stdin()?,
        Some(token) => token,
    };
    let login = checker
        .check(token.trim(), check.at.unwrap_or_else(clock::now))
        .map_err(|why| Failure::Refused(format!("the token {why}")))?;
    say(format_args!("steam id   {}", login.steam_id.0))?;
    say(format_args!("app        {}", login.app.0))?;
    say(format_args!("identity   {}", login.identity_key))?;
    if let Some(issuer) = &login.issuer {
        say(format_args!("issuer     {}", issuer.escape_debug()))?;
    }
    if let Some(issued) = login.issued_at {
        say(format_args!("issued     {} ({issued})", clock::written(issued)))?;
    }
    say(format_args!("expires    {} ({})", clock::written(login.expires_at), login.expires_at))
}

fn from_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    // More than any token, so that one that is too long is refused as such.
    let read = io::stdin().lock().take(2 * MAX_LEN as u64).read_to_string(&mut text);
    read.map_err(|e| Failure::System(format!("cannot read the token from standard input: {e}")))?;
    Ok(text)
}

fn lifetime(text: &str) -> Result<u64, String> {
    let seconds = humantime::parse_duration(text).ok().as_ref().map(Duration::as_secs);
    let default = DEFAULT_LIFETIME / 60;
    seconds.filter(|seconds| (1..=MAX_LIFETIME).contains(seconds)).ok_or_else(|| {
        format!("takes a span from 1s to 1h, such as {default}m: a token is used once, to fetch a certificate")
    })
}
