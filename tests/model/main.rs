//! Random worlds beside a model: what the apps of a world see must be what the contract allows.
//!
//! A seed makes a world and a script; the world plays it; the model reads what was seen. A failing seed
//! prints its shortest script. `SNM_MODEL_SEEDS` says how many seeds are tried, `SNM_MODEL_FIRST` which
//! is the first, and with `SNM_MODEL_LOG` set a report ends with all that was seen.

#[path = "../world/app.rs"]
#[allow(dead_code, reason = "the kit of the simulated world serves other tests too")]
mod app;
#[path = "../world/sim.rs"]
#[allow(dead_code, reason = "the kit of the simulated world serves other tests too")]
mod sim;
#[path = "../world/turn.rs"]
#[allow(dead_code, reason = "the kit of the simulated world serves other tests too")]
mod turn;

mod contract;
mod log;
mod play;
mod script;
mod shrink;
mod wrong;

use log::Tally;
use script::{Setup, Step};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Why a world is wrong: the law, and more about it.
#[derive(Clone, Debug)]
pub struct Failure {
    law: String,
    text: String,
}

fn number_from(variable: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(variable) else { return default };
    text.parse().unwrap_or_else(|_| panic!("{variable} must be a number, not {text:?}"))
}

/// Plays and judges; a panic of the world is a failure like any other.
fn attempt(setup: &Setup, steps: &[Step], tally: &mut Tally) -> Option<Failure> {
    let judged = catch_unwind(AssertUnwindSafe(|| {
        let log = play::play(setup, steps);
        tally.count(&log);
        contract::judge(setup, &log)
    }));
    match judged {
        Ok(Ok(())) => None,
        Ok(Err(broken)) => Some(Failure { law: broken.law.to_owned(), text: broken.text }),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Some(Failure { law: "no world panics".to_owned(), text: text.unwrap_or_default() })
        }
    }
}

/// The report of a failing seed: its law, its world, and its shortest script.
fn report(seed: u64, tally: &mut Tally) -> Option<String> {
    let (setup, steps) = script::random(seed);
    let failure = attempt(&setup, &steps, tally)?;
    let count = steps.len();
    let (steps, Failure { law, text }) =
        shrink::shrink(steps, failure, |steps| attempt(&setup, steps, &mut Tally::default()));
    let lines: Vec<String> = steps.iter().map(|step| format!("  {step}\n")).collect();
    let log = std::env::var_os("SNM_MODEL_LOG").map(|_| play::play(&setup, &steps)).unwrap_or_default();
    let seen: Vec<String> = log.iter().map(|entry| format!("{:.400}\n", format!("{entry:?}"))).collect();
    Some(format!(
        "seed {seed} breaks the law: {law}\n  {text}\n{setup}{} of {count} steps are enough:\n{}{}",
        steps.len(),
        lines.concat(),
        seen.concat()
    ))
}

#[test]
fn random_worlds_keep_the_contract() {
    let first = number_from("SNM_MODEL_FIRST", 1);
    let count = number_from("SNM_MODEL_SEEDS", 200);
    let next = AtomicU64::new(first);
    let reports = Mutex::new(Vec::new());
    let tally = Mutex::new(Tally::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    let mut world = Tally::default();
                    let report = report(seed, &mut world);
                    tally.lock().expect("no counter panics").add(world);
                    if let Some(report) = report {
                        eprintln!("{report}");
                        reports.lock().expect("no reporter panics").push(report);
                    }
                }
            });
        }
    });
    let tally = tally.into_inner().expect("no counter panics");
    println!("{tally:?}");
    let reports = reports.into_inner().expect("no reporter panics");
    assert!(reports.is_empty(), "{} of {count} worlds break the contract; their reports are above", reports.len());
    // Dull worlds prove nothing.
    let per_world = |count: u64| count / tally.worlds.max(1);
    if count >= 50 {
        assert!(per_world(tally.sent) > 100 && per_world(tally.read) > 50, "{tally:?}");
        assert!(per_world(tally.requests) > 2 && tally.failures > tally.worlds / 2, "{tally:?}");
    }
}
