//! Reading: order, pages, filters, and what a host loads.

use std::cell::Cell;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use types::{Cursor, Direction, Entry, HistoryQuery, Kind, Timestamp};

use crate::support::{Dir, app, append, channel, entry, ids, message, names, read_all, series};

fn forwards(limit: usize) -> HistoryQuery {
    HistoryQuery { direction: Direction::Forwards, ..HistoryQuery::new(Kind::Messages, limit) }
}

#[test]
fn entries_are_there_and_equal_after_reopening() {
    let (dir, orders) = (Dir::new(), channel("orders"));
    let stored = [
        message(1, 1, 10),
        entry(Kind::Presence, 1, 2, 11, 2),
        entry(Kind::Objects, 1, 3, 12, 2),
        message(1, 4, 13),
    ];
    append(&dir.open(), &orders, &stored);
    assert_eq!(dir.open().load_recent(&app(), &orders, Timestamp(0)).unwrap(), stored);
}

#[test]
fn entries_of_several_series_come_in_the_order_of_serials() {
    let (dir, orders) = (Dir::new(), channel("orders"));
    let store = dir.open();
    append(&store, &orders, &[message(2, 1, 20), message(1, 1, 10), message(1, 2, 20)]);
    append(&store, &orders, &[message(3, 1, 15)]);
    assert_eq!(ids(&store, &orders), ["1-1", "3-1", "1-2", "2-1"]);
}

#[test]
fn channels_and_apps_are_apart_even_if_a_name_begins_with_another() {
    let dir = Dir::new();
    let store = dir.open();
    append(&store, &channel("a"), &[message(1, 1, 10)]);
    append(&store, &channel("ab"), &[message(2, 1, 10)]);
    assert_eq!(ids(&store, &channel("a")), ["1-1"]);
    assert_eq!(ids(&store, &channel("ab")), ["2-1"]);
    let other = store.history(&"ap".into(), &channel("pa"), &forwards(9)).unwrap();
    assert!(other.items.is_empty());
}

