//! The handshake: two strangers agree on keys and show each other their static ones.
//!
//! `Noise_XX_25519_ChaChaPoly_SHA256` (The Noise Protocol Framework, revision 34, section 7.5), by `snow`:
//! `→ e`, `← e, ee, s, es, payload`, `→ s, se, payload`. Payloads are bytes here; see `wire::identity`.
//!
//! Anyone can send us a message, so a bad one must not end the handshake. A message that fails before the
//! peer's static key is revealed leaves the Noise state whole; one that gets further (a true message with a
//! broken end, or a flawless one from an impostor, whom only the payload gives away) has moved it. Then
//! the state is made anew: all it depends on is kept, and all randomness comes from a kept seed.

use super::CryptoError;
use super::random::Random;
use crate::ids::{AppId, SessionId};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash};
use snow::{Builder, HandshakeState};
use std::fmt;
use zeroize::Zeroizing;

/// What message 2 takes besides its payload, bytes.
pub const RESPONSE_OVERHEAD: usize = 32 + (32 + 16) + 16;
/// What message 3 takes besides its payload, bytes.
pub const FINISH_OVERHEAD: usize = (32 + 16) + 16;

const PATTERN: &str = "Noise_XX_25519_ChaChaPoly_SHA256";
const LABEL: &[u8; 14] = b"steamnetmsg v0";

/// What both sides must agree on before the first message: `[label][version u8][app u32][initiator's session u64]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prologue([u8; LABEL.len() + 1 + 4 + 8]);

impl Prologue {
    /// The prologue of a handshake begun by `initiator`'s session, in this wire version and app.
    pub fn new(version: u8, app: AppId, initiator: SessionId) -> Prologue {
        let mut bytes = [0; LABEL.len() + 1 + 4 + 8];
        bytes[..14].copy_from_slice(LABEL);
        bytes[14] = version;
        bytes[15..19].copy_from_slice(&app.0.to_be_bytes());
        bytes[19..].copy_from_slice(&initiator.0.to_be_bytes());
        Prologue(bytes)
    }
}

/// An X25519 key pair (RFC 7748), made per endpoint and run.
#[derive(Clone)]
pub struct StaticKey {
    private: Zeroizing<[u8; 32]>,
    public: [u8; 32],
}

impl StaticKey {
    /// A new key pair.
    pub fn generate(random: &mut Random) -> StaticKey {
        let private = Zeroizing::new(random.bytes());
        let mut dh = DefaultResolver.resolve_dh(&DHChoice::Curve25519).expect("X25519 is built in");
        dh.set(&*private);
        StaticKey { private, public: dh.pubkey().try_into().expect("an X25519 public key has 32 bytes") }
    }

    /// The public key.
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }
}

impl fmt::Debug for StaticKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StaticKey(…)")
    }
}

/// What a finished handshake leaves: a secret for each direction, and a hash that names the handshake.
pub struct Split {
    send: Zeroizing<[u8; 32]>,
    receive: Zeroizing<[u8; 32]>,
    hash: [u8; 32],
}

impl Split {
    /// The secret of what we send. The peer receives with the same.
    pub fn send(&self) -> &[u8; 32] {
        &self.send
    }

    /// The secret of what we receive.
    pub fn receive(&self) -> &[u8; 32] {
        &self.receive
    }

    /// The hash over all that was said; equal on both sides, and of no other handshake.
    pub fn handshake_hash(&self) -> &[u8; 32] {
        &self.hash
    }

    fn of(state: &mut HandshakeState) -> Split {
        let (to_responder, to_initiator) = state.dangerously_get_raw_split();
        let (to_responder, to_initiator) = (Zeroizing::new(to_responder), Zeroizing::new(to_initiator));
        let hash = state.get_handshake_hash().try_into().expect("SHA-256 gives 32 bytes");
        if state.is_initiator() {
            Split { send: to_responder, receive: to_initiator, hash }
        } else {
            Split { send: to_initiator, receive: to_responder, hash }
        }
    }
}

