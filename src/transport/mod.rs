//! How messages travel: everything between the app's messages and the frames of one session's packets.
//!
//! Decides what the next packet holds and when it goes; which messages are whole and in order; what is
//! lost and goes again. Knows no address, no key and no session state: it is told when data may flow
//! ([`Transport::open`]) and when packet numbers begin anew ([`Transport::begin_connection`]).

mod acks;
pub mod cell;
mod congestion;
mod control;
mod credit;
mod inbox;
mod outbox;
mod pacer;
mod recovery;
mod rtt;
mod schedule;

pub use acks::MAX_ACK_DELAY;
pub use control::Control;
pub use inbox::{Delivery, Violation};
pub use outbox::MAX_CHANNELS;
use recovery::{Fate, Recovery};

use crate::drops::DropCounts;
use crate::ids::Channel;
use crate::settings::Settings;
use crate::time::{Deadline, Duration, Instant, Why};
use crate::wire::codec::Writer;
use crate::wire::frame::{Frame, MAX_CONTROL_FRAME};
use acks::Acks;
use cell::PeerCell;
use inbox::Inbox;
use outbox::{Blocked, Carried, Outbox};
use std::collections::VecDeque;
use std::sync::Arc;

/// An acknowledgement that goes with a CLOSE takes at most so many bytes.
const MAX_LAST_ACK: usize = 512;

/// So many packets in a row may ask for no acknowledgement.
const MAX_UNACKNOWLEDGED: u64 = 4_096;

/// A peer that acknowledged none of so many packets never will; each is remembered until then.
const MAX_IGNORED: u64 = 1 << 16;

/// Flow-control windows one side grants: what its peer may start before the app reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Bytes and messages of a session.
    pub session: (u64, u64),
    /// Bytes and messages of each channel: half, so that one unread channel never stops another.
    pub channel: (u64, u64),
    /// The largest message, bytes.
    pub max_message: u32,
}

impl Windows {
    /// What these settings grant.
    pub fn of(settings: &Settings) -> Windows {
        let (bytes, messages) = (u64::from(settings.recv_buffer_size), u64::from(settings.recv_buffer_messages));
        Windows {
            session: (bytes.max(1), messages.max(1)),
            channel: ((bytes / 2).max(1), (messages / 2).max(1)),
            max_message: settings.recv_max_message_size,
        }
    }
}

/// What a packet carried that somebody wants to hear of.
#[derive(Clone, Copy, Debug)]
enum Item {
    Data(Carried),
    Control(Control),
    Ack(u64),
    Grant(Option<Channel>),
    Blocked(Blocked),
}

/// The transport of one session.
#[derive(Debug)]
pub struct Transport {
    /// What we grant.
    windows: Windows,
    outbox: Outbox,
    inbox: Inbox,
    acks: Acks,
    recovery: Recovery<Item>,
    control: VecDeque<Control>,
    grants: VecDeque<(Option<Channel>, u64, u64)>,
    blocked: Vec<Blocked>,
    carried: Vec<Carried>,
    /// Data may flow: the peer accepted, or we did.
    is_open: bool,
    windows_known: bool,
    ping_wanted: bool,
    /// When the oldest small message has waited long enough for company.
    nagle_at: Option<Instant>,
    flush: bool,
    packet_room: usize,
    /// What the packet being built carries, until [`Transport::handle_sent`].
    building: Vec<Item>,
    building_eliciting: bool,
}

impl Transport {
    /// For a new session; `cell` holds its send budget, `windows` is what we grant the peer.
    pub fn new(settings: &Settings, windows: Windows, cell: Arc<PeerCell>) -> Transport {
        Transport {
            windows,
            outbox: Outbox::new(cell),
            inbox: Inbox::new(windows.session, windows.channel, windows.max_message),
            acks: Acks::default(),
            recovery: Recovery::new(settings.send_rate_min, settings.send_rate_max),
            control: VecDeque::new(),
            grants: VecDeque::new(),
            blocked: Vec::new(),
            carried: Vec::new(),
            is_open: false,
            windows_known: false,
            ping_wanted: false,
            nagle_at: None,
            flush: false,
            packet_room: 1_000,
            building: Vec::new(),
            building_eliciting: false,
        }
    }

    /// What we grant the peer.
    pub fn windows(&self) -> &Windows {
        &self.windows
    }

