//! Who may in: the one place where STUN and TURN requests are proven, before any state is made for them.
//!
//! A stranger gets a challenge that costs nothing to remember: the nonce says when it was made, and proves by an HMAC
//! that it was made here for that address. Only who answers it with credentials of our secret reaches a machine (the
//! RFC 8656 state of one client), so floods and forged addresses meet no table, and every answer to them has at most
//! three times the bytes of its question.
//!
//! A machine has a nonce of its own, which never leaves this program: what was proven here is signed anew for it.

use crate::credentials::{self, password};
use ring::hmac::{HMAC_SHA256, Key, sign};
use std::net::SocketAddr;
use stun_types::attribute::{
    AttributeType, ErrorCode, Fingerprint, MessageIntegrity, MessageIntegritySha256, Nonce, PasswordAlgorithm,
    PasswordAlgorithms, Realm, Userhash, Username, XorMappedAddress,
};
use stun_types::message::{
    IntegrityAlgorithm, IntegrityKey, LongTermKeyCredentials, Message, MessageIntegrityCredentials, MessageWriteVec,
};
use stun_types::prelude::{
    Attribute, AttributeFromRaw, AttributeStaticType, AttributeWrite, MessageWrite, MessageWriteExt,
};
use turn_server_proto::types::attribute::XorPeerAddress;
use zeroize::Zeroizing;

/// How long a nonce holds, seconds; a client hears 438 then and asks again with the next.
const NONCE_LIFE: u64 = 3_600;

/// An answer to somebody whose address is not proven has at most so many times the bytes of his question.
const MOST_TIMES: usize = 3;

/// What a request needs to be proven, and the answer to what is not.
pub struct Door {
    realm: String,
    secret: Zeroizing<Vec<u8>>,
    nonces: Key,
}

/// A request that is proven: by whom, and the key that answers are signed with.
pub struct Admitted {
    /// The whole name, with the time in it.
    pub username: String,
    /// Of the name: whose allocation it is.
    pub user: String,
    key: IntegrityKey,
}

/// Why a request is not let through.
pub enum Refusal {
    /// He is told so; the answer is to be counted against his address.
    Answer(Vec<u8>),
    /// He is not, because the answer would be too large for its question.
    Silence,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Door({:?}, …)", self.realm)
    }
}

impl Door {
    /// For this realm and secret; `nonces` is fresh for each run.
    pub fn new(realm: &str, secret: &[u8], nonces: [u8; 32]) -> Door {
        let secret = Zeroizing::new(secret.to_vec());
        Door { realm: realm.to_owned(), secret, nonces: Key::new(HMAC_SHA256, &nonces) }
    }

    /// The realm.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The answer to a Binding request (RFC 8489): his own address. With a fingerprint if he sent one, because every
    /// attribute more makes a better weapon.
    pub fn binding(&self, request: &Message<'_>, from: SocketAddr) -> Vec<u8> {
        let mut answer = Message::builder_success(request, MessageWriteVec::with_capacity(64));
        write(&mut answer, &XorMappedAddress::new(from, request.transaction_id()));
        finish(answer, request)
    }

    /// Is this request proven at `now`, seconds since 1970? `known` is the name under which this client is here
    /// already: that one may have expired since.
    ///
    /// # Errors
    /// What he is answered.
    pub fn admit(
        &self,
        request: &Message<'_>,
        from: SocketAddr,
        known: Option<&str>,
        now: u64,
    ) -> Result<Admitted, Refusal> {
        let signed =
            request.has_attribute(MessageIntegrity::TYPE) || request.has_attribute(MessageIntegritySha256::TYPE);
        if !signed {
            return Err(self.challenge(request, ErrorCode::UNAUTHORIZED, from, now));
        }
        let (Ok(username), Ok(_), Ok(nonce)) =
            (request.attribute::<Username>(), request.attribute::<Realm>(), request.attribute::<Nonce>())
        else {
            return Err(bounded(plain(request, ErrorCode::BAD_REQUEST), request));
        };
        if !self.is_ours(nonce.nonce(), from, now) {
            return Err(self.challenge(request, ErrorCode::STALE_NONCE, from, now));
        }
        let username = username.username();
        let named = credentials::read(username).filter(|(expires, _)| *expires > now || known == Some(username));
        let Some((_, user)) = named else {
            return Err(self.challenge(request, ErrorCode::UNAUTHORIZED, from, now));
        };
        let secrets =
            LongTermKeyCredentials::new(username.to_owned(), password(&self.secret, username), self.realm.clone());
        let secrets = MessageIntegrityCredentials::from(secrets);
        if request.validate_integrity(&secrets).is_err() {
            return Err(self.challenge(request, ErrorCode::UNAUTHORIZED, from, now));
        }
        let key = secrets.make_key(IntegrityAlgorithm::Sha1);
        Ok(Admitted { username: username.to_owned(), user: user.to_owned(), key })
    }

