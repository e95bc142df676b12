//! Frames: the typed items inside a sealed packet.
//!
//! Types below 0x80 are control frames; 0x80 and above are slices of messages, whose type byte says
//! which of channel, number and position are left out because they continue from the message frame
//! before them in the same packet. Free ranges: 0x14–0x1f credit, 0x20–0x2f repair, 0x34–0x3f path,
//! 0x40–0x4f resumption. An unknown type is a violation: both ends speak the same wire version.

use super::ack::AckFrame;
use super::candidate::MAX_CANDIDATE_BYTES;
use super::codec::{Reader, WireError, Writer};
use super::varint;
use crate::ids::Channel;

const PADDING: u8 = 0x00;
const PING: u8 = 0x01;
const ACK: u8 = 0x02;
const HOLD: u8 = 0x03;
const ACCEPT: u8 = 0x04;
const CLOSE: u8 = 0x05;
const CLOSED: u8 = 0x06;
const IDLE_PROPOSE: u8 = 0x07;
const IDLE_CONSENT: u8 = 0x08;
const IDLE_REFUSE: u8 = 0x09;
const QUALITY: u8 = 0x0a;
const REQUEST: u8 = 0x0b;
const SESSION_GRANT: u8 = 0x10;
const CHANNEL_GRANT: u8 = 0x11;
const SESSION_BLOCKED: u8 = 0x12;
const CHANNEL_BLOCKED: u8 = 0x13;
const PATH_PROBE: u8 = 0x30;
const PATH_REPLY: u8 = 0x31;
const CANDIDATES: u8 = 0x32;
const CANDIDATES_TAKEN: u8 = 0x33;

/// A message frame's type byte has this bit, and the ones below.
const MESSAGE: u8 = 0x80;
const RELIABLE: u8 = 0x40;
const HAS_CHANNEL: u8 = 0x20;
const HAS_NUMBER: u8 = 0x10;
const IS_FRAGMENT: u8 = 0x08;
const HAS_LENGTH: u8 = 0x04;
const RESERVED: u8 = 0x03;

/// Longest text in a CLOSE frame, bytes.
pub const MAX_CLOSE_TEXT: usize = 120;

/// A control frame of fixed meaning, or a slice of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Asks for an acknowledgement.
    Ping,
    /// What arrived.
    Ack(AckFrame<'a>),
    /// The handshake stands, the app has not accepted yet: keep waiting, stop retransmitting.
    Hold,
    /// The app accepted: data may flow.
    Accept,
    /// The session is over.
    Close {
        /// An SNM_END_ number.
        reason: u32,
        /// For humans, at most [`MAX_CLOSE_TEXT`] bytes of UTF-8.
        text: &'a str,
    },
    /// The CLOSE was understood; it need not be repeated.
    Closed,
    /// Nothing happened for the idle time-out: shall we end?
    IdlePropose,
    /// Yes.
    IdleConsent,
    /// No: ask again after so long.
    IdleRefuse {
        /// Milliseconds.
        remaining_ms: u64,
    },
    /// How well the peer's packets arrive here.
    Quality {
        /// 0 to 100.
        percent: u8,
    },
    /// The requester still waits for an accept.
    Request,
    /// So much may have been started in all, over the session's life.
    SessionGrant {
        /// Bytes of reliable messages.
        bytes: u64,
        /// Reliable messages.
        messages: u64,
    },
    /// So much may have been started on one channel.
    ChannelGrant {
        /// Which.
        channel: Channel,
        /// Bytes of reliable messages.
        bytes: u64,
        /// Reliable messages.
        messages: u64,
    },
    /// The session's grant holds a message back that needs it to reach so many bytes.
    SessionBlocked {
        /// Cumulative bytes.
        needed: u64,
    },
    /// A channel's grant holds a message back.
    ChannelBlocked {
        /// Which.
        channel: Channel,
        /// Cumulative bytes.
        needed: u64,
    },
    /// Is this path alive both ways?
    PathProbe(u64),
    /// It is: the probe's token back on the path it came.
    PathReply(u64),
    /// Where its sender may be reached from now on.
    Candidates {
        /// A larger one replaces a smaller one.
        revision: u64,
        /// Read it with [`super::candidate::decode`]; at most [`MAX_CANDIDATE_BYTES`].
        list: &'a [u8],
    },
    /// Candidates up to this revision have arrived.
    CandidatesTaken(u64),
    /// A message or a slice of one.
    Message(MessageFrame<'a>),
}

/// A message, whole or a slice of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageFrame<'a> {
    /// Sent reliably?
    pub reliable: bool,
    /// On which channel.
    pub channel: Channel,
    /// From 1, per channel and reliability.
    pub number: u64,
    /// First byte of this slice within the message.
    pub offset: u32,
    /// Size of the whole message, bytes.
    pub total: u32,
    /// The slice.
    pub data: &'a [u8],
}

