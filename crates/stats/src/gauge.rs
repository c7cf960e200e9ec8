//! A number that goes up and down, watched over one minute.

use types::Timestamp;

use crate::totals::Level;

#[derive(Debug, Default)]
pub(crate) struct Gauge {
    value: u64,
    peak: u64,
    min: u64,
    /// Value times milliseconds, since the minute began.
    area: u64,
    /// Since when the value is what it is, within the minute.
    since: Timestamp,
}

impl Gauge {
    pub(crate) fn value(&self) -> u64 {
        self.value
    }

    pub(crate) fn set(&mut self, now: Timestamp, value: u64) {
        self.area += self.value * now.0.saturating_sub(self.since.0);
        self.since = now;
        self.value = value;
        self.peak = self.peak.max(value);
        self.min = self.min.min(value);
    }

    /// What was seen from `start` of the minute until `end`; nothing if there was nothing.
    pub(crate) fn level(&self, start: Timestamp, end: Timestamp) -> Level {
        if self.peak == 0 {
            return Level::default();
        }
        let area = self.area + self.value * end.0.saturating_sub(self.since.0.max(start.0));
        #[expect(clippy::cast_precision_loss, reason = "a mean is as exact as it has to be")]
        let mean = area as f64 / end.0.saturating_sub(start.0).max(1) as f64;
        Level { peak: self.peak, min: self.min, mean, minutes: 1, ..Level::default() }
    }

    /// A new minute begins.
    pub(crate) fn restart(&mut self, start: Timestamp) {
        *self =
            Self { value: self.value, peak: self.value, min: self.value, area: 0, since: start };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_has_the_extremes_and_the_mean_over_time() {
        let mut gauge = Gauge::default();
        gauge.restart(Timestamp(60_000));
        assert_eq!(gauge.level(Timestamp(60_000), Timestamp(120_000)), Level::default());
        gauge.set(Timestamp(75_000), 4);
        gauge.set(Timestamp(105_000), 1);
        let level = gauge.level(Timestamp(60_000), Timestamp(120_000));
        assert_eq!((level.peak, level.min, level.mean), (4, 0, 2.25));
        gauge.restart(Timestamp(120_000));
        let level = gauge.level(Timestamp(120_000), Timestamp(180_000));
        assert_eq!((level.peak, level.min, level.mean), (1, 1, 1.0));
    }
}
