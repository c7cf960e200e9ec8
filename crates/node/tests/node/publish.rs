//! MESSAGE: acknowledgements, refusals, echo, ids.

use std::time::Duration;

use node::Event;
use protocol::{Action, Format, ProtocolMessage, flags};
use types::{Data, Extras, Message, MessageAction};

use crate::show::{serials, show};
use crate::world::{
    ALL, attach, enter, key_of, on, publish, publish_all, text, with_params, world,
};

#[test]
fn a_publish_is_delivered_in_every_format_and_acknowledged_with_serials() {
    let mut world = world();
    let json = world.connect(ALL);
    let msgpack = world.open_as(Format::MessagePack, &format!("v=6&{ALL}"));
    world.seen(msgpack);
    for client in [json, msgpack] {
        world.attach(client, "news");
    }
    let binary = Message { data: Data::Binary(vec![0, 255].into()), ..Message::default() };
    world.send(msgpack, &publish_all("news", 0, vec![text("a"), binary]));
    let [delivered] = world.frames(json).try_into().unwrap();
    let [echoed, ack] = world.frames(msgpack).try_into().unwrap();
    assert_eq!(show(&ack), "ack 0+1");
    let expected: Vec<_> = delivered.messages.iter().map(|m| m.serial.clone()).collect();
    assert_eq!(serials(&ack), expected);
    assert_eq!(delivered, echoed);
    let connection = delivered.connection_id.unwrap();
    assert_eq!(delivered.id.unwrap().as_ref(), format!("{connection}:0"));
    assert_eq!(delivered.timestamp.unwrap().0, world.now);
    assert!(delivered.channel_serial.is_some());
}

#[test]
fn serials_are_told_from_version_5_on() {
    let mut world = world();
    for (version, results) in [(2, 0), (4, 0), (5, 1)] {
        let client = world.open_as(Format::Json, &format!("v={version}&{ALL}"));
        world.seen(client);
        world.send(client, &publish("news", 0, "x"));
        assert_eq!(world.frames(client)[0].res.len(), results, "{version}");
    }
}

#[test]
fn a_channel_need_not_be_attached_to_be_published_on() {
    let mut world = world();
    let [client, other] = [(); 2].map(|()| world.connect(ALL));
    world.attach(other, "news");
    assert_eq!(world.ask(client, &publish("news", 0, "hi")), ["ack 0+1"]);
    assert_eq!(world.seen(other), ["message news hi"]);
}

#[test]
fn a_mode_is_missing_from_the_attach_on_that_did_not_ask_for_it() {
    let mut world = world();
    let client = world.connect(ALL);
    assert_eq!(world.ask(client, &publish("news", 0, "x")), ["ack 0+1"]);
    world.attach_with(client, &ProtocolMessage { flags: Some(flags::SUBSCRIBE), ..attach("news") });
    assert_eq!(world.ask(client, &publish("news", 1, "x")), ["nack 1+1 40165"]);
    world.attach(client, "news");
    assert_eq!(world.ask(client, &publish("news", 2, "x")), ["message news x", "ack 2+1"]);
    world.send(client, &on(Action::Detach, "news"));
    world.seen(client);
    assert_eq!(world.ask(client, &publish("news", 3, "x")), ["ack 3+1"]);
}

