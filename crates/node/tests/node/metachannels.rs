//! Metachannels: who may read them, what they say, and that they say nothing of themselves.

use node::{ChannelsQuery, Operation, Origin, Request, Response, TransportId, Way};
use protocol::Action;
use serde_json::Value;
use types::{HistoryQuery, Kind, Timestamp};

use crate::world::{
    ALL, START, WATCHER, World, attach, attach_from, code, enter, key_caller, on, publish,
    with_params, world, world_with,
};

/// A client that is attached to the metachannel.
fn watch(world: &mut World, metachannel: &str) -> TransportId {
    let watcher = world.connect(WATCHER);
    world.attach(watcher, metachannel);
    assert_eq!(world.seen(watcher), [""; 0]);
    watcher
}

/// The events since the last look, with their data.
fn events(world: &mut World, watcher: TransportId) -> Vec<(String, Value)> {
    let messages = world.frames(watcher).into_iter().flat_map(|frame| frame.messages);
    let event = |message: types::Message| {
        let types::Data::Text(json) = &message.data else { panic!() };
        assert_eq!(message.encoding.as_deref(), Some("json"));
        (message.name.unwrap().to_string(), serde_json::from_str(json).unwrap())
    };
    messages.map(event).collect()
}

fn names(events: &[(String, Value)]) -> Vec<&str> {
    events.iter().map(|(name, _)| name.as_str()).collect()
}

fn history(channel: &str) -> Operation {
    let query = HistoryQuery::new(Kind::Messages, 100);
    Operation::History { channel: channel.into(), query, until: None }
}

fn items(response: Response) -> usize {
    let Response::History(page) = response else { panic!("{response:?}") };
    page.items.len()
}

#[test]
fn metachannels_need_a_capability_of_their_own() {
    let mut world = world();
    let client = world.connect(ALL);
    for metachannel in ["[meta]log", "[meta]channel.lifecycle", "[meta?rewind=1]stats:minute"] {
        let answer = world.ask(client, &attach(metachannel));
        assert_eq!(answer, [format!("error {metachannel} 40160")]);
    }
    assert_eq!(world.ask(client, &attach("[meta]nonsense")), ["error [meta]nonsense 40010"]);
    assert_eq!(code(&world.request("all", history("[meta]log"))), 40160);
    assert_eq!(items(world.request("watcher", history("[meta]log"))), 0);
}

#[test]
fn nobody_publishes_on_a_metachannel_or_is_present_there() {
    let mut world = world();
    let watcher = world.connect(&format!("{WATCHER}&clientId=eve"));
    let attached = world.attach(watcher, "[meta]log");
    let modes = protocol::flags::SUBSCRIBE | protocol::flags::PRESENCE_SUBSCRIBE;
    assert_eq!(attached.flags, Some(modes));
    assert_eq!(world.ask(watcher, &publish("[meta]log", 0, "x")), ["nack 0+1 40160"]);
    assert_eq!(world.ask(watcher, &enter("[meta]log", 1, "eve")), ["nack 1+1 40160"]);
    let channel = "[meta]log".to_owned();
    let publish = Operation::Publish { channel, messages: vec![crate::world::text("x")] };
    assert_eq!(code(&world.request("watcher", publish)), 40160);
}

#[test]
fn channels_are_told_when_they_open_and_close() {
    let mut world = world();
    let watcher = watch(&mut world, "[meta]channel.lifecycle");
    let client = world.connect(ALL);
    world.attach(client, "news");
    let opened = events(&mut world, watcher);
    assert_eq!(names(&opened), ["channel.opened", "channel.region.active"]);
    let (_, details) = &opened[1];
    assert_eq!((&details["channelId"], &details["region"]), (&"news".into(), &"dun".into()));
    assert_eq!(details["status"]["isActive"], true);
    assert_eq!(details["status"]["occupancy"]["metrics"]["connections"], 0);

    world.attach(watcher, "[meta]log");
    world.send(client, &on(Action::Detach, "news"));
    world.advance(1);
    assert_eq!(names(&events(&mut world, watcher)), [""; 0]);
    world.advance(120_000);
    let closed = events(&mut world, watcher);
    assert_eq!(names(&closed), ["channel.region.inactive", "channel.closed"]);
    assert_eq!(closed[1].1["status"]["isActive"], false);
}

#[test]
fn what_is_said_at_the_end_of_a_channel_is_forgotten_in_time() {
    let mut world = world();
    watch(&mut world, "[meta]channel.lifecycle");
    let client = world.connect(ALL);
    world.attach(client, "news");
    // Until what was said at its beginning is forgotten.
    world.advance(121_000);
    world.send(client, &on(Action::Detach, "news"));
    world.advance(120_000);
    let forgotten = Timestamp(world.now + 120_000);
    let mut due = world.node.next_deadline().unwrap();
    while due < forgotten {
        world.advance(due.0 - world.now);
        due = world.node.next_deadline().unwrap();
    }
    assert_eq!(due, forgotten);
}

