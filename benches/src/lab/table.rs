//! The tables: a row for each transport, median (least–most) over the repeats, and how it compares with the best of
//! the other libraries.

use super::{Run, distinct, over_repeats};
use serde_json::Value;
use std::fmt::Write;

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// The larger number.
    More,
    /// The smaller one.
    Less,
    /// Neither; it explains the others.
    Neither,
}
use Better::{Less, More, Neither};

/// A column of a table.
pub struct Column {
    /// The measure's name.
    pub key: &'static str,
    /// What stands above it.
    pub title: &'static str,
    /// Which way is better.
    pub better: Better,
    /// The number is shown divided by this.
    pub unit: f64,
    /// Digits after the point.
    pub digits: usize,
}

const fn column(key: &'static str, title: &'static str, better: Better, unit: f64, digits: usize) -> Column {
    Column { key, title, better, unit, digits }
}

/// A workload's title and its columns; the first column is what it is about.
pub fn layout(workload: &str) -> Option<(&'static str, &'static [Column])> {
    Some(match workload {
        "w1" => (
            "W1 flood: 64-byte unreliable messages, as fast as they are taken",
            &const {
                [
                    column("messages_per_s", "k messages/s", More, 1e3, 0),
                    column("loss_percent", "lost %", Less, 1.0, 2),
                    column("cpu_ns_per_message", "CPU ns/message, both", Less, 1.0, 0),
                    column("cpu_ns_sending", "sending", Less, 1.0, 0),
                    column("cpu_ns_receiving", "receiving", Less, 1.0, 0),
                    column("server_peak_mib", "server peak MiB", Less, 1.0, 1),
                ]
            },
        ),
        "w2" => (
            "W2 bulk: a file in 64 KiB reliable messages",
            &const {
                [
                    column("mb_per_s", "MB/s", More, 1.0, 0),
                    column("cpu_s_per_gb", "CPU s/GB, both", Less, 1.0, 2),
                    column("server_peak_mib", "server peak MiB", Less, 1.0, 1),
                ]
            },
        ),
        "w3" => (
            "W3 ping-pong: 64-byte reliable, one at a time",
            &const {
                [
                    column("p50_us", "p50 µs", Less, 1.0, 0),
                    column("p99_us", "p99 µs", Less, 1.0, 0),
                    column("p999_us", "p99.9 µs", Less, 1.0, 0),
                    column("cpu_us_per_round", "CPU µs/round, both", Less, 1.0, 1),
                ]
            },
        ),
        "w4" => (
            "W4 game tick: 100-byte reliable messages at 60 Hz both ways, 25 ms one way",
            &const {
                [
                    column("p99_ms", "p99 ms", Less, 1.0, 1),
                    column("p50_ms", "p50 ms", Less, 1.0, 1),
                    column("p95_ms", "p95 ms", Less, 1.0, 1),
                    column("p999_ms", "p99.9 ms", Less, 1.0, 1),
                    column("max_ms", "most ms", Less, 1.0, 0),
                    column("wire_bytes_per_message", "wire bytes/message", Less, 1.0, 0),
                    column("packets_per_message", "packets/message", Less, 1.0, 2),
                    column("delivered_percent", "delivered %", More, 1.0, 2),
                    column("line_loss_percent", "line lost %", Neither, 1.0, 2),
                ]
            },
        ),
        "w5" => (
            "W5 neighbours: a game's messages beside a download, 10 Mbit/s, 25 ms one way, 100 ms drop-tail",
            &const {
                [
                    column("game_p99_ms", "game p99 ms", Less, 1.0, 1),
                    column("game_p50_ms", "game p50 ms", Less, 1.0, 1),
                    column("goodput_percent", "download, % of the line", More, 1.0, 1),
                    column("back_p99_ms", "way back p99 ms", Less, 1.0, 1),
                    column("queue_mean_ms", "line's queue mean ms", Less, 1.0, 1),
                    column("queue_p99_ms", "line's queue p99 ms", Less, 1.0, 0),
                    column("tail_drop_percent", "tail-dropped %", Less, 1.0, 1),
                    column("game_delivered_percent", "game delivered %", More, 1.0, 2),
                ]
            },
        ),
        "w6" => (
            "W6 many: one server, many sessions, 100-byte unreliable messages both ways",
            &const {
                [
                    column("cpu_percent", "server CPU, % of a core", Less, 1.0, 1),
                    column("sessions_per_core", "sessions per core", More, 1.0, 0),
                    column("kib_per_session", "KiB/session", Less, 1.0, 1),
                    column("up_percent", "delivered up %", More, 1.0, 2),
                    column("down_percent", "delivered down %", More, 1.0, 2),
                    column("connect_s", "connect all s", Less, 1.0, 2),
                ]
            },
        ),
        "w7" => (
            "W7 lossy bulk: 10 Mbit/s, 25 ms one way, 100 ms drop-tail",
            &const {
                [
                    column("goodput_percent", "goodput, % of the line", More, 1.0, 1),
                    column("queue_mean_ms", "line's queue mean ms", Less, 1.0, 1),
                    column("queue_p99_ms", "line's queue p99 ms", Less, 1.0, 0),
                    column("tail_drop_percent", "tail-dropped %", Less, 1.0, 1),
                    column("line_loss_percent", "line lost %", Neither, 1.0, 2),
                ]
            },
        ),
        "w8" => (
            "W8 connect: from connect to the first message delivered, 25 ms one way",
            &const {
                [
                    column("round_trips", "round trips", Less, 1.0, 2),
                    column("connect_ms", "median ms", Less, 1.0, 1),
                    column("worst_ms", "worst ms", Less, 1.0, 1),
                    column("connects", "connects", Neither, 1.0, 0),
                ]
            },
        ),
        "w9" => (
            "W9 path change: the NAT forgets in the middle of 60 Hz reliable messages, 25 ms one way",
            &const {
                [
                    column("longest_gap_ms", "longest gap ms", Less, 1.0, 0),
                    column("p99_ms", "p99 ms", Less, 1.0, 1),
                    column("lost", "lost", Less, 1.0, 0),
                    column("repeated", "repeated", Less, 1.0, 0),
                    column("out_of_order", "out of order", Less, 1.0, 0),
                ]
            },
        ),
        _ => return None,
    })
}

