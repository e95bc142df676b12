//! W2, bulk: a file as 64 KiB reliable messages, as fast as it goes.
//!
//! The application keeps at most 8 MiB with the library, where that tells how much it holds: what is sent and not yet
//! acknowledged counts, and a library may acknowledge as rarely as every 50 ms.

use super::end::{End, PROMPT, Stamp, Tag};
use super::{Amount, Workload};
use crate::clock;
use crate::transport::{Outgoing, Sent};
use serde_json::{Value, json};
use std::io;
use std::time::Duration;

pub const WORKLOAD: Workload = Workload { name: "w2", message_bytes: SIZE, client, server };

const SIZE: usize = 64 << 10;

/// Bytes that the library may hold.
const MOST_QUEUED: usize = 8 << 20;

/// How long a full library is left alone.
const PAUSE: Duration = Duration::from_micros(200);

const MESSAGE: Outgoing<'static> = Outgoing { no_nagle: false, ..PROMPT };

fn messages(amount: &Amount) -> u64 {
    (amount.mib << 20) / SIZE as u64
}

fn client(end: &mut End, amount: &Amount) -> io::Result<Value> {
    end.meet(1)?;
    let cpu = clock::cpu_ns();
    // The server says when it has everything, which may be while the last message is still looked after.
    let mut complete = false;
    for number in 0..messages(amount) {
        loop {
            let room = end.transport.queued(0, 0).is_none_or(|bytes| bytes + SIZE <= MOST_QUEUED);
            let stamp = Stamp { at: clock::now_ns(), number: number as u32, tag: Tag::Data };
            if room && end.send(&MESSAGE, SIZE, stamp)? == Sent::Taken {
                break;
            }
            end.poll(PAUSE, |_| complete = true)?;
        }
        end.poll(Duration::ZERO, |_| complete = true)?;
    }
    end.transport.flush();
    while !complete {
        end.poll(Duration::from_millis(1), |_| complete = true)?;
    }
    Ok(json!({ "cpu_ns": clock::cpu_ns() - cpu }))
}

fn server(end: &mut End, amount: &Amount) -> io::Result<Value> {
    end.meet(1)?;
    let cpu = clock::cpu_ns();
    let (mut delivered, mut bytes, mut began, mut last) = (0, 0u64, None, 0);
    while delivered < messages(amount) {
        end.poll(Duration::from_millis(100), |got| {
            delivered += 1;
            bytes += got.size as u64;
            began.get_or_insert(got.stamp.at);
        })?;
        last = clock::now_ns();
    }
    let seconds = (last - began.unwrap_or(last)) as f64 / 1e9;
    let cpu = clock::cpu_ns() - cpu;
    end.send(&PROMPT, 16, Stamp { at: last, number: 0, tag: Tag::Credit })?;
    Ok(json!({ "delivered": delivered, "bytes": bytes, "seconds": seconds, "cpu_ns": cpu }))
}
