//! Messages on a stream: the channel once, then each message behind its length, seven bits a byte, low bits first.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Appends a message.
pub fn put(message: &[u8], out: &mut BytesMut) {
    out.reserve(message.len() + 8);
    let mut length = message.len();
    while length >= 0x80 {
        out.put_u8(length as u8 | 0x80);
        length >>= 7;
    }
    out.put_u8(length as u8);
    out.put_slice(message);
}

/// Takes a stream apart again.
pub struct Framing {
    message_bytes: usize,
    channel: Option<u8>,
    /// Bits of a length that is not whole, and how many.
    length: usize,
    bits: u32,
    /// Length of the message that is being gathered.
    wanted: Option<usize>,
    gathered: BytesMut,
}

impl Framing {
    /// For messages of at most `message_bytes`.
    pub fn new(message_bytes: usize) -> Framing {
        Framing { message_bytes, channel: None, length: 0, bits: 0, wanted: None, gathered: BytesMut::new() }
    }

    /// Takes the next piece of the stream; hands over the messages that are whole with it. A message within one piece
    /// is not copied.
    ///
    /// # Errors
    /// A message is longer than agreed.
    pub fn handle_chunk(&mut self, mut chunk: Bytes, mut message: impl FnMut(u8, Bytes)) -> io::Result<()> {
        while !chunk.is_empty() {
            let Some(channel) = self.channel else {
                self.channel = Some(chunk.get_u8());
                continue;
            };
            let Some(wanted) = self.wanted else {
                self.handle_length(chunk.get_u8())?;
                if self.wanted == Some(0) {
                    self.wanted = None;
                    message(channel, Bytes::new());
                }
                continue;
            };
            let missing = wanted - self.gathered.len();
            if missing > chunk.len() {
                self.gathered.reserve(missing);
                self.gathered.put(chunk);
                return Ok(());
            }
            let last = chunk.split_to(missing);
            self.wanted = None;
            if self.gathered.is_empty() {
                message(channel, last);
            } else {
                self.gathered.put(last);
                message(channel, self.gathered.split().freeze());
            }
        }
        Ok(())
    }

    fn handle_length(&mut self, byte: u8) -> io::Result<()> {
        self.length |= usize::from(byte & 0x7f) << self.bits;
        self.bits += 7;
        if self.length > self.message_bytes || self.bits > 28 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message is longer than agreed"));
        }
        if byte & 0x80 == 0 {
            self.wanted = Some(self.length);
            (self.length, self.bits) = (0, 0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_cut_anywhere_gives_the_same_messages() {
        let messages: Vec<Vec<u8>> = [0, 1, 127, 128, 5, 70_000, 0, 300].iter().map(|&n| vec![n as u8; n]).collect();
        let mut stream = BytesMut::new();
        stream.put_u8(1);
        messages.iter().for_each(|message| put(message, &mut stream));
        let stream = stream.freeze();
        for size in [1, 2, 3, 129, 1_400, 70_001, stream.len()] {
            let mut framing = Framing::new(70_000);
            let mut got = Vec::new();
            for at in (0..stream.len()).step_by(size) {
                let chunk = stream.slice(at..stream.len().min(at + size));
                framing.handle_chunk(chunk, |channel, bytes| got.push((channel, bytes.to_vec()))).expect("well formed");
            }
            assert!(got.iter().all(|(channel, _)| *channel == 1), "cut every {size}");
            assert!(got.into_iter().map(|(_, bytes)| bytes).eq(messages.iter().cloned()), "cut every {size}");
        }
    }

    #[test]
    fn a_message_longer_than_agreed_is_an_error() {
        let mut stream = BytesMut::new();
        stream.put_u8(0);
        put(&[0; 101], &mut stream);
        assert!(Framing::new(100).handle_chunk(stream.clone().freeze(), |_, _| {}).is_err());
        assert!(Framing::new(101).handle_chunk(stream.freeze(), |_, _| {}).is_ok());
    }
}
