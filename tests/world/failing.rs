//! Sessions that fail: peers that vanish, restart, or never were.

use crate::app::{CLOSED_BY_PEER, CONNECTED, END_TIMEOUT, NONE, PROBLEM_LOCALLY, RELIABLE, UNRELIABLE, ms, secs};
use crate::sim::{LAG, Node, World};
use steamnetmsg::endpoint::SendError;
use steamnetmsg::endpoint::flags::AUTO_RESTART;
use steamnetmsg::ids::SteamId;

/// A world in which the first of a connected pair has died while the second was talking to it.
fn bereaved(seed: u64) -> (World, Node, Node) {
    let mut world = World::new(seed);
    let (a, b) = world.connected_pair();
    for _ in 0..20 {
        world.send(b, a, 0, RELIABLE, b"are you there").expect("room");
        world.run(ms(100));
    }
    world.kill(a);
    world.send(b, a, 0, RELIABLE, b"and now?").expect("room");
    (world, a, b)
}

#[test]
fn a_peer_that_vanishes_is_noticed_in_time_and_told_once() {
    for seed in crate::seeds(5) {
        let (mut world, a, b) = bereaved(seed);
        let start = world.now();
        world.wait("the failure is told", secs(13), |w| !w.failures(b, a).is_empty());
        world.run(secs(20));
        let failures = world.failures(b, a);
        assert_eq!(failures.len(), 1);
        let (when, state, reason) = failures[0];
        assert_eq!((state, reason), (PROBLEM_LOCALLY, END_TIMEOUT));
        let after = when.saturating_since(start);
        assert!((ms(9_800)..=secs(12)).contains(&after), "after {after:?}");
        let info = world.info(b, a);
        assert_eq!((info.state, info.end_reason), (PROBLEM_LOCALLY, END_TIMEOUT));
        assert!(!info.end_debug.is_empty());
    }
}

#[test]
fn an_idle_session_notices_too_that_its_peer_vanished() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    world.run(secs(7));
    world.kill(a);
    world.wait("the failure is told", secs(16), |w| !w.failures(b, a).is_empty());
    assert_eq!(world.state(b, a), PROBLEM_LOCALLY);
}

#[test]
fn a_failed_session_refuses_plain_sends_until_told_otherwise() {
    let (mut world, a, b) = bereaved(1);
    world.run(secs(13));
    for _ in 0..3 {
        assert_eq!(world.send(b, a, 0, RELIABLE, b"plain"), Err(SendError::NoConnection));
        assert_eq!(world.send(b, a, 0, UNRELIABLE, b"plain"), Err(SendError::NoConnection));
        world.run(secs(5));
    }
    assert_eq!(world.state(b, a), PROBLEM_LOCALLY);
    world.start(a);
    world.send(b, a, 0, RELIABLE | AUTO_RESTART, b"afresh").expect("it restarts");
    world.accept_all(a);
    world.wait("it arrives", secs(3), |w| w.receive(a, 0).iter().any(|m| &*m.payload == b"afresh"));
    world.run(LAG);
    assert_eq!(world.state(b, a), CONNECTED);
}

#[test]
fn closing_a_failed_session_makes_plain_sends_work_again() {
    let (mut world, a, b) = bereaved(1);
    world.run(secs(13));
    world.start(a);
    assert!(world.close(b, a));
    assert_eq!(world.state(b, a), NONE);
    world.send(b, a, 0, RELIABLE, b"plain").expect("a new session");
    world.wait("it asks", secs(2), |w| !w.requests(a, b).is_empty());
}

#[test]
fn a_failure_is_forgotten_after_the_idle_time() {
    let (mut world, a, b) = bereaved(1);
    world.run(secs(13));
    world.run(secs(150));
    assert_eq!(world.state(b, a), PROBLEM_LOCALLY);
    assert_eq!(world.send(b, a, 0, RELIABLE, b"plain"), Err(SendError::NoConnection), "which does not prolong it");
    world.run(secs(40));
    assert_eq!(world.state(b, a), NONE);
    world.send(b, a, 0, RELIABLE, b"plain").expect("a new attempt");
    assert_eq!(world.failures(b, a).len(), 1);
}

#[test]
fn unread_messages_outlive_a_failure() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    world.send(a, b, 0, RELIABLE, b"last words").expect("room");
    world.run(secs(1));
    world.kill(a);
    world.run(secs(16));
    assert_eq!(world.state(b, a), PROBLEM_LOCALLY);
    assert_eq!(world.receive(b, 0).len(), 1);
}

#[test]
fn a_peer_asks_anew_within_three_seconds_of_its_restart() {
    for seed in crate::seeds(10) {
        let mut world = World::new(seed);
        let (a, b) = world.connected_pair();
        world.run(secs(seed % 5));
        world.kill(b);
        world.start(b);
        world.introduce(a, b);
        world.send(b, a, 0, RELIABLE, b"it is me").expect("queued");
        world.wait("the request is announced", secs(3), |w| !w.requests(a, b).is_empty());
        assert!(world.accept(a, b));
        world.wait("the message arrives", secs(1), |w| w.receive(a, 0).iter().any(|m| &*m.payload == b"it is me"));
        world.run(LAG);
        assert_eq!((world.state(a, b), world.state(b, a)), (CONNECTED, CONNECTED));
        world.run(secs(20));
        assert_eq!((world.state(a, b), world.state(b, a)), (CONNECTED, CONNECTED), "the old one does not break it");
        assert!(world.failures(a, b).is_empty() && world.failures(b, a).is_empty());
    }
}

