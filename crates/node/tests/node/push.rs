//! Push notifications: who may register, subscribe and notify, and what reaches a device.

use std::time::Duration;

use auth::{Capability, Credentials};
use node::{
    Caller, Event, Operation, PushOperation, PushQuery, PushRequest, PushResponse, Response, Reveal,
};
use push::{Device, DeviceFilter, Failure, Lasting, State, Subscriber, SubscriptionFilter};
use serde_json::{Map, Value, json};
use types::{ChannelName, Data, Message, error};

use crate::world::{ALL, World, code, key_caller, world, world_with};

/// How long a notification takes to a channel.
const CHANNEL_DELAY_MS: u64 = 500;

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("an object") };
    object
}

/// Who asks, and how it says which device it is.
#[derive(Clone, Default)]
struct Asker {
    credentials: Option<Credentials>,
    token: Option<String>,
    secret: Option<String>,
}

fn admin() -> Asker {
    Asker { credentials: key_caller("all").credentials, ..Asker::default() }
}

/// A client with a token.
fn client(world: &mut World, capability: &str, client_id: Option<&str>) -> Asker {
    let token = world.token(capability, client_id, Duration::from_mins(1)).token;
    Asker { credentials: Some(Credentials::Token(token)), ..Asker::default() }
}

fn subscriber(world: &mut World, client_id: Option<&str>) -> Asker {
    client(world, r#"{"*":["push-subscribe"]}"#, client_id)
}

fn ask(world: &mut World, asker: &Asker, operation: PushOperation) -> Response {
    let Asker { credentials, token, secret } = asker.clone();
    let caller = Caller { credentials, ..Caller::default() };
    let request = PushRequest { device_token: token, device_secret: secret, operation };
    world.request_as(caller, Operation::Push(request))
}

fn details(id: &str, client_id: Option<&str>) -> Value {
    json!({
        "id": id, "clientId": client_id, "platform": "android", "formFactor": "phone",
        "deviceSecret": format!("secret of {id}"),
        "push": {"recipient": {"transportType": "fcm", "registrationToken": format!("at {id}")}},
    })
}

fn channel_details(id: &str, key: &str) -> Value {
    let mut details = details(id, None);
    details["push"]["recipient"] = json!({
        "transportType": "ablyChannel", "channel": "inbox", "ablyKey": key, "ablyUrl": "http://here",
    });
    details
}

fn register(details: Value) -> PushOperation {
    PushOperation::Register(object(details))
}

fn save(details: Value) -> PushOperation {
    PushOperation::Save(details["id"].as_str().unwrap().into(), object(details))
}

fn change(id: &str, changes: Value) -> PushOperation {
    PushOperation::Change(id.into(), object(changes))
}

fn get(id: &str) -> PushOperation {
    PushOperation::Read(PushQuery::Device(id.into()))
}

fn remove(id: &str) -> PushOperation {
    PushOperation::Remove(DeviceFilter { device_id: Some(id.into()), ..DeviceFilter::default() })
}

fn subscribe(subscription: Value) -> PushOperation {
    PushOperation::Subscribe(object(subscription))
}

fn filter(channel: Option<&str>, subscribers: Vec<Subscriber>) -> SubscriptionFilter {
    let channel = channel.map(|name| ChannelName::parse(name).unwrap());
    SubscriptionFilter { channel, subscribers }
}

fn subscriptions(filter: SubscriptionFilter) -> PushOperation {
    PushOperation::Read(PushQuery::Subscriptions { filter, limit: 100, after: None })
}

fn notify(recipient: &Value) -> PushOperation {
    let body = json!({"recipient": recipient, "notification": {"title": "x"}, "data": {"a": "b"}});
    PushOperation::Publish(object(body))
}

fn device(response: Response) -> (Device, Reveal) {
    match response {
        Response::Push(PushResponse::Device { device, reveal }) => (device, reveal),
        other => panic!("no device: {other:?}"),
    }
}

/// Registers a device as its owner, who is given its identity token.
fn registered(world: &mut World, id: &str, client_id: Option<&str>) -> Asker {
    let owner = subscriber(world, client_id);
    let (_, reveal) = device(ask(world, &owner, register(details(id, None))));
    let Reveal::Token(Some(details)) = reveal else { panic!("a token: {reveal:?}") };
    Asker { credentials: Some(Credentials::Token(details.token)), ..Asker::default() }
}

/// Messages that arrived on the channel that notifications go to.
fn inbox(world: &mut World, transport: node::TransportId) -> Vec<Message> {
    world.advance(CHANNEL_DELAY_MS);
    world.frames(transport).into_iter().flat_map(|frame| frame.messages).collect()
}

#[test]
fn a_device_registers_itself_and_is_given_an_identity_of_its_client() {
    let mut world = world();
    let this = registered(&mut world, "d", Some("bob"));
    let (seen, reveal) = device(ask(&mut world, &this, get("d")));
    assert_eq!(seen.client_id, Some("bob".into()));
    assert!(matches!(reveal, Reveal::Secret));
    let moved = json!({"push": {"recipient": {"transportType": "apns", "deviceToken": "t"}}});
    let (seen, reveal) = device(ask(&mut world, &this, change("d", moved)));
    assert_eq!(seen.recipient.text("deviceToken"), Some("t"));
    assert!(matches!(reveal, Reveal::Nothing));
    assert!(matches!(ask(&mut world, &this, remove("d")), Response::NoContent));
    assert_eq!(code(&ask(&mut world, &this, get("d"))), 40101);
}

#[test]
fn a_device_is_not_the_business_of_others() {
    let mut world = world();
    registered(&mut world, "d", Some("bob"));
    let other = registered(&mut world, "e", Some("bob"));
    let nobody = client(&mut world, r#"{"*":["publish"]}"#, Some("bob"));
    let bob = subscriber(&mut world, Some("bob"));
    for asker in [&other, &nobody, &bob] {
        for operation in [
            get("d"),
            remove("d"),
            change("d", json!({})),
            PushOperation::ResetToken("d".into()),
            PushOperation::Read(PushQuery::Devices {
                filter: DeviceFilter::default(),
                limit: 9,
                after: None,
            }),
            PushOperation::Read(PushQuery::Channels { limit: 9, after: None }),
            notify(&json!({"clientId": "bob"})),
            PushOperation::BatchPublish(Vec::new()),
            subscribe(json!({"channel": "pushed:x", "deviceId": "d"})),
        ] {
            assert_eq!(code(&ask(&mut world, asker, operation)), 40160);
        }
    }
    let mut stolen = details("d", None);
    stolen["deviceSecret"] = json!("a guess");
    assert_eq!(code(&ask(&mut world, &bob, register(stolen))), 40101);
    assert_eq!(code(&ask(&mut world, &nobody, register(details("f", None)))), 40160);
}

#[test]
fn a_device_proves_itself_by_its_secret_or_token_beside_other_credentials() {
    let mut world = world();
    let this = registered(&mut world, "d", None);
    let Some(Credentials::Token(token)) = this.credentials else { panic!() };
    let plain = subscriber(&mut world, None);
    let by_secret = Asker { secret: Some("secret of d".into()), ..plain.clone() };
    let by_token = Asker { token: Some(token.clone()), ..plain.clone() };
    let alone = Asker { token: Some(token), ..Asker::default() };
    for asker in [by_secret, by_token, alone] {
        assert_eq!(device(ask(&mut world, &asker, get("d"))).0.id, "d".into());
    }
    let wrong = Asker { token: Some("app.nonsense".into()), ..plain.clone() };
    assert_eq!(code(&ask(&mut world, &wrong, get("d"))), 40101);
    let wrong = Asker { secret: Some("wrong".into()), ..plain };
    assert_eq!(code(&ask(&mut world, &wrong, get("d"))), 40160);
    let Asker { credentials, .. } = registered(&mut world, "other", None);
    let caller = Caller { credentials, ..Caller::default() };
    let response = world.request_as(caller, Operation::ChannelDetails { channel: "x".into() });
    assert_eq!(code(&response), 40143, "for push and for nothing else");
}

#[test]
fn a_device_stays_with_its_client_unless_an_administrator_moves_it() {
    let mut world = world();
    registered(&mut world, "d", Some("bob"));
    let eve = subscriber(&mut world, Some("eve"));
    assert_eq!(code(&ask(&mut world, &eve, register(details("d", None)))), 61002);
    assert_eq!(code(&ask(&mut world, &eve, register(details("e", Some("bob"))))), 40012);
    let (moved, _) = device(ask(&mut world, &admin(), save(details("d", Some("eve")))));
    assert_eq!(moved.client_id, Some("eve".into()));
    let metadata = json!({"metadata": {"a": "b"}});
    let this = Asker { secret: Some("secret of d".into()), ..eve };
    assert_eq!(code(&ask(&mut world, &this, change("d", metadata.clone()))), 40160);
    assert_eq!(device(ask(&mut world, &admin(), change("d", metadata))).0.metadata["a"], "b");
}

#[test]
fn a_token_that_was_reset_is_void() {
    let mut world = world();
    let this = registered(&mut world, "d", None);
    let (_, reveal) = device(ask(&mut world, &this, PushOperation::ResetToken("d".into())));
    let Reveal::Token(Some(fresh)) = reveal else { panic!() };
    assert_eq!(code(&ask(&mut world, &this, get("d"))), 40101);
    let this = Asker { credentials: Some(Credentials::Token(fresh.token)), ..Asker::default() };
    assert_eq!(device(ask(&mut world, &this, get("d"))).0.id, "d".into());
}

#[test]
fn an_identity_token_allows_no_more_than_it_was_taken_from() {
    let mut world = world();
    let owner = client(&mut world, r#"{"pushed:a":["*"]}"#, None);
    let (_, reveal) = device(ask(&mut world, &owner, register(details("d", None))));
    let Reveal::Token(Some(token)) = reveal else { panic!() };
    let narrow = Capability::parse(r#"{"pushed:a":["push-subscribe"]}"#).unwrap();
    assert_eq!(token.capability, narrow.to_string());
    let this = Asker { credentials: Some(Credentials::Token(token.token)), ..Asker::default() };
    let to = |channel: &str| subscribe(json!({"channel": channel, "deviceId": "d"}));
    assert!(matches!(ask(&mut world, &this, to("pushed:a")), Response::Push(_)));
    assert_eq!(code(&ask(&mut world, &this, to("pushed:b"))), 40160);
}

#[test]
fn removing_needs_to_say_what() {
    let mut world = world();
    let remove = |device: Option<&str>, client: Option<&str>| {
        PushOperation::Remove(DeviceFilter {
            device_id: device.map(Into::into),
            client_id: client.map(Into::into),
            state: None,
        })
    };
    assert_eq!(code(&ask(&mut world, &admin(), remove(None, None))), 40000);
    assert_eq!(code(&ask(&mut world, &admin(), remove(Some("d"), Some("c")))), 40000);
    assert!(matches!(ask(&mut world, &admin(), remove(Some("d"), None)), Response::NoContent));
    assert!(matches!(ask(&mut world, &admin(), remove(None, Some("c"))), Response::NoContent));
    assert_eq!(code(&ask(&mut world, &admin(), get("d"))), 40400);
    let nothing = PushOperation::Unsubscribe(filter(None, vec![]));
    assert_eq!(code(&ask(&mut world, &admin(), nothing)), 40000);
}

#[test]
fn clients_subscribe_themselves_and_see_only_their_own() {
    let mut world = world();
    let bob = subscriber(&mut world, Some("bob"));
    let by_client = |id: &str| subscribe(json!({"channel": "pushed:x", "clientId": id}));
    assert!(matches!(ask(&mut world, &bob, by_client("bob")), Response::Push(_)));
    assert_eq!(code(&ask(&mut world, &bob, by_client("eve"))), 40012);
    assert!(matches!(ask(&mut world, &admin(), by_client("eve")), Response::Push(_)));
    let of = |whose: Vec<Subscriber>| subscriptions(filter(Some("pushed:x"), whose));
    let count = |response| match response {
        Response::Push(PushResponse::Subscriptions(page)) => Ok(page.items.len()),
        other => Err(code(&other)),
    };
    let own = vec![Subscriber::Client("bob".into())];
    assert_eq!(count(ask(&mut world, &bob, of(own.clone()))), Ok(1));
    assert_eq!(count(ask(&mut world, &bob, of(vec![]))), Err(40160));
    assert_eq!(count(ask(&mut world, &admin(), of(vec![]))), Ok(2));
    let end = PushOperation::Unsubscribe(filter(None, own));
    assert!(matches!(ask(&mut world, &bob, end), Response::NoContent));
    assert_eq!(count(ask(&mut world, &admin(), of(vec![]))), Ok(1));
}

#[test]
fn subscribing_takes_a_namespace_with_push_and_a_registered_device() {
    let mut world = world();
    for (subscription, expected) in [
        (json!({"channel": "plain", "clientId": "bob"}), 40100),
        (json!({"channel": "pushed:x", "deviceId": "unknown"}), 40015),
        (json!({"channel": "pushed:x"}), 40000),
        (json!({"channel": ":x", "clientId": "bob"}), 40010),
    ] {
        assert_eq!(code(&ask(&mut world, &admin(), subscribe(subscription))), expected);
    }
}

#[test]
fn a_message_with_push_reaches_every_device_of_its_channel_once() {
    let mut world = world();
    ask(&mut world, &admin(), register(details("d", Some("bob"))));
    ask(&mut world, &admin(), register(details("e", None)));
    for subscription in [
        json!({"channel": "pushed:x", "deviceId": "d"}),
        json!({"channel": "pushed:x", "clientId": "bob"}),
        json!({"channel": "pushed:y", "deviceId": "e"}),
    ] {
        ask(&mut world, &admin(), subscribe(subscription));
    }
    let extras = object(json!({"push": {"data": {"a": "b"}}}));
    let message = Message { extras: Some(extras.into()), ..Message::default() };
    let publish = |channel: &str| Operation::Publish {
        channel: channel.into(),
        messages: vec![message.clone(), Message::default()],
    };
    world.request("all", publish("pushed:x"));
    let [delivery] = world.pushed.as_slice() else { panic!("{:?}", world.pushed) };
    assert_eq!(delivery.recipient.text("registrationToken"), Some("at d"));
    assert_eq!(delivery.payload.fields()["data"]["a"], "b");
    assert_eq!(code(&world.request("all", publish("plain"))), 40032);
}

#[test]
fn the_next_notification_of_a_device_waits_for_the_end_of_the_last() {
    let mut world = world();
    ask(&mut world, &admin(), register(details("d", None)));
    let to_device = || notify(&json!({"deviceId": "d"}));
    assert!(matches!(ask(&mut world, &admin(), to_device()), Response::NoContent));
    assert!(matches!(ask(&mut world, &admin(), to_device()), Response::NoContent));
    let state = |world: &mut World| device(ask(world, &admin(), get("d"))).0;
    for (lasting, expected) in [(Lasting::No, State::Failing), (Lasting::Yes, State::Failed)] {
        assert_eq!(world.pushed.len(), 1, "one at a time");
        let delivery = world.pushed.remove(0);
        let failure = Failure { error: error::PUSH_NOT_CONFIGURED.info(), lasting };
        world.handle(Event::Pushed { app: "app".into(), delivery, outcome: Err(failure) });
        let seen = state(&mut world);
        assert_eq!((seen.state, seen.error.map(|error| error.code)), (expected, Some(103_006)));
    }
    ask(&mut world, &admin(), to_device());
    assert_eq!(world.pushed, [], "its address is void");
    ask(&mut world, &admin(), save(channel_details("d", "app.all:secret of all")));
    assert_eq!(state(&mut world).state, State::Active);
}

#[test]
fn a_channel_can_stand_for_a_device() {
    let mut world = world();
    let listener = world.connect(ALL);
    world.attach(listener, "inbox");
    let address = channel_details("d", "app.all:secret of all");
    ask(&mut world, &admin(), register(address.clone()));
    for recipient in [json!({"deviceId": "d"}), address["push"]["recipient"].clone()] {
        assert!(matches!(ask(&mut world, &admin(), notify(&recipient)), Response::NoContent));
        let received = inbox(&mut world, listener);
        let [message] = received.as_slice() else { panic!("{received:?}") };
        assert_eq!(message.name.as_deref(), Some("__ably_push__"));
        let Data::Text(text) = &message.data else { panic!() };
        let payload: Value = serde_json::from_str(text).unwrap();
        assert_eq!(payload, json!({"notification": {"title": "x"}, "data": {"a": "b"}}));
    }
    assert_eq!(device(ask(&mut world, &admin(), get("d"))).0.state, State::Active);
}

#[test]
fn a_channel_that_its_key_may_not_publish_on_fails() {
    let mut world = world();
    for (id, key, expected) in [
        ("d", "app.all:wrong", State::Failed),
        ("e", "app.reader:secret of reader", State::Failing),
    ] {
        ask(&mut world, &admin(), register(channel_details(id, key)));
        ask(&mut world, &admin(), notify(&json!({"deviceId": id})));
        world.advance(CHANNEL_DELAY_MS);
        assert_eq!(device(ask(&mut world, &admin(), get(id))).0.state, expected);
    }
}

#[test]
fn a_notification_that_fails_is_told_on_the_metachannel_of_pushes() {
    let mut world = world();
    let watcher = world.connect("key=app.watcher:secret of watcher");
    world.attach(watcher, "[meta]log:push");
    ask(&mut world, &admin(), register(channel_details("d", "app.all:wrong")));
    ask(&mut world, &admin(), notify(&json!({"deviceId": "d"})));
    world.advance(CHANNEL_DELAY_MS);
    let [told] = world.seen(watcher).try_into().unwrap();
    assert!(told.contains("\"deviceId\":\"d\"") && told.contains("40101"), "{told}");
}

#[test]
fn notifications_that_make_no_sense_are_refused() {
    let mut world = world();
    let publish = |body: Value| PushOperation::Publish(object(body));
    let data = json!({"a": "b"});
    for (body, expected) in [
        (json!({"data": data}), 40000),
        (json!({"recipient": {}, "data": data}), 40000),
        (json!({"recipient": {"clientId": "bob"}, "xxx": 5}), 40000),
        (json!({"recipient": {"deviceId": "unknown"}, "data": data}), 40400),
        (json!({"recipient": {"clientId": "bob"}, "data": {"a": "x".repeat(70_000)}}), 40009),
    ] {
        assert_eq!(code(&ask(&mut world, &admin(), publish(body))), expected);
    }
    assert!(matches!(
        ask(&mut world, &admin(), notify(&json!({"clientId": "bob"}))),
        Response::NoContent
    ));
}

#[test]
fn a_batch_says_what_became_of_each_recipient() {
    let mut world = world();
    ask(&mut world, &admin(), register(details("d", Some("bob"))));
    let specs = json!([
        {"recipient": [{"deviceId": "d"}, {"deviceId": "unknown"}], "payload": {"data": {}}},
        {"recipient": {"clientId": "bob"}, "payload": {}},
        {"payload": {"data": {}}},
    ]);
    let Value::Array(specs) = specs else { panic!() };
    let response = ask(&mut world, &admin(), PushOperation::BatchPublish(specs));
    let Response::Push(PushResponse::Batch(results)) = response else { panic!("{response:?}") };
    let codes: Vec<u32> =
        results.into_iter().map(|(_, result)| result.err().map_or(0, |error| error.code)).collect();
    assert_eq!(codes, [0, 40400, 40000, 40000]);
    assert_eq!(world.pushed.len(), 1);
    let many = vec![json!({"recipient": {"clientId": "c"}, "payload": {"data": {}}}); 10_001];
    assert_eq!(code(&ask(&mut world, &admin(), PushOperation::BatchPublish(many))), 40034);
}

#[test]
fn notifications_beyond_the_rate_are_refused_and_messages_are_not() {
    let mut world = world_with(|setup| setup.app.limits.push_rate = 1);
    ask(&mut world, &admin(), register(details("d", Some("bob"))));
    ask(&mut world, &admin(), subscribe(json!({"channel": "pushed:x", "deviceId": "d"})));
    let to_device = || notify(&json!({"deviceId": "d"}));
    assert!(matches!(ask(&mut world, &admin(), to_device()), Response::NoContent));
    assert_eq!(code(&ask(&mut world, &admin(), to_device())), 42926);
    let extras = object(json!({"push": {"data": {"a": "b"}}}));
    let messages = vec![Message { extras: Some(extras.into()), ..Message::default() }];
    let publish = Operation::Publish { channel: "pushed:x".into(), messages };
    assert!(matches!(world.request("all", publish), Response::Published { .. }));
    assert_eq!(world.pushed.len(), 1);
}

/// The world after a restart.
fn restarted(world: World) -> World {
    world_with(|setup| {
        setup.incarnation = 2;
        setup.now = world.now;
        setup.store = world.store;
    })
}

#[test]
fn devices_and_subscriptions_survive_a_restart() {
    let mut world = world();
    let this = registered(&mut world, "d", Some("bob"));
    ask(&mut world, &admin(), register(channel_details("e", "app.all:wrong")));
    for subscription in [
        json!({"channel": "pushed:x", "deviceId": "d"}),
        json!({"channel": "pushed:x", "clientId": "bob"}),
        json!({"channel": "pushed:y", "deviceId": "e"}),
    ] {
        ask(&mut world, &admin(), subscribe(subscription));
    }
    ask(&mut world, &admin(), notify(&json!({"deviceId": "e"})));
    world.advance(CHANNEL_DELAY_MS);
    let all = || subscriptions(filter(None, vec![]));
    let look = |world: &mut World| {
        let devices = ["d", "e"].map(|id| device(ask(world, &admin(), get(id))).0);
        format!("{devices:?} {:?}", ask(world, &admin(), all()))
    };
    let before = look(&mut world);
    let mut world = restarted(world);
    assert!(world.damaged.is_empty());
    assert_eq!(look(&mut world), before);
    let (seen, _) = device(ask(&mut world, &this, get("d")));
    assert_eq!(seen.secret.as_deref(), Some("secret of d"));
    let (seen, _) = device(ask(&mut world, &admin(), get("e")));
    assert_eq!((seen.state, seen.error.map(|error| error.code)), (State::Failed, Some(40101)));
}

#[test]
fn what_was_removed_leaves_no_record() {
    let mut world = world();
    ask(&mut world, &admin(), register(details("d", Some("bob"))));
    ask(&mut world, &admin(), subscribe(json!({"channel": "pushed:x", "deviceId": "d"})));
    ask(&mut world, &admin(), subscribe(json!({"channel": "pushed:x", "clientId": "bob"})));
    assert_eq!(world.store.records.len(), 3);
    ask(&mut world, &admin(), remove("d"));
    let end = PushOperation::Unsubscribe(filter(Some("pushed:x"), vec![]));
    ask(&mut world, &admin(), end);
    assert!(world.store.records.is_empty());
}

#[test]
fn a_registration_is_answered_when_it_is_durable() {
    let mut world = world();
    world.store.holding = true;
    let operation = register(details("d", None));
    let request = PushRequest { device_token: None, device_secret: None, operation };
    let id = world.start_request(key_caller("all"), Operation::Push(request));
    assert!(world.reply(id).is_none());
    world.release_failed();
    assert_eq!(code(&world.reply(id).unwrap()), 50003);
}
