//! Sessions nobody uses end by agreement; used ones never do.

use crate::app::{CONNECTED, NONE, RELIABLE, UNRELIABLE, ms, secs};
use crate::sim::World;
use steamnetmsg::time::Duration;

#[test]
fn an_unused_session_ends_on_both_sides_without_a_word_to_anyone() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    world.run(secs(170));
    assert_eq!((world.state(a, b), world.state(b, a)), (CONNECTED, CONNECTED));
    world.run(secs(30));
    assert_eq!((world.state(a, b), world.state(b, a)), (NONE, NONE));
    world.assert_no_events(a);
    world.assert_no_events(b);
    world.send(a, b, 0, RELIABLE, b"again").expect("a new session");
    world.wait("it asks anew", secs(2), |w| !w.requests(b, a).is_empty());
}

#[test]
fn traffic_in_one_direction_keeps_a_session() {
    for flags in [RELIABLE, UNRELIABLE] {
        let mut world = World::new(1);
        let (a, b) = world.connected_pair();
        for n in 0..12u8 {
            world.send(a, b, 1, flags, &[n]).expect("room");
            world.run(secs(20));
        }
        world.run(secs(100));
        assert_eq!((world.state(a, b), world.state(b, a)), (CONNECTED, CONNECTED));
        assert_eq!(world.receive(b, 1).len(), 12);
        world.assert_no_events(a);
        world.assert_no_events(b);
    }
}

#[test]
fn reading_keeps_a_session() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    for n in 0..4u8 {
        world.send(a, b, 1, RELIABLE, &[n]).expect("room");
    }
    for _ in 0..4 {
        world.run(secs(120));
        assert_eq!(world.receive_some(b, 1, 1).len(), 1);
    }
    world.run(secs(120));
    assert_eq!((world.state(a, b), world.state(b, a)), (CONNECTED, CONNECTED));
    world.run(secs(90));
    assert_eq!((world.state(a, b), world.state(b, a)), (NONE, NONE));
}

#[test]
fn asking_for_news_does_not_keep_a_session() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    for _ in 0..20 {
        world.run(secs(10));
        world.state(a, b);
        assert!(world.receive(b, 0).is_empty());
    }
    assert_eq!((world.state(a, b), world.state(b, a)), (NONE, NONE));
}

#[test]
fn unread_messages_outlive_the_end_by_agreement() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    world.send(a, b, 1, RELIABLE, b"keep me").expect("room");
    world.run(secs(200));
    assert_eq!((world.state(a, b), world.state(b, a)), (NONE, NONE));
    assert_eq!(world.receive(b, 1).len(), 1);
}

#[test]
fn no_message_falls_into_the_gap_when_idle_sessions_end() {
    for seed in crate::seeds(60) {
        let mut world = World::new(seed);
        world.weather.loss = (seed % 3) as f32 * 10.0;
        let (a, b) = world.connected_pair();
        world.accept_all(b);
        // Somewhere about the instant at which one side proposes the end.
        world.run(ms(178_500) + ms(40) * u32::try_from(seed).expect("few seeds"));
        world.send(a, b, 1, RELIABLE, b"just in time").expect("either the old session or a new one takes it");
        let arrived = world.run_until(secs(8), |w| w.receive(b, 1).iter().any(|m| &*m.payload == b"just in time"));
        assert!(arrived, "seed {seed}: it was lost without a word");
        assert!(world.failures(a, b).is_empty() && world.failures(b, a).is_empty());
    }
}

#[test]
fn signs_of_life_of_an_idle_session_cost_next_to_nothing() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    world.run(secs(20));
    world.listen();
    let span = secs(100);
    world.run(span);
    let overheard = world.take_overheard();
    for node in [a, b] {
        let sent: usize = overheard.iter().filter(|datagram| datagram.from == node).map(|d| d.bytes.len()).sum();
        let rate = sent as f64 / span.as_secs_f64();
        assert!(rate <= 20.0, "{rate} bytes a second");
    }
    assert_eq!((world.state(a, b), world.state(b, a)), (CONNECTED, CONNECTED));
}

#[test]
fn the_idle_time_is_a_setting() {
    let mut world = World::new(1);
    let short = |config: &mut steamnetmsg::endpoint::config::Config| {
        config.settings.session_idle_timeout = Duration::from_secs(30);
    };
    let (a, b) = (world.add_with(1_001, short), world.add_with(1_002, short));
    world.introduce(a, b);
    world.connect(a, b);
    world.run(secs(25));
    assert_eq!((world.state(a, b), world.state(b, a)), (CONNECTED, CONNECTED));
    world.run(secs(15));
    assert_eq!((world.state(a, b), world.state(b, a)), (NONE, NONE));
}
