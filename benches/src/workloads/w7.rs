//! W7, lossy bulk: the download of W5 alone, over a narrow line that loses packets.

use super::end::End;
use super::{Amount, Workload, w5};
use serde_json::Value;
use std::io;

pub const WORKLOAD: Workload = Workload { name: "w7", message_bytes: w5::BULK_SIZE, client, server };

fn client(end: &mut End, amount: &Amount) -> io::Result<Value> {
    w5::upload(end, amount, NO_GAME)
}

fn server(end: &mut End, amount: &Amount) -> io::Result<Value> {
    w5::receive(end, amount, NO_GAME)
}

/// Messages a second that make none in any time there is.
const NO_GAME: f64 = 1e-9;