    /// What we told the peer that we grant, where another handshake than ours carries the data. Only before
    /// anything arrived.
    pub fn set_windows(&mut self, windows: Windows) {
        if windows != self.windows {
            self.windows = windows;
            self.inbox = Inbox::new(windows.session, windows.channel, windows.max_message);
        }
    }

    /// The largest message that waits to be sent, bytes.
    pub fn largest_waiting(&self) -> usize {
        self.outbox.largest_waiting()
    }

    /// Are so many channels in use that the fast lane might bring too many?
    pub fn is_crowded(&self) -> bool {
        self.outbox.channel_count() >= MAX_CHANNELS / 2
    }

    /// What one of our packets holds, bytes of frames.
    pub fn packet_room(&self) -> usize {
        self.packet_room
    }

    /// Changes it.
    pub fn set_packet_room(&mut self, bytes: usize) {
        self.packet_room = bytes;
        self.outbox.set_packet_room(bytes);
    }

    /// Has the peer acknowledged nothing for so long that it never will?
    pub fn is_ignored(&self) -> bool {
        let (number, acked) = self.next_number();
        number - acked.unwrap_or(0).min(number) > MAX_IGNORED
    }

    /// New bounds of the rate.
    pub fn set_rate_bounds(&mut self, settings: &Settings) {
        self.recovery.set_rate_bounds(settings.send_rate_min, settings.send_rate_max);
    }

    /// Keys of a new connection: packet numbers begin anew at `first_number`, whatever was in flight goes
    /// again. `windows` is what the peer grants; `packet_room` what one of our packets holds, bytes of frames.
    pub fn begin_connection(
        &mut self,
        first_number: u64,
        windows: &Windows,
        packet_room: usize,
        rtt: Option<Duration>,
    ) {
        if !std::mem::replace(&mut self.windows_known, true) {
            self.outbox.set_windows(windows.session, windows.channel);
        }
        self.set_packet_room(packet_room);
        self.acks = Acks::default();
        let Transport { recovery, outbox, inbox, control, grants, .. } = self;
        recovery.reset(first_number, |item| lose(outbox, inbox, control, grants, item));
        if let Some(rtt) = rtt {
            recovery.sample_rtt(rtt);
        }
    }

    /// Data may flow. What was sent before and is not acknowledged was not taken: it goes again.
    pub fn open(&mut self) {
        if !std::mem::replace(&mut self.is_open, true) {
            let Transport { recovery, outbox, inbox, control, grants, .. } = self;
            recovery.lose_all(|item| lose(outbox, inbox, control, grants, item));
            self.flush = self.outbox.has_work();
        }
    }

    /// May data flow?
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// The path changed; `rtt` is the new one's, if known. `dead`: the old one carries nothing any more, so what was
    /// in flight goes again.
    pub fn handle_path_change(&mut self, rtt: Option<Duration>, dead: bool) {
        let Transport { recovery, outbox, inbox, control, grants, .. } = self;
        if dead {
            recovery.lose_all(|item| lose(outbox, inbox, control, grants, item));
            self.flush = self.outbox.has_work();
        }
        self.recovery.handle_path_change();
        if let Some(rtt) = rtt {
            self.recovery.sample_rtt(rtt);
        }
    }

    /// Does any message wait that its grants would let go?
    pub fn has_work(&self) -> bool {
        self.outbox.has_work()
    }

    /// The path's round-trip time, once measured.
    pub fn rtt(&self) -> Option<Duration> {
        self.recovery.rtt().measured()
    }

    /// How long until a silent peer is probed.
    pub fn probe_timeout(&self) -> Duration {
        self.recovery.probe_timeout()
    }

    /// What the path carries, bytes per second.
    pub fn rate(&self) -> u64 {
        self.recovery.rate()
    }

    /// Packets found lost so far.
    pub fn lost_packets(&self) -> u64 {
        self.recovery.lost_packets()
    }

    /// Packets lost of late, percent.
    pub fn loss_percent(&self) -> f32 {
        self.recovery.loss() * 100.0
    }

    /// Probe timeouts in a row since the last acknowledgement.
    pub fn timeouts(&self) -> u32 {
        self.recovery.timeouts()
    }

    /// When the oldest packet in flight is overdue.
    pub fn overdue_at(&self) -> Option<Instant> {
        self.recovery.overdue_at()
    }

