//! The messages between a TURN client and its server (RFC 8656 section 17), as values.
//!
//! The codec is `stun-types`; here is what of it a client needs. Transaction ids are handed in.
//! Reading is total: what is missing or misshapen is `None`.

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
