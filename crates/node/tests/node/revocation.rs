//! Tokens that are revoked while clients use them.

use std::time::Duration;

use auth::{Credentials, RevocationRequest};
use node::{Caller, Operation, Response};
use protocol::{Action, BatchSuccess, ProtocolMessage};

use crate::world::{World, code, world, world_with};

fn revocable() -> World {
    world_with(|setup| setup.app.keys[0].revocable_tokens = true)
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
    let caller = || Caller { credentials: Some(Credentials::Token(bob.clone())), client_id: None };
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
    let caller = Caller { credentials: Some(Credentials::Token(token)), client_id: None };
    assert_eq!(code(&world.request_as(caller, revoke(at_once("clientId:bob")))), 40162);
}
