//! How it begins and ends: addresses taken, everything started, signals of the system heard, and all told when it is over.
//!
//! The first line on stdout is JSON, once everything listens; everything for people goes to stderr.

use crate::args::{Args, Command};
use crate::config::{self, PORT, Problem, Settings, TURN_PORT};
use crate::counters::Counters;
use crate::http::{self, Site};
use crate::limits::{FORGET_EVERY, Places};
use crate::rendezvous::{Offer, Rendezvous, authority_part};
use crate::serve::{self, Serving};
use crate::turn::{Relay, stream, udp};
use serde::Serialize;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UdpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{interval, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{error, info, warn};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How long clients have to hear that the server ends.
const GOODBYE: Duration = Duration::from_secs(5);

/// A free port has to be free for TCP and UDP both; so often that is tried.
const TRIES: usize = 32;

/// Connections for HTTP beside the WebSockets, and beside those of one source.
const BESIDE: usize = 1_024;
const BESIDE_OF_SOURCE: usize = 32;

/// Why the program ends otherwise than asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Config(#[from] Problem),
    #[error("{0}")]
    Listen(String),
    #[error("{0}")]
    Broken(String),
}

impl Failure {
    /// As `--help` lists them.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Broken(_) => 1,
            Failure::Config(_) => 2,
            Failure::Listen(_) => 3,
        }
    }
}

/// What the first line on stdout says.
#[derive(Debug, Serialize)]
struct Taken {
    /// What clients are given.
    url: String,
    listen: Vec<SocketAddr>,
    /// Their URLs, as clients are told them.
    turn: Vec<String>,
    stun: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<SocketAddr>,
    /// For TRUSTED_AUTHORITIES.
    #[serde(skip_serializing_if = "Option::is_none")]
    authority: Option<String>,
}

/// The sockets of STUN and TURN.
#[derive(Default)]
struct TurnSockets {
    udp: Vec<(UdpSocket, SocketAddr)>,
    tcp: Vec<(TcpListener, SocketAddr)>,
    tls: Vec<(TcpListener, SocketAddr)>,
}

/// Runs until the system says that it is over.
///
/// # Errors
/// See [`Failure`].
pub fn run(args: &Args) -> Result<(), Failure> {
    let settings = config::read(args)?;
    if let Some(Command::CheckConfig) = args.command {
        for warning in &settings.warnings {
            eprintln!("warning: {warning}");
        }
        println!("the configuration is good");
        return Ok(());
    }
    log_to_stderr(settings.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::Broken(format!("cannot start: {e}")))?;
    runtime.block_on(serve_until_told(settings))
}

fn log_to_stderr(level: tracing::Level) {
    // The libraries of STUN and TURN say a word on every datagram of a stranger.
    let ours = Targets::new()
        .with_default(LevelFilter::from_level(level).min(LevelFilter::INFO))
        .with_target("steamnetmsg_server", level)
        .with_targets(
            ["turn_server_proto", "turn_types", "stun_proto", "stun_types"].map(|name| (name, LevelFilter::OFF)),
        );
    let writer = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false);
    tracing_subscriber::registry().with(writer).with(ours).init();
}

