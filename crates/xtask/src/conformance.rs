//! `cargo xtask conformance`: public test suites, run unmodified against this server.

mod autobahn;
mod suite;

use anyhow::{Result, bail};

pub(crate) fn run(args: &[String]) -> Result<()> {
    match args.split_first() {
        Some((name, [])) if name == "autobahn" => autobahn::run(),
        Some((name, rest)) if name == "suite" => suite::run(rest),
        _ => bail!("which one? autobahn, or suite SCRIPT [ARGS…]"),
    }
}
