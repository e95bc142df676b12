//! What the tests share: a server that ends with its test, a client of the rendezvous, players, and papers for them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use steamnetmsg::crypto::certificate::{Authority, Claims};
use steamnetmsg::ids::{AppId, SteamId};
use steamnetmsg_tool::keys::{PublicKey, Purpose, SecretKey};
use steamnetmsg_tool::{clock, token};
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_steamnetmsg-server");

/// No answer of a server on this machine takes so long, unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub const APP: u32 = 480;

/// The authority of every configuration here.
pub fn authority() -> Authority {
    Authority::from_seed(&[1; 32])
}

/// The backend of every configuration here.
pub fn backend() -> SecretKey {
    SecretKey::from_seed(Purpose::Backend, &[2; 32])
}

/// A folder that goes when the test ends.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("steamnetmsg-server-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a scratch folder");
        let scratch = Scratch(path);
        let key = SecretKey::from_seed(Purpose::Authority, &[1; 32]).encode();
        scratch.write_secret("authority.key", &key);
        scratch
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.path(name), bytes).expect("the file can be written");
        self.path(name)
    }

    pub fn write_secret(&self, name: &str, bytes: &[u8]) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.write(name, bytes);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is closed to others");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a server of these tests has in its file, beside what the test adds: keys before tables.
pub fn config(keys: &str, tables: &str) -> String {
    format!(
        "listen = [\"127.0.0.1:0\"]\nauthority_key = \"authority.key\"\n{keys}\n\
         [[app]]\nid = {APP}\nbackends = [\"{}\"]\n[turn]\nlisten = [\"127.0.0.1:0\"]\n{tables}\n",
        backend().public()
    )
}

/// A running server; killed when the test ends, or ended and asked for its exit code.
pub struct Server {
    child: Child,
    stderr: Option<JoinHandle<String>>,
    pub scratch: Scratch,
    /// The first line it said.
    pub said: Value,
}

impl Server {
    /// With `--dev`.
    pub fn dev(arguments: &[&str]) -> Server {
        Server::start(Scratch::new(), &[&["--dev", "--port", "0"], arguments].concat())
    }

    /// With this configuration file.
    pub fn with(text: &str) -> Server {
        let scratch = Scratch::new();
        Server::in_folder(scratch, text)
    }

    /// With this configuration file, beside what the folder has.
    pub fn in_folder(scratch: Scratch, text: &str) -> Server {
        let path = scratch.write("config.toml", text.as_bytes());
        let path = path.to_str().expect("UTF-8").to_owned();
        Server::start(scratch, &["--config", &path, "--log", "debug"])
    }

    fn start(scratch: Scratch, arguments: &[&str]) -> Server {
        let mut child = command(arguments).spawn().expect("the server starts");
        let mut stderr = child.stderr.take().expect("a pipe");
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let Ok(said) = serde_json::from_str(&line) else {
            let code = child.wait().expect("it ended");
            panic!("the server ended with {code}: {}", stderr.join().expect("its words"));
        };
        Server { child, stderr: Some(stderr), scratch, said }
    }

    pub fn address(&self) -> SocketAddr {
        self.said["listen"][0].as_str().expect("an address").parse().expect("an address")
    }

    /// The host as it stands in the URL of a client.
    pub fn host(&self) -> String {
        self.address().to_string()
    }

    pub fn stun(&self) -> SocketAddr {
        self.said["stun"][0].as_str().expect("an address").parse().expect("an address")
    }

