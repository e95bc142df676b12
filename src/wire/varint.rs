//! Numbers that take as many bytes as they need: seven bits a byte, lowest first (unsigned LEB128).
//!
//! Each number has exactly one encoding: one padded with zero groups, or longer than 64 bits, is
//! malformed. So two encoders that agree on the values agree on the bytes.

use super::codec::WireError;

/// The longest encoding of a 64-bit number, bytes.
pub const MAX_LEN: usize = 10;

/// How many bytes `value` takes: 1 to [`MAX_LEN`].
#[inline]
pub const fn len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Reads a number from the front of `bytes`; gives it and the bytes it took.
///
/// # Errors
/// [`WireError::Truncated`] when the bytes end first, [`WireError::Malformed`] when it is not the
/// shortest encoding or does not fit 64 bits.
#[inline]
pub fn decode(bytes: &[u8]) -> Result<(u64, usize), WireError> {
    match *bytes {
        [a, ..] if a < 0x80 => Ok((u64::from(a), 1)),
        [a, b, ..] if b < 0x80 && b != 0 => Ok((u64::from(a & 0x7f) | u64::from(b) << 7, 2)),
        _ => decode_long(bytes),
    }
}

/// The general case, kept out of line so that the two short ones inline.
fn decode_long(bytes: &[u8]) -> Result<(u64, usize), WireError> {
    let mut value = 0u64;
    for (i, &byte) in bytes.iter().take(MAX_LEN).enumerate() {
        // The tenth byte holds the one bit that 9 × 7 leave over.
        if i == MAX_LEN - 1 && byte > 1 {
            return Err(WireError::Malformed);
        }
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            let padded = byte == 0 && i > 0;
            return if padded { Err(WireError::Malformed) } else { Ok((value, i + 1)) };
        }
    }
    // All ten with their continuation bit were refused above, so the bytes ended early.
    Err(WireError::Truncated)
}

/// Appends `value`.
#[inline]
pub fn encode(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Folds a signed number so that small ones of either sign stay short: 0, -1, 1, -2, … → 0, 1, 2, 3, …
#[inline]
pub const fn zigzag(value: i32) -> u64 {
    ((value << 1) ^ (value >> 31)) as u32 as u64
}

/// Undoes [`zigzag`].
///
/// # Errors
/// [`WireError::Malformed`] when the number is of no 32-bit value.
#[inline]
pub const fn unzigzag(folded: u64) -> Result<i32, WireError> {
    if folded > u32::MAX as u64 {
        return Err(WireError::Malformed);
    }
    let folded = folded as u32;
    Ok((folded >> 1) as i32 ^ -((folded & 1) as i32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        encode(value, &mut out);
        out
    }

    #[test]
    fn known_numbers_have_known_bytes() {
        assert_eq!(encoded(0), [0]);
        assert_eq!(encoded(127), [0x7f]);
        assert_eq!(encoded(128), [0x80, 0x01]);
        assert_eq!(encoded(300), [0xac, 0x02]);
        assert_eq!(encoded(u64::MAX), [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
    }

    #[test]
    fn padded_and_oversized_encodings_are_malformed() {
        for bytes in [&[0x80, 0x00][..], &[0x81, 0x00], &[0x80, 0x80, 0x00], &[0xff, 0x80, 0x00]] {
            assert_eq!(decode(bytes), Err(WireError::Malformed), "{bytes:x?}");
        }
        let mut too_big = [0xff; MAX_LEN];
        too_big[MAX_LEN - 1] = 0x02;
        assert_eq!(decode(&too_big), Err(WireError::Malformed));
        assert_eq!(decode(&[0xff; MAX_LEN + 5]), Err(WireError::Malformed));
    }

    #[test]
    fn encodings_cut_short_are_truncated() {
        for value in [128, 16_384, u64::MAX] {
            let bytes = encoded(value);
            for end in 0..bytes.len() {
                assert_eq!(decode(&bytes[..end]), Err(WireError::Truncated), "{value} cut to {end}");
            }
        }
    }

    #[test]
    fn zigzag_keeps_small_numbers_short_and_every_number_whole() {
        assert_eq!([0, -1, 1, -2, 2].map(zigzag), [0, 1, 2, 3, 4]);
        for value in [0, 1, -1, 63, -64, i32::MAX, i32::MIN] {
            assert_eq!(unzigzag(zigzag(value)), Ok(value));
        }
        assert_eq!(unzigzag(1 << 32), Err(WireError::Malformed));
    }

    proptest! {
        #[test]
        fn every_number_comes_back_in_the_length_foretold(shift in 0u32..64, raw: u64, tail: [u8; 3]) {
            let value = raw >> shift;
            let mut bytes = encoded(value);
            prop_assert_eq!(bytes.len(), len(value));
            let taken = bytes.len();
            bytes.extend(tail);
            prop_assert_eq!(decode(&bytes), Ok((value, taken)));
        }

        #[test]
        fn what_decodes_encodes_to_the_same_bytes(bytes in prop::collection::vec(any::<u8>(), 0..14)) {
            if let Ok((value, taken)) = decode(&bytes) {
                prop_assert_eq!(&encoded(value), &bytes[..taken]);
            }
        }

        #[test]
        fn every_signed_number_survives_folding(value: i32) {
            prop_assert_eq!(unzigzag(zigzag(value)), Ok(value));
        }
    }
}
