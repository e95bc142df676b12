//! One end of one workload with one transport, as a process of its own.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use steamnetmsg_bench::transport::{self, Purpose, Role};
use steamnetmsg_bench::workloads::end::End;
use steamnetmsg_bench::workloads::{self, Amount};
use steamnetmsg_bench::{clock, process};

const USAGE: &str = "node --transport NAME --workload w1..w9 (--listen ADDR | --connect ADDR)
  [--seconds S] [--sessions N] [--hz N] [--rounds N] [--mib N] [--core N]
A server prints \"ready ADDR\"; both ends print \"begun\", then their result as a line of JSON, and keep the transport
going until standard input ends.";

fn main() -> ExitCode {
    process::end_with_parent();
    match Options::read(std::env::args().skip(1)).map_err(|fault| format!("{fault}\n{USAGE}")).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("node: {fault}");
            ExitCode::FAILURE
        }
    }
}

struct Options(BTreeMap<String, String>);

impl Options {
    fn read(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = BTreeMap::new();
        while let Some(arg) = args.next() {
            let key = arg.strip_prefix("--").ok_or(format!("{arg:?} is no option"))?;
            options.insert(key.to_owned(), args.next().ok_or(format!("{arg} has no value"))?);
        }
        Ok(Options(options))
    }

    fn take<T: FromStr>(&mut self, key: &str) -> Result<Option<T>, String> {
        let Some(text) = self.0.remove(key) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| format!("--{key}: {text:?} makes no sense"))
    }
}

fn run(mut options: Options) -> Result<(), String> {
    let name: String = options.take("transport")?.ok_or("--transport is missing")?;
    let workload: String = options.take("workload")?.ok_or("--workload is missing")?;
    let workload = workloads::named(&workload).ok_or(format!("there is no workload {workload:?}"))?;
    let listen: Option<SocketAddr> = options.take("listen")?;
    let server: Option<SocketAddr> = options.take("connect")?;
    let role = match (listen, server) {
        (Some(listen), None) => Role::Server(listen),
        (None, Some(_)) => Role::Client,
        _ => return Err("either --listen or --connect".to_owned()),
    };
    let amount = Amount {
        seconds: options.take("seconds")?.unwrap_or(5.0),
        sessions: options.take("sessions")?.unwrap_or(1).max(1),
        hz: options.take("hz")?.unwrap_or(60.0),
        rounds: options.take("rounds")?.unwrap_or(20),
        mib: options.take("mib")?.unwrap_or(64).max(1),
    };
    if let Some(core) = options.take("core")?
        && !process::stay_on_core(core)
    {
        return Err(format!("there is no core {core}"));
    }
    if let Some(key) = options.0.keys().next() {
        return Err(format!("there is no option --{key}"));
    }
    process::raise_file_limit();
    process::sharpen_timers();
    let message_bytes = workload.message_bytes;
    let purpose = Purpose { workload: workload.name.to_owned(), message_bytes, sessions: amount.sessions };
    let open = Box::new(move || transport::open(&name, role, &purpose));
    let part = if server.is_some() { workload.client } else { workload.server };
    let work = || -> io::Result<()> {
        let mut end = End::new(server, message_bytes, open)?;
        if server.is_none() {
            println!("ready {}", end.transport.address()?);
        }
        let about = end.transport.about();
        let cpu = clock::cpu_ns();
        let mut result = part(&mut end, &amount)?;
        result["library"] = about.version.into();
        result["encrypted"] = about.encrypted.into();
        result["cpu_all_ns"] = (clock::cpu_ns() - cpu).into();
        result["memory_peak_kib"] = process::memory_kib("VmHWM").into();
        println!("{result}");
        stay(&mut end)
    };
    work().map_err(|error| error.to_string())
}

/// The other end may still need this one: keeps the transport going until standard input ends.
fn stay(end: &mut End) -> io::Result<()> {
    let leave = Arc::new(AtomicBool::new(false));
    let told = leave.clone();
    std::thread::spawn(move || {
        // Whatever it says, its end is what matters.
        let _ = io::stdin().read_to_end(&mut Vec::new());
        told.store(true, Ordering::Release);
    });
    while !leave.load(Ordering::Acquire) {
        // The other end may have gone by now, which is no fault.
        if end.poll(Duration::from_millis(5), |_| ()).is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(())
}
