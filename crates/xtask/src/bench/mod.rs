//! `cargo xtask bench`: what is measured of the product, as far as a repository can judge it.

mod check;
mod compare;
mod contestant;
mod outcome;
mod peers;
mod pinned;
mod raw;
mod scenario;
mod table;

use anyhow::{Result, bail};

pub(crate) fn run(args: &[String]) -> Result<()> {
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--check"] => check::check(),
        ["--update"] => check::update(),
        ["compare", rest @ ..] => compare::run(rest),
        ["install-peers", rest @ ..] => peers::install(rest),
        _ => bail!(
            "--check compares instruction counts with those written down, --update writes them down,\n\
             compare measures the server against others, install-peers installs those\n\
             (their options: docs/performance.md)"
        ),
    }
}