    /// Channels on which a grant of the peer holds messages back.
    pub fn channels_blocked(&self) -> usize {
        self.outbox.channels_blocked()
    }

    /// Has everything arrived that was started? Then what waits waits for a grant, and not for the line.
    pub fn is_still(&self) -> bool {
        self.outbox.unacknowledged() == 0 && !self.outbox.has_lost()
    }

    /// How long what is queued still waits for company, if that is all it waits for.
    pub fn waits_for_company(&self, now: Instant) -> Option<Duration> {
        let waits = self.is_open && self.outbox.has_work() && !self.data_is_due(now);
        self.nagle_at.filter(|_| waits).map(|at| at.saturating_since(now))
    }

    /// Bytes: reliable ones waiting, unreliable ones waiting, reliable ones on the wire.
    pub fn pending(&self) -> (u64, u64, u64) {
        (self.outbox.pending_reliable(), self.outbox.pending_unreliable(), self.outbox.unacknowledged())
    }

    /// How long a message queued now waits for those before it.
    pub fn queue_delay(&self) -> Duration {
        let waiting = self.outbox.pending_reliable() + self.outbox.pending_unreliable();
        Duration::from_nanos(waiting.saturating_mul(1_000_000_000) / self.recovery.rate().max(1))
    }

    /// Is any reliable message not acknowledged in full?
    pub fn holds_reliable(&self) -> bool {
        self.outbox.holds_reliable()
    }

    /// Takes back every reliable message not acknowledged in full, channel by channel, in order.
    pub fn take_unacknowledged(&mut self) -> Vec<(Channel, Box<[u8]>)> {
        self.outbox.take_unacknowledged()
    }

    /// Is there room for one more channel to send on?
    pub fn has_room_for(&self, channel: Channel) -> bool {
        self.outbox.has_room_for(channel)
    }

    /// Queues a message whose room is reserved in the cell.
    pub fn push(&mut self, channel: Channel, reliable: bool, payload: Box<[u8]>, priority: i32, flush_at: Instant) {
        if !self.outbox.has_work() {
            self.nagle_at = None; // what waited before is gone
            self.flush = false;
        }
        self.outbox.push(channel, reliable, payload, priority);
        self.nagle_at = Some(self.nagle_at.map_or(flush_at, |at| at.min(flush_at)));
    }

    /// Ends the wait of small messages for company.
    pub fn flush(&mut self) {
        self.flush |= self.outbox.has_work();
    }

    /// Changes a channel's priority.
    pub fn set_priority(&mut self, channel: Channel, priority: i32) {
        self.outbox.set_priority(channel, priority);
    }

    /// Sends a control frame until it is acknowledged; one that waits already is not doubled.
    pub fn push_control(&mut self, control: Control) {
        if !self.control.contains(&control) {
            self.control.push_back(control);
        }
    }

    /// Asks the peer for a sign of life.
    pub fn ping(&mut self) {
        self.ping_wanted = true;
    }

    /// The app read (or gave up) reliable messages of a channel.
    pub fn consume(&mut self, channel: Channel, bytes: u64, messages: u64) {
        self.inbox.consume(channel, bytes, messages);
    }

    /// Does the peer wait for us to read?
    pub fn holds_peer_back(&self) -> bool {
        self.inbox.holds_peer_back()
    }

