//! Which packets arrived, which are lost, and what the path can carry.
//!
//! Loss by packet and time thresholds and probe timeouts as in RFC 9002, but a probe's back-off stops
//! early: a game keeps sending, so giving up on a path is the session's time-out, not ours. Delivery
//! rate samples as in draft-cheng-iccrg-delivery-rate-estimation. Packet numbers belong to one
//! connection; [`Recovery::reset`] begins the next one.

use super::acks::MAX_ACK_DELAY;
use super::congestion::{AckSample, Congestion};
use super::pacer::Pacer;
use super::rtt::Rtt;
use crate::ranges::RangeSet;
use crate::time::{Deadline, Duration, Instant, Why};
use crate::wire::ack::AckFrame;
use std::collections::VecDeque;
use std::ops::Range;

/// A packet overtaken by so many acknowledged ones is lost (RFC 9002 section 6.1.1).
const PACKET_THRESHOLD: u64 = 3;

/// A probe timeout doubles at most so often.
const MAX_BACKOFF: u32 = 2;

/// A longer delay of an acknowledgement is not believed.
const MOST_ACK_DELAY: Duration = Duration::from_secs(1);

/// Packets a probe timeout lets out regardless of the window.
const PROBE_PACKETS: u32 = 2;

/// The loss of late is over about so many packets.
const LOSS_MEMORY: f32 = 64.0;

/// So many lost packets are remembered.
const MAX_REMEMBERED: usize = 1_024;

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The peer has it.
    Acked,
    /// Later ones overtook it.
    Lost,
}

/// A packet that counts as lost; remembered for a while, should it arrive after all.
#[derive(Clone, Copy, Debug)]
struct Lost {
    number: u64,
    sent_at: Instant,
    lost_at: Instant,
    size: u32,
}

/// A packet that was sent. `T` is what it carried.
#[derive(Debug)]
struct Sent<T> {
    at: Instant,
    size: u32,
    /// Acknowledged, lost, or never to be acknowledged.
    settled: bool,
    app_limited: bool,
    delivered: u64,
    delivered_at: Instant,
    first_sent_at: Instant,
    carried: Vec<T>,
}

/// Loss detection, round-trip time, window and pace of one connection's packets.
#[derive(Debug)]
pub struct Recovery<T> {
    sent: VecDeque<Sent<T>>,
    /// Number of `sent[0]`.
    first: u64,
    /// What the peer acknowledged, from `first` on: so each number is looked at once.
    acked: RangeSet,
    /// Oldest first.
    lost: VecDeque<Lost>,
    /// How much later than usual a packet may come once packets were seen to overtake each other (RFC 8985
    /// section 6.2); while none were, a packet overtaken by [`PACKET_THRESHOLD`] others counts as lost.
    reorder_window: Option<Duration>,
    largest_acked: Option<u64>,
    rtt: Rtt,
    congestion: Congestion,
    pacer: Pacer,
    in_flight: u64,
    eliciting_in_flight: u32,
    last_eliciting_at: Instant,
    loss_deadline: Option<Instant>,
    backoff: u32,
    /// When something was acknowledged last.
    acked_at: Instant,
    probes: u32,
    delivered: u64,
    delivered_at: Instant,
    first_sent_at: Instant,
    /// Until more than this is delivered, samples say what the app sent, not what the path carries.
    app_limited_until: Option<u64>,
    lost_packets: u64,
    /// Part of the packets that got lost, the latest counting most.
    loss: f32,
    spare: Vec<Vec<T>>,
}

impl<T: Copy> Recovery<T> {
    /// For a fresh connection; rates in bytes per second, `max` 0 for none.
    pub fn new(rate_min: u64, rate_max: u64) -> Recovery<T> {
        Recovery {
            sent: VecDeque::new(),
            first: 0,
            acked: RangeSet::new(),
            lost: VecDeque::new(),
            reorder_window: None,
            largest_acked: None,
            rtt: Rtt::default(),
            congestion: Congestion::new(rate_min, rate_max),
            pacer: Pacer::default(),
            in_flight: 0,
            eliciting_in_flight: 0,
            last_eliciting_at: Instant::ZERO,
            loss_deadline: None,
            backoff: 0,
            acked_at: Instant::ZERO,
            probes: 0,
            delivered: 0,
            delivered_at: Instant::ZERO,
            first_sent_at: Instant::ZERO,
            app_limited_until: None,
            lost_packets: 0,
            loss: 0.0,
            spare: Vec::new(),
        }
    }

