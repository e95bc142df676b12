//! W4, game tick: both ends send a 100-byte reliable message 60 times a second, over a line that loses packets.

use super::arrivals::Arrivals;
use super::end::{End, PROMPT, Stamp, Tag};
use super::pace::Pace;
use super::{Amount, Workload};
use crate::clock;
use crate::transport::Sent;
use serde_json::Value;
use std::io;
use std::time::Duration;

pub const WORKLOAD: Workload = Workload { name: "w4", message_bytes: SIZE, client: ticks, server: ticks };

/// Bytes of a tick's message.
pub const SIZE: usize = 100;

/// What has not come so long after the last was sent is lost, ns.
pub const GRACE_NS: u64 = 10_000_000_000;

/// What each end does.
pub fn ticks(end: &mut End, amount: &Amount) -> io::Result<Value> {
    end.meet(1)?;
    let begin = clock::now_ns();
    let until = begin + (amount.seconds * 1e9) as u64 + GRACE_NS;
    let mut pace = Pace::new(begin, amount.hz, amount.seconds);
    let mut arrivals = Arrivals::default();
    while !pace.is_over() || arrivals.count() < pace.count() {
        let now = clock::now_ns();
        if now > until {
            break;
        }
        tick(end, &mut pace, now)?;
        end.poll(pace.wait(now, Duration::from_millis(20)), |got| arrivals.handle(got))?;
    }
    Ok(arrivals.json(pace.count()))
}

/// Sends the messages that are due; what is not taken is sent later, late as it is, with the stamp of that time.
pub fn tick(end: &mut End, pace: &mut Pace, now: u64) -> io::Result<()> {
    while let Some(number) = pace.take(now) {
        let stamp = Stamp { at: clock::now_ns(), number: number as u32, tag: Tag::Data };
        if end.send(&PROMPT, SIZE, stamp)? == Sent::Full {
            pace.put_back();
            break;
        }
    }
    Ok(())
}
