//! A TURN client over any way in, by hand: it shows the bytes and the error codes, which libraries keep to themselves.

use crate::kit::{Client, PATIENCE, Player, Server};
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;
use stun_types::attribute::{ErrorCode, Nonce, Realm, Username};
use stun_types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageIntegrityCredentials, MessageWriteVec, Method,
};
use stun_types::prelude::{AttributeWrite, MessageWrite, MessageWriteExt};
use turn_server_proto::types::attribute::{
    ChannelNumber, Lifetime, RequestedTransport, XorPeerAddress, XorRelayedAddress,
};
use turn_server_proto::types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH};

/// Datagrams, or the frames of a stream.
pub trait Line {
    fn send(&mut self, frame: &[u8]);
    /// The next frame; `None` if none comes in time.
    fn receive(&mut self, time: Duration) -> Option<Vec<u8>>;
}

impl Line for UdpSocket {
    fn send(&mut self, frame: &[u8]) {
        UdpSocket::send(self, frame).expect("sent");
    }

    fn receive(&mut self, time: Duration) -> Option<Vec<u8>> {
        self.set_read_timeout(Some(time)).expect("a time-out");
        let mut buffer = [0; 4_096];
        self.recv(&mut buffer).ok().map(|len| buffer[..len].to_vec())
    }
}

/// A stream of frames.
pub struct Stream<S>(pub S);

impl<S: Read + Write> Line for Stream<S> {
    fn send(&mut self, frame: &[u8]) {
        let mut padded = frame.to_vec();
        padded.resize(frame.len().next_multiple_of(4), 0);
        self.0.write_all(&padded).and_then(|()| self.0.flush()).expect("sent");
    }

    fn receive(&mut self, _: Duration) -> Option<Vec<u8>> {
        let mut head = [0; 4];
        match self.0.read_exact(&mut head) {
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => return None,
            read => read.expect("a frame"),
        }
        let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let whole = if head[0] < 4 { 20 + len } else { 4 + len };
        let mut frame = vec![0; whole.next_multiple_of(4)];
        frame[..4].copy_from_slice(&head);
        self.0.read_exact(&mut frame[4..]).expect("the rest of a frame");
        frame.truncate(whole);
        Some(frame)
    }
}

/// A TURN client.
pub struct Turn<L> {
    pub line: L,
    username: String,
    password: String,
    realm: String,
    nonce: String,
}

/// Credentials of a welcome.
pub fn credentials(server: &Server, steam_id: u64) -> (String, String) {
    let player = Player::new(steam_id);
    let proof = if server.said["url"].is_string() { json!({ "token": player.token(600) }) } else { json!({}) };
    let (_client, welcome) = Client::try_login(server, &player, proof);
    let text = |key: &str| welcome["turn"][0][key].as_str().expect("credentials").to_owned();
    (text("username"), text("password"))
}

/// A UDP socket that talks to the server's STUN port alone.
pub fn udp(server: &Server) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(server.stun()).expect("connected");
    socket
}

pub fn tcp(server: &Server) -> Stream<TcpStream> {
    let stream = TcpStream::connect(server.stun()).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    Stream(stream)
}

/// The error code of an answer; `None` for a success.
pub fn code(answer: &[u8]) -> Option<u16> {
    let answer = Message::from_bytes(answer).expect("a message");
    answer.attribute::<ErrorCode>().ok().map(|error| error.code())
}

/// An unsigned request.
pub fn plain(method: Method, attributes: &[&dyn AttributeWrite]) -> Vec<u8> {
    let mut request = Message::builder_request(method, MessageWriteVec::new());
    attributes.iter().for_each(|attribute| request.add_attribute(*attribute).expect("added"));
    request.finish()
}

impl<L: Line> Turn<L> {
    /// One that knows the challenge, with these credentials.
    pub fn new(mut line: L, (username, password): (String, String)) -> Turn<L> {
        line.send(&plain(ALLOCATE, &[&RequestedTransport::new(RequestedTransport::UDP)]));
        let answer = line.receive(PATIENCE).expect("a challenge");
        assert_eq!(code(&answer), Some(401));
        let answer = Message::from_bytes(&answer).expect("a message");
        let realm = answer.attribute::<Realm>().expect("a realm").realm().to_owned();
        let nonce = answer.attribute::<Nonce>().expect("a nonce").nonce().to_owned();
        Turn { line, username, password, realm, nonce }
    }

    pub fn of(line: L, server: &Server, steam_id: u64) -> Turn<L> {
        let credentials = credentials(server, steam_id);
        Turn::new(line, credentials)
    }

