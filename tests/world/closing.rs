//! Sessions that end by someone's wish.

use crate::app::{CLOSED_BY_PEER, CONNECTED, END_CLOSED, NONE, RELIABLE, ms, secs};
use crate::sim::{LAG, World};
use steamnetmsg::endpoint::SendError;
use steamnetmsg::endpoint::flags::AUTO_RESTART;

#[test]
fn a_clean_close_ends_both_sides_within_a_round_trip_and_tells_nobody() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    assert!(world.close(b, a));
    assert!(!world.close(b, a), "there is nothing left to close");
    assert_eq!(world.state(b, a), NONE);
    world.wait("the peer knows", LAG * 2 + ms(1), |w| w.state(a, b) == NONE);
    world.run(secs(15));
    world.assert_no_events(a);
    world.assert_no_events(b);
}

#[test]
fn a_close_gets_through_loss() {
    for seed in crate::seeds(20) {
        let mut world = World::new(seed);
        world.weather.loss = 20.0;
        let (a, b) = world.connected_pair();
        assert!(world.close(b, a));
        // Should every copy be lost, the peer still learns it from the first answer to a sign of life.
        world.wait("the peer knows", secs(8), |w| w.state(a, b) == NONE);
        world.assert_no_events(a);
        world.assert_no_events(b);
    }
}

#[test]
fn after_a_clean_close_a_send_opens_a_new_session() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    world.close(b, a);
    world.run(secs(1));
    for n in 0..3u8 {
        world.send(a, b, 0, RELIABLE, &[n]).expect("a new session");
        world.run(secs(1));
    }
    assert_eq!(world.requests(b, a).len(), 1);
    assert!(world.accept(b, a));
    world.run(secs(1));
    let messages = world.receive(b, 0);
    assert_eq!(messages.iter().map(|m| m.payload[0]).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(messages[0].number, 1, "a new session counts from 1");
    world.assert_no_events(a);
}

#[test]
fn who_closes_and_sends_at_once_opens_a_new_session() {
    for seed in crate::seeds(10) {
        let mut world = World::new(seed);
        let (a, b) = world.connected_pair();
        world.accept_all(b);
        assert!(world.close(a, b));
        world.send(a, b, 0, RELIABLE, b"again").expect("a new session");
        let mut heard = Vec::new();
        world.wait("it arrives", secs(5), |w| {
            heard.extend(w.receive(b, 0));
            !heard.is_empty()
        });
        assert_eq!((&*heard[0].payload, heard.len()), (&b"again"[..], 1));
        world.run(secs(15));
        assert_eq!((world.state(a, b), world.state(b, a)), (CONNECTED, CONNECTED));
        assert!(world.failures(b, a).is_empty());
        world.assert_no_events(a);
    }
}

#[test]
fn unread_messages_outlive_the_peers_close() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    for n in 0..10u8 {
        world.send(a, b, 2, RELIABLE, &[n; 100]).expect("room");
    }
    world.run(secs(1));
    assert!(world.close(a, b));
    world.run(secs(2));
    assert_eq!(world.state(b, a), NONE);
    assert_eq!(world.receive(b, 2).iter().map(|m| m.payload[0]).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    world.assert_no_events(b);
}

#[test]
fn unread_messages_do_not_outlive_ones_own_close() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    let c = world.add(1_003);
    world.introduce(c, b);
    world.connect(c, b);
    for from in [a, c] {
        world.send(from, b, 2, RELIABLE, b"unread").expect("room");
    }
    world.run(secs(1));
    assert!(world.close(b, a));
    let left = world.receive(b, 2);
    assert_eq!(left.iter().map(|message| message.from.0).collect::<Vec<_>>(), [1_003], "others are left alone");
    world.run(secs(1));
    assert!(world.receive(b, 2).is_empty());
}

#[test]
fn a_close_that_cost_data_shows_and_refuses_one_plain_send() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    world.send(a, b, 2, RELIABLE, &[1; 100_000]).expect("room");
    world.run(ms(1));
    assert!(world.close(b, a));
    world.run(secs(1));
    world.assert_no_events(a);
    let info = world.info(a, b);
    assert_eq!((info.state, info.end_reason), (CLOSED_BY_PEER, END_CLOSED));
    assert_eq!(world.send(a, b, 2, RELIABLE, b"one"), Err(SendError::NoConnection));
    assert_eq!(world.state(a, b), NONE, "said once, it is forgotten");
    world.send(a, b, 2, RELIABLE, b"two").expect("a new session");
    world.wait("it asks anew", secs(2), |w| !w.requests(b, a).is_empty());
    assert!(world.accept(b, a));
    world.run(secs(1));
    let heard: Vec<_> = world.receive(b, 2).into_iter().map(|m| m.payload.to_vec()).collect();
    assert_eq!(heard, [b"two".to_vec()]);
}

#[test]
fn a_close_that_cost_data_is_no_obstacle_to_a_send_that_restarts() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    world.send(a, b, 2, RELIABLE, &[1; 100_000]).expect("room");
    world.run(ms(1));
    world.close(b, a);
    world.run(secs(1));
    assert_eq!(world.state(a, b), CLOSED_BY_PEER);
    world.send(a, b, 2, RELIABLE | AUTO_RESTART, b"on").expect("it restarts");
    world.wait("it asks anew", secs(2), |w| !w.requests(b, a).is_empty());
    world.assert_no_events(a);
}

#[test]
fn closing_before_the_session_stands_ends_it_on_both_sides() {
    for after in [0, 10, 26, 40, 51, 60, 76, 90] {
        let mut world = World::new(1);
        let (a, b) = world.pair();
        world.accept_all(b);
        world.send(a, b, 0, RELIABLE, b"x").expect("queued");
        world.run(ms(after));
        assert!(world.close(a, b), "after {after} ms");
        assert_eq!(world.state(a, b), NONE);
        world.run(secs(12));
        assert_eq!(world.state(a, b), NONE, "after {after} ms");
        // Who had accepted and was not connected yet is told; who had not been asked yet knows nothing.
        let there = world.state(b, a);
        let told = world.failures(b, a).iter().map(|(_, state, reason)| (*state, *reason)).collect::<Vec<_>>();
        match there {
            NONE => assert_eq!(told, [], "after {after} ms"),
            _ => assert_eq!((there, told), (CLOSED_BY_PEER, vec![(CLOSED_BY_PEER, END_CLOSED)]), "after {after} ms"),
        }
        world.assert_no_events(a);
    }
}

#[test]
fn shutting_down_tells_every_peer() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    let c = world.add(1_003);
    world.introduce(c, b);
    world.connect(c, b);
    let now = world.now();
    world.machine(b).shutdown(now);
    world.wait("it has told them", secs(1), |w| w.machine(b).is_drained());
    world.run(LAG * 2);
    world.kill(b);
    assert_eq!((world.state(a, b), world.state(c, b)), (NONE, NONE));
    world.assert_no_events(a);
    world.assert_no_events(c);
}

#[test]
fn a_closed_session_leaves_nothing_that_wakes() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    world.close(a, b);
    world.run(secs(60));
    world.listen();
    world.run(secs(600));
    assert!(world.take_overheard().is_empty(), "nobody has anything left to say");
}
