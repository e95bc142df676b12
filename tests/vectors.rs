//! The published vectors, `docs/vectors.txt`: what the wire carries for fixed secrets, byte for byte.
//!
//! They are made of the pieces of the wire and crypto rooms, so a change of what an endpoint does leaves
//! them alone, and a change of what it says breaks them. What the protocol document says of keys is
//! computed here a second time by other means. After a change that is meant, write the file anew with
//! `SNM_WRITE_VECTORS=1 cargo test --test vectors`.

use ring::{aead, digest, hmac};
use snow::params::DHChoice;
use snow::resolvers::{CryptoResolver, DefaultResolver};
use steamnetmsg::crypto::cookie::{CheckKey, CookieJar, ResetKey};
use steamnetmsg::crypto::identity::{Identity, verify_binding};
use steamnetmsg::crypto::noise::{Initiator, Prologue, Responder, Split, StaticKey};
use steamnetmsg::crypto::packet::{Aead, KeyLimits, PacketKeys};
use steamnetmsg::crypto::random::Random;
use steamnetmsg::ids::{AppId, Channel, ConnectionId, SessionId, SteamId};
use steamnetmsg::ranges::RangeSet;
use steamnetmsg::time::{Duration, Instant};
use steamnetmsg::wire::ack::AckFrame;
use steamnetmsg::wire::codec::{Reader, Writer};
use steamnetmsg::wire::frame::{Frame, Frames, MessageEncoder, MessageSlice};
use steamnetmsg::wire::identity::IdentityPayload;
use steamnetmsg::wire::packet::{
    self, Cookie, DataHeader, Finish, Hint, HintCode, Init, Packet, Reset, Response, TAG_SIZE,
};
use steamnetmsg::wire::params::Params;
use steamnetmsg::wire::varint;

const APP: AppId = AppId(480);
const ALICE: SteamId = SteamId(76_561_197_960_265_729);
const BOB: SteamId = SteamId(76_561_197_960_265_730);
const ALICE_CONNECTION: ConnectionId = ConnectionId(0x0a0b_0c0d);
const BOB_CONNECTION: ConnectionId = ConnectionId(0xb0b1_b2b3);
const ALICE_SESSION: SessionId = SessionId(0x1122_3344_5566_7788);
const BOB_SESSION: SessionId = SessionId(0x99aa_bbcc_ddee_ff00);

/// The file as it is to be.
#[derive(Default)]
struct Book(String);

impl Book {
    fn section(&mut self, title: &str) {
        self.0 += &format!("\n[{title}]\n");
    }

    fn note(&mut self, text: &str) {
        self.0 += &format!("# {text}\n");
    }

    fn value(&mut self, name: &str, value: impl std::fmt::Display) {
        self.0 += &format!("{name} = {value}\n");
    }

    /// Hex, 32 bytes a line.
    fn bytes(&mut self, name: &str, bytes: &[u8]) {
        let hex: Vec<String> = bytes.chunks(32).map(|line| line.iter().map(|b| format!("{b:02x}")).collect()).collect();
        match hex.as_slice() {
            [] => self.0 += &format!("{name} =\n"),
            [line] => self.value(name, line),
            lines => self.0 += &format!("{name} =\n  {}\n", lines.join("\n  ")),
        }
    }
}

/// One side, with every secret it uses.
struct Party {
    identity_seed: [u8; 32],
    identity: Identity,
    static_private: [u8; 32],
    static_key: StaticKey,
    ephemeral_private: [u8; 32],
    random: Random,
}

impl Party {
    fn new(byte: u8) -> Party {
        let identity_seed = [byte; 32];
        let seed = [byte | 0x10; 32];
        let mut random = Random::from_seed(seed);
        let static_key = StaticKey::generate(&mut random);
        // The same draws again, to be able to show them.
        let mut mirror = Random::from_seed(seed);
        let static_private = mirror.bytes();
        let ephemeral_private = Random::from_seed(mirror.bytes()).bytes();
        assert_eq!(&public(&static_private), static_key.public());
        let identity = Identity::from_seed(&identity_seed);
        Party { identity_seed, identity, static_private, static_key, ephemeral_private, random }
    }

