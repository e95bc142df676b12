//! One direction of a bad line: what becomes of each datagram, and when it arrives.
//!
//! A datagram first waits at the narrow place (a rate with a drop-tail queue), then may be lost on the long way
//! behind it, which delays, jitters, doubles and reorders. All of it follows from a seed and from the times handed
//! in, so it is tested in virtual time. The library's own fault injector is not used: this line counts the headers
//! of IP and UDP, tells loss from a full queue, and measures that queue.

use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use steamnetmsg::endpoint::faults::Dice;

/// Bytes of the IPv4 and UDP headers of every datagram; they use up the rate too.
pub const HEADERS: usize = 28;

/// How often the queue of the narrow place is looked at, ns.
pub const PROBE_EVERY_NS: u64 = 5_000_000;

/// Datagrams under way at most; more are dropped as by a full queue.
const MOST_UNDER_WAY: usize = 1 << 20;

/// What is wrong with the line.
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    /// Every datagram takes so long, ns.
    pub delay_ns: u64,
    /// And up to so much more, evenly spread; never overtaking the one before, ns.
    pub jitter_ns: u64,
    /// Lost, percent.
    pub loss: f64,
    /// Mean length of a run of losses; up to 1: each is lost by itself.
    pub burst: f64,
    /// Arrive twice, percent.
    pub dup: f64,
    /// Held back by `reorder_ns` so that later ones overtake, percent.
    pub reorder: f64,
    /// How long, ns.
    pub reorder_ns: u64,
    /// Bits per second through the narrow place, headers counted; 0 for no limit.
    pub rate_bits: u64,
    /// What would wait longer than this in front of it is dropped, ns.
    pub queue_ns: u64,
}

impl Default for Faults {
    fn default() -> Faults {
        Faults {
            delay_ns: 0,
            jitter_ns: 0,
            loss: 0.0,
            burst: 1.0,
            dup: 0.0,
            reorder: 0.0,
            reorder_ns: 15_000_000,
            rate_bits: 0,
            queue_ns: 100_000_000,
        }
    }
}

impl Faults {
    /// Sets what the command line calls `key`.
    ///
    /// # Errors
    /// No such key, or no number, or out of range.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let number: f64 = value.parse().map_err(|_| format!("{key}: {value:?} is no number"))?;
        let (least, most) = match key {
            "loss" | "dup" | "reorder" => (0.0, 100.0),
            "burst" => (1.0, 1e6),
            _ => (0.0, 1e6),
        };
        if !(least..=most).contains(&number) {
            return Err(format!("{key}: {value} is not within {least} and {most}"));
        }
        let ms = (number * 1e6) as u64;
        match key {
            "delay-ms" => self.delay_ns = ms,
            "jitter-ms" => self.jitter_ns = ms,
            "loss" => self.loss = number,
            "burst" => self.burst = number,
            "dup" => self.dup = number,
            "reorder" => self.reorder = number,
            "reorder-ms" => self.reorder_ns = ms,
            "rate-mbit" => self.rate_bits = (number * 1e6) as u64,
            "queue-ms" => self.queue_ns = ms,
            _ => return Err(format!("there is no {key:?}")),
        }
        Ok(())
    }
}

/// What happened on a line since it was made or last reset.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    /// Datagrams that came to the line.
    pub packets: u64,
    /// Their bytes with headers.
    pub wire_bytes: u64,
    /// Lost on the long way.
    pub lost: u64,
    /// Dropped in front of the narrow place.
    pub tail_dropped: u64,
    /// Arrived a second time.
    pub doubled: u64,
    /// Came out, copies included.
    pub arrived: u64,
    /// How long the queue was at each probe, µs.
    pub queue_us: Vec<u32>,
}

