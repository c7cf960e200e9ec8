//! Operations in any order, limits, and garbage.

use std::time::Duration;

use proptest::prelude::*;
use types::{
    AppLimits, Body, EntryId, MapValue, NodeLimits, ObjectKind, ObjectOperation, ObjectValue,
    SeriesId,
};

use super::*;

const GRACE_MS: u64 = 160_000;

fn objects() -> Objects {
    let mut limits = Limits::new(&AppLimits::unlimited(), &NodeLimits::default());
    limits.objects_grace = Duration::from_millis(GRACE_MS);
    limits.objects_bytes = 1_000;
    Objects::new(&limits)
}

fn id(kind: ObjectKind, name: &str) -> ObjectId {
    ObjectId::new(kind, name, Timestamp(1))
}

fn map(name: &str) -> ObjectId {
    id(ObjectKind::Map, name)
}

fn counter(name: &str) -> ObjectId {
    id(ObjectKind::Counter, name)
}

fn number(number: i32) -> Finite {
    Finite::new(f64::from(number)).unwrap()
}

fn message(object_id: &ObjectId, action: ObjectAction) -> ObjectMessage {
    ObjectMessage::new(ObjectOperation { object_id: object_id.clone(), action })
}

fn set(key: &str, value: ObjectData) -> ObjectAction {
    ObjectAction::MapSet { key: key.into(), value }
}

fn remove(key: &str) -> ObjectAction {
    ObjectAction::MapRemove { key: key.into() }
}

fn text(text: &str) -> ObjectData {
    ObjectData::Text(text.into())
}

fn entry(ms: u64, messages: Vec<ObjectMessage>) -> Entry {
    let series = SeriesId::from_bytes(b"dun000000001").unwrap();
    Entry {
        id: EntryId::Named(ms.to_string().into()),
        serial: Serial { ms, counter: 0, series },
        position: ms,
        timestamp: Timestamp(ms),
        connection_id: None,
        body: Body::Objects(messages),
    }
}

fn commit(objects: &mut Objects, ms: u64, object_id: &ObjectId, action: ObjectAction) {
    objects.commit(Timestamp(ms), &entry(ms, vec![message(object_id, action)]));
}

fn value_of(objects: &Objects, object_id: &ObjectId) -> f64 {
    match objects.view(object_id) {
        Some(ObjectView::Counter(count)) => count.get(),
        other => panic!("{other:?}"),
    }
}

/// The keys that a reader sees.
fn keys_of(objects: &Objects, object_id: &ObjectId) -> Vec<String> {
    match objects.view(object_id) {
        Some(ObjectView::Map(entries)) => entries
            .iter()
            .filter(|(_, entry)| matches!(entry.value, MapValue::Data(_)))
            .map(|(key, _)| key.to_string())
            .collect(),
        other => panic!("{other:?}"),
    }
}

fn code(result: Result<(), ErrorInfo>) -> u32 {
    result.map_or_else(|error| error.code, |()| 0)
}

fn any_operation() -> impl Strategy<Value = ObjectMessage> {
    let key = || prop::sample::select(vec!["a", "b", "c"]);
    let on_map = prop_oneof![
        4 => (key(), any::<bool>()).prop_map(|(key, value)| set(key, ObjectData::Boolean(value))),
        1 => key().prop_map(|key| set(key, ObjectData::Object(counter("1")))),
        2 => key().prop_map(remove),
        1 => Just(ObjectAction::MapClear),
        1 => key().prop_map(|key| ObjectAction::MapCreate(vec![(key.into(), text("initial"))])),
        1 => Just(ObjectAction::Delete),
    ];
    let on_counter = prop_oneof![
        4 => (-9..9).prop_map(|n| ObjectAction::CounterInc(number(n))),
        1 => Just(ObjectAction::CounterCreate(number(7))),
        1 => Just(ObjectAction::Delete),
    ];
    prop_oneof![
        (prop::sample::select(vec![ObjectId::root(), map("1")]), on_map),
        (prop::sample::select(vec![counter("1"), counter("2")]), on_counter),
    ]
    .prop_map(|(object_id, action)| message(&object_id, action))
}

/// An object has one creation: its id says what it is. So does this.
fn consistent(mut bodies: Vec<Vec<ObjectMessage>>) -> Vec<Vec<ObjectMessage>> {
    for message in bodies.iter_mut().flatten() {
        if let ObjectAction::MapCreate(entries) = &mut message.operation.action {
            *entries = vec![("a".into(), text("initial")), ("d".into(), text("initial"))];
        }
    }
    bodies
}

