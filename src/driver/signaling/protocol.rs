//! The words of the rendezvous protocol, version 0: what is said to the server, and what it says.
//!
//! Control messages are JSON, signals are binary. Bytes in JSON are base64url without padding, steam ids decimal
//! strings. What cannot be read is [`Unreadable`], whatever is wrong with it; what is new to us is nothing.

use crate::endpoint::Login;
use crate::endpoint::servers::{Secret, TurnUrl};
use crate::endpoint::signals::MAX_SIGNAL;
use crate::ids::SteamId;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// The WebSocket subprotocol.
pub(super) const SUBPROTOCOL: &str = "snm.v0";
/// Largest control message, bytes.
pub(super) const MAX_CONTROL: usize = 8_192;
/// The version of the protocol.
const VERSION: u64 = 0;
/// First bytes of binary frames.
const SIGNAL: u8 = 1;
const OFFLINE: u8 = 2;
/// Relays of one welcome that are looked at.
const MAX_TURN: usize = 16;

/// A frame that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// What the server says in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Hello(Hello),
    Welcome(Welcome),
    /// It does not let us in: an SNM_END_ number, and a text.
    Refused(i32, String),
    /// Another device has logged in as the same user.
    Replaced,
    /// Something that changes nothing here.
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) nonce: [u8; 32],
    /// Seconds since 1970 on the server's clock.
    pub(super) time: u64,
    pub(super) authorities: Vec<[u8; 32]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Welcome {
    /// Seconds since 1970 on the server's clock.
    pub(super) time: u64,
    /// A fresh certificate of ours; empty when there is none.
    pub(super) certificate: Vec<u8>,
    /// When the first of what it gave ends, on the same clock.
    pub(super) expires: Option<u64>,
    pub(super) turn: Vec<TurnOffer>,
}

/// A relay the server names, with what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct TurnOffer {
    pub(in super::super) url: TurnUrl,
    pub(in super::super) username: String,
    pub(in super::super) password: Secret,
    /// Steam's number of a place in the world, 0 unknown.
    pub(in super::super) pop: u32,
}

/// What comes in binary frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Parcel {
    /// A signal for us.
    Signal { from: SteamId, bytes: Vec<u8> },
    /// Nobody of that id is online.
    Offline(SteamId),
}

/// Reads a text frame.
pub(super) fn read_text(text: &str) -> Result<Said, Unreadable> {
    let message: Value = serde_json::from_str(text).map_err(|_| Unreadable)?;
    match message["type"].as_str().ok_or(Unreadable)? {
        "hello" => read_hello(&message).map(Said::Hello),
        "welcome" => read_welcome(&message).map(Said::Welcome),
        "refused" => {
            let reason = message["reason"].as_i64().and_then(|n| i32::try_from(n).ok()).ok_or(Unreadable)?;
            Ok(Said::Refused(reason, message["text"].as_str().unwrap_or_default().to_owned()))
        }
        "replaced" => Ok(Said::Replaced),
        _ => Ok(Said::Nothing),
    }
}

