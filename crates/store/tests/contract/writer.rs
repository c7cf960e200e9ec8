//! Group commit: order, bounds, and what happens to an entry that cannot be stored.

use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Barrier};

use store::{Write, WriteRequest, Writer};
use types::{AppId, Body, Data, Entry, ItemPosition, Message};

use crate::support::{
    Dir, Done, add, append, change, channel, ids, keyspace, message, start, try_write,
};

fn request(name: &str, entry: &Arc<Entry>, done: &Sender<(u64, bool)>) -> WriteRequest<Done> {
    let (done, position) = (done.clone(), entry.position);
    WriteRequest {
        write: add(&channel(name), entry),
        token: Box::new(move |stored| done.send((position, stored)).unwrap()),
    }
}

fn is_taken(writer: &Writer<Done>, request: WriteRequest<Done>) -> bool {
    writer.try_write(vec![request]).is_empty()
}

/// Appends an entry whose completion keeps the writer's thread until the barrier is passed.
fn hold(writer: &Writer<Done>, entry: &Arc<Entry>) -> Arc<Barrier> {
    let (reached, release) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let barriers = (Arc::clone(&reached), Arc::clone(&release));
    let held: Done = Box::new(move |_| {
        barriers.0.wait();
        barriers.1.wait();
    });
    assert!(is_taken(writer, WriteRequest { write: add(&channel("held"), entry), token: held }));
    reached.wait();
    release
}

#[test]
fn concurrent_appends_are_completed_in_order_per_channel() {
    let dir = Dir::new();
    let store = dir.open();
    let writer = start(&store);
    std::thread::scope(|scope| {
        for number in 1..=4 {
            let writer = &writer;
            scope.spawn(move || {
                let (done, outcomes) = mpsc::channel();
                for position in 1..=500 {
                    let entry = message(number, position, 1000 + position);
                    let name = format!("channel-{number}");
                    assert!(is_taken(writer, request(&name, &entry, &done)));
                }
                drop(done);
                let expected: Vec<(u64, bool)> = (1..=500).map(|n| (n, true)).collect();
                assert_eq!(outcomes.iter().collect::<Vec<_>>(), expected);
            });
        }
    });
    for number in 1..=4 {
        assert_eq!(ids(&store, &channel(&format!("channel-{number}"))).len(), 500);
    }
    let counters = writer.counters();
    assert_eq!((counters.entries, counters.failed), (2000, 0));
}

#[test]
fn what_waits_while_the_writer_is_busy_becomes_one_batch() {
    let dir = Dir::new();
    let writer = start(&dir.open());
    let (done, outcomes) = mpsc::channel();
    let release = hold(&writer, &message(1, 1, 10));
    for position in 2..=101 {
        let entry = message(1, position, 10 + position);
        assert!(is_taken(&writer, request("orders", &entry, &done)));
    }
    release.wait();
    drop(done);
    assert_eq!(outcomes.iter().count(), 100);
    assert_eq!(writer.counters().batches, 2);
}

#[test]
fn a_full_queue_hands_back_what_it_has_no_room_for_and_what_was_taken_is_stored() {
    let dir = Dir::new();
    let store = dir.open();
    let writer = start(&store);
    let (done, outcomes) = mpsc::channel();
    let release = hold(&writer, &message(1, 1, 10));
    let asked: Vec<_> = (1..=20_000)
        .map(|position| request("orders", &message(2, position, 20 + position), &done))
        .collect();
    let refused: Vec<_> =
        writer.try_write(asked).into_iter().map(|request| request.write).collect();
    let positions = refused.iter().map(|write| match write {
        Write::Entries { entries, .. } => entries[0].position,
        _ => panic!("not an entry"),
    });
    let taken = 20_000 - refused.len();
    assert!(taken > 0 && positions.eq(u64::try_from(taken).unwrap() + 1..=20_000));
    release.wait();
    drop((done, writer));
    assert_eq!(outcomes.iter().filter(|(_, stored)| *stored).count(), taken);
    assert_eq!(ids(&store, &channel("orders")).len(), taken);
}

