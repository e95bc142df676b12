//! First bytes and headers: what kind of datagram this is, and whose.
//!
//! One socket serves all (RFC 7983): the first byte tells STUN (0–3), TURN's ChannelData (64–79) and ours
//! (192–255) apart. Of ours, those below 0xE0 are data packets, sealed, with a short header read by
//! [`DataHeader`]; the others set connections up or tear them down and are read by [`Packet`].
//! Reading a header proves nothing about who sent it.

use super::codec::{Reader, WireError, Writer};
use crate::drops::Dropped;
use crate::ids::{AppId, ConnectionId, SessionId};

/// The version of this protocol. 0 may still break before 1.0.
pub const WIRE_VERSION: u8 = 0;
/// The exact size of an [`Init`], bytes of UDP payload. Its answer may be three times as large.
pub const INIT_SIZE: usize = 1_200;
/// The longest header of a data packet, bytes.
pub const MAX_DATA_HEADER: usize = 8;
/// What sealing adds at the end of a data packet, bytes.
pub const TAG_SIZE: usize = 16;
/// Every packet number is below this (RFC 9000, section 12.3).
pub const PACKET_NUMBER_END: u64 = 1 << 62;

const INIT: u8 = 0xE0;
const COOKIE: u8 = 0xE1;
const RESPONSE: u8 = 0xE2;
const FINISH: u8 = 0xE3;
const HINT: u8 = 0xE4;
const RESET: u8 = 0xE5;
const PUNCH: u8 = 0xE6;

/// Whose datagram it is, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A STUN message (RFC 8489).
    Stun,
    /// TURN ChannelData (RFC 8656).
    ChannelData,
    /// Ours, a data packet: see [`DataHeader`].
    Data,
    /// Ours, everything else: see [`Packet`].
    Control,
}

impl Protocol {
    /// What `datagram` is.
    ///
    /// # Errors
    /// [`Dropped::BadLength`] when it is empty, [`Dropped::UnknownProtocol`] when it is nobody's.
    #[inline]
    pub fn of(datagram: &[u8]) -> Result<Protocol, Dropped> {
        match datagram.first() {
            Some(192..=223) => Ok(Protocol::Data),
            Some(224..=255) => Ok(Protocol::Control),
            Some(0..=3) => Ok(Protocol::Stun),
            Some(64..=79) => Ok(Protocol::ChannelData),
            Some(_) => Err(Dropped::UnknownProtocol),
            None => Err(Dropped::BadLength),
        }
    }
}

/// The header of a data packet: first byte `110KN000` (K key phase, N packet number length), then the
/// connection id (u32) and the low 2 (N = 0) or 3 (N = 1) bytes of the packet number. The sealed frames follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataHeader {
    /// Whom it is for.
    pub destination: ConnectionId,
    /// Which of two successive keys sealed it.
    pub phase: bool,
    /// The low bytes of the packet number.
    pub truncated: u32,
    /// How many bytes of the packet number it carries: 2 or 3.
    pub pn_len: usize,
    /// Length of this header, bytes.
    pub len: usize,
}

impl DataHeader {
    /// The header of packet `pn`, cut to `pn_len` bytes (see [`pn_len`]).
    #[inline]
    pub fn new(destination: ConnectionId, phase: bool, pn: u64, pn_len: usize) -> DataHeader {
        debug_assert!(pn_len == 2 || pn_len == 3, "no packet number takes {pn_len} bytes");
        let truncated = (pn & ((1 << (8 * pn_len)) - 1)) as u32;
        DataHeader { destination, phase, truncated, pn_len, len: 5 + pn_len }
    }

