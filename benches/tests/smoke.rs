//! A second of every workload with every transport that is built in, and what `bench` leaves behind: not whether it is
//! fast, but whether it measures.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// A folder of its own for a test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    folder
}

fn bench(out: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    command.arg("--out").arg(out).args(args).stdin(Stdio::null());
    // The one that was built with this test, not one that an older build left beside the programs.
    let test = std::env::current_exe().expect("this test is a file");
    command.env("SNM_BENCH_LIBRARY", test.with_file_name("libsteamnetmsg.so"));
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Nodes that run for so many seconds, and lines with such a seed: both numbers that nobody else would choose.
fn alive(seconds: &str, seed: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").expect("there is a /proc").flatten();
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    let (node, linksim) = (format!("--seconds {seconds} "), format!("--seed {seed}"));
    let ours = |line: &String| {
        (line.contains("/node ") && line.contains(&node)) || (line.contains("/linksim ") && line.contains(&linksim))
    };
    lines.filter(ours).collect()
}

#[test]
fn every_workload_delivers_with_every_transport_and_is_measured() {
    let out = folder("every");
    let output =
        bench(&out, &["--size", "smoke", "--seconds", "1.0625", "--seed", "424240"]).output().expect("bench runs");
    assert!(output.status.success(), "{}", text(&output));
    let results = fs::read_to_string(out.join("results.json")).expect("there are results");
    let results: Value = serde_json::from_str(&results).expect("they are JSON");
    let runs = results["runs"].as_array().expect("there are runs");
    let of = |workload: &str, transport: &str| {
        let run = runs.iter().find(|run| run["workload"] == workload && run["transport"] == transport);
        let measures = run.unwrap_or_else(|| panic!("{transport} did {workload}"))["measures"].clone();
        move |key: &str| measures[key].as_f64().unwrap_or_else(|| panic!("{key} of {measures}"))
    };
    for transport in ["ours", "ours-tuned"] {
        assert!(of("w1", transport)("messages_per_s") > 1_000.0);
        assert!(of("w2", transport)("mb_per_s") > 0.1);
        let pings = of("w3", transport);
        assert!(pings("p50_us") > 1.0 && pings("p50_us") <= pings("p99_us"));
        let ticks = of("w4", transport);
        assert_eq!(ticks("delivered_percent"), 100.0);
        assert_eq!(ticks("repeated") + ticks("out_of_order"), 0.0);
        assert!(ticks("p50_ms") >= 25.0, "no message outruns its line: {}", ticks("p50_ms"));
        assert!((0.5..15.0).contains(&ticks("line_loss_percent")), "{}", ticks("line_loss_percent"));
        assert!(ticks("wire_bytes_per_message") > 128.0);
        let neighbours = of("w5", transport);
        assert!(neighbours("game_delivered_percent") > 0.0 && neighbours("game_p50_ms") >= 25.0);
        assert!(neighbours("bulk_messages") > 0.0 && neighbours("goodput_percent") < 130.0);
        let many = of("w6", transport);
        assert!(many("up_percent") > 50.0 && many("down_percent") > 50.0 && many("cpu_percent") > 0.0);
        assert!(of("w7", transport)("bulk_messages") > 0.0);
        let connects = of("w8", transport);
        assert!(connects("connects") == 2.0 && connects("round_trips") >= 0.5);
        let moved = of("w9", transport);
        assert_eq!(moved("lost") + moved("repeated") + moved("out_of_order"), 0.0);
    }
    for transport in ["udp", "tcp"] {
        assert!(of("w1", transport)("messages_per_s") > 1_000.0);
        assert!(of("w3", transport)("p50_us") > 1.0);
    }
    let tables = fs::read_to_string(out.join("tables.md")).expect("there are tables");
    for workload in 1..=9 {
        assert!(tables.contains(&format!("## W{workload} ")), "W{workload} in {tables}");
    }
    for picture in ["latency.svg", "neighbours.svg", "messages.svg", "sessions.svg"] {
        let picture = fs::read_to_string(out.join(picture)).expect("there is a picture");
        assert!(picture.contains(">steamnetmsg"), "{picture}");
    }
    assert_eq!(alive("1.0625", "42424"), [""; 0]);
}

#[test]
fn nothing_outlives_an_interrupted_bench() {
    let (out, seconds) = (folder("interrupted"), "123.25");
    let left = || alive(seconds, "51515");
    for signal in [Signal::INT, Signal::KILL] {
        let args = ["--only", "w4", "--transports", "ours", "--seconds", seconds, "--seed", "515150"];
        let mut child = bench(&out, &args).stdout(Stdio::null()).spawn().expect("bench runs");
        wait_until(&mut child, || left().len() >= 3);
        kill_process(Pid::from_child(&child), signal).expect("it runs");
        child.wait().expect("it was started");
        let mut patience = 100;
        while !left().is_empty() && patience > 0 {
            std::thread::sleep(Duration::from_millis(20));
            patience -= 1;
        }
        assert_eq!(left(), [""; 0], "after {signal:?}");
    }
}

fn wait_until(child: &mut Child, done: impl Fn() -> bool) {
    for _ in 0..500 {
        if done() {
            return;
        }
        assert!(matches!(child.try_wait(), Ok(None)), "bench ended by itself");
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("bench started nothing in ten seconds");
}

#[test]
fn what_is_not_there_is_said_with_what_to_do() {
    let out = folder("refused");
    let cases: [(&[&str], &str); 4] = [
        (&["--transports", "carrier-pigeon"], "carrier-pigeon is not built in; there are ours"),
        (&["--only", "w99"], "there is no workload \"w99\""),
        (&["--size", "huge"], "--size \"huge\" makes no sense"),
        (&["--frobnicate", "1"], "there is no option --frobnicate"),
    ];
    for (args, says) in cases {
        let output = bench(&out, args).output().expect("bench runs");
        assert!(!output.status.success() && text(&output).contains(says), "{args:?}: {}", text(&output));
    }
    let without = bench(&out, &["--size", "smoke", "--only", "w3", "--transports", "ours"])
        .env("SNM_BENCH_LIBRARY", "/nowhere/libsteamnetmsg.so")
        .output()
        .expect("bench runs");
    assert!(!without.status.success() && text(&without).contains("/nowhere/libsteamnetmsg.so"), "{}", text(&without));
}