#[test]
fn each_channel_is_asked_for_by_its_own_name() {
    let mut world = world();
    let token = world.token(r#"{"news":["publish"]}"#, None, Duration::from_mins(1)).token;
    let client = world.connect(&format!("accessToken={token}"));
    let answers = ["news", "other", "news", "[?rewind=1]news", "[filter=YQ==]news", "new", "newsy"]
        .map(|channel| world.ask(client, &publish(channel, 0, "x")).concat());
    let [ack, refused] = ["ack 0+1", "nack 0+1 40160"];
    assert_eq!(answers, [ack, refused, ack, ack, refused, refused, refused]);
}

#[test]
fn a_publish_reaches_the_channel_of_that_name_that_there_is_now() {
    let mut world = world();
    let [client, other] = [(); 2].map(|()| world.connect(ALL));
    assert_eq!(world.ask(client, &publish("news", 0, "unheard")), ["ack 0+1"]);
    world.advance(10 * 60_000);
    assert_eq!(world.node.channel_count(), 0);
    for channel in ["weather", "news"] {
        world.attach(other, channel);
    }
    for (msg_serial, channel) in [(1, "news"), (2, "news"), (3, "weather"), (4, "news")] {
        world.send(client, &publish(channel, msg_serial, "hi"));
        assert_eq!(world.seen(other), [format!("message {channel} hi")], "{msg_serial}");
    }
}

#[test]
fn own_messages_come_back_unless_echo_is_off() {
    for (connect, channel, echoed) in
        [("", "news", true), ("&echo=false", "news", false), ("", "[?echo=false]news", false)]
    {
        let mut world = world();
        let [client, other] = [connect, ""].map(|more| world.connect(&format!("{ALL}{more}")));
        world.attach(client, channel);
        world.attach(other, "news");
        world.send(client, &publish("news", 0, "x"));
        let expected = if echoed { vec![format!("message {channel} x")] } else { vec![] };
        let seen: Vec<_> =
            world.seen(client).into_iter().filter(|line| line.starts_with("message")).collect();
        assert_eq!(seen, expected, "{connect} {channel}");
        assert_eq!(world.seen(other), ["message news x"]);
    }
}

#[test]
fn each_refusal_of_a_publish_has_its_code_and_the_connection_stays() {
    let mut world = world();
    let reader = world.connect("key=app.reader:secret of reader");
    assert_eq!(world.ask(reader, &publish("news", 0, "x")), ["nack 0+1 40160"]);
    let bob = world.connect(&format!("{ALL}&clientId=bob"));
    let with = |change: &dyn Fn(&mut Message)| {
        let mut message = text("x");
        change(&mut message);
        vec![message]
    };
    let cases: [(Vec<Message>, u32); 7] = [
        (vec![], 40030),
        (with(&|m| m.data = Data::Text("x".repeat(65_537).into())), 40009),
        (with(&|m| m.client_id = Some("eve".into())), 40012),
        (with(&|m| m.action = MessageAction::Update), 93002),
        (with(&|m| m.id = Some("".into())), 40031),
        (with(&|m| m.id = Some("i".repeat(513).into())), 40031),
        (with(&|m| m.encoding = Some("e".repeat(513).into())), 40013),
    ];
    let mut next = 0;
    for (messages, code) in cases {
        let answer = world.ask(bob, &publish_all("news", next, messages));
        assert_eq!(answer, [format!("nack {next}+1 {code}")]);
        next += 1;
    }
    for (frame, code) in [
        (publish("", next, "x"), 40010),
        (with_params(publish("news", next, "x"), &[("_forceNack", "true")]), 40099),
        (ProtocolMessage { action: Action::Annotation, ..publish("news", next, "x") }, 93002),
    ] {
        assert_eq!(world.ask(bob, &frame), [format!("nack {next}+1 {code}")]);
    }
    world.attach_with(bob, &ProtocolMessage { flags: Some(flags::SUBSCRIBE), ..attach("news") });
    assert_eq!(world.ask(bob, &publish("news", next, "x")), [format!("nack {next}+1 40165")]);
    assert_eq!(world.ask(bob, &publish("other", next + 1, "x")).len(), 1);
    assert!(!world.closed(bob));
}

#[test]
fn acknowledgements_wait_for_the_ones_before_them() {
    let mut world = world();
    let client = world.connect(ALL);
    world.attach(client, "kept:a");
    world.store.holding = true;
    world.send(client, &publish("kept:a", 0, "slow"));
    world.send(client, &publish("news", 1, "fast"));
    world.send(client, &publish("", 2, "refused"));
    assert!(world.seen(client).is_empty());
    world.release();
    assert_eq!(world.seen(client), ["message kept:a slow", "ack 0+2", "nack 2+1 40010"]);
}

#[test]
fn what_one_event_brings_for_a_channel_is_stored_together() {
    let mut world = world();
    let client = world.connect(ALL);
    world.attach(client, "kept:a");
    world.attach(client, "kept:b");
    world.store.holding = true;
    let runs = [("kept:a", 300), ("kept:b", 2), ("kept:a", 1)];
    let channels = runs.iter().flat_map(|(channel, count)| std::iter::repeat_n(*channel, *count));
    let frames = (0..).zip(channels).map(|(serial, channel)| publish(channel, serial, "x"));
    let frames = frames.collect();
    world.handle(Event::Frames { transport: client, frames });
    assert_eq!(world.store.held_outcomes(), [256, 44, 2, 1]);
    world.release_together();
    assert_eq!(world.seen(client).last().unwrap(), "ack 0+303");
}

#[test]
fn what_is_stored_together_is_acknowledged_together() {
    let mut world = world();
    let client = world.connect(ALL);
    world.attach(client, "kept:a");
    world.store.holding = true;
    for (serial, data) in (0..).zip(["x", "y", "z"]) {
        world.send(client, &publish("kept:a", serial, data));
    }
    world.release_together();
    let delivered = ["message kept:a x", "message kept:a y", "message kept:a z"];
    assert_eq!(world.seen(client), [delivered.as_slice(), &["ack 0+3"]].concat());
}

#[test]
fn what_could_not_be_stored_is_refused_and_not_delivered() {
    let mut world = world();
    let client = world.connect(ALL);
    world.attach(client, "kept:a");
    world.store.holding = true;
    world.send(client, &publish("kept:a", 0, "x"));
    world.release_failed();
    assert_eq!(world.seen(client), ["nack 0+1 50003"]);
    world.store.holding = true;
    world.send(client, &publish("kept:a", 1, "y"));
    world.advance(10_000);
    assert_eq!(world.seen(client), ["nack 1+1 50003"], "nor is it waited for without end");
    world.release();
    assert_eq!(world.seen(client), ["message kept:a y"], "though its outcome was unknown");
}

#[test]
fn a_publish_without_a_msg_serial_fails_the_connection() {
    let mut world = world();
    let client = world.connect(ALL);
    let frame = ProtocolMessage { msg_serial: None, ..publish("news", 0, "x") };
    assert_eq!(world.ask(client, &frame), ["error 80013"]);
    assert!(world.closed(client));
}

#[test]
fn ids_of_clients_make_a_publish_happen_once_whoever_repeats_it() {
    let mut world = world();
    let [client, other] = [(); 2].map(|()| world.connect(ALL));
    world.attach(other, "news");
    let with_id =
        |n| publish_all("news", n, vec![Message { id: Some("mine".into()), ..text("x") }]);
    world.send(client, &with_id(0));
    world.send(other, &with_id(0));
    assert_eq!(world.seen(client), ["ack 0+1"]);
    let [delivered, ack] = world.frames(other).try_into().unwrap();
    assert_eq!(serials(&ack), [delivered.messages[0].serial.clone()]);
    assert_eq!(delivered.messages[0].id.as_deref(), Some("mine"));
}

#[test]
fn the_server_says_who_when_and_where_and_passes_no_secret_on() {
    let mut world = world();
    let (client, connected) = world.connected(&format!("{ALL}&clientId=bob"));
    world.attach(client, "news");
    let extras: Extras =
        serde_json::json!({ "headers": { "a": 1 } }).as_object().cloned().unwrap().into();
    let claims = Message {
        connection_id: Some("another".into()),
        connection_key: Some(key_of(&connected).into()),
        timestamp: Some(types::Timestamp(1)),
        serial: Some("0".into()),
        extras: Some(extras.clone()),
        ..text("x")
    };
    world.send(client, &publish_all("news", 0, vec![claims]));
    let frame = world.frames(client).remove(0);
    let message = &frame.messages[0];
    assert_eq!(message.client_id.as_ref().unwrap().as_str(), "bob");
    assert_eq!((&message.connection_id, &message.timestamp), (&None, &None));
    assert_eq!(message.connection_key, None);
    assert_ne!(message.serial.as_deref(), Some("0"));
    assert_eq!(message.extras, Some(extras));
    assert_eq!(frame.connection_id, connected.connection_id);
}

#[test]
fn frames_behind_a_close_are_void() {
    let mut world = world();
    let client = world.connect(ALL);
    world.attach(client, "news");
    world.send(client, &enter("news", 0, "x"));
    world.send(client, &ProtocolMessage::new(Action::Close));
    world.seen(client);
    for frame in [publish("news", 1, "late"), enter("news", 2, "y"), on(Action::Detach, "news")] {
        assert!(world.ask(client, &frame).is_empty());
    }
}
