//! `steamnetmsg-server`: certificates, signals, STUN and TURN for users of libsteamnetmsg, in one program.
//!
//! | room | decides |
//! | --- | --- |
//! | [`args`], [`config`] | what it is to do, and everything that may be wrong with that |
//! | [`networks`], [`limits`] | which addresses are whose, and how much one may have |
//! | [`tls`], [`serve`], [`http`] | what is listened on for HTTP, and what is answered |
//! | [`rendezvous`] | who is who, and who hears whom |
//! | [`turn`] | STUN, and who may relay what to whom |
//! | [`credentials`] | what a relay's credentials look like |
//! | [`counters`] | what is counted |
//! | [`run`] | how it all begins and ends |

mod args;
mod config;
mod counters;
mod credentials;
mod http;
mod limits;
mod networks;
mod random;
mod rendezvous;
mod run;
mod serve;
mod tls;
mod turn;

use clap::Parser;
use std::process::ExitCode;

pub(crate) use random::random;

fn main() -> ExitCode {
    let args = args::Args::parse();
    match run::run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("steamnetmsg-server: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}
