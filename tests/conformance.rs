//! The promises of this library as an executable specification: `tests/conformance` is built as C99 from the
//! header alone and run, and what it proves must be what `docs/conformance.md` says, row for row.
//! With `SNM_WRITE_CONFORMANCE=1` that page is written instead.

#![cfg(target_os = "linux")]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

/// A part of the page: what its ids begin with (the first has numbers), its heading, how many cases it has.
const PARTS: [(&str, &str, usize); 5] =
    [("", SIXTY, 60), ("T-", STATES, 68), ("F-", FLAGS, 35), ("L-", LIMITS, 21), ("I-", INFO, 17)];

const PAGE: &str = "docs/conformance.md";

const HEAD: &str = "\
# Conformance

What the six calls and two events promise, and the test that proves it. Every row is a case of
`tests/conformance`, written in C against the public header alone and run in real time over loopback, with shortened
timers where the promise names a setting. `cargo test --test conformance` runs them all and compares them with this
page; `SNM_WRITE_CONFORMANCE=1 cargo test --test conformance` writes it. A long name in brackets is a test of
`tests/world`, in virtual time.
";

const SIXTY: &str = "\
## The calls and events

A, B and C are endpoints; B is asked by A unless a row says otherwise.
";

const STATES: &str = "\
## States and calls

Every call in every state, and the rules beside the table. States: N no session, O asked by us, P asked by the peer,
A accepted and the peer has not heard it, C connected, FP refused by the peer, FL nobody answered. Calls: send with and
without 32 (AutoRestartBrokenSession), accept, closeSession, closeChannel, info (the state), receive. The first thing
after the colon is the answer.
";

const FLAGS: &str = "\
## Send flags

Every combination, by its number: what send answers, and what the receiver sees.
";

const LIMITS: &str = "\
## Limits

Each is set low enough to be reached, and reached.
";

const INFO: &str = "\
## Info, messages and events

Every field, against what the link was set to.
";

const COLUMNS: &str = "\
| case | promise | test | result |
| --- | --- | --- | --- |
";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Builds the program in a folder of this test's own.
fn build() -> PathBuf {
    let test = env::current_exe().expect("a test knows where it is");
    let library = test.parent().expect("a file lies in a folder").join("libsteamnetmsg.so");
    assert!(library.exists(), "{} was not built", library.display());
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("conformance");
    let _ = fs::remove_dir_all(&folder); // there from an earlier run, or not there
    fs::create_dir_all(&folder).expect("the target folder can be written");
    for name in ["libsteamnetmsg.so.1", "libsteamnetmsg.so"] {
        std::os::unix::fs::symlink(&library, folder.join(name)).expect("a link");
    }
    let mut sources: Vec<PathBuf> = fs::read_dir(root().join("tests/conformance"))
        .expect("the cases are there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "c"))
        .collect();
    sources.sort();
    let binary = folder.join("conformance");
    let output = Command::new("gcc")
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O1", "-g", "-I"])
        .arg(root().join("include"))
        .args(sources)
        .arg("-o")
        .arg(&binary)
        .arg("-L")
        .arg(&folder)
        .args(["-lsteamnetmsg", "-lpthread"])
        .arg(format!("-Wl,-rpath,{}", folder.display()))
        .output()
        .expect("gcc runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    binary
}

/// A row of what the program printed: id, result, file, promise.
fn columns(row: &str) -> [&str; 4] {
    let columns: Vec<&str> = row.splitn(4, " | ").map(str::trim).collect();
    columns.try_into().unwrap_or_else(|_| panic!("not a row: {row}"))
}

/// The rows of one part, without what failed cases said, which stands indented below them.
fn rows<'a>(table: &'a str, begins: &str) -> Vec<[&'a str; 4]> {
    let all = table.lines().filter(|line| !line.starts_with("     ")).map(columns);
    let is_of_it = |id: &str| if begins.is_empty() { id.parse::<u32>().is_ok() } else { id.starts_with(begins) };
    all.filter(|[id, ..]| is_of_it(id)).collect()
}

/// The page for what the program printed.
fn page(table: &str) -> String {
    let mut page = HEAD.to_owned();
    for (begins, heading, _) in PARTS {
        write!(page, "\n{heading}\n{COLUMNS}").expect("text");
        for [id, result, file, promise] in rows(table, begins) {
            writeln!(page, "| {id} | {promise} | [{file}](../tests/conformance/{file}) | {result} |").expect("text");
        }
    }
    page
}

/// The tests in virtual time that the page names are there.
fn assert_named_tests_exist(page: &str) {
    let words = page.split(|c: char| !c.is_alphanumeric() && c != '_');
    let named: Vec<&str> = words.filter(|word| word.matches('_').count() > 4).collect();
    let folder = fs::read_dir(root().join("tests/world")).expect("the tests are there");
    let tests: String = folder.map(|e| fs::read_to_string(e.expect("readable").path()).expect("text")).collect();
    assert!(!named.is_empty() && named.iter().all(|name| tests.contains(&format!("fn {name}()"))), "{named:?}");
}

#[test]
fn every_promise_holds_and_is_written_down() {
    let output = Command::new(build()).stdin(Stdio::null()).output().expect("the program runs");
    let table = String::from_utf8(output.stdout).expect("the table is text");
    println!("{table}{}", String::from_utf8_lossy(&output.stderr));
    let page = page(&table);
    for (begins, heading, count) in PARTS {
        assert_eq!(rows(&table, begins).len(), count, "a row for each case of {heading}");
    }
    assert_named_tests_exist(&page);
    if env::var_os("SNM_WRITE_CONFORMANCE").is_some() {
        fs::write(root().join(PAGE), &page).expect("the page can be written");
    }
    let committed = fs::read_to_string(root().join(PAGE)).unwrap_or_default();
    for (now, then) in page.lines().zip(committed.lines()) {
        assert_eq!(now, then, "{PAGE} says otherwise");
    }
    assert_eq!(page, committed, "{PAGE} has other rows");
    assert!(output.status.success(), "a case failed");
}

#[test]
fn a_failed_case_shows_in_the_page() {
    let page = page(
        "7 | FAILED | requests.c | Both at once\n     requests.c:9: CHECK(x) failed\nT-N-send | passed | states.c | 1\n",
    );
    assert!(page.contains("| 7 | Both at once | [requests.c](../tests/conformance/requests.c) | FAILED |\n"));
    assert!(page.ends_with(COLUMNS) && page.matches("CHECK").count() == 0);
}
