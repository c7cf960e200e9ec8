//! The counts of an app over time: the minute that runs, and what is kept of those before.
//!
//! A minute is added to its hour, day and month when it is over, which is noticed when the next
//! thing is counted or asked for. Of each unit a bounded number of intervals in which anything
//! happened is kept; the oldest go first.

use std::collections::{BTreeMap, BTreeSet};

use types::error::INVALID_PARAM;
use types::{Direction, ErrorInfo, Timestamp};

use crate::gauge::Gauge;
use crate::interval::{Interval, Unit};
use crate::totals::{Fixture, Totals};

const MINUTE_MS: u64 = 60_000;
/// Intervals kept of each unit: two days of minutes, a month of hours, a year of days, ten years.
const MAX_MINUTES: usize = 2_880;
const MAX_HOURS: usize = 744;
const MAX_DAYS: usize = 366;
const MAX_MONTHS: usize = 120;

#[derive(Debug, Default)]
pub struct Stats {
    minutes: BTreeMap<Timestamp, Totals>,
    hours: BTreeMap<Timestamp, Totals>,
    days: BTreeMap<Timestamp, Totals>,
    months: BTreeMap<Timestamp, Totals>,
    /// Intervals that are over and have changed since they were last asked for.
    unsaved: BTreeSet<(Unit, Timestamp)>,
    /// Whether anything may have been counted since.
    counting: bool,
    /// When the minute that runs began.
    minute: Timestamp,
    current: Totals,
    connections: Gauge,
    channels: Gauge,
}

#[derive(Clone, Debug)]
pub struct Query {
    pub unit: Unit,
    /// Not intervals that ended before this instant.
    pub start: Option<Timestamp>,
    /// Not intervals that begin after it.
    pub end: Option<Timestamp>,
    pub direction: Direction,
    pub limit: usize,
    /// Continue behind the interval that begins here.
    pub after: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    pub periods: Vec<Period>,
    /// Where the last interval begins, if more follow.
    pub next: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Period {
    pub interval: Interval,
    pub totals: Totals,
    /// The minute that it reaches to, if it is not over (TS12q).
    pub in_progress: Option<Interval>,
}

impl Stats {
    /// Where to count what happens now.
    pub fn at(&mut self, now: Timestamp) -> &mut Totals {
        self.roll(now);
        self.counting = true;
        &mut self.current
    }

    pub fn set_connections(&mut self, now: Timestamp, count: u32) {
        self.roll(now);
        self.counting = true;
        self.connections.set(now, count.into());
    }

    pub fn set_channels(&mut self, now: Timestamp, count: u32) {
        self.roll(now);
        self.counting = true;
        self.channels.set(now, count.into());
    }

    /// Counts what a test suite says; 40003 if it does not say when.
    pub fn insert(&mut self, now: Timestamp, fixture: &Fixture) -> Result<(), ErrorInfo> {
        let id = &fixture.interval_id;
        let invalid = || INVALID_PARAM.with(format!("'{id:.32}' is not an interval"));
        let interval = Interval::parse(id).ok_or_else(invalid)?;
        self.roll(now);
        let mut totals = fixture.totals;
        (totals.connections.minutes, totals.channels.minutes) = (1, 1);
        self.add(interval, &totals);
        Ok(())
    }

    /// The newest minute that is over, also if nothing happened in it.
    pub fn last_minute(&mut self, now: Timestamp) -> Period {
        self.roll(now);
        let start = Timestamp(self.minute.0.saturating_sub(MINUTE_MS));
        let totals = self.minutes.get(&start).copied().unwrap_or_default();
        Period { interval: Interval { unit: Unit::Minute, start }, totals, in_progress: None }
    }

