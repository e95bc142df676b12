//! What has to be refused, and how little makes the difference.

use crate::Book;
use steamnetmsg::wire::codec::{Reader, WireError};
use steamnetmsg::wire::frame::Frames;
use steamnetmsg::wire::packet::{DataHeader, Packet, Protocol};
use steamnetmsg::wire::params::Params;
use steamnetmsg::wire::varint;

/// A control packet of `len` bytes.
fn of(first: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0x11; len];
    bytes[0] = first;
    bytes
}

fn is_read(datagram: &[u8]) -> bool {
    match Protocol::of(datagram) {
        Ok(Protocol::Data) => DataHeader::decode(datagram).is_ok(),
        Ok(Protocol::Control) => Packet::decode(datagram).is_ok(),
        _ => false,
    }
}

pub fn refused(book: &mut Book) {
    book.section("refused datagrams");
    let mut code = of(0xe4, 19);
    code[17] = 3;
    for (name, bytes) in [
        ("empty", Vec::new()),
        ("stun", of(0x00, 20)),
        ("channel_data", of(0x40, 20)),
        ("of_nobody", of(0x80, 20)),
        ("control_without_a_meaning", of(0xe7, 20)),
        ("cookie_too_short", of(0xe1, 28)),
        ("cookie_too_long", of(0xe1, 30)),
        ("response_without_ids", of(0xe2, 8)),
        ("finish_shorter_than_it_says", of(0xe3, 7 + 0x1110)),
        ("hint_without_a_meaning", code),
        ("hint_too_short", of(0xe4, 18)),
        ("reset_too_long", of(0xe5, 22)),
        ("data_with_a_low_bit", of(0xc1, 30)),
        ("data_shorter_than_its_tag", of(0xc0, 22)),
        ("data_with_three_bytes_shorter_than_its_tag", of(0xc8, 23)),
    ] {
        // The two long ones would only fill the page.
        if bytes.len() < 100 {
            book.bytes(name, &bytes);
        }
        assert!(!is_read(&bytes), "{name}");
    }
    frames(book);
    params(book);
    numbers(book);
}

fn frames(book: &mut Book) {
    book.section("refused frames");
    let mut long_text = vec![0x05, 0xe9, 0x07, 121];
    long_text.extend([b'a'; 121]);
    let mut many_ranges = vec![0x02, 0xff, 0x7f, 0x00, 65];
    many_ranges.extend([0; 129]);
    for (name, bytes) in [
        ("unknown", vec![0x0c]),
        ("unknown_behind_a_ping", vec![0x01, 0x7f]),
        ("ack_without_ranges", vec![0x02, 0x05, 0x00, 0x00]),
        ("ack_of_too_many_ranges", many_ranges),
        ("ack_below_zero", vec![0x02, 0x05, 0x00, 0x01, 0x06]),
        ("ack_below_zero_behind_a_gap", vec![0x02, 0x05, 0x00, 0x02, 0x00, 0x04, 0x00]),
        ("ack_too_large", vec![0x02, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0x00, 0x01, 0x00]),
        ("close_of_a_reason_above_32_bits", vec![0x05, 0x80, 0x80, 0x80, 0x80, 0x10, 0x00]),
        ("close_of_too_long_a_text", long_text),
        ("close_not_in_utf8", vec![0x05, 0xe9, 0x07, 0x01, 0xff]),
        ("quality_above_100", vec![0x0a, 101]),
        ("path_probe_cut_short", vec![0x30, 1, 2, 3, 4, 5, 6, 7]),
        ("channel_above_32_bits", vec![0x13, 0x80, 0x80, 0x80, 0x80, 0x10, 0x00]),
        ("message_with_a_low_bit", vec![0xd5, 0x01, 0x01, b'a']),
        ("message_that_continues_nothing", vec![0xc4, 0x01, b'a']),
        ("message_that_continues_the_other_kind", vec![0xd4, 0x01, 0x01, b'a', 0x84, 0x01, b'a']),
        ("message_that_continues_another_channel", vec![0xd4, 0x01, 0x01, b'a', 0xe4, 0x02, 0x01, b'a']),
        ("message_0", vec![0xd4, 0x00, 0x01, b'a']),
        (
            "message_behind_the_last_number",
            vec![0xd4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x01, b'a', 0xc4, 0x01, b'a'],
        ),
        ("message_longer_than_its_packet", vec![0xd4, 0x01, 0x02, b'a']),
        ("slice_beyond_its_message", vec![0xdc, 0x01, 0x02, 0x02, 0x01, b'a']),
        ("slice_of_nothing", vec![0xdc, 0x01, 0x00, 0x02, 0x00]),
        ("slice_of_a_message_of_4_gib", vec![0xdc, 0x01, 0x00, 0x80, 0x80, 0x80, 0x80, 0x10, 0x01, b'a']),
    ] {
        book.bytes(name, &bytes);
        let mut frames = Frames::new(&bytes);
        let refused = loop {
            match frames.next_frame() {
                Ok(Some(_)) => {}
                other => break other.is_err(),
            }
        };
        assert!(refused, "{name}");
    }
}

fn params(book: &mut Book) {
    book.section("refused transport parameters");
    for (name, bytes) in [
        ("an_id_twice", vec![0x06, 0x01, 0x05, 0x06, 0x01, 0x05]),
        ("an_unknown_id_twice", vec![0x3f, 0x00, 0x3f, 0x00]),
        ("no_message_at_all", vec![0x01, 0x01, 0x00]),
        ("too_large_a_message", vec![0x01, 0x05, 0x81, 0x80, 0x80, 0x80, 0x04]),
        ("a_value_shorter_than_its_length", vec![0x02, 0x02, 0x05, 0x05]),
        ("no_cipher_everybody_has", vec![0x07, 0x01, 0x01]),
        ("ciphers_above_255", vec![0x07, 0x02, 0x82, 0x02]),
        ("half_a_token", vec![0x08, 0x08, 1, 2, 3, 4, 5, 6, 7, 8]),
        ("too_patient", vec![0x09, 0x03, 0xc1, 0x84, 0x3d]),
        ("too_small_a_datagram", vec![0x0a, 0x02, 0xaf, 0x09]),
        ("half_a_session", vec![0x0c, 0x04, 1, 2, 3, 4]),
        ("cut_short", vec![0x02, 0x02, 0x05]),
    ] {
        book.bytes(name, &bytes);
        assert!(Params::decode(&mut Reader::new(&bytes)).is_err(), "{name}");
    }
    book.section("parameters that are well");
    for (name, bytes) in [("none", Vec::new()), ("unknown_ones", vec![0x3f, 0x02, 0xff, 0xff, 0x40, 0x00, 0x40, 0x00])]
    {
        book.bytes(name, &bytes);
        assert_eq!(Params::decode(&mut Reader::new(&bytes)), Ok(Params::default()), "{name}");
    }
}

fn numbers(book: &mut Book) {
    book.section("refused numbers");
    for (name, bytes) in [
        ("no_end", vec![0x80]),
        ("a_trailing_zero_group", vec![0x81, 0x00]),
        ("more_than_64_bits", vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]),
        ("more_than_10_bytes", vec![0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01]),
    ] {
        book.bytes(name, &bytes);
        let refused: Result<_, WireError> = varint::decode(&bytes);
        assert!(refused.is_err(), "{name}");
    }
}
