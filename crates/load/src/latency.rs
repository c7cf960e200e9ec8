//! How long messages took: an HdrHistogram in nanoseconds, with three significant digits up to an hour.
//!
//! A latency runs from the moment at which a message was *to be* sent, which its marker carries. At a
//! fixed rate that moment does not wait for the server, so a stall is seen by every message that it
//! held up (no coordinated omission).

use hdrhistogram::Histogram;

const DIGITS: u8 = 3;
const LONGEST: u64 = 60 * 60 * 1_000_000_000;

#[derive(Clone, Debug)]
pub(crate) struct Latency(Histogram<u64>);

/// Microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quantiles {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

impl Latency {
    pub(crate) fn new() -> Self {
        // The bounds are constants, which the histogram accepts.
        let histogram = Histogram::new_with_bounds(1, LONGEST, DIGITS);
        Self(histogram.unwrap_or_else(|refusal| unreachable!("{refusal}")))
    }

    pub(crate) fn record(&mut self, nanoseconds: u64) {
        self.0.saturating_record(nanoseconds);
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    pub(crate) fn microseconds(&self, quantile: f64) -> f64 {
        microseconds(self.0.value_at_quantile(quantile))
    }

    pub(crate) fn quantiles(&self) -> Quantiles {
        Quantiles {
            p50: self.microseconds(0.5),
            p90: self.microseconds(0.9),
            p99: self.microseconds(0.99),
            p999: self.microseconds(0.999),
            max: microseconds(self.0.max()),
        }
    }
}

fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_in_microseconds() {
        let mut latency = Latency::new();
        for milliseconds in 1..=1000 {
            latency.record(milliseconds * 1_000_000);
        }
        let quantiles = latency.quantiles();
        let near = |value: f64, expected: f64| (value - expected).abs() / expected < 0.002;
        assert!(near(quantiles.p50, 500_000.0) && near(quantiles.p99, 990_000.0), "{quantiles:?}");
        assert!(near(quantiles.max, 1_000_000.0), "{quantiles:?}");
        assert_eq!(latency.count(), 1000);
    }

    #[test]
    fn what_takes_longer_than_an_hour_is_kept_as_an_hour() {
        let mut latency = Latency::new();
        latency.record(u64::MAX);
        assert!(latency.quantiles().max >= 3_600_000_000.0);
    }
}
