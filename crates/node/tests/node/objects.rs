//! Objects: operations, what those receive who attach, and the same over REST.

use node::{ObjectQuery, Operation, PreviousIncarnation, Response, View};
use protocol::{Action, Format, ObjectItem, ObjectPayload, ObjectRequest, ProtocolMessage, flags};
use types::{Finite, Namespace, ObjectAction, ObjectData, Timestamp};

use crate::show::serials;
use crate::world::{
    ALL, Setup, World, attach, attach_from, code, on, publish, resuming, with_params, world,
    world_with,
};

const MODES: u32 = flags::OBJECT_SUBSCRIBE | flags::OBJECT_PUBLISH;

fn attach_objects(channel: &str) -> ProtocolMessage {
    ProtocolMessage { flags: Some(MODES), ..attach(channel) }
}

fn operate(msg_serial: i64, object_id: &str, action: ObjectAction) -> ProtocolMessage {
    let operation = ObjectRequest {
        object_id: Some(object_id.into()),
        payload: Some(ObjectPayload::Action(action)),
    };
    let state = vec![ObjectItem { operation: Some(operation), ..ObjectItem::default() }];
    ProtocolMessage { msg_serial: Some(msg_serial), state, ..on(Action::Object, "news") }
}

fn set(msg_serial: i64, key: &str) -> ProtocolMessage {
    let value = ObjectData::Boolean(true);
    operate(msg_serial, "root", ObjectAction::MapSet { key: key.into(), value })
}

fn increment(msg_serial: i64, object_id: &str) -> ProtocolMessage {
    operate(msg_serial, object_id, ObjectAction::CounterInc(Finite::new(5.0).unwrap()))
}

/// Publishes operations in JSON with the key `all`; the ids of the objects.
fn post(world: &mut World, operations: &str) -> Result<Vec<String>, u32> {
    match world.request("all", publish_op(operations)) {
        Response::ObjectsPublished { object_ids, .. } => {
            Ok(object_ids.iter().map(ToString::to_string).collect())
        }
        other => Err(code(&other)),
    }
}

fn publish_op(operations: &str) -> Operation {
    let operations = protocol::decode_object_operations(Format::Json, operations.as_bytes());
    Operation::PublishObjects { channel: "news".into(), operations: operations.unwrap() }
}

fn read_op(object_id: Option<&str>, path: &str, view: View) -> Operation {
    Operation::ReadObject(ObjectQuery {
        channel: "news".into(),
        object_id: object_id.map(str::to_owned),
        path: Some(path.into()),
        view,
    })
}

fn get(world: &mut World, object_id: Option<&str>, path: &str, view: View) -> Result<String, u32> {
    match world.request("all", read_op(object_id, path, view)) {
        Response::Object(tree) => {
            let json = protocol::encode_tree(&tree, Format::Json);
            Ok(String::from_utf8(json.to_vec()).unwrap())
        }
        other => Err(code(&other)),
    }
}

fn compact(world: &mut World, path: &str) -> Result<String, u32> {
    get(world, None, path, View::Compact)
}

#[test]
fn an_operation_is_acknowledged_with_its_serial_and_reaches_all_who_subscribe() {
    let mut world = world();
    let [one, other, stranger] = [ALL; 3].map(|key| world.connect(key));
    for client in [one, other] {
        let attached = world.attach_with(client, &attach_objects("news"));
        assert_eq!(attached.flags, Some(MODES));
    }
    world.attach(stranger, "news");
    world.send(one, &set(0, "a"));
    let [echo, ack] = world.frames(one).try_into().unwrap();
    assert_eq!(echo.state[0].serial, serials(&ack)[0]);
    assert_eq!(echo.state[0].site_code.map(|site| site.as_str().to_owned()), Some("dun".into()));
    assert_eq!(world.seen(other), ["object news set:a"]);
    assert!(world.seen(stranger).is_empty());
}

