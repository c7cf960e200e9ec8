//! Records: kept, replaced and deleted, all of a write or none, and there after a restart.

use bytes::Bytes;
use store::{Store, Write};
use types::{AppId, Record, RecordChange, RecordId, RecordKind};

use crate::support::{Dir, keyspace, try_write};

fn id(app: &str, key: &str) -> RecordId {
    RecordId { app: app.into(), kind: RecordKind::Revocation, key: key.into() }
}

fn keep(app: &str, key: &str, value: &'static str) -> RecordChange {
    RecordChange::Keep(Record { id: id(app, key), value: Bytes::from_static(value.as_bytes()) })
}

/// Makes the changes, all in one batch of the writer; says of each write whether it is durable.
fn change(store: &Store, writes: Vec<Vec<RecordChange>>) -> Vec<bool> {
    try_write(store, writes.into_iter().map(Write::Records).collect())
}

fn all(store: &Store) -> Vec<(String, String)> {
    let show = |record: Record| {
        (
            format!("{}/{}", record.id.app, record.id.key),
            String::from_utf8_lossy(&record.value).into(),
        )
    };
    store.records().map(|record| show(record.unwrap())).collect()
}

fn shown(records: &[(&str, &str)]) -> Vec<(String, String)> {
    records.iter().map(|(id, value)| ((*id).into(), (*value).into())).collect()
}

#[test]
fn records_are_there_after_a_restart_as_the_last_change_left_them() {
    let dir = Dir::new();
    let store = dir.open();
    let writes = vec![
        vec![keep("a", "1", "old"), keep("a", "2", "x"), keep("b", "", "y")],
        vec![keep("a", "1", "new"), RecordChange::Delete(id("a", "2"))],
    ];
    assert_eq!(change(&store, writes), [true, true]);
    drop(store);
    assert_eq!(all(&dir.open()), shown(&[("a/1", "new"), ("b/", "y")]));
}

#[test]
fn records_of_a_deleted_app_go_with_it_whether_written_before_or_in_the_same_batch() {
    let dir = Dir::new();
    let store = dir.open();
    change(&store, vec![vec![keep("a", "1", "x"), keep("ab", "1", "y")]]);
    let delete = || RecordChange::DeleteApp(AppId::from("a"));
    let writes =
        vec![vec![keep("a", "2", "x")], vec![keep("a", "3", "x"), delete(), keep("a", "4", "z")]];
    assert_eq!(change(&store, writes), [true, true]);
    assert_eq!(all(&store), shown(&[("a/4", "z"), ("ab/1", "y")]));
    store.remove_app(&AppId::from("ab")).unwrap();
    drop(store);
    assert_eq!(all(&dir.open()), shown(&[("a/4", "z")]));
}

#[test]
fn a_write_with_a_record_that_cannot_be_stored_fails_whole_and_alone() {
    let dir = Dir::new();
    let store = dir.open();
    let long = keep("a", &"x".repeat(70_000), "");
    let writes = vec![vec![keep("a", "1", "x")], vec![keep("a", "2", "x"), long]];
    assert_eq!(change(&store, writes), [true, false]);
    assert_eq!(all(&store), shown(&[("a/1", "x")]));
}

#[test]
fn what_is_not_the_key_of_a_record_is_skipped() {
    let dir = Dir::new();
    let store = dir.open();
    change(&store, vec![vec![keep("a", "1", "x")]]);
    drop(store);
    let database = dir.engine();
    let records = keyspace(&database, "records");
    for key in [b"\x01a\xff1".as_slice(), b"\x09a", b"\x01a", b"\x01a\x01\xff"] {
        records.insert(key, "y").unwrap();
    }
    drop((records, database));
    assert_eq!(all(&dir.open()), shown(&[("a/1", "x")]));
}
