//! Corners that are easily got wrong: limits that meet, packets that overtake, peers that do not play along.

use crate::app::{CLOSED_BY_PEER, CONNECTED, GREETING, NONE, PROBLEM_LOCALLY, RELIABLE, UNRELIABLE, ms, secs};
use crate::sim::{LAG, World};
use std::net::SocketAddr;
use std::sync::Arc;
use steamnetmsg::crypto::random::Random;
use steamnetmsg::drops::DropCounts;
use steamnetmsg::endpoint::config::Value;
use steamnetmsg::endpoint::faults::Direction;
use steamnetmsg::endpoint::lanes::{Outgoing, PeerCell, charge};
use steamnetmsg::endpoint::mailbox::{Limits, Mailbox, Origin, SessionKey};
use steamnetmsg::endpoint::{SendError, SessionStatus};
use steamnetmsg::ids::{Channel, SteamId};
use steamnetmsg::path::route::Route;
use steamnetmsg::path::{PathFrame, Paths};
use steamnetmsg::settings::Settings;
use steamnetmsg::time::Instant;
use steamnetmsg::transport::{Delivery, Transport, Windows};
use steamnetmsg::wire::codec::Writer;
use steamnetmsg::wire::frame::{Frame, MessageFrame};

#[test]
fn small_mtu_still_carries_messages() {
    let mut w = World::new(1);
    let (a, b) = (w.add_with(1, |c| c.settings.mtu_packet_size = 200), w.add(2));
    w.introduce(a, b);
    w.connect(a, b);
    w.send(a, b, 0, RELIABLE, &[7; 500]).unwrap();
    w.wait("it arrives", secs(5), |w| !w.receive(b, 0).is_empty());
}

#[test]
fn mtu_lowered_live_keeps_unreliable_flowing() {
    let mut w = World::new(1);
    let (a, b) = w.connected_pair();
    let (now, id) = (w.now(), w.id(b));
    w.machine(a).set_peer_config(now, id, 32, Value::Int(600)).unwrap();
    w.send(a, b, 0, UNRELIABLE, &[7; 900]).unwrap();
    w.wait("it arrives", secs(5), |w| !w.receive(b, 0).is_empty());
}

#[test]
fn blocked_that_overtakes_the_first_message_of_its_channel() {
    let mut w = World::new(1);
    let (a, b) = w.connected_pair();
    w.cut(a, b);
    w.send(a, b, 7, RELIABLE | 1, &[1; 1_000]).unwrap();
    w.run(ms(1));
    w.heal(a, b);
    w.send(a, b, 7, RELIABLE | 1, &vec![2; 524_288]).unwrap();
    let mut got = Vec::new();
    w.wait("both arrive", secs(60), |w| {
        got.extend(w.receive(b, 7));
        got.len() == 2
    });
}

#[test]
fn an_empty_message_overtaken_by_one_larger_than_the_window() {
    let mut w = World::new(1);
    let (a, b) = (w.add(1), w.add_with(2, |c| c.settings.recv_buffer_size = 4_096));
    w.introduce(a, b);
    w.connect(a, b);
    w.cut(a, b);
    w.send(a, b, 7, RELIABLE | 1, b"").unwrap();
    w.run(ms(1));
    w.heal(a, b);
    w.send(a, b, 7, RELIABLE | 1, &[2; 5_000]).unwrap();
    w.run(secs(2));
    assert_eq!(w.receive(b, 7).len(), 2);
    assert_eq!((w.state(a, b), w.state(b, a)), (CONNECTED, CONNECTED));
}

#[test]
fn close_lost_once_then_a_new_session_at_once() {
    let mut w = World::new(1);
    let (a, b) = w.connected_pair();
    w.accept_all(b);
    w.cut(a, b);
    assert!(w.close(a, b));
    w.run(ms(1)); // the first copy of CLOSE is lost
    w.heal(a, b);
    w.send(a, b, 0, RELIABLE, b"again").unwrap();
    w.wait("the new session works", secs(8), |w| !w.receive(b, 0).is_empty());
    w.assert_no_events(a);
}