#[test]
fn connections_are_told_when_they_open_and_end() {
    let mut world = world();
    let watcher = watch(&mut world, "[meta]connection.lifecycle");
    let (client, connected) = world.connected(&format!("{ALL}&clientId=bob"));
    let opened = events(&mut world, watcher);
    assert_eq!(names(&opened), ["connection.opened"]);
    let id = connected.connection_id.unwrap();
    assert_eq!(opened[0].1, serde_json::json!({ "connectionId": id.as_str(), "clientId": "bob" }));
    world.send(client, &protocol::ProtocolMessage::new(Action::Close));
    let closed = events(&mut world, watcher);
    assert_eq!((names(&closed), &closed[0].1["error"]), (vec!["connection.closed"], &Value::Null));

    let lost = world.connect(ALL);
    world.drop_transport(lost);
    world.advance(119_000);
    assert_eq!(names(&events(&mut world, watcher)), ["connection.opened"]);
    world.advance(1_000);
    let closed = events(&mut world, watcher);
    assert_eq!(
        (names(&closed), &closed[0].1["error"]["code"]),
        (vec!["connection.closed"], &80008.into())
    );
}

#[test]
fn samples_name_the_key_and_never_the_secret() {
    let mut world = world();
    let watcher = watch(&mut world, "[meta]clientEvents:connections");
    let client = world.open(&format!("{ALL}&clientId=bob&lib=js-2.0&resume=secret-key"));
    let opened = events(&mut world, watcher);
    assert_eq!(names(&opened), ["connection.opened"]);
    let data = &opened[0].1;
    assert_eq!(data["credential"], serde_json::json!({ "type": "key", "keyName": "app.all" }));
    assert_eq!((&data["clientId"], &data["query"]["lib"]), (&"bob".into(), &"js-2.0".into()));
    assert_eq!((&data["transport"], &data["region"]), (&"websocket".into(), &"dun".into()));
    assert!(!data.to_string().contains("secret"), "{data}");

    world.advance(5_000);
    world.send(client, &protocol::ProtocolMessage::new(Action::Close));
    let closed = events(&mut world, watcher);
    assert_eq!(
        (names(&closed), &closed[0].1["duration"]),
        (vec!["connection.closed"], &5_000.into())
    );

    world.open("key=app.all:wrong secret");
    let refused = events(&mut world, watcher);
    assert_eq!(names(&refused), ["connection.refused"]);
    assert_eq!(refused[0].1["error"]["code"], 40101);
    assert_eq!(refused[0].1["credential"]["keyName"], "app.all");
    assert!(!refused[0].1.to_string().contains("secret"), "{refused:?}");
    world.open("key=other.key:secret");
    assert_eq!(events(&mut world, watcher), []);
}

fn ask_from(world: &mut World, key: &str, path: &str, operation: Operation) {
    let way = Way::Request { method: "GET".into(), path: path.into() };
    let query = [("format".to_owned(), "json".to_owned())];
    let header = |name| (name == "host").then_some("example.com");
    let origin = Origin::new(way, auth::Source::default(), header, &query);
    world.begin(Request { caller: key_caller(key), operation, origin });
}

#[test]
fn requests_are_told_when_they_have_their_answer_but_not_those_about_metachannels() {
    let mut world = world();
    let watcher = watch(&mut world, "[meta]clientEvents:apiRequests");
    let ask = |world: &mut World, key: &str, channel: &str| {
        let path = format!("/channels/{}/messages", protocol::encode_segment(channel));
        ask_from(world, key, &path, history(channel));
    };
    ask(&mut world, "all", "kept:a");
    ask(&mut world, "reader", "a");
    ask(&mut world, "watcher", "[meta]log");
    let told = events(&mut world, watcher);
    assert_eq!(names(&told), ["request.succeeded", "request.refused"]);
    assert_eq!(told[0].1["path"], "/channels/kept%3Aa/messages");
    assert_eq!(told[0].1["channels"], serde_json::json!(["kept:a"]));
    assert_eq!((&told[0].1["host"], &told[0].1["method"]), (&"example.com".into(), &"GET".into()));
    assert_eq!(told[1].1["error"]["code"], 40160);
    assert_eq!(told[1].1["credential"]["keyName"], "app.reader");
}

#[test]
fn samples_are_limited_by_the_second() {
    let mut world = world();
    let watcher = watch(&mut world, "[meta]clientEvents:connections");
    for _ in 0..80 {
        world.connect(ALL);
    }
    let first = events(&mut world, watcher).len();
    assert!((50..80).contains(&first), "{first}");
    world.advance(1_000);
    world.connect(ALL);
    assert_eq!(events(&mut world, watcher).len(), 1);
}