impl MessageFrame<'_> {
    /// Is this all of it?
    pub fn is_whole(&self) -> bool {
        self.data.len() == self.total as usize
    }
}

impl Frame<'_> {
    /// Must the receiver acknowledge a packet that holds this frame?
    pub fn is_ack_eliciting(&self) -> bool {
        !matches!(
            self,
            Frame::Ack(_)
                | Frame::Hold
                | Frame::Close { .. }
                | Frame::Closed
                | Frame::Request
                | Frame::PathReply(_)
                | Frame::Candidates { .. }
                | Frame::CandidatesTaken(_)
        )
    }

    /// Writes a control frame. Message frames go through [`MessageEncoder`], acknowledgements
    /// through [`AckFrame::write`].
    pub fn write(&self, out: &mut Writer<'_>) {
        match *self {
            Frame::Ping => out.u8(PING),
            Frame::Hold => out.u8(HOLD),
            Frame::Accept => out.u8(ACCEPT),
            Frame::Close { reason, text } => {
                out.u8(CLOSE);
                out.varint(reason.into());
                let text = truncated(text, MAX_CLOSE_TEXT);
                out.varint(text.len() as u64);
                out.bytes(text.as_bytes());
            }
            Frame::Closed => out.u8(CLOSED),
            Frame::IdlePropose => out.u8(IDLE_PROPOSE),
            Frame::IdleConsent => out.u8(IDLE_CONSENT),
            Frame::IdleRefuse { remaining_ms } => {
                out.u8(IDLE_REFUSE);
                out.varint(remaining_ms);
            }
            Frame::Quality { percent } => {
                out.u8(QUALITY);
                out.u8(percent);
            }
            Frame::Request => out.u8(REQUEST),
            Frame::SessionGrant { bytes, messages } => {
                out.u8(SESSION_GRANT);
                out.varint(bytes);
                out.varint(messages);
            }
            Frame::ChannelGrant { channel, bytes, messages } => {
                out.u8(CHANNEL_GRANT);
                out.varint(varint::zigzag(channel.0));
                out.varint(bytes);
                out.varint(messages);
            }
            Frame::SessionBlocked { needed } => {
                out.u8(SESSION_BLOCKED);
                out.varint(needed);
            }
            Frame::ChannelBlocked { channel, needed } => {
                out.u8(CHANNEL_BLOCKED);
                out.varint(varint::zigzag(channel.0));
                out.varint(needed);
            }
            Frame::PathProbe(token) => {
                out.u8(PATH_PROBE);
                out.u64(token);
            }
            Frame::PathReply(token) => {
                out.u8(PATH_REPLY);
                out.u64(token);
            }
            Frame::Candidates { revision, list } => {
                out.u8(CANDIDATES);
                out.varint(revision);
                out.varint(list.len() as u64);
                out.bytes(list);
            }
            Frame::CandidatesTaken(revision) => {
                out.u8(CANDIDATES_TAKEN);
                out.varint(revision);
            }
            Frame::Ack(_) | Frame::Message(_) => unreachable!("these have writers of their own"),
        }
    }
}

/// The longest prefix of `text` that is at most `limit` bytes and ends between two characters.
pub fn truncated(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// No control frame but CLOSE, ACK and CANDIDATES is longer than this, bytes.
pub const MAX_CONTROL_FRAME: usize = 32;

/// Reads the frames of one opened packet.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    reader: Reader<'a>,
    channel: Channel,
    last: Option<(bool, u64)>,
}

