//! Every promise with a time in it, with the default settings and its real time, over seeds and loss.
//!
//! Each test is a row: what happens, and by when. A timer may be a tenth, or half a second, off.

use crate::app::{
    CLOSED_BY_PEER, CONNECTED, END_CLOSED, END_TIMEOUT, NONE, PROBLEM_LOCALLY, RELIABLE, UNRELIABLE, ms, secs,
};
use crate::sim::{Node, World};
use crate::traffic::{Flow, Sizes};
use steamnetmsg::endpoint::SendError;
use steamnetmsg::endpoint::faults::Direction;
use steamnetmsg::endpoint::flags::AUTO_RESTART;
use steamnetmsg::time::{Duration, Instant};

/// Runs a row in several worlds, half of them with 5 % loss.
fn each(row: impl Fn(World)) {
    for seed in crate::seeds(4) {
        for loss in [0.0, 5.0] {
            let mut world = World::new(seed);
            world.weather.loss = loss;
            row(world);
        }
    }
}

/// The first of two has asked the second, which was told within two seconds.
fn ask(world: &mut World) -> (Node, Node, Instant) {
    let (a, b) = world.pair();
    let start = world.now();
    world.send(a, b, 0, RELIABLE, b"x").expect("queued");
    world.wait("the request is announced", secs(2), |w| w.requests(b, a).len() == 1);
    (a, b, start)
}

/// The second of a connected pair holds unacknowledged data for the first, which has died.
fn bereave(world: &mut World) -> (Node, Node, Instant) {
    let (a, b) = world.connected_pair();
    world.kill(a);
    world.send(b, a, 0, RELIABLE, b"are you there").expect("room");
    (a, b, world.now())
}

fn failure_between(world: &mut World, at: Node, peer: Node, start: Instant, span: [Duration; 2]) -> (i32, i32) {
    let failures = world.failures(at, peer);
    assert_eq!(failures.len(), 1, "told once");
    let (when, state, reason) = failures[0];
    let after = when.saturating_since(start);
    assert!((span[0]..=span[1]).contains(&after), "told after {after:?}");
    let info = world.info(at, peer);
    assert_eq!((info.state, info.end_reason), (state, reason), "and the info says the same");
    (state, reason)
}

fn gaps(told: &[Instant]) -> Vec<Duration> {
    told.windows(2).map(|pair| pair[1].saturating_since(pair[0])).collect()
}

#[test]
fn an_accepted_message_arrives_within_five_seconds() {
    each(|mut world| {
        let (a, b, start) = ask(&mut world);
        assert!(world.accept(b, a));
        world.wait("it arrives", secs(5), |w| w.receive(b, 0).len() == 1);
        assert_eq!(world.requests(b, a).len(), 1);
        assert!(world.now().saturating_since(start) <= secs(5));
        world.assert_no_events(a);
    });
}

#[test]
fn who_keeps_asking_is_announced_every_six_seconds_at_most_and_once_a_second_at_most() {
    each(|mut world| {
        let (a, b) = world.pair();
        let start = world.now();
        for _ in 0..10 {
            world.send(a, b, 0, RELIABLE, b"x").expect("the request lives");
            world.run(secs(1));
        }
        let told = world.requests(b, a);
        assert!(told[0].saturating_since(start) <= secs(2), "{told:?}");
        assert!(world.now().saturating_since(told[told.len() - 1]) <= secs(6), "{told:?}");
        assert!(gaps(&told).iter().all(|gap| (secs(1)..=secs(6)).contains(gap)), "{told:?}");
    });
}

#[test]
fn who_starts_over_whenever_its_request_fails_is_announced_as_often() {
    each(|mut world| {
        let (a, b) = world.pair();
        let mut told = Vec::new();
        for _ in 0..60 {
            world.send(a, b, 0, RELIABLE | AUTO_RESTART, b"x").expect("it starts over");
            world.run(secs(1));
            told = world.requests(b, a);
        }
        assert!(gaps(&told).iter().all(|gap| (secs(1)..=secs(6)).contains(gap)), "{told:?}");
        assert!((10..=20).contains(&told.len()), "{} times in a minute", told.len());
        assert!(world.failures(b, a).is_empty(), "who ignores is not bothered");
    });
}

