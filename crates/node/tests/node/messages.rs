//! Changes and annotations of messages: who may, who receives what, and what is read afterwards.

use std::sync::Arc;
use std::time::Duration;

use auth::{Credentials, TokenDetails};
use node::{Caller, Operation, Response, VersionsQuery, What};
use protocol::{Action, ProtocolMessage, flags};
use types::{Annotation, AnnotationAction, Direction, Extras, Message, MessageAction, Version};

use crate::show::{data, serials, show};
use crate::world::{
    ALL, World, attach, attach_from, code, on, publish, publish_all, text, with_params, world,
    world_with,
};

const CHANNEL: &str = "mutable:x";

/// Publishes and returns the serial of the message.
fn posted(
    world: &mut World,
    client: node::TransportId,
    msg_serial: i64,
    what: Message,
) -> Arc<str> {
    world.send(client, &publish_all(CHANNEL, msg_serial, vec![what]));
    let ack = world.frames(client).into_iter().find(|frame| frame.action == Action::Ack);
    serials(&ack.unwrap())[0].clone().unwrap()
}

fn named(name: &str, data: &str) -> Message {
    Message { name: Some(name.into()), ..text(data) }
}

fn change(action: MessageAction, serial: &str, data: &str) -> Message {
    Message { action, serial: Some(serial.into()), ..text(data) }
}

fn changed(msg_serial: i64, action: MessageAction, serial: &str, data: &str) -> ProtocolMessage {
    publish_all(CHANNEL, msg_serial, vec![change(action, serial, data)])
}

fn annotation(serial: &str, kind: &str, name: &str) -> Annotation {
    Annotation {
        message_serial: Some(serial.into()),
        name: (!name.is_empty()).then(|| name.into()),
        ..Annotation::new(AnnotationAction::Create, kind)
    }
}

fn annotated(msg_serial: i64, annotation: Annotation) -> ProtocolMessage {
    ProtocolMessage {
        msg_serial: Some(msg_serial),
        annotations: vec![annotation],
        ..on(Action::Annotation, CHANNEL)
    }
}

fn with_token(token: &TokenDetails) -> String {
    format!("accessToken={}", token.token)
}

#[test]
fn an_update_keeps_what_it_leaves_out_and_is_acknowledged_with_its_version() {
    let mut world = world();
    let client = world.connect(ALL);
    world.attach(client, CHANNEL);
    let serial = posted(&mut world, client, 0, named("greeting", "hello"));
    let version = Version {
        description: Some("typo".into()),
        client_id: Some("editor".into()),
        ..Version::default()
    };
    let update = Message {
        version: Some(Arc::new(version)),
        ..change(MessageAction::Update, &serial, "hi")
    };
    world.advance(5);
    world.send(client, &publish_all(CHANNEL, 1, vec![update]));
    let [delivered, ack] = world.frames(client).try_into().unwrap();
    assert_eq!(show(&delivered), "message mutable:x update:greeting=hi");
    let message = &delivered.messages[0];
    let version = message.version.as_ref().unwrap();
    assert_eq!(message.serial.as_ref(), Some(&serial));
    assert_eq!(version.serial, serials(&ack)[0]);
    assert!(version.serial.as_ref() > Some(&serial));
    assert_eq!(version.description.as_deref(), Some("typo"));
    assert_eq!(version.client_id.as_ref().map(|id| id.as_str()), Some("editor"));
    assert!(version.timestamp > message.timestamp);
}

/// The version of the message that came last, as it is on the wire.
fn last_version(world: &World, client: node::TransportId) -> serde_json::Value {
    let last = world.transports[&client].bytes.last().unwrap();
    let mut frame: serde_json::Value = serde_json::from_slice(last).unwrap();
    frame["messages"][0]["version"].take()
}

#[test]
fn a_message_has_the_shape_of_its_receivers_version_live_and_in_a_replay() {
    let mut world = world();
    let publisher = world.connect(ALL);
    let readers = [3, 4].map(|version| {
        let reader = world.open_as(protocol::Format::Json, &format!("v={version}&{ALL}"));
        world.attach(reader, CHANNEL);
        reader
    });
    let serial = posted(&mut world, publisher, 0, text("a"));
    assert_eq!(last_version(&world, readers[0]), *serial);
    assert!(last_version(&world, readers[1]).is_null());
    world.send(publisher, &changed(1, MessageAction::Update, &serial, "b"));
    let rewind = |channel| with_params(attach(channel), &[("rewind", "1")]);
    for kind in ["live", "replayed"] {
        assert!(last_version(&world, readers[0]).is_string(), "{kind}");
        assert!(last_version(&world, readers[1])["timestamp"].is_number(), "{kind}");
        for reader in readers {
            world.send(reader, &on(Action::Detach, CHANNEL));
            world.attach_with(reader, &rewind(CHANNEL));
        }
    }
}

