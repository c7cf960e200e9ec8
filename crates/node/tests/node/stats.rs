//! Statistics that a restart does not end.

use node::{Event, Operation, Response};
use stats::{Query, Unit};
use types::{Direction, Record, RecordId, RecordKind};

use crate::world::{ALL, Store, World, publish, world, world_with};

/// The ids of the intervals, and the messages published in each.
fn counted(world: &mut World, unit: Unit) -> Vec<(String, u64)> {
    let direction = Direction::Forwards;
    let query = Query { unit, start: None, end: None, direction, limit: 10, after: None };
    let response = world.request("all", Operation::Stats(query));
    let Response::Stats { page, .. } = response else { panic!("{response:?}") };
    let periods = page.periods.iter();
    periods
        .map(|period| (period.interval.to_string(), period.totals.inbound.realtime.messages.count))
        .collect()
}

fn restarted(world: World) -> World {
    world_with(|setup| {
        setup.incarnation = 2;
        setup.now = world.now;
        setup.store = world.store;
    })
}

fn writes(store: &Store) -> usize {
    store.records.keys().filter(|id| id.kind == RecordKind::Statistics).count()
}

#[test]
fn what_was_counted_ten_seconds_ago_is_there_after_a_restart_and_counts_on() {
    let mut world = world();
    let client = world.connect(ALL);
    world.send(client, &publish("news", 0, "a"));
    assert_eq!(writes(&world.store), 0);
    world.advance(10_000);
    assert_eq!(writes(&world.store), 4);
    let mut world = restarted(world);
    let client = world.connect(ALL);
    world.send(client, &publish("news", 0, "b"));
    for (unit, id) in [(Unit::Minute, "2023-11-14:22:13"), (Unit::Month, "2023-11")] {
        assert_eq!(counted(&mut world, unit), [(id.to_owned(), 2)]);
    }
}

#[test]
fn a_stop_in_order_loses_nothing_that_was_counted() {
    let mut world = world();
    let client = world.connect(ALL);
    world.send(client, &publish("news", 0, "a"));
    world.handle(Event::Shutdown);
    let mut world = restarted(world);
    assert_eq!(counted(&mut world, Unit::Day), [("2023-11-14".to_owned(), 1)]);
}

#[test]
fn records_that_are_no_statistics_are_named_and_skipped() {
    let mut store = Store::default();
    for (key, value) in [
        ("yesterday", r#"{"version":1,"numbers":[1]}"#),
        ("2023-11", r#"{"version":2,"numbers":[1]}"#),
        ("2023-10", "[]"),
    ] {
        let id = RecordId { app: "app".into(), kind: RecordKind::Statistics, key: key.into() };
        store.records.insert(id.clone(), Record { id, value: value.into() });
    }
    let mut world = world_with(|setup| setup.store = store);
    assert_eq!(world.damaged.len(), 3);
    assert!(counted(&mut world, Unit::Month).is_empty());
}
