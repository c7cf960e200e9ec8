//! The calendar of UTC: days and months of a time.

use crate::Timestamp;

pub const MS_PER_DAY: u64 = 86_400_000;
/// Days from the first of March of year 0 to the Unix epoch.
const EPOCH_DAYS: u64 = 719_468;
/// Days of 400 years.
const ERA_DAYS: u64 = 146_097;

/// When the month of a time is over; never beyond what has four digits.
pub fn end_of_month(at: Timestamp) -> Timestamp {
    let (year, month, _) = civil(at.0 / MS_PER_DAY);
    let (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    let first = days(year, month, 1).map(|day| day.saturating_mul(MS_PER_DAY));
    Timestamp(first.unwrap_or(u64::MAX))
}

/// Year, month and day, of days since the epoch. Years here begin with March, so that the day which
/// is not always there is the last.
pub fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + EPOCH_DAYS;
    let (era, of_era) = (days / ERA_DAYS, days % ERA_DAYS);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Days since the epoch; none before it, or beyond what has four digits.
pub fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = year - u64::from(month <= 2);
    let month_index = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * month_index + 2) / 5 + day - 1;
    let year_of_era = year % 400;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    (year / 400 * ERA_DAYS + of_era).checked_sub(EPOCH_DAYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_a_date_and_a_date_its_day() {
        for (day, date) in [
            (0, (1970, 1, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (19_782, (2024, 2, 29)),
        ] {
            assert_eq!(civil(day), date);
            assert_eq!(days(date.0, date.1, date.2), Some(day));
        }
        assert_eq!(days(1969, 12, 31), None);
    }

    #[test]
    fn the_month_changes_with_its_first_day() {
        let at = |year, month, day| Timestamp(days(year, month, day).unwrap() * MS_PER_DAY);
        let before = |at: Timestamp| Timestamp(at.0 - 1);
        assert_eq!(end_of_month(at(2024, 2, 1)), at(2024, 3, 1));
        assert_eq!(end_of_month(before(at(2024, 3, 1))), at(2024, 3, 1));
        assert_eq!(end_of_month(at(2024, 12, 31)), at(2025, 1, 1));
        assert_eq!(end_of_month(at(9999, 12, 31)), Timestamp(u64::MAX));
    }
}
