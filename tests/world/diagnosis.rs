//! Faults that are injected, and whether each is called by its name: while it lasts, and as the end it brings.
//!
//! The page for game developers, `docs/diagnosis.md`, is compared with the causes the library knows; it is written anew
//! by `SNM_WRITE_DIAGNOSIS=1 cargo test --test world diagnosis`.

use crate::app::*;
use crate::sim::{Node, World};
use serde_json::Value;
use std::collections::BTreeSet;
use steamnetmsg::crypto::identity::Identity;
use steamnetmsg::crypto::identity::Seed;
use steamnetmsg::crypto::noise::{Prologue, Responder, StaticKey};
use steamnetmsg::crypto::packet::{Aead, PacketKeys};
use steamnetmsg::crypto::random::Random;
use steamnetmsg::endpoint::SendError;
use steamnetmsg::endpoint::faults::Direction;
use steamnetmsg::endpoint::signals::Carrier;
use steamnetmsg::ids::{AppId, ConnectionId, SessionId, SteamId};
use steamnetmsg::session::cause::Cause;
use steamnetmsg::wire::identity::IdentityPayload;
use steamnetmsg::wire::packet::{DataHeader, Packet, Response};
use steamnetmsg::wire::params::Params;

impl World {
    fn explain(&mut self, at: Node, about: SteamId) -> Value {
        self.settle();
        let now = self.now();
        serde_json::from_str(&self.machine(at).explain(now, about)).expect("it is JSON")
    }

    /// What is said of the session has to begin with this word, hold this in its sentence, and show its evidence.
    #[track_caller]
    fn assert_cause(&mut self, at: Node, about: Node, cause: &str, says: &str) -> Value {
        let id = self.id(about);
        self.assert_cause_of(at, id, cause, says)
    }

    #[track_caller]
    fn assert_cause_of(&mut self, at: Node, about: SteamId, cause: &str, says: &str) -> Value {
        let all = self.explain(at, about);
        assert_eq!(all["cause"], cause, "{all:#}");
        let why = all["why"].as_str().expect("a sentence");
        assert!(why.contains(says) && !why.contains('\n'), "it should say {says:?}: {why}");
        let known = Cause::ALL.into_iter().find(|known| known.word() == cause).expect("a cause of the page");
        for field in known.evidence() {
            assert!(all["evidence"][field].is_u64(), "{field} is missing: {all:#}");
        }
        assert_eq!(all["advice"], known.advice());
        all
    }

    /// The failure that the app is told of, and what it reads when it asks.
    #[track_caller]
    fn assert_end(&mut self, at: Node, about: Node, state: i32, reason: i32, says: &str) {
        let failures = self.failures(at, about);
        let told: Vec<_> = failures.iter().map(|(_, state, reason)| (*state, *reason)).collect();
        assert_eq!(told, [(state, reason)]);
        let info = self.info(at, about);
        assert_eq!((info.state, info.end_reason), (state, reason));
        assert!(info.end_debug.contains(says), "it should say {says:?}: {}", info.end_debug);
    }
}

fn evidence(all: &Value, field: &str) -> u64 {
    all["evidence"][field].as_u64().unwrap_or_else(|| panic!("no {field}: {all:#}"))
}

/// Two who know each other's address; the first has just sent something.
fn asking(tweak: impl FnOnce(&mut World, Node, Node)) -> (World, Node, Node) {
    let mut world = World::new(1);
    let (a, b) = world.pair();
    tweak(&mut world, a, b);
    world.send(a, b, 0, RELIABLE, b"hello").expect("queued");
    (world, a, b)
}

#[test]
fn nobody_was_ever_spoken_to() {
    let mut world = World::new(1);
    let (a, b) = world.pair();
    let all = world.assert_cause(a, b, "no_session", "no session");
    assert_eq!(evidence(&all, "known_addresses"), 1);
    let me = world.id(a);
    world.send_to_id(a, me, 0, RELIABLE, b"note to self").expect("it is taken");
    world.assert_cause_of(a, me, "loopback", "itself");
}

#[test]
fn no_address_is_known() {
    let mut world = World::new(1);
    let (a, b) = (world.add(1_001), world.add(1_002));
    world.send(a, b, 0, RELIABLE, b"hello").expect("queued");
    world.run(secs(4));
    let all = world.assert_cause(a, b, "no_address", "snm_add_peer_address");
    assert_eq!((evidence(&all, "waited_ms"), evidence(&all, "gives_up_in_ms")), (4_000, 6_000));
    world.run(secs(7));
    world.assert_cause(a, b, "no_address", "No address of steamid:1002 is known");
    world.assert_end(a, b, PROBLEM_LOCALLY, 5008, "No address of steamid:1002");
}

