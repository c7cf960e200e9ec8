//! Group commit: order, bounds, and what happens to an entry that cannot be stored.

use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Barrier};

use store::{Place, Write, WriteRequest, Writer};
use types::{AppId, Body, Data, Entry, Message};

use crate::support::{Dir, app, channel, ids, message};

fn request(name: &str, entry: &Arc<Entry>, done: &Sender<(u64, bool)>) -> WriteRequest {
    let (done, position) = (done.clone(), entry.position);
    WriteRequest {
        write: Write::Entry {
            app: app(),
            channel: channel(name),
            entry: Arc::clone(entry),
            place: Place::History,
        },
        done: Box::new(move |stored| done.send((position, stored)).unwrap()),
    }
}

/// Appends an entry whose completion keeps the writer's thread until the barrier is passed.
fn hold(writer: &Writer, entry: &Arc<Entry>) -> Arc<Barrier> {
    let (reached, release) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let barriers = (Arc::clone(&reached), Arc::clone(&release));
    let held = WriteRequest {
        write: Write::Entry {
            app: app(),
            channel: channel("held"),
            entry: Arc::clone(entry),
            place: Place::History,
        },
        done: Box::new(move |_| {
            barriers.0.wait();
            barriers.1.wait();
        }),
    };
    assert!(writer.try_write(held).is_ok());
    reached.wait();
    release
}

#[test]
fn concurrent_appends_are_completed_in_order_per_channel() {
    let dir = Dir::new();
    let store = dir.open();
    let writer = Writer::start(store.clone()).unwrap();
    std::thread::scope(|scope| {
        for number in 1..=4 {
            let writer = &writer;
            scope.spawn(move || {
                let (done, outcomes) = mpsc::channel();
                for position in 1..=500 {
                    let entry = message(number, position, 1000 + position);
                    let name = format!("channel-{number}");
                    assert!(writer.try_write(request(&name, &entry, &done)).is_ok());
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
    let writer = Writer::start(dir.open()).unwrap();
    let (done, outcomes) = mpsc::channel();
    let release = hold(&writer, &message(1, 1, 10));
    for position in 2..=101 {
        let entry = message(1, position, 10 + position);
        assert!(writer.try_write(request("orders", &entry, &done)).is_ok());
    }
    release.wait();
    drop(done);
    assert_eq!(outcomes.iter().count(), 100);
    assert_eq!(writer.counters().batches, 2);
}

#[test]
fn a_full_queue_hands_the_request_back_and_what_was_taken_is_stored() {
    let dir = Dir::new();
    let store = dir.open();
    let writer = Writer::start(store.clone()).unwrap();
    let (done, outcomes) = mpsc::channel();
    let release = hold(&writer, &message(1, 1, 10));
    let refused = (1..).find_map(|position| {
        let entry = message(2, position, 20 + position);
        writer.try_write(request("orders", &entry, &done)).err()
    });
    let Write::Entry { entry, .. } = refused.unwrap().write else { panic!("not an entry") };
    let taken = usize::try_from(entry.position - 1).unwrap();
    release.wait();
    drop((done, writer));
    assert_eq!(outcomes.iter().filter(|(_, stored)| *stored).count(), taken);
    assert_eq!(ids(&store, &channel("orders")).len(), taken);
}

#[test]
fn the_queue_is_bounded_by_bytes_too() {
    let dir = Dir::new();
    let writer = Writer::start(dir.open()).unwrap();
    let data = Data::Text("x".repeat(65 << 20).into());
    let body = Body::Messages(vec![Message { data, ..Message::default() }]);
    let large = Arc::new(Entry { body, ..Entry::clone(&message(1, 1, 10)) });
    let (done, outcomes) = mpsc::channel();
    assert!(writer.try_write(request("orders", &large, &done)).is_err());
    assert!(writer.try_write(request("orders", &message(1, 1, 10), &done)).is_ok());
    assert_eq!(outcomes.recv(), Ok((1, true)));
}

#[test]
fn an_entry_that_cannot_be_stored_fails_alone() {
    let dir = Dir::new();
    let writer = Writer::start(dir.open()).unwrap();
    let (done, outcomes) = mpsc::channel();
    let release = hold(&writer, &message(9, 1, 10));
    for position in 1..=3 {
        let mut request = request("orders", &message(1, position, 20), &done);
        if let Write::Entry { app, .. } = &mut request.write
            && position == 2
        {
            *app = AppId::new("x".repeat(70_000));
        }
        assert!(writer.try_write(request).is_ok());
    }
    release.wait();
    drop(done);
    let outcomes: Vec<_> = outcomes.iter().collect();
    assert_eq!(outcomes, [(1, true), (2, false), (3, true)]);
    assert_eq!(writer.counters().failed, 1);
}

#[test]
fn dropping_the_writer_writes_what_was_taken() {
    let dir = Dir::new();
    let store = dir.open();
    let (done, outcomes) = mpsc::channel();
    let writer = Writer::start(store.clone()).unwrap();
    for position in 1..=50 {
        let entry = message(1, position, 10 + position);
        assert!(writer.try_write(request("orders", &entry, &done)).is_ok());
    }
    drop(writer);
    assert_eq!(outcomes.try_iter().count(), 50);
    assert_eq!(ids(&store, &channel("orders")).len(), 50);
}
