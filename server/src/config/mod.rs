//! What the server is to do: the configuration file and the command line, put together and found sound.
//!
//! [`file`] is the form of the file; here is what contradicts itself, what is missing, and what the files hold that
//! it names. Everything wrong is said with where it stands and what to do. Nothing is listened on here.

pub mod file;

use crate::args::Args;
use crate::networks::{Network, Peers};
use crate::tls;
use file::{File, PortRange};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use steamnetmsg::crypto::certificate::Authority;
use steamnetmsg_tool::files;
use steamnetmsg_tool::keys::{PublicKey, Purpose, SecretKey};
use zeroize::Zeroizing;

/// Where WebSockets and HTTP are taken when nothing else is said.
pub const PORT: u16 = 8_765;

/// The port of STUN and TURN (RFC 8656).
pub const TURN_PORT: u16 = 3_478;

/// A configuration file is no longer than this, bytes.
const MAX_FILE: usize = 1 << 20;

/// The realm has at most so many bytes, or the challenge to a stranger would be over three times his request.
const MAX_REALM: usize = 20;

/// A shared secret has at least so many bytes.
const MIN_SECRET: usize = 16;

/// Each login may have to be tried for each of these.
const MAX_HOSTS: usize = 16;

/// What is wrong, where, and what to do. The program ends with code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Problem(pub String);

/// The configuration, sound.
#[derive(Debug)]
pub struct Settings {
    pub dev: bool,
    pub listen: Vec<SocketAddr>,
    pub tls: Option<Arc<tls::Certificates>>,
    /// The names by which clients call this server; `None` takes any.
    pub hosts: Option<Vec<String>>,
    pub authority: Option<Authority>,
    /// Whose certificates let their holders in, our own authority's first.
    pub authorities: Vec<[u8; 32]>,
    pub certificate_lifetime: Duration,
    /// Empty: any app, by certificate.
    pub apps: Vec<file::App>,
    pub rendezvous: file::Rendezvous,
    pub limits: file::Limits,
    pub http: file::Http,
    pub turn: Option<Turn>,
    pub relays: Vec<ForeignRelay>,
    pub log: tracing::Level,
    /// What is allowed and may still surprise.
    pub warnings: Vec<String>,
}

/// The embedded STUN and TURN server.
#[derive(Debug)]
pub struct Turn {
    pub listen: Vec<SocketAddr>,
    pub tls_listen: Vec<SocketAddr>,
    pub host: Option<String>,
    pub pop: Option<String>,
    pub realm: String,
    pub secret: Zeroizing<Vec<u8>>,
    pub credentials_lifetime: Duration,
    /// What peers see, at most one a family, and where its sockets are bound.
    pub addresses: Vec<RelayAddress>,
    pub ports: PortRange,
    pub peers: Peers,
    pub allocations: usize,
    pub allocations_per_user: usize,
    pub bytes_per_second_per_user: u64,
    pub streams: usize,
    pub streams_per_source: usize,
    pub answers_per_second_per_source: u64,
    pub idle: Duration,
    pub longest: Duration,
}

/// An address relayed datagrams come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayAddress {
    /// As peers see it.
    pub public: IpAddr,
    /// As it is bound here.
    pub bind: IpAddr,
}

/// A TURN server of somebody else.
#[derive(Debug)]
pub struct ForeignRelay {
    pub url: String,
    pub pop: Option<String>,
    pub secret: Zeroizing<Vec<u8>>,
}

/// Reads what the command line names, and puts it together with what it says.
///
/// # Errors
/// The first thing that is wrong.
pub fn read(args: &Args) -> Result<Settings, Problem> {
    let (file, folder) = match &args.config {
        Some(path) => (parse(path)?, path.parent().unwrap_or(Path::new("")).to_owned()),
        None => (File::default(), PathBuf::new()),
    };
    let dev = args.dev || args.dev_anywhere;
    let listen = listen(args, &file, dev)?;
    let open = listen.iter().any(|address| !address.ip().is_loopback());
    let mut warnings = Vec::new();
    let hosts = hosts(&file, dev, open)?;
    let authority = authority(&file, &folder, dev)?;
    let mut authorities: Vec<[u8; 32]> = authority.iter().map(Authority::public_key).collect();
    authorities.extend(file.authorities.iter().map(|key| key.0));
    check_apps(&file, &authorities, authority.is_some(), &mut warnings)?;
    check_limits(&file)?;
    let tls = file.tls.as_ref().map(|tls| {
        tls::Certificates::load(folder.join(&tls.certificate), folder.join(&tls.key)).map(Arc::new).map_err(Problem)
    });
    let tls = tls.transpose()?;
    if open && tls.is_none() && !dev {
        warnings.push("no [tls]: put a reverse proxy with TLS in front, or what clients send can be read".to_owned());
    }
    let turn = if file.turn.enabled { Some(turn(args, &file, &folder, &listen, tls.is_some())?) } else { None };
    let relays = file.relay.iter().map(|relay| foreign_relay(relay, &folder)).collect::<Result<_, _>>()?;
    let certificate_lifetime = file.certificate_lifetime.map_or(Duration::from_secs(24 * 3_600), |span| span.0);
    if !(Duration::from_secs(1)..=Duration::from_secs(366 * 24 * 3_600)).contains(&certificate_lifetime) {
        return problem("certificate_lifetime must be from one second to 366 days");
    }
    Ok(Settings {
        dev,
        listen,
        tls,
        hosts,
        authority,
        authorities,
        certificate_lifetime,
        apps: file.app,
        rendezvous: file.rendezvous,
        limits: file.limits,
        http: file.http,
        turn,
        relays,
        log: args.log.or(file.log.level).unwrap_or(tracing::Level::INFO),
        warnings,
    })
}

