//! A bad line on this machine: a UDP proxy with delay, jitter, loss, bursts, a narrow place, copies and disorder.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use steamnetmsg_bench::link::line::{Faults, Line};
use steamnetmsg_bench::link::proxy::Proxy;
use steamnetmsg_bench::process;

const USAGE: &str = "linksim --target ADDR [--listen ADDR] [--seed N] and what is wrong with the line, both ways or one
(--up-loss, --down-loss, ...), times in ms, shares in percent:
  --delay-ms --jitter-ms --loss --burst --dup --reorder --reorder-ms --rate-mbit --queue-ms
Prints \"ready ADDR\"; takes reset, rebind, set KEY VALUE, quit on standard input; ends with its counters as JSON.";

fn main() -> ExitCode {
    process::end_with_parent();
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("linksim: {fault}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn run(mut args: VecDeque<String>) -> Result<(), String> {
    let mut listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let (mut target, mut seed) = (None, 1);
    let (mut up, mut down) = (Faults::default(), Faults::default());
    while let Some(arg) = args.pop_front() {
        let key = arg.strip_prefix("--").ok_or(format!("{arg:?} is no option"))?;
        let value = args.pop_front().ok_or(format!("{arg} has no value"))?;
        match key {
            "listen" => listen = value.parse().map_err(|_| format!("{value:?} is no address"))?,
            "target" => target = Some(value.parse().map_err(|_| format!("{value:?} is no address"))?),
            "seed" => seed = value.parse().map_err(|_| format!("{value:?} is no seed"))?,
            _ => match key.split_once('-') {
                Some(("up", key)) => up.set(key, &value)?,
                Some(("down", key)) => down.set(key, &value)?,
                _ => up.set(key, &value).and_then(|()| down.set(key, &value))?,
            },
        }
    }
    let target = target.ok_or("--target is missing")?;
    process::raise_file_limit();
    process::sharpen_timers();
    // Each way has dice of its own.
    let (up, down) = (Line::new(up, 2 * seed), Line::new(down, 2 * seed + 1));
    let mut proxy = Proxy::new(listen, target, up, down).map_err(|error| format!("{listen}: {error}"))?;
    println!("ready {}", proxy.address().map_err(|error| error.to_string())?);
    proxy.run().map_err(|error| error.to_string())
}
