//! The client against a server on this machine, over real sockets; time is the test's own where it matters.

pub(in crate::driver) mod server;

use super::*;
use crate::crypto::identity::{Identity, verify_login};
use crate::driver::clock;
use crate::endpoint::servers::Place;
use crate::endpoint::signals::MAX_SIGNAL;
use crate::ids::AppId;
use crate::time::Duration;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mio::{Events, Poll, Waker};
use serde_json::{Value, json};
use server::{Server, Socket, Tls, hear, hear_signal, say, wait_for_end};
use std::sync::Arc;
use std::sync::mpsc;
use tungstenite::Message;

const NONCE: [u8; 32] = [7; 32];
const WHO: SteamId = SteamId(7);
const APP: AppId = AppId(480);

fn hello() -> Value {
    json!({ "type": "hello", "version": 0, "server": "a test", "nonce": URL_SAFE_NO_PAD.encode(NONCE), "time": 100,
            "authorities": [] })
}

fn welcome() -> Value {
    json!({ "type": "welcome", "time": 100 })
}

/// Lets the client in.
fn let_in(socket: &mut Socket) -> Option<Value> {
    say(socket, &hello());
    let login = hear(socket);
    say(socket, &welcome());
    login
}

/// Signaling with a poll of its own instead of a seat.
struct Stand {
    signaling: Signaling,
    poll: Poll,
    events: Events,
    /// How far the test is ahead of the clock.
    ahead: Duration,
}

impl Stand {
    fn new(url: &str, ca: &str) -> Stand {
        Stand::at(SignalingUrl::parse(url).expect("a URL").expect("some"), ca)
    }

    fn at(url: SignalingUrl, ca: &str) -> Stand {
        let poll = Poll::new().expect("a poll");
        let waker = Waker::new(poll.registry(), Token(1)).expect("a waker");
        let ring: Ring = Arc::new(move || waker.wake().expect("awake"));
        let signaling = Signaling::new(clock::now(), url, ca.to_owned(), Token(0), ring, 5);
        Stand { signaling, poll, events: Events::with_capacity(8), ahead: Duration::ZERO }
    }

    fn now(&self) -> Instant {
        clock::now() + self.ahead
    }

    /// Goes on until there is news that is wanted, and answers the server meanwhile.
    fn until<T>(&mut self, mut wanted: impl FnMut(&News) -> Option<T>) -> T {
        for _ in 0..5_000 {
            let now = self.now();
            self.signaling.exchange(now, self.poll.registry());
            while let Some(news) = self.signaling.poll_news() {
                if let News::Greeted { nonce, .. } = &news {
                    let host = self.signaling.url().authority.clone();
                    let identity = Identity::from_seed(&[9; 32]);
                    self.signaling.log_in(&Login {
                        steam_id: WHO,
                        app: APP,
                        identity: identity.public_key(),
                        signature: identity.sign_login(APP, WHO, nonce, &host),
                        certificate: vec![],
                        token: Secret::default(),
                    });
                }
                if let Some(found) = wanted(&news) {
                    return found;
                }
            }
            if !self.signaling.wants_exchange() && !self.signaling.is_busy() {
                let nap = std::time::Duration::from_millis(5);
                self.poll.poll(&mut self.events, Some(nap)).expect("no trouble");
                if self.events.iter().any(|event| event.token() == Token(0)) {
                    self.signaling.handle_readiness();
                }
            }
        }
        panic!("what was waited for did not come");
    }

    fn until_online(&mut self) {
        self.until(|news| matches!(news, News::Welcomed { again: false, .. }).then_some(()));
    }

    /// The text of the first loss.
    fn until_lost(&mut self) -> String {
        self.until(|news| if let News::Lost { text, .. } = news { Some(text.clone()) } else { None })
    }

    fn jump(&mut self, span: Duration) {
        self.ahead += span;
    }
}

#[test]
fn a_login_is_signed_for_the_host_that_was_dialled() {
    let (heard, logins) = mpsc::channel();
    let server = Server::start(None, move |_, mut socket| {
        heard.send(let_in(&mut socket)).expect("the test listens");
        wait_for_end(&mut socket);
    });
    let mut stand = Stand::new(&format!("ws://{}", server.address), "");
    stand.until_online();
    let login = logins.recv().expect("a login").expect("in JSON");
    let key = |field: &str| URL_SAFE_NO_PAD.decode(login[field].as_str().expect("text")).expect("base64url");
    let (identity, signature) = (key("identity").try_into().expect("32"), key("signature").try_into().expect("64"));
    let host = server.address.to_string();
    assert!(verify_login(&identity, APP, WHO, &NONCE, &host, &signature).is_ok());
    assert_eq!((&login["steam_id"], &login["app"]), (&json!("7"), &json!(480)));
    stand.signaling.close();
}

