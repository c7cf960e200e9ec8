//! `cargo xtask check`: everything that can be judged without running the product.

use anyhow::Result;

use crate::process::{cargo, run as run_tool};
use crate::tidy;

pub(crate) fn run(_args: &[String]) -> Result<()> {
    run_tool(&mut cargo(&["fmt", "--all", "--check"]))?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    run_tool(&mut cargo(&clippy))?;
    run_tool(&mut cargo(&["doc", "--workspace", "--no-deps", "--quiet"]))?;
    tidy::run(&[])
}