#[test]
fn a_delete_leaves_the_message_with_what_it_says() {
    let mut world = world();
    let client = world.connect(ALL);
    world.attach(client, CHANNEL);
    let serial = posted(&mut world, client, 0, named("greeting", "hello"));
    let seen = world.ask(client, &changed(1, MessageAction::Delete, &serial, "{}"));
    assert_eq!(seen, ["message mutable:x delete:greeting={}", "ack 1+1"]);
}

#[test]
fn an_append_adds_for_those_who_have_the_message_and_is_whole_for_others_once() {
    let mut world = world();
    let [first, late] = [(); 2].map(|()| world.connect(ALL));
    let whole = world.connect(ALL);
    world.attach(first, CHANNEL);
    world.attach_with(whole, &with_params(attach(CHANNEL), &[("appendMode", "full")]));
    let serial = posted(&mut world, first, 0, text("a"));
    world.attach(late, CHANNEL);
    world.seen(whole);
    world.send(first, &changed(1, MessageAction::Append, &serial, "b"));
    world.send(first, &changed(2, MessageAction::Append, &serial, "c"));
    world.advance(40);
    let mut seen = world.seen(first);
    seen.retain(|line| !line.starts_with("ack"));
    assert_eq!(seen[0], "message mutable:x append:b");
    assert_eq!(seen[1], "message mutable:x append:c");
    assert_eq!(world.seen(late), ["message mutable:x update:ab", "message mutable:x append:c"]);
    assert_eq!(world.seen(whole), ["message mutable:x update:ab", "message mutable:x update:abc"]);
}

#[test]
fn an_append_is_whole_for_those_whose_rewind_left_the_message_out() {
    let mut world = world();
    let [writer, reader] = [(); 2].map(|()| world.connect(ALL));
    let old = posted(&mut world, writer, 0, text("a"));
    posted(&mut world, writer, 1, text("newer"));
    world.send(writer, &changed(2, MessageAction::Update, &old, "aa"));
    world.attach_with(reader, &with_params(attach(CHANNEL), &[("rewind", "1")]));
    assert_eq!(world.seen(reader), ["message mutable:x newer"]);
    for (msg_serial, piece) in [(3, "b"), (4, "c")] {
        world.send(writer, &changed(msg_serial, MessageAction::Append, &old, piece));
    }
    world.advance(40);
    assert_eq!(world.seen(reader), ["message mutable:x update:aab", "message mutable:x append:c"]);
}

#[test]
fn a_client_before_version_5_is_given_whole_messages_for_appends() {
    let mut world = world();
    let writer = world.connect(ALL);
    let old = world.open_as(protocol::Format::Json, &format!("v=4&{ALL}"));
    world.attach(old, CHANNEL);
    let serial = posted(&mut world, writer, 0, text("a"));
    world.seen(old);
    for (msg_serial, piece) in [(1, "b"), (2, "c")] {
        world.send(writer, &changed(msg_serial, MessageAction::Append, &serial, piece));
    }
    world.advance(40);
    assert_eq!(world.seen(old), ["message mutable:x update:ab", "message mutable:x update:abc"]);
}

#[test]
fn a_resume_in_the_middle_of_appends_gives_the_whole_message() {
    let mut world = world();
    let [writer, reader] = [(); 2].map(|()| world.connect(ALL));
    let attached = world.attach(reader, CHANNEL);
    let serial = posted(&mut world, writer, 0, text("a"));
    let created = world.frames(reader).remove(0);
    for (msg_serial, piece) in [(1, "b"), (2, "c")] {
        world.send(writer, &changed(msg_serial, MessageAction::Append, &serial, piece));
    }
    let again = world.connect(ALL);
    let resumed = world.attach_with(again, &attach_from(CHANNEL, &created));
    assert!(resumed.flags.unwrap() & flags::RESUMED != 0);
    assert_eq!(world.seen(again), ["message mutable:x update:abc"]);
    world.attach_with(again, &attach_from(CHANNEL, &attached));
    assert_eq!(
        world.seen(again),
        ["message mutable:x a", "message mutable:x append:b", "message mutable:x append:c"]
    );
}