#[test]
fn nobody_answers() {
    let (mut world, a, b) = asking(|w, a, b| w.cut(a, b));
    world.run(secs(5));
    let all = world.assert_cause(a, b, "no_answer", "Nobody answered at 10.");
    assert_eq!(evidence(&all, "waited_ms"), 5_000);
    assert!(evidence(&all, "tries") >= 7 && evidence(&all, "addresses") == 1, "{all:#}");
    world.run(secs(6));
    world.assert_cause(a, b, "no_answer", "tries");
    world.assert_end(a, b, PROBLEM_LOCALLY, END_TIMEOUT, "Nobody answered");
}

#[test]
fn the_operating_system_refuses_to_send() {
    let (mut world, a, b) = asking(|w, a, b| w.cut(a, b));
    let to = world.address(b);
    for _ in 0..110 {
        let now = world.now();
        world.machine(a).handle_send_error(now, to);
        world.run(ms(100));
        if world.state(a, b) == CONNECTING {
            world.assert_cause(a, b, "network_unreachable", "cannot send to 10.");
        }
    }
    world.assert_end(a, b, PROBLEM_LOCALLY, END_TIMEOUT, "cannot send");

    let (a, b) = (world.add(2_001), world.add(2_002));
    world.introduce(a, b);
    world.connect(a, b);
    let to = world.address(b);
    world.cut(a, b);
    for _ in 0..180 {
        let now = world.now();
        world.machine(a).handle_send_error(now, to);
        world.run(ms(100));
    }
    let all = world.assert_cause(a, b, "network_unreachable", "refuses to send");
    assert!(evidence(&all, "send_errors") > 50, "{all:#}");
    world.assert_end(a, b, PROBLEM_LOCALLY, END_TIMEOUT, "refuses to send");
}

/// Whoever listens at `b`'s place, answers everything with RESPONSE, made of anything.
#[test]
fn an_answer_comes_that_does_not_verify() {
    let (mut world, a, b) = asking(|w, a, b| {
        w.cut(a, b);
        w.listen();
    });
    world.run(ms(10));
    let init = world.take_overheard().remove(0).bytes;
    let mut forged = vec![0xe2; 300];
    forged[1..5].copy_from_slice(&init[6..10]);
    let from = world.address(b);
    for _ in 0..3 {
        world.inject(a, from, &forged);
    }
    let all = world.assert_cause(a, b, "bad_answer", "3 answers came from 10.");
    assert_eq!(evidence(&all, "answers_refused"), 3);
    world.run(secs(11));
    world.assert_cause(a, b, "bad_answer", "none verifies");
    world.assert_end(a, b, PROBLEM_LOCALLY, END_TIMEOUT, "none verifies");
}

#[test]
fn the_peer_runs_another_app() {
    let mut world = World::new(1);
    let a = world.add(1_001);
    let b = world.add_with(1_002, |config| config.app_id = AppId(481));
    world.introduce(a, b);
    world.send(a, b, 0, RELIABLE, b"hello").expect("queued");
    world.run(secs(2));
    world.assert_cause(a, b, "other_app", "another app");
    world.run(secs(9));
    world.assert_cause(a, b, "other_app", "another app");
    world.assert_end(a, b, PROBLEM_LOCALLY, 4003, "another app");
}

#[test]
fn the_peer_speaks_another_version() {
    let (mut world, a, b) = asking(|w, a, b| {
        w.cut(a, b);
        w.listen();
    });
    world.run(ms(10));
    let init = world.take_overheard().remove(0).bytes;
    // As the document says: HINT, the connection and session of the INIT, code 1, the version.
    let hint = [&[0xe4][..], &init[6..18], &[1, 7]].concat();
    let from = world.address(b);
    world.inject(a, from, &hint);
    world.assert_cause(a, b, "other_version", "wire version 7");
    world.run(secs(11));
    world.assert_cause(a, b, "other_version", "wire version 7");
    world.assert_end(a, b, PROBLEM_LOCALLY, 4006, "wire version 7");
}