    /// A signal of the system, by its name.
    pub fn signal(&self, name: &str) {
        // The shell's own: not every system has a program of that name.
        let line = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &line]).status();
        assert!(sent.expect("a shell").success());
    }

    /// Waits for its end: its exit code, and all it said to people.
    pub fn ended(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().expect("it ends").code();
        (code, self.stderr.take().expect("not taken before").join().expect("its words"))
    }

    /// Asks over HTTP: status and body.
    pub fn ask(&self, path: &str, headers: &str) -> (u16, String) {
        ask(self.address(), path, headers)
    }

    /// A metric's value, by its whole name.
    pub fn metric(&self, name: &str) -> f64 {
        let (status, body) = self.ask("/metrics", "");
        assert_eq!(status, 200, "{body}");
        let line = body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {body}")).parse().expect("a number")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let ended = self.child.try_wait();
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let said = self.stderr.take().and_then(|said| said.join().ok()).unwrap_or_default();
            eprintln!("the server had ended: {ended:?}; it said:\n{said}");
        }
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the program to its end.
pub fn run(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the program runs")
}

/// Runs `check-config` on this file: exit code and what was said.
pub fn check(scratch: &Scratch, text: &str) -> (Option<i32>, String) {
    let path = scratch.write("config.toml", text.as_bytes());
    let ran = run(&["check-config", "--config", path.to_str().expect("UTF-8")]);
    let said = [ran.stdout, ran.stderr].concat();
    (ran.status.code(), String::from_utf8(said).expect("UTF-8"))
}

/// Asks over HTTP: status and body.
pub fn ask(address: SocketAddr, path: &str, headers: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n").expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (status, answer.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned()))
}

/// Somebody with an identity key.
pub struct Player {
    pub steam_id: u64,
    pub app: u32,
    key: Ed25519KeyPair,
}

impl Player {
    /// The same number, the same player.
    pub fn new(steam_id: u64) -> Player {
        let mut seed = [9; 32];
        seed[..8].copy_from_slice(&steam_id.to_be_bytes());
        Player { steam_id, app: APP, key: Ed25519KeyPair::from_seed_unchecked(&seed).expect("a seed") }
    }

    pub fn identity(&self) -> [u8; 32] {
        self.key.public_key().as_ref().try_into().expect("32 bytes")
    }

    /// What a client says to this hello, for this host.
    pub fn login(&self, hello: &Value, host: &str) -> Value {
        let nonce = from_b64(&hello["nonce"]);
        let signed = [
            b"steamnetmsg login 0",
            &nonce[..],
            &self.app.to_be_bytes(),
            &self.steam_id.to_be_bytes(),
            &self.identity(),
            host.as_bytes(),
        ]
        .concat();
        json!({
            "type": "login", "steam_id": self.steam_id.to_string(), "app": self.app,
            "identity": b64(&self.identity()), "signature": b64(self.key.sign(&signed).as_ref()),
        })
    }

    /// A token of the backend for him, for so many seconds.
    pub fn token(&self, seconds: i64) -> String {
        self.token_of(&backend(), seconds)
    }

    pub fn token_of(&self, backend: &SecretKey, seconds: i64) -> String {
        let login = token::Login {
            steam_id: SteamId(self.steam_id),
            app: AppId(self.app),
            identity_key: PublicKey(self.identity()),
            issued_at: None,
            expires_at: clock::now().saturating_add_signed(seconds),
            issuer: None,
        };
        token::issue(backend, &login).expect("a backend's key")
    }

    /// A certificate of this authority for him, for so many seconds.
    pub fn certificate(&self, authority: &Authority, seconds: i64) -> String {
        let expires_at = clock::now().saturating_add_signed(seconds);
        let claims = Claims {
            app: AppId(self.app),
            steam_id: SteamId(self.steam_id),
            identity_key: self.identity(),
            issued_at: expires_at - 86_400,
            expires_at,
        };
        b64(authority.issue(&claims).as_bytes())
    }
}

/// A client of the rendezvous.
pub struct Client {
    pub socket: WebSocket<TcpStream>,
    pub hello: Value,
    pub host: String,
}

/// What a client hears next.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    Said(Value),
    Frame(Vec<u8>),
    Closed(Option<u16>),
}