    /// Appends the header.
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        let long = self.pn_len == 3;
        out.push(0b1100_0000 | u8::from(self.phase) << 4 | u8::from(long) << 3);
        out.extend_from_slice(&self.destination.0.to_be_bytes());
        out.extend_from_slice(&self.truncated.to_be_bytes()[4 - self.pn_len..]);
    }

    /// Reads the header at the front of `packet`; behind it there is room for at least a tag.
    ///
    /// # Errors
    /// [`Dropped::BadHeader`] when it is no data packet, [`Dropped::BadLength`] when it is too short.
    #[inline]
    pub fn decode(packet: &[u8]) -> Result<DataHeader, Dropped> {
        let mut r = Reader::new(packet);
        let first = r.u8()?;
        if first & 0b1110_0111 != 0b1100_0000 {
            return Err(Dropped::BadHeader);
        }
        let destination = ConnectionId(r.u32()?);
        let low = u32::from(r.u16()?);
        let (truncated, pn_len) = if first & 0b1000 == 0 { (low, 2) } else { (low << 8 | u32::from(r.u8()?), 3) };
        if r.remaining() < TAG_SIZE {
            return Err(Dropped::BadLength);
        }
        Ok(DataHeader { destination, phase: first & 0b1_0000 != 0, truncated, pn_len, len: 5 + pn_len })
    }
}

/// How many bytes of `pn` must be sent so that a receiver which has seen `largest_acked` finds it again
/// (RFC 9000, appendix A.2, with a margin of two); `None` when too many packets are unacknowledged to
/// send another.
#[inline]
pub fn pn_len(pn: u64, largest_acked: Option<u64>) -> Option<usize> {
    let unacked = largest_acked.map_or(pn.saturating_add(1), |largest| pn.saturating_sub(largest));
    match unacked {
        0..0x4000 => Some(2),
        0x4000..0x40_0000 => Some(3),
        _ => None,
    }
}

/// The packet number nearest to the one after `largest` whose low `pn_len` bytes are `truncated`
/// (RFC 9000, appendix A.3). Never reaches [`PACKET_NUMBER_END`] unless `largest` has.
#[inline]
pub fn expand(truncated: u32, pn_len: usize, largest: Option<u64>) -> u64 {
    let window = 1u64 << (8 * pn_len.clamp(1, 4));
    let half = window / 2;
    let expected = largest.map_or(0, |largest| largest.saturating_add(1));
    let candidate = (expected & !(window - 1)) | (u64::from(truncated) & (window - 1));
    if candidate.saturating_add(half) <= expected && candidate < PACKET_NUMBER_END - window {
        candidate + window
    } else if candidate > expected.saturating_add(half) && candidate >= window {
        candidate - window
    } else {
        candidate
    }
}

/// The first packet of a connection, from its initiator.
///
/// `[0xE0][version u8][app u32][initiator's connection id u32][initiator's session id u64][ephemeral 32]`
/// `[cookie 16, zeros for none][zeros, ignored][check value 16]`, [`INIT_SIZE`] bytes in all.
/// Every version of the protocol keeps this layout, so that another version can be told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Init {
    /// The initiator's [`WIRE_VERSION`].
    pub version: u8,
    /// Its app.
    pub app: AppId,
    /// Where it wants the answer.
    pub source: ConnectionId,
    /// Its session.
    pub session: SessionId,
    /// Its ephemeral key: message 1 of the Noise handshake, which carries nothing else.
    pub ephemeral: [u8; 32],
    /// The cookie the responder asked for.
    pub cookie: Option<[u8; 16]>,
}

impl Init {
    /// Appends the packet; `check` computes the check value over everything before it.
    pub fn encode(&self, out: &mut Vec<u8>, check: impl FnOnce(&[u8]) -> [u8; 16]) {
        let start = out.len();
        let mut w = Writer::new(out, start + INIT_SIZE);
        w.u8(INIT);
        w.u8(self.version);
        w.u32(self.app.0);
        w.u32(self.source.0);
        w.u64(self.session.0);
        w.bytes(&self.ephemeral);
        w.bytes(&self.cookie.unwrap_or_default());
        out.resize(start + INIT_SIZE - 16, 0);
        let value = check(&out[start..]);
        out.extend_from_slice(&value);
    }
}

/// Asks for the first packet again, with this cookie in it.
///
/// `[0xE1][initiator's connection id u32][initiator's session id u64][cookie 16]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// Whom it is for.
    pub destination: ConnectionId,
    /// The session of the [`Init`] it answers.
    pub session: SessionId,
    /// What to send back.
    pub cookie: [u8; 16],
}

