//! Bytes ↔ values: what every datagram of ours looks like.
//!
//! This room decides layouts and nothing else: it knows no key, no time and no state. Reading is total:
//! any bytes give a value or an error, never a panic, and nothing is allocated for what was not checked.
//! Writing and reading are inverse; where a value has one encoding only, others are refused.
//! Integers are big endian unless they are [`varint`]s.

pub mod ack;
pub mod candidate;
pub mod codec;
pub mod frame;
pub mod identity;
pub mod packet;
pub mod params;
pub mod varint;
