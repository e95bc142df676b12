//! What one side says while the other is deaf, and what holds then: bounds for lost closes, cancels, rejections;
//! events that wait for an app that looks late.

use crate::app::{CLOSED_BY_PEER, CONNECTED, CONNECTING, END_CLOSED, NONE, RELIABLE, ms, secs};
use crate::sim::{LAG, Node, World};
use steamnetmsg::endpoint::faults::Direction;
use steamnetmsg::time::Duration;

/// Copies of a CLOSE that go unasked, a round trip and a quarter apart.
const COPIES: u32 = 5;

/// Nothing gets from here to there until the first `copies` datagrams of a close, `every` apart, are lost.
fn lose_copies(world: &mut World, from: Node, to: Node, copies: u32, every: Duration) {
    world.set_link(from, to, Direction { loss: 100.0, lag: LAG, ..Direction::default() });
    if copies > 0 {
        world.run(every * (copies - 1) + ms(1));
    }
    world.set_link(from, to, Direction { lag: LAG, ..Direction::default() });
}

#[test]
fn a_close_whose_first_copies_are_lost_comes_a_round_trip_and_a_quarter_later_for_each() {
    for lost in 0..COPIES {
        let mut world = World::new(1);
        let (a, b) = world.connected_pair();
        let (start, every) = (world.now(), LAG * 5 / 2);
        assert!(world.close(b, a));
        lose_copies(&mut world, b, a, lost, every);
        world.wait("the peer knows", every * (lost + 1), |w| w.state(a, b) == NONE);
        let after = world.now().saturating_since(start);
        assert!(after <= LAG + every * lost + ms(5), "{lost} lost: known after {after:?}");
        world.run(secs(30));
        world.assert_no_events(a);
        world.assert_no_events(b);
    }
}

#[test]
fn a_close_of_which_every_copy_is_lost_is_told_to_the_next_sign_of_life_or_message() {
    for speaks in [false, true] {
        let mut world = World::new(1);
        let (a, b) = world.connected_pair();
        let every = LAG * 5 / 2;
        assert!(world.close(b, a));
        lose_copies(&mut world, b, a, COPIES, every);
        assert_eq!(world.state(a, b), CONNECTED);
        let start = world.now();
        if speaks {
            world.send(a, b, 1, RELIABLE, b"still there?").expect("it seems so");
        }
        world.wait("the peer knows", secs(3), |w| w.state(a, b) != CONNECTED);
        let after = world.now().saturating_since(start);
        // A quiet side asks every 2.5 s.
        let limit = if speaks { LAG * 2 + ms(6) } else { ms(2_500) + LAG * 2 };
        assert!(after <= limit, "known after {after:?}");
        assert_eq!(world.state(a, b), if speaks { CLOSED_BY_PEER } else { NONE });
        world.assert_no_events(a);
    }
}

fn asked(world: &mut World) -> (Node, Node) {
    let (a, b) = world.pair();
    world.send(a, b, 0, RELIABLE, b"x").expect("queued");
    world.wait("the request is announced", secs(2), |w| w.requests(b, a).len() == 1);
    world.run(LAG * 2);
    (a, b)
}

#[test]
fn a_cancelled_request_is_gone_with_the_first_copy_that_arrives_and_with_none_after_eight_seconds() {
    for lost in 0..=COPIES {
        let mut world = World::new(1);
        let (a, b) = asked(&mut world);
        let (start, every) = (world.now(), LAG * 5 / 2);
        assert!(world.close(a, b));
        lose_copies(&mut world, a, b, lost, every);
        assert_eq!(world.state(b, a), CONNECTING);
        let limit = if lost < COPIES { LAG + every * lost + ms(5) } else { secs(8) };
        world.wait("it is gone", secs(9), |w| w.state(b, a) == NONE);
        let after = world.now().saturating_since(start);
        assert!(after <= limit, "{lost} lost: gone after {after:?}");
        assert!(!world.accept(b, a));
        world.run(secs(15));
        assert!(world.failures(a, b).is_empty() && world.failures(b, a).is_empty());
    }
}

#[test]
fn an_accept_of_a_request_whose_cancel_was_lost_is_answered_by_the_close() {
    let mut world = World::new(1);
    let (a, b) = asked(&mut world);
    assert!(world.close(a, b));
    lose_copies(&mut world, a, b, COPIES, LAG * 5 / 2);
    assert!(world.accept(b, a), "nobody here knows yet");
    world.wait("it is over", LAG * 2 + ms(5), |w| w.state(b, a) != CONNECTED);
    world.run(secs(15));
    assert!(world.state(b, a) == NONE && world.receive(b, 0).len() <= 1);
    assert!(world.failures(a, b).is_empty());
}

#[test]
fn a_rejection_is_told_with_the_first_copy_that_arrives_and_else_to_the_next_request() {
    for lost in 0..=COPIES {
        let mut world = World::new(1);
        let (a, b) = asked(&mut world);
        // Nothing was measured at a responder nobody accepted: copies go every 125 ms.
        let (start, every) = (world.now(), ms(125));
        assert!(world.close(b, a));
        lose_copies(&mut world, b, a, lost, every);
        world.wait("the requester is told", secs(3), |w| !w.failures(a, b).is_empty());
        let (when, state, reason) = world.failures(a, b)[0];
        assert_eq!((state, reason), (CLOSED_BY_PEER, END_CLOSED));
        let after = when.saturating_since(start);
        let limit = if lost < COPIES { LAG + every * lost + ms(5) } else { secs(2) + LAG * 2 };
        assert!(after <= limit, "{lost} lost: told after {after:?}");
        world.run(secs(15));
        assert_eq!(world.failures(a, b).len(), 1);
        assert_eq!(world.requests(b, a).len(), 1, "and nothing is asked again");
    }
}

#[test]
fn requests_wait_for_an_app_that_looks_late() {
    for seed in crate::seeds(10) {
        let mut world = World::new(seed);
        world.weather.loss = (seed % 3) as f32 * 10.0;
        let b = world.add(1_002);
        world.host(b).keeps_events = true;
        let others: Vec<Node> = (0..20).map(|n| world.add(2_000 + n)).collect();
        for other in &others {
            world.introduce(*other, b);
            world.send(*other, b, 0, RELIABLE, b"x").expect("queued");
        }
        world.run(secs(9));
        assert_eq!(world.machine(b).events_waiting(), 20, "each once, however often it was raised");
        world.host(b).keeps_events = false;
        for other in &others {
            assert_eq!(world.requests(b, *other).len(), 1);
            assert!(world.accept(b, *other), "it is not too late");
        }
        let mut heard = 0;
        world.wait("all are heard", secs(5), |w| {
            heard += w.receive(b, 0).len();
            heard == 20
        });
        others.iter().for_each(|other| world.assert_no_events(*other));
    }
}

#[test]
fn a_request_taken_back_before_the_app_looked_is_never_shown() {
    for gives_up in [false, true] {
        let mut world = World::new(1);
        let (a, b) = world.pair();
        world.host(b).keeps_events = true;
        world.send(a, b, 0, RELIABLE, b"x").expect("queued");
        world.run(secs(1));
        assert_eq!(world.machine(b).events_waiting(), 1);
        if gives_up {
            world.run(secs(10));
            assert_eq!(world.failures(a, b).len(), 1);
        } else {
            assert!(world.close(a, b));
        }
        world.run(secs(1));
        assert_eq!(world.machine(b).events_waiting(), 0);
        assert_eq!(world.state(b, a), NONE);
    }
}
