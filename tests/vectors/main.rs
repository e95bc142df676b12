//! The published vectors, `docs/vectors.txt`: what the wire carries for fixed secrets, byte for byte.
//!
//! They are made of the pieces of the wire and crypto rooms, so a change of what an endpoint does leaves
//! them alone, and a change of what it says breaks them. What the protocol document says of keys is
//! computed here a second time by other means. `tests/wire` reads them with what it knows from the
//! document alone. After a change that is meant, write the file anew with
//! `SNM_WRITE_VECTORS=1 cargo test --test vectors`.

mod frames;
mod handshake;
mod packets;
mod refused;

use steamnetmsg::crypto::certificate::{Authority, Claims, KeyId};
use steamnetmsg::crypto::identity::Identity;
use steamnetmsg::ids::{AppId, SteamId};

/// The file as it is to be.
#[derive(Default)]
struct Book(String);

impl Book {
    fn section(&mut self, title: &str) {
        self.0 += &format!("\n[{title}]\n");
    }

    fn note(&mut self, text: &str) {
        self.0 += &format!("# {text}\n");
    }

    fn value(&mut self, name: &str, value: impl std::fmt::Display) {
        self.0 += &format!("{name} = {value}\n");
    }

    /// Hex, 32 bytes a line.
    fn bytes(&mut self, name: &str, bytes: &[u8]) {
        let hex: Vec<String> = bytes.chunks(32).map(|line| line.iter().map(|b| format!("{b:02x}")).collect()).collect();
        match hex.as_slice() {
            [] => self.0 += &format!("{name} =\n"),
            [line] => self.value(name, line),
            lines => self.0 += &format!("{name} =\n  {}\n", lines.join("\n  ")),
        }
    }
}

/// A certificate of Alice's, as it would travel in her payload.
fn certificate(book: &mut Book) {
    let authority = Authority::from_seed(&[0xca; 32]);
    let claims = Claims {
        app: AppId(480),
        steam_id: SteamId(76_561_197_960_265_729),
        identity_key: Identity::from_seed(&[0xa1; 32]).public_key(),
        issued_at: 1_800_000_000,
        expires_at: 1_800_086_400,
    };
    book.section("certificate");
    book.bytes("authority_seed", &[0xca; 32]);
    book.bytes("authority_public", &authority.public_key());
    book.value("authority_key_id", KeyId::of(&authority.public_key()));
    book.value("app", claims.app.0);
    book.value("steam_id", claims.steam_id.0);
    book.bytes("identity_key", &claims.identity_key);
    book.value("issued_at", claims.issued_at);
    book.value("expires_at", claims.expires_at);
    book.bytes("certificate", authority.issue(&claims).as_bytes());
}

fn all() -> String {
    let mut book = Book::default();
    book.note(
        "Vectors of the wire protocol, version 0; see protocol.md. Numbers are decimal unless they are bytes or ids,",
    );
    book.note(
        "which are hex. Lines that begin with two spaces continue the line before. NAME_says is what NAME means: its",
    );
    book.note("frames, PADDING left out, with their fields in the document's order. Written by tests/vectors.");
    frames::numbers(&mut book);
    frames::control(&mut book);
    frames::messages(&mut book);
    frames::every_message_type(&mut book);
    handshake::tags(&mut book);
    let keyed = handshake::handshake(&mut book);
    certificate(&mut book);
    packets::data(&mut book, &keyed);
    packets::others(&mut book);
    refused::refused(&mut book);
    book.0
}

#[test]
fn the_code_says_what_the_published_vectors_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/vectors.txt");
    let ours = all();
    if std::env::var_os("SNM_WRITE_VECTORS").is_some() {
        std::fs::write(path, &ours).expect("docs/vectors.txt can be written");
    }
    let theirs = std::fs::read_to_string(path).expect("docs/vectors.txt is there").replace("\r\n", "\n");
    let differs = ours.lines().zip(theirs.lines()).position(|(a, b)| a != b);
    let line = differs.unwrap_or(ours.lines().count().min(theirs.lines().count()));
    let (ours_there, theirs_there) = (ours.lines().nth(line), theirs.lines().nth(line));
    assert!(ours == theirs, "docs/vectors.txt:{}: it says {theirs_there:?}, the code {ours_there:?}", line + 1);
}
