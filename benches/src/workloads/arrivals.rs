//! What a receiver of numbered messages keeps: how late each was, and whether each came once and in order.

use super::end::Got;
use crate::clock;
use serde_json::{Value, json};

/// Arrivals of one direction.
#[derive(Debug, Default)]
pub struct Arrivals {
    delays_us: Vec<u64>,
    next: u32,
    repeated: u64,
    out_of_order: u64,
    last_at: Option<u64>,
    longest_gap_ns: u64,
}

impl Arrivals {
    /// Takes a message that arrived just now.
    pub fn handle(&mut self, got: Got) {
        self.handle_at(clock::now_ns(), got.stamp.at, got.stamp.number);
    }

    fn handle_at(&mut self, now: u64, sent: u64, number: u32) {
        if number < self.next {
            self.repeated += 1;
            return;
        }
        self.out_of_order += u64::from(number > self.next);
        self.next = number + 1;
        self.delays_us.push(now.saturating_sub(sent) / 1_000);
        if let Some(last) = self.last_at.replace(now) {
            self.longest_gap_ns = self.longest_gap_ns.max(now - last);
        }
    }

    /// How many came.
    pub fn count(&self) -> u64 {
        self.delays_us.len() as u64
    }

    /// All of it, for the node's result. `sent` is how many were sent to here; while some of them are missing, the
    /// gap before them goes on.
    pub fn json(&self, sent: u64) -> Value {
        self.json_at(clock::now_ns(), sent)
    }

    fn json_at(&self, now: u64, sent: u64) -> Value {
        let last = self.last_at.filter(|_| self.count() < sent);
        let longest = self.longest_gap_ns.max(last.map_or(0, |last| now.saturating_sub(last)));
        json!({
            "delays_us": self.delays_us, "sent": sent, "delivered": self.count(), "repeated": self.repeated,
            "out_of_order": self.out_of_order, "longest_gap_ms": longest as f64 / 1e6,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_gaps_and_disorder_are_seen() {
        let mut arrivals = Arrivals::default();
        for (at_ms, number) in [(30, 0), (40, 1), (41, 1), (90, 3), (91, 2), (95, 4)] {
            arrivals.handle_at(at_ms * 1_000_000, u64::from(number) * 1_000_000, number);
        }
        assert_eq!(arrivals.json_at(995_000_000, 5)["longest_gap_ms"], 900.0, "one is missing to the end");
        let json = arrivals.json_at(995_000_000, 4);
        assert_eq!(json["delays_us"], json!([30_000, 39_000, 87_000, 91_000]));
        assert_eq!(json["repeated"], 2, "one came again, and one came after a later one");
        assert_eq!(json["out_of_order"], 1);
        assert_eq!(json["longest_gap_ms"], 50.0);
        assert_eq!((json["sent"].as_u64(), json["delivered"].as_u64()), (Some(4), Some(4)));
    }
}