#[test]
fn who_attaches_receives_the_objects_also_when_resumed_and_not_their_past() {
    let mut world = world();
    let client = world.connect(ALL);
    let start = world.attach_with(client, &attach_objects("news"));
    world.send(client, &set(0, "a"));
    world.seen(client);
    let other = world.connect(ALL);
    assert_eq!(
        world.ask(other, &attach_objects("news")),
        ["attached news objects", "objectsync news map=a"]
    );
    let again = ProtocolMessage { flags: Some(MODES), ..attach_from("news", &start) };
    assert_eq!(
        world.ask(other, &again),
        ["attached news resumed objects", "objectsync news map=a"]
    );
    let without = world.connect(ALL);
    assert_eq!(world.ask(without, &attach("news")), ["attached news"]);
}

#[test]
fn a_repeated_operation_counts_once() {
    let mut world = world();
    let (client, connected) = world.connected(ALL);
    let ids = post(&mut world, r#"{"path":"c","counterCreate":{"count":1}}"#).unwrap();
    world.send(client, &increment(0, &ids[0]));
    assert_eq!(world.seen(client), ["ack 0+1"]);
    world.drop_transport(client);
    let client = world.connect(&resuming(&connected));
    assert_eq!(world.ask(client, &increment(0, &ids[0])), ["ack 0+1"]);
    assert_eq!(compact(&mut world, "c"), Ok("6".into()));
}

#[test]
fn each_refusal_of_an_operation_has_its_code_and_the_connection_stays() {
    let mut world = world_with(|setup| setup.app.limits.max_message_size = 100);
    let client = world.connect(ALL);
    let big = "x".repeat(101);
    let nothing = ProtocolMessage { state: vec![ObjectItem::default()], ..set(5, "") };
    for (frame, code) in [
        (increment(0, "counter:x@1"), 92_004),
        (increment(1, "root"), 92_007),
        (increment(2, "nonsense"), 92_000),
        (operate(3, "counter:x@1", ObjectAction::Delete), 92_000),
        (set(4, &big), 40_009),
        (nothing, 92_000),
    ] {
        let serial = frame.msg_serial.unwrap();
        assert_eq!(world.ask(client, &frame), [format!("nack {serial}+1 {code}")]);
    }
    world.attach(client, "news");
    assert_eq!(world.ask(client, &set(6, "a")), ["nack 6+1 40165"]);
    let reader = world.connect("key=app.reader:secret of reader");
    assert_eq!(world.ask(reader, &set(0, "a")), ["nack 0+1 40160"]);
}

#[test]
fn operations_are_no_history() {
    let mut world = world();
    let client = world.connect(ALL);
    world.send(client, &set(0, "a"));
    world.send(client, &publish("news", 1, "m"));
    world.seen(client);
    let rewind = with_params(attach("news"), &[("rewind", "9")]);
    assert_eq!(world.ask(client, &rewind), ["attached news backlog", "message news m"]);
}

#[test]
fn a_channel_lives_as_long_as_its_objects() {
    let mut world = world();
    post(&mut world, r#"{"objectId":"root","mapSet":{"key":"a","value":{"number":1}}}"#).unwrap();
    world.advance(3_600_000);
    assert_eq!(compact(&mut world, ""), Ok(r#"{"a":1}"#.into()));
    post(&mut world, r#"{"objectId":"root","mapRemove":{"key":"a"}}"#).unwrap();
    world.advance(3_600_000);
    assert!(world.node.is_empty());
    assert_eq!(compact(&mut world, ""), Ok("{}".into()));
}

/// The world after a restart `ms` later.
fn restarted(world: World, ms: u64) -> World {
    restarted_with(world, ms, |_| {})
}

fn restarted_with(world: World, ms: u64, change: impl FnOnce(&mut Setup)) -> World {
    world_with(|setup| {
        change(setup);
        setup.incarnation = 2;
        setup.previous = Some(PreviousIncarnation { number: 1, last_alive: Timestamp(world.now) });
        setup.now = world.now + ms;
        setup.store = world.store;
    })
}

#[test]
fn objects_outlive_a_restart_and_a_resend_across_it_counts_once() {
    let mut world = world();
    let ids = post(&mut world, r#"{"path":"c","counterCreate":{"count":1}}"#).unwrap();
    let (client, connected) = world.connected(ALL);
    let attached = world.attach_with(client, &attach_objects("news"));
    world.ask(client, &increment(0, &ids[0]));
    let mut world = restarted(world, 1_000);
    assert_eq!(compact(&mut world, "c"), Ok("6".into()));
    let client = world.connect(&resuming(&connected));
    let again = ProtocolMessage { flags: Some(MODES), ..attach_from("news", &attached) };
    let seen = world.ask(client, &again);
    assert!(seen[0].starts_with("attached news objects"), "{seen:?}");
    assert_eq!(world.ask(client, &increment(0, &ids[0])), ["ack 0+1"]);
    assert_eq!(compact(&mut world, "c"), Ok("6".into()));
    assert_eq!(world.ask(client, &increment(1, &ids[0])).len(), 2);
    let mut world = restarted(world, 3_600_000);
    assert_eq!(compact(&mut world, "c"), Ok("11".into()));
}

#[test]
fn a_resend_across_a_restart_counts_once_where_the_last_message_is_kept() {
    let keep_last = |setup: &mut Setup| {
        let kept = Namespace { id: "news".into(), persist_last: true, ..Namespace::default() };
        setup.app.namespaces.push(kept);
    };
    let mut world = world_with(keep_last);
    let ids = post(&mut world, r#"{"path":"c","counterCreate":{"count":1}}"#).unwrap();
    let (client, connected) = world.connected(ALL);
    world.send(client, &increment(0, &ids[0]));
    let mut world = restarted_with(world, 1_000, keep_last);
    let client = world.connect(&resuming(&connected));
    assert_eq!(world.ask(client, &increment(0, &ids[0])), ["ack 0+1"]);
    assert_eq!(compact(&mut world, "c"), Ok("6".into()));
}

#[test]
fn a_snapshot_replaces_the_operations_that_it_contains() {
    let mut world = world_with(|setup| setup.limits.objects_grace_ms = 1_600_000);
    post(&mut world, r#"{"objectId":"root","mapSet":{"key":"a","value":{"number":1}}}"#).unwrap();
    post(&mut world, r#"{"objectId":"root","mapSet":{"key":"b","value":{"number":1}}}"#).unwrap();
    post(&mut world, r#"{"objectId":"root","mapRemove":{"key":"b"}}"#).unwrap();
    world.advance(200_000);
    post(&mut world, r#"{"objectId":"root","mapSet":{"key":"c","value":{"number":1}}}"#).unwrap();
    world.advance(200_000);
    let kept: Vec<_> = world.store.objects.values().collect();
    let [(Some(snapshot), operations)] = kept.as_slice() else { panic!("{kept:?}") };
    let kept_for_their_ids = operations.len();
    assert_eq!((snapshot.objects.len(), kept_for_their_ids), (1, 1));
    let mut world = restarted(world, 1_000);
    assert_eq!(compact(&mut world, ""), Ok(r#"{"a":1,"c":1}"#.into()));
}

#[test]
fn a_channel_that_has_lost_all_its_objects_is_not_served_after_a_restart() {
    let mut world = world();
    post(&mut world, r#"{"objectId":"root","mapSet":{"key":"a","value":{"number":1}}}"#).unwrap();
    post(&mut world, r#"{"objectId":"root","mapRemove":{"key":"a"}}"#).unwrap();
    let world = restarted(world, 1_000_000);
    assert!(world.node.is_empty());
}

#[test]
fn paths_name_objects_and_wildcards_all_of_a_map() {
    let mut world = world();
    for operation in [
        r#"{"path":"m","mapCreate":{}}"#,
        r#"[{"path":"m.x","counterCreate":{"count":1}},{"path":"m.y","counterCreate":{}}]"#,
        r#"{"path":"m.a\\.b","counterCreate":{}}"#,
        r#"{"path":"m.*","counterInc":{"number":5}}"#,
        r#"{"path":"","mapSet":{"key":"t","value":{"string":"v"}}}"#,
        r#"{"path":"*","mapSet":{"key":"j","value":{"json":[1]}}}"#,
    ] {
        assert!(post(&mut world, operation).is_ok(), "{operation}");
    }
    assert_eq!(
        compact(&mut world, ""),
        Ok(r#"{"m":{"a.b":5,"j":"[1]","x":6,"y":5},"t":"v"}"#.into())
    );
    assert_eq!(compact(&mut world, r"m.a\.b"), Ok("5".into()));
    for (operation, code) in [
        (r#"{"mapSet":{"key":"k","value":{"number":1}}}"#, 92_006),
        (r#"{"path":"m.z","counterInc":{"number":1}}"#, 92_005),
        (r#"{"path":"t","counterInc":{"number":1}}"#, 92_005),
        (r#"{"path":"m","counterInc":{"number":1}}"#, 92_007),
        (r#"{"path":"z.z","mapCreate":{}}"#, 92_005),
        (r#"{"path":"m.*","mapCreate":{}}"#, 92_007),
        (r#"{"objectId":"map:x@1","mapCreate":{}}"#, 92_000),
        (r#"{"objectId":"root","objectDelete":{}}"#, 92_000),
        (r#"{"objectId":"root"}"#, 92_000),
    ] {
        assert_eq!(post(&mut world, operation), Err(code), "{operation}");
    }
}

#[test]
fn a_request_with_an_id_happens_once_and_is_told_the_same_objects() {
    let mut world = world();
    let create = r#"{"id":"x","path":"c","counterCreate":{"count":1}}"#;
    let first = post(&mut world, create).unwrap();
    world.advance(5_000);
    assert_eq!(post(&mut world, create).unwrap(), first);
    let id = get(&mut world, None, "c", View::Full).unwrap();
    assert_eq!(id, format!(r#"{{"objectId":"{}","counter":{{"data":{{"number":1}}}}}}"#, first[0]));
}

#[test]
fn objects_are_read_compact_or_with_their_types_and_each_map_once() {
    let mut world = world();
    let ids =
        post(&mut world, r#"{"path":"m","mapCreate":{"entries":{"b":{"data":{"boolean":true}}}}}"#);
    let id = ids.unwrap().remove(0);
    let own =
        format!(r#"{{"objectId":"{id}","mapSet":{{"key":"own","value":{{"objectId":"{id}"}}}}}}"#);
    post(&mut world, &own).unwrap();
    assert_eq!(
        compact(&mut world, ""),
        Ok(format!(r#"{{"m":{{"b":true,"own":{{"objectId":"{id}"}}}}}}"#))
    );
    assert_eq!(
        get(&mut world, Some(&id), "", View::Full),
        Ok(format!(
            r#"{{"objectId":"{id}","map":{{"semantics":"LWW","entries":{{"b":{{"data":{{"boolean":true}}}},"own":{{"data":{{"objectId":"{id}"}}}}}}}}}}"#
        ))
    );
    assert_eq!(get(&mut world, Some(&id), "b", View::Full), Ok(r#"{"boolean":true}"#.into()));
    assert_eq!(get(&mut world, None, "m.c", View::Full), Err(92_005));
    assert_eq!(get(&mut world, Some("counter:x@1"), "", View::Full), Err(92_004));
    assert_eq!(code(&world.request("writer", read_op(None, "", View::Full))), 40_160);
    assert_eq!(code(&world.request("reader", publish_op("[]"))), 40_160);
}