/// The responder's answer. `[0xE2][initiator's connection id u32][responder's connection id u32][Noise message 2]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// Whom it is for.
    pub destination: ConnectionId,
    /// Where the responder wants everything from here on.
    pub source: ConnectionId,
    /// Message 2 of the Noise handshake, the rest of the datagram.
    pub message: &'a [u8],
}

/// The initiator's answer to that, and perhaps its first data packet in the same datagram.
///
/// `[0xE3][responder's connection id u32][length u16][Noise message 3][data packet, or nothing]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finish<'a> {
    /// Whom it is for.
    pub destination: ConnectionId,
    /// Message 3 of the Noise handshake, at most 65,535 bytes.
    pub message: &'a [u8],
    /// What follows: a data packet, not yet looked at. Empty when encoding: append the packet afterwards.
    pub rest: &'a [u8],
}

impl Finish<'_> {
    /// Where [`Finish::rest`] begins in the datagram, so that it can be opened in place.
    pub fn rest_start(&self) -> usize {
        7 + self.message.len()
    }
}

/// Why an [`Init`] stays unanswered. Not authenticated: it colours an error, it decides nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HintCode {
    /// The responder speaks another version.
    OtherVersion,
    /// The responder runs another app.
    OtherApp,
}

/// A hint. `[0xE4][initiator's connection id u32][initiator's session id u64][code u8: 1 version, 2 app][version u8]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// Whom it is for.
    pub destination: ConnectionId,
    /// The session of the [`Init`] it answers.
    pub session: SessionId,
    /// What does not fit.
    pub code: HintCode,
    /// The responder's [`WIRE_VERSION`].
    pub version: u8,
}

/// The answer of someone who has lost the connection. `[0xE5][connection id u32][token 16]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset {
    /// The id on the stray packet: one the sender of this once chose, and forgot.
    pub connection: ConnectionId,
    /// The token it promised in the handshake of that connection.
    pub token: [u8; 16],
}

/// Every packet of ours but data packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Begins a connection.
    Init {
        /// What it says.
        init: Init,
        /// What the check value covers: all of the datagram but the value itself.
        covered: &'a [u8],
        /// The check value.
        check: [u8; 16],
    },
    /// Asks for proof of the source address.
    Cookie(Cookie),
    /// Noise message 2.
    Response(Response<'a>),
    /// Noise message 3.
    Finish(Finish<'a>),
    /// Says why not.
    Hint(Hint),
    /// Ends a forgotten connection.
    Reset(Reset),
    /// Opens a NAT on its way out, and is worth nothing on arrival. Its content is reserved.
    Punch,
}

impl<'a> Packet<'a> {
    /// Reads a whole datagram.
    ///
    /// # Errors
    /// [`Dropped::BadLength`] when it is shorter or longer than its kind demands, [`Dropped::BadHeader`]
    /// when its kind is unknown or a field has no meaning.
    pub fn decode(datagram: &'a [u8]) -> Result<Packet<'a>, Dropped> {
        let mut r = Reader::new(datagram);
        let packet = Packet::read(r.u8()?, &mut r, datagram)?;
        if r.is_empty() { Ok(packet) } else { Err(Dropped::BadLength) }
    }

    fn read(kind: u8, r: &mut Reader<'a>, datagram: &'a [u8]) -> Result<Packet<'a>, Dropped> {
        Ok(match kind {
            INIT => {
                if datagram.len() != INIT_SIZE {
                    return Err(Dropped::BadLength);
                }
                let init = Init {
                    version: r.u8()?,
                    app: AppId(r.u32()?),
                    source: ConnectionId(r.u32()?),
                    session: SessionId(r.u64()?),
                    ephemeral: r.array()?,
                    cookie: Some(r.array()?).filter(|cookie| *cookie != [0; 16]),
                };
                // The padding; a later version may use it.
                r.bytes(r.remaining() - 16)?;
                Packet::Init { init, covered: &datagram[..INIT_SIZE - 16], check: r.array()? }
            }
            COOKIE => Packet::Cookie(Cookie {
                destination: ConnectionId(r.u32()?),
                session: SessionId(r.u64()?),
                cookie: r.array()?,
            }),
            RESPONSE => Packet::Response(Response {
                destination: ConnectionId(r.u32()?),
                source: ConnectionId(r.u32()?),
                message: r.rest(),
            }),
            FINISH => {
                let destination = ConnectionId(r.u32()?);
                let len = r.u16()?;
                Packet::Finish(Finish { destination, message: r.bytes(len.into())?, rest: r.rest() })
            }
            HINT => Packet::Hint(Hint {
                destination: ConnectionId(r.u32()?),
                session: SessionId(r.u64()?),
                code: match r.u8()? {
                    1 => HintCode::OtherVersion,
                    2 => HintCode::OtherApp,
                    _ => return Err(WireError::Malformed.into()),
                },
                version: r.u8()?,
            }),
            RESET => Packet::Reset(Reset { connection: ConnectionId(r.u32()?), token: r.array()? }),
            PUNCH => {
                r.rest();
                Packet::Punch
            }
            _ => return Err(Dropped::BadHeader),
        })
    }
}

impl Cookie {
    /// Appends the packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(COOKIE);
        out.extend_from_slice(&self.destination.0.to_be_bytes());
        out.extend_from_slice(&self.session.0.to_be_bytes());
        out.extend_from_slice(&self.cookie);
    }
}

