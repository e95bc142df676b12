//! Messages on their way in: from frames to whole messages in order, per channel.
//!
//! A loss on one channel never delays another: each has its own numbers, its own waiting room and its
//! own grant. Memory is bounded by what was granted; partial unreliable messages, which nobody grants,
//! by a budget and a deadline.

use super::credit::ReceiveCredit;
use super::outbox::MAX_CHANNELS_IN;
use crate::drops::{DropCounts, Dropped};
use crate::ids::Channel;
use crate::ranges::RangeSet;
use crate::time::{Duration, Instant};
use crate::wire::frame::MessageFrame;
use std::collections::{BTreeMap, BTreeSet};

/// A partial unreliable message is given up when no slice of it came for so long.
const UNRELIABLE_PATIENCE: Duration = Duration::from_secs(5);

/// So many unreliable messages are put together at a time; the oldest makes room.
const MAX_PARTIAL_UNRELIABLE: usize = 64;

/// A message in more separate pieces than this comes from nobody honest: it would cost quadratic time.
const MAX_PIECES: usize = 4_096;

/// The peer broke a rule it agreed to. The text says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation(pub &'static str);

/// A whole message, its turn come.
#[derive(Debug, PartialEq, Eq)]
pub struct Delivery {
    /// On which channel.
    pub channel: Channel,
    /// From 1, per channel and reliability.
    pub number: u64,
    /// Sent reliably?
    pub reliable: bool,
    /// The bytes.
    pub payload: Box<[u8]>,
}

/// A message of which slices are missing.
#[derive(Debug)]
struct Partial {
    bytes: Box<[u8]>,
    have: RangeSet,
}

impl Partial {
    fn new(total: u32) -> Partial {
        Partial { bytes: vec![0; total as usize].into_boxed_slice(), have: RangeSet::new() }
    }

    /// Takes a slice; true when the message is whole.
    fn add(&mut self, frame: &MessageFrame<'_>) -> Result<bool, Violation> {
        if frame.total as usize != self.bytes.len() {
            return Err(Violation("a message changed its size between two slices"));
        }
        let start = frame.offset as usize;
        self.bytes[start..start + frame.data.len()].copy_from_slice(frame.data);
        self.have.insert(start as u64..(start + frame.data.len()) as u64);
        if self.have.range_count() > MAX_PIECES {
            return Err(Violation("a message comes in too many pieces"));
        }
        Ok(self.have.contains_all(0..self.bytes.len() as u64))
    }
}

#[derive(Debug)]
enum Waiting {
    Partial(Partial),
    Whole(Box<[u8]>),
}

#[derive(Debug)]
struct InChannel {
    /// Number of the next message to deliver.
    next: u64,
    waiting: BTreeMap<u64, Waiting>,
    credit: ReceiveCredit,
}

#[derive(Debug)]
struct PartialUnreliable {
    partial: Partial,
    touched: Instant,
}

/// All messages of one session on their way in.
#[derive(Debug)]
pub struct Inbox {
    channels: BTreeMap<Channel, InChannel>,
    session: ReceiveCredit,
    channel_window: (u64, u64),
    max_message: u32,
    unreliable: BTreeMap<(Channel, u64), PartialUnreliable>,
    unreliable_bytes: usize,
    unreliable_budget: usize,
    /// Channels unreliable messages came on, and the last of them.
    unreliable_channels: BTreeSet<Channel>,
    last_unreliable: Option<Channel>,
    /// Channels, or with `None` the session, whose grant may be due.
    grants: BTreeSet<Option<Channel>>,
    /// Those the peer waits for.
    needed: BTreeSet<Option<Channel>>,
    ready: Vec<Delivery>,
}

impl Inbox {
    /// What was told to the peer in the handshake: session and channel windows (bytes, messages), the
    /// largest message, and the memory for partial unreliable messages.
    pub fn new(session: (u64, u64), channel: (u64, u64), max_message: u32) -> Inbox {
        Inbox {
            channels: BTreeMap::new(),
            session: ReceiveCredit::new(session.0, session.1),
            channel_window: channel,
            max_message,
            unreliable: BTreeMap::new(),
            unreliable_bytes: 0,
            unreliable_budget: (session.0 as usize).max(max_message as usize),
            unreliable_channels: BTreeSet::new(),
            last_unreliable: None,
            grants: BTreeSet::new(),
            needed: BTreeSet::new(),
            ready: Vec::new(),
        }
    }