fn read_hello(message: &Value) -> Result<Hello, Unreadable> {
    if message["version"].as_u64() != Some(VERSION) {
        return Err(Unreadable);
    }
    let authorities = message["authorities"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(Hello {
        nonce: key(&message["nonce"])?,
        time: message["time"].as_u64().ok_or(Unreadable)?,
        authorities: authorities.iter().map(key).collect::<Result<_, _>>()?,
    })
}

fn read_welcome(message: &Value) -> Result<Welcome, Unreadable> {
    let certificate = match &message["certificate"] {
        Value::Null => Vec::new(),
        given => bytes(given)?,
    };
    let offers = message["turn"].as_array().map(Vec::as_slice).unwrap_or_default();
    // One we cannot use, perhaps of a later kind, takes nothing from the others.
    let (turn, ends): (Vec<_>, Vec<_>) = offers.iter().take(MAX_TURN).filter_map(read_offer).unzip();
    let expires = ends.into_iter().flatten().chain(message["expires"].as_u64()).min();
    Ok(Welcome { time: message["time"].as_u64().ok_or(Unreadable)?, certificate, expires, turn })
}

fn read_offer(offer: &Value) -> Option<(TurnOffer, Option<u64>)> {
    let text = |field: &str| offer[field].as_str().unwrap_or_default();
    let url = TurnUrl::parse(text("url")).ok()?;
    let (username, password) = (text("username").to_owned(), Secret::new(text("password")));
    Some((TurnOffer { url, username, password, pop: pop(text("pop")) }, offer["expires"].as_u64()))
}

/// Steam's number for a code of three or four letters: "abcd" is 0xddaabbcc.
fn pop(code: &str) -> u32 {
    match *code.as_bytes() {
        [a, b, c] => u32::from_be_bytes([0, a, b, c]),
        [a, b, c, d] => u32::from_be_bytes([d, a, b, c]),
        _ => 0,
    }
}

fn bytes(value: &Value) -> Result<Vec<u8>, Unreadable> {
    URL_SAFE_NO_PAD.decode(value.as_str().ok_or(Unreadable)?).map_err(|_| Unreadable)
}

fn key(value: &Value) -> Result<[u8; 32], Unreadable> {
    bytes(value)?.try_into().map_err(|_| Unreadable)
}

/// Reads a binary frame.
pub(super) fn read_binary(frame: &[u8]) -> Result<Parcel, Unreadable> {
    let (&kind, rest) = frame.split_first().ok_or(Unreadable)?;
    let (id, rest) = rest.split_first_chunk().ok_or(Unreadable)?;
    let id = SteamId(u64::from_be_bytes(*id));
    match (kind, rest.len()) {
        _ if id.0 == 0 => Err(Unreadable),
        (SIGNAL, 1..=MAX_SIGNAL) => Ok(Parcel::Signal { from: id, bytes: rest.to_vec() }),
        (OFFLINE, 0) => Ok(Parcel::Offline(id)),
        _ => Err(Unreadable),
    }
}

/// The frame that carries a signal to `to`.
pub(super) fn signal(to: SteamId, bytes: &[u8]) -> Vec<u8> {
    [&[SIGNAL], &to.0.to_be_bytes()[..], bytes].concat()
}

/// Says who we are.
pub(super) fn login(login: &Login) -> String {
    let mut message = json!({
        "type": "login",
        "steam_id": login.steam_id.0.to_string(),
        "app": login.app.0,
        "identity": URL_SAFE_NO_PAD.encode(login.identity),
        "signature": URL_SAFE_NO_PAD.encode(login.signature),
    });
    if !login.certificate.is_empty() {
        message["certificate"] = URL_SAFE_NO_PAD.encode(&login.certificate).into();
    }
    if !login.token.is_empty() {
        message["token"] = login.token.text().into();
    }
    message.to_string()
}

/// Shows a new token.
pub(super) fn token(token: &Secret) -> String {
    json!({ "type": "token", "token": token.text() }).to_string()
}

/// Asks for a new welcome.
pub(super) fn refresh() -> String {
    json!({ "type": "refresh" }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::AppId;
    use proptest::prelude::*;

    fn b64(bytes: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }

    #[test]
    fn a_hello_is_read_and_later_versions_of_it_are_not() {
        let nonce = [7; 32];
        let hello = |version: u64| {
            json!({ "type": "hello", "version": version, "server": "x", "nonce": b64(&nonce), "time": 9,
                    "authorities": [b64(&[1; 32])], "new": true })
            .to_string()
        };
        assert_eq!(read_text(&hello(0)), Ok(Said::Hello(Hello { nonce, time: 9, authorities: vec![[1; 32]] })));
        assert_eq!(read_text(&hello(1)), Err(Unreadable));
    }

    #[test]
    fn a_welcome_ends_with_the_first_of_what_it_gives() {
        let turn = json!([
            { "url": "turn:r.example:1", "username": "u", "password": "p", "pop": "fra", "expires": 50 },
            { "url": "carrier-pigeon:coop" },
        ]);
        let text = json!({ "type": "welcome", "time": 1, "certificate": b64(b"paper"), "expires": 60, "turn": turn });
        let Ok(Said::Welcome(welcome)) = read_text(&text.to_string()) else { panic!("a welcome") };
        assert_eq!((welcome.time, welcome.expires, &welcome.certificate[..]), (1, Some(50), &b"paper"[..]));
        assert_eq!(welcome.turn.len(), 1, "what cannot be used takes nothing from the others");
        assert_eq!((welcome.turn[0].username.as_str(), welcome.turn[0].pop), ("u", 0x0066_7261));
        let bare = Welcome { time: 2, certificate: vec![], expires: None, turn: vec![] };
        assert_eq!(read_text(r#"{"type":"welcome","time":2}"#), Ok(Said::Welcome(bare)));
    }

    #[test]
    fn what_is_unknown_is_nothing_and_what_is_broken_is_unreadable() {
        assert_eq!(read_text(r#"{"type":"weather"}"#), Ok(Said::Nothing));
        assert_eq!(read_text(r#"{"type":"slow","text":"x"}"#), Ok(Said::Nothing));
        assert_eq!(read_text(r#"{"type":"replaced"}"#), Ok(Said::Replaced));
        let refused = Said::Refused(4003, "no".to_owned());
        assert_eq!(read_text(r#"{"type":"refused","reason":4003,"text":"no"}"#), Ok(refused));
        for bad in ["", "{", "[]", "1", r#"{"type":1}"#, r#"{"type":"welcome"}"#, r#"{"type":"refused"}"#] {
            assert_eq!(read_text(bad), Err(Unreadable), "{bad}");
        }
    }

    #[test]
    fn signals_have_their_user_in_front_and_a_length() {
        let mut frame = signal(SteamId(0x0102), b"hi");
        assert_eq!(frame, [&[1, 0, 0, 0, 0, 0, 0, 1, 2][..], b"hi"].concat());
        assert_eq!(read_binary(&frame), Ok(Parcel::Signal { from: SteamId(0x0102), bytes: b"hi".to_vec() }));
        frame[0] = 2;
        assert_eq!(read_binary(&frame), Err(Unreadable));
        assert_eq!(read_binary(&frame[..9]), Ok(Parcel::Offline(SteamId(0x0102))));
        assert_eq!(read_binary(&signal(SteamId(5), &[])), Err(Unreadable));
        assert_eq!(read_binary(&signal(SteamId(0), b"x")), Err(Unreadable), "nobody");
        assert!(read_binary(&signal(SteamId(5), &[0; MAX_SIGNAL])).is_ok());
        assert_eq!(read_binary(&signal(SteamId(5), &[0; MAX_SIGNAL + 1])), Err(Unreadable));
    }

    #[test]
    fn a_login_says_all_there_is_and_leaves_out_what_is_not() {
        let mut papers = Login {
            steam_id: SteamId(u64::MAX),
            app: AppId(480),
            identity: [1; 32],
            signature: [2; 64],
            certificate: vec![],
            token: Secret::default(),
        };
        let said: Value = serde_json::from_str(&login(&papers)).expect("JSON");
        let expected = json!({ "type": "login", "steam_id": "18446744073709551615", "app": 480,
                               "identity": b64(&[1; 32]), "signature": b64(&[2; 64]) });
        assert_eq!(said, expected);
        (papers.certificate, papers.token) = (vec![3; 133], Secret::new("a.b.c"));
        let said: Value = serde_json::from_str(&login(&papers)).expect("JSON");
        assert_eq!((&said["certificate"], &said["token"]), (&json!(b64(&[3; 133])), &json!("a.b.c")));
    }

    proptest! {
        #[test]
        fn no_frame_breaks_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..64), text in ".{0,64}") {
            let _ = (read_binary(&bytes), read_text(&text));
        }
    }
}
