//! A rate limit as a value: the generic cell rate algorithm. Local to one connection, channel or
//! node; the caller gives the time.

use crate::Timestamp;

/// Permits `per_second` units a second on average and a burst of one second's worth.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rate {
    /// Microseconds since the epoch at which the bucket is empty again.
    theoretical_arrival_us: u64,
}

impl Rate {
    /// Takes `units` if they fit; says whether they did. `per_second` 0 means unlimited.
    pub fn take(&mut self, now: Timestamp, per_second: u32, units: u32) -> bool {
        if per_second == 0 {
            return true;
        }
        let now_us = now.0.saturating_mul(1_000);
        let cost_us = u64::from(units) * 1_000_000 / u64::from(per_second);
        let start = self.theoretical_arrival_us.max(now_us);
        if start - now_us >= 1_000_000 {
            return false;
        }
        self.theoretical_arrival_us = start.saturating_add(cost_us);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_one_second_passes_and_the_rest_is_refused_until_time_passes() {
        let mut rate = Rate::default();
        let at = |ms: u64| Timestamp(1_000_000 + ms);
        let granted = (0..100).filter(|_| rate.take(at(0), 50, 1)).count();
        assert_eq!(granted, 50);
        assert!(rate.take(at(20), 50, 1));
        assert!(!rate.take(at(20), 50, 1));
    }

    #[test]
    fn zero_means_unlimited() {
        let mut rate = Rate::default();
        assert!((0..10_000).all(|_| rate.take(Timestamp(1), 0, 1)));
    }
}
