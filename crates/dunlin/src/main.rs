//! The binary: configuration, command line, signals, and the wiring of gateway, node and store.
//!
//! Exit codes: 0 after an orderly end, 2 if the command line or the configuration is at fault, 1 for
//! everything else.

mod banner;
mod bench;
mod cli;
mod clock;
mod config;
mod data_dir;
mod driver;
mod files;
mod keys;
mod listen;
mod serve;
mod server;
mod settings;
mod signals;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Command};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The command line or the configuration is at fault; clap's own code for it.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(args) => serve::run(args),
        Command::Keys(args) => keys::run(args),
        Command::Bench(args) => bench::run(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure.error);
            failure.code
        }
    }
}

/// Why a command ended.
struct Failure {
    error: anyhow::Error,
    code: ExitCode,
}

impl Failure {
    fn of_configuration(error: anyhow::Error) -> Self {
        Self { error, code: ExitCode::from(USAGE) }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { error, code: ExitCode::FAILURE }
    }
}

fn complain(error: &anyhow::Error) {
    if writeln!(std::io::stderr(), "error: {error:#}").is_err() {
        tracing::error!("{error:#}");
    }
}
