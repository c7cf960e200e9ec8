//! Limits over time as values: a rate by the generic cell rate algorithm, and quotas of the clock
//! hour and the calendar month (UTC). Local to one connection, channel or app; the caller gives the
//! time.

use crate::{Timestamp, calendar};

const MS_PER_HOUR: u64 = 3_600_000;

/// Permits so many units a second on average, and a burst.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rate {
    /// Microseconds since the epoch at which the bucket is empty again.
    theoretical_arrival_us: u64,
}

impl Rate {
    /// Whether nothing that was taken counts any more.
    pub fn is_idle(&self, now: Timestamp) -> bool {
        self.theoretical_arrival_us <= now.0.saturating_mul(1_000)
    }

    /// Takes `units` if they fit, with a burst of one second's worth; says whether they did.
    /// `per_second` 0 means unlimited.
    pub fn take(&mut self, now: Timestamp, per_second: u32, units: u32) -> bool {
        let granted = per_second == 0 || self.has_room(now, 1);
        if granted {
            self.charge(now, per_second.into(), units.into());
        }
        granted
    }

    fn has_room(self, now: Timestamp, burst_seconds: u64) -> bool {
        let now_us = now.0.saturating_mul(1_000);
        self.theoretical_arrival_us.saturating_sub(now_us) < burst_seconds * 1_000_000
    }

    /// Counts what happens whether or not there is room for it: what comes next has to wait for longer.
    pub fn charge(&mut self, now: Timestamp, per_second: u64, units: u64) {
        let Some(cost_us) = units.saturating_mul(1_000_000).checked_div(per_second) else { return };
        let start = self.theoretical_arrival_us.max(now.0.saturating_mul(1_000));
        self.theoretical_arrival_us = start.saturating_add(cost_us);
    }

    /// Forgets what is so far beyond the rate that an average over `seconds` would forget it too.
    fn forgive(&mut self, now: Timestamp, seconds: u64) {
        let latest = now.0.saturating_mul(1_000).saturating_add(2 * seconds * 1_000_000);
        self.theoretical_arrival_us = self.theoretical_arrival_us.min(latest);
    }
}

/// What was used within the current period.
#[derive(Clone, Copy, Debug, Default)]
struct Quota {
    /// When the period is over.
    end: Timestamp,
    used: u64,
}

impl Quota {
    fn has_room(self, now: Timestamp, limit: u64, units: u64) -> bool {
        let used = || if now < self.end { self.used } else { 0 };
        limit == 0 || used().saturating_add(units) <= limit
    }

    fn charge(
        &mut self,
        now: Timestamp,
        end_of_period: impl Fn(Timestamp) -> Timestamp,
        units: u64,
    ) {
        if now >= self.end {
            *self = Self { end: end_of_period(now), used: 0 };
        }
        self.used = self.used.saturating_add(units);
    }
}

/// What may be used of one thing; 0 means unlimited for each.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowance {
    pub per_second: u64,
    /// Seconds over which the rate is an average.
    pub burst_seconds: u64,
    pub per_hour: u64,
    pub per_month: u64,
}

/// Why a meter did not grant what was asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    Rate,
    Hour,
    Month,
}

/// Counts one thing against its [`Allowance`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Meter {
    rate: Rate,
    hour: Quota,
    month: Quota,
}

impl Meter {
    /// Takes `units` if all of the allowance has room for them.
    pub fn take(
        &mut self,
        now: Timestamp,
        allowance: &Allowance,
        units: u64,
    ) -> Result<(), Exceeded> {
        self.check(now, allowance, units)?;
        self.charge(now, allowance, units);
        Ok(())
    }

