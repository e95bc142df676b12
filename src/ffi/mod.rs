//! The C door: guard, check, call. Nothing is decided here that the floors below could decide.
//!
//! Every function of `include/steamnetmsg.h` is declared in this room, and the header's prose is its doc
//! comments. Invariants: no panic crosses the boundary ([`answer`]); a handle is a number looked up in a
//! table, never a pointer followed ([`handles`]); nothing of the app runs under a lock of ours, and nothing
//! of ours waits for a callback from inside it ([`callback`]); no thread of the app gets a thread-local
//! with a destructor from us, so that the library can be unloaded ([`thread`]).
//!
//! This is the only room with `unsafe`. It is about two things: pointers the caller vouches for, under the
//! contract the header states, and function pointers of the caller's.

#![allow(unsafe_code, non_camel_case_types, clippy::missing_safety_doc)]

mod answer;
mod callback;
mod handles;
mod pointers;
mod thread;

pub mod codes;
pub mod config;
pub mod events;
pub mod keys;
pub mod life;
pub mod log;
pub mod messages;
pub mod settings;
pub mod signaling;
pub mod structs;
