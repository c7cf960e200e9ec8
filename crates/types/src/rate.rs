//! Limits over time as values: a rate by the generic cell rate algorithm, and a quota of a clock
//! hour. Local to one connection, channel or app; the caller gives the time.

use crate::Timestamp;

const MS_PER_HOUR: u64 = 3_600_000;

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

/// What was used within the current clock hour (UTC).
#[derive(Clone, Copy, Debug, Default)]
struct Quota {
    hour: u64,
    used: u32,
}

impl Quota {
    fn take(&mut self, now: Timestamp, per_hour: u32, units: u32) -> bool {
        let hour = now.0 / MS_PER_HOUR;
        if hour != self.hour {
            *self = Self { hour, used: 0 };
        }
        let used = self.used.saturating_add(units);
        if per_hour != 0 && used > per_hour {
            return false;
        }
        self.used = used;
        true
    }
}

/// Why a meter did not grant what was asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    Rate,
    Quota,
}

/// A rate and an hourly quota of the same thing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meter {
    rate: Rate,
    quota: Quota,
}

impl Meter {
    /// Takes `units` if they are within both; 0 means unlimited for either.
    pub fn take(
        &mut self,
        now: Timestamp,
        per_second: u32,
        per_hour: u32,
        units: u32,
    ) -> Result<(), Exceeded> {
        let mut quota = self.quota;
        if !quota.take(now, per_hour, units) {
            return Err(Exceeded::Quota);
        }
        if !self.rate.take(now, per_second, units) {
            return Err(Exceeded::Rate);
        }
        self.quota = quota;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_of_the_clock_hour_and_what_is_refused_does_not_use_it_up() {
        let mut meter = Meter::default();
        let at = |hour: u64, ms: u64| Timestamp(hour * MS_PER_HOUR + ms);
        assert_eq!(meter.take(at(7, 3_599_000), 0, 3, 2), Ok(()));
        assert_eq!(meter.take(at(7, 3_599_500), 0, 3, 2), Err(Exceeded::Quota));
        assert_eq!(meter.take(at(8, 0), 1, 3, 1), Ok(()));
        assert_eq!(meter.take(at(8, 0), 1, 3, 1), Err(Exceeded::Rate));
        assert_eq!(meter.take(at(8, 0), 0, 3, 2), Ok(()));
    }

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