proptest! {
    #[test]
    fn any_order_of_the_same_operations_gives_the_same_objects(
        (straight, shuffled) in prop::collection::vec(
            prop::collection::vec(any_operation(), 1..4),
            0..25,
        ).prop_flat_map(|bodies| {
            let bodies = consistent(bodies);
            let entries: Vec<Entry> =
                bodies.into_iter().zip(1..).map(|(body, ms)| entry(ms, body)).collect();
            (Just(entries.clone()), Just(entries).prop_shuffle())
        })
    ) {
        let (mut one, mut other) = (objects(), objects());
        straight.iter().for_each(|entry| one.commit(Timestamp(0), entry));
        shuffled.iter().for_each(|entry| other.commit(Timestamp(0), entry));
        prop_assert_eq!(one.states(), other.states());
        prop_assert_eq!(one.weight, other.weight);
    }
}

proptest! {
    #[test]
    fn a_snapshot_and_what_came_behind_it_give_the_same_objects(
        bodies in prop::collection::vec(prop::collection::vec(any_operation(), 1..4), 1..25),
        cut in any::<prop::sample::Index>(),
    ) {
        let entries: Vec<Arc<Entry>> = consistent(bodies)
            .into_iter()
            .zip(1..)
            .map(|(body, ms)| Arc::new(entry(ms, body)))
            .collect();
        let mut before = objects();
        let cut = cut.index(entries.len());
        entries.iter().take(cut).for_each(|entry| before.commit(Timestamp(0), entry));
        let snapshot = before.snapshot();
        prop_assert_eq!(snapshot.is_some(), cut > 0);
        entries.iter().skip(cut).for_each(|entry| before.commit(Timestamp(0), entry));
        let mut after = objects();
        after.restore(Timestamp(0), snapshot, &entries);
        prop_assert_eq!(before.states(), after.states());
        prop_assert_eq!(before.weight, after.weight);
    }
}

#[test]
fn snapshots_are_due_in_proportion_to_what_is_published() {
    let mut objects = objects();
    let mut snapshots = 0;
    for ms in 1..=10_000 {
        commit(&mut objects, ms, &ObjectId::root(), set(&(ms % 9).to_string(), text("x")));
        snapshots += usize::from(objects.snapshot_if_due().is_some());
    }
    assert!((15..25).contains(&snapshots), "{snapshots}");
    assert!(objects.snapshot().is_some() && objects.snapshot().is_none());
}

#[test]
fn the_initial_values_of_a_map_are_older_than_everything() {
    let mut objects = objects();
    let (a, create) = (map("a"), ObjectAction::MapCreate(vec![("k".into(), text("initial"))]));
    commit(&mut objects, 1, &a, remove("k"));
    commit(&mut objects, 2, &a, create.clone());
    assert_eq!(keys_of(&objects, &a), [""; 0]);
    let b = map("b");
    commit(&mut objects, 3, &b, create);
    commit(&mut objects, 4, &b, ObjectAction::MapClear);
    commit(&mut objects, 5, &b, set("l", text("x")));
    assert_eq!(keys_of(&objects, &b), ["l"]);
}

#[test]
fn a_counter_is_created_once_and_reported_without_its_initial_value() {
    let mut objects = objects();
    let a = counter("a");
    commit(&mut objects, 1, &a, ObjectAction::CounterInc(number(5)));
    commit(&mut objects, 2, &a, ObjectAction::CounterCreate(number(10)));
    commit(&mut objects, 3, &a, ObjectAction::CounterCreate(number(10)));
    assert!((value_of(&objects, &a) - 15.0).abs() < f64::EPSILON);
    let state = objects.states().into_iter().find(|state| state.object_id == a).unwrap();
    assert_eq!(state.value, ObjectValue::Counter(number(5)));
    assert_eq!(state.created, Some(ObjectAction::CounterCreate(number(10))));
}

