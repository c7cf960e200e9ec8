//! The command line. A doc comment here is the help that people read; each command has a file of
//! its own.

use clap::{Parser, Subcommand};

use crate::bench::BenchArgs;
use crate::keys::KeysArgs;
use crate::serve::ServeArgs;

/// A realtime messaging platform that you run yourself.
#[derive(Debug, Parser)]
#[command(name = "dunlin", version, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(ServeArgs),
    Keys(KeysArgs),
    Bench(BenchArgs),
}
