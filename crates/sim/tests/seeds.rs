//! A part of the seeds that `cargo xtask sim` runs, and the same seed twice.

use sim::{run_seed, run_seeds};

#[test]
fn the_invariants_hold_over_some_hundred_seeds() {
    let outcome = run_seeds(0, 300, None);
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn one_seed_is_one_run() {
    for seed in 0..5 {
        let (one, other) = (run_seed(seed, None), run_seed(seed, None));
        assert_eq!(one.map_err(|f| f.violation), other.map_err(|f| f.violation), "seed {seed}");
    }
}
