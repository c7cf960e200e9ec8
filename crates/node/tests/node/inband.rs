//! Objects in messages: what those receive who ask for objects by a channel param.

use node::{Operation, Response, TransportId};
use protocol::Format;
use serde_json::Value;

use crate::world::{ALL, WATCHER, World, attach, attach_from, with_params, world, world_with};

fn post(world: &mut World, channel: &str, operations: &str) {
    let operations = protocol::decode_object_operations(Format::Json, operations.as_bytes());
    let operations = operations.unwrap();
    let publish = Operation::PublishObjects { channel: channel.into(), operations };
    let response = world.request("all", publish);
    assert!(matches!(response, Response::ObjectsPublished { .. }), "{response:?}");
}

fn set(world: &mut World, channel: &str, value: &str) {
    let operations =
        format!(r#"[{{"objectId":"root","mapSet":{{"key":"k","value":{{"string":"{value}"}}}}}}]"#);
    post(world, channel, &operations);
}

fn attach_for(world: &mut World, channel: &str, wanted: &str) -> TransportId {
    let client = world.connect(ALL);
    world.attach_with(client, &with_params(attach(channel), &[("objects", wanted)]));
    client
}

/// The data of `[meta]objects` messages since the last look.
fn told(world: &mut World, client: TransportId) -> Vec<Value> {
    let frames = world.frames(client);
    assert!(frames.iter().all(|frame| frame.channel_serial.is_none()));
    let messages = frames.into_iter().flat_map(|frame| frame.messages);
    let data = |message: types::Message| {
        assert_eq!(message.name.as_deref(), Some("[meta]objects"));
        let types::Data::Text(json) = &message.data else { panic!() };
        serde_json::from_str(json).unwrap()
    };
    messages.map(data).collect()
}

/// The value that each telling has at the root's key `k`.
fn values(told: &[Value]) -> Vec<String> {
    let root = |data: &&Value| data["object"]["objectId"] == "root";
    let value = |data: &Value| data["object"]["map"]["entries"]["k"]["data"]["string"].to_string();
    told.iter().filter(root).map(value).collect()
}

#[test]
fn all_objects_come_at_once_and_after_changes_as_one_sequence() {
    let mut world = world();
    let client = attach_for(&mut world, "news", "objects");
    let empty = told(&mut world, client);
    assert_eq!(empty.len(), 1);
    assert_eq!(empty[0]["object"]["map"]["entries"], serde_json::json!({}));

    post(&mut world, "news", r#"[{"path":"votes","counterCreate":{"count":3}}]"#);
    let sequence = told(&mut world, client);
    assert_eq!(sequence.len(), 2);
    assert_eq!(sequence[0]["object"]["counter"]["count"], 3);
    assert_eq!(sequence[0]["nextCursor"], "root");
    assert_eq!(sequence[1].get("nextCursor"), None);
    assert_eq!(sequence[0]["syncId"], sequence[1]["syncId"]);
    assert_ne!(sequence[0]["syncId"], empty[0]["syncId"]);

    let late = attach_for(&mut world, "news", "objects");
    assert_eq!(told(&mut world, late).len(), 2);
}

#[test]
fn many_changes_are_told_together_and_the_last_one_in_any_case() {
    let mut world = world();
    let client = attach_for(&mut world, "news", "objects");
    told(&mut world, client);
    for value in ["a", "b", "c"] {
        set(&mut world, "news", value);
    }
    assert_eq!(values(&told(&mut world, client)), ["\"a\""]);
    world.advance(499);
    assert_eq!(told(&mut world, client).len(), 0);
    world.advance(1);
    assert_eq!(values(&told(&mut world, client)), ["\"c\""]);
    world.advance(500);
    assert_eq!(told(&mut world, client).len(), 0);
    set(&mut world, "news", "d");
    assert_eq!(values(&told(&mut world, client)), ["\"d\""]);
}

#[test]
fn a_notification_says_where_to_read_and_comes_only_after_changes() {
    let mut world = world();
    let client = attach_for(&mut world, "a:b c", "notification");
    assert_eq!(told(&mut world, client).len(), 0);
    set(&mut world, "a:b c", "x");
    set(&mut world, "a:b c", "y");
    let link = serde_json::json!({ "link": "/channels/a%3Ab%20c/object" });
    assert_eq!(told(&mut world, client), std::slice::from_ref(&link));
    world.advance(500);
    assert_eq!(told(&mut world, client), [link]);
}

#[test]
fn objects_in_messages_need_the_capability_for_metadata() {
    let mut world = world();
    let reader = world.connect("key=app.reader:secret of reader");
    let wants = with_params(attach("news"), &[("objects", "objects")]);
    let attached = world.attach_with(reader, &wants);
    assert!(!attached.params.contains_key("objects"));
    set(&mut world, "news", "x");
    assert_eq!(world.seen(reader), [""; 0]);
    let client = world.connect(ALL);
    let nonsense = with_params(attach("news"), &[("objects", "everything")]);
    assert!(!world.attach_with(client, &nonsense).params.contains_key("objects"));
}

#[test]
fn a_resumed_attachment_is_told_the_objects_anew() {
    let mut world = world();
    let first = world.connect(ALL);
    let wants = with_params(attach("news"), &[("objects", "objects")]);
    let attached = world.attach_with(first, &wants);
    world.drop_transport(first);
    let next = world.connect(ALL);
    let again = with_params(attach_from("news", &attached), &[("objects", "objects")]);
    world.attach_with(next, &again);
    assert_eq!(told(&mut world, next).len(), 1);
}

#[test]
fn an_object_beyond_the_message_size_stops_the_telling_and_is_in_the_log() {
    let mut world = world_with(|setup| setup.app.limits.max_message_size = 1_000);
    let watcher = world.connect(WATCHER);
    world.attach(watcher, "[meta]log");
    let client = attach_for(&mut world, "news", "objects");
    let notified = attach_for(&mut world, "news", "notification");
    told(&mut world, client);
    for key in ["a", "b"] {
        let value = "x".repeat(600);
        let set = format!(
            r#"[{{"objectId":"root","mapSet":{{"key":"{key}","value":{{"string":"{value}"}}}}}}]"#
        );
        world.advance(1_000);
        post(&mut world, "news", &set);
    }
    assert_eq!(told(&mut world, client).len(), 1);
    assert_eq!(told(&mut world, notified).len(), 2);
    let log = world.seen(watcher);
    assert!(log[0].contains("92001") && log[0].contains("news"), "{log:?}");
}
