//! The attackers: a forger who speaks the protocol with false papers, and a man in the middle.

use crate::stage::{APP, Mail, Mallory};
use std::net::SocketAddr;
use steamnetmsg::crypto::cookie::CheckKey;
use steamnetmsg::crypto::identity::Identity;
use steamnetmsg::crypto::noise::{Initiator, Prologue, Responder, Split, StaticKey};
use steamnetmsg::crypto::packet::{Aead, PacketKeys};
use steamnetmsg::crypto::random::Random;
use steamnetmsg::ids::{AppId, Channel, ConnectionId, SessionId, SteamId};
use steamnetmsg::time::{Duration, Instant};
use steamnetmsg::wire::codec::Writer;
use steamnetmsg::wire::frame::{Frame, Frames, MessageEncoder, MessageSlice};
use steamnetmsg::wire::identity::IdentityPayload;
use steamnetmsg::wire::packet::{DataHeader, Finish, Init, Packet, Response, TAG_SIZE, WIRE_VERSION};
use steamnetmsg::wire::params::Params;

/// What the forger shows.
#[derive(Clone)]
pub struct Papers {
    /// Whom it claims to be.
    pub steam_id: u64,
    /// What it signs with.
    pub seed: [u8; 32],
    /// The identity key it shows, if not that of the seed.
    pub key: Option<[u8; 32]>,
    /// The certificate it shows.
    pub certificate: Vec<u8>,
}

impl Papers {
    pub fn new(steam_id: u64, seed: [u8; 32], certificate: &[u8]) -> Papers {
        Papers { steam_id, seed, key: None, certificate: certificate.to_vec() }
    }
}

/// What the forger writes to whoever lets it in.
pub const FORGED: &[u8] = b"I am who I say I am";

const OURS: ConnectionId = ConnectionId(0x6666_6666);
const SESSION: SessionId = SessionId(0x6666);

/// Somebody with a handshake of its own, false in one point.
pub struct Forger {
    papers: Papers,
    static_key: StaticKey,
    random: Random,
    target: Option<(SocketAddr, u64)>,
    dial: Option<(Initiator, [u8; 32])>,
    answer: Option<(Responder, ConnectionId, Vec<u8>)>,
    keys: Option<PacketKeys>,
    /// What the victim said when it closed.
    pub told: Option<(u32, String)>,
    /// The victim believed us: it said it accepts, or finished a handshake with us.
    pub believed: bool,
    /// Somebody's identity and messages were shown to us.
    pub overheard: usize,
}

impl Forger {
    /// Who waits for victims to come.
    pub fn waiting(papers: Papers) -> Forger {
        let mut random = Random::from_seed([0x66; 32]);
        let static_key = StaticKey::generate(&mut random);
        Forger {
            papers,
            static_key,
            random,
            target: None,
            dial: None,
            answer: None,
            keys: None,
            told: None,
            believed: false,
            overheard: 0,
        }
    }

    /// Who goes to the victim: its address, its steam id.
    pub fn calling(papers: Papers, address: SocketAddr, victim: u64) -> Forger {
        Forger { target: Some((address, victim)), ..Forger::waiting(papers) }
    }

    fn hello(&self, intended: u64) -> Vec<u8> {
        let Papers { steam_id, seed, key, certificate } = &self.papers;
        let identity = Identity::from_seed(seed);
        let mut out = Vec::new();
        IdentityPayload {
            session: SESSION,
            steam_id: SteamId(*steam_id),
            intended: SteamId(intended),
            identity_key: key.unwrap_or(identity.public_key()),
            not_after: 0,
            signature: identity.sign_binding(APP, SteamId(*steam_id), self.static_key.public(), 0),
            certificate,
            params: Params { session_bytes: 1 << 20, session_messages: 99, ..Params::default() },
        }
        .encode(&mut out);
        out
    }

    fn finish(&mut self, from: SocketAddr, response: &Response<'_>) -> Mail {
        let Some((noise, _)) = &mut self.dial else { return Mail::new() };
        if noise.read_response(response.message, &mut Vec::new()).is_err() {
            return Mail::new();
        }
        self.overheard += 1;
        let hello = self.hello(self.target.map_or(0, |(_, victim)| victim));
        let Some((mut noise, _)) = self.dial.take() else { return Mail::new() };
        let mut message = Vec::new();
        let split = noise.write_finish(&hello, &mut message).expect("it is our turn");
        let mut out = Vec::new();
        Finish { destination: response.source, message: &message, rest: &[] }.encode(&mut out);
        self.write_forged(response.source, &split, &mut out);
        vec![(from, out)]
    }