    /// Messages whose turn has come.
    pub fn take_ready(&mut self) -> std::vec::Drain<'_, Delivery> {
        self.inbox.take_ready()
    }

    /// The largest packet number that arrived on this connection.
    pub fn largest_received(&self) -> Option<u64> {
        self.acks.largest()
    }

    /// The acknowledgement that is owed when the session ends, as a frame to go with its CLOSE; empty if none is.
    pub fn last_acknowledgement(&mut self, now: Instant) -> Vec<u8> {
        let mut frame = Vec::new();
        self.acks.write(now, &mut Writer::new(&mut frame, MAX_LAST_ACK));
        frame
    }

    /// A packet was opened and its frames taken.
    pub fn handle_packet(&mut self, now: Instant, number: u64, ack_eliciting: bool) {
        self.acks.record(now, number, ack_eliciting);
    }

    /// Takes a frame that concerns messages, flow or acknowledgements; false for any other.
    ///
    /// # Errors
    /// The peer broke a rule.
    #[inline]
    pub fn handle_frame(&mut self, now: Instant, frame: &Frame<'_>, drops: &mut DropCounts) -> Result<bool, Violation> {
        match frame {
            Frame::Message(message) => self.inbox.handle_message(now, message, drops)?,
            Frame::Ack(ack) => {
                let Transport { recovery, outbox, inbox, control, grants, acks, .. } = self;
                recovery
                    .handle_ack(now, ack, |item, fate| match (fate, item) {
                        (Fate::Acked, Item::Data(carried)) => outbox.handle_acked(carried),
                        (Fate::Acked, Item::Ack(largest)) => acks.handle_acked(largest),
                        (Fate::Acked, _) => {}
                        (Fate::Lost, item) => lose(outbox, inbox, control, grants, item),
                    })
                    .map_err(Violation)?;
            }
            Frame::SessionGrant { bytes, messages } => self.outbox.grant_session(*bytes, *messages),
            Frame::ChannelGrant { channel, bytes, messages } => self.outbox.grant_channel(*channel, *bytes, *messages),
            Frame::SessionBlocked { needed } => self.inbox.handle_blocked(None, *needed)?,
            Frame::ChannelBlocked { channel, needed } => self.inbox.handle_blocked(Some(*channel), *needed)?,
            Frame::Ping => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The number of the packet to be built next, and the largest the peer acknowledged.
    pub fn next_number(&self) -> (u64, Option<u64>) {
        (self.recovery.next_number(), self.recovery.largest_acked())
    }

    /// Has the wait for company ended?
    fn data_is_due(&self, now: Instant) -> bool {
        let waiting = self.outbox.pending_reliable() + self.outbox.pending_unreliable();
        self.outbox.has_work()
            && (self.flush
                || self.outbox.has_lost()
                || self.nagle_at.is_none_or(|at| at <= now)
                || waiting >= self.packet_room as u64)
    }

    /// Writes the frames of the next packet; false when none should go now. Then seal it, send it, and
    /// call [`Transport::handle_sent`].
    pub fn write_packet(&mut self, now: Instant, out: &mut Writer<'_>) -> bool {
        if !self.is_open {
            return false;
        }
        while self.grants.len() < 64
            && let Some(grant) = self.inbox.poll_grant()
        {
            self.grants.push_back(grant);
        }
        let may_send = self.recovery.may_send(now);
        let data = may_send && self.data_is_due(now);
        let small = self.ping_wanted || !self.control.is_empty() || !self.grants.is_empty() || !self.blocked.is_empty();
        if !(data || small || self.acks.is_due(now) || self.recovery.wants_probe()) {
            if !self.outbox.has_work() {
                self.recovery.note_app_limited();
            }
            return false;
        }
        let mut items = std::mem::take(&mut self.building);
        items.clear();
        let empty = out.room();
        if let Some(largest) = self.acks.write(now, out) {
            items.push(Item::Ack(largest));
        }
        let mut eliciting = self.write_small(out, &mut items);
        if may_send && self.outbox.has_work() {
            self.carried.clear();
            eliciting |= self.outbox.write(out, &mut self.carried, &mut self.blocked);
            items.extend(self.carried.iter().map(|c| Item::Data(*c)));
            // What a grant holds back is told in the same packet if there is room, else in the next.
            eliciting |= self.write_blocked(out, &mut items);
            if !self.outbox.has_work() {
                self.flush = false;
                self.nagle_at = None;
            }
        }
        let (number, acked) = self.next_number();
        // A side that only acknowledges is never acknowledged itself, and its packet numbers grow too long.
        let quiet = number - acked.unwrap_or(0) > MAX_UNACKNOWLEDGED && !self.recovery.awaits_ack();
        if (self.recovery.wants_probe() || quiet) && !eliciting && out.room() >= MAX_CONTROL_FRAME {
            Frame::Ping.write(out);
            eliciting = true;
        }
        self.building = items;
        self.building_eliciting = eliciting;
        out.room() < empty
    }

    fn write_small(&mut self, out: &mut Writer<'_>, items: &mut Vec<Item>) -> bool {
        let mut wrote = self.write_blocked(out, items);
        while out.room() >= MAX_CONTROL_FRAME
            && let Some(control) = self.control.pop_front()
        {
            control.frame().write(out);
            items.push(Item::Control(control));
            wrote = true;
        }
        while out.room() >= MAX_CONTROL_FRAME
            && let Some((scope, bytes, messages)) = self.grants.pop_front()
        {
            match scope {
                None => Frame::SessionGrant { bytes, messages }.write(out),
                Some(channel) => Frame::ChannelGrant { channel, bytes, messages }.write(out),
            }
            items.push(Item::Grant(scope));
            wrote = true;
        }
        if self.ping_wanted && out.room() >= MAX_CONTROL_FRAME {
            self.ping_wanted = false;
            Frame::Ping.write(out);
            wrote = true;
        }
        wrote
    }

    fn write_blocked(&mut self, out: &mut Writer<'_>, items: &mut Vec<Item>) -> bool {
        let mut wrote = false;
        while out.room() >= MAX_CONTROL_FRAME
            && let Some(blocked) = self.blocked.pop()
        {
            match blocked {
                Blocked::Session(needed) => Frame::SessionBlocked { needed }.write(out),
                Blocked::Channel(channel, needed) => Frame::ChannelBlocked { channel, needed }.write(out),
            }
            items.push(Item::Blocked(blocked));
            wrote = true;
        }
        wrote
    }

    /// Writes message frames for the one datagram that may go before the peer accepted.
    pub fn write_early(&mut self, out: &mut Writer<'_>) -> bool {
        self.building.clear();
        self.carried.clear();
        self.building_eliciting = self.outbox.write(out, &mut self.carried, &mut self.blocked);
        self.building.extend(self.carried.iter().map(|c| Item::Data(*c)));
        self.building_eliciting
    }

    /// The packet just written went out, so many bytes long.
    pub fn handle_sent(&mut self, now: Instant, size: usize) {
        let mut list = self.recovery.spare_list();
        list.append(&mut self.building);
        let eliciting = std::mem::take(&mut self.building_eliciting);
        self.recovery.handle_sent(now, size, eliciting, list);
    }

    /// A packet of frames that nobody wants to hear of went out.
    pub fn handle_sent_bare(&mut self, now: Instant, size: usize) {
        self.recovery.handle_sent(now, size, false, Vec::new());
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant, drops: &mut DropCounts) {
        self.inbox.handle_timeout(now, drops);
        if self.is_open {
            let Transport { recovery, outbox, inbox, control, grants, .. } = self;
            recovery.handle_timeout(now, |item| lose(outbox, inbox, control, grants, item));
        }
    }

    /// When [`Transport::handle_timeout`] or [`Transport::write_packet`] has something to do.
    pub fn poll_timeout(&self, now: Instant) -> Option<Deadline> {
        let mut next = self.inbox.poll_timeout().map(|at| Deadline::new(at, Why::Session));
        if !self.is_open {
            return next;
        }
        next = Deadline::earlier(next, self.acks.poll_timeout().map(|at| Deadline::new(at, Why::Ack)));
        next = Deadline::earlier(next, self.recovery.poll_timeout());
        if self.outbox.has_work() {
            let pacing = self.recovery.pacing_deadline().map(|at| {
                if self.data_is_due(now) {
                    Deadline::new(at, Why::Pacing)
                } else {
                    Deadline::new(self.nagle_at.unwrap_or(at).max(at), Why::Nagle)
                }
            });
            next = Deadline::earlier(next, pacing);
        }
        next
    }
}

/// What was in a lost packet goes again, in its newest form.
fn lose(
    outbox: &mut Outbox,
    inbox: &mut Inbox,
    control: &mut VecDeque<Control>,
    grants: &mut VecDeque<(Option<Channel>, u64, u64)>,
    item: Item,
) {
    match item {
        Item::Data(carried) => outbox.handle_lost(carried),
        Item::Control(c) if !control.contains(&c) => control.push_back(c),
        Item::Grant(scope) if !grants.iter().any(|(s, ..)| *s == scope) => {
            if let Some((bytes, messages)) = inbox.handle_grant_lost(scope) {
                grants.push_back((scope, bytes, messages));
            }
        }
        Item::Blocked(blocked) => outbox.handle_blocked_lost(blocked),
        Item::Control(_) | Item::Grant(_) | Item::Ack(_) => {}
    }
}
