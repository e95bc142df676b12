//! Two who know no address of each other meet by signals, and leave them as soon as they can.

use crate::app::{CONNECTED, NONE, PROBLEM_LOCALLY, RELIABLE, ms, secs};
use crate::sim::{LAG, Node, World};
use crate::traffic::{Sizes, both_ways, carry};
use std::net::SocketAddr;
use steamnetmsg::drops::Dropped;
use steamnetmsg::endpoint::faults::Direction;
use steamnetmsg::endpoint::signals::Carrier;
use steamnetmsg::ids::SteamId;
use steamnetmsg::time::Duration;
use steamnetmsg::wire::candidate::{Candidate, CandidateKind};

const FINDING_ROUTE: i32 = 2;
const SIGNAL_LAG: Duration = Duration::from_millis(70);

fn clear() -> Direction {
    Direction { lag: SIGNAL_LAG, ..Direction::default() }
}

/// Two who know nothing of each other's addresses; whoever is asked accepts.
fn strangers(seed: u64) -> (World, Node, Node) {
    let mut world = World::new(seed);
    let (a, b) = (world.add(1), world.add(2));
    world.accept_all(a);
    world.accept_all(b);
    (world, a, b)
}

fn tell_of(world: &mut World, node: Node, addresses: &[SocketAddr]) {
    let candidate = |address: &SocketAddr| Candidate { kind: CandidateKind::Host, pop: 0, address: *address };
    let (now, candidates) = (world.now(), addresses.iter().map(candidate).collect());
    world.machine(node).set_candidates(now, candidates);
    world.host(node).touched = true;
    world.settle();
}

fn tell_own_addresses(world: &mut World, nodes: &[Node]) {
    for node in nodes {
        let address = world.address(*node);
        tell_of(world, *node, &[address]);
    }
}

#[test]
fn the_first_message_takes_one_and_a_half_signal_round_trips() {
    let (mut world, a, b) = strangers(1);
    tell_own_addresses(&mut world, &[a, b]);
    world.carry_signals(clear());
    let began = world.now();
    world.send(a, b, 0, RELIABLE, b"hello").unwrap();
    world.wait("it arrives", secs(5), |w| !w.receive(b, 0).is_empty());
    assert_eq!(
        world.now().saturating_since(began),
        SIGNAL_LAG * 2 + LAG,
        "the last half is the direct way, if it is shorter"
    );
    let (mut world, a, b) = strangers(1);
    world.carry_signals(clear());
    let began = world.now();
    world.send(a, b, 0, RELIABLE, b"hello").unwrap();
    world.wait("it arrives", secs(5), |w| !w.receive(b, 0).is_empty());
    assert_eq!(world.now().saturating_since(began), SIGNAL_LAG * 3, "without any other way");
}

#[test]
fn as_soon_as_a_direct_way_is_proven_nothing_is_carried_as_signals() {
    for seed in crate::seeds(20) {
        let (mut world, a, b) = strangers(seed);
        tell_own_addresses(&mut world, &[a, b]);
        world.carry_signals(clear());
        world.send(a, b, 0, RELIABLE, b"hello").unwrap();
        world.wait("both are on the direct way", secs(5), |w| (w.state(a, b), w.state(b, a)) == (CONNECTED, CONNECTED));
        assert_eq!(world.info(a, b).remote_address, Some(world.address(b)));
        world.run(secs(2));
        world.listen_to_signals();
        let mut flows = both_ways(&world, a, b, &[1, 2], 50, Sizes::UpTo(5_000));
        carry(&mut world, &mut flows, secs(30));
        world.run(secs(20));
        assert_eq!(world.signals_heard(), 0);
    }
}

#[test]
fn both_at_once_and_through_bad_weather_they_meet() {
    for seed in crate::seeds(60) {
        let (mut world, a, b) = strangers(seed);
        world.weather = Direction { lag: ms(seed * 7 % 90), loss: (seed % 3) as f32 * 10.0, ..Direction::default() };
        tell_own_addresses(&mut world, &[a, b]);
        world.carry_signals(Direction {
            loss: (seed % 4) as f32 * 10.0,
            dup: 20.0,
            reorder: 20.0,
            reorder_time: ms(100),
            jitter_avg: ms(20),
            ..clear()
        });
        let mut flows = both_ways(&world, a, b, &[1, -1], 20, Sizes::UpTo(500));
        if seed % 2 == 0 {
            flows.iter_mut().for_each(|flow| assert!(flow.send_next(&mut world)));
        }
        carry(&mut world, &mut flows, secs(60));
        world.wait("both are on the direct way", secs(9), |w| (w.state(a, b), w.state(b, a)) == (CONNECTED, CONNECTED));
    }
}

#[test]
fn without_any_way_but_signals_the_session_fails_and_says_so() {
    let (mut world, a, b) = strangers(3);
    world.carry_signals(clear());
    world.send(a, b, 0, RELIABLE, b"hello").unwrap();
    world.wait("it arrives all the same", secs(5), |w| !w.receive(b, 0).is_empty());
    world.run(secs(1));
    assert_eq!((world.state(a, b), world.state(b, a)), (FINDING_ROUTE, FINDING_ROUTE));
    world.wait("it fails", secs(11), |w| w.state(a, b) == PROBLEM_LOCALLY || w.state(b, a) == PROBLEM_LOCALLY);
    world.run(secs(1));
    let ends = (world.failures(a, b), world.failures(b, a));
    assert!(ends.0.iter().chain(&ends.1).any(|(_, _, reason)| *reason == 5008), "{ends:?}");
}

