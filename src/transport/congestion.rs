//! How fast the path can be used: a model of it, in the family of BBR.
//!
//! The model is two measurements: the delivery rate (a maximum over the last rounds) and the round trip
//! without queue (a minimum over the last seconds). Packets leave at the rate, and no more are in flight
//! than rate times round trip asks for (Cardwell et al., "BBR: Congestion-Based Congestion Control", 2016;
//! draft-ietf-ccwg-bbr). Random loss does not slow it down; loss together with a growing queue does.
//! Where a queue stays although nobody probes, the rate yields a little until it is gone; the first queue that
//! lasts a round ends the doubling of the beginning.

use crate::time::{Duration, Instant};

/// The packet size the constants below are made of, bytes.
const PACKET: u64 = 1_200;
/// What may be in flight before anything was measured (RFC 9002 section 7.2 says ten packets).
const INITIAL_WINDOW: u64 = 16 * PACKET;
/// Never less than this in flight.
const MIN_WINDOW: u64 = 4 * PACKET;
/// Pace while the rate still doubles every round: 2 / ln 2.
const STARTUP_GAIN: f64 = 2.89;
/// In flight against rate × round trip, to ride out acknowledgements that come in clumps.
const WINDOW_GAIN: f64 = 2.0;
/// The timers of both ends are this coarse; so much more may be in flight at any rate.
const CLUMP: Duration = Duration::from_millis(2);
/// A cycle of cruising, in round trips: probe for more, drain what that queued, then keep the rate.
const CYCLE: [f64; 8] = [1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
/// The pace that lets a standing queue go.
const YIELD_GAIN: f64 = 0.9;
/// A round trip without queue is believed for so long, then looked for again.
const MIN_RTT_LIFE: Duration = Duration::from_secs(10);
/// How long the window is kept low to see it.
const PROBE_RTT_SPAN: Duration = Duration::from_millis(200);
/// Half of the rounds a rate maximum is believed for.
const RATE_ROUNDS: u64 = 5;
/// Loss that counts when the queue grew as well.
const LOSS_WITH_QUEUE: f64 = 0.02;
/// Loss that counts by itself.
const LOSS_ALONE: f64 = 0.35;

/// Random loss is made up for by sending so much more, at most.
const MOST_COMPENSATION: f64 = 0.3;
/// A round with fewer acknowledgements says nothing of a queue: jitter alone may hold all of them up.
const LEAST_ROUND: u32 = 10;

/// What one acknowledgement tells.
#[derive(Clone, Copy, Debug)]
pub struct AckSample {
    /// When it came.
    pub now: Instant,
    /// Bytes delivered in all.
    pub delivered: u64,
    /// Bytes delivered since the newest acknowledged packet was sent.
    pub sample_delivered: u64,
    /// Bytes delivered when that packet was sent.
    pub prior_delivered: u64,
    /// The time that took.
    pub span: Duration,
    /// Round trip of that packet, the peer's delay included.
    pub rtt: Duration,
    /// The app had nothing more to send then.
    pub app_limited: bool,
    /// Bytes in flight now.
    pub in_flight: u64,
    /// Bytes newly acknowledged.
    pub acked_bytes: u64,
    /// Bytes newly found lost.
    pub lost_bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    /// Doubling every round until the rate stops growing.
    Startup,
    /// Letting the queue of startup go.
    Drain,
    /// Keeping the rate, probing once a cycle.
    Cruise { phase: usize, since: Instant },
    /// Looking for the round trip without queue.
    ProbeRtt { until: Instant },
}

/// The model of one path.
#[derive(Debug)]
pub struct Congestion {
    rate_min: u64,
    rate_max: u64,
    mode: Mode,
    window: u64,
    /// No more than this in flight after loss with a queue; grows back.
    cap: u64,
    round: u64,
    round_ends_at: u64,
    round_min_rtt: Duration,
    round_acked: u64,
    round_lost: u64,
    round_samples: u32,
    /// Share of packets lost lately, 0 to 1.
    loss: f64,
    last_round_min_rtt: Duration,
    /// Maximum rate of this window of rounds and of the one before, bytes per second.
    rate_now: u64,
    rate_before: u64,
    rate_since: u64,
    min_rtt: Option<Duration>,
    min_rtt_at: Instant,
    full_rate: u64,
    full_rounds: u32,
}

impl Congestion {
    /// Bounds in bytes per second; `max` 0 for none.
    pub fn new(rate_min: u64, rate_max: u64) -> Congestion {
        Congestion {
            rate_min,
            rate_max,
            mode: Mode::Startup,
            window: INITIAL_WINDOW,
            cap: u64::MAX,
            round: 0,
            round_ends_at: 0,
            round_min_rtt: Duration::MAX,
            round_acked: 0,
            round_lost: 0,
            round_samples: 0,
            loss: 0.0,
            last_round_min_rtt: Duration::ZERO,
            rate_now: 0,
            rate_before: 0,
            rate_since: 0,
            min_rtt: None,
            min_rtt_at: Instant::ZERO,
            full_rate: 0,
            full_rounds: 0,
        }
    }

    /// Forgets the path.
    pub fn restart(&mut self) {
        *self = Congestion::new(self.rate_min, self.rate_max);
    }

    /// New bounds.
    pub fn set_bounds(&mut self, rate_min: u64, rate_max: u64) {
        self.rate_min = rate_min;
        self.rate_max = rate_max;
    }

    /// A round trip measured before any data, by the handshake.
    pub fn seed_rtt(&mut self, rtt: Duration) {
        self.min_rtt = Some(self.min_rtt.map_or(rtt, |m| m.min(rtt)));
    }

    fn bounded(&self, rate: u64) -> u64 {
        let max = if self.rate_max == 0 { u64::MAX } else { self.rate_max };
        rate.max(self.rate_min).min(max)
    }

    fn measured(&self) -> u64 {
        self.rate_now.max(self.rate_before)
    }

    fn rtt(&self) -> Duration {
        self.min_rtt.unwrap_or(Duration::from_millis(100)).max(Duration::from_micros(10))
    }

    /// The estimated capacity within its bounds, bytes per second.
    pub fn rate(&self) -> u64 {
        // Until the path was filled once, a quiet app's own rate says nothing about it.
        let guess = (INITIAL_WINDOW as f64 / self.rtt().as_secs_f64()) as u64;
        match self.mode {
            Mode::Startup => self.bounded(self.measured().max(guess)),
            _ => self.bounded(self.measured()),
        }
    }

    /// The rate packets leave at, bytes per second.
    pub fn pacing_rate(&self) -> u64 {
        let gain = match self.mode {
            Mode::Startup => STARTUP_GAIN,
            Mode::Drain => 1.0 / STARTUP_GAIN,
            Mode::Cruise { phase, .. } if CYCLE[phase] == 1.0 && self.has_queue() => YIELD_GAIN,
            Mode::Cruise { phase, .. } => CYCLE[phase],
            Mode::ProbeRtt { .. } => 1.0,
        };
        // Random loss takes its share on the way; what arrives is what the rate is about.
        let lost = if self.has_queue() { 0.0 } else { self.loss.min(MOST_COMPENSATION) };
        self.bounded((self.rate() as f64 * gain / (1.0 - lost)) as u64)
    }

    /// Bytes that may be in flight.
    pub fn window(&self) -> u64 {
        // A rate fixed from below must not be undone by the window.
        let floor = (self.rate_min as f64 * WINDOW_GAIN * (self.rtt() + CLUMP).as_secs_f64()) as u64;
        self.window.min(self.cap).max(MIN_WINDOW).max(floor)
    }

    /// In flight at `gain` times what the path holds, plus a clump.
    fn target(&self, gain: f64) -> u64 {
        let rate = self.measured() as f64;
        (rate * gain * self.rtt().as_secs_f64() + rate * CLUMP.as_secs_f64()) as u64
    }

    /// Did even the quickest packet of the last round wait in a queue?
    fn has_queue(&self) -> bool {
        self.last_round_min_rtt > self.rtt() * 5 / 4 + Duration::from_millis(2)
    }

    /// Takes a sample.
    pub fn handle_ack(&mut self, sample: &AckSample) {
        self.round_acked += sample.acked_bytes;
        self.round_lost += sample.lost_bytes;
        self.round_min_rtt = self.round_min_rtt.min(sample.rtt);
        self.round_samples += 1;
        self.sample_min_rtt(sample);
        let round_over = sample.prior_delivered >= self.round_ends_at;
        if round_over {
            self.round += 1;
            self.round_ends_at = sample.delivered;
            if self.round_samples >= LEAST_ROUND {
                self.last_round_min_rtt = self.round_min_rtt;
                self.round_min_rtt = Duration::MAX;
                self.round_samples = 0;
            }
        }
        self.sample_rate(sample);
        if round_over {
            self.judge_loss(sample.in_flight + sample.acked_bytes);
            if self.mode == Mode::Startup && !sample.app_limited {
                self.look_for_full_rate();
            }
        }
        self.advance(sample);
        self.set_window(sample);
    }

    fn sample_min_rtt(&mut self, sample: &AckSample) {
        if self.min_rtt.is_none_or(|m| sample.rtt <= m) {
            self.min_rtt = Some(sample.rtt);
            self.min_rtt_at = sample.now;
        }
    }

    fn sample_rate(&mut self, sample: &AckSample) {
        if self.round >= self.rate_since + RATE_ROUNDS && !sample.app_limited {
            self.rate_before = self.rate_now;
            self.rate_now = 0;
            self.rate_since = self.round;
        }
        // A span far below the round trip comes from acknowledgements in a clump, not from the path.
        let span = sample.span.max(self.rtt() / 2).max(Duration::from_micros(10));
        let rate = (sample.sample_delivered as f64 / span.as_secs_f64()) as u64;
        if !sample.app_limited || rate > self.measured() {
            self.rate_now = self.rate_now.max(rate);
        }
    }

    fn look_for_full_rate(&mut self) {
        // A round in which every packet waited was carried at all the path has: to go on doubling would only
        // lengthen the queue, for rounds that grow as long as it.
        if self.has_queue() {
            self.mode = Mode::Drain;
        } else if self.measured() as f64 >= self.full_rate as f64 * 1.25 {
            self.full_rate = self.measured();
            self.full_rounds = 0;
        } else {
            self.full_rounds += 1;
            if self.full_rounds >= 3 {
                self.mode = Mode::Drain;
            }
        }
    }

    fn judge_loss(&mut self, in_flight: u64) {
        let total = self.round_acked + self.round_lost;
        let loss = self.round_lost as f64 / total.max(1) as f64;
        self.loss = self.loss * 0.875 + loss * 0.125;
        // One packet more or less is no measurement.
        let counts = self.round_lost > 2 * PACKET;
        if counts && (loss > LOSS_ALONE || (loss > LOSS_WITH_QUEUE && self.has_queue())) {
            self.cap = (in_flight as f64 * 0.85) as u64;
            if self.mode == Mode::Startup {
                self.mode = Mode::Drain;
            }
        } else if self.cap != u64::MAX {
            self.cap += self.cap / 4;
            if self.cap > 2 * self.target(WINDOW_GAIN) {
                self.cap = u64::MAX;
            }
        }
        self.round_acked = 0;
        self.round_lost = 0;
    }

    fn advance(&mut self, sample: &AckSample) {
        let now = sample.now;
        match self.mode {
            Mode::Drain if sample.in_flight <= self.target(1.0) => {
                self.mode = Mode::Cruise { phase: 2, since: now };
            }
            Mode::Cruise { phase, since } => {
                let stale = now.saturating_since(self.min_rtt_at) > MIN_RTT_LIFE;
                if stale && !sample.app_limited {
                    self.mode = Mode::ProbeRtt { until: now + PROBE_RTT_SPAN.max(self.rtt()) };
                    self.min_rtt = Some(sample.rtt);
                    self.min_rtt_at = now;
                    return;
                }
                let long_enough = now.saturating_since(since) > self.rtt();
                let drained = CYCLE[phase] < 1.0 && sample.in_flight <= self.target(1.0);
                if long_enough || drained {
                    self.mode = Mode::Cruise { phase: (phase + 1) % CYCLE.len(), since: now };
                }
            }
            Mode::ProbeRtt { until } if until <= now => {
                self.mode = Mode::Cruise { phase: 0, since: now };
            }
            _ => {}
        }
    }

    fn set_window(&mut self, sample: &AckSample) {
        match self.mode {
            Mode::Startup => {
                if sample.in_flight + sample.acked_bytes >= self.window / 2 {
                    self.window += sample.acked_bytes;
                }
                self.window = self.window.min(self.target(STARTUP_GAIN)).max(INITIAL_WINDOW);
            }
            Mode::ProbeRtt { .. } => self.window = self.target(0.5),
            Mode::Drain | Mode::Cruise { .. } => self.window = self.target(WINDOW_GAIN).max(MIN_WINDOW),
        }
    }

    /// A packet that counted as lost arrived after all.
    pub fn handle_late(&mut self, bytes: u64) {
        self.round_lost = self.round_lost.saturating_sub(bytes);
        self.round_acked += bytes;
    }

    /// Loss found by a timer, without an acknowledgement beside it.
    pub fn handle_loss(&mut self, bytes: u64) {
        self.round_lost += bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bottleneck of `rate` bytes per second behind `delay`, fed as the model allows, for `seconds`.
    /// Returns goodput (bytes per second) and the mean queueing delay of its second half.
    fn run(rate: u64, delay: Duration, loss_every: u64, seconds: u64) -> (f64, Duration) {
        use std::collections::VecDeque;
        struct InFlight {
            sent: Instant,
            arrives: Instant,
            delivered: u64,
            delivered_at: Instant,
            first_sent: Instant,
            lost: bool,
            queued: Duration,
        }
        let mut cc = Congestion::new(16_384, 0);
        let mut pacer = crate::transport::pacer::Pacer::default();
        let start = Instant::ZERO + Duration::from_secs(1);
        let end = start + Duration::from_secs(seconds);
        let (mut now, mut free_at) = (start, start);
        let mut flight: VecDeque<InFlight> = VecDeque::new();
        let (mut in_flight, mut delivered, mut count) = (0u64, 0u64, 0u64);
        let (mut delivered_at, mut first_sent) = (start, start);
        let (mut queue_sum, mut queue_n) = (Duration::ZERO, 0u32);
        while now < end {
            while flight.front().is_some_and(|p| p.arrives <= now) {
                let p = flight.pop_front().unwrap();
                in_flight -= PACKET;
                if p.lost {
                    cc.handle_loss(PACKET);
                    continue;
                }
                delivered += PACKET;
                delivered_at = now;
                first_sent = p.sent;
                if now > start + Duration::from_secs(seconds / 2) {
                    queue_sum += p.queued;
                    queue_n += 1;
                }
                cc.handle_ack(&AckSample {
                    now,
                    delivered,
                    sample_delivered: delivered - p.delivered,
                    prior_delivered: p.delivered,
                    span: p.sent.saturating_since(p.first_sent).max(now.saturating_since(p.delivered_at)),
                    rtt: now.saturating_since(p.sent),
                    app_limited: false,
                    in_flight,
                    acked_bytes: PACKET,
                    lost_bytes: 0,
                });
            }
            while in_flight < cc.window() && pacer.allows(now) {
                if in_flight == 0 {
                    (delivered_at, first_sent) = (now, now);
                }
                count += 1;
                let begins = free_at.max(now);
                free_at = begins + Duration::from_nanos(PACKET * 1_000_000_000 / rate);
                flight.push_back(InFlight {
                    sent: now,
                    arrives: free_at + delay * 2,
                    delivered,
                    delivered_at,
                    first_sent,
                    lost: loss_every > 0 && count % loss_every == 0,
                    queued: begins.saturating_since(now),
                });
                in_flight += PACKET;
                pacer.sent(now, PACKET as usize, cc.pacing_rate());
            }
            let mut next = now + Duration::from_millis(10);
            if let Some(p) = flight.front() {
                next = next.min(p.arrives);
            }
            if in_flight < cc.window() {
                next = next.min(pacer.next());
            }
            now = next.max(now + Duration::from_nanos(1));
        }
        (delivered as f64 / seconds as f64, queue_sum / queue_n.max(1))
    }

    #[test]
    fn a_clean_link_is_filled_with_little_queue() {
        let (goodput, queue) = run(1_250_000, Duration::from_millis(25), 0, 20);
        assert!(goodput > 0.9 * 1_250_000.0, "{goodput}");
        assert!(queue < Duration::from_millis(15), "{queue:?}");
    }

    #[test]
    fn ten_per_cent_of_random_loss_does_not_collapse_it() {
        let (goodput, _) = run(1_250_000, Duration::from_millis(25), 10, 20);
        assert!(goodput > 0.75 * 1_250_000.0, "{goodput}");
    }

    #[test]
    fn a_fast_short_link_is_filled() {
        let (goodput, _) = run(125_000_000, Duration::from_micros(200), 0, 2);
        assert!(goodput > 0.85 * 125_000_000.0, "{goodput}");
    }

    #[test]
    fn equal_bounds_fix_the_rate() {
        let mut cc = Congestion::new(50_000, 50_000);
        assert_eq!(cc.rate(), 50_000);
        assert_eq!(cc.pacing_rate(), 50_000);
        cc.set_bounds(80_000, 80_000);
        assert_eq!(cc.pacing_rate(), 80_000);
    }
}
