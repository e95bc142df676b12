//! The work: W1 to W9, each written once, for any transport.
//!
//! A workload is a client's part and a server's part, run in two processes; each part ends with a JSON object. What
//! they have in common is in [`end`]: how the two meet, stamp their messages and part.

pub mod arrivals;
pub mod end;
pub mod pace;

mod w1;
mod w2;
mod w3;
mod w4;
mod w5;
mod w6;
mod w7;
mod w8;
mod w9;

use end::End;
use serde_json::Value;
use std::io;

/// How much of a workload to do.
#[derive(Clone, Debug)]
pub struct Amount {
    /// How long, where a workload lasts for a time, s.
    pub seconds: f64,
    /// Sessions, where there are many (W6).
    pub sessions: usize,
    /// Messages a second, for each session and direction (W4, W5, W6, W9).
    pub hz: f64,
    /// Rounds (W3), or connects (W8).
    pub rounds: u32,
    /// Mebibytes (W2).
    pub mib: u64,
}

/// The work of one end.
pub type Part = fn(&mut End, &Amount) -> io::Result<Value>;

/// What a workload consists of.
pub struct Workload {
    /// "w1" to "w9".
    pub name: &'static str,
    /// Its longest message, bytes.
    pub message_bytes: usize,
    /// What the client does.
    pub client: Part,
    /// What the server does.
    pub server: Part,
}

/// All of them.
pub const ALL: [Workload; 9] = [
    w1::WORKLOAD,
    w2::WORKLOAD,
    w3::WORKLOAD,
    w4::WORKLOAD,
    w5::WORKLOAD,
    w6::WORKLOAD,
    w7::WORKLOAD,
    w8::WORKLOAD,
    w9::WORKLOAD,
];

/// The workload of this name.
pub fn named(name: &str) -> Option<&'static Workload> {
    ALL.iter().find(|workload| workload.name == name)
}