#[test]
fn signals_go_both_ways() {
    let server = Server::start(None, |_, mut socket| {
        let_in(&mut socket);
        while let Some(signal) = hear_signal(&mut socket) {
            let _ = socket.send(Message::binary(signal)); // the same user in front, now as the sender
        }
    });
    let mut stand = Stand::new(&format!("ws://{}", server.address), "");
    stand.until_online();
    for size in [1, 2_000, MAX_SIGNAL] {
        let sent = vec![size as u8; size];
        assert!(stand.signaling.send_signal(SteamId(8), &sent));
        let came = stand.until(|news| match news {
            News::Signal { from, bytes } => Some((*from, bytes.clone())),
            _ => None,
        });
        assert_eq!(came, (SteamId(8), sent));
    }
    stand.signaling.close();
}

#[test]
fn a_server_that_dies_is_found_again() {
    let server = Server::start(None, |number, mut socket| {
        let_in(&mut socket);
        if number > 0 {
            wait_for_end(&mut socket);
        }
    });
    let mut stand = Stand::new(&format!("ws://{}", server.address), "");
    stand.until_online();
    assert!(stand.until_lost().contains("closed the connection"));
    stand.jump(Duration::from_secs(15));
    stand.until_online();
    stand.signaling.close();
}

#[test]
fn a_refusal_says_why_and_a_new_token_is_tried_at_once() {
    let server = Server::start(None, |number, mut socket| {
        say(&mut socket, &hello());
        hear(&mut socket);
        if number == 0 {
            say(&mut socket, &json!({ "type": "refused", "reason": 4003, "text": "the token has expired" }));
        } else {
            say(&mut socket, &welcome());
            wait_for_end(&mut socket);
        }
    });
    let mut stand = Stand::new(&format!("ws://{}", server.address), "");
    let lost =
        stand.until(|news| if let News::Lost { reason, text } = news { Some((*reason, text.clone())) } else { None });
    assert_eq!(lost, (4003, "the signaling server refused the login: the token has expired".to_owned()));
    stand.jump(Duration::from_secs(5));
    stand.signaling.renew(stand.now(), Some(Secret::new("second.token")));
    stand.until_online();
    stand.signaling.close();
}

#[test]
fn a_replaced_client_stays_away() {
    let server = Server::start(None, |number, mut socket| {
        let_in(&mut socket);
        if number == 0 {
            say(&mut socket, &json!({ "type": "replaced" }));
        }
        wait_for_end(&mut socket);
    });
    let mut stand = Stand::new(&format!("ws://{}", server.address), "");
    assert!(stand.until_lost().contains("another device"));
    let back = stand.signaling.poll_timeout().expect("a time to return").saturating_since(stand.now());
    assert!(back > Duration::from_secs(20), "{back:?}");
    stand.jump(Duration::from_secs(30));
    stand.until_online();
    stand.signaling.close();
}

#[test]
fn garbage_is_told_and_changes_nothing() {
    let server = Server::start(None, |_, mut socket| {
        let_in(&mut socket);
        for message in
            [Message::text("rubbish"), Message::text("{}"), Message::binary(vec![9; 50]), Message::binary(vec![])]
        {
            let _ = socket.send(message);
        }
        let _ = socket.send(Message::binary([&[1, 0, 0, 0, 0, 0, 0, 0, 9], &b"after"[..]].concat()));
        wait_for_end(&mut socket);
    });
    let mut stand = Stand::new(&format!("ws://{}", server.address), "");
    let mut unreadable = 0;
    let bytes = stand.until(|news| {
        unreadable += usize::from(*news == News::Unreadable);
        if let News::Signal { bytes, .. } = news { Some(bytes.clone()) } else { None }
    });
    assert_eq!((unreadable, &bytes[..]), (4, &b"after"[..]));
    assert!(stand.signaling.is_online());
    stand.signaling.close();
}

#[test]
fn a_frame_beyond_the_limit_ends_the_connection() {
    for size in [protocol::MAX_CONTROL + 1, 100_000] {
        let server = Server::start(None, move |_, mut socket| {
            let_in(&mut socket);
            let _ = socket.send(Message::text("x".repeat(size)));
            wait_for_end(&mut socket);
        });
        let mut stand = Stand::new(&format!("ws://{}", server.address), "");
        assert!(stand.until_lost().contains("at most 8192"));
        stand.signaling.close();
    }
}

