//! Measures this library and others on the same work, and writes a results file, tables and pictures.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use std::{fs, thread};
use steamnetmsg_bench::lab::plan::{Case, Size, cases};
use steamnetmsg_bench::lab::run::{Setup, run};
use steamnetmsg_bench::lab::{Run, facts, picture, table};
use steamnetmsg_bench::{clock, transport};

const USAGE: &str = "bench [--size smoke|short|full] [--repeats N] [--out FOLDER]
  [--only w4,w5] [--transports ours,quinn] [--seed N]
  [--seconds S]           how long, where a workload lasts for a time
  [--from results.json]   only draws tables and pictures of an earlier run";

fn main() -> ExitCode {
    match Options::read(std::env::args().skip(1)).map_err(|fault| format!("{fault}\n{USAGE}")).and_then(bench) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("bench: {fault}");
            ExitCode::from(2)
        }
    }
}

struct Options {
    size: Size,
    repeats: Option<u32>,
    out: PathBuf,
    only: Vec<String>,
    transports: Vec<String>,
    seed: u64,
    seconds: Option<f64>,
    from: Option<PathBuf>,
}

impl Options {
    fn read(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options {
            size: Size::Short,
            repeats: None,
            out: "target/bench".into(),
            only: Vec::new(),
            transports: Vec::new(),
            seed: 1,
            seconds: None,
            from: None,
        };
        let list = |value: &str| value.split(',').map(str::to_owned).collect();
        while let Some(arg) = args.next() {
            let value = args.next().ok_or(format!("{arg} has no value"))?;
            let odd = || format!("{arg} {value:?} makes no sense");
            match arg.as_str() {
                "--size" => {
                    let sizes = [("smoke", Size::Smoke), ("short", Size::Short), ("full", Size::Full)];
                    options.size = sizes.into_iter().find(|(name, _)| *name == value).ok_or_else(odd)?.1;
                }
                "--repeats" => options.repeats = Some(value.parse().map_err(|_| odd())?),
                "--seed" => options.seed = value.parse().map_err(|_| odd())?,
                "--seconds" => {
                    let seconds: f64 = value.parse().map_err(|_| odd())?;
                    options.seconds = Some(seconds).filter(|s| (0.1..=3_600.0).contains(s));
                    options.seconds.ok_or_else(odd)?;
                }
                "--out" => options.out = value.into(),
                "--only" => options.only = list(&value),
                "--transports" => options.transports = list(&value),
                "--from" => options.from = Some(value.into()),
                _ => return Err(format!("there is no option {arg}")),
            }
        }
        Ok(options)
    }
}

/// True when every run gave a result.
fn bench(options: Options) -> Result<bool, String> {
    let out = &options.out;
    fs::create_dir_all(out).map_err(|error| format!("{}: {error}", out.display()))?;
    if let Some(from) = &options.from {
        let (facts, runs) = read(from)?;
        write(out, &facts, &runs)?;
        return Ok(true);
    }
    let programs = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.to_owned()));
    let mut setup = Setup { programs: programs.ok_or("this program is nowhere")?, seed: options.seed };
    if setup.programs.ends_with("deps") {
        setup.programs.pop();
    }
    let built = transport::built();
    let chosen: Vec<String> = if options.transports.is_empty() {
        built.iter().map(|n| (*n).to_owned()).collect()
    } else {
        options.transports
    };
    if let Some(name) = chosen.iter().find(|name| !built.contains(&name.as_str())) {
        return Err(format!("{name} is not built in; there are {}", built.join(", ")));
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut cases = cases(options.size, cores);
    if let Some(name) = options.only.iter().find(|name| !cases.iter().any(|case| case.workload == **name)) {
        return Err(format!("there is no workload {name:?}"));
    }
    cases.retain(|case| options.only.is_empty() || options.only.iter().any(|name| name == case.workload));
    if let Some(seconds) = options.seconds {
        cases.iter_mut().for_each(|case| case.amount.seconds = seconds);
    }
    let repeats = options.repeats.unwrap_or(if options.size == Size::Full { 5 } else { 1 }).max(1);
    let facts = facts::facts();
    let mut progress = Progress::new(&cases, &chosen, repeats);
    let mut runs = Vec::new();
    for repeat in 1..=repeats {
        for case in &cases {
            // Each repeat another one goes first, so that what warms up or tires the machine hits all alike.
            let mut suited: Vec<&str> = chosen.iter().map(String::as_str).filter(|name| case.suits(name)).collect();
            let turns = repeat as usize % suited.len().max(1);
            suited.rotate_left(turns);
            let groups: Vec<Vec<&str>> =
                if case.together { vec![suited] } else { suited.into_iter().map(|name| vec![name]).collect() };
            for group in groups.iter().filter(|group| !group.is_empty()) {
                progress.tell(case, group, repeat);
                let fresh = at_once(&setup, case, group, repeat);
                progress.took(case, &fresh);
                runs.extend(fresh);
            }
            // However this ends, what was measured so far is there.
            write(out, &facts, &runs)?;
        }
    }
    let failed = runs.iter().filter(|run| run.failure.is_some()).count();
    println!("\n{} runs, {failed} failed; tables: {}", runs.len(), out.join("tables.md").display());
    Ok(failed == 0)
}