async fn serve_until_told(settings: Settings) -> Result<(), Failure> {
    let settings = Arc::new(settings);
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|e| Failure::Broken(format!("cannot count: {e}")))?;
    let counters = Arc::new(Counters::new());

    // Everything that can fail comes first.
    let mut listeners = Vec::new();
    for address in &settings.listen {
        listeners.push(taken(serve::bind(*address), *address, "--port or --listen")?);
    }
    let metrics_listener = match settings.http.metrics_listen {
        Some(address) => Some(taken(serve::bind(address), address, "http.metrics_listen")?),
        None => None,
    };
    let sockets = turn_sockets(&settings)?;
    let mut hangups = signal(SignalKind::hangup()).map_err(broken)?;
    let mut terms = signal(SignalKind::terminate()).map_err(broken)?;
    let mut interrupts = signal(SignalKind::interrupt()).map_err(broken)?;

    let (turn, stun) = offers(&settings, &sockets);
    let listen: Vec<SocketAddr> = listeners.iter().map(|(_, address)| *address).collect();
    let said = Taken {
        url: url(&settings, listen[0]),
        listen,
        turn: turn.iter().map(|offer| offer.url.clone()).collect(),
        stun: stun.clone(),
        metrics: metrics_listener.as_ref().map(|(_, address)| *address),
        authority: settings.authority_key(),
    };

    let (close, closing) = watch::channel(false);
    let (alive, mut all_gone) = mpsc::channel(1);
    start_turn(&settings, sockets, &counters, &closing)?;
    let rendezvous = Arc::new(Rendezvous::new(settings.clone(), counters, turn, stun));
    let site = Site { rendezvous: rendezvous.clone(), metrics, closing: closing.clone() };
    let limits = &settings.limits;
    let of_source = limits.connections_per_source.saturating_add(BESIDE_OF_SOURCE);
    let serving = Serving {
        router: http::site(site.clone()),
        places: Places::new(limits.connections.saturating_add(BESIDE), of_source),
        proxies: settings.http.trusted_proxies.clone().into(),
        closing: closing.clone(),
        alive: alive.clone(),
    };
    let behind_proxies = Places::new(limits.connections.saturating_add(BESIDE), usize::MAX);
    let tls = settings.tls.as_ref().map(|pair| TlsAcceptor::from(pair.server_config(&[b"http/1.1"])));
    for (listener, _) in listeners {
        tokio::spawn(serve::run(listener, tls.clone(), serving.clone(), behind_proxies.clone()));
    }
    if let Some((listener, _)) = metrics_listener {
        let serving = Serving { router: http::metrics_site(site), ..serving.clone() };
        tokio::spawn(serve::run(listener, None, serving, behind_proxies.clone()));
    }
    drop((serving, alive));

    announce(&settings, &said)?;
    let mut forget = interval(FORGET_EVERY);
    loop {
        tokio::select! {
            _ = hangups.recv() => reload(&settings),
            _ = terms.recv() => break,
            _ = interrupts.recv() => break,
            _ = forget.tick() => rendezvous.forget(),
        }
    }
    info!(online = rendezvous.online(), "ending");
    // Nobody listening any more is no reason not to end.
    let _ = close.send(true);
    if timeout(GOODBYE, all_gone.recv()).await.is_err() {
        warn!("some connections did not end in time");
    }
    Ok(())
}

fn turn_sockets(settings: &Settings) -> Result<TurnSockets, Failure> {
    let mut sockets = TurnSockets::default();
    let Some(turn) = &settings.turn else { return Ok(sockets) };
    for address in &turn.listen {
        let (tcp, udp) = both(*address)?;
        sockets.tcp.push(tcp);
        sockets.udp.push(udp);
    }
    for address in &turn.tls_listen {
        sockets.tls.push(taken(serve::bind(*address), *address, "turn.tls_listen")?);
    }
    Ok(sockets)
}

type Bound<S> = (S, SocketAddr);

/// TCP and UDP on one port.
fn both(address: SocketAddr) -> Result<(Bound<TcpListener>, Bound<UdpSocket>), Failure> {
    let mut tries = 1..=TRIES;
    loop {
        let (tcp, taken_by_tcp) = taken(serve::bind(address), address, "--turn-port")?;
        match udp::bind(taken_by_tcp) {
            Err(e) if address.port() == 0 && e.kind() == ErrorKind::AddrInUse && tries.next().is_some() => {}
            udp => {
                let udp = udp.and_then(|udp| udp.local_addr().map(|local| (udp, local)));
                let udp = udp.map_err(|e| Failure::Listen(cannot_listen(taken_by_tcp, "UDP", &e, "--turn-port")))?;
                return Ok(((tcp, taken_by_tcp), udp));
            }
        }
    }
}

fn taken(bound: io::Result<TcpListener>, address: SocketAddr, change: &str) -> Result<Bound<TcpListener>, Failure> {
    let bound = bound.and_then(|listener| listener.local_addr().map(|local| (listener, local)));
    bound.map_err(|e| Failure::Listen(cannot_listen(address, "TCP", &e, change)))
}

fn cannot_listen(address: SocketAddr, protocol: &str, error: &io::Error, change: &str) -> String {
    let advice = match error.kind() {
        ErrorKind::AddrInUse => format!(
            "another program has it (`ss -lnp | grep :{}` shows which); choose another with {change}, where port 0 takes \
             any that is free",
            address.port()
        ),
        ErrorKind::PermissionDenied => {
            format!("ports below 1024 need the capability CAP_NET_BIND_SERVICE; or choose another with {change}")
        }
        ErrorKind::AddrNotAvailable => format!("this machine has no such address; choose another with {change}"),
        _ => format!("choose another with {change}"),
    };
    format!("cannot listen on {address} ({protocol}): {error}; {advice}")
}

