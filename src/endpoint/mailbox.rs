//! Received messages, by channel, waiting for the app. Its own short lock keeps readers off the endpoint's.
//!
//! Reliable messages are bounded by what their peer was granted; reading one gives the grant back.
//! Unreliable ones are bounded here, per session: the oldest of the same channel makes room.

use crate::ids::{Channel, SteamId};
use crate::time::Instant;
use crate::transport::Delivery;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One incarnation of a session, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionKey(pub u64);

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

/// What the app did with a session's messages since the endpoint last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Bytes of reliable messages read or given up.
    pub bytes: u64,
    /// Reliable messages read or given up.
    pub messages: u64,
}

/// Bounds of one session's unread messages.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes.
    pub bytes: u64,
    /// Messages.
    pub messages: u64,
}

/// Where a delivery comes from.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The session's incarnation.
    pub session: SessionKey,
    /// Its peer.
    pub peer: SteamId,
    /// CONNECTION_USER_DATA.
    pub user_data: i64,
    /// Its bounds.
    pub limits: Limits,
}

#[derive(Debug)]
struct Entry {
    session: SessionKey,
    message: Message,
}

/// A channel's messages; a hole is one that was dropped from the middle.
#[derive(Debug, Default)]
struct Queue {
    entries: VecDeque<Option<Entry>>,
    /// Position of `entries[0]`.
    base: u64,
}

/// Unread messages of ended sessions: more than this and the oldest session's go.
const MAX_ORPHANED_BYTES: u64 = 16 << 20;

/// The same in messages.
const MAX_ORPHANED_MESSAGES: u64 = 65_536;

#[derive(Debug, Default)]
struct Account {
    unread_bytes: u64,
    unread_messages: u64,
    /// The session is gone; the account goes with its last message.
    ended: bool,
    unreliable_bytes: u64,
    unreliable_messages: u64,
    /// Positions of unreliable messages, oldest first, by channel.
    unreliable: BTreeMap<Channel, VecDeque<u64>>,
    reads: BTreeMap<Channel, Reads>,
    read_bytes: u64,
    read_messages: u64,
    limits: Option<Limits>,
    /// The peer waits for us to read.
    held_back: bool,
}

#[derive(Debug, Default)]
struct Inner {
    channels: BTreeMap<Channel, Queue>,
    accounts: BTreeMap<SessionKey, Account>,
    /// Unread of ended sessions.
    orphaned_bytes: u64,
    orphaned_messages: u64,
}

/// All received and unread messages of one endpoint.
#[derive(Debug, Default)]
pub struct Mailbox {
    inner: Mutex<Inner>,
    waiting: AtomicUsize,
    wants_handling: AtomicBool,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics half-way; if it did, the messages are still whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a session's messages in. Returns how many unreliable ones were dropped for want of room.
    pub fn deliver(&self, now: Instant, origin: &Origin, deliveries: impl Iterator<Item = Delivery>) -> u64 {
        let mut inner = self.lock();
        let Inner { channels, accounts, .. } = &mut *inner;
        let account = accounts.entry(origin.session).or_default();
        account.limits = Some(origin.limits);
        let (mut added, mut dropped) = (0usize, 0u64);
        for Delivery { channel, number, reliable, payload } in deliveries {
            let queue = channels.entry(channel).or_default();
            if !reliable {
                let gone = account.make_room(queue, channel, payload.len() as u64, &origin.limits);
                dropped += gone.count;
                added = added.wrapping_sub(gone.unread);
                if gone.refused {
                    if queue.entries.is_empty() {
                        channels.remove(&channel);
                    }
                    continue;
                }
                account.unreliable.entry(channel).or_default().push_back(queue.base + queue.entries.len() as u64);
                account.unreliable_bytes += payload.len() as u64;
                account.unreliable_messages += 1;
            }
            added = added.wrapping_add(1);
            account.unread_bytes += payload.len() as u64;
            account.unread_messages += 1;
            queue.entries.push_back(Some(Entry {
                session: origin.session,
                message: Message {
                    from: origin.peer,
                    user_data: origin.user_data,
                    received: now,
                    number,
                    channel,
                    reliable,
                    payload,
                },
            }));
        }
        // Wrapping: more may have been dropped than added.
        self.waiting.fetch_add(added, Ordering::AcqRel);
        dropped
    }

