//! Keys that are revoked, that expire, and that may be used from some places only.

use std::time::Duration;

use auth::{Credentials, Source};
use node::{Caller, Event, Operation, Response};
use types::{Key, Timestamp};

use crate::world::{ALL, START, World, code, key_caller, world, world_with};

fn keys(world: &mut World, keys: Vec<Key>) {
    world.handle(Event::Keys { app: "app".into(), keys });
}

fn known_keys() -> Vec<Key> {
    let mut known = Vec::new();
    world_with(|setup| known = setup.app.keys.clone());
    known
}

fn time_of(world: &mut World, caller: Caller) -> Response {
    world.request_as(caller, Operation::BatchPresence { channels: vec!["news".into()] })
}

#[test]
fn a_key_that_is_revoked_ends_its_connections_and_those_of_its_tokens() {
    let mut world = world();
    let token = world.token(r#"{"*":["*"]}"#, Some("bob"), Duration::from_mins(30)).token;
    let by_token = format!("accessToken={token}");
    let ended = [world.connect(ALL), world.connect(&by_token)];
    let other = world.connect("key=app.news:secret of news");
    let mut changed = known_keys();
    changed[0].restrictions.revoked = true;
    keys(&mut world, changed);
    for client in ended {
        assert_eq!(world.seen(client), ["error 40131"]);
        assert!(world.closed(client));
    }
    assert!(!world.closed(other));
    for query in [ALL, &by_token] {
        let refused = world.open(query);
        assert_eq!(world.seen(refused), ["error 40131"]);
    }
    let bob = Caller { credentials: Some(Credentials::Token(token)), ..Caller::default() };
    assert_eq!(code(&time_of(&mut world, bob)), 40131);
    assert_eq!(code(&time_of(&mut world, key_caller("all"))), 40131);
}

#[test]
fn a_key_that_is_gone_ends_its_connections_and_a_new_one_works_at_once() {
    let mut world = world();
    let client = world.connect(ALL);
    let mut changed = known_keys();
    changed[0].id = "newer".into();
    keys(&mut world, changed);
    assert_eq!(world.seen(client), ["error 40131"]);
    world.connect("key=app.newer:secret of all");
}

#[test]
fn another_capability_of_a_key_is_for_new_connections() {
    let mut world = world();
    let client = world.connect(ALL);
    let mut changed = known_keys();
    changed[0].capability = r#"{"*":["subscribe"]}"#.into();
    keys(&mut world, changed);
    assert_eq!(world.ask(client, &crate::world::publish("a", 0, "x")), ["ack 0+1"]);
    let newer = world.connect(ALL);
    assert_eq!(world.ask(newer, &crate::world::publish("a", 0, "x")), ["nack 0+1 40160"]);
}

#[test]
fn a_key_that_expires_ends_its_connections_and_its_tokens_earlier_than_they_would() {
    let expires = Timestamp(START + 60_000);
    let mut world = world_with(|setup| setup.app.keys[0].restrictions.expires = Some(expires));
    let token = world.token(r#"{"*":["*"]}"#, None, Duration::from_mins(30)).token;
    let (by_key, by_token) = (world.connect(ALL), world.connect(&format!("accessToken={token}")));
    world.advance(59_999);
    assert!(!world.closed(by_key) && !world.closed(by_token));
    world.advance(1);
    assert_eq!(world.seen(by_key).last().unwrap(), "error 40132");
    assert_eq!(world.seen(by_token).last().unwrap(), "disconnected 40142");
    let refused = world.open(ALL);
    assert_eq!(world.seen(refused), ["error 40132"]);
}

#[test]
fn a_key_for_some_places_is_refused_elsewhere_with_80030() {
    let mut world = world_with(|setup| {
        let restrictions = &mut setup.app.keys[0].restrictions;
        restrictions.allowed_ips = vec!["10.0.0.0/8".parse().unwrap()];
        restrictions.allowed_origins = vec!["https://a.example".into()];
    });
    let here = Source {
        address: Some("10.1.2.3".parse().unwrap()),
        origin: Some("https://a.example".into()),
        ..Source::default()
    };
    let elsewhere = Source { address: Some("11.1.2.3".parse().unwrap()), ..here.clone() };
    let token = world.token(r#"{"*":["*"]}"#, None, Duration::from_mins(30)).token;
    for query in [ALL.to_owned(), format!("accessToken={token}")] {
        world.place = here.clone();
        world.connect(&query);
        world.place = elsewhere.clone();
        let refused = world.open(&query);
        assert_eq!(world.seen(refused), ["error 80030"]);
    }
    let at = |source: &Source| Caller { source: source.clone(), ..key_caller("all") };
    assert!(matches!(time_of(&mut world, at(&here)), Response::Batch(_)));
    assert_eq!(code(&time_of(&mut world, at(&elsewhere))), 80030);
    world.connect("key=app.news:secret of news");
}