#[test]
fn a_restless_requester_is_announced_once_a_second_at_most() {
    for seed in crate::seeds(4) {
        let mut world = World::new(seed);
        let (a, b) = world.pair();
        for _ in 0..40 {
            world.send(a, b, 0, RELIABLE, b"x").expect("a new session each time");
            world.run(ms(150));
            // It dies and comes back: nobody takes the request back.
            world.kill(a);
            world.start(a);
            world.introduce(a, b);
        }
        let told = world.requests(b, a);
        assert!(told.len() >= 3, "{told:?}");
        assert!(gaps(&told).iter().all(|gap| *gap >= secs(1)), "{told:?}");
        world.send(a, b, 0, RELIABLE, b"last").expect("a new session");
        world.run(ms(200));
        assert!(world.accept(b, a));
        world.wait("the newest is the one that counts", secs(2), |w| {
            w.receive(b, 0).iter().any(|message| &*message.payload == b"last")
        });
    }
}

#[test]
fn a_rejection_is_told_within_two_seconds() {
    each(|mut world| {
        let (a, b, _) = ask(&mut world);
        let start = world.now();
        assert!(world.close(b, a));
        assert_eq!(world.state(b, a), NONE);
        world.run(secs(3));
        let told = failure_between(&mut world, a, b, start, [Duration::ZERO, secs(2)]);
        assert_eq!(told, (CLOSED_BY_PEER, END_CLOSED));
    });
}

#[test]
fn an_ignored_request_fails_after_ten_seconds_and_is_gone_after_fifteen_where_nobody_is_bothered() {
    each(|mut world| {
        let (a, b, start) = ask(&mut world);
        world.run(secs(13));
        let told = failure_between(&mut world, a, b, start, [secs(9), secs(11)]);
        assert_eq!(told, (PROBLEM_LOCALLY, END_TIMEOUT));
        let rest = (start + secs(15)).saturating_since(world.now());
        world.run(rest);
        assert_eq!(world.state(b, a), NONE);
        assert!(!world.accept(b, a));
        assert!(world.failures(b, a).is_empty());
        // And so it stays, until 180 s after the failure.
        assert_eq!(world.send(a, b, 0, RELIABLE, b"y"), Err(SendError::NoConnection));
        world.run(secs(160));
        assert_eq!(world.state(a, b), PROBLEM_LOCALLY);
        world.run(secs(25));
        assert_eq!(world.state(a, b), NONE);
        world.send(a, b, 0, RELIABLE, b"y").expect("a new attempt");
        world.wait("it asks anew", secs(2), |w| w.requests(b, a).len() >= 2);
    });
}

#[test]
fn a_cancelled_request_is_gone_within_two_seconds() {
    each(|mut world| {
        let (a, b, _) = ask(&mut world);
        assert!(world.close(a, b));
        world.wait("it is gone", secs(2), |w| w.state(b, a) == NONE);
        assert!(!world.accept(b, a));
        world.run(secs(20));
        assert!(world.failures(b, a).is_empty() && world.failures(a, b).is_empty());
    });
}

#[test]
fn five_hundred_reliable_messages_take_a_minute_at_most_when_a_fifth_is_lost() {
    for seed in crate::seeds(4) {
        let mut world = World::new(seed);
        world.weather.loss = 20.0;
        let (a, b) = world.connected_pair();
        let mut flow = Flow::new(&world, a, b, 5, 500, Sizes::UpTo(1_200));
        crate::traffic::carry(&mut world, std::slice::from_mut(&mut flow), secs(60));
    }
}

#[test]
fn of_five_hundred_unreliable_messages_at_fifty_a_second_four_fifths_arrive_when_a_fifth_is_lost() {
    for seed in crate::seeds(8) {
        let mut world = World::new(seed);
        world.weather.loss = 20.0;
        let (a, b) = world.connected_pair();
        let mut numbers = Vec::new();
        for n in 0..500u32 {
            let bytes: Vec<u8> = n.to_le_bytes().into_iter().cycle().take(100).collect();
            world.send(a, b, 5, UNRELIABLE, &bytes).expect("room");
            world.run(ms(20));
            for message in world.receive(b, 5) {
                let (number, rest) = message.payload.split_first_chunk::<4>().expect("four bytes");
                assert!(message.payload.len() == 100 && rest.chunks(4).all(|four| four == number), "damaged");
                numbers.push(u32::from_le_bytes(*number));
            }
        }
        world.run(secs(1));
        let arrived = numbers.len() + world.receive(b, 5).len();
        assert!((300..=475).contains(&arrived), "{arrived} of 500 arrived");
        numbers.sort_unstable();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "none comes twice");
    }
}

