//! Numbers, channels, and every frame.

use crate::Book;
use ring::digest;
use steamnetmsg::ids::Channel;
use steamnetmsg::ranges::RangeSet;
use steamnetmsg::wire::ack::AckFrame;
use steamnetmsg::wire::candidate::{self, Candidate, CandidateKind};
use steamnetmsg::wire::codec::{Reader, Writer};
use steamnetmsg::wire::frame::{Frame, Frames, MessageEncoder, MessageFrame, MessageSlice};
use steamnetmsg::wire::packet;
use steamnetmsg::wire::varint;

/// Frames, and what they say.
pub fn tell(book: &mut Book, name: &str, bytes: &[u8]) {
    book.bytes(name, bytes);
    book.value(&format!("{name}_says"), say(bytes));
}

/// What the frames of a packet mean, as text.
pub fn say(bytes: &[u8]) -> String {
    let mut frames = Frames::new(bytes);
    let mut said = Vec::new();
    while let Some(frame) = frames.next_frame().expect("they can be read") {
        said.push(say_one(&frame));
    }
    said.join("; ")
}

fn say_one(frame: &Frame<'_>) -> String {
    match frame {
        Frame::Ping => "PING".to_owned(),
        Frame::Ack(ack) => {
            let ranges = ack.ranges().map(|range| format!(" {}-{}", range.start, range.end - 1));
            format!("ACK {}{}", ack.delay_us, ranges.collect::<String>())
        }
        Frame::Hold => "HOLD".to_owned(),
        Frame::Accept => "ACCEPT".to_owned(),
        Frame::Close { reason, text } => format!("CLOSE {reason} {text}"),
        Frame::Closed => "CLOSED".to_owned(),
        Frame::IdlePropose => "IDLE_PROPOSE".to_owned(),
        Frame::IdleConsent => "IDLE_CONSENT".to_owned(),
        Frame::IdleRefuse { remaining_ms } => format!("IDLE_REFUSE {remaining_ms}"),
        Frame::Quality { percent } => format!("QUALITY {percent}"),
        Frame::Request => "REQUEST".to_owned(),
        Frame::SessionGrant { bytes, messages } => format!("SESSION_GRANT {bytes} {messages}"),
        Frame::ChannelGrant { channel, bytes, messages } => format!("CHANNEL_GRANT {} {bytes} {messages}", channel.0),
        Frame::SessionBlocked { needed } => format!("SESSION_BLOCKED {needed}"),
        Frame::ChannelBlocked { channel, needed } => format!("CHANNEL_BLOCKED {} {needed}", channel.0),
        Frame::PathProbe(token) => format!("PATH_PROBE {token:#x}"),
        Frame::PathReply(token) => format!("PATH_REPLY {token:#x}"),
        Frame::Candidates { revision, list } => {
            let each = candidate::decode(list).expect("they can be read").into_iter();
            let each = each.map(|c| format!(" {:?} {} pop {}", c.kind, c.address, c.pop).to_lowercase());
            format!("CANDIDATES {revision}{}", each.collect::<String>())
        }
        Frame::CandidatesTaken(revision) => format!("CANDIDATES_TAKEN {revision}"),
        Frame::Message(MessageFrame { reliable, channel, number, offset, total, data }) => {
            let kind = if *reliable { "reliable" } else { "unreliable" };
            let end = *offset as usize + data.len();
            let hash = hex(&digest::digest(&digest::SHA256, data).as_ref()[..8]);
            format!("MESSAGE {kind} {} {number} {offset}-{end}/{total} {hash}", channel.0)
        }
    }
}

/// One of each kind and family.
pub fn candidates() -> Vec<u8> {
    let one = |kind, pop: &[u8; 4], address: &str| {
        let address = address.parse().expect("an address");
        Candidate { kind, pop: u32::from_be_bytes(*pop), address }
    };
    let mut list = Vec::new();
    let none = &[0; 4];
    candidate::encode(
        &[
            one(CandidateKind::Host, none, "192.168.1.7:40000"),
            one(CandidateKind::Reflexive, none, "203.0.113.9:40001"),
            one(CandidateKind::Relayed, b"\0fra", "198.51.100.2:50000"),
            one(CandidateKind::Host, none, "[2001:db8::7]:40000"),
        ],
        &mut list,
    );
    list
}

