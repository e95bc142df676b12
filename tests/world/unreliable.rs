//! Unreliable messages: at most once, whole or not at all, now or never when asked for.

use crate::app::{RELIABLE, UNRELIABLE, ms, secs};
use crate::sim::{LAG, World};
use std::collections::BTreeSet;
use steamnetmsg::endpoint::SendError;
use steamnetmsg::endpoint::faults::{Dice, Direction};
use steamnetmsg::endpoint::flags::NO_DELAY;

fn numbered(number: u32, size: usize) -> Vec<u8> {
    let mut dice = Dice::new(u64::from(number));
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.extend((4..size).map(|_| dice.number() as u8));
    bytes
}

/// The number of a message that is as [`numbered`] made it.
fn number_of(bytes: &[u8]) -> u32 {
    let number = u32::from_le_bytes(bytes[..4].try_into().expect("four bytes at least"));
    assert!(*bytes == *numbered(number, bytes.len()), "message {number} is damaged");
    number
}

#[test]
fn most_arrive_through_loss_none_twice_and_none_damaged() {
    for seed in crate::seeds(10) {
        let mut world = World::new(seed);
        world.weather = Direction { loss: 20.0, dup: 5.0, reorder: 5.0, lag: LAG, ..Direction::default() };
        let (a, b) = world.connected_pair();
        let mut seen = BTreeSet::new();
        for n in 0..550 {
            if n < 500 {
                world.send(a, b, 6, UNRELIABLE, &numbered(n, 100)).expect("room");
            }
            world.run(ms(20));
            for message in world.receive(b, 6) {
                assert!(!message.reliable && message.payload.len() == 100);
                let number = number_of(&message.payload);
                assert!(number < 500 && seen.insert(number), "message {number} came twice");
            }
        }
        assert!((300..=475).contains(&seen.len()), "{} of 500 arrived", seen.len());
    }
}

#[test]
fn all_arrive_on_a_clean_link_up_to_the_largest() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    for (n, size) in (0u32..).zip([4, 1_200, 1_300, 16_495, 16_496, 100_000, 524_288]) {
        world.send(a, b, 6, UNRELIABLE, &numbered(n, size)).expect("the queue is empty");
        let mut got = Vec::new();
        world.wait("it arrives", secs(30), |w| {
            got.extend(w.receive(b, 6));
            !got.is_empty()
        });
        assert_eq!((number_of(&got[0].payload), got[0].payload.len()), (n, size));
    }
    world.send(a, b, 6, UNRELIABLE, b"").expect("room");
    world.wait("an empty one arrives too", secs(1), |w| w.receive(b, 6).iter().any(|m| m.payload.is_empty()));
}

#[test]
fn big_ones_arrive_whole_or_not_at_all() {
    let mut world = World::new(1);
    world.weather = Direction { loss: 0.5, lag: LAG, ..Direction::default() };
    let (a, b) = world.connected_pair();
    let mut sent = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut dice = Dice::new(9);
    for n in 0u32..300 {
        let size = 4 + dice.below(if n % 10 == 0 { 524_285 } else { 40_000 }) as usize;
        match world.send(a, b, 6, UNRELIABLE, &numbered(n, size)) {
            Ok(()) => assert!(sent.insert((n, size))),
            Err(SendError::LimitExceeded(_)) => {}
            Err(error) => panic!("{error}"),
        }
        world.run(ms(100));
        for message in world.receive(b, 6) {
            let found = (number_of(&message.payload), message.payload.len());
            assert!(sent.contains(&found), "{found:?} was never sent so");
            assert!(seen.insert(found), "{found:?} came twice");
        }
    }
    assert!(seen.len() > sent.len() / 3, "{} of {} arrived", seen.len(), sent.len());
    assert!(seen.len() < sent.len(), "the test lost nothing and proves nothing");
}

#[test]
fn unread_unreliable_messages_do_not_pile_up() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    for n in 0..8_000 {
        match world.send(a, b, 6, UNRELIABLE, &numbered(n, 1_000)) {
            Ok(()) | Err(SendError::LimitExceeded(_)) => {}
            Err(error) => panic!("{error}"),
        }
        world.run(ms(2));
        assert!(world.machine(b).mailbox().waiting() <= 1_000);
    }
    world.run(secs(1));
    let waiting = world.receive(b, 6);
    let bytes: usize = waiting.iter().map(|message| message.payload.len()).sum();
    assert!((1..=1_048_576 + 1_000).contains(&bytes), "{bytes} bytes waited");
    // The oldest made room for the newest.
    assert_eq!(waiting.last().map(|message| number_of(&message.payload)), Some(7_999));
    assert!(world.machine(b).drops().of(steamnetmsg::drops::Dropped::UnreliableOverflow) > 0);
}

#[test]
fn messages_sent_before_the_session_stands_become_reliable() {
    let mut world = World::new(1);
    let (a, b) = world.pair();
    world.weather.loss = 20.0;
    for n in 0..3 {
        world.send(a, b, 6, UNRELIABLE, &numbered(n, 50)).expect("room");
    }
    world.run(secs(1));
    world.wait("the request comes", secs(8), |w| !w.requests(b, a).is_empty());
    assert!(world.accept(b, a));
    let mut got = Vec::new();
    world.wait("all three arrive", secs(8), |w| {
        got.extend(w.receive(b, 6).into_iter().map(|m| (number_of(&m.payload), m.reliable)));
        got.len() == 3
    });
    assert_eq!(got, [(0, true), (1, true), (2, true)]);
}

#[test]
fn no_delay_before_the_session_stands_is_ignored() {
    let mut world = World::new(1);
    let (a, b) = world.pair();
    world.send(a, b, 6, RELIABLE, b"knock").expect("room");
    assert_eq!(world.send(a, b, 6, NO_DELAY, b"now"), Err(SendError::Ignored));
    world.accept_all(b);
    world.wait("the session stands", secs(5), |w| w.state(a, b) == crate::app::CONNECTED);
    world.run(secs(1));
    let heard: Vec<_> = world.receive(b, 6).into_iter().map(|message| message.payload).collect();
    assert_eq!(heard, [Box::from(&b"knock"[..])]);
    assert_eq!(world.send(a, b, 6, NO_DELAY, b"now"), Ok(()), "with an empty queue it goes");
    world.wait("it arrives", LAG + ms(1), |w| w.receive(b, 6).len() == 1);
}

#[test]
fn no_delay_behind_a_long_queue_is_ignored() {
    let mut world = World::new(1);
    world.weather = Direction { rate: 128 * 1024, rate_burst: 3_000, lag: LAG, ..Direction::default() };
    let (a, b) = world.connected_pair();
    for _ in 0..4 {
        world.send(a, b, 1, RELIABLE, &vec![1; 100_000]).expect("room");
        world.run(ms(100));
    }
    assert_eq!(world.send(a, b, 6, NO_DELAY, b"now"), Err(SendError::Ignored));
    world.run(secs(20));
    assert!(world.receive(b, 6).is_empty(), "an ignored message is not delivered");
    assert_eq!(world.receive(b, 1).len(), 4);
    assert_eq!(world.send(a, b, 6, NO_DELAY, b"now"), Ok(()));
}
