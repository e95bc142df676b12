//! The relays of one endpoint outside it: their names become addresses, and those by TCP or TLS get their streams.
//!
//! The endpoint is told of all relays it may use ([`Relays::poll_servers`]): those of the settings first, then those
//! the signaling server names. It says when a stream is to be opened, written and closed. A stream carries datagrams
//! in disguise: what finds no room is lost whole, as it would be on a bad line, instead of arriving late.

use super::resolve::{Asked, Ring};
use super::signaling::TurnOffer;
use super::stream::{Proof, Stream};
use crate::endpoint::Endpoint;
use crate::endpoint::config::Config;
use crate::endpoint::relays::{RelayServer, StreamEvent, StreamWork, Transport};
use crate::endpoint::servers::{Carriage, MAX_RELAYS, Place, TurnUrl};
use crate::ids::RelayId;
use crate::time::{Duration, Instant};
use mio::{Registry, Token};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

/// Streams at once: one for each relay, and one more while it is changed for another.
pub(super) const MAX_STREAMS: usize = 2 * MAX_RELAYS;
/// Bytes of one stream that may wait to be written.
const MAX_UNWRITTEN: usize = 64 << 10;
/// Bytes of one stream read in one bite.
const BITE: usize = 64 << 10;
/// For a stream to stand.
const OPEN_TIME: Duration = Duration::from_secs(8);
/// A name that is unknown is looked up again after so long.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// What is known of a name.
#[derive(Debug)]
enum Name {
    Asked(Asked),
    Known(SocketAddr),
    Unknown { again_at: Instant },
}

#[derive(Debug)]
struct Open {
    stream: Stream,
    /// Which of our tokens it has.
    at: usize,
    standing: bool,
    until: Instant,
    /// The system spoke of it.
    ready: bool,
    unwritten: Vec<u8>,
    /// Bytes of `unwritten` that have left.
    written: usize,
    inbound: Vec<u8>,
    /// Our end, to be told.
    opened: Option<SocketAddr>,
    /// Why it ended, to be told.
    closed: Option<String>,
}

pub(super) struct Relays {
    /// From the settings, then from the signaling server.
    configured: Vec<TurnOffer>,
    announced: Vec<TurnOffer>,
    names: BTreeMap<Place, Name>,
    /// The endpoint has not been told of all that is known.
    changed: bool,
    streams: BTreeMap<RelayId, Open>,
    /// Streams that never came to be, to be told.
    refused: Vec<(RelayId, String)>,
    ca: String,
    first_token: usize,
    ring: Ring,
    /// Is there a socket for UDP to IPv4, to IPv6?
    families: [bool; 2],
}

impl Relays {
    /// No relays yet. Streams have the [`MAX_STREAMS`] tokens from `first_token` on; `local` are our UDP sockets.
    pub(super) fn new(first_token: usize, ring: Ring, local: &[SocketAddr]) -> Relays {
        Relays {
            configured: Vec::new(),
            announced: Vec::new(),
            names: BTreeMap::new(),
            changed: false,
            streams: BTreeMap::new(),
            refused: Vec::new(),
            ca: String::new(),
            first_token,
            ring,
            families: [local.iter().any(SocketAddr::is_ipv4), local.iter().any(SocketAddr::is_ipv6)],
        }
    }

    /// The settings have changed.
    pub(super) fn configure(&mut self, now: Instant, config: &Config) {
        let offer = |(at, url): (usize, &TurnUrl)| TurnOffer {
            url: url.clone(),
            username: config.turn_users.get(at).cloned().unwrap_or_default(),
            password: config.turn_passwords.get(at).cloned().unwrap_or_default(),
            pop: 0,
        };
        let configured: Vec<TurnOffer> = config.turn_servers.iter().enumerate().map(offer).collect();
        config.signaling_ca.clone_into(&mut self.ca);
        if self.configured != configured {
            self.configured = configured;
            self.look_up(now);
        }
    }

    /// The signaling server names these relays, instead of those it named before.
    pub(super) fn announce(&mut self, now: Instant, offers: Vec<TurnOffer>) {
        if self.announced != offers {
            self.announced = offers;
            self.look_up(now);
        }
    }

