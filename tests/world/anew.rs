//! Handshakes that have to begin again: the responder forgot its half of one, or was not heard.

use crate::app::{CONNECTED, CONNECTING, END_TIMEOUT, NONE, PROBLEM_LOCALLY, RELIABLE, ms, secs};
use crate::sim::{LAG, Node, World};
use steamnetmsg::endpoint::config::Config;
use steamnetmsg::endpoint::faults::Direction;
use steamnetmsg::time::Duration;

/// First bytes of the handshake's datagrams.
const INIT: u8 = 0xe0;
const FINISH: u8 = 0xe3;

/// A handshake nobody answers begins again after so long.
const START_OVER: Duration = secs(2);

fn deaf() -> Direction {
    Direction { loss: 100.0, lag: LAG, ..Direction::default() }
}

fn clear() -> Direction {
    Direction { lag: LAG, ..Direction::default() }
}

fn wait_for_one(world: &mut World, at: Node, span: Duration) {
    let mut heard = Vec::new();
    world.wait("the message arrives", span, |w| {
        heard.extend(w.receive(at, 1));
        !heard.is_empty()
    });
    world.run(secs(20));
    heard.extend(world.receive(at, 1));
    assert_eq!(heard.iter().map(|m| &*m.payload).collect::<Vec<_>>(), [b"x"], "once");
}

#[test]
fn a_responder_that_forgot_its_answer_is_asked_again() {
    for seed in crate::seeds(5) {
        let mut world = World::new(seed);
        let (a, b) = world.pair();
        world.accept_all(b);
        world.send(a, b, 1, RELIABLE, b"x").expect("queued");
        // It has answered; the last message of the handshake finds another incarnation.
        world.run(LAG * 2 + ms(5));
        world.kill(b);
        world.start(b);
        world.introduce(a, b);
        wait_for_one(&mut world, b, START_OVER + LAG * 8);
        assert_eq!((world.state(a, b), world.state(b, a)), (CONNECTED, CONNECTED));
        world.assert_no_events(a);
        assert_eq!(world.requests(b, a).len(), 1);
    }
}

#[test]
fn who_is_pushed_out_of_the_half_open_table_comes_back() {
    let mut world = World::new(1);
    let a = world.add(1_001);
    let b = world.add_with(1_002, |config| config.max_pending_requests = 1_000);
    world.introduce(a, b);
    world.send(a, b, 1, RELIABLE, b"x").expect("queued");
    world.run(LAG + ms(5));
    // Its last message is held up, while hundreds prove their addresses and say no more.
    world.set_link(a, b, deaf());
    let strangers: Vec<Node> = (0..400).map(|n| world.add(10_000 + n)).collect();
    let address = world.address(b);
    for stranger in &strangers {
        world.tell_address(*stranger, b, address);
        world.send(*stranger, b, 1, RELIABLE, b"flood").expect("queued");
    }
    world.run(LAG * 2 + ms(5));
    strangers.iter().for_each(|stranger| world.kill(*stranger));
    world.run(ms(200));
    world.set_link(a, b, clear());
    world.wait("it is announced", START_OVER + LAG * 8, |w| !w.requests(b, a).is_empty());
    assert!(world.accept(b, a));
    wait_for_one(&mut world, b, LAG * 2);
    world.assert_no_events(a);
}

#[test]
fn a_handshake_older_than_the_responders_patience_is_begun_again() {
    let mut world = World::new(1);
    let patient = |config: &mut Config| config.settings.timeout_initial = secs(60);
    let (a, b) = (world.add_with(1_001, patient), world.add(1_002));
    world.introduce(a, b);
    world.accept_all(b);
    world.send(a, b, 1, RELIABLE, b"x").expect("queued");
    world.run(LAG + ms(5));
    world.set_link(a, b, deaf());
    world.run(secs(12));
    world.set_link(a, b, clear());
    wait_for_one(&mut world, b, secs(1) + LAG * 4);
    world.assert_no_events(a);
}

