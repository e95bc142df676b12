//! The program from outside: the real binary on 127.0.0.1, and clients that were written from the documents.

// What runs in real time is waited for in real time; nothing here is measured.
#![allow(clippy::disallowed_methods)]

mod config;
mod http;
mod kit;
mod logins;
mod relaying;
mod signals;
mod strangers;
mod stun;
