//! Channels: what is sent on one comes out on that one, and each can be ended alone.

use crate::app::{CONNECTED, GREETING, NONE, RELIABLE, UNRELIABLE, ms, secs};
use crate::sim::World;

#[test]
fn a_message_comes_out_on_its_own_channel_only() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    let channels = [0, 7, -7, i32::MAX, i32::MIN, 255, 256, 70_000];
    for flags in [RELIABLE, UNRELIABLE] {
        for channel in channels {
            world.send(a, b, channel, flags, &channel.to_le_bytes()).expect("room");
        }
        world.run(secs(1));
        assert_eq!(world.machine(b).mailbox().waiting(), channels.len());
        assert!(world.receive(b, 8).is_empty());
        for channel in channels {
            let messages = world.receive(b, channel);
            assert_eq!(messages.len(), 1, "channel {channel}");
            assert_eq!((messages[0].channel.0, &*messages[0].payload), (channel, &channel.to_le_bytes()[..]));
        }
    }
}

#[test]
fn a_message_waits_on_its_channel_until_it_is_read() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    world.send(a, b, 3, RELIABLE, b"patience").expect("room");
    world.run(secs(30));
    assert!(world.receive(b, 4).is_empty());
    assert_eq!(world.receive(b, 3).len(), 1);
    assert!(world.receive(b, 3).is_empty());
}

#[test]
fn a_reader_gets_no_more_than_it_asks_for() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    for n in 0..5u8 {
        world.send(a, b, 3, RELIABLE, &[n]).expect("room");
    }
    world.run(secs(1));
    let counts: Vec<_> = [0, 2, 2, 2, 2].map(|max| world.receive_some(b, 3, max).len()).into();
    assert_eq!(counts, [0, 2, 2, 1, 0]);
}

#[test]
fn closing_the_last_channel_closes_the_session() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    for (channel, text) in [(1, "one"), (2, "two"), (1, "three"), (2, "four")] {
        world.send(a, b, channel, RELIABLE, text.as_bytes()).expect("room");
    }
    world.run(secs(1));
    assert!(!world.close_channel(b, a, 99), "never used");
    assert!(world.close_channel(b, a, GREETING));
    assert!(world.close_channel(b, a, 1));
    assert!(!world.close_channel(b, a, 1), "closed already");
    assert_eq!(world.state(b, a), CONNECTED);
    assert!(world.receive(b, 1).is_empty(), "its unread messages are gone");
    assert_eq!(world.receive(b, 2).len(), 2, "those of another are not");
    assert!(world.close_channel(b, a, 2));
    assert_eq!(world.state(b, a), NONE);
    world.run(secs(1));
    assert_eq!(world.state(a, b), NONE);
    world.assert_no_events(a);
    // After that a message asks anew.
    world.send(a, b, 1, RELIABLE, b"hello again").expect("a new session");
    world.wait("it asks", secs(2), |w| !w.requests(b, a).is_empty());
}

#[test]
fn a_closed_channel_opens_again_with_the_next_message() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    world.send(a, b, 1, RELIABLE, b"before").expect("room");
    world.run(secs(1));
    assert!(world.close_channel(b, a, 1));
    for n in 0..20u8 {
        world.send(a, b, 1, RELIABLE, &[n]).expect("room");
    }
    world.run(secs(1));
    assert_eq!(world.receive(b, 1).iter().map(|m| m.payload[0]).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
    assert!(world.requests(b, a).is_empty());
    assert!(world.close_channel(b, a, 1), "it is open again");
    assert_eq!(world.state(b, a), CONNECTED);
}

#[test]
fn closing_a_channel_in_the_midst_of_its_traffic_harms_no_other() {
    for seed in crate::seeds(10) {
        let mut world = World::new(seed);
        world.weather.loss = 10.0;
        let (a, b) = world.connected_pair();
        let mut kept = crate::traffic::Flow::new(&world, a, b, 2, 200, crate::traffic::Sizes::Mixed);
        let mut ended = 0;
        for n in 0..400u32 {
            if n < 200 {
                let _ = world.send(a, b, 1, RELIABLE, &[1; 3_000]);
                kept.send_next(&mut world);
            }
            if n % 40 == 20 {
                ended += usize::from(world.close_channel(b, a, 1));
            }
            world.run(ms(5));
            kept.receive(&mut world);
        }
        assert!(ended > 1);
        crate::traffic::carry(&mut world, &mut [kept], secs(30));
        world.assert_no_events(a);
        world.assert_no_events(b);
        world.wait("all is acknowledged", secs(10), |w| {
            w.receive(b, 1);
            let status = w.status(a, b);
            status.pending_reliable + status.send_unacknowledged_reliable == 0
        });
    }
}

#[test]
fn a_channel_one_only_sent_on_is_open_too() {
    let mut world = World::new(1);
    let (a, b) = world.pair();
    assert!(!world.close_channel(a, b, 5), "no session yet");
    world.accept_all(b);
    world.send(a, b, 5, RELIABLE, b"x").expect("queued");
    world.run(secs(1));
    assert_eq!(world.state(a, b), CONNECTED);
    assert!(world.close_channel(a, b, 5));
    assert_eq!(world.state(a, b), NONE);
    world.run(secs(1));
    assert_eq!(world.state(b, a), NONE);
    assert_eq!(world.receive(b, 5).len(), 1, "what had arrived stays readable");
}
