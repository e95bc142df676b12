//! Bounds the app can set: each is reached here, holds, and costs nothing that was promised.

use crate::app::{CONNECTED, RELIABLE, UNRELIABLE, ms, secs};
use crate::sim::{Node, World};
use crate::traffic::{Flow, Sizes, carry};
use steamnetmsg::drops::Dropped;
use steamnetmsg::endpoint::SendError;
use steamnetmsg::endpoint::config::{Config, Value};
use steamnetmsg::ids::SteamId;

/// Two connected, the second one with its own settings.
fn pair_with(seed: u64, loss: f32, tweak: impl FnOnce(&mut Config)) -> (World, Node, Node) {
    let mut world = World::new(seed);
    world.weather.loss = loss;
    let (a, b) = (world.add(1_001), world.add_with(1_002, tweak));
    world.introduce(a, b);
    world.connect(a, b);
    (world, a, b)
}

fn unread_bytes(world: &mut World, at: Node, flows: &mut [Flow]) -> Vec<usize> {
    let mut held = Vec::new();
    for flow in flows {
        let messages = world.receive(at, flow.channel);
        held.push(messages.iter().map(|message| message.payload.len()).sum());
        messages.iter().for_each(|message| flow.check(world, message));
    }
    held
}

#[test]
fn unread_bytes_stay_within_the_receive_buffer_and_a_channel_within_half_of_it() {
    for seed in crate::seeds(6) {
        let (buffer, largest) = (40_000, 2_000);
        let (mut world, a, b) = pair_with(seed, (seed % 3) as f32 * 10.0, |c| {
            c.settings.recv_buffer_size = buffer;
        });
        for channels in [1, 4] {
            let mut flows: Vec<Flow> =
                (0..channels).map(|n| Flow::new(&world, a, b, 100 * channels + n, 200, Sizes::UpTo(largest))).collect();
            for _ in 0..300 {
                for flow in &mut flows {
                    flow.send_next(&mut world);
                }
                world.run(ms(10));
            }
            let held = unread_bytes(&mut world, b, &mut flows);
            let (half, most) = (buffer as usize / 2, buffer as usize);
            assert!(held.iter().all(|bytes| *bytes <= half), "{held:?}");
            let all: usize = held.iter().sum();
            let least = if channels == 1 { half } else { most } - 2 * largest as usize;
            assert!((least..=most).contains(&all), "{channels} channels: {held:?}");
            assert!(flows.iter().all(|flow| flow.sent > flow.received), "the sender is held back");
            carry(&mut world, &mut flows, secs(120));
        }
        assert_eq!((world.state(a, b), world.state(b, a)), (CONNECTED, CONNECTED));
    }
}

#[test]
fn unread_messages_stay_within_their_number_and_a_channel_within_half_of_it() {
    for seed in crate::seeds(6) {
        let (mut world, a, b) = pair_with(seed, (seed % 3) as f32 * 10.0, |c| c.settings.recv_buffer_messages = 10);
        for channels in [1, 3] {
            let mut flows: Vec<Flow> =
                (0..channels).map(|n| Flow::new(&world, a, b, 100 * channels + n, 60, Sizes::UpTo(100))).collect();
            for _ in 0..100 {
                flows.iter_mut().for_each(|flow| while flow.send_next(&mut world) {});
                world.run(ms(20));
                assert!(world.machine(b).mailbox().waiting() <= 10);
            }
            let reached = world.machine(b).mailbox().waiting();
            assert_eq!(reached, if channels == 1 { 5 } else { 10 });
            carry(&mut world, &mut flows, secs(60));
        }
    }
}

#[test]
fn a_message_larger_than_the_receive_buffer_passes_when_all_before_it_was_read() {
    let (mut world, a, b) = pair_with(1, 5.0, |c| c.settings.recv_buffer_size = 8_192);
    for n in 0..3u8 {
        world.send(a, b, 1, RELIABLE, &[n; 1_000]).expect("room");
        world.send(a, b, 1, RELIABLE, &vec![n; 300_000]).expect("room");
        let mut sizes = Vec::new();
        world.wait("both arrive", secs(20), |w| {
            sizes.extend(w.receive(b, 1).iter().map(|message| message.payload.len()));
            sizes.len() == 2
        });
        assert_eq!(sizes, [1_000, 300_000]);
    }
    assert_eq!(world.state(b, a), CONNECTED);
}

#[test]
fn unread_unreliable_messages_make_room_for_newer_ones_and_are_counted() {
    let (mut world, a, b) = pair_with(1, 0.0, |c| {
        c.settings.recv_buffer_messages = 50;
        c.settings.recv_buffer_size = 20_000;
    });
    for (channel, size, most) in [(1, 10, 50), (2, 1_000, 20)] {
        let before = world.machine(b).drops().of(Dropped::UnreliableOverflow);
        for n in 0..200u8 {
            world.send(a, b, channel, UNRELIABLE, &vec![n; size]).expect("room");
            world.run(ms(5));
        }
        world.run(secs(1));
        let heard: Vec<u8> = world.receive(b, channel).iter().map(|message| message.payload[0]).collect();
        assert_eq!(heard, (200 - most..200).collect::<Vec<_>>(), "the newest stay");
        let dropped = world.machine(b).drops().of(Dropped::UnreliableOverflow) - before;
        assert_eq!(dropped, 200 - u64::from(most));
    }
}

