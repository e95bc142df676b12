//! Bytes ↔ what client and server tell each other: JSON in text frames, signals in binary ones.
//!
//! `docs/rendezvous.md` is the manual; reading is total and decides nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use steamnetmsg::ids::SteamId;

/// The path of the WebSocket.
pub const PATH: &str = "/snm/v0";

/// Its subprotocol.
pub const SUBPROTOCOL: &str = "snm.v0";

/// No control message is longer, bytes.
pub const MAX_CONTROL: usize = 8_192;

/// No signal is longer, bytes, and none is empty.
pub const MAX_SIGNAL: usize = 4_096;

/// What stands before a signal: its kind, and a steam id.
pub const SIGNAL_HEAD: usize = 9;

/// A signal.
const SIGNAL: u8 = 1;

/// Nobody of that id is online.
const OFFLINE: u8 = 2;

/// What a client says in a text frame.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromClient {
    /// Who he is, and the proof.
    Login(Login),
    /// He wants a new welcome.
    Refresh {},
    /// A newer token.
    Token {
        /// A JWT.
        token: String,
    },
}

/// A login as it was read; nothing of it is proven.
#[derive(Debug, Deserialize)]
pub struct Login {
    #[serde(deserialize_with = "decimal")]
    pub steam_id: SteamId,
    pub app: u32,
    #[serde(deserialize_with = "bytes")]
    pub identity: [u8; 32],
    #[serde(deserialize_with = "bytes")]
    pub signature: [u8; 64],
    #[serde(default)]
    pub certificate: Option<String>,
    #[serde(default)]
    pub token: Option<String>,
}

/// What the server says in a text frame.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromServer {
    Hello { version: u32, server: String, nonce: String, time: u64, authorities: Vec<String> },
    Welcome(Welcome),
    Refused(Refused),
    Slow { text: &'static str },
    Replaced {},
}

/// The answer to a login that is good, and to a refresh.
#[derive(Clone, Debug, Serialize)]
pub struct Welcome {
    pub time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    pub turn: Vec<TurnServer>,
    pub stun: Vec<String>,
    pub your_address: String,
}

/// A relay, and what lets this client in.
#[derive(Clone, Debug, Serialize)]
pub struct TurnServer {
    pub url: String,
    pub username: String,
    pub password: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pop: Option<String>,
    pub expires: u64,
}

/// The answer to what is not good; the connection is closed behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Of the reasons for which a session ends: 4003 who he is was not proven, 4006 he does not speak the protocol,
    /// 5001 something else.
    pub reason: i32,
    pub text: String,
}

impl FromServer {
    /// As it travels.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).expect("texts, numbers and lists of them are always JSON")
    }
}

/// A signal as a client sends it: to whom, and what.
///
/// # Errors
/// What is wrong with it.
pub fn decode_signal(frame: &[u8]) -> Result<(SteamId, &[u8]), &'static str> {
    let (head, signal) = frame.split_first_chunk::<SIGNAL_HEAD>().ok_or("a binary frame is cut short")?;
    let [kind, to @ ..] = head;
    match (*kind, signal.len()) {
        (SIGNAL, 1..=MAX_SIGNAL) => Ok((SteamId(u64::from_be_bytes(*to)), signal)),
        (SIGNAL, 0) => Err("a signal is empty"),
        (SIGNAL, _) => Err("a signal is too long"),
        _ => Err("a binary frame is of no kind that clients send"),
    }
}

/// A signal as it reaches its receiver.
pub fn encode_signal(from: SteamId, signal: &[u8]) -> Vec<u8> {
    [&[SIGNAL][..], &from.0.to_be_bytes(), signal].concat()
}

/// That nobody of this id is online.
pub fn encode_offline(to: SteamId) -> Vec<u8> {
    [&[OFFLINE][..], &to.0.to_be_bytes()].concat()
}

/// Bytes in JSON: base64url without padding.
pub fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What [`b64`] wrote; `None` if it is not.
pub fn from_b64(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn bytes<'de, const N: usize, D: serde::Deserializer<'de>>(from: D) -> Result<[u8; N], D::Error> {
    let text = String::deserialize(from)?;
    let bytes = from_b64(&text).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| serde::de::Error::custom(format!("expected {N} bytes in base64url")))
}

fn decimal<'de, D: serde::Deserializer<'de>>(from: D) -> Result<SteamId, D::Error> {
    let text = String::deserialize(from)?;
    let plain = !text.starts_with(['0', '+']) && !text.is_empty();
    let id = text.parse().ok().filter(|_| plain).map(SteamId);
    id.ok_or_else(|| serde::de::Error::custom("expected a steam id in decimal, as text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_keeps_its_bytes_and_changes_its_head() {
        let sent = [&[1][..], &7_u64.to_be_bytes(), b"hello"].concat();
        let (to, signal) = decode_signal(&sent).expect("a signal");
        assert_eq!((to, signal), (SteamId(7), &b"hello"[..]));
        assert_eq!(encode_signal(SteamId(9), signal), [&[1, 0, 0, 0, 0, 0, 0, 0, 9][..], b"hello"].concat());
        assert_eq!(encode_offline(SteamId(7)), [2, 0, 0, 0, 0, 0, 0, 0, 7]);
    }

    #[test]
    fn what_is_no_signal_is_refused() {
        let frame = |kind: u8, len: usize| [&[kind; 1][..], &[0; 8], &vec![0; len]].concat();
        assert!(decode_signal(&frame(1, 1)).is_ok() && decode_signal(&frame(1, MAX_SIGNAL)).is_ok());
        for bad in [frame(1, 0), frame(1, MAX_SIGNAL + 1), frame(2, 1), frame(0, 1), vec![], vec![1; 8]] {
            assert!(decode_signal(&bad).is_err(), "{} bytes", bad.len());
        }
    }

    #[test]
    fn a_login_is_read_and_unknown_fields_are_passed_over() {
        let (key, signature) = (b64(&[3; 32]), b64(&[4; 64]));
        let text = |id: &str| {
            format!(
                r#"{{"type":"login","steam_id":{id},"app":480,"identity":"{key}","signature":"{signature}","new":[1]}}"#
            )
        };
        let read = |id: &str| serde_json::from_str::<FromClient>(&text(id));
        let Ok(FromClient::Login(login)) = read("\"76561197960265729\"") else { panic!("no login") };
        assert_eq!((login.steam_id, login.app), (SteamId(76_561_197_960_265_729), 480));
        assert_eq!((login.identity, login.signature), ([3; 32], [4; 64]));
        for id in ["7", "\"0\"", "\"\"", "\"+7\"", "\"07\"", "\"-1\"", "\"18446744073709551616\""] {
            assert!(read(id).is_err(), "{id}");
        }
        for text in ["", "{}", "[]", r#"{"type":"hello"}"#, r#"{"type":"token"}"#, r#"{"type":7}"#] {
            assert!(serde_json::from_str::<FromClient>(text).is_err(), "{text}");
        }
        assert!(matches!(serde_json::from_str(r#"{"type":"refresh"}"#), Ok(FromClient::Refresh {})));
    }
}
