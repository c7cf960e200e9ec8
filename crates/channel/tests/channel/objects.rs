//! Objects in a namespace that persists nothing else.

use std::sync::Arc;
use std::time::Duration;

use channel::Event;
use types::{
    Body, Entry, Finite, ObjectAction, ObjectId, ObjectKind, ObjectMessage, ObjectOperation,
    ObjectsSnapshot, Timestamp,
};

use crate::host::{Host, config, entries, messages, named, sent, told, window_ms};

fn counter() -> ObjectId {
    ObjectId::new(ObjectKind::Counter, "n", Timestamp(1))
}

fn operation(action: ObjectAction) -> Body {
    let operation = ObjectOperation { object_id: counter(), action };
    Body::Objects(vec![ObjectMessage::new(operation)])
}

fn create() -> Body {
    operation(ObjectAction::CounterCreate(Finite::new(1.0).unwrap()))
}

fn increment() -> Body {
    operation(ObjectAction::CounterInc(Finite::new(1.0).unwrap()))
}

fn count(host: &Host) -> Option<f64> {
    match host.channel.object(&counter())? {
        channel::ObjectView::Counter(count) => Some(count.get()),
        other => panic!("not a counter: {other:?}"),
    }
}

/// Publishes and stores what the store then holds.
fn store(host: &mut Host, id: &str, body: Body) -> Arc<Entry> {
    let event = host.publish_event(named(id), body);
    let [entry] = entries(&host.handle(event)).try_into().unwrap();
    host.durable(entry.position);
    entry
}

#[test]
fn operations_are_durable_before_they_are_seen_and_what_follows_waits() {
    let mut host = Host::open(config(), 1, 0);
    let id = counter();
    assert_eq!(host.publish(sent("c", 0), create()), [format!("store 1 {id}")]);
    assert!(host.post(&["a"]).is_empty());
    assert_eq!(count(&host), None);
    assert_eq!(
        host.durable(1),
        [format!("deliver {id}"), "1 accepted 1".into(), "deliver a".into(), "2 accepted 1".into()]
    );
    assert_eq!(host.post(&["b"]), ["deliver b", "3 accepted 1"]);
    assert_eq!(host.publish(sent("c", 1), increment()), [format!("store 4 {id}")]);
    assert!(host.post(&["c"]).is_empty());
    assert_eq!(host.not_durable(4), ["4 refused 50003", "deliver c", "5 accepted 1"]);
    assert_eq!(count(&host), Some(1.0));
}

#[test]
fn a_new_host_goes_on_with_what_was_kept_and_knows_what_it_has_seen() {
    let mut first = Host::open(config(), 1, 0);
    let operations = vec![
        store(&mut first, "create", create()),
        store(&mut first, "one", increment()),
        store(&mut first, "two", increment()),
    ];
    let snapshot = ObjectsSnapshot { until: operations[1].serial, objects: Vec::new() };
    let empty = Some(ObjectsSnapshot { objects: Vec::new(), ..snapshot });
    for (snapshot, expected) in [(None, Some(3.0)), (empty, Some(1.0))] {
        let mut second = Host::open(config(), 2, 5);
        second.channel.restore_objects(Timestamp(second.now), snapshot, operations.clone());
        assert_eq!(count(&second), expected);
        assert_eq!(second.publish(named("two"), increment()), ["1 accepted 1"]);
        assert_eq!(count(&second), expected);
        let newer = store(&mut second, "three", increment());
        assert!(newer.serial > operations[2].serial);
    }
}

#[test]
fn what_the_store_reads_of_history_makes_no_operation_be_forgotten() {
    let persisted = || channel::Config { persisted: true, ..config() };
    let mut first = Host::open(persisted(), 1, 0);
    first.load(vec![]);
    let operations =
        vec![store(&mut first, "create", create()), store(&mut first, "one", increment())];
    let mut second = Host::open(persisted(), 2, 5);
    second.channel.restore_objects(Timestamp(second.now), None, operations.clone());
    // It reads only so much.
    second.load(operations[1..].to_vec());
    assert_eq!(second.channel.metrics().ids, 2);
    assert_eq!(second.publish(named("create"), create()), ["1 accepted 1"]);
    assert_eq!(second.publish(named("one"), increment()), ["2 accepted 1"]);
    second.at(window_ms());
    assert_eq!(second.channel.metrics().ids, 0);
}

#[test]
fn older_history_does_not_make_an_operation_be_forgotten_earlier() {
    let persisted = || channel::Config { persisted: true, ..config() };
    let mut first = Host::open(persisted(), 1, 0);
    first.load(vec![]);
    let message = store(&mut first, "message", messages(&["a"]));
    first.now += 1_000;
    let created = store(&mut first, "create", create());
    let mut second = Host::open(persisted(), 2, 1_005);
    let kept = vec![Arc::clone(&created)];
    second.channel.restore_objects(Timestamp(second.now), None, kept);
    second.load(vec![message, created]);
    second.at(window_ms() + 999);
    assert!(second.channel.knows(&named("create")));
    second.at(window_ms() + 1_000);
    assert_eq!(second.channel.metrics().ids, 0);
}

/// A persisted channel that has not read its history and has deleted an object without use; the entry.
fn swept() -> (Host, Arc<Entry>) {
    let persisted = |seed| {
        let mut config = channel::Config { persisted: true, ..config() };
        config.limits.objects_grace = Duration::from_secs(16);
        Host::open(config, seed, 0)
    };
    let mut first = persisted(1);
    first.load(vec![]);
    let created = store(&mut first, "create", create());
    let mut host = persisted(2);
    host.channel.restore_objects(Timestamp(host.now), None, vec![created]);
    for _ in 0..100 {
        host.now += 1_000;
        if let Some(deleted) = entries(&host.handle(Event::Tick)).pop() {
            return (host, deleted);
        }
    }
    panic!("nothing is deleted");
}

#[test]
fn who_attaches_behind_what_was_deleted_before_the_history_was_read_can_resume() {
    let (mut host, deleted) = swept();
    host.durable(1);
    host.load(vec![deleted]);
    let cursor = host.attach().cursor;
    assert_eq!(told(&host.resume(&cursor)), "resumed");
    assert_eq!(host.channel.metrics().entries, 1);
}

#[test]
fn what_is_read_of_history_while_it_is_pending_is_committed_once() {
    let (mut host, deleted) = swept();
    host.load(vec![deleted]);
    let start = host.attach().cursor;
    assert_eq!(host.channel.metrics().entries, 0);
    host.durable(1);
    assert_eq!(host.channel.metrics().entries, 1);
    assert!(host.resume(&start).resumed);
}

#[test]
fn of_a_repeat_whose_first_write_failed_and_is_there_only_the_repeat_counts() {
    let mut first = Host::open(config(), 1, 0);
    let created = store(&mut first, "create", create());
    let event = first.publish_event(named("one"), increment());
    let [doubtful] = entries(&first.handle(event)).try_into().unwrap();
    first.not_durable(doubtful.position);
    let repeat = store(&mut first, "one", increment());
    let mut second = Host::open(config(), 2, 5);
    second.channel.restore_objects(Timestamp(second.now), None, vec![created, doubtful, repeat]);
    assert_eq!(count(&second), Some(2.0));
}
