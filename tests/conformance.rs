//! The promises of this library as an executable specification: `tests/conformance` is built as C99 from the
//! header alone and run, and what it proves must be what `docs/conformance.md` says, row for row.
//! With `SNM_WRITE_CONFORMANCE=1` that page is written instead.

#![cfg(target_os = "linux")]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

/// How many cases there are.
const CASES: usize = 60;

const PAGE: &str = "docs/conformance.md";

const HEAD: &str = "\
# Conformance

What the six calls and two events promise, and the test that proves it. Every row is a case of
`tests/conformance`, written in C against the public header alone and run in real time over loopback, with shortened
timers where the promise names a setting. `cargo test --test conformance` runs them all and compares them with this
page; `SNM_WRITE_CONFORMANCE=1 cargo test --test conformance` writes it.

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

/// The page for what the program printed: `number | result | file | promise` a row, and what a failed case said
/// indented below it.
fn page(table: &str) -> String {
    let mut page = HEAD.to_owned();
    for row in table.lines().filter(|line| !line.starts_with("     ")) {
        let columns: Vec<&str> = row.splitn(4, " | ").map(str::trim).collect();
        let [number, result, file, promise] = columns[..] else { panic!("not a row: {row}") };
        writeln!(page, "| {number} | {promise} | [{file}](../tests/conformance/{file}) | {result} |").expect("text");
    }
    page
}

#[test]
fn every_promise_holds_and_is_written_down() {
    let output = Command::new(build()).stdin(Stdio::null()).output().expect("the program runs");
    let table = String::from_utf8(output.stdout).expect("the table is text");
    println!("{table}{}", String::from_utf8_lossy(&output.stderr));
    let page = page(&table);
    assert_eq!(page.lines().count(), HEAD.lines().count() + CASES, "a row for each case");
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
    let page = page(" 7 | FAILED | requests.c | Both at once\n     requests.c:9: CHECK(x) failed\n");
    assert!(page.ends_with("| 7 | Both at once | [requests.c](../tests/conformance/requests.c) | FAILED |\n"));
}
