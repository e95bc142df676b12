//! What the raw results of two ends and a line say, in the measures of the tables.

use super::plan::{Case, DELAY_MS, NARROW_MBIT};
use serde_json::Value;
use std::collections::BTreeMap;

/// Where the curves are drawn.
pub const PERCENTILES: [f64; 14] =
    [10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 97.0, 98.0, 99.0, 99.3, 99.5, 99.7, 99.9, 99.97];

/// The raw results of a run.
#[derive(Clone, Debug)]
pub struct Raw<'a> {
    /// What was run.
    pub case: &'a Case,
    /// The client's line of JSON.
    pub client: Value,
    /// The server's.
    pub server: Value,
    /// The line's; null without one.
    pub line: Value,
}

/// Measures, and the curve of delays where there is one.
pub fn measures(raw: &Raw<'_>) -> (BTreeMap<String, f64>, Vec<f64>) {
    let mut out = BTreeMap::new();
    let (client, server) = (&raw.client, &raw.server);
    let mut curve = Vec::new();
    let mut put = |key: &str, value: f64| {
        out.insert(key.to_owned(), value);
    };
    let cpu = (number(client, "cpu_ns"), number(server, "cpu_ns"));
    match raw.case.workload {
        "w1" => {
            let delivered = number(server, "delivered");
            put("messages_per_s", delivered / number(server, "seconds").max(1e-9));
            put("loss_percent", 100.0 - share(delivered, number(client, "sent")));
            put("cpu_ns_per_message", (cpu.0 + cpu.1) / delivered.max(1.0));
            put("cpu_ns_sending", cpu.0 / delivered.max(1.0));
            put("cpu_ns_receiving", cpu.1 / delivered.max(1.0));
        }
        "w2" => {
            let bytes = number(server, "bytes");
            put("mb_per_s", bytes / 1e6 / number(server, "seconds").max(1e-9));
            put("cpu_s_per_gb", (cpu.0 + cpu.1) / bytes.max(1.0));
        }
        "w3" => {
            let trips = sorted([client], "trips_us");
            for (key, percentile) in [("p50_us", 50.0), ("p99_us", 99.0), ("p999_us", 99.9)] {
                put(key, quantile(&trips, percentile));
            }
            put("cpu_us_per_round", (cpu.0 + cpu.1) / 1e3 / number(client, "delivered").max(1.0));
        }
        "w4" | "w9" => {
            let delays = sorted([client, server], "delays_us");
            curve = PERCENTILES.iter().map(|percentile| quantile(&delays, *percentile) / 1e3).collect();
            let points = [("p50_ms", 50.0), ("p95_ms", 95.0), ("p99_ms", 99.0), ("p999_ms", 99.9), ("max_ms", 100.0)];
            for (key, percentile) in points {
                put(key, quantile(&delays, percentile) / 1e3);
            }
            let both = |key| number(client, key) + number(server, key);
            let delivered = both("delivered");
            put("delivered_percent", share(delivered, both("sent")));
            put("lost", both("sent") - delivered);
            put("repeated", both("repeated"));
            put("out_of_order", both("out_of_order"));
            put("longest_gap_ms", number(client, "longest_gap_ms").max(number(server, "longest_gap_ms")));
            let wire = |key| number(&raw.line["up"], key) + number(&raw.line["down"], key);
            put("wire_bytes_per_message", wire("wire_bytes") / delivered.max(1.0));
            put("packets_per_message", wire("packets") / delivered.max(1.0));
            put("line_loss_percent", share(wire("lost"), wire("packets")));
        }
        "w5" | "w7" => {
            let up = &raw.line["up"];
            let bits = number(server, "bulk_bits_per_second");
            if raw.case.workload == "w5" {
                let game = sorted([server], "delays_us");
                put("game_p50_ms", quantile(&game, 50.0) / 1e3);
                put("game_p99_ms", quantile(&game, 99.0) / 1e3);
                put("game_max_ms", quantile(&game, 100.0) / 1e3);
                put("back_p99_ms", quantile(&sorted([client], "delays_us"), 99.0) / 1e3);
                put("game_delivered_percent", share(number(server, "delivered"), number(server, "sent")));
            }
            put("goodput_percent", bits / (NARROW_MBIT * 1e4));
            put("queue_mean_ms", number(up, "queue_mean_ms"));
            put("queue_p99_ms", number(up, "queue_p99_ms"));
            put("tail_drop_percent", share(number(up, "tail_dropped"), number(up, "packets")));
            put("line_loss_percent", share(number(up, "lost"), number(up, "packets")));
            put("bulk_messages", number(server, "bulk_messages"));
        }
        "w6" => {
            let percent = number(server, "cpu_percent");
            put("cpu_percent", percent);
            put("sessions_per_core", raw.case.amount.sessions as f64 * 100.0 / percent.max(1e-9));
            put("kib_per_session", number(server, "kib_per_session"));
            put("up_percent", share(number(server, "delivered"), number(client, "sent")));
            put("down_percent", share(number(client, "delivered"), number(server, "sent")));
            put("connect_s", number(client, "connect_s"));
        }
        "w8" => {
            let connects = sorted([server], "connects_ms");
            put("connect_ms", quantile(&connects, 50.0));
            put("round_trips", quantile(&connects, 50.0) / (2.0 * DELAY_MS));
            put("worst_ms", quantile(&connects, 100.0));
            put("connects", connects.len() as f64);
        }
        other => unreachable!("{other} is in no plan"),
    }
    put("server_peak_mib", number(server, "memory_peak_kib") / 1024.0);
    (out, curve)
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or(0.0)
}

fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part * 100.0 / whole } else { 0.0 }
}

/// The numbers of both ends together, sorted.
fn sorted<const N: usize>(ends: [&Value; N], key: &str) -> Vec<f64> {
    let lists = ends.iter().filter_map(|end| end[key].as_array());
    let mut all: Vec<f64> = lists.flatten().filter_map(Value::as_f64).collect();
    all.sort_by(f64::total_cmp);
    all
}

/// The smallest number that so many percent do not exceed; 0 of none.
fn quantile(sorted: &[f64], percentile: f64) -> f64 {
    // A hair less, so that 99.9 % of 1,000 is not 999.000001 of them.
    let rank = (percentile * sorted.len() as f64 / 100.0 - 1e-6).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::super::plan::{Size, cases};
    use super::*;
    use serde_json::json;

    #[test]
    fn quantiles_are_the_nearest_ranks() {
        let numbers: Vec<f64> = (1..=1_000).map(f64::from).collect();
        let of = |percentile| quantile(&numbers, percentile);
        assert_eq!([of(50.0), of(99.0), of(99.9), of(100.0), of(0.0)], [500.0, 990.0, 999.0, 1_000.0, 1.0]);
        assert_eq!(quantile(&[], 50.0), 0.0);
    }

    #[test]
    fn the_measures_of_a_game_tick_pool_both_directions_and_count_both_ways() {
        let cases = cases(Size::Full, 1);
        let case = cases.iter().find(|case| case.workload == "w4").expect("it is planned");
        let way = json!({ "packets": 4, "wire_bytes": 400, "lost": 1 });
        let raw = Raw {
            case,
            client: json!({ "delays_us": [25_000, 27_000], "sent": 2, "delivered": 2, "longest_gap_ms": 5.0 }),
            server: json!({ "delays_us": [26_000], "sent": 2, "delivered": 1, "longest_gap_ms": 9.0 }),
            line: json!({ "up": way, "down": way }),
        };
        let (measures, curve) = measures(&raw);
        assert_eq!(measures["p50_ms"], 26.0);
        assert_eq!(measures["max_ms"], 27.0);
        assert_eq!((measures["delivered_percent"], measures["lost"]), (75.0, 1.0));
        assert_eq!(measures["longest_gap_ms"], 9.0);
        assert_eq!(measures["wire_bytes_per_message"], 800.0 / 3.0);
        assert_eq!(measures["line_loss_percent"], 25.0);
        assert_eq!((curve.len(), curve[2]), (PERCENTILES.len(), 26.0));
    }
}