    fn payload(&self, who: SteamId, session: SessionId, intended: SteamId, connection: ConnectionId) -> Vec<u8> {
        let signature = self.identity.sign_binding(APP, who, self.static_key.public(), 0);
        let key = self.identity.public_key();
        verify_binding(&key, APP, who, self.static_key.public(), 0, &signature).expect("its own signature");
        let payload = IdentityPayload {
            session,
            steam_id: who,
            intended,
            identity_key: key,
            not_after: 0,
            signature,
            certificate: &[],
            params: Params {
                session_bytes: 1_048_576,
                session_messages: 1_000,
                channel_bytes: 524_288,
                channel_messages: 500,
                aead: 3,
                reset_token: Some(ResetKey::from_seed(&self.identity_seed).token(connection)),
                ..Params::default()
            },
        };
        let mut bytes = Vec::new();
        payload.encode(&mut bytes);
        assert_eq!(IdentityPayload::decode(&bytes), Ok(payload));
        bytes
    }

    fn tell(&self, book: &mut Book, name: &str, signature_of: SteamId) {
        book.bytes(&format!("{name}_identity_seed"), &self.identity_seed);
        book.bytes(&format!("{name}_identity_public"), &self.identity.public_key());
        book.bytes(&format!("{name}_static_private"), &self.static_private);
        book.bytes(&format!("{name}_static_public"), self.static_key.public());
        book.bytes(&format!("{name}_ephemeral_private"), &self.ephemeral_private);
        book.bytes(&format!("{name}_ephemeral_public"), &public(&self.ephemeral_private));
        let signature = self.identity.sign_binding(APP, signature_of, self.static_key.public(), 0);
        book.bytes(&format!("{name}_binding_signature"), &signature);
    }
}

/// The X25519 public key of a private one.
fn public(private: &[u8; 32]) -> [u8; 32] {
    let mut dh = DefaultResolver.resolve_dh(&DHChoice::Curve25519).expect("X25519 is built in");
    dh.set(private);
    dh.pubkey().try_into().expect("32 bytes")
}

fn hmac_of(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &parts.concat());
    tag.as_ref().try_into().expect("32 bytes")
}

/// HKDF-Expand of one block at most (RFC 5869).
fn expand(prk: &[u8], info: &str) -> [u8; 32] {
    hmac_of(prk, &[info.as_bytes(), &[1]])
}

fn cut(tag: [u8; 32]) -> [u8; 16] {
    tag[..16].try_into().expect("16 of 32")
}

/// What both sides have after the handshake.
struct Keyed {
    alice: Split,
    bob: Split,
}

fn tags(book: &mut Book) {
    book.section("tags");
    let hash = digest::digest(
        &digest::SHA256,
        &[&b"steamnetmsg check value v0"[..], &APP.0.to_be_bytes(), &BOB.0.to_be_bytes()].concat(),
    );
    book.note("SHA-256(\"steamnetmsg check value v0\" | app | intended steam id)");
    book.bytes("check_key_for_bob", hash.as_ref());
    book.bytes("check_value_of_abc", &CheckKey::new(APP, BOB).value(b"abc"));
    assert_eq!(CheckKey::new(APP, BOB).value(b"abc"), cut(hmac_of(hash.as_ref(), &[b"abc"])));

    let token = |seed: u8, id| ResetKey::from_seed(&[seed; 32]).token(id);
    book.bytes("alice_reset_token", &token(1, ALICE_CONNECTION));
    book.bytes("bob_reset_token", &token(2, BOB_CONNECTION));
    let key = hmac_of(&[1; 32], &[b"steamnetmsg reset v0"]);
    assert_eq!(token(1, ALICE_CONNECTION), cut(hmac_of(&key, &[&ALICE_CONNECTION.0.to_be_bytes()])));

    book.note("Cookies are the responder's own business; this is how this implementation makes them.");
    let secret: [u8; 32] = Random::from_seed([9; 32]).bytes();
    let jar = CookieJar::new(&mut Random::from_seed([9; 32]));
    let now = Instant::ZERO + Duration::from_secs(600);
    let four = jar.cookie(now, "192.0.2.1:27015".parse().expect("an address"), ALICE_SESSION);
    let six = jar.cookie(now, "[2001:db8::1]:27015".parse().expect("an address"), ALICE_SESSION);
    book.bytes("cookie_secret", &secret);
    book.value("cookie_period", 5);
    book.bytes("cookie_for_192.0.2.1_27015", &four);
    book.bytes("cookie_for_2001:db8::1_27015", &six);
    let key = hmac_of(&secret, &[b"steamnetmsg cookie v0"]);
    let parts: [&[u8]; 4] =
        [&5u64.to_be_bytes(), &ALICE_SESSION.0.to_be_bytes(), &27_015u16.to_be_bytes(), &[192, 0, 2, 1]];
    assert_eq!(four, cut(hmac_of(&key, &parts)));
}