#[test]
fn operations_that_make_no_sense_are_refused_each_with_its_code() {
    let mut objects = objects();
    let (a, deleted) = (counter("a"), map("deleted"));
    commit(&mut objects, 1, &a, ObjectAction::CounterCreate(number(0)));
    commit(&mut objects, 2, &deleted, ObjectAction::Delete);
    let increment = || ObjectAction::CounterInc(number(1));
    let check = |id: &ObjectId, action| code(objects.check(&[message(id, action)]));
    assert_eq!(check(&a, increment()), 0);
    assert_eq!(check(&ObjectId::root(), set("a", ObjectData::Object(a.clone()))), 0);
    assert_eq!(check(&counter("b"), increment()), 92_004);
    assert_eq!(check(&deleted, remove("a")), 92_002);
    assert_eq!(check(&a, remove("a")), 92_007);
    assert_eq!(check(&a, ObjectAction::Delete), 92_000);
    assert_eq!(check(&ObjectId::root(), set("a", text(&"x".repeat(1_000)))), 92_001);
    let both = [
        message(&counter("b"), ObjectAction::CounterCreate(number(1))),
        message(&counter("b"), increment()),
    ];
    assert_eq!(code(objects.check(&both)), 0);
    let many = vec![message(&a, increment()); MAX_OPERATIONS + 1];
    assert_eq!(code(objects.check(&many)), 92_000);
}

#[test]
fn a_pending_creation_counts_until_it_fails() {
    let mut objects = objects();
    let a = counter("a");
    let create = entry(1, vec![message(&a, ObjectAction::CounterCreate(number(1)))]);
    let increment = [message(&a, ObjectAction::CounterInc(number(1)))];
    objects.stage(&create);
    assert_eq!(code(objects.check(&increment)), 0);
    objects.fail(&create);
    assert_eq!(code(objects.check(&increment)), 92_004);
}

#[test]
fn what_cannot_be_reached_does_not_count_towards_the_size() {
    let mut objects = objects();
    let root = ObjectId::root();
    for n in 0..5 {
        let entries = vec![("k".into(), text(&"x".repeat(400)))];
        commit(&mut objects, n + 1, &map(&n.to_string()), ObjectAction::MapCreate(entries));
    }
    let big = [message(&root, set("k", text(&"x".repeat(500))))];
    assert_eq!(code(objects.check(&big)), 0);
    commit(&mut objects, 9, &root, set("a", ObjectData::Object(map("1"))));
    commit(&mut objects, 10, &root, set("b", ObjectData::Object(map("2"))));
    assert_eq!(code(objects.check(&big)), 92_001);
    assert_eq!(code(objects.check(&[message(&root, remove("a"))])), 0);
    commit(&mut objects, 11, &root, remove("a"));
    assert_eq!(code(objects.check(&big)), 0);
}

#[test]
fn objects_that_nothing_refers_to_are_deleted_after_the_grace_and_then_forgotten() {
    let mut objects = objects();
    let root = ObjectId::root();
    let (kept, lost) = (counter("kept"), counter("lost"));
    for (ms, id) in [(1, &kept), (2, &lost)] {
        commit(&mut objects, ms, id, ObjectAction::CounterCreate(number(1)));
        commit(&mut objects, ms + 2, &root, set(&ms.to_string(), ObjectData::Object(id.clone())));
    }
    commit(&mut objects, 5, &root, remove("2"));
    let (mut now, mut deleted_at) = (Timestamp(0), None);
    while let Some(at) = objects.deadline().filter(|at| at.0 < 3 * GRACE_MS) {
        now = at;
        for id in objects.sweep(now) {
            assert_eq!(id, lost);
            deleted_at = Some(now.0);
            commit(&mut objects, now.0, &id, ObjectAction::Delete);
            assert!(matches!(objects.view(&id), Some(ObjectView::Deleted)));
        }
    }
    assert!(deleted_at.is_some_and(|at| at > GRACE_MS && at < GRACE_MS * 5 / 4), "{deleted_at:?}");
    assert!(now.0 > 2 * GRACE_MS && objects.view(&lost).is_none());
    assert_eq!(keys_of(&objects, &root), ["1"]);
    assert!(!objects.pool.values().any(|object| object.has_key("2")));
}

#[test]
fn a_channel_is_kept_for_its_objects_and_not_for_what_was_removed() {
    let mut objects = objects();
    assert!(objects.is_idle());
    commit(&mut objects, 1, &ObjectId::root(), set("", text("")));
    assert!(!objects.is_idle());
    commit(&mut objects, 2, &ObjectId::root(), remove(""));
    assert!(objects.is_idle());
}
