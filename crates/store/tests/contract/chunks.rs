//! Entries that are stored together share rows; reading shows the entries, whatever shares a row with what.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use store::Store;
use types::{
    Body, Cursor, Data, Direction, Entry, HistoryQuery, ItemPosition, Kind, Message, Serial,
    Timestamp,
};

use crate::support::{
    Dir, add, app, append, channel, entry, ids, keyspace, message, names, read_all, series, write,
};

const MINUTE: u64 = 60_000;

fn rows(dir: &Dir) -> usize {
    let database = dir.engine();
    keyspace(&database, "history").iter().count()
}

/// As many messages, a millisecond apart, with so much data each, which cannot be compressed.
fn messages(from: u64, count: u64, bytes: usize) -> Vec<Arc<Entry>> {
    let sized = |n| with_data(n, noise(n, bytes));
    (from..from + count).map(sized).collect()
}

fn with_data(n: u64, data: Vec<u8>) -> Arc<Entry> {
    let message_of_it = Message { data: Data::Binary(data.into()), ..Message::default() };
    let body = Body::Messages(vec![message_of_it]);
    Arc::new(Entry { body, ..Entry::clone(&message(1, n, n)) })
}

/// By xorshift.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed | 1 << 40;
    let next = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    });
    next.take(bytes).collect()
}

#[test]
fn what_is_stored_together_shares_rows_by_channel_and_kind() {
    let dir = Dir::new();
    let presence = entry(Kind::Presence, 1, 50, 50, 1);
    let of = |name: &str, entries: &[Arc<Entry>]| -> Vec<_> {
        entries.iter().map(|entry| add(&channel(name), entry)).collect()
    };
    let mut writes = of("a", &messages(1, 20, 300));
    writes.extend(of("b", &messages(1, 20, 300)));
    writes.extend(of("a", &[presence]));
    write(&dir.open(), writes);
    assert_eq!(rows(&dir), 3);
    assert_eq!(ids(&dir.open(), &channel("b")).len(), 20);
}

#[test]
fn rows_are_bounded_and_end_with_their_minute_and_series() {
    let dir = Dir::new();
    append(&dir.open(), &channel("large"), &messages(1, 10, 8 << 10));
    assert_eq!(rows(&dir), 5);
    let of_two_minutes = [message(1, 1, MINUTE - 1), message(1, 2, MINUTE)];
    append(&dir.open(), &channel("minutes"), &of_two_minutes);
    assert_eq!(rows(&dir), 7);
    append(&dir.open(), &channel("series"), &[message(1, 1, 1), message(2, 1, 2)]);
    assert_eq!(rows(&dir), 9);
}

#[test]
fn an_entry_of_a_row_is_found_by_its_serial_and_by_what_is_said_of_it() {
    let dir = Dir::new();
    let store = dir.open();
    let stored = messages(1, 20, 10);
    append(&store, &channel("orders"), &stored);
    for entry in &stored {
        let asked = [ItemPosition { serial: entry.serial, index: 0 }].into();
        let about = store.about(&app(), &channel("orders"), &asked).unwrap();
        assert_eq!(about, [Arc::clone(entry)]);
    }
}

#[test]
fn what_belongs_between_entries_of_a_row_is_read_between_them() {
    let dir = Dir::new();
    let store = dir.open();
    append(&store, &channel("orders"), &[message(1, 1, 10), message(1, 2, 30)]);
    append(&store, &channel("orders"), &[message(2, 1, 20)]);
    assert_eq!(ids(&store, &channel("orders")), ["1-1", "2-1", "1-2"]);
    drop(store);
    let store = dir.open();
    append(&store, &channel("orders"), &[message(3, 1, 5), message(3, 2, 25)]);
    assert_eq!(ids(&store, &channel("orders")), ["3-1", "1-1", "2-1", "3-2", "1-2"]);
}

#[test]
fn an_entry_that_is_stored_again_takes_the_place_of_the_first() {
    let dir = Dir::new();
    let store = dir.open();
    let stored = messages(1, 5, 10);
    append(&store, &channel("orders"), &stored);
    append(&store, &channel("orders"), &stored[2..4]);
    let found = store.load_recent(&app(), &channel("orders"), Timestamp(0)).unwrap();
    assert_eq!(found, stored);
}

#[test]
fn rows_of_layout_2_have_one_entry_each_and_are_read_and_shared() {
    let dir = Dir::new();
    for entry in messages(1, 3, 10) {
        append(&dir.open(), &channel("orders"), &[entry]);
    }
    let layout = |found: Option<u64>| {
        let database = dir.engine();
        let meta = keyspace(&database, "meta");
        found.into_iter().for_each(|found| meta.insert("layout", found.to_be_bytes()).unwrap());
        meta.get("layout").unwrap().unwrap().to_vec()
    };
    layout(Some(2));
    assert_eq!(ids(&dir.open(), &channel("orders")), ["1-1", "1-2", "1-3"]);
    assert_eq!(layout(None), 4_u64.to_be_bytes());
    append(&dir.open(), &channel("orders"), &messages(2, 4, 10));
    assert_eq!(ids(&dir.open(), &channel("orders")).len(), 5);
    assert_eq!(rows(&dir), 2);
}

#[test]
fn rows_that_say_little_take_little_and_are_read_as_they_were() {
    let dir = Dir::new();
    let dull = |n| with_data(n, b"the same again, ".repeat(20));
    let stored: Vec<_> = (1..=40).map(dull).collect();
    let store = dir.open();
    append(&store, &channel("orders"), &stored);
    let found = store.load_recent(&app(), &channel("orders"), Timestamp(0)).unwrap();
    assert_eq!(found, stored);
    drop(store);
    let database = dir.engine();
    let sizes = keyspace(&database, "history").iter().map(|row| row.size().unwrap());
    assert!(sizes.sum::<u32>() < 40 * 16 * 20 / 4);
}

