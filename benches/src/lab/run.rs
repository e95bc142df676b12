//! One run: a server, perhaps a bad line, a client, each a process of its own, started, awaited and ended.

use super::Run;
use super::measure::{Raw, measures};
use super::plan::Case;
use crate::clock;
use crate::process::PARENT;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// A node or a line is ready within this.
const START_WITHIN: Duration = Duration::from_secs(20);

/// Both ends have met within this; they themselves give up after a minute.
const MEET_WITHIN: Duration = Duration::from_secs(75);

/// Work without a set time is done within this.
const WORK_WITHIN: Duration = Duration::from_secs(120);

/// A process that was told to end does so within this, or is killed.
const END_WITHIN: Duration = Duration::from_secs(3);

/// A process of a run. Dropped, it is gone.
struct Process {
    what: &'static str,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

impl Process {
    fn start(what: &'static str, program: &Path, args: &[String]) -> Result<Process, String> {
        let mut command = Command::new(program);
        command.args(args).env(PARENT, std::process::id().to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let ((to_lines, lines), (to_errors, errors)) = (channel(), channel());
        // Each ends when the process closes that stream; nobody may be left to listen by then.
        std::thread::spawn(move || {
            let lines = stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines().map_while(Result::ok));
            lines.for_each(|line| drop(to_lines.send(line)));
        });
        std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.map(|mut stderr| stderr.read_to_string(&mut text));
            let _ = to_errors.send(text.trim().to_owned());
        });
        Ok(Process { what, child, stdin, lines, errors })
    }

    /// The next line it prints.
    fn line(&mut self, within: Duration) -> Result<String, String> {
        match self.lines.recv_timeout(within) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => Err(format!("the {} said nothing for {within:?}", self.what)),
            Err(RecvTimeoutError::Disconnected) => {
                let error = self.errors.recv_timeout(END_WITHIN).unwrap_or_default();
                Err(format!("the {} ended: {}", self.what, if error.is_empty() { "no word why" } else { &error }))
            }
        }
    }

    /// Waits for a line that starts so; what follows.
    fn expect(&mut self, start: &str, within: Duration) -> Result<String, String> {
        let line = self.line(within)?;
        line.strip_prefix(start).map(|rest| rest.trim().to_owned()).ok_or(format!("the {} said {line:?}", self.what))
    }

    fn result(&mut self, within: Duration) -> Result<Value, String> {
        let line = self.line(within)?;
        serde_json::from_str(&line).map_err(|error| format!("the {} said {line:?}: {error}", self.what))
    }

    fn command(&mut self, command: &str) {
        // If it is gone, the next line from it says so.
        let _ = self.stdin.as_mut().map(|stdin| writeln!(stdin, "{command}"));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stdin = None;
        let until = clock::now_ns() + END_WITHIN.as_nanos() as u64;
        while clock::now_ns() < until {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        // Either may fail only because it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the programs are, and which seed the lines have.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The folder with `node` and `linksim`.
    pub programs: PathBuf,
    /// Losses follow from it: the same for every transport of a repeat.
    pub seed: u64,
}

/// Runs a case with a transport. A failure is a result too.
pub fn run(setup: &Setup, case: &Case, transport: &str, repeat: u32) -> Run {
    let mut run = Run {
        workload: case.workload.to_owned(),
        variant: case.variant.clone(),
        transport: transport.to_owned(),
        repeat,
        library: String::new(),
        encrypted: false,
        measures: Default::default(),
        curve: Vec::new(),
        failure: None,
    };
    match raw(setup, case, transport, repeat) {
        Ok(raw) => {
            run.library = raw.server["library"].as_str().unwrap_or_default().to_owned();
            run.encrypted = raw.server["encrypted"].as_bool().unwrap_or(false);
            (run.measures, run.curve) = measures(&raw);
        }
        Err(failure) => run.failure = Some(failure),
    }
    run
}

fn raw<'a>(setup: &Setup, case: &'a Case, transport: &str, repeat: u32) -> Result<Raw<'a>, String> {
    let node = setup.programs.join("node");
    let amount = case.amount_for(transport);
    let args = |which: &str, address: &str, core: Option<usize>| {
        let mut args: Vec<String> = ["--transport", transport, "--workload", case.workload].map(str::to_owned).into();
        let mut add = |key: &str, value: String| args.extend([key.to_owned(), value]);
        add(which, address.to_owned());
        add("--seconds", amount.seconds.to_string());
        add("--sessions", amount.sessions.to_string());
        add("--hz", amount.hz.to_string());
        add("--rounds", amount.rounds.to_string());
        add("--mib", amount.mib.to_string());
        if let Some(core) = core {
            add("--core", core.to_string());
        }
        args
    };
    let (server_core, client_core) = case.cores.unzip();
    let mut server = Process::start("server", &node, &args("--listen", "127.0.0.1:0", server_core))?;
    let mut address = server.expect("ready ", START_WITHIN)?;
    let mut line = None;
    if !case.line.is_empty() {
        let mut args = vec!["--target".to_owned(), address];
        args.extend(["--seed".to_owned(), (setup.seed + u64::from(repeat)).to_string()]);
        args.extend(case.line.iter().flat_map(|(key, value)| [format!("--{key}"), value.to_string()]));
        let mut process = Process::start("line", &setup.programs.join("linksim"), &args)?;
        address = process.expect("ready ", START_WITHIN)?;
        line = Some(process);
    }
    let mut client = Process::start("client", &node, &args("--connect", &address, client_core))?;
    // Whichever waits in vain knows why.
    let met = client.expect("begun", MEET_WITHIN);
    met.map_err(|why| match server.lines.try_recv() {
        Err(std::sync::mpsc::TryRecvError::Disconnected) => server.line(Duration::ZERO).unwrap_err(),
        _ => why,
    })?;
    server.expect("begun", MEET_WITHIN)?;
    if let Some(line) = &mut line {
        line.command("reset");
        if let Some(after) = case.rebind_after {
            std::thread::sleep(Duration::from_secs_f64(after));
            line.command("rebind");
        }
    }
    let within = WORK_WITHIN + Duration::from_secs_f64(2.0 * amount.seconds);
    if case.workload == "w8" {
        // Its client begins anew for each connect.
        for _ in 1..amount.rounds {
            client.expect("begun", MEET_WITHIN)?;
        }
    }
    let client_result = client.result(within)?;
    let server_result = server.result(within)?;
    let line_result = match line {
        Some(mut line) => {
            line.command("quit");
            line.result(START_WITHIN)?
        }
        None => Value::Null,
    };
    Ok(Raw { case, client: client_result, server: server_result, line: line_result })
}
