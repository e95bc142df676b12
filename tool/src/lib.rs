//! Keys, certificates and tokens: what the `steamnetmsg` program and a server that hands out certificates share.
//!
//! | room | decides |
//! | --- | --- |
//! | [`keys`] | what a key is for, and how one is written |
//! | [`files`] | how secrets lie on disk: never overwritten unasked, never readable by others |
//! | [`token`] | what a backend's login token says, and when it is refused |
//! | [`jws`] | nothing: it lets `jsonwebtoken` sign and verify with `ring` |
//! | [`clock`] | what time it is |
//! | [`commands`] | the program: what each command does, prints and answers |
//!
//! Like the library, only the rooms at the windows read a clock: [`token`] is told the time.

pub mod clock;
pub mod commands;
pub mod files;
pub mod jws;
pub mod keys;
pub mod token;