#[test]
fn after_the_last_channel_was_closed_the_second_send_at_the_latest_asks_anew() {
    each(|mut world| {
        let (a, b) = world.connected_pair();
        for channel in [1, 2] {
            world.send(a, b, channel, RELIABLE, b"x").expect("room");
        }
        world.run(secs(1));
        assert!(world.close_channel(b, a, crate::app::GREETING) && world.close_channel(b, a, 1));
        assert_eq!((world.receive(b, 1).len(), world.receive(b, 2).len()), (0, 1));
        assert_eq!(world.state(b, a), CONNECTED);
        assert!(world.close_channel(b, a, 2));
        assert_eq!(world.state(b, a), NONE);
        world.wait("the peer notices", secs(2), |w| w.state(a, b) == NONE);
        let mut sends = 0;
        while world.requests(b, a).is_empty() {
            sends += 1;
            assert!(sends <= 2, "two sends, and no request");
            world.send(a, b, 1, RELIABLE, b"again").expect("nothing was lost with the old session");
            world.run(secs(2));
        }
        world.assert_no_events(a);
    });
}

#[test]
fn after_the_peer_closed_the_third_send_at_the_latest_asks_anew_and_nobody_is_told_for_fifteen_seconds() {
    each(|mut world| {
        let (a, b) = world.connected_pair();
        assert!(world.close(b, a) && !world.close(b, a));
        assert_eq!(world.state(b, a), NONE);
        world.run(secs(15));
        world.assert_no_events(a);
        world.assert_no_events(b);
        for _ in 0..3 {
            world.send(a, b, 0, RELIABLE, b"again").expect("a new session");
            world.run(secs(1));
        }
        assert_eq!(world.requests(b, a).len(), 1);
        world.assert_no_events(a);
    });
}

#[test]
fn who_sends_on_every_second_through_the_peers_close_asks_anew_by_the_third_time() {
    each(|mut world| {
        let (a, b) = world.connected_pair();
        assert!(world.close(b, a));
        let mut refused = 0;
        for _ in 0..3 {
            // The first may cross the news, and then the next is told once what was lost.
            refused += usize::from(world.send(a, b, 0, RELIABLE, b"on").is_err());
            world.run(secs(1));
        }
        assert!(refused <= 1, "{refused} sends were refused");
        assert!(!world.requests(b, a).is_empty());
        world.assert_no_events(a);
    });
}

#[test]
fn a_dead_peer_is_told_after_ten_to_twelve_seconds_and_forgotten_after_three_minutes() {
    each(|mut world| {
        let (a, b, start) = bereave(&mut world);
        world.run(secs(13));
        let told = failure_between(&mut world, b, a, start, [ms(9_500), secs(12)]);
        assert_eq!(told, (PROBLEM_LOCALLY, END_TIMEOUT));
        assert!(!world.info(b, a).end_debug.is_empty());
        for _ in 0..3 {
            assert_eq!(world.send(b, a, 0, RELIABLE, b"plain"), Err(SendError::NoConnection));
            assert_eq!(world.send(b, a, 0, UNRELIABLE, b"plain"), Err(SendError::NoConnection));
            world.run(secs(50));
        }
        assert_eq!(world.state(b, a), PROBLEM_LOCALLY);
        world.run(secs(50));
        assert_eq!(world.state(b, a), NONE);
        world.send(b, a, 0, RELIABLE, b"plain").expect("a new attempt");
        assert_eq!(world.failures(b, a).len(), 1, "and nothing was told twice");
    });
}

#[test]
fn a_dead_peer_of_whom_nothing_is_wanted_is_noticed_as_soon() {
    each(|mut world| {
        let (a, b) = world.connected_pair();
        world.run(secs(7));
        world.kill(a);
        let start = world.now();
        world.run(secs(17));
        let told = failure_between(&mut world, b, a, start, [secs(5), secs(16)]);
        assert_eq!(told, (PROBLEM_LOCALLY, END_TIMEOUT));
    });
}

#[test]
fn after_200_unused_seconds_a_session_is_gone_and_at_170_it_was_there() {
    each(|mut world| {
        let (a, b) = world.connected_pair();
        world.run(secs(170));
        assert_eq!((world.state(a, b), world.state(b, a)), (CONNECTED, CONNECTED));
        world.run(secs(30));
        assert_eq!((world.state(a, b), world.state(b, a)), (NONE, NONE));
        world.assert_no_events(a);
        world.assert_no_events(b);
        world.send(b, a, 0, RELIABLE, b"x").expect("a new session");
        world.wait("it asks", secs(2), |w| w.requests(a, b).len() == 1);
    });
}

