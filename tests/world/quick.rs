//! Small messages beside bulk: what a game says must not wait for what it copies.

use crate::app::{RELIABLE, ms, secs};
use crate::sim::World;
use crate::traffic::{Flow, Sizes};
use steamnetmsg::endpoint::faults::Direction;
use steamnetmsg::time::Duration;

/// The delays of 20 bytes every 50 ms on channel 2, reliable, while channel 1 always has bulk to send.
fn delays_beside_bulk(seed: u64, rtt: Duration, rate: u64, loss: f32, span: Duration) -> Vec<Duration> {
    let mut world = World::new(seed);
    world.weather = Direction { loss, rate, rate_burst: 3_000, lag: rtt / 2, ..Direction::default() };
    let (a, b) = world.connected_pair();
    let mut bulk = Flow::new(&world, a, b, 1, u64::MAX, Sizes::UpTo(40_000));
    let (mut sent, mut delays) = (Vec::new(), Vec::new());
    let end = world.now() + span;
    for tick in 0u32.. {
        // Room is left for the small ones: a send buffer that is full refuses them too.
        while world.status(a, b).pending_reliable < 400_000 && bulk.send_next(&mut world) {}
        bulk.receive(&mut world);
        if tick % 10 == 0 && world.now() < end {
            sent.push(world.now());
            world.send(a, b, 2, RELIABLE, &[9; 20]).expect("there is room");
        }
        world.run(ms(5));
        for message in world.receive(b, 2) {
            delays.push(message.received.saturating_since(sent[delays.len()]));
        }
        if world.now() > end && delays.len() == sent.len() {
            break;
        }
        assert!(world.now() < end + secs(10), "{} of {} arrived", delays.len(), sent.len());
    }
    assert!(bulk.received > 10, "bulk flows as well");
    delays
}

/// Of 100 small messages 99 take at most so long, with 5 % loss, whatever the seed.
fn assert_p99(rtt: Duration, rate: u64, limit: Duration) {
    for seed in crate::seeds(2) {
        let mut delays = delays_beside_bulk(seed, rtt, rate, 5.0, secs(60));
        delays.sort_unstable();
        let p99 = delays[delays.len() * 99 / 100];
        assert!(p99 <= limit, "seed {seed}, round trip {rtt:?}, {rate} bytes a second: {p99:?} is over {limit:?}");
    }
}

#[test]
fn small_messages_beside_bulk_and_loss_take_two_round_trips_and_50_ms_at_most_in_99_of_100() {
    for rtt in [20, 50, 100].map(ms) {
        for rate in [512 << 10, 1 << 20] {
            assert_p99(rtt, rate, rtt * 2 + ms(50));
        }
    }
}

#[test]
fn on_a_thin_link_they_take_the_time_of_twelve_packets_more() {
    // A loss shows when three packets have followed; up to four wait in front of the message, and of its repeat.
    for rtt in [20, 50, 100].map(ms) {
        for rate in [128 << 10, 256 << 10] {
            assert_p99(rtt, rate, rtt * 2 + ms(50) + Duration::from_micros(12 * 1_200 * 1_000_000 / rate));
        }
    }
}

#[test]
fn a_small_message_overtakes_400_kilobytes_within_200_ms_and_a_round_trip() {
    for rtt in [20, 50, 100].map(ms) {
        for rate in [128 << 10, 256 << 10, 1 << 20, 0] {
            for (seed, loss) in [(1, 0.0), (2, 0.0), (3, 5.0), (4, 5.0)] {
                let mut world = World::new(seed);
                world.weather = Direction { loss, rate, rate_burst: 3_000, lag: rtt / 2, ..Direction::default() };
                let (a, b) = world.connected_pair();
                world.send(a, b, 1, RELIABLE, &vec![7; 400_000]).expect("room for it");
                world.send(a, b, 2, RELIABLE, b"ten bytes!").expect("room for it");
                let mut small = Vec::new();
                world.wait("the small one arrives", rtt + ms(200), |w| {
                    small.extend(w.receive(b, 2));
                    !small.is_empty()
                });
                assert!(world.receive(b, 1).is_empty(), "the big one is still on its way");
            }
        }
    }
}