impl Response<'_> {
    /// Appends the packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(RESPONSE);
        out.extend_from_slice(&self.destination.0.to_be_bytes());
        out.extend_from_slice(&self.source.0.to_be_bytes());
        out.extend_from_slice(self.message);
    }
}

impl Finish<'_> {
    /// Appends the packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        debug_assert!(self.message.len() <= usize::from(u16::MAX), "message 3 is longer than its length field");
        out.push(FINISH);
        out.extend_from_slice(&self.destination.0.to_be_bytes());
        out.extend_from_slice(&(self.message.len() as u16).to_be_bytes());
        out.extend_from_slice(self.message);
        out.extend_from_slice(self.rest);
    }
}

impl Hint {
    /// Appends the packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(HINT);
        out.extend_from_slice(&self.destination.0.to_be_bytes());
        out.extend_from_slice(&self.session.0.to_be_bytes());
        out.push(match self.code {
            HintCode::OtherVersion => 1,
            HintCode::OtherApp => 2,
        });
        out.push(self.version);
    }
}

impl Reset {
    /// Appends the packet.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(RESET);
        out.extend_from_slice(&self.connection.0.to_be_bytes());
        out.extend_from_slice(&self.token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn init(cookie: Option<[u8; 16]>) -> Init {
        Init {
            version: WIRE_VERSION,
            app: AppId(480),
            source: ConnectionId(0x0102_0304),
            session: SessionId(0x1112_1314_1516_1718),
            ephemeral: [0xee; 32],
            cookie,
        }
    }

    #[test]
    fn the_first_byte_tells_whose_it_is() {
        let of = |first: u8| Protocol::of(&[first, 0]);
        for first in 0..=255u8 {
            let expected = match first {
                0..=3 => Ok(Protocol::Stun),
                64..=79 => Ok(Protocol::ChannelData),
                192..=223 => Ok(Protocol::Data),
                224.. => Ok(Protocol::Control),
                _ => Err(Dropped::UnknownProtocol),
            };
            assert_eq!(of(first), expected, "{first}");
        }
        assert_eq!(Protocol::of(&[]), Err(Dropped::BadLength));
    }

    #[test]
    fn a_data_header_has_the_bytes_of_the_specification() {
        let mut out = Vec::new();
        DataHeader::new(ConnectionId(0xa1a2_a3a4), true, 0x0102_0304, 3).encode(&mut out);
        assert_eq!(out, [0b1101_1000, 0xa1, 0xa2, 0xa3, 0xa4, 2, 3, 4]);
        out.clear();
        DataHeader::new(ConnectionId(1), false, 0x0102_0304, 2).encode(&mut out);
        assert_eq!(out, [0b1100_0000, 0, 0, 0, 1, 3, 4]);
    }

    #[test]
    fn header_and_tag_of_a_data_packet_take_24_bytes_at_most() {
        let longest = [2, 3].map(|n| DataHeader::new(ConnectionId(0), false, 0, n).len).into_iter().max();
        assert_eq!(longest, Some(MAX_DATA_HEADER));
        assert_eq!(MAX_DATA_HEADER + TAG_SIZE, 24);
    }

    #[test]
    fn data_headers_with_reserved_bits_or_without_a_tag_are_refused() {
        for bit in 0..3 {
            let mut packet = [0u8; 40];
            packet[0] = 0b1100_0000 | 1 << bit;
            assert_eq!(DataHeader::decode(&packet), Err(Dropped::BadHeader));
        }
        let mut packet = vec![0b1100_0000];
        packet.resize(7 + TAG_SIZE, 0);
        assert!(DataHeader::decode(&packet).is_ok());
        for end in 0..packet.len() {
            assert_eq!(DataHeader::decode(&packet[..end]), Err(Dropped::BadLength));
        }
        packet[0] |= 0b1000;
        assert_eq!(DataHeader::decode(&packet), Err(Dropped::BadLength));
    }

    #[test]
    fn packet_numbers_expand_as_in_the_appendix_of_rfc_9000() {
        assert_eq!(expand(0x9b32, 2, Some(0xa82f_30ea)), 0xa82f_9b32);
        assert_eq!(expand(0, 2, None), 0);
        assert_eq!(expand(0xffff, 2, None), 0xffff);
        assert_eq!(expand(0, 2, Some(0xffff)), 0x1_0000);
        assert_eq!(expand(0xfffe, 2, Some(0x1_0000)), 0xfffe);
        assert_eq!(expand(5, 2, Some(u64::MAX)) & 0xffff, 5);
    }

    #[test]
    fn too_many_unacknowledged_packets_stop_the_sender() {
        assert_eq!(pn_len(0, None), Some(2));
        assert_eq!(pn_len(0x3fff, None), Some(3));
        assert_eq!(pn_len(0x3fff, Some(0)), Some(2));
        assert_eq!(pn_len((1 << 22) - 1 + 9, Some(9)), Some(3));
        assert_eq!(pn_len((1 << 22) + 9, Some(9)), None);
        assert_eq!(pn_len(3, Some(9)), Some(2));
        assert_eq!(pn_len(u64::MAX, None), None);
    }

    #[test]
    fn an_init_fills_its_size_and_comes_back_with_what_its_check_covers() {
        for cookie in [None, Some([7; 16])] {
            let mut out = vec![1, 2, 3];
            init(cookie).encode(&mut out, |covered| {
                assert_eq!(covered.len(), INIT_SIZE - 16);
                [covered[0]; 16]
            });
            let datagram = &out[3..];
            assert_eq!(datagram.len(), INIT_SIZE);
            assert_eq!(datagram[..10], [0xE0, WIRE_VERSION, 0, 0, 1, 0xe0, 1, 2, 3, 4]);
            let expected = Packet::Init { init: init(cookie), covered: &datagram[..1184], check: [0xE0; 16] };
            assert_eq!(Packet::decode(datagram), Ok(expected));
            for len in [0, 1, 66, 1199] {
                assert_eq!(Packet::decode(&datagram[..len]), Err(Dropped::BadLength));
            }
            let longer = [datagram, &[0]].concat();
            assert_eq!(Packet::decode(&longer), Err(Dropped::BadLength));
        }
    }

    #[test]
    fn every_short_packet_comes_back_and_refuses_other_lengths() {
        let (destination, session) = (ConnectionId(0xaabb_ccdd), SessionId(0x0102_0304_0506_0708));
        let cookie = Cookie { destination, session, cookie: [9; 16] };
        let hints =
            [HintCode::OtherVersion, HintCode::OtherApp].map(|code| Hint { destination, session, code, version: 3 });
        let reset = Reset { connection: destination, token: [8; 16] };

        let mut all = Vec::new();
        for (bytes, packet) in [
            (encoded(|out| cookie.encode(out)), Packet::Cookie(cookie)),
            (encoded(|out| hints[0].encode(out)), Packet::Hint(hints[0])),
            (encoded(|out| hints[1].encode(out)), Packet::Hint(hints[1])),
            (encoded(|out| reset.encode(out)), Packet::Reset(reset)),
        ] {
            assert_eq!(Packet::decode(&bytes), Ok(packet));
            for end in 0..bytes.len() {
                assert_eq!(Packet::decode(&bytes[..end]), Err(Dropped::BadLength));
            }
            assert_eq!(Packet::decode(&[&bytes[..], &[0]].concat()), Err(Dropped::BadLength));
            all.push(bytes.len());
        }
        assert_eq!(all, [29, 15, 15, 21]);
    }

    fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&mut out);
        out
    }

    #[test]
    fn a_finish_carries_a_data_packet_behind_it() {
        let finish = Finish { destination: ConnectionId(5), message: b"third", rest: b"data" };
        let bytes = encoded(|out| finish.encode(out));
        assert_eq!(Packet::decode(&bytes), Ok(Packet::Finish(finish)));
        assert_eq!(&bytes[finish.rest_start()..], b"data");
        assert_eq!(Packet::decode(&bytes[..11]), Err(Dropped::BadLength));
    }

    #[test]
    fn a_punch_is_recognised_whatever_it_holds_and_other_kinds_are_not() {
        assert_eq!(Packet::decode(&[0xE6]), Ok(Packet::Punch));
        assert_eq!(Packet::decode(&[0xE6, 1, 2]), Ok(Packet::Punch));
        for kind in (0..0xE0).chain(0xE7..=0xFF) {
            assert_eq!(Packet::decode(&[kind; 64]), Err(Dropped::BadHeader), "{kind:x}");
        }
        let mut hint = [0; 15];
        hint[0] = 0xE4;
        assert_eq!(Packet::decode(&hint), Err(Dropped::BadHeader));
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_dropped(first in 0xDEu8..=0xE8, bytes in prop::collection::vec(any::<u8>(), 0..80), full: bool) {
            let mut datagram = vec![first];
            datagram.extend(bytes);
            if full {
                datagram.resize(INIT_SIZE, 7);
            }
            let _ = Protocol::of(&datagram);
            let _ = DataHeader::decode(&datagram);
            let _ = Packet::decode(&datagram);
        }

        #[test]
        fn data_headers_round_trip(id: u32, phase: bool, pn in 0..PACKET_NUMBER_END, long: bool, body in 16usize..40) {
            let header = DataHeader::new(ConnectionId(id), phase, pn, if long { 3 } else { 2 });
            let mut out = Vec::new();
            header.encode(&mut out);
            prop_assert_eq!(out.len(), header.len);
            out.resize(header.len + body, 0xaa);
            prop_assert_eq!(DataHeader::decode(&out), Ok(header));
        }

        #[test]
        fn responses_round_trip(destination: u32, source: u32, message in prop::collection::vec(any::<u8>(), 0..300)) {
            let response =
                Response { destination: ConnectionId(destination), source: ConnectionId(source), message: &message };
            let bytes = encoded(|out| response.encode(out));
            prop_assert_eq!(Packet::decode(&bytes), Ok(Packet::Response(response)));
        }

        #[test]
        fn the_receiver_finds_every_packet_number_the_sender_may_send(
            pn in 0u64..PACKET_NUMBER_END, acked_back in 0u64..(1 << 22), seen in 0u64..(1 << 22),
        ) {
            let acked = pn.checked_sub(acked_back);
            // The receiver has seen at least what it acknowledged, and at most this far past this packet.
            let largest = acked.map_or(pn.checked_sub(1), |acked| Some(acked + seen % (acked_back + 64)));
            if let Some(len) = pn_len(pn, acked) {
                prop_assert_eq!(expand(DataHeader::new(ConnectionId(0), false, pn, len).truncated, len, largest), pn);
            }
        }

        #[test]
        fn expanding_never_overflows(truncated: u32, pn_len in 0usize..9, largest: Option<u64>) {
            let _ = expand(truncated, pn_len, largest);
        }
    }
}