    /// Whether [`Self::take`] would grant `units`.
    pub fn check(&self, now: Timestamp, allowance: &Allowance, units: u64) -> Result<(), Exceeded> {
        if !self.month.has_room(now, allowance.per_month, units) {
            return Err(Exceeded::Month);
        }
        if !self.hour.has_room(now, allowance.per_hour, units) {
            return Err(Exceeded::Hour);
        }
        if allowance.per_second != 0 && !self.rate.has_room(now, allowance.burst_seconds) {
            return Err(Exceeded::Rate);
        }
        Ok(())
    }

    /// Counts what happens whether or not there is room for it: what comes next has less.
    pub fn charge(&mut self, now: Timestamp, allowance: &Allowance, units: u64) {
        if allowance.per_second != 0 {
            self.rate.charge(now, allowance.per_second, units);
            self.rate.forgive(now, allowance.burst_seconds);
        }
        self.hour.charge(now, end_of_hour, units);
        self.month.charge(now, calendar::end_of_month, units);
    }
}

fn end_of_hour(at: Timestamp) -> Timestamp {
    Timestamp((at.0 / MS_PER_HOUR + 1).saturating_mul(MS_PER_HOUR))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS_PER_DAY: u64 = 24 * MS_PER_HOUR;

    #[test]
    fn a_quota_is_of_the_clock_hour_and_what_is_refused_does_not_use_it_up() {
        let mut meter = Meter::default();
        let at = |hour: u64, ms: u64| Timestamp(hour * MS_PER_HOUR + ms);
        let hourly = Allowance { per_hour: 3, ..Allowance::default() };
        let both = Allowance { per_second: 1, burst_seconds: 1, ..hourly };
        assert_eq!(meter.take(at(7, 3_599_000), &hourly, 2), Ok(()));
        assert_eq!(meter.take(at(7, 3_599_500), &hourly, 2), Err(Exceeded::Hour));
        assert_eq!(meter.take(at(8, 0), &both, 1), Ok(()));
        assert_eq!(meter.take(at(8, 0), &both, 1), Err(Exceeded::Rate));
        assert_eq!(meter.take(at(8, 0), &hourly, 2), Ok(()));
    }

    #[test]
    fn a_quota_is_of_the_calendar_month() {
        let mut meter = Meter::default();
        let monthly = Allowance { per_month: 3, ..Allowance::default() };
        let at = |day: u64| Timestamp(day * MS_PER_DAY);
        assert_eq!(meter.take(at(0), &monthly, 2), Ok(()));
        assert_eq!(meter.take(at(30), &monthly, 2), Err(Exceeded::Month));
        assert_eq!(meter.take(at(31), &monthly, 2), Ok(()));
    }

    #[test]
    fn what_is_charged_counts_though_there_is_no_room_for_it() {
        let mut meter = Meter::default();
        let allowance = Allowance { per_second: 10, burst_seconds: 2, per_hour: 100, per_month: 0 };
        meter.charge(Timestamp(1), &allowance, 40);
        assert_eq!(meter.take(Timestamp(1_000), &allowance, 1), Err(Exceeded::Rate));
        assert_eq!(meter.take(Timestamp(2_002), &allowance, 1), Ok(()));
        meter.charge(Timestamp(2_002), &allowance, 100);
        assert_eq!(meter.take(Timestamp(60_000), &allowance, 1), Err(Exceeded::Hour));
    }

    #[test]
    fn what_is_far_beyond_a_rate_is_forgotten_as_an_average_would() {
        let mut meter = Meter::default();
        let allowance = Allowance { per_second: 10, burst_seconds: 24, per_hour: 0, per_month: 0 };
        meter.charge(Timestamp(1), &allowance, 1_000_000);
        assert_eq!(meter.take(Timestamp(24_000), &allowance, 1), Err(Exceeded::Rate));
        assert_eq!(meter.take(Timestamp(24_002), &allowance, 1), Ok(()));
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
        let mut meter = Meter::default();
        let unlimited = Allowance::default();
        assert!((0..10_000).all(|_| meter.take(Timestamp(1), &unlimited, u64::MAX / 2).is_ok()));
    }
}