#[test]
fn the_queue_is_bounded_by_bytes_too() {
    let dir = Dir::new();
    let writer = start(&dir.open());
    let data = Data::Text("x".repeat(65 << 20).into());
    let body = Body::Messages(vec![Message { data, ..Message::default() }]);
    let large = Arc::new(Entry { body, ..Entry::clone(&message(1, 1, 10)) });
    let (done, outcomes) = mpsc::channel();
    assert!(!is_taken(&writer, request("orders", &large, &done)));
    assert!(is_taken(&writer, request("orders", &message(1, 1, 10), &done)));
    assert_eq!(outcomes.recv(), Ok((1, true)));
}

#[test]
fn an_entry_that_cannot_be_stored_fails_alone() {
    let dir = Dir::new();
    let writer = start(&dir.open());
    let (done, outcomes) = mpsc::channel();
    let release = hold(&writer, &message(9, 1, 10));
    for position in 1..=3 {
        let mut request = request("orders", &message(1, position, 20), &done);
        if let Write::Entries { app, .. } = &mut request.write
            && position == 2
        {
            *app = AppId::new("x".repeat(70_000));
        }
        assert!(is_taken(&writer, request));
    }
    release.wait();
    drop(done);
    let outcomes: Vec<_> = outcomes.iter().collect();
    assert_eq!(outcomes, [(1, true), (2, false), (3, true)]);
    assert_eq!(writer.counters().failed, 1);
}

#[test]
fn entries_of_one_write_are_stored_together_or_not_at_all() {
    let dir = Dir::new();
    let store = dir.open();
    let said = message(1, 1, 10);
    let of = ItemPosition { serial: said.serial, index: 0 };
    let with_change = |name: AppId| {
        let mut write = add(&channel("orders"), &said);
        let Write::Entries { app, entries, .. } = &mut write else { panic!("not entries") };
        *app = name;
        entries.push(change(2, 20, of));
        write
    };
    // So long that a message has a key, and what is said of one has none.
    let long = AppId::new("x".repeat(65_490));
    assert_eq!(try_write(&store, vec![with_change(long)]), [false]);
    assert_eq!(try_write(&store, vec![with_change(AppId::from("app"))]), [true]);
    drop(store);
    assert_eq!(keyspace(&dir.engine(), "history").iter().count(), 2);
}

#[test]
fn a_file_that_is_damaged_keeps_only_its_own_channel_from_being_stored() {
    let dir = Dir::new();
    // So large that it lies in a file of its own.
    let data = Data::Text((0..4000).map(|n| n.to_string()).collect::<String>().into());
    let body = Body::Messages(vec![Message { data, ..Message::default() }]);
    let first = Arc::new(Entry { body, ..Entry::clone(&message(1, 1, 10)) });
    append(&dir.open(), &channel("damaged"), &[first]);
    damage_blobs(&dir);
    let store = dir.open();
    for position in 2..4 {
        let next = message(1, position, 10 + position);
        let writes = ["damaged", "whole"].map(|name| add(&channel(name), &next));
        assert_eq!(try_write(&store, writes.into()), [false, true]);
    }
    assert_eq!(ids(&store, &channel("whole")), ["1-2", "1-3"]);
}

/// Has the history written to its files, and damages those of large rows.
fn damage_blobs(dir: &Dir) {
    let engine = dir.engine();
    keyspace(&engine, "history").rotate_memtable_and_wait().unwrap();
    drop(engine);
    let mut damaged = 0;
    for keyspace in std::fs::read_dir(dir.path().join("store/keyspaces")).unwrap() {
        let Ok(blobs) = std::fs::read_dir(keyspace.unwrap().path().join("blobs")) else { continue };
        for blob in blobs {
            let path = blob.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(path, bytes).unwrap();
            damaged += 1;
        }
    }
    assert_eq!(damaged, 1);
}

#[test]
fn dropping_the_writer_writes_what_was_taken() {
    let dir = Dir::new();
    let store = dir.open();
    let (done, outcomes) = mpsc::channel();
    let writer = start(&store);
    for position in 1..=50 {
        let entry = message(1, position, 10 + position);
        assert!(is_taken(&writer, request("orders", &entry, &done)));
    }
    drop(writer);
    assert_eq!(outcomes.try_iter().count(), 50);
    assert_eq!(ids(&store, &channel("orders")).len(), 50);
}
