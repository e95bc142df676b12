//! Flow: who waits for whom, and how much may wait.

use crate::app::{CONNECTED, RELIABLE, ms, secs};
use crate::sim::{LAG, World};
use crate::traffic::{Flow, Sizes, carry};
use steamnetmsg::endpoint::SendError;
use steamnetmsg::endpoint::faults::Direction;
use steamnetmsg::settings::Settings;

/// A link of 256 KiB/s: 400 KB take a second and a half.
fn narrow() -> Direction {
    Direction { rate: 256 * 1024, rate_burst: 3_000, lag: LAG, ..Direction::default() }
}

#[test]
fn a_small_message_overtakes_a_bulk_transfer_on_another_channel() {
    for seed in crate::seeds(5) {
        let mut world = World::new(seed);
        world.weather = narrow();
        let (a, b) = world.connected_pair();
        world.send(a, b, 1, RELIABLE, &vec![7; 400_000]).expect("room for it");
        world.send(a, b, 2, RELIABLE, b"ten bytes!").expect("room for it");
        let mut small = Vec::new();
        world.wait("the small one arrives", LAG * 2 + ms(200), |w| {
            small.extend(w.receive(b, 2));
            !small.is_empty()
        });
        assert_eq!(&*small[0].payload, b"ten bytes!");
        assert!(world.receive(b, 1).is_empty(), "the big one is still on its way");
        let mut big = Vec::new();
        world.wait("the big one arrives too", secs(20), |w| {
            big.extend(w.receive(b, 1));
            !big.is_empty()
        });
        assert!(big[0].payload.len() == 400_000 && big[0].payload.iter().all(|byte| *byte == 7));
    }
}

#[test]
fn small_messages_stay_quick_beside_a_bulk_transfer_with_loss() {
    let mut world = World::new(1);
    world.weather = Direction { loss: 5.0, rate: 1 << 20, rate_burst: 3_000, lag: LAG, ..Direction::default() };
    let (a, b) = world.connected_pair();
    let mut bulk = Flow::new(&world, a, b, 1, 100_000, Sizes::UpTo(40_000));
    let mut sent = Vec::new();
    let mut delays = Vec::new();
    for tick in 0u32..6_000 {
        while bulk.send_next(&mut world) {}
        bulk.receive(&mut world);
        if tick % 10 == 0 {
            sent.push(world.now());
            let _ = world.send(a, b, 2, RELIABLE, &[9; 20]).or_else(|error| match error {
                SendError::LimitExceeded(_) => {
                    sent.pop();
                    Ok(())
                }
                other => Err(other),
            });
        }
        world.run(ms(5));
        for message in world.receive(b, 2) {
            delays.push(message.received.saturating_since(sent[delays.len()]));
        }
    }
    delays.sort_unstable();
    assert!(delays.len() > 100, "small messages found room in the send buffer: {}", delays.len());
    let p99 = delays[delays.len() * 99 / 100];
    assert!(p99 <= LAG * 4 + ms(50), "the 99th percentile is {p99:?}");
}

#[test]
fn an_unread_channel_never_stops_another() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    let mut unread = Flow::new(&world, a, b, 1, 100_000, Sizes::UpTo(4_000));
    let mut read = Flow::new(&world, a, b, 2, 5_000, Sizes::UpTo(1_200));
    let end = world.now() + secs(120);
    while unread.under_way < 900_000 && unread.send_next(&mut world) {
        world.run(ms(5));
    }
    while !read.is_done() {
        // The unread one takes what room it gets, one at a time, so that its backlog does not fill the send buffer.
        if world.status(a, b).pending_reliable < 100_000 {
            unread.send_next(&mut world);
        }
        while world.status(a, b).pending_reliable < 400_000 && read.send_next(&mut world) {}
        world.run(ms(5));
        read.receive(&mut world);
        assert!(world.now() < end, "channel 2 is stopped at message {}", read.received);
    }
    assert!(unread.under_way > 200_000, "channel 1 is full: {} bytes", unread.under_way);
    // Nothing that was taken is lost.
    unread.count = unread.sent;
    carry(&mut world, &mut [unread], secs(60));
}