impl Client {
    /// Connected, and greeted.
    pub fn connect(server: &Server) -> Client {
        Client::connect_with(server, &[]).expect("a WebSocket")
    }

    /// With more headers; the status if the server does not want to.
    pub fn connect_with(server: &Server, headers: &[(&'static str, &str)]) -> Result<Client, u16> {
        let host = server.host();
        let mut request = format!("ws://{host}/snm/v0").into_client_request().expect("a URL");
        request.headers_mut().insert("sec-websocket-protocol", "snm.v0".parse().expect("a value"));
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("a value"));
        }
        let stream = TcpStream::connect(server.address()).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let socket = match tungstenite::client(request, stream) {
            Ok((socket, _)) => socket,
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
                return Err(answer.status().as_u16());
            }
            Err(e) => panic!("{e}"),
        };
        let mut client = Client { socket, hello: Value::Null, host };
        client.hello = client.said();
        assert_eq!(client.hello["type"], "hello");
        Ok(client)
    }

    /// Logged in with a token.
    pub fn online(server: &Server, player: &Player) -> Client {
        let (client, answer) = Client::try_login(server, player, json!({ "token": player.token(600) }));
        assert_eq!(answer["type"], "welcome", "{answer}");
        client
    }

    /// Logs in with these fields beside the usual ones (or in their stead), and hears the answer.
    pub fn try_login(server: &Server, player: &Player, fields: Value) -> (Client, Value) {
        let mut client = Client::connect(server);
        let mut login = player.login(&client.hello, &client.host);
        for (key, value) in fields.as_object().expect("fields") {
            login[key] = value.clone();
        }
        client.say(&login);
        let answer = client.said();
        (client, answer)
    }

    pub fn say(&mut self, message: &Value) {
        self.socket.send(Message::Text(message.to_string().into())).expect("said");
    }

    pub fn send(&mut self, frame: Vec<u8>) {
        self.socket.send(Message::Binary(frame.into())).expect("sent");
    }

    /// A signal to somebody.
    pub fn signal(&mut self, to: u64, signal: &[u8]) {
        self.send(signal_frame(1, to, signal));
    }

    /// What comes next, pings aside.
    pub fn heard(&mut self) -> Heard {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => return Heard::Said(serde_json::from_str(&text).expect("JSON")),
                Ok(Message::Binary(frame)) => return Heard::Frame(frame.to_vec()),
                Ok(Message::Close(frame)) => return Heard::Closed(frame.map(|frame| frame.code.into())),
                Ok(_) => {}
                Err(tungstenite::Error::Io(e)) if e.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!("nothing is heard")
                }
                Err(_) => return Heard::Closed(None),
            }
        }
    }

    /// The next control message.
    pub fn said(&mut self) -> Value {
        match self.heard() {
            Heard::Said(value) => value,
            other => panic!("heard {other:?}"),
        }
    }

    /// Refused with this reason and these words, and closed.
    pub fn refused(mut self, answer: Value, reason: i32, words: &str) {
        assert_eq!((&answer["type"], &answer["reason"]), (&json!("refused"), &json!(reason)), "{answer}");
        assert!(answer["text"].as_str().is_some_and(|text| text.contains(words)), "\"{words}\" is not in {answer}");
        assert_eq!(self.heard(), Heard::Closed(Some(1_008)));
    }
}

pub fn signal_frame(kind: u8, id: u64, signal: &[u8]) -> Vec<u8> {
    [&[kind][..], &id.to_be_bytes(), signal].concat()
}

pub fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn from_b64(value: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(value.as_str().expect("a text")).expect("base64url")
}

/// A certificate for `localhost` and its key, in these files of the folder.
pub fn tls_pair(scratch: &Scratch, certificate: &str, key: &str) -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    scratch.write(certificate, made.cert.pem().as_bytes());
    scratch.write_secret(key, made.signing_key.serialize_pem().as_bytes());
    made.cert.der().to_vec()
}