#[test]
fn nobody_is_let_in_without_a_certificate_here() {
    let mut world = World::new(1);
    let a = world.add_with(1_001, |config| config.settings.allow_without_auth = false);
    let b = world.add(1_002);
    world.introduce(a, b);
    world.send(a, b, 0, RELIABLE, b"hello").expect("queued");
    world.assert_cause(a, b, "auth_required_here", "certificate");
    world.assert_end(a, b, PROBLEM_LOCALLY, 4003, "IP_ALLOW_WITHOUT_AUTH");
}

#[test]
fn nobody_is_let_in_without_a_certificate_there() {
    let mut world = World::new(1);
    let a = world.add(1_001);
    let b = world.add_with(1_002, |config| config.settings.allow_without_auth = false);
    world.introduce(a, b);
    world.send(a, b, 0, RELIABLE, b"hello").expect("queued");
    world.run(secs(1));
    world.assert_cause(a, b, "auth_required_there", "does not let us in");
    world.assert_end(a, b, CLOSED_BY_PEER, 4003, "certificate");
}

#[test]
fn the_peer_app_does_not_decide_and_this_one_does_not_either() {
    let (mut world, a, b) = asking(|_, _, _| ());
    world.run(secs(3));
    let all = world.assert_cause(a, b, "peer_deciding", "did not accept yet");
    assert_eq!(evidence(&all, "waited_ms"), 3_000);
    world.assert_cause(b, a, "app_deciding", "this app has not accepted yet");
    world.run(secs(8));
    world.assert_cause(a, b, "peer_deciding", "did not accept");
    world.assert_end(a, b, PROBLEM_LOCALLY, END_TIMEOUT, "did not accept");
    world.assert_cause(b, a, "request_withdrawn", "gave up");
}

#[test]
fn the_peer_has_no_room_for_a_request() {
    let mut world = World::new(1);
    let b = world.add_with(1_002, |config| config.max_pending_requests = 1);
    let (first, a) = (world.add(1_001), world.add(1_003));
    world.introduce(first, b);
    world.introduce(a, b);
    world.send(first, b, 0, RELIABLE, b"I was first").expect("queued");
    world.run(secs(1));
    world.send(a, b, 0, RELIABLE, b"me too").expect("queued");
    world.run(secs(3));
    world.assert_cause(a, b, "unconfirmed", "does not confirm");
}

#[test]
fn the_peer_app_says_no() {
    let (mut world, a, b) = asking(|_, _, _| ());
    world.run(secs(1));
    assert!(world.close(b, a));
    world.run(secs(1));
    world.assert_cause(a, b, "rejected_by_peer", "instead of accepting");
    world.assert_end(a, b, CLOSED_BY_PEER, END_CLOSED, "");
    world.assert_cause(b, a, "closed_here", "This app closed");
}

#[test]
fn a_queued_message_is_too_large_for_the_peer() {
    let mut world = World::new(1);
    let a = world.add(1_001);
    let b = world.add_with(1_002, |config| config.settings.recv_max_message_size = 1_000);
    world.introduce(a, b);
    world.send(a, b, 0, RELIABLE, &[7; 1_001]).expect("queued");
    world.run(secs(1));
    world.assert_cause(a, b, "message_too_large", "1001 bytes");
    world.assert_end(a, b, PROBLEM_LOCALLY, 5001, "larger than the peer takes (1000)");
}

#[test]
fn nothing_is_wrong() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    for _ in 0..200 {
        world.send(a, b, 0, RELIABLE, b"tick").expect("room");
        world.run(ms(97));
        assert!(!world.receive(b, 0).is_empty());
        let all = world.assert_cause(a, b, "connected", "Connected with 10.");
        assert!((45_000..80_000).contains(&evidence(&all, "rtt_us")), "{all:#}");
        world.assert_cause(b, a, "connected", "heard");
    }
}

#[test]
fn an_idle_session_is_never_called_anything_but_connected() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    for _ in 0..1_000 {
        world.run(ms(31));
        world.assert_cause(a, b, "connected", "");
        world.assert_cause(b, a, "connected", "");
    }
}

#[test]
fn the_line_is_cut_while_connected() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    world.cut(a, b);
    world.send(a, b, 0, RELIABLE, b"are you there?").expect("room");
    world.run(secs(5));
    let all = world.assert_cause(a, b, "silent", "Nothing was heard from 10.");
    assert!((4_000..7_000).contains(&evidence(&all, "silent_ms")), "{all:#}");
    assert!(evidence(&all, "pings_unanswered") >= 1, "{all:#}");
    world.heal(a, b);
    world.run(secs(5));
    world.assert_cause(a, b, "connected", "");
    world.cut(a, b);
    world.run(secs(20));
    world.assert_cause(a, b, "silent", "nothing heard for 1");
    world.assert_end(a, b, PROBLEM_LOCALLY, END_TIMEOUT, "nothing heard for 1");
}

