//! Where an attack happens: the simulated world, or real sockets on loopback. Both look the same to it.

use crate::app::CONNECTED;
use crate::sim::{Node, World, nth_address};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use steamnetmsg::crypto::certificate::{Authority, Certificate, Claims};
use steamnetmsg::crypto::identity::Identity;
use steamnetmsg::driver::{self, Driver};
use steamnetmsg::endpoint::config::{Config, Scope, Value};
use steamnetmsg::endpoint::events::Event;
use steamnetmsg::endpoint::{SessionInfo, flags};
use steamnetmsg::ids::{AppId, Channel, SteamId};
use steamnetmsg::time::Duration;

/// The app of everybody honest.
pub const APP: AppId = AppId(480);

/// When the certificates of everybody honest were issued, and when they end.
pub const ISSUED: u64 = 1_800_000_000;
pub const EXPIRES: u64 = ISSUED + 86_400;

/// An attempt to connect is over after so long: short, because attacks are many and some take real time.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Datagrams with the other end of each.
pub type Mail = Vec<(SocketAddr, Vec<u8>)>;

/// One honest endpoint of the stage.
pub type Who = usize;

/// The authority everybody honest trusts, by number; only the first one's word counts.
pub fn authority(n: u8) -> Authority {
    Authority::from_seed(&[n; 32])
}

/// What the honest user of this steam id signs with.
pub fn seed_of(steam_id: u64) -> [u8; 32] {
    [steam_id as u8; 32]
}

/// What a true certificate of an honest user says.
pub fn claims_of(steam_id: u64) -> Claims {
    let identity_key = Identity::from_seed(&seed_of(steam_id)).public_key();
    Claims { app: APP, steam_id: SteamId(steam_id), identity_key, issued_at: ISSUED, expires_at: EXPIRES }
}

/// The true certificate of an honest user.
pub fn certificate_of(steam_id: u64) -> Certificate {
    authority(1).issue(&claims_of(steam_id))
}

/// `TRUSTED_AUTHORITIES` with these authorities in it.
pub fn list(trusted: &[u8]) -> String {
    use base64::Engine;
    let key = |n: &u8| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(authority(*n).public_key());
    trusted.iter().map(key).collect::<Vec<_>>().join(",")
}

fn honest(config: &mut Config, steam_id: u64) {
    let (seed, certificate) = (seed_of(steam_id), certificate_of(steam_id));
    // The second authority was once trusted.
    let authorities = format!("{},!{}", list(&[1]), list(&[2]));
    let mut set = |key, value| config.set(key, value, Scope::Create).expect("honest settings are valid");
    set(10_000, Value::Int(steam_id as i64));
    set(10_003, Value::Bytes(&seed));
    set(10_004, Value::Bytes(certificate.as_bytes()));
    set(10_005, Value::String(&authorities));
    set(23, Value::Int(0));
    set(24, Value::Int(PATIENCE.as_millis() as i64));
}

/// A place with honest endpoints, certified and trusting authority 1, and one seat for Mallory.
pub trait Stage {
    /// An honest endpoint.
    fn add(&mut self, steam_id: u64) -> Who;
    /// Where Mallory sits.
    fn evil(&self) -> SocketAddr;
    fn address(&self, who: Who) -> SocketAddr;
    /// Tells `at` where `about` is said to be.
    fn tell(&mut self, at: Who, about: u64, address: SocketAddr);
    /// A reliable message on channel 0.
    fn send(&mut self, from: Who, to: u64, bytes: &[u8]);
    fn accept(&mut self, at: Who, whom: u64) -> bool;
    /// Everything that waits on channel 0: who sent it, and what.
    fn receive(&mut self, at: Who) -> Vec<(u64, Vec<u8>)>;
    fn info(&mut self, at: Who, about: u64) -> SessionInfo;
    /// Everything `at` was told so far.
    fn events(&mut self, at: Who) -> Vec<Event>;
    /// Mallory sends.
    fn carry(&mut self, mail: Mail);
    /// A moment passes; what came to Mallory in it.
    fn turn(&mut self) -> Mail;
}

/// What every stage can do with these.
impl dyn Stage + '_ {
    /// Lets Mallory play until `done` or until it has lost, a dozen seconds at most; says whether it came to that.
    pub fn play(&mut self, mallory: &mut dyn Mallory, mut done: impl FnMut(&mut dyn Stage) -> bool) -> bool {
        let start = mallory.start();
        self.carry(start);
        for _ in 0..12_000 {
            if done(self) || mallory.has_lost() {
                return true;
            }
            for (from, bytes) in self.turn() {
                let answer = mallory.handle(from, &bytes);
                self.carry(answer);
            }
        }
        false
    }

    /// Lets Mallory play for a while after all is decided.
    pub fn play_on(&mut self, mallory: &mut dyn Mallory) {
        let mut turns = 0;
        self.play(mallory, |_| {
            turns += 1;
            turns > 400
        });
    }

    pub fn is_connected(&mut self, at: Who, to: u64) -> bool {
        self.info(at, to).state == CONNECTED
    }

    /// Nobody was let in and nobody asked `at`.
    pub fn assert_untouched(&mut self, at: Who) {
        assert_eq!(self.events(at), [], "nobody asked for anything");
        assert_eq!(self.receive(at), [], "nothing was delivered");
    }
}

/// Who attacks: gets what comes to one address, and answers.
pub trait Mallory {
    fn start(&mut self) -> Mail {
        Mail::new()
    }
    fn handle(&mut self, from: SocketAddr, bytes: &[u8]) -> Mail;
    /// It was told why it is refused.
    fn has_lost(&self) -> bool {
        false
    }
}

