//! Relays by themselves: bare clients and TURN servers on a wire that loses nothing unless told to.

use crate::sim::{Node, World};
use crate::turn::{Parcel, Turn};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv6Addr, SocketAddr};
use steamnetmsg::crypto::random::Random;
use steamnetmsg::drops::Dropped;
use steamnetmsg::relay::{ATTEMPT, MAX_HELD, MAX_PEERS, Relay, RelayServer, State, StreamNeed, Transport, Wrapped};
use steamnetmsg::time::{Duration, Instant};

/// One way.
const LAG: Duration = Duration::from_millis(20);

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

struct Client {
    relay: Relay,
    address: SocketAddr,
    got: Vec<(SocketAddr, Vec<u8>)>,
    drops: Vec<Dropped>,
    /// Everything it sent to its server, in order.
    sent: Vec<(Instant, Vec<u8>)>,
    /// Everything that came, in order.
    heard: Vec<Vec<u8>>,
}

/// Clients and servers, and what is under way between them.
struct Net {
    now: Instant,
    turns: Vec<Turn>,
    clients: Vec<Client>,
    wire: BTreeMap<Instant, VecDeque<Parcel>>,
    /// Streams arrive in pieces of so many bytes.
    piece: usize,
    /// Of all that servers send, this is lost.
    deaf: bool,
}

impl Net {
    fn new(streams: bool, servers: u8) -> Net {
        let address = |n: u8| SocketAddr::from(([203, 0, 113, n + 1], 3478));
        let mut turns: Vec<Turn> = (0..servers).map(|n| Turn::new(address(n), streams)).collect();
        turns.iter_mut().for_each(|turn| turn.add_user("alice", "secret"));
        let now = Instant::ZERO + seconds(1_000);
        Net { now, turns, clients: Vec::new(), wire: BTreeMap::new(), piece: usize::MAX, deaf: false }
    }

