//! The laws of the wall: any order of calls is right; no spin; no stall; same seed, same bytes.
//! (Bounded, and nothing before authentication: see `hostile`.)
//!
//! No spin is asserted by the world itself in every test: an endpoint is woken a hundred times at one
//! instant at most, and must at some point have nothing more to send.

use crate::app::{CONNECTED, RELIABLE, ms, secs};
use crate::sim::{LAG, World};
use crate::traffic::{Flow, Sizes, both_ways, carry, turn};
use steamnetmsg::endpoint::faults::Direction;
use steamnetmsg::machine::{Machine, TransmitBuf};
use steamnetmsg::time::Duration;

fn rough() -> Direction {
    Direction { loss: 10.0, dup: 3.0, reorder: 5.0, jitter_avg: ms(4), lag: LAG, ..Direction::default() }
}

/// A life with everything in it, told as one number.
fn whole_life(seed: u64) -> u64 {
    let mut world = World::new(seed);
    world.weather = rough();
    world.damage = 1.0;
    let (a, b) = world.connected_pair();
    let mut flows = both_ways(&world, a, b, &[1, -5], 100, Sizes::Mixed);
    carry(&mut world, &mut flows, secs(60));
    world.rebind(a);
    let mut flows = both_ways(&world, a, b, &[2], 100, Sizes::Mixed);
    carry(&mut world, &mut flows, secs(60));
    world.close(b, a);
    world.run(secs(5));
    world.accept_all(a);
    // It answers 3 once if the close cost data.
    if world.send(b, a, 1, RELIABLE, b"again").is_err() {
        world.send(b, a, 1, RELIABLE, b"again").expect("said once, it is forgotten");
    }
    world.run(secs(5));
    world.kill(a);
    world.run(secs(20));
    world.transcript()
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_gives_others() {
    for seed in crate::seeds(5) {
        assert_eq!(whole_life(seed), whole_life(seed), "seed {seed}");
    }
    assert_ne!(whole_life(1), whole_life(2));
}

#[test]
fn calls_nobody_asked_for_and_late_wakings_change_no_delivery() {
    for seed in crate::seeds(20) {
        let mut world = World::new(seed);
        world.weather = rough();
        world.restless = true;
        let (a, b) = world.connected_pair();
        let mut flows = both_ways(&world, a, b, &[1, 2, 3], 150, Sizes::Mixed);
        carry(&mut world, &mut flows, secs(90));
        world.assert_no_events(a);
        world.assert_no_events(b);
    }
}

#[test]
fn calls_nobody_asked_for_change_no_ending() {
    for seed in crate::seeds(10) {
        let mut world = World::new(seed);
        world.restless = true;
        let (a, b) = world.connected_pair();
        world.send(a, b, 1, RELIABLE, b"unread").expect("room");
        world.run(secs(1));
        world.close(a, b);
        world.wait("the peer knows", secs(1), |w| w.state(b, a) == 0);
        world.send(a, b, 1, RELIABLE, b"again").expect("a new session");
        world.wait("it asks", secs(2), |w| w.requests(b, a).len() == 1);
        assert!(world.accept(b, a));
        world.wait("both messages are there", secs(2), |w| w.machine(b).mailbox().waiting() == 2);
        world.kill(a);
        world.wait("the failure is told", secs(16), |w| w.failures(b, a).len() == 1);
    }
}

#[test]
fn asked_again_at_the_same_instant_the_machine_has_nothing_new_to_say() {
    for seed in crate::seeds(5) {
        let mut world = World::new(seed);
        world.weather = rough();
        let (a, b) = world.connected_pair();
        let mut flows = both_ways(&world, a, b, &[1, 2], 200, Sizes::Mixed);
        let mut out = TransmitBuf::new(8);
        for _ in 0..200 {
            turn(&mut world, &mut flows);
            world.run(ms(3));
            world.settle();
            let now = world.now();
            for node in [a, b] {
                let machine = world.machine(node);
                let deadline = machine.poll_timeout();
                assert_eq!(machine.poll_transmit(now, &mut out), None);
                machine.handle_reads(now);
                machine.handle_timeout(now);
                machine.handle_timeout(now);
                assert_eq!(machine.poll_transmit(now, &mut out), None, "nothing was due: {deadline:?} at {now:?}");
                assert!(machine.poll_timeout().is_some_and(|again| again.at > now));
            }
        }
    }
}

#[test]
fn a_clock_that_runs_backwards_breaks_nothing() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    let mut flows = both_ways(&world, a, b, &[1], 300, Sizes::Mixed);
    for step in 0..400u64 {
        turn(&mut world, &mut flows);
        world.run(ms(5));
        let earlier = world.now() - Duration::from_millis(step % 50);
        for node in [a, b] {
            world.machine(node).handle_timeout(earlier);
            world.machine(node).handle_reads(earlier);
        }
    }
    carry(&mut world, &mut flows, secs(60));
}

#[test]
fn whoever_has_something_to_deliver_has_a_deadline() {
    for seed in crate::seeds(10) {
        let mut world = World::new(seed);
        world.weather = rough();
        let (a, b) = world.connected_pair();
        let mut flows = both_ways(&world, a, b, &[1, 2], 200, Sizes::Mixed);
        let mut checks = 0;
        while !flows.iter().all(Flow::is_done) {
            turn(&mut world, &mut flows);
            world.run(ms(5));
            world.settle();
            for (here, there) in [(a, b), (b, a)] {
                let status = world.status(here, there);
                if status.pending_reliable + status.send_unacknowledged_reliable > 0 {
                    let (now, deadline) = (world.now(), world.machine(here).poll_timeout());
                    let deadline = deadline.unwrap_or_else(|| panic!("{here:?} stalls: {status:?}"));
                    let wait = deadline.at.saturating_since(now);
                    assert!(wait <= secs(3), "{here:?} would sleep {wait:?} for {:?} with {status:?}", deadline.why);
                    checks += 1;
                }
            }
            assert!(world.now().as_nanos() < 200_000_000_000);
        }
        assert!(checks > 100, "the test looked {checks} times");
    }
}

#[test]
fn a_sender_stopped_by_a_full_reader_goes_on_when_it_reads_although_grants_are_lost() {
    for seed in crate::seeds(10) {
        let mut world = World::new(seed);
        let (a, b) = world.connected_pair();
        let mut flow = Flow::new(&world, a, b, 1, 2_000, Sizes::UpTo(4_000));
        for _ in 0..300 {
            while flow.send_next(&mut world) {}
            world.run(ms(10));
        }
        let (waiting, sent) = (world.machine(b).mailbox().waiting(), flow.sent);
        assert!((waiting as u64) < sent, "the sender is stopped");
        // The grants that the read sets free are lost, all of those of the first second.
        world.set_link(b, a, Direction { loss: 100.0, lag: LAG, ..Direction::default() });
        flow.receive(&mut world);
        world.run(secs(1));
        world.set_link(b, a, Direction { loss: 20.0, lag: LAG, ..Direction::default() });
        carry(&mut world, &mut [flow], secs(60));
        assert_eq!(world.state(a, b), CONNECTED);
    }
}

#[test]
fn an_idle_endpoint_sleeps() {
    let mut world = World::new(1);
    let a = world.add(1_001);
    world.run(secs(10));
    let deadline = world.machine(a).poll_timeout();
    assert_eq!(deadline, None, "an endpoint without sessions waits for nothing");
}