impl Counters {
    /// For the line that `linksim` prints.
    pub fn json(&self) -> Value {
        let mut queue = self.queue_us.clone();
        queue.sort_unstable();
        let mean = queue.iter().map(|us| f64::from(*us)).sum::<f64>() / queue.len().max(1) as f64;
        let p99 = queue.get(queue.len() * 99 / 100).copied().unwrap_or(0);
        json!({
            "packets": self.packets, "wire_bytes": self.wire_bytes, "lost": self.lost,
            "tail_dropped": self.tail_dropped, "doubled": self.doubled, "arrived": self.arrived,
            "queue_mean_ms": mean / 1e3, "queue_p99_ms": f64::from(p99) / 1e3,
        })
    }
}

/// A datagram under way: by time due, then by order of arrival here.
type UnderWay = Reverse<(u64, u64, usize, Vec<u8>)>;

/// One direction.
#[derive(Debug)]
pub struct Line {
    /// What is wrong from here on; what is under way keeps its fate.
    pub faults: Faults,
    /// What happened.
    pub counters: Counters,
    dice: Dice,
    /// Gilbert's state: true while datagrams fall.
    falling: bool,
    /// When the narrow place is through with all it has taken, ns.
    free_at: u64,
    /// The latest arrival of one that was not held back, ns.
    in_order: u64,
    under_way: BinaryHeap<UnderWay>,
    pushed: u64,
    next_probe: Option<u64>,
}

impl Line {
    /// A line whose every decision follows from `seed`.
    pub fn new(faults: Faults, seed: u64) -> Line {
        Line {
            faults,
            counters: Counters::default(),
            dice: Dice::new(seed),
            falling: false,
            free_at: 0,
            in_order: 0,
            under_way: BinaryHeap::new(),
            pushed: 0,
            next_probe: None,
        }
    }

    /// Takes a datagram; `flow` comes out again with it.
    pub fn push(&mut self, now: u64, flow: usize, bytes: &[u8]) {
        self.probe(now);
        self.counters.packets += 1;
        let wire = (bytes.len() + HEADERS) as u64;
        self.counters.wire_bytes += wire;
        // Always the same throws, so that one fault does not change what another one's dice fall on.
        let (loss, dup, reorder, jitter) = (self.dice.unit(), self.dice.unit(), self.dice.unit(), self.dice.unit());
        let Some(through) = self.squeeze(now, wire) else {
            self.counters.tail_dropped += 1;
            return;
        };
        if self.falls(loss) {
            self.counters.lost += 1;
            return;
        }
        let mut due = through + self.faults.delay_ns;
        if reorder * 100.0 < self.faults.reorder {
            due += self.faults.reorder_ns;
        } else {
            due = (due + (jitter * self.faults.jitter_ns as f64) as u64).max(self.in_order);
            self.in_order = due;
        }
        if dup * 100.0 < self.faults.dup {
            self.counters.doubled += 1;
            self.schedule(due, flow, bytes);
        }
        self.schedule(due, flow, bytes);
    }

    /// The next datagram that is due.
    pub fn poll(&mut self, now: u64) -> Option<(usize, Vec<u8>)> {
        if self.poll_timeout()? > now {
            return None;
        }
        let Reverse((_, _, flow, bytes)) = self.under_way.pop()?;
        self.counters.arrived += 1;
        Some((flow, bytes))
    }

    /// When the next datagram is due, ns; `None` when nothing is under way.
    pub fn poll_timeout(&self) -> Option<u64> {
        self.under_way.peek().map(|Reverse((due, ..))| *due)
    }

    /// Starts counting afresh.
    pub fn reset(&mut self, now: u64) {
        self.counters = Counters::default();
        self.next_probe = Some(now + PROBE_EVERY_NS);
    }

    /// Looks at the queue at every probe's time up to `now`: what one that arrived then would wait.
    pub fn probe(&mut self, now: u64) {
        let mut at = self.next_probe.unwrap_or(now);
        while at <= now {
            self.counters.queue_us.push((self.free_at.saturating_sub(at) / 1_000) as u32);
            at += PROBE_EVERY_NS;
        }
        self.next_probe = Some(at);
    }

