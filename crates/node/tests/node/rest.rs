//! Requests: publish, history, presence.

use auth::Credentials;
use node::{Caller, Operation, PresencePage, PresenceQuery, Response};
use protocol::{Action, ProtocolMessage};
use types::{Body, Direction, HistoryPage, HistoryQuery, Kind, Message, Timestamp};

use crate::show;
use crate::world::{ALL, World, code, enter, key_caller, key_of, publish, text, world, world_with};

fn publish_op(channel: &str, messages: Vec<Message>) -> Operation {
    Operation::Publish { channel: channel.into(), messages }
}

/// Publishes with the key `all`; the ids of the publish and of its messages.
fn published(world: &mut World, channel: &str, messages: Vec<Message>) -> (String, Vec<String>) {
    match world.request("all", publish_op(channel, messages)) {
        Response::Published { message_id, accepted, channel: told } => {
            assert_eq!(told, channel);
            (message_id, accepted.serials().map(|serial| serial.unwrap().to_string()).collect())
        }
        other => panic!("not published: {other:?}"),
    }
}

fn with_id(id: &str, data: &str) -> Message {
    Message { id: Some(id.into()), ..text(data) }
}

#[test]
fn a_request_publishes_one_message_or_several_at_once() {
    let mut world = world();
    let client = world.connect(ALL);
    world.attach(client, "news");
    let (id, serials) = published(&mut world, "news", vec![text("a"), text("b")]);
    let [frame] = world.frames(client).try_into().unwrap();
    assert_eq!(show::show(&frame), "message news a b");
    assert_eq!(frame.connection_id, None);
    assert_eq!(frame.id.as_deref(), Some(id.as_str()));
    let told: Vec<_> =
        frame.messages.iter().map(|m| m.serial.clone().unwrap().to_string()).collect();
    assert_eq!(serials, told);
    assert_ne!(published(&mut world, "news", vec![text("c")]).0, id);
}

#[test]
fn a_request_that_is_repeated_with_its_ids_happens_once() {
    let mut world = world();
    let client = world.connect(ALL);
    world.attach(client, "news");
    let both = || vec![with_id("base:0", "a"), with_id("base:1", "b")];
    let first = published(&mut world, "news", both());
    assert_eq!(published(&mut world, "news", both()), first);
    assert_eq!(world.seen(client), ["message news a b"]);
    let wrong = vec![with_id("base:0", "a"), with_id("base:2", "b")];
    assert_eq!(code(&world.request("all", publish_op("news", wrong))), 40031);
}

