//! Tokens that are revoked while clients use them, and that stay so after a restart.

use std::time::Duration;

use auth::{Credentials, RevocationRequest};
use node::{Caller, Operation, Response};
use protocol::{Action, BatchSuccess, ProtocolMessage};

use types::{Record, RecordId, RecordKind};

use crate::world::{Setup, Store, World, code, key_caller, world, world_with};

fn revocable() -> World {
    revocable_with(|_| {})
}

fn revocable_with(change: impl FnOnce(&mut Setup)) -> World {
    world_with(|setup| {
        setup.app.keys[0].revocable_tokens = true;
        change(setup);
    })
}

/// The world after a restart `ms` later.
fn restarted(world: World, ms: u64) -> World {
    revocable_with(|setup| {
        setup.incarnation = 2;
        setup.now = world.now + ms;
        setup.store = world.store;
    })
}

fn connects(world: &mut World, token: &str) -> Vec<(Action, Option<u32>)> {
    let transport = world.open(&format!("accessToken={token}"));
    error_codes(&world.frames(transport))
}

fn at_once(target: &str) -> RevocationRequest {
    let targets = vec![target.into()];
    RevocationRequest { targets, issued_before: None, allow_reauth_margin: false }
}

fn revoke(request: RevocationRequest) -> Operation {
    Operation::RevokeTokens { key_name: "app.all".into(), request }
}

fn revoked(world: &mut World, request: RevocationRequest) {
    let response = world.request("all", revoke(request));
    let Response::Batch(results) = response else { panic!("{response:?}") };
    assert!(matches!(results[0].outcome, Ok(BatchSuccess::Revoked { .. })), "{results:?}");
}

