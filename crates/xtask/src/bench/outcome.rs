//! What `dunlin bench --json` says of one run, and how runs of several rounds become one number.
//! Results are kept as they are; nothing is computed here that the generator could tell.

use anyhow::{Context, Result};
use serde_json::Value;

/// One run of the generator against one server.
#[derive(Clone, Debug)]
pub(super) struct Outcome(pub(super) Value);

impl Outcome {
    /// Reads the object that is printed last: what comes before it is progress.
    ///
    /// # Errors
    /// There is none, or it has no verdict.
    pub(super) fn parse(printed: &str) -> Result<Self> {
        let object = printed.find('{').and_then(|at| printed.get(at..)).context("no result")?;
        let value: Value = serde_json::from_str(object).context("the result is not JSON")?;
        value.get("verdict").context("the result has no verdict")?;
        Ok(Self(value))
    }

    /// The number at a JSON pointer.
    pub(super) fn number(&self, pointer: &str) -> Option<f64> {
        self.0.pointer(pointer)?.as_f64()
    }

    /// What is wrong with the run, if anything. One in which messages were refused is not what was to be measured.
    pub(super) fn failure(&self) -> Option<String> {
        let counts = ["lost", "duplicated", "reordered", "refused"].map(|name| {
            let count = self.0.get(name).and_then(Value::as_u64).unwrap_or_default();
            (count > 0).then(|| format!("{count} {name}"))
        });
        let counts: Vec<_> = counts.into_iter().flatten().collect();
        if !counts.is_empty() {
            return Some(counts.join(", "));
        }
        let passed = self.0.get("verdict").is_some_and(|verdict| verdict == "pass");
        (!passed).then(|| "verdict fail".to_owned())
    }
}

/// The middle one, or the mean of the two in the middle.
pub(super) fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let (upper, lower) = (numbers.len() / 2, numbers.len().checked_sub(1)? / 2);
    Some(f64::midpoint(*numbers.get(lower)?, *numbers.get(upper)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULT: &str = r#"warming up
{"scenario":"fan-out","lost":2,"duplicated":0,"reordered":1,"latency_us":{"p50":250},
 "server":{"deliveries_per_cpu_second":170000.5,"rss_after":null},"verdict":"fail"}"#;

    #[test]
    fn a_result_is_read_behind_what_else_was_printed() {
        let outcome = Outcome::parse(RESULT).unwrap();
        assert_eq!(outcome.number("/server/deliveries_per_cpu_second"), Some(170_000.5));
        assert_eq!(outcome.number("/latency_us/p50"), Some(250.0));
        assert_eq!(outcome.number("/server/rss_after"), None);
        assert_eq!(outcome.number("/server/bytes_per_connection"), None);
    }

    #[test]
    fn a_failed_run_says_what_it_lost() {
        assert_eq!(Outcome::parse(RESULT).unwrap().failure().unwrap(), "2 lost, 1 reordered");
        assert_eq!(Outcome::parse(r#"{"verdict":"pass"}"#).unwrap().failure(), None);
        let refused = Outcome::parse(r#"{"refused":3,"verdict":"pass"}"#).unwrap();
        assert_eq!(refused.failure().unwrap(), "3 refused");
        let failed = Outcome::parse(r#"{"verdict":"fail"}"#).unwrap();
        assert_eq!(failed.failure().unwrap(), "verdict fail");
    }

    #[test]
    fn what_is_no_result_is_an_error() {
        for printed in ["", "cannot connect", "{", "{}"] {
            assert!(Outcome::parse(printed).is_err(), "{printed}");
        }
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![7.0]), Some(7.0));
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 9.0, 2.0]), Some(3.0));
    }
}