    /// Begins the packet numbers of a new connection at `first`; everything in flight counts as lost and goes
    /// to `lost`.
    pub fn reset(&mut self, first: u64, mut lost: impl FnMut(T)) {
        self.lose_all(&mut lost);
        self.sent.clear();
        self.first = first;
        self.lost.clear();
        self.acked = RangeSet::new();
        self.largest_acked = None;
        self.backoff = 0;
        self.probes = 0;
    }

    /// Everything in flight counts as lost and goes to `lost`; the numbers go on.
    pub fn lose_all(&mut self, mut lost: impl FnMut(T)) {
        for packet in self.sent.iter_mut().filter(|p| !p.settled) {
            packet.settled = true;
            packet.carried.drain(..).for_each(&mut lost);
        }
        self.in_flight = 0;
        self.eliciting_in_flight = 0;
        self.loss_deadline = None;
        self.forget_settled();
    }

    /// Bounds of the rate, bytes per second; `max` 0 for none.
    pub fn set_rate_bounds(&mut self, min: u64, max: u64) {
        self.congestion.set_bounds(min, max);
    }

    /// The path changed: what was measured belongs to the old one.
    pub fn handle_path_change(&mut self) {
        self.rtt = Rtt::default();
        self.reorder_window = None;
        self.congestion.restart();
        self.backoff = 0;
    }

    /// A round trip measured outside, by the handshake or a path probe.
    pub fn sample_rtt(&mut self, sample: Duration) {
        self.rtt.sample(sample, Duration::ZERO);
        self.congestion.seed_rtt(sample);
    }

    /// The path's round-trip time.
    pub fn rtt(&self) -> &Rtt {
        &self.rtt
    }

    /// What the path carries, bytes per second.
    pub fn rate(&self) -> u64 {
        self.congestion.rate()
    }

    /// Packets found lost so far.
    pub fn lost_packets(&self) -> u64 {
        self.lost_packets
    }

    /// Part of the packets that got lost of late, 0 to 1.
    pub fn loss(&self) -> f32 {
        self.loss
    }

    /// Probe timeouts in a row since the last acknowledgement.
    pub fn timeouts(&self) -> u32 {
        self.backoff
    }

    /// The next packet's number.
    pub fn next_number(&self) -> u64 {
        self.first + self.sent.len() as u64
    }

    /// The largest number the peer acknowledged.
    pub fn largest_acked(&self) -> Option<u64> {
        self.largest_acked
    }

    /// By then something of what is in flight must have been acknowledged, or nothing gets through. Sending more does
    /// not put it off; a loss among what arrives does not bring it about.
    pub fn overdue_at(&self) -> Option<Instant> {
        let oldest = self.sent.iter().find(|packet| !packet.settled)?;
        Some(oldest.at.max(self.acked_at) + self.probe_timeout())
    }

    /// How long until a silent peer is probed.
    pub fn probe_timeout(&self) -> Duration {
        self.rtt.probe_timeout(MAX_ACK_DELAY)
    }

    /// May a packet that counts leave now?
    pub fn may_send(&self, now: Instant) -> bool {
        self.probes > 0 || (self.has_window() && self.pacer.allows(now))
    }

    /// Does a probe have to leave, even if there is nothing to say?
    pub fn wants_probe(&self) -> bool {
        self.probes > 0
    }

    /// Is there room in the window, were it not for the pacer?
    pub fn has_window(&self) -> bool {
        self.in_flight < self.congestion.window()
    }

    /// When the pacer lets the next packet out.
    pub fn pacing_deadline(&self) -> Option<Instant> {
        self.has_window().then(|| self.pacer.next())
    }

    /// The sender has nothing more to say although it might: rate samples are of the app's making.
    pub fn note_app_limited(&mut self) {
        if self.has_window() {
            self.app_limited_until = Some(self.delivered + self.in_flight);
        }
    }

    /// An empty list for what the next packet carries.
    pub fn spare_list(&mut self) -> Vec<T> {
        self.spare.pop().unwrap_or_default()
    }

    /// Gives an unused list back.
    pub fn return_list(&mut self, mut list: Vec<T>) {
        if self.spare.len() < 64 {
            list.clear();
            self.spare.push(list);
        }
    }

