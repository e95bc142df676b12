//! A test: every transport that keeps promises carries messages between two processes, both ways.
//!
//! The other process is the test program again: it runs only `the_other_process`, told by its environment what to be.

use std::io::{self, BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::{Kind, Outgoing, Purpose, Role, Sent, Transport};
use crate::clock;

const NAME: &str = "SNM_BENCH_TEST_TRANSPORT";

/// Messages of each kind, channel and direction.
const MESSAGES: u32 = 500;

/// Unreliable messages under way: few enough for a socket's buffer.
const WINDOW: u32 = 64;

const WITHIN_NS: u64 = 30_000_000_000;

const CHANNELS: usize = 2;

/// The other process, ended if it outlives its welcome. What it says at its end needs somebody to say it to.
struct Other(Child, BufReader<ChildStdout>);

impl Drop for Other {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn purpose() -> Purpose {
    Purpose { workload: "w2".to_owned(), message_bytes: 64 << 10, sessions: 1 }
}

/// Odd sizes: from one byte more than the number to many packets.
fn message(number: u32, kind: Kind) -> Vec<u8> {
    let size = if kind == Kind::Reliable && number % 50 == 7 { 50_000 } else { 5 + number as usize % 300 };
    let mut bytes: Vec<u8> = (0..size).map(|at| (at as u32 * 31 + number) as u8).collect();
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    bytes[4] = kind as u8;
    bytes
}

/// What one end has sent and seen.
#[derive(Default)]
struct Count {
    sent: [[u32; CHANNELS]; 2],
    seen: [[u32; CHANNELS]; 2],
}

impl Count {
    fn send(&mut self, transport: &mut dyn Transport) {
        for (kind, at) in [(Kind::Unreliable, 0), (Kind::Reliable, 1)] {
            if kind == Kind::Reliable && (self.sent[0], self.seen[0]) != ([MESSAGES; CHANNELS], [MESSAGES; CHANNELS]) {
                // A flood of these would fill the sockets, and the others would be lost as they may be.
                break;
            }
            for channel in 0..CHANNELS {
                let sent = &mut self.sent[at][channel];
                let bounded = kind == Kind::Unreliable;
                while *sent < MESSAGES && !(bounded && *sent >= self.seen[at][channel] + WINDOW) {
                    let bytes = message(*sent, kind);
                    let no_nagle = sent.is_multiple_of(2);
                    let out = Outgoing { session: 0, channel: channel as u8, kind, no_nagle, bytes: &bytes };
                    if transport.send(out).expect("a session that stands") == Sent::Full {
                        break;
                    }
                    *sent += 1;
                }
            }
        }
        transport.flush();
    }

    fn is_complete(&self) -> bool {
        let all = [[MESSAGES; CHANNELS]; 2];
        self.sent == all && self.seen == all
    }

    /// Sends and receives everything.
    fn run(&mut self, transport: &mut dyn Transport) {
        let begin = clock::now_ns();
        while !self.is_complete() {
            let late = clock::now_ns() - begin > WITHIN_NS;
            assert!(!late, "{}: sent {:?}, seen {:?}", transport.about().name, self.sent, self.seen);
            if transport.connected() > 0 {
                self.send(transport);
            }
            let seen = &mut self.seen;
            let polled = transport.poll(Duration::from_millis(2), &mut |incoming| {
                let number = u32::from_le_bytes(*incoming.bytes.first_chunk().expect("a number"));
                let kind = if incoming.bytes[4] == Kind::Reliable as u8 { Kind::Reliable } else { Kind::Unreliable };
                let seen = &mut seen[usize::from(kind == Kind::Reliable)][usize::from(incoming.channel)];
                assert_eq!(incoming.session, 0);
                assert!(incoming.bytes == message(number, kind), "message {number}, {kind:?}");
                assert!(kind == Kind::Unreliable || number == *seen, "{number} came after {seen}");
                *seen += 1;
            });
            polled.expect("a session that stands");
        }
    }
}

fn other_process(name: &str) -> (Other, SocketAddr) {
    let program = std::env::current_exe().expect("a program that runs");
    let mut command = Command::new(program);
    command.args(["transport::exchange::the_other_process", "--exact", "--ignored", "--nocapture"]).env(NAME, name);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a second process");
    let stdout = child.stdout.take().expect("piped");
    let mut other = Other(child, BufReader::new(stdout));
    let lines = other.1.by_ref().lines().map_while(Result::ok);
    let address = lines.filter_map(|line| line.strip_prefix("at ")?.parse().ok()).next();
    (other, address.expect("the other process says where it listens"))
}

fn carries_both_ways(name: &str) {
    let (mut other, address) = other_process(name);
    let mut transport = super::open(name, Role::Client, &purpose()).expect(name);
    transport.connect(address, 1).expect(name);
    let mut count = Count::default();
    count.run(&mut *transport);
    // What the other end has not seen yet is still sent; it leaves when it has seen everything and this end too.
    drop(other.0.stdin.take());
    let begin = clock::now_ns();
    let status = loop {
        transport.poll(Duration::from_millis(1), &mut |_| ()).expect(name);
        if let Some(status) = other.0.try_wait().expect("a child") {
            break status;
        }
        assert!(clock::now_ns() - begin < WITHIN_NS, "{name}: the other process goes on");
    };
    assert!(status.success(), "{name}: the other process failed");
}

#[test]
fn messages_of_every_kind_reach_another_process_and_come_back() {
    // UDP keeps no promise; this library is loaded from a file that need not have been built here.
    for name in super::built().into_iter().filter(|name| !name.starts_with("ours") && *name != "udp") {
        carries_both_ways(name);
    }
}

#[test]
#[ignore = "run by the other tests, as a process of its own"]
fn the_other_process() {
    let name = std::env::var(NAME).expect("run by the other tests only");
    let listen = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
    let mut transport = super::open(&name, Role::Server(listen), &purpose()).expect("a transport");
    println!("\nat {}", transport.address().expect("an address"));
    Count::default().run(&mut *transport);
    // The first end may lack what this one has only queued: it closes the pipe when it has everything.
    let leave = Arc::new(AtomicBool::new(false));
    let told = leave.clone();
    thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        told.store(true, Ordering::Release);
    });
    while !leave.load(Ordering::Acquire) {
        transport.poll(Duration::from_millis(5), &mut |_| ()).expect("a session that stands");
    }
    // Its last acknowledgements; the first end may have gone by now.
    let begin = clock::now_ns();
    while clock::now_ns() - begin < 300_000_000 {
        let _ = transport.poll(Duration::from_millis(5), &mut |_| ());
    }
}
