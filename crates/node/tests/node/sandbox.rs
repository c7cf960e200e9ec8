//! Apps that test suites create, use and delete.

use node::{AppSpec, Caller, Operation, PresenceQuery, Response};
use serde_json::json;
use types::App;

use crate::world::{World, attach, code, key_caller, publish, text, world, world_with};

fn spec(json: serde_json::Value) -> AppSpec {
    serde_json::from_value(json).unwrap()
}

fn suite() -> AppSpec {
    spec(json!({
        "keys": [{}, { "capability": r#"{"a":["subscribe"]}"# }],
        "namespaces": [{ "id": "kept", "persisted": true }],
        "channels": [
            { "name": "kept:fixtures", "presence": [
                { "clientId": "bob", "data": "hi" }, { "clientId": "eve" }
            ] },
            { "name": "plain", "presence": [{ "clientId": "bob" }] },
            { "name": "empty" }
        ],
        "limits": { "presence": { "maxMembers": 2 } }
    }))
}

fn create(world: &mut World, spec: AppSpec) -> std::sync::Arc<App> {
    match world.request_as(Caller::default(), Operation::CreateApp(spec)) {
        Response::AppCreated(app) => app,
        other => panic!("no app: {other:?}"),
    }
}

fn caller(app: &App) -> Caller {
    Caller { credentials: Some(auth::Credentials::Key(key(app))), ..Caller::default() }
}

fn key(app: &App) -> String {
    let key = &app.keys[0];
    format!("{}.{}:{}", app.id, key.id, key.secret)
}

fn members(world: &mut World, app: &App, channel: &str) -> usize {
    let query = PresenceQuery { limit: 10, client_id: None, connection_id: None, after: None };
    let operation = Operation::Presence { channel: channel.into(), query };
    match world.request_as(caller(app), operation) {
        Response::Presence(page) => page.members.len(),
        other => panic!("no presence: {other:?}"),
    }
}

#[test]
fn a_created_app_has_its_keys_and_its_members_without_any_client() {
    let mut world = world();
    let app = create(&mut world, suite());
    assert_eq!(app.keys[0].capability.as_ref(), r#"{"*":["*"]}"#);
    assert_eq!(app.keys[1].capability.as_ref(), r#"{"a":["subscribe"]}"#);
    assert_eq!(members(&mut world, &app, "kept:fixtures"), 2);
    assert_eq!(members(&mut world, &app, "plain"), 1);
    let client = world.connect(&format!("key={}", key(&app)));
    assert_eq!(
        world.ask(client, &attach("kept:fixtures")),
        ["attached kept:fixtures presence", "sync kept:fixtures bob=hi eve"]
    );
    assert_eq!(
        world.ask(client, &crate::world::enter("kept:fixtures", 0, "x")),
        ["nack 0+1 91003"]
    );
    world.advance(30 * 60_000);
    assert_eq!(members(&mut world, &app, "plain"), 1, "they stay");
}

#[test]
fn an_app_is_answered_only_when_its_members_are_there() {
    let mut world = world();
    world.store.holding = true;
    let id = world.start_request(Caller::default(), Operation::CreateApp(suite()));
    assert!(world.reply(id).is_none());
    world.release();
    assert!(matches!(world.reply(id), Some(Response::AppCreated(_))));
}

#[test]
fn a_spec_that_makes_no_sense_creates_nothing() {
    let mut world = world();
    for bad in [
        json!({ "channels": [{ "name": ":x", "presence": [{ "clientId": "bob" }] }] }),
        json!({ "keys": [{ "capability": "nonsense" }] }),
    ] {
        let response = world.request_as(Caller::default(), Operation::CreateApp(spec(bad)));
        assert!(matches!(response, Response::Error(_)));
    }
    // But for the statistics, which are written once more.
    world.advance(10_000);
    assert_eq!(world.node.next_deadline(), None);
}

#[test]
fn a_deleted_app_takes_its_connections_and_channels_with_it() {
    let mut world = world();
    let app = create(&mut world, suite());
    let query = format!("key={}", key(&app));
    let (client, _) = world.connected(&query);
    let (dropped, connected) = world.connected(&query);
    for client in [client, dropped] {
        world.attach(client, "a");
        world.send(client, &crate::world::enter("a", 0, "x"));
    }
    world.drop_transport(dropped);
    world.seen(client);
    world.store.holding = true;
    world.send(client, &publish("kept:a", 1, "x"));
    let operation = Operation::Publish { channel: "kept:b".into(), messages: vec![text("x")] };
    let waiting = world.start_request(caller(&app), operation);
    let deleted = world.request_as(caller(&app), Operation::DeleteApp(app.id.clone()));
    assert!(matches!(deleted, Response::NoContent));
    assert_eq!(world.seen(client).last().unwrap(), "error 40400");
    assert!(world.closed(client));
    assert_eq!(code(&world.reply(waiting).unwrap()), 40400);
    assert!(world.node.is_empty());
    // But for the statistics, which are written once more.
    world.advance(10_000);
    assert_eq!(world.node.next_deadline(), None);
    world.release();
    let again = world.open(&format!("{query}&resume={}", crate::world::key_of(&connected)));
    assert_eq!(world.seen(again), ["error 40101"]);
}

#[test]
fn apps_do_not_see_each_other() {
    let mut world = world();
    let (one, other) = (create(&mut world, suite()), create(&mut world, suite()));
    let (of_one, connected) = world.connected(&format!("key={}", key(&one)));
    let of_other = world.connect(&format!("key={}", key(&other)));
    for client in [of_one, of_other] {
        world.attach(client, "a");
    }
    world.send(of_one, &publish("a", 0, "x"));
    assert!(world.seen(of_other).is_empty());
    let connection_key = crate::world::key_of(&connected);
    let message =
        types::Message { connection_key: Some(connection_key.as_str().into()), ..text("x") };
    let operation = Operation::Publish { channel: "a".into(), messages: vec![message] };
    assert_eq!(code(&world.request_as(caller(&other), operation)), 40006);
    let thief = world.open(&format!("key={}&resume={connection_key}", key(&other)));
    assert_eq!(world.seen(thief), ["error 40102"]);
}

#[test]
fn an_app_ends_by_itself_after_an_hour() {
    let mut world = world();
    let app = create(&mut world, suite());
    world.advance(3_600_000);
    assert!(world.node.is_empty());
    let client = world.open(&format!("key={}", key(&app)));
    assert_eq!(world.seen(client), ["error 40101"]);
}

#[test]
fn only_an_app_that_was_created_is_deleted_and_only_by_itself() {
    let mut world = world();
    let (one, other) = (create(&mut world, suite()), create(&mut world, suite()));
    let delete = |app: &App| Operation::DeleteApp(app.id.clone());
    assert_eq!(code(&world.request_as(caller(&one), delete(&other))), 40300);
    assert_eq!(code(&world.request_as(Caller::default(), delete(&one))), 40100);
    let configured = Operation::DeleteApp("app".into());
    assert_eq!(code(&world.request_as(key_caller("all"), configured)), 40300);
    assert!(matches!(world.request_as(caller(&one), delete(&one)), Response::NoContent));
}

#[test]
fn statistics_are_accepted_from_who_may_authenticate() {
    let mut world = world();
    assert!(matches!(world.request("all", Operation::PostStats(Vec::new())), Response::Created));
    assert_eq!(code(&world.request_as(Caller::default(), Operation::PostStats(Vec::new()))), 40100);
}

#[test]
fn the_records_of_an_app_end_with_it_at_the_latest_with_the_run() {
    let mut world = world();
    let (one, other) = (create(&mut world, suite()), create(&mut world, suite()));
    assert_eq!(world.store.records.len(), 2);
    world.request_as(caller(&one), Operation::DeleteApp(one.id.clone()));
    world.advance(0);
    let apps: Vec<_> = world.store.records.keys().map(|id| &id.app).collect();
    assert_eq!(apps, [&other.id]);
    let world = world_with(|setup| {
        setup.incarnation = 2;
        setup.store = world.store;
    });
    assert!(world.store.records.is_empty());
}