#[test]
fn packets_come_that_do_not_open() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    world.listen();
    world.send(b, a, 0, RELIABLE, b"genuine").expect("room");
    world.run(ms(100));
    let mut forged = world.take_overheard().into_iter().find(|o| o.from == b).expect("it was sent").bytes;
    world.cut(a, b);
    let from = world.address(b);
    for n in 0..200u64 {
        forged[5..7].copy_from_slice(&(500 + n as u16).to_be_bytes()); // a number nobody has used
        world.inject(a, from, &forged);
        world.run(ms(100));
        if n == 60 {
            let all = world.assert_cause(a, b, "undecryptable", "none opens");
            assert!(evidence(&all, "undecryptable_since_heard") >= 50, "{all:#}");
        }
    }
    world.assert_cause(a, b, "undecryptable", "does not open");
    world.assert_end(a, b, PROBLEM_LOCALLY, END_TIMEOUT, "does not open");
}

/// Fills everything there is between two apps, of which the second does not read.
fn fill(world: &mut World, a: Node, b: Node) -> u64 {
    let (mut sent, mut refused) = (0, 0);
    while refused < 10 && sent < 10_000 {
        match world.send(a, b, 0, RELIABLE, &[7; 1_000]) {
            Ok(()) => (sent, refused) = (sent + 1, 0),
            Err(SendError::LimitExceeded(_)) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
        if refused > 0 {
            world.run(ms(100));
        }
    }
    sent
}

#[test]
fn the_peer_app_does_not_read_and_its_own_side_knows() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    let sent = fill(&mut world, a, b);
    assert!(sent > 900, "{sent}");
    let all = world.assert_cause(a, b, "peer_not_reading", "does not read");
    assert!(evidence(&all, "send_buffer_used") + 2_000 > evidence(&all, "send_buffer_size"), "{all:#}");
    assert_eq!(evidence(&all, "channels_blocked"), 1);
    let all = world.assert_cause(b, a, "app_not_reading", "not read here");
    assert!(evidence(&all, "unread_bytes") >= 400_000 && evidence(&all, "unread_messages") >= 400, "{all:#}");
    for _ in 0..200 {
        world.receive(b, 0);
        world.run(ms(50));
    }
    world.assert_cause(a, b, "connected", "");
    world.assert_cause(b, a, "connected", "");
}

/// A second of sending `rate` bytes per second, read at once.
fn stream(world: &mut World, a: Node, b: Node, rate: usize) {
    for _ in 0..100 {
        for _ in 0..rate / 100_000 + 1 {
            let _ = world.send(a, b, 0, RELIABLE, &vec![7; (rate / 100).min(1_000)]);
        }
        world.run(ms(10));
        world.receive(b, 0);
    }
}

#[test]
fn the_line_is_slow() {
    let mut world = World::new(1);
    world.weather.rate = 30_000;
    let (a, b) = world.connected_pair();
    for second in 0..10 {
        stream(&mut world, a, b, 200_000);
        if second >= 5 {
            let all = world.assert_cause(a, b, "slow_link", "the line to 10.");
            assert!(evidence(&all, "queue_us") > 200_000, "{all:#}");
        }
    }
}

#[test]
fn the_line_loses_packets() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    let bad = Direction { loss: 35.0, rate: 1_000_000, ..world.weather.clone() };
    world.set_link(a, b, bad);
    let mut named = 0;
    for second in 0..20 {
        stream(&mut world, a, b, 2_000_000);
        let id = world.id(b);
        let all = world.explain(a, id);
        let cause = all["cause"].as_str().expect("a word").to_owned();
        assert!(["lossy", "peer_not_reading", "connected"].contains(&&*cause) || second < 3, "{all:#}");
        if cause == "lossy" {
            named += 1;
            let all = world.assert_cause(a, b, "lossy", "% of packets");
            assert!((10..70).contains(&evidence(&all, "loss_percent")), "{all:#}");
        }
    }
    assert!(named >= 10, "it was named {named} times of 20");
}

