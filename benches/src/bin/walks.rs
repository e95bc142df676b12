//! How many instructions the hot walks take: a small message out and in, a full packet out and in, an idle turn.
//!
//! Times swing on a busy machine, instruction counts do not: the core is driven here without socket, clock or chance.
//! Without an argument it runs itself under valgrind's callgrind once for each walk and prints a table; `--twice` does
//! that twice and fails when the counts differ by 1 % or more. With a walk's name it just does that walk.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, ExitCode};
use steamnetmsg::endpoint::config::Config;
use steamnetmsg::endpoint::events::Event;
use steamnetmsg::endpoint::mailbox::Message;
use steamnetmsg::endpoint::{Endpoint, flags};
use steamnetmsg::ids::{Channel, SteamId};
use steamnetmsg::machine::{Datagram, Machine, TransmitBuf};
use steamnetmsg::settings::Settings;
use steamnetmsg::time::{Duration, Instant};

/// Name, what it is, and the function whose instructions count.
const WALKS: [(&str, &str, &str); 5] = [
    ("small-out", "a 64-byte reliable message out: send and seal its packet", "walk_out"),
    ("small-in", "the same in: open its packet and hand it to the app", "walk_in"),
    ("full-out", "a message that fills a packet, out", "walk_out"),
    ("full-in", "the same in", "walk_in"),
    ("idle-turn", "a turn with 1,000 sessions in which nothing is due", "walk_idle"),
];

/// Each walk is done so often; the table has the mean.
const TIMES: usize = 200;

const SMALL: usize = 64;
/// A packet that counts as full: what a path to the internet passes, or less while the library sends no longer ones.
const FULL_PACKET: usize = 1_400;
const SESSIONS: usize = 1_000;
const SERVER: SteamId = SteamId(1);

/// Counts of two runs differ by less than this, or something left to chance is in them.
const TOLERANCE: f64 = 0.01;

fn main() -> ExitCode {
    let argument = std::env::args().nth(1);
    let outcome = match argument.as_deref() {
        None => table(false),
        Some("--twice") => table(true),
        Some(name) => walk(name),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("walks: {fault}");
            ExitCode::FAILURE
        }
    }
}

// ---- counting ----

fn table(twice: bool) -> Result<(), String> {
    println!("{:>12}  walk", "instructions");
    for (name, what, function) in WALKS {
        let (count, says) = instructions(name, function)?;
        println!("{count:>12.0}  {name}: {what}{says}");
        if twice {
            let (again, _) = instructions(name, function)?;
            if (again - count).abs() >= TOLERANCE * count {
                return Err(format!("{name}: {count} instructions, then {again}"));
            }
        }
    }
    Ok(())
}

/// The mean count of a walk, and what it says of itself.
fn instructions(name: &str, function: &str) -> Result<(f64, String), String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let out = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg(format!("--toggle-collect=*{function}*"))
        .arg(program)
        .arg(name)
        .output();
    let out = out.map_err(|_| "there is no valgrind: apt-get install valgrind".to_owned())?;
    let text = String::from_utf8_lossy(&out.stderr);
    let collected = text.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse::<f64>().ok());
    let collected = collected.filter(|count| out.status.success() && *count > 0.0);
    let collected = collected.ok_or(format!("{name} was not counted:\n{text}"))?;
    let says = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    Ok((collected / TIMES as f64, if says.is_empty() { says } else { format!(", {says}") }))
}

// ---- the walks ----

fn walk(name: &str) -> Result<(), String> {
    match name {
        "small-out" | "small-in" => exchange_messages(Hub::new(1), SMALL),
        "full-out" | "full-in" => {
            let mut hub = Hub::new(1);
            let packet = hub.first_packet_of(20_000).min(FULL_PACKET);
            let headers = hub.first_packet_of(1_000) - 1_000;
            exchange_messages(hub, packet - headers);
        }
        "idle-turn" => {
            let mut hub = Hub::new(SESSIONS);
            hub.quieten();
            for _ in 0..TIMES {
                walk_idle(&mut hub.server, hub.now, &mut hub.out);
            }
        }
        _ => return Err(format!("there is no walk {name:?}")),
    }
    Ok(())
}

/// Sends messages of a size from a client to the server, each in a packet of its own, both walks of each. Says how long
/// the packets are.
fn exchange_messages(mut hub: Hub, size: usize) {
    let packets: Vec<usize> = (0..TIMES).map(|_| hub.measured(size)).collect();
    println!("in a packet of {} bytes", packets[TIMES / 2]);
}

#[inline(never)]
fn walk_out(client: &mut Endpoint, now: Instant, payload: Box<[u8]>, out: &mut TransmitBuf) {
    client.send(now, SERVER, payload, flags::RELIABLE | flags::NO_NAGLE, Channel(0)).expect("there is room");
    client.poll_transmit(now, out).expect("it leaves at once");
}

#[inline(never)]
fn walk_in(server: &mut Endpoint, now: Instant, datagram: Datagram<'_>, messages: &mut Vec<Message>) {
    server.handle_datagram(now, datagram);
    server.mailbox().take(Channel(0), 16, messages);
}

#[inline(never)]
fn walk_idle(server: &mut Endpoint, now: Instant, out: &mut TransmitBuf) {
    server.handle_timeout(now);
    assert!(server.poll_transmit(now, out).is_none(), "nothing is due");
    std::hint::black_box(server.poll_timeout());
}

