//! `authority`, `identity` and `backend`: making a key, and showing the public half of one.

use super::{Failure, say};
use crate::files::{Secrecy, file_for, read_secret, write_new};
use crate::keys::{Purpose, SecretKey};
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Makes a key and prints its public half, in base64url
    New(New),
    /// Prints the public half of a key, in base64url
    Show(Show),
}

#[derive(Debug, Args)]
pub(super) struct New {
    /// Where the key goes: a file, or a directory that gets authority.key, identity.key or backend.key
    #[arg(long, value_name = "DIR|FILE")]
    out: PathBuf,
    /// Replace a key that is there. It is gone then.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The key file
    file: PathBuf,
    /// Read the key though others than its owner may read it too
    #[arg(long)]
    allow_open_permissions: bool,
}

pub(super) fn run(command: Command, purpose: Purpose) -> Result<(), Failure> {
    match command {
        Command::New(new) => make(&new, purpose),
        Command::Show(show) => say(read_secret(&show.file, purpose, show.allow_open_permissions)?.public()),
    }
}

fn make(new: &New, purpose: Purpose) -> Result<(), Failure> {
    let key = SecretKey::generate(purpose).ok_or_else(|| {
        Failure::System("the system gives no random numbers; is getrandom or /dev/urandom blocked?".to_owned())
    })?;
    let path = file_for(&new.out, &format!("{purpose}.key"));
    write_new(&path, &key.encode(), Secrecy::Secret, new.force)?;
    eprintln!("the secret key of {} is in {}; its public key:", purpose.one(), path.display());
    say(key.public())
}