#[test]
fn the_send_buffer_takes_its_size_and_not_a_byte_more() {
    let mut world = World::new(1);
    let (a, b) = (world.add_with(1_001, |c| c.settings.send_buffer_size = 10_000), world.add(1_002));
    world.introduce(a, b);
    // Before the session stands everything waits. Less than 32 bytes count as 32.
    for n in 0..9u8 {
        world.send(a, b, 1, RELIABLE, &[n; 1_000]).expect("room");
    }
    assert!(matches!(world.send(a, b, 1, RELIABLE, &[9; 1_001]), Err(SendError::LimitExceeded(_))));
    let mut small = 0;
    while world.send(a, b, 1, RELIABLE, b"").is_ok() {
        small += 1;
    }
    assert_eq!(small, 1_000 / 32);
    assert!(matches!(world.send(a, b, 2, UNRELIABLE, b"x"), Err(SendError::LimitExceeded(_))), "any channel");
    let status = world.status(a, b);
    assert_eq!((status.pending_reliable, status.pending_unreliable), (9_000, 0));
    world.accept_all(b);
    let mut heard = 0;
    world.wait("all of it arrives", secs(5), |w| {
        heard += w.receive(b, 1).len();
        heard == 9 + small
    });
    // Larger or smaller while it runs.
    let (now, id) = (world.now(), world.id(b));
    for size in [4_096, 100_000] {
        world.machine(a).set_peer_config(now, id, 9, Value::Int(size)).expect("SEND_BUFFER_SIZE differs by peer");
        let whole = vec![0; size as usize];
        assert!(matches!(
            world.send(a, b, 1, RELIABLE, &[&whole[..], &[0]].concat()),
            Err(SendError::LimitExceeded(_))
        ));
        world.send(a, b, 1, RELIABLE, &whole).expect("an empty buffer takes its size");
        world.wait("it arrives", secs(5), |w| w.receive(b, 1).len() == 1);
    }
}

#[test]
fn a_session_carries_4096_channels_and_says_so() {
    let (mut world, a, b) = pair_with(1, 0.0, |_| ());
    // The greeting had one of them.
    for channel in 0..4_095 {
        world.send(a, b, channel, RELIABLE, &channel.to_le_bytes()).expect("room");
        if channel % 100 == 99 {
            world.run(ms(200));
            for channel in channel - 99..=channel {
                assert_eq!(world.receive(b, channel).len(), 1, "channel {channel}");
            }
        }
    }
    for flags in [RELIABLE, UNRELIABLE] {
        assert!(matches!(world.send(a, b, 9_999, flags, b"x"), Err(SendError::LimitExceeded(_))));
    }
    world.send(a, b, 7, RELIABLE, b"old ones go on").expect("room");
    world.send(b, a, 9_999, RELIABLE, b"each side has its own").expect("room");
    world.wait("both arrive", secs(2), |w| w.machine(b).mailbox().waiting() >= 1 && w.receive(a, 9_999).len() == 1);
    assert_eq!(world.state(a, b), CONNECTED);
}

#[test]
fn a_thousand_failures_wait_for_the_app_and_the_oldest_make_room_counted() {
    let mut world = World::new(1);
    let a = world.add(1_001);
    world.host(a).keeps_events = true;
    for n in 0..1_100 {
        world.send_to_id(a, SteamId(50_000 + n), 0, RELIABLE, b"anyone?").expect("queued");
        world.run(ms(1));
    }
    world.run(secs(15));
    assert_eq!(world.machine(a).events_waiting(), 1_024);
    assert_eq!(world.machine(a).drops().of(Dropped::EventOverflow), 76);
    world.host(a).keeps_events = false;
    world.settle();
    world.machine(a);
    world.settle();
    let events = std::mem::take(&mut world.host(a).events);
    assert_eq!(events.len(), 1_024);
    assert!(format!("{:?}", events[0].1).contains("50076"), "{:?}", events[0].1);
}

#[test]
fn half_of_a_thousand_unreliable_messages_cost_no_more_than_a_receive_buffer() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    // Of each about half of the slices arrive, so none is whole; all are given up sooner or later.
    world.weather.loss = 50.0;
    let half = world.weather.clone();
    world.set_link(a, b, half);
    let mut sent = 0;
    for n in 0..1_000u32 {
        sent += u64::from(world.send(a, b, 1, UNRELIABLE, &vec![n as u8; 16_000]).is_ok());
        world.run(ms(50));
    }
    world.wait("all has left", secs(60), |w| w.status(a, b).pending_unreliable == 0);
    assert!(sent >= 200, "{sent} went");
    let given_up = world.machine(b).drops().of(Dropped::UnreliableOverflow);
    assert!((sent - 64 - 5..=sent).contains(&given_up), "{given_up} of {sent} were given up: at most 64 wait");
    world.run(secs(6));
    let all = world.machine(b).drops().of(Dropped::UnreliableOverflow) + world.receive(b, 1).len() as u64;
    assert!((sent - 5..=sent).contains(&all), "{all} of {sent} are accounted for; of the others not a slice arrived");
}
