//! Every checker can fail: each planted bug is found, and by nobody but the checker that is meant to.

use std::collections::BTreeMap;

use sim::{Bug, run_seed};

const SEEDS: std::ops::Range<u64> = 0..60;
/// Found often enough.
const ENOUGH: usize = 3;

#[test]
fn every_planted_bug_is_found_by_its_checker_alone() {
    std::panic::set_hook(Box::new(|_| {}));
    let mut missed = Vec::new();
    for bug in Bug::ALL.iter().copied() {
        let mut found: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for seed in SEEDS {
            if let Err(failure) = run_seed(seed, Some(bug)) {
                found.entry(failure.violation.checker).or_default().push(seed);
            }
            if found.values().map(Vec::len).sum::<usize>() >= ENOUGH {
                break;
            }
        }
        if found.keys().copied().collect::<Vec<_>>() != [bug.checker()] {
            missed.push(format!("{}: {found:?}, not {}", bug.name(), bug.checker()));
        }
    }
    drop(std::panic::take_hook());
    assert!(missed.is_empty(), "{missed:#?}");
}
