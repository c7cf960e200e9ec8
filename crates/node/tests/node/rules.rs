//! The rules of namespaces: who may use their channels, how messages are grouped on their way, what is
//! kept of them.

use std::sync::Arc;
use std::time::Duration;

use auth::{Credentials, Security, TokenDetails};
use node::{Caller, ChannelsQuery, Operation, PreviousIncarnation, Response};
use protocol::{Action, ProtocolMessage, flags};
use serde_json::json;
use types::{
    Accepted, Annotation, AnnotationAction, Extras, HistoryQuery, Kind, Message, MessageAction,
    Namespace, PresenceAction, Timestamp,
};

use crate::show::{data, serials, show};
use crate::world::{
    ALL, World, act, attach, attach_from, code, enter, key_caller, on, publish, publish_all,
    resuming, text, with_params, world, world_with,
};

/// A world with one more namespace, `ruled`.
fn ruled(rules: impl FnOnce(&mut Namespace)) -> World {
    world_with(|setup| setup.app.namespaces.push(namespace(rules)))
}

fn namespace(rules: impl FnOnce(&mut Namespace)) -> Namespace {
    let mut namespace = Namespace { id: "ruled".into(), ..Namespace::default() };
    rules(&mut namespace);
    namespace
}

fn batched() -> World {
    ruled(|rules| {
        rules.batching_enabled = true;
        rules.batching_interval = Some(100);
        rules.mutable_messages = true;
    })
}

fn conflated() -> World {
    ruled(|rules| {
        rules.conflation_enabled = true;
        rules.conflation_interval = Some(100);
        rules.conflation_key = Some("#{message.name}".into());
    })
}

fn named(name: &str, data: &str) -> Message {
    Message { name: Some(name.into()), ..text(data) }
}

fn with_extras(extras: &serde_json::Value) -> Message {
    let extras: Extras = Arc::new(extras.as_object().unwrap().clone());
    Message { extras: Some(extras), ..text("x") }
}

fn append(channel: &str, msg_serial: i64, serial: &str, piece: &str) -> ProtocolMessage {
    change(channel, msg_serial, MessageAction::Append, serial, piece)
}

fn change(
    channel: &str,
    msg_serial: i64,
    action: MessageAction,
    serial: &str,
    what: &str,
) -> ProtocolMessage {
    let change = Message { action, serial: Some(serial.into()), ..text(what) };
    publish_all(channel, msg_serial, vec![change])
}

/// Publishes and returns the serials that the ACK says.
fn posted(
    world: &mut World,
    client: node::TransportId,
    frame: &ProtocolMessage,
    wait: u64,
) -> Vec<Option<Arc<str>>> {
    world.send(client, frame);
    world.advance(wait);
    let ack = world.frames(client).into_iter().find(|frame| frame.action == Action::Ack);
    serials(&ack.unwrap())
}

fn messages(world: &mut World, client: node::TransportId) -> Vec<String> {
    let frames = world.frames(client).into_iter().filter(|frame| frame.action == Action::Message);
    frames.map(|frame| show(&frame)).collect()
}

// Who may use a channel.

#[test]
fn a_channel_for_tls_only_refuses_whoever_does_not_use_it() {
    let mut world = ruled(|rules| rules.tls_only = true);
    let plain = world.connect(ALL);
    assert_eq!(world.ask(plain, &attach("ruled")), ["error ruled 40311"]);
    assert_eq!(world.ask(plain, &publish("ruled:x", 0, "x")), ["nack 0+1 40311"]);
    assert_eq!(world.ask(plain, &publish("news", 1, "x")), ["ack 1+1"]);
    let post = || Operation::Publish { channel: "ruled".into(), messages: vec![text("x")] };
    assert_eq!(code(&world.request("all", post())), 40311);
    world.place.security = Security::Tls;
    let secure = world.connect(ALL);
    assert_eq!(world.ask(secure, &attach("ruled")), ["attached ruled"]);
    let caller = Caller { source: world.place.clone(), ..key_caller("all") };
    assert!(matches!(world.request_as(caller, post()), Response::Published { .. }));
}