    /// An error for somebody who is proven, signed.
    pub fn refuse(&self, request: &Message<'_>, admitted: &Admitted, code: u16) -> Vec<u8> {
        let mut answer = error(request, code, ErrorCode::default_reason_for_code(code));
        sign_with(&mut answer, &admitted.key);
        finish(answer, request)
    }

    /// The request as a machine wants it: the same attributes, as far as they are covered by what was proven, under
    /// the machine's nonce.
    pub fn sign_anew(&self, request: &Message<'_>, admitted: &Admitted, nonce: &str) -> Vec<u8> {
        let room = MessageWriteVec::with_capacity(request.as_bytes().len() + 128);
        let mut anew = Message::builder(request.get_type(), request.transaction_id(), room);
        for (_, attribute) in request.iter_attributes() {
            match attribute.get_type() {
                // Nothing behind these is signed.
                MessageIntegrity::TYPE | MessageIntegritySha256::TYPE | Fingerprint::TYPE => break,
                Username::TYPE | Realm::TYPE | Nonce::TYPE | Userhash::TYPE => {}
                PasswordAlgorithm::TYPE | PasswordAlgorithms::TYPE => {}
                _ => write(&mut anew, &attribute),
            }
        }
        if let (Ok(username), Ok(realm), Ok(nonce)) =
            (Username::new(&admitted.username), Realm::new(&self.realm), Nonce::new(nonce))
        {
            write(&mut anew, &username);
            write(&mut anew, &realm);
            write(&mut anew, &nonce);
        }
        sign_with(&mut anew, &admitted.key);
        anew.finish()
    }

    /// The password of a name, for the machine that is to check what was signed anew.
    pub fn password(&self, username: &str) -> String {
        password(&self.secret, username)
    }

    fn challenge(&self, request: &Message<'_>, code: u16, from: SocketAddr, now: u64) -> Refusal {
        // Without words: they would only make it longer.
        let mut answer = error(request, code, "");
        if let (Ok(realm), Ok(nonce)) = (Realm::new(&self.realm), Nonce::new(&self.nonce(from, now))) {
            write(&mut answer, &realm);
            write(&mut answer, &nonce);
        }
        bounded(finish(answer, request), request)
    }

    /// When it was made, 8 digits, and the proof of that, 16.
    fn nonce(&self, from: SocketAddr, made: u64) -> String {
        let made = made as u32;
        let proof = sign(&self.nonces, format!("{made} {from}").as_bytes());
        let proof = u64::from_be_bytes(proof.as_ref()[..8].try_into().expect("SHA-256 has more than eight bytes"));
        format!("{made:08x}{proof:016x}")
    }

    fn is_ours(&self, nonce: &str, from: SocketAddr, now: u64) -> bool {
        let made = nonce.get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let Some(made) = made.map(u64::from) else { return false };
        let holds = made <= now && now - made <= NONCE_LIFE;
        // How long the comparison takes would tell something about the proof, digit by digit.
        let ours = self.nonce(from, made);
        let differ = nonce.bytes().zip(ours.bytes()).fold(0, |differ, (a, b)| differ | (a ^ b));
        holds && nonce.len() == ours.len() && std::hint::black_box(differ) == 0
    }
}

