//! Keys on disk.

use crate::kit::{PROGRAM, Scratch};
use std::fs;
use std::process::Command;

#[test]
fn a_new_key_prints_its_public_half_and_nothing_else_on_stdout() {
    let scratch = Scratch::new();
    for purpose in ["authority", "identity", "backend"] {
        let public = scratch.run(&format!("{purpose} new --out {{}}/{purpose}.key")).good();
        assert_eq!(public.len(), 43, "{public}");
        assert_eq!(scratch.run(&format!("{purpose} show {{}}/{purpose}.key")).good(), public);
        let file = scratch.read(&format!("{purpose}.key"));
        assert_eq!(file[32..], *format!("steamnetmsg {purpose} key 1\n").as_bytes());
    }
    let again = scratch.run("identity new --out {}/second.key").good();
    assert_ne!(again, scratch.run("identity show {}/identity.key").good());
}

#[test]
fn a_directory_gets_a_file_named_after_the_purpose() {
    let scratch = Scratch::new();
    for purpose in ["authority", "identity", "backend"] {
        scratch.run(&format!("{purpose} new --out {{}}")).good();
    }
    assert_eq!(scratch.names(), ["authority.key", "backend.key", "identity.key"]);
    scratch.run("authority new --out {}/nowhere/a.key").failed(3, &["cannot write", "nowhere/a.key"]);
}

#[test]
fn a_key_is_never_overwritten_unless_forced() {
    let scratch = Scratch::new();
    let first = scratch.run("authority new --out {}").good();
    scratch.run("authority new --out {}").failed(3, &["authority.key exists already", "--force"]);
    scratch.run("identity new --out {}/authority.key").failed(3, &["exists already"]);
    assert_eq!(scratch.run("authority show {}/authority.key").good(), first);
    let second = scratch.run("authority new --out {} --force").good();
    assert_ne!(first, second);
    assert_eq!(scratch.run("authority show {}/authority.key").good(), second);
    assert_eq!(scratch.names(), ["authority.key"], "nothing is left behind");
}

#[test]
fn a_key_is_not_taken_for_one_of_another_purpose() {
    let scratch = Scratch::new();
    for purpose in ["authority", "identity", "backend"] {
        scratch.run(&format!("{purpose} new --out {{}}")).good();
    }
    scratch.run("authority show {}/identity.key").failed(3, &["identity.key", "an identity", "an authority is needed"]);
    let certify = "--steam-id 7 --app 480 --identity {}/identity.key --days 1 --out {}/identity.cert";
    scratch.run(&format!("cert issue --authority {{}}/identity.key {certify}")).failed(3, &["an authority is needed"]);
    scratch.run(&format!("cert issue --authority {{}}/backend.key {certify}")).failed(3, &["an authority is needed"]);
    let certify = "--steam-id 7 --app 480 --identity {}/authority.key --days 1 --out {}/identity.cert";
    scratch.run(&format!("cert issue --authority {{}}/authority.key {certify}")).failed(3, &["an identity is needed"]);
    let login = "--steam-id 7 --app 480 --identity {}/identity.key";
    scratch.run(&format!("token issue --backend {{}}/authority.key {login}")).failed(3, &["a backend is needed"]);
    assert_eq!(scratch.names(), ["authority.key", "backend.key", "identity.key"]);
}

#[test]
fn files_that_are_no_keys_are_refused_with_their_name() {
    let scratch = Scratch::new();
    scratch.run("identity new --out {}").good();
    let good = scratch.read("identity.key");
    scratch.write("empty", b"");
    scratch.write("short", &good[..31]);
    scratch.write("long", &[&good[..], b"more"].concat());
    scratch.write("huge", &[0; 100_000]);
    scratch.write("text", b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ somebody");
    scratch.write("newer", &[&good[..32], b"steamnetmsg identity key 2\n"].concat());
    for name in ["empty", "short", "long", "huge", "text"] {
        let said = scratch.run(&format!("identity show {{}}/{name} --allow-open-permissions"));
        said.failed(3, &[&scratch.arg(name), "holds no steamnetmsg key"]);
    }
    scratch.run("identity show {}/newer --allow-open-permissions").failed(3, &["version 2", "use a newer one"]);
    scratch.run("identity show {}/nothing").failed(3, &["cannot read", "nothing"]);
    scratch.run("identity show {}").failed(3, &["cannot read", "directory"]);
}

#[cfg(unix)]
mod modes {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn mode(scratch: &Scratch, name: &str) -> u32 {
        fs::metadata(scratch.path(name)).expect("it is there").permissions().mode() & 0o777
    }

    fn set_mode(scratch: &Scratch, name: &str, mode: u32) {
        fs::set_permissions(scratch.path(name), fs::Permissions::from_mode(mode)).expect("it is ours");
    }

    #[test]
    fn a_new_key_is_its_owners_alone_even_if_the_user_hides_nothing() {
        let scratch = Scratch::new();
        for force in [&[][..], &["--force"]] {
            let mut command = Command::new("sh");
            command.args(["-c", "umask 0; exec \"$@\"", "sh", PROGRAM, "authority", "new", "--out"]);
            command.arg(scratch.path("a.key")).args(force);
            scratch.finish(command, "").good();
            assert_eq!(mode(&scratch, "a.key"), 0o600);
            set_mode(&scratch, "a.key", 0o644); // what is replaced passes nothing on
        }
    }

    #[test]
    fn a_key_that_others_may_read_is_refused_unless_that_is_meant() {
        let scratch = Scratch::new();
        let public = scratch.run("identity new --out {}").good();
        for open in [0o640, 0o604, 0o644, 0o610, 0o602, 0o666] {
            set_mode(&scratch, "identity.key", open);
            let told = format!("mode {open:04o}");
            scratch.run("identity show {}/identity.key").failed(3, &["identity.key", &told, "chmod 600"]);
        }
        let meant = scratch.run("identity show {}/identity.key --allow-open-permissions").good();
        assert_eq!(meant, public);
        set_mode(&scratch, "identity.key", 0o400);
        assert_eq!(scratch.run("identity show {}/identity.key").good(), public);
    }

    #[test]
    fn every_command_that_reads_a_secret_looks_at_its_mode() {
        let scratch = Scratch::new();
        for purpose in ["authority", "identity", "backend"] {
            scratch.run(&format!("{purpose} new --out {{}}")).good();
            set_mode(&scratch, &format!("{purpose}.key"), 0o644);
        }
        let identity = "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w";
        for line in [
            format!(
                "cert issue --authority {{}}/authority.key --steam-id 7 --app 1 --identity {identity} --days 1 --out {{}}/c"
            ),
            format!("token issue --backend {{}}/backend.key --steam-id 7 --app 1 --identity {identity}"),
            "ping 8 --address 127.0.0.1:9 --id 7 --key {}/identity.key".to_owned(),
            "listen --id 7 --key {}/identity.key --for 1s".to_owned(),
        ] {
            scratch.run(&line).failed(3, &["mode 0644", "chmod 600"]);
        }
    }

    #[test]
    fn a_link_is_not_written_through() {
        let scratch = Scratch::new();
        std::os::unix::fs::symlink(scratch.path("elsewhere.key"), scratch.path("a.key")).expect("a link");
        scratch.run("authority new --out {}/a.key").failed(3, &["exists already"]);
        assert_eq!(scratch.names(), ["a.key"]);
    }
}