#[test]
fn the_failure_told_once_is_told_to_a_caller() {
    let mut w = World::new(1);
    let (a, b) = w.connected_pair();
    w.accept_all(b);
    let cell = {
        let id = w.id(b);
        w.machine(a).peers().cell(id).unwrap()
    };
    w.send(a, b, 0, RELIABLE | 1, b"in flight").unwrap();
    w.close(b, a);
    // a sender reserved its room before the CLOSE came
    assert!(cell.reserve(charge(4)));
    w.wait("a hears of it", secs(2), |w| w.state(a, b) == CLOSED_BY_PEER);
    let (now, to) = (w.now(), w.id(b));
    w.machine(a)
        .take_outgoing(now, Outgoing { to, cell, channel: Channel(0), flags: RELIABLE, payload: (*b"lane").into() });
    assert_eq!(w.send(a, b, 0, RELIABLE, b"next"), Err(SendError::NoConnection));
}

#[test]
fn early_message_over_the_peers_limit_does_not_break_the_protocol() {
    let mut w = World::new(1);
    let (a, b) = (w.add(1), w.add_with(2, |c| c.settings.recv_max_message_size = 1_000));
    w.introduce(a, b);
    w.accept_all(b);
    w.send(a, b, 0, RELIABLE, &[1; 900]).unwrap();
    w.send(a, b, 0, RELIABLE, &[1; 5_000]).unwrap();
    w.run(secs(5));
    // It was taken with OK and can never be delivered: the sender is told so, the peer sees no violation.
    assert_eq!(w.state(a, b), 5);
    let (now, id) = (w.now(), w.id(b));
    let text = w.machine(a).session_info(now, id).0.end_debug;
    assert!(text.contains("larger than the peer takes"), "{text}");
    assert!(w.failures(b, a).is_empty());
}

#[test]
fn peer_override_of_the_receive_buffer_at_the_responder() {
    let mut w = World::new(1);
    let (a, b) = w.pair();
    let (now, id) = (w.now(), w.id(a));
    w.machine(b).set_peer_config(now, id, 47, Value::Int(4_096)).unwrap();
    w.connect(a, b);
    for _ in 0..10 {
        w.send(a, b, 0, RELIABLE, &[1; 1_000]).unwrap();
    }
    let mut n = 0;
    w.run(secs(1));
    w.run_until(secs(5), |w| {
        n += w.receive(b, 0).len();
        n == 10
    });
    assert_eq!((w.state(a, b), w.state(b, a), n), (CONNECTED, CONNECTED, 10));
}

#[test]
fn a_lane_message_on_channel_4097_is_not_lost_in_silence() {
    let mut w = World::new(1);
    let (a, b) = w.connected_pair();
    for c in 0..4_095 {
        w.send(a, b, c, RELIABLE, b"x").unwrap();
    }
    for _ in 0..10 {
        w.run(secs(1));
        (0..4_095).for_each(|c| drop(w.receive(b, c)));
    }
    let to = w.id(b);
    let cell = w.machine(a).peers().cell(to).unwrap();
    assert!(cell.reserve(charge(1)));
    let now = w.now();
    w.machine(a)
        .take_outgoing(now, Outgoing { to, cell, channel: Channel(9_999), flags: RELIABLE, payload: (*b"y").into() });
    w.wait("it arrives", secs(5), |w| !w.receive(b, 9_999).is_empty());
}

fn origin(session: u64, peer: u64) -> Origin {
    Origin {
        session: SessionKey(session),
        peer: SteamId(peer),
        user_data: 0,
        limits: Limits { bytes: 1_000, messages: 5 },
    }
}
fn delivery(channel: i32, number: u64, reliable: bool) -> Delivery {
    Delivery { channel: Channel(channel), number, reliable, payload: vec![0; 10].into() }
}

