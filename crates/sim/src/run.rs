//! One seed is one run: a safety phase with faults, a liveness phase without, and the end of all use.
//! Many seeds run on all processors; each is alone on its thread.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;

use crate::checkers::Verdict;
use crate::planted::Bug;
use crate::report::{Failure, Stats, Trace};
use crate::setup::Setup;
use crate::world::World;

/// After everybody has left: longer than sessions, logs and ids are kept.
const IDLE_MS: u64 = 600_000;

/// Runs one seed. A failure is run again to learn what happened last.
pub fn run_seed(seed: u64, bug: Option<Bug>) -> Result<Stats, Failure> {
    let (world, verdict) = simulate(seed, bug, Trace::Off);
    match verdict {
        Ok(()) => Ok(world.stats),
        Err(violation) => {
            let (world, _) = simulate(seed, bug, Trace::Tail(VecDeque::new()));
            Err(Failure { seed, violation, tail: world.into_trace().tail() })
        }
    }
}

/// Runs one seed and prints all that happens.
pub fn trace_seed(seed: u64, bug: Option<Bug>) -> Result<Stats, Failure> {
    let (world, verdict) = simulate(seed, bug, Trace::Print);
    let stats = world.stats;
    verdict.map(|()| stats).map_err(|violation| Failure { seed, violation, tail: Vec::new() })
}

/// Runs the seeds `from..from + count`; the figures of all, or the first failure that was found.
pub fn run_seeds(from: u64, count: u64, bug: Option<Bug>) -> Result<Stats, Failure> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, failed) = (AtomicU64::new(from), AtomicBool::new(false));
    let outcome = Mutex::new((Stats::default(), None::<Failure>));
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= from + count {
                break;
            }
            let result = run_seed(seed, bug);
            let Ok(mut outcome) = outcome.lock() else { break };
            match result {
                Ok(stats) => outcome.0.add(stats),
                Err(failure) => {
                    failed.store(true, Ordering::Relaxed);
                    outcome.1.get_or_insert(failure);
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let (stats, failure) = outcome.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    failure.map_or(Ok(stats), Err)
}

fn simulate(seed: u64, bug: Option<Bug>, trace: Trace) -> (World, Verdict) {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    let setup = Setup::draw(&mut rng);
    let duration = setup.duration;
    let mut world = World::new(setup, rng, bug, trace);
    let started = world.now;
    let verdict = phases(&mut world, duration);
    world.stats.ms = world.now.0 - started.0;
    (world, verdict)
}

fn phases(world: &mut World, duration: u64) -> Verdict {
    world.begin()?;
    world.run_for(duration)?;
    world.settle()?;
    world.check_settled()?;
    world.leave()?;
    world.run_for(IDLE_MS)?;
    world.check_idle()
}
