//! How many tests passed and failed, read from the lines that test programs print.

use std::fmt;

/// The sum over all lines that look like `N passed, M failed` or `N passed; M failed`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Totals {
    /// Adds the figures of one line, if it has both of them.
    pub(crate) fn add_line(&mut self, line: &str) {
        if let (Some(passed), Some(failed)) = (count(line, "passed"), count(line, "failed")) {
            self.passed += passed;
            self.failed += failed;
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// The number directly before `word`.
fn count(line: &str, word: &str) -> Option<u64> {
    let mut words = line.split_whitespace();
    let mut before = words.next()?;
    for current in words {
        if current.trim_end_matches([',', ';', '.']) == word {
            return before.parse().ok();
        }
        before = current;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_and_plain_lines_are_added_up() {
        let mut totals = Totals::default();
        for line in [
            "running 14 tests",
            "test result: ok. 12 passed; 2 failed; 0 ignored; 0 measured",
            "30 passed, 1 failed",
            "the test passed, nothing failed",
            "5 passed",
        ] {
            totals.add_line(line);
        }
        assert_eq!(totals.to_string(), "42 passed, 3 failed");
    }
}