#[test]
fn refused_unreliable_messages_leave_nothing_behind() {
    let m = Mailbox::default();
    m.deliver(Instant::ZERO, &origin(1, 1), (1..=5).map(|n| delivery(0, n, false)));
    let before = format!("{m:?}").len();
    for c in 1..=10_000 {
        m.deliver(Instant::ZERO, &origin(1, 1), [delivery(c, 1, false)].into_iter());
    }
    let after = format!("{m:?}").len();
    assert!(after < before * 2, "{before} -> {after}");
}

#[test]
fn unread_messages_of_ended_sessions_are_bounded() {
    let m = Mailbox::default();
    let mut given_up = 0;
    for session in 1..=1_000 {
        let large = |n| Delivery { payload: vec![0; 65_536].into(), ..delivery(5, n, true) };
        m.deliver(Instant::ZERO, &origin(session, 1), (1..=5).map(large));
        given_up += m.forget_session(SessionKey(session));
    }
    assert!(m.waiting() <= 256, "{}", m.waiting());
    assert_eq!(given_up + m.waiting() as u64, 5_000);
    let mut rest = Vec::new();
    m.take(Channel(5), 1, &mut rest);
    assert!(rest[0].number == 1, "whole sessions go, the longest gone first");
}

fn transport() -> Transport {
    let s = Settings::default();
    let cell = Arc::new(PeerCell::default());
    cell.set_limit(1 << 20);
    let mut t = Transport::new(&s, Windows::of(&s), cell);
    t.begin_connection(0, &Windows::of(&s), 1_176, None);
    t.open();
    t
}

#[test]
fn a_channel_that_waits_keeps_its_reads_urgent() {
    let mut t = transport();
    let mut d = DropCounts::default();
    let m = MessageFrame { reliable: true, channel: Channel(3), number: 1, offset: 0, total: 4, data: b"abcd" };
    t.handle_frame(Instant::ZERO, &Frame::Message(m), &mut d).unwrap();
    t.handle_frame(Instant::ZERO, &Frame::ChannelBlocked { channel: Channel(3), needed: 524_292 }, &mut d).unwrap();
    assert!(t.holds_peer_back());
    let mut b = Vec::new();
    t.write_packet(Instant::ZERO, &mut Writer::new(&mut b, 1_176));
    assert!(t.holds_peer_back(), "the peer still waits");
}

#[test]
fn a_peer_that_never_acknowledges_costs_bounded_memory() {
    let mut t = transport();
    let mut now = Instant::ZERO + secs(1);
    let mut b = Vec::new();
    for n in 0..200_000u64 {
        if t.is_ignored() {
            break; // the session fails
        }
        now += ms(1) / 10;
        t.handle_packet(now, n, true);
        b.clear();
        if t.write_packet(now, &mut Writer::new(&mut b, 1_176)) {
            t.handle_sent(now, b.len());
        }
    }
    let kept = format!("{t:?}").matches("Sent {").count();
    assert!(t.is_ignored() && kept < 70_000, "{kept} packets are remembered");
}

#[test]
fn slices_of_one_byte_are_soon_refused() {
    let mut t = transport();
    let mut d = DropCounts::default();
    let total = 524_288u32;
    let taken = (0..60_000u32).rev().take_while(|i| {
        let m = MessageFrame { reliable: true, channel: Channel(3), number: 1, offset: i * 2, total, data: b"a" };
        t.handle_frame(Instant::ZERO, &Frame::Message(m), &mut d).is_ok()
    });
    assert!(taken.count() < 5_000, "so many pieces are no honest message");
}

#[test]
fn unreliable_channels_are_bounded() {
    let mut t = transport();
    let mut d = DropCounts::default();
    let mut refused = false;
    for c in 0..10_000 {
        let m = MessageFrame { reliable: false, channel: Channel(c), number: 1, offset: 0, total: 1, data: b"a" };
        refused |= t.handle_frame(Instant::ZERO, &Frame::Message(m), &mut d).is_err();
    }
    let delivered = t.take_ready().count();
    assert!(refused || delivered <= 8_192, "{delivered} channels, each noted for good in Session::channels");
}

