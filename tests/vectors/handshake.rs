//! Two parties with every secret they use, and the handshake between them.

use crate::Book;
use ring::{digest, hmac};
use snow::params::DHChoice;
use snow::resolvers::{CryptoResolver, DefaultResolver};
use steamnetmsg::crypto::cookie::{CheckKey, CookieJar, ResetKey};
use steamnetmsg::crypto::identity::{Identity, verify_binding};
use steamnetmsg::crypto::noise::{Initiator, Prologue, Responder, Split, StaticKey};
use steamnetmsg::crypto::random::Random;
use steamnetmsg::ids::{AppId, ConnectionId, SessionId, SteamId};
use steamnetmsg::time::{Duration, Instant};
use steamnetmsg::wire::identity::IdentityPayload;
use steamnetmsg::wire::packet::{self, Finish, Init, Packet, Response};
use steamnetmsg::wire::params::Params;

pub const APP: AppId = AppId(480);
pub const ALICE: SteamId = SteamId(76_561_197_960_265_729);
pub const BOB: SteamId = SteamId(76_561_197_960_265_730);
pub const ALICE_CONNECTION: ConnectionId = ConnectionId(0x0a0b_0c0d);
pub const BOB_CONNECTION: ConnectionId = ConnectionId(0xb0b1_b2b3);
pub const ALICE_SESSION: SessionId = SessionId(0x1122_3344_5566_7788);
pub const BOB_SESSION: SessionId = SessionId(0x99aa_bbcc_ddee_ff00);

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
pub fn public(private: &[u8; 32]) -> [u8; 32] {
    let mut dh = DefaultResolver.resolve_dh(&DHChoice::Curve25519).expect("X25519 is built in");
    dh.set(private);
    dh.pubkey().try_into().expect("32 bytes")
}

pub fn hmac_of(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &parts.concat());
    tag.as_ref().try_into().expect("32 bytes")
}

/// HKDF-Expand of one block at most (RFC 5869).
pub fn expand(prk: &[u8], info: &str) -> [u8; 32] {
    hmac_of(prk, &[info.as_bytes(), &[1]])
}

pub fn cut(tag: [u8; 32]) -> [u8; 16] {
    tag[..16].try_into().expect("16 of 32")
}

/// What both sides have after the handshake.
pub struct Keyed {
    /// Alice's half, the initiator's.
    pub alice: Split,
    /// Bob's.
    pub bob: Split,
    /// FINISH, with nothing behind it.
    pub finish: Vec<u8>,
}

pub fn tags(book: &mut Book) {
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

pub fn handshake(book: &mut Book) -> Keyed {
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
    let hello = Init {
        version: packet::WIRE_VERSION,
        app: APP,
        source: ALICE_CONNECTION,
        session: ALICE_SESSION,
        ephemeral,
        cookie: None,
    };
    let mut init = Vec::new();
    hello.encode(&mut init, |covered| check.value(covered));
    book.bytes("init", &init);
    match Packet::decode(&init) {
        Ok(Packet::Init { covered, check: value, .. }) => assert!(check.verify(covered, &value)),
        other => panic!("{other:?}"),
    }
    let mut again = Vec::new();
    Init { cookie: Some([0xcc; 16]), ..hello }.encode(&mut again, |covered| check.value(covered));
    book.note("The same with the cookie it was asked for, see [other packets].");
    book.bytes("init_with_cookie", &again);

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
    Keyed { alice: split, bob: bobs_split, finish }
}
