//! Received messages, by channel, waiting for the app.

use crate::ids::{Channel, SteamId};
use crate::time::Instant;

/// A received message.
#[derive(Debug)]
pub struct Message {
    /// Who sent it, authenticated.
    pub from: SteamId,
    /// CONNECTION_USER_DATA of the session.
    pub user_data: i64,
    /// When the packet that completed it arrived.
    pub received: Instant,
    /// From 1, per channel and reliability.
    pub number: u64,
    /// On which channel.
    pub channel: Channel,
    /// Sent reliably?
    pub reliable: bool,
    /// The bytes.
    pub payload: Box<[u8]>,
}

/// All received and unread messages of one endpoint, behind its own short lock.
#[derive(Debug, Default)]
pub struct Mailbox;

impl Mailbox {
    /// Takes up to `max` messages of `channel`, oldest first, appending them to `out`.
    pub fn take(&self, _channel: Channel, _max: usize, _now: Instant, _out: &mut Vec<Message>) -> usize {
        todo!()
    }

    /// How many messages wait on all channels. Does not lock.
    pub fn waiting(&self) -> usize {
        todo!()
    }

    /// True when reads wait for [`super::Endpoint::handle_reads`] that a peer may be stalled on.
    pub fn wants_handling(&self) -> bool {
        todo!()
    }
}
