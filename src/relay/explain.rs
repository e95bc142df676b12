//! What went wrong with a relay, for people: the server, what it said, and what that means.

use super::ATTEMPT;
use super::server::{RelayServer, Transport};

/// Nothing came while we asked for an allocation.
pub fn no_answer(server: &RelayServer, stream_is_open: bool) -> String {
    let seconds = ATTEMPT.as_secs();
    match server.transport {
        Transport::Stream if !stream_is_open => {
            format!("{} ({}): no connection within {seconds} s", server.name, server.address)
        }
        _ => format!("{} ({}): no answer within {seconds} s", server.name, server.address),
    }
}

/// A server that had let us in says nothing any more.
pub fn silence(server: &RelayServer) -> String {
    format!("{} ({}): it fell silent", server.name, server.address)
}

/// The server says that it let us in, but not where.
pub fn no_address(server: &RelayServer) -> String {
    format!("{} ({}): it answered without a relayed address", server.name, server.address)
}

/// Somebody's allocation of our address and port is not ours to end.
pub fn held_by_another(server: &RelayServer, code: u16) -> String {
    format!(
        "{} ({}): it holds an older allocation of this address and port that these credentials may not end ({code}); \
         it ends by itself in a few minutes",
        server.name, server.address
    )
}

/// Credentials that STUN has no room for.
pub fn unspeakable(server: &RelayServer) -> String {
    format!("{} ({}): the username, or the server's realm or nonce, is too long", server.name, server.address)
}

/// The stream could not be opened, or has ended.
pub fn stream_ended(server: &RelayServer, was_open: bool, why: &str) -> String {
    let what = if was_open { "the connection ended" } else { "no connection" };
    format!("{} ({}): {what}: {why}", server.name, server.address)
}

/// The stream holds something else.
pub fn garbled(server: &RelayServer) -> String {
    format!("{} ({}): what it sends is not TURN", server.name, server.address)
}

/// The server refused, with an error number of RFC 8656 section 18.
pub fn refusal(server: &RelayServer, username: &str, code: u16, reason: &str) -> String {
    let meaning = match code {
        300 => "it sends us to another server, which is not supported",
        401 => "wrong password, or the credentials have expired",
        403 => "it forbids this",
        420 => "it does not know something that we ask for",
        437 => "it knows nothing of our allocation, or still has an older one",
        438 => "its nonces are never fresh",
        440 | 443 => "it has no address of this family",
        441 => "these credentials are not those of the allocation",
        442 => "it does not relay UDP",
        486 => "this user has as many allocations as it may",
        500..=599 => "it is full or broken",
        _ => "",
    };
    let (name, address) = (&server.name, server.address);
    let said: String = reason.chars().filter(|c| !c.is_control()).take(100).collect();
    let mut text = format!("{name} ({address}): refused user \"{username}\" with {code}");
    for part in [said.as_str(), meaning] {
        if !part.is_empty() {
            text = format!("{text}, {part}");
        }
    }
    text
}