    fn add(&mut self, turn: usize, transport: Transport, username: &str, password: &str) -> usize {
        let address = self.turns[turn].address();
        let mut local = SocketAddr::from(([198, 51, 100, 1], 5_000 + self.clients.len() as u16));
        if address.is_ipv6() {
            local = SocketAddr::from((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9), local.port()));
        }
        let server = RelayServer {
            name: format!("turn{turn}.example:3478"),
            address,
            transport,
            username: username.into(),
            password: password.into(),
            pop: 0,
        };
        let random = Random::from_seed([self.clients.len() as u8; 32]);
        let relay = Relay::new(self.now, server, random);
        self.clients.push(Client {
            relay,
            address: local,
            got: Vec::new(),
            drops: Vec::new(),
            sent: Vec::new(),
            heard: Vec::new(),
        });
        self.clients.len() - 1
    }

    fn relay(&mut self, client: usize) -> &mut Relay {
        &mut self.clients[client].relay
    }

    fn relayed(&self, client: usize) -> SocketAddr {
        match self.clients[client].relay.state() {
            State::Allocated { relayed, .. } => *relayed,
            other => panic!("not allocated but {other:?}"),
        }
    }

    fn is_allocated(&self, client: usize) -> bool {
        matches!(self.clients[client].relay.state(), State::Allocated { .. })
    }

    fn failure(&self, client: usize) -> String {
        match self.clients[client].relay.state() {
            State::Failed { text, .. } => text.clone(),
            other => panic!("not failed but {other:?}"),
        }
    }

    /// Sends a datagram of an app.
    fn send(&mut self, client: usize, peer: SocketAddr, bytes: &[u8]) -> Wrapped {
        let (now, one) = (self.now, &mut self.clients[client]);
        let mut out = Vec::new();
        let wrapped = one.relay.wrap(now, peer, bytes, &mut out);
        assert_eq!(wrapped == Wrapped::Ready, !out.is_empty());
        if wrapped == Wrapped::Ready {
            let parcel = (one.address, one.relay.server().address, out);
            self.put(parcel);
        }
        wrapped
    }

    fn put(&mut self, parcel: Parcel) {
        self.wire.entry(self.now + LAG).or_default().push_back(parcel);
    }

    fn turn_at(&mut self, address: SocketAddr) -> Option<&mut Turn> {
        self.turns.iter_mut().find(|turn| turn.owns(address))
    }

    fn settle(&mut self) {
        let now = self.now;
        let mut parcels = Vec::new();
        for turn in &mut self.turns {
            while let Some(parcel) = turn.poll_transmit(now) {
                parcels.push(parcel);
            }
        }
        if self.deaf {
            parcels.clear();
        }
        for client in &mut self.clients {
            let server = client.relay.server().address;
            loop {
                let mut out = Vec::new();
                while client.relay.poll_transmit(now, &mut out) {
                    client.sent.push((now, out.clone()));
                    parcels.push((client.address, server, std::mem::take(&mut out)));
                }
                assert!(out.is_empty(), "nothing is written that is not to be sent");
                let turn = self.turns.iter_mut().find(|turn| turn.owns(server)).expect("its server");
                match client.relay.poll_stream() {
                    Some(StreamNeed::Open) if turn.is_alive() => {
                        client.address.set_port(client.address.port() + 100);
                        client.relay.handle_stream_opened(now);
                    }
                    Some(StreamNeed::Open) => client.relay.handle_stream_closed(now, "connection refused"),
                    Some(StreamNeed::Close) => turn.disconnect(client.address),
                    None => break,
                }
            }
        }
        parcels.into_iter().for_each(|parcel| self.put(parcel));
    }

    fn deliver(&mut self, (from, to, bytes): Parcel) {
        let (now, piece) = (self.now, self.piece);
        if let Some(turn) = self.turn_at(to) {
            if turn.is_for_streams() && turn.address() == to {
                return bytes.chunks(piece).for_each(|piece| turn.handle(now, from, to, piece));
            }
            return turn.handle(now, from, to, &bytes);
        }
        let Some(client) = self.clients.iter_mut().find(|client| client.address == to) else { return };
        client.heard.push(bytes.clone());
        if client.relay.server().transport == Transport::Udp {
            match client.relay.handle_datagram(now, &bytes) {
                Ok(Some(inner)) => client.got.push((inner.peer, bytes[inner.data].to_vec())),
                Ok(None) => {}
                Err(reason) => client.drops.push(reason),
            }
            return;
        }
        for piece in bytes.chunks(piece) {
            client.relay.handle_stream_bytes(now, piece);
            while let Some(inner) = client.relay.poll_inner(now) {
                match inner {
                    Ok((peer, data)) => client.got.push((peer, data.to_vec())),
                    Err(reason) => client.drops.push(reason),
                }
            }
        }
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        let mut wakings = 0;
        loop {
            self.settle();
            let arrival = self.wire.keys().next().copied();
            let wakes = self.clients.iter().filter_map(|c| c.relay.poll_timeout(self.now)).map(|wake| wake.at);
            let next = wakes.chain(self.turns.iter().filter_map(Turn::poll_timeout)).chain(arrival).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            wakings = if next > self.now { 0 } else { wakings + 1 };
            assert!(wakings < 50, "somebody spins");
            self.now = next.max(self.now);
            while let Some(arrived) = self.wire.first_entry().filter(|first| *first.key() <= self.now) {
                arrived.remove().into_iter().for_each(|parcel| self.deliver(parcel));
            }
            for turn in self.turns.iter_mut().filter(|turn| turn.poll_timeout().is_some_and(|at| at <= next)) {
                turn.handle_timeout(next);
            }
            self.clients.iter_mut().for_each(|client| client.relay.handle_timeout(next));
        }
        self.now = end;
    }

    fn run_until(&mut self, span: Duration, done: impl Fn(&Net) -> bool) -> Duration {
        let begin = self.now;
        while !done(self) {
            assert!(self.now.saturating_since(begin) < span, "not done in {span:?}");
            self.run(millis(10));
        }
        self.now.saturating_since(begin)
    }
}

/// Two clients on servers of their own that may talk with each other.
fn two(transport: Transport) -> Net {
    let mut net = Net::new(transport == Transport::Stream, 2);
    for turn in 0..2 {
        net.add(turn, transport, "alice", "secret");
    }
    net.run(seconds(1));
    let (a, b, now) = (net.relayed(0), net.relayed(1), net.now);
    assert!(net.relay(0).permit(now, b) && net.relay(1).permit(now, a));
    net
}

