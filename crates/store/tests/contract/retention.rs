//! What is older than the retention is not read, and is removed. The times lie in the future, where
//! the writer's own expiry finds nothing to do.

use std::sync::Arc;
use std::time::Duration;

use store::Store;
use types::{Cursor, Entry, Timestamp};
use types::{HistoryQuery, Kind};

use crate::support::{Dir, app, append, channel, ids, message, names, read_all, series};

const START: u64 = 1 << 50;

fn open(dir: &Dir) -> Store {
    Store::open(dir.path(), Duration::from_millis(100)).unwrap()
}

#[test]
fn an_expired_entry_is_gone_and_a_younger_one_stays() {
    let (dir, orders) = (Dir::new(), channel("orders"));
    let store = open(&dir);
    append(&store, &orders, &[message(1, 1, START), message(1, 2, START + 1)]);
    assert_eq!(store.expire(Timestamp(START + 100)).unwrap(), 0);
    assert_eq!(ids(&store, &orders), ["1-1", "1-2"]);
    assert_eq!(store.expire(Timestamp(START + 101)).unwrap(), 1);
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
    let own = [message(1, 1, START), message(1, 2, START + 50)];
    append(&store, &orders, &own);
    append(&store, &orders, &[message(2, 1, START + 60)]);
    assert_eq!(store.expire(Timestamp(START + 120)).unwrap(), 1);
    let until = Some(Cursor::at(series(1), 2));
    let query = HistoryQuery { until, ..HistoryQuery::new(Kind::Messages, 9) };
    assert_eq!(names(&read_all(&store, &orders, query)), ["1-2"]);
}
