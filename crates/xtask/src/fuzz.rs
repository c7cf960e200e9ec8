//! `cargo xtask fuzz`: coverage-guided fuzzing on the stable compiler.
//!
//! The targets are the binaries of the workspace in `fuzz/`, written with `fuzz_target!`. They are
//! built here with the coverage instrumentation that libFuzzer reads, for an explicit target, so
//! that build scripts stay as they are. No sanitizer: there is no unsafe code to watch over.

use anyhow::{Context, Result, bail, ensure};

use crate::process::{self, cargo, root, target_dir};
use crate::tidy::manifest;

const SECONDS: &str = "60";

/// Instruments edges with counters and comparisons with their operands; keeps assertions.
const RUSTFLAGS: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg=fuzzing",
    "-Cdebug-assertions",
    "-Ccodegen-units=1",
];

/// An input that takes longer than this is a finding.
const INPUT_SECONDS_MAX: u32 = 10;
/// A target that uses more memory than this is a finding.
const MEMORY_MIB_MAX: u32 = 2048;

pub(crate) fn run(args: &[String]) -> Result<()> {
    let mut seconds = SECONDS;
    let mut chosen = None;
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--seconds" {
            seconds = args.next().context("--seconds needs a number")?;
        } else {
            chosen = Some(arg.as_str());
        }
    }
    let seconds: u32 = seconds.parse().context("--seconds needs a number")?;
    for target in &targets(chosen)? {
        fuzz(target, seconds)?;
    }
    Ok(())
}

/// The chosen target, or all that `fuzz/Cargo.toml` declares.
fn targets(chosen: Option<&str>) -> Result<Vec<String>> {
    let text =
        std::fs::read_to_string(root().join("fuzz/Cargo.toml")).context("read fuzz/Cargo.toml")?;
    let all = manifest::binaries(&text);
    ensure!(!all.is_empty(), "fuzz/Cargo.toml declares no [[bin]]");
    match chosen {
        None => Ok(all),
        Some(name) if all.iter().any(|target| target == name) => Ok(vec![name.to_owned()]),
        Some(name) => bail!("no target {name}; there are {}", all.join(", ")),
    }
}

fn fuzz(target: &str, seconds: u32) -> Result<()> {
    let corpus = root().join("fuzz/corpus").join(target);
    let artifacts = root().join("fuzz/artifacts").join(target);
    for folder in [&corpus, &artifacts] {
        std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    let mut command = cargo(&["run", "--release", "--manifest-path", "fuzz/Cargo.toml"]);
    command.args(["--target", &process::host()?, "--bin", target]);
    command.arg("--target-dir").arg(target_dir().join("fuzz"));
    command.arg("--").arg(&corpus);
    command.arg(format!("-artifact_prefix={}/", artifacts.display()));
    command.arg(format!("-max_total_time={seconds}"));
    command.arg(format!("-timeout={INPUT_SECONDS_MAX}"));
    command.arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"));
    command.env("CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS.join("\x1f"));
    process::run(&mut command)
}
