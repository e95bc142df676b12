//! The `steamnetmsg` program: reads its command line and ends with the command's exit code.

use clap::Parser;
use std::process::ExitCode;
use steamnetmsg_tool::commands::{Program, run};

fn main() -> ExitCode {
    run(Program::parse())
}