#[test]
fn a_rewind_gives_each_message_as_it_is_now() {
    let mut world = world();
    let client = world.connect(ALL);
    let one = posted(&mut world, client, 0, text("one"));
    let two = posted(&mut world, client, 1, text("two"));
    world.send(client, &changed(2, MessageAction::Update, &one, "uno"));
    world.send(client, &changed(3, MessageAction::Append, &two, "!"));
    world.seen(client);
    world.attach_with(client, &with_params(attach(CHANNEL), &[("rewind", "2")]));
    assert_eq!(
        world.seen(client),
        ["message mutable:x update:uno", "message mutable:x update:two!"]
    );
}

#[test]
fn changes_that_make_no_sense_are_refused() {
    let mut world = world();
    let client = world.connect(ALL);
    let serial = posted(&mut world, client, 0, text("x"));
    let unknown = serial.replace(":000", ":001");
    let json =
        Message { encoding: Some("json".into()), ..change(MessageAction::Append, &serial, "{}") };
    let cases = [
        (changed(1, MessageAction::Update, "nonsense", "y"), 40003),
        (changed(2, MessageAction::Update, &unknown, "y"), 40400),
        (changed(3, MessageAction::Summary, &serial, "y"), 40030),
        (publish_all(CHANNEL, 4, vec![json]), 40013),
        (changed(5, MessageAction::Append, &serial, &"x".repeat(65_536)), 40009),
        (publish_all("news", 6, vec![change(MessageAction::Update, &serial, "y")]), 93002),
        (
            publish_all(CHANNEL, 7, vec![text("a"), change(MessageAction::Update, &serial, "y")]),
            40030,
        ),
    ];
    for (n, (frame, code)) in (1..).zip(cases) {
        assert_eq!(world.ask(client, &frame), [format!("nack {n}+1 {code}")]);
    }
}