impl<'a> Frames<'a> {
    /// The frames in `plaintext`.
    pub fn new(plaintext: &'a [u8]) -> Frames<'a> {
        Frames { reader: Reader::new(plaintext), channel: Channel(0), last: None }
    }

    /// The next frame; `None` at the end of the packet.
    ///
    /// # Errors
    /// The packet breaks the protocol. Its sender is authenticated, so this is a violation.
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<Frame<'a>>, WireError> {
        loop {
            if self.reader.is_empty() {
                return Ok(None);
            }
            let kind = self.reader.u8()?;
            if kind & MESSAGE != 0 {
                return self.message(kind).map(|message| Some(Frame::Message(message)));
            }
            if kind != PADDING {
                return self.control(kind).map(Some);
            }
        }
    }

    #[inline]
    fn message(&mut self, kind: u8) -> Result<MessageFrame<'a>, WireError> {
        if kind & RESERVED != 0 {
            return Err(WireError::Malformed);
        }
        let reliable = kind & RELIABLE != 0;
        let before = (self.channel, self.last);
        if kind & HAS_CHANNEL != 0 {
            self.channel = channel(&mut self.reader)?;
        }
        let number = if kind & HAS_NUMBER != 0 {
            self.reader.varint()?
        } else {
            match before {
                (channel, Some((was_reliable, number))) if channel == self.channel && was_reliable == reliable => {
                    number.checked_add(1).ok_or(WireError::Malformed)?
                }
                _ => return Err(WireError::Malformed),
            }
        };
        if number == 0 {
            return Err(WireError::Malformed);
        }
        let position = if kind & IS_FRAGMENT != 0 {
            let offset = u32::try_from(self.reader.varint()?).map_err(|_| WireError::Malformed)?;
            let total = u32::try_from(self.reader.varint()?).map_err(|_| WireError::Malformed)?;
            Some((offset, total))
        } else {
            None
        };
        let length = if kind & HAS_LENGTH != 0 {
            usize::try_from(self.reader.varint()?).map_err(|_| WireError::Malformed)?
        } else {
            self.reader.remaining()
        };
        let data = self.reader.bytes(length)?;
        let (offset, total) = position.unwrap_or((0, data.len() as u32));
        if u64::from(offset) + data.len() as u64 > u64::from(total) || (data.is_empty() && total > 0) {
            return Err(WireError::Malformed);
        }
        self.last = Some((reliable, number));
        Ok(MessageFrame { reliable, channel: self.channel, number, offset, total, data })
    }

    fn control(&mut self, kind: u8) -> Result<Frame<'a>, WireError> {
        let r = &mut self.reader;
        Ok(match kind {
            PING => Frame::Ping,
            ACK => Frame::Ack(AckFrame::read(r)?),
            HOLD => Frame::Hold,
            ACCEPT => Frame::Accept,
            CLOSE => {
                let reason = u32::try_from(r.varint()?).map_err(|_| WireError::Malformed)?;
                let length = usize::try_from(r.varint()?).map_err(|_| WireError::Malformed)?;
                if length > MAX_CLOSE_TEXT {
                    return Err(WireError::Malformed);
                }
                let text = std::str::from_utf8(r.bytes(length)?).map_err(|_| WireError::Malformed)?;
                Frame::Close { reason, text }
            }
            CLOSED => Frame::Closed,
            IDLE_PROPOSE => Frame::IdlePropose,
            IDLE_CONSENT => Frame::IdleConsent,
            IDLE_REFUSE => Frame::IdleRefuse { remaining_ms: r.varint()? },
            QUALITY => match r.u8()? {
                percent @ 0..=100 => Frame::Quality { percent },
                _ => return Err(WireError::Malformed),
            },
            REQUEST => Frame::Request,
            SESSION_GRANT => Frame::SessionGrant { bytes: r.varint()?, messages: r.varint()? },
            CHANNEL_GRANT => Frame::ChannelGrant { channel: channel(r)?, bytes: r.varint()?, messages: r.varint()? },
            SESSION_BLOCKED => Frame::SessionBlocked { needed: r.varint()? },
            CHANNEL_BLOCKED => Frame::ChannelBlocked { channel: channel(r)?, needed: r.varint()? },
            PATH_PROBE => Frame::PathProbe(r.u64()?),
            PATH_REPLY => Frame::PathReply(r.u64()?),
            CANDIDATES => {
                let revision = r.varint()?;
                let length = usize::try_from(r.varint()?).map_err(|_| WireError::Malformed)?;
                if length > MAX_CANDIDATE_BYTES {
                    return Err(WireError::Malformed);
                }
                Frame::Candidates { revision, list: r.bytes(length)? }
            }
            CANDIDATES_TAKEN => Frame::CandidatesTaken(r.varint()?),
            _ => return Err(WireError::Malformed),
        })
    }
}