#[test]
fn statistics_are_told_every_minute_and_the_last_ones_at_once_to_those_who_rewind() {
    let mut world = world_with(|setup| setup.now = START / 60_000 * 60_000);
    let client = world.connect(ALL);
    world.attach(client, "news");
    world.send(client, &publish("news", 0, "hello"));
    world.advance(60_000);
    let watcher = world.connect(WATCHER);
    world.attach(watcher, "[meta?rewind=1]stats:minute");
    let told = events(&mut world, watcher);
    assert_eq!(names(&told), ["update"]);
    let minute = &told[0].1;
    assert_eq!(
        (&minute["unit"], &minute["intervalId"]),
        (&"minute".into(), &"2023-11-14:22:13".into())
    );
    assert_eq!(minute["entries"]["messages.inbound.realtime.messages.count"], 1);
    assert_eq!(minute["appId"], "app");

    world.advance(59_999);
    assert_eq!(events(&mut world, watcher), []);
    world.advance(1);
    let told = events(&mut world, watcher);
    assert_eq!(
        (names(&told), &told[0].1["intervalId"]),
        (vec!["update"], &"2023-11-14:22:14".into())
    );
    let plain = world.connect(WATCHER);
    world.attach(plain, "[meta]stats:minute");
    assert_eq!(events(&mut world, plain), []);
}

#[test]
fn history_holds_what_was_said_while_somebody_listened() {
    let mut world = world();
    let client = world.connect(ALL);
    world.attach(client, "unheard");
    let lifecycle = "[meta]channel.lifecycle";
    assert_eq!(items(world.request("watcher", history(lifecycle))), 0);
    world.attach(client, "heard");
    assert_eq!(items(world.request("watcher", history(lifecycle))), 2);
    world.advance(120_000);
    world.attach(client, "unheard again");
    assert_eq!(items(world.request("watcher", history(lifecycle))), 0);
}

#[test]
fn a_metachannel_resumes_and_goes_when_nobody_has_listened_for_long() {
    let mut world = world();
    let client = world.connect(ALL);
    let first = watch(&mut world, "[meta]channel.lifecycle");
    world.attach(client, "a");
    let last = world.frames(first).pop().unwrap();
    world.drop_transport(first);
    world.attach(client, "b");
    let next = world.connect(WATCHER);
    let lifecycle = "[meta]channel.lifecycle";
    world.attach_with(next, &attach_from(lifecycle, &last));
    assert_eq!(names(&events(&mut world, next)), ["channel.opened", "channel.region.active"]);
    world.send(next, &on(Action::Detach, lifecycle));
    world.send(client, &on(Action::Detach, "a"));
    world.send(client, &on(Action::Detach, "b"));
    world.advance(600_000);
    assert_eq!(world.node.channel_count(), 0);
}

#[test]
fn metachannels_are_not_listed_and_told_of_on_none() {
    let mut world = world();
    let lifecycle = watch(&mut world, "[meta]channel.lifecycle");
    let other = world.connect(WATCHER);
    world.attach(other, "[meta]log");
    assert_eq!(events(&mut world, lifecycle), []);
    let ask = ChannelsQuery { limit: 10, prefix: String::new(), after: None };
    let Response::Channels(page) = world.request("all", Operation::Channels(ask)) else { panic!() };
    assert!(page.channels.is_empty());
}

#[test]
fn a_connection_that_receives_too_much_is_in_the_log() {
    let mut world = world_with(|setup| setup.app.limits.connection_outbound_rate = 10);
    let watcher = watch(&mut world, "[meta]log");
    let [slow, fast] = [ALL; 2].map(|key| world.connect(key));
    world.attach(slow, "news");
    for serial in 0..30 {
        world.send(fast, &publish("news", serial, "x"));
    }
    let told = events(&mut world, watcher);
    assert_eq!(names(&told)[0], "error");
    assert_eq!((&told[0].1["code"], &told[0].1["channel"]), (&42915.into(), &"news".into()));
}

#[test]
fn an_app_that_ends_takes_its_metachannels_along() {
    let mut world = world();
    let Response::AppCreated(app) = world.request("all", Operation::CreateApp(spec())) else {
        panic!()
    };
    let key = &app.keys[0];
    let client = world.connect(&format!("key={}.{}:{}", app.id, key.id, key.secret));
    world.attach_with(client, &with_params(attach("[meta]channel.lifecycle"), &[("rewind", "1")]));
    world.attach(client, "news");
    world.advance(3_600_000);
    assert!(world.node.is_empty());
    assert!(world.now > Timestamp(START).0);
}

fn spec() -> node::AppSpec {
    let capability = Some(r#"{"[*]*":["*"]}"#.to_owned());
    let key = node::KeySpec { capability, revocable_tokens: false };
    node::AppSpec { keys: vec![key], ..node::AppSpec::default() }
}
