//! Sessions over relays: as they begin, as they move, and as relays die under them.

use crate::app::{CONNECTED, RELIABLE, ms, secs};
use crate::sim::{LAG, Node, World};
use crate::traffic::{Sizes, both_ways, carry};
use serde_json::json;
use std::collections::BTreeSet;
use steamnetmsg::endpoint::faults::Direction;
use steamnetmsg::endpoint::relays::{RelayServer, Transport};
use steamnetmsg::ids::SteamId;
use steamnetmsg::relay::State;
use steamnetmsg::time::Duration;

const RELAYED: u32 = 16;
const SIGNAL_LAG: Duration = Duration::from_millis(40);

impl World {
    /// Tells an endpoint of these relays, and of no others.
    fn use_relays(&mut self, node: Node, relays: &[Node]) {
        let server = |(at, relay): (usize, &Node)| RelayServer {
            name: format!("relay{at}"),
            address: self.turn(*relay).address(),
            transport: Transport::Udp,
            username: "anybody".to_owned(),
            password: "secret".to_owned(),
            pop: 1 + at as u32,
        };
        let servers = relays.iter().enumerate().map(server).collect();
        let now = self.now();
        self.machine(node).set_relays(now, servers);
        self.host(node).touched = true;
        self.settle();
    }

    fn has_places(&mut self, node: Node, count: usize) -> bool {
        let allocated = |(_, state): (_, &State)| matches!(state, State::Allocated { .. });
        self.machine(node).relay_states().filter(|one| allocated(*one)).count() == count
    }
}

/// Endpoints that meet by signals and have a place on each of so many relays. `transports` as the setting.
fn relayed(seed: u64, endpoints: u64, relays: usize, transports: i32) -> (World, Vec<Node>, Vec<Node>) {
    let mut world = World::new(seed);
    let relays: Vec<Node> = (0..relays).map(|_| world.add_turn("anybody", "secret")).collect();
    let nodes: Vec<Node> =
        (1..=endpoints).map(|id| world.add_with(id, |c| c.settings.transports = transports)).collect();
    for node in &nodes {
        world.accept_all(*node);
        world.use_relays(*node, &relays);
    }
    world.carry_signals(Direction { lag: SIGNAL_LAG, ..Direction::default() });
    let all = nodes.clone();
    world.wait("all have their places", secs(5), |w| all.iter().all(|n| w.has_places(*n, relays.len())));
    (world, nodes, relays)
}

fn info_flags(world: &mut World, at: Node, about: Node) -> u32 {
    world.info(at, about).info_flags & RELAYED
}

#[test]
fn under_relay_only_two_meet_and_no_datagram_goes_between_their_addresses() {
    for seed in crate::seeds(20) {
        let (mut world, nodes, _) = relayed(seed, 2, 1, 1);
        let (a, b) = (nodes[0], nodes[1]);
        world.listen();
        let began = world.now();
        world.send(a, b, 0, RELIABLE, b"hello").unwrap();
        world.wait("it arrives", secs(5), |w| !w.receive(b, 0).is_empty());
        let took = world.now().saturating_since(began);
        // The world's relay is LAG away from everybody.
        assert!(took <= SIGNAL_LAG * 3 + LAG * 2, "a signal round trip and a half, and one to the relay: {took:?}");
        let mut flows = both_ways(&world, a, b, &[1, 2], 60, Sizes::UpTo(5_000));
        carry(&mut world, &mut flows, secs(30));
        assert_eq!((world.state(a, b), world.state(b, a)), (CONNECTED, CONNECTED));
        assert_eq!((info_flags(&mut world, a, b), info_flags(&mut world, b, a)), (RELAYED, RELAYED));
        assert_eq!(world.info(a, b).remote_address, None, "where the peer is, is nobody's business");
        assert_eq!(world.info(a, b).pops, (1, 1));
        let ours: BTreeSet<_> = [world.address(a), world.address(b)].into();
        let heard = world.take_overheard();
        assert!(heard.iter().all(|datagram| !ours.contains(&datagram.to) || !ours.contains(&datagram.source)));
    }
}

#[test]
fn by_default_the_relay_comes_first_and_the_direct_way_as_soon_as_it_is_proven() {
    for seed in crate::seeds(20) {
        let (mut world, nodes, _) = relayed(seed, 2, 1, 0x7fff_ffff);
        let (a, b) = (nodes[0], nodes[1]);
        let began = world.now();
        world.send(a, b, 0, RELIABLE, b"hello").unwrap();
        world.wait("it arrives", secs(5), |w| !w.receive(b, 0).is_empty());
        assert!(world.now().saturating_since(began) <= SIGNAL_LAG * 3, "a signal round trip and a half");
        let direct = |w: &mut World| info_flags(w, a, b) == 0 && info_flags(w, b, a) == 0 && w.state(a, b) == CONNECTED;
        world.wait("both go straight", secs(3), direct);
        assert_eq!(world.info(a, b).remote_address, Some(world.address(b)));
        let mut flows = both_ways(&world, a, b, &[1], 60, Sizes::UpTo(5_000));
        carry(&mut world, &mut flows, secs(30));
    }
}