/// Lower case, two digits a byte.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn message(frames: &mut Vec<u8>, limit: usize, encoder: &mut MessageEncoder, slice: MessageSlice<'_>) -> u32 {
    encoder.write(&mut Writer::new(frames, limit), slice).expect("it fits")
}

pub fn whole(reliable: bool, channel: i32, number: u64, text: &[u8]) -> MessageSlice<'_> {
    MessageSlice { reliable, channel: Channel(channel), number, message: text, start: 0, end: text.len() as u32 }
}

pub fn numbers(book: &mut Book) {
    book.section("numbers");
    for value in [0, 1, 127, 128, 300, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
        let mut bytes = Vec::new();
        varint::encode(value, &mut bytes);
        book.bytes(&format!("varint_{value}"), &bytes);
        assert_eq!(Reader::new(&bytes).varint(), Ok(value));
    }
    for value in [0, -1, 1, 63, -64, 64, i32::MAX, i32::MIN] {
        let mut bytes = Vec::new();
        varint::encode(varint::zigzag(value), &mut bytes);
        book.bytes(&format!("channel_{value}"), &bytes);
    }
    book.note("packet number and largest acknowledged -> bytes on the wire");
    for (pn, acked) in [(0, None), (0x3fff, Some(0)), (0x4000, Some(0)), (0x4000, Some(1)), (0x3fffff, Some(0))] {
        let len = packet::pn_len(pn, acked).expect("within the window");
        let acked = acked.map_or("none".to_owned(), |n: u64| format!("{n:#x}"));
        book.value(&format!("number_bytes_{pn:#x}_after_{acked}"), len);
    }
    assert_eq!(packet::pn_len(0x40_0000, Some(0)), None);
    book.note("bytes on the wire and largest opened -> packet number");
    for (truncated, len, largest) in [
        (0x0005, 2, None),
        (0x0001, 2, Some(0xfffe)),
        (0xffff, 2, Some(0x1_0000)),
        (0x8000, 2, Some(0xffff)),
        (0x00_0001, 3, Some(0xff_fff0)),
    ] {
        let number = packet::expand(truncated, len, largest);
        let largest = largest.map_or("none".to_owned(), |n: u64| format!("{n:#x}"));
        book.value(
            &format!("number_from_{truncated:0width$x}_after_{largest}", width = len * 2),
            format_args!("{number:#x}"),
        );
    }
}

pub fn control(book: &mut Book) {
    book.section("frames");
    let text = "bye";
    for (name, frame) in [
        ("ping", Frame::Ping),
        ("hold", Frame::Hold),
        ("accept", Frame::Accept),
        ("close_1001_bye", Frame::Close { reason: 1_001, text }),
        ("closed", Frame::Closed),
        ("idle_propose", Frame::IdlePropose),
        ("idle_consent", Frame::IdleConsent),
        ("idle_refuse_60000", Frame::IdleRefuse { remaining_ms: 60_000 }),
        ("quality_97", Frame::Quality { percent: 97 }),
        ("request", Frame::Request),
        ("session_grant_2097152_2000", Frame::SessionGrant { bytes: 2_097_152, messages: 2_000 }),
        (
            "channel_grant_-3_1048576_1000",
            Frame::ChannelGrant { channel: Channel(-3), bytes: 1_048_576, messages: 1_000 },
        ),
        ("session_blocked_2100000", Frame::SessionBlocked { needed: 2_100_000 }),
        ("channel_blocked_-3_1050000", Frame::ChannelBlocked { channel: Channel(-3), needed: 1_050_000 }),
        ("path_probe", Frame::PathProbe(0x0102_0304_0506_0708)),
        ("path_reply", Frame::PathReply(0x0102_0304_0506_0708)),
        ("candidates_3", Frame::Candidates { revision: 3, list: &candidates() }),
        ("candidates_taken_3", Frame::CandidatesTaken(3)),
    ] {
        let mut bytes = Vec::new();
        frame.write(&mut Writer::new(&mut bytes, 200));
        tell(book, name, &bytes);
        assert_eq!(Frames::new(&bytes).next_frame(), Ok(Some(frame)));
    }
    let mut received = RangeSet::new();
    [3..6, 8..9, 1_000..2_000].into_iter().for_each(|range| {
        received.insert(range);
    });
    let mut bytes = Vec::new();
    assert!(AckFrame::write(&mut Writer::new(&mut bytes, 200), &received, 2_500));
    book.note("packets 3 to 5, 8, and 1000 to 1999 have arrived, the last 2,500 microseconds ago");
    tell(book, "ack", &bytes);
    match Frames::new(&bytes).next_frame() {
        Ok(Some(Frame::Ack(ack))) => assert!(ack.ranges().eq(received.iter().rev().cloned())),
        other => panic!("{other:?}"),
    }
}

