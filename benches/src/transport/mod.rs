//! What a workload asks of a library, and which libraries answer.
//!
//! A transport is one end: a server with a socket of its own, or a client with some sessions to one server. It runs
//! on the caller's thread (beside threads the library itself may have) and is driven by [`Transport::poll`]. Dropping
//! it closes everything.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

#[cfg(feature = "enet")]
mod enet;
#[cfg(test)]
mod exchange;
#[cfg(feature = "gns")]
mod gns;
mod ours;
mod peers;
#[cfg(feature = "quinn")]
mod quinn;
mod tcp;
mod udp;

pub use ours::LIBRARY;

/// A session as the workload sees it: dense numbers from 0 given by the transport, on the client in order of
/// connecting, on the server in order of appearance.
pub type SessionId = usize;

/// What becomes of a message when packets are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// May be lost.
    Unreliable,
    /// Arrives once, in order within its session and channel.
    Reliable,
}

/// A message to send.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// To whom.
    pub session: SessionId,
    /// 0 or 1. What is on 0 goes before what is on 1, where the library knows priorities (0 is the game, 1 the
    /// download); a library without channels gives each an ordering of its own if it can.
    pub channel: u8,
    /// Reliable or not.
    pub kind: Kind,
    /// Leaves at once, without waiting for others to share its packet.
    pub no_nagle: bool,
    /// The message, at most `Purpose::message_bytes`.
    pub bytes: &'a [u8],
}

/// What became of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The library has it.
    Taken,
    /// Not taken: no room, or no such session yet. Poll, then try again.
    Full,
}

/// A message that arrived.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// From whom.
    pub session: SessionId,
    /// On which channel.
    pub channel: u8,
    /// The message, whole.
    pub bytes: &'a [u8],
}

/// What the tables say of a transport.
#[derive(Clone, Debug)]
pub struct About {
    /// Its name as given to [`open`].
    pub name: &'static str,
    /// Are the messages encrypted and authenticated?
    pub encrypted: bool,
    /// Name and version of the library, and settings that differ from its defaults, in a few words.
    pub version: String,
}

/// One end of a library under test.
pub trait Transport {
    /// What the tables say of it.
    fn about(&self) -> About;

    /// Where a server listens, its port filled in; a client's own address if it has just one.
    fn address(&self) -> io::Result<SocketAddr>;

    /// Opens `count` sessions to the server without waiting (a library without lazy connect dials here). Clients
    /// only, and once.
    fn connect(&mut self, server: SocketAddr, count: usize) -> io::Result<()>;

    /// Sessions that can carry data now. On a server: that have been seen.
    fn connected(&self) -> usize;

    /// Sends a message. Where the library queues messages of sessions that do not stand yet, it is `Taken` before
    /// that too.
    ///
    /// # Errors
    /// The session failed, or something else that no waiting mends.
    fn send(&mut self, message: Outgoing<'_>) -> io::Result<Sent>;

    /// Lets queued small messages leave now, where the library has such a call.
    fn flush(&mut self);

    /// Bytes taken for this session and channel that the library still holds unsent or unacknowledged, where it can
    /// tell (bulk senders keep it at 256 KiB); `None` where it cannot: `send` then answers `Full` in good time.
    fn queued(&mut self, session: SessionId, channel: u8) -> Option<usize>;

    /// Waits up to `wait` (zero: not at all) for something to happen and hands over what arrived, in bounded amounts
    /// (some thousands) a call. Everything the library needs from its caller's thread is done in here.
    ///
    /// # Errors
    /// A session failed, or something else that ends the measurement. A session that the other end closed is no
    /// error.
    fn poll(&mut self, wait: Duration, sink: &mut dyn FnMut(Incoming<'_>)) -> io::Result<()>;
}

/// Which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Listens here; port 0 takes a free one.
    Server(SocketAddr),
    /// Connects, later.
    Client,
}

/// What it is opened for: buffers may be sized by it, and nothing else.
#[derive(Clone, Debug)]
pub struct Purpose {
    /// "w1" to "w9".
    pub workload: String,
    /// The longest message.
    pub message_bytes: usize,
    /// How many sessions there will be.
    pub sessions: usize,
}

/// Opens one end of the transport of this name.
///
/// # Errors
/// No such transport; or it is not built in: the text says what to do; or the system refuses a socket.
pub fn open(name: &str, role: Role, purpose: &Purpose) -> io::Result<Box<dyn Transport>> {
    match name {
        "ours" | "ours-tuned" => ours::open(role, name == "ours-tuned"),
        "tcp" => tcp::open(role, purpose),
        "udp" => udp::open(role, purpose),
        _ => peers::open(name, role, purpose),
    }
}

/// Names for [`open`] that this build can open, ours first.
pub fn built() -> Vec<&'static str> {
    ["ours", "ours-tuned", "udp", "tcp"].into_iter().chain(peers::built()).collect()
}