    /// Takes up to `max` messages of `channel`, oldest first, appending them to `out`.
    pub fn take(&self, channel: Channel, max: usize, out: &mut Vec<Message>) -> usize {
        if max == 0 || self.waiting() == 0 {
            return 0;
        }
        let mut inner = self.lock();
        let Inner { channels, accounts, orphaned_bytes, orphaned_messages } = &mut *inner;
        let Some(queue) = channels.get_mut(&channel) else {
            return 0;
        };
        let mut taken = 0;
        let mut urgent = false;
        while taken < max
            && let Some(slot) = queue.entries.pop_front()
        {
            queue.base += 1;
            let Some(Entry { session, message }) = slot else {
                continue;
            };
            if let Some(account) = accounts.get_mut(&session) {
                account.note_taken(channel, &message, true);
                urgent |= account.is_urgent();
                if account.ended {
                    *orphaned_bytes -= message.payload.len() as u64;
                    *orphaned_messages -= 1;
                    if account.unread_messages == 0 {
                        accounts.remove(&session);
                    }
                }
            }
            out.push(message);
            taken += 1;
        }
        if queue.entries.is_empty() {
            channels.remove(&channel);
        }
        drop(inner);
        self.waiting.fetch_sub(taken, Ordering::AcqRel);
        if urgent {
            self.wants_handling.store(true, Ordering::Release);
        }
        taken
    }

    /// How many messages wait on all channels. Does not lock.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// True when reads wait for `Endpoint::handle_reads` that a peer may be stalled on. Does not lock.
    pub fn wants_handling(&self) -> bool {
        self.wants_handling.load(Ordering::Acquire)
    }

    /// Gives up the unread messages of `peer`, on one channel or on all.
    pub fn discard(&self, peer: SteamId, only: Option<Channel>) {
        let mut inner = self.lock();
        let gone = inner.discard(only, |entry| entry.message.from == peer);
        drop(inner);
        self.waiting.fetch_sub(gone, Ordering::AcqRel);
        self.wants_handling.store(true, Ordering::Release);
    }

    /// Says whether the session's peer waits for us to read: then every read counts at once.
    pub fn set_held_back(&self, session: SessionKey, held_back: bool) {
        let mut inner = self.lock();
        let account = inner.accounts.entry(session).or_default();
        account.held_back = held_back;
        if held_back && !account.reads.is_empty() {
            self.wants_handling.store(true, Ordering::Release);
        }
    }

    /// Unread bytes and messages of one session, for the loopback's own bound.
    pub fn unread_of(&self, session: SessionKey) -> (u64, u64) {
        self.lock().accounts.get(&session).map_or((0, 0), |a| (a.unread_bytes, a.unread_messages))
    }

    /// What the app read since the last call, session by session.
    pub fn take_reads(&self) -> Vec<(SessionKey, Channel, Reads)> {
        self.wants_handling.store(false, Ordering::Release);
        let mut inner = self.lock();
        let mut all = Vec::new();
        for (session, account) in inner.accounts.iter_mut().filter(|(_, a)| !a.ended) {
            account.read_bytes = 0;
            account.read_messages = 0;
            while let Some((channel, reads)) = account.reads.pop_first() {
                all.push((*session, channel, reads));
            }
        }
        all
    }

