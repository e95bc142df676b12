//! Messages on their way out: from the app's call to the peer's acknowledgement, per channel.
//!
//! Decides which bytes go into the next packet. Within a channel lost slices go first, then new
//! messages, reliable and unreliable in turn; between channels see [`Schedule`]. Invariants: a reliable
//! message stays here until every byte of it is acknowledged; it starts only when its whole size is
//! granted; reliable messages of a channel start in order.

use super::cell::{PeerCell, charge};
use super::credit::SendCredit;
use super::schedule::Schedule;
use crate::ids::Channel;
use crate::ranges::RangeSet;
use crate::wire::codec::Writer;
use crate::wire::frame::{MessageEncoder, MessageSlice};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// A session carries at most so many channels in its life; sending on one more is refused.
pub const MAX_CHANNELS: usize = 4_096;

/// A peer may use so many: what is on the fast lane when the limit is reached still goes out.
pub const MAX_CHANNELS_IN: usize = 2 * MAX_CHANNELS;

/// A message that does not fit into the rest of a packet is cut only if at least so much of it fits.
const LEAST_SLICE: usize = 256;

/// A lost slice no longer than this goes again in two packets, once: to lose it twice costs another round trip.
const TWICE: u32 = 256;

/// The most a message frame's header takes when nothing is left out, bytes.
const MAX_FRAME_HEADER: usize = 28;

/// What a packet carried, to be told whether it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// Whole reliable messages of one channel, with consecutive numbers.
    Messages {
        /// The channel's slot.
        slot: u32,
        /// How many.
        count: u32,
        /// The first one's number.
        first: u64,
    },
    /// A slice of a reliable message.
    Slice {
        /// The channel's slot.
        slot: u32,
        /// First byte.
        start: u32,
        /// One past the last.
        end: u32,
        /// The message's number.
        number: u64,
    },
}

#[derive(Debug)]
struct Reliable {
    payload: Box<[u8]>,
    size: u32,
    /// Bytes sent at least once.
    sent: u32,
    acked: RangeSet,
    done: bool,
    /// It went twice after a loss.
    doubled: bool,
}

#[derive(Debug)]
struct Unreliable {
    payload: Box<[u8]>,
    number: u64,
    sent: u32,
}

#[derive(Debug)]
struct OutChannel {
    id: Channel,
    /// Number of `messages[0]`.
    first: u64,
    messages: VecDeque<Reliable>,
    /// Index in `messages` of the first one not sent whole.
    next: usize,
    lost: VecDeque<(u64, u32, u32)>,
    unreliable: VecDeque<Unreliable>,
    next_unreliable: u64,
    unreliable_turn: bool,
    credit: SendCredit,
    /// The message its own grant holds back was announced.
    told_blocked: bool,
    /// Listed in `session_blocked`.
    session_blocked: bool,
}

/// All messages of one session on their way out.
#[derive(Debug)]
pub struct Outbox {
    channels: Vec<OutChannel>,
    slots: BTreeMap<Channel, usize>,
    schedule: Schedule,
    cell: Arc<PeerCell>,
    session: SendCredit,
    channel_window: (u64, u64),
    /// Channels the session's grant holds back.
    session_blocked: Vec<usize>,
    told_session_blocked: bool,
    unsent_reliable: u64,
    unsent_unreliable: u64,
    lost_bytes: u64,
    /// Slot, message number, first byte and end of what goes a second time, in the next packet.
    second: Vec<(usize, u64, u32, u32)>,
    unacked: u64,
    packet_room: usize,
}

/// What one attempt of a channel to write came to.
enum Turn {
    Wrote,
    NoRoom,
    Nothing,
}

impl Outbox {
    /// Empty; grants come with the peer's transport parameters.
    pub fn new(cell: Arc<PeerCell>) -> Outbox {
        Outbox {
            channels: Vec::new(),
            slots: BTreeMap::new(),
            schedule: Schedule::default(),
            cell,
            session: SendCredit::new(0, 0),
            channel_window: (0, 0),
            session_blocked: Vec::new(),
            told_session_blocked: false,
            unsent_reliable: 0,
            unsent_unreliable: 0,
            lost_bytes: 0,
            second: Vec::new(),
            unacked: 0,
            packet_room: 1_000,
        }
    }

