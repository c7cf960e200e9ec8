//! What was published last on a channel.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use store::{Store, Write};
use types::{Direction, Entry, HistoryQuery, Kind, Timestamp};

use crate::support::{Dir, app, channel, message, write};

const DAY_MS: u64 = 86_400_000;

/// The writer looks for what is a year old by the clock of the machine.
fn today() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_millis().try_into().unwrap()
}

/// Keeps the entries as the last of `orders`, one after the other.
fn keep(store: &Store, entries: &[Arc<Entry>]) {
    let last = |entry: &Arc<Entry>| Write::Last {
        app: app(),
        channel: channel("orders"),
        entry: Arc::clone(entry),
    };
    write(store, entries.iter().map(last).collect());
}

#[test]
fn the_newest_is_kept_across_a_restart_and_for_a_year() {
    let dir = Dir::new();
    let store = dir.open();
    assert!(store.last(&app(), &channel("orders")).unwrap().is_none());
    let now = today();
    let entries = [1, 2].map(|position| message(1, position, now));
    keep(&store, &entries);
    drop(store);
    let store = dir.open();
    let last = |store: &Store| store.last(&app(), &channel("orders")).unwrap();
    assert_eq!(last(&store), Some(Arc::clone(&entries[1])));
    assert!(store.last(&app(), &channel("other")).unwrap().is_none());
    store.expire(Timestamp(now + 365 * DAY_MS)).unwrap();
    assert_eq!(last(&store), Some(Arc::clone(&entries[1])));
    store.expire(Timestamp(now + 366 * DAY_MS)).unwrap();
    assert_eq!(last(&store), None);
}

#[test]
fn history_that_has_nothing_shows_the_last() {
    let dir = Dir::new();
    let store = dir.open();
    let now = today();
    keep(&store, &[message(1, 1, now)]);
    let query = HistoryQuery::new(Kind::Messages, 10);
    let count = |query: &HistoryQuery| {
        store.history(&app(), &channel("orders"), query).unwrap().items.len()
    };
    assert_eq!(count(&query), 1);
    assert_eq!(count(&HistoryQuery { direction: Direction::Forwards, ..query.clone() }), 1);
    assert_eq!(count(&HistoryQuery { start: Some(Timestamp(now + 1)), ..query.clone() }), 0);
    assert_eq!(count(&HistoryQuery { kind: Kind::Presence, ..query }), 0);
}