#[test]
fn two_clients_talk_through_two_relays_and_what_was_sent_too_early_is_held() {
    for transport in [Transport::Udp, Transport::Stream] {
        let mut net = two(transport);
        let (a, b) = (net.relayed(0), net.relayed(1));
        assert_eq!(net.send(0, b, b"early 1"), Wrapped::Held);
        assert_eq!(net.send(0, b, b"early 2!"), Wrapped::Held);
        net.run(seconds(1));
        assert_eq!(net.send(1, a, b"answer"), Wrapped::Ready);
        net.run(seconds(1));
        assert_eq!(net.clients[1].got, [(a, b"early 1".to_vec()), (a, b"early 2!".to_vec())], "{transport:?}");
        assert_eq!(net.clients[0].got, [(b, b"answer".to_vec())]);
        let State::Allocated { mapped, rtt, .. } = net.relay(0).state().clone() else { panic!() };
        assert_eq!((mapped, rtt), (net.clients[0].address, Some(LAG * 2)));
        assert!(net.clients.iter().all(|c| c.drops.is_empty() && c.relay.trouble().is_none()));
    }
}

#[test]
fn an_allocation_takes_two_round_trips() {
    let mut net = Net::new(false, 1);
    net.add(0, Transport::Udp, "alice", "secret");
    assert_eq!(net.relay(0).state(), &State::Allocating);
    let took = net.run_until(seconds(1), |net| net.is_allocated(0));
    assert!(took <= LAG * 4 + millis(10), "{took:?}");
}

#[test]
fn a_wrong_password_an_expired_user_and_a_full_server_are_told_apart_within_four_seconds() {
    let mut net = Net::new(false, 2);
    net.turns[1].full = true;
    net.add(0, Transport::Udp, "alice", "wrong");
    net.add(0, Transport::Udp, "1700000000:bob", "was right");
    net.add(1, Transport::Udp, "alice", "secret");
    net.add(0, Transport::Udp, &"x".repeat(600), "secret");
    net.run(ATTEMPT);
    for (client, words) in [
        (0, ["turn0.example:3478 (203.0.113.1:3478)", "\"alice\" with 401", "wrong password, or the credentials"]),
        (1, ["turn0.example:3478", "\"1700000000:bob\" with 401", "expired"]),
        (2, ["turn1.example:3478", "508", "full"]),
        (3, ["turn0.example:3478", "username", "too long"]),
    ] {
        let text = net.failure(client);
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
        assert_eq!(net.relay(client).trouble(), Some(text.as_str()));
    }
}

#[test]
fn nobody_there_is_said_after_four_seconds_and_tried_again_ever_more_rarely() {
    for transport in [Transport::Udp, Transport::Stream] {
        let mut net = Net::new(transport == Transport::Stream, 1);
        net.turns[0].kill();
        net.add(0, transport, "alice", "secret");
        net.run(seconds(4));
        let text = net.failure(0);
        let words =
            if transport == Transport::Udp { "no answer within 4 s" } else { "no connection: connection refused" };
        assert!(text.contains(words), "{text}");
        let mut revision = net.relay(0).revision();
        let mut tries = 0;
        for _ in 0..600 {
            net.run(seconds(1));
            let other = net.relay(0).revision();
            tries += u64::from(other > revision);
            revision = other;
        }
        assert!((9..=24).contains(&tries), "{tries} in ten minutes");
        assert!(net.clients[0].sent.iter().all(|(_, bytes)| bytes.len() < 100));
        net.turns[0].restart();
        net.run_until(seconds(61), |net| net.is_allocated(0));
    }
}

