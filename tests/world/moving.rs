//! A session outlives the address it began on.

use crate::app::{CONNECTED, RELIABLE, UNRELIABLE, ms, secs};
use crate::sim::{LAG, World};
use crate::traffic::{Flow, Sizes, both_ways, carry, turn};
use std::collections::BTreeSet;

#[test]
fn a_session_survives_a_new_address_in_the_midst_of_its_traffic() {
    for seed in crate::seeds(10) {
        let mut world = World::new(seed);
        world.weather.loss = (seed % 3) as f32 * 5.0;
        let (a, b) = world.connected_pair();
        let mut flows = both_ways(&world, a, b, &[1, 2], 1_500, Sizes::Mixed);
        // Now the one that began, now the other, three times in all.
        for mover in [a, b, a] {
            for _ in 0..60 {
                turn(&mut world, &mut flows);
                world.run(ms(5));
            }
            world.rebind(mover);
        }
        carry(&mut world, &mut flows, secs(120));
        assert_eq!((world.state(a, b), world.state(b, a)), (CONNECTED, CONNECTED));
        assert_eq!(world.info(b, a).remote_address, Some(world.address(a)));
        assert_eq!(world.info(a, b).remote_address, Some(world.address(b)));
        world.assert_no_events(a);
        world.assert_no_events(b);
    }
}

#[test]
fn a_new_address_is_adopted_within_a_second_of_traffic() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    let mut flow = Flow::new(&world, b, a, 1, 10_000, Sizes::UpTo(100));
    for _ in 0..100 {
        world.send(a, b, 2, UNRELIABLE, b"tick").expect("room");
        flow.send_next(&mut world);
        world.run(ms(16));
        flow.receive(&mut world);
    }
    world.rebind(a);
    let before = world.now();
    let stalled_at = flow.received;
    while flow.received < stalled_at + 10 {
        world.send(a, b, 2, UNRELIABLE, b"tick").expect("room");
        flow.send_next(&mut world);
        world.run(ms(16));
        flow.receive(&mut world);
        let gone = world.now().saturating_since(before);
        assert!(gone <= secs(1), "nothing arrives at the new address after {gone:?}");
    }
}

#[test]
fn a_session_that_moves_while_nobody_speaks_is_found_again() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    world.run(secs(20));
    world.rebind(a);
    world.run(secs(20));
    assert_eq!((world.state(a, b), world.state(b, a)), (CONNECTED, CONNECTED));
    for (from, to) in [(a, b), (b, a)] {
        world.send(from, to, 1, RELIABLE, b"found").expect("room");
        world.wait("it arrives", secs(2), |w| w.receive(to, 1).len() == 1);
    }
    world.assert_no_events(a);
    world.assert_no_events(b);
}

#[test]
fn two_who_move_at_the_same_instant_meet_again_through_the_address_book() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    world.rebind(a);
    world.rebind(b);
    world.introduce(a, b);
    let now = world.now();
    for node in [a, b] {
        world.machine(node).handle_network_change(now);
    }
    let mut flows = both_ways(&world, a, b, &[1], 50, Sizes::UpTo(1_000));
    carry(&mut world, &mut flows, secs(9));
    world.assert_no_events(a);
    world.assert_no_events(b);
}

#[test]
fn nothing_unreliable_comes_twice_or_damaged_across_a_move() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    let mut seen = BTreeSet::new();
    for n in 0u32..600 {
        if n % 150 == 75 {
            world.rebind(a);
        }
        world.send(a, b, 1, UNRELIABLE, &n.to_le_bytes()).expect("room");
        world.run(ms(10));
        for message in world.receive(b, 1) {
            assert!(seen.insert(u32::from_le_bytes((*message.payload).try_into().expect("four bytes"))));
        }
    }
    assert!(seen.iter().all(|n| *n < 600));
    assert!(seen.len() > 550, "{} of 600 arrived; only those under way at a move may be lost", seen.len());
}

#[test]
fn a_network_change_with_no_change_harms_nothing() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    let mut flows = both_ways(&world, a, b, &[1], 500, Sizes::Mixed);
    for n in 0..100 {
        turn(&mut world, &mut flows);
        world.run(ms(10));
        let now = world.now();
        world.machine(if n % 2 == 0 { a } else { b }).handle_network_change(now);
    }
    carry(&mut world, &mut flows, secs(30));
    world.assert_no_events(a);
}

#[test]
fn a_moved_session_can_still_be_closed_and_idle_out() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    world.rebind(a);
    world.send(a, b, 1, RELIABLE, b"moved").expect("room");
    world.run(secs(2));
    assert!(world.close(b, a));
    world.wait("the one that moved knows", LAG * 2 + ms(1), |w| w.state(a, b) == 0);
    let (c, d) = (world.add(1_003), world.add(1_004));
    world.introduce(c, d);
    world.connect(c, d);
    world.rebind(c);
    world.run(secs(210));
    assert_eq!((world.state(c, d), world.state(d, c)), (0, 0));
    world.assert_no_events(d);
}

#[test]
fn who_moves_before_it_hears_the_yes_is_found() {
    for accepts_at_once in [true, false] {
        let mut world = World::new(1);
        let (a, b) = world.pair();
        world.host(b).accepts = accepts_at_once;
        world.send(a, b, 0, RELIABLE, b"once").expect("queued");
        // Its last handshake message has left; the answer goes where it is no more.
        world.run(LAG * 2 + ms(1));
        world.rebind(a);
        world.run(secs(3));
        world.accept(b, a);
        world.send(b, a, 0, RELIABLE, b"there you are").expect("room");
        world.wait("both are connected", secs(1), |w| w.state(a, b) == CONNECTED && w.state(b, a) == CONNECTED);
        world.wait("the answer arrives", secs(1), |w| !w.receive(a, 0).is_empty());
        world.run(secs(20));
        let heard = world.receive(b, 0);
        assert_eq!(heard.iter().map(|m| &*m.payload).collect::<Vec<_>>(), [b"once"]);
        assert_eq!(world.requests(b, a).len(), 1);
        world.assert_no_events(a);
    }
}
