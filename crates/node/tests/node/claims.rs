//! What claims of a JWT do to what its client publishes, and what a client may call itself.

use auth::Credentials;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use node::{Caller, Operation, Response, TransportId};
use protocol::{Action, BatchPublish, BatchSpec, Format, ProtocolMessage};
use serde_json::{Value, json};
use types::{
    Annotation, AnnotationAction, Extras, Message, MessageAction, PresenceAction, PresenceMessage,
};

use crate::world::{ALL, World, attach, code, on, publish, publish_all, text, world};

const RATE: &str = "ably.limits.publish.perAttachment.maxRate.";

/// A JWT of the key `all`, with these claims besides those that it must have.
fn jwt(world: &World, claims: &Value) -> String {
    let seconds = world.now / 1_000;
    let mut payload = json!({"iat": seconds, "exp": seconds + 3_600, "x-ably-clientId": "bob"});
    payload.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed =
        format!("{}.{}", encode(&json!({"alg": "HS256", "kid": "app.all"})), encode(&payload));
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"secret of all");
    let signature = hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
}

fn connect_with(world: &mut World, claims: &Value) -> TransportId {
    let token = jwt(world, claims);
    world.connect(&format!("accessToken={token}"))
}

fn caller(token: String) -> Caller {
    Caller { credentials: Some(Credentials::Token(token)), ..Caller::default() }
}

fn forged() -> Extras {
    json!({"userClaim": "forged", "headers": {"a": "b"}}).as_object().unwrap().clone().into()
}

/// The user claims of what came.
fn claims_of(frames: &[ProtocolMessage]) -> Vec<Option<&str>> {
    let messages = frames.iter().flat_map(|f| f.messages.iter().map(|m| &m.extras));
    let presence = frames.iter().flat_map(|f| f.presence.iter().map(|m| &m.extras));
    let annotations = frames.iter().flat_map(|f| f.annotations.iter().map(|m| &m.extras));
    let extras = messages.chain(presence).chain(annotations);
    extras.map(|extras| extras.as_ref()?.get("userClaim")?.as_str()).collect()
}

#[test]
fn what_a_client_publishes_carries_the_claim_of_its_token_and_no_other() {
    let mut world = world();
    let reader = world.connect(ALL);
    world.attach(reader, "news");
    let plain = world.connect(&format!("{ALL}&clientId=eve"));
    let known =
        connect_with(&mut world, &json!({"ably.channel.n*": "x", "ably.channel.news": "bob!"}));
    for (client, claim) in [(known, Some("bob!")), (plain, None)] {
        world.attach(client, "news");
        world.frames(reader);
        let message = Message { extras: Some(forged()), ..text("hello") };
        world.send(client, &publish_all("news", 0, vec![message]));
        let item = PresenceMessage {
            extras: Some(forged()),
            ..PresenceMessage::new(PresenceAction::Enter)
        };
        let enter = ProtocolMessage {
            msg_serial: Some(1),
            presence: vec![item],
            ..on(Action::Presence, "news")
        };
        world.send(client, &enter);
        world.send(client, &ProtocolMessage::new(Action::Close));
        let frames = world.frames(reader);
        assert_eq!(claims_of(&frames), [claim, claim, claim], "message, enter, leave");
        assert!(frames[0].messages[0].extras.as_ref().unwrap().contains_key("headers"));
    }
}

#[test]
fn a_publish_over_rest_carries_the_claim_of_a_room_on_its_channel() {
    let mut world = world();
    let reader = world.connect(ALL);
    world.attach(reader, "support:1::$chat");
    let token = jwt(&world, &json!({"ably.room.support:*": "agent"}));
    let messages = vec![text("hello")];
    let channel = "support:1::$chat".to_owned();
    world.request_as(caller(token), Operation::Publish { channel, messages });
    assert_eq!(claims_of(&world.frames(reader)), [Some("agent")]);
}

#[test]
fn a_changed_message_keeps_the_claim_of_its_publisher_and_an_annotation_has_its_own() {
    let mut world = world();
    let reader = world.connect(ALL);
    world.attach(reader, "mutable");
    let bob = connect_with(&mut world, &json!({"ably.channel.*": "bob!"}));
    world.send(bob, &publish("mutable", 0, "hello"));
    let serial = world.frames(reader)[0].messages[0].serial.clone();
    let eve = connect_with(&mut world, &json!({"ably.channel.*": "eve!"}));
    let change = Message {
        serial: serial.clone(),
        action: MessageAction::Update,
        extras: Some(forged()),
        ..text("changed")
    };
    world.send(eve, &publish_all("mutable", 0, vec![change]));
    assert_eq!(claims_of(&world.frames(reader)), [Some("bob!")]);

    let observer = world.connect(ALL);
    let modes = protocol::flags::ANNOTATION_SUBSCRIBE;
    world.attach_with(observer, &ProtocolMessage { flags: Some(modes), ..attach("mutable") });
    let annotation = Annotation {
        message_serial: serial,
        ..Annotation::new(AnnotationAction::Create, "like:total.v1")
    };
    let annotate = ProtocolMessage {
        msg_serial: Some(1),
        annotations: vec![annotation],
        ..on(Action::Annotation, "mutable")
    };
    world.send(eve, &annotate);
    assert_eq!(claims_of(&world.frames(observer)), [Some("eve!")]);
}

#[test]
fn a_repeat_after_a_resume_with_another_claim_is_still_a_repeat() {
    let mut world = world();
    let token = jwt(&world, &json!({"ably.channel.*": "first"}));
    let (client, connected) = world.connected(&format!("accessToken={token}"));
    world.ask(client, &publish("news", 0, "x"));
    world.drop_transport(client);
    let token = jwt(&world, &json!({"ably.channel.*": "second"}));
    let key = crate::world::key_of(&connected);
    let client = world.connect(&format!("accessToken={token}&resume={key}"));
    assert_eq!(world.ask(client, &publish("news", 0, "x")), ["ack 0+1"]);
}