#[test]
fn two_hours_are_no_trouble_and_no_work() {
    let mut net = two(Transport::Udp);
    for minute in 0..120 {
        let (a, b, now) = (net.relayed(0), net.relayed(1), net.now);
        assert!(net.relay(0).permit(now, b) && net.relay(1).permit(now, a));
        net.run(seconds(60));
        assert_eq!(net.send(0, b, &[minute]), Wrapped::Ready);
    }
    net.run(seconds(1));
    assert_eq!(net.clients[1].got.len(), 120);
    for client in &net.clients {
        assert_eq!(client.relay.revision(), 2, "allocating, allocated and never anything else");
        let each_minute = client.sent.len() as u64 / 120;
        assert!(each_minute <= 13, "{each_minute} requests a minute");
    }
}

#[test]
fn a_binding_nobody_asks_for_ends_and_a_silent_relay_is_asked_less_often() {
    let mut net = two(Transport::Udp);
    let b = net.relayed(1);
    net.run(seconds(700));
    assert_eq!(net.send(0, b, b"late"), Wrapped::Refused);
    let before = net.clients[0].sent.len();
    net.run(seconds(600));
    assert!(net.clients[0].sent.len() - before <= 30, "every twenty seconds");
    assert!(net.is_allocated(0));
}

#[test]
fn a_restarted_server_is_noticed_and_talk_goes_on_over_a_new_allocation() {
    let mut net = two(Transport::Udp);
    net.run(seconds(60));
    net.turns[0].restart();
    let revision = net.relay(0).revision();
    let took = net.run_until(seconds(30), |net| net.clients[0].relay.revision() >= revision + 2);
    assert!(took <= seconds(6), "{took:?}");
    assert!(net.relay(0).trouble().expect("a reason").contains("437"));
    let (a, b, now) = (net.relayed(0), net.relayed(1), net.now);
    net.relay(1).permit(now, a);
    net.run(seconds(1));
    assert_eq!(net.send(0, b, b"still here"), Wrapped::Ready, "who was permitted still is");
    assert_eq!(net.send(1, a, b"me too"), Wrapped::Ready);
    net.run(seconds(1));
    assert_eq!(net.clients[0].got, [(b, b"me too".to_vec())]);
    assert_eq!(net.clients[1].got, [(a, b"still here".to_vec())]);
}

#[test]
fn a_dead_server_is_doubted_and_then_lost_two_seconds_after_it_was_asked() {
    let mut net = two(Transport::Udp);
    net.run(seconds(3));
    net.turns[0].kill();
    let now = net.now;
    net.relay(0).check(now);
    assert!(!net.clients[0].relay.is_doubtful());
    net.run(millis(600));
    assert!(net.clients[0].relay.is_doubtful());
    net.run(millis(1_300));
    assert!(net.is_allocated(0));
    net.run(millis(110));
    assert_eq!(net.relay(0).state(), &State::Allocating);
    net.run(seconds(4));
    assert!(net.failure(0).contains("no answer"));
    assert!(!net.clients[0].relay.is_doubtful());
}

#[test]
fn unasked_too_a_dead_server_is_lost_within_eight_seconds() {
    let mut net = two(Transport::Udp);
    net.run(seconds(60));
    net.turns[0].kill();
    let took = net.run_until(seconds(30), |net| !net.is_allocated(0));
    assert!(took <= seconds(8), "{took:?}");
    assert!(net.relay(0).trouble().expect("a reason").contains("fell silent"));
}

#[test]
fn an_allocation_of_an_earlier_life_is_ended_and_one_of_somebody_else_is_named() {
    let mut net = Net::new(false, 1);
    net.turns[0].add_user("carol", "secret");
    net.add(0, Transport::Udp, "alice", "secret");
    net.run(seconds(1));
    let first = net.relayed(0);
    net.clients.clear();
    net.add(0, Transport::Udp, "alice", "secret");
    net.run(seconds(1));
    assert_ne!(net.relayed(0), first);
    assert_eq!(net.turns[0].allocations(), 1);
    net.clients.clear();
    net.add(0, Transport::Udp, "carol", "secret");
    net.run(seconds(1));
    let text = net.failure(0);
    assert!(text.contains("older allocation") && text.contains("441"), "{text}");
}

