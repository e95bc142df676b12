//! The messages between a TURN client and its server (RFC 8656 section 17), as values.
//!
//! The codec is `stun-types`; here is what of it a client needs. Transaction ids are handed in.
//! Reading is total: what is missing or misshapen is `None`.

use super::framing::MAX_DATAGRAM;
use super::login::Login;
use std::net::SocketAddr;
use std::ops::Range;
use stun_types::attribute::{
    Attribute, AttributeType, ErrorCode, Nonce, RawAttribute, Realm, XorMappedAddress, XorSocketAddr,
};
use stun_types::message::{Message, MessageClass, MessageType, MessageWriteVec, Method, TransactionId};
use stun_types::prelude::*;

const ALLOCATE: Method = Method::new(0x003);
const REFRESH: Method = Method::new(0x004);
const DATA: Method = Method::new(0x007);
const CHANNEL_BIND: Method = Method::new(0x009);

const CHANNEL_NUMBER: AttributeType = AttributeType::new(0x000c);
const LIFETIME: AttributeType = AttributeType::new(0x000d);
const XOR_PEER_ADDRESS: AttributeType = AttributeType::new(0x0012);
const DATA_BYTES: AttributeType = AttributeType::new(0x0013);
const XOR_RELAYED_ADDRESS: AttributeType = AttributeType::new(0x0016);
const REQUESTED_ADDRESS_FAMILY: AttributeType = AttributeType::new(0x0017);
const REQUESTED_TRANSPORT: AttributeType = AttributeType::new(0x0019);

/// The protocol number of UDP, in the first byte of REQUESTED-TRANSPORT.
const UDP: [u8; 4] = [17, 0, 0, 0];

/// IPv6, in the first byte of REQUESTED-ADDRESS-FAMILY.
const IPV6: [u8; 4] = [2, 0, 0, 0];

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A relayed address, of version 6 of the internet protocol if so said.
    Allocate {
        /// Of IPv6, not IPv4.
        ipv6: bool,
    },
    /// That the allocation lives on for so many seconds; 0 ends it.
    Refresh {
        /// Seconds.
        lifetime: u32,
    },
    /// That this channel stands for this peer: a permission too (RFC 8656 section 12).
    Bind {
        /// Who may send to us from now on.
        peer: SocketAddr,
        /// Its number, out of [`super::framing::CHANNELS`].
        channel: u16,
    },
}

/// What a server answers; `None` where it left something out that it need not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes.
    Success {
        /// Where peers reach us.
        relayed: Option<SocketAddr>,
        /// Where the server sees us.
        mapped: Option<SocketAddr>,
        /// Seconds the allocation lives.
        lifetime: Option<u32>,
    },
    /// No, with the number of the error and what the server says about it.
    Error(u16, String),
    /// Who are you? Sign with this realm and this nonce. The number is 401, or 438: the nonce is old.
    Challenge(u16, Challenge),
}

/// What a signature is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Which users the server means.
    pub realm: String,
    /// The server's proof that the signature is fresh.
    pub nonce: String,
}

/// What arrived.
#[derive(Debug)]
pub enum Arrival<'a> {
    /// An answer; whose signature is right is for [`Login::verify`] to say.
    Answer(u128, Message<'a>),
    /// Data of a peer without a channel, at this place of the message.
    Data(SocketAddr, Range<usize>),
}

/// The bytes of a request, signed as far as the login can. `None` if the username is too long.
pub fn request(ask: Ask, id: u128, login: &Login) -> Option<Vec<u8>> {
    let id = TransactionId::from(id);
    let method = match ask {
        Ask::Allocate { .. } => ALLOCATE,
        Ask::Refresh { .. } => REFRESH,
        Ask::Bind { .. } => CHANNEL_BIND,
    };
    let kind = MessageType::from_class_method(MessageClass::Request, method);
    let mut message = Message::builder(kind, id, MessageWriteVec::with_capacity(256));
    match ask {
        Ask::Allocate { ipv6 } => {
            message.add_attribute(&RawAttribute::new(REQUESTED_TRANSPORT, &UDP)).ok()?;
            if ipv6 {
                message.add_attribute(&RawAttribute::new(REQUESTED_ADDRESS_FAMILY, &IPV6)).ok()?;
            }
        }
        Ask::Refresh { lifetime } => {
            message.add_attribute(&RawAttribute::new(LIFETIME, &lifetime.to_be_bytes())).ok()?;
        }
        Ask::Bind { peer, channel } => {
            let [high, low] = channel.to_be_bytes();
            message.add_attribute(&RawAttribute::new(CHANNEL_NUMBER, &[high, low, 0, 0])).ok()?;
            message.add_attribute(&XorSocketAddr::new(peer, id).to_raw(XOR_PEER_ADDRESS)).ok()?;
        }
    }
    login.sign(&mut message)?;
    Some(message.finish())
}