// ---- a server and its clients, without a network ----

struct Hub {
    server: Endpoint,
    clients: Vec<Endpoint>,
    now: Instant,
    out: TransmitBuf,
    messages: Vec<Message>,
}

fn endpoint(steam_id: SteamId, now: Instant) -> Endpoint {
    // Nobody is given up while the others connect one after the other.
    let hour = Duration::from_secs(3_600);
    let settings = Settings {
        allow_without_auth: true,
        timeout_connected: hour,
        session_idle_timeout: hour,
        ..Settings::default()
    };
    let config = Config { steam_id, bind: vec![address(steam_id)], settings, ..Config::new() };
    let seed = [steam_id.0 as u8; 32];
    Endpoint::new(config, seed, 3, now).expect("the configuration is valid")
}

fn address(steam_id: SteamId) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 10_000 + steam_id.0 as u16))
}

impl Hub {
    /// A server and so many clients, all connected.
    fn new(clients: usize) -> Hub {
        let now = Instant::from_nanos(1_000_000_000);
        let out = TransmitBuf::new(1);
        let server = endpoint(SERVER, now);
        let mut hub = Hub { server, clients: Vec::new(), now, out, messages: Vec::new() };
        for n in 0..clients {
            let mut client = endpoint(SteamId(n as u64 + 2), hub.now);
            client.add_peer_address(hub.now, SERVER, address(SERVER)).expect("there is room");
            let hello = Box::from(b"hello".as_slice());
            client.send(hub.now, SERVER, hello, flags::RELIABLE, Channel(0)).expect("there is room");
            hub.clients.push(client);
            for _ in 0..1_000 {
                hub.step(n, Duration::from_millis(1));
                if hub.server.mailbox().take(Channel(0), 16, &mut hub.messages) > 0 {
                    break;
                }
            }
            assert_eq!(hub.messages.len(), 1, "client {n} is heard");
            hub.messages.clear();
        }
        // Whatever a young session has to settle, it has settled.
        for _ in 0..if clients == 1 { 3_000 } else { 0 } {
            hub.step(0, Duration::from_millis(1));
        }
        hub
    }

    /// Sends a message of a size to the server, which acknowledges it before anything else; length of its packet.
    fn measured(&mut self, size: usize) -> usize {
        walk_out(&mut self.clients[0], self.now, vec![7; size].into(), &mut self.out);
        let mut bytes = std::mem::take(&mut self.out.bytes);
        self.now += Duration::from_millis(5);
        let datagram = Datagram { remote: address(SteamId(2)), bytes: &mut bytes };
        walk_in(&mut self.server, self.now, datagram, &mut self.messages);
        assert_eq!(self.messages.len(), 1, "a message of {size} bytes fits a packet; this one had {}", bytes.len());
        self.messages.clear();
        let length = bytes.len();
        self.out.bytes = bytes;
        self.rest();
        length
    }

    /// Sends a message, uncounted; how long its first packet is.
    fn first_packet_of(&mut self, size: usize) -> usize {
        let flags = flags::RELIABLE | flags::NO_NAGLE;
        self.clients[0].send(self.now, SERVER, vec![7; size].into(), flags, Channel(0)).expect("there is room");
        self.clients[0].poll_transmit(self.now, &mut self.out).expect("it leaves at once");
        let length = self.out.bytes.len();
        let datagram = Datagram { remote: address(SteamId(2)), bytes: &mut self.out.bytes };
        self.server.handle_datagram(self.now, datagram);
        self.rest();
        self.server.mailbox().take(Channel(0), 16, &mut self.messages);
        self.messages.clear();
        self.rest();
        length
    }

    /// Lets everything be acknowledged.
    fn rest(&mut self) {
        (0..100).for_each(|_| self.step(0, Duration::from_millis(1)));
    }

    /// Lets time pass and a client and the server say what they want to.
    fn step(&mut self, n: usize, span: Duration) {
        self.now += span;
        let now = self.now;
        self.server.handle_reads(now);
        self.server.handle_timeout(now);
        self.clients[n].handle_timeout(now);
        loop {
            let mut quiet = true;
            while self.clients[n].poll_transmit(now, &mut self.out).is_some() {
                let remote = address(SteamId(n as u64 + 2));
                self.server.handle_datagram(now, Datagram { remote, bytes: &mut self.out.bytes });
                quiet = false;
            }
            while let Some(event) = self.server.poll_event() {
                if let Event::SessionRequest { from } = event {
                    self.server.accept(now, from);
                }
            }
            while let Some(transmit) = self.server.poll_transmit(now, &mut self.out) {
                let to = usize::from(transmit.remote.port() - 10_002);
                let datagram = Datagram { remote: address(SERVER), bytes: &mut self.out.bytes };
                self.clients[to].handle_datagram(now, datagram);
                quiet = false;
            }
            if quiet {
                break;
            }
        }
    }

    /// Lets everybody say what is left to say, until the server has nothing due.
    fn quieten(&mut self) {
        for _ in 0..20 {
            for n in 0..self.clients.len() {
                self.step(n, Duration::from_micros(10));
            }
        }
        while self.server.poll_timeout().is_some_and(|due| due.at <= self.now) {
            self.step(0, Duration::from_micros(10));
        }
    }
}