    /// When the narrow place is through with a datagram; `None` when its queue is full.
    fn squeeze(&mut self, now: u64, wire: u64) -> Option<u64> {
        if self.under_way.len() >= MOST_UNDER_WAY {
            return None;
        }
        if self.faults.rate_bits == 0 {
            return Some(now);
        }
        let starts = self.free_at.max(now);
        if starts - now > self.faults.queue_ns {
            return None;
        }
        self.free_at = starts + wire * 8_000_000_000 / self.faults.rate_bits;
        Some(self.free_at)
    }

    /// Is this one lost? `chance` is its throw, 0 up to 1. Gilbert's two states with the mean loss and the mean run
    /// that were asked for.
    fn falls(&mut self, chance: f64) -> bool {
        let (loss, burst) = (self.faults.loss / 100.0, self.faults.burst);
        let limit = if burst <= 1.0 || loss >= 1.0 {
            loss
        } else if self.falling {
            1.0 - 1.0 / burst
        } else {
            loss / (burst * (1.0 - loss))
        };
        self.falling = chance < limit;
        self.falling
    }

    fn schedule(&mut self, due: u64, flow: usize, bytes: &[u8]) {
        self.under_way.push(Reverse((due, self.pushed, flow, bytes.to_vec())));
        self.pushed += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Pushes `count` datagrams of `size` bytes, one each `every` ns; (number, delay in ns) in order of arrival.
    fn arrivals(faults: &Faults, count: u64, every: u64, size: usize) -> (Vec<(u64, u64)>, Counters) {
        let (mut line, mut out) = (Line::new(faults.clone(), 7), Vec::new());
        for n in 0..=count {
            let now = if n == count { u64::MAX / 2 } else { n * every };
            while let Some(due) = line.poll_timeout().filter(|due| *due <= now) {
                assert!(due == 0 || line.poll(due - 1).is_none(), "nothing comes early");
                let (number, bytes) = line.poll(due).expect("what is due comes out");
                assert_eq!(bytes.len(), size);
                out.push((number as u64, due - number as u64 * every));
            }
            if n < count {
                line.push(now, n as usize, &vec![0; size]);
            }
        }
        assert_eq!(line.poll_timeout(), None);
        (out, line.counters)
    }

    #[test]
    fn a_line_without_faults_passes_all_at_once() {
        let (out, counters) = arrivals(&Faults::default(), 100, MS, 10);
        assert_eq!(out, (0..100).map(|n| (n, 0)).collect::<Vec<_>>());
        assert_eq!((counters.packets, counters.arrived, counters.wire_bytes), (100, 100, 3_800));
    }

    #[test]
    fn delay_and_jitter_stay_within_their_bounds_and_keep_the_order() {
        let faults = Faults { delay_ns: 25 * MS, jitter_ns: 10 * MS, ..Faults::default() };
        let (out, _) = arrivals(&faults, 10_000, MS / 4, 10);
        assert!(out.iter().all(|(_, delay)| (25 * MS..=35 * MS).contains(delay)));
        assert!(out.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(out.iter().any(|(_, delay)| *delay > 34 * MS));
    }

    #[test]
    fn as_many_are_lost_as_asked_for_in_runs_of_the_length_asked_for() {
        for (loss, burst, run) in [(1.0, 1.0, 1.01), (10.0, 1.0, 1.11), (5.0, 3.0, 3.0), (20.0, 5.0, 5.0)] {
            let (out, counters) = arrivals(&Faults { loss, burst, ..Faults::default() }, 200_000, MS, 10);
            let measured = counters.lost as f64 / 2_000.0;
            assert!((measured - loss).abs() < 0.07 * loss, "asked {loss} in runs of {burst}, lost {measured}");
            assert_eq!(counters.arrived + counters.lost, 200_000);
            let runs = out.windows(2).filter(|pair| pair[1].0 - pair[0].0 > 1).count();
            let mean = counters.lost as f64 / runs as f64;
            assert!((mean - run).abs() < 0.05 * run, "asked for runs of {burst}, got {mean}");
        }
    }

    #[test]
    fn the_same_seed_loses_the_same_ones_whatever_else_is_wrong() {
        let lossy = Faults { loss: 10.0, ..Faults::default() };
        let all = Faults { dup: 30.0, jitter_ns: 5 * MS, delay_ns: 9 * MS, ..lossy.clone() };
        let which = |faults| arrivals(faults, 2_000, MS, 10).0.iter().map(|(n, _)| *n).collect::<Vec<_>>();
        let mut with_all = which(&all);
        with_all.dedup();
        assert_eq!(which(&lossy), with_all);
    }

    #[test]
    fn the_narrow_place_lets_its_rate_pass_headers_counted_and_drops_the_tail() {
        // 1,250 bytes with headers are a millisecond at 10 Mbit/s; twice as much comes.
        let faults = Faults { rate_bits: 10_000_000, queue_ns: 100 * MS, ..Faults::default() };
        let (out, counters) = arrivals(&faults, 4_000, MS / 2, 1_250 - HEADERS);
        assert_eq!(counters.arrived + counters.tail_dropped, 4_000);
        // In 2,000 ms pass 2,000, and 100 more that wait at the end.
        assert!((2_095..=2_105).contains(&counters.arrived), "{}", counters.arrived);
        assert!(out.iter().all(|(_, delay)| (MS..=102 * MS).contains(delay)));
        let arrived: Vec<u64> = out.iter().map(|(n, delay)| n * MS / 2 + delay).collect();
        assert!(arrived.windows(2).all(|pair| pair[1] - pair[0] == MS), "one a millisecond, never faster");
    }

    #[test]
    fn the_probe_sees_the_queue_and_sees_it_gone() {
        let mut line = Line::new(Faults { rate_bits: 10_000_000, ..Faults::default() }, 7);
        line.reset(0);
        (0..50).for_each(|_| line.push(0, 0, &[0; 1_250 - HEADERS]));
        line.probe(100 * MS);
        let probes = &line.counters.queue_us;
        assert_eq!(probes.len(), 20);
        assert_eq!(probes[..3], [45_000, 40_000, 35_000]);
        assert_eq!(probes[10..], [0; 10]);
        let json = line.counters.json();
        assert_eq!(json["queue_mean_ms"], (5..=45).step_by(5).sum::<i32>() as f64 / 20.0);
        assert_eq!(json["queue_p99_ms"], 45.0);
    }

    #[test]
    fn so_many_come_twice_and_so_many_are_overtaken() {
        let (out, counters) = arrivals(&Faults { dup: 20.0, ..Faults::default() }, 50_000, MS, 10);
        assert!((9_500..=10_500).contains(&counters.doubled), "{}", counters.doubled);
        assert_eq!(out.len() as u64, 50_000 + counters.doubled);
        let (out, _) = arrivals(&Faults { reorder: 10.0, ..Faults::default() }, 50_000, MS, 10);
        let held = out.iter().filter(|(_, delay)| *delay == 15 * MS).count();
        assert!((4_500..=5_500).contains(&held), "{held}");
        assert!(out.iter().all(|(_, delay)| *delay == 0 || *delay == 15 * MS));
    }

    #[test]
    fn what_cannot_be_set_says_so() {
        let mut faults = Faults::default();
        assert_eq!(faults.set("rate-mbit", "2.5"), Ok(()));
        assert_eq!(faults.rate_bits, 2_500_000);
        for (key, value) in [("loss", "101"), ("loss", "-1"), ("burst", "0"), ("delay-ms", "x"), ("speed", "1")] {
            assert!(faults.set(key, value).unwrap_err().contains(key), "{key} {value}");
        }
    }
}
