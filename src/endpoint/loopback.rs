//! The session with ourselves: messages go straight to the mailbox, no events, no wire.

use super::mailbox::{Limits, Mailbox, Origin, SessionKey};
use super::{SendError, flags};
use crate::ids::{Channel, SteamId};
use crate::settings::Settings;
use crate::time::Instant;
use crate::transport::{Delivery, MAX_CHANNELS};
use std::collections::{BTreeMap, BTreeSet};

/// A loopback session.
#[derive(Debug)]
pub struct Loopback {
    me: SteamId,
    key: SessionKey,
    used_at: Instant,
    numbers: BTreeMap<(Channel, bool), u64>,
    channels: BTreeSet<Channel>,
}

impl Loopback {
    /// Begins with the first message to ourselves.
    pub fn new(now: Instant, me: SteamId, key: SessionKey) -> Loopback {
        Loopback { me, key, used_at: now, numbers: BTreeMap::new(), channels: BTreeSet::new() }
    }

    /// Its key in the mailbox.
    pub fn key(&self) -> SessionKey {
        self.key
    }

    /// The app uses it.
    pub fn renew(&mut self, now: Instant) {
        self.used_at = now;
    }

    /// When it ends for want of use.
    pub fn idle_at(&self, settings: &Settings) -> Instant {
        self.used_at + settings.session_idle_timeout
    }

    /// Sends a message to ourselves.
    ///
    /// # Errors
    /// Too much is unread.
    pub fn send(
        &mut self,
        now: Instant,
        settings: &Settings,
        mailbox: &Mailbox,
        payload: Box<[u8]>,
        send_flags: i32,
        channel: Channel,
    ) -> Result<(), SendError> {
        self.renew(now);
        let reliable = send_flags & flags::RELIABLE != 0;
        let (bytes, messages) = mailbox.unread_of(self.key);
        let full = bytes + payload.len() as u64 > u64::from(settings.recv_buffer_size).max(payload.len() as u64)
            || messages >= u64::from(settings.recv_buffer_messages);
        if reliable && full {
            return Err(SendError::LimitExceeded("too many messages to ourselves are unread (RECV_BUFFER_SIZE)"));
        }
        if self.channels.len() >= MAX_CHANNELS && !self.channels.contains(&channel) {
            return Err(SendError::LimitExceeded("too many channels"));
        }
        self.channels.insert(channel);
        let number = self.numbers.entry((channel, reliable)).or_insert(0);
        *number += 1;
        let delivery = Delivery { channel, number: *number, reliable, payload };
        let limits = Limits { bytes: settings.recv_buffer_size.into(), messages: settings.recv_buffer_messages.into() };
        let origin = Origin { session: self.key, peer: self.me, user_data: settings.user_data, limits };
        mailbox.deliver(now, &origin, std::iter::once(delivery));
        Ok(())
    }

    /// The app closes a channel. `None`: it was not open. `Some(true)`: it was the last.
    pub fn close_channel(&mut self, channel: Channel) -> Option<bool> {
        self.channels.remove(&channel).then_some(self.channels.is_empty())
    }
}
