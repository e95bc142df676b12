//! The commands: what each is asked with, and how the program ends.
//!
//! What a command answers goes to stdout, so that a script can take it; what a person should know beside it, and every
//! error, goes to stderr. Exit codes: 0 done; 1 the answer is no (refused, expired, not reached); 2 the command line
//! is wrong; 3 a file, or the network, could not be used.

mod cert;
mod endpoint;
mod keys;
mod listen;
mod ping;
mod token;

use crate::files::FileError;
use clap::{Parser, Subcommand};
use std::io::{self, Write};
use std::process::ExitCode;
use steamnetmsg::ids::{AppId, SteamId};

/// APP_ID of an endpoint nobody configured.
const DEFAULT_APP: &str = "480";

/// More than any certificate has, bytes, so that one that is a little too long is told so by who reads it.
const MAX_CERTIFICATE_FILE: usize = 4_096;

/// Keys, certificates and tokens for libsteamnetmsg, and two endpoints to try a line with.
#[derive(Debug, Parser)]
#[command(
    name = "steamnetmsg",
    version,
    after_help = "Exit codes: 0 done; 1 the answer is no (refused, expired, not \
    reached); 2 the command line is wrong; 3 a file, or the network, could not be used."
)]
pub struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The key that certifies players; keep it off their machines
    #[command(subcommand)]
    Authority(keys::Command),
    /// The key that is a player
    #[command(subcommand)]
    Identity(keys::Command),
    /// The key with which a game's backend signs login tokens
    #[command(subcommand)]
    Backend(keys::Command),
    /// An authority's word that a steam id belongs to an identity key
    #[command(subcommand)]
    Cert(cert::Command),
    /// A backend's word on the same, for a server that hands out certificates
    #[command(subcommand)]
    Token(token::Command),
    /// Opens a session to a steam id and measures round trips; the other end must echo, as `listen` does
    Ping(ping::Options),
    /// Accepts everybody who may enter, says who came, and echoes
    Listen(listen::Options),
}

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The answer is no.
    #[error("{0}")]
    Refused(String),
    /// The command line contradicts itself in a way only the command sees.
    #[error("{0}")]
    Usage(String),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The network, or the system.
    #[error("{0}")]
    System(String),
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Failure::Refused(_) => 1,
            Failure::Usage(_) => 2,
            Failure::File(_) | Failure::System(_) => 3,
        }
    }
}

/// Runs the command and says on stderr why it failed, if it did.
pub fn run(program: Program) -> ExitCode {
    use crate::keys::Purpose;
    let done = match program.command {
        Command::Authority(command) => keys::run(command, Purpose::Authority),
        Command::Identity(command) => keys::run(command, Purpose::Identity),
        Command::Backend(command) => keys::run(command, Purpose::Backend),
        Command::Cert(command) => cert::run(command),
        Command::Token(command) => token::run(command),
        Command::Ping(options) => ping::run(&options),
        Command::Listen(options) => listen::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("steamnetmsg: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Says a line on stdout. Nobody may be reading any more, and that is an error, not a panic.
fn say(line: impl std::fmt::Display) -> Result<(), Failure> {
    writeln!(io::stdout().lock(), "{line}").map_err(|e| Failure::System(format!("cannot write the answer: {e}")))
}

fn steam_id(text: &str) -> Result<SteamId, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a steam id is a decimal number of 64 bits, not 0".to_owned()),
        Ok(id) => Ok(SteamId(id)),
    }
}

fn app_id(text: &str) -> Result<AppId, String> {
    text.parse().map(AppId).map_err(|_| "an app id is a decimal number of 32 bits".to_owned())
}

#[cfg(test)]
mod tests {
    use super::Program;
    use clap::CommandFactory;

    #[test]
    fn no_command_contradicts_itself() {
        Program::command().debug_assert();
    }
}