#[test]
fn a_peer_restarted_on_another_address_asks_anew_too() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    world.kill(b);
    world.rebind(b);
    world.start(b);
    world.introduce(a, b);
    world.send(b, a, 0, RELIABLE, b"it is me").expect("queued");
    world.wait("the request is announced", secs(3), |w| !w.requests(a, b).is_empty());
    assert!(world.accept(a, b));
    world.wait("the message arrives", secs(1), |w| w.receive(a, 0).len() == 1);
}

#[test]
fn data_of_the_old_session_never_comes_out_of_the_new_one() {
    for seed in crate::seeds(10) {
        let mut world = World::new(seed);
        world.weather.loss = 10.0;
        let (a, b) = world.connected_pair();
        world.accept_all(a);
        world.accept_all(b);
        world.send(a, b, 0, RELIABLE, &[1; 200_000]).expect("room");
        world.run(ms(30));
        world.kill(b);
        world.start(b);
        world.introduce(a, b);
        world.send(b, a, 0, RELIABLE, b"it is me").expect("queued");
        world.wait("the new one is heard", secs(12), |w| w.receive(a, 0).iter().any(|m| &*m.payload == b"it is me"));
        let sent = world.send(a, b, 0, RELIABLE, b"welcome back");
        world.run(secs(5));
        let heard: Vec<_> = world.receive(b, 0).into_iter().map(|m| m.payload.to_vec()).collect();
        match sent {
            Ok(()) => assert_eq!(heard, [b"welcome back".to_vec()]),
            Err(_) => assert!(heard.is_empty()),
        }
    }
}

#[test]
fn while_the_old_one_answers_a_second_device_with_its_id_is_refused() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    let twin = world.add(1_002);
    let address = world.address(a);
    world.tell_address(twin, a, address);
    world.send(twin, a, 0, RELIABLE, b"I am b").expect("queued");
    for n in 0..25u8 {
        world.send(b, a, 1, RELIABLE, &[n]).expect("room");
        world.send(a, b, 1, RELIABLE, &[n]).expect("room");
        world.run(secs(1));
    }
    world.assert_no_events(a);
    world.assert_no_events(b);
    assert!(world.receive(a, 0).is_empty(), "the twin's message is not delivered");
    assert_eq!(world.receive(a, 1).len(), 25);
    assert_eq!(world.receive(b, 1).len(), 25);
    let state = world.state(twin, a);
    assert!([CLOSED_BY_PEER, PROBLEM_LOCALLY].contains(&state), "the twin's session is {state}");
}

#[test]
fn nobody_at_the_address_fails_in_time() {
    let mut world = World::new(1);
    let a = world.add(1_001);
    let (now, nobody, nowhere) = (world.now(), SteamId(9_999), world.nowhere());
    world.machine(a).add_peer_address(now, nobody, nowhere).expect("room");
    expect_failure_in_time(&mut world, a, nobody);
}

#[test]
fn no_address_at_all_fails_in_time() {
    let mut world = World::new(1);
    let a = world.add(1_001);
    expect_failure_in_time(&mut world, a, SteamId(9_999));
}

#[test]
fn somebody_else_at_the_address_fails_in_time_and_learns_nothing() {
    let mut world = World::new(1);
    let (a, b) = (world.add(1_001), world.add(1_002));
    let (now, absent, address) = (world.now(), SteamId(9_999), world.address(b));
    world.machine(a).add_peer_address(now, absent, address).expect("room");
    world.listen();
    expect_failure_in_time(&mut world, a, absent);
    world.assert_no_events(b);
    assert!(world.take_overheard().iter().all(|datagram| datagram.from == a), "who is not meant does not answer");
}

fn expect_failure_in_time(world: &mut World, a: Node, nobody: SteamId) {
    let start = world.now();
    world.send_to_id(a, nobody, 0, RELIABLE, b"anyone?").expect("it is queued all the same");
    world.run(secs(21));
    let events = std::mem::take(&mut world.host(a).events);
    assert_eq!(events.len(), 1, "{events:?}");
    let (when, event) = &events[0];
    let steamnetmsg::endpoint::events::Event::SessionFailed { peer, reason, state, .. } = event else {
        panic!("{event:?}");
    };
    assert_eq!((*peer, *state), (nobody, PROBLEM_LOCALLY));
    assert!((4_000..6_000).contains(reason), "{reason}");
    let after = when.saturating_since(start);
    assert!((secs(9)..=secs(21)).contains(&after), "after {after:?}");
}

#[test]
fn a_peer_that_comes_up_late_is_reached() {
    let mut world = World::new(1);
    let (a, b) = world.pair();
    world.kill(b);
    world.send(a, b, 0, RELIABLE, b"early").expect("queued");
    world.run(secs(6));
    world.start(b);
    world.accept_all(b);
    world.wait("it arrives", secs(3), |w| w.receive(b, 0).len() == 1);
    world.assert_no_events(a);
}

#[test]
fn peers_of_different_apps_never_meet() {
    let mut world = World::new(1);
    let a = world.add(1_001);
    let b = world.add_with(1_002, |config| config.app_id = steamnetmsg::ids::AppId(481));
    world.introduce(a, b);
    world.send(a, b, 0, RELIABLE, b"x").expect("queued");
    world.run(secs(21));
    world.assert_no_events(b);
    let failures = world.failures(a, b);
    assert_eq!((failures.len(), failures[0].1), (1, PROBLEM_LOCALLY));
    assert_eq!(world.state(b, a), NONE);
}
