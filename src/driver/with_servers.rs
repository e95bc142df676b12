//! A whole endpoint, with its poll thread, against a server on this machine.

use super::signaling::tests::server::{Server, Socket, Tls, hear, say, wait_for_end};
use super::*;
use crate::crypto::certificate::{Authority, Claims};
use crate::endpoint::config::{Scope, Value};
use crate::ids::AppId;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use std::sync::mpsc;

const WHO: SteamId = SteamId(7);

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn authority() -> Authority {
    Authority::from_seed(&[1; 32])
}

fn open_at(url: &str, ca: &str) -> Arc<Driver> {
    let mut config = Config::new();
    config.set(10_000, Value::Int(WHO.0 as i64), Scope::Create).expect("a steam id");
    config.set(10_002, Value::String("127.0.0.1:0"), Scope::Create).expect("an address");
    config.set(10_006, Value::String(url), Scope::Create).expect("a URL");
    config.set(10_018, Value::String(ca), Scope::Create).expect("a path");
    open(config, None).expect("an endpoint")
}

/// The next word on signaling that reaches the app.
fn word(driver: &Driver) -> (i32, i32, String) {
    loop {
        assert!(driver.wait(Some(Duration::from_secs(20))), "nothing is told");
        if let Some(Event::Signaling { state, reason, text }) = driver.poll_event() {
            return (state, reason, text);
        }
    }
}

fn until_online(driver: &Driver) {
    while word(driver).0 != 3 {}
}

/// Greets, and lets in whoever logs in.
fn let_in(socket: &mut Socket, authorities: &[[u8; 32]], welcome: &serde_json::Value) -> Option<serde_json::Value> {
    let authorities: Vec<String> = authorities.iter().map(|key| b64(key)).collect();
    let hello = json!({ "type": "hello", "version": 0, "nonce": b64(&[3; 32]), "time": 5_000,
                        "authorities": authorities });
    say(socket, &hello);
    let login = hear(socket);
    say(socket, welcome);
    login
}

/// A certificate for whoever logged in so.
fn certified(login: &serde_json::Value) -> String {
    let key = URL_SAFE_NO_PAD.decode(login["identity"].as_str().expect("text")).expect("base64url");
    let identity_key = key.try_into().expect("32 bytes");
    let claims = Claims { app: AppId(480), steam_id: WHO, identity_key, issued_at: 5_000, expires_at: 6_000 };
    b64(authority().issue(&claims).as_bytes())
}

fn welcome() -> serde_json::Value {
    json!({ "type": "welcome", "time": 5_000 })
}

#[test]
fn the_app_hears_of_coming_and_going_and_the_core_of_its_carrier() {
    let (end, ended) = mpsc::channel::<()>();
    let server = Server::start(None, move |number, mut socket| {
        let_in(&mut socket, &[], &welcome());
        if number == 0 {
            let _ = ended.recv();
        } else {
            wait_for_end(&mut socket);
        }
    });
    let url = format!("ws://{}", server.address);
    let driver = open_at(&url, "");
    let (state, reason, text) = word(&driver);
    assert_eq!((state, reason), (1, 0));
    assert!(text.contains(&url), "{text}");
    assert_eq!(word(&driver).0, 3);
    let carrier = |driver: &Driver| driver.with_endpoint(|endpoint, _| endpoint.carrier()).expect("it lives");
    assert_eq!(carrier(&driver), Carrier::Online);
    drop(end);
    let (state, reason, text) = word(&driver);
    assert_eq!((state, reason), (5, 5005), "{text}");
    until_online(&driver);
    driver.use_own_signaling(true).expect("it lives");
    driver
        .with_endpoint(|endpoint, now| endpoint.set_config(now, 10_006, Value::String("")))
        .expect("it lives")
        .expect("none");
    assert_eq!(carrier(&driver), Carrier::Online, "the app carries them itself");
    driver.close();
}

