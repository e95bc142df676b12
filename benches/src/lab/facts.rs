//! On what machine, and of what state of the library: without it no number means anything.

use serde_json::{Value, json};
use std::fs;
use std::process::Command;

/// All of it, for the results file and the head of the tables.
pub fn facts() -> Value {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|pair| pair.1));
    json!({
        "date": said_by("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
        "commit": said_by("git", &["describe", "--always", "--dirty", "--abbrev=12"]),
        "cpu": model.unwrap_or("unknown"),
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "kernel": read("/proc/sys/kernel/osrelease"),
        "rmem_max": read("/proc/sys/net/core/rmem_max"),
        "wmem_max": read("/proc/sys/net/core/wmem_max"),
        "load_before": read("/proc/loadavg").split(' ').next().unwrap_or_default(),
        "rustc": said_by("rustc", &["--version"]),
    })
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn said_by(command: &str, args: &[&str]) -> String {
    let output = Command::new(command).args(args).output().ok().filter(|output| output.status.success());
    output.map_or("unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
