//! Transport parameters: what each side tells the other, once, inside the handshake.
//!
//! A list of `[id varint][length varint][value]`. A reader skips ids it does not know, so that later
//! versions can add some; it refuses an id that comes twice and a value out of its range. An absent id
//! means the default. Values are varints that fill their length, but for the reset token, the candidates and
//! the session that ended.

use super::candidate::{self, MAX_CANDIDATE_BYTES};
use super::codec::{Reader, WireError, Writer};
use super::varint;
use crate::ids::SessionId;

/// [`Params::aead`] bit: AES-256-GCM in hardware.
pub const AEAD_AES_256_GCM: u8 = 1;
/// [`Params::aead`] bit: ChaCha20-Poly1305, which every implementation must speak.
pub const AEAD_CHACHA20_POLY1305: u8 = 2;

/// What one side will take from the other.
///
/// Limits are what the *sender* of these parameters accepts; they hold until frames raise them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    /// 1: largest message, bytes; 1 to 2^30, default 524,288.
    pub max_message: u32,
    /// 2: bytes of reliable messages that may be started, over all channels; below 2^62, default 0.
    pub session_bytes: u64,
    /// 3: reliable messages that may be started, over all channels; below 2^62, default 0.
    pub session_messages: u64,
    /// 4: bytes of reliable messages that may be started on each channel; below 2^62, default 0.
    pub channel_bytes: u64,
    /// 5: reliable messages that may be started on each channel; below 2^62, default 0.
    pub channel_messages: u64,
    /// 6: an unused session ends after so long, milliseconds; 0 never; default 180,000.
    pub idle_timeout_ms: u32,
    /// 7: ciphers it can use, [`AEAD_AES_256_GCM`] and [`AEAD_CHACHA20_POLY1305`]; other bits are kept for
    /// later. ChaCha20-Poly1305 must be among them, and is the default.
    pub aead: u8,
    /// 8: who shows this token has lost the connection; default none.
    pub reset_token: Option<[u8; 16]>,
    /// 9: the longest an acknowledgement is held back, microseconds; up to 1,000,000, default 25,000.
    pub max_ack_delay_us: u32,
    /// 10: largest datagram it can receive, bytes of UDP payload; 1,200 to 65,535, default 1,200.
    pub max_datagram: u16,
    /// 11: where it may be reached, a list as of [`candidate`]; default nowhere in particular.
    pub candidates: Vec<u8>,
    /// 12: the receiver's name of the last session it began here and that is over here; default none.
    pub ended: Option<SessionId>,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            max_message: 524_288,
            session_bytes: 0,
            session_messages: 0,
            channel_bytes: 0,
            channel_messages: 0,
            idle_timeout_ms: 180_000,
            aead: AEAD_CHACHA20_POLY1305,
            reset_token: None,
            max_ack_delay_us: 25_000,
            max_datagram: 1_200,
            candidates: Vec::new(),
            ended: None,
        }
    }
}

const RESET_TOKEN: u64 = 8;
const CANDIDATES: u64 = 11;
const ENDED: u64 = 12;
const COUNT_END: u64 = 1 << 62;

impl Params {
    /// The longest encoding this version writes, bytes.
    pub const MAX_LEN: usize = 90 + 1 + 2 + MAX_CANDIDATE_BYTES + 10;

    /// Writes all parameters, those at their default included but for those that are no number.
    pub fn encode(&self, w: &mut Writer<'_>) {
        for (id, value) in [
            (1, u64::from(self.max_message)),
            (2, self.session_bytes),
            (3, self.session_messages),
            (4, self.channel_bytes),
            (5, self.channel_messages),
            (6, u64::from(self.idle_timeout_ms)),
            (7, u64::from(self.aead)),
            (9, u64::from(self.max_ack_delay_us)),
            (10, u64::from(self.max_datagram)),
        ] {
            w.varint(id);
            w.varint(varint::len(value) as u64);
            w.varint(value);
        }
        if let Some(token) = self.reset_token {
            w.varint(RESET_TOKEN);
            w.varint(token.len() as u64);
            w.bytes(&token);
        }
        if !self.candidates.is_empty() {
            w.varint(CANDIDATES);
            w.varint(self.candidates.len() as u64);
            w.bytes(&self.candidates);
        }
        if let Some(SessionId(session)) = self.ended {
            w.varint(ENDED);
            w.varint(8);
            w.u64(session);
        }
    }

