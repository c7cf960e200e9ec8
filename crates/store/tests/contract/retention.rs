//! What is older than the retention is not read, and is removed, once all of its minute is. The times lie in
//! the future, where the writer's own expiry finds nothing to do.

use std::sync::Arc;
use std::time::Duration;

use store::Store;
use types::{Cursor, Entry, HistoryQuery, ItemPosition, Kind, Timestamp};

use crate::support::{
    Dir, app, append, change, channel, entry, ids, keyspace, message, names, read_all, series,
};

const MINUTE: u64 = 60_000;
/// When a minute begins.
const START: u64 = (1 << 34) * MINUTE;

fn open(dir: &Dir) -> Store {
    Store::open(dir.path(), Duration::from_millis(100)).unwrap()
}

#[test]
fn an_expired_entry_is_gone_and_a_younger_one_stays() {
    let (dir, orders) = (Dir::new(), channel("orders"));
    let store = open(&dir);
    let first = message(1, 1, START + MINUTE - 1);
    append(&store, &orders, &[first, message(1, 2, START + MINUTE)]);
    assert_eq!(store.expire(Timestamp(START + MINUTE + 99)).unwrap(), 0);
    assert_eq!(ids(&store, &orders), ["1-1", "1-2"]);
    assert_eq!(store.expire(Timestamp(START + MINUTE + 100)).unwrap(), 1);
    assert_eq!(ids(&store, &orders), ["1-2"]);
    drop(store);
    assert_eq!(ids(&open(&dir), &orders), ["1-2"]);
}

#[test]
fn what_has_expired_is_not_read_even_before_it_is_removed() {
    let (dir, orders) = (Dir::new(), channel("orders"));
    let store = open(&dir);
    let entries: Vec<Arc<Entry>> = (1..=3000).map(|n| message(1, n, START + n)).collect();
    append(&store, &orders, &entries);
    let now = Timestamp(START + 100_000);
    let first = store.expire(now).unwrap();
    assert!((1..3000).contains(&first), "one step removed {first}");
    assert!(ids(&store, &orders).is_empty());
    assert!(store.load_recent(&app(), &orders, Timestamp(0)).unwrap().is_empty());
    let mut removed = first;
    loop {
        match store.expire(now).unwrap() {
            0 => break,
            step => removed += step,
        }
    }
    assert_eq!(removed, 3000);
}

#[test]
fn what_has_expired_of_a_minute_that_goes_on_is_hidden_and_removed_with_the_rest() {
    let (dir, orders) = (Dir::new(), channel("orders"));
    let store = open(&dir);
    append(&store, &orders, &[message(1, 1, START), message(1, 2, START + 1)]);
    assert_eq!(store.expire(Timestamp(START + 101)).unwrap(), 0);
    assert_eq!(ids(&store, &orders), ["1-2"]);
    append(&store, &orders, &[message(1, 3, START + 2)]);
    assert_eq!(store.expire(Timestamp(START + MINUTE + 100)).unwrap(), 3);
    assert_eq!(store.expire(Timestamp(START + MINUTE + 100)).unwrap(), 0);
}

#[test]
fn each_channel_and_kind_expires_by_itself() {
    let dir = Dir::new();
    let store = open(&dir);
    let all = [(channel("a"), START), (channel("b"), START + MINUTE), (channel("c"), START + 1)];
    for (channel, ms) in &all {
        append(&store, channel, &[message(1, 1, *ms), entry(Kind::Presence, 1, 2, *ms, 1)]);
    }
    assert_eq!(store.expire(Timestamp(START + MINUTE + 100)).unwrap(), 4);
    assert_eq!(all.map(|(channel, _)| ids(&store, &channel).len()), [0, 1, 0]);
}

/// Rows in the keyspaces of history.
fn rows(dir: &Dir) -> Vec<(&'static str, usize)> {
    let database = dir.engine();
    let count = |name| {
        let rows = keyspace(&database, name);
        (name, rows.iter().count())
    };
    ["history", "minutes", "about", "series"].map(count).into()
}

