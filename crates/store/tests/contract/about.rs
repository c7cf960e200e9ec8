//! What is said of a message is found by its serial, and goes with its time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use store::Store;
use types::{
    Annotation, AnnotationAction, Body, Direction, Entry, HistoryQuery, ItemPosition, Kind,
    Timestamp,
};

use crate::support::{
    Dir, app, append, change, channel, entry, ids, message, names, read_all, said,
};

fn key(entry: &Entry, index: usize) -> ItemPosition {
    ItemPosition { serial: entry.serial, index }
}

fn annotation(position: u64, ms: u64, of: ItemPosition) -> Arc<Entry> {
    let annotation = Annotation {
        message_serial: Some(of.to_string().into()),
        ..Annotation::new(AnnotationAction::Create, "m:total.v1")
    };
    said(position, ms, Body::Annotations(vec![annotation]))
}

fn about(store: &Store, keys: &[ItemPosition]) -> Vec<u64> {
    let keys: BTreeSet<_> = keys.iter().copied().collect();
    let entries = store.about(&app(), &channel("a"), &keys).unwrap();
    entries.iter().map(|entry| entry.position).collect()
}

#[test]
fn what_is_said_of_a_message_is_found_and_nothing_else() {
    let dir = Dir::new();
    let store = dir.open();
    let two = entry(Kind::Messages, 1, 1, 10, 2);
    let (first, second) = (key(&two, 0), key(&two, 1));
    let entries =
        [Arc::clone(&two), change(2, 11, first), annotation(3, 12, second), change(4, 13, first)];
    append(&store, &channel("a"), &entries);
    assert_eq!(about(&store, &[first]), [1, 2, 4]);
    assert_eq!(about(&store, &[second]), [1, 3]);
    assert_eq!(about(&store, &[first, second]), [1, 2, 3, 4]);
    let unknown = ItemPosition { index: 2, ..first };
    assert!(!store.is_changed(&app(), &channel("a"), unknown).unwrap());
    assert!(store.is_changed(&app(), &channel("a"), first).unwrap());
    assert!(!store.is_changed(&app(), &channel("b"), first).unwrap());
}

#[test]
fn history_of_messages_has_no_changes_and_a_host_loads_everything() {
    let dir = Dir::new();
    let store = dir.open();
    let one = message(1, 1, 10);
    let entries = [
        Arc::clone(&one),
        change(2, 11, key(&one, 0)),
        annotation(3, 12, key(&one, 0)),
        message(1, 4, 13),
    ];
    append(&store, &channel("a"), &entries);
    assert_eq!(ids(&store, &channel("a")), ["1-1", "1-4"]);
    let recent = store.load_recent(&app(), &channel("a"), Timestamp(0)).unwrap();
    assert_eq!(recent, entries);
}

#[test]
fn the_annotations_of_a_message_are_listed_page_by_page() {
    let dir = Dir::new();
    let store = dir.open();
    let (one, other) = (message(1, 1, 10), message(1, 2, 11));
    let of_one = (3..8).map(|position| annotation(position, 20 + position, key(&one, 0)));
    let of_other = annotation(9, 30, key(&other, 0));
    let entries: Vec<_> =
        [Arc::clone(&one), other].into_iter().chain(of_one).chain([of_other]).collect();
    append(&store, &channel("a"), &entries);
    for (direction, expected) in [
        (Direction::Forwards, ["1-3", "1-4", "1-5", "1-6", "1-7"]),
        (Direction::Backwards, ["1-7", "1-6", "1-5", "1-4", "1-3"]),
    ] {
        let query = HistoryQuery {
            about: Some(key(&one, 0)),
            direction,
            ..HistoryQuery::new(Kind::Annotations, 2)
        };
        assert_eq!(names(&read_all(&store, &channel("a"), query)), expected);
    }
}

#[test]
fn what_is_said_expires_with_its_own_time() {
    let dir = Dir::new();
    let store = Store::open(dir.path(), Duration::from_millis(100)).unwrap();
    // In the future, where the writer's own expiry finds nothing to do; each in a minute of its own.
    let at = |minute: u64| ((1 << 34) + minute) * 60_000;
    let one = message(1, 1, at(0));
    let of_one = key(&one, 0);
    let entries = [one, change(2, at(1), of_one), change(3, at(2), of_one)];
    append(&store, &channel("a"), &entries);
    assert_eq!(store.expire(Timestamp(at(2) + 100)).unwrap(), 2);
    assert_eq!(about(&store, &[of_one]), [3]);
    store.expire(Timestamp(at(3) + 100)).unwrap();
    assert!(about(&store, &[of_one]).is_empty());
}
