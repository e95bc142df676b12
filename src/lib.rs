//! Peer-to-peer messages by steam id.
//!
//! The house has floors; each file imports only from floors below its own (a test holds it to that):
//!
//! | floor | rooms | decides |
//! | --- | --- | --- |
//! | 6 | [`ffi`] | the C door: guard, check, call; the only place with `unsafe` |
//! | 5 | [`driver`] | the only windows: clock, sockets, threads |
//! | – | [`machine`] | the wall: what a driver may ask of the core |
//! | 4 | [`endpoint`] | who we are: sessions, routes, mailbox, config |
//! | 3 | [`session`] | one peer as the app sees it; one keyed connection at a time |
//! | 2 | [`transport`], [`path`], [`relay`] | how messages travel; where datagrams go; our place on a TURN server |
//! | 1 | [`wire`], [`crypto`] | bytes ↔ values; sealed ↔ open |
//! | 0 | [`time`], [`ids`], [`ranges`], [`drops`], [`settings`] | words |
//!
//! Floors 0–4 are pure: they take the time, a seed and bytes, and give back bytes, a deadline and events.
//! The stable interface is the C header `include/steamnetmsg.h`; the Rust modules are public for the
//! tests and the fuzzer and may change in any release.

pub mod drops;
pub mod ids;
pub mod ranges;
pub mod settings;
pub mod time;

pub mod crypto;
pub mod wire;

pub mod path;
pub mod relay;
pub mod transport;

pub mod session;

pub mod endpoint;

pub mod machine;

pub mod driver;

pub mod ffi;