    /// Takes a message frame.
    ///
    /// # Errors
    /// A frame outside what was granted or agreed.
    #[inline]
    pub fn handle_message(
        &mut self,
        now: Instant,
        frame: &MessageFrame<'_>,
        drops: &mut DropCounts,
    ) -> Result<(), Violation> {
        if frame.total > self.max_message {
            return Err(Violation("a message is larger than agreed"));
        }
        if frame.reliable { self.handle_reliable(frame) } else { self.handle_unreliable(now, frame, drops) }
    }

    fn handle_reliable(&mut self, frame: &MessageFrame<'_>) -> Result<(), Violation> {
        let channel = channel_of(&mut self.channels, frame.channel, self.channel_window)?;
        if frame.number < channel.next {
            return Ok(()); // delivered before
        }
        if frame.number > channel.credit.granted_messages() {
            return Err(Violation("more messages than granted"));
        }
        let size = u64::from(frame.total);
        let known = channel.waiting.get_mut(&frame.number);
        if known.is_none() {
            if !channel.credit.allows(size) || !self.session.allows(size) {
                return Err(Violation("more bytes than granted"));
            }
            channel.credit.receive(size);
            self.session.receive(size);
        }
        match known {
            Some(Waiting::Whole(_)) => return Ok(()),
            Some(waiting @ Waiting::Partial(_)) => {
                let Waiting::Partial(partial) = waiting else { unreachable!("matched above") };
                if !partial.add(frame)? {
                    return Ok(());
                }
                let bytes = std::mem::take(&mut partial.bytes);
                *waiting = Waiting::Whole(bytes);
            }
            None if frame.is_whole() => {
                if frame.number == channel.next && channel.waiting.is_empty() {
                    channel.next += 1;
                    self.ready.push(Delivery {
                        channel: frame.channel,
                        number: frame.number,
                        reliable: true,
                        payload: frame.data.into(),
                    });
                    return Ok(());
                }
                channel.waiting.insert(frame.number, Waiting::Whole(frame.data.into()));
            }
            None => {
                let mut partial = Partial::new(frame.total);
                partial.add(frame)?;
                channel.waiting.insert(frame.number, Waiting::Partial(partial));
                return Ok(());
            }
        }
        while let Some(entry) = channel.waiting.first_entry() {
            if *entry.key() != channel.next || !matches!(entry.get(), Waiting::Whole(_)) {
                break;
            }
            let (number, Waiting::Whole(payload)) = entry.remove_entry() else { unreachable!("matched above") };
            channel.next += 1;
            self.ready.push(Delivery { channel: frame.channel, number, reliable: true, payload });
        }
        Ok(())
    }

    fn handle_unreliable(
        &mut self,
        now: Instant,
        frame: &MessageFrame<'_>,
        drops: &mut DropCounts,
    ) -> Result<(), Violation> {
        if self.last_unreliable != Some(frame.channel) {
            if self.unreliable_channels.len() >= MAX_CHANNELS_IN && !self.unreliable_channels.contains(&frame.channel) {
                drops.add(Dropped::UnreliableOverflow);
                return Ok(());
            }
            self.unreliable_channels.insert(frame.channel);
            self.last_unreliable = Some(frame.channel);
        }
        let mut deliver = |payload| {
            self.ready.push(Delivery { channel: frame.channel, number: frame.number, reliable: false, payload });
        };
        if frame.is_whole() {
            deliver(frame.data.into());
            return Ok(());
        }
        let key = (frame.channel, frame.number);
        if let Some(waiting) = self.unreliable.get_mut(&key) {
            waiting.touched = now;
            if waiting.partial.add(frame)? {
                let bytes = self.unreliable.remove(&key).map(|w| w.partial.bytes).unwrap_or_default();
                self.unreliable_bytes -= bytes.len();
                deliver(bytes);
            }
            return Ok(());
        }
        let size = frame.total as usize;
        while self.unreliable.len() >= MAX_PARTIAL_UNRELIABLE || self.unreliable_bytes + size > self.unreliable_budget {
            let Some(oldest) = self.unreliable.iter().min_by_key(|(_, w)| w.touched).map(|(key, _)| *key) else {
                break;
            };
            self.give_up(oldest);
            drops.add(Dropped::UnreliableOverflow);
        }
        let mut partial = Partial::new(frame.total);
        partial.add(frame)?;
        self.unreliable_bytes += size;
        self.unreliable.insert(key, PartialUnreliable { partial, touched: now });
        Ok(())
    }

