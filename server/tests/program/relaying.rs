//! STUN and TURN: who may relay what to whom, how much, and how little a stranger gets.

use crate::kit::*;
use crate::stun::{Line, Stream, Turn, code, credentials, plain, tcp, udp};
use rustls::pki_types::{CertificateDer, ServerName};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};
use stun_types::attribute::XorMappedAddress;
use stun_types::message::{BINDING, Message};
use turn_server_proto::types::attribute::{EvenPort, Lifetime, RequestedTransport, XorPeerAddress};
use turn_server_proto::types::message::{ALLOCATE, CONNECT, CREATE_PERMISSION, REFRESH};

const LOOPBACK: &str = "allowed_peers = [\"127.0.0.0/8\"]";

fn relaying(more: &str) -> Server {
    Server::with(&config("", &format!("{LOOPBACK}\n{more}")))
}

fn peer() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a time-out");
    let address = socket.local_addr().expect("its address");
    (socket, address)
}

fn heard(peer: &UdpSocket) -> Option<(Vec<u8>, SocketAddr)> {
    let mut buffer = [0; 4_096];
    peer.recv_from(&mut buffer).ok().map(|(len, from)| (buffer[..len].to_vec(), from))
}

/// Waits until the port of an allocation that ended can be taken by somebody else.
fn until_free(relayed: SocketAddr) {
    let begun = Instant::now();
    while UdpSocket::bind(relayed).is_err() {
        assert!(begun.elapsed() < PATIENCE, "the port is still taken");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Both ways, through a channel.
fn relays<L: Line>(mut turn: Turn<L>) {
    let ((socket, address), relayed) = (peer(), turn.allocate());
    assert_eq!(turn.bind(0x4001, address), None);
    for data in [&b"x"[..], b"four", &[7; 1_200]] {
        turn.send_on(0x4001, data);
        assert_eq!(heard(&socket), Some((data.to_vec(), relayed)));
        socket.send_to(data, relayed).expect("sent");
        assert_eq!(turn.received(), Some((0x4001, data.to_vec())));
    }
}

#[test]
fn a_user_relays_over_udp_and_tcp() {
    let server = relaying("");
    relays(Turn::of(udp(&server), &server, 7));
    relays(Turn::of(tcp(&server), &server, 7));
    assert_eq!(server.metric("snm_turn_datagrams_total"), 12.0);
    assert_eq!(server.metric("snm_turn_allocations_total"), 2.0);
}

#[test]
fn a_user_relays_over_tls() {
    let scratch = Scratch::new();
    let certificate = tls_pair(&scratch, "cert.pem", "key.pem");
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
    let text = format!(
        "{LOOPBACK}\ntls_listen = [\"127.0.0.1:{port}\"]\n[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\""
    );
    // Signals without TLS here: a proxy has it, and credentials are had from a server of the same secret.
    let secret = "secret = \"sixteen bytes or more\"\n";
    let server = Server::in_folder(scratch, &config("", &format!("{secret}{text}")));
    let other = Server::with(&config("", &format!("{secret}{LOOPBACK}")));
    let urls = server.said["turn"].to_string();
    assert!(urls.contains(&format!("turns:127.0.0.1:{port}?transport=tcp")), "{urls}");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(certificate)).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let tls = tls.expect("versions").with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let session = rustls::ClientConnection::new(Arc::new(tls), name).expect("a session");
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    relays(Turn::new(Stream(rustls::StreamOwned::new(session, stream)), credentials(&other, 7)));
}

#[test]
fn two_clients_of_one_relay_reach_each_other_though_nobody_else_here_is_reached() {
    // No loopback peers: what is reached is the neighbour's relayed address, and nothing beside it.
    let server = Server::with(&config("", ""));
    let (mut one, mut two) = (Turn::of(udp(&server), &server, 1), Turn::of(tcp(&server), &server, 2));
    let (at_one, at_two) = (one.allocate(), two.allocate());
    assert_eq!((one.bind(0x4001, at_two), two.bind(0x4002, at_one)), (None, None));
    one.send_on(0x4001, b"there");
    assert_eq!(two.received(), Some((0x4002, b"there".to_vec())));
    two.send_on(0x4002, b"and back");
    assert_eq!(one.received(), Some((0x4001, b"and back".to_vec())));
    let (socket, address) = peer();
    assert_eq!(one.bind(0x4003, address), None, "by its address it could be a neighbour");
    one.send_on(0x4003, b"but it is none");
    assert_eq!(heard(&socket), None);
    assert_eq!(server.metric("snm_turn_dropped_total{reason=\"denied_peer\"}"), 1.0);
}

#[test]
fn a_peer_without_permission_is_not_heard() {
    let server = relaying("");
    let mut turn = Turn::of(udp(&server), &server, 7);
    let ((socket, address), relayed) = (peer(), turn.allocate());
    socket.send_to(b"unasked", relayed).expect("sent");
    assert_eq!(turn.received(), None);
    assert_eq!(turn.bind(0x4001, address), None);
    socket.send_to(b"asked", relayed).expect("sent");
    assert_eq!(turn.received(), Some((0x4001, b"asked".to_vec())));
}

#[test]
fn what_is_not_the_open_internet_is_forbidden_as_a_peer() {
    let server = Server::with(&config("", "denied_peers = [\"8.8.4.0/24\"]"));
    let mut turn = Turn::of(udp(&server), &server, 7);
    turn.allocate();
    for ip in
        ["127.0.0.2", "10.0.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "0.0.0.0", "8.8.4.4"]
    {
        let address = SocketAddr::new(ip.parse().expect("an address"), 80);
        assert_eq!((turn.permit(&[address]), turn.bind(0x4001, address)), (Some(403), Some(403)), "{ip}");
        let among = ["8.8.8.8:9".parse().expect("an address"), address];
        assert_eq!(turn.permit(&among), Some(403), "{ip} among others");
    }
    assert_eq!(turn.permit(&["8.8.8.8:9".parse().expect("an address")]), None);
    assert_eq!(server.metric("snm_turn_dropped_total{reason=\"denied_peer\"}"), 24.0);
}

#[test]
fn wrong_secrets_expired_names_and_other_users_are_refused() {
    let server = relaying("secret = \"sixteen bytes or more\"");
    let password = |name: &str, secret: &[u8]| {
        use base64::Engine;
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
        base64::engine::general_purpose::STANDARD.encode(ring::hmac::sign(&key, name.as_bytes()).as_ref())
    };
    let ask =
        |name: &str, secret: &[u8]| Turn::new(udp(&server), (name.to_owned(), password(name, secret))).try_allocate();
    let later = steamnetmsg_tool::clock::now() + 60;
    assert!(ask(&format!("{later}:7.480"), b"sixteen bytes or more").is_ok());
    assert_eq!(ask(&format!("{later}:7.480"), b"another secret"), Err(401));
    assert_eq!(ask("1000000000:7.480", b"sixteen bytes or more"), Err(401));
    assert_eq!(ask("7.480", b"sixteen bytes or more"), Err(401));
    let mut turn = Turn::of(udp(&server), &server, 7);
    turn.allocate();
    let mut thief = Turn::new(turn.line.try_clone().expect("the same socket"), credentials(&server, 8));
    assert_eq!(thief.refresh(0), Some(441), "the allocation is not his");
    assert_eq!(turn.refresh(600), None);
    assert!(server.metric("snm_turn_dropped_total{reason=\"unauthorized\"}") >= 3.0);
}

#[test]
fn an_allocation_outlives_its_credentials_and_ends_when_asked_to() {
    let server = relaying("credentials_lifetime = \"2s\"");
    let mut turn = Turn::of(udp(&server), &server, 7);
    let relayed = turn.allocate();
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(turn.refresh(600), None);
    assert_eq!(turn.try_allocate(), Err(437), "it has one");
    assert_eq!(turn.refresh(0), None);
    assert_eq!(turn.try_allocate(), Err(401), "for a new one the name has to hold");
    until_free(relayed);
}

#[test]
fn the_quota_of_a_user_is_over_all_his_addresses() {
    let server = relaying("allocations_per_user = 2\nallocations = 3");
    let allocate = |user: u64| {
        let mut turn = Turn::of(udp(&server), &server, user);
        (turn.try_allocate(), turn)
    };
    let (one, mut first) = allocate(1);
    let (two, _second) = allocate(1);
    assert!(one.is_ok() && two.is_ok());
    assert_eq!(allocate(1).0, Err(486));
    let (other, _third) = allocate(2);
    assert!(other.is_ok());
    assert_eq!(allocate(3).0, Err(508), "the server is full");
    assert_eq!(first.refresh(0), None);
    assert!(allocate(1).0.is_ok());
    assert_eq!(server.metric("snm_turn_dropped_total{reason=\"quota\"}"), 2.0);
}

#[test]
fn a_user_relays_no_more_bytes_than_he_may() {
    let server = relaying("bytes_per_second_per_user = 10000");
    let mut turn = Turn::of(udp(&server), &server, 7);
    let ((socket, address), _) = (peer(), turn.allocate());
    assert_eq!(turn.bind(0x4001, address), None);
    let begun = Instant::now();
    (0..30).for_each(|_| turn.send_on(0x4001, &[0; 1_000]));
    let heard = std::iter::from_fn(|| heard(&socket)).count();
    let most = 11 + (begun.elapsed().as_secs_f64() * 10.0) as usize;
    assert!((10..=most).contains(&heard), "{heard} of 30");
    assert!(server.metric("snm_turn_dropped_total{reason=\"too_fast\"}") >= 1.0);
}

#[test]
fn peers_of_a_client_are_bounded() {
    let server = relaying("");
    let mut turn = Turn::of(udp(&server), &server, 7);
    turn.allocate();
    let at = |n: u8| SocketAddr::from(([8, 8, 8, n], 9));
    let answers: Vec<Option<u16>> = (0..=255).map(|n| turn.permit(&[at(n)])).collect();
    assert!(answers.iter().all(Option::is_none), "{answers:?}");
    assert_eq!(turn.permit(&["8.8.9.1:9".parse().expect("an address")]), Some(508));
    assert_eq!(turn.permit(&[at(7)]), None, "those it has it may renew");
}

#[test]
fn idle_allocations_end_and_their_ports_are_free() {
    let server = relaying("idle = \"1s\"");
    let mut turn = Turn::of(udp(&server), &server, 7);
    let relayed = turn.allocate();
    until_free(relayed);
    assert_eq!(turn.refresh(600), Some(437));
}

#[test]
fn a_stream_takes_its_allocation_with_it() {
    let server = relaying("");
    let mut turn = Turn::of(tcp(&server), &server, 7);
    let relayed = turn.allocate();
    drop(turn);
    until_free(relayed);
    for garbage in [&b"GET / HTTP/1.1\r\n"[..], &[0x16, 3, 1, 0, 0], &[0, 1, 0xff, 0xff]] {
        let mut line = tcp(&server);
        std::io::Write::write_all(&mut line.0, garbage).expect("sent");
        assert!(matches!(std::io::Read::read(&mut line.0, &mut [0; 1]), Ok(0) | Err(_)));
    }
    assert_eq!(server.metric("snm_turn_dropped_total{reason=\"garbage\"}"), 3.0);
}

#[test]
fn stun_says_where_one_is() {
    let server = relaying("");
    let mut socket = udp(&server);
    Line::send(&mut socket, &plain(BINDING, &[]));
    let answer = socket.receive(PATIENCE).expect("an answer");
    let message = Message::from_bytes(&answer).expect("a message");
    let own = message.attribute::<XorMappedAddress>().expect("an address").addr(message.transaction_id());
    assert_eq!(Some(own), socket.local_addr().ok());
    assert_eq!(server.metric("snm_stun_answers_total"), 1.0);
}

#[test]
fn a_stranger_gets_three_times_his_bytes_at_most_and_few_answers() {
    let server = relaying("answers_per_second_per_source = 5\nrealm = \"the longest realm so\"");
    let transport = RequestedTransport::new(RequestedTransport::UDP);
    let requests = [
        plain(BINDING, &[]),
        plain(ALLOCATE, &[]),
        plain(ALLOCATE, &[&transport]),
        plain(REFRESH, &[]),
        plain(REFRESH, &[&Lifetime::new(600)]),
        plain(CONNECT, &[]),
        vec![0x40, 1, 0, 4, 1, 2, 3, 4],
        vec![0; 20],
        vec![0xff; 100],
    ];
    let mut socket = udp(&server);
    for request in &requests {
        Line::send(&mut socket, request);
        if let Some(answer) = socket.receive(Duration::from_millis(200)) {
            assert!(answer.len() <= 3 * request.len(), "{} for {} bytes", answer.len(), request.len());
        }
    }
    std::thread::sleep(Duration::from_secs(3));
    (0..200).for_each(|_| Line::send(&mut socket, &requests[0]));
    let answers = std::iter::from_fn(|| socket.receive(Duration::from_millis(300))).count();
    assert!((15..=25).contains(&answers), "{answers} of 200, at 5 a second with a burst of 15");
    assert!(server.metric("snm_turn_dropped_total{reason=\"too_fast\"}") > 150.0);
}

#[test]
fn what_is_not_served_is_refused_or_passed_over() {
    let server = relaying("");
    let mut turn = Turn::of(udp(&server), &server, 7);
    let transport = |protocol| RequestedTransport::new(protocol);
    assert_eq!(code(&turn.ask(ALLOCATE, &[&transport(RequestedTransport::TCP)])), Some(400));
    assert_eq!(code(&turn.ask(ALLOCATE, &[&transport(99)])), Some(442));
    assert_eq!(code(&turn.ask(ALLOCATE, &[])), Some(400));
    let even = EvenPort::new(true);
    assert_eq!(code(&turn.ask(ALLOCATE, &[&transport(RequestedTransport::UDP), &even])), Some(508));
    assert_eq!(turn.refresh(600), Some(437), "none of these made an allocation");
    assert_eq!(turn.permit(&["8.8.8.8:9".parse().expect("an address")]), Some(437));
    let id = stun_types::message::TransactionId::generate();
    let foreign = XorPeerAddress::new("8.8.8.8:9".parse().expect("an address"), id);
    let request = turn.signed(CONNECT, &[&foreign]);
    Line::send(&mut turn.line, &request);
    assert_eq!(turn.line.receive(Duration::from_millis(300)), None);
    assert_eq!(code(&turn.ask(CREATE_PERMISSION, &[&foreign])), Some(437));
}

#[test]
fn whatever_comes_in_nothing_breaks() {
    let server = relaying("answers_per_second_per_source = 100000");
    let mut turn = Turn::of(udp(&server), &server, 7);
    turn.allocate();
    let transport = RequestedTransport::new(RequestedTransport::UDP);
    let seeds = [
        plain(BINDING, &[]),
        turn.signed(ALLOCATE, &[&transport]),
        turn.signed(REFRESH, &[&Lifetime::new(600)]),
        vec![0x40, 1, 0, 4, 1, 2, 3, 4],
    ];
    // The same every time: xorshift.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for _ in 0..5_000 {
        let mut bytes = seeds[draw(seeds.len())].clone();
        for _ in 0..=draw(4) {
            let at = draw(bytes.len());
            bytes[at] = draw(256) as u8;
        }
        bytes.truncate(1 + draw(bytes.len()));
        Line::send(&mut turn.line, &bytes);
        while draw(8) == 0 && turn.line.receive(Duration::from_millis(1)).is_some() {}
    }
    while turn.line.receive(Duration::from_millis(200)).is_some() {}
    assert_eq!(turn.refresh(600), None, "the allocation is still his");
    assert!(server.metric("snm_turn_dropped_total{reason=\"garbage\"}") > 100.0);
    assert_eq!(server.metric("snm_turn_dropped_total{reason=\"fault\"}"), 0.0);
}

/// The library that games' clients use: what it makes of our challenge, answers and data is what counts in the end.
#[test]
fn a_client_by_library_allocates_permits_and_relays() {
    use turn_client_proto::api::{TurnClientApi, TurnConfig, TurnEvent, TurnPollRet, TurnRecvRet};
    use turn_client_proto::types::{TurnCredentials, stun::TransportType};
    use turn_client_proto::udp::TurnClientUdp;
    use turn_server_proto::api::Transmit;

    let server = relaying("");
    let (username, password) = credentials(&server, 7);
    let (socket, (peer, address)) = (udp(&server), peer());
    let (local, remote) = (socket.local_addr().expect("its address"), server.stun());
    socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a time-out");
    let begun = tokio::time::Instant::now();
    let time = || turn_client_proto::types::Instant::from_nanos(begun.elapsed().as_nanos() as i64);
    let mut client =
        TurnClientUdp::allocate(local, remote, TurnConfig::new(TurnCredentials::new(&username, &password)));
    let (mut relayed, mut echoed) = (None, None);
    while echoed.is_none() {
        assert!(begun.elapsed() < PATIENCE, "no echo; relayed: {relayed:?}");
        assert!(!matches!(client.poll(time()), TurnPollRet::Closed), "the library gave up");
        while let Some(transmit) = client.poll_transmit(time()) {
            socket.send(&transmit.data).expect("sent");
        }
        while let Some(event) = client.poll_event() {
            match event {
                TurnEvent::AllocationCreated(_, at) => {
                    relayed = Some(at);
                    client.bind_channel(TransportType::Udp, address, time()).expect("asked");
                }
                TurnEvent::ChannelCreated(..) => {
                    let sent = client.send_to(TransportType::Udp, address, b"ping", time()).expect("may send");
                    socket.send(&sent.expect("a frame").build().data).expect("sent");
                    assert_eq!(heard(&peer), Some((b"ping".to_vec(), relayed.expect("allocated"))));
                    peer.send_to(b"pong", relayed.expect("allocated")).expect("sent");
                }
                TurnEvent::PermissionCreated(..) => {}
                other => panic!("{other:?}"),
            }
        }
        let mut buffer = [0; 2_048];
        if let Ok(len) = socket.recv(&mut buffer) {
            let transmit = Transmit::new(&buffer[..len], TransportType::Udp, remote, local);
            if let TurnRecvRet::PeerData(data) = client.recv(transmit, time()) {
                echoed = Some((data.data().to_vec(), data.peer));
            }
        }
    }
    assert_eq!(echoed, Some((b"pong".to_vec(), address)));
}