fn channel(reader: &mut Reader<'_>) -> Result<Channel, WireError> {
    varint::unzigzag(reader.varint()?).map(Channel)
}

/// Writes the message frames of one packet, leaving out what continues from the frame before.
#[derive(Clone, Debug, Default)]
pub struct MessageEncoder {
    channel: Channel,
    last: Option<(bool, u64)>,
}

/// One message frame to write.
#[derive(Clone, Copy, Debug)]
pub struct MessageSlice<'a> {
    /// Sent reliably?
    pub reliable: bool,
    /// On which channel.
    pub channel: Channel,
    /// From 1.
    pub number: u64,
    /// All bytes of the message.
    pub message: &'a [u8],
    /// The slice starts here.
    pub start: u32,
    /// And ends before this.
    pub end: u32,
}

impl MessageEncoder {
    /// For a fresh packet.
    pub fn new() -> MessageEncoder {
        MessageEncoder::default()
    }

    /// Writes as much of the slice as fits, and returns its end; `None` when not even one byte does.
    ///
    /// A slice that reaches the end of the room leaves out its length.
    #[inline]
    pub fn write(&mut self, out: &mut Writer<'_>, slice: MessageSlice<'_>) -> Option<u32> {
        let MessageSlice { reliable, channel, number, message, start, end } = slice;
        let mut kind = MESSAGE;
        let mut header = 1;
        if reliable {
            kind |= RELIABLE;
        }
        if channel != self.channel {
            kind |= HAS_CHANNEL;
            header += varint::len(varint::zigzag(channel.0));
        }
        if channel != self.channel || self.last != Some((reliable, number.wrapping_sub(1))) {
            kind |= HAS_NUMBER;
            header += varint::len(number);
        }
        let wanted = (end - start) as usize;
        let room = out.room();
        if wanted < message.len() || header + wanted > room {
            kind |= IS_FRAGMENT;
            header += varint::len(start.into()) + varint::len(message.len() as u64);
        }
        let room = room.checked_sub(header)?;
        let written = if wanted + varint::len(wanted as u64) <= room {
            kind |= HAS_LENGTH;
            wanted
        } else {
            // Without a length it must end where the packet ends: padding goes in front.
            let written = wanted.min(room);
            for _ in written..room {
                out.u8(PADDING);
            }
            written
        };
        if written == 0 && wanted > 0 {
            return None;
        }
        self.put(out, slice, kind, written);
        Some(start + written as u32)
    }