#[test]
fn a_small_message_waits_for_company() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    let now = world.now();
    let (key, id) = (12, world.id(b));
    let value = steamnetmsg::endpoint::config::Value::Int(20_000);
    world.machine(a).set_peer_config(now, id, key, value).expect("NAGLE_TIME may be set");
    world.send(a, b, 0, RELIABLE, b"small").expect("room");
    world.run(ms(5));
    let all = world.assert_cause(a, b, "nagle", "for company");
    assert_eq!(evidence(&all, "nagle_us"), 15_000);
    world.run(ms(500));
    world.assert_cause(a, b, "connected", "");
}

#[test]
fn a_session_is_closed_on_purpose() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    assert!(world.close(b, a));
    world.run(secs(3));
    world.assert_cause(b, a, "closed_here", "3.0 s ago");
    world.assert_cause(a, b, "closed_by_peer", "nothing was lost");
    world.assert_no_events(a);
    world.assert_no_events(b);
}

#[test]
fn a_session_is_closed_before_all_had_arrived() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    world.send(a, b, 0, RELIABLE, &[7; 400_000]).expect("room");
    world.run(ms(40));
    assert!(world.close(b, a));
    world.run(secs(1));
    world.assert_cause(a, b, "data_lost", "before all reliable messages");
    let info = world.info(a, b);
    assert_eq!((info.state, info.end_reason), (CLOSED_BY_PEER, END_CLOSED));
    assert_eq!(world.send(a, b, 0, RELIABLE, b"more"), Err(SendError::NoConnection));
}

#[test]
fn nobody_uses_the_session() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    world.run(secs(200));
    assert_eq!((world.state(a, b), world.state(b, a)), (NONE, NONE));
    world.assert_cause(a, b, "idle", "SESSION_IDLE_TIMEOUT");
    world.assert_cause(b, a, "idle", "SESSION_IDLE_TIMEOUT");
}

#[test]
fn the_peer_was_restarted_and_forgot() {
    let mut world = World::new(1);
    let a = world.add(1_001);
    // A seed of its own lets it say, after its restart, what it promised before.
    let b = world.add_with(1_002, |config| config.identity_seed = Some(Seed::new([5; 32])));
    world.introduce(a, b);
    world.connect(a, b);
    world.kill(b);
    world.start(b);
    world.send(a, b, 0, RELIABLE, b"do you know me?").expect("room");
    world.run(secs(1));
    world.assert_cause(a, b, "peer_forgot", "knows nothing of the session");
    world.assert_end(a, b, PROBLEM_LOCALLY, 5010, "does not know the session");
}

#[test]
fn the_peer_was_restarted_and_asks_anew() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    world.kill(b);
    world.send(a, b, 0, RELIABLE, b"lost with you").expect("room");
    world.run(ms(200));
    world.start(b);
    world.introduce(a, b);
    world.send(b, a, 0, RELIABLE, b"it is me").expect("queued");
    world.run(ms(400));
    world.assert_cause(a, b, "challenged", "asked whether it lives");
    world.run(secs(2));
    let all = world.assert_cause(a, b, "app_deciding", "has not accepted yet");
    assert_eq!(all["previous"]["cause"], "peer_restarted", "{all:#}");
    let failures = world.failures(a, b);
    assert_eq!((failures.len(), failures[0].1, failures[0].2), (1, PROBLEM_LOCALLY, 5010));
}

#[test]
fn a_second_device_has_the_same_steam_id() {
    let mut world = World::new(1);
    let (a, b) = world.connected_pair();
    let twin = world.add(1_002);
    let address = world.address(a);
    world.tell_address(twin, a, address);
    world.send(twin, a, 0, RELIABLE, b"I am b").expect("queued");
    world.run(secs(1));
    world.assert_cause(twin, a, "refused_by_peer", "Another endpoint with this steam id");
    world.assert_end(twin, a, CLOSED_BY_PEER, 5001, "Another endpoint with this steam id");
    world.assert_cause(a, b, "connected", "");
}

/// Somebody at the peer's address who speaks the protocol, as far as he likes.
struct Impostor {
    responder: Responder,
    caller: ConnectionId,
    keys: Option<PacketKeys>,
}

impl Impostor {
    const CONNECTION: ConnectionId = ConnectionId(77);