/// The peers that a request names: whom it asks to reach.
pub fn peers(request: &Message<'_>) -> Vec<SocketAddr> {
    let named = request.iter_attributes().filter(|(_, attribute)| attribute.get_type() == XorPeerAddress::TYPE);
    let read = named.filter_map(|(_, attribute)| XorPeerAddress::from_raw(attribute).ok());
    read.map(|peer| peer.addr(request.transaction_id())).collect()
}

/// An error without proof or words, for what cannot be understood.
pub fn plain(request: &Message<'_>, code: u16) -> Vec<u8> {
    finish(error(request, code, ""), request)
}

fn bounded(answer: Vec<u8>, request: &Message<'_>) -> Refusal {
    let fits = answer.len() <= MOST_TIMES * request.as_bytes().len();
    if fits { Refusal::Answer(answer) } else { Refusal::Silence }
}

fn error(request: &Message<'_>, code: u16, reason: &str) -> MessageWriteVec {
    let mut answer = Message::builder_error(request, MessageWriteVec::with_capacity(128));
    if let Ok(code) = ErrorCode::new(code, reason) {
        write(&mut answer, &code);
    }
    answer
}

fn write(message: &mut MessageWriteVec, attribute: &dyn AttributeWrite) {
    // Only refused behind a signature, and none is there yet.
    let _ = message.add_attribute(attribute);
}

fn sign_with(message: &mut MessageWriteVec, key: &IntegrityKey) {
    // Only refused where there is a signature already.
    let _ = message.add_message_integrity_with_key(key, IntegrityAlgorithm::Sha1);
}

fn finish(mut answer: MessageWriteVec, request: &Message<'_>) -> Vec<u8> {
    if request.has_attribute(Fingerprint::TYPE) {
        // Only refused where there is one already.
        let _ = answer.add_fingerprint();
    }
    answer.finish()
}

/// Attributes that a server must understand to go on, and this one does not (RFC 8656): a reservation would keep a port
/// that nobody asked for, an even port would halve them, and neither has been of use since RTP and RTCP share one.
pub const NOT_SERVED: [AttributeType; 2] = [AttributeType::new(0x0018), AttributeType::new(0x0022)];

#[cfg(test)]
mod tests {
    use super::*;
    use stun_types::message::BINDING;
    use turn_server_proto::types::message::ALLOCATE;

    const NOW: u64 = 1_800_000_000;

    fn door() -> Door {
        Door::new("steamnetmsg", b"north north north", [5; 32])
    }

    fn from(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn read(bytes: &[u8]) -> Message<'_> {
        Message::from_bytes(bytes).expect("a message")
    }

    fn answer_to(refusal: Result<Admitted, Refusal>) -> Vec<u8> {
        match refusal {
            Err(Refusal::Answer(answer)) => answer,
            Err(Refusal::Silence) => panic!("silence"),
            Ok(_) => panic!("let in"),
        }
    }

    fn code_of(answer: &[u8]) -> u16 {
        read(answer).attribute::<ErrorCode>().expect("an error").code()
    }

    fn signed(nonce: &str, username: &str, secret: &[u8]) -> Vec<u8> {
        let mut request = Message::builder_request(ALLOCATE, MessageWriteVec::new());
        write(&mut request, &Username::new(username).expect("a name"));
        write(&mut request, &Realm::new("steamnetmsg").expect("a realm"));
        write(&mut request, &Nonce::new(nonce).expect("a nonce"));
        let (name, realm) = (username.to_owned(), "steamnetmsg".to_owned());
        let secrets = LongTermKeyCredentials::new(name, password(secret, username), realm).into();
        request.add_message_integrity(&secrets, IntegrityAlgorithm::Sha1).expect("signed");
        request.finish()
    }

