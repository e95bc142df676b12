//! The main law: whatever the link does, every reliable message arrives once, whole and in order.

use crate::app::{ms, secs};
use crate::sim::{LAG, World};
use crate::traffic::{Sizes, both_ways, carry, turn};
use steamnetmsg::endpoint::faults::Direction;
use steamnetmsg::settings::Settings;
use steamnetmsg::time::Duration;

const CHANNELS: [i32; 8] = [0, 1, 2, 7, -7, 1_000_000, i32::MAX, i32::MIN];

fn storm() -> Direction {
    Direction {
        loss: 20.0,
        dup: 5.0,
        reorder: 10.0,
        jitter_avg: ms(5),
        jitter_max: ms(40),
        lag: LAG,
        ..Direction::default()
    }
}

fn carry_through_a_storm(seed: u64, count: u64) {
    let mut world = World::new(seed);
    world.weather = storm();
    let (a, b) = world.connected_pair();
    let mut flows = both_ways(&world, a, b, &CHANNELS, count, Sizes::Mixed);
    let defaults = Settings::default();
    // What may be between two apps: a full send buffer, all the receiver has granted, and one message.
    let most = u64::from(defaults.send_buffer_size + defaults.recv_buffer_size) + 100 * 1024;
    let limit = world.now() + secs(120) + Duration::from_millis(200) * u32::try_from(count).expect("a sane count");
    while !flows.iter().all(|flow| flow.is_done()) {
        turn(&mut world, &mut flows);
        world.run(ms(5));
        for (here, there) in [(a, b), (b, a)] {
            let between: u64 = flows.iter().filter(|flow| flow.from == here).map(|flow| flow.under_way).sum();
            assert!(between <= most, "{between} bytes are kept somewhere between the apps");
            assert!(world.machine(here).mailbox().waiting() <= defaults.recv_buffer_messages as usize);
            let status = world.status(here, there);
            assert!((status.pending_reliable + status.send_unacknowledged_reliable) as u64 <= most, "{status:?}");
        }
        let state: Vec<_> = flows.iter().map(|flow| (flow.channel, flow.sent, flow.received)).collect();
        assert!(world.now() < limit, "too slow: (channel, sent, received) {state:?} of {count}");
    }
    for (here, there) in [(a, b), (b, a)] {
        world.wait("all is acknowledged", secs(10), |w| {
            let status = w.status(here, there);
            status.pending_reliable + status.send_unacknowledged_reliable == 0
        });
        world.assert_no_events(here);
        assert_eq!(world.machine(here).mailbox().waiting(), 0);
    }
}

#[test]
fn every_reliable_message_arrives_once_and_in_order_through_a_storm() {
    let count = crate::number_from("SNM_WORLD_MESSAGES").unwrap_or(10_000);
    for seed in crate::seeds(20) {
        carry_through_a_storm(seed, count);
    }
}

#[test]
fn every_reliable_message_arrives_through_bursts_of_loss() {
    for seed in crate::seeds(5) {
        let mut world = World::new(seed);
        world.weather = Direction { loss: 15.0, burst: 6.0, lag: LAG, ..Direction::default() };
        let (a, b) = world.connected_pair();
        let mut flows = both_ways(&world, a, b, &[3, 4], 300, Sizes::Mixed);
        carry(&mut world, &mut flows, secs(120));
    }
}

#[test]
fn every_reliable_message_arrives_through_a_narrow_link_with_a_short_queue() {
    for seed in crate::seeds(5) {
        let mut world = World::new(seed);
        world.weather = Direction { rate: 128 * 1024, rate_burst: 3_000, loss: 2.0, lag: LAG, ..Direction::default() };
        let (a, b) = world.connected_pair();
        let mut flows = both_ways(&world, a, b, &[3, 4], 300, Sizes::Mixed);
        carry(&mut world, &mut flows, secs(60));
    }
}

#[test]
fn every_reliable_message_arrives_although_one_in_ten_datagrams_is_damaged() {
    for seed in crate::seeds(5) {
        let mut world = World::new(seed);
        world.damage = 10.0;
        let (a, b) = world.connected_pair();
        let mut flows = both_ways(&world, a, b, &[3, 4], 300, Sizes::Mixed);
        carry(&mut world, &mut flows, secs(120));
        world.assert_no_events(a);
        world.assert_no_events(b);
    }
}

#[test]
fn a_link_dead_for_eight_seconds_is_outlived() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    let mut flows = both_ways(&world, a, b, &[3, 4], 2_000, Sizes::Mixed);
    for _ in 0..100 {
        turn(&mut world, &mut flows);
        world.run(ms(5));
    }
    world.cut(a, b);
    world.run(secs(8));
    world.heal(a, b);
    carry(&mut world, &mut flows, secs(120));
    world.assert_no_events(a);
    world.assert_no_events(b);
}

#[test]
fn all_messages_of_all_sizes_up_to_the_largest_arrive_whole() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    for size in [0, 1, 2, 63, 64, 255, 256, 1_000, 1_150, 1_200, 1_201, 1_500, 16_383, 16_384, 65_536, 524_287, 524_288]
    {
        let bytes: Vec<u8> = (0..size).map(|n: usize| (n % 251) as u8).collect();
        world.send(a, b, 5, crate::app::RELIABLE, &bytes).expect("the queue is empty");
        let mut got = Vec::new();
        world.wait("it arrives", secs(60), |w| {
            got.extend(w.receive(b, 5));
            !got.is_empty()
        });
        assert!(got.len() == 1 && *got[0].payload == *bytes, "{size} bytes");
        world.run(ms(200));
    }
}

#[test]
fn two_who_send_to_a_third_on_one_channel_are_kept_apart() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    let c = world.add(1_003);
    world.introduce(c, b);
    world.connect(c, b);
    let mut flows = [a, c].map(|from| crate::traffic::Flow::new(&world, from, b, 9, 500, Sizes::UpTo(2_000)));
    let end = world.now() + secs(60);
    while !flows.iter().all(|flow| flow.is_done()) {
        for flow in &mut flows {
            while flow.send_next(&mut world) {}
        }
        for message in world.receive(b, 9) {
            let flow = usize::from(message.from == world.id(c));
            flows[flow].check(&world, &message);
        }
        world.run(ms(5));
        assert!(world.now() < end);
    }
}