    /// Reads everything that is left in `r`.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when an entry is cut short, [`WireError::Malformed`] when an id comes
    /// twice or a value is out of range.
    pub fn decode(r: &mut Reader<'_>) -> Result<Params, WireError> {
        let mut params = Params::default();
        let mut seen = 0u64;
        while !r.is_empty() {
            let id = r.varint()?;
            let len = usize::try_from(r.varint()?).map_err(|_| WireError::Truncated)?;
            let value = r.bytes(len)?;
            // Twice is told for the ids one word can hold; unknown ones above are skipped in any case.
            if id < 64 {
                if seen & 1 << id != 0 {
                    return Err(WireError::Malformed);
                }
                seen |= 1 << id;
            }
            params.set(id, value)?;
        }
        Ok(params)
    }

    fn set(&mut self, id: u64, value: &[u8]) -> Result<(), WireError> {
        match id {
            1 => self.max_message = number(value, 1, 1 << 30)? as u32,
            2 => self.session_bytes = number(value, 0, COUNT_END - 1)?,
            3 => self.session_messages = number(value, 0, COUNT_END - 1)?,
            4 => self.channel_bytes = number(value, 0, COUNT_END - 1)?,
            5 => self.channel_messages = number(value, 0, COUNT_END - 1)?,
            6 => self.idle_timeout_ms = number(value, 0, u64::from(u32::MAX))? as u32,
            7 => {
                self.aead = number(value, 0, u64::from(u8::MAX))? as u8;
                if self.aead & AEAD_CHACHA20_POLY1305 == 0 {
                    return Err(WireError::Malformed);
                }
            }
            RESET_TOKEN => self.reset_token = Some(value.try_into().map_err(|_| WireError::Malformed)?),
            9 => self.max_ack_delay_us = number(value, 0, 1_000_000)? as u32,
            10 => self.max_datagram = number(value, 1_200, 65_535)? as u16,
            CANDIDATES => {
                candidate::decode(value).map_err(|_| WireError::Malformed)?;
                self.candidates = value.to_vec();
            }
            ENDED => {
                let session = value.try_into().map_err(|_| WireError::Malformed)?;
                self.ended = Some(SessionId(u64::from_be_bytes(session)));
            }
            _ => {}
        }
        Ok(())
    }
}

