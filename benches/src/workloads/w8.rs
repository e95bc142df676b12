//! W8, connect: from the first wish to talk to the first message delivered, again and again with a new client.

use super::end::End;
use super::{Amount, Workload};
use serde_json::{Value, json};
use std::io;
use std::time::Duration;

pub const WORKLOAD: Workload = Workload { name: "w8", message_bytes: 16, client, server };

fn client(end: &mut End, amount: &Amount) -> io::Result<Value> {
    for round in 0..amount.rounds {
        if round > 0 {
            end.reopen()?;
        }
        end.meet(1)?;
    }
    end.part()?;
    Ok(json!({}))
}

/// The greeting is the first message; its stamp is from before the connect.
fn server(end: &mut End, _: &Amount) -> io::Result<Value> {
    end.meet(1)?;
    while end.done == 0 {
        end.poll(Duration::from_millis(20), |_| ())?;
    }
    let connects_ms: Vec<f64> = end.greetings.iter().map(|ns| *ns as f64 / 1e6).collect();
    Ok(json!({ "delivered": connects_ms.len(), "connects_ms": connects_ms }))
}
