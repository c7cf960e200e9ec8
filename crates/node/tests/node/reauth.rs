//! Tokens that expire, and credentials that change under a live connection.

use std::time::Duration;

use protocol::{Action, ProtocolMessage};

use crate::world::{ALL, World, attach, enter, publish, world};

const FULL: &str = r#"{"*":["*"]}"#;

fn auth(token: &str) -> ProtocolMessage {
    ProtocolMessage { access_token: Some(token.into()), ..ProtocolMessage::new(Action::Auth) }
}

fn connect(
    world: &mut World,
    capability: &str,
    client_id: Option<&str>,
    ttl_secs: u64,
) -> (node::TransportId, ProtocolMessage) {
    let token = world.token(capability, client_id, Duration::from_secs(ttl_secs)).token;
    world.connected(&format!("accessToken={token}"))
}

#[test]
fn a_client_is_asked_for_a_new_token_in_time_and_disconnected_without_one() {
    let mut world = world();
    let (client, connected) = connect(&mut world, FULL, None, 60);
    world.advance(29_999);
    assert!(world.seen(client).is_empty());
    world.advance(1);
    assert_eq!(world.seen(client), ["auth"]);
    world.advance(29_999);
    assert!(world.seen(client).is_empty());
    world.advance(1);
    assert_eq!(world.seen(client), ["disconnected 40142"]);
    assert!(world.closed(client));
    let token = world.token(FULL, None, Duration::from_mins(1)).token;
    let key = crate::world::key_of(&connected);
    world.connect(&format!("accessToken={token}&resume={key}"));
}

#[test]
fn a_token_that_has_expired_counts_no_more_however_late_the_tick() {
    let mut world = world();
    let (client, _) = connect(&mut world, FULL, None, 60);
    world.now += 60_000;
    world.send(client, &publish("news", 0, "x"));
    assert_eq!(world.seen(client), ["disconnected 40142"]);
}

#[test]
fn a_token_shorter_than_the_margin_is_not_asked_for_again() {
    let mut world = world();
    let (client, _) = connect(&mut world, FULL, None, 10);
    world.advance(10_000);
    assert_eq!(world.seen(client), ["disconnected 40142"]);
}

#[test]
fn a_new_token_is_confirmed_and_counts_from_then_on() {
    let mut world = world();
    let (client, first) = connect(&mut world, FULL, None, 60);
    world.advance(30_000);
    world.seen(client);
    let token = world.token(FULL, None, Duration::from_mins(10)).token;
    world.send(client, &auth(&token));
    let [second] = world.frames(client).try_into().unwrap();
    assert_eq!((second.action, &second.connection_id), (Action::Connected, &first.connection_id));
    assert!(second.connection_details.is_some());
    world.advance(5 * 60_000);
    assert!(world.seen(client).is_empty());
    world.advance(5 * 60_000);
    assert_eq!(world.seen(client), ["auth", "disconnected 40142"]);
}

#[test]
fn less_capability_fails_the_channels_that_are_lost_and_narrows_the_rest() {
    let mut world = world();
    let (client, _) = connect(&mut world, FULL, Some("bob"), 60);
    let other = world.connect(ALL);
    for channel in ["news", "other"] {
        world.attach(client, channel);
        world.attach(other, channel);
    }
    world.send(client, &enter("other", 0, "bob"));
    world.seen(client);
    world.seen(other);
    let less = world.token(r#"{"news":["subscribe"]}"#, Some("bob"), Duration::from_mins(1)).token;
    assert_eq!(world.ask(client, &auth(&less)), ["error other 40160", "connected"]);
    assert_eq!(world.seen(other), ["presence other leave:bob"]);
    assert_eq!(world.ask(client, &publish("news", 1, "x")), ["nack 1+1 40160"]);
    assert_eq!(world.ask(client, &attach("other")), ["error other 40160"]);
    world.send(other, &publish("other", 0, "unheard"));
    world.send(other, &publish("news", 1, "heard"));
    assert_eq!(world.seen(client), ["message news heard"]);
    let none = world.token(r#"{"news":["publish"]}"#, Some("bob"), Duration::from_mins(1)).token;
    assert_eq!(world.ask(client, &auth(&none)), ["connected"]);
    world.send(other, &publish("news", 2, "unheard"));
    assert!(world.seen(client).is_empty());
}

#[test]
fn whoever_published_before_stops_with_the_right_to_it() {
    let mut world = world();
    let (client, connected) = connect(&mut world, FULL, None, 60);
    assert_eq!(world.ask(client, &publish("news", 0, "x")), ["ack 0+1"]);
    let less = world.token(r#"{"news":["subscribe"]}"#, None, Duration::from_mins(10)).token;
    assert_eq!(world.ask(client, &auth(&less)), ["connected"]);
    assert_eq!(world.ask(client, &publish("news", 1, "x")), ["nack 1+1 40160"]);
    let full = world.token(FULL, None, Duration::from_mins(10)).token;
    assert_eq!(world.ask(client, &auth(&full)), ["connected"]);
    assert_eq!(world.ask(client, &publish("news", 2, "x")), ["ack 2+1"]);
    world.drop_transport(client);
    let key = crate::world::key_of(&connected);
    let resumed = world.connect(&format!("accessToken={less}&resume={key}"));
    assert_eq!(world.ask(resumed, &publish("news", 3, "x")), ["nack 3+1 40160"]);
}

#[test]
fn each_refusal_of_a_new_token_ends_the_transport_as_its_code_demands() {
    let mut world = world();
    let expired = world.token(FULL, Some("bob"), Duration::from_millis(1)).token;
    world.advance(1);
    let eve = world.token(FULL, Some("eve"), Duration::from_mins(1)).token;
    for (token, answer) in [
        (expired.as_str(), "disconnected 40142"),
        ("app.nonsense", "disconnected 40143"),
        (eve.as_str(), "error 40102"),
        ("nobody.x.y", "error 40101"),
    ] {
        let (client, _) = connect(&mut world, FULL, Some("bob"), 60);
        let seen = world.ask(client, &auth(token));
        assert!(world.closed(client));
        if token == "nobody.x.y" {
            assert_eq!(seen.len(), 1, "{seen:?}");
        } else {
            assert_eq!(seen, [answer], "{token}");
        }
    }
    let (client, _) = connect(&mut world, FULL, Some("bob"), 60);
    assert_eq!(world.ask(client, &ProtocolMessage::new(Action::Auth)), ["error 80013"]);
}
