//! W6, many: one server process with a thousand sessions and more, all of them chatting.
//!
//! Every session has 100-byte unreliable messages at its rate, both ways, spread evenly over time. Both processes look
//! after their library once a millisecond, as a busy game server's loop does, not once a packet.

use super::end::{End, Got, PROMPT, Stamp, Tag};
use super::pace::Pace;
use super::{Amount, Workload};
use crate::transport::{Kind, Outgoing};
use crate::{clock, process};
use serde_json::{Value, json};
use std::io;
use std::time::Duration;

pub const WORKLOAD: Workload = Workload { name: "w6", message_bytes: SIZE, client, server };

const SIZE: usize = 100;

/// What has not come so long after the last was sent is lost, ns.
const GRACE_NS: u64 = 500_000_000;

const TURN: Duration = Duration::from_millis(1);

fn client(end: &mut End, amount: &Amount) -> io::Result<Value> {
    let connecting = end.meet(amount.sessions)?;
    let (sent, delivered) = chat(end, amount)?;
    end.part()?;
    Ok(json!({ "connect_s": connecting as f64 / 1e9, "sent": sent, "delivered": delivered }))
}

fn server(end: &mut End, amount: &Amount) -> io::Result<Value> {
    let empty = process::memory_kib("VmRSS");
    end.meet(amount.sessions)?;
    let full = process::memory_kib("VmRSS");
    let (begin, cpu) = (clock::now_ns(), clock::cpu_ns());
    let (sent, mut delivered) = chat(end, amount)?;
    let (span, cpu) = (clock::now_ns() - begin - GRACE_NS, clock::cpu_ns() - cpu);
    while end.done == 0 {
        end.poll(TURN, |_| delivered += 1)?;
    }
    let kib = full.saturating_sub(empty) as f64 / amount.sessions as f64;
    let cpu_percent = cpu as f64 * 100.0 / span as f64;
    Ok(json!({ "cpu_percent": cpu_percent, "kib_per_session": kib, "sent": sent, "delivered": delivered }))
}

/// Sends to all sessions in turn; how many were sent and how many came.
fn chat(end: &mut End, amount: &Amount) -> io::Result<(u64, u64)> {
    let begin = clock::now_ns();
    let mut pace = Pace::new(begin, amount.hz * amount.sessions as f64, amount.seconds);
    let mut delivered = 0;
    let mut count = |_: Got| delivered += 1;
    let until = begin + (amount.seconds * 1e9) as u64 + GRACE_NS;
    loop {
        let now = clock::now_ns();
        if now >= until {
            break;
        }
        while let Some(number) = pace.take(now) {
            let session = number as usize % amount.sessions;
            let message = Outgoing { session, kind: Kind::Unreliable, ..PROMPT };
            // One that is not taken is lost: nobody sends an old position again.
            end.send(&message, SIZE, Stamp { at: now, number: number as u32, tag: Tag::Data })?;
        }
        end.poll(Duration::ZERO, &mut count)?;
        std::thread::sleep(TURN.saturating_sub(Duration::from_nanos(clock::now_ns() - now)));
    }
    Ok((pace.count(), delivered))
}
