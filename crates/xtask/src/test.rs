//! `cargo xtask test`: the tests of every crate. Ends at the last test, not at the first failure.

use anyhow::Result;

use crate::process::{cargo, run_counted};
use crate::totals::Totals;

pub(crate) fn run(args: &[String]) -> Result<()> {
    let mut totals = Totals::default();
    let outcome =
        run_counted(cargo(&["test", "--workspace", "--no-fail-fast"]).args(args), &mut totals);
    println!("{totals}");
    outcome
}

/// As [`run`], for a caller that adds up several suites.
pub(crate) fn run_into(totals: &mut Totals) -> Result<()> {
    run_counted(&mut cargo(&["test", "--workspace", "--no-fail-fast"]), totals)
}