#[test]
fn publishes_beyond_the_rate_that_a_token_sets_are_refused_with_42911() {
    let mut world = world();
    let client = connect_with(&mut world, &json!({format!("{RATE}news"): 2}));
    for (n, expected) in ["ack 0+1", "ack 1+1", "nack 2+1 42911"].into_iter().enumerate() {
        let n = i64::try_from(n).unwrap();
        assert_eq!(world.ask(client, &publish("news", n, "x")), [expected]);
    }
    world.attach(client, "news");
    assert_eq!(world.ask(client, &publish("news", 3, "x")), ["nack 3+1 42911"], "not a new rate");
    assert_eq!(world.ask(client, &publish("other", 4, "x")), ["ack 4+1"]);
    world.advance(1_000);
    assert_eq!(world.ask(client, &publish("news", 5, "x")), ["message news x", "ack 5+1"]);
}

/// Publishes over REST with a token; the error code, or 0.
fn publish_with(world: &mut World, token: &str, channel: &str, messages: Vec<Message>) -> u32 {
    let publish = Operation::Publish { channel: channel.into(), messages };
    match world.request_as(caller(token.into()), publish) {
        Response::Error(error) => error.code,
        _ => 0,
    }
}

#[test]
fn the_rate_that_a_token_sets_holds_for_every_kind_of_publish_over_rest() {
    let mut world = world();
    let token = jwt(&world, &json!({format!("{RATE}*"): 2}));
    let reader = world.connect(ALL);
    world.attach(reader, "mutable");
    assert_eq!(publish_with(&mut world, &token, "mutable", vec![text("a"), text("b")]), 0);
    let channel = || "mutable".to_owned();
    let serial = world.frames(reader)[0].messages[0].serial.as_ref().unwrap().to_string();
    let change = Message { action: MessageAction::Update, ..text("c") };
    let annotation = Annotation::new(AnnotationAction::Create, "like:total.v1");
    let operations = br#"{"objectId":"root","mapSet":{"key":"a","value":{"number":1}}}"#;
    let operations = protocol::decode_object_operations(Format::Json, operations).unwrap();
    for operation in [
        Operation::Publish { channel: channel(), messages: vec![text("c")] },
        Operation::Change { channel: channel(), serial: serial.clone(), change },
        Operation::Annotate { channel: channel(), serial, annotations: vec![annotation] },
        Operation::PublishObjects { channel: channel(), operations },
    ] {
        let shown = format!("{operation:?}");
        let response = world.request_as(caller(token.clone()), operation);
        assert_eq!(code(&response), 42911, "{shown}");
    }
    let channels = ["mutable", "other"].map(Into::into).to_vec();
    let batch = BatchPublish::One(BatchSpec { channels, messages: vec![text("c")] });
    let batch = world.request_as(caller(token.clone()), Operation::BatchPublish(batch));
    let Response::Batch(results) = batch else { panic!("{batch:?}") };
    assert_eq!(results[0].outcome.as_ref().unwrap_err().code, 42911);
    assert!(results[1].outcome.is_ok(), "another channel");
    let said = |action, serial: Option<&str>| Operation::Chat {
        room: "lobby".into(),
        message: Message { action, serial: serial.map(Into::into), ..text("c") },
    };
    let mut say = |operation| world.request_as(caller(token.clone()), operation);
    let Response::Message(first) = say(said(MessageAction::Create, None)) else { panic!() };
    let serial = first.serial.as_deref();
    let update = said(MessageAction::Update, serial);
    assert!(matches!(say(update), Response::Message(_)));
    for (action, serial) in [(MessageAction::Create, None), (MessageAction::Delete, serial)] {
        assert_eq!(code(&say(said(action, serial))), 42911, "{action:?}");
    }
}

#[test]
fn a_rate_over_rest_is_of_one_token_and_counts_no_repeats() {
    let mut world = world();
    let [token, other] =
        ["a", "b"].map(|user| jwt(&world, &json!({format!("{RATE}*"): 2, "sub": user})));
    let once = || vec![Message { id: Some("once".into()), ..text("a") }];
    for (token, messages, expected) in [
        (&token, once(), 0),
        (&token, once(), 0),
        (&token, once(), 0),
        (&token, vec![text("b")], 0),
        (&token, vec![text("c")], 42911),
        (&token, once(), 0),
        (&other, vec![text("d")], 0),
    ] {
        assert_eq!(publish_with(&mut world, token, "news", messages), expected);
    }
    world.advance(500);
    assert_eq!(publish_with(&mut world, &token, "news", vec![text("e")]), 0);
    assert_eq!(publish_with(&mut world, &token, "news", vec![text("f")]), 42911);
}

#[test]
fn only_a_key_or_its_word_makes_a_server_of_a_client() {
    let mut world = world();
    world.connect(&format!("{ALL}&clientType=server"));
    for claims in [json!({}), json!({"x-ably-clientType": "user"})] {
        let token = jwt(&world, &claims);
        world.connect(&format!("accessToken={token}&clientType=agent"));
        let refused = world.open(&format!("accessToken={token}&clientType=server"));
        assert_eq!(world.seen(refused), ["error 40167"]);
        let stated = Caller { client_type: Some("server".into()), ..caller(token) };
        let ask = Operation::BatchPresence { channels: vec!["news".into()] };
        assert_eq!(code(&world.request_as(stated, ask)), 40167);
    }
    let token = jwt(&world, &json!({"x-ably-clientType": "server"}));
    world.connect(&format!("accessToken={token}&clientType=server"));
}
