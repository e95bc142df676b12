//! Closing that delivers first (CLOSE_FLUSH), and closing that does not.

use crate::app::{CONNECTED, NONE, RELIABLE, ms, secs};
use crate::sim::{LAG, Node, World};
use crate::traffic::{Flow, Sizes};
use steamnetmsg::endpoint::config::Config;
use steamnetmsg::endpoint::faults::Direction;
use steamnetmsg::time::Duration;

/// A connected pair of which the first one flushes for so long when it closes.
fn flushing_pair(seed: u64, flush: Duration, weather: Direction) -> (World, Node, Node) {
    let mut world = World::new(seed);
    world.weather = weather;
    let (a, b) = (world.add_with(1_001, |config: &mut Config| config.settings.close_flush = flush), world.add(1_002));
    world.introduce(a, b);
    world.connect(a, b);
    (world, a, b)
}

fn narrow(loss: f32) -> Direction {
    Direction { rate: 256 << 10, rate_burst: 3_000, loss, lag: LAG, ..Direction::default() }
}

#[test]
fn what_was_queued_is_delivered_within_the_flush_and_then_the_session_ends_in_silence() {
    for seed in crate::seeds(6) {
        let (mut world, a, b) = flushing_pair(seed, secs(5), narrow((seed % 3) as f32 * 5.0));
        let mut flow = Flow::new(&world, a, b, 1, 100, Sizes::UpTo(8_000));
        while flow.send_next(&mut world) {}
        let start = world.now();
        assert!(world.close(a, b) && !world.close(a, b), "for the app it is over at once");
        assert_eq!(world.state(a, b), NONE);
        while world.state(b, a) == CONNECTED {
            world.run(ms(5));
            flow.receive(&mut world);
            assert!(world.now().saturating_since(start) <= secs(5) + LAG * 4, "{} of 100 arrived", flow.received);
        }
        flow.receive(&mut world);
        assert!(flow.is_done(), "{} of 100 arrived", flow.received);
        assert_eq!(world.state(b, a), NONE);
        world.run(secs(15));
        world.assert_no_events(a);
        world.assert_no_events(b);
    }
}

#[test]
fn a_flush_that_takes_too_long_ends_all_the_same() {
    let (mut world, a, b) = flushing_pair(1, secs(5), narrow(0.0));
    // Half of the receive buffer is all that goes to one who does not read.
    for _ in 0..10 {
        world.send(a, b, 1, RELIABLE, &[7; 50_000]).expect("room");
    }
    for _ in 0..10 {
        world.run(secs(1));
        let _ = world.send(a, b, 1, RELIABLE, &[7; 50_000]);
    }
    let start = world.now();
    assert!(world.close(a, b));
    world.wait("the peer is told", secs(5) + LAG * 4, |w| w.state(b, a) != CONNECTED);
    let after = world.now().saturating_since(start);
    assert!(after >= ms(4_900), "it tried for {after:?}");
    let heard = world.receive(b, 1);
    assert!((10..20).contains(&heard.len()), "{} arrived", heard.len());
    assert!(heard.iter().all(|message| message.payload.len() == 50_000), "whole ones only");
    world.assert_no_events(a);
    world.run(secs(10));
    world.listen();
    world.run(secs(300));
    assert!(world.take_overheard().is_empty(), "nothing lingers");
}

#[test]
fn a_flush_to_a_dead_peer_is_nobodys_failure() {
    let (mut world, a, b) = flushing_pair(1, secs(5), narrow(0.0));
    world.kill(b);
    world.send(a, b, 1, RELIABLE, b"last words").expect("room");
    assert!(world.close(a, b));
    world.run(secs(60));
    world.assert_no_events(a);
    assert_eq!(world.state(a, b), NONE);
}

#[test]
fn without_the_setting_a_close_drops_what_was_queued() {
    let (mut world, a, b) = flushing_pair(1, Duration::ZERO, narrow(0.0));
    for n in 0..100u8 {
        world.send(a, b, 1, RELIABLE, &[n; 4_000]).expect("room");
    }
    assert!(world.close(a, b));
    world.wait("the peer knows", LAG * 2 + ms(5), |w| w.state(b, a) == NONE);
    world.run(secs(5));
    assert!(world.receive(b, 1).len() < 50, "it did not wait for them");
    world.assert_no_events(b);
}
