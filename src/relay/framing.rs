//! What lies on the way to a TURN server: ChannelData and STUN messages, told apart by their first
//! two bits (RFC 8656 section 12); and on a stream also where each ends.

use std::ops::Range;

/// Bytes before the data of a ChannelData message: channel number, length.
pub const CHANNEL_HEADER: usize = 4;

/// Bytes before the attributes of a STUN message.
const STUN_HEADER: usize = 20;

/// The largest UDP payload there is, and so the largest datagram that a relay can send on.
pub const MAX_DATAGRAM: usize = 65_507;

/// The numbers a client may bind (RFC 8656 section 12).
pub const CHANNELS: Range<u16> = 0x4000..0x5000;

/// What the first bytes of something say it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Data of the peer that is bound to this channel, so many bytes after [`CHANNEL_HEADER`].
    Channel(u16, usize),
    /// A STUN message.
    Stun,
}

/// What `bytes` is; `None` if it is neither, or shorter than it says.
pub fn kind(bytes: &[u8]) -> Option<Kind> {
    let (kind, length) = head(bytes)?;
    (bytes.len() >= length).then_some(kind)
}

/// What begins with `bytes`, and how long it is without padding; `None` if four bytes do not say.
fn head(bytes: &[u8]) -> Option<(Kind, usize)> {
    let [a, b, c, d, ..] = *bytes else { return None };
    let (first, length) = (u16::from_be_bytes([a, b]), usize::from(u16::from_be_bytes([c, d])));
    match first >> 14 {
        0 => Some((Kind::Stun, STUN_HEADER + length)),
        1 => Some((Kind::Channel(first, length), CHANNEL_HEADER + length)),
        _ => None,
    }
}

/// Appends `data` as ChannelData; on a stream it is padded to four bytes.
pub fn push_channel(channel: u16, data: &[u8], pad: bool, out: &mut Vec<u8>) {
    debug_assert!(data.len() <= MAX_DATAGRAM, "checked where datagrams come in");
    out.extend_from_slice(&channel.to_be_bytes());
    out.extend_from_slice(&(data.len() as u16).to_be_bytes());
    out.extend_from_slice(data);
    if pad {
        out.resize(out.len() + padding(data.len()), 0);
    }
}

fn padding(length: usize) -> usize {
    length.next_multiple_of(4) - length
}

/// The bytes of a stream that are not a whole message yet.
#[derive(Debug, Default)]
pub struct Reassembly {
    buffer: Vec<u8>,
    taken: usize,
}

impl Reassembly {
    /// More bytes came. If whole messages are taken each time, the buffer holds no more than one that is
    /// not whole (64 KiB) and what comes in one go.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes that were not given back yet.
    pub fn waiting(&self) -> usize {
        self.buffer.len() - self.taken
    }

    /// Forgets all: the stream is another.
    pub fn clear(&mut self) {
        *self = Reassembly::default();
    }

    /// Where the next whole message is, its padding left out; `Ok(None)` if it has not all come.
    ///
    /// # Errors
    /// What comes is no message, so nobody can tell where the next one begins.
    pub fn next(&mut self) -> Result<Option<Range<usize>>, Garbled> {
        let rest = &self.buffer[self.taken..];
        if rest.len() < CHANNEL_HEADER {
            return Ok(None);
        }
        let Some((_, length)) = head(rest) else { return Err(Garbled) };
        if rest.len() < length + padding(length) {
            return Ok(None);
        }
        let start = self.taken;
        self.taken += length + padding(length);
        Ok(Some(start..start + length))
    }

    /// The bytes at a place that [`Reassembly::next`] gave.
    pub fn bytes(&mut self, place: Range<usize>) -> &mut [u8] {
        &mut self.buffer[place]
    }
}

/// A stream that carries no STUN and no ChannelData.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Garbled;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn channel_data_is_recognised_and_never_reaches_beyond_its_datagram() {
        let mut bytes = Vec::new();
        push_channel(0x4001, b"hello", false, &mut bytes);
        assert_eq!(bytes, b"\x40\x01\x00\x05hello");
        assert_eq!(kind(&bytes), Some(Kind::Channel(0x4001, 5)));
        assert_eq!(kind(&bytes[..8]), None);
        assert_eq!(kind(b"\x80\x00\x00\x00"), None);
        assert_eq!(kind(b"\x40\x00\x00"), None);
    }

    proptest! {
        #[test]
        fn a_stream_gives_back_what_was_written_however_it_is_cut(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..8),
            cuts in prop::collection::vec(1..20_usize, 1..20),
        ) {
            let mut bytes = Vec::new();
            for message in &messages {
                push_channel(0x4321, message, true, &mut bytes);
            }
            let (mut stream, mut rest, mut cuts) = (Reassembly::default(), &bytes[..], cuts.iter().cycle());
            let mut found = Vec::new();
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(*cuts.next().expect("a cycle")));
                rest = later;
                stream.push(now);
                while let Some(place) = stream.next().expect("nothing is garbled") {
                    found.push(stream.bytes(place)[CHANNEL_HEADER..].to_vec());
                }
            }
            prop_assert_eq!(found, messages);
        }

        #[test]
        fn no_bytes_panic_and_the_buffer_stays_small(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20)) {
            let mut stream = Reassembly::default();
            for chunk in &chunks {
                let _ = kind(chunk);
                stream.push(chunk);
                while let Ok(Some(place)) = stream.next() {
                    prop_assert!(stream.bytes(place).len() <= STUN_HEADER + 65_535);
                }
            }
        }
    }
}
