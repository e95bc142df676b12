//! `cert`: issuing a certificate, and showing one with a verdict.

use super::{Failure, app_id, say, steam_id};
use crate::clock;
use crate::files::{Secrecy, file_for, public_key, read, read_secret, write_new};
use crate::keys::{PublicKey, Purpose};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use steamnetmsg::crypto::certificate::{Certificate, Claims, KeyId, VERSION};
use steamnetmsg::ids::{AppId, SteamId};

const DAY: u64 = 86_400;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Certifies that a steam id belongs to an identity key
    Issue(Issue),
    /// Prints every field, and whether it holds: exit code 1 if not
    Show(Show),
}

#[derive(Debug, Args)]
pub(super) struct Issue {
    /// The authority's secret key
    #[arg(long, value_name = "FILE")]
    authority: PathBuf,
    /// Whom to certify
    #[arg(long, value_name = "N", value_parser = steam_id)]
    steam_id: SteamId,
    /// In which app (APP_ID)
    #[arg(long, value_name = "N", value_parser = app_id)]
    app: AppId,
    /// The player's identity: its public key, or a file with it, or the key file
    #[arg(long, value_name = "PUBKEY|FILE", allow_hyphen_values = true)]
    identity: String,
    #[command(flatten)]
    end: End,
    /// Where the certificate goes: a file, or a directory that gets identity.cert
    #[arg(long, value_name = "DIR|FILE")]
    out: PathBuf,
    /// Replace a certificate that is there
    #[arg(long)]
    force: bool,
    /// Read keys though others than their owner may read them too
    #[arg(long)]
    allow_open_permissions: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct End {
    /// For how many days it holds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=3_650))]
    days: Option<u64>,
    /// Until when it holds: 2027-01-31, 2027-01-31T12:00:00Z, or seconds since 1970
    #[arg(long, value_name = "TIME", value_parser = clock::read)]
    expires: Option<u64>,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The certificate
    file: PathBuf,
    /// Verify that one of these authorities signed it
    #[arg(long, value_name = "PUBKEY|FILE", value_delimiter = ',', allow_hyphen_values = true)]
    authority: Vec<String>,
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Issue(issue) => make(&issue),
        Command::Show(show) => tell(&show),
    }
}

fn make(issue: &Issue) -> Result<(), Failure> {
    let now = clock::now();
    let end = match (issue.end.days, issue.end.expires) {
        (Some(days), _) => now.saturating_add(days * DAY),
        (None, Some(end)) => end,
        (None, None) => return Err(Failure::Usage("--days or --expires is needed".to_owned())),
    };
    if end <= now {
        let (end, now) = (clock::written(end), clock::written(now));
        return Err(Failure::Usage(format!("--expires {end} has passed: it is {now}")));
    }
    let authority = read_secret(&issue.authority, Purpose::Authority, issue.allow_open_permissions)?;
    let authority = authority.authority().ok_or_else(|| Failure::System("the key certifies nobody".to_owned()))?;
    let identity = public_key(&issue.identity, Purpose::Identity, issue.allow_open_permissions)?;
    let claims =
        Claims { app: issue.app, steam_id: issue.steam_id, identity_key: identity.0, issued_at: now, expires_at: end };
    let certificate = authority.issue(&claims);
    let path = file_for(&issue.out, "identity.cert");
    write_new(&path, certificate.as_bytes(), Secrecy::Public, issue.force)?;
    eprintln!("certified {} until {} in {}", issue.steam_id, clock::written(end), path.display());
    Ok(())
}

fn tell(show: &Show) -> Result<(), Failure> {
    let keys = show.authority.iter().map(|text| public_key(text, Purpose::Authority, false));
    let keys = keys.collect::<Result<Vec<PublicKey>, _>>()?;
    let bytes = read(&show.file, super::MAX_CERTIFICATE_FILE)?;
    let certificate = Certificate::decode(&bytes)
        .map_err(|why| Failure::Refused(format!("{} is no certificate: {why}", show.file.display())))?;
    let (claims, now) = (&certificate.claims, clock::now());
    say(format_args!("version    {VERSION}"))?;
    say(format_args!("authority  {} (key id)", certificate.authority))?;
    say(format_args!("app        {}", claims.app.0))?;
    say(format_args!("steam id   {}", claims.steam_id.0))?;
    say(format_args!("identity   {}", PublicKey(claims.identity_key)))?;
    say(format_args!("issued     {} ({})", clock::written(claims.issued_at), claims.issued_at))?;
    say(format_args!(
        "expires    {} ({}), {}",
        clock::written(claims.expires_at),
        claims.expires_at,
        rest(claims, now)
    ))?;
    let verdict = verdict(&certificate, &keys);
    say(format_args!("signature  {}", verdict.as_ref().unwrap_or_else(|why| why)))?;
    match verdict {
        Err(why) => Err(Failure::Refused(format!("{}: the signature is {why}", show.file.display()))),
        Ok(_) if claims.expires_at <= now => {
            let ago = clock::span(now - claims.expires_at);
            Err(Failure::Refused(format!("{} expired {ago} ago", show.file.display())))
        }
        Ok(_) => Ok(()),
    }
}

/// What is left of it, by this machine's clock.
fn rest(claims: &Claims, now: u64) -> String {
    if claims.expires_at <= now {
        format!("{} ago", clock::span(now - claims.expires_at))
    } else {
        format!("in {}", clock::span(claims.expires_at - now))
    }
}

/// Whether one of `keys` signed it. Without any nothing is said, and nothing is wrong.
fn verdict(certificate: &Certificate, keys: &[PublicKey]) -> Result<String, String> {
    if keys.is_empty() {
        return Ok("not verified: give the authority's public key with --authority".to_owned());
    }
    match keys.iter().find(|key| KeyId::of(&key.0) == certificate.authority) {
        None => Err(format!("of another authority ({})", certificate.authority)),
        Some(key) if certificate.verify(&key.0).is_ok() => Ok(format!("good, of {key}")),
        Some(key) => Err(format!("forged: {key} did not make it")),
    }
}
