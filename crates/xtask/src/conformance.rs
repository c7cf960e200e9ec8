//! `cargo xtask conformance`: suites that are written against the protocol rather than against this
//! server. Without arguments those that the repository contains: published client libraries end to
//! end, and Autobahn. Others by their path.

mod autobahn;
mod suite;

use anyhow::Result;

use crate::e2e;

pub(crate) fn run(args: &[String]) -> Result<()> {
    match args.split_first() {
        None => e2e::run(&[]).and(autobahn::run()),
        Some((name, [])) if name == "autobahn" => autobahn::run(),
        Some((path, rest)) => suite::run(path, rest),
    }
}