pub fn messages(book: &mut Book) {
    book.section("message frames");
    book.note(
        "One packet of 120 bytes of frames: reliable \"a\" and \"bc\" as 1 and 2 of channel 0; reliable \"d\" as 9 of",
    );
    book.note("channel -3; an unreliable empty one as 4 of channel -3; then bytes 0 to the end of the packet of the");
    book.note("unreliable message 5 of channel -3, 3,000 bytes of 77.");
    let large = vec![0x77; 3_000];
    let slices = [
        whole(true, 0, 1, b"a"),
        whole(true, 0, 2, b"bc"),
        whole(true, -3, 9, b"d"),
        whole(false, -3, 4, b""),
        whole(false, -3, 5, &large),
    ];
    let (mut bytes, mut encoder) = (Vec::new(), MessageEncoder::new());
    let ends: Vec<u32> = slices.iter().map(|slice| message(&mut bytes, 120, &mut encoder, *slice)).collect();
    tell(book, "messages", &bytes);
    assert_eq!(bytes.len(), 120);
    let mut reader = Frames::new(&bytes);
    for (slice, end) in slices.iter().zip(ends) {
        match reader.next_frame() {
            Ok(Some(Frame::Message(read))) => {
                assert_eq!((read.reliable, read.channel, read.number), (slice.reliable, slice.channel, slice.number));
                assert_eq!((read.offset, read.total as usize), (0, slice.message.len()));
                assert_eq!(read.data, &slice.message[..end as usize]);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(reader.next_frame(), Ok(None));

    book.note("The last 40 bytes of that message, alone in a packet with room for more.");
    let mut bytes = Vec::new();
    let rest = MessageSlice { start: 2_960, ..slices[4] };
    assert_eq!(message(&mut bytes, 500, &mut MessageEncoder::new(), rest), 3_000);
    tell(book, "message_end", &bytes);
}

/// Each of the 32 types of a message frame, behind a frame of the same kind from which it may continue.
pub fn every_message_type(book: &mut Book) {
    book.note(
        "Every type of a message frame, as the second in its packet. The first is number 41 of channel 5 (where the",
    );
    book.note(
        "type names no channel, that goes on), of the same kind; the second number 42; a slice begins at byte 2 of 9.",
    );
    for bits in 0u8..32 {
        let [reliable, channel, number, slice, length] = [0x10, 0x08, 0x04, 0x02, 0x01].map(|bit| bits & bit != 0);
        let kind = 0x80 | bits << 2;
        let mut bytes = vec![0xb4 | kind & 0x40, 0x0a, 41, 1, b'x', kind];
        let parts: [(bool, &[u8]); 4] = [(channel, &[0x0a]), (number, &[42]), (slice, &[2, 9]), (length, &[3])];
        parts.iter().filter(|(there, _)| *there).for_each(|(_, part)| bytes.extend_from_slice(part));
        bytes.extend_from_slice(b"abc");
        if length {
            bytes.push(1); // A PING, so that the length counts.
        }
        let mut frames = Frames::new(&bytes);
        frames.next_frame().expect("the first can be read");
        let (offset, total) = if slice { (2, 9) } else { (0, 3) };
        let read = MessageFrame { reliable, channel: Channel(5), number: 42, offset, total, data: b"abc" };
        assert_eq!(frames.next_frame(), Ok(Some(Frame::Message(read))), "type {kind:#x}");
        assert_eq!(frames.next_frame(), Ok(length.then_some(Frame::Ping)), "type {kind:#x}");
        tell(book, &format!("message_type_{kind:02x}"), &bytes);
    }
}