    /// The session is gone: its unread messages stay, as long as all such together keep their bound. Returns how
    /// many messages of the sessions longest gone were given up for that.
    pub fn forget_session(&self, session: SessionKey) -> u64 {
        let mut inner = self.lock();
        let Some(account) = inner.accounts.get_mut(&session) else { return 0 };
        if account.unread_messages == 0 {
            inner.accounts.remove(&session);
            return 0;
        }
        account.ended = true;
        let (bytes, messages) = (account.unread_bytes, account.unread_messages);
        inner.orphaned_bytes += bytes;
        inner.orphaned_messages += messages;
        let mut gone = 0;
        while inner.orphaned_bytes > MAX_ORPHANED_BYTES || inner.orphaned_messages > MAX_ORPHANED_MESSAGES {
            let Some(oldest) = inner.accounts.iter().find(|(_, a)| a.ended).map(|(key, _)| *key) else { break };
            gone += inner.discard(None, |entry| entry.session == oldest);
        }
        drop(inner);
        self.waiting.fetch_sub(gone, Ordering::AcqRel);
        gone as u64
    }
}

impl Inner {
    /// Takes out every message that `which` names, on one channel or on all; returns how many.
    fn discard(&mut self, only: Option<Channel>, which: impl Fn(&Entry) -> bool) -> usize {
        let mut gone = 0;
        for (channel, queue) in self.channels.iter_mut().filter(|(c, _)| only.is_none_or(|o| o == **c)) {
            for slot in queue.entries.iter_mut().filter(|s| s.as_ref().is_some_and(&which)) {
                let Some(Entry { session, message }) = slot.take() else { continue };
                gone += 1;
                let Some(account) = self.accounts.get_mut(&session) else { continue };
                account.note_taken(*channel, &message, false);
                if account.ended {
                    self.orphaned_bytes -= message.payload.len() as u64;
                    self.orphaned_messages -= 1;
                    if account.unread_messages == 0 {
                        self.accounts.remove(&session);
                    }
                }
            }
            queue.trim();
        }
        self.channels.retain(|_, queue| !queue.entries.is_empty());
        gone
    }
}

struct Gone {
    count: u64,
    unread: usize,
    refused: bool,
}

impl Account {
    /// Drops the oldest unreliable messages of `channel` until one of `size` bytes fits.
    fn make_room(&mut self, queue: &mut Queue, channel: Channel, size: u64, limits: &Limits) -> Gone {
        let mut gone = Gone { count: 0, unread: 0, refused: false };
        while self.unreliable_messages >= limits.messages
            || (self.unreliable_bytes + size > limits.bytes && self.unreliable_bytes > 0)
        {
            let Some(position) = self.unreliable.get_mut(&channel).and_then(VecDeque::pop_front) else {
                gone.count += 1;
                gone.refused = true;
                return gone;
            };
            let slot = position.checked_sub(queue.base).and_then(|i| queue.entries.get_mut(i as usize));
            if let Some(entry) = slot.and_then(Option::take) {
                self.unreliable_bytes -= entry.message.payload.len() as u64;
                self.unreliable_messages -= 1;
                self.unread_bytes -= entry.message.payload.len() as u64;
                self.unread_messages -= 1;
                gone.count += 1;
                gone.unread += 1;
            }
            queue.trim();
        }
        gone
    }

    /// A message left the box; `front` when it was its queue's oldest.
    fn note_taken(&mut self, channel: Channel, message: &Message, front: bool) {
        let size = message.payload.len() as u64;
        self.unread_bytes -= size;
        self.unread_messages -= 1;
        let reads = self.reads.entry(channel).or_default();
        if message.reliable {
            reads.bytes += size;
            reads.messages += 1;
            self.read_bytes += size;
            self.read_messages += 1;
            return;
        }
        self.unreliable_bytes -= size;
        self.unreliable_messages -= 1;
        if let Some(positions) = self.unreliable.get_mut(&channel) {
            if front {
                positions.pop_front();
            } else {
                positions.clear(); // all of the channel's go
            }
            if positions.is_empty() {
                self.unreliable.remove(&channel);
            }
        }
    }

    /// Enough was read for the peer to care?
    fn is_urgent(&self) -> bool {
        self.held_back
            || self.limits.is_some_and(|l| self.read_bytes * 8 >= l.bytes || self.read_messages * 8 >= l.messages)
    }
}