#[test]
fn what_waits_unread_is_bounded_and_none_of_it_is_lost() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    let defaults = Settings::default();
    let (bytes, one) = (defaults.recv_buffer_size as usize, 8_000);
    let mut flows: Vec<Flow> =
        [1, 2, 3, 4].map(|channel| Flow::new(&world, a, b, channel, 100_000, Sizes::UpTo(one))).into();
    for _ in 0..2_000 {
        for flow in &mut flows {
            flow.send_next(&mut world);
        }
        world.run(ms(10));
        assert!(world.machine(b).mailbox().waiting() <= defaults.recv_buffer_messages as usize);
    }
    let mut total = 0;
    for flow in &mut flows {
        let waiting = world.receive(b, flow.channel);
        let held: usize = waiting.iter().map(|message| message.payload.len()).sum();
        assert!(held <= bytes / 2 + one as usize, "one unread channel holds {held} bytes, more than half");
        total += held;
        for message in &waiting {
            flow.check(&world, message);
        }
        flow.count = flow.sent;
    }
    assert!((bytes / 2..=bytes + one as usize).contains(&total), "{total} bytes waited");
    carry(&mut world, &mut flows, secs(60));
    assert_eq!(world.state(a, b), CONNECTED);
}

#[test]
fn unread_messages_are_bounded_by_number_too() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    let mut flow = Flow::new(&world, a, b, 1, 30_000, Sizes::UpTo(0));
    for _ in 0..1_000 {
        while flow.send_next(&mut world) {}
        world.run(ms(10));
        let waiting = world.machine(b).mailbox().waiting();
        assert!(waiting <= Settings::default().recv_buffer_messages as usize, "{waiting} empty messages wait");
    }
    assert!(flow.sent < 30_000, "the send buffer holds back even empty messages");
    carry(&mut world, &mut [flow], secs(120));
}

#[test]
fn a_full_send_buffer_refuses_and_recovers() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    let message = vec![5; 64 * 1024];
    let mut taken = 0;
    let refusal = loop {
        match world.send(a, b, 1, RELIABLE, &message) {
            Ok(()) => taken += 1,
            Err(refusal) => break refusal,
        }
        assert!(taken <= 1_000, "it never fills");
    };
    assert!(matches!(refusal, SendError::LimitExceeded(_)), "{refusal:?}");
    assert!(taken >= 8, "512 KiB fit 8 messages of 64 KiB");
    let mut received = 0;
    world.run_until(secs(5), |w| {
        received += w.receive(b, 1).len();
        false
    });
    assert_eq!(received, taken);
    world.send(a, b, 1, RELIABLE, &message).expect("there is room again");
    world.wait("it arrives", secs(5), |w| w.receive(b, 1).len() == 1);
}

#[test]
fn before_the_session_stands_messages_wait_up_to_the_send_buffer_and_all_arrive() {
    let mut world = World::new(1);
    let (a, b) = world.pair();
    let mut flow = Flow::new(&world, a, b, 1, 10_000, Sizes::UpTo(2_000));
    for _ in 0..300 {
        while flow.send_next(&mut world) {}
        world.run(ms(10));
    }
    let most = u64::from(Settings::default().send_buffer_size);
    // One early datagram may have gone ahead.
    assert!((most - 2_000..=most + 4_096).contains(&flow.under_way), "{} bytes wait", flow.under_way);
    assert!(world.receive(b, 1).is_empty());
    assert!(world.accept(b, a));
    flow.count = flow.sent;
    carry(&mut world, &mut [flow], secs(20));
}

#[test]
fn a_message_too_large_for_anyone_is_refused_and_starts_nothing() {
    let mut world = World::new(1);
    let (a, b) = world.pair();
    let refusal = world.send(a, b, 1, RELIABLE, &vec![0; 524_289]).expect_err("one byte too many");
    assert!(matches!(refusal, SendError::InvalidParam(_)), "{refusal:?}");
    let nobody = steamnetmsg::ids::SteamId(0);
    let refusal = world.send_to_id(a, nobody, 1, RELIABLE, b"x").expect_err("nobody");
    assert!(matches!(refusal, SendError::InvalidParam(_)), "{refusal:?}");
    world.run(secs(1));
    assert_eq!((world.state(a, b), world.state(b, a)), (0, 0));
}
