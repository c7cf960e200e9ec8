//! ATTACH, DETACH, modes, params, rewind, derived channels.

use std::collections::BTreeSet;

use node::Event;
use protocol::{Action, ProtocolMessage, flags};
use types::Data;

use crate::world::{
    ALL, World, attach, attach_from, enter, on, publish, publish_all, text, with_params, world,
    world_with,
};

const MODES: u32 = 0xffff_0000;

fn modes(attached: &ProtocolMessage) -> u32 {
    attached.flags.unwrap_or_default() & MODES
}

fn with_modes(modes: u32) -> ProtocolMessage {
    ProtocolMessage { flags: Some(modes), ..attach("news") }
}

#[test]
fn an_attach_grants_the_default_modes_and_says_where_it_starts() {
    let mut world = world();
    let client = world.connect(ALL);
    let attached = world.attach(client, "news");
    assert_eq!(
        attached.flags,
        Some(
            flags::PRESENCE
                | flags::PUBLISH
                | flags::SUBSCRIBE
                | flags::PRESENCE_SUBSCRIBE
                | flags::ANNOTATION_PUBLISH
        )
    );
    assert!(attached.channel_serial.is_some_and(|serial| !serial.is_empty()));
}

#[test]
fn granted_are_the_modes_that_were_asked_for_and_are_permitted() {
    let mut world = world();
    let reader = world.connect("key=app.reader:secret of reader");
    let attached = world.attach_with(reader, &with_modes(flags::PUBLISH | flags::SUBSCRIBE));
    assert_eq!(modes(&attached), flags::SUBSCRIBE);
    let client = world.connect(ALL);
    let asked = with_params(with_modes(flags::PRESENCE), &[("modes", "publish,presence")]);
    let attached = world.attach_with(client, &asked);
    assert_eq!(modes(&attached), flags::PUBLISH | flags::PRESENCE);
}

#[test]
fn what_a_mode_does_not_cover_does_not_arrive() {
    let mut world = world();
    let [publisher, writer, blind] = [(); 3].map(|()| world.connect(ALL));
    world.attach_with(writer, &with_modes(flags::PUBLISH));
    world.attach_with(blind, &with_modes(flags::SUBSCRIBE));
    world.attach(publisher, "news");
    world.send(publisher, &enter("news", 0, "x"));
    world.send(publisher, &publish("news", 1, "hello"));
    assert!(world.seen(writer).is_empty());
    assert_eq!(world.seen(blind), ["message news hello"]);
    assert!(world.ask(blind, &on(Action::Sync, "news")).is_empty(), "nor on request");
    assert_eq!(world.ask(publisher, &on(Action::Sync, "news")).last().unwrap(), "sync news x");
}

#[test]
fn params_that_are_understood_are_repeated_in_every_attached() {
    let mut world = world();
    let client = world.connect(ALL);
    let asked = with_params(attach("[?echo=false]news"), &[("rewind", "3"), ("color", "blue")]);
    let attached = world.attach_with(client, &asked);
    let params: Vec<_> = attached.params.into_iter().collect();
    assert_eq!(params, [("echo", "false"), ("rewind", "3")].map(|(n, v)| (n.into(), v.into())));
    assert_eq!(attached.channel.as_deref(), Some("[?echo=false]news"));
}