impl Queue {
    /// Lets go of holes at the front.
    fn trim(&mut self) {
        while matches!(self.entries.front(), Some(None)) {
            self.entries.pop_front();
            self.base += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(session: u64) -> Origin {
        Origin {
            session: SessionKey(session),
            peer: SteamId(session),
            user_data: 9,
            limits: Limits { bytes: 100, messages: 5 },
        }
    }

    fn delivery(channel: i32, number: u64, reliable: bool, size: usize) -> Delivery {
        Delivery { channel: Channel(channel), number, reliable, payload: vec![number as u8; size].into() }
    }

    fn numbers(mailbox: &Mailbox, channel: i32) -> Vec<u64> {
        let mut out = Vec::new();
        mailbox.take(Channel(channel), 1_000, &mut out);
        out.iter().map(|m| m.number).collect()
    }

    #[test]
    fn messages_come_out_in_order_by_channel() {
        let mailbox = Mailbox::default();
        mailbox.deliver(Instant::ZERO, &origin(1), [delivery(0, 1, true, 3), delivery(4, 1, true, 3)].into_iter());
        mailbox.deliver(Instant::ZERO, &origin(2), [delivery(0, 7, true, 3)].into_iter());
        assert_eq!(mailbox.waiting(), 3);
        assert_eq!(numbers(&mailbox, 0), [1, 7]);
        assert_eq!(numbers(&mailbox, 4), [1]);
        assert_eq!(mailbox.waiting(), 0);
        let reads = mailbox.take_reads();
        assert_eq!(reads.len(), 3);
        assert!(reads.iter().all(|(_, _, r)| *r == Reads { bytes: 3, messages: 1 }));
    }

    #[test]
    fn unreliable_ones_are_bounded_and_the_oldest_goes() {
        let mailbox = Mailbox::default();
        let mixed = (1..=8).map(|n| delivery(0, n, n % 4 == 1, 10));
        let dropped = mailbox.deliver(Instant::ZERO, &origin(1), mixed);
        let more = (9..=12).map(|n| delivery(0, n, false, 10));
        let dropped = dropped + mailbox.deliver(Instant::ZERO, &origin(1), more);
        assert_eq!(dropped, 5);
        assert_eq!(numbers(&mailbox, 0), [1, 5, 8, 9, 10, 11, 12]);
        assert_eq!(mailbox.waiting(), 0);
    }

    #[test]
    fn a_channel_that_has_nothing_to_drop_loses_its_newcomer() {
        let mailbox = Mailbox::default();
        mailbox.deliver(Instant::ZERO, &origin(1), (1..=5).map(|n| delivery(0, n, false, 10)));
        assert_eq!(mailbox.deliver(Instant::ZERO, &origin(1), [delivery(1, 1, false, 10)].into_iter()), 1);
        assert_eq!((numbers(&mailbox, 1), mailbox.waiting()), (vec![], 5));
    }

    #[test]
    fn discarding_gives_the_grant_back_and_spares_the_others() {
        let mailbox = Mailbox::default();
        mailbox.deliver(Instant::ZERO, &origin(1), [delivery(0, 1, true, 30), delivery(1, 1, false, 5)].into_iter());
        mailbox.deliver(Instant::ZERO, &origin(2), [delivery(0, 2, true, 3)].into_iter());
        mailbox.discard(SteamId(1), None);
        assert_eq!(mailbox.waiting(), 1);
        assert!(mailbox.wants_handling());
        let reads = mailbox.take_reads();
        assert!(reads.contains(&(SessionKey(1), Channel(0), Reads { bytes: 30, messages: 1 })));
        assert_eq!(numbers(&mailbox, 0), [2]);
        mailbox.deliver(Instant::ZERO, &origin(1), (1..=5).map(|n| delivery(1, n, false, 20)));
        assert_eq!(numbers(&mailbox, 1).len(), 5, "the discarded ones take no room");
    }
}