fn handshake(book: &mut Book) -> Keyed {
    book.section("handshake");
    let (mut alice, mut bob) = (Party::new(1), Party::new(2));
    book.value("app", APP.0);
    book.value("alice_steam_id", ALICE.0);
    book.value("bob_steam_id", BOB.0);
    book.value("alice_connection_id", format_args!("{:08x}", ALICE_CONNECTION.0));
    book.value("bob_connection_id", format_args!("{:08x}", BOB_CONNECTION.0));
    book.value("alice_session_id", format_args!("{:016x}", ALICE_SESSION.0));
    book.value("bob_session_id", format_args!("{:016x}", BOB_SESSION.0));
    alice.tell(book, "alice", ALICE);
    bob.tell(book, "bob", BOB);
    book.bytes("prologue", &[&b"steamnetmsg v0\0"[..], &APP.0.to_be_bytes(), &ALICE_SESSION.0.to_be_bytes()].concat());

    let prologue = Prologue::new(packet::WIRE_VERSION, APP, ALICE_SESSION);
    let (mut initiator, ephemeral) = Initiator::new(&alice.static_key, prologue, &mut alice.random);
    assert_eq!(ephemeral, public(&alice.ephemeral_private));
    let check = CheckKey::new(APP, BOB);
    let mut init = Vec::new();
    Init {
        version: packet::WIRE_VERSION,
        app: APP,
        source: ALICE_CONNECTION,
        session: ALICE_SESSION,
        ephemeral,
        cookie: None,
    }
    .encode(&mut init, |covered| check.value(covered));
    book.bytes("init", &init);
    match Packet::decode(&init) {
        Ok(Packet::Init { covered, check: value, .. }) => assert!(check.verify(covered, &value)),
        other => panic!("{other:?}"),
    }

    let mut responder = Responder::new(&bob.static_key, prologue, &ephemeral, &mut bob.random);
    let bobs = bob.payload(BOB, BOB_SESSION, SteamId(0), BOB_CONNECTION);
    book.bytes("response_payload", &bobs);
    let mut message = Vec::new();
    responder.write_response(&bobs, &mut message).expect("its turn");
    assert_eq!(message[..32], public(&bob.ephemeral_private));
    let mut response = Vec::new();
    Response { destination: ALICE_CONNECTION, source: BOB_CONNECTION, message: &message }.encode(&mut response);
    book.bytes("response", &response);

    let mut payload = Vec::new();
    let remote = initiator.read_response(&message, &mut payload).expect("it verifies");
    assert_eq!((&payload, &remote), (&bobs, bob.static_key.public()));
    let alices = alice.payload(ALICE, ALICE_SESSION, BOB, ALICE_CONNECTION);
    book.bytes("finish_payload", &alices);
    let mut message = Vec::new();
    let split = initiator.write_finish(&alices, &mut message).expect("its turn");
    let mut finish = Vec::new();
    Finish { destination: BOB_CONNECTION, message: &message, rest: &[] }.encode(&mut finish);
    book.note("Without the data packet that may follow in the same datagram.");
    book.bytes("finish", &finish);
    let (remote, bobs_split) = responder.read_finish(&message, &mut payload).expect("it verifies");
    assert_eq!((&payload, &remote), (&alices, alice.static_key.public()));

    book.bytes("handshake_hash", split.handshake_hash());
    book.bytes("split_initiator_to_responder", split.send());
    book.bytes("split_responder_to_initiator", split.receive());
    assert_eq!((split.send(), split.receive()), (bobs_split.receive(), bobs_split.send()));
    Keyed { alice: split, bob: bobs_split }
}

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