/// A varint that fills `value` and lies within `least..=most`.
fn number(value: &[u8], least: u64, most: u64) -> Result<u64, WireError> {
    let (number, taken) = varint::decode(value).map_err(|_| WireError::Malformed)?;
    if taken == value.len() && (least..=most).contains(&number) { Ok(number) } else { Err(WireError::Malformed) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::candidate::{Candidate, CandidateKind, MAX_CANDIDATES};
    use super::*;
    use proptest::prelude::*;

    fn decode(bytes: &[u8]) -> Result<Params, WireError> {
        Params::decode(&mut Reader::new(bytes))
    }

    fn longest_list() -> Vec<u8> {
        let address = "[2001:db8::1]:5".parse().unwrap();
        let mut list = Vec::new();
        candidate::encode(&[Candidate { kind: CandidateKind::Relayed, pop: 1, address }; MAX_CANDIDATES], &mut list);
        list
    }

    fn encoded(params: &Params) -> Vec<u8> {
        let mut out = Vec::new();
        params.encode(&mut Writer::new(&mut out, Params::MAX_LEN));
        out
    }

    prop_compose! {
        /// Any parameters that are in range.
        pub fn any_params()(
            max_message in 1u32..=1 << 30, counts in [0..COUNT_END, 0..COUNT_END, 0..COUNT_END, 0..COUNT_END],
            idle_timeout_ms: u32, aead: u8, reset_token: Option<[u8; 16]>, max_ack_delay_us in 0u32..=1_000_000,
            max_datagram in 1_200u16.., told: bool, ended: Option<u64>,
        ) -> Params {
            let [session_bytes, session_messages, channel_bytes, channel_messages] = counts;
            let aead = aead | AEAD_CHACHA20_POLY1305;
            Params {
                max_message, session_bytes, session_messages, channel_bytes, channel_messages, idle_timeout_ms, aead,
                reset_token, max_ack_delay_us, max_datagram, candidates: if told { longest_list() } else { Vec::new() },
                ended: ended.map(SessionId),
            }
        }
    }

    #[test]
    fn nothing_means_the_defaults() {
        assert_eq!(decode(&[]), Ok(Params::default()));
    }

    #[test]
    fn the_longest_encoding_is_as_long_as_promised() {
        let most = Params {
            max_message: 1 << 30,
            session_bytes: COUNT_END - 1,
            session_messages: COUNT_END - 1,
            channel_bytes: COUNT_END - 1,
            channel_messages: COUNT_END - 1,
            idle_timeout_ms: u32::MAX,
            aead: u8::MAX,
            reset_token: Some([0xff; 16]),
            max_ack_delay_us: 1_000_000,
            max_datagram: u16::MAX,
            candidates: longest_list(),
            ended: Some(SessionId(u64::MAX)),
        };
        assert_eq!(encoded(&most).len(), Params::MAX_LEN);
        assert_eq!(decode(&encoded(&most)), Ok(most));
    }

    #[test]
    fn unknown_ids_are_skipped() {
        let bytes = [&[40, 3, 1, 2, 3][..], &[0xff, 0x7f, 0], &[1, 1, 99], &[0xff, 0x7f, 0]].concat();
        assert_eq!(decode(&bytes), Ok(Params { max_message: 99, ..Params::default() }));
    }

    #[test]
    fn an_id_that_comes_twice_is_refused() {
        assert_eq!(decode(&[1, 1, 5, 1, 1, 5]), Err(WireError::Malformed));
        assert_eq!(decode(&[40, 0, 40, 0]), Err(WireError::Malformed));
    }

    #[test]
    fn values_out_of_range_or_of_the_wrong_length_are_refused() {
        for bytes in [
            &[1, 1, 0][..],                                                // a message of no byte
            &[1, 5, 0x81, 0x80, 0x80, 0x80, 0x04],                         // over 2^30
            &[2, 9, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40], // 2^62
            &[6, 5, 0x80, 0x80, 0x80, 0x80, 0x10],                         // 2^32
            &[7, 1, 1],                                                    // without ChaCha20-Poly1305
            &[8, 15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[9, 3, 0xc1, 0x84, 0x3d], // a second and a bit
            &[12, 7, 0, 0, 0, 0, 0, 0, 0],
            &[10, 2, 0xaf, 0x09], // 1,199
            &[1, 2, 5, 5],        // more than a varint
            &[1, 0],              // no varint
            &[1, 1, 0x80],        // half a varint
        ] {
            assert_eq!(decode(bytes), Err(WireError::Malformed), "{bytes:x?}");
        }
        for bytes in [&[1][..], &[1, 2, 5], &[0x80], &[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]] {
            assert_eq!(decode(bytes), Err(WireError::Truncated), "{bytes:x?}");
        }
    }

    proptest! {
        #[test]
        fn parameters_round_trip(params in any_params()) {
            prop_assert_eq!(decode(&encoded(&params)), Ok(params));
        }

        #[test]
        fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = decode(&bytes);
        }
    }
}
