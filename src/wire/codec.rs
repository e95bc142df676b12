//! Reading and writing byte by byte, within bounds.
//!
//! [`Reader`] takes from the front of a slice and never looks past its end; [`Writer`] appends to a
//! buffer and knows how much may still be written. Whoever writes asks [`Writer::room`] first: what goes
//! past the limit is a bug of the caller, not an error of the wire.

use super::varint;
use crate::drops::Dropped;

/// Why bytes are no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// They end too early.
    #[error("the bytes end too early")]
    Truncated,
    /// They break a rule of the format.
    #[error("the bytes break the format")]
    Malformed,
}

impl From<WireError> for Dropped {
    fn from(error: WireError) -> Dropped {
        match error {
            WireError::Truncated => Dropped::BadLength,
            WireError::Malformed => Dropped::BadHeader,
        }
    }
}

/// Takes values from the front of a slice.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the first byte of `bytes`.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// How many bytes are left.
    #[inline]
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Nothing is left.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes everything that is left.
    #[inline]
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Takes `n` bytes.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when fewer are left, as for every other taking; nothing is taken then.
    #[inline]
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Takes `N` bytes as an array.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(WireError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Takes a byte.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    #[inline]
    pub fn u8(&mut self) -> Result<u8, WireError> {
        self.array().map(u8::from_be_bytes)
    }

    /// Takes 16 bits, big endian.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    #[inline]
    pub fn u16(&mut self) -> Result<u16, WireError> {
        self.array().map(u16::from_be_bytes)
    }

    /// Takes 32 bits, big endian.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    #[inline]
    pub fn u32(&mut self) -> Result<u32, WireError> {
        self.array().map(u32::from_be_bytes)
    }

    /// Takes 64 bits, big endian.
    ///
    /// # Errors
    /// [`WireError::Truncated`].
    #[inline]
    pub fn u64(&mut self) -> Result<u64, WireError> {
        self.array().map(u64::from_be_bytes)
    }

    /// Takes a [`varint`].
    ///
    /// # Errors
    /// See [`varint::decode`].
    #[inline]
    pub fn varint(&mut self) -> Result<u64, WireError> {
        let (value, taken) = varint::decode(self.rest)?;
        self.rest = &self.rest[taken..];
        Ok(value)
    }
}

/// Appends values to a buffer, up to a limit.
#[derive(Debug)]
pub struct Writer<'a> {
    buf: &'a mut Vec<u8>,
    limit: usize,
}

impl<'a> Writer<'a> {
    /// Appends to `buf`, which may grow to `limit` bytes in all.
    #[inline]
    pub fn new(buf: &'a mut Vec<u8>, limit: usize) -> Writer<'a> {
        Writer { buf, limit }
    }

    /// How many bytes may still be written.
    #[inline]
    pub fn room(&self) -> usize {
        self.limit.saturating_sub(self.buf.len())
    }

    /// How many bytes the buffer holds, those before this writer included.
    #[inline]
    pub fn position(&self) -> usize {
        self.buf.len()
    }

    #[inline]
    fn claim(&self, bytes: usize) {
        debug_assert!(bytes <= self.room(), "{bytes} bytes written into room for {}", self.room());
    }

    /// Writes all of `bytes`.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.claim(bytes.len());
        self.buf.extend_from_slice(bytes);
    }

    /// Writes a byte.
    #[inline]
    pub fn u8(&mut self, value: u8) {
        self.claim(1);
        self.buf.push(value);
    }

    /// Writes 16 bits, big endian.
    #[inline]
    pub fn u16(&mut self, value: u16) {
        self.bytes(&value.to_be_bytes());
    }

    /// Writes 32 bits, big endian.
    #[inline]
    pub fn u32(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    /// Writes 64 bits, big endian.
    #[inline]
    pub fn u64(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }

    /// Writes a [`varint`]; it takes [`varint::len`] bytes.
    #[inline]
    pub fn varint(&mut self, value: u64) {
        self.claim(varint::len(value));
        varint::encode(value, self.buf);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_come_back_in_the_order_they_were_written() {
        let mut buf = vec![9];
        let mut w = Writer::new(&mut buf, 40);
        w.u8(1);
        w.u16(0x0203);
        w.u32(0x0405_0607);
        w.u64(0x0809_0a0b_0c0d_0e0f);
        w.varint(300);
        w.bytes(b"tail");
        assert_eq!((w.position(), w.room()), (22, 18));

        let mut r = Reader::new(&buf[1..]);
        assert_eq!(r.u8(), Ok(1));
        assert_eq!(r.u16(), Ok(0x0203));
        assert_eq!(r.array(), Ok([4, 5, 6, 7]));
        assert_eq!(r.u64(), Ok(0x0809_0a0b_0c0d_0e0f));
        assert_eq!(r.varint(), Ok(300));
        assert_eq!(r.bytes(1), Ok(&b"t"[..]));
        assert_eq!((r.remaining(), r.is_empty()), (3, false));
        assert_eq!(r.rest(), b"ail");
        assert!(r.is_empty());
    }

    #[test]
    fn a_failed_taking_takes_nothing() {
        let mut r = Reader::new(&[1, 2, 3]);
        assert_eq!(r.u32(), Err(WireError::Truncated));
        assert_eq!(r.bytes(4), Err(WireError::Truncated));
        assert_eq!(r.bytes(usize::MAX), Err(WireError::Truncated));
        assert_eq!(r.rest(), [1, 2, 3]);
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "2 bytes written into room for 1")]
    fn writing_past_the_limit_is_caught_in_debug_builds() {
        let mut buf = vec![0; 3];
        Writer::new(&mut buf, 4).u16(7);
    }

    proptest! {
        #[test]
        fn any_bytes_read_in_any_way_never_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..40), ways in prop::collection::vec((0u8..7, 0usize..50), 0..40),
        ) {
            let mut r = Reader::new(&bytes);
            for (way, n) in ways {
                let before = r.remaining();
                let ok = match way {
                    0 => r.u8().is_ok(),
                    1 => r.u16().is_ok(),
                    2 => r.u32().is_ok(),
                    3 => r.u64().is_ok(),
                    4 => r.varint().is_ok(),
                    5 => r.array::<16>().is_ok(),
                    _ => r.bytes(n).is_ok_and(|b| b.len() == n),
                };
                prop_assert!(ok || r.remaining() == before);
            }
        }
    }
}