#[test]
fn few_packets_are_carried_as_signals_however_much_is_sent() {
    let (mut world, a, b) = strangers(4);
    world.carry_signals(clear());
    world.send(a, b, 0, RELIABLE, b"hello").unwrap();
    world.wait("finding a route", secs(5), |w| w.state(a, b) == FINDING_ROUTE);
    world.listen_to_signals();
    for _ in 0..400 {
        let _ = world.send(a, b, 0, RELIABLE, &[7; 1_000]);
    }
    world.run(secs(5));
    assert!(world.signals_heard() <= 2 * (6 + 5 * 4 + 20), "{}", world.signals_heard());
}

#[test]
fn who_is_not_there_is_told_at_once() {
    let (mut world, a, _) = strangers(5);
    world.carry_signals(clear());
    world.send_to_id(a, SteamId(99), 0, RELIABLE, b"hello").unwrap();
    world.run(ms(200));
    let now = world.now();
    world.machine(a).handle_offline(now, SteamId(99));
    let (info, _) = world.machine(a).session_info(now, SteamId(99));
    assert_eq!((info.state, info.end_reason), (PROBLEM_LOCALLY, 5010), "{info:?}");
    assert!(world.machine(a).explain(now, SteamId(99)).contains("peer_offline"));
}

#[test]
fn a_session_that_stands_does_not_believe_that_the_peer_is_offline() {
    let (mut world, a, b) = strangers(6);
    tell_own_addresses(&mut world, &[a, b]);
    world.carry_signals(clear());
    world.send(a, b, 0, RELIABLE, b"hello").unwrap();
    world.run(secs(2));
    let (now, peer) = (world.now(), world.id(b));
    world.machine(a).handle_offline(now, peer);
    assert_eq!(world.state(a, b), CONNECTED);
}

#[test]
fn who_waits_for_a_carrier_goes_on_as_soon_as_there_is_one() {
    let (mut world, a, b) = strangers(7);
    world.set_carrier(a, Carrier::Waiting);
    world.send(a, b, 0, RELIABLE, b"hello").unwrap();
    world.run(secs(4));
    let now = world.now();
    let peer = world.id(b);
    assert!(world.machine(a).explain(now, peer).contains("signaling_down"));
    world.carry_signals(clear());
    world.wait("it arrives", SIGNAL_LAG * 3, |w| !w.receive(b, 0).is_empty());
}

#[test]
fn without_a_carrier_the_session_fails_and_says_that_it_is_the_signaling() {
    let (mut world, a, b) = strangers(8);
    world.set_carrier(a, Carrier::Waiting);
    world.send(a, b, 0, RELIABLE, b"hello").unwrap();
    world.run(secs(11));
    assert_eq!(world.info(a, b).end_reason, 5005);
}

#[test]
fn candidates_told_later_are_used() {
    for seed in crate::seeds(10) {
        let (mut world, a, b) = strangers(seed);
        world.carry_signals(clear());
        world.send(a, b, 0, RELIABLE, b"hello").unwrap();
        world.run(secs(2));
        assert_eq!(world.state(a, b), FINDING_ROUTE);
        tell_own_addresses(&mut world, &[a, b]);
        world.wait("a way is found", secs(5), |w| (w.state(a, b), w.state(b, a)) == (CONNECTED, CONNECTED));
        let mut flows = both_ways(&world, a, b, &[1], 30, Sizes::UpTo(3_000));
        carry(&mut world, &mut flows, secs(20));
    }
}

#[test]
fn under_relay_only_no_datagram_goes_straight_to_the_peer() {
    for (for_a, for_b) in [(1, 1), (1, 0x7fff_ffff), (0x7fff_ffff, 1)] {
        let mut world = World::new(9);
        let a = world.add_with(1, |c| c.settings.transports = for_a);
        let b = world.add_with(2, |c| c.settings.transports = for_b);
        world.introduce(a, b);
        world.accept_all(b);
        tell_own_addresses(&mut world, &[a, b]);
        world.listen();
        world.carry_signals(clear());
        world.send(a, b, 0, RELIABLE, b"hello").unwrap();
        world.run(secs(5));
        let heard = world.take_overheard();
        let strict = if for_a == 1 { a } else { b };
        assert!(heard.iter().all(|datagram| datagram.from != strict), "{for_a} {for_b}: {:?}", heard.first());
        let other = if strict == a { b } else { a };
        let address = world.address(strict);
        assert!(
            heard.iter().all(|d| d.from != other || d.to != address || world.id(strict) == SteamId(2)),
            "nor is its address told"
        );
    }
}

#[test]
fn a_handshake_of_somebody_else_than_its_carrier_says_is_dropped() {
    let mut world = World::new(10);
    let (a, b) = (world.add(1), world.add(2));
    world.carry_signals(clear());
    world.rename_signals_of(a, SteamId(77));
    world.send(a, b, 0, RELIABLE, b"hello").unwrap();
    world.run(secs(3));
    assert_eq!(world.state(b, a), NONE);
    assert!(world.machine(b).drops().of(Dropped::BadHandshake) > 0);
    world.assert_no_events(b);
}

#[test]
fn junk_as_signals_is_dropped_and_counted() {
    let mut world = World::new(11);
    let b = world.add(2);
    world.carry_signals(clear());
    let now = world.now();
    for size in [0, 1, 7, 1_200, 4_096, 5_000] {
        for kind in [0u8, 2, 64, 0xc0, 0xc1, 0xc2, 0xc3, 0xff] {
            let mut bytes = vec![kind; size];
            world.machine(b).handle_signal(now, SteamId(1), &mut bytes);
        }
    }
    world.machine(b).handle_signal(now, SteamId(0), &mut [1, 2, 3]);
    world.machine(b).handle_signal(now, SteamId(2), &mut [1, 2, 3]);
    assert_eq!(world.machine(b).drops().total(), 6 * 8 + 2);
    world.assert_no_events(b);
}
