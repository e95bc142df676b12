//! W1, flood: 64-byte unreliable messages, one session, as fast as they are taken.
//!
//! At most 2,048 are under way, by a credit that the server's application sends: as a game would not pour into a void,
//! so that nobody wins by losing. Messages may share packets.

use super::end::{End, PROMPT, STAMP, Stamp, Tag};
use super::{Amount, Workload};
use crate::clock;
use crate::transport::{Kind, Outgoing, Sent};
use serde_json::{Value, json};
use std::io;
use std::time::Duration;

pub const WORKLOAD: Workload = Workload { name: "w1", message_bytes: SIZE, client, server };

const SIZE: usize = 64;

/// Messages under way at most.
const WINDOW: u32 = 2_048;

/// The server tells of this many at a time.
const CREDIT_EVERY: u32 = 128;

/// Messages sent before the transport is polled again.
const BATCH: u32 = 128;

/// A credit may be lost; it is said again after so long without a message.
const PATIENCE: Duration = Duration::from_millis(10);

const MESSAGE: Outgoing<'static> = Outgoing { kind: Kind::Unreliable, no_nagle: false, ..PROMPT };

fn client(end: &mut End, amount: &Amount) -> io::Result<Value> {
    end.meet(1)?;
    let (begin, cpu) = (clock::now_ns(), clock::cpu_ns());
    let until = begin + (amount.seconds * 1e9) as u64;
    let (mut sent, mut credited) = (0, 0);
    loop {
        let now = clock::now_ns();
        if now >= until {
            break;
        }
        let mut blocked = false;
        for _ in 0..BATCH {
            blocked = sent - credited >= WINDOW;
            let stamp = Stamp { at: now, number: sent, tag: Tag::Data };
            blocked = blocked || end.send(&MESSAGE, SIZE, stamp)? == Sent::Full;
            if blocked {
                break;
            }
            sent += 1;
        }
        if blocked {
            end.transport.flush();
        }
        let wait = if blocked { Duration::from_millis(1) } else { Duration::ZERO };
        end.poll(wait, |got| credited = credited.max(got.stamp.number))?;
    }
    end.transport.flush();
    let (seconds, cpu) = ((clock::now_ns() - begin) as f64 / 1e9, clock::cpu_ns() - cpu);
    end.part()?;
    Ok(json!({ "sent": sent, "seconds": seconds, "cpu_ns": cpu }))
}

fn server(end: &mut End, _: &Amount) -> io::Result<Value> {
    end.meet(1)?;
    let (mut delivered, mut highest, mut told) = (0u64, 0u32, 0u32);
    let (mut began, mut last, mut cpu) = (None, 0, 0);
    while end.done == 0 {
        let before = delivered;
        end.poll(PATIENCE, |got| {
            delivered += 1;
            highest = highest.max(got.stamp.number + 1);
        })?;
        let now = clock::now_ns();
        let news = delivered > before;
        if news {
            began.get_or_insert_with(|| (now, cpu = clock::cpu_ns()).0);
            last = now;
        }
        if highest - told >= CREDIT_EVERY || !news && began.is_some() {
            let credit = Outgoing { no_nagle: true, ..MESSAGE };
            end.send(&credit, STAMP, Stamp { at: now, number: highest, tag: Tag::Credit })?;
            told = highest;
        }
    }
    let seconds = (last - began.unwrap_or(last)) as f64 / 1e9;
    Ok(json!({ "delivered": delivered, "seconds": seconds, "cpu_ns": clock::cpu_ns() - cpu }))
}