fn store_one_that_is_changed(dir: &Dir) {
    let one = message(1, 1, START);
    let of_one = ItemPosition { serial: one.serial, index: 0 };
    append(&open(dir), &channel("orders"), &[one, change(2, START + MINUTE, of_one)]);
}

#[test]
fn of_what_has_expired_nothing_is_left() {
    let dir = Dir::new();
    store_one_that_is_changed(&dir);
    assert_eq!(rows(&dir), [("history", 2), ("minutes", 2), ("about", 1), ("series", 1)]);
    assert_eq!(open(&dir).expire(Timestamp(START + 2 * MINUTE + 100)).unwrap(), 2);
    assert_eq!(rows(&dir), [("history", 0), ("minutes", 0), ("about", 0), ("series", 0)]);
}

#[test]
fn of_what_shared_rows_nothing_is_left_either() {
    let dir = Dir::new();
    let one = message(1, 1, START);
    let of_one = ItemPosition { serial: one.serial, index: 0 };
    let changes = (2..6).map(|n| change(n, START + n, of_one));
    append(&open(&dir), &channel("orders"), &[one].into_iter().chain(changes).collect::<Vec<_>>());
    assert_eq!(rows(&dir), [("history", 2), ("minutes", 2), ("about", 4), ("series", 1)]);
    assert_eq!(open(&dir).expire(Timestamp(START + MINUTE + 100)).unwrap(), 5);
    assert_eq!(rows(&dir), [("history", 0), ("minutes", 0), ("about", 0), ("series", 0)]);
}

#[test]
fn what_an_earlier_version_has_stored_expires() {
    let dir = Dir::new();
    store_one_that_is_changed(&dir);
    into_layout_1(&dir);
    assert_eq!(open(&dir).expire(Timestamp(START + MINUTE + 100)).unwrap(), 1);
    assert_eq!(open(&dir).expire(Timestamp(START + 2 * MINUTE + 100)).unwrap(), 1);
    assert_eq!(rows(&dir), [("history", 0), ("minutes", 0), ("about", 0), ("series", 0)]);
    let database = dir.engine();
    assert!(!database.keyspace_exists("times"));
}

/// A row in `times` for each entry, instead of `minutes`.
fn into_layout_1(dir: &Dir) {
    let database = dir.engine();
    let keyspace = |name| keyspace(&database, name);
    let (times, minutes) = (keyspace("times"), keyspace("minutes"));
    for guard in keyspace("history").iter() {
        let entry_key = guard.key().unwrap();
        let ms = &entry_key[entry_key.len() - 22..][..8];
        times.insert([ms, &entry_key].concat(), []).unwrap();
    }
    for guard in minutes.iter() {
        minutes.remove(guard.key().unwrap()).unwrap();
    }
    keyspace("meta").insert("layout", 1_u64.to_be_bytes()).unwrap();
}

#[test]
fn time_that_goes_backwards_brings_nothing_back() {
    let (dir, orders) = (Dir::new(), channel("orders"));
    let store = open(&dir);
    append(&store, &orders, &[message(1, 1, START)]);
    store.expire(Timestamp(START + 101)).unwrap();
    store.expire(Timestamp(START)).unwrap();
    assert!(ids(&store, &orders).is_empty());
}

#[test]
fn until_knows_its_series_while_anything_of_it_is_kept() {
    let (dir, orders) = (Dir::new(), channel("orders"));
    let store = open(&dir);
    let own = [message(1, 1, START), message(1, 2, START + MINUTE)];
    append(&store, &orders, &own);
    append(&store, &orders, &[message(2, 1, START + MINUTE + 10)]);
    append(&store, &orders, &[message(2, 2, START + 2 * MINUTE)]);
    assert_eq!(store.expire(Timestamp(START + MINUTE + 100)).unwrap(), 1);
    let until = Some(Cursor::at(series(1), 2));
    let query = HistoryQuery { until, ..HistoryQuery::new(Kind::Messages, 9) };
    assert_eq!(names(&read_all(&store, &orders, query.clone())), ["1-2"]);
    // What is kept is later than all that has expired.
    assert_eq!(store.expire(Timestamp(START + 2 * MINUTE + 100)).unwrap(), 2);
    assert!(read_all(&store, &orders, query).is_empty());
}