#[test]
fn a_refused_attach_fails_the_channel_and_not_the_connection() {
    let mut world = world();
    let client = world.connect("key=app.news:secret of news");
    let long = format!("[?x={}]news", "y".repeat(5_000));
    for (channel, code) in [("", 40010), (":x", 40010), ("other", 40160), (long.as_str(), 40010)] {
        let answer = world.ask(client, &attach(channel));
        assert_eq!(answer, [format!("error {channel} {code}")]);
    }
    let anonymous = world.token(r#"{"*":["*"]}"#, None, std::time::Duration::from_mins(1)).token;
    let anonymous = world.connect(&format!("accessToken={anonymous}"));
    assert_eq!(world.ask(anonymous, &attach("members:x")), ["error members:x 40161"]);
    world.attach(client, "news");
    world.attach(anonymous, "news");
}

#[test]
fn who_asks_for_much_again_and_again_is_refused_until_a_second_is_over() {
    let mut world = world();
    let [client, other] = [(); 2].map(|()| world.connect(ALL));
    let start = world.attach(client, "news");
    let large = "x".repeat(60_000);
    (0..20).for_each(|n| world.send(other, &publish("news", n, &large)));
    world.frames(client);
    let again = attach_from("news", &start);
    world.handle(Event::Frames { transport: client, frames: vec![again.clone(); 64] });
    let came = world.frames(client);
    let count = |action| came.iter().filter(|frame| frame.action == action).count();
    assert_eq!(count(Action::Message), 14 * 20, "16 MiB, and what one answer has beyond it");
    assert_eq!(count(Action::Detached), 50);
    assert_eq!(came.last().unwrap().error.as_ref().unwrap().code, 42915);
    assert_eq!(world.ask(client, &on(Action::Sync, "news")), ["detached news 42915"]);
    world.advance(1_000);
    assert_eq!(world.ask(client, &again).len(), 21);
}

#[test]
fn a_rewind_that_cannot_be_understood_is_refused_also_when_options_change() {
    let mut world = world();
    let [client, other] = [(); 2].map(|()| world.connect(ALL));
    let asked = with_params(attach("news"), &[("rewind", "5h")]);
    assert_eq!(world.ask(client, &asked), ["error news 40003"]);
    world.attach(client, "news");
    assert_eq!(world.ask(client, &asked), ["error news 40003"]);
    world.send(other, &publish("news", 0, "unheard"));
    assert!(world.seen(client).is_empty());
}

#[test]
fn a_rewind_of_a_persisted_channel_goes_beyond_what_is_in_memory() {
    let mut world = world();
    let [client, other] = [(); 2].map(|()| world.connect(ALL));
    (0..3).for_each(|n| world.send(other, &publish("kept:a", n, &format!("old {n}"))));
    world.advance(600_000);
    world.send(other, &publish("kept:a", 3, "new"));
    let rewind = |count| with_params(attach("kept:a"), &[("rewind", count)]);
    let seen = world.ask(client, &rewind("3"));
    let messages = ["old 1", "old 2", "new"].map(|data| format!("message kept:a {data}"));
    assert_eq!(seen[0], "attached kept:a backlog");
    assert_eq!(seen[1..], messages);
    world.store.holding = true;
    let late = world.connect(ALL);
    assert!(world.ask(late, &rewind("15m")).is_empty());
    world.store.holding = false;
    world.send(other, &publish("kept:a", 4, "newest"));
    world.release();
    assert_eq!(world.seen(late).last().unwrap(), "message kept:a newest");
    assert_eq!(world.seen(client), ["message kept:a newest"]);
    world.send(late, &with_params(rewind("2"), &[("rewind", "2")]));
    assert_eq!(world.seen(late), ["attached kept:a resumed"], "attached already");
}

#[test]
fn a_rewound_message_is_shown_as_it_is_now() {
    let mut world = world();
    let [client, other] = [(); 2].map(|()| world.connect(ALL));
    world.attach(other, "mutable:a");
    world.send(other, &publish("mutable:a", 0, "first"));
    let serial = world.frames(other)[0].messages[0].serial.clone();
    let update = types::Message { serial, action: types::MessageAction::Update, ..text("second") };
    world.send(other, &publish_all("mutable:a", 1, vec![update]));
    world.advance(60_000);
    world.send(other, &publish("mutable:a", 2, "third"));
    let seen = world.ask(client, &with_params(attach("mutable:a"), &[("rewind", "5")]));
    assert_eq!(seen[1..], ["message mutable:a update:second", "message mutable:a third"]);
}

#[test]
fn a_detached_client_receives_nothing_and_may_attach_again() {
    let mut world = world();
    let [client, other] = [(); 2].map(|()| world.connect(ALL));
    world.attach(client, "news");
    assert_eq!(world.ask(client, &on(Action::Detach, "news")), ["detached news"]);
    world.send(other, &publish("news", 0, "unheard"));
    assert!(world.seen(client).is_empty());
    assert_eq!(
        world.ask(client, &on(Action::Detach, "never attached")),
        ["detached never attached"]
    );
    world.attach(client, "news");
    world.send(other, &publish("news", 1, "heard"));
    assert_eq!(world.seen(client), ["message news heard"]);
}

#[test]
fn a_rewind_replays_the_newest_messages_on_the_first_attach_only() {
    let mut world = world();
    let [client, other] = [(); 2].map(|()| world.connect(ALL));
    for n in 0..3 {
        world.send(other, &publish("news", n, &n.to_string()));
    }
    let rewinding = with_params(attach("news"), &[("rewind", "2")]);
    assert_eq!(
        world.ask(client, &rewinding),
        ["attached news backlog", "message news 1", "message news 2"]
    );
    assert_eq!(world.ask(client, &rewinding), ["attached news"]);
}

#[test]
fn changed_options_replay_nothing_and_miss_nothing() {
    let mut world = world();
    let [client, other] = [(); 2].map(|()| world.connect(ALL));
    let first = world.attach(client, "news");
    world.send(other, &publish("news", 0, "a"));
    let lagging = ProtocolMessage { flags: Some(flags::SUBSCRIBE), ..attach_from("news", &first) };
    world.send(client, &lagging);
    world.send(other, &publish("news", 1, "b"));
    assert_eq!(world.seen(client), ["message news a", "attached news resumed", "message news b"]);
}

#[test]
fn an_attach_with_the_same_options_replays_from_the_position_it_presents() {
    let mut world = world();
    let [client, other] = [(); 2].map(|()| world.connect(ALL));
    let first = world.attach(client, "news");
    world.send(other, &publish("news", 0, "a"));
    world.seen(client);
    let attached = world.attach_with(client, &attach_from("news", &first));
    assert_eq!(attached.channel_serial, first.channel_serial);
    assert_eq!(world.seen(client), ["message news a"]);
    world.send(other, &publish("news", 1, "b"));
    assert_eq!(world.seen(client), ["message news b"], "once");
}

#[test]
fn two_attaches_while_the_channel_loads_are_answered_once() {
    let mut world = world();
    let [client, other] = [(); 2].map(|()| world.connect(ALL));
    let position = world.attach(client, "kept:a");
    world.send(other, &publish("kept:a", 0, "missed"));
    restart_channel(&mut world, client);
    world.store.holding = true;
    world.send(client, &attach_from("kept:a", &position));
    world.send(client, &attach_from("kept:a", &position));
    assert!(world.seen(client).is_empty());
    world.release();
    assert_eq!(world.seen(client), ["attached kept:a resumed backlog", "message kept:a missed"]);
    world.send(other, &publish("kept:a", 1, "live"));
    assert_eq!(world.seen(client), ["message kept:a live"]);
}

/// Lets `kept:a` end, so that it is loaded again; what is stored stays.
fn restart_channel(world: &mut World, client: node::TransportId) {
    world.send(client, &on(Action::Detach, "kept:a"));
    world.advance(10 * 60_000);
    assert_eq!(world.node.channel_count(), 0);
    // As if it had been stored just now: the log reaches back for as long as the retention.
    let now = types::Timestamp(world.now);
    for entry in world.store.entries.values_mut().flatten() {
        std::sync::Arc::make_mut(entry).timestamp = now;
    }
    world.seen(client);
}

#[test]
fn a_detach_while_the_channel_loads_is_the_last_word() {
    let mut world = world();
    let client = world.connect(ALL);
    world.store.holding = true;
    world.send(client, &attach("kept:a"));
    assert_eq!(world.ask(client, &on(Action::Detach, "kept:a")), ["detached kept:a"]);
    world.release();
    assert!(world.seen(client).is_empty());
}

#[test]
fn a_channel_that_cannot_be_loaded_is_detached_so_that_the_client_tries_again() {
    let mut world = world();
    let client = world.connect(ALL);
    world.store.holding = true;
    world.send(client, &attach("kept:a"));
    world.release_failed();
    assert_eq!(world.seen(client), ["detached kept:a 50003"]);
    assert_eq!(world.node.channel_count(), 0, "and leaves nothing behind");
    world.attach(client, "kept:a");
}

#[test]
fn a_position_of_another_channel_or_of_nothing_is_answered_without_resumed() {
    let mut world = world();
    let client = world.connect(ALL);
    let news = world.attach(client, "news");
    assert_eq!(world.ask(client, &attach_from("other", &news)), ["attached other 90002"]);
    let nonsense = ProtocolMessage { channel_serial: Some("?".into()), ..attach("third") };
    assert_eq!(world.ask(client, &nonsense), ["attached third 90002"]);
    let empty = ProtocolMessage { channel_serial: Some("".into()), ..attach("fourth") };
    assert_eq!(world.ask(client, &empty), ["attached fourth"]);
}

/// `[filter=name == 'a' || headers.n > `1`]news`
const FILTERED: &str = "[filter=bmFtZSA9PSAnYScgfHwgaGVhZGVycy5uID4gYDFg]news";

#[test]
fn a_derived_channel_delivers_what_its_filter_selects_under_the_ids_of_the_channel() {
    let mut world = world();
    let [client, other] = [(); 2].map(|()| world.connect(ALL));
    world.attach(client, FILTERED);
    let named = |name: &str| types::Message { name: Some(name.into()), ..text(name) };
    world.send(other, &publish_all("news", 0, vec![named("b"), named("a")]));
    world.send(other, &publish_all("news", 1, vec![named("b")]));
    let extras = serde_json::json!({ "headers": { "n": 2 } });
    let with_headers = types::Message {
        extras: extras.as_object().cloned().map(std::sync::Arc::new),
        ..named("c")
    };
    world.send(other, &publish_all("news", 2, vec![with_headers]));
    let frames = world.frames(client);
    let seen: Vec<_> = frames.iter().flat_map(|frame| &frame.messages).collect();
    assert_eq!(
        seen.iter().map(|m| m.data.clone()).collect::<Vec<_>>(),
        ["a", "c"].map(|d| Data::Text(d.into()))
    );
    assert!(seen[0].id.as_ref().unwrap().ends_with(":0:1"), "{:?}", seen[0].id);
    assert_eq!(frames[0].channel.as_deref(), Some(FILTERED));
}

#[test]
fn a_derived_channel_carries_no_presence_and_no_publishes() {
    let mut world = world();
    let [client, other] = [(); 2].map(|()| world.connect(ALL));
    world.attach(other, "news");
    world.send(other, &enter("news", 0, "x"));
    assert_eq!(world.ask(client, &attach(FILTERED)), [format!("attached {FILTERED}")]);
    assert!(world.ask(client, &on(Action::Sync, FILTERED)).is_empty());
    assert_eq!(world.ask(client, &publish(FILTERED, 0, "x")), ["nack 0+1 40010"]);
    assert_eq!(world.ask(client, &enter(FILTERED, 1, "y")), ["nack 1+1 40010"]);
    let reader = world.connect("key=app.reader:secret of reader");
    assert_eq!(world.ask(reader, &attach(FILTERED)), [format!("error {FILTERED} 40160")]);
}

#[test]
fn a_message_is_encoded_once_for_a_name_of_the_channel_however_many_there_are() {
    let mut world = world_with(|setup| setup.app.limits.connection_outbound_rate = 1_000);
    let publisher = world.connect(ALL);
    let names: Vec<_> = (1..=20).map(|n| format!("[?rewindLimit={n}]news")).collect();
    let clients: Vec<_> = names
        .iter()
        .chain(&names)
        .map(|name| {
            let client = world.connect(ALL);
            world.attach(client, name);
            client
        })
        .collect();
    world.send(publisher, &publish("news", 0, "x"));
    for (client, name) in clients.iter().zip(names.iter().chain(&names)) {
        assert_eq!(world.seen(*client), [format!("message {name} x")]);
    }
    let frames = clients.iter().map(|client| world.transports[client].bytes.last().unwrap());
    let encoded: BTreeSet<_> = frames.map(|frame| frame.as_ptr()).collect();
    assert_eq!(encoded.len(), names.len());
}
