//! Health, metrics, the page, TLS, and how the program begins and ends.

use crate::kit::*;
use rustls::pki_types::{CertificateDer, ServerName};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;

#[test]
fn health_and_the_page_are_for_everybody() {
    let server = Server::dev(&[]);
    assert_eq!(server.ask("/healthz", ""), (200, "ok\n".to_owned()));
    let (status, page) = server.ask("/", "");
    assert!(status == 200 && page.contains("FOR TRYING OUT ONLY") && page.contains("/snm/v0"), "{page}");
    assert_eq!(server.ask("/nowhere", "").0, 404);
    let page = Server::with(&config("", "")).ask("/", "").1;
    assert!(!page.contains("FOR TRYING OUT"), "{page}");
}

#[test]
fn metrics_are_for_this_machine_or_an_address_of_their_own() {
    let server =
        Server::with(&config("", "[http]\ntrusted_proxies = [\"127.0.0.1\"]\nmetrics_listen = \"127.0.0.1:0\""));
    let (status, body) = server.ask("/metrics", "");
    assert_eq!(status, 200);
    for name in
        ["snm_users_online 0", "snm_turn_dropped_total{reason=\"garbage\"} 0", "# TYPE snm_logins_total counter"]
    {
        assert!(body.contains(name), "no {name} in {body}");
    }
    assert_eq!(server.ask("/metrics", "X-Forwarded-For: 203.0.113.1\r\n").0, 403);
    let own = server.said["metrics"].as_str().expect("an address").parse().expect("an address");
    assert_eq!(ask(own, "/metrics", "").0, 200);
    assert_eq!(ask(own, "/", "").0, 404);
    let untrusting = Server::with(&config("", ""));
    assert_eq!(untrusting.ask("/metrics", "X-Forwarded-For: 127.0.0.1\r\n").0, 403, "a proxy asks, so it is not us");
}

fn page_over_tls(server: &Server, certificate: &[u8]) -> Result<String, String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(certificate.to_vec())).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let session = rustls::ClientConnection::new(Arc::new(config), name).expect("a session");
    let stream = TcpStream::connect(server.address()).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let mut stream = rustls::StreamOwned::new(session, stream);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").map_err(|e| e.to_string())?;
    let mut answer = String::new();
    match stream.read_to_string(&mut answer) {
        // Closed without a word, as HTTP may.
        Err(e) if answer.is_empty() => Err(e.to_string()),
        _ => Ok(answer),
    }
}

#[test]
fn tls_is_spoken_and_its_files_are_read_anew_on_sighup() {
    let scratch = Scratch::new();
    let first = tls_pair(&scratch, "cert.pem", "key.pem");
    let text = config("public_hosts = [\"localhost\"]", "[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"");
    let server = Server::in_folder(scratch, &text);
    assert_eq!(server.said["url"], "wss://localhost");
    assert!(page_over_tls(&server, &first).expect("TLS").ends_with("ok\n"));

    let second = tls_pair(&server.scratch, "cert.pem", "key.pem");
    assert!(page_over_tls(&server, &second).is_err(), "nobody said to read them yet");
    server.signal("HUP");
    let anew = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        page_over_tls(&server, &second).is_ok()
    });
    assert!(anew && page_over_tls(&server, &first).is_err());

    server.scratch.write("key.pem", b"no key");
    server.signal("HUP");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(page_over_tls(&server, &second).is_ok(), "a broken file leaves the old pair in use");
    server.signal("TERM");
    let (code, said) = server.ended();
    assert!(code == Some(0) && said.contains("the old TLS files stay in use") && said.contains("key.pem"), "{said}");
}

#[test]
fn a_port_that_is_taken_is_said_to_be_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port().to_string();
    let ran = run(&["--dev", "--port", &port, "--turn-port", "0"]);
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(3), "{said}");
    for word in [&format!("127.0.0.1:{port} (TCP)"), "another program has it", "--port"] {
        assert!(said.contains(word), "\"{word}\" is not in {said}");
    }
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port().to_string();
    let ran = run(&["--dev", "--port", "0", "--turn-port", &port]);
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(ran.status.code(), Some(3), "{said}");
    assert!(said.contains("(UDP)") && said.contains("--turn-port"), "{said}");
    let ran = run(&["--dev-anywhere", "--listen", "192.0.2.1:0"]);
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.code() == Some(3) && said.contains("no such address"), "{said}");
}