impl fmt::Debug for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Split(…)")
    }
}

/// All that our side of a handshake depends on, kept so that its state can be made again.
#[derive(Clone)]
struct Origin {
    key: StaticKey,
    prologue: Prologue,
    seed: Zeroizing<[u8; 32]>,
}

impl Origin {
    fn new(key: &StaticKey, prologue: Prologue, random: &mut Random) -> Origin {
        Origin { key: key.clone(), prologue, seed: Zeroizing::new(random.bytes()) }
    }

    fn builder(&self) -> Builder<'_> {
        let params = PATTERN.parse().expect("the pattern is one that snow knows");
        Builder::with_resolver(params, Box::new(Seeded(self.seed.clone())))
            .local_private_key(&*self.key.private)
            .and_then(|builder| builder.prologue(&self.prologue.0))
            .expect("each is set once")
    }

    /// The initiator's state after message 1, and that message.
    fn initiate(&self) -> (HandshakeState, [u8; 32]) {
        let mut state = self.builder().build_initiator().expect("XX needs no more than a static key");
        // snow asks for the room of a tag even where nothing is encrypted yet.
        let mut message = [0; 32 + 16];
        let written = state.write_message(&[], &mut message).expect("message 1 computes nothing that could fail");
        debug_assert_eq!(written, 32);
        let (ephemeral, _) = message.split_first_chunk().expect("32 of 48 bytes");
        (state, *ephemeral)
    }

    /// The responder's state after message 1.
    fn respond(&self, ephemeral: &[u8; 32]) -> HandshakeState {
        let mut state = self.builder().build_responder().expect("XX needs no more than a static key");
        state.read_message(ephemeral, &mut []).expect("any 32 bytes are a message 1");
        state
    }
}

/// The side that speaks first.
pub struct Initiator {
    origin: Origin,
    state: HandshakeState,
    finished: bool,
}

impl Initiator {
    /// Begins a handshake; gives message 1 too, an ephemeral public key.
    pub fn new(key: &StaticKey, prologue: Prologue, random: &mut Random) -> (Initiator, [u8; 32]) {
        let origin = Origin::new(key, prologue, random);
        let (state, ephemeral) = origin.initiate();
        (Initiator { origin, state, finished: false }, ephemeral)
    }

    /// Reads a message 2: puts its payload in place of what `payload` held, and gives the static key of whoever
    /// wrote it, *which may be anyone*. Unless the payload proves otherwise, read the next message 2
    /// as if this one had never come.
    ///
    /// # Errors
    /// [`CryptoError::BadHandshake`] when it does not verify (`payload` is empty then),
    /// [`CryptoError::OutOfTurn`] after message 3 was written.
    pub fn read_response(&mut self, message: &[u8], payload: &mut Vec<u8>) -> Result<[u8; 32], CryptoError> {
        if self.finished {
            return Err(CryptoError::OutOfTurn);
        }
        if moved(&self.state) {
            (self.state, _) = self.origin.initiate();
        }
        read(&mut self.state, message, payload)
    }

    /// Appends message 3 to `out` in answer to the message 2 read last, and ends the handshake.
    ///
    /// # Errors
    /// [`CryptoError::OutOfTurn`] when no message 2 was read, the last one was bad, or message 3 was written
    /// before (another payload under the same key would betray both: keep the message to repeat it).
    pub fn write_finish(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<Split, CryptoError> {
        write(&mut self.state, payload, FINISH_OVERHEAD, out)?;
        self.finished = true;
        Ok(Split::of(&mut self.state))
    }
}

/// The side that answers.
pub struct Responder {
    origin: Origin,
    ephemeral: [u8; 32],
    /// The payload of message 2, once written.
    payload: Option<Box<[u8]>>,
    state: HandshakeState,
}

impl Responder {
    /// Reads message 1, `ephemeral`. It proves nothing.
    pub fn new(key: &StaticKey, prologue: Prologue, ephemeral: &[u8; 32], random: &mut Random) -> Responder {
        let origin = Origin::new(key, prologue, random);
        let state = origin.respond(ephemeral);
        Responder { origin, ephemeral: *ephemeral, payload: None, state }
    }

