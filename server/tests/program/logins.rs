//! Who is let in, on what proof, and what he gets.

use crate::kit::*;
use serde_json::{Value, json};
use std::time::Duration;
use steamnetmsg::crypto::certificate::{Authority, Certificate};
use steamnetmsg_tool::clock;
use steamnetmsg_tool::keys::{PublicKey, Purpose, SecretKey};

fn server() -> Server {
    Server::with(&config("", ""))
}

#[test]
fn the_hello_says_who_is_trusted_and_never_the_same_nonce() {
    let server = server();
    let [one, two] = [0; 2].map(|_| Client::connect(&server).hello);
    assert_eq!(one["version"], 0);
    assert_eq!(from_b64(&one["nonce"]).len(), 32);
    assert_ne!(one["nonce"], two["nonce"]);
    assert_eq!(one["authorities"], json!([PublicKey(authority().public_key()).to_string()]));
    assert!(one["time"].as_u64().is_some_and(|time| time.abs_diff(clock::now()) < 5), "{one}");
}

#[test]
fn a_token_earns_a_certificate_and_credentials() {
    let (server, player) = (server(), Player::new(7));
    let (_client, welcome) = Client::try_login(&server, &player, json!({ "token": player.token(600) }));
    assert_eq!(welcome["type"], "welcome", "{welcome}");
    let certificate = Certificate::decode(&from_b64(&welcome["certificate"])).expect("a certificate");
    assert!(certificate.verify(&authority().public_key()).is_ok());
    assert_eq!((certificate.claims.steam_id.0, certificate.claims.app.0), (7, APP));
    assert_eq!(certificate.claims.identity_key, player.identity());
    assert_eq!(welcome["expires"], json!(certificate.claims.expires_at));
    assert!(certificate.claims.expires_at.abs_diff(clock::now() + 86_400) < 10);
    assert_eq!(welcome["stun"], json!([server.stun().to_string()]));
    assert!(welcome["your_address"].as_str().is_some_and(|own| own.starts_with("127.0.0.1:")), "{welcome}");
    let urls: Vec<&str> =
        welcome["turn"].as_array().expect("a list").iter().filter_map(|t| t["url"].as_str()).collect();
    let stun = server.stun();
    assert_eq!(urls, [format!("turn:{stun}?transport=udp"), format!("turn:{stun}?transport=tcp")]);
    let username = welcome["turn"][0]["username"].as_str().expect("a name");
    assert_eq!(username, format!("{}:7.{APP}", welcome["turn"][0]["expires"]));
}

#[test]
fn a_certificate_lets_its_holder_in_and_begets_none() {
    let (server, player) = (server(), Player::new(7));
    let certificate = player.certificate(&authority(), 600);
    let (_client, welcome) = Client::try_login(&server, &player, json!({ "certificate": certificate }));
    assert_eq!(welcome["type"], "welcome", "{welcome}");
    assert_eq!(welcome.get("certificate"), None);
    assert!(welcome["expires"].as_u64().is_some_and(|at| at.abs_diff(clock::now() + 600) < 5), "{welcome}");
}

#[test]
fn whatever_is_wrong_with_a_proof_it_is_refused_and_says_why() {
    let (server, player, other) = (server(), Player::new(7), Player::new(8));
    let elsewhere = SecretKey::from_seed(Purpose::Backend, &[77; 32]);
    let mut of_another_app = Player::new(7);
    of_another_app.app = 481;
    let unknown = Authority::from_seed(&[77; 32]);
    let cases: [(Value, &str); 15] = [
        (json!({}), "no certificate and no token"),
        (json!({ "signature": b64(&[0; 64]) }), "not signed for"),
        (json!({ "steam_id": "8" }), "not signed for"),
        (json!({ "app": 481 }), "app 481 is not served here"),
        (json!({ "identity": b64(&other.identity()) }), "not signed for"),
        (json!({ "identity": b64(&[[1].as_slice(), &[0; 31]].concat()) }), "anybody can sign"),
        (json!({ "token": player.token(-60) }), "expired"),
        (json!({ "token": player.token(4_000) }), "would hold for"),
        (json!({ "token": player.token_of(&elsewhere, 600) }), "not signed by any of the trusted"),
        (json!({ "token": other.token(600) }), "another steam id"),
        (json!({ "token": of_another_app.token(600) }), "is for app 481"),
        (json!({ "token": "a.b.c" }), "cannot be read"),
        (json!({ "certificate": player.certificate(&authority(), -60) }), "certificate expired 60 s ago"),
        (json!({ "certificate": player.certificate(&unknown, 600) }), "no authority trusted here"),
        (json!({ "certificate": other.certificate(&authority(), 600) }), "about somebody else"),
    ];
    let count = cases.len() as f64;
    for (fields, words) in cases {
        let (client, answer) = Client::try_login(&server, &player, fields);
        client.refused(answer, 4_003, words);
    }
    assert_eq!(server.metric("snm_refused_total"), count);
    assert_eq!(server.metric("snm_logins_total"), 0.0);
}

