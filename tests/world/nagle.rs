//! Small messages wait a little for company, and not at all when told so.

use crate::app::{RELIABLE, ms, secs};
use crate::sim::{LAG, Node, World};
use steamnetmsg::endpoint::flags::NO_NAGLE;
use steamnetmsg::time::{Duration, Instant};

/// Ten messages of 20 bytes within a millisecond, the last one with its own flags; returns when the
/// first was sent and the times at which data left in the 7 ms after.
fn ten_small_ones(world: &mut World, a: Node, b: Node, last: i32) -> (Instant, Vec<Instant>) {
    world.listen();
    let start = world.now();
    for n in 0..10u8 {
        world.send(a, b, 4, if n == 9 { last } else { RELIABLE }, &[n; 20]).expect("room");
        world.run(if n == 9 { Duration::ZERO } else { Duration::from_micros(100) });
    }
    world.run(ms(7));
    let left = world
        .take_overheard()
        .into_iter()
        .filter(|datagram| datagram.from == a && (200..600).contains(&datagram.bytes.len()));
    (start, left.map(|datagram| datagram.at).collect())
}

fn check_arrival(world: &mut World, b: Node) {
    world.run(LAG * 2);
    let messages = world.receive(b, 4);
    let numbers: Vec<u8> = messages.iter().map(|message| message.payload[0]).collect();
    assert_eq!(numbers, (0..10).collect::<Vec<_>>());
    assert!(messages.iter().all(|message| message.payload.len() == 20));
    assert!(messages.iter().all(|message| message.received == messages[0].received), "one packet brought them all");
}

#[test]
fn small_messages_leave_together_within_the_nagle_time() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    world.run(secs(3));
    let (start, left) = ten_small_ones(&mut world, a, b, RELIABLE);
    assert_eq!(left.len(), 1, "one datagram carries all ten");
    let waited = left[0].saturating_since(start);
    assert!(waited <= ms(5), "{waited:?}");
    assert!(waited >= ms(1), "it waited for company: {waited:?}");
    check_arrival(&mut world, b);
}

#[test]
fn one_message_without_nagle_takes_all_the_waiting_ones_with_it_at_once() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    world.run(secs(3));
    let (start, left) = ten_small_ones(&mut world, a, b, RELIABLE | NO_NAGLE);
    assert_eq!(left, [start + Duration::from_micros(900)]);
    check_arrival(&mut world, b);
}

#[test]
fn a_flush_sends_what_waits_at_once() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    world.run(secs(3));
    let start = world.now();
    world.send(a, b, 4, RELIABLE, b"alone").expect("room");
    let (now, id) = (world.now(), world.id(b));
    assert!(world.machine(a).flush(now, id));
    world.run(ms(100));
    let messages = world.receive(b, 4);
    assert_eq!(messages[0].received, start + LAG);
    let stranger = steamnetmsg::ids::SteamId(77);
    assert!(!world.machine(a).flush(now, stranger), "no session, nothing to flush");
}

#[test]
fn a_full_packet_does_not_wait_for_company() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    world.run(secs(3));
    let start = world.now();
    world.send(a, b, 4, RELIABLE, &[1; 5_000]).expect("room");
    world.listen();
    world.run(ms(1));
    let left = world.take_overheard();
    assert!(left.iter().any(|datagram| datagram.from == a && datagram.at == start), "its first packet leaves at once");
}
