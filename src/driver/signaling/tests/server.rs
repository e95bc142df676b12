//! A rendezvous server that does what a test says: on this machine, with or without TLS, one connection after the
//! other.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tungstenite::handshake::server::{Request, Response};
use tungstenite::{Message, WebSocket};

/// The longest a server waits for anything: a test that fails, fails then.
const PATIENCE: Duration = Duration::from_secs(20);

pub(in crate::driver) trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

/// The server's side of one WebSocket.
pub(in crate::driver) type Socket = WebSocket<Box<dyn Wire>>;

/// A certificate for `localhost` of an authority of its own, and where that authority's certificate lies.
pub(in crate::driver) struct Tls {
    config: Arc<rustls::ServerConfig>,
    pub(in crate::driver) ca_file: PathBuf,
}

impl Tls {
    /// `name` keeps the files of tests apart.
    pub(in crate::driver) fn new(name: &str) -> Tls {
        let mut ca = CertificateParams::new([]).expect("parameters");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().expect("a key")).expect("an authority");
        let key = KeyPair::generate().expect("a key");
        let leaf = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let leaf = leaf.signed_by(&key, &ca).expect("a certificate");
        let ca_file = std::env::temp_dir().join(format!("snm-{}-{name}.pem", std::process::id()));
        std::fs::write(&ca_file, ca.pem()).expect("a place for a file");
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).expect("a key"))
            .expect("a certificate and its key");
        Tls { config: Arc::new(config), ca_file }
    }

    /// The TLS side of an accepted connection.
    pub(in crate::driver) fn accept(&self, stream: TcpStream) -> Box<dyn Wire> {
        let tls = rustls::ServerConnection::new(self.config.clone()).expect("a connection");
        Box::new(rustls::StreamOwned::new(tls, stream))
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.ca_file);
    }
}

/// A running server; it ends with this.
pub(in crate::driver) struct Server {
    pub(in crate::driver) address: SocketAddr,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves every connection with `serve`, which is told how many came before.
    pub(in crate::driver) fn raw(mut serve: impl FnMut(usize, TcpStream) + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let over = Arc::new(AtomicBool::new(false));
        let seen = over.clone();
        let thread = std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let stream = stream.expect("a connection");
                if seen.load(Ordering::SeqCst) {
                    return;
                }
                stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
                serve(number, stream);
            }
        });
        Server { address, over, thread: Some(thread) }
    }

    /// The same, after the WebSocket's handshake. Those whose handshake fails are not counted.
    pub(in crate::driver) fn start(tls: Option<&Tls>, mut serve: impl FnMut(usize, Socket) + Send + 'static) -> Server {
        let tls = tls.map(|tls| tls.config.clone());
        let mut number = 0;
        Server::raw(move |_, stream| {
            let wire: Box<dyn Wire> = match &tls {
                None => Box::new(stream),
                Some(config) => {
                    let tls = rustls::ServerConnection::new(config.clone()).expect("a connection");
                    Box::new(rustls::StreamOwned::new(tls, stream))
                }
            };
            // What a tungstenite callback has to look like.
            #[allow(clippy::result_large_err)]
            let agree = |request: &Request, mut response: Response| {
                assert_eq!(request.uri().path(), "/snm/v0");
                assert_eq!(request.headers()["Sec-WebSocket-Protocol"], "snm.v0");
                response.headers_mut().insert("Sec-WebSocket-Protocol", "snm.v0".parse().expect("a header"));
                Ok(response)
            };
            if let Ok(socket) = tungstenite::accept_hdr(wire, agree) {
                serve(number, socket);
                number += 1;
            }
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address); // so that it looks
        // A server that failed has made its test fail, or will: a panic here would hide why.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Says something in JSON.
pub(in crate::driver) fn say(socket: &mut Socket, message: &serde_json::Value) {
    let _ = socket.send(Message::text(message.to_string()));
}

/// The next words of the client, as JSON; pings and the like are answered on the way.
pub(in crate::driver) fn hear(socket: &mut Socket) -> Option<serde_json::Value> {
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => return serde_json::from_str(&text).ok(),
            Ok(Message::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

/// The next signal of the client.
pub(in crate::driver) fn hear_signal(socket: &mut Socket) -> Option<Vec<u8>> {
    loop {
        match socket.read() {
            Ok(Message::Binary(bytes)) => return Some(bytes.to_vec()),
            Ok(Message::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

/// Waits until the client has gone; what it still says is not heard. Is that by a goodbye?
pub(in crate::driver) fn wait_for_end(socket: &mut Socket) -> bool {
    loop {
        match socket.read() {
            Ok(Message::Close(_)) => return true,
            Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(_) => return false,
            Ok(_) => {}
        }
    }
}