    /// 40003 if the query ends before it starts.
    pub fn query(&mut self, now: Timestamp, query: &Query) -> Result<Page, ErrorInfo> {
        self.roll(now);
        let start = query.start.map(|start| Interval::containing(query.unit, start).start);
        let (start, end) = (start.unwrap_or_default(), query.end.unwrap_or(Timestamp(u64::MAX)));
        if start > end {
            return Err(INVALID_PARAM.with("start is after end"));
        }
        let running = Interval::containing(query.unit, now).start;
        let wanted = |at: Timestamp| {
            (start..=end).contains(&at)
                && query.after.is_none_or(|after| match query.direction {
                    Direction::Forwards => at > after,
                    Direction::Backwards => at < after,
                })
        };
        let live = self.live(now, query.unit);
        let kept = self.of(query.unit).range(start..=end).map(|(at, totals)| (*at, *totals));
        let kept = kept.filter(|(at, _)| wanted(*at) && *at != running);
        let most = query.limit.saturating_add(1);
        let mut found: Vec<_> = match query.direction {
            Direction::Forwards => kept.take(most).collect(),
            Direction::Backwards => kept.rev().take(most).collect(),
        };
        if wanted(running) && !live.is_empty() {
            found.push((running, live));
            found.sort_by_key(|(at, _)| *at);
            if query.direction == Direction::Backwards {
                found.reverse();
            }
        }
        let more = found.len() > query.limit;
        found.truncate(query.limit);
        let next = found.last().filter(|_| more).map(|(at, _)| *at);
        let period = |(start, totals): (Timestamp, Totals)| Period {
            interval: Interval { unit: query.unit, start },
            totals,
            in_progress: (start == running).then(|| Interval::containing(Unit::Minute, now)),
        };
        Ok(Page { periods: found.into_iter().map(period).collect(), next })
    }

    /// The intervals that changed since the last call, with their totals; none is no longer kept.
    pub fn take_unsaved(&mut self, now: Timestamp) -> Vec<(Interval, Option<Totals>)> {
        self.roll(now);
        let mut unsaved = std::mem::take(&mut self.unsaved);
        if std::mem::take(&mut self.counting) {
            let running = Unit::ALL.map(|unit| (unit, Interval::containing(unit, now).start));
            unsaved.extend(running);
        }
        let totals = |(unit, start)| {
            let runs = Interval::containing(unit, now).start == start;
            let kept = || self.of(unit).get(&start).copied();
            (Interval { unit, start }, if runs { Some(self.live(now, unit)) } else { kept() })
        };
        unsaved.into_iter().map(totals).collect()
    }

    /// Goes on with an interval that was counted before, at the start.
    pub fn restore(&mut self, interval: Interval, totals: Totals) {
        let intervals = match interval.unit {
            Unit::Minute => &mut self.minutes,
            Unit::Hour => &mut self.hours,
            Unit::Day => &mut self.days,
            Unit::Month => &mut self.months,
        };
        intervals.insert(interval.start, totals);
    }

    /// The interval that runs, as far as it has come.
    fn live(&self, now: Timestamp, unit: Unit) -> Totals {
        let running = Interval::containing(unit, now).start;
        let mut totals = self.of(unit).get(&running).copied().unwrap_or_default();
        totals.merge(&self.minute_until(now));
        totals
    }

    fn of(&self, unit: Unit) -> &BTreeMap<Timestamp, Totals> {
        match unit {
            Unit::Minute => &self.minutes,
            Unit::Hour => &self.hours,
            Unit::Day => &self.days,
            Unit::Month => &self.months,
        }
    }

    fn minute_until(&self, end: Timestamp) -> Totals {
        let mut totals = self.current;
        totals.connections.merge(&self.connections.level(self.minute, end));
        totals.channels.merge(&self.channels.level(self.minute, end));
        totals
    }

    /// Ends the minutes that are over.
    fn roll(&mut self, now: Timestamp) {
        let minute = Interval::containing(Unit::Minute, now).start;
        while self.minute < minute {
            let next = Timestamp(self.minute.0 + MINUTE_MS);
            let totals = self.minute_until(next);
            let over = Interval { unit: Unit::Minute, start: self.minute };
            if !totals.is_empty() {
                self.add(over, &totals);
            }
            self.current = Totals::default();
            let lasts = self.connections.value() != 0 || self.channels.value() != 0;
            // Of a long silence only the minutes that are kept need to be gone through.
            let window = u64::try_from(MAX_MINUTES).unwrap_or(u64::MAX) * MINUTE_MS;
            let earliest = if lasts { minute.0.saturating_sub(window) } else { minute.0 };
            self.minute = next.max(Timestamp(earliest));
            self.connections.restart(self.minute);
            self.channels.restart(self.minute);
        }
    }

