//! Data packets under both ciphers, and the packets that are neither these nor of the handshake.

use crate::Book;
use crate::frames::{message, say, whole};
use crate::handshake::{ALICE_CONNECTION, ALICE_SESSION, BOB_CONNECTION, Keyed, expand, hmac_of};
use ring::aead;
use steamnetmsg::crypto::cookie::ResetKey;
use steamnetmsg::crypto::packet::{Aead, KeyLimits, PacketKeys};
use steamnetmsg::ids::{Channel, ConnectionId};
use steamnetmsg::ranges::RangeSet;
use steamnetmsg::wire::ack::AckFrame;
use steamnetmsg::wire::codec::Writer;
use steamnetmsg::wire::frame::{Frame, MessageEncoder};
use steamnetmsg::wire::packet::{self, Cookie, DataHeader, Hint, HintCode, Packet, Reset, TAG_SIZE};

/// One direction's keys, computed as the document says.
struct Derived {
    secret: [u8; 32],
    key: [u8; 32],
    iv: [u8; 12],
}

impl Derived {
    fn first(split: &[u8; 32], hash: &[u8; 32], cipher: &str) -> Derived {
        Derived::of(expand(&hmac_of(hash, &[split]), "steamnetmsg v0 data secret"), cipher)
    }

    fn of(secret: [u8; 32], cipher: &str) -> Derived {
        let key = expand(&secret, &format!("steamnetmsg v0 data key {cipher}"));
        let iv = expand(&secret, &format!("steamnetmsg v0 data iv {cipher}"));
        Derived { secret, key, iv: iv[..12].try_into().expect("12 of 32") }
    }

    fn next(&self, cipher: &str) -> Derived {
        Derived::of(expand(&self.secret, "steamnetmsg v0 key update"), cipher)
    }

    fn tell(&self, book: &mut Book, name: &str) {
        book.bytes(&format!("{name}_secret"), &self.secret);
        book.bytes(&format!("{name}_key"), &self.key);
        book.bytes(&format!("{name}_iv"), &self.iv);
    }

    /// Opens a packet with ring alone; its frames.
    fn open(&self, algorithm: &'static aead::Algorithm, pn: u64, header: usize, sealed: &[u8]) -> Vec<u8> {
        let mut nonce = self.iv;
        nonce[4..].iter_mut().zip(pn.to_be_bytes()).for_each(|(byte, number)| *byte ^= number);
        let key = aead::LessSafeKey::new(aead::UnboundKey::new(algorithm, &self.key).expect("32 bytes"));
        let (head, body) = sealed.split_at(header);
        let mut body = body.to_vec();
        let nonce = aead::Nonce::assume_unique_for_key(nonce);
        key.open_in_place(nonce, aead::Aad::from(head), &mut body).expect("the document's keys open it");
        body[..body.len() - TAG_SIZE].to_vec()
    }
}

/// One direction of the conversation: the library seals, ring alone opens.
struct Sender {
    name: &'static str,
    to: ConnectionId,
    keys: PacketKeys,
    derived: Derived,
    algorithm: &'static aead::Algorithm,
}

impl Sender {
    fn seal(&mut self, pn: u64, acked: Option<u64>, frames: &[u8]) -> Vec<u8> {
        let mut packet = Vec::new();
        let pn_len = packet::pn_len(pn, acked).expect("few are unacknowledged");
        let header = DataHeader::new(self.to, self.keys.send_phase(), pn, pn_len);
        header.encode(&mut packet);
        packet.extend_from_slice(frames);
        self.keys.seal(pn, &mut packet, 0, header.len).expect("a fresh number");
        assert_eq!(DataHeader::decode(&packet), Ok(header));
        assert_eq!(self.derived.open(self.algorithm, pn, header.len, &packet), frames);
        packet
    }

    /// Seals and tells.
    fn send(&mut self, book: &mut Book, name: &str, pn: u64, acked: Option<u64>, frames: &[u8]) -> Vec<u8> {
        let packet = self.seal(pn, acked, frames);
        self.tell(book, name, pn, &packet, frames);
        packet
    }

    fn tell(&self, book: &mut Book, name: &str, pn: u64, packet: &[u8], frames: &[u8]) {
        book.bytes(&format!("{name}_packet"), packet);
        book.value(&format!("{name}_packet_says"), format_args!("{} {pn:#x}: {}", self.name, say(frames)));
    }
}

