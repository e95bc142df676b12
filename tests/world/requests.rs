//! Requests: how a session begins, or does not.

use crate::app::{
    CLOSED_BY_PEER, CONNECTED, CONNECTING, END_CLOSED, END_TIMEOUT, NONE, PROBLEM_LOCALLY, RELIABLE, ms, secs,
};
use crate::sim::{LAG, Node, World};
use steamnetmsg::endpoint::SendError;
use steamnetmsg::endpoint::flags::AUTO_RESTART;
use steamnetmsg::time::Duration;

/// A world in which the first of two has asked the second, which has been told.
fn asked(seed: u64) -> (World, Node, Node) {
    let mut world = World::new(seed);
    let (a, b) = world.pair();
    world.send(a, b, 0, RELIABLE, b"x").expect("the first message is queued");
    world.wait("the request is announced", secs(2), |w| !w.requests(b, a).is_empty());
    (world, a, b)
}

#[test]
fn a_message_to_a_new_peer_raises_one_request_there_and_nothing_here() {
    let (mut world, a, b) = asked(1);
    world.run(secs(2));
    assert_eq!(world.requests(b, a).len(), 1);
    world.assert_no_events(a);
    assert!(world.receive(b, 0).is_empty(), "nothing is delivered before it is accepted");
    assert_eq!((world.state(a, b), world.state(b, a)), (CONNECTING, CONNECTING));
}

#[test]
fn accepting_delivers_what_waited_and_accepting_again_changes_nothing() {
    let (mut world, a, b) = asked(1);
    world.run(secs(1));
    assert!(world.accept(b, a));
    world.wait("the message arrives", ms(500), |w| w.receive(b, 0).iter().any(|m| &*m.payload == b"x"));
    assert!(world.accept(b, a));
    world.wait("both are connected", secs(1), |w| (w.state(a, b), w.state(b, a)) == (CONNECTED, CONNECTED));
    assert!(world.accept(b, a) && world.accept(a, b), "on a session that stands it is a yes without effect");
    assert_eq!(world.requests(b, a).len(), 1);
    world.assert_no_events(a);
    assert_eq!(world.info(b, a).identity, world.id(a).0);
    assert_eq!(world.info(b, a).remote_address, Some(world.address(a)));
}

#[test]
fn the_first_message_takes_one_and_a_half_round_trips_when_it_is_accepted_at_once() {
    let mut world = World::new(1);
    let (a, b) = world.pair();
    world.accept_all(b);
    world.send(a, b, 0, RELIABLE, b"x").expect("queued");
    world.wait("the message arrives", LAG * 3 + ms(6), |w| w.receive(b, 0).len() == 1);
}

#[test]
fn accepting_a_peer_that_never_asked_is_a_no_and_grants_nothing() {
    let mut world = World::new(1);
    let (a, b) = world.pair();
    assert!(!world.accept(b, a));
    assert_eq!(world.state(b, a), NONE);
    world.send(a, b, 0, RELIABLE, b"x").expect("queued");
    world.run(secs(2));
    assert_eq!(world.requests(b, a).len(), 1, "it must still ask");
    assert!(world.receive(b, 0).is_empty());
}

#[test]
fn sending_to_whoever_asks_accepts_it() {
    let (mut world, a, b) = asked(1);
    world.send(b, a, 3, RELIABLE, b"y").expect("queued");
    let (mut at_a, mut at_b) = (Vec::new(), Vec::new());
    world.wait("both messages arrive", secs(1), |w| {
        at_a.extend(w.receive(a, 3));
        at_b.extend(w.receive(b, 0));
        at_a.len() == 1 && at_b.len() == 1
    });
    assert_eq!((&*at_a[0].payload, &*at_b[0].payload), (&b"y"[..], &b"x"[..]));
    world.assert_no_events(a);
}

#[test]
fn a_pending_request_is_announced_again_about_every_five_seconds() {
    let mut world = World::new(1);
    let minute = |config: &mut steamnetmsg::endpoint::config::Config| config.settings.timeout_initial = secs(60);
    let (a, b) = (world.add_with(1_001, minute), world.add_with(1_002, minute));
    world.introduce(a, b);
    for _ in 0..40 {
        world.send(a, b, 0, RELIABLE, b"still there").expect("room");
        world.run(secs(1));
    }
    let told = world.requests(b, a);
    let gaps: Vec<Duration> = told.windows(2).map(|pair| pair[1].saturating_since(pair[0])).collect();
    assert!((7..=9).contains(&told.len()), "told {} times in 40 s", told.len());
    assert!(gaps.iter().all(|gap| (ms(4_000)..=ms(6_000)).contains(gap)), "{gaps:?}");
    assert!(world.accept(b, a));
    world.run(secs(1));
    assert_eq!(world.receive(b, 0).len(), 40);
    world.run(secs(20));
    assert_eq!(world.requests(b, a).len(), told.len(), "once accepted it is not announced any more");
}

