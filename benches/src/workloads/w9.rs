//! W9, path change: the messages of W4 over a line whose NAT forgets them in the middle of it.

use super::{Workload, w4};

pub const WORKLOAD: Workload = Workload { name: "w9", message_bytes: w4::SIZE, client: w4::ticks, server: w4::ticks };
