//! Certified users: who may talk to whom, and what changes while sessions stand.

use crate::app::{CONNECTED, NONE, PROBLEM_LOCALLY, RELIABLE, ms, secs};
use crate::sim::{LAG, Node, World};
use crate::traffic::{Sizes, both_ways, carry};
use base64::Engine;
use steamnetmsg::crypto::certificate::{Authority, Claims};
use steamnetmsg::crypto::identity::Identity;
use steamnetmsg::endpoint::config::{Config, Scope, Value};
use steamnetmsg::ids::{AppId, SteamId};

const BAD_CERT: i32 = 4003;
/// SNM_INFO_UNAUTHENTICATED
const UNAUTHENTICATED: u32 = 1;

fn key_text(authority: u8) -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(Authority::from_seed(&[authority; 32]).public_key())
}

fn certificate(authority: u8, steam_id: u64, issued_at: u64) -> Vec<u8> {
    let identity_key = Identity::from_seed(&[steam_id as u8; 32]).public_key();
    let (app, steam_id) = (AppId(480), SteamId(steam_id));
    let claims = Claims { app, steam_id, identity_key, issued_at, expires_at: issued_at + 3_600 };
    Authority::from_seed(&[authority; 32]).issue(&claims).as_bytes().to_vec()
}

/// Makes a config certified by `authority`, trusting `trusted`, and strict.
fn certified(config: &mut Config, authority: u8, trusted: &str) {
    let steam_id = config.steam_id.0;
    let papers = certificate(authority, steam_id, 1_000);
    for (key, value) in [
        (10_003, Value::Bytes(&[steam_id as u8; 32])),
        (10_004, Value::Bytes(&papers)),
        (10_005, Value::String(trusted)),
        (23, Value::Int(0)),
    ] {
        config.set(key, value, Scope::Create).expect("a valid setting");
    }
}

fn certified_pair(world: &mut World) -> (Node, Node) {
    let trusted = key_text(1);
    let [a, b] = [11, 12].map(|id| world.add_with(id, |config| certified(config, 1, &trusted)));
    world.introduce(a, b);
    (a, b)
}

fn set(world: &mut World, node: Node, key: i32, value: Value<'_>) {
    let now = world.now();
    world.machine(node).set_config(now, key, value).expect("a valid setting");
}

fn traffic_flows(world: &mut World, a: Node, b: Node, channel: i32) {
    let mut flows = both_ways(world, a, b, &[channel], 20, Sizes::UpTo(900));
    carry(world, &mut flows, secs(20));
}

#[test]
fn certified_users_meet_in_as_many_round_trips_and_datagrams_as_others() {
    let first_message = |certified: bool| {
        let mut world = World::new(1);
        let (a, b) = if certified { certified_pair(&mut world) } else { world.pair() };
        world.accept_all(b);
        world.listen();
        let start = world.now();
        world.send(a, b, 0, RELIABLE, b"hello").expect("queued");
        world.wait("it arrives", secs(5), |w| !w.receive(b, 0).is_empty());
        let heard = world.take_overheard();
        let handshake: Vec<(u8, Node)> =
            heard.iter().filter(|d| d.bytes[0] >= 0xe0).map(|d| (d.bytes[0], d.from)).collect();
        assert!(heard.iter().all(|d| d.bytes.len() <= 1_200), "each flight is one datagram");
        (world.now().saturating_since(start), handshake)
    };
    let (plain, certified) = (first_message(false), first_message(true));
    assert_eq!(certified, plain);
    assert_eq!(certified.0, LAG * 3, "one and a half round trips");
}

#[test]
fn a_certified_session_does_not_show_unauthenticated_and_others_do() {
    let mut world = World::new(1);
    let (a, b) = certified_pair(&mut world);
    world.connect(a, b);
    for (at, about) in [(a, b), (b, a)] {
        assert_eq!(world.info(at, about).info_flags & UNAUTHENTICATED, 0);
    }
    let (c, d) = world.connected_pair();
    assert_eq!(world.info(c, d).info_flags & UNAUTHENTICATED, UNAUTHENTICATED);
}

#[test]
fn one_who_does_not_trust_the_others_authority_is_told_and_so_is_the_other() {
    let mut world = World::new(1);
    let (mine, theirs) = (key_text(1), key_text(2));
    let a = world.add_with(11, |config| certified(config, 1, &mine));
    let b = world.add_with(12, |config| certified(config, 2, &format!("{mine},{theirs}")));
    world.introduce(a, b);
    // B believes both authorities, A only its own: whoever calls, A refuses.
    world.send(a, b, 0, RELIABLE, b"x").expect("queued");
    world.wait("A gives up", secs(15), |w| w.state(a, b) == PROBLEM_LOCALLY);
    let info = world.info(a, b);
    assert_eq!(info.end_reason, BAD_CERT);
    assert!(info.end_debug.contains("not trusted"), "{}", info.end_debug);
    world.assert_no_events(b);
    world.send(b, a, 0, RELIABLE, b"x").expect("queued");
    world.wait("B is refused", secs(15), |w| !w.failures(b, a).is_empty());
    assert!(world.info(b, a).end_debug.contains("The peer refuses us: the certificate is of authority"));
    assert_eq!(world.failures(b, a)[0].2, BAD_CERT);
    assert!(world.requests(a, b).is_empty());
}