#[test]
fn rejecting_a_request_tells_the_requester() {
    let (mut world, a, b) = asked(1);
    let before = world.now();
    assert!(world.close(b, a));
    assert_eq!(world.state(b, a), NONE);
    world.wait("the requester is told", secs(2), |w| !w.failures(a, b).is_empty());
    let failures = world.failures(a, b);
    assert_eq!((failures[0].1, failures[0].2), (CLOSED_BY_PEER, END_CLOSED));
    assert!(failures[0].0.saturating_since(before) <= secs(2));
    let info = world.info(a, b);
    assert_eq!((info.state, info.end_reason), (CLOSED_BY_PEER, END_CLOSED));
    assert_eq!(world.send(a, b, 0, RELIABLE, b"again"), Err(SendError::NoConnection));
    world.run(secs(5));
    assert_eq!(world.failures(a, b).len(), 1, "once");
    assert_eq!(world.requests(b, a).len(), 1, "and it does not ask again by itself");
    assert!(world.failures(b, a).is_empty());
    assert_eq!(world.state(b, a), NONE);
}

#[test]
fn an_ignored_request_fails_at_the_requester_only() {
    let (mut world, a, b) = asked(1);
    let start = world.now();
    world.run(secs(15));
    let failures = world.failures(a, b);
    assert_eq!(failures.len(), 1);
    let (when, state, reason) = failures[0];
    assert_eq!((state, reason), (PROBLEM_LOCALLY, END_TIMEOUT));
    let after = when.saturating_since(start);
    assert!((secs(9)..=secs(11)).contains(&after), "{after:?}");
    let info = world.info(a, b);
    assert_eq!((info.state, info.end_reason), (PROBLEM_LOCALLY, END_TIMEOUT));
    assert!(!info.end_debug.is_empty(), "it says why");
    assert!(world.failures(b, a).is_empty(), "who ignores is not bothered");
    assert_eq!(world.state(b, a), NONE);
    assert!(!world.accept(b, a), "it is gone");
    // What a failed session answers.
    assert!(!world.accept(a, b));
    assert!(!world.close_channel(a, b, 0));
    assert_eq!(world.send(a, b, 0, RELIABLE, b"y"), Err(SendError::NoConnection));
    assert!(world.close(a, b));
    assert_eq!(world.state(a, b), NONE);
    let told = world.requests(b, a).len();
    world.send(a, b, 0, RELIABLE, b"y").expect("a new session");
    world.wait("it asks anew", secs(2), |w| w.requests(b, a).len() == told + 1);
}

#[test]
fn a_failed_request_is_started_afresh_by_a_send_that_says_so() {
    let (mut world, a, b) = asked(1);
    world.run(secs(15));
    world.send(a, b, 0, RELIABLE | AUTO_RESTART, b"new").expect("it restarts");
    assert_eq!(world.info(a, b).end_reason, 0, "the failure is forgotten");
    world.accept_all(b);
    let mut heard = Vec::new();
    world.wait("the new message arrives", secs(3), |w| {
        heard.extend(w.receive(b, 0));
        !heard.is_empty()
    });
    world.run(secs(1));
    heard.extend(world.receive(b, 0));
    assert_eq!(heard.len(), 1, "nothing old is sent again");
    assert_eq!(&*heard[0].payload, b"new");
}

#[test]
fn a_cancelled_request_disappears_at_the_other_side() {
    let (mut world, a, b) = asked(1);
    assert!(world.close(a, b));
    assert_eq!(world.state(a, b), NONE);
    world.wait("it disappears", secs(2), |w| w.state(b, a) == NONE);
    assert!(!world.accept(b, a));
    world.run(secs(20));
    assert!(world.failures(b, a).is_empty() && world.failures(a, b).is_empty());
    assert_eq!(world.requests(b, a).len(), 1);
}

#[test]
fn a_cancelled_request_disappears_through_loss_too() {
    for seed in crate::seeds(20) {
        let mut world = World::new(seed);
        world.weather.loss = 30.0;
        let (a, b) = world.pair();
        world.send(a, b, 0, RELIABLE, b"x").expect("queued");
        if !world.run_until(secs(5), |w| !w.requests(b, a).is_empty()) {
            continue;
        }
        world.close(a, b);
        // At worst the request expires there, as one that nobody makes any more.
        world.wait("it disappears", secs(12), |w| w.state(b, a) == NONE);
        assert!(world.failures(b, a).is_empty());
    }
}

#[test]
fn accepting_one_leaves_another_waiting() {
    let (mut world, a, b) = asked(1);
    let c = world.add(1_003);
    world.introduce(c, b);
    world.send(c, b, 0, RELIABLE, b"me too").expect("queued");
    world.wait("both are announced", secs(2), |w| !w.requests(b, c).is_empty());
    assert!(world.accept(b, a));
    world.run(secs(2));
    assert_eq!((world.state(b, a), world.state(b, c)), (CONNECTED, CONNECTING));
    assert!(world.receive(b, 0).iter().all(|message| message.from.0 == 1_001));
}

#[test]
fn a_hundred_messages_before_the_answer_all_arrive_in_order() {
    let (mut world, a, b) = asked(1);
    for n in 0..100u8 {
        world.send(a, b, 0, RELIABLE, &[n; 300]).expect("room");
        world.run(ms(10));
    }
    assert!(world.accept(b, a));
    world.run(secs(2));
    let heard: Vec<_> = world.receive(b, 0).iter().map(|m| m.payload.to_vec()).collect();
    let expected: Vec<_> = std::iter::once(b"x".to_vec()).chain((0..100).map(|n| vec![n; 300])).collect();
    assert!(heard == expected, "{} of 101 arrived", heard.len());
}
