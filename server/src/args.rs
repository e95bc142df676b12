//! The command line. Whatever it says goes before the configuration file.

use clap::{Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where users of libsteamnetmsg find each other: certificates, signals, STUN and TURN in one program.
#[derive(Debug, Default, Parser)]
#[command(
    name = "steamnetmsg-server",
    version,
    after_help = "Try it:    steamnetmsg-server --dev\n\
        The first line on stdout is JSON and says where it listens. SIGHUP reads the TLS files anew; SIGTERM and \
        SIGINT end it.\n\
        Exit codes: 0 ended as asked, or the configuration is good; 1 something broke; 2 the command line, the \
        configuration, or a file it names is wrong; 3 an address cannot be listened on (taken, or not allowed)."
)]
pub struct Args {
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The configuration, in TOML; every key is in the server's README
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// For trying out, on this machine alone: an authority made on the spot certifies whoever logs in
    #[arg(long, global = true)]
    pub dev: bool,
    /// Like --dev, and for everybody who can reach this machine: for a network you trust
    #[arg(long, global = true)]
    pub dev_anywhere: bool,
    /// Where to take WebSockets and HTTP; several times for several addresses [default: [::]:8765, with --dev 127.0.0.1:8765]
    #[arg(long, value_name = "ADDRESS:PORT", global = true)]
    pub listen: Vec<SocketAddr>,
    /// Another port for --listen; 0 takes any that is free, and for STUN and TURN too
    #[arg(long, value_name = "PORT", global = true)]
    pub port: Option<u16>,
    /// The port of STUN and TURN, UDP and TCP; 0 takes any that is free [default: 3478]
    #[arg(long, value_name = "PORT", global = true)]
    pub turn_port: Option<u16>,
    /// What to write to stderr: error, warn, info or debug [default: info]
    #[arg(long, value_name = "LEVEL", global = true)]
    pub log: Option<tracing::Level>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Command {
    /// Reads the configuration and every file it names, says what is wrong, and listens nowhere
    CheckConfig,
}
