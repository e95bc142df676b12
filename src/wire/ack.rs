//! Acknowledgements: which packets arrived, as ranges, largest first (RFC 9000 section 19.3).

use super::codec::{Reader, WireError, Writer};
use super::varint;
use crate::ranges::RangeSet;
use std::ops::Range;

/// More ranges than this are neither sent nor accepted in one frame.
pub const MAX_ACK_RANGES: usize = 64;

const ACK: u8 = 0x02;

/// A received acknowledgement, checked and ready to walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AckFrame<'a> {
    /// The largest packet number acknowledged.
    pub largest: u64,
    /// How long the receiver held the acknowledgement of it back, microseconds.
    pub delay_us: u64,
    ranges: &'a [u8],
    count: usize,
}

impl<'a> AckFrame<'a> {
    /// Reads what follows the type byte.
    ///
    /// # Errors
    /// Ranges that reach below zero, or too many of them.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<AckFrame<'a>, WireError> {
        let largest = reader.varint()?;
        let delay_us = reader.varint()?;
        let count = usize::try_from(reader.varint()?).map_err(|_| WireError::Malformed)?;
        if count == 0 || count > MAX_ACK_RANGES || largest >= u64::MAX / 2 {
            return Err(WireError::Malformed);
        }
        let mut walk = *reader;
        let before = walk.remaining();
        let mut end = largest + 1;
        for i in 0..count {
            let gap = if i == 0 { 0 } else { walk.varint()?.checked_add(1).ok_or(WireError::Malformed)? };
            let length = walk.varint()?.checked_add(1).ok_or(WireError::Malformed)?;
            end = end.checked_sub(gap).and_then(|e| e.checked_sub(length)).ok_or(WireError::Malformed)?;
        }
        let ranges = reader.bytes(before - walk.remaining())?;
        Ok(AckFrame { largest, delay_us, ranges, count })
    }

    /// The acknowledged ranges, largest first.
    pub fn ranges(&self) -> impl Iterator<Item = Range<u64>> + 'a {
        let mut reader = Reader::new(self.ranges);
        let mut end = self.largest + 1;
        (0..self.count).map_while(move |i| {
            if i > 0 {
                end -= reader.varint().ok()? + 1;
            }
            let start = end - (reader.varint().ok()? + 1);
            let range = start..end;
            end = start;
            Some(range)
        })
    }

    /// Writes a frame for `received`, newest ranges first, as many as fit; false when not even one does.
    pub fn write(out: &mut Writer<'_>, received: &RangeSet, delay_us: u64) -> bool {
        let Some(largest) = received.largest() else {
            return false;
        };
        // Worst case of what precedes the ranges, and of one range.
        const HEAD: usize = 1 + 10 + 10 + 1;
        const RANGE: usize = 20;
        let room = out.room();
        if room < HEAD + RANGE {
            return false;
        }
        let count = received.range_count().min(MAX_ACK_RANGES).min((room - HEAD) / RANGE);
        out.u8(ACK);
        out.varint(largest);
        out.varint(delay_us);
        out.varint(count as u64);
        let mut start = None;
        for range in received.iter().rev().take(count) {
            if let Some(above) = start {
                out.varint(above - range.end - 1);
            }
            out.varint(range.end - range.start - 1);
            start = Some(range.start);
        }
        debug_assert!(varint::len(count as u64) == 1);
        true
    }
}