    fn secrets(&self) -> MessageIntegrityCredentials {
        LongTermKeyCredentials::new(self.username.clone(), self.password.clone(), self.realm.clone()).into()
    }

    /// The answer to a signed request; one that should be signed is checked to be.
    pub fn ask(&mut self, method: Method, attributes: &[&dyn AttributeWrite]) -> Vec<u8> {
        let request = self.signed(method, attributes);
        self.line.send(&request);
        let answer = self.line.receive(PATIENCE).expect("an answer");
        let message = Message::from_bytes(&answer).expect("a message");
        assert_eq!(message.transaction_id(), Message::from_bytes(&request).expect("ours").transaction_id());
        if !matches!(code(&answer), Some(400 | 401 | 438)) {
            message.validate_integrity(&self.secrets()).expect("the answer is signed");
        }
        answer
    }

    pub fn signed(&self, method: Method, attributes: &[&dyn AttributeWrite]) -> Vec<u8> {
        let mut request = Message::builder_request(method, MessageWriteVec::new());
        attributes.iter().for_each(|attribute| request.add_attribute(*attribute).expect("added"));
        request.add_attribute(&Username::new(&self.username).expect("a name")).expect("added");
        request.add_attribute(&Realm::new(&self.realm).expect("a realm")).expect("added");
        request.add_attribute(&Nonce::new(&self.nonce).expect("a nonce")).expect("added");
        request.add_message_integrity(&self.secrets(), IntegrityAlgorithm::Sha1).expect("signed");
        request.finish()
    }

    pub fn try_allocate(&mut self) -> Result<SocketAddr, u16> {
        let answer = self.ask(ALLOCATE, &[&RequestedTransport::new(RequestedTransport::UDP)]);
        match code(&answer) {
            Some(code) => Err(code),
            None => {
                let answer = Message::from_bytes(&answer).expect("a message");
                let relayed = answer.attribute::<XorRelayedAddress>().expect("a relayed address");
                Ok(relayed.addr(answer.transaction_id()))
            }
        }
    }

    pub fn allocate(&mut self) -> SocketAddr {
        self.try_allocate().expect("an allocation")
    }

    pub fn permit(&mut self, peers: &[SocketAddr]) -> Option<u16> {
        let id = stun_types::message::TransactionId::generate();
        // The address is masked with the id of its own request.
        let mut request = Message::builder(
            stun_types::message::MessageType::from_class_method(
                stun_types::message::MessageClass::Request,
                CREATE_PERMISSION,
            ),
            id,
            MessageWriteVec::new(),
        );
        peers.iter().for_each(|peer| request.add_attribute(&XorPeerAddress::new(*peer, id)).expect("added"));
        self.finish(request)
    }

    pub fn bind(&mut self, channel: u16, peer: SocketAddr) -> Option<u16> {
        let id = stun_types::message::TransactionId::generate();
        let class = stun_types::message::MessageClass::Request;
        let kind = stun_types::message::MessageType::from_class_method(class, CHANNEL_BIND);
        let mut request = Message::builder(kind, id, MessageWriteVec::new());
        request.add_attribute(&ChannelNumber::new(channel)).expect("added");
        request.add_attribute(&XorPeerAddress::new(peer, id)).expect("added");
        self.finish(request)
    }

    fn finish(&mut self, mut request: MessageWriteVec) -> Option<u16> {
        request.add_attribute(&Username::new(&self.username).expect("a name")).expect("added");
        request.add_attribute(&Realm::new(&self.realm).expect("a realm")).expect("added");
        request.add_attribute(&Nonce::new(&self.nonce).expect("a nonce")).expect("added");
        request.add_message_integrity(&self.secrets(), IntegrityAlgorithm::Sha1).expect("signed");
        self.line.send(&request.finish());
        code(&self.line.receive(PATIENCE).expect("an answer"))
    }

    pub fn refresh(&mut self, seconds: u32) -> Option<u16> {
        code(&self.ask(REFRESH, &[&Lifetime::new(seconds)]))
    }

    pub fn send_on(&mut self, channel: u16, data: &[u8]) {
        let head = [channel.to_be_bytes(), (data.len() as u16).to_be_bytes()].concat();
        self.line.send(&[&head[..], data].concat());
    }

    /// What came on which channel.
    pub fn received(&mut self) -> Option<(u16, Vec<u8>)> {
        let frame = self.line.receive(Duration::from_millis(500))?;
        assert!((0x40..0x80).contains(&frame[0]), "{frame:?} is no data of a channel");
        let len = usize::from(u16::from_be_bytes([frame[2], frame[3]]));
        Some((u16::from_be_bytes([frame[0], frame[1]]), frame[4..4 + len].to_vec()))
    }
}