#[test]
fn announced_authorities_and_the_certificate_issued_are_used_at_once() {
    let tls = Tls::new("issued");
    let server = Server::start(Some(&tls), |_, mut socket| {
        let login = let_in(&mut socket, &[authority().public_key()], &json!({ "type": "weather" }));
        let mut welcome = welcome();
        welcome["certificate"] = certified(&login.expect("a login")).into();
        say(&mut socket, &welcome);
        wait_for_end(&mut socket);
    });
    let url = format!("wss://localhost:{}", server.address.port());
    let driver = open_at(&url, tls.ca_file.to_str().expect("a path"));
    until_online(&driver);
    let shown = driver.with_endpoint(|endpoint, _| endpoint.login(&[0; 32], "").certificate).expect("it lives");
    assert_eq!(shown.len(), 133, "it is shown from now on");
    driver.close();
}

#[test]
fn a_token_set_live_is_shown_at_once() {
    let (heard, said) = mpsc::channel();
    let server = Server::start(None, move |_, mut socket| {
        let_in(&mut socket, &[], &welcome());
        while let Some(message) = hear(&mut socket) {
            heard.send(message).expect("the test listens");
        }
    });
    let driver = open_at(&format!("ws://{}", server.address), "");
    until_online(&driver);
    let set = |key, value| driver.with_endpoint(|endpoint, now| endpoint.set_config(now, key, value));
    set(12, Value::Int(1)).expect("it lives").expect("no token");
    set(10_016, Value::String("second.token")).expect("it lives").expect("a token");
    assert_eq!(said.recv(), Ok(json!({ "type": "token", "token": "second.token" })));
    driver.close();
}

#[test]
fn an_endpoint_that_closes_or_moves_says_goodbye() {
    let (told, goodbyes) = mpsc::channel();
    let servers: Vec<Server> = (0..2)
        .map(|_| {
            let told = told.clone();
            Server::start(None, move |_, mut socket| {
                let_in(&mut socket, &[], &welcome());
                told.send(wait_for_end(&mut socket)).expect("the test listens");
            })
        })
        .collect();
    let url = |server: &Server| format!("ws://{}", server.address);
    let driver = open_at(&url(&servers[0]), "");
    until_online(&driver);
    let set =
        |value: &str| driver.with_endpoint(|endpoint, now| endpoint.set_config(now, 10_006, Value::String(value)));
    set(&url(&servers[1])).expect("it lives").expect("a URL");
    assert_eq!(goodbyes.recv(), Ok(true), "to the first");
    until_online(&driver);
    driver.close();
    assert_eq!(goodbyes.recv(), Ok(true), "to the second");
}

#[test]
fn relays_of_the_welcome_join_those_of_the_settings_and_leave_with_the_server() {
    let turn = json!([{ "url": "turn:127.0.0.1:9?transport=tcp", "username": "u", "password": "p", "pop": "fra" }]);
    let server = Server::start(None, move |_, mut socket| {
        let mut welcome = welcome();
        welcome["turn"] = turn.clone();
        let_in(&mut socket, &[], &welcome);
        wait_for_end(&mut socket);
    });
    let driver = open_at(&format!("ws://{}", server.address), "");
    until_online(&driver);
    let set =
        |key, value| driver.with_endpoint(|e, now| e.set_config(now, key, Value::String(value))).expect("it lives");
    set(107, "192.0.2.1:5").expect("a relay");
    set(108, "me").expect("a user");
    let names = || -> Vec<(String, String)> {
        driver
            .with_endpoint(|e, _| e.relays().iter().map(|r| (r.name.clone(), r.username.clone())).collect())
            .expect("it lives")
    };
    let until = |wanted: &[(&str, &str)]| {
        let wanted: Vec<_> = wanted.iter().map(|(name, user)| (name.to_string(), user.to_string())).collect();
        while names() != wanted {
            std::thread::yield_now();
        }
    };
    until(&[("192.0.2.1:5", "me"), ("127.0.0.1:9", "u")]);
    set(10_006, "").expect("none");
    until(&[("192.0.2.1:5", "me")]);
    driver.close();
}