#[test]
fn rows_in_files_of_their_own_are_read_and_taken_apart() {
    let dir = Dir::new();
    let stored = messages(1, 10, 2 << 10);
    append(&dir.open(), &channel("orders"), &stored[..9]);
    let database = dir.engine();
    let history = keyspace(&database, "history");
    history.rotate_memtable_and_wait().unwrap();
    assert_eq!(history.blob_file_count(), 1);
    drop((history, database));
    let store = dir.open();
    append(&store, &channel("orders"), &stored[4..]);
    let found = store.load_recent(&app(), &channel("orders"), Timestamp(0)).unwrap();
    assert_eq!(found, stored);
}

#[test]
fn a_row_that_cannot_be_read_keeps_nothing_else_from_being_stored() {
    let dir = Dir::new();
    append(&dir.open(), &channel("orders"), &messages(1, 3, 10));
    damage_rows(&dir);
    let store = dir.open();
    append(&store, &channel("orders"), &[message(1, 2, 2), message(1, 9, 9)]);
    append(&store, &channel("others"), &[message(1, 1, 1)]);
    assert_eq!(ids(&store, &channel("others")), ["1-1"]);
    let query = HistoryQuery::new(Kind::Messages, 1);
    let newest = store.history(&app(), &channel("orders"), &query).unwrap();
    assert_eq!(names(&newest.items), ["1-9"]);
}

fn damage_rows(dir: &Dir) {
    let database = dir.engine();
    let history = keyspace(&database, "history");
    for guard in history.iter() {
        let (key, value) = guard.into_inner().unwrap();
        history.insert(key, value.get(..value.len() - 1).unwrap()).unwrap();
    }
}

/// A message of one of three series: two that take turns, and the one that follows them.
fn at(ms: u64, counter: u16, number: u32) -> Arc<Entry> {
    let position = ms * 4 + u64::from(counter);
    let number = if ms < 20 * MINUTE / 16 { number } else { 3 };
    let shape = message(number, position, ms);
    let serial = Serial { ms, counter, series: series(number) };
    Arc::new(Entry { serial, ..Entry::clone(&shape) })
}

#[derive(Clone, Debug)]
struct Asked {
    start: u64,
    end: u64,
    limit: usize,
    backwards: bool,
    until: Option<u64>,
}

prop_compose! {
    fn asked()(
        start in 0_u64..40,
        length in 0_u64..40,
        limit in 1_usize..9,
        backwards in any::<bool>(),
        until in prop::option::of(0_u64..160),
    ) -> Asked {
        Asked { start, end: start + length, limit, backwards, until }
    }
}

fn check(store: &Store, name: &str, model: &BTreeMap<Serial, Arc<Entry>>, asked: &Asked) {
    let direction = if asked.backwards { Direction::Backwards } else { Direction::Forwards };
    // Minutes are so long that some rows end with one.
    let [start, end] = [asked.start, asked.end].map(|place| place * MINUTE / 16);
    let query = HistoryQuery {
        direction,
        start: Some(Timestamp(start)),
        end: Some(Timestamp(end)),
        until: asked.until.map(|place| Cursor::at(series(3), place * MINUTE / 16 * 4)),
        ..HistoryQuery::new(Kind::Messages, asked.limit)
    };
    let others_are_earlier =
        asked.until == Some(0) || model.keys().any(|serial| serial.series == series(3));
    let within = |entry: &&Arc<Entry>| start <= entry.serial.ms && entry.serial.ms <= end;
    let covered = |entry: &&Arc<Entry>| {
        query.until.as_ref().is_none_or(|until| {
            let position = until.position(entry.serial.series);
            position.map_or(others_are_earlier, |position| entry.position <= position)
        })
    };
    let mut expected: Vec<_> = model.values().filter(within).filter(covered).cloned().collect();
    if asked.backwards {
        expected.reverse();
    }
    let found = read_all(store, &channel(name), query);
    let found: Vec<_> = found.into_iter().map(|(entry, _)| entry).collect();
    assert_eq!(found, expected, "{asked:?}");
}

#[test]
fn whatever_the_batches_and_their_order_reading_shows_the_entries_in_order() {
    let dir = Dir::new();
    let store = dir.open();
    let number = Cell::new(0);
    let place = (0_u64..40, 0_u16..3, 1_u32..3);
    let batch = prop::collection::vec(place, 1..12).prop_map(|mut places| {
        // Mostly as a channel appends: in order.
        if places.len() % 4 != 0 {
            places.sort_unstable();
        }
        places
    });
    let batches = prop::collection::vec(batch, 1..8);
    let queries = prop::collection::vec(asked(), 1..8);
    let mut runner = TestRunner::new(ProptestConfig { cases: 64, ..ProptestConfig::default() });
    let outcome = runner.run(&(batches, queries), |(batches, queries)| {
        number.set(number.get() + 1);
        let name = format!("shared-{}", number.get());
        let mut model = BTreeMap::new();
        for batch in batches {
            let entries: Vec<_> = batch
                .into_iter()
                .map(|(place, counter, number)| at(place * MINUTE / 16, counter, number))
                .collect();
            append(&store, &channel(&name), &entries);
            model.extend(entries.into_iter().map(|entry| (entry.serial, entry)));
            queries.iter().for_each(|asked| check(&store, &name, &model, asked));
        }
        let recent = store.load_recent(&app(), &channel(&name), Timestamp(0)).unwrap();
        prop_assert_eq!(recent, model.into_values().collect::<Vec<_>>());
        Ok(())
    });
    outcome.unwrap();
}