    #[inline]
    fn put(&mut self, out: &mut Writer<'_>, slice: MessageSlice<'_>, kind: u8, written: usize) {
        out.u8(kind);
        if kind & HAS_CHANNEL != 0 {
            out.varint(varint::zigzag(slice.channel.0));
        }
        if kind & HAS_NUMBER != 0 {
            out.varint(slice.number);
        }
        if kind & IS_FRAGMENT != 0 {
            out.varint(slice.start.into());
            out.varint(slice.message.len() as u64);
        }
        if kind & HAS_LENGTH != 0 {
            out.varint(written as u64);
        }
        let start = slice.start as usize;
        out.bytes(&slice.message[start..start + written]);
        self.channel = slice.channel;
        self.last = Some((slice.reliable, slice.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranges::RangeSet;
    use proptest::prelude::*;

    fn read_all(bytes: &[u8]) -> Vec<Frame<'_>> {
        let mut frames = Frames::new(bytes);
        let mut all = Vec::new();
        while let Some(frame) = frames.next_frame().unwrap() {
            all.push(frame);
        }
        all
    }

    #[test]
    fn a_small_message_that_continues_costs_two_bytes() {
        let mut bytes = Vec::new();
        let mut out = Writer::new(&mut bytes, 1200);
        let mut encoder = MessageEncoder::new();
        let message = [7u8; 64];
        let mut slice =
            MessageSlice { reliable: true, channel: Channel(5), number: 90, message: &message, start: 0, end: 64 };
        assert_eq!(encoder.write(&mut out, slice), Some(64));
        let first = bytes.len();
        slice.number = 91;
        let mut out = Writer::new(&mut bytes, 1200);
        assert_eq!(encoder.write(&mut out, slice), Some(64));
        assert_eq!(bytes.len() - first, 66);
        let all = read_all(&bytes);
        assert_eq!(all.len(), 2);
        let Frame::Message(second) = &all[1] else { panic!("not a message: {all:?}") };
        assert_eq!((second.channel, second.number, second.is_whole()), (Channel(5), 91, true));
    }

    #[test]
    fn every_control_frame_comes_back_as_it_was_and_is_short() {
        let frames = [
            Frame::Ping,
            Frame::Hold,
            Frame::Accept,
            Frame::Close { reason: 1001, text: "closed" },
            Frame::Closed,
            Frame::IdlePropose,
            Frame::IdleConsent,
            Frame::IdleRefuse { remaining_ms: u64::MAX },
            Frame::Quality { percent: 100 },
            Frame::Request,
            Frame::SessionGrant { bytes: u64::MAX, messages: u64::MAX },
            Frame::ChannelGrant { channel: Channel(i32::MIN), bytes: u64::MAX, messages: u64::MAX },
            Frame::SessionBlocked { needed: u64::MAX },
            Frame::ChannelBlocked { channel: Channel(i32::MAX), needed: u64::MAX },
            Frame::PathProbe(u64::MAX),
            Frame::PathReply(0),
        ];
        for frame in frames {
            let mut bytes = Vec::new();
            frame.write(&mut Writer::new(&mut bytes, 1200));
            assert!(bytes.len() <= MAX_CONTROL_FRAME, "{frame:?} takes {}", bytes.len());
            assert_eq!(read_all(&bytes), [frame]);
        }
    }

    proptest! {
        #[test]
        fn a_message_cut_by_any_rooms_arrives_whole(size in 0usize..5000, rooms in proptest::collection::vec(8usize..1200, 1..20), start_number in 1u64..1_000_000) {
            let message: Vec<u8> = (0..size).map(|i| i as u8).collect();
            let mut rebuilt = vec![0xffu8; size];
            let (mut at, mut turn, mut frames_seen) = (0u32, 0, 0);
            loop {
                let mut bytes = Vec::new();
                let mut out = Writer::new(&mut bytes, rooms[turn % rooms.len()].max(24));
                turn += 1;
                let slice = MessageSlice { reliable: false, channel: Channel(-3), number: start_number, message: &message, start: at, end: size as u32 };
                let Some(end) = MessageEncoder::new().write(&mut out, slice) else { panic!("no progress") };
                for frame in read_all(&bytes) {
                    let Frame::Message(frame) = frame else { panic!("not a message") };
                    prop_assert_eq!((frame.offset, frame.total as usize, frame.number), (at, size, start_number));
                    rebuilt[frame.offset as usize..][..frame.data.len()].copy_from_slice(frame.data);
                    frames_seen += 1;
                }
                at = end;
                if at == size as u32 { break; }
            }
            prop_assert!(frames_seen > 0);
            prop_assert_eq!(rebuilt, message);
        }

        #[test]
        fn any_bytes_are_read_without_panic_and_without_endless_loop(bytes in proptest::collection::vec(any::<u8>(), 0..1500)) {
            let mut frames = Frames::new(&bytes);
            let mut count = 0;
            while let Ok(Some(frame)) = frames.next_frame() {
                if let Frame::Ack(ack) = frame {
                    prop_assert!(ack.ranges().count() <= super::super::ack::MAX_ACK_RANGES);
                }
                count += 1;
                prop_assert!(count <= bytes.len());
            }
        }

        #[test]
        fn acknowledged_ranges_come_back_newest_first(numbers in proptest::collection::btree_set(0u64..500, 1..200), delay in 0u64..100_000) {
            let mut received = RangeSet::new();
            for n in &numbers {
                received.insert(*n..*n + 1);
            }
            let mut bytes = Vec::new();
            prop_assert!(AckFrame::write(&mut Writer::new(&mut bytes, 1200), &received, delay));
            let Frame::Ack(ack) = read_all(&bytes).remove(0) else { panic!("not an ack") };
            prop_assert_eq!(ack.delay_us, delay);
            let got: Vec<_> = ack.ranges().collect();
            let expected: Vec<_> = received.iter().rev().take(got.len()).cloned().collect();
            prop_assert_eq!(&got, &expected);
            prop_assert!(got.len() == received.range_count().min(super::super::ack::MAX_ACK_RANGES) || got.len() >= 50);
        }
    }
}