#[test]
fn a_new_password_is_used_at_once_and_a_new_user_when_the_old_one_is_refused() {
    let mut net = Net::new(false, 1);
    net.add(0, Transport::Udp, "alice", "secret");
    net.run(seconds(1));
    let (first, now) = (net.relayed(0), net.now);
    net.turns[0].add_user("alice", "better");
    net.relay(0).set_credentials(now, "alice", "better");
    net.run(seconds(60));
    assert_eq!((net.relayed(0), net.relay(0).revision()), (first, 2));

    let now = net.now;
    net.turns[0].add_user("2000:alice", "best");
    net.relay(0).set_credentials(now, "2000:alice", "best");
    net.run(seconds(60));
    assert_eq!(net.relayed(0), first, "the allocation stays its user's");
    net.turns[0].remove_user("alice");
    net.turns[0].restart();
    net.run(seconds(30));
    assert!(net.is_allocated(0));
    assert_ne!(net.relay(0).revision(), 2);
}

#[test]
fn right_credentials_end_a_failure_without_waiting() {
    let mut net = Net::new(false, 1);
    net.add(0, Transport::Udp, "alice", "wrong");
    net.run(seconds(120));
    let (now, _) = (net.now, net.failure(0));
    net.relay(0).set_credentials(now, "alice", "secret");
    net.run_until(millis(200), |net| net.is_allocated(0));
}

#[test]
fn who_leaves_frees_its_place() {
    for transport in [Transport::Udp, Transport::Stream] {
        let mut net = two(transport);
        let (b, now) = (net.relayed(1), net.now);
        net.relay(0).close(now);
        assert_eq!(net.relay(0).state(), &State::Closed);
        assert!(!net.relay(0).permit(now, b));
        net.run(seconds(2));
        assert!(net.relay(0).is_finished());
        assert_eq!(net.turns[0].allocations(), 0, "{transport:?}");
        assert_eq!(net.relay(0).poll_timeout(now), None);
    }
}

#[test]
fn a_server_of_version_six_gives_an_address_of_version_six() {
    let mut net = Net::new(false, 0);
    let address = SocketAddr::from((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 3478));
    net.turns.push(Turn::new(address, false));
    net.turns[0].add_user("alice", "secret");
    net.add(0, Transport::Udp, "alice", "secret");
    net.add(0, Transport::Udp, "alice", "secret");
    net.run(seconds(1));
    let (a, b, now) = (net.relayed(0), net.relayed(1), net.now);
    assert!(a.is_ipv6());
    assert!(net.relay(0).permit(now, b) && net.relay(1).permit(now, a));
    assert!(!net.relay(0).permit(now, SocketAddr::from(([192, 0, 2, 1], 1))), "another family cannot be");
    net.run(seconds(1));
    assert_eq!(net.send(0, b, b"six"), Wrapped::Ready);
    net.run(seconds(1));
    assert_eq!(net.clients[1].got, [(a, b"six".to_vec())]);
}

#[test]
fn sixteen_datagrams_wait_and_the_oldest_goes_first() {
    let mut net = two(Transport::Udp);
    let b = net.relayed(1);
    for n in 0..20_u8 {
        assert_eq!(net.send(0, b, &[n]), Wrapped::Held);
    }
    assert_eq!(net.relay(0).held_dropped(), 20 - MAX_HELD as u64);
    net.run(seconds(1));
    let got: Vec<u8> = net.clients[1].got.iter().map(|(_, bytes)| bytes[0]).collect();
    assert_eq!(got, (4..20).collect::<Vec<u8>>());
}

#[test]
fn all_peers_there_may_be_are_bound_and_one_more_takes_a_place() {
    let mut net = Net::new(false, 1);
    net.add(0, Transport::Udp, "alice", "secret");
    net.run(seconds(1));
    let peer = |n: usize| SocketAddr::from(([10, 1, (n / 200) as u8, (n % 200) as u8], 9));
    for n in 0..MAX_PEERS + 1 {
        let now = net.now + Duration::from_nanos(n as u64);
        assert!(net.relay(0).permit(now, peer(n)));
    }
    net.run(seconds(20));
    assert_eq!(net.send(0, peer(0), b"x"), Wrapped::Refused);
    for n in 1..MAX_PEERS + 1 {
        assert_eq!(net.send(0, peer(n), b"x"), Wrapped::Ready, "{n}");
    }
}

