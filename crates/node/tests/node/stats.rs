//! Statistics: what is counted, and that a restart does not end it.

use auth::Credentials;
use node::{Caller, Event, Operation, PushOperation, PushRequest, Response};
use push::{Failure, Lasting};
use serde_json::{Value, json};
use stats::{Batches, Deltas, Notifications, Query, Totals, Unit};
use types::{
    Direction, HistoryQuery, Kind, Message, Namespace, Record, RecordId, RecordKind, error,
};

use crate::world::{
    ALL, Store, World, attach, publish, publish_all, resuming, text, with_params, world, world_with,
};

/// What was counted this month.
fn totals(world: &mut World) -> Totals {
    let direction = Direction::Forwards;
    let query =
        Query { unit: Unit::Month, start: None, end: None, direction, limit: 1, after: None };
    let response = world.request("all", Operation::Stats(query));
    let Response::Stats { page, .. } = response else { panic!("{response:?}") };
    page.periods.first().map(|period| period.totals).unwrap_or_default()
}

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

#[test]
fn a_replay_counts_as_what_was_delivered_live_does() {
    let mut world = world();
    let publisher = world.connect(ALL);
    let (reader, first) = world.connected(ALL);
    let attached = world.attach(reader, "news");
    world.send(publisher, &publish("news", 0, "live"));
    let live = totals(&mut world).outbound.realtime.messages;
    assert_eq!((live.count, live.data), (1, 4));
    world.drop_transport(reader);
    world.send(publisher, &publish("news", 1, "away"));
    let reader = world.connect(&resuming(&first));
    let serial = attached.channel_serial;
    world.send(reader, &protocol::ProtocolMessage { channel_serial: serial, ..attach("news") });
    let both = totals(&mut world).outbound.realtime.messages;
    assert_eq!((both.count, both.data), (3, 12), "both of them again, from the first position");
    world.attach_with(reader, &with_params(attach("other"), &[("rewind", "1")]));
    assert_eq!(totals(&mut world).outbound.realtime.messages.count, 3, "nothing to replay");
}

#[test]
fn history_counts_when_the_store_has_answered_too() {
    let mut world = world_with(|setup| {
        let rules = Namespace { id: "last".into(), persist_last: true, ..Namespace::default() };
        setup.app.namespaces.push(rules);
    });
    let publisher = world.connect(ALL);
    world.send(publisher, &publish("last:news", 0, "four"));
    world.advance(3_600_000);
    let query = HistoryQuery::new(Kind::Messages, 10);
    let read = Operation::History { channel: "last:news".into(), query, until: None };
    let response = world.request("all", read);
    assert!(matches!(response, Response::History(page) if page.items.len() == 1));
    let read = totals(&mut world).outbound.rest.messages;
    assert_eq!((read.count, read.data), (1, 4));
}

#[test]
fn a_delta_counts_once_for_all_who_receive_it() {
    let mut world = world();
    let [publisher, one, other] = [(); 3].map(|()| world.connect(ALL));
    for reader in [one, other] {
        world.attach_with(reader, &with_params(attach("news"), &[("delta", "vcdiff")]));
    }
    let long = "a state that is long enough to be left out ".repeat(4);
    for (n, data) in [&format!("{long}0"), &format!("{long}1"), "x"].into_iter().enumerate() {
        world.send(publisher, &publish("news", i64::try_from(n).unwrap(), data));
    }
    let expected = Deltas { succeeded: 1, skipped: 0, failed: 1 };
    assert_eq!(totals(&mut world).deltas, expected);
}

#[test]
fn messages_that_travel_together_are_a_batch() {
    let mut world = world_with(|setup| {
        setup.app.namespaces.push(Namespace {
            id: "slow".into(),
            batching_enabled: true,
            batching_interval: Some(100),
            ..Namespace::default()
        });
    });
    let [publisher, one, other] = [(); 3].map(|()| world.connect(ALL));
    world.attach(one, "slow:news");
    world.attach(other, "slow:news");
    for n in 0..3 {
        world.send(publisher, &publish("slow:news", n, "x"));
    }
    world.advance(100);
    let totals = totals(&mut world);
    assert_eq!(totals.batching, Batches { messages: 3, batches: 1 });
    assert_eq!(totals.conflation, Batches::default());
}

#[test]
fn messages_that_conflation_leaves_out_are_counted() {
    let mut world = world_with(|setup| {
        setup.app.namespaces.push(Namespace {
            id: "latest".into(),
            conflation_enabled: true,
            conflation_interval: Some(100),
            conflation_key: Some("#{message.name}".into()),
            ..Namespace::default()
        });
    });
    let [publisher, reader] = [(); 2].map(|()| world.connect(ALL));
    world.attach(reader, "latest:news");
    let named = |name: &str| Message { name: Some(name.into()), ..text("x") };
    let all_of_one = publish_all("latest:news", 0, vec![named("a")]);
    let one_of_two = publish_all("latest:news", 1, vec![named("b"), named("a")]);
    for frame in [all_of_one, one_of_two, publish_all("latest:news", 2, vec![named("b")])] {
        world.send(publisher, &frame);
    }
    world.advance(100);
    let totals = totals(&mut world);
    assert_eq!(totals.conflation, Batches { messages: 4, batches: 1 });
    assert_eq!(totals.discarded, 2);
}

fn push(world: &mut World, operation: PushOperation) -> Response {
    let credentials = Some(Credentials::Key("app.all:secret of all".into()));
    let caller = Caller { credentials, ..Caller::default() };
    let request = PushRequest { device_token: None, device_secret: None, operation };
    world.request_as(caller, Operation::Push(request))
}

#[test]
fn notifications_count_by_what_became_of_them() {
    let mut world = world();
    let notify = |token: &str| {
        let recipient = json!({"transportType": "fcm", "registrationToken": token});
        let Value::Object(body) = json!({"recipient": recipient, "data": {}}) else { panic!() };
        PushOperation::Publish(body)
    };
    for (token, failed) in [("a", None), ("b", Some(Lasting::No)), ("c", Some(Lasting::Yes))] {
        assert!(matches!(push(&mut world, notify(token)), Response::NoContent));
        let delivery = world.pushed.remove(0);
        let error = error::INTERNAL.info();
        let outcome = failed.map_or(Ok(()), |lasting| Err(Failure { error, lasting }));
        world.handle(Event::Pushed { app: "app".into(), delivery, outcome });
    }
    let Value::Object(extras) = json!({"push": {"data": {"a": "b"}}}) else { panic!() };
    let messages = vec![Message { extras: Some(extras.into()), ..text("x") }];
    world.request("all", Operation::Publish { channel: "pushed:x".into(), messages });
    assert!(matches!(push(&mut world, PushOperation::BatchPublish(vec![])), Response::Push(_)));
    let seen = totals(&mut world);
    let one = Notifications { fcm: 1, total: 1, ..Notifications::default() };
    assert_eq!([seen.push.delivered, seen.push.refused, seen.push.refused_finally], [one; 3]);
    assert_eq!((seen.push.direct_publishes, seen.push.channel_messages), (3, 1));
    assert_eq!((seen.push_requests.succeeded, seen.api_requests.succeeded), (4, 1));
}