fn start_turn(
    settings: &Settings,
    sockets: TurnSockets,
    counters: &Arc<Counters>,
    closing: &watch::Receiver<bool>,
) -> Result<(), Failure> {
    let Some(turn) = &settings.turn else { return Ok(()) };
    let relay = Relay::new(turn, counters.clone())?;
    for (socket, address) in sockets.udp {
        tokio::spawn(udp::run(relay.clone(), Arc::new(socket), address));
    }
    let places = Places::new(turn.streams, turn.streams_per_source);
    let tls = settings.tls.as_ref().map(|pair| TlsAcceptor::from(pair.server_config(&[b"stun.turn"])));
    let streams = sockets.tcp.into_iter().map(|bound| (bound, None));
    for ((listener, address), tls) in streams.chain(sockets.tls.into_iter().map(|bound| (bound, tls.clone()))) {
        tokio::spawn(stream::run(relay.clone(), listener, address, tls, places.clone(), closing.clone()));
    }
    tokio::spawn(relay.sweep());
    Ok(())
}

/// The relays that clients are told of, ours first, and where they may ask for their own address.
fn offers(settings: &Settings, sockets: &TurnSockets) -> (Vec<Offer>, Vec<String>) {
    let (mut offers, mut stun) = (Vec::<Offer>::new(), Vec::new());
    if let Some(turn) = &settings.turn {
        let host = |listen: &SocketAddr| {
            let of_family = |address: &&config::RelayAddress| address.public.is_ipv4() == listen.is_ipv4();
            let address = turn.addresses.iter().find(of_family).or(turn.addresses.first());
            let host = turn.host.clone().or_else(|| address.map(|address| address.public.to_string()));
            authority_part(&host.unwrap_or_default(), listen.port())
        };
        let mut offer = |url: String| {
            if offers.iter().all(|other| other.url != url) {
                let (secret, lifetime) = (turn.secret.clone(), turn.credentials_lifetime);
                offers.push(Offer { url, pop: turn.pop.clone(), secret, lifetime });
            }
        };
        for (_, address) in &sockets.udp {
            offer(format!("turn:{}?transport=udp", host(address)));
            stun.push(host(address));
        }
        sockets.tcp.iter().for_each(|(_, address)| offer(format!("turn:{}?transport=tcp", host(address))));
        sockets.tls.iter().for_each(|(_, address)| offer(format!("turns:{}?transport=tcp", host(address))));
        stun.dedup();
    }
    let lifetime = settings.turn.as_ref().map_or(Duration::from_secs(12 * 3_600), |turn| turn.credentials_lifetime);
    offers.extend(settings.relays.iter().map(|relay| Offer {
        url: relay.url.clone(),
        pop: relay.pop.clone(),
        secret: relay.secret.clone(),
        lifetime,
    }));
    (offers, stun)
}

/// What clients are given: by the first public name, or by where it listens.
fn url(settings: &Settings, listen: SocketAddr) -> String {
    let scheme = if settings.tls.is_some() { "wss" } else { "ws" };
    if let Some(host) = settings.hosts.as_ref().and_then(|hosts| hosts.first()) {
        // Whether a proxy in front speaks TLS is not known here; on the open internet it should.
        let scheme = if settings.tls.is_none() && !host.contains(':') { "wss" } else { scheme };
        return format!("{scheme}://{host}");
    }
    let ip = match settings.turn.as_ref().and_then(|turn| turn.addresses.first()) {
        Some(address) if listen.ip().is_unspecified() => address.public,
        _ if listen.ip().is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        _ => listen.ip(),
    };
    format!("{scheme}://{}", authority_part(&ip.to_string(), listen.port()))
}

fn announce(settings: &Settings, said: &Taken) -> Result<(), Failure> {
    for warning in &settings.warnings {
        warn!("{warning}");
    }
    if settings.dev {
        eprintln!(
            "\n  *** FOR TRYING OUT ONLY (--dev): whoever logs in is certified as whoever he says he is. ***\n  \
             The authority is made on the spot, and gone when this ends.\n\n  give to clients:  {}\n",
            said.url
        );
    }
    info!(url = said.url, stun = ?said.stun, "listening; usual ports are {PORT} and {TURN_PORT}");
    let line = serde_json::to_string(said).map_err(broken)?;
    let mut stdout = io::stdout().lock();
    // Nobody has to read it.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    Ok(())
}

fn reload(settings: &Settings) {
    match settings.tls.as_ref().map(|pair| pair.reload()) {
        None => info!("SIGHUP: there is no [tls] to read anew; other settings need a restart"),
        Some(Ok(())) => info!("SIGHUP: TLS files read anew"),
        Some(Err(why)) => error!("SIGHUP: the old TLS files stay in use: {why}"),
    }
}

fn broken(error: impl std::fmt::Display) -> Failure {
    Failure::Broken(format!("cannot go on: {error}"))
}