    /// All relays, each server once; the settings come first.
    fn offers(&self) -> impl Iterator<Item = &TurnOffer> {
        let all = || self.configured.iter().chain(&self.announced);
        let is_first = move |(at, offer): &(usize, &TurnOffer)| all().take(*at).all(|other| other.url != offer.url);
        all().enumerate().filter(is_first).map(|(_, offer)| offer).take(MAX_RELAYS)
    }

    /// Asks for the names that are not known, and forgets those nobody needs.
    fn look_up(&mut self, now: Instant) {
        self.changed = true;
        let places: Vec<Place> = self.offers().map(|offer| offer.url.place.clone()).collect();
        self.names.retain(|place, _| places.contains(place));
        for place in places {
            let stale = match self.names.get(&place) {
                None => true,
                Some(Name::Unknown { again_at }) => *again_at <= now,
                Some(Name::Asked(_) | Name::Known(_)) => false,
            };
            if stale {
                let asked = Asked::start(&place.host, place.port, &self.ring);
                let name = asked.map_or(Name::Unknown { again_at: now + LOOK_AGAIN }, Name::Asked);
                self.names.insert(place, name);
            }
        }
        self.take_answers(now);
    }

    fn take_answers(&mut self, now: Instant) {
        for name in self.names.values_mut() {
            let Name::Asked(asked) = name else { continue };
            let Some(addresses) = asked.take() else { continue };
            let [v4, v6] = self.families;
            let first = addresses.iter().find(|address| if address.is_ipv4() { v4 } else { v6 });
            *name = match first.or(addresses.first()) {
                Some(address) => Name::Known(*address),
                None => Name::Unknown { again_at: now + LOOK_AGAIN },
            };
            self.changed = true;
        }
    }