/// Cases that are part of a workload and that this library cannot do yet.
const NOT_YET: &[(&str, &str)] = &[
    ("w8", "resumed, and introduced by signaling over a relay: not yet"),
    ("w9", "from a relay to the direct path: not yet"),
];

/// Marks to compare with, not libraries one would use instead.
const MARKS: [&str; 2] = ["udp", "tcp"];

/// What a transport is called in tables and pictures: its library, and how it is used if that is not the usual way.
pub fn title(transport: &str) -> String {
    let (library, how) = transport.split_once('-').map_or((transport, None), |(library, how)| (library, Some(how)));
    let library = match library {
        "ours" => "steamnetmsg",
        "gns" => "GameNetworkingSockets",
        "enet" => "ENet",
        "udp" => "plain UDP",
        "tcp" => "plain TCP",
        other => other,
    };
    match how {
        Some("0rtt") => format!("{library}, 0-RTT"),
        Some(how) => format!("{library}, {}", how.replace('-', ", ").replace("handset", "rate set")),
        None => library.to_owned(),
    }
}

/// The whole page.
pub fn page(facts: &Value, runs: &[Run]) -> String {
    let mut out = String::from("# Measurements\n\n");
    let fact = |key: &str| facts[key].as_str().map_or_else(|| facts[key].to_string(), str::to_owned);
    let _ = writeln!(
        out,
        "{} · {} cores · Linux {} · rmem_max {} · load before {} · commit {} · {}\n",
        fact("cpu"),
        fact("cores"),
        fact("kernel"),
        fact("rmem_max"),
        fact("load_before"),
        fact("commit"),
        fact("date")
    );
    out.push_str(
        "Median (least–most) over the repeats. \"× best other\" compares the first column with the best other \
         library's:\nabove 1 is better than it, whichever way is better. Plain UDP and TCP are marks, not rivals.\n",
    );
    for workload in distinct(runs, |run| &run.workload) {
        let Some((heading, columns)) = layout(workload) else { continue };
        let _ = write!(out, "\n## {heading}\n");
        let of_workload: Vec<Run> = runs.iter().filter(|run| run.workload == workload).cloned().collect();
        for variant in distinct(&of_workload, |run| &run.variant) {
            let _ = write!(out, "\n**{variant}**\n\n");
            out.push_str(&rows(&of_workload, workload, variant, columns));
        }
        for (_, text) in NOT_YET.iter().filter(|(of, _)| *of == workload) {
            let _ = write!(out, "\nsteamnetmsg, {text}.\n");
        }
    }
    out
}

