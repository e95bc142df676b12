//! W3, ping-pong: a 64-byte reliable message there and back, one at a time.

use super::end::{End, PROMPT, Stamp, Tag};
use super::{Amount, Workload};
use crate::clock;
use crate::transport::Sent;
use serde_json::{Value, json};
use std::io;
use std::time::Duration;

pub const WORKLOAD: Workload = Workload { name: "w3", message_bytes: SIZE, client, server };

const SIZE: usize = 64;
const PATIENCE: Duration = Duration::from_millis(100);

fn client(end: &mut End, amount: &Amount) -> io::Result<Value> {
    end.meet(1)?;
    let cpu = clock::cpu_ns();
    let mut trips_us = Vec::new();
    for number in 0..amount.rounds {
        let at = clock::now_ns();
        send(end, Stamp { at, number, tag: Tag::Data })?;
        let mut back = false;
        while !back {
            end.poll(PATIENCE, |got| back |= got.stamp.number == number)?;
        }
        trips_us.push((clock::now_ns() - at) as f64 / 1e3);
    }
    let cpu = clock::cpu_ns() - cpu;
    end.part()?;
    Ok(json!({ "delivered": trips_us.len(), "trips_us": trips_us, "cpu_ns": cpu }))
}

fn server(end: &mut End, _: &Amount) -> io::Result<Value> {
    end.meet(1)?;
    let cpu = clock::cpu_ns();
    let mut pings = Vec::new();
    while end.done == 0 {
        end.poll(PATIENCE, |got| pings.push(got.stamp))?;
        pings.drain(..).try_for_each(|ping| send(end, ping))?;
    }
    Ok(json!({ "cpu_ns": clock::cpu_ns() - cpu }))
}

fn send(end: &mut End, stamp: Stamp) -> io::Result<()> {
    while end.send(&PROMPT, SIZE, stamp)? == Sent::Full {
        end.poll(Duration::from_micros(50), |_| ())?;
    }
    Ok(())
}