#[test]
fn a_network_change_does_not_leave_a_path_that_answers() {
    let route = |port| Route::Direct(SocketAddr::from(([10, 0, 0, 1], port)));
    let mut paths = Paths::new(route(1));
    let now = Instant::ZERO;
    paths.learn(now, route(1));
    paths.learn(now, route(2));
    let mut random = Random::from_seed([1; 32]);
    let probes: Vec<_> = std::iter::from_fn(|| paths.poll_frame(now, None, &mut random)).collect();
    for (route, after) in [(route(1), ms(10)), (route(2), ms(300))] {
        let probe = probes.iter().find(|(to, _)| *to == route).map(|(_, frame)| *frame);
        let Some(PathFrame::Probe(token)) = probe else { panic!("{route} was not asked") };
        paths.handle_reply(now + after, token);
    }
    assert_eq!(paths.active(), route(1), "the quick path answered first");
}

#[test]
fn no_delay_knows_the_queue_before_the_next_timeout() {
    let mut w = World::new(1);
    let (a, b) = w.add_two_slow();
    w.introduce(a, b);
    w.connect(a, b);
    let to = w.id(b);
    let cell = w.machine(a).peers().cell(to).unwrap();
    for _ in 0..8 {
        w.send(a, b, 0, RELIABLE, &[0; 50_000]).unwrap();
    }
    w.settle();
    assert!(cell.queue_delay_us() > 200_000, "{} us for {} bytes", cell.queue_delay_us(), cell.pending());
}

impl World {
    fn add_two_slow(&mut self) -> (crate::sim::Node, crate::sim::Node) {
        let a = self.add_with(1, |c| {
            c.settings.send_rate_min = 50_000;
            c.settings.send_rate_max = 50_000;
        });
        (a, self.add(2))
    }
}

#[test]
fn a_request_lives_as_long_as_its_requester_waits() {
    let mut w = World::new(1);
    let (a, b) = (w.add_with(1, |c| c.settings.timeout_initial = secs(60)), w.add(2));
    w.introduce(a, b);
    w.send(a, b, 0, RELIABLE, b"x").unwrap();
    w.run(secs(20));
    assert_eq!(w.state(a, b), 1, "the requester still waits");
    assert!(w.accept(b, a));
}

#[test]
fn a_failure_is_not_forgotten_for_no_delay() {
    let mut w = World::new(1);
    let (a, b) = w.pair();
    w.cut(a, b);
    w.send(a, b, 0, RELIABLE, b"x").unwrap();
    w.run(secs(12));
    assert_eq!(w.state(a, b), 5);
    assert_eq!(w.send(a, b, 0, 4 | 32, b"x"), Err(SendError::Ignored));
    assert_eq!(w.state(a, b), 5, "nothing was started, so nothing is wiped");
}

#[test]
fn a_failure_is_not_forgotten_for_a_message_that_never_fits() {
    let mut w = World::new(1);
    let (a, b) = (w.add_with(1, |c| c.settings.send_buffer_size = 4_096), w.add(2));
    w.introduce(a, b);
    w.cut(a, b);
    w.send(a, b, 0, RELIABLE, b"x").unwrap();
    w.run(secs(12));
    assert_eq!(w.state(a, b), 5);
    assert!(matches!(w.send(a, b, 0, RELIABLE | 32, &[1; 5_000]), Err(SendError::LimitExceeded(_))));
    assert_eq!(w.state(a, b), 5, "nothing was started, so nothing is wiped");
}