fn rows(runs: &[Run], workload: &str, variant: &str, columns: &[Column]) -> String {
    let mut out = String::from("| library | encrypted |");
    for column in columns {
        let _ = write!(out, " {} |", column.title);
    }
    out.push_str(" × best other | runs |\n| --- | --- |");
    out.push_str(&" ---: |".repeat(columns.len() + 2));
    out.push('\n');
    let of_case: Vec<Run> = runs.iter().filter(|run| run.variant == variant).cloned().collect();
    let transports = distinct(&of_case, |run| &run.transport);
    let median = |transport: &str, key| over_repeats(&of_case, workload, variant, transport, key).map(|s| s.0);
    for transport in &transports {
        let all: Vec<&Run> = of_case.iter().filter(|run| run.transport == *transport).collect();
        let good: Vec<&&Run> = all.iter().filter(|run| run.failure.is_none()).collect();
        let Some(first) = good.first() else {
            let why = all.iter().find_map(|run| run.failure.as_deref()).unwrap_or_default();
            let _ = writeln!(out, "| {} | | failed: {} |", title(transport), why.replace(['\n', '|'], " "));
            continue;
        };
        let _ = write!(out, "| {} | {} |", title(transport), if first.encrypted { "yes" } else { "no" });
        for column in columns {
            let cell = over_repeats(&of_case, workload, variant, transport, column.key);
            let _ = write!(out, " {} |", cell.map_or("–".to_owned(), |spread| shown(spread, column)));
        }
        // The same library with other settings is no other library.
        let library = |name: &str| name.split('-').next().map(str::to_owned);
        let rivals = |other: &&&str| library(other) != library(transport) && !MARKS.contains(*other);
        let others = transports.iter().filter(rivals);
        let numbers: Vec<f64> = others.filter_map(|other| median(other, columns[0].key)).collect();
        let ratio = median(transport, columns[0].key).and_then(|own| compared(own, &numbers, columns[0].better));
        let failed = if good.len() < all.len() { format!(" of {}", all.len()) } else { String::new() };
        let _ = writeln!(out, " {} | {}{failed} |", ratio.map_or("–".to_owned(), |r| format!("{r:.2}")), good.len());
    }
    out
}

fn shown((median, least, most): (f64, f64, f64), column: &Column) -> String {
    let text = |number: f64| format!("{:.*}", column.digits, number / column.unit);
    let (median, least, most) = (text(median), text(least), text(most));
    if least == most { median } else { format!("{median} ({least}–{most})") }
}

/// How many times better than the best of the others; `None` without others.
fn compared(own: f64, others: &[f64], better: Better) -> Option<f64> {
    let best = others.iter().copied().reduce(if better == More { f64::max } else { f64::min })?;
    let ratio = if better == More { own / best } else { best / own };
    Some(ratio).filter(|ratio| ratio.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn run(transport: &str, repeat: u32, p99: f64) -> Run {
        Run {
            workload: "w4".to_owned(),
            variant: "5 % loss".to_owned(),
            transport: transport.to_owned(),
            repeat,
            library: String::new(),
            encrypted: transport == "ours",
            measures: BTreeMap::from([("p99_ms".to_owned(), p99)]),
            curve: Vec::new(),
            failure: None,
        }
    }

    #[test]
    fn a_row_has_median_spread_and_how_many_times_better_than_the_best_other() {
        let mut runs = vec![run("ours", 1, 40.0), run("ours", 2, 50.0), run("ours", 3, 60.0)];
        runs.extend([run("enet", 1, 200.0), run("quinn", 1, 125.0), run("tcp", 1, 1.0)]);
        let page = page(&serde_json::json!({}), &runs);
        assert!(page.contains("| steamnetmsg | yes | 50.0 (40.0–60.0) |"), "{page}");
        assert!(page.contains("| 2.50 | 3 |"), "{page}");
        assert!(page.contains("| ENet | no | 200.0 |") && page.contains("| 0.25 | 1 |"), "{page}");
    }

    #[test]
    fn a_failure_is_in_the_table_with_its_reason() {
        let mut broken = run("gns", 1, 0.0);
        broken.failure = Some("the client ended:\nno word why".to_owned());
        broken.measures.clear();
        let page = page(&serde_json::json!({}), &[run("ours", 1, 40.0), broken]);
        assert!(page.contains("| GameNetworkingSockets | | failed: the client ended: no word why |"), "{page}");
    }

    #[test]
    fn more_is_better_or_less_is() {
        assert_eq!(compared(10.0, &[4.0, 5.0], More), Some(2.0));
        assert_eq!(compared(10.0, &[40.0, 5.0], Less), Some(0.5));
        assert_eq!(compared(10.0, &[], More), None);
    }
}