    fn give_up(&mut self, key: (Channel, u64)) {
        if let Some(gone) = self.unreliable.remove(&key) {
            self.unreliable_bytes -= gone.partial.bytes.len();
        }
    }

    /// Gives up what waited too long.
    pub fn handle_timeout(&mut self, now: Instant, drops: &mut DropCounts) {
        while let Some((key, at)) = self.oldest_unreliable()
            && at + UNRELIABLE_PATIENCE <= now
        {
            self.give_up(key);
            drops.add(Dropped::UnreliableOverflow);
        }
    }

    /// When a partial message is given up next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.oldest_unreliable().map(|(_, at)| at + UNRELIABLE_PATIENCE)
    }

    fn oldest_unreliable(&self) -> Option<((Channel, u64), Instant)> {
        self.unreliable.iter().map(|(key, w)| (*key, w.touched)).min_by_key(|(_, at)| *at)
    }

    /// Takes the messages whose turn has come.
    pub fn take_ready(&mut self) -> std::vec::Drain<'_, Delivery> {
        self.ready.drain(..)
    }

    /// The app read (or gave up) reliable messages of a channel.
    pub fn consume(&mut self, channel: Channel, bytes: u64, messages: u64) {
        if let Some(c) = self.channels.get_mut(&channel) {
            c.credit.consume(bytes, messages);
            self.session.consume(bytes, messages);
            self.grants.extend([None, Some(channel)]);
        }
    }

    /// The peer is held back by a grant: it is renewed as soon as that helps.
    ///
    /// # Errors
    /// One channel too many.
    pub fn handle_blocked(&mut self, scope: Option<Channel>, needed: u64) -> Result<(), Violation> {
        let credit = match scope {
            None => &mut self.session,
            // Its first message may be lost, or still be on its way.
            Some(id) => &mut channel_of(&mut self.channels, id, self.channel_window)?.credit,
        };
        credit.handle_blocked(needed);
        self.grants.insert(scope);
        self.needed.insert(scope);
        Ok(())
    }

    /// Does the peer wait for us to read?
    pub fn holds_peer_back(&self) -> bool {
        !self.needed.is_empty()
    }

    /// A grant on its way to the peer was lost: the newest one goes again.
    pub fn handle_grant_lost(&mut self, channel: Option<Channel>) -> Option<(u64, u64)> {
        match channel {
            None => Some(self.session.grant()),
            Some(id) => self.channels.get_mut(&id).map(|c| c.credit.grant()),
        }
    }

    /// The next grant worth sending: for a channel or, with `None`, the session; (bytes, messages).
    pub fn poll_grant(&mut self) -> Option<(Option<Channel>, u64, u64)> {
        while let Some(scope) = self.grants.pop_first() {
            let credit = match scope {
                None => &mut self.session,
                Some(id) => match self.channels.get_mut(&id) {
                    Some(c) => &mut c.credit,
                    None => continue,
                },
            };
            if credit.wants_grant() {
                let (bytes, messages) = credit.grant();
                if !credit.is_needed() {
                    self.needed.remove(&scope);
                }
                return Some((scope, bytes, messages));
            }
        }
        None
    }
}

