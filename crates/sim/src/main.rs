//! The command line of the simulator.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use sim::{Bug, Stats, run_seeds, say, trace_seed};

/// Runs the node in simulated worlds and checks that its invariants hold.
#[derive(Parser)]
struct Args {
    /// Run this seed only
    #[arg(long)]
    seed: Option<u64>,
    /// How many seeds to run
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Plant a bug, to see that it is found
    #[arg(long, value_parser = bug)]
    planted: Option<Bug>,
    /// Print everything that happens (with --seed)
    #[arg(long)]
    trace: bool,
}

fn bug(name: &str) -> Result<Bug, String> {
    let names = || Bug::ALL.iter().map(|bug| bug.name()).collect::<Vec<_>>().join(", ");
    Bug::parse(name).ok_or_else(|| format!("one of: {}", names()))
}

fn main() -> ExitCode {
    let args = Args::parse();
    // A panic of the node is caught and reported as what it is: a violation.
    std::panic::set_hook(Box::new(|_| {}));
    let started = Instant::now();
    let (from, count) = args.seed.map_or((args.from, args.seeds), |seed| (seed, 1));
    let outcome = if args.trace && count == 1 {
        trace_seed(from, args.planted)
    } else {
        run_seeds(from, count, args.planted)
    };
    match outcome {
        Ok(stats) => {
            say(&summary(count, stats, started.elapsed().as_secs_f64()));
            ExitCode::SUCCESS
        }
        Err(failure) => {
            say(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}

fn summary(count: u64, stats: Stats, seconds: f64) -> String {
    let Stats { happenings, frames, ms } = stats;
    let hours = ms / 3_600_000;
    format!(
        "{count} seeds in {seconds:.1} s ({:.0} seeds/s): {hours} hours of virtual time, {frames} frames, {happenings} happenings, no violation",
        count as f64 / seconds
    )
}