    /// All relays whose addresses are known, when that is news.
    pub(super) fn poll_servers(&mut self) -> Option<Vec<RelayServer>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let server = |offer: &TurnOffer| {
            let Some(Name::Known(address)) = self.names.get(&offer.url.place) else { return None };
            let transport = if offer.url.carriage == Carriage::Udp { Transport::Udp } else { Transport::Stream };
            Some(RelayServer {
                name: offer.url.place.to_string(),
                address: *address,
                transport,
                username: offer.username.clone(),
                password: offer.password.text().to_owned(),
                pop: offer.pop,
            })
        };
        Some(self.offers().filter_map(server).collect())
    }

    /// The system says that the stream of this token became readable or writable.
    pub(super) fn handle_readiness(&mut self, token: usize) {
        let at = token.wrapping_sub(self.first_token);
        if let Some(open) = self.streams.values_mut().find(|open| open.at == at) {
            open.ready = true;
        }
    }

    /// Brings the endpoint what came.
    pub(super) fn deliver(&mut self, now: Instant, endpoint: &mut Endpoint) {
        if let Some(servers) = self.poll_servers() {
            endpoint.set_relays(now, servers);
        }
        for (id, open) in &mut self.streams {
            if let Some(local) = open.opened.take() {
                endpoint.handle_stream(now, *id, StreamEvent::Opened { local });
            }
            if !open.inbound.is_empty() {
                endpoint.handle_stream(now, *id, StreamEvent::Bytes(&mut open.inbound));
                open.inbound.clear();
            }
            if let Some(why) = open.closed.take() {
                self.refused.push((*id, why));
            }
        }
        for (id, why) in self.refused.drain(..) {
            self.streams.remove(&id);
            endpoint.handle_stream(now, id, StreamEvent::Closed(why));
        }
    }

    /// Takes the endpoint's wishes.
    pub(super) fn collect(&mut self, now: Instant, endpoint: &mut Endpoint, registry: &Registry) {
        while let Some(work) = endpoint.poll_stream() {
            self.handle_work(now, work, registry);
        }
    }

    fn handle_work(&mut self, now: Instant, work: StreamWork, registry: &Registry) {
        match work {
            StreamWork::Open(id, address) => {
                self.streams.remove(&id);
                match self.open(now, address, registry) {
                    Ok(open) => drop(self.streams.insert(id, open)),
                    Err(why) => self.refused.push((id, why)),
                }
            }
            StreamWork::Write(id, bytes) => {
                if let Some(open) = self.streams.get_mut(&id)
                    && open.unwritten.len() - open.written + bytes.len() <= MAX_UNWRITTEN
                {
                    open.unwritten.extend_from_slice(&bytes);
                }
            }
            StreamWork::Close(id) => {
                if let Some(mut open) = self.streams.remove(&id) {
                    // What it says last, as far as that goes without waiting.
                    open.write();
                }
            }
        }
    }

    fn open(&self, now: Instant, address: SocketAddr, registry: &Registry) -> Result<Open, String> {
        let leads_there = |offer: &&TurnOffer| {
            let known = self.names.get(&offer.url.place);
            offer.url.carriage != Carriage::Udp && matches!(known, Some(Name::Known(known)) if *known == address)
        };
        let offer = self.offers().find(leads_there).ok_or("this relay is not named any more")?;
        let taken = |at: &usize| self.streams.values().all(|open| open.at != *at);
        let at = (0..MAX_STREAMS).find(taken).ok_or("too many streams")?;
        let proof = Proof { host: &offer.url.place.host, ca: &self.ca };
        let proof = (offer.url.carriage == Carriage::Tls).then_some(proof);
        Ok(Open {
            stream: Stream::connect(address, proof, registry, Token(self.first_token + at))?,
            at,
            standing: false,
            until: now + OPEN_TIME,
            ready: true,
            unwritten: Vec::new(),
            written: 0,
            inbound: Vec::new(),
            opened: None,
            closed: None,
        })
    }

    /// Reads and writes a bite on every stream.
    pub(super) fn exchange(&mut self, now: Instant) {
        self.take_answers(now);
        if self.names.values().any(|name| matches!(name, Name::Unknown { again_at } if *again_at <= now)) {
            self.look_up(now);
        }
        self.streams.values_mut().for_each(|open| open.exchange(now));
    }

    /// Is there more to read, or something to tell?
    pub(super) fn is_busy(&self) -> bool {
        let busy =
            |open: &Open| open.ready || open.opened.is_some() || open.closed.is_some() || !open.inbound.is_empty();
        self.changed || !self.refused.is_empty() || self.streams.values().any(busy)
    }

    /// Is there something to write, or a stream to open?
    pub(super) fn wants_exchange(&self) -> bool {
        self.streams.values().any(|open| !open.standing || !open.unwritten.is_empty())
    }

    /// When [`Relays::exchange`] is due though nothing happens.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let names = self.names.values().filter_map(|name| match name {
            Name::Unknown { again_at } => Some(*again_at),
            _ => None,
        });
        let streams = self.streams.values().filter(|open| !open.standing && open.closed.is_none());
        names.chain(streams.map(|open| open.until)).min()
    }
}

impl Open {
    fn exchange(&mut self, now: Instant) {
        if self.closed.is_some() {
            return;
        }
        if !self.standing {
            match self.stream.poll_open() {
                Ok(Some(local)) => {
                    self.standing = true;
                    self.opened = Some(local);
                }
                Ok(None) if now >= self.until => self.end("the relay cannot be reached: no answer"),
                Ok(None) => self.ready = false,
                Err(why) => self.end(&why),
            }
        }
        if self.standing {
            self.write();
            if self.ready {
                self.read();
            }
        }
    }

    fn end(&mut self, why: &str) {
        self.closed = Some(why.to_owned());
        self.ready = false;
    }

