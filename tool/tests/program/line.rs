//! `ping` and `listen` against each other, over 127.0.0.1.

use crate::kit::{PROGRAM, Scratch};
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A `listen` under way; it is ended with the test.
struct Listener {
    child: Child,
    lines: BufReader<ChildStdout>,
    address: String,
}

impl Listener {
    fn start(scratch: &Scratch, options: &str) -> Listener {
        let folder = scratch.arg("");
        let words = options.split_whitespace().map(|word| word.replace("{}/", &folder));
        let mut child = Command::new(PROGRAM)
            .args(["listen", "--bind", "127.0.0.1:0", "--for", "60s"])
            .args(words)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped"));
        let mut first = String::new();
        lines.read_line(&mut first).expect("its first line");
        let address = first.trim().rsplit_once("listens at ").expect("it says where").1.to_owned();
        Listener { child, lines, address }
    }

    /// Its next line.
    fn says(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        line.trim().to_owned()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes `name`, a folder with the identity and the certificate of a steam id.
fn enrol(scratch: &Scratch, name: &str, steam_id: u64) {
    std::fs::create_dir(scratch.path(name)).expect("a folder");
    scratch.run(&format!("identity new --out {{}}/{name}")).good();
    let issue = format!("cert issue --authority {{}}/authority.key --steam-id {steam_id} --app 480 --days 1");
    scratch.run(&format!("{issue} --identity {{}}/{name}/identity.key --out {{}}/{name}")).good();
}

#[test]
fn two_certified_ends_meet_and_each_knows_the_other() {
    let scratch = Scratch::new();
    let authority = scratch.run("authority new --out {}").good();
    enrol(&scratch, "anna", 1001);
    enrol(&scratch, "bert", 1002);
    let mut bert = Listener::start(&scratch, &format!("--identity {{}}/bert --authority {authority}"));
    let address = bert.address.clone();
    let line = format!("ping 1002 --address {address} --count 3 --interval 20");
    let said = scratch.run(&format!("{line} --identity {{}}/anna --authority {authority}")).good();
    assert!(said.contains(&format!("connected with 1002 at {address}, certified")), "{said}");
    for part in ["from 1002: number 1, ", "number 3, ", "3 sent, 3 echoed, 0 % lost", "round trip "] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let came = bert.says();
    assert!(came.starts_with("1001 at 127.0.0.1:") && came.ends_with(", certified, is here"), "{came}");
    assert_eq!(bert.says(), "1001 is gone");

    // Who has no certificate, or another authority's, does not come in.
    let said = scratch.run(&format!("{line} --id 1003"));
    said.failed(1, &["no session with 1002", "certificate", "4003"]);
    let said = scratch.run(&format!("{line} --id 1003 --key {{}}/anna/identity.key"));
    said.failed(1, &["4003"]);
    let stranger = scratch.run("authority new --out {}/stranger.key").good();
    let said = scratch.run(&format!("{line} --identity {{}}/anna --authority !{stranger},{stranger}"));
    said.failed(2, &["--authority", "twice"]);
    let said = scratch.run(&format!("{line} --identity {{}}/anna --authority {stranger}"));
    said.failed(1, &["no session with 1002", "4003"]);
}

#[test]
fn without_an_authority_nobody_is_certified_and_this_machine_may_enter() {
    let scratch = Scratch::new();
    let mut listener = Listener::start(&scratch, "--id 1002 --channel 5");
    let line = format!("ping 1002 --address {} --id 1001 --count 1", listener.address);
    let said = scratch.run(&format!("{line} --channel 5")).good();
    assert!(said.contains("not certified") && said.contains("1 sent, 1 echoed"), "{said}");
    assert!(listener.says().ends_with("not certified, is here"));
    assert_eq!(listener.says(), "1001 is gone");
    let said = scratch.run(&line);
    assert!(said.out.contains("1 sent, 0 echoed, 100 % lost"), "{said:?}");
    said.failed(1, &["nothing was echoed"]);
}

#[test]
fn who_does_not_answer_is_not_reached() {
    let scratch = Scratch::new();
    scratch.run("ping 1002 --address 127.0.0.1:9 --id 1001").failed(1, &["no session with 1002", "5003"]);
}

#[test]
fn papers_that_do_not_fit_each_other_are_refused() {
    let scratch = Scratch::new();
    scratch.run("authority new --out {}").good();
    enrol(&scratch, "anna", 1001);
    enrol(&scratch, "bert", 1002);
    let ping = "ping 9 --address 127.0.0.1:9";
    scratch.run(&format!("{ping} --cert {{}}/anna/identity.cert")).failed(2, &["--key"]);
    scratch.run(ping).failed(2, &["--id"]);
    let said = scratch.run(&format!("{ping} --key {{}}/bert/identity.key --cert {{}}/anna/identity.cert"));
    said.failed(3, &["CERTIFICATE", "another identity key"]);
    scratch.run(&format!("{ping} --identity {{}}/anna --id 5")).failed(3, &["steamid:1001, not steamid:5"]);
    scratch.run(&format!("{ping} --identity {{}}/anna --app 5")).failed(3, &["for app 480, not 5"]);
    scratch.run(&format!("{ping} --identity {{}}/nobody")).failed(3, &["cannot read", "identity.key"]);
    scratch.run("ping 9 --address nowhere --id 1").failed(2, &["HOST:PORT"]);
    scratch.run("ping 9 --address 127.0.0.1:0 --id 1").failed(2, &["1 to 65535"]);
    scratch.run("listen --id 1 --bind 203.0.113.7:1").failed(3, &["cannot open the endpoint", "203.0.113.7"]);
}