    /// The grants a session and each of its channels begin with: (bytes, messages).
    pub fn set_windows(&mut self, session: (u64, u64), channel: (u64, u64)) {
        self.session = SendCredit::new(session.0, session.1);
        self.channel_window = channel;
        for (slot, channel) in self.channels.iter_mut().enumerate() {
            channel.credit = SendCredit::new(self.channel_window.0, self.channel_window.1);
            self.schedule.activate(slot);
        }
    }

    /// What an otherwise empty packet has room for, bytes of frames. An unreliable message that fits
    /// into one is never cut: two packets would lose it twice as often.
    pub fn set_packet_room(&mut self, bytes: usize) {
        self.packet_room = bytes;
    }

    /// So many channels were sent on.
    pub fn channel_count(&self) -> usize {
        self.channels.len()
    }

    /// The largest message that waits, bytes.
    pub fn largest_waiting(&self) -> usize {
        let reliable = self.channels.iter().flat_map(|c| c.messages.iter().skip(c.next).map(|m| m.payload.len()));
        let unreliable = self.channels.iter().flat_map(|c| c.unreliable.iter().map(|m| m.payload.len()));
        reliable.chain(unreliable).max().unwrap_or(0)
    }

    /// Is there room for one more channel?
    pub fn has_room_for(&self, channel: Channel) -> bool {
        self.channels.len() < MAX_CHANNELS || self.slots.contains_key(&channel)
    }

    /// Queues a message whose room is reserved in the cell. `priority` counts for a new channel.
    pub fn push(&mut self, channel: Channel, reliable: bool, payload: Box<[u8]>, priority: i32) {
        let slot = self.slot(channel, priority);
        let out = &mut self.channels[slot];
        let size = payload.len();
        if reliable {
            out.messages.push_back(Reliable {
                size: size as u32,
                payload,
                sent: 0,
                acked: RangeSet::new(),
                done: false,
                doubled: false,
            });
            self.unsent_reliable += size as u64;
        } else {
            out.unreliable.push_back(Unreliable { payload, number: out.next_unreliable, sent: 0 });
            out.next_unreliable += 1;
            self.unsent_unreliable += size as u64;
        }
        self.schedule.activate(slot);
    }

    fn slot(&mut self, id: Channel, priority: i32) -> usize {
        if let Some(slot) = self.slots.get(&id) {
            return *slot;
        }
        let slot = self.channels.len();
        self.channels.push(OutChannel {
            id,
            first: 1,
            messages: VecDeque::new(),
            next: 0,
            lost: VecDeque::new(),
            unreliable: VecDeque::new(),
            next_unreliable: 1,
            unreliable_turn: true,
            credit: SendCredit::new(self.channel_window.0, self.channel_window.1),
            told_blocked: false,
            session_blocked: false,
        });
        self.slots.insert(id, slot);
        self.schedule.add(priority);
        slot
    }

    /// Changes a channel's priority, if it was sent on.
    pub fn set_priority(&mut self, channel: Channel, priority: i32) {
        if let Some(slot) = self.slots.get(&channel) {
            self.schedule.set_priority(*slot, priority);
        }
    }

    /// Might something be written? Exact only after a call of [`Outbox::write`] that wrote nothing.
    pub fn has_work(&self) -> bool {
        !self.schedule.is_empty()
    }

    /// Bytes of reliable messages not yet sent, or lost and waiting to go again.
    pub fn pending_reliable(&self) -> u64 {
        self.unsent_reliable + self.lost_bytes
    }

    /// Does anything lost wait to go again?
    pub fn has_lost(&self) -> bool {
        self.lost_bytes > 0
    }

    /// Bytes of unreliable messages not yet sent.
    pub fn pending_unreliable(&self) -> u64 {
        self.unsent_unreliable
    }