#[test]
fn a_message_too_large_for_the_peer_is_refused_while_its_app_still_thinks() {
    let mut w = World::new(1);
    let (a, b) = (w.add(1), w.add_with(2, |c| c.settings.recv_max_message_size = 1_000));
    w.introduce(a, b);
    w.send(a, b, 0, RELIABLE, b"x").unwrap();
    w.wait("it asks", secs(2), |w| !w.requests(b, a).is_empty());
    assert!(matches!(w.send(a, b, 0, RELIABLE, &[1; 5_000]), Err(SendError::InvalidParam(_))));
    assert!(w.accept(b, a));
    w.run(secs(5));
    assert_eq!((w.state(a, b), w.state(b, a)), (CONNECTED, CONNECTED), "and breaks no protocol");
}

#[test]
fn the_handshake_that_lost_is_no_restarted_peer_when_it_comes_late() {
    let mut w = World::new(1);
    let (a, b) = w.pair();
    w.send(a, b, 0, RELIABLE, b"from a").unwrap();
    w.send(b, a, 0, RELIABLE, b"from b").unwrap();
    w.run(ms(40));
    // The last message of b's handshake is slow; a's handshake is quicker and counts.
    w.set_link(b, a, Direction { lag: ms(500), ..Direction::default() });
    w.run(ms(20));
    w.set_link(b, a, Direction { lag: LAG, ..Direction::default() });
    w.run(ms(480));
    assert_eq!((w.state(a, b), w.state(b, a)), (CONNECTED, CONNECTED));
    // It arrives while b cannot say that it is still there.
    w.send(a, b, 0, RELIABLE, b"more").unwrap();
    w.cut(a, b);
    w.run(secs(2));
    w.heal(a, b);
    w.run(secs(3));
    assert_eq!((w.state(a, b), w.state(b, a)), (CONNECTED, CONNECTED));
    assert_eq!((w.receive(b, 0).len(), w.receive(a, 0).len()), (2, 1));
    w.assert_no_events(a);
    w.assert_no_events(b);
}

#[test]
fn a_full_table_of_requests_does_not_wipe_a_failure() {
    let mut w = World::new(1);
    let (a, c) = (w.add_with(1, |c| c.max_pending_requests = 1), w.add(3));
    let b = w.add(2);
    w.introduce(a, b);
    w.introduce(a, c);
    w.cut(a, b);
    w.send(a, b, 0, RELIABLE, b"x").unwrap();
    w.run(secs(11));
    assert_eq!(w.state(a, b), 5);
    w.send(c, a, 0, RELIABLE, b"x").unwrap();
    w.run(secs(1));
    w.heal(a, b);
    w.send(b, a, 0, RELIABLE, b"x").unwrap();
    w.run(secs(1));
    assert_eq!(w.state(a, b), 5, "b's request was turned away, the failure stands");
}

#[test]
fn a_restarted_peer_that_finds_no_room_is_told_so() {
    let mut w = World::new(1);
    let (a, b, c) = (w.add(1), w.add_with(2, |c| c.max_pending_requests = 1), w.add(3));
    w.introduce(a, b);
    w.introduce(c, b);
    w.connect(a, b);
    w.send(c, b, 0, RELIABLE, b"x").unwrap();
    w.wait("C waits", secs(1), |w| !w.requests(b, c).is_empty());
    w.kill(a);
    w.start(a);
    w.introduce(a, b);
    w.send(a, b, 0, RELIABLE, b"x").unwrap();
    w.wait("A is told", secs(3), |w| !w.failures(a, b).is_empty());
    let (_, state, reason) = w.failures(a, b)[0];
    assert_eq!((state, reason), (CLOSED_BY_PEER, 5001), "{}", w.info(a, b).end_debug);
    assert_eq!((w.state(b, a), w.state(b, c)), (NONE, 1));
    assert!(w.requests(b, a).is_empty());
}

