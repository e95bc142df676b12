//! What reaches whom, how fast, and what becomes of who is too fast, too slow, or silent.

use crate::kit::*;
use serde_json::json;
use std::time::{Duration, Instant};

fn pair(server: &Server) -> (Client, Client) {
    (Client::online(server, &Player::new(1)), Client::online(server, &Player::new(2)))
}

#[test]
fn a_signal_arrives_whole_under_the_name_of_who_sent_it() {
    let server = Server::with(&config("", ""));
    let (mut one, mut two) = pair(&server);
    let longest = vec![7; 4_096];
    one.signal(2, b"x");
    one.signal(2, &longest);
    assert_eq!(two.heard(), Heard::Frame(signal_frame(1, 1, b"x")));
    assert_eq!(two.heard(), Heard::Frame(signal_frame(1, 1, &longest)));
    two.signal(1, b"back");
    assert_eq!(one.heard(), Heard::Frame(signal_frame(1, 2, b"back")));
    one.signal(1, b"to himself");
    assert_eq!(one.heard(), Heard::Frame(signal_frame(1, 1, b"to himself")));
    assert_eq!(server.metric("snm_signals_total"), 4.0);
    assert_eq!(server.metric("snm_users_online"), 2.0);
}

#[test]
fn users_of_another_app_are_not_there() {
    let apps = format!("[[app]]\nid = 481\nbackends = [\"{}\"]", backend().public());
    let server = Server::with(&config("", &apps));
    let mut one = Client::online(&server, &Player::new(1));
    let mut elsewhere = Player::new(2);
    elsewhere.app = 481;
    let mut two = Client::online(&server, &elsewhere);
    one.signal(2, b"x");
    assert_eq!(one.heard(), Heard::Frame(signal_frame(2, 2, b"")));
    two.signal(2, b"mine");
    assert_eq!(two.heard(), Heard::Frame(signal_frame(1, 2, b"mine")), "and nothing of the other app before it");
}

#[test]
fn who_is_not_online_is_said_to_be_unless_that_is_switched_off() {
    let (loud, mute) =
        (Server::with(&config("", "")), Server::with(&config("", "[rendezvous]\noffline_notices = false")));
    let mut client = Client::online(&loud, &Player::new(1));
    client.signal(99, b"x");
    assert_eq!(client.heard(), Heard::Frame(signal_frame(2, 99, b"")));
    let mut client = Client::online(&mute, &Player::new(1));
    client.signal(99, b"x");
    client.signal(1, b"later");
    assert_eq!(client.heard(), Heard::Frame(signal_frame(1, 1, b"later")));
    for server in [&loud, &mute] {
        assert_eq!(server.metric("snm_signals_dropped_total{reason=\"offline\"}"), 1.0);
    }
}

#[test]
fn the_later_login_replaces_the_earlier_which_hears_of_it() {
    let server = Server::with(&config("", ""));
    let (mut old, mut other) = pair(&server);
    let mut new = Client::online(&server, &Player::new(1));
    assert_eq!(old.said(), json!({ "type": "replaced" }));
    assert_eq!(old.heard(), Heard::Closed(Some(1_008)));
    other.signal(1, b"x");
    assert_eq!(new.heard(), Heard::Frame(signal_frame(1, 2, b"x")));
    assert_eq!(server.metric("snm_replaced_total"), 1.0);
    drop(new);
    other.signal(1, b"y");
    // The server needs a moment to see that he went.
    while other.heard() != Heard::Frame(signal_frame(2, 1, b"")) {
        std::thread::sleep(Duration::from_millis(20));
        other.signal(1, b"y");
    }
}

#[test]
fn too_many_signals_are_dropped_and_said_to_be_once() {
    let server = Server::with(&config("", "[limits]\nsignals_per_second = 10\nsignals_queued = 100"));
    let (mut one, mut two) = pair(&server);
    for number in 0..100_u8 {
        one.signal(2, &[number]);
    }
    assert_eq!(one.said()["type"], "slow");
    let dropped = server.metric("snm_signals_dropped_total{reason=\"too_fast\"}");
    assert!((70.0..=80.0).contains(&dropped), "{dropped} of 100, with a burst of 20");
    for number in 0..20 {
        assert_eq!(two.heard(), Heard::Frame(signal_frame(1, 1, &[number])));
    }
    std::thread::sleep(Duration::from_millis(500));
    one.signal(1, b"again");
    assert_eq!(one.heard(), Heard::Frame(signal_frame(1, 1, b"again")), "after a rest, and told of nothing twice");
}

#[test]
fn too_many_bytes_are_dropped_as_well() {
    let server = Server::with(&config("", "[limits]\nsignal_bytes_per_second = 4096"));
    let (mut one, _two) = pair(&server);
    for _ in 0..5 {
        one.signal(2, &[0; 4_000]);
    }
    assert_eq!(one.said()["type"], "slow");
    assert!(server.metric("snm_signals_dropped_total{reason=\"too_fast\"}") >= 2.0);
}

#[test]
fn a_reader_who_takes_nothing_holds_up_nobody_and_is_let_go() {
    let limits = "[limits]\nsignals_per_second = 100000\nsignal_bytes_per_second = 1000000000\nsignals_queued = 8\n\
                  [rendezvous]\nping_every = \"1s\"\nsilence = \"3s\"";
    let server = Server::with(&config("", limits));
    let (mut one, mut two) = pair(&server);
    let begun = Instant::now();
    // More than the system's buffers between the two take.
    for _ in 0..5_000 {
        one.signal(2, &[0; 4_096]);
    }
    one.signal(1, b"still here");
    assert_eq!(one.heard(), Heard::Frame(signal_frame(1, 1, b"still here")));
    assert!(server.metric("snm_signals_dropped_total{reason=\"pushed_out\"}") > 100.0);
    while server.metric("snm_users_online") > 1.0 {
        assert!(begun.elapsed() < PATIENCE, "he is still there");
        std::thread::sleep(Duration::from_millis(100));
        one.signal(1, b"x");
        one.heard();
    }
    while !matches!(two.heard(), Heard::Closed(_)) {}
}

#[test]
fn a_silent_client_is_let_go_and_one_that_answers_pings_stays() {
    let server = Server::with(&config("", "[rendezvous]\nping_every = \"300ms\"\nsilence = \"1s\""));
    let (mut silent, mut lively) = pair(&server);
    let begun = Instant::now();
    lively.socket.get_ref().set_read_timeout(Some(Duration::from_millis(100))).expect("a time-out");
    while begun.elapsed() < Duration::from_secs(3) {
        // Reading answers pings.
        let _ = lively.socket.read();
    }
    lively.signal(1, b"x");
    lively.socket.get_ref().set_read_timeout(Some(PATIENCE)).expect("a time-out");
    assert_eq!(lively.heard(), Heard::Frame(signal_frame(2, 1, b"")), "the silent one is gone");
    // It answers the pings first, and by then there may be nobody to answer.
    assert!(matches!(silent.heard(), Heard::Closed(Some(1_008) | None)));
}

#[test]
fn at_the_end_everybody_is_told_to_come_back() {
    let server = Server::with(&config("", ""));
    let (mut one, mut two) = pair(&server);
    server.signal("TERM");
    assert_eq!((one.heard(), two.heard()), (Heard::Closed(Some(1_001)), Heard::Closed(Some(1_001))));
    drop((one, two));
    let (code, said) = server.ended();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("ERROR") && !said.contains("panicked"), "{said}");
}
