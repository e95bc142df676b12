//! Messages to oneself: a session of its own, without a wire and without events.

use crate::app::{CONNECTED, NONE, RELIABLE, UNRELIABLE, secs};
use crate::sim::{Node, World};
use steamnetmsg::endpoint::SendError;
use steamnetmsg::endpoint::flags::{AUTO_RESTART, NO_DELAY};
use steamnetmsg::settings::Settings;

/// The bit of the info flags that says so, as in Steam's header.
const LOOPBACK: u32 = 4;

fn alone() -> (World, Node) {
    let mut world = World::new(1);
    let a = world.add(1_001);
    world.listen();
    (world, a)
}

#[test]
fn a_message_to_oneself_is_there_at_once_and_nothing_is_sent_or_told() {
    let (mut world, a) = alone();
    assert!(!world.accept(a, a) && !world.close(a, a) && !world.close_channel(a, a, 1));
    for (n, flags) in [RELIABLE, UNRELIABLE, NO_DELAY, RELIABLE | AUTO_RESTART].into_iter().enumerate() {
        world.send(a, a, 1, flags, &[n as u8]).expect("it always goes");
    }
    let heard = world.receive(a, 1);
    assert_eq!(heard.iter().map(|m| m.payload[0]).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(
        heard.iter().map(|m| (m.number, m.reliable)).collect::<Vec<_>>(),
        [(1, true), (1, false), (2, false), (2, true)]
    );
    assert!(heard.iter().all(|m| m.from == world.id(a) && m.received == world.now()));
    let info = world.info(a, a);
    assert_eq!((info.state, info.identity, info.end_reason), (CONNECTED, 1_001, 0));
    assert_eq!(info.info_flags & LOOPBACK, LOOPBACK);
    assert_eq!(world.status(a, a).ping, 0);
    assert!(world.accept(a, a), "a yes without effect");
    world.run(secs(5));
    world.assert_no_events(a);
    assert!(world.take_overheard().is_empty());
}

#[test]
fn a_session_with_oneself_ends_as_any_other() {
    let (mut world, a) = alone();
    world.send(a, a, 1, RELIABLE, b"one").expect("room");
    world.send(a, a, 2, RELIABLE, b"two").expect("room");
    assert!(world.close_channel(a, a, 1) && !world.close_channel(a, a, 1));
    assert_eq!((world.receive(a, 1).len(), world.state(a, a)), (0, CONNECTED));
    assert!(world.close_channel(a, a, 2), "the last one");
    assert_eq!((world.receive(a, 2).len(), world.state(a, a)), (0, NONE));
    world.send(a, a, 1, RELIABLE, b"again").expect("a new session");
    assert_eq!(world.receive(a, 1)[0].number, 1, "which counts from 1");
    world.send(a, a, 1, RELIABLE, b"unread").expect("room");
    assert!(world.close(a, a) && !world.close(a, a));
    assert!(world.receive(a, 1).is_empty());
    // Unused it ends after 180 s, and what is unread stays.
    world.send(a, a, 1, RELIABLE, b"keep me").expect("a new session");
    world.run(secs(170));
    assert_eq!(world.state(a, a), CONNECTED);
    world.run(secs(15));
    assert_eq!(world.state(a, a), NONE);
    assert_eq!(world.receive(a, 1).len(), 1);
    world.assert_no_events(a);
}

#[test]
fn unread_messages_to_oneself_are_bounded() {
    let (mut world, a) = alone();
    let defaults = Settings::default();
    let mut taken = 0;
    while world.send(a, a, 1, RELIABLE, b"").is_ok() {
        taken += 1;
        assert!(taken <= defaults.recv_buffer_messages);
    }
    assert_eq!(taken, defaults.recv_buffer_messages);
    assert!(matches!(world.send(a, a, 2, RELIABLE, b"x"), Err(SendError::LimitExceeded(_))));
    assert_eq!(world.receive(a, 1).len(), taken as usize);
    let half = vec![7; 524_288];
    world.send(a, a, 1, RELIABLE, &half).expect("room");
    world.send(a, a, 1, RELIABLE, &half).expect("room, to the last byte");
    assert!(matches!(world.send(a, a, 1, RELIABLE, b"x"), Err(SendError::LimitExceeded(_))));
    assert_eq!(world.receive_some(a, 1, 1).len(), 1);
    world.send(a, a, 1, RELIABLE, b"x").expect("what was read made room");
    // Unreliable ones make room for each other.
    for n in 0..5_000u32 {
        world.send(a, a, 3, UNRELIABLE, &n.to_le_bytes()).expect("never refused");
    }
    let heard = world.receive(a, 3);
    assert!(heard.len() <= defaults.recv_buffer_messages as usize);
    assert_eq!(*heard.last().expect("the newest stay").payload, 4_999u32.to_le_bytes());
}