    /// He answers an INIT as `who`; his RESPONSE. Unless he is `honest` his signature is for somebody else.
    fn answer(init: &[u8], who: SteamId, honest: bool) -> (Impostor, Vec<u8>) {
        let Ok(Packet::Init { init, .. }) = Packet::decode(init) else { panic!("no INIT") };
        let mut random = Random::from_seed([9; 32]);
        let (identity, static_key) = (Identity::from_seed(&[9; 32]), StaticKey::generate(&mut random));
        let signed = if honest { who } else { SteamId(who.0 + 1) };
        let signature = identity.sign_binding(init.app, signed, static_key.public(), 0);
        let params = Params { session_bytes: 100_000, session_messages: 100, ..Params::default() };
        let mut payload = Vec::new();
        IdentityPayload {
            session: SessionId(5),
            steam_id: who,
            intended: SteamId(0),
            identity_key: identity.public_key(),
            not_after: 0,
            signature,
            certificate: &[],
            params,
        }
        .encode(&mut payload);
        let prologue = Prologue::new(init.version, init.app, init.session);
        let mut responder = Responder::new(&static_key, prologue, &init.ephemeral, &mut random);
        let (mut message, mut response) = (Vec::new(), Vec::new());
        responder.write_response(&payload, &mut message).expect("his turn");
        Response { destination: init.source, source: Impostor::CONNECTION, message: &message }.encode(&mut response);
        (Impostor { responder, caller: init.source, keys: None }, response)
    }

    /// He takes FINISH.
    fn take(&mut self, finish: &[u8]) {
        let Ok(Packet::Finish(finish)) = Packet::decode(finish) else { panic!("no FINISH") };
        let (_, split) = self.responder.read_finish(finish.message, &mut Vec::new()).expect("it verifies");
        self.keys = Some(PacketKeys::new(&split, Aead::ChaCha20Poly1305));
    }

    /// Frames of his, sealed.
    fn say(&mut self, number: u64, frames: &[u8]) -> Vec<u8> {
        let mut packet = Vec::new();
        let header = DataHeader::new(self.caller, false, number, 2);
        header.encode(&mut packet);
        packet.extend_from_slice(frames);
        let keys = self.keys.as_mut().expect("after FINISH");
        keys.seal(number, &mut packet, 0, header.len).expect("a fresh number");
        packet
    }
}

/// A world in which an impostor stands where `b` should be, with the INIT that `a` sent him.
fn deceived() -> (World, Node, Node, Vec<u8>) {
    let (mut world, a, b) = asking(|w, a, b| {
        w.cut(a, b);
        w.listen();
    });
    world.run(ms(10));
    let init = world.take_overheard().remove(0).bytes;
    (world, a, b, init)
}

#[test]
fn somebody_else_answers_at_the_address() {
    let (mut world, a, b, init) = deceived();
    let (_, response) = Impostor::answer(&init, SteamId(4_711), true);
    let from = world.address(b);
    world.inject(a, from, &response);
    let all = world.assert_cause(a, b, "other_identity", "answers as steamid:4711, not steamid:1002");
    assert_eq!(evidence(&all, "answers_refused"), 1);
    world.run(secs(11));
    world.assert_cause(a, b, "other_identity", "answers as steamid:4711");
    world.assert_end(a, b, PROBLEM_LOCALLY, 4003, "answers as steamid:4711");
}

#[test]
fn somebody_answers_who_cannot_prove_his_key() {
    let (mut world, a, b, init) = deceived();
    let (_, response) = Impostor::answer(&init, SteamId(1_002), false);
    let from = world.address(b);
    world.inject(a, from, &response);
    world.assert_cause(a, b, "bad_signature", "has not signed");
    world.run(secs(11));
    world.assert_cause(a, b, "bad_signature", "has not signed");
    world.assert_end(a, b, PROBLEM_LOCALLY, 4002, "has not signed");
}

#[test]
fn the_peer_breaks_the_protocol() {
    let (mut world, a, b, init) = deceived();
    let (mut impostor, response) = Impostor::answer(&init, SteamId(1_002), true);
    let from = world.address(b);
    world.inject(a, from, &response);
    let finish = world.take_overheard().into_iter().find(|o| o.bytes[0] == 0xe3).expect("FINISH").bytes;
    impostor.take(&finish);
    let accept = impostor.say(0, &[0x04]);
    world.inject(a, from, &accept);
    assert_eq!(world.state(a, b), CONNECTED);
    let nonsense = impostor.say(1, &[0x01, 0x7f]);
    world.inject(a, from, &nonsense);
    world.assert_cause(a, b, "peer_broke_protocol", "a packet breaks the format");
    world.assert_end(a, b, PROBLEM_LOCALLY, 5001, "a packet breaks the format");
}

