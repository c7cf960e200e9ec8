//! Chat rooms: channels that need no rule, requests that answer with the message, and capabilities
//! that name the room.

use std::time::Duration;

use auth::{Credentials, TokenDetails};
use node::{Caller, Operation, Response, What};
use types::{Annotation, AnnotationAction, ClientId, Message, MessageAction};

use crate::show::data;
use crate::world::{ALL, World, code, key_caller, text, world, world_with};

const ROOM: &str = "lobby";
const CHANNEL: &str = "lobby::$chat";

fn said(action: MessageAction, serial: &str, data: &str) -> Operation {
    let serial = (!serial.is_empty()).then(|| serial.into());
    Operation::Chat { room: ROOM.into(), message: Message { action, serial, ..text(data) } }
}

fn answer(response: Response) -> Message {
    match response {
        Response::Message(message) => *message,
        other => panic!("{other:?}"),
    }
}

fn send(world: &mut World, data: &str) -> Message {
    answer(world.request("all", said(MessageAction::Create, "", data)))
}

fn holder(token: &TokenDetails) -> Caller {
    Caller { credentials: Some(Credentials::Token(token.token.clone())), ..Caller::default() }
}

fn may(world: &mut World, capability: &str, client_id: &str, operation: Operation) -> Response {
    let token = world.token(capability, Some(client_id), Duration::from_secs(3_600));
    world.request_as(holder(&token), operation)
}

#[test]
fn what_is_said_is_delivered_kept_and_answered_as_a_message() {
    let mut world = world();
    let client = world.connect(ALL);
    world.attach(client, CHANNEL);
    let caller = Caller { client_id: Some("ann".into()), ..key_caller("all") };
    let sent = answer(world.request_as(caller, said(MessageAction::Create, "", "hello")));
    assert_eq!(world.seen(client), ["message lobby::$chat hello"]);
    assert_eq!(sent.client_id, Some(ClientId::from("ann")));
    assert_eq!((data(&sent.data).as_str(), sent.action), ("hello", MessageAction::Create));
    assert!(sent.serial.is_some() && sent.timestamp.is_some());
    assert_eq!(world.store.entries.values().flatten().count(), 1);
}

#[test]
fn a_change_is_answered_with_the_message_that_it_makes() {
    let mut world = world();
    let serial = send(&mut world, "helo").serial.unwrap();
    world.advance(5);
    let updated = answer(world.request("all", said(MessageAction::Update, &serial, "hello")));
    assert_eq!((data(&updated.data).as_str(), updated.action), ("hello", MessageAction::Update));
    assert_eq!(updated.serial.as_ref(), Some(&serial));
    let version = updated.version.unwrap();
    assert!(version.serial > Some(serial.clone()) && version.timestamp > updated.timestamp);
    let deleted = answer(world.request("all", said(MessageAction::Delete, &serial, "{}")));
    assert_eq!((data(&deleted.data).as_str(), deleted.action), ("{}", MessageAction::Delete));
}

#[test]
fn a_repeat_with_the_same_id_is_answered_with_the_first_message() {
    let mut world = world();
    let once = |data: &str| Operation::Chat {
        room: ROOM.into(),
        message: Message { id: Some("once".into()), ..text(data) },
    };
    let first = answer(world.request("all", once("first")));
    let again = answer(world.request("all", once("second")));
    assert_eq!(again, first);
}

#[test]
fn nothing_is_answered_before_the_store_has_it() {
    let mut world = world();
    world.store.holding = true;
    let id = world.start_request(key_caller("all"), said(MessageAction::Create, "", "hello"));
    assert!(world.reply(id).is_none());
    // One release for the load of the channel, one for the write, one for the answer.
    for _ in 0..3 {
        world.store.holding = true;
        world.release();
    }
    world.release();
    assert_eq!(data(&answer(world.reply(id).unwrap()).data), "hello");
}

#[test]
fn what_cannot_be_said_is_refused() {
    let mut world = world_with(|setup| setup.app.limits.max_message_size = 100);
    let unknown = "00000000001000-000@dunAAAAAAAAA:000";
    for (operation, expected) in [
        (said(MessageAction::Update, "nonsense", "x"), 40400),
        (said(MessageAction::Update, unknown, "x"), 40400),
        (said(MessageAction::Create, "", &"x".repeat(101)), 40009),
        (Operation::Chat { room: String::new(), message: text("x") }, 40010),
        (Operation::Chat { room: "[meta]x".into(), message: text("x") }, 40010),
    ] {
        let shown = format!("{operation:?}");
        assert_eq!(code(&world.request("all", operation)), expected, "{shown}");
    }
    let not_permitted = world.request("reader", said(MessageAction::Create, "", "x"));
    assert_eq!(code(&not_permitted), 40160);
}

#[test]
fn the_name_of_a_room_is_the_resource_of_its_channel() {
    let mut world = world();
    let say = || said(MessageAction::Create, "", "x");
    for (capability, permitted) in [
        (r#"{"lobby":["publish"]}"#, true),
        (r#"{"lobby::$chat":["publish"]}"#, true),
        (r#"{"lobb":["publish"]}"#, false),
        (r#"{"lobby:*":["history"]}"#, false),
        (r#"{"lobby::$space":["publish"]}"#, false),
    ] {
        let response = may(&mut world, capability, "ann", say());
        let outcome = matches!(response, Response::Message(_));
        assert_eq!(outcome, permitted, "{capability}: {response:?}");
    }
}

#[test]
fn only_own_messages_are_changed_with_the_right_to_own_ones() {
    let mut world = world();
    let own = r#"{"lobby":["publish","message-update-own"]}"#;
    let sent = may(&mut world, own, "ann", said(MessageAction::Create, "", "x"));
    let serial = answer(sent).serial.unwrap();
    let update = || said(MessageAction::Update, &serial, "y");
    assert_eq!(code(&may(&mut world, own, "bob", update())), 40160);
    let version = answer(may(&mut world, own, "ann", update())).version.unwrap();
    assert_eq!(version.client_id, Some(ClientId::from("ann")));
}

#[test]
fn reactions_to_a_message_are_summarised_without_a_rule_for_the_room() {
    let mut world = world();
    let serial = send(&mut world, "x").serial.unwrap();
    let reaction = Annotation {
        name: Some("+1".into()),
        client_id: Some("ann".into()),
        ..Annotation::new(AnnotationAction::Create, "reaction:distinct.v1")
    };
    let react = Operation::Annotate {
        channel: CHANNEL.into(),
        serial: serial.to_string(),
        annotations: vec![reaction],
    };
    assert!(matches!(world.request("all", react), Response::Published { .. }));
    let read = Operation::ReadMessage {
        channel: CHANNEL.into(),
        serial: serial.to_string(),
        what: What::Latest,
    };
    let summary = answer(world.request("all", read)).summary.unwrap();
    assert_eq!(summary["reaction:distinct.v1"]["+1"]["total"], 1);
}