    #[test]
    fn no_answer_to_a_stranger_is_over_three_times_his_request() {
        let long = Door::new(&"r".repeat(20), b"north north north", [5; 32]);
        for attributes in 0..3 {
            for method in [BINDING, ALLOCATE] {
                let mut request = Message::builder_request(method, MessageWriteVec::new());
                // 4 bytes of head and 4 of value each, as REQUESTED-TRANSPORT has.
                for _ in 0..attributes {
                    write(&mut request, &stun_types::attribute::Software::new("four").expect("a text"));
                }
                let request = request.finish();
                for peer in ["192.0.2.1:9", "[2001:db8::1]:9"].map(from) {
                    let binding = long.binding(&read(&request), peer);
                    assert!(binding.len() <= 3 * request.len(), "{} for {}", binding.len(), request.len());
                    if let Err(Refusal::Answer(answer)) = long.admit(&read(&request), peer, None, NOW) {
                        assert!(answer.len() <= 3 * request.len(), "{} for {}", answer.len(), request.len());
                    } else {
                        assert_eq!(attributes, 0, "an Allocate has at least one attribute, and is answered");
                    }
                }
            }
        }
    }

    #[test]
    fn who_answers_the_challenge_with_our_secret_is_let_in() {
        let (door, peer) = (door(), from("192.0.2.1:9"));
        let request = signed(&door.nonce(peer, NOW), "1800000060:7.480", b"north north north");
        let admitted = door.admit(&read(&request), peer, None, NOW).ok().expect("let in");
        assert_eq!((admitted.username.as_str(), admitted.user.as_str()), ("1800000060:7.480", "7.480"));
    }

    #[test]
    fn nonces_are_for_one_address_and_one_hour() {
        let (door, peer) = (door(), from("192.0.2.1:9"));
        let ask = |nonce: &str, from, now| {
            code_of(&answer_to(door.admit(&read(&signed(nonce, "9900000000:7.480", b"x")), from, None, now)))
        };
        let nonce = door.nonce(peer, NOW);
        assert_eq!(ask(&nonce, peer, NOW + NONCE_LIFE), 401, "the nonce is good, the password is not");
        assert_eq!(ask(&nonce, peer, NOW + NONCE_LIFE + 1), 438);
        assert_eq!(ask(&nonce, peer, NOW - 1), 438);
        assert_eq!(ask(&nonce, from("192.0.2.1:10"), NOW), 438);
        for forged in ["", "0", "not digits at all", &nonce[..23], &format!("{nonce}0"), &nonce.replace('a', "b")] {
            assert!(forged == nonce || ask(forged, peer, NOW) == 438, "{forged}");
        }
        let other = Door::new("steamnetmsg", b"north north north", [6; 32]).nonce(peer, NOW);
        assert_eq!(ask(&other, peer, NOW), 438);
    }

    #[test]
    fn expired_names_and_other_secrets_are_refused_unless_the_client_is_here_already() {
        let (door, peer) = (door(), from("192.0.2.1:9"));
        let nonce = door.nonce(peer, NOW);
        let expired = signed(&nonce, "1800000000:7.480", b"north north north");
        assert_eq!(code_of(&answer_to(door.admit(&read(&expired), peer, None, NOW))), 401);
        assert_eq!(code_of(&answer_to(door.admit(&read(&expired), peer, Some("1:8.480"), NOW))), 401);
        assert!(door.admit(&read(&expired), peer, Some("1800000000:7.480"), NOW).is_ok());
        for (name, secret) in [("1800000060:7.480", &b"south south south"[..]), ("alice", b"north north north")] {
            let request = signed(&nonce, name, secret);
            assert_eq!(code_of(&answer_to(door.admit(&read(&request), peer, None, NOW))), 401, "{name}");
        }
    }

    #[test]
    fn what_stands_behind_the_signature_is_not_signed_anew() {
        let (door, peer) = (door(), from("192.0.2.1:9"));
        let mut request = signed(&door.nonce(peer, NOW), "1800000060:7.480", b"north north north");
        let smuggled = [0x80, 0x22, 0, 4, b'e', b'v', b'i', b'l'];
        request.extend_from_slice(&smuggled);
        let length = (request.len() - 20) as u16;
        request[2..4].copy_from_slice(&length.to_be_bytes());
        let message = read(&request);
        let admitted = door.admit(&message, peer, None, NOW).ok().expect("what is signed is good");
        let anew = door.sign_anew(&message, &admitted, "nonce");
        assert!(!anew.windows(4).any(|window| window == b"evil"));
    }
}