    /// Bytes of reliable messages on the wire and not acknowledged.
    pub fn unacknowledged(&self) -> u64 {
        self.unacked.saturating_sub(self.lost_bytes)
    }

    /// Channels that a grant holds back, their own or the session's.
    pub fn channels_blocked(&self) -> usize {
        self.channels.iter().filter(|c| c.told_blocked || c.session_blocked).count()
    }

    /// Is any reliable message not acknowledged in full?
    pub fn holds_reliable(&self) -> bool {
        self.channels.iter().any(|c| !c.messages.is_empty())
    }

    /// Takes every reliable message not acknowledged in full out, channel by channel, in order.
    pub fn take_unacknowledged(&mut self) -> Vec<(Channel, Box<[u8]>)> {
        let mut all = Vec::new();
        for channel in &mut self.channels {
            let kept = channel.messages.drain(..).filter(|m| !m.done);
            all.extend(kept.map(|m| (channel.id, m.payload)));
        }
        all
    }

    /// Lets the session start more.
    pub fn grant_session(&mut self, bytes: u64, messages: u64) {
        self.session.grant(bytes, messages);
        self.wake_session_blocked();
    }

    fn wake_session_blocked(&mut self) {
        self.told_session_blocked = false;
        for slot in self.session_blocked.drain(..) {
            self.channels[slot].session_blocked = false;
            self.schedule.activate(slot);
        }
    }

    /// Lets one channel start more. A channel we never sent on is none of ours: ignored.
    pub fn grant_channel(&mut self, channel: Channel, bytes: u64, messages: u64) {
        if let Some(&slot) = self.slots.get(&channel) {
            let out = &mut self.channels[slot];
            out.credit.grant(bytes, messages);
            out.told_blocked = false;
            self.schedule.activate(slot);
        }
    }

    /// Writes as many message frames as fit; what reliable bytes they carry is appended to `carried`.
    /// Returns true when anything was written.
    pub fn write(&mut self, out: &mut Writer<'_>, carried: &mut Vec<Carried>, blocked: &mut Vec<Blocked>) -> bool {
        let mut encoder = MessageEncoder::new();
        let mut wrote = false;
        while let Some(slot) = self.schedule.current() {
            let before = out.room();
            match self.write_one(slot, &mut encoder, out, carried, blocked) {
                Turn::Wrote => {
                    wrote = true;
                    self.schedule.charge(slot, before - out.room());
                }
                Turn::NoRoom => break,
                Turn::Nothing => self.schedule.rest(slot),
            }
        }
        for (slot, number, start, end) in self.second.drain(..) {
            self.channels[slot].lost.push_front((number, start, end));
            self.lost_bytes += u64::from(end - start);
            self.schedule.activate(slot);
        }
        wrote
    }

    fn write_one(
        &mut self,
        slot: usize,
        encoder: &mut MessageEncoder,
        out: &mut Writer<'_>,
        carried: &mut Vec<Carried>,
        blocked: &mut Vec<Blocked>,
    ) -> Turn {
        match self.write_lost(slot, encoder, out, carried) {
            Turn::Nothing => {}
            turn => return turn,
        }
        let channel = &mut self.channels[slot];
        channel.unreliable_turn = !channel.unreliable_turn;
        if channel.unreliable_turn && !channel.unreliable.is_empty() {
            return self.write_unreliable(slot, encoder, out);
        }
        match self.write_reliable(slot, encoder, out, carried, blocked) {
            Turn::Nothing if !self.channels[slot].unreliable.is_empty() => self.write_unreliable(slot, encoder, out),
            turn => turn,
        }
    }