/// Frames that have no other writer.
fn written(frames: &[Frame<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frames.iter().for_each(|frame| frame.write(&mut Writer::new(&mut bytes, 1_000)));
    bytes
}

pub fn data(book: &mut Book, keyed: &Keyed) {
    let hash = keyed.alice.handshake_hash();
    for (cipher, name, algorithm) in [
        (Aead::Aes256Gcm, "aes-256-gcm", &aead::AES_256_GCM),
        (Aead::ChaCha20Poly1305, "chacha20-poly1305", &aead::CHACHA20_POLY1305),
    ] {
        book.section(&format!("data packets, {name}"));
        let limits = KeyLimits { update_after: 2, ..KeyLimits::of(cipher) };
        let keys = PacketKeys::with_limits(&keyed.alice, cipher, limits);
        let derived = Derived::first(keyed.alice.send(), hash, name);
        let alice = Sender { name: "alice", to: BOB_CONNECTION, keys, derived, algorithm };
        let keys = PacketKeys::new(&keyed.bob, cipher);
        let derived = Derived::first(keyed.bob.send(), hash, name);
        let bob = Sender { name: "bob", to: ALICE_CONNECTION, keys, derived, algorithm };
        alice.derived.tell(book, "alice_to_bob");
        bob.derived.tell(book, "bob_to_alice");
        book.note("NAME_packet_says begins with the sender and the packet number. Opened in this order.");
        opening(book, keyed, alice, bob, name);
    }
}

fn opening(book: &mut Book, keyed: &Keyed, mut alice: Sender, mut bob: Sender, cipher: &str) {
    let mut hello = Vec::new();
    message(&mut hello, 1_000, &mut MessageEncoder::new(), whole(true, 0, 1, b"hello"));
    book.note("The reliable message 1 of channel 0, \"hello\". It may ride behind FINISH, as here.");
    let first = alice.send(book, "first", 0, None, &hello);
    book.bytes("finish_with_first_packet", &[&keyed.finish[..], &first].concat());
    bob.send(book, "hold", 0, None, &written(&[Frame::Hold]));
    alice.send(book, "request", 1, None, &written(&[Frame::Request]));
    let mut received = RangeSet::new();
    received.insert(0..2);
    let mut answer = Vec::new();
    assert!(AckFrame::write(&mut Writer::new(&mut answer, 100), &received, 1_500));
    answer.extend(written(&[Frame::Accept]));
    bob.send(book, "accept", 1, None, &answer);
    bob.send(book, "probe", 2, None, &written(&[Frame::PathProbe(0x0102_0304_0506_0708)]));
    alice.send(book, "reply", 2, Some(0), &written(&[Frame::PathReply(0x0102_0304_0506_0708)]));
    let moved = Frame::Candidates { revision: 1, list: &super::frames::candidates() };
    bob.send(book, "candidates", 3, None, &written(&[moved]));
    alice.send(book, "taken", 3, Some(0), &written(&[Frame::CandidatesTaken(1)]));
    book.note("A packet may be padded, or hold nothing.");
    alice.send(book, "padded", 4, Some(0), &[0, 1, 0, 0]);
    alice.send(book, "empty", 5, Some(0), &[]);

    let ping = written(&[Frame::Ping]);
    let late = alice.seal(6, Some(5), &ping);
    let late_and_large = alice.seal(0x01_2344, Some(0x01_2000), &ping);
    book.note("The largest acknowledged is 0x100: three bytes of number.");
    alice.send(book, "long_number", 0x01_2345, Some(0x100), &ping);

    alice.keys.handle_acked(0x01_2345);
    alice.derived = alice.derived.next(cipher);
    alice.derived.tell(book, "alice_to_bob_next");
    book.note("Under the next key, phase 1.");
    let updated = alice.send(book, "next_phase", 0x01_2346, Some(0x01_2345), &ping);
    assert_eq!(updated[0], 0xd0);
    book.note("Sealed before the key changed, and arriving after: the old key opens it.");
    alice.tell(book, "late", 0x01_2344, &late_and_large, &ping);
    book.note("2,048 numbers or more behind: refused, whatever it holds.");
    book.bytes("too_late_packet", &late);
    book.note("Every other control frame in one packet.");
    let mut all = written(&[
        Frame::IdlePropose,
        Frame::IdleConsent,
        Frame::IdleRefuse { remaining_ms: 60_000 },
        Frame::Quality { percent: 97 },
        Frame::SessionGrant { bytes: 2_097_152, messages: 2_000 },
        Frame::ChannelGrant { channel: Channel(-3), bytes: 1_048_576, messages: 1_000 },
        Frame::SessionBlocked { needed: 2_100_000 },
        Frame::ChannelBlocked { channel: Channel(-3), needed: 1_050_000 },
    ]);
    message(&mut all, 1_000, &mut MessageEncoder::new(), whole(false, -3, 1, b"unreliable"));
    alice.send(book, "every_frame", 0x01_2347, Some(0x01_2345), &all);
    bob.send(book, "close", 4, Some(1), &written(&[Frame::Close { reason: 1_001, text: "bye" }]));
    alice.send(book, "closed", 0x01_2348, Some(0x01_2347), &written(&[Frame::Closed]));
}

pub fn others(book: &mut Book) {
    book.section("other packets");
    let mut bytes = Vec::new();
    Cookie { destination: ALICE_CONNECTION, session: ALICE_SESSION, cookie: [0xcc; 16] }.encode(&mut bytes);
    book.bytes("cookie", &bytes);
    for (name, code) in [("hint_version", HintCode::OtherVersion), ("hint_app", HintCode::OtherApp)] {
        bytes.clear();
        Hint { destination: ALICE_CONNECTION, session: ALICE_SESSION, code, version: 0 }.encode(&mut bytes);
        book.bytes(name, &bytes);
    }
    book.note("Dropped on arrival, whatever it holds.");
    book.bytes("punch", &[0xe6, 1, 2, 3]);
    assert_eq!(Packet::decode(&[0xe6, 1, 2, 3]), Ok(Packet::Punch));
    bytes.clear();
    let token = ResetKey::from_seed(&[2; 32]).token(BOB_CONNECTION);
    Reset { connection: BOB_CONNECTION, token }.encode(&mut bytes);
    book.note("Bob has lost the connection he called b0b1b2b3.");
    book.bytes("reset", &bytes);
    assert_eq!(Packet::decode(&bytes), Ok(Packet::Reset(Reset { connection: BOB_CONNECTION, token })));
}
