//! Those who have not logged in, or do not speak the protocol: bounded, refused, closed.

use crate::kit::*;
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tungstenite::Message;

#[test]
fn who_does_not_log_in_is_let_go() {
    let server = Server::with(&config("", "[rendezvous]\nlogin_time = \"500ms\""));
    let mut client = Client::connect(&server);
    let begun = Instant::now();
    assert_eq!(client.heard(), Heard::Closed(Some(1_008)));
    assert!(begun.elapsed() >= Duration::from_millis(400));
}

#[test]
fn what_is_no_login_comes_too_early() {
    let server = Server::with(&config("", ""));
    for message in [json!({ "type": "refresh" }), json!({ "type": "token", "token": "x" })] {
        let mut client = Client::connect(&server);
        client.say(&message);
        let answer = client.said();
        client.refused(answer, 4_006, "must be a login");
    }
    let mut client = Client::connect(&server);
    client.signal(2, b"x");
    let answer = client.said();
    client.refused(answer, 4_006, "must be a login");
    assert_eq!(server.metric("snm_signals_total"), 0.0);
}

#[test]
fn what_is_not_understood_is_refused() {
    let server = Server::with(&config("", ""));
    for text in ["", "{", "[]", "{\"type\":\"dance\"}", "{\"type\":\"login\"}", "{\"type\":\"login\",\"steam_id\":7}"] {
        let mut client = Client::connect(&server);
        client.socket.send(Message::Text(text.into())).expect("sent");
        let answer = client.said();
        client.refused(answer, 4_006, "not understood");
    }
}

#[test]
fn frames_of_who_is_online_are_judged_as_well() {
    let server = Server::with(&config("", ""));
    for frame in
        [vec![], vec![1; 8], signal_frame(1, 2, b""), signal_frame(1, 2, &[0; 4_097]), signal_frame(2, 2, b"x")]
    {
        let mut client = Client::online(&server, &Player::new(1));
        client.send(frame);
        let answer = client.said();
        client.refused(answer, 4_006, "");
    }
    let player = Player::new(1);
    let mut client = Client::online(&server, &player);
    let login = player.login(&client.hello, &client.host);
    client.say(&login);
    let answer = client.said();
    client.refused(answer, 4_006, "second login");
    let mut client = Client::online(&server, &player);
    (0..30).for_each(|_| client.say(&json!({ "type": "refresh" })));
    let refused = (0..30).map(|_| client.said()).find(|answer| answer["type"] != "welcome").expect("refused");
    client.refused(refused, 4_006, "too many control messages");
}

#[test]
fn a_frame_beyond_every_limit_ends_the_connection_unread() {
    let server = Server::with(&config("", ""));
    for online in [false, true] {
        let mut client = if online { Client::online(&server, &Player::new(1)) } else { Client::connect(&server) };
        client.send(vec![0; 8_193]);
        assert_eq!(client.heard(), Heard::Closed(Some(1_009)), "online: {online}");
    }
    // What is announced is not waited for, and not made room for.
    let mut client = Client::connect(&server);
    let head = [&[0x82, 0xff][..], &(1_u64 << 40).to_be_bytes(), &[0; 4]].concat();
    client.socket.get_mut().write_all(&head).expect("sent");
    assert!(matches!(client.heard(), Heard::Closed(_)));
}

#[test]
fn another_subprotocol_is_none_of_ours() {
    let server = Server::with(&config("", ""));
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    let upgrade = format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{key}");
    for offered in ["", "Sec-WebSocket-Protocol: snm.v9, chat\r\n"] {
        let (status, body) = server.ask("/snm/v0", &format!("{upgrade}{offered}"));
        assert!(status == 400 && body.contains("snm.v0"), "{status} {body}");
    }
    assert_eq!(server.ask("/snm/v0", "").0, 400, "without an upgrade");
}

#[test]
fn strangers_have_few_places_and_users_have_theirs() {
    let server =
        Server::with(&config("", "[limits]\nwaiting_for_login_per_source = 2\nconnects_per_second_per_source = 100"));
    let user = Client::online(&server, &Player::new(1));
    let strangers = [Client::connect(&server), Client::connect(&server)];
    assert_eq!(Client::connect_with(&server, &[]).err(), Some(429));
    drop(strangers);
    let begun = Instant::now();
    while let Err(status) = Client::connect_with(&server, &[]) {
        assert!(status == 429 && begun.elapsed() < PATIENCE, "{status}");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(server.metric("snm_connections_turned_away_total") >= 1.0);
    drop(user);
}

#[test]
fn connections_of_one_source_are_bounded_in_number_and_by_the_second() {
    let server =
        Server::with(&config("", "[limits]\nconnections_per_source = 3\nconnects_per_second_per_source = 100"));
    let _held: Vec<Client> = (1..=3).map(|id| Client::online(&server, &Player::new(id))).collect();
    assert_eq!(Client::connect_with(&server, &[]).err(), Some(429));
    let server = Server::with(&config("", "[limits]\nconnects_per_second_per_source = 1"));
    let outcomes: Vec<bool> = (0..8).map(|_| Client::connect_with(&server, &[]).is_ok()).collect();
    assert!(outcomes[..3].iter().all(|ok| *ok) && outcomes[3..].contains(&false), "{outcomes:?}");
}

#[test]
fn behind_a_proxy_it_is_the_clients_that_are_counted() {
    let limits = "[limits]\nconnections_per_source = 1\n[http]\ntrusted_proxies = [\"127.0.0.1\"]";
    let server = Server::with(&config("", limits));
    let from = |source| Client::connect_with(&server, &[("x-forwarded-for", source)]);
    let one = from("203.0.113.1").expect("a place");
    assert_eq!(from("203.0.113.1").err(), Some(429));
    assert_eq!(from("8.8.8.8, 203.0.113.1").err(), Some(429), "what he writes before the proxy does not count");
    let mut two = from("203.0.113.2").expect("a place of his own");
    let player = Player::new(1);
    let mut login = player.login(&two.hello, &two.host);
    login["token"] = json!(player.token(600));
    two.say(&login);
    assert_eq!(two.said()["your_address"], "203.0.113.2:0");
    drop(one);
    let server = Server::with(&config("", "[limits]\nconnections_per_source = 1"));
    let _one = Client::connect(&server);
    let other = Client::connect_with(&server, &[("x-forwarded-for", "203.0.113.2")]);
    assert_eq!(other.err(), Some(429), "without a trusted proxy nobody is believed");
}

#[test]
fn who_opens_a_connection_and_says_nothing_is_closed() {
    let server = Server::with(&config("", ""));
    let mut stream = TcpStream::connect(server.address()).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream.write_all(b"GET / HTTP/1.1\r\nHost:").expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("closed before the time-out");
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}