#[test]
fn a_direct_way_that_is_cut_is_left_for_the_relay() {
    for seed in crate::seeds(10) {
        let (mut world, nodes, _) = relayed(seed, 2, 1, 0x7fff_ffff);
        let (a, b) = (nodes[0], nodes[1]);
        world.send(a, b, 0, RELIABLE, b"hello").unwrap();
        world.run(secs(3));
        assert_eq!(info_flags(&mut world, a, b), 0);
        world.cut(a, b);
        let mut flows = both_ways(&world, a, b, &[1], 100, Sizes::UpTo(500));
        carry(&mut world, &mut flows, secs(8));
        assert_eq!((world.state(a, b), info_flags(&mut world, a, b)), (CONNECTED, RELAYED));
        world.heal(a, b);
        world.wait("they go straight again", secs(40), |w| info_flags(w, a, b) == 0 && info_flags(w, b, a) == 0);
    }
}

/// The longest time without a message at `to`, while `from` sends one every 16 ms; all arrive once and in order.
fn longest_gap(
    world: &mut World,
    from: Node,
    to: Node,
    span: Duration,
    mut at: impl FnMut(&mut World, u32),
) -> Duration {
    let (mut last, mut longest, mut expected) = (world.now(), Duration::ZERO, 0u32);
    let end = world.now() + span;
    let mut number = 0u32;
    while world.now() < end || expected < number {
        if world.now() < end {
            world.send(from, to, 7, RELIABLE, &number.to_be_bytes()).unwrap();
            number += 1;
        }
        at(world, number);
        world.run(ms(16));
        for message in world.receive(to, 7) {
            assert_eq!(*message.payload, expected.to_be_bytes(), "once, and in order");
            expected += 1;
            longest = longest.max(world.now().saturating_since(last));
            last = world.now();
        }
        assert!(world.now() < end + secs(20), "{expected} of {number} have arrived");
    }
    longest
}

#[test]
fn a_relay_that_dies_under_a_session_costs_less_than_a_second_if_there_is_another() {
    for seed in crate::seeds(20) {
        let (mut world, nodes, relays) = relayed(seed, 2, 2, 1);
        let (a, b) = (nodes[0], nodes[1]);
        world.send(a, b, 0, RELIABLE, b"hello").unwrap();
        world.run(secs(3));
        let pop = world.info(a, b).pops.1;
        let victim = relays[pop as usize - 1];
        let gap = longest_gap(&mut world, a, b, secs(6), |w, number| {
            if number == 100 {
                w.turn(victim).kill();
            }
        });
        assert!(gap < secs(1), "{gap:?}, seed {seed}");
        assert_eq!(world.state(a, b), CONNECTED);
    }
}

#[test]
fn a_restarted_relay_takes_the_session_up_again() {
    for seed in crate::seeds(10) {
        let (mut world, nodes, relays) = relayed(seed, 2, 1, 1);
        let (a, b) = (nodes[0], nodes[1]);
        world.send(a, b, 0, RELIABLE, b"hello").unwrap();
        world.run(secs(3));
        longest_gap(&mut world, a, b, secs(12), |w, number| {
            if number == 60 {
                w.turn(relays[0]).restart();
            }
        });
        assert_eq!((world.state(a, b), world.state(b, a)), (CONNECTED, CONNECTED));
        assert_eq!(info_flags(&mut world, a, b), RELAYED);
        world.assert_no_events(a);
    }
}

#[test]
fn sixty_four_in_full_mesh_have_one_place_on_the_relay_each() {
    let (mut world, nodes, relays) = relayed(5, 64, 1, 1);
    for from in &nodes {
        for to in nodes.iter().filter(|to| *to != from) {
            world.send(*from, *to, 0, RELIABLE, b"hello").unwrap();
        }
    }
    let all = nodes.clone();
    world.wait("everybody reaches everybody", secs(20), |w| {
        all.iter().all(|a| all.iter().filter(|b| *b != a).all(|b| w.state(*a, *b) == CONNECTED))
    });
    for at in &nodes {
        assert_eq!(world.receive(*at, 0).len(), 63);
    }
    assert_eq!(world.turn(relays[0]).allocations(), 64);
}

#[test]
fn the_explanation_names_each_relay_and_why_one_refused() {
    let (mut world, nodes, relays) = relayed(1, 1, 1, 1);
    let strict = world.add_turn("anybody", "another secret");
    world.use_relays(nodes[0], &[relays[0], strict]);
    let relays_of = |world: &mut World| {
        let now = world.now();
        let all = world.machine(nodes[0]).explain(now, SteamId(9));
        serde_json::from_str::<serde_json::Value>(&all).expect("it is JSON")["relays"].clone()
    };
    assert_eq!(relays_of(&mut world)[1]["state"], "asked");
    world.run(secs(2));
    let relays = relays_of(&mut world);
    assert_eq!(relays[0], json!({ "name": "relay0", "transport": "udp", "state": "allocated", "why": "" }));
    assert_eq!((&relays[1]["name"], &relays[1]["state"]), (&json!("relay1"), &json!("failed")), "{relays:#}");
    assert!(relays[1]["why"].as_str().is_some_and(|why| why.contains("401")), "{relays:#}");
}
