//! What the client does next, in virtual time and without a socket.

use super::*;
use crate::ids::AppId;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const START: Instant = Instant::from_nanos(5_000_000_000_000);

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn hello() -> String {
    let nonce = URL_SAFE_NO_PAD.encode([7; 32]);
    format!(r#"{{"type":"hello","version":0,"nonce":"{nonce}","time":100,"authorities":[]}}"#)
}

fn papers() -> Login {
    let (steam_id, app) = (SteamId(7), AppId(480));
    let token = Secret::new("first.token");
    Login { steam_id, app, identity: [1; 32], signature: [2; 64], certificate: vec![], token }
}

const WELCOME: &str = r#"{"type":"welcome","time":100}"#;
const REFUSED: &str = r#"{"type":"refused","reason":4003,"text":"expired"}"#;

fn news(client: &mut Client) -> Vec<News> {
    std::iter::from_fn(|| client.poll_news()).collect()
}

fn frames(client: &mut Client) -> Vec<Frame> {
    std::iter::from_fn(|| client.poll_frame()).collect()
}

fn logging_in(now: Instant) -> Client {
    let mut client = Client::new(now, 5);
    client.handle_open(now);
    client.handle_text(now, &hello());
    client.log_in(&papers());
    client
}

fn online(now: Instant, welcome: &str) -> Client {
    let mut client = logging_in(now);
    client.handle_text(now, welcome);
    assert!(client.is_online());
    frames(&mut client);
    news(&mut client);
    client
}

/// The wait until it dials again.
fn wait(client: &mut Client, now: Instant) -> Duration {
    assert!(!client.wants_link());
    client.poll_timeout().expect("a time to return").saturating_since(now)
}

#[test]
fn a_login_follows_the_hello_and_news_the_welcome() {
    let mut client = Client::new(START, 5);
    assert!(client.wants_link());
    client.handle_open(START);
    client.handle_text(START, &hello());
    let greeted = News::Greeted { nonce: [7; 32], time: 100, authorities: vec![] };
    assert_eq!(news(&mut client), [News::Connecting, greeted]);
    assert!(!client.has_frames(), "nothing is said before the papers are there");
    client.log_in(&papers());
    assert_eq!(frames(&mut client), [Frame::Text(protocol::login(&papers()))]);
    assert!(!client.send_signal(SteamId(8), b"early"));
    client.handle_text(START, WELCOME);
    let welcomed = News::Welcomed { again: false, time: 100, certificate: vec![], turn: vec![] };
    assert_eq!(news(&mut client), [welcomed]);
    assert!(client.is_online());
}

#[test]
fn each_step_has_a_time_limit_and_its_own_text() {
    type Begin = fn(Instant) -> Client;
    let ways: [(Begin, Duration, &str); 3] = [
        (|now| Client::new(now, 5), DIAL_TIME, "reached"),
        (
            |now| {
                let mut client = Client::new(now, 5);
                client.handle_open(now);
                client
            },
            ANSWER_TIME,
            "hello",
        ),
        (logging_in, ANSWER_TIME, "login"),
    ];
    for (begin, limit, says) in ways {
        let mut client = begin(START);
        news(&mut client);
        client.handle_timeout(START + limit - Duration::from_nanos(1));
        assert!(client.wants_link() && news(&mut client).is_empty());
        client.handle_timeout(START + limit);
        let told = news(&mut client);
        assert!(matches!(&told[..], [News::Lost { reason: 5005, text }] if text.contains(says)), "{told:?}");
        assert!(!client.wants_link() && !client.has_frames());
    }
}

#[test]
fn waits_grow_from_a_quarter_second_to_fifteen_with_chance_in_them() {
    let mut waits = Vec::new();
    for chance in 0..50 {
        let (mut client, mut now) = (Client::new(START, chance), START);
        for failure in 0..12 {
            client.handle_lost(now, "no");
            let wait = wait(&mut client, now);
            let most = BACK_OFF.1.min(BACK_OFF.0 * 2u32.pow(failure + 2));
            assert!((BACK_OFF.0..=most).contains(&wait), "{failure}: {wait:?}");
            now += wait;
            client.handle_timeout(now);
            assert!(client.wants_link(), "it dials again");
            waits.push(wait);
        }
    }
    assert!(waits.iter().max() > Some(&secs(13)) && waits.iter().min() < Some(&Duration::from_millis(300)));
    waits.sort();
    waits.dedup();
    assert!(waits.len() > 500, "everybody waits differently");
}

#[test]
fn a_loss_is_told_once_for_each_cause_in_a_row() {
    let mut client = online(START, WELCOME);
    let mut now = START;
    for (why, told) in [("cut", 1), ("cut", 0), ("refused", 1), ("refused", 0), ("cut", 1)] {
        client.handle_lost(now, why);
        assert_eq!(news(&mut client).len(), told, "{why}");
        now += secs(15);
        client.handle_timeout(now);
    }
    client.handle_open(now);
    client.handle_text(now, &hello());
    client.handle_text(now, WELCOME);
    news(&mut client);
    client.handle_lost(now, "cut");
    assert_eq!(news(&mut client).len(), 1, "after a success it is news again");
}

#[test]
fn only_a_login_that_lasted_makes_up_for_earlier_failures() {
    let waited = |lasted: Duration| {
        let (mut client, mut now) = (Client::new(START, 5), START);
        for _ in 0..10 {
            client.handle_lost(now, "no");
            now += secs(15);
            client.handle_timeout(now);
        }
        client.handle_open(now);
        client.handle_text(now, &hello());
        client.handle_text(now, WELCOME);
        now += lasted;
        client.handle_lost(now, "cut");
        wait(&mut client, now)
    };
    assert!(waited(secs(15)) <= secs(1));
    assert!(waited(secs(1)) > secs(1));
}

#[test]
fn who_was_refused_waits_half_a_minute_or_for_other_papers() {
    let mut client = logging_in(START);
    news(&mut client);
    client.handle_text(START, REFUSED);
    let text = "the signaling server refused the login: expired".to_owned();
    assert_eq!(news(&mut client), [News::Lost { reason: 4003, text }]);
    client.handle_lost(START, "the server hung up");
    assert!(news(&mut client).is_empty(), "of course it did");
    client.handle_network_change(START);
    assert_eq!(wait(&mut client, START), secs(30), "another network has no other papers");
    client.renew(START + secs(1), Some(Secret::new("second.token")));
    assert!(client.wants_link(), "at once");

    let mut client = logging_in(START);
    client.renew(START, Some(Secret::new("second.token")));
    client.handle_text(START, REFUSED);
    assert_eq!(wait(&mut client, START), BACK_OFF.0, "the refused token was not the last");
}

#[test]
fn a_new_token_is_shown_at_once_or_as_soon_as_the_last_has_passed() {
    let shown = Frame::Text(protocol::token(&Secret::new("second.token")));
    let mut client = online(START, WELCOME);
    client.renew(START, Some(Secret::new("second.token")));
    assert_eq!(frames(&mut client), std::slice::from_ref(&shown));
    client.renew(START, None);
    assert_eq!(frames(&mut client), [], "a certificate is shown to peers");

    let mut client = logging_in(START);
    frames(&mut client);
    client.renew(START, Some(Secret::new("second.token")));
    assert_eq!(frames(&mut client), []);
    client.handle_text(START, WELCOME);
    assert_eq!(frames(&mut client), [shown]);
}

#[test]
fn who_was_replaced_stays_away_for_half_a_minute_whatever_happens() {
    let mut client = online(START, WELCOME);
    client.handle_text(START, r#"{"type":"replaced"}"#);
    assert!(matches!(&news(&mut client)[..], [News::Lost { text, .. }] if text.contains("another device")));
    client.handle_lost(START, "the server hung up");
    client.handle_network_change(START + secs(1));
    client.renew(START + secs(1), Some(Secret::new("second.token")));
    client.handle_timeout(START + secs(29));
    assert!(!client.wants_link());
    client.handle_timeout(START + secs(30));
    assert!(client.wants_link());
}

#[test]
fn a_welcome_is_renewed_before_what_it_gave_ends() {
    let mut client = online(START, r#"{"type":"welcome","time":1000,"expires":1016}"#);
    client.handle_timeout(START + secs(11));
    assert_eq!(frames(&mut client), []);
    client.handle_timeout(START + secs(12));
    assert_eq!(frames(&mut client), [Frame::Text(protocol::refresh())]);
    client.handle_timeout(START + secs(13));
    assert_eq!(frames(&mut client), [], "once");
    client.handle_timeout(START + secs(22));
    assert!(frames(&mut client).contains(&Frame::Text(protocol::refresh())), "and again, should the answer be lost");
    client.handle_text(START + secs(23), r#"{"type":"welcome","time":1023,"expires":18446744073709551615}"#);
    assert!(matches!(news(&mut client)[..], [News::Welcomed { again: true, .. }]));
    // What has ended already is asked for without haste, and nothing is asked for never.
    let client = online(START, r#"{"type":"welcome","time":1000,"expires":1}"#);
    assert_eq!(client.poll_timeout(), Some(START + secs(10)));
}

#[test]
fn a_silent_server_is_asked_twice_and_then_given_up() {
    let mut client = online(START, WELCOME);
    let mut asked = 0;
    let mut now = START;
    while client.is_online() {
        now = client.poll_timeout().expect("something is due");
        client.handle_timeout(now);
        asked += frames(&mut client).iter().filter(|frame| **frame == Frame::Ping).count();
    }
    assert_eq!((asked, now.saturating_since(START)), (2, SILENCE));

    let mut client = online(START, WELCOME);
    client.handle_alive(START + secs(44));
    client.handle_timeout(START + secs(45));
    assert!(client.is_online(), "a frame of any kind is a sign of life");
}

#[test]
fn a_new_network_brings_the_waiting_back_and_doubts_a_connection_for_five_seconds() {
    let mut client = Client::new(START, 5);
    client.handle_lost(START, "no");
    client.handle_network_change(START);
    assert!(client.wants_link());

    let mut client = online(START, WELCOME);
    client.handle_network_change(START);
    assert_eq!(frames(&mut client), [Frame::Ping]);
    client.handle_timeout(START + secs(5));
    assert!(!client.is_online());

    let mut client = online(START, WELCOME);
    client.handle_network_change(START);
    client.handle_alive(START + secs(1));
    client.handle_timeout(START + secs(5));
    assert!(client.is_online());
}

#[test]
fn signals_go_both_ways_only_while_online_and_within_bounds() {
    let mut client = online(START, WELCOME);
    assert!(client.send_signal(SteamId(8), b"x"));
    assert_eq!(frames(&mut client), [Frame::Binary(protocol::signal(SteamId(8), b"x"))]);
    assert!(!client.send_signal(SteamId(8), b"") && !client.send_signal(SteamId(8), &[0; MAX_SIGNAL + 1]));
    for n in 0..2 * MAX_QUEUED {
        assert_eq!(client.send_signal(SteamId(8), b"x"), n < MAX_QUEUED);
    }
    client.handle_binary(&protocol::signal(SteamId(9), b"y"));
    client.handle_binary(&protocol::signal(SteamId(9), b"")[..9]);
    client.handle_binary(b"rubbish");
    let signal = News::Signal { from: SteamId(9), bytes: b"y".to_vec() };
    assert_eq!(news(&mut client), [signal, News::Unreadable, News::Unreadable]);
    client.handle_lost(START, "cut");
    assert!(!client.has_frames(), "what was to be sent is lost with the connection");
    news(&mut client);
    client.handle_binary(&protocol::signal(SteamId(9), b"y"));
    assert_eq!(news(&mut client), [News::Unreadable], "nobody carries signals for who is not in");
}

#[test]
fn frames_out_of_turn_change_nothing() {
    let mut client = Client::new(START, 5);
    client.handle_open(START);
    for text in [WELCOME, r#"{"type":"replaced"}"#, "rubbish", r#"{"type":"weather"}"#] {
        client.handle_text(START, text);
    }
    let unreadable = vec![News::Unreadable; 3];
    assert_eq!(news(&mut client)[1..], unreadable);
    client.handle_text(START, &hello());
    client.handle_text(START, &hello());
    assert!(matches!(news(&mut client)[..], [News::Greeted { .. }, News::Unreadable]), "one login for one connection");
}