/// Runs a case with several transports, all at the same time.
fn at_once(setup: &Setup, case: &Case, transports: &[&str], repeat: u32) -> Vec<Run> {
    thread::scope(|scope| {
        let started = transports.iter().map(|name| scope.spawn(move || run(setup, case, name, repeat)));
        let started: Vec<_> = started.collect();
        started.into_iter().map(|thread| thread.join().expect("a run reports what goes wrong")).collect()
    })
}

/// Says what is going on, and how long it will.
struct Progress {
    began: u64,
    all: f64,
    done: f64,
}

impl Progress {
    fn new(cases: &[Case], transports: &[String], repeats: u32) -> Progress {
        let per_case = |case: &Case| {
            let suited = transports.iter().filter(|name| case.suits(name)).count();
            case.takes() * if case.together { f64::from(u8::from(suited > 0)) } else { suited as f64 }
        };
        let all = f64::from(repeats) * cases.iter().map(per_case).sum::<f64>();
        println!("about {} of measuring; results so far are kept if you stop it", span(all));
        Progress { began: clock::now_ns(), all, done: 0.0 }
    }

    fn tell(&self, case: &Case, group: &[&str], repeat: u32) {
        let passed = (clock::now_ns() - self.began) as f64 / 1e9;
        let rate = if self.done > 0.0 { passed / self.done } else { 1.0 };
        let left = span((self.all - self.done).max(0.0) * rate);
        let percent = 100.0 * self.done / self.all;
        let Case { workload, variant, .. } = case;
        println!("[{percent:3.0} %, {left} left] repeat {repeat}, {workload} {variant}: {}", group.join(", "));
    }

    fn took(&mut self, case: &Case, runs: &[Run]) {
        self.done += case.takes();
        for run in runs {
            let column = table::layout(&run.workload).and_then(|(_, columns)| columns.first());
            let measured = column.and_then(|column| Some((column, run.measures.get(column.key)?)));
            match (&run.failure, measured) {
                (Some(failure), _) => println!("        {:12} FAILED: {failure}", run.transport),
                (None, Some((column, value))) => {
                    println!("        {:12} {:.2} {}", run.transport, value / column.unit, column.title);
                }
                (None, None) => {}
            }
        }
    }
}

fn span(seconds: f64) -> String {
    let span = Duration::from_secs_f64(seconds);
    if seconds < 90.0 { format!("{} s", span.as_secs()) } else { format!("{} min", span.as_secs().div_ceil(60)) }
}

fn read(path: &Path) -> Result<(Value, Vec<Run>), String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let all: Value = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let runs = all["runs"].as_array().ok_or(format!("{}: there are no runs in it", path.display()))?;
    Ok((all["facts"].clone(), runs.iter().filter_map(Run::from_json).collect()))
}

fn write(out: &Path, facts: &Value, runs: &[Run]) -> Result<(), String> {
    let json = json!({ "facts": facts, "runs": runs.iter().map(Run::json).collect::<Vec<_>>() });
    let mut files = vec![("results.json", format!("{json:#}\n")), ("tables.md", table::page(facts, runs))];
    files.extend(picture::all(runs));
    for (name, text) in files {
        fs::write(out.join(name), text).map_err(|error| format!("{}: {error}", out.join(name).display()))?;
    }
    Ok(())
}