    /// Appends message 2 to `out`.
    ///
    /// # Errors
    /// [`CryptoError::OutOfTurn`] when it was written before: keep it to repeat it.
    pub fn write_response(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), CryptoError> {
        write(&mut self.state, payload, RESPONSE_OVERHEAD, out)?;
        self.payload = Some(payload.into());
        Ok(())
    }

    /// Reads a message 3 and ends the handshake: puts its payload in place of what `payload` held, and gives
    /// the initiator's static key. A bad message changes nothing: the true one still works.
    ///
    /// # Errors
    /// [`CryptoError::BadHandshake`] when it does not verify (`payload` is empty then),
    /// [`CryptoError::OutOfTurn`] before message 2 was written.
    pub fn read_finish(&mut self, message: &[u8], payload: &mut Vec<u8>) -> Result<([u8; 32], Split), CryptoError> {
        let Some(ours) = &self.payload else {
            return Err(CryptoError::OutOfTurn);
        };
        if moved(&self.state) {
            self.state = self.origin.respond(&self.ephemeral);
            // Seed and payload are those of the first time, so this is the message that was sent.
            write(&mut self.state, ours, RESPONSE_OVERHEAD, &mut Vec::new())?;
        }
        let remote = read(&mut self.state, message, payload)?;
        Ok((remote, Split::of(&mut self.state)))
    }
}

/// Has a message been read as far as the peer's static key? Up to there, `snow` undoes what a bad one did.
fn moved(state: &HandshakeState) -> bool {
    state.get_remote_static().is_some()
}

fn read(state: &mut HandshakeState, message: &[u8], payload: &mut Vec<u8>) -> Result<[u8; 32], CryptoError> {
    payload.clear();
    payload.resize(message.len(), 0);
    // Nothing unverified is left behind.
    let read = state.read_message(message, payload);
    payload.truncate(*read.as_ref().unwrap_or(&0));
    read.map_err(|_| CryptoError::BadHandshake)?;
    state.get_remote_static().and_then(|key| key.try_into().ok()).ok_or(CryptoError::BadHandshake)
}

fn write(state: &mut HandshakeState, payload: &[u8], overhead: usize, out: &mut Vec<u8>) -> Result<(), CryptoError> {
    let start = out.len();
    out.resize(start + payload.len() + overhead, 0);
    match state.write_message(payload, &mut out[start..]) {
        Ok(written) => out.truncate(start + written),
        Err(error) => {
            out.truncate(start);
            return Err(match error {
                snow::Error::State(_) => CryptoError::OutOfTurn,
                // A payload over the 65,535 bytes of a Noise message.
                _ => CryptoError::OutOfBounds,
            });
        }
    }
    Ok(())
}

/// `snow`'s own primitives, with our randomness in place of the system's.
struct Seeded(Zeroizing<[u8; 32]>);

impl CryptoResolver for Seeded {
    fn resolve_rng(&self) -> Option<Box<dyn snow::types::Random>> {
        Some(Box::new(Random::from_seed(*self.0)))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

impl snow::types::Random for Random {
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), snow::Error> {
        self.fill(out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(seed: u8) -> Random {
        Random::from_seed([seed; 32])
    }

    fn prologue() -> Prologue {
        Prologue::new(0, AppId(480), SessionId(77))
    }

    struct Pair {
        initiator: Initiator,
        responder: Responder,
        initiator_key: StaticKey,
        responder_key: StaticKey,
        first: [u8; 32],
        second: Vec<u8>,
    }

    /// Both sides after message 2 was written.
    fn pair() -> Pair {
        let (initiator_key, responder_key) = (StaticKey::generate(&mut random(1)), StaticKey::generate(&mut random(2)));
        let (initiator, first) = Initiator::new(&initiator_key, prologue(), &mut random(3));
        let mut responder = Responder::new(&responder_key, prologue(), &first, &mut random(4));
        let mut second = Vec::new();
        responder.write_response(b"I am the responder", &mut second).unwrap();
        Pair { initiator, responder, initiator_key, responder_key, first, second }
    }

    impl Pair {
        fn third(&mut self) -> (Vec<u8>, Split) {
            let mut payload = Vec::new();
            let remote = self.initiator.read_response(&self.second, &mut payload).unwrap();
            assert_eq!((&remote, &payload[..]), (self.responder_key.public(), &b"I am the responder"[..]));
            let mut third = Vec::new();
            let split = self.initiator.write_finish(b"I am the initiator", &mut third).unwrap();
            (third, split)
        }

        fn finish(&mut self, third: &[u8], ours: &Split) {
            let mut payload = b"left over".to_vec();
            let (remote, theirs) = self.responder.read_finish(third, &mut payload).unwrap();
            assert_eq!((&remote, &payload[..]), (self.initiator_key.public(), &b"I am the initiator"[..]));
            assert_eq!((ours.send(), ours.receive()), (theirs.receive(), theirs.send()));
            assert_eq!(ours.handshake_hash(), theirs.handshake_hash());
            assert_ne!(ours.send(), ours.receive());
        }
    }

    impl Split {
        /// What two sides of one handshake are left with, for the tests of this room.
        pub(in crate::crypto) fn test_pair() -> (Split, Split) {
            let mut pair = pair();
            let (third, ours) = pair.third();
            let (_, theirs) = pair.responder.read_finish(&third, &mut Vec::new()).unwrap();
            (ours, theirs)
        }
    }

    #[test]
    fn both_sides_end_with_the_same_secrets_and_each_others_keys() {
        let mut pair = pair();
        assert_eq!(pair.second.len(), RESPONSE_OVERHEAD + 18);
        let (third, split) = pair.third();
        assert_eq!(third.len(), FINISH_OVERHEAD + 18);
        pair.finish(&third, &split);
    }

    #[test]
    fn the_same_seeds_give_the_same_bytes_and_other_seeds_others() {
        let run = || {
            let mut pair = pair();
            let (third, split) = pair.third();
            (pair.first, pair.second, third, *split.send(), *split.handshake_hash())
        };
        assert_eq!(run(), run());
        let key = StaticKey::generate(&mut random(1));
        let (_, other) = Initiator::new(&key, prologue(), &mut random(5));
        assert_ne!(run().0, other);
        let mut same = random(3);
        let (_, first) = Initiator::new(&key, prologue(), &mut same);
        let (_, second) = Initiator::new(&key, prologue(), &mut same);
        assert_ne!(first, second, "no two handshakes share an ephemeral key");
    }

    #[test]
    fn a_message_2_with_any_flipped_bit_is_refused_and_the_true_one_still_works() {
        let mut pair = pair();
        let mut payload = Vec::new();
        for at in 0..pair.second.len() {
            let mut forged = pair.second.clone();
            forged[at] ^= 1 << (at % 8);
            // The top bit of an X25519 key is ignored (RFC 7748), but the handshake hash sees it.
            let read = pair.initiator.read_response(&forged, &mut payload);
            assert_eq!((read, payload.len()), (Err(CryptoError::BadHandshake), 0), "byte {at}");
            let mut out = vec![1];
            let written = pair.initiator.write_finish(b"", &mut out).map(|_| ());
            assert_eq!((written, out), (Err(CryptoError::OutOfTurn), vec![1]));
        }
        for end in 0..pair.second.len() {
            let short = pair.second[..end].to_vec();
            assert_eq!(pair.initiator.read_response(&short, &mut payload), Err(CryptoError::BadHandshake));
        }
        let (third, split) = pair.third();
        pair.finish(&third, &split);
    }

    #[test]
    fn a_message_3_with_any_flipped_bit_is_refused_and_the_true_one_still_works() {
        let mut pair = pair();
        let (third, split) = pair.third();
        let mut payload = Vec::new();
        for at in 0..third.len() {
            let mut forged = third.clone();
            forged[at] ^= 1 << (at % 8);
            let read = pair.responder.read_finish(&forged, &mut payload).map(|_| ());
            assert_eq!((read, payload.len()), (Err(CryptoError::BadHandshake), 0), "byte {at}");
        }
        for end in 0..third.len() {
            assert!(pair.responder.read_finish(&third[..end], &mut payload).is_err(), "cut to {end}");
        }
        pair.finish(&third, &split);
        pair.finish(&third, &split);
    }

    #[test]
    fn an_impostor_who_answers_first_without_a_fault_keeps_nobody_out() {
        let mut pair = pair();
        let impostor = StaticKey::generate(&mut random(8));
        let mut theirs = Responder::new(&impostor, prologue(), &pair.first, &mut random(9));
        let mut message = Vec::new();
        theirs.write_response(b"I am the responder, really", &mut message).unwrap();
        let mut payload = Vec::new();
        assert_eq!(pair.initiator.read_response(&message, &mut payload), Ok(*impostor.public()));
        let (third, split) = pair.third();
        pair.finish(&third, &split);
    }

    #[test]
    fn a_flipped_bit_in_message_1_fails_at_message_2() {
        let mut pair = pair();
        for bit in [0, 7, 100, 254, 255] {
            let mut first = pair.first;
            first[bit / 8] ^= 1 << (bit % 8);
            let mut responder = Responder::new(&pair.responder_key, prologue(), &first, &mut random(4));
            let mut second = Vec::new();
            responder.write_response(b"hello", &mut second).unwrap();
            assert_eq!(pair.initiator.read_response(&second, &mut Vec::new()), Err(CryptoError::BadHandshake));
        }
    }

    #[test]
    fn sides_that_differ_in_version_app_or_session_do_not_meet() {
        let mut pair = pair();
        for other in [
            Prologue::new(1, AppId(480), SessionId(77)),
            Prologue::new(0, AppId(481), SessionId(77)),
            Prologue::new(0, AppId(480), SessionId(78)),
        ] {
            let mut responder = Responder::new(&pair.responder_key, other, &pair.first, &mut random(4));
            let mut second = Vec::new();
            responder.write_response(b"hello", &mut second).unwrap();
            assert_eq!(pair.initiator.read_response(&second, &mut Vec::new()), Err(CryptoError::BadHandshake));
        }
    }

    #[test]
    fn no_step_can_be_taken_twice_or_before_its_turn() {
        let mut pair = pair();
        let mut out = Vec::new();
        assert_eq!(pair.initiator.write_finish(b"", &mut out).map(|_| ()), Err(CryptoError::OutOfTurn));
        assert_eq!(pair.responder.write_response(b"again", &mut out), Err(CryptoError::OutOfTurn));
        let (third, _) = pair.third();
        assert_eq!(pair.initiator.write_finish(b"again", &mut out).map(|_| ()), Err(CryptoError::OutOfTurn));
        assert_eq!(pair.initiator.read_response(&pair.second, &mut out), Err(CryptoError::OutOfTurn));
        let mut early = Responder::new(&pair.responder_key, prologue(), &pair.first, &mut random(4));
        assert_eq!(early.read_finish(&third, &mut out).map(|_| ()), Err(CryptoError::OutOfTurn));
        let huge = vec![0; 65_536];
        assert_eq!(early.write_response(&huge, &mut out), Err(CryptoError::OutOfBounds));
    }

    #[test]
    fn garbage_of_any_length_is_refused() {
        let mut pair = pair();
        let mut noise = random(6);
        for len in (0..300).chain([1_500, 65_535, 65_536, 70_000]) {
            let mut garbage = vec![0; len];
            noise.fill(&mut garbage);
            assert!(pair.initiator.read_response(&garbage, &mut Vec::new()).is_err());
            assert!(pair.responder.read_finish(&garbage, &mut Vec::new()).is_err());
        }
        let (third, split) = pair.third();
        pair.finish(&third, &split);
    }
}