#[test]
fn own_messages_are_those_of_the_same_client() {
    let mut world = world();
    let writer = world.connect(&format!("{ALL}&clientId=ann"));
    let serial = posted(&mut world, writer, 0, text("x"));
    let hour = Duration::from_secs(3_600);
    let own = r#"{"*":["message-update-own"]}"#;
    for (capability, client_id, answer) in [
        (own, Some("ann"), "ack 0+1"),
        (own, Some("bob"), "nack 0+1 40160"),
        (own, None, "nack 0+1 40166"),
        (r#"{"*":["message-update-any"]}"#, None, "ack 0+1"),
        (r#"{"*":["publish","message-delete-any"]}"#, None, "nack 0+1 40160"),
    ] {
        let token = world.token(capability, client_id, hour);
        let client = world.connect(&with_token(&token));
        let update = changed(0, MessageAction::Update, &serial, "y");
        assert_eq!(world.ask(client, &update), [answer], "{capability} {client_id:?}");
    }
}

#[test]
fn annotations_go_to_those_who_asked_for_them_and_summaries_to_everybody() {
    let mut world = world();
    let [ann, reader] = [(); 2].map(|()| world.connect(&format!("{ALL}&clientId=ann")));
    let raw = with_params(attach(CHANNEL), &[("modes", "annotation_subscribe")]);
    world.attach_with(reader, &raw);
    world.attach(ann, CHANNEL);
    let serial = posted(&mut world, ann, 0, text("x"));
    let frame = annotated(1, annotation(&serial, "r:distinct.v1", "yes"));
    let summary =
        r#"summary:{"r:distinct.v1":{"yes":{"clientids":["ann"],"clipped":false,"total":1}}}"#;
    assert_eq!(world.ask(ann, &frame), [format!("message mutable:x {summary}"), "ack 1+1".into()]);
    let [delivered] = world.frames(reader).try_into().unwrap();
    assert_eq!(show(&delivered), "annotation mutable:x create:ann:yes");
    assert_eq!(delivered.annotations[0].message_serial.as_ref(), Some(&serial));
    assert!(delivered.annotations[0].serial.as_ref() > Some(&serial));
    let silent = annotated(2, annotation(&serial, "com.example.note", ""));
    assert_eq!(world.ask(ann, &silent), ["ack 2+1"]);
    assert_eq!(world.seen(reader), ["annotation mutable:x create:ann:"]);
}

#[test]
fn what_is_committed_with_the_end_of_a_loss_comes_behind_the_position_that_is_told() {
    let mut world = world_with(|setup| setup.app.limits.connection_outbound_rate = 2);
    let [ann, reader] = [(); 2].map(|()| world.connect(&format!("{ALL}&clientId=ann")));
    let modes = [("modes", "subscribe,annotation_subscribe")];
    world.attach_with(reader, &with_params(attach(CHANNEL), &modes));
    let serial = posted(&mut world, ann, 0, text("x"));
    for n in 1..4 {
        world.send(ann, &publish(CHANNEL, n, "x"));
    }
    assert_eq!(world.seen(reader).last().unwrap(), "attached mutable:x 80020");
    world.advance(600);
    world.send(ann, &annotated(4, annotation(&serial, "r:distinct.v1", "yes")));
    let frames = world.frames(reader);
    let seen: Vec<_> = frames.iter().map(show).collect();
    assert_eq!(seen, ["attached mutable:x 80020", "annotation mutable:x create:ann:yes"]);
    assert_ne!(frames[0].channel_serial, frames[1].channel_serial);
}

#[test]
fn a_resume_gives_the_annotations_that_were_missed_and_the_newest_summary() {
    let mut world = world();
    let ann = world.connect(&format!("{ALL}&clientId=ann"));
    let modes = [("modes", "publish,subscribe,annotation_publish,annotation_subscribe")];
    let attached = world.attach_with(ann, &with_params(attach(CHANNEL), &modes));
    let serial = posted(&mut world, ann, 0, text("x"));
    for (msg_serial, name) in [(1, "a"), (2, "b")] {
        world.send(ann, &annotated(msg_serial, annotation(&serial, "r:unique.v1", name)));
    }
    let again = world.connect(ALL);
    let from = with_params(attach_from(CHANNEL, &attached), &modes);
    world.attach_with(again, &from);
    let list = r#"{"clientids":["ann"],"clipped":false,"total":1}"#;
    assert_eq!(
        world.seen(again),
        [
            "message mutable:x x".to_owned(),
            "annotation mutable:x create:ann:a".into(),
            format!(r#"message mutable:x summary:{{"r:unique.v1":{{"b":{list}}}}}"#),
            "annotation mutable:x create:ann:b".into(),
        ]
    );
}

#[test]
fn annotations_that_make_no_sense_are_refused() {
    let mut world = world();
    let client = world.connect(ALL);
    let serial = posted(&mut world, client, 0, text("x"));
    let count = Annotation { count: Some(0), ..annotation(&serial, "m:multiple.v1", "a") };
    let cases = [
        (annotation("nonsense", "m:total.v1", ""), 40003),
        (annotation(&serial.replace(":000", ":001"), "m:total.v1", ""), 40400),
        (annotation(&serial, "", ""), 40003),
        (annotation(&serial, "m:distinct.v1", ""), 40003),
        (annotation(&serial, "m:flag.v1", ""), 40161),
        (count, 40003),
    ];
    for (n, (refused, code)) in (1..).zip(cases) {
        assert_eq!(world.ask(client, &annotated(n, refused)), [format!("nack {n}+1 {code}")]);
    }
}

#[test]
fn ephemeral_messages_reach_those_who_are_there_and_nobody_later() {
    let mut world = world();
    let client = world.connect(ALL);
    let attached = world.attach(client, CHANNEL);
    let extras: Extras = Arc::new([("ephemeral".to_owned(), true.into())].into_iter().collect());
    let ephemeral = Message { extras: Some(extras), ..text("now") };
    assert_eq!(
        world.ask(client, &publish_all(CHANNEL, 0, vec![ephemeral])),
        ["message mutable:x now", "ack 0+1"]
    );
    assert_eq!(
        world.ask(client, &publish(CHANNEL, 1, "kept")),
        ["message mutable:x kept", "ack 1+1"]
    );
    let again = world.connect(ALL);
    world.attach_with(again, &attach_from(CHANNEL, &attached));
    assert_eq!(world.seen(again), ["message mutable:x kept"]);
    assert_eq!(world.store.entries.values().map(Vec::len).sum::<usize>(), 1);
}

#[test]
fn an_ephemeral_message_does_not_overtake_one_that_is_being_stored() {
    let mut world = world();
    let client = world.connect(ALL);
    world.attach(client, CHANNEL);
    let extras: Extras = Arc::new([("ephemeral".to_owned(), true.into())].into_iter().collect());
    let ephemeral = Message { extras: Some(extras), ..text("second") };
    world.store.holding = true;
    world.send(client, &publish(CHANNEL, 0, "first"));
    world.send(client, &publish_all(CHANNEL, 1, vec![ephemeral]));
    assert!(world.seen(client).is_empty());
    world.release();
    assert_eq!(
        world.seen(client),
        ["message mutable:x first", "message mutable:x second", "ack 0+2"]
    );
}

#[test]
fn rest_changes_annotates_and_reads_single_messages() {
    let mut world = world();
    let client = world.connect(ALL);
    let serial = posted(&mut world, client, 0, named("n", "v1"));
    let ask = |world: &mut World, operation| world.request("all", operation);
    let (channel, at) = (|| CHANNEL.to_owned(), || serial.to_string());
    let change_of = |action, data: &str| Operation::Change {
        channel: channel(),
        serial: at(),
        change: Message { action, ..text(data) },
    };
    let mut versions = Vec::new();
    for (action, data) in [(MessageAction::Update, "v2"), (MessageAction::Append, "+")] {
        match ask(&mut world, change_of(action, data)) {
            Response::Changed { version_serial } => versions.push(version_serial.unwrap()),
            other => panic!("{other:?}"),
        }
    }
    let annotations =
        vec![Annotation { client_id: Some("ann".into()), ..annotation("", "r:flag.v1", "") }];
    let annotate = Operation::Annotate { channel: channel(), serial: at(), annotations };
    assert!(matches!(ask(&mut world, annotate), Response::Published { .. }));

    let read = |what| Operation::ReadMessage { channel: channel(), serial: at(), what };
    let Response::Message(latest) = ask(&mut world, read(What::Latest)) else { panic!() };
    assert_eq!((data(&latest.data).as_str(), latest.action), ("v2+", MessageAction::Update));
    assert_eq!(latest.name.as_deref(), Some("n"));
    assert_eq!(latest.version.as_ref().unwrap().serial.as_ref(), versions.last());
    assert_eq!(latest.summary.as_ref().unwrap()["r:flag.v1"]["total"], 1);

    let query = |direction, after| What::Versions(VersionsQuery { direction, limit: 1, after });
    let first = ask(&mut world, read(query(Direction::Forwards, None)));
    let Response::Versions(first) = first else { panic!() };
    assert_eq!(data(&first.versions[0].data), "v1");
    let next = first.next.unwrap().parse().unwrap();
    let second = ask(&mut world, read(query(Direction::Forwards, Some(next))));
    let Response::Versions(second) = second else { panic!() };
    assert_eq!((data(&second.versions[0].data).as_str(), &second.next), ("v2+", &None));

    let summary = ask(&mut world, read(What::SummaryOf(Some("ann".into()))));
    let Response::Summary(summary) = summary else { panic!() };
    assert_eq!(summary["r:flag.v1"]["clientIds"][0], "ann");
    let unknown = Operation::ReadMessage {
        channel: channel(),
        serial: "nonsense".into(),
        what: What::Latest,
    };
    assert_eq!(code(&ask(&mut world, unknown)), 40400);
}

#[test]
fn rest_may_change_what_the_capability_says() {
    let mut world = world();
    let client = world.connect(&format!("{ALL}&clientId=ann"));
    let serial = posted(&mut world, client, 0, text("x"));
    for (capability, client_id, refused) in
        [(r#"{"*":["message-update-own"]}"#, "bob", 40160), (r#"{"*":["publish"]}"#, "ann", 40160)]
    {
        let token = world.token(capability, Some(client_id), Duration::from_secs(3_600));
        let caller = Caller {
            credentials: Some(Credentials::Token(token.token.clone())),
            ..Caller::default()
        };
        let operation = Operation::Change {
            channel: CHANNEL.into(),
            serial: serial.to_string(),
            change: Message { action: MessageAction::Update, ..text("y") },
        };
        assert_eq!(code(&world.request_as(caller, operation)), refused, "{capability}");
    }
}

#[test]
fn a_message_that_is_only_in_the_store_is_read_before_it_is_changed() {
    let mut world = world();
    let client = world.connect(ALL);
    let serial = posted(&mut world, client, 0, named("old", "x"));
    world.drop_transport(client);
    world.advance(600_000);
    assert_eq!(world.node.channel_count(), 0);
    let client = world.connect(ALL);
    world.attach(client, CHANNEL);
    // The fake store loads everything; a message of before the log is asked for by itself.
    world.send(client, &changed(0, MessageAction::Append, &serial, "y"));
    assert_eq!(world.seen(client), ["message mutable:x update:old=xy", "ack 0+1"]);
}
