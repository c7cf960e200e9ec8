//! What claims of a JWT do to what its client publishes, and what a client may call itself.

use auth::Credentials;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use node::{Caller, Operation, TransportId};
use protocol::{Action, ProtocolMessage};
use serde_json::{Value, json};
use types::{
    Annotation, AnnotationAction, Extras, Message, MessageAction, PresenceAction, PresenceMessage,
};

use crate::world::{ALL, World, attach, code, on, publish, publish_all, text, world};

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
    let limit = "ably.limits.publish.perAttachment.maxRate.news";
    let client = connect_with(&mut world, &json!({limit: 2}));
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