#[test]
fn what_is_no_signaling_server_is_told_apart() {
    type Answer = fn(&mut std::net::TcpStream);
    use std::io::{Read, Write};
    let answers: [(Answer, &str); 5] = [
        (|stream| drop(stream.write_all(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 9\r\n\r\n")), "full for now"),
        (|stream| drop(stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")), "HTTP status 404"),
        (|stream| drop(stream.write_all(b"SSH-2.0-OpenSSH\r\n\r\n")), "no WebSocket"),
        (|_| {}, "closed the connection"),
        (|stream| drop(stream.write_all(&[b'x'; 100_000])), "no WebSocket"),
    ];
    for (answer, says) in answers {
        let server = Server::raw(move |_, mut stream| {
            let _ = stream.read(&mut [0; 4_096]);
            answer(&mut stream);
        });
        let mut stand = Stand::new(&format!("ws://{}", server.address), "");
        let text = stand.until_lost();
        assert!(text.contains(says), "{text}");
    }
}

#[test]
fn a_server_that_never_answers_is_given_up_in_time() {
    let (held, connections) = mpsc::channel();
    let server = Server::raw(move |_, stream| held.send(stream).expect("the test holds it"));
    let mut stand = Stand::new(&format!("ws://{}", server.address), "");
    let mut connected = None;
    stand.until(|news| matches!(news, News::Connecting).then_some(()));
    while connected.is_none() {
        stand.signaling.exchange(stand.now(), stand.poll.registry());
        connected = connections.try_recv().ok();
    }
    stand.jump(Duration::from_secs(15));
    assert!(stand.until_lost().contains("cannot be reached"));
}

#[test]
fn a_port_where_nobody_listens_is_named() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let text = Stand::new(&format!("ws://{address}"), "").until_lost();
    assert!(text.contains(&format!("cannot connect to {address}")), "{text}");
}

#[test]
fn a_name_that_is_unknown_is_named() {
    // Not a name at all, so that no name server is asked.
    let place = Place { host: "not a host name".to_owned(), port: 1 };
    let url = SignalingUrl { secure: false, place, authority: "x".to_owned(), path: "/snm/v0".to_owned() };
    let text = Stand::at(url, "").until_lost();
    assert!(text.contains("not a host name is unknown"), "{text}");
}

#[test]
fn under_tls_the_server_has_to_prove_its_name() {
    let tls = Tls::new("name");
    let server = Server::start(Some(&tls), |_, mut socket| {
        let_in(&mut socket);
        wait_for_end(&mut socket);
    });
    let (port, ca) = (server.address.port(), tls.ca_file.to_str().expect("a path"));
    let mut stand = Stand::new(&format!("wss://localhost:{port}"), ca);
    stand.until_online();
    assert!(stand.signaling.is_believed());
    stand.signaling.close();

    let lost = |url: String, ca: &str| Stand::new(&url, ca).until_lost();
    let text = lost(format!("wss://localhost:{port}"), "");
    assert!(text.contains("issuer we do not know") && text.contains("SIGNALING_CA"), "{text}");
    let text = lost(format!("wss://127.0.0.1:{port}"), ca);
    assert!(text.contains("another name"), "{text}");
    let text = lost(format!("wss://localhost:{port}"), "no/such/file.pem");
    assert!(text.contains("cannot read no/such/file.pem"), "{text}");
    let text = lost(format!("wss://localhost:{port}"), "Cargo.toml");
    assert!(text.contains("no certificate in Cargo.toml"), "{text}");
    let plain = Server::start(None, |_, _| {});
    let text = lost(format!("wss://{}", plain.address), ca);
    assert!(text.contains("TLS") || text.contains("closed"), "{text}");
}

#[test]
fn plain_signaling_is_believed_on_this_machine_alone() {
    let believed = |secure, remote: &str| believes(secure, Some(remote.parse().expect("an address")));
    assert!(believed(false, "127.0.0.1:1") && believed(false, "[::1]:1") && believed(false, "[::ffff:127.0.0.1]:1"));
    assert!(!believed(false, "192.0.2.1:1") && !believed(false, "10.0.0.1:1") && !believed(false, "[2001:db8::1]:1"));
    assert!(!believes(false, None));
    assert!(believed(true, "192.0.2.1:1"));
}