#[test]
fn one_who_only_receives_for_240_seconds_stays_connected() {
    each(|mut world| {
        let (a, b) = world.connected_pair();
        for n in 0..12u8 {
            world.send(a, b, 1, RELIABLE, &[n]).expect("room");
            world.run(secs(20));
        }
        assert_eq!((world.state(a, b), world.state(b, a)), (CONNECTED, CONNECTED));
        let heard: Vec<u8> = world.receive(b, 1).iter().map(|message| message.payload[0]).collect();
        assert_eq!(heard, (0..12).collect::<Vec<_>>());
        world.assert_no_events(a);
        world.assert_no_events(b);
    });
}

#[test]
fn after_twelve_seconds_the_info_tells_what_the_link_is_like() {
    for seed in crate::seeds(4) {
        let mut world = World::new(seed);
        world.weather = Direction { lag: ms(50), ..Direction::default() };
        let (a, b) = world.connected_pair();
        for _ in 0..600 {
            world.send(a, b, 1, UNRELIABLE, &[1; 100]).expect("room");
            world.send(b, a, 1, RELIABLE, &[2; 100]).expect("room");
            world.run(ms(20));
        }
        for (here, there) in [(a, b), (b, a)] {
            let status = world.status(here, there);
            assert_eq!(world.state(here, there), CONNECTED);
            assert!((95..=115).contains(&status.ping), "{status:?}");
            for quality in [status.local_quality, status.remote_quality] {
                assert!(quality >= 0.99 || quality == -1.0, "{status:?}");
            }
            let rates = [status.packets_out_per_second, status.packets_in_per_second];
            assert!(rates.iter().all(|rate| (25.0..=250.0).contains(rate)), "{status:?}");
            let rates = [status.bytes_out_per_second, status.bytes_in_per_second];
            assert!(rates.iter().all(|rate| (5_000.0..=40_000.0).contains(rate)), "{status:?}");
            assert!(status.send_rate > 0 && status.queue_time < 1_000_000, "{status:?}");
        }
        world.run(secs(1));
        let status = world.status(a, b);
        let waiting = (status.pending_reliable, status.pending_unreliable, status.send_unacknowledged_reliable);
        assert_eq!(waiting, (0, 0, 0), "nothing waits where nothing is said");
        world.run(secs(20));
        assert!(world.status(a, b).remote_quality >= 0.99, "within 30 s the peer has said how well it hears");
        let stranger = world.add(1_003);
        assert_eq!(world.info(a, stranger), Default::default());
        assert_eq!(world.status(a, stranger), Default::default());
    }
}

#[test]
fn a_peer_killed_and_restarted_is_back_within_three_seconds() {
    for seed in crate::seeds(20) {
        for (loss, sends) in [(0.0, false), (0.0, true), (5.0, false), (5.0, true), (20.0, false), (20.0, true)] {
            let mut world = World::new(seed);
            world.weather.loss = loss;
            let (a, b) = world.connected_pair();
            // Now the one that began the session dies, now the other.
            let (dead, alive) = if seed % 2 == 0 { (a, b) } else { (b, a) };
            world.run(ms(seed * 700));
            world.kill(dead);
            world.start(dead);
            world.introduce(a, b);
            if sends {
                world.send(alive, dead, 3, RELIABLE, b"half said").expect("room");
            }
            world.send(dead, alive, 0, RELIABLE, b"it is me").expect("queued");
            // Three lost handshakes in a row are one in ten thousand at 5 %, one in seventeen at 20 %.
            let limit = if loss > 10.0 { secs(6) } else { secs(3) };
            world.wait("the request is announced", limit, |w| !w.requests(alive, dead).is_empty());
            assert_eq!(world.state(alive, dead), 1, "no stale session remains");
            assert!(world.accept(alive, dead));
            world.wait("the message arrives", secs(3), |w| {
                w.receive(alive, 0).iter().any(|message| &*message.payload == b"it is me")
            });
            assert!(world.receive(dead, 3).is_empty(), "nothing of the old session comes out of the new one");
            let lost = world.failures(alive, dead).iter().map(|(_, state, _)| *state).collect::<Vec<_>>();
            assert_eq!(lost, if sends { vec![PROBLEM_LOCALLY] } else { vec![] }, "what was lost is told");
            world.wait("both are connected", secs(3), |w| {
                (w.state(dead, alive), w.state(alive, dead)) == (CONNECTED, CONNECTED)
            });
        }
    }
}
