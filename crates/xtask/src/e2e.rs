//! `cargo xtask e2e`: starts the real binary and drives it with published client libraries.
//!
//! The tests are `tests/e2e/run.sh BINARY [PATTERN]`, which installs the client libraries by itself.
//! Its exit code is the verdict, its last line of the form `N passed, M failed` the count.

use anyhow::Result;

use crate::process::{self, cargo, root, target_dir, tool};
use crate::totals::Totals;

pub(crate) fn run(args: &[String]) -> Result<()> {
    build_and_test(args, &mut Totals::default())
}

/// As [`run`], for a caller that adds up several suites.
pub(crate) fn run_into(totals: &mut Totals) -> Result<()> {
    build_and_test(&[], totals)
}

fn build_and_test(args: &[String], totals: &mut Totals) -> Result<()> {
    process::run(&mut cargo(&["build", "-p", "dunlin"]))?;
    let mut suite = tool(root().join("tests/e2e/run.sh"));
    suite.arg(target_dir().join("debug/dunlin")).args(args);
    process::run_counted(&mut suite, totals)
}