/// The simulated world: virtual time, no loss.
pub struct Simulated {
    world: World,
    nodes: Vec<Node>,
}

impl Simulated {
    pub fn new() -> Simulated {
        let mut world = World::new(7);
        world.listen();
        Simulated { world, nodes: Vec::new() }
    }
}

impl Stage for Simulated {
    fn add(&mut self, steam_id: u64) -> Who {
        self.nodes.push(self.world.add_with(steam_id, |config| honest(config, steam_id)));
        self.nodes.len() - 1
    }

    fn evil(&self) -> SocketAddr {
        nth_address(66, 6)
    }

    fn address(&self, who: Who) -> SocketAddr {
        self.world.address(self.nodes[who])
    }

    fn tell(&mut self, at: Who, about: u64, address: SocketAddr) {
        let now = self.world.now();
        self.world.machine(self.nodes[at]).add_peer_address(now, SteamId(about), address).expect("there is room");
    }

    fn send(&mut self, from: Who, to: u64, bytes: &[u8]) {
        self.world.send_to_id(self.nodes[from], SteamId(to), 0, flags::RELIABLE, bytes).expect("it is queued");
    }

    fn accept(&mut self, at: Who, whom: u64) -> bool {
        let now = self.world.now();
        self.world.machine(self.nodes[at]).accept(now, SteamId(whom))
    }

    fn receive(&mut self, at: Who) -> Vec<(u64, Vec<u8>)> {
        self.world.receive(self.nodes[at], 0).into_iter().map(|m| (m.from.0, m.payload.to_vec())).collect()
    }

    fn info(&mut self, at: Who, about: u64) -> SessionInfo {
        let now = self.world.now();
        self.world.machine(self.nodes[at]).session_info(now, SteamId(about)).0
    }

    fn events(&mut self, at: Who) -> Vec<Event> {
        self.world.settle();
        self.world.host(self.nodes[at]).events.iter().map(|(_, event)| event.clone()).collect()
    }

    fn carry(&mut self, mail: Mail) {
        for (to, bytes) in mail {
            let node = self.nodes.iter().copied().find(|node| self.world.address(*node) == to);
            let evil = self.evil();
            if let Some(node) = node {
                self.world.inject(node, evil, &bytes);
            }
        }
    }

    fn turn(&mut self) -> Mail {
        self.world.run(Duration::from_millis(1));
        let evil = self.evil();
        let heard = self.world.take_overheard();
        heard.into_iter().filter(|datagram| datagram.to == evil).map(|d| (d.source, d.bytes)).collect()
    }
}

/// Real sockets, the poll thread, real time.
pub struct Real {
    socket: UdpSocket,
    endpoints: Vec<(Arc<Driver>, Vec<Event>)>,
}

impl Real {
    pub fn new() -> Real {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port on loopback");
        socket.set_read_timeout(Some(Duration::from_millis(1))).expect("a timeout");
        Real { socket, endpoints: Vec::new() }
    }

    fn driver(&self, who: Who) -> &Driver {
        &self.endpoints[who].0
    }
}

impl Stage for Real {
    fn add(&mut self, steam_id: u64) -> Who {
        let mut config = Config::new();
        honest(&mut config, steam_id);
        config.set(10_002, Value::String("127.0.0.1:0"), Scope::Create).expect("loopback");
        let driver = driver::open(config, None).expect("an endpoint");
        self.endpoints.push((driver, Vec::new()));
        self.endpoints.len() - 1
    }

    fn evil(&self) -> SocketAddr {
        self.socket.local_addr().expect("it is bound")
    }

    fn address(&self, who: Who) -> SocketAddr {
        self.driver(who).local_addresses()[0]
    }

    fn tell(&mut self, at: Who, about: u64, address: SocketAddr) {
        let told = self.driver(at).with_endpoint(|e, now| e.add_peer_address(now, SteamId(about), address));
        told.expect("it lives").expect("there is room");
    }

    fn send(&mut self, from: Who, to: u64, bytes: &[u8]) {
        let sent = self.driver(from).send(SteamId(to), bytes, flags::RELIABLE, Channel(0));
        sent.expect("it lives").expect("it is queued");
    }

    fn accept(&mut self, at: Who, whom: u64) -> bool {
        self.driver(at).with_endpoint(|e, now| e.accept(now, SteamId(whom))).expect("it lives")
    }

    fn receive(&mut self, at: Who) -> Vec<(u64, Vec<u8>)> {
        let mut out = Vec::new();
        self.driver(at).receive(Channel(0), usize::MAX, &mut out);
        out.into_iter().map(|m| (m.from.0, m.payload.to_vec())).collect()
    }

    fn info(&mut self, at: Who, about: u64) -> SessionInfo {
        self.driver(at).with_endpoint(|e, now| e.session_info(now, SteamId(about))).expect("it lives").0
    }

    fn events(&mut self, at: Who) -> Vec<Event> {
        let (driver, events) = &mut self.endpoints[at];
        events.extend(std::iter::from_fn(|| driver.poll_event()));
        events.clone()
    }

    fn carry(&mut self, mail: Mail) {
        for (to, bytes) in mail {
            self.socket.send_to(&bytes, to).expect("loopback takes it");
        }
    }

    fn turn(&mut self) -> Mail {
        let mut buffer = [0; 2_048];
        match self.socket.recv_from(&mut buffer) {
            Ok((len, from)) => vec![(from, buffer[..len].to_vec())],
            Err(_) => Mail::new(), // nothing came within a millisecond
        }
    }
}
