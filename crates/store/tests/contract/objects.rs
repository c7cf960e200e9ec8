//! The objects of channels: operations until a snapshot contains them, whatever the history keeps.

use std::sync::Arc;
use std::time::Duration;

use store::{Place, Store, Write};
use types::{
    AppId, ChannelName, Entry, Finite, HistoryQuery, Kind, ObjectId, ObjectKind, ObjectState,
    ObjectValue, ObjectsSnapshot, RecordChange, Timestamp,
};

use crate::support::{Dir, app, channel, entry, keyspace, read_all, write};

fn operation(position: u64) -> Arc<Entry> {
    entry(Kind::Objects, 1, position, position, 1)
}

fn add(name: &ChannelName, position: u64, place: Place) -> Write {
    let entries = vec![operation(position)];
    Write::Entries { app: app(), channel: name.clone(), entries, place }
}

fn snapshot(until: u64) -> ObjectsSnapshot {
    let counter = ObjectState {
        object_id: ObjectId::new(ObjectKind::Counter, "n", Timestamp(1)),
        site_serials: std::collections::BTreeMap::new(),
        deleted: None,
        created: None,
        value: ObjectValue::Counter(Finite::new(2.0).unwrap()),
    };
    ObjectsSnapshot { until: operation(until).serial, objects: vec![counter] }
}

fn take(name: &ChannelName, until: u64, since: u64) -> Write {
    let (snapshot, since) = (snapshot(until), Timestamp(since));
    Write::Objects { app: app(), channel: name.clone(), snapshot, since }
}

/// The channels, whether they have a snapshot, and the positions of their operations.
fn kept(store: &Store) -> Vec<(String, bool, Vec<u64>)> {
    let show = |objects: store::StoredObjects| {
        let positions = objects.operations.iter().map(|entry| entry.position).collect();
        (objects.channel.to_string(), objects.snapshot == Some(snapshot(3)), positions)
    };
    store.objects().map(|objects| show(objects.unwrap())).collect()
}

#[test]
fn operations_are_kept_beside_the_history_and_are_there_after_a_restart() {
    let (dir, plain, persisted) = (Dir::new(), channel("plain"), channel("persisted"));
    let store = dir.open();
    let (alone, both) = (Place::Objects, Place::History);
    write(&store, vec![add(&plain, 1, alone), add(&persisted, 2, both), add(&plain, 3, alone)]);
    drop(store);
    let store = dir.open();
    let expected = [("plain".into(), false, vec![1, 3]), ("persisted".into(), false, vec![2])];
    assert_eq!(kept(&store), expected);
    let history = |name| read_all(&store, name, HistoryQuery::new(Kind::Objects, 9)).len();
    assert_eq!((history(&plain), history(&persisted)), (0, 1));
}

#[test]
fn a_snapshot_replaces_operations_that_it_contains_and_that_are_old() {
    let (dir, name) = (Dir::new(), channel("a"));
    let store = dir.open();
    write(&store, (1..=5).map(|position| add(&name, position, Place::Objects)).collect());
    write(&store, vec![take(&name, 3, 3)]);
    assert_eq!(kept(&store), [("a".into(), true, vec![3, 4, 5])]);
    write(&store, vec![take(&name, 3, 9)]);
    drop(store);
    let store = dir.open();
    assert_eq!(kept(&store), [("a".into(), true, vec![4, 5])]);
    assert_eq!(store.objects().next().unwrap().unwrap().updated(), Timestamp(5));
    store.remove_objects(&app(), &name).unwrap();
    assert_eq!(kept(&store), []);
}

#[test]
fn objects_do_not_expire_with_the_history() {
    let (dir, name) = (Dir::new(), channel("a"));
    let store = Store::open(dir.path(), Duration::from_millis(10)).unwrap();
    write(&store, vec![add(&name, 1, Place::History)]);
    store.expire(Timestamp(1_000)).unwrap();
    assert!(read_all(&store, &name, HistoryQuery::new(Kind::Objects, 9)).is_empty());
    assert_eq!(kept(&store), [("a".into(), false, vec![1])]);
}

#[test]
fn objects_go_with_their_app() {
    let (dir, name) = (Dir::new(), channel("a"));
    let store = dir.open();
    let delete = |app: AppId| Write::Records(vec![RecordChange::DeleteApp(app)]);
    write(&store, vec![add(&name, 1, Place::Objects), take(&name, 3, 0)]);
    write(&store, vec![delete("other".into())]);
    assert_eq!(kept(&store).len(), 1);
    write(&store, vec![add(&name, 2, Place::Objects), delete(app())]);
    assert_eq!(kept(&store), []);
}

#[test]
fn a_damaged_channel_is_skipped_and_the_others_are_read() {
    let (dir, names) = (Dir::new(), ["a", "b", "c"].map(channel));
    let store = dir.open();
    write(&store, names.iter().map(|name| add(name, 1, Place::Objects)).collect());
    drop(store);
    let database = dir.engine();
    let objects = keyspace(&database, "objects");
    for key in [b"\x03app\x01b".as_slice(), b"\x03ap", b"\x09x"] {
        objects.insert(key, b"\x01nonsense").unwrap();
    }
    drop((objects, database));
    let read: Vec<_> = kept(&dir.open()).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(read, ["a", "c"]);
}
