//! Two who speak to each other at the same time meet in one session.

use crate::app::{CONNECTED, ms, secs};
use crate::sim::World;
use crate::traffic::{Sizes, both_ways, carry};
use steamnetmsg::endpoint::faults::Direction;
use steamnetmsg::time::Duration;

/// Both send; the second one so much later. Neither accepts anything.
fn meet(seed: u64, weather: Direction, later: Duration) {
    let mut world = World::new(seed);
    world.weather = weather;
    let (a, b) = world.pair();
    let (first, second) = if seed.is_multiple_of(2) { (a, b) } else { (b, a) };
    let mut flows = both_ways(&world, first, second, &[1, -1], 20, Sizes::UpTo(500));
    flows.iter_mut().filter(|flow| flow.from == first).for_each(|flow| assert!(flow.send_next(&mut world)));
    world.run(later);
    flows.iter_mut().filter(|flow| flow.from == second).for_each(|flow| assert!(flow.send_next(&mut world)));
    carry(&mut world, &mut flows, secs(30));
    world.wait("both are connected", secs(5), |w| (w.state(a, b), w.state(b, a)) == (CONNECTED, CONNECTED));
    // And stay so: no remains of the other attempt break it.
    world.run(secs(25));
    assert_eq!((world.state(a, b), world.state(b, a)), (CONNECTED, CONNECTED));
    world.assert_no_events(a);
    world.assert_no_events(b);
    let mut more = both_ways(&world, a, b, &[5], 20, Sizes::UpTo(500));
    carry(&mut world, &mut more, secs(20));
}

#[test]
fn two_who_begin_at_the_same_instant_meet() {
    for seed in crate::seeds(20) {
        meet(seed, Direction { lag: ms(25), ..Direction::default() }, Duration::ZERO);
    }
}

#[test]
fn two_who_begin_while_the_others_request_is_under_way_meet() {
    for seed in crate::seeds(40) {
        let lag = ms(1 + seed * 37 % 150);
        // Less than the lag: the second cannot have heard of the first.
        let later = lag.mul_f64((seed * 7 % 10) as f64 / 10.0);
        meet(seed, Direction { lag, ..Direction::default() }, later);
    }
}

#[test]
fn two_meet_through_loss_and_reordering() {
    for seed in crate::seeds(40) {
        let lag = ms(5 + seed * 13 % 100);
        let weather = Direction {
            lag,
            loss: (seed % 4) as f32 * 7.0,
            dup: 5.0,
            reorder: 20.0,
            reorder_time: lag,
            jitter_avg: ms(10),
            ..Direction::default()
        };
        meet(seed, weather, lag.mul_f64((seed * 3 % 10) as f64 / 10.0));
    }
}

#[test]
fn two_meet_when_the_way_in_one_direction_is_much_longer() {
    for seed in crate::seeds(10) {
        let mut world = World::new(seed);
        let (a, b) = world.pair();
        world.set_link(a, b, Direction { lag: ms(400), ..Direction::default() });
        world.set_link(b, a, Direction { lag: ms(3), ..Direction::default() });
        let mut flows = both_ways(&world, a, b, &[1], 30, Sizes::UpTo(500));
        carry(&mut world, &mut flows, secs(20));
        world.run(secs(15));
        world.assert_no_events(a);
        world.assert_no_events(b);
        assert_eq!((world.state(a, b), world.state(b, a)), (CONNECTED, CONNECTED));
    }
}

#[test]
fn four_who_all_speak_to_all_form_a_full_mesh() {
    for seed in crate::seeds(5) {
        let mut world = World::new(seed);
        world.weather.loss = 5.0;
        let nodes: Vec<_> = (0..4).map(|n| world.add(2_000 + n)).collect();
        let mut flows = Vec::new();
        for (n, &a) in nodes.iter().enumerate() {
            for (m, &b) in nodes.iter().enumerate().skip(n + 1) {
                world.introduce(a, b);
                // A channel of its own for each pair, so that flows do not mix.
                flows.extend(both_ways(&world, a, b, &[(n * 4 + m) as i32], 50, Sizes::Mixed));
            }
        }
        carry(&mut world, &mut flows, secs(60));
        nodes.iter().for_each(|node| world.assert_no_events(*node));
    }
}