    fn write_lost(
        &mut self,
        slot: usize,
        encoder: &mut MessageEncoder,
        out: &mut Writer<'_>,
        carried: &mut Vec<Carried>,
    ) -> Turn {
        let channel = &mut self.channels[slot];
        while let Some((number, start, end)) = channel.lost.pop_front() {
            self.lost_bytes -= u64::from(end - start);
            let index = number.checked_sub(channel.first).map(|i| i as usize);
            let Some(message) = index.and_then(|i| channel.messages.get_mut(i)) else {
                continue; // acknowledged while it waited
            };
            if message.done {
                continue;
            }
            // What is still missing of it: usually all, or a part after a late acknowledgement.
            let missing = message.acked.gaps(start.into()..end.into()).next();
            let (start, gap_end) = match missing {
                Some(gap) => (gap.start as u32, gap.end as u32),
                None if message.size == 0 => (0, 0),
                None => continue,
            };
            if gap_end < end {
                channel.lost.push_front((number, gap_end, end));
                self.lost_bytes += u64::from(end - gap_end);
            }
            let slice = MessageSlice {
                reliable: true,
                channel: channel.id,
                number,
                message: &message.payload,
                start,
                end: gap_end,
            };
            let worth = fits(out.room(), (gap_end - start) as usize, self.packet_room);
            let written = worth.then(|| encoder.write(out, slice)).flatten();
            let to = written.unwrap_or(start);
            if to < gap_end || written.is_none() {
                channel.lost.push_front((number, to, gap_end));
                self.lost_bytes += u64::from(gap_end - to);
            }
            if written.is_none() {
                return Turn::NoRoom;
            }
            carry(carried, slot, number, start, to, message.size);
            if to == gap_end && to - start <= TWICE && !std::mem::replace(&mut message.doubled, true) {
                self.second.push((slot, number, start, to));
            }
            return Turn::Wrote;
        }
        Turn::Nothing
    }

    fn write_reliable(
        &mut self,
        slot: usize,
        encoder: &mut MessageEncoder,
        out: &mut Writer<'_>,
        carried: &mut Vec<Carried>,
        blocked: &mut Vec<Blocked>,
    ) -> Turn {
        let channel = &mut self.channels[slot];
        let number = channel.first + channel.next as u64;
        let Some(message) = channel.messages.get_mut(channel.next) else {
            return Turn::Nothing;
        };
        let size = u64::from(message.size);
        let starts = message.sent == 0;
        if starts {
            if !channel.credit.allows(size) {
                if !std::mem::replace(&mut channel.told_blocked, true) {
                    blocked.push(Blocked::Channel(channel.id, channel.credit.needed(size)));
                }
                return Turn::Nothing;
            }
            if !self.session.allows(size) {
                if !std::mem::replace(&mut self.told_session_blocked, true) {
                    blocked.push(Blocked::Session(self.session.needed(size)));
                }
                if !std::mem::replace(&mut channel.session_blocked, true) {
                    self.session_blocked.push(slot);
                }
                return Turn::Nothing;
            }
        }
        let (start, end) = (message.sent, message.size);
        if !fits(out.room(), (end - start) as usize, self.packet_room) {
            return Turn::NoRoom;
        }
        let slice = MessageSlice { reliable: true, channel: channel.id, number, message: &message.payload, start, end };
        let Some(to) = encoder.write(out, slice) else {
            return Turn::NoRoom;
        };
        if starts {
            channel.credit.start(size);
            self.session.start(size);
        }
        message.sent = to;
        let bytes = u64::from(to - start);
        self.unsent_reliable -= bytes;
        self.unacked += bytes;
        if to == end {
            channel.next += 1;
            self.cell.release(charge(end as usize));
        }
        carry(carried, slot, number, start, to, end);
        Turn::Wrote
    }

    fn write_unreliable(&mut self, slot: usize, encoder: &mut MessageEncoder, out: &mut Writer<'_>) -> Turn {
        let channel = &mut self.channels[slot];
        let Some(message) = channel.unreliable.front_mut() else {
            return Turn::Nothing;
        };
        let (start, end) = (message.sent, message.payload.len() as u32);
        let needs = (end - start) as usize + MAX_FRAME_HEADER;
        if needs > out.room()
            && (needs <= self.packet_room || out.room() < LEAST_SLICE)
            && out.room() < self.packet_room
        {
            return Turn::NoRoom;
        }
        let slice = MessageSlice {
            reliable: false,
            channel: channel.id,
            number: message.number,
            message: &message.payload,
            start,
            end,
        };
        let Some(to) = encoder.write(out, slice) else {
            return Turn::NoRoom;
        };
        message.sent = to;
        self.unsent_unreliable -= u64::from(to - start);
        if to == end {
            channel.unreliable.pop_front();
            self.cell.release(charge(end as usize));
        }
        Turn::Wrote
    }

