//! `cargo xtask ci`: what continuous integration runs, in the order in which mistakes are cheapest
//! to find. A failing step does not stop the ones after it: one run tells everything.
//!
//! The last line is `N passed, M failed`, over the tests of the workspace and the end-to-end runs.

use anyhow::{Result, bail};

use crate::process::{self, cargo};
use crate::totals::Totals;
use crate::{check, e2e, fuzz, sim, test};

/// Simulated runs per build: as many as fit in the time a change may take to be judged.
const SEEDS: &str = "10000";
/// How long each fuzz target runs per build.
const FUZZ_SECONDS: &str = "30";

type Step = fn(&mut Totals) -> Result<()>;

const STEPS: &[(&str, Step)] = &[
    ("check", |_| check::run(&[])),
    ("test", test::run_into),
    ("sim", |_| sim::run(&["--seeds".into(), SEEDS.into()])),
    ("fuzz", |_| fuzz::run(&["--seconds".into(), FUZZ_SECONDS.into()])),
    ("build", |_| process::run(&mut cargo(&["build", "-p", "dunlin"]))),
    ("e2e", e2e::run_into),
];

pub(crate) fn run(_args: &[String]) -> Result<()> {
    let mut totals = Totals::default();
    let mut failed = Vec::new();
    for (name, step) in STEPS {
        let started = std::time::Instant::now();
        println!("== {name}");
        let outcome = step(&mut totals);
        println!("== {name}: {} s", started.elapsed().as_secs());
        if let Err(error) = outcome {
            eprintln!("== {name} failed: {error:#}");
            failed.push(*name);
        }
    }
    if totals.failed > 0 && failed.is_empty() {
        failed.push("counted tests");
    }
    if !failed.is_empty() {
        println!("failed: {}", failed.join(", "));
    }
    println!("{totals}");
    if failed.is_empty() { Ok(()) } else { bail!("{} failed", failed.join(", ")) }
}
