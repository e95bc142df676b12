//! The measured side of a session: rates and qualities over windows of five seconds.
//!
//! The first window reports after one second, so that a fresh session shows something early; a finished
//! window stays visible until the next one is.

use crate::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(5);
const FIRST: Duration = Duration::from_secs(1);

/// Packets that must have arrived before a quality means anything.
const LEAST_PACKETS: u64 = 5;

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    packets_out: u64,
    bytes_out: u64,
    packets_in: u64,
    bytes_in: u64,
    out_of_order: u64,
    duplicates: u64,
    /// Largest packet number before the window's first packet.
    base: Option<u64>,
}

/// What the last finished window says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// UDP datagrams per second, out.
    pub packets_out: f32,
    /// UDP payload bytes per second, out.
    pub bytes_out: f32,
    /// In.
    pub packets_in: f32,
    /// In.
    pub bytes_in: f32,
    /// 0 to 1, how well packets arrive here; -1 unknown.
    pub quality: f32,
}

impl Default for Measured {
    fn default() -> Measured {
        Measured { packets_out: 0.0, bytes_out: 0.0, packets_in: 0.0, bytes_in: 0.0, quality: -1.0 }
    }
}

/// Counts one session's packets.
#[derive(Debug)]
pub struct Meter {
    since: Instant,
    window: Window,
    finished: Option<Measured>,
    largest: Option<u64>,
    last_in: Option<(Instant, Duration)>,
    max_jitter: Option<Duration>,
}

impl Meter {
    /// Counting begins.
    pub fn new(now: Instant) -> Meter {
        Meter { since: now, window: Window::default(), finished: None, largest: None, last_in: None, max_jitter: None }
    }

    /// Packet numbers begin anew.
    pub fn begin_connection(&mut self) {
        self.largest = None;
        self.window.base = None;
    }

    /// A datagram left.
    pub fn count_out(&mut self, now: Instant, bytes: usize) {
        self.roll(now);
        self.window.packets_out += 1;
        self.window.bytes_out += bytes as u64;
    }

    /// A packet arrived and opened.
    pub fn count_in(&mut self, now: Instant, bytes: usize, number: u64) {
        self.roll(now);
        let window = &mut self.window;
        window.packets_in += 1;
        window.bytes_in += bytes as u64;
        match self.largest {
            Some(largest) if number < largest => window.out_of_order += 1,
            Some(largest) => {
                window.base.get_or_insert(largest);
                self.largest = Some(number);
            }
            None => {
                window.base = number.checked_sub(1);
                self.largest = Some(number);
            }
        }
        // Jitter: how much the gap between arrivals varies from one to the next.
        if let Some((at, gap)) = self.last_in {
            let this = now.saturating_since(at);
            if !gap.is_zero() && this < Duration::from_secs(1) {
                let jitter = this.abs_diff(gap);
                self.max_jitter = Some(self.max_jitter.map_or(jitter, |j| j.max(jitter)));
            }
            self.last_in = Some((now, this));
        } else {
            self.last_in = Some((now, Duration::ZERO));
        }
    }

    /// A packet arrived a second time.
    pub fn count_duplicate(&mut self) {
        self.window.duplicates += 1;
    }

    fn roll(&mut self, now: Instant) {
        let span = now.saturating_since(self.since);
        if span >= WINDOW {
            // A window nobody touched for longer than it lasts says nothing of when its packets came.
            self.finished = Some(self.window.measured(span, self.largest));
            self.window = Window { base: self.largest, ..Window::default() };
            self.since = now;
        }
    }

    /// Rates and quality: of the last finished window or, at the start, of the elapsed part of the first.
    pub fn measured(&mut self, now: Instant) -> Measured {
        self.roll(now);
        let span = now.saturating_since(self.since);
        match self.finished {
            Some(finished) => finished,
            None if span >= FIRST => self.window.measured(span, self.largest),
            None => Measured::default(),
        }
    }

    /// The largest jitter since the last call.
    pub fn take_max_jitter(&mut self) -> Option<Duration> {
        self.max_jitter.take()
    }
}

impl Window {
    fn measured(&self, span: Duration, largest: Option<u64>) -> Measured {
        let seconds = span.as_secs_f32().max(0.001);
        let expected = match (largest, self.base) {
            (Some(largest), Some(base)) => largest.saturating_sub(base),
            (Some(largest), None) if self.packets_in > 0 => largest + 1,
            _ => 0,
        };
        let quality = if self.packets_in < LEAST_PACKETS {
            -1.0
        } else {
            let lost = expected.saturating_sub(self.packets_in) as f32;
            let dropped = lost / (self.packets_in as f32 + lost);
            let weird = (self.out_of_order + self.duplicates) as f32 / self.packets_in as f32;
            (1.0 - dropped - weird).max(0.0)
        };
        Measured {
            packets_out: self.packets_out as f32 / seconds,
            bytes_out: self.bytes_out as f32 / seconds,
            packets_in: self.packets_in as f32 / seconds,
            bytes_in: self.bytes_in as f32 / seconds,
            quality,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_lost_shows_as_four_fifths_of_quality() {
        let mut meter = Meter::new(Instant::ZERO);
        let mut now = Instant::ZERO;
        for number in 0..1_200u64 {
            now += Duration::from_millis(10);
            meter.count_out(now, 100);
            if number % 5 != 0 {
                meter.count_in(now, 50, number);
            }
        }
        let m = meter.measured(now);
        assert!((m.quality - 0.8).abs() < 0.02, "{m:?}");
        assert!((m.packets_out - 100.0).abs() < 2.0 && (m.bytes_in - 4_000.0).abs() < 100.0, "{m:?}");
    }

    #[test]
    fn nothing_is_claimed_before_a_second_has_passed() {
        let mut meter = Meter::new(Instant::ZERO);
        let now = Instant::ZERO + Duration::from_millis(900);
        meter.count_in(now, 100, 0);
        assert_eq!(meter.measured(now), Measured::default());
        let now = Instant::ZERO + Duration::from_millis(1_100);
        assert!(meter.measured(now).packets_in > 0.0);
    }
}