    /// Adds an interval to its own unit and to the larger ones.
    fn add(&mut self, interval: Interval, totals: &Totals) {
        let kept = [
            (Unit::Minute, &mut self.minutes, MAX_MINUTES),
            (Unit::Hour, &mut self.hours, MAX_HOURS),
            (Unit::Day, &mut self.days, MAX_DAYS),
            (Unit::Month, &mut self.months, MAX_MONTHS),
        ];
        for (unit, intervals, most) in kept {
            if unit < interval.unit {
                continue;
            }
            let start = Interval::containing(unit, interval.start).start;
            intervals.entry(start).or_default().merge(totals);
            self.unsaved.insert((unit, start));
            if intervals.len() > most
                && let Some((oldest, _)) = intervals.pop_first()
            {
                self.unsaved.insert((unit, oldest));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2023-11-14:22:13
    const START: u64 = 1_699_999_980_000;

    fn at(minutes: u64) -> Timestamp {
        Timestamp(START + minutes * MINUTE_MS + 1)
    }

    fn all(unit: Unit) -> Query {
        let direction = Direction::Forwards;
        Query { unit, start: None, end: None, direction, limit: 100, after: None }
    }

    fn count(stats: &mut Stats, minutes: u64, messages: u64) {
        stats.at(at(minutes)).inbound.realtime.messages.add(messages, 10);
    }

    /// Ids of the intervals, and the messages in each.
    fn seen(page: &Page) -> Vec<(String, u64)> {
        let of = |period: &Period| {
            (period.interval.to_string(), period.totals.inbound.realtime.messages.count)
        };
        page.periods.iter().map(of).collect()
    }

    fn id(id: &str, messages: u64) -> (String, u64) {
        (id.to_owned(), messages)
    }

    #[test]
    fn minutes_add_up_to_hours_days_and_months_while_they_run() {
        let mut stats = Stats::default();
        count(&mut stats, 0, 1);
        count(&mut stats, 1, 2);
        count(&mut stats, 60, 4);
        let mut ask = |unit| stats.query(at(60), &all(unit)).unwrap();
        assert_eq!(
            seen(&ask(Unit::Minute)),
            [id("2023-11-14:22:13", 1), id("2023-11-14:22:14", 2), id("2023-11-14:23:13", 4)]
        );
        assert_eq!(seen(&ask(Unit::Hour)), [id("2023-11-14:22", 3), id("2023-11-14:23", 4)]);
        assert_eq!(seen(&ask(Unit::Day)), [id("2023-11-14", 7)]);
        let month = ask(Unit::Month);
        assert_eq!(seen(&month), [id("2023-11", 7)]);
        let reaches = month.periods[0].in_progress.map(|minute| minute.to_string());
        assert_eq!(reaches.as_deref(), Some("2023-11-14:23:13"));
        assert_eq!(ask(Unit::Hour).periods[0].in_progress, None);
    }

    #[test]
    fn a_query_has_bounds_a_direction_and_pages() {
        let mut stats = Stats::default();
        (0..5).for_each(|n| count(&mut stats, n, n + 1));
        let mut counts = |query: &Query| {
            let page = stats.query(at(4), query).unwrap();
            let counts: Vec<u64> = seen(&page).into_iter().map(|(_, count)| count).collect();
            (counts, page.next)
        };
        let minutes = || all(Unit::Minute);
        let bounded = Query { start: Some(at(1)), end: Some(at(3)), ..minutes() };
        assert_eq!(counts(&bounded), (vec![2, 3, 4], None));
        let first = Query { limit: 2, ..bounded.clone() };
        let (page, next) = counts(&first);
        assert_eq!((page, next), (vec![2, 3], Some(Timestamp(START + 2 * MINUTE_MS))));
        assert_eq!(counts(&Query { after: next, ..first }), (vec![4], None));
        let back = Query { direction: Direction::Backwards, limit: 3, ..minutes() };
        let (page, next) = counts(&back);
        assert_eq!(page, [5, 4, 3]);
        assert_eq!(counts(&Query { after: next, ..back }), (vec![2, 1], None));
        let inverted = Query { start: Some(at(3)), end: Some(at(1)), ..minutes() };
        assert_eq!(stats.query(at(4), &inverted).unwrap_err().code, 40003);
    }

    #[test]
    fn what_is_saved_and_restored_goes_on_where_it_was() {
        let mut stats = Stats::default();
        count(&mut stats, 0, 1);
        assert_eq!(stats.take_unsaved(at(0)).len(), 4);
        assert_eq!(stats.take_unsaved(at(0)).len(), 0);
        count(&mut stats, 1, 2);
        let saved = stats.take_unsaved(at(1));
        let ids: Vec<_> = saved.iter().map(|(interval, _)| interval.to_string()).collect();
        assert_eq!(
            ids,
            ["2023-11-14:22:13", "2023-11-14:22:14", "2023-11-14:22", "2023-11-14", "2023-11"]
        );
        let mut again = Stats::default();
        saved.into_iter().for_each(|(interval, totals)| again.restore(interval, totals.unwrap()));
        count(&mut again, 1, 4);
        let page = again.query(at(1), &all(Unit::Minute)).unwrap();
        assert_eq!(seen(&page), [id("2023-11-14:22:13", 1), id("2023-11-14:22:14", 6)]);
        assert_eq!(seen(&again.query(at(90), &all(Unit::Hour)).unwrap())[0].1, 7);
        assert_eq!(seen(&again.query(at(90), &all(Unit::Month)).unwrap())[0].1, 7);
    }

    #[test]
    fn intervals_that_are_no_longer_kept_are_told() {
        let mut stats = Stats::default();
        let mut records = BTreeSet::new();
        for minute in 0..5_000 {
            count(&mut stats, minute, 1);
            for (interval, totals) in stats.take_unsaved(at(minute)) {
                match totals {
                    Some(_) => records.insert(interval.to_string()),
                    None => records.remove(&interval.to_string()),
                };
            }
        }
        assert!((MAX_MINUTES..MAX_MINUTES + 100).contains(&records.len()), "{}", records.len());
    }

    #[test]
    fn connections_count_in_every_minute_that_they_last() {
        let mut stats = Stats::default();
        stats.set_connections(at(0), 2);
        let page = stats.query(at(3), &all(Unit::Minute)).unwrap();
        assert_eq!(page.periods.len(), 4);
        assert!(page.periods.iter().all(|period| period.totals.connections.peak == 2));
        stats.set_connections(at(3), 0);
        let page = stats.query(at(10_000_000), &all(Unit::Minute)).unwrap();
        assert_eq!(page.periods.len(), 4);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut stats = Stats::default();
        (0..5_000).for_each(|n| count(&mut stats, n, 1));
        let query = Query { limit: usize::MAX, ..all(Unit::Minute) };
        let page = stats.query(at(5_000), &query).unwrap();
        assert_eq!(page.periods.len(), MAX_MINUTES);
        stats.set_channels(at(5_000), 1);
        let page = stats.query(at(1_000_000_000), &query).unwrap();
        assert_eq!(page.periods.len(), MAX_MINUTES + 1);
        let days = stats.query(at(5_000), &all(Unit::Day)).unwrap();
        let total: u64 = seen(&days).into_iter().map(|(_, count)| count).sum();
        assert_eq!(total, 5_000);
    }

    #[test]
    fn fixtures_count_where_they_say() {
        let mut stats = Stats::default();
        let fixture = |id: &str| Fixture { interval_id: id.into(), totals: Totals::default() };
        let mut posted = fixture("2022-02-03:15:05");
        posted.totals.inbound.realtime.messages.count = 70;
        posted.totals.connections.peak = 20;
        stats.insert(at(0), &posted).unwrap();
        let hours = stats.query(at(0), &all(Unit::Hour)).unwrap();
        assert_eq!(seen(&hours), [id("2022-02-03:15", 70)]);
        assert_eq!(hours.periods[0].totals.connections.peak, 20);
        assert_eq!(stats.insert(at(0), &fixture("yesterday")).unwrap_err().code, 40003);
    }
}