fn seal(keys: &mut PacketKeys, to: ConnectionId, pn: u64, acked: Option<u64>, frames: &[u8]) -> (Vec<u8>, usize) {
    let mut packet = Vec::new();
    let header = DataHeader::new(to, keys.send_phase(), pn, packet::pn_len(pn, acked).expect("few are unacknowledged"));
    header.encode(&mut packet);
    packet.extend_from_slice(frames);
    keys.seal(pn, &mut packet, 0, header.len).expect("a fresh number");
    assert_eq!(DataHeader::decode(&packet), Ok(header));
    (packet, header.len)
}

fn message(frames: &mut Vec<u8>, limit: usize, encoder: &mut MessageEncoder, slice: MessageSlice<'_>) -> u32 {
    encoder.write(&mut Writer::new(frames, limit), slice).expect("it fits")
}

fn whole(reliable: bool, channel: i32, number: u64, text: &[u8]) -> MessageSlice<'_> {
    MessageSlice { reliable, channel: Channel(channel), number, message: text, start: 0, end: text.len() as u32 }
}

fn data_packets(book: &mut Book, keyed: &Keyed) {
    let hash = keyed.alice.handshake_hash();
    let mut hello = Vec::new();
    message(&mut hello, 1_000, &mut MessageEncoder::new(), whole(true, 0, 1, b"hello"));
    for (cipher, name, algorithm) in [
        (Aead::Aes256Gcm, "aes-256-gcm", &aead::AES_256_GCM),
        (Aead::ChaCha20Poly1305, "chacha20-poly1305", &aead::CHACHA20_POLY1305),
    ] {
        book.section(&format!("data packets, {name}"));
        let to_bob = Derived::first(keyed.alice.send(), hash, name);
        let to_alice = Derived::first(keyed.bob.send(), hash, name);
        to_bob.tell(book, "alice_to_bob");
        to_alice.tell(book, "bob_to_alice");

        let limits = KeyLimits { update_after: 2, ..KeyLimits::of(cipher) };
        let mut alice = PacketKeys::with_limits(&keyed.alice, cipher, limits);
        let (first, header) = seal(&mut alice, BOB_CONNECTION, 0, None, &hello);
        book.note("Alice's packet 0: the reliable message 1 of channel 0, \"hello\". It may ride behind finish.");
        book.bytes("first_frames", &hello);
        book.bytes("first_packet", &first);
        assert_eq!(to_bob.open(algorithm, 0, header, &first), hello);

        let mut bob = PacketKeys::new(&keyed.bob, cipher);
        let mut answer = Vec::new();
        Frame::Hold.write(&mut Writer::new(&mut answer, 100));
        let (hold, _) = seal(&mut bob, ALICE_CONNECTION, 0, None, &answer);
        book.note("Bob's packet 0: HOLD.");
        book.bytes("hold_packet", &hold);
        answer.clear();
        let mut received = RangeSet::new();
        received.insert(0..1);
        assert!(AckFrame::write(&mut Writer::new(&mut answer, 100), &received, 1_500));
        Frame::Accept.write(&mut Writer::new(&mut answer, 100));
        let (accept, header) = seal(&mut bob, ALICE_CONNECTION, 1, None, &answer);
        book.note("Bob's packet 1: ACK of packet 0 after 1,500 microseconds, ACCEPT.");
        book.bytes("accept_frames", &answer);
        book.bytes("accept_packet", &accept);
        assert_eq!(to_alice.open(algorithm, 1, header, &accept), answer);

        let mut frames = Vec::new();
        Frame::Ping.write(&mut Writer::new(&mut frames, 100));
        let (long, header) = seal(&mut alice, BOB_CONNECTION, 0x01_2345, Some(0x100), &frames);
        book.note("Alice's packet 0x12345, the largest acknowledged being 0x100: PING, three bytes of number.");
        book.bytes("long_number_packet", &long);
        assert_eq!((to_bob.open(algorithm, 0x01_2345, header, &long), header), (frames.clone(), 8));

        alice.handle_acked(0x01_2345);
        let next = to_bob.next(name);
        next.tell(book, "alice_to_bob_next");
        let (updated, header) = seal(&mut alice, BOB_CONNECTION, 0x01_2346, Some(0x01_2345), &frames);
        book.note("Alice's packet 0x12346, the largest acknowledged being 0x12345: PING under the next key, phase 1.");
        book.bytes("next_phase_packet", &updated);
        assert_eq!(updated[0], 0xd0);
        assert_eq!(next.open(algorithm, 0x01_2346, header, &updated), frames);
    }
}