#[test]
fn each_refusal_of_a_request_has_its_code() {
    let mut world = world_with(|setup| setup.app.limits.max_message_size = 100);
    let op = || publish_op("news", vec![text("x")]);
    let nobody = Caller::default();
    assert_eq!(code(&world.request_as(nobody, op())), 40100);
    assert_eq!(code(&world.request("reader", op())), 40160);
    assert_eq!(code(&world.request("all", publish_op("[x", vec![text("x")]))), 40010);
    assert_eq!(
        code(&world.request("all", publish_op("[filter=bmFtZQ]news", vec![text("x")]))),
        40010
    );
    assert_eq!(code(&world.request("all", publish_op("news", vec![]))), 40030);
    assert_eq!(
        code(&world.request("all", publish_op("news", vec![text(&"x".repeat(101))]))),
        40009
    );
    let wrong =
        Caller { credentials: Some(Credentials::Key("app.all:wrong".into())), ..Caller::default() };
    assert_eq!(code(&world.request_as(wrong, op())), 40101);
    let token = world.token(r#"{"*":["*"]}"#, None, std::time::Duration::from_mins(1)).token;
    let anonymous =
        || Caller { credentials: Some(Credentials::Token(token.clone())), ..Caller::default() };
    assert_eq!(
        code(&world.request_as(anonymous(), publish_op("members:x", vec![text("x")]))),
        40161
    );
    let claiming = vec![Message { client_id: Some("bob".into()), ..text("x") }];
    assert_eq!(code(&world.request_as(anonymous(), publish_op("news", claiming))), 40012);
    assert!(matches!(world.request_as(anonymous(), op()), Response::Published { .. }));
}

#[test]
fn the_holder_of_a_key_may_say_who_it_acts_as() {
    let mut world = world();
    let client = world.connect(ALL);
    world.attach(client, "news");
    let caller = Caller { client_id: Some("bob".into()), ..key_caller("all") };
    world.request_as(caller, publish_op("news", vec![text("x")]));
    let frame = world.frames(client).remove(0);
    assert_eq!(frame.messages[0].client_id.as_ref().unwrap().as_str(), "bob");
}

#[test]
fn a_publish_with_a_connection_key_is_of_that_connection() {
    let mut world = world();
    let (client, connected) = world.connected(&format!("{ALL}&clientId=bob&echo=false"));
    let other = world.connect(ALL);
    for client in [client, other] {
        world.attach(client, "news");
    }
    let keyed = |key: &str, client_id: Option<&str>| Message {
        connection_key: Some(key.into()),
        client_id: client_id.map(Into::into),
        ..text("x")
    };
    let key = key_of(&connected);
    published(&mut world, "news", vec![keyed(&key, None)]);
    let frame = world.frames(other).remove(0);
    assert_eq!(frame.connection_id, connected.connection_id);
    assert_eq!(frame.messages[0].client_id.as_ref().unwrap().as_str(), "bob");
    assert_eq!(frame.messages[0].connection_key, None);
    assert!(world.seen(client).is_empty(), "it is its own message, and echo is off");
    let refuse =
        |world: &mut World, messages| code(&world.request("all", publish_op("news", messages)));
    assert_eq!(refuse(&mut world, vec![keyed(&key, Some("eve"))]), 40012);
    assert_eq!(refuse(&mut world, vec![keyed("nonsense", None)]), 40006);
    assert_eq!(refuse(&mut world, vec![keyed(&key, None), text("y")]), 40006);
    assert_eq!(refuse(&mut world, vec![text("y"), keyed(&key, None)]), 40006);
    world.send(client, &ProtocolMessage::new(Action::Close));
    assert_eq!(refuse(&mut world, vec![keyed(&key, None)]), 40006);
}

fn history(world: &mut World, query: HistoryQuery, until: Option<&str>) -> Response {
    let until = until.map(str::to_owned);
    world.request("all", Operation::History { channel: "news".into(), query, until })
}

fn page(response: Response) -> HistoryPage {
    match response {
        Response::History(page) => page,
        other => panic!("no history: {other:?}"),
    }
}

fn items(page: &HistoryPage) -> Vec<String> {
    let item = |(entry, index): &(std::sync::Arc<types::Entry>, usize)| match &entry.body {
        Body::Messages(messages) => show::data(&messages[*index].data),
        Body::Annotations(_) => String::new(),
        Body::Objects(objects) => objects[*index].operation.object_id.to_string(),
        Body::Presence(events) => {
            format!("{:?}:{}", events[*index].action, events[*index].client_id.clone().unwrap())
        }
    };
    page.items.iter().map(item).collect()
}

#[test]
fn history_is_paged_in_both_directions_item_by_item() {
    let mut world = world();
    published(&mut world, "news", vec![text("1"), text("2"), text("3")]);
    published(&mut world, "news", vec![text("4")]);
    published(&mut world, "news", vec![text("5")]);
    for (direction, expected) in
        [(Direction::Backwards, ["5,4", "3,2", "1"]), (Direction::Forwards, ["1,2", "3,4", "5"])]
    {
        let mut query = HistoryQuery { direction, ..HistoryQuery::new(Kind::Messages, 2) };
        let mut pages = Vec::new();
        loop {
            let page = page(history(&mut world, query.clone(), None));
            pages.push(items(&page).join(","));
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        assert_eq!(pages, expected);
    }
}

#[test]
fn history_is_of_one_kind_and_within_its_times() {
    let mut world = world();
    let client = world.connect(ALL);
    world.attach(client, "news");
    world.send(client, &enter("news", 0, "x"));
    for n in 1..4 {
        world.advance(1_000);
        world.send(client, &publish("news", n, &n.to_string()));
    }
    let presence = page(history(&mut world, HistoryQuery::new(Kind::Presence, 10), None));
    assert_eq!(items(&presence), ["Enter:x"]);
    let at = Timestamp(world.now - 1_000);
    let query =
        HistoryQuery { start: Some(at), end: Some(at), ..HistoryQuery::new(Kind::Messages, 10) };
    assert_eq!(items(&page(history(&mut world, query, None))), ["2"]);
}

#[test]
fn history_until_the_attach_ends_where_the_attach_began() {
    let mut world = world();
    published(&mut world, "news", vec![text("before")]);
    let client = world.connect(ALL);
    let attached = world.attach(client, "news").channel_serial.unwrap();
    published(&mut world, "news", vec![text("after")]);
    let query = || HistoryQuery::new(Kind::Messages, 10);
    assert_eq!(items(&page(history(&mut world, query(), Some(&attached)))), ["before"]);
    assert_eq!(code(&history(&mut world, query(), Some("nonsense"))), 90002);
    let elsewhere = world.attach(client, "other").channel_serial.unwrap();
    assert_eq!(code(&history(&mut world, query(), Some(&elsewhere))), 90002);
}

#[test]
fn an_attach_point_of_a_channel_that_has_ended_is_gone() {
    let mut world = world();
    let client = world.connect(ALL);
    let attached = world.attach(client, "news").channel_serial.unwrap();
    world.send(client, &ProtocolMessage::new(Action::Close));
    world.advance(120_000);
    let query = HistoryQuery::new(Kind::Messages, 10);
    assert_eq!(code(&history(&mut world, query.clone(), Some(&attached))), 90008);
    assert!(items(&page(history(&mut world, query, None))).is_empty());
    assert_eq!(world.node.channel_count(), 0, "asking does not make a channel active");
}

#[test]
fn history_and_presence_need_their_capabilities() {
    let mut world = world();
    let history = || Operation::History {
        channel: "news".into(),
        query: HistoryQuery::new(Kind::Messages, 1),
        until: None,
    };
    let presence = || Operation::Presence { channel: "news".into(), query: everybody(1) };
    assert_eq!(code(&world.request("reader", history())), 40160);
    assert_eq!(code(&world.request("writer", presence())), 40160);
    assert!(matches!(world.request("reader", presence()), Response::Presence(_)));
    let derived =
        Operation::Presence { channel: "[filter=bmFtZQ]news".into(), query: everybody(1) };
    assert_eq!(code(&world.request("all", derived)), 40010);
}

#[test]
fn the_history_of_a_persisted_channel_is_the_stores_to_answer() {
    let mut world = world();
    published(&mut world, "kept:a", vec![text("x")]);
    let query = HistoryQuery::new(Kind::Messages, 10);
    let operation = Operation::History { channel: "kept:a".into(), query, until: None };
    // The store of these tests has no history.
    assert!(items(&page(world.request("all", operation))).is_empty());
}

fn everybody(limit: usize) -> PresenceQuery {
    PresenceQuery { limit, client_id: None, connection_id: None, after: None }
}

fn members(world: &mut World, query: PresenceQuery) -> PresencePage {
    match world.request("all", Operation::Presence { channel: "news".into(), query }) {
        Response::Presence(page) => page,
        other => panic!("no presence: {other:?}"),
    }
}

fn names(page: &PresencePage) -> Vec<String> {
    page.members.iter().map(|member| member.client_id.as_ref().unwrap().to_string()).collect()
}

#[test]
fn presence_is_paged_and_filtered() {
    let mut world = world();
    let (first, connected) = world.connected(ALL);
    let second = world.connect(ALL);
    for (client, ids) in [(first, ["a", "b"]), (second, ["a", "c"])] {
        world.attach(client, "news");
        for (n, id) in (0..).zip(ids) {
            world.send(client, &enter("news", n, id));
        }
    }
    let mut query = everybody(3);
    let one = members(&mut world, query.clone());
    query.after.clone_from(&one.next);
    let two = members(&mut world, query);
    assert_eq!((one.members.len(), two.members.len(), two.next), (3, 1, None));
    let mut all: Vec<_> = one.members.iter().chain(&two.members).map(|m| m.id.clone()).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 4);
    let only = PresenceQuery { client_id: Some("a".into()), ..everybody(1) };
    let page = members(&mut world, only.clone());
    assert_eq!((names(&page), page.next.is_some()), (vec!["a".into()], true));
    let of_first = PresenceQuery { connection_id: connected.connection_id, ..everybody(9) };
    assert_eq!(names(&members(&mut world, of_first.clone())), ["a", "b"]);
    let both = PresenceQuery { client_id: only.client_id, ..of_first };
    assert_eq!(names(&members(&mut world, both)), ["a"]);
}