#[test]
fn nobody_carries_signals_and_then_the_peer_is_not_there() {
    let mut world = World::new(7);
    let (a, b) = (world.add(1_001), world.add(1_002));
    world.set_carrier(a, Carrier::Waiting);
    world.send(a, b, 0, RELIABLE, b"hello").unwrap();
    world.run(secs(2));
    world.assert_cause(a, b, "signaling_down", "the signaling server is not reached");
    world.carry_signals(Direction { loss: 100.0, ..Direction::default() });
    world.run(secs(1));
    world.assert_cause(a, b, "no_answer", "at the signaling server");
    let (now, peer) = (world.now(), world.id(b));
    world.machine(a).handle_offline(now, peer);
    world.assert_cause(a, b, "peer_offline", "is not online");
    world.assert_end(a, b, PROBLEM_LOCALLY, 5010, "is not online");
}

#[test]
fn nothing_but_signals_comes_through() {
    let mut world = World::new(8);
    let (a, b) = (world.add(1_001), world.add(1_002));
    world.accept_all(b);
    world.carry_signals(Direction::default());
    world.send(a, b, 0, RELIABLE, b"hello").unwrap();
    world.run(secs(2));
    world.assert_cause(a, b, "no_path", "by signals only");
    world.run(secs(9));
    world.assert_cause(a, b, "no_path", "no datagram comes through");
}

/// The page as it is to be.
fn page() -> String {
    let mut text = String::from(
        "# Why a session is where it is\n\n\
         `snm_explain_session` says it in one sentence, as JSON: `cause` is one of the words below, which never change;\n\
         `why` is the sentence, with what is known of this session; `advice` is the last column; `evidence` holds numbers,\n\
         of which the table names the most telling. `previous` tells how the last session with this user ended, if one\n\
         did of late. `relays` says of each relay of ours whether we have a place there (`asked`, `allocated`, `failed`,\n\
         `left`), and if not, why. `session`, `known_addresses` and `endpoint_dropped` are for whoever wants to look deeper.\n\n\
         A session that fails by a cause has the end reason beside it, in its event and in its info; `end_debug` there is\n\
         the sentence as it was at the end. A cause whose reason is – never ends a session.\n\n\
         | cause | means | end reason | evidence | what to do |\n| --- | --- | --- | --- | --- |\n",
    );
    for cause in Cause::ALL {
        let evidence: Vec<String> = cause.evidence().iter().map(|field| format!("`{field}`")).collect();
        let cells = [format!("`{}`", cause.word()), cause.meaning().into(), cause.ends().into(), evidence.join(" ")];
        text += &format!("| {} | {} |\n", cells.join(" | "), cause.advice());
    }
    text + "\nWhere several hold, the one nearest to the wire is named. Fields that end in `_ms` and `_us` are milliseconds and\n\
         microseconds, `rtt_us` is 0 until it was measured, `send_rate` is bytes per second, all else are counts or bytes.\n"
}

#[test]
fn the_page_for_developers_says_what_the_library_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/diagnosis.md");
    let ours = page();
    if std::env::var_os("SNM_WRITE_DIAGNOSIS").is_some() {
        std::fs::write(path, &ours).expect("docs/diagnosis.md can be written");
    }
    let theirs = std::fs::read_to_string(path).expect("docs/diagnosis.md is there").replace("\r\n", "\n");
    assert!(ours == theirs, "docs/diagnosis.md is out of date: SNM_WRITE_DIAGNOSIS=1 writes it anew");
}

/// Causes that no peer of this world can bring about: they take a library at fault, or more packets than a test has.
const NOT_TO_BE_STAGED: &str = "certificate_refused idle_unanswered nothing_acknowledged key_worn_out forged_packets";

#[test]
fn every_cause_that_can_be_staged_is() {
    let source = include_str!("diagnosis.rs");
    let staged = |word: &str| {
        source.contains(&format!(", \"{word}\", \"")) || source.contains(&format!("\"cause\"], \"{word}\""))
    };
    let missing: BTreeSet<&str> = Cause::ALL.into_iter().map(Cause::word).filter(|word| !staged(word)).collect();
    assert_eq!(missing, NOT_TO_BE_STAGED.split(' ').collect());
}
