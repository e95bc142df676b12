//! The library as a C program sees it: the header alone, the shared library, gcc and g++ with every warning
//! an error. Each program of `tests/c` is a test; what it prints names the line that failed.

#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

const C: &[&str] = &["gcc", "-std=c99", "-x", "c"];
const CPP: &[&str] = &["g++", "-std=c++17", "-x", "c++"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The shared library that was built beside this test.
fn library() -> PathBuf {
    let test = env::current_exe().expect("a test knows where it is");
    let library = test.parent().expect("a file lies in a folder").join("libsteamnetmsg.so");
    assert!(library.exists(), "{} was not built", library.display());
    library
}

/// A folder of this test's own, with the library under the name its soname asks for.
fn folder(test: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = fs::remove_dir_all(&folder); // there from an earlier run, or not there
    fs::create_dir_all(&folder).expect("the target folder can be written");
    for name in ["libsteamnetmsg.so.1", "libsteamnetmsg.so"] {
        std::os::unix::fs::symlink(library(), folder.join(name)).expect("a link");
    }
    folder
}

fn compiler(language: &[&str]) -> Command {
    let mut command = Command::new(language[0]);
    command.args(&language[1..]).args(["-Wall", "-Wextra", "-Werror", "-pedantic", "-O1", "-g"]);
    command.arg("-I").arg(root().join("include"));
    command
}

fn succeed(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (said, warned) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{}\n{said}{warned}", output.status);
}

/// Compiles a program as C and as C++ and runs both.
fn run(program: &str) {
    let folder = folder(program);
    for language in [C, CPP] {
        let binary = folder.join(language[0]);
        let source = root().join("tests/c").join(program).with_extension("c");
        succeed(
            compiler(language)
                .arg(source)
                .arg("-o")
                .arg(&binary)
                .arg("-L")
                .arg(&folder)
                .args(["-lsteamnetmsg", "-lpthread"])
                .arg(format!("-Wl,-rpath,{}", folder.display())),
        );
        succeed(&mut Command::new(&binary));
    }
}

#[test]
fn the_header_alone_is_clean_c_and_cpp() {
    let source = folder("header").join("alone.c");
    fs::write(&source, "#include \"steamnetmsg.h\"\n#include \"steamnetmsg.h\"\nint main(void) { return 0; }\n")
        .expect("written");
    for language in [C, CPP] {
        succeed(compiler(language).arg("-fsyntax-only").arg(&source));
    }
}

#[test]
fn structures_lie_as_the_contract_says_on_64_and_32_bit() {
    let source = root().join("tests/c/layout.c");
    for language in [C, CPP] {
        succeed(compiler(language).arg("-fsyntax-only").arg(&source));
    }
    #[cfg(target_arch = "x86_64")]
    succeed(compiler(C).args(["-m32", "-fsyntax-only"]).arg(&source));
}

#[test]
fn every_function_answers_null_nonsense_and_the_dead() {
    run("refusals");
}

#[test]
fn settings_are_refused_with_reasons() {
    run("config");
}

#[test]
fn two_endpoints_hold_a_conversation() {
    run("conversation");
}

#[test]
fn a_session_says_why_it_is_where_it_is() {
    run("diagnosis");
}

#[test]
fn events_come_by_callback_and_by_poll() {
    run("events");
}

#[test]
fn sending_keeps_its_limits_and_flags() {
    run("sending");
}

#[test]
fn an_app_introduces_its_users_by_signals_of_its_own() {
    run("own_signaling");
}

#[test]
fn every_message_arrives_through_a_storm_in_real_time() {
    run("storm");
}

#[test]
fn eight_threads_at_once_lose_nothing_and_mix_nothing_up() {
    run("together");
}

#[test]
fn every_call_may_be_made_inside_every_callback() {
    run("inside");
}

#[test]
fn an_endpoint_may_be_destroyed_under_threads_that_call_and_wait() {
    run("farewell");
}

#[test]
fn a_thousand_endpoints_leave_no_descriptor_thread_or_memory() {
    run("cycles");
}

#[test]
fn the_library_leaves_memory_when_unloaded_a_thousand_times() {
    let folder = folder("unload");
    let binary = folder.join("unload");
    succeed(compiler(C).arg(root().join("tests/c/unload.c")).arg("-o").arg(&binary).arg("-ldl"));
    succeed(Command::new(&binary).arg(library()));
}
