//! Intervals and their ids: `YYYY-MM-DD:HH:MM`, or as much of it as the unit needs, in UTC.

use std::fmt;
use std::str::FromStr;

use types::Timestamp;
use types::calendar::{MS_PER_DAY as DAY_MS, civil, days};

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    #[default]
    Minute,
    Hour,
    Day,
    Month,
}

impl Unit {
    pub const ALL: [Self; 4] = [Self::Minute, Self::Hour, Self::Day, Self::Month];

    pub fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

impl FromStr for Unit {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|unit| unit.name() == text).ok_or("not a unit")
    }
}

/// One minute, hour, day or month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    pub unit: Unit,
    pub start: Timestamp,
}

impl Interval {
    pub fn containing(unit: Unit, at: Timestamp) -> Self {
        let start = match unit {
            Unit::Minute => at.0 - at.0 % MINUTE_MS,
            Unit::Hour => at.0 - at.0 % HOUR_MS,
            Unit::Day => at.0 - at.0 % DAY_MS,
            Unit::Month => at.0 - at.0 % DAY_MS - (civil(at.0 / DAY_MS).2 - 1) * DAY_MS,
        };
        Self { unit, start: Timestamp(start) }
    }

    /// The last millisecond of the interval.
    pub fn last(&self) -> Timestamp {
        let length = match self.unit {
            Unit::Minute => MINUTE_MS,
            Unit::Hour => HOUR_MS,
            Unit::Day => DAY_MS,
            Unit::Month => {
                let in_next = Timestamp(self.start.0 + 31 * DAY_MS);
                Self::containing(Unit::Month, in_next).start.0 - self.start.0
            }
        };
        Timestamp(self.start.0 + length - 1)
    }

    /// The interval that an id names; its length says which unit it is of.
    pub fn parse(id: &str) -> Option<Self> {
        let mut parts = id.split([':', '-']);
        let mut number = || parts.next().map(str::parse::<u64>).transpose().ok();
        let (year, month) = (number()??, number()??);
        let (day, hour, minute) = (number()?, number()?, number()?);
        let unit = match (day, hour, minute) {
            (None, ..) => Unit::Month,
            (_, None, _) => Unit::Day,
            (_, _, None) => Unit::Hour,
            _ => Unit::Minute,
        };
        let (hour, minute) = (hour.unwrap_or(0), minute.unwrap_or(0));
        if hour > 23 || minute > 59 {
            return None;
        }
        let days = days(year, month, day.unwrap_or(1))?;
        let interval =
            Self { unit, start: Timestamp(days * DAY_MS + hour * HOUR_MS + minute * MINUTE_MS) };
        // What is not written as we would write it is not an id.
        (interval.to_string() == id).then_some(interval)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.start.0;
        let (year, month, day) = civil(ms / DAY_MS);
        write!(f, "{year:04}-{month:02}")?;
        if self.unit <= Unit::Day {
            write!(f, "-{day:02}")?;
        }
        if self.unit <= Unit::Hour {
            write!(f, ":{:02}", ms % DAY_MS / HOUR_MS)?;
        }
        if self.unit == Unit::Minute {
            write!(f, ":{:02}", ms % HOUR_MS / MINUTE_MS)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_an_interval_and_an_interval_its_id() {
        let cases = [
            ("1970-01-01:00:00", Unit::Minute, 0),
            ("2024-02-29:23:59", Unit::Minute, 1_709_251_140_000),
            ("2023-11-14:22", Unit::Hour, 1_699_999_200_000),
            ("2000-03-01", Unit::Day, 951_868_800_000),
            ("2023-11", Unit::Month, 1_698_796_800_000),
        ];
        for (id, unit, start) in cases {
            let interval = Interval { unit, start: Timestamp(start) };
            assert_eq!(Interval::parse(id), Some(interval), "{id}");
            assert_eq!(interval.to_string(), id);
            let within = Timestamp(interval.last().0);
            assert_eq!(Interval::containing(unit, within), interval);
            let after = Interval::containing(unit, Timestamp(within.0 + 1));
            assert_eq!(after.start.0, within.0 + 1);
        }
        assert_eq!(Interval::parse("2024-02").unwrap().last().0, 1_709_251_199_999);
    }

    #[test]
    fn what_is_not_written_as_an_id_is_none() {
        for id in [
            "",
            "2023",
            "2023-13",
            "2023-02-29",
            "2023-1-1",
            "2023-01-01:24",
            "2023-01-01:18446744073709551615",
            "2023-01-01:00:60",
            "2023-01-01:00:00:00",
            "1969-12-31",
            "2023-01-01-00",
            "99999999999999999999-01",
            "x",
        ] {
            assert_eq!(Interval::parse(id), None, "{id}");
        }
    }
}