#[test]
fn what_is_said_on_a_stream_is_heard_however_it_is_cut() {
    for piece in (1..=64).chain([100, 1_000]) {
        let mut net = Net::new(true, 2);
        net.piece = piece;
        for turn in 0..2 {
            net.add(turn, Transport::Stream, "alice", "secret");
        }
        net.run(seconds(1));
        let (a, b, now) = (net.relayed(0), net.relayed(1), net.now);
        assert!(net.relay(0).permit(now, b) && net.relay(1).permit(now, a));
        net.run(seconds(1));
        let said: Vec<Vec<u8>> = (0..9_usize).map(|n| vec![n as u8; n * 7]).collect();
        for datagram in &said {
            assert_eq!(net.send(0, b, datagram), Wrapped::Ready);
        }
        net.run(seconds(1));
        let heard: Vec<Vec<u8>> = net.clients[1].got.iter().map(|(_, bytes)| bytes.clone()).collect();
        assert_eq!(heard, said, "in pieces of {piece}");
        assert!(net.clients[1].drops.is_empty());
    }
}

#[test]
fn a_stream_that_ends_or_turns_to_noise_is_opened_anew() {
    for noise in [false, true] {
        let mut net = two(Transport::Stream);
        net.run(seconds(20));
        let (now, address) = (net.now, net.clients[0].address);
        if noise {
            net.relay(0).handle_stream_bytes(now, b"\xff\xff\xff\xff not TURN");
            assert!(net.relay(0).poll_inner(now).expect("it is told").is_err());
        } else {
            net.turns[0].disconnect(address);
            net.relay(0).handle_stream_closed(now, "reset by peer");
        }
        assert_eq!(net.relay(0).state(), &State::Allocating);
        let words = if noise { "not TURN" } else { "the connection ended: reset by peer" };
        assert!(net.relay(0).trouble().expect("a reason").contains(words));
        net.run(seconds(1));
        assert!(net.is_allocated(0));
        assert_ne!(net.clients[0].address, address);
        assert_eq!(net.turns[0].allocations(), 1);
    }
}

#[test]
fn lost_answers_are_asked_for_again() {
    let mut net = Net::new(false, 1);
    net.add(0, Transport::Udp, "alice", "secret");
    net.deaf = true;
    net.run(millis(1_900));
    net.deaf = false;
    net.run(seconds(1));
    assert!(net.is_allocated(0));
    net.run(seconds(20));
    net.deaf = true;
    net.run(seconds(30));
    assert!(!net.is_allocated(0));
    net.deaf = false;
    net.run(seconds(20));
    assert!(net.is_allocated(0), "the place that the server kept for us is no obstacle: {:?}", net.relay(0).state());
}

#[test]
fn an_answer_that_is_not_signed_by_the_server_neither_prolongs_nor_ends_an_allocation() {
    let mut net = two(Transport::Udp);
    net.run(seconds(3));
    let now = net.now;
    net.relay(0).check(now);
    net.settle();
    let (_, question) = net.clients[0].sent.last().expect("it asks").clone();
    let mut refusal = vec![0x01, 0x14, 0, 8]; // a Refresh is refused
    refusal.extend_from_slice(&question[4..20]); // magic cookie, transaction id
    refusal.extend_from_slice(&[0, 9, 0, 4, 0, 0, 4, 37]); // error code 437
    assert_eq!(net.relay(0).handle_datagram(now, &refusal), Err(Dropped::BadSeal));
    net.run(LAG + millis(1));
    let address = net.clients[0].address;
    let answer = net.wire.values().flatten().find(|(_, to, _)| *to == address).expect("under way").2.clone();
    // The length, bits 16 to 31, is not signed: it says nothing that the rest does not (RFC 8489 section 14.5).
    for bit in (0..answer.len() * 8).filter(|bit| !(16..32).contains(bit)) {
        let mut damaged = answer.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(net.relay(0).handle_datagram(now, &damaged).is_err(), "bit {bit}");
    }
    assert!(net.is_allocated(0));
    assert_eq!(net.relay(0).handle_datagram(now, &answer), Ok(None));
    assert_eq!(net.relay(0).handle_datagram(now, &answer), Err(Dropped::Stale), "and never again");
}