#[test]
fn pages_of_any_size_have_no_gap_and_no_repeat_in_both_directions() {
    let dir = Dir::new();
    let store = dir.open();
    let number = Cell::new(0);
    let shape = prop::collection::vec((any::<bool>(), 0_usize..4, 0_u64..2), 0..12);
    let mut runner = TestRunner::new(ProptestConfig { cases: 64, ..ProptestConfig::default() });
    let outcome = runner.run(&(shape, 1_usize..9), |(shape, limit)| {
        number.set(number.get() + 1);
        let name = channel(&format!("paged-{}", number.get()));
        let mut ms = 100;
        let entries: Vec<Arc<Entry>> = (1..)
            .zip(shape)
            .map(|(position, (is_message, items, later))| {
                let kind = if is_message { Kind::Messages } else { Kind::Presence };
                ms += later;
                let series = u32::try_from(position).unwrap();
                entry(kind, series, position, ms, items)
            })
            .collect();
        append(&store, &name, &entries);
        for kind in [Kind::Messages, Kind::Presence] {
            let expected: Vec<(Arc<Entry>, usize)> = entries
                .iter()
                .filter(|entry| {
                    matches!(entry.body, types::Body::Messages(_)) == (kind == Kind::Messages)
                })
                .flat_map(|entry| (0..entry.body.len()).map(|index| (Arc::clone(entry), index)))
                .collect();
            let query = HistoryQuery::new(kind, limit);
            let mut backwards = read_all(&store, &name, query.clone());
            backwards.reverse();
            prop_assert_eq!(&backwards, &expected);
            let forwards = HistoryQuery { direction: Direction::Forwards, ..query };
            prop_assert_eq!(&read_all(&store, &name, forwards), &expected);
        }
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn the_last_page_says_that_it_is_the_last_even_when_it_is_full() {
    let (dir, orders) = (Dir::new(), channel("orders"));
    let store = dir.open();
    append(&store, &orders, &[entry(Kind::Messages, 1, 1, 10, 2), message(1, 2, 11)]);
    let first = store.history(&app(), &orders, &forwards(2)).unwrap();
    assert!(first.next.is_some());
    let query = HistoryQuery { after: first.next, ..forwards(1) };
    assert_eq!(store.history(&app(), &orders, &query).unwrap().next, None);
}

#[test]
fn a_page_goes_on_where_the_last_one_ended_whatever_is_appended_meanwhile() {
    let (dir, orders) = (Dir::new(), channel("orders"));
    let store = dir.open();
    append(&store, &orders, &[message(1, 1, 10), message(1, 2, 11), message(1, 3, 12)]);
    let query = HistoryQuery::new(Kind::Messages, 2);
    let first = store.history(&app(), &orders, &query).unwrap();
    append(&store, &orders, &[message(1, 4, 13)]);
    let second = HistoryQuery { after: first.next, ..query };
    assert_eq!(names(&store.history(&app(), &orders, &second).unwrap().items), ["1-1"]);
}

#[test]
fn start_and_end_are_included() {
    let (dir, orders) = (Dir::new(), channel("orders"));
    let store = dir.open();
    let entries: Vec<_> = (1..=5).map(|n| message(1, n, 10 * n)).collect();
    append(&store, &orders, &entries);
    let between = |start, end| {
        let times = (Some(Timestamp(start)), Some(Timestamp(end)));
        let query = HistoryQuery { start: times.0, end: times.1, ..forwards(9) };
        names(&read_all(&store, &orders, query))
    };
    assert_eq!(between(20, 40), ["1-2", "1-3", "1-4"]);
    assert_eq!(between(21, 39), ["1-3"]);
    assert!(between(40, 20).is_empty());
    assert_eq!(between(0, u64::MAX).len(), 5);
}

#[test]
fn until_covers_its_series_up_to_the_position_and_earlier_series_only() {
    let (dir, orders) = (Dir::new(), channel("orders"));
    let store = dir.open();
    let earlier = [message(1, 1, 10), message(1, 2, 11)];
    let own = [message(2, 1, 20), message(2, 2, 21), message(2, 3, 22)];
    let later = [message(3, 1, 30)];
    append(&store, &orders, &[&earlier[..], &own, &later].concat());
    for direction in [Direction::Backwards, Direction::Forwards] {
        let until = Some(Cursor::at(series(2), 2));
        let mut seen =
            names(&read_all(&store, &orders, HistoryQuery { direction, until, ..forwards(2) }));
        seen.sort();
        assert_eq!(seen, ["1-1", "1-2", "2-1", "2-2"]);
    }
}

#[test]
fn until_tells_earlier_from_later_by_entries_of_the_other_kind_too() {
    let (dir, orders) = (Dir::new(), channel("orders"));
    let store = dir.open();
    let own = entry(Kind::Presence, 2, 1, 20, 1);
    append(&store, &orders, &[message(1, 1, 10), own, message(3, 1, 30)]);
    let query = HistoryQuery { until: Some(Cursor::at(series(2), 1)), ..forwards(9) };
    assert_eq!(names(&read_all(&store, &orders, query)), ["1-1"]);
}

#[test]
fn until_in_a_series_of_which_nothing_is_stored_covers_the_others() {
    let (dir, orders) = (Dir::new(), channel("orders"));
    let store = dir.open();
    append(&store, &orders, &[message(1, 1, 10)]);
    let query = HistoryQuery { until: Some(Cursor::at(series(2), 0)), ..forwards(9) };
    assert_eq!(names(&read_all(&store, &orders, query.clone())), ["1-1"]);
    append(&store, &orders, &[message(2, 1, 20)]);
    assert_eq!(names(&read_all(&store, &orders, query)), ["1-1"]);
}

#[test]
fn a_host_loads_both_kinds_since_a_time_and_the_one_before_oldest_first() {
    let (dir, orders) = (Dir::new(), channel("orders"));
    let store = dir.open();
    let entries = [message(1, 1, 10), entry(Kind::Presence, 1, 2, 20, 1), message(2, 1, 30)];
    append(&store, &orders, &entries);
    assert_eq!(store.load_recent(&app(), &orders, Timestamp(20)).unwrap(), entries);
    assert_eq!(store.load_recent(&app(), &orders, Timestamp(30)).unwrap(), entries[1..]);
}

#[test]
fn a_host_loads_the_newest_entry_however_old_it_is() {
    let (dir, orders) = (Dir::new(), channel("orders"));
    let store = dir.open();
    assert!(store.load_recent(&app(), &orders, Timestamp(0)).unwrap().is_empty());
    let entries = [message(1, 1, 10), entry(Kind::Presence, 1, 2, 20, 1)];
    append(&store, &orders, &entries);
    assert_eq!(store.load_recent(&app(), &orders, Timestamp(99)).unwrap(), entries[1..]);
}