/// What `bytes` says to a client; `None` if it is nothing that one would hear.
pub fn read(bytes: &[u8]) -> Option<Arrival<'_>> {
    if bytes.len() > MAX_DATAGRAM {
        return None; // on a stream; the codec counts lengths in 16 bits
    }
    let message = Message::from_bytes(bytes).ok()?;
    match (message.class(), message.method()) {
        (MessageClass::Success | MessageClass::Error, ALLOCATE | REFRESH | CHANNEL_BIND) => {
            Some(Arrival::Answer(message.transaction_id().into(), message))
        }
        (MessageClass::Indication, DATA) => {
            let (offset, data) = message.raw_attribute_and_offset(DATA_BYTES)?;
            let start = offset + 4; // its type and length
            let place = start..start + usize::from(data.length());
            Some(Arrival::Data(address(&message, XOR_PEER_ADDRESS)?, place))
        }
        _ => None,
    }
}

/// What an answer says. An error without a number is one with number 0.
pub fn answer(message: &Message<'_>) -> Answer {
    if message.has_class(MessageClass::Success) {
        let lifetime = message.raw_attribute(LIFETIME).and_then(|raw| <[u8; 4]>::try_from(&*raw.value).ok());
        return Answer::Success {
            relayed: address(message, XOR_RELAYED_ADDRESS),
            mapped: message.attribute::<XorMappedAddress>().ok().map(|a| a.addr(message.transaction_id())),
            lifetime: lifetime.map(u32::from_be_bytes),
        };
    }
    let Ok(error) = message.attribute::<ErrorCode>() else { return Answer::Error(0, String::new()) };
    if let (401 | 438, Some(challenge)) = (error.code(), challenge(message)) {
        return Answer::Challenge(error.code(), challenge);
    }
    Answer::Error(error.code(), error.reason().to_owned())
}

fn challenge(message: &Message<'_>) -> Option<Challenge> {
    let realm = message.attribute::<Realm>().ok()?.realm().to_owned();
    let nonce = message.attribute::<Nonce>().ok()?.nonce().to_owned();
    Some(Challenge { realm, nonce })
}

fn address(message: &Message<'_>, kind: AttributeType) -> Option<SocketAddr> {
    let raw = message.raw_attribute(kind)?;
    Some(XorSocketAddr::from_raw(&raw).ok()?.addr(message.transaction_id()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A login that has been challenged.
    fn login() -> Login {
        let mut login = Login::new("alice", "secret");
        login.challenge(Challenge { realm: "here".into(), nonce: "once".into() });
        login
    }

    /// Everything one does with what came.
    fn hear(bytes: &[u8]) -> Option<Answer> {
        match read(bytes)? {
            Arrival::Answer(_, message) => {
                login().verify(&message);
                Some(answer(&message))
            }
            Arrival::Data(_, place) => {
                assert!(place.end <= bytes.len());
                None
            }
        }
    }

    #[test]
    fn requests_are_those_of_the_standard() {
        let bytes = request(Ask::Allocate { ipv6: true }, 7, &Login::new("alice", "secret")).expect("it fits");
        assert_eq!(bytes[..8], [0, 3, 0, 16, 0x21, 0x12, 0xa4, 0x42]);
        assert_eq!(bytes[20..], [0, 0x19, 0, 4, 17, 0, 0, 0, 0, 0x17, 0, 4, 2, 0, 0, 0]);
        let bind = Ask::Bind { peer: SocketAddr::from(([192, 0, 2, 1], 0x1234)), channel: 0x4001 };
        let bytes = request(bind, 7, &Login::new("alice", "secret")).expect("it fits");
        assert_eq!(bytes[20..28], [0, 0x0c, 0, 4, 0x40, 1, 0, 0]);
        assert_eq!(bytes[28..], [0, 0x12, 0, 8, 0, 1, 0x33, 0x26, 192 ^ 0x21, 0x12, 2 ^ 0xa4, 1 ^ 0x42]);
    }

    #[test]
    fn what_is_too_long_for_stun_is_no_request() {
        assert_eq!(request(Ask::Refresh { lifetime: 1 }, 7, &Login::new(&"x".repeat(600), "secret")), None);
    }

    #[test]
    fn a_message_longer_than_any_datagram_is_none() {
        let mut bytes = request(Ask::Refresh { lifetime: 1 }, 7, &login()).expect("it fits");
        bytes[..2].copy_from_slice(&[1, 4]);
        assert!(hear(&bytes).is_some());
        bytes.resize(MAX_DATAGRAM + 1, 0);
        assert!(hear(&bytes).is_none());
    }

    proptest! {
        #[test]
        fn no_attributes_make_reading_panic(
            kind in prop::sample::select(vec![0x0103_u16, 0x0113, 0x0104, 0x0114, 0x0109, 0x0119, 0x0017]),
            attributes in prop::collection::vec((
                prop::sample::select(vec![6_u16, 8, 9, 0x0c, 0x0d, 0x12, 0x13, 0x14, 0x15, 0x16, 0x1c, 0x20, 0x8028]),
                prop::collection::vec(any::<u8>(), 0..40),
                -3_i32..3,
            ), 0..8),
        ) {
            let mut bytes = vec![0; 20];
            for (kind, value, lie) in &attributes {
                bytes.extend_from_slice(&kind.to_be_bytes());
                bytes.extend_from_slice(&((value.len() as i32 + lie).max(0) as u16).to_be_bytes());
                bytes.extend_from_slice(value);
                bytes.resize(bytes.len().next_multiple_of(4), 0);
            }
            let length = (bytes.len() - 20) as u16;
            bytes[..2].copy_from_slice(&kind.to_be_bytes());
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            bytes[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
            hear(&bytes);
        }
    }
}
