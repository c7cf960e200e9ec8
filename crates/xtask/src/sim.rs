//! `cargo xtask sim`: the simulator, with the assertions of a debug build at the speed of a release.

use anyhow::Result;

use crate::process;

pub(crate) fn run(args: &[String]) -> Result<()> {
    process::run(process::cargo(&["run", "--profile", "sim", "-p", "sim", "--"]).args(args))
}
