//! Whatever comes from strangers, liars and broken cables: it is counted and changes nothing.

use crate::app::{CONNECTED, NONE, RELIABLE, UNRELIABLE, ms, secs};
use crate::sim::{LAG, Node, Overheard, World, damaged, nth_address};
use crate::traffic::{Flow, Sizes, both_ways, carry};
use std::net::SocketAddr;
use steamnetmsg::drops::Dropped;
use steamnetmsg::endpoint::faults::Dice;

/// Where the attacker sits.
fn evil() -> SocketAddr {
    nth_address(66, 6)
}

fn drops(world: &mut World, node: Node) -> u64 {
    world.machine(node).drops().total()
}

fn sessions(world: &mut World, node: Node) -> usize {
    world.machine(node).peers().peers().len()
}

/// A connected pair, with all it took to connect and some data, as the attacker heard it.
fn overheard_pair(world: &mut World) -> (Node, Node, Vec<Overheard>) {
    let (a, b) = world.pair();
    world.listen();
    world.connect(a, b);
    let mut flows = both_ways(world, a, b, &[1], 30, Sizes::UpTo(900));
    carry(world, &mut flows, secs(20));
    world.run(secs(1));
    let heard = world.take_overheard();
    (a, b, heard)
}

/// Traffic goes on both ways and nobody was told anything.
fn assert_unharmed(world: &mut World, a: Node, b: Node) {
    world.run(ms(200));
    assert_eq!((world.state(a, b), world.state(b, a)), (CONNECTED, CONNECTED));
    let channel = 1_000 + (world.now().as_micros() % 1_000_000) as i32;
    let mut flows = both_ways(world, a, b, &[channel], 50, Sizes::UpTo(1_200));
    carry(world, &mut flows, secs(20));
    world.assert_no_events(a);
    world.assert_no_events(b);
    assert_eq!((sessions(world, a), sessions(world, b)), (1, 1));
}

#[test]
fn ten_thousand_random_datagrams_change_nothing() {
    let mut world = World::new(1);
    let (a, b, _) = overheard_pair(&mut world);
    let mut dice = Dice::new(5);
    for n in 0..10_000u64 {
        let (to, other) = if n % 2 == 0 { (a, b) } else { (b, a) };
        let source = if n % 3 == 0 { world.address(other) } else { evil() };
        let mut bytes: Vec<u8> = (0..dice.below(1_500)).map(|_| dice.number() as u8).collect();
        // Most of them with a first byte of ours, or they would all fall at the first check.
        if let Some(first) = bytes.first_mut().filter(|_| n % 4 != 0) {
            *first |= 0xc0;
        }
        let before = drops(&mut world, to);
        world.inject(to, source, &bytes);
        assert_eq!(drops(&mut world, to), before + 1, "datagram {n} is dropped and counted");
        if n % 100 == 0 {
            world.run(ms(1));
        }
    }
    assert_unharmed(&mut world, a, b);
}

#[test]
fn damaged_copies_of_real_datagrams_change_nothing() {
    for seed in crate::seeds(3) {
        let mut world = World::new(seed);
        let (a, b, heard) = overheard_pair(&mut world);
        let mut dice = Dice::new(seed);
        for n in 0..10_000u64 {
            let original = &heard[dice.below(heard.len() as u64) as usize];
            let to = if original.from == a { b } else { a };
            let bytes = damaged(&mut dice, &original.bytes);
            let source = if n % 2 == 0 { original.source } else { evil() };
            let before = drops(&mut world, to);
            world.inject(to, source, &bytes);
            assert!(drops(&mut world, to) > before, "damaged datagram {n} is dropped and counted");
            if n % 100 == 0 {
                world.run(ms(1));
            }
        }
        assert_unharmed(&mut world, a, b);
    }
}

#[test]
fn every_truncation_of_every_real_datagram_is_dropped() {
    let mut world = World::new(1);
    let (a, b, heard) = overheard_pair(&mut world);
    for original in heard.iter().take(12) {
        let to = if original.from == a { b } else { a };
        for length in (0..original.bytes.len()).filter(|length| !is_a_finish_alone(&original.bytes, *length)) {
            let before = drops(&mut world, to);
            world.inject(to, original.source, &original.bytes[..length]);
            assert!(drops(&mut world, to) > before, "{length} of {} bytes", original.bytes.len());
        }
        world.run(ms(10));
    }
    assert_unharmed(&mut world, a, b);
}

#[test]
fn replayed_datagrams_deliver_nothing_twice_and_move_nothing() {
    let mut world = World::new(1);
    let (a, b, heard) = overheard_pair(&mut world);
    for source in [None, Some(evil())] {
        for original in &heard {
            let to = if original.from == a { b } else { a };
            world.inject(to, source.unwrap_or(original.source), &original.bytes);
        }
        world.run(secs(1));
        for node in [a, b] {
            assert_eq!(world.machine(node).mailbox().waiting(), 0, "nothing is delivered twice");
        }
        assert_eq!(world.info(a, b).remote_address, Some(world.address(b)));
        assert_eq!(world.info(b, a).remote_address, Some(world.address(a)));
    }
    assert!(world.machine(b).drops().of(Dropped::Replayed) > 0);
    assert_unharmed(&mut world, a, b);
}

#[test]
fn a_whole_conversation_replayed_to_a_fresh_endpoint_starts_nothing() {
    let mut world = World::new(1);
    let (a, b, heard) = overheard_pair(&mut world);
    world.kill(b);
    world.start(b);
    world.kill(a);
    for original in heard.iter().filter(|datagram| datagram.from == a) {
        world.inject(b, original.source, &original.bytes);
        world.run(ms(1));
    }
    world.run(secs(20));
    world.assert_no_events(b);
    assert_eq!(world.state(b, a), NONE);
    assert_eq!(world.machine(b).mailbox().waiting(), 0);
}

