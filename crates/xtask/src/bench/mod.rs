//! `cargo xtask bench`: what is measured of the product, as far as a repository can judge it.

mod check;

use anyhow::{Result, bail};

pub(crate) fn run(args: &[String]) -> Result<()> {
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--check"] => check::check(),
        ["--update"] => check::update(),
        _ => bail!(
            "--check compares instruction counts with those written down, --update writes them down"
        ),
    }
}

/// As [`run`] with `--check`, for a caller that runs everything.
pub(crate) fn check() -> Result<()> {
    check::check()
}