    /// A packet was sent; its number was [`Recovery::next_number`].
    pub fn handle_sent(&mut self, now: Instant, size: usize, ack_eliciting: bool, carried: Vec<T>) {
        if self.in_flight == 0 {
            self.first_sent_at = now;
            self.delivered_at = now;
        }
        self.sent.push_back(Sent {
            at: now,
            size: size as u32,
            settled: !ack_eliciting,
            app_limited: self.app_limited_until.is_some(),
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            first_sent_at: self.first_sent_at,
            carried,
        });
        if ack_eliciting {
            self.in_flight += size as u64;
            self.eliciting_in_flight += 1;
            self.last_eliciting_at = now;
            self.probes = self.probes.saturating_sub(1);
            self.pacer.sent(now, size, self.congestion.pacing_rate());
        }
    }

    /// Takes an acknowledgement. `settle` is told what the settled packets carried, and what became of it.
    ///
    /// # Errors
    /// It acknowledges what was never sent.
    pub fn handle_ack(
        &mut self,
        now: Instant,
        ack: &AckFrame<'_>,
        mut settle: impl FnMut(T, Fate),
    ) -> Result<(), &'static str> {
        if ack.largest >= self.next_number() {
            return Err("a packet that was never sent is acknowledged");
        }
        let mut newest: Option<usize> = None;
        let mut newly = 0;
        for range in ack.ranges() {
            if range.end <= self.first {
                break;
            }
            let range = range.start.max(self.first)..range.end;
            if self.acked.contains_all(range.clone()) {
                continue;
            }
            let new: Vec<Range<u64>> = self.acked.gaps(range.clone()).collect();
            self.acked.insert(range);
            for index in new.into_iter().rev().flat_map(|r| r.rev()).map(|n| (n - self.first) as usize) {
                let packet = &mut self.sent[index];
                if packet.settled {
                    continue;
                }
                packet.settled = true;
                self.loss -= self.loss / LOSS_MEMORY;
                newly += u64::from(packet.size);
                self.in_flight -= u64::from(packet.size);
                self.eliciting_in_flight -= 1;
                newest = newest.or(Some(index));
                let mut list = std::mem::take(&mut packet.carried);
                list.drain(..).for_each(|item| settle(item, Fate::Acked));
                if self.spare.len() < 64 {
                    self.spare.push(list);
                }
            }
        }
        if self.largest_acked.is_none_or(|l| ack.largest > l) {
            self.largest_acked = Some(ack.largest);
            if newest.is_some_and(|i| self.first + i as u64 == ack.largest) {
                let at = self.sent[(ack.largest - self.first) as usize].at;
                // A busy peer may wake late; the minimum seen bounds what is believed.
                let delay = Duration::from_micros(ack.delay_us).min(MOST_ACK_DELAY);
                self.rtt.sample(now.saturating_since(at), delay);
            }
        }
        self.look_for_late(now, ack);
        let lost_bytes = self.detect_loss(now, |item| settle(item, Fate::Lost));
        if let Some(index) = newest {
            self.acked_at = now;
            self.backoff = 0;
            self.probes = 0;
            self.sample_rate(now, index, newly, lost_bytes);
        }
        self.forget_settled();
        Ok(())
    }

    /// Finds packets that counted as lost and were only late: loss is judged more patiently from then on.
    fn look_for_late(&mut self, now: Instant, ack: &AckFrame<'_>) {
        let patience = self.rtt.smoothed() * 2;
        while self.lost.front().is_some_and(|l| l.lost_at + patience <= now || self.lost.len() > MAX_REMEMBERED) {
            self.lost.pop_front();
        }
        if self.lost.is_empty() {
            return;
        }
        // Both lists run from the newest number down.
        let mut ranges = ack.ranges().peekable();
        for index in (0..self.lost.len()).rev() {
            let lost = self.lost[index];
            while ranges.next_if(|r| r.start > lost.number).is_some() {}
            if ranges.peek().is_none_or(|r| !r.contains(&lost.number)) {
                continue;
            }
            self.lost.remove(index);
            let late = now.saturating_since(lost.sent_at).saturating_sub(self.rtt.smoothed());
            let window = self.reorder_window.unwrap_or_default().max(late).min(self.rtt.smoothed());
            self.reorder_window = Some(window);
            self.congestion.handle_late(u64::from(lost.size));
            self.lost_packets = self.lost_packets.saturating_sub(1);
            self.delivered += u64::from(lost.size);
        }
    }

    fn sample_rate(&mut self, now: Instant, newest: usize, newly: u64, lost_bytes: u64) {
        self.delivered += newly;
        self.app_limited_until = self.app_limited_until.filter(|until| self.delivered <= *until);
        self.delivered_at = now;
        let packet = &self.sent[newest];
        self.first_sent_at = packet.at;
        let send_span = packet.at.saturating_since(packet.first_sent_at);
        let ack_span = now.saturating_since(packet.delivered_at);
        let sample = AckSample {
            now,
            delivered: self.delivered,
            sample_delivered: self.delivered - packet.delivered,
            prior_delivered: packet.delivered,
            span: send_span.max(ack_span),
            rtt: now.saturating_since(packet.at),
            app_limited: packet.app_limited,
            in_flight: self.in_flight,
            acked_bytes: newly,
            lost_bytes,
        };
        self.congestion.handle_ack(&sample);
    }

    /// Finds packets that later ones overtook; returns their bytes.
    fn detect_loss(&mut self, now: Instant, mut lost: impl FnMut(T)) -> u64 {
        self.loss_deadline = None;
        let Some(largest) = self.largest_acked else { return 0 };
        let delay = self.rtt.loss_delay() + self.reorder_window.unwrap_or_default();
        let threshold = if self.reorder_window.is_some() { u64::MAX } else { PACKET_THRESHOLD };
        let mut bytes = 0;
        let overtaken = (largest + 1).saturating_sub(self.first).min(self.sent.len() as u64) as usize;
        for (index, packet) in self.sent.iter_mut().enumerate().take(overtaken) {
            if packet.settled {
                continue;
            }
            let number = self.first + index as u64;
            if largest - number < threshold && packet.at + delay > now {
                // Neither are those sent after it.
                self.loss_deadline = Some(packet.at + delay);
                break;
            }
            packet.settled = true;
            self.lost.push_back(Lost { number, sent_at: packet.at, lost_at: now, size: packet.size });
            self.lost_packets += 1;
            self.loss += (1.0 - self.loss) / LOSS_MEMORY;
            bytes += u64::from(packet.size);
            self.in_flight -= u64::from(packet.size);
            self.eliciting_in_flight -= 1;
            packet.carried.drain(..).for_each(&mut lost);
        }
        bytes
    }

    fn forget_settled(&mut self) {
        while self.sent.front().is_some_and(|p| p.settled) {
            if let Some(packet) = self.sent.pop_front() {
                self.first += 1;
                if packet.carried.capacity() > 0 {
                    self.return_list(packet.carried);
                }
            }
        }
        self.acked.remove_below(self.first);
    }

    /// Is any packet on its way that asks for an acknowledgement?
    pub fn awaits_ack(&self) -> bool {
        self.eliciting_in_flight > 0
    }

    /// When something counts as lost, or the peer has to be probed.
    pub fn poll_timeout(&self) -> Option<Deadline> {
        if let Some(at) = self.loss_deadline {
            return Some(Deadline::new(at, Why::Loss));
        }
        (self.eliciting_in_flight > 0 && self.probes == 0).then(|| Deadline::new(self.probe_deadline(), Why::Loss))
    }

    fn probe_deadline(&self) -> Instant {
        self.last_eliciting_at + self.probe_timeout() * (1 << self.backoff)
    }

    /// Does what is due. `lost` is told what has to go again.
    pub fn handle_timeout(&mut self, now: Instant, mut lost: impl FnMut(T)) {
        if self.loss_deadline.is_some_and(|at| at <= now) {
            let bytes = self.detect_loss(now, lost);
            self.congestion.handle_loss(bytes);
            self.forget_settled();
            return;
        }
        if self.loss_deadline.is_none()
            && self.eliciting_in_flight > 0
            && self.probes == 0
            && self.probe_deadline() <= now
        {
            self.backoff = (self.backoff + 1).min(MAX_BACKOFF);
            self.probes = PROBE_PACKETS;
            // The oldest data goes again in the probes; its packets may still turn out to have arrived.
            let outstanding = self.sent.iter().filter(|p| !p.settled);
            for packet in outstanding.take(PROBE_PACKETS as usize) {
                packet.carried.iter().copied().for_each(&mut lost);
            }
        }
    }
}