#[test]
fn a_login_shown_to_one_server_opens_no_other() {
    let (server, player) =
        (Server::with(&config("public_hosts = [\"Net.Example.com\", \"10.0.0.1:9\"]", "")), Player::new(7));
    for (host, lets_in) in [("net.example.com", true), ("10.0.0.1:9", true), ("evil.example", false)] {
        let mut client = Client::connect(&server);
        let mut login = player.login(&client.hello, host);
        login["token"] = json!(player.token(600));
        client.say(&login);
        let answer = client.said();
        if lets_in {
            assert_eq!(answer["type"], "welcome", "{host}");
        } else {
            client.refused(answer, 4_003, "not signed for this server");
        }
    }
}

#[test]
fn a_login_is_good_for_its_own_connection_alone() {
    let (server, player) = (server(), Player::new(7));
    let (first, mut second) = (Client::connect(&server), Client::connect(&server));
    let mut login = player.login(&first.hello, &first.host);
    login["token"] = json!(player.token(600));
    second.say(&login);
    let answer = second.said();
    second.refused(answer, 4_003, "not signed for");
}

#[test]
fn dev_certifies_whoever_proves_his_key_and_nobody_else() {
    let (server, player) = (Server::dev(&[]), Player::new(7));
    let (mut client, welcome) = Client::try_login(&server, &player, json!({}));
    let certificate = Certificate::decode(&from_b64(&welcome["certificate"])).expect("a certificate");
    let authority: PublicKey = server.said["authority"].as_str().expect("a key").parse().expect("a key");
    assert!(certificate.verify(&authority.0).is_ok());
    client.say(&json!({ "type": "refresh" }));
    assert_eq!(client.said()["type"], "welcome");
    let (client, answer) = Client::try_login(&server, &player, json!({ "signature": b64(&[0; 64]) }));
    client.refused(answer, 4_003, "not signed for");
}

#[test]
fn a_refresh_brings_new_credentials_and_a_token_a_new_certificate() {
    let (server, player) = (server(), Player::new(7));
    let (mut client, first) = Client::try_login(&server, &player, json!({ "token": player.token(600) }));
    std::thread::sleep(Duration::from_millis(1_100));
    client.say(&json!({ "type": "refresh" }));
    let second = client.said();
    assert_eq!(second["type"], "welcome", "{second}");
    assert_ne!(first["turn"][0]["username"], second["turn"][0]["username"]);
    assert_eq!(first["certificate"], second["certificate"], "without a new proof it is the old one");
    client.say(&json!({ "type": "token", "token": player.token(600) }));
    let third = client.said();
    assert_ne!(first["certificate"], third["certificate"]);
    assert!(third["expires"].as_u64() > first["expires"].as_u64());
    client.say(&json!({ "type": "token", "token": Player::new(8).token(600) }));
    let answer = client.said();
    client.refused(answer, 4_003, "another steam id");
}

#[test]
fn what_was_proven_ends_with_its_time_unless_it_is_proven_anew() {
    let (server, player) = (Server::with(&config("certificate_lifetime = \"3s\"", "")), Player::new(7));
    let (leaves, _) = Client::try_login(&server, &player, json!({ "token": player.token(600) }));
    let renews = Player::new(8);
    let (mut stays, _) = Client::try_login(&server, &renews, json!({ "token": renews.token(600) }));
    std::thread::sleep(Duration::from_millis(1_500));
    stays.say(&json!({ "type": "token", "token": renews.token(600) }));
    assert_eq!(stays.said()["type"], "welcome");
    let mut leaves = leaves;
    let answer = leaves.said();
    leaves.refused(answer, 4_003, "has expired");
    stays.say(&json!({ "type": "refresh" }));
    assert_eq!(stays.said()["type"], "welcome", "he is in for longer");
}

#[test]
fn without_an_authority_a_token_is_good_for_as_long_as_it_says() {
    let text = config("", "").replace("authority_key = \"authority.key\"\n", "");
    let (server, player) = (Server::with(&text), Player::new(7));
    let (_client, welcome) = Client::try_login(&server, &player, json!({ "token": player.token(60) }));
    assert_eq!((welcome["type"].as_str(), welcome.get("certificate")), (Some("welcome"), None));
    assert!(welcome["expires"].as_u64().is_some_and(|at| at.abs_diff(clock::now() + 60) < 5), "{welcome}");
}

#[test]
fn relays_of_others_are_handed_out_with_credentials_of_their_own_secret() {
    let relay = "[[relay]]\nurl = \"turn:relay.example.com:3478?transport=udp\"\npop = \"fra\"\nsecret = \"sixteen bytes or more\"";
    let (server, player) = (Server::with(&config("", &format!("enabled = false\n{relay}"))), Player::new(7));
    let (_client, welcome) = Client::try_login(&server, &player, json!({ "token": player.token(600) }));
    let turn = &welcome["turn"];
    assert_eq!(turn.as_array().map(Vec::len), Some(1), "{welcome}");
    assert_eq!(
        (&turn[0]["url"], &turn[0]["pop"]),
        (&json!("turn:relay.example.com:3478?transport=udp"), &json!("fra"))
    );
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"sixteen bytes or more");
    let wanted = ring::hmac::sign(&key, turn[0]["username"].as_str().expect("a name").as_bytes());
    use base64::Engine;
    assert_eq!(turn[0]["password"], json!(base64::engine::general_purpose::STANDARD.encode(wanted.as_ref())));
    assert_eq!(welcome["stun"], json!([]));
}
