//! Who occupies channels, which are active, and what is counted.

use node::{ChannelsQuery, Operation, Response};
use protocol::ProtocolMessage;
use stats::{Query, Totals, Unit};
use types::{Data, Direction};

use crate::world::{ALL, World, attach, code, enter, publish, with_params, world};

/// What occupancy events said of `category`, those since the last look.
fn told(frames: &[ProtocolMessage], category: &str) -> Vec<u64> {
    let messages = frames.iter().flat_map(|frame| &frame.messages);
    let events = messages.filter(|message| message.name.as_deref() == Some("[meta]occupancy"));
    let metric = |data: &Data| {
        let Data::Text(json) = data else { panic!() };
        let value: serde_json::Value = serde_json::from_str(json).unwrap();
        value["metrics"][category].as_u64().unwrap()
    };
    events.map(|message| metric(&message.data)).collect()
}

fn list(world: &mut World, prefix: &str, limit: usize, after: Option<&str>) -> (Vec<String>, bool) {
    let after = after.map(str::to_owned);
    let ask = Operation::Channels(ChannelsQuery { limit, prefix: prefix.into(), after });
    let Response::Channels(page) = world.request("all", ask) else { panic!() };
    let names = page.channels.iter().map(|channel| channel.name.to_string()).collect();
    (names, page.next.is_some())
}

fn totals(world: &mut World) -> Totals {
    let direction = Direction::Forwards;
    let query =
        Query { unit: Unit::Month, start: None, end: None, direction, limit: 1, after: None };
    let Response::Stats { page, .. } = world.request("all", Operation::Stats(query)) else {
        panic!()
    };
    page.periods.first().map(|period| period.totals).unwrap_or_default()
}

#[test]
fn an_attachment_that_asks_for_it_is_told_the_occupancy_now_and_as_it_changes() {
    let mut world = world();
    let watcher = world.connect(ALL);
    let params = [("occupancy", "metrics")];
    world.attach_with(watcher, &with_params(attach("news"), &params));
    let frames = world.frames(watcher);
    assert_eq!(told(&frames, "connections"), [1]);
    assert!(frames.iter().all(|frame| frame.channel_serial.is_none()));

    let other = world.connect(&format!("{ALL}&clientId=bob"));
    world.attach(other, "news");
    assert_eq!(told(&world.frames(watcher), "connections"), [0; 0]);
    world.advance(15_000);
    assert_eq!(told(&world.frames(watcher), "connections"), [2]);
    world.send(other, &enter("news", 0, "bob"));
    assert_eq!(told(&world.frames(watcher), "presenceMembers"), [1]);
    world.drop_transport(other);
    world.advance(15_000);
    assert_eq!(told(&world.frames(watcher), "presenceMembers").last(), Some(&0));
    assert_eq!(told(&world.frames(other), "connections"), [0; 0]);
}

#[test]
fn occupancy_needs_the_capability_for_it() {
    let mut world = world();
    let reader = world.connect("key=app.reader:secret of reader");
    let params = [("occupancy", "metrics")];
    let attached = world.attach_with(reader, &with_params(attach("news"), &params));
    assert!(!attached.params.contains_key("occupancy"));
    assert_eq!(world.frames(reader), []);
    let details = || Operation::ChannelDetails { channel: "news".into() };
    assert_eq!(code(&world.request("reader", details())), 40160);
    let Response::ChannelDetails(known) = world.request("all", details()) else { panic!() };
    let occupancy = known.occupancy;
    assert!(known.is_active);
    assert_eq!((occupancy.connections, occupancy.subscribers, occupancy.publishers), (1, 1, 0));
}

#[test]
fn asking_for_a_channel_makes_it_active_and_leaves_nothing_behind() {
    let mut world = world();
    let details = Operation::ChannelDetails { channel: "news".into() };
    let Response::ChannelDetails(known) = world.request("all", details) else { panic!() };
    assert!(known.is_active);
    assert!(world.node.is_empty());
}

#[test]
fn active_channels_are_listed_in_pages() {
    let mut world = world();
    let client = world.connect(ALL);
    for name in ["b:2", "a", "b:1", "b:3", "c"] {
        world.attach(client, name);
    }
    assert_eq!(list(&mut world, "", 9, None).0, ["a", "b:1", "b:2", "b:3", "c"]);
    assert_eq!(list(&mut world, "b:", 2, None), (vec!["b:1".into(), "b:2".into()], true));
    assert_eq!(list(&mut world, "b:", 2, Some("b:2")), (vec!["b:3".into()], false));
    let ask = ChannelsQuery { limit: 1, prefix: String::new(), after: None };
    assert_eq!(code(&world.request("news", Operation::Channels(ask))), 40160);
}

#[test]
fn an_app_is_told_what_it_has_used() {
    let mut world = world();
    let (one, two) = (world.connect(ALL), world.connect(ALL));
    world.attach(one, "kept:a");
    world.attach(two, "kept:a");
    world.send(one, &publish("kept:a", 0, "four"));
    let totals = totals(&mut world);
    assert_eq!(
        (totals.inbound.realtime.messages.count, totals.inbound.realtime.messages.data),
        (1, 4)
    );
    assert_eq!(totals.outbound.realtime.messages.count, 2);
    assert_eq!(totals.persisted.messages.count, 1);
    assert_eq!((totals.connections.opened, totals.connections.peak), (2, 2));
    assert_eq!(totals.channels.opened, 1);
    assert_eq!(totals.api_requests.succeeded, 0);
    let query = self::totals(&mut world);
    assert_eq!(query.api_requests.succeeded, 1);
    let ask = Query {
        unit: Unit::Minute,
        start: None,
        end: None,
        direction: Direction::Backwards,
        limit: 1,
        after: None,
    };
    assert_eq!(code(&world.request("news", Operation::Stats(ask))), 40160);
}