/// A channel by its label; it begins with the first that is heard of it.
fn channel_of(
    channels: &mut BTreeMap<Channel, InChannel>,
    id: Channel,
    window: (u64, u64),
) -> Result<&mut InChannel, Violation> {
    if channels.len() >= MAX_CHANNELS_IN && !channels.contains_key(&id) {
        return Err(Violation("too many channels"));
    }
    Ok(channels.entry(id).or_insert_with(|| InChannel {
        next: 1,
        waiting: BTreeMap::new(),
        credit: ReceiveCredit::new(window.0, window.1),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame<'a>(channel: i32, number: u64, offset: u32, total: u32, data: &'a [u8]) -> MessageFrame<'a> {
        MessageFrame { reliable: true, channel: Channel(channel), number, offset, total, data }
    }

    fn inbox() -> Inbox {
        Inbox::new((1_000, 100), (500, 50), 500)
    }

    fn take(inbox: &mut Inbox) -> Vec<(i32, u64, Vec<u8>)> {
        inbox.take_ready().map(|d| (d.channel.0, d.number, d.payload.into_vec())).collect()
    }

    #[test]
    fn a_gap_holds_back_its_own_channel_only() {
        let mut inbox = inbox();
        let mut drops = DropCounts::default();
        for f in [frame(1, 2, 0, 1, b"b"), frame(2, 1, 0, 1, b"x"), frame(1, 3, 0, 1, b"c")] {
            inbox.handle_message(Instant::ZERO, &f, &mut drops).unwrap();
        }
        assert_eq!(take(&mut inbox), [(2, 1, b"x".to_vec())]);
        inbox.handle_message(Instant::ZERO, &frame(1, 1, 0, 1, b"a"), &mut drops).unwrap();
        inbox.handle_message(Instant::ZERO, &frame(1, 1, 0, 1, b"a"), &mut drops).unwrap();
        let got: Vec<u64> = take(&mut inbox).iter().map(|m| m.1).collect();
        assert_eq!(got, [1, 2, 3]);
    }

    #[test]
    fn slices_in_any_order_make_the_message() {
        let mut inbox = inbox();
        let mut drops = DropCounts::default();
        for f in [frame(0, 1, 4, 6, b"ef"), frame(0, 1, 0, 6, b"abc"), frame(0, 1, 2, 6, b"cd")] {
            inbox.handle_message(Instant::ZERO, &f, &mut drops).unwrap();
        }
        assert_eq!(take(&mut inbox), [(0, 1, b"abcdef".to_vec())]);
    }

    #[test]
    fn more_than_granted_is_a_violation() {
        let mut inbox = inbox();
        let mut drops = DropCounts::default();
        let big = [0; 400];
        inbox.handle_message(Instant::ZERO, &frame(0, 1, 0, 400, &big), &mut drops).unwrap();
        assert!(inbox.handle_message(Instant::ZERO, &frame(0, 2, 0, 400, &big), &mut drops).is_err());
        assert!(inbox.handle_message(Instant::ZERO, &frame(0, 51, 0, 1, b"x"), &mut drops).is_err());
        assert!(inbox.handle_message(Instant::ZERO, &frame(1, 1, 0, 501, &[0]), &mut drops).is_err());
    }

    #[test]
    fn partial_unreliable_messages_are_bounded_in_number_and_time() {
        let mut inbox = inbox();
        let mut drops = DropCounts::default();
        for number in 1..=200 {
            let f = MessageFrame { reliable: false, ..frame(0, number, 0, 10, b"abc") };
            inbox.handle_message(Instant::ZERO, &f, &mut drops).unwrap();
        }
        assert_eq!(inbox.unreliable.len(), MAX_PARTIAL_UNRELIABLE);
        assert_eq!(drops.of(Dropped::UnreliableOverflow), 200 - MAX_PARTIAL_UNRELIABLE as u64);
        let due = inbox.poll_timeout().unwrap();
        inbox.handle_timeout(due, &mut drops);
        assert_eq!((inbox.unreliable.len(), inbox.unreliable_bytes, inbox.poll_timeout()), (0, 0, None));
        assert!(take(&mut inbox).is_empty());
    }
}