fn small_packets(book: &mut Book) {
    book.section("other packets");
    let mut bytes = Vec::new();
    Cookie { destination: ALICE_CONNECTION, session: ALICE_SESSION, cookie: [0xcc; 16] }.encode(&mut bytes);
    book.bytes("cookie", &bytes);
    for (name, code) in [("hint_version", HintCode::OtherVersion), ("hint_app", HintCode::OtherApp)] {
        bytes.clear();
        Hint { destination: ALICE_CONNECTION, session: ALICE_SESSION, code, version: 0 }.encode(&mut bytes);
        book.bytes(name, &bytes);
    }
    bytes.clear();
    let token = ResetKey::from_seed(&[2; 32]).token(BOB_CONNECTION);
    Reset { connection: BOB_CONNECTION, token }.encode(&mut bytes);
    book.note("Bob has lost the connection he called b0b1b2b3.");
    book.bytes("reset", &bytes);
    assert_eq!(Packet::decode(&bytes), Ok(Packet::Reset(Reset { connection: BOB_CONNECTION, token })));
}

fn numbers(book: &mut Book) {
    book.section("numbers");
    for value in [0, 1, 127, 128, 300, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
        let mut bytes = Vec::new();
        varint::encode(value, &mut bytes);
        book.bytes(&format!("varint_{value}"), &bytes);
        assert_eq!(Reader::new(&bytes).varint(), Ok(value));
    }
    for value in [0, -1, 1, 63, -64, 64, i32::MAX, i32::MIN] {
        let mut bytes = Vec::new();
        varint::encode(varint::zigzag(value), &mut bytes);
        book.bytes(&format!("channel_{value}"), &bytes);
    }
    book.note("packet number and largest acknowledged -> bytes on the wire");
    for (pn, acked) in [(0, None), (0x3fff, Some(0)), (0x4000, Some(0)), (0x4000, Some(1)), (0x3fffff, Some(0))] {
        let len = packet::pn_len(pn, acked).expect("within the window");
        let acked = acked.map_or("none".to_owned(), |n: u64| format!("{n:#x}"));
        book.value(&format!("number_bytes_{pn:#x}_after_{acked}"), len);
    }
    assert_eq!(packet::pn_len(0x40_0000, Some(0)), None);
    book.note("bytes on the wire and largest opened -> packet number");
    for (truncated, len, largest) in [
        (0x0005, 2, None),
        (0x0001, 2, Some(0xfffe)),
        (0xffff, 2, Some(0x1_0000)),
        (0x8000, 2, Some(0xffff)),
        (0x00_0001, 3, Some(0xff_fff0)),
    ] {
        let number = packet::expand(truncated, len, largest);
        let largest = largest.map_or("none".to_owned(), |n: u64| format!("{n:#x}"));
        book.value(
            &format!("number_from_{truncated:0width$x}_after_{largest}", width = len * 2),
            format_args!("{number:#x}"),
        );
    }
}

fn frames(book: &mut Book) {
    book.section("frames");
    let text = "bye";
    for (name, frame) in [
        ("ping", Frame::Ping),
        ("hold", Frame::Hold),
        ("accept", Frame::Accept),
        ("close_1001_bye", Frame::Close { reason: 1_001, text }),
        ("closed", Frame::Closed),
        ("idle_propose", Frame::IdlePropose),
        ("idle_consent", Frame::IdleConsent),
        ("idle_refuse_60000", Frame::IdleRefuse { remaining_ms: 60_000 }),
        ("quality_97", Frame::Quality { percent: 97 }),
        ("request", Frame::Request),
        ("session_grant_2097152_2000", Frame::SessionGrant { bytes: 2_097_152, messages: 2_000 }),
        (
            "channel_grant_-3_1048576_1000",
            Frame::ChannelGrant { channel: Channel(-3), bytes: 1_048_576, messages: 1_000 },
        ),
        ("session_blocked_2100000", Frame::SessionBlocked { needed: 2_100_000 }),
        ("channel_blocked_-3_1050000", Frame::ChannelBlocked { channel: Channel(-3), needed: 1_050_000 }),
        ("path_probe", Frame::PathProbe(0x0102_0304_0506_0708)),
        ("path_reply", Frame::PathReply(0x0102_0304_0506_0708)),
    ] {
        let mut bytes = Vec::new();
        frame.write(&mut Writer::new(&mut bytes, 200));
        book.bytes(name, &bytes);
        assert_eq!(Frames::new(&bytes).next_frame(), Ok(Some(frame)));
    }
    let mut received = RangeSet::new();
    [3..6, 8..9, 1_000..2_000].into_iter().for_each(|range| {
        received.insert(range);
    });
    let mut bytes = Vec::new();
    assert!(AckFrame::write(&mut Writer::new(&mut bytes, 200), &received, 2_500));
    book.note("packets 3 to 5, 8, and 1000 to 1999 have arrived, the last 2,500 microseconds ago");
    book.bytes("ack", &bytes);
    match Frames::new(&bytes).next_frame() {
        Ok(Some(Frame::Ack(ack))) => assert!(ack.ranges().eq(received.iter().rev().cloned())),
        other => panic!("{other:?}"),
    }
    message_frames(book);
}