    /// A message right behind the handshake, as an honest peer may send one.
    fn write_forged(&mut self, to: ConnectionId, split: &Split, out: &mut Vec<u8>) {
        let mut keys = PacketKeys::new(split, Aead::ChaCha20Poly1305);
        let start = out.len();
        DataHeader::new(to, keys.send_phase(), 0, 2).encode(out);
        let header = out.len() - start;
        let slice = MessageSlice {
            reliable: true,
            channel: Channel(0),
            number: 1,
            message: FORGED,
            start: 0,
            end: FORGED.len() as u32,
        };
        MessageEncoder::new().write(&mut Writer::new(out, 1_200 - TAG_SIZE), slice).expect("it fits");
        keys.seal(0, out, start, header).expect("the first packet");
        self.keys = Some(keys);
    }

    fn respond(&mut self, from: SocketAddr, init: &Init) -> Mail {
        if let Some((_, _, response)) = &self.answer {
            return vec![(from, response.clone())];
        }
        let prologue = Prologue::new(init.version, init.app, init.session);
        let mut noise = Responder::new(&self.static_key, prologue, &init.ephemeral, &mut self.random);
        let hello = self.hello(0);
        let (mut message, mut out) = (Vec::new(), Vec::new());
        noise.write_response(&hello, &mut message).expect("it is our turn");
        Response { destination: init.source, source: OURS, message: &message }.encode(&mut out);
        self.answer = Some((noise, init.source, out.clone()));
        vec![(from, out)]
    }

    fn read_finish(&mut self, finish: &Finish<'_>) {
        let Some((noise, _, _)) = &mut self.answer else { return };
        if noise.read_finish(finish.message, &mut Vec::new()).is_ok() {
            self.believed = true;
            self.overheard += 1;
        }
    }

    fn read_data(&mut self, bytes: &mut [u8]) {
        let (Some(keys), Ok(header)) = (&mut self.keys, DataHeader::decode(bytes)) else { return };
        let (head, body) = bytes.split_at_mut(header.len);
        // The victim numbers its packets from 0 and sends few.
        let life = Duration::from_secs(3);
        let number = u64::from(header.truncated);
        let Ok(length) = keys.open(Instant::ZERO, life, header.phase, number, head, body) else { return };
        let mut frames = Frames::new(&body[..length]);
        while let Ok(Some(frame)) = frames.next_frame() {
            match frame {
                Frame::Close { reason, text } => self.told = Some((reason, text.to_owned())),
                // Even a HOLD would mean that an app was asked about us.
                _ => self.believed = true,
            }
        }
    }
}

impl Mallory for Forger {
    fn has_lost(&self) -> bool {
        self.told.is_some()
    }

    fn start(&mut self) -> Mail {
        let Some((address, victim)) = self.target else { return Mail::new() };
        let (noise, ephemeral) =
            Initiator::new(&self.static_key, Prologue::new(WIRE_VERSION, APP, SESSION), &mut self.random);
        self.dial = Some((noise, ephemeral));
        let mut out = Vec::new();
        Init { version: WIRE_VERSION, app: APP, source: OURS, session: SESSION, ephemeral, cookie: None }
            .encode(&mut out, |covered| CheckKey::new(APP, SteamId(victim)).value(covered));
        vec![(address, out)]
    }

    fn handle(&mut self, from: SocketAddr, bytes: &[u8]) -> Mail {
        match Packet::decode(bytes) {
            Ok(Packet::Response(response)) => return self.finish(from, &response),
            Ok(Packet::Init { init, .. }) => return self.respond(from, &init),
            Ok(Packet::Finish(finish)) => self.read_finish(&finish),
            _ => self.read_data(&mut bytes.to_vec()),
        }
        Mail::new()
    }
}

/// Everything between two victims goes through it: `change` says what becomes of a datagram.
pub struct Middle<F> {
    ends: [SocketAddr; 2],
    change: F,
    /// All that passed, with where it came from.
    pub passed: Mail,
}

/// Which way a datagram goes: from the first victim to the second, or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    There,
    Back,
}

impl<F: FnMut(Way, Vec<u8>) -> Vec<(Way, Vec<u8>)>> Middle<F> {
    pub fn new(first: SocketAddr, second: SocketAddr, change: F) -> Middle<F> {
        Middle { ends: [first, second], change, passed: Mail::new() }
    }
}

impl<F: FnMut(Way, Vec<u8>) -> Vec<(Way, Vec<u8>)>> Mallory for Middle<F> {
    fn handle(&mut self, from: SocketAddr, bytes: &[u8]) -> Mail {
        self.passed.push((from, bytes.to_vec()));
        let way = if from == self.ends[0] { Way::There } else { Way::Back };
        let out = (self.change)(way, bytes.to_vec());
        out.into_iter().map(|(way, bytes)| (self.ends[if way == Way::There { 1 } else { 0 }], bytes)).collect()
    }
}

/// Rewrites the first message so that it is meant for somebody else.
pub fn redirect(bytes: &[u8], app: AppId, victim: u64) -> Vec<u8> {
    match Packet::decode(bytes) {
        Ok(Packet::Init { init, .. }) => {
            let mut out = Vec::new();
            init.encode(&mut out, |covered| CheckKey::new(app, SteamId(victim)).value(covered));
            out
        }
        _ => bytes.to_vec(),
    }
}