#[test]
fn an_attacker_who_repeats_a_fresh_packet_from_his_own_address_does_not_move_the_session() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    world.listen();
    let mut heard = Vec::new();
    for n in 0..50u8 {
        world.send(a, b, 1, UNRELIABLE, &[n; 100]).expect("room");
        world.run(ms(6));
        // He is nearer: his copy arrives first.
        let fresh = world.take_overheard();
        for datagram in fresh.iter().filter(|datagram| datagram.from == a) {
            world.inject(b, evil(), &datagram.bytes);
        }
        heard.extend(fresh);
        world.run(ms(14));
    }
    world.run(secs(5));
    assert_eq!(world.info(b, a).remote_address, Some(world.address(a)));
    assert_eq!(world.receive(b, 1).len(), 50, "each once");
    let (mut to_evil, mut to_a) = (0, 0);
    heard.extend(world.take_overheard());
    for datagram in heard.iter().filter(|datagram| datagram.from == b) {
        *(if datagram.to == evil() { &mut to_evil } else { &mut to_a }) += datagram.bytes.len();
    }
    assert!(to_evil <= 1_200 * 5 + 3 * 50 * 160, "{to_evil} bytes went to the attacker");
    assert!(to_a > 0);
    assert_unharmed(&mut world, a, b);
}

#[test]
fn nobody_is_answered_with_more_than_three_times_what_came() {
    let mut world = World::new(1);
    let (a, b, heard) = overheard_pair(&mut world);
    let mut dice = Dice::new(1);
    let mut came = 0;
    for n in 0..2_000 {
        let original = &heard[n % heard.len()];
        let to = if original.from == a { b } else { a };
        let bytes = if n % 2 == 0 { original.bytes.clone() } else { damaged(&mut dice, &original.bytes) };
        came += bytes.len();
        world.inject(to, evil(), &bytes);
        if n % 10 == 0 {
            world.run(ms(5));
        }
    }
    world.run(secs(10));
    let went: usize = world.take_overheard().iter().filter(|d| d.to == evil()).map(|d| d.bytes.len()).sum();
    assert!(went <= 3 * came, "{went} bytes went for {came}");
}

#[test]
fn nothing_is_known_of_who_has_not_finished_a_handshake() {
    let mut world = World::new(1);
    let (a, b) = world.pair();
    world.listen();
    world.send(a, b, 0, RELIABLE, b"x").expect("queued");
    let first = world.take_overheard().remove(0);
    assert!(first.bytes.len() >= 1_200, "the first flight is padded");
    world.kill(a);
    // The first flight alone, from a thousand places, and again.
    for n in 0..1_000 {
        world.inject(b, nth_address(77, n), &first.bytes);
        if n % 10 == 0 {
            world.run(ms(5));
        }
    }
    world.run(secs(15));
    world.assert_no_events(b);
    assert_eq!(world.state(b, a), NONE);
    assert_eq!(sessions(&mut world, b), 0);
    // Its table of half-open handshakes has emptied again.
    let c = world.add(1_003);
    world.introduce(c, b);
    world.connect(c, b);
}

#[test]
fn a_flood_of_forged_first_flights_does_not_disturb_a_session_nor_keep_a_stranger_out() {
    let mut world = World::new(1);
    let (a, b, heard) = overheard_pair(&mut world);
    let first = heard.iter().find(|datagram| datagram.from == a).expect("a began").bytes.clone();
    let c = world.add(1_003);
    world.introduce(c, b);
    world.accept_all(b);
    world.send(c, b, 9, RELIABLE, b"let me in").expect("queued");
    let mut flow = Flow::new(&world, a, b, 4, 200, Sizes::UpTo(1_000));
    for n in 0..4_000 {
        world.inject(b, nth_address(77, n), &first);
        if n % 10 == 0 {
            flow.send_next(&mut world);
            world.run(ms(5));
            flow.receive(&mut world);
        }
    }
    world.run(LAG * 4);
    flow.receive(&mut world);
    assert!(flow.is_done(), "{} of 200 arrived", flow.received);
    world.wait("the stranger gets in", secs(8), |w| w.receive(b, 9).len() == 1);
}

#[test]
fn without_a_certificate_only_loopback_may_enter_by_default() {
    let strict = |config: &mut steamnetmsg::endpoint::config::Config| config.settings.allow_without_auth = false;
    let mut world = World::new(1);
    let (a, b) = (world.add_with(1_001, strict), world.add_with(1_002, strict));
    world.introduce(a, b);
    world.send(a, b, 0, RELIABLE, b"x").expect("queued");
    world.run(secs(21));
    world.assert_no_events(b);
    assert_eq!(world.failures(a, b).len(), 1);
    let at = |port: u16| {
        move |config: &mut steamnetmsg::endpoint::config::Config| {
            strict(config);
            config.bind = vec![SocketAddr::from(([127, 0, 0, 1], port))];
        }
    };
    let (c, d) = (world.add_with(1_003, at(5_001)), world.add_with(1_004, at(5_002)));
    world.introduce(c, d);
    world.connect(c, d);
    // SNM_INFO_UNAUTHENTICATED is 1.
    assert_eq!(world.info(c, d).info_flags & 1, 1);
}

/// A last handshake message cut right where the first data begins is whole: it may also come alone.
fn is_a_finish_alone(datagram: &[u8], length: usize) -> bool {
    datagram[0] == 0xe3 && length == 7 + usize::from(u16::from_be_bytes([datagram[5], datagram[6]]))
}
