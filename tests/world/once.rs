//! Exactly once, and told if not: where a session is over at one side, and the other has not heard so.

use crate::app::{CLOSED_BY_PEER, CONNECTED, CONNECTING, END_CLOSED, NONE, RELIABLE, ms, secs};
use crate::sim::{LAG, Node, World};
use steamnetmsg::endpoint::config::Value;
use steamnetmsg::endpoint::faults::Direction;
use steamnetmsg::time::Duration;

const NO_CONNECTION: i32 = 5_010;

/// Lags of this span, one way.
fn lag(lag: Duration) -> Direction {
    Direction { lag, ..Direction::default() }
}

fn read(world: &mut World, at: Node) -> Vec<Vec<u8>> {
    world.receive(at, 0).into_iter().map(|message| message.payload.to_vec()).collect()
}

/// The first has asked the second, is patient, and hears nothing any more; what it sent along has arrived.
fn asked_and_deaf(first: u64, second: u64) -> (World, Node, Node) {
    let mut world = World::new(1);
    let (a, b) = (world.add(first), world.add(second));
    world.introduce(a, b);
    let now = world.now();
    world.machine(a).set_config(now, 24, Value::Int(30_000)).expect("TIMEOUT_INITIAL");
    world.send(a, b, 0, RELIABLE, b"once").expect("queued");
    world.run(LAG * 2 + ms(1));
    world.set_link(b, a, Direction { loss: 100.0, ..lag(LAG) });
    world.wait("it is announced", secs(1), |w| !w.requests(b, a).is_empty());
    (world, a, b)
}

#[test]
fn who_ended_a_session_unheard_and_begins_another_gets_nothing_twice() {
    for (first, second) in [(1, 2), (2, 1)] {
        for unheard in [ms(300), secs(3), secs(6)] {
            let (mut world, a, b) = asked_and_deaf(first, second);
            assert!(world.accept(b, a));
            assert_eq!(read(&mut world, b), [b"once"]);
            assert!(world.close(b, a));
            world.send(b, a, 0, RELIABLE, b"anew").expect("queued");
            world.run(unheard);
            assert_eq!(world.state(a, b), CONNECTING);
            world.set_link(b, a, lag(LAG));
            world.wait("B's session is announced", secs(8), |w| !w.requests(a, b).is_empty());
            let failures: Vec<_> = world.failures(a, b).iter().map(|(_, state, reason)| (*state, *reason)).collect();
            assert!(matches!(failures[..], [(CLOSED_BY_PEER, NO_CONNECTION | END_CLOSED)]), "{failures:?}");
            assert!(world.accept(a, b));
            world.run(secs(20));
            assert_eq!((world.state(a, b), world.state(b, a)), (CONNECTED, CONNECTED));
            assert_eq!(read(&mut world, a), [b"anew"]);
            assert!(read(&mut world, b).is_empty(), "{first} asked {second}: nothing comes twice");
        }
    }
}

#[test]
fn a_handshake_that_gave_way_is_not_taken_up_when_the_other_is_over() {
    let mut world = World::new(1);
    let (a, b) = world.pair();
    world.accept_all(a);
    world.send(a, b, 0, RELIABLE, b"from a").expect("queued");
    world.send(b, a, 0, RELIABLE, b"from b").expect("queued");
    world.run(ms(40));
    // The last message of B's handshake is slow: A's handshake carries both, and all is said.
    world.set_link(b, a, lag(ms(500)));
    world.run(ms(20));
    world.set_link(b, a, lag(LAG));
    world.run(ms(200));
    assert_eq!((read(&mut world, a), read(&mut world, b)), (vec![b"from b".to_vec()], vec![b"from a".to_vec()]));
    assert!(world.close(b, a));
    world.run(ms(100));
    assert_eq!((world.state(a, b), world.state(b, a)), (NONE, NONE));
    world.run(secs(20));
    assert!(read(&mut world, a).is_empty(), "nothing comes twice");
    world.assert_no_events(a);
    world.assert_no_events(b);
}

#[test]
fn a_handshake_that_gave_way_to_one_that_was_closed_asks_for_nothing() {
    let mut world = World::new(1);
    let (a, b) = world.pair();
    world.accept_all(a);
    world.send(a, b, 0, RELIABLE, b"from a").expect("queued");
    world.send(b, a, 0, RELIABLE, b"from b").expect("queued");
    // Both have answered each other; each one's last message is under way.
    world.run(LAG * 2 + ms(5));
    assert!(world.close(a, b));
    world.run(secs(20));
    assert_eq!((world.state(a, b), world.requests(a, b).len()), (NONE, 0));
    world.assert_no_events(a);
}

#[test]
fn who_took_a_handshake_that_gave_way_to_a_closed_one_is_told_that_it_is_over() {
    let mut world = World::new(1);
    let (a, b) = world.pair();
    world.accept_all(a);
    world.set_link(a, b, lag(ms(60)));
    world.set_link(b, a, lag(ms(5)));
    world.send(a, b, 0, RELIABLE, b"from a").expect("queued");
    world.run(ms(62));
    world.send(b, a, 0, RELIABLE, b"from b").expect("queued");
    // A's last message is under way, B's first one not yet there; A's answer to that overtakes the former.
    world.run(ms(4));
    assert!(world.close(a, b));
    world.set_link(a, b, lag(ms(2)));
    world.run(ms(3));
    world.set_link(a, b, lag(ms(60)));
    world.run(ms(30));
    assert_eq!(world.requests(a, b).len(), 1);
    assert_eq!(read(&mut world, a), [b"from b"]);
    world.run(secs(20));
    assert_eq!((world.state(a, b), world.state(b, a)), (NONE, CLOSED_BY_PEER), "B had not heard that it arrived");
    assert!(read(&mut world, a).is_empty());
    assert!(world.failures(a, b).is_empty() && world.failures(b, a).is_empty());
}

#[test]
fn who_begins_while_the_other_takes_its_own_back_is_announced_all_the_same() {
    let mut world = World::new(1);
    let (a, b) = world.pair();
    world.send(b, a, 0, RELIABLE, b"from b").expect("queued");
    world.run(LAG + ms(1));
    world.send(a, b, 0, RELIABLE, b"from a").expect("queued");
    assert!(world.close(a, b));
    world.wait("B starts over", secs(3), |w| !w.requests(a, b).is_empty());
    assert!(world.accept(a, b));
    world.run(secs(1));
    assert_eq!(read(&mut world, a), [b"from b"]);
    assert_eq!((world.state(a, b), world.state(b, a)), (CONNECTED, CONNECTED));
    world.assert_no_events(b);
}

#[test]
fn who_was_turned_down_and_did_not_hear_so_does_not_ask_again() {
    for moves in [true, false] {
        let (mut world, a, b) = asked_and_deaf(1, 2);
        if moves {
            world.rebind(a);
        }
        assert!(world.close(b, a));
        world.run(secs(6)); // nobody at B says farewell any more
        world.set_link(b, a, lag(LAG));
        world.wait("A is told", secs(10), |w| !w.failures(a, b).is_empty());
        let (_, state, reason) = world.failures(a, b)[0];
        assert_eq!((state, reason), (CLOSED_BY_PEER, END_CLOSED), "{}", world.info(a, b).end_debug);
        world.run(secs(20));
        assert_eq!(world.requests(b, a).len(), 1, "B is not asked twice");
    }
}
