//! A part of the seeds that `cargo xtask sim` runs, and the same seed twice.

use sim::{run_seed, run_seeds};

#[test]
fn the_invariants_hold_over_some_hundred_seeds() {
    let outcome = run_seeds(0, 300, None);
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

/// An ENTER that was under way when the application detached, which attached again before the connection was
/// lost, is sent again with the next one.
#[test]
fn whoever_detached_may_be_entered_by_what_was_under_way() {
    assert!(run_seed(34_179, None).is_ok());
}

/// What the checker read counted against the limits, and kept an app beyond its rate.
#[test]
fn an_app_beyond_its_rate_is_served_again_once_less_is_published() {
    for seed in [600_293, 604_969] {
        assert!(run_seed(seed, None).is_ok(), "{seed}");
    }
}

#[test]
fn one_seed_is_one_run() {
    for seed in 0..5 {
        let (one, other) = (run_seed(seed, None), run_seed(seed, None));
        assert_eq!(one.map_err(|f| f.violation), other.map_err(|f| f.violation), "seed {seed}");
    }
}