#[test]
fn the_same_seed_asks_with_the_same_bytes() {
    let first = || {
        let mut net = Net::new(false, 1);
        net.add(0, Transport::Udp, "alice", "secret");
        net.settle();
        net.clients[0].sent[0].1.clone()
    };
    assert_eq!(first(), first());
}

/// Lets a bare relay talk through the world for a while, from the address of an endpoint there.
fn run_in(world: &mut World, relay: &mut Relay, home: Node, span: Duration) -> Vec<(SocketAddr, Vec<u8>)> {
    let end = world.now() + span;
    let mut got = Vec::new();
    while world.now() < end {
        relay.handle_timeout(world.now());
        let mut out = Vec::new();
        while relay.poll_transmit(world.now(), &mut out) {
            world.post(home, relay.server().address, &out);
            out.clear();
        }
        world.run(millis(5));
        for said in world.take_overheard() {
            if let (true, Ok(Some(inner))) = (said.from != home, relay.handle_datagram(world.now(), &said.bytes)) {
                got.push((inner.peer, said.bytes[inner.data].to_vec()));
            }
        }
    }
    got
}

#[test]
fn a_turn_server_is_a_node_of_the_world_with_links_a_death_and_a_restart() {
    let mut world = World::new(1);
    let (home, away, node) = (world.add(1), world.add(2), world.add_turn("alice", "secret"));
    world.listen();
    let address = world.turn(node).address();
    let server = RelayServer {
        name: "turn".into(),
        address,
        transport: Transport::Udp,
        username: "alice".into(),
        password: "secret".into(),
        pop: 0,
    };
    let mut relay = Relay::new(world.now(), server, Random::from_seed([1; 32]));
    run_in(&mut world, &mut relay, home, seconds(1));
    let State::Allocated { relayed, .. } = *relay.state() else { panic!("{:?}", relay.state()) };
    assert!(world.turn(node).owns(relayed));
    let peer = world.address(away);
    assert!(relay.permit(world.now(), peer));
    run_in(&mut world, &mut relay, home, seconds(1));
    world.post(away, relayed, b"over the relay");
    assert_eq!(run_in(&mut world, &mut relay, home, seconds(1)), [(peer, b"over the relay".to_vec())]);

    world.cut(home, node);
    run_in(&mut world, &mut relay, home, seconds(9));
    assert!(!matches!(relay.state(), State::Allocated { .. }));
    world.heal(home, node);
    world.turn(node).restart();
    run_in(&mut world, &mut relay, home, seconds(20));
    assert!(matches!(relay.state(), State::Allocated { .. }), "{:?}", relay.state());
    world.turn(node).kill();
    run_in(&mut world, &mut relay, home, seconds(20));
    assert!(!matches!(relay.state(), State::Allocated { .. }));
}

/// Clients that have talked for a while, and what the first heard meanwhile.
fn with_answers() -> (Net, Vec<Vec<u8>>) {
    let mut net = two(Transport::Udp);
    net.run(seconds(30));
    let answers = std::mem::take(&mut net.clients[0].heard);
    (net, answers)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn garbage_and_damaged_answers_change_nothing(
        noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..50),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..8_u8), 1..50),
    ) {
        let (mut net, answers) = with_answers();
        prop_assert!(!answers.is_empty());
        let (now, b) = (net.now, net.relayed(1));
        let (revision, state) = (net.relay(0).revision(), net.relay(0).state().clone());
        for bytes in &noise {
            let _ = net.relay(0).handle_datagram(now, bytes);
        }
        for (which, byte, bit) in &flips {
            let mut bytes = which.get(&answers).clone();
            let at = byte.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(!matches!(net.relay(0).handle_datagram(now, &bytes), Ok(None)), "an old answer, damaged");
        }
        prop_assert_eq!(net.relay(0).revision(), revision);
        prop_assert_eq!(net.relay(0).state(), &state);
        prop_assert_eq!(net.send(0, b, b"as before"), Wrapped::Ready);
        net.run(seconds(60));
        prop_assert_eq!(net.relay(0).revision(), revision);
    }
}