#[test]
fn a_channel_stays_open_when_the_connection_fails() {
    let mut w = World::new(1);
    let (a, b) = w.connected_pair();
    w.send(b, a, 3, RELIABLE, b"unread").unwrap();
    w.run(secs(1));
    w.kill(b);
    w.wait("the failure is told", secs(20), |w| !w.failures(a, b).is_empty());
    assert!(!w.close_channel(a, b, 99), "never used");
    assert!(w.close_channel(a, b, 3));
    assert!(w.receive(a, 3).is_empty(), "its unread messages are gone");
    assert!(!w.close_channel(a, b, 3), "closed already");
    assert_eq!(w.state(a, b), PROBLEM_LOCALLY, "another is open: it stays failed");
    assert!(w.close_channel(a, b, GREETING));
    assert_eq!(w.state(a, b), NONE, "the last one ends it");
}

#[test]
fn the_ping_is_unknown_until_the_session_stands_and_kept_when_it_fails() {
    let mut w = World::new(1);
    let (a, b) = w.pair();
    w.send(a, b, 0, RELIABLE, b"hi").unwrap();
    w.wait("the request is there", secs(2), |w| !w.requests(b, a).is_empty());
    w.run(ms(500));
    assert_eq!((w.state(a, b), w.status(a, b).ping), (1, -1), "the handshake knows it, the app does not");
    assert!(w.accept(b, a));
    w.wait("it stands", secs(2), |w| w.state(a, b) == CONNECTED);
    for _ in 0..100 {
        w.send(b, a, 0, RELIABLE, b"talk").unwrap();
        w.run(ms(100));
    }
    w.kill(b);
    w.wait("the failure is told", secs(20), |w| !w.failures(a, b).is_empty());
    let then = SessionStatus { max_jitter: -1, ..w.status(a, b) }; // that one is told once
    assert!(then.ping > 0 && then.packets_out_per_second > 0.0, "{then:?}");
    w.run(secs(60));
    assert_eq!(w.status(a, b), then);
}

#[test]
fn who_closes_acknowledges_what_arrived_so_that_its_peer_mourns_nothing() {
    let mut w = World::new(1);
    let (a, b) = w.connected_pair();
    w.send(a, b, 0, RELIABLE, b"last words").unwrap();
    w.wait("it arrives", secs(1), |w| !w.receive(b, 0).is_empty());
    // Long before an acknowledgement of one packet would go on its own.
    assert!(w.close(b, a));
    w.run(ms(100));
    assert_eq!(w.state(a, b), NONE);
    w.send(a, b, 0, RELIABLE, b"a new session").unwrap();
    w.wait("B is asked anew", secs(1), |w| !w.requests(b, a).is_empty());
    w.assert_no_events(a);
}

#[test]
fn a_session_that_stood_and_ended_at_one_side_alone_is_not_taken_up_again() {
    // A never hears B's yes, and asks on under the name of a session that B has had, read, and lost.
    let mut w = World::new(1);
    let (a, b) = w.pair();
    for (node, key, time) in [(a, 24, 30_000), (b, 25, 3_000)] {
        let now = w.now();
        w.machine(node).set_config(now, key, Value::Int(time)).unwrap();
    }
    w.send(a, b, 0, RELIABLE, b"once").unwrap();
    // Its last handshake message has left, and nothing will come back.
    w.run(LAG * 2 + ms(1));
    w.cut(a, b);
    w.wait("B is asked", secs(1), |w| !w.requests(b, a).is_empty());
    assert!(w.accept(b, a));
    w.run(ms(10));
    assert_eq!(w.receive(b, 0).len(), 1, "it came with the handshake");
    w.wait("B gives up", secs(10), |w| w.state(b, a) == PROBLEM_LOCALLY);
    assert!(w.close(b, a));
    w.run(secs(7)); // nobody at B says farewell any more
    w.heal(a, b);
    w.wait("A is told", secs(10), |w| !w.failures(a, b).is_empty());
    let (_, state, reason) = w.failures(a, b)[0];
    assert_eq!((state, reason), (CLOSED_BY_PEER, 5010), "{}", w.info(a, b).end_debug);
    w.run(secs(20));
    assert_eq!(w.requests(b, a).len(), 1, "B is not asked twice");
    assert_eq!(w.receive(b, 0).len(), 0, "nothing comes twice");
}