#[test]
fn a_certificate_is_renewed_without_a_session_noticing() {
    let mut world = World::new(1);
    let (a, b) = certified_pair(&mut world);
    world.connect(a, b);
    for (node, id) in [(a, 11), (b, 12)] {
        set(&mut world, node, 10_004, Value::Bytes(&certificate(1, id, 4_000)));
    }
    traffic_flows(&mut world, a, b, 1);
    assert_eq!(world.state(a, b), CONNECTED);
    world.assert_no_events(a);
    world.assert_no_events(b);
    // The next handshakes show the new ones, long after the old ones have run out.
    world.close(a, b);
    world.run(secs(1_000));
    world.connect(a, b);
    world.close(a, b);
    world.run(secs(1));
    set(&mut world, a, 10_004, Value::Bytes(&certificate(1, 11, 1_000)));
    world.send(a, b, 0, RELIABLE, b"x").expect("queued");
    world.wait("the old one is refused", secs(15), |w| !w.failures(a, b).is_empty());
    assert!(world.info(a, b).end_debug.contains("The peer refuses us"), "{}", world.info(a, b).end_debug);
    assert!(world.info(a, b).end_debug.contains("expired"), "{}", world.info(a, b).end_debug);
}

#[test]
fn a_certificate_grows_old_while_the_endpoint_runs() {
    let mut world = World::new(1);
    let (a, b) = certified_pair(&mut world);
    world.run(secs(3_590));
    world.connect(a, b);
    world.close(a, b);
    world.run(secs(60));
    world.send(a, b, 0, RELIABLE, b"x").expect("queued");
    world.wait("an hour has passed", secs(15), |w| !w.failures(a, b).is_empty());
    assert_eq!(world.failures(a, b)[0].2, BAD_CERT);
}

#[test]
fn a_revoked_authority_ends_the_sessions_of_whom_it_certified_and_no_others() {
    let mut world = World::new(1);
    let both = format!("{},{}", key_text(1), key_text(2));
    let a = world.add_with(11, |config| certified(config, 1, &both));
    let b = world.add_with(12, |config| certified(config, 2, &both));
    let c = world.add_with(13, |config| certified(config, 1, &both));
    for other in [b, c] {
        world.introduce(a, other);
        world.connect(a, other);
    }
    set(&mut world, a, 10_005, Value::String(&format!("{},!{}", key_text(1), key_text(2))));
    world.run(secs(1));
    assert_eq!((world.failures(a, b).len(), world.failures(b, a).len()), (1, 1));
    assert_eq!(world.failures(a, b)[0].2, BAD_CERT);
    assert!(world.info(a, b).end_debug.contains("revoked"));
    assert_eq!(world.state(a, c), CONNECTED);
    traffic_flows(&mut world, a, c, 1);
    // Somebody whose request nobody has answered yet just goes.
    let d = world.add_with(14, |config| certified(config, 2, &both));
    let e = world.add_with(15, |config| certified(config, 1, &both));
    world.introduce(d, e);
    world.send(d, e, 0, RELIABLE, b"x").expect("queued");
    world.wait("the request is there", secs(5), |w| !w.requests(e, d).is_empty());
    set(&mut world, e, 10_005, Value::String(&format!("{},!{}", key_text(1), key_text(2))));
    world.run(secs(1));
    assert_eq!(world.state(e, d), NONE);
    assert!(world.failures(e, d).is_empty());
    assert_eq!(world.failures(d, e)[0].2, BAD_CERT);
}

#[test]
fn nobody_without_a_certificate_takes_the_place_of_one_who_has_proven_it() {
    let mut world = World::new(1);
    let trusted = key_text(1);
    let a = world.add_with(11, |config| certified(config, 1, &trusted));
    // B lets everybody in, certified or not.
    let b = world.add_with(12, |config| {
        certified(config, 1, &trusted);
        config.set(23, Value::Int(1), Scope::Create).expect("a valid setting");
    });
    world.introduce(a, b);
    world.connect(a, b);
    let squatter = world.add(11);
    world.tell_address(squatter, b, world.address(b));
    // B is in the way of A only.
    world.send(squatter, b, 0, RELIABLE, b"I am A").expect("queued");
    world.wait("it is refused", secs(15), |w| !w.failures(squatter, b).is_empty());
    assert_eq!(world.failures(squatter, b)[0].2, BAD_CERT);
    assert!(world.info(squatter, b).end_debug.contains("is there already"));
    traffic_flows(&mut world, a, b, 1);
    assert!(world.requests(b, a).is_empty());
    // When A is gone nobody is in the way.
    world.close(a, b);
    world.run(secs(7));
    world.close(squatter, b);
    world.send(squatter, b, 0, RELIABLE, b"I am A").expect("queued");
    world.wait("now it may ask", secs(15), |w| !w.requests(b, squatter).is_empty());
    world.accept(b, squatter);
    world.run(ms(500));
    assert_eq!(
        world.info(b, squatter).info_flags & UNAUTHENTICATED,
        UNAUTHENTICATED,
        "but everybody can see what it is"
    );
}

#[test]
fn whoever_proves_it_takes_the_place_of_one_who_merely_claims() {
    let mut world = World::new(1);
    let trusted = key_text(1);
    let b = world.add_with(12, |config| {
        certified(config, 1, &trusted);
        config.set(23, Value::Int(1), Scope::Create).expect("a valid setting");
    });
    let squatter = world.add(11);
    world.introduce(squatter, b);
    world.connect(squatter, b);
    let a = world.add_with(11, |config| certified(config, 1, &trusted));
    world.tell_address(a, b, world.address(b));
    world.send(a, b, 0, RELIABLE, b"I am A, and here is my paper").expect("queued");
    world.wait("the true one asks", secs(2), |w| !w.requests(b, a).is_empty());
    assert!(world.accept(b, a));
    world.wait("and is heard", secs(2), |w| !w.receive(b, 0).is_empty());
    assert_eq!(world.info(b, a).info_flags & UNAUTHENTICATED, 0);
}