/// The responder has the whole handshake, and is not heard for so long.
fn unheard(seed: u64, accepts: bool, span: Duration) -> (World, Node, Node) {
    let mut world = World::new(seed);
    let (a, b) = world.pair();
    world.host(b).accepts = accepts;
    world.send(a, b, 1, RELIABLE, b"x").expect("queued");
    world.run(LAG * 2 + ms(1));
    world.set_link(b, a, deaf());
    world.run(span);
    assert_eq!(world.state(a, b), CONNECTING);
    assert_eq!(world.requests(b, a).first().copied(), Some(world.now() - span + LAG - ms(1)));
    (world, a, b)
}

#[test]
fn who_accepted_and_was_not_heard_delivers_once_all_the_same() {
    for seed in crate::seeds(5) {
        for seconds in [1, 3, 5, 7] {
            let (mut world, a, b) = unheard(seed, true, secs(seconds));
            world.send(b, a, 2, RELIABLE, b"y").expect("room");
            world.set_link(b, a, clear());
            world.wait("both are connected", secs(2), |w| w.state(a, b) == CONNECTED && w.state(b, a) == CONNECTED);
            world.wait("the answer arrives", secs(2), |w| w.receive(a, 2).len() == 1);
            wait_for_one(&mut world, b, ms(1));
            assert_eq!((world.state(a, b), world.state(b, a)), (CONNECTED, CONNECTED));
            assert_eq!(world.requests(b, a).len(), 1, "nothing else was asked");
            world.assert_no_events(a);
        }
    }
}

#[test]
fn who_was_asked_and_not_heard_is_not_asked_for_a_second_session() {
    for seconds in [1, 3, 5, 7] {
        let (mut world, a, b) = unheard(1, false, secs(seconds));
        world.set_link(b, a, clear());
        world.run(secs(1));
        assert_eq!(world.requests(b, a).len(), 1, "after {seconds} s");
        assert!(world.accept(b, a));
        wait_for_one(&mut world, b, LAG * 4);
        world.assert_no_events(a);
    }
}

#[test]
fn a_handshake_that_nobody_finishes_fails_in_time_and_costs_a_bounded_amount() {
    let mut world = World::new(1);
    let (a, b) = world.pair();
    world.listen();
    let start = world.now();
    world.send(a, b, 1, RELIABLE, b"x").expect("queued");
    world.run(LAG * 2 + ms(5));
    world.kill(b);
    world.run(secs(20));
    world.start(b);
    assert_eq!(world.state(b, a), NONE);
    let failures = world.failures(a, b);
    assert_eq!(failures.len(), 1);
    assert_eq!((failures[0].1, failures[0].2), (PROBLEM_LOCALLY, END_TIMEOUT));
    let after = failures[0].0.saturating_since(start);
    assert!((secs(9)..=secs(11)).contains(&after), "{after:?}");
    let sent = world.take_overheard().into_iter().filter(|datagram| datagram.from == a);
    let (inits, rest): (Vec<_>, Vec<_>) = sent.partition(|datagram| datagram.bytes[0] == INIT);
    assert!(rest.iter().filter(|datagram| datagram.bytes[0] == FINISH).count() >= 8, "the last message goes on");
    assert!((2..=14).contains(&inits.len()), "{} first messages in ten seconds", inits.len());
}

#[test]
fn a_heavy_loss_in_the_midst_of_handshakes_delivers_once_or_says_so() {
    for seed in crate::seeds(60) {
        let mut world = World::new(seed);
        world.weather.loss = 50.0;
        let (a, b) = world.pair();
        world.accept_all(b);
        world.send(a, b, 1, RELIABLE, b"x").expect("queued");
        let mut heard = 0;
        world.run_until(secs(30), |w| {
            heard += w.receive(b, 1).len();
            false
        });
        match world.failures(a, b).len() {
            0 => assert_eq!(heard, 1, "seed {seed}"),
            told => assert!(told == 1 && heard <= 1, "seed {seed}: told {told} times, heard {heard}"),
        }
    }
}