#[test]
fn an_identified_channel_refuses_anonymous_requests_and_connections() {
    let mut world = ruled(|rules| rules.authenticated = true);
    let token = world.token(r#"{"*":["*"]}"#, None, Duration::from_secs(3_600));
    let client = world.connect(&format!("accessToken={}", token.token));
    assert_eq!(world.ask(client, &attach("ruled:x")), ["error ruled:x 40161"]);
    let caller = Caller { credentials: Some(Credentials::Token(token.token)), ..Caller::default() };
    let operation = Operation::ChannelDetails { channel: "ruled:x".into() };
    assert_eq!(code(&world.request_as(caller, operation)), 40161);
    let known = world.connect(&format!("{ALL}&clientId=ann"));
    assert_eq!(world.ask(known, &attach("ruled:x")), ["attached ruled:x"]);
}

#[test]
fn privileged_extras_need_the_capability() {
    let mut world = world();
    let hour = Duration::from_secs(3_600);
    let extras = json!({"privileged": {"skipRule": "*"}});
    for (capability, answer) in [
        (r#"{"*":["publish"]}"#, "nack 0+1 40160"),
        (r#"{"*":["publish","privileged-headers"]}"#, "ack 0+1"),
    ] {
        let token: TokenDetails = world.token(capability, None, hour);
        let client = world.connect(&format!("accessToken={}", token.token));
        let frame = publish_all("news", 0, vec![with_extras(&extras)]);
        assert_eq!(world.ask(client, &frame), [answer], "{capability}");
    }
    let post = Operation::Publish { channel: "news".into(), messages: vec![with_extras(&extras)] };
    assert_eq!(code(&world.request("writer", post)), 40160);
}

#[test]
fn a_serial_is_exposed_where_the_namespace_says_so() {
    let mut world = ruled(|rules| rules.expose_timeserial = true);
    let client = world.connect(ALL);
    world.attach(client, "ruled");
    world.send(client, &publish("ruled", 0, "x"));
    let [message, _ack] = world.frames(client).try_into().unwrap();
    let said = message.messages[0].extras.clone().unwrap();
    assert_eq!(said["timeserial"].as_str(), message.messages[0].serial.as_deref());
}

// Batching.

#[test]
fn messages_of_an_interval_arrive_as_one_frame_and_are_acknowledged_at_once() {
    let mut world = batched();
    let [one, other] = [(); 2].map(|()| world.connect(ALL));
    world.attach(one, "ruled");
    assert_eq!(world.ask(one, &publish("ruled", 0, "a")), ["ack 0+1"]);
    world.advance(50);
    assert_eq!(world.ask(other, &publish("ruled", 0, "b")), ["ack 0+1"]);
    world.advance(49);
    assert!(world.seen(one).is_empty());
    world.advance(1);
    let [frame] = world.frames(one).try_into().unwrap();
    assert_eq!(show(&frame), "message ruled a b");
    let ids: Vec<_> = frame.messages.iter().map(|m| (m.id.clone(), m.serial.clone())).collect();
    assert!(ids.iter().all(|(id, serial)| id.is_some() && serial.is_some()) && ids[0] != ids[1]);
    assert_ne!(frame.messages[0].connection_id, frame.messages[1].connection_id);
    assert!(frame.messages.iter().all(|message| message.timestamp.is_some()));
}

#[test]
fn a_batch_has_200_messages_at_most_and_so_many_bytes() {
    let mut world = batched();
    let client = world.connect(ALL);
    world.attach(client, "ruled");
    for msg_serial in 0..210 {
        world.send(client, &publish("ruled", msg_serial, "x"));
    }
    let large = "x".repeat(40_000);
    for msg_serial in 210..212 {
        world.send(client, &publish("ruled", msg_serial, &large));
    }
    world.advance(100);
    let frames = world.frames(client).into_iter().filter(|frame| frame.action == Action::Message);
    let sizes: Vec<usize> = frames.map(|frame| frame.messages.len()).collect();
    assert_eq!(sizes, [200, 11, 1]);
}

#[test]
fn an_id_of_its_own_does_not_make_a_batched_message_a_repeat_but_a_resend_is_one() {
    let mut world = batched();
    let client = world.connect(ALL);
    let reader = world.connect(ALL);
    world.attach(reader, "ruled");
    let own = || vec![Message { id: Some("mine".into()), ..text("x") }];
    world.send(client, &publish_all("ruled", 0, own()));
    world.send(client, &publish_all("ruled", 1, own()));
    // The same publish again, as after a dropped transport.
    world.send(client, &publish_all("ruled", 1, own()));
    let post = || Operation::Publish { channel: "ruled".into(), messages: own() };
    for _ in 0..2 {
        let Response::Published { message_id, .. } = world.request("all", post()) else { panic!() };
        assert_eq!(message_id, "mine");
    }
    world.advance(100);
    assert_eq!(world.seen(reader), ["message ruled x x x x"]);
}

#[test]
fn who_attaches_or_resumes_within_an_interval_receives_everything_once() {
    let mut world = batched();
    let [writer, reader] = [(); 2].map(|()| world.connect(ALL));
    let attached = world.attach(reader, "ruled");
    world.send(writer, &publish("ruled", 0, "a"));
    let late = world.connect(ALL);
    world.attach(late, "ruled");
    let resumed = world.connect(ALL);
    let answer = world.attach_with(resumed, &attach_from("ruled", &attached));
    assert!(answer.flags.unwrap() & flags::RESUMED != 0);
    assert_eq!(world.seen(resumed), ["message ruled a"]);
    world.send(writer, &publish("ruled", 1, "b"));
    world.advance(100);
    assert_eq!(world.seen(reader), ["message ruled a b"]);
    assert_eq!(world.seen(late), ["message ruled b"]);
    assert_eq!(world.seen(resumed), ["message ruled b"]);
}

#[test]
fn a_drop_before_a_batch_is_delivered_loses_nothing() {
    let mut world = batched();
    let [writer, reader] = [(); 2].map(|()| world.connect(ALL));
    let attached = world.attach(reader, "ruled");
    world.send(writer, &publish("ruled", 0, "a"));
    world.drop_transport(reader);
    world.advance(100);
    let again = world.connect(ALL);
    world.attach_with(again, &attach_from("ruled", &attached));
    assert_eq!(world.seen(again), ["message ruled a"]);
}

#[test]
fn other_options_within_an_interval_lose_nothing() {
    let mut world = batched();
    let client = world.connect(ALL);
    world.attach(client, "ruled");
    world.send(client, &publish("ruled", 0, "a"));
    world.seen(client);
    world.send(client, &with_params(attach("ruled"), &[("rewind", "5")]));
    assert_eq!(world.seen(client), ["message ruled a", "attached ruled resumed"]);
    world.send(client, &publish("ruled", 1, "b"));
    world.advance(100);
    assert_eq!(messages(&mut world, client), ["message ruled b"]);
}

#[test]
fn own_messages_are_left_out_of_a_batch_without_echo_and_presence_keeps_its_place() {
    let mut world = batched();
    let quiet = world.connect(&format!("{ALL}&echo=false&clientId=q"));
    let other = world.connect(&format!("{ALL}&clientId=o"));
    for client in [quiet, other] {
        world.attach(client, "ruled");
    }
    world.send(quiet, &publish("ruled", 0, "own"));
    world.send(other, &publish("ruled", 0, "a"));
    world.send(other, &enter("ruled", 1, "o"));
    world.send(other, &publish("ruled", 2, "b"));
    world.advance(100);
    let mut seen = world.seen(quiet);
    seen.retain(|line| !line.starts_with("ack"));
    assert_eq!(seen, ["message ruled a", "presence ruled enter:o", "message ruled b"]);
}

#[test]
fn a_batch_counts_once_for_the_rates_of_channel_and_reader() {
    let mut world = world_with(|setup| {
        setup.app.namespaces.push(namespace(|rules| {
            rules.batching_enabled = true;
            rules.batching_interval = Some(100);
        }));
        setup.app.limits.channel_message_rate = 2;
        setup.app.limits.connection_outbound_rate = 2;
    });
    let [writer, reader] = [(); 2].map(|()| world.connect(ALL));
    world.attach(reader, "ruled");
    for msg_serial in 0..9 {
        let frame = publish("ruled", msg_serial, &msg_serial.to_string());
        assert_eq!(world.ask(writer, &frame), [format!("ack {msg_serial}+1")]);
    }
    world.advance(100);
    assert_eq!(world.seen(reader), ["message ruled 0 1 2 3 4 5 6 7 8"]);
}

#[test]
fn changes_of_one_message_within_an_interval_become_one() {
    let mut world = batched();
    let [writer, reader] = [(); 2].map(|()| world.connect(ALL));
    world.attach(reader, "ruled");
    let posted = posted(&mut world, writer, &publish("ruled", 0, "a"), 100);
    let serial = posted[0].clone().unwrap();
    world.seen(reader);
    let (update, delete) = (MessageAction::Update, MessageAction::Delete);
    for (n, piece) in (1..).zip(["b", "c"]) {
        world.send(writer, &append("ruled", n, &serial, piece));
    }
    world.advance(100);
    assert_eq!(world.seen(reader), ["message ruled append:bc"]);
    world.send(writer, &append("ruled", 3, &serial, "lost"));
    world.send(writer, &change("ruled", 4, update, &serial, "new"));
    world.send(writer, &append("ruled", 5, &serial, "er"));
    world.advance(100);
    let [frame] = world.frames(reader).try_into().unwrap();
    assert_eq!(show(&frame), "message ruled update:newer");
    let newest = frame.messages[0].version.clone().unwrap().serial.clone().unwrap();
    assert!(newest > serial);
    world.send(writer, &append("ruled", 6, &serial, "x"));
    world.send(writer, &change("ruled", 7, delete, &serial, "gone"));
    world.advance(100);
    assert_eq!(world.seen(reader), ["message ruled delete:gone"]);
}

#[test]
fn who_resumes_between_two_appends_of_a_batch_has_each_piece_once() {
    let mut world = batched();
    let [writer, reader] = [(); 2].map(|()| world.connect(ALL));
    let attached = world.attach(reader, "ruled");
    let posted = posted(&mut world, writer, &publish("ruled", 0, "a"), 100);
    let serial = posted[0].clone().unwrap();
    world.send(writer, &append("ruled", 1, &serial, "b"));
    let resumed = world.connect(ALL);
    world.attach_with(resumed, &attach_from("ruled", &attached));
    assert_eq!(world.seen(resumed), ["message ruled a", "message ruled append:b"]);
    world.send(writer, &append("ruled", 2, &serial, "c"));
    world.advance(100);
    assert_eq!(world.seen(resumed), ["message ruled append:c"]);
    assert_eq!(world.seen(reader), ["message ruled a", "message ruled append:bc"]);
}

// Conflation.

#[test]
fn of_an_interval_only_the_newest_message_of_each_key_is_published() {
    let mut world = conflated();
    let [writer, reader] = [(); 2].map(|()| world.connect(ALL));
    world.attach(reader, "ruled");
    for (n, (name, value)) in (0..).zip([("a", "1"), ("b", "1"), ("a", "2")]) {
        world.send(writer, &publish_all("ruled", n, vec![named(name, value)]));
    }
    assert!(world.seen(writer).is_empty());
    world.advance(100);
    assert_eq!(world.seen(reader), ["message ruled b=1 a=2"]);
    let acks = world.frames(writer);
    let known: Vec<bool> = acks
        .iter()
        .flat_map(|ack| &ack.res)
        .flat_map(Accepted::serials)
        .map(|serial| serial.is_some())
        .collect();
    assert_eq!(known, [false, true, true]);
    let query = HistoryQuery::new(Kind::Messages, 10);
    let history = Operation::History { channel: "ruled".into(), query, until: None };
    let Response::History(page) = world.request("all", history) else { panic!() };
    assert_eq!(page.items.len(), 2);
}

#[test]
fn messages_of_one_publish_are_dropped_one_by_one_and_a_resend_is_told_the_same() {
    let mut world = conflated();
    let [writer, reader] = [(); 2].map(|()| world.connect(ALL));
    world.attach(reader, "ruled");
    let frame = publish_all("ruled", 0, vec![named("a", "1"), named("b", "1"), named("a", "2")]);
    let told = posted(&mut world, writer, &frame, 100);
    assert_eq!(told.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, true]);
    let [delivered] = world.frames(reader).try_into().unwrap();
    assert_eq!(show(&delivered), "message ruled b=1 a=2");
    let got: Vec<_> = delivered.messages.iter().map(|message| message.serial.clone()).collect();
    assert_eq!(got, told[1..]);
    assert!(delivered.messages[1].id.as_deref().unwrap().ends_with(":0:2"));
    assert_eq!(posted(&mut world, writer, &frame, 100), told);
    assert!(world.seen(reader).is_empty());
}

#[test]
fn a_resend_across_a_restart_is_told_what_was_stored_of_it() {
    let rules = |rules: &mut Namespace| {
        rules.persisted = true;
        rules.conflation_enabled = true;
        rules.conflation_key = Some("#{message.name}".into());
    };
    let mut world = ruled(rules);
    let (writer, connected) = world.connected(ALL);
    let frame = publish_all("ruled", 0, ["a", "b", "a"].map(|name| named(name, "x")).into());
    let told = posted(&mut world, writer, &frame, 20);
    assert_eq!(told.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, true]);
    let (store, now) = (world.store, world.now + 1_000);
    let mut world = world_with(|setup| {
        setup.app.namespaces.push(namespace(rules));
        setup.incarnation = 2;
        setup.previous = Some(PreviousIncarnation { number: 1, last_alive: Timestamp(now) });
        (setup.now, setup.store) = (now, store);
    });
    let writer = world.connect(&resuming(&connected));
    assert_eq!(posted(&mut world, writer, &frame, 20), told);
}

#[test]
fn a_repeat_of_a_publish_that_waits_does_not_replace_it() {
    let mut world = conflated();
    let [writer, reader] = [(); 2].map(|()| world.connect(ALL));
    world.attach(reader, "ruled");
    let frame = publish_all("ruled", 0, vec![named("a", "1")]);
    world.send(writer, &frame);
    let told = posted(&mut world, writer, &frame, 100);
    assert!(told[0].is_some());
    assert_eq!(world.seen(reader), ["message ruled a=1"]);
}

#[test]
fn the_order_of_a_publisher_holds_under_conflation() {
    let mut world = conflated();
    let writer = world.connect(&format!("{ALL}&clientId=w"));
    world.attach(writer, "ruled");
    world.send(writer, &publish_all("ruled", 0, vec![named("a", "1")]));
    world.send(writer, &act("ruled", 1, PresenceAction::Enter, "w"));
    world.send(writer, &publish_all("ruled", 2, vec![named("b", "1")]));
    world.advance(100);
    let mut seen = world.seen(writer);
    seen.retain(|line| !line.starts_with("ack"));
    assert_eq!(seen, ["message ruled a=1", "presence ruled enter:w", "message ruled b=1"]);
}

#[test]
fn conflated_messages_that_are_stored_arrive_together_too() {
    let mut world = ruled(|rules| {
        rules.persisted = true;
        rules.conflation_enabled = true;
        rules.conflation_key = Some("#{message.name}".into());
    });
    let [writer, reader] = [(); 2].map(|()| world.connect(ALL));
    world.attach(reader, "ruled");
    for (n, name) in (0..).zip(["a", "b", "a"]) {
        world.send(writer, &publish_all("ruled", n, vec![named(name, "x")]));
    }
    world.store.holding = true;
    world.advance(20);
    assert!(world.seen(reader).is_empty());
    world.release();
    assert_eq!(world.seen(reader), ["message ruled b=x a=x"]);
}

// Roll-up.

#[test]
fn appends_that_follow_each_other_are_rolled_up_within_the_window_of_their_publisher() {
    let mut world = world();
    let writer = world.connect(&format!("{ALL}&appendRollupWindow=100"));
    let reader = world.connect(ALL);
    world.attach(reader, "mutable");
    let posted = posted(&mut world, writer, &publish("mutable", 0, "a"), 0);
    let serial = posted[0].clone().unwrap();
    for (n, piece) in (1..).zip(["b", "c", "d"]) {
        let frame = append("mutable", n, &serial, piece);
        assert_eq!(world.ask(writer, &frame), [format!("ack {n}+1")]);
    }
    assert_eq!(world.seen(reader), ["message mutable a", "message mutable append:b"]);
    world.advance(100);
    assert_eq!(world.seen(reader), ["message mutable append:cd"]);
    world.send(writer, &append("mutable", 4, &serial, "e"));
    assert!(world.seen(reader).is_empty());
    // What comes later does not overtake.
    world.send(writer, &publish("mutable", 5, "z"));
    assert_eq!(world.seen(reader), ["message mutable append:e", "message mutable z"]);
}

#[test]
fn appends_are_delivered_one_by_one_if_their_publisher_wants_that() {
    let mut world = world();
    let writer = world.connect(&format!("{ALL}&appendRollupWindow=0"));
    let reader = world.connect(ALL);
    world.attach(reader, "mutable");
    let posted = posted(&mut world, writer, &publish("mutable", 0, "a"), 0);
    let serial = posted[0].clone().unwrap();
    for (n, piece) in (1..).zip(["b", "c"]) {
        world.send(writer, &append("mutable", n, &serial, piece));
    }
    assert_eq!(
        messages(&mut world, reader)[1..],
        ["message mutable append:b", "message mutable append:c"]
    );
}

#[test]
fn appends_that_are_rolled_up_count_once_for_the_rates() {
    let mut world = world_with(|setup| {
        setup.app.limits.connection_inbound_rate = 5;
        setup.app.limits.channel_message_rate = 5;
    });
    let writer = world.connect(ALL);
    let posted = posted(&mut world, writer, &publish("mutable", 0, "a"), 0);
    let serial = posted[0].clone().unwrap();
    for n in 1..30 {
        assert_eq!(world.ask(writer, &append("mutable", n, &serial, "x")), [format!("ack {n}+1")]);
    }
}

#[test]
fn a_summary_is_delivered_at_once_and_then_the_last_of_an_interval() {
    let mut world = world();
    let ann = world.connect(&format!("{ALL}&clientId=ann"));
    let reader = world.connect(ALL);
    world.attach(reader, "mutable");
    let posted = posted(&mut world, ann, &publish("mutable", 0, "x"), 0);
    let serial = posted[0].clone().unwrap();
    for n in 1..5 {
        let kind = "r:total.v1";
        let annotation = Annotation {
            message_serial: Some(serial.clone()),
            ..Annotation::new(AnnotationAction::Create, kind)
        };
        let frame = ProtocolMessage {
            msg_serial: Some(n),
            annotations: vec![annotation],
            ..on(Action::Annotation, "mutable")
        };
        assert_eq!(world.ask(ann, &frame), [format!("ack {n}+1")]);
    }
    let total =
        |count: u32| format!(r#"message mutable summary:{{"r:total.v1":{{"total":{count}}}}}"#);
    assert_eq!(world.seen(reader)[1..], [total(1)]);
    world.advance(100);
    assert_eq!(world.seen(reader), [total(4)]);
}

// What is kept.

#[test]
fn the_last_message_is_there_for_who_rewinds_by_one_long_after() {
    let mut world = ruled(|rules| rules.persist_last = true);
    let client = world.connect(ALL);
    for (n, what) in (0..).zip(["one", "two"]) {
        world.send(client, &publish("ruled", n, what));
    }
    world.drop_transport(client);
    world.advance(600_000);
    assert_eq!(world.node.channel_count(), 0);
    let client = world.connect(ALL);
    let rewind = |count| with_params(attach("ruled"), &[("rewind", count)]);
    world.attach_with(client, &rewind("1"));
    assert_eq!(world.seen(client), ["message ruled two"]);
    let other = world.connect(ALL);
    world.attach_with(other, &rewind("2"));
    assert!(world.seen(other).is_empty());
    let query = HistoryQuery::new(Kind::Messages, 10);
    let history = Operation::History { channel: "ruled".into(), query, until: None };
    let Response::History(page) = world.request("all", history) else { panic!() };
    let last = page.items[0].0.message(0).unwrap();
    assert_eq!(data(&last.data), "two");
}

#[test]
fn registered_channels_are_enumerated_also_when_they_are_not_active() {
    let rules = |rules: &mut Namespace| rules.populate_channel_registry = true;
    let mut world = ruled(rules);
    let client = world.connect(ALL);
    for (n, channel) in (0..).zip(["ruled:b", "ruled:a", "news"]) {
        world.send(client, &publish(channel, n, "x"));
    }
    world.drop_transport(client);
    world.advance(600_000);
    assert_eq!(world.node.channel_count(), 0);
    let list = |world: &mut World, after: Option<&str>| {
        let query =
            ChannelsQuery { limit: 1, prefix: String::new(), after: after.map(str::to_owned) };
        let Response::Channels(page) = world.request("all", Operation::Channels(query)) else {
            panic!()
        };
        let names: Vec<_> =
            page.channels.iter().map(|c| (c.name.to_string(), c.is_active)).collect();
        (names, page.next)
    };
    let (names, next) = list(&mut world, None);
    assert_eq!((names, next.as_deref()), (vec![("ruled:a".to_owned(), false)], Some("ruled:a")));
    let (names, next) = list(&mut world, Some("ruled:a"));
    assert_eq!((names, next), (vec![("ruled:b".to_owned(), false)], None));
    let store = std::mem::take(&mut world.store);
    let mut world = world_with(|setup| {
        setup.app.namespaces.push(namespace(rules));
        setup.store = store;
    });
    assert_eq!(list(&mut world, None).0, [("ruled:a".to_owned(), false)]);
}
