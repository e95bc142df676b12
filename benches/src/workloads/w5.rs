//! W5, neighbours: a game's 60 messages a second each way, beside a download from client to server that takes all it
//! can get of a narrow line.
//!
//! The download keeps at most 256 KiB with the library, where that tells how much it holds.

use super::arrivals::Arrivals;
use super::end::{End, PROMPT, Stamp, Tag};
use super::pace::Pace;
use super::{Amount, Workload, w4};
use crate::clock;
use crate::transport::{Outgoing, Sent};
use serde_json::{Value, json};
use std::io;
use std::time::Duration;

pub const WORKLOAD: Workload = Workload { name: "w5", message_bytes: BULK_SIZE, client, server };

/// Bytes of a piece of the download.
pub const BULK_SIZE: usize = 16 << 10;

const MOST_QUEUED: usize = 256 << 10;

/// The download counts from a fifteenth of the time on until a thirtieth before its end: in 30 s, 2 s and 1 s.
const FROM: f64 = 1.0 / 15.0;
const UNTIL: f64 = 29.0 / 30.0;

const BULK: Outgoing<'static> = Outgoing { channel: 1, no_nagle: false, ..PROMPT };

fn client(end: &mut End, amount: &Amount) -> io::Result<Value> {
    upload(end, amount, amount.hz)
}

fn server(end: &mut End, amount: &Amount) -> io::Result<Value> {
    receive(end, amount, amount.hz)
}

/// The client's part, with a game of so many messages a second beside the download.
pub fn upload(end: &mut End, amount: &Amount, hz: f64) -> io::Result<Value> {
    end.meet(1)?;
    let begin = clock::now_ns();
    let until = begin + (amount.seconds * 1e9) as u64;
    let mut pace = Pace::new(begin, hz, amount.seconds);
    let mut arrivals = Arrivals::default();
    let mut number = 0;
    loop {
        let now = clock::now_ns();
        let over = pace.is_over() && now >= until;
        if over && (arrivals.count() >= pace.count() || now > until + w4::GRACE_NS) {
            break;
        }
        w4::tick(end, &mut pace, now)?;
        while now < until && end.transport.queued(0, 1).is_none_or(|bytes| bytes + BULK_SIZE <= MOST_QUEUED) {
            if end.send(&BULK, BULK_SIZE, Stamp { at: now, number, tag: Tag::Data })? == Sent::Full {
                break;
            }
            number += 1;
        }
        end.poll(pace.wait(now, Duration::from_millis(1)), |got| arrivals.handle(got))?;
    }
    Ok(arrivals.json(pace.count()))
}

/// The server's part.
pub fn receive(end: &mut End, amount: &Amount, hz: f64) -> io::Result<Value> {
    end.meet(1)?;
    let begin = clock::now_ns();
    let span = amount.seconds * 1e9;
    let (until, window) = (begin + span as u64, (FROM * span) as u64..(UNTIL * span) as u64);
    let mut pace = Pace::new(begin, hz, amount.seconds);
    let mut arrivals = Arrivals::default();
    let (mut bytes, mut bulk_messages) = (0u64, 0u64);
    loop {
        let now = clock::now_ns();
        if now >= until && (arrivals.count() >= pace.count() || now > until + w4::GRACE_NS) {
            break;
        }
        w4::tick(end, &mut pace, now)?;
        end.poll(pace.wait(now, Duration::from_millis(20)), |got| {
            if got.channel == 0 {
                arrivals.handle(got);
            } else {
                bulk_messages += 1;
                let counts = window.contains(&(clock::now_ns() - begin));
                bytes += if counts { got.size as u64 } else { 0 };
            }
        })?;
    }
    let mut result = arrivals.json(pace.count());
    result["bulk_bits_per_second"] = json!(bytes as f64 * 8e9 / (window.end - window.start) as f64);
    result["bulk_messages"] = json!(bulk_messages);
    Ok(result)
}