fn problem<T>(text: impl Into<String>) -> Result<T, Problem> {
    Err(Problem(text.into()))
}

fn parse(path: &Path) -> Result<File, Problem> {
    let bytes = files::read(path, MAX_FILE).map_err(|e| Problem(format!("{e}; --config names the configuration")))?;
    let text = String::from_utf8(bytes).map_err(|_| Problem(format!("{} is no text in UTF-8", path.display())))?;
    toml::from_str(&text).map_err(|e| Problem(format!("{}: {}", path.display(), e.to_string().trim_end())))
}

fn listen(args: &Args, file: &File, dev: bool) -> Result<Vec<SocketAddr>, Problem> {
    let mut listen = if args.listen.is_empty() { file.listen.clone() } else { args.listen.clone() };
    if listen.is_empty() {
        let ip = match (dev, args.dev_anywhere) {
            (true, false) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            (true, true) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            (false, _) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        listen.push(SocketAddr::new(ip, PORT));
    }
    if let Some(port) = args.port {
        if listen.len() > 1 && port != 0 {
            return problem(
                "--port says one port, and there are several addresses to listen on: name them with --listen",
            );
        }
        listen.iter_mut().for_each(|address| address.set_port(port));
    }
    if let Some(open) = listen.iter().find(|address| !address.ip().is_loopback())
        && dev
        && !args.dev_anywhere
    {
        return problem(format!(
            "--dev lets in whoever comes, so it listens on loopback alone, and {open} is not: leave --listen away, or \
             say --dev-anywhere if everybody who can reach this machine may come in"
        ));
    }
    Ok(listen)
}

fn hosts(file: &File, dev: bool, open: bool) -> Result<Option<Vec<String>>, Problem> {
    if file.public_hosts.is_empty() {
        if open && !dev {
            return problem(
                "public_hosts is missing: the names by which clients call this server, as they stand in their URL, such \
                 as public_hosts = [\"net.example.com\"]. A login is signed for one of them, so that nobody can pass \
                 it on from another server",
            );
        }
        return Ok(None);
    }
    if file.public_hosts.len() > MAX_HOSTS {
        return problem(format!("public_hosts has {} names, and {MAX_HOSTS} are the most", file.public_hosts.len()));
    }
    for host in &file.public_hosts {
        if host.is_empty() || host.contains(['/', '@', ' ']) || host.len() > 255 {
            return problem(format!(
                "public_hosts: {host:?} is no host as it stands in a URL: \"net.example.com\" or \"net.example.com:8765\""
            ));
        }
    }
    Ok(Some(file.public_hosts.iter().map(|host| host.to_ascii_lowercase()).collect()))
}

fn authority(file: &File, folder: &Path, dev: bool) -> Result<Option<Authority>, Problem> {
    let key = match &file.authority_key {
        Some(path) => files::read_secret(&folder.join(path), Purpose::Authority, false)
            .map_err(|e| Problem(format!("authority_key: {e}")))?,
        None if dev => SecretKey::generate(Purpose::Authority)
            .ok_or_else(|| Problem("the system gives no random numbers".to_owned()))?,
        None => return Ok(None),
    };
    Ok(key.authority())
}

fn check_apps(
    file: &File,
    authorities: &[[u8; 32]],
    certifies: bool,
    warnings: &mut Vec<String>,
) -> Result<(), Problem> {
    let has_backends = file.app.iter().any(|app| !app.backends.is_empty());
    if authorities.is_empty() && !has_backends {
        return problem(
            "nobody could log in: there is no authority_key, no authorities, and no [[app]] with backends. \
             `steamnetmsg authority new` makes an authority's key; to try things out, start with --dev",
        );
    }
    for (at, app) in file.app.iter().enumerate() {
        if file.app[..at].iter().any(|other| other.id == app.id) {
            return problem(format!("[[app]]: id {} stands there twice", app.id));
        }
    }
    if has_backends && !certifies {
        warnings.push("no authority_key: players who log in with a token get no certificate".to_owned());
    }
    Ok(())
}

fn check_limits(file: &File) -> Result<(), Problem> {
    let (limits, rendezvous) = (&file.limits, &file.rendezvous);
    let counts = [
        ("limits.connections", limits.connections as u64),
        ("limits.connections_per_source", limits.connections_per_source as u64),
        ("limits.connects_per_second_per_source", limits.connects_per_second_per_source),
        ("limits.waiting_for_login", limits.waiting_for_login as u64),
        ("limits.waiting_for_login_per_source", limits.waiting_for_login_per_source as u64),
        ("limits.signals_per_second", limits.signals_per_second),
        ("limits.signal_bytes_per_second", limits.signal_bytes_per_second),
        ("limits.signals_queued", limits.signals_queued as u64),
        ("turn.allocations", file.turn.allocations as u64),
        ("turn.allocations_per_user", file.turn.allocations_per_user as u64),
        ("turn.bytes_per_second_per_user", file.turn.bytes_per_second_per_user),
        ("turn.streams", file.turn.streams as u64),
        ("turn.streams_per_source", file.turn.streams_per_source as u64),
        ("turn.answers_per_second_per_source", file.turn.answers_per_second_per_source),
    ];
    if let Some((key, _)) = counts.iter().find(|(_, count)| *count == 0) {
        return problem(format!(
            "{key} is 0, and then nothing would work; to switch TURN off, say turn.enabled = false"
        ));
    }
    let spans = [
        ("rendezvous.login_time", rendezvous.login_time),
        ("rendezvous.ping_every", rendezvous.ping_every),
        ("rendezvous.silence", rendezvous.silence),
        ("turn.credentials_lifetime", file.turn.credentials_lifetime),
        ("turn.idle", file.turn.idle),
        ("turn.longest", file.turn.longest),
    ];
    let fits = |span: Duration| (Duration::from_millis(100)..=Duration::from_secs(366 * 24 * 3_600)).contains(&span);
    if let Some((key, _)) = spans.iter().find(|(_, span)| !fits(span.0)) {
        return problem(format!("{key} must be from 100 ms to 366 days"));
    }
    if rendezvous.silence <= rendezvous.ping_every {
        return problem(
            "rendezvous.silence must be longer than rendezvous.ping_every, or every client would be closed",
        );
    }
    Ok(())
}

fn turn(args: &Args, file: &File, folder: &Path, http: &[SocketAddr], has_tls: bool) -> Result<Turn, Problem> {
    let dev = args.dev || args.dev_anywhere;
    let from = &file.turn;
    let mut listen = from.listen.clone();
    if listen.is_empty() {
        listen = http.iter().map(|address| SocketAddr::new(address.ip(), TURN_PORT)).collect();
        listen.dedup();
    }
    if let Some(port) = args.turn_port.or(args.port.filter(|port| *port == 0)) {
        listen.iter_mut().for_each(|address| address.set_port(port));
    }
    if !args.dev_anywhere
        && dev
        && let Some(open) = listen.iter().find(|address| !address.ip().is_loopback())
    {
        return problem(format!(
            "--dev relays for whoever comes, so turn.listen must be on loopback, and {open} is not"
        ));
    }
    if !from.tls_listen.is_empty() && !has_tls {
        return problem("turn.tls_listen needs [tls] with certificate and key");
    }
    if from.realm.is_empty() || from.realm.len() > MAX_REALM || !from.realm.is_ascii() || from.realm.contains('"') {
        return problem(format!("turn.realm must be 1 to {MAX_REALM} characters of ASCII without quotes"));
    }
    let secret = secret("turn", from.secret.as_deref(), from.secret_file.as_deref(), folder)?;
    let secret = match secret {
        Some(secret) => secret,
        None => Zeroizing::new(crate::random::<32>()?.to_vec()),
    };
    let mut allowed = from.allowed_peers.clone();
    if dev {
        let own: &[&str] = if args.dev_anywhere {
            &["127.0.0.0/8", "::1", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]
        } else {
            &["127.0.0.0/8", "::1"]
        };
        allowed.extend(own.iter().filter_map(|text| text.parse::<Network>().ok()));
    }
    Ok(Turn {
        addresses: relay_addresses(from, &listen)?,
        listen,
        tls_listen: from.tls_listen.clone(),
        host: from.host.clone(),
        pop: from.pop.clone(),
        realm: from.realm.clone(),
        secret,
        credentials_lifetime: from.credentials_lifetime.0,
        ports: from.relay_ports,
        peers: Peers::new(&allowed, &from.denied_peers),
        allocations: from.allocations,
        allocations_per_user: from.allocations_per_user,
        bytes_per_second_per_user: from.bytes_per_second_per_user,
        streams: from.streams,
        streams_per_source: from.streams_per_source,
        answers_per_second_per_source: from.answers_per_second_per_source,
        idle: from.idle.0,
        longest: from.longest.0,
    })
}

/// One address a family: as configured, or that of the listeners, or that of the way out of this machine.
fn relay_addresses(from: &file::Turn, listen: &[SocketAddr]) -> Result<Vec<RelayAddress>, Problem> {
    let mut addresses: Vec<RelayAddress> = Vec::new();
    let add = |public: IpAddr, addresses: &mut Vec<RelayAddress>| {
        let same = |ip: &&IpAddr| ip.is_ipv4() == public.is_ipv4();
        let own = listen.iter().map(|address| address.ip()).find(|ip| same(&ip) && !ip.is_unspecified());
        let any = if public.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let bind = from.relay_bind.iter().find(same).copied().or(own).unwrap_or(any);
        addresses.push(RelayAddress { public, bind });
    };
    for public in &from.relay_addresses {
        if public.is_unspecified() || public.is_multicast() {
            return problem(format!("turn.relay_addresses: nothing can be sent to {public}"));
        }
        if addresses.iter().any(|other| other.public.is_ipv4() == public.is_ipv4()) {
            return problem(
                "turn.relay_addresses has two of one family, and peers are told one IPv4 and one IPv6 at most",
            );
        }
        add(*public, &mut addresses);
    }
    if addresses.is_empty() {
        for v4 in [true, false] {
            let of_family = |ip: &IpAddr| ip.is_ipv4() == v4;
            let mut ips = listen.iter().map(|address| address.ip());
            let public = ips.clone().find(|ip| of_family(ip) && !ip.is_unspecified()).or_else(|| {
                // `[::]` takes IPv4 as well.
                ips.any(|ip| ip.is_unspecified() && (of_family(&ip) || v4)).then(|| way_out(v4)).flatten()
            });
            if let Some(public) = public {
                add(public, &mut addresses);
            }
        }
    }
    if addresses.is_empty() {
        return problem(
            "turn.relay_addresses is missing, and this machine does not say by which address it is reached: name the \
             public one, as in turn.relay_addresses = [\"198.51.100.7\"]",
        );
    }
    Ok(addresses)
}

/// The address of this machine on its way to the internet. Nothing is sent: connecting a UDP socket asks the routing table.
fn way_out(v4: bool) -> Option<IpAddr> {
    let (own, far): (SocketAddr, SocketAddr) = if v4 {
        ((Ipv4Addr::UNSPECIFIED, 0).into(), (Ipv4Addr::new(192, 0, 2, 1), 9).into())
    } else {
        ((Ipv6Addr::UNSPECIFIED, 0).into(), (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9).into())
    };
    let socket = UdpSocket::bind(own).ok()?;
    socket.connect(far).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

fn foreign_relay(relay: &file::Relay, folder: &Path) -> Result<ForeignRelay, Problem> {
    if !(relay.url.starts_with("turn:") || relay.url.starts_with("turns:")) || relay.url.len() > 512 {
        return problem(format!(
            "[[relay]]: {:?} is no TURN URL; one is written turn:relay.example.com:3478?transport=udp",
            relay.url
        ));
    }
    let secret = secret("relay", relay.secret.as_deref(), relay.secret_file.as_deref(), folder)?;
    let Some(secret) = secret else {
        return problem(format!(
            "[[relay]] {}: it has neither secret nor secret_file; with coturn it is what stands behind \
             static-auth-secret",
            relay.url
        ));
    };
    Ok(ForeignRelay { url: relay.url.clone(), pop: relay.pop.clone(), secret })
}

fn secret(
    of: &str,
    text: Option<&str>,
    path: Option<&Path>,
    folder: &Path,
) -> Result<Option<Zeroizing<Vec<u8>>>, Problem> {
    let secret = match (text, path) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return problem(format!("{of}: there is a secret and a secret_file; keep one")),
        (Some(text), None) => Zeroizing::new(text.as_bytes().to_vec()),
        (None, Some(path)) => {
            let path = folder.join(path);
            let bytes = fs::read(&path)
                .map_err(|e| Problem(format!("{of}.secret_file: cannot read {}: {e}", path.display())))?;
            Zeroizing::new(bytes.trim_ascii().to_vec())
        }
    };
    if secret.len() < MIN_SECRET {
        return problem(format!("{of}: the secret has {} bytes, and {MIN_SECRET} are the least", secret.len()));
    }
    Ok(Some(secret))
}

impl Settings {
    /// The authority's public key in text, for TRUSTED_AUTHORITIES.
    pub fn authority_key(&self) -> Option<String> {
        self.authority.as_ref().map(|authority| PublicKey(authority.public_key()).to_string())
    }
}