    fn write(&mut self) {
        while self.standing && self.closed.is_none() && self.written < self.unwritten.len() {
            match self.stream.write(&self.unwritten[self.written..]) {
                Ok(0) => return self.end("the relay takes no more"),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return self.end(&super::tls::describe(&error)),
            }
        }
        self.unwritten.drain(..self.written);
        self.written = 0;
        match self.stream.flush() {
            Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                self.end(&super::tls::describe(&error));
            }
            _ => {}
        }
    }

    fn read(&mut self) {
        let mut buffer = [0; 16 << 10];
        while self.closed.is_none() && self.inbound.len() < BITE {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.end("the relay closed the connection"),
                Ok(count) => self.inbound.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.ready = false;
                    return;
                }
                Err(error) => self.end(&super::tls::describe(&error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::signaling::tests::server::{Server, Tls};
    use super::*;
    use crate::driver::clock;
    use crate::endpoint::servers::Secret;
    use mio::{Events, Poll, Waker};
    use std::sync::Arc;

    const ID: RelayId = RelayId(3);

    fn offer(url: &str, username: &str) -> TurnOffer {
        let url = TurnUrl::parse(url).expect("a relay");
        TurnOffer { url, username: username.to_owned(), password: Secret::default(), pop: 0 }
    }

    /// Relays with a poll of their own instead of a seat.
    struct Stand {
        relays: Relays,
        poll: Poll,
        events: Events,
    }

    impl Stand {
        fn new(offers: Vec<TurnOffer>) -> Stand {
            let poll = Poll::new().expect("a poll");
            let waker = Waker::new(poll.registry(), Token(99)).expect("a waker");
            let ring: Ring = Arc::new(move || waker.wake().expect("awake"));
            let mut relays = Relays::new(7, ring, &["127.0.0.1:1".parse().expect("an address")]);
            relays.announce(clock::now(), offers);
            Stand { relays, poll, events: Events::with_capacity(8) }
        }

        fn work(&mut self, work: StreamWork) {
            self.relays.handle_work(clock::now(), work, self.poll.registry());
        }

        /// Goes on until something is seen.
        fn until<T>(&mut self, mut look: impl FnMut(&mut Relays) -> Option<T>) -> T {
            for _ in 0..5_000 {
                self.relays.exchange(clock::now());
                if let Some(found) = look(&mut self.relays) {
                    return found;
                }
                let nap = std::time::Duration::from_millis(5);
                self.poll.poll(&mut self.events, Some(nap)).expect("no trouble");
                self.events.iter().for_each(|event| self.relays.handle_readiness(event.token().0));
            }
            panic!("what was waited for did not come");
        }

        fn until_closed(&mut self) -> String {
            self.until(|relays| match relays.streams.get(&ID) {
                Some(open) => open.closed.clone(),
                None => relays.refused.first().map(|(_, why)| why.clone()),
            })
        }

        fn servers(&mut self) -> Vec<(String, SocketAddr, Transport)> {
            let servers = self.until(Relays::poll_servers);
            servers.into_iter().map(|server| (server.name, server.address, server.transport)).collect()
        }
    }

    /// Gives back what it gets, and ends after so many bytes.
    fn echo(tls: Option<Tls>, bytes: usize) -> Server {
        Server::raw(move |_, stream| {
            let mut wire = match &tls {
                Some(tls) => tls.accept(stream),
                None => Box::new(stream),
            };
            let (mut buffer, mut left) = ([0; 4_096], bytes);
            while left > 0 {
                match wire.read(&mut buffer) {
                    Ok(count @ 1..) if wire.write_all(&buffer[..count]).is_ok() => left -= count.min(left),
                    _ => return,
                }
            }
        })
    }

    fn carries_bytes_both_ways(mut stand: Stand, address: SocketAddr) {
        stand.servers();
        stand.work(StreamWork::Open(ID, address));
        let local = stand.until(|relays| relays.streams.get_mut(&ID).and_then(|open| open.opened.take()));
        assert!(local.ip().is_loopback() && local != address);
        let sent: Vec<u8> = (0..30_000).map(|n| n as u8).collect();
        for part in sent.chunks(1_000) {
            stand.work(StreamWork::Write(ID, part.to_vec()));
        }
        let mut came = Vec::new();
        let why = stand.until(|relays| {
            let open = relays.streams.get_mut(&ID)?;
            came.append(&mut open.inbound);
            open.closed.clone()
        });
        assert_eq!(came, sent);
        assert!(why.contains("closed the connection"), "{why}");
        stand.work(StreamWork::Close(ID));
        assert!(stand.relays.streams.is_empty());
    }

    #[test]
    fn a_stream_carries_bytes_both_ways_until_the_relay_ends_it() {
        let server = echo(None, 30_000);
        let url = format!("turn:{}?transport=tcp", server.address);
        carries_bytes_both_ways(Stand::new(vec![offer(&url, "u")]), server.address);
    }

    #[test]
    fn a_stream_under_tls_does_the_same_once_the_relay_has_proven_its_name() {
        let tls = Tls::new("relay");
        let ca = tls.ca_file.to_str().expect("a path").to_owned();
        let copy = std::fs::read(&ca).expect("the file");
        let server = echo(Some(tls), 30_000);
        let port = server.address.port();
        let mut stand = Stand::new(vec![offer(&format!("turns:localhost:{port}"), "u")]);
        stand.servers();
        stand.until(|relays| relays.names.values().all(|name| matches!(name, Name::Known(_))).then_some(()));
        stand.work(StreamWork::Open(ID, server.address));
        let why = stand.until_closed();
        assert!(why.contains("issuer we do not know"), "{why}");

        std::fs::write(&ca, copy).expect("the file");
        let mut stand = Stand::new(vec![offer(&format!("turns:localhost:{port}"), "u")]);
        stand.relays.ca = ca;
        stand.until(|relays| relays.names.values().all(|name| matches!(name, Name::Known(_))).then_some(()));
        carries_bytes_both_ways(stand, server.address);
    }

    #[test]
    fn a_relay_that_is_not_there_or_not_named_says_so() {
        let address = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        let mut stand = Stand::new(vec![offer(&format!("turn:{address}?transport=tcp"), "u")]);
        stand.work(StreamWork::Open(ID, address));
        assert!(stand.until_closed().contains("cannot connect"));

        let mut stand = Stand::new(vec![]);
        stand.work(StreamWork::Open(ID, address));
        assert!(stand.until_closed().contains("not named"));
    }

    #[test]
    fn a_relay_that_takes_nothing_loses_whole_writes_and_holds_a_bounded_heap() {
        let (held, _connections) = std::sync::mpsc::channel();
        let server = Server::raw(move |_, stream| held.send(stream).expect("the test holds it"));
        let mut stand = Stand::new(vec![offer(&format!("turn:{}?transport=tcp", server.address), "u")]);
        stand.work(StreamWork::Open(ID, server.address));
        for _ in 0..100 {
            stand.work(StreamWork::Write(ID, vec![0; 1_000]));
        }
        let unwritten = stand.relays.streams[&ID].unwritten.len();
        assert_eq!(unwritten, MAX_UNWRITTEN / 1_000 * 1_000);
    }

    #[test]
    fn the_endpoint_hears_of_each_relay_once_and_of_the_settings_first() {
        let mut stand =
            Stand::new(vec![offer("turn:127.0.0.1:1", "announced"), offer("turn:127.0.0.1:2", "announced")]);
        let mut config = Config::new();
        config.turn_servers = TurnUrl::parse_list("turn:127.0.0.1:2,turn:[::1]:3?transport=tcp").expect("a list");
        config.turn_users = vec!["configured".to_owned()];
        stand.relays.configure(clock::now(), &config);
        let servers = stand.relays.poll_servers().expect("news");
        let seen: Vec<_> = servers.iter().map(|s| (s.name.as_str(), s.username.as_str(), s.transport)).collect();
        let expected = [
            ("127.0.0.1:2", "configured", Transport::Udp),
            ("[::1]:3", "", Transport::Stream),
            ("127.0.0.1:1", "announced", Transport::Udp),
        ];
        assert_eq!(seen, expected);
        assert!(stand.relays.poll_servers().is_none(), "once");
        stand.relays.announce(clock::now(), vec![]);
        assert_eq!(stand.relays.poll_servers().expect("news").len(), 2);
    }

    #[test]
    fn an_unknown_name_is_left_out_and_asked_for_again() {
        let mut nowhere = offer("turn:x", "u");
        nowhere.url.place.host = "not a host name".to_owned(); // so that no name server is asked
        let mut stand = Stand::new(vec![nowhere, offer("turn:127.0.0.1:1", "u")]);
        let is_unknown = |name: &Name| matches!(name, Name::Unknown { .. });
        stand.until(|relays| relays.names.values().any(is_unknown).then_some(()));
        assert_eq!(stand.relays.poll_servers().expect("news").len(), 1);
        let again = stand.relays.poll_timeout().expect("a time");
        stand.relays.exchange(again);
        assert!(!stand.relays.names.values().any(is_unknown), "it is asked again");
    }
}