    /// The peer has it.
    pub fn handle_acked(&mut self, carried: Carried) {
        match carried {
            Carried::Messages { slot, first, count } => {
                for number in first..first + u64::from(count) {
                    self.ack_slice(slot as usize, number, 0, u32::MAX);
                }
            }
            Carried::Slice { slot, number, start, end } => self.ack_slice(slot as usize, number, start, end),
        }
    }

    fn ack_slice(&mut self, slot: usize, number: u64, start: u32, end: u32) {
        let channel = &mut self.channels[slot];
        let Some(message) = number.checked_sub(channel.first).and_then(|i| channel.messages.get_mut(i as usize)) else {
            return;
        };
        if message.done {
            return;
        }
        let end = end.min(message.size);
        let all = start == 0 && end == message.size;
        let known: u64 = message.acked.iter().map(|r| r.end - r.start).sum();
        let new = if all { u64::from(message.size) - known } else { message.acked.insert(start.into()..end.into()) };
        self.unacked -= new;
        if known + new < u64::from(message.size) {
            return;
        }
        message.done = true;
        message.payload = Box::default();
        message.acked = RangeSet::new();
        while channel.messages.front().is_some_and(|m| m.done) {
            channel.messages.pop_front();
            channel.first += 1;
            channel.next -= 1;
        }
    }

    /// The frame that told the peer of a blocked grant is lost: tell again, if it still holds.
    pub fn handle_blocked_lost(&mut self, blocked: Blocked) {
        match blocked {
            Blocked::Session(_) => self.wake_session_blocked(),
            Blocked::Channel(id, _) => {
                if let Some(&slot) = self.slots.get(&id) {
                    self.channels[slot].told_blocked = false;
                    self.schedule.activate(slot);
                }
            }
        }
    }

    /// The packet that carried it is lost: what is not acknowledged goes again.
    pub fn handle_lost(&mut self, carried: Carried) {
        match carried {
            Carried::Messages { slot, first, count } => {
                for number in first..first + u64::from(count) {
                    self.lose_slice(slot as usize, number, 0, u32::MAX);
                }
            }
            Carried::Slice { slot, number, start, end } => self.lose_slice(slot as usize, number, start, end),
        }
    }

    fn lose_slice(&mut self, slot: usize, number: u64, start: u32, end: u32) {
        let channel = &mut self.channels[slot];
        let Some(message) = number.checked_sub(channel.first).and_then(|i| channel.messages.get(i as usize)) else {
            return;
        };
        let end = end.min(message.size);
        if message.done || message.acked.contains_all(start.into()..end.into()) && start < end {
            return;
        }
        channel.lost.push_back((number, start, end));
        self.lost_bytes += u64::from(end - start);
        self.schedule.activate(slot);
    }
}

/// A grant that holds a message back, for the peer to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// The session's: so many cumulative bytes are needed.
    Session(u64),
    /// A channel's.
    Channel(Channel, u64),
}

/// Is it worth writing so many bytes of a message into this room of a packet?
#[inline]
fn fits(room: usize, bytes: usize, packet_room: usize) -> bool {
    // The encoder knows exactly what fits, this only decides about cutting.
    bytes + MAX_FRAME_HEADER <= room || room >= LEAST_SLICE.min(packet_room)
}

#[inline]
fn carry(carried: &mut Vec<Carried>, slot: usize, number: u64, start: u32, end: u32, size: u32) {
    let slot = slot as u32;
    if start > 0 || end < size {
        carried.push(Carried::Slice { slot, number, start, end });
        return;
    }
    if let Some(Carried::Messages { slot: last_slot, first, count }) = carried.last_mut()
        && *last_slot == slot
        && *first + u64::from(*count) == number
    {
        *count += 1;
        return;
    }
    carried.push(Carried::Messages { slot, first: number, count: 1 });
}