fn message_frames(book: &mut Book) {
    book.note(
        "One packet of 120 bytes of frames: reliable \"a\" and \"bc\" as 1 and 2 of channel 0; reliable \"d\" as 9 of",
    );
    book.note("channel -3; an unreliable empty one as 4 of channel -3; then bytes 0 to the end of the packet of the");
    book.note("unreliable message 5 of channel -3, 3,000 bytes of 77.");
    let large = vec![0x77; 3_000];
    let slices = [
        whole(true, 0, 1, b"a"),
        whole(true, 0, 2, b"bc"),
        whole(true, -3, 9, b"d"),
        whole(false, -3, 4, b""),
        whole(false, -3, 5, &large),
    ];
    let (mut bytes, mut encoder) = (Vec::new(), MessageEncoder::new());
    let ends: Vec<u32> = slices.iter().map(|slice| message(&mut bytes, 120, &mut encoder, *slice)).collect();
    book.bytes("messages", &bytes);
    assert_eq!(bytes.len(), 120);
    let mut reader = Frames::new(&bytes);
    for (slice, end) in slices.iter().zip(ends) {
        match reader.next_frame() {
            Ok(Some(Frame::Message(read))) => {
                assert_eq!((read.reliable, read.channel, read.number), (slice.reliable, slice.channel, slice.number));
                assert_eq!((read.offset, read.total as usize), (0, slice.message.len()));
                assert_eq!(read.data, &slice.message[..end as usize]);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(reader.next_frame(), Ok(None));

    book.note("The last 40 bytes of that message, alone in a packet with room for more.");
    let mut bytes = Vec::new();
    let rest = MessageSlice { start: 2_960, ..slices[4] };
    assert_eq!(message(&mut bytes, 500, &mut MessageEncoder::new(), rest), 3_000);
    book.bytes("message_end", &bytes);
}

fn all() -> String {
    let mut book = Book::default();
    book.note(
        "Vectors of the wire protocol, version 0; see protocol.md. Numbers are decimal unless they are bytes or ids,",
    );
    book.note("which are hex. Lines that begin with two spaces continue the line before. Written by tests/vectors.rs.");
    numbers(&mut book);
    frames(&mut book);
    tags(&mut book);
    let keyed = handshake(&mut book);
    data_packets(&mut book, &keyed);
    small_packets(&mut book);
    book.0
}

#[test]
fn the_code_says_what_the_published_vectors_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/vectors.txt");
    let ours = all();
    if std::env::var_os("SNM_WRITE_VECTORS").is_some() {
        std::fs::write(path, &ours).expect("docs/vectors.txt can be written");
    }
    let theirs = std::fs::read_to_string(path).expect("docs/vectors.txt is there").replace("\r\n", "\n");
    let differs = ours.lines().zip(theirs.lines()).position(|(a, b)| a != b);
    let line = differs.unwrap_or(ours.lines().count().min(theirs.lines().count()));
    let (ours_there, theirs_there) = (ours.lines().nth(line), theirs.lines().nth(line));
    assert!(ours == theirs, "docs/vectors.txt:{}: it says {theirs_there:?}, the code {ours_there:?}", line + 1);
}