fn token(world: &mut World, client_id: &str) -> String {
    let token = world.token(r#"{"*":["*"]}"#, Some(client_id), Duration::from_mins(30)).token;
    world.advance(1);
    token
}

fn error_codes(frames: &[ProtocolMessage]) -> Vec<(Action, Option<u32>)> {
    frames.iter().map(|f| (f.action, f.error.as_ref().map(|error| error.code))).collect()
}

#[test]
fn a_revoked_token_ends_its_connections_and_opens_no_other() {
    let mut world = revocable();
    let (bob, eve) = (token(&mut world, "bob"), token(&mut world, "eve"));
    let query = |token: &str| format!("accessToken={token}");
    let (his, hers) = (world.connect(&query(&bob)), world.connect(&query(&eve)));
    revoked(&mut world, at_once("clientId:bob"));
    assert_eq!(error_codes(&world.frames(his)), [(Action::Disconnected, Some(40141))]);
    assert!(world.closed(his) && !world.closed(hers));
    let again = world.open(&query(&bob));
    assert_eq!(error_codes(&world.frames(again)), [(Action::Error, Some(40141))]);
    let caller =
        || Caller { credentials: Some(Credentials::Token(bob.clone())), ..Caller::default() };
    let ask = Operation::BatchPresence { channels: vec!["news".into()] };
    assert_eq!(code(&world.request_as(caller(), ask)), 40141);
    let newer = token(&mut world, "bob");
    world.connect(&query(&newer));
}

#[test]
fn with_a_margin_a_client_is_asked_for_another_token_first() {
    let mut world = revocable();
    let bob = token(&mut world, "bob");
    let (kept, lost) = (
        world.connect(&format!("accessToken={bob}")),
        world.connect(&format!("accessToken={bob}")),
    );
    let request = at_once("clientId:bob");
    revoked(&mut world, RevocationRequest { allow_reauth_margin: true, ..request });
    world.advance(0);
    assert_eq!(error_codes(&world.frames(kept)), [(Action::Auth, None)]);
    let newer = token(&mut world, "bob");
    let auth =
        ProtocolMessage { access_token: Some(newer.into()), ..ProtocolMessage::new(Action::Auth) };
    world.send(kept, &auth);
    world.advance(29_000);
    assert!(!world.closed(lost));
    world.advance(1_000);
    assert!(world.closed(lost) && !world.closed(kept));
    let last = world.frames(lost).pop();
    assert_eq!(error_codes(last.as_slice()), [(Action::Disconnected, Some(40141))]);
}

#[test]
fn only_the_key_of_revocable_tokens_revokes_them() {
    let mut plain = world();
    assert_eq!(code(&plain.request("all", revoke(at_once("clientId:bob")))), 40163);
    let mut world = revocable();
    assert_eq!(code(&world.request("news", revoke(at_once("clientId:bob")))), 40133);
    let token = token(&mut world, "bob");
    let caller = Caller { credentials: Some(Credentials::Token(token)), ..Caller::default() };
    assert_eq!(code(&world.request_as(caller, revoke(at_once("clientId:bob")))), 40162);
}

#[test]
fn a_revoked_token_stays_revoked_after_a_restart_until_it_has_expired_anyway() {
    let mut world = revocable();
    let (bob, eve) = (token(&mut world, "bob"), token(&mut world, "eve"));
    revoked(&mut world, at_once("clientId:bob"));
    revoked(&mut world, at_once("channel:a:b"));
    let mut world = restarted(world, 60_000);
    assert_eq!(connects(&mut world, &bob), [(Action::Error, Some(40141))]);
    assert_eq!(connects(&mut world, &eve), [(Action::Connected, None)]);
    assert_eq!(world.store.records.len(), 2);
    let world = restarted(world, 3_600_000);
    assert!(world.store.records.is_empty() && world.damaged.is_empty());
}

#[test]
fn the_records_of_revocations_that_are_over_are_deleted_with_the_next() {
    let mut world = revocable();
    revoked(&mut world, at_once("clientId:bob"));
    world.advance(3_600_000);
    revoked(&mut world, at_once("clientId:eve"));
    let revocations = world.store.records.keys().filter(|id| id.kind == RecordKind::Revocation);
    let keys: Vec<_> = revocations.map(|id| id.key.as_ref()).collect();
    assert_eq!(keys, ["all:clientId:eve"]);
}

#[test]
fn a_revocation_is_answered_when_it_is_durable_and_refused_if_it_is_not() {
    let mut world = revocable();
    let bob = token(&mut world, "bob");
    world.store.holding = true;
    let first = world.start_request(key_caller("all"), revoke(at_once("clientId:bob")));
    assert!(world.reply(first).is_none() && !world.node.is_empty());
    assert_eq!(connects(&mut world, &bob), [(Action::Error, Some(40141))]);
    world.release_failed();
    assert_eq!(code(&world.reply(first).unwrap()), 50003);
    assert!(world.node.is_empty());
    world.store.holding = true;
    let second = world.start_request(key_caller("all"), revoke(at_once("clientId:eve")));
    world.release();
    assert!(matches!(world.reply(second), Some(Response::Batch(_))));
}

#[test]
fn a_damaged_record_is_skipped_and_named() {
    let id =
        |key: &str| RecordId { app: "app".into(), kind: RecordKind::Revocation, key: key.into() };
    let mut store = Store::default();
    for (key, value) in [
        ("all:clientId:bob", "not JSON"),
        ("all:clientId:eve", r#"{"version":9,"revocations":[]}"#),
        ("all:nobody", r#"{"version":1,"revocations":[]}"#),
        ("all", r#"{"version":1,"revocations":[]}"#),
    ] {
        store.records.insert(id(key), Record { id: id(key), value: value.into() });
    }
    let unknown = RecordId { app: "unknown".into(), ..id("x") };
    store.records.insert(unknown.clone(), Record { id: unknown, value: "".into() });
    let mut world = revocable_with(|setup| setup.store = store);
    let damaged: Vec<_> = world.damaged.iter().map(|id| id.key.as_ref()).collect();
    assert_eq!(damaged, ["all", "all:clientId:bob", "all:clientId:eve", "all:nobody"]);
    revoked(&mut world, at_once("clientId:bob"));
}
