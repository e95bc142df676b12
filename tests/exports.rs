//! What the shared library shows to the world: `snm_*`, all of them, and nothing else.

#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

fn library() -> PathBuf {
    env::current_exe().expect("a test knows where it is").with_file_name("libsteamnetmsg.so")
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .arg(library())
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("symbol names are ASCII")
}

/// The functions the header declares.
fn declared() -> BTreeSet<String> {
    let header =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/include/steamnetmsg.h")).expect("it is committed");
    let calls = header.split("SNM_CALL snm_").skip(1);
    calls.map(|rest| format!("snm_{}", rest.split('(').next().unwrap_or_default())).collect()
}

#[test]
fn exactly_the_functions_of_the_header_are_exported() {
    let listed = output("nm", &["-D", "--defined-only"]);
    let exported: BTreeSet<String> = listed
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2))
        .map(|name| name.split('@').next().unwrap_or_default().to_owned())
        .filter(|name| name != "SNM_1") // the version node itself
        .collect();
    let declared = declared();
    assert!(declared.len() > 45, "{declared:?}");
    assert_eq!(exported, declared);
}

#[test]
fn the_soname_carries_the_abi_major() {
    let dynamic = output("readelf", &["-d", "-W"]);
    assert!(dynamic.contains("Library soname: [libsteamnetmsg.so.1]"), "{dynamic}");
}
