//! Resuming: the same connection on a new transport, its positions, its unacknowledged publishes.

use node::PreviousIncarnation;
use protocol::{Action, Format, ProtocolMessage};
use types::Timestamp;

use crate::world::{
    ALL, START, World, attach, attach_from, enter, key_of, publish, publish_all, resuming, text,
    world, world_with,
};

#[test]
fn a_resumed_connection_keeps_its_id_and_gets_a_new_key() {
    let mut world = world();
    let (client, first) = world.connected(ALL);
    world.drop_transport(client);
    world.advance(119_999);
    let (_, second) = world.connected(&resuming(&first));
    assert_eq!(second.connection_id, first.connection_id);
    assert_ne!(second.connection_key, first.connection_key);
    assert_eq!(second.error, None);
    assert!(!world.transports[&client].superseded);
}

#[test]
fn a_recovered_connection_is_a_resumed_one() {
    let mut world = world();
    let (client, first) = world.connected(ALL);
    world.drop_transport(client);
    let (_, second) = world.connected(&format!("{ALL}&recover={}", key_of(&first)));
    assert_eq!(second.connection_id, first.connection_id);
}

#[test]
fn a_connection_that_cannot_be_resumed_is_replaced_and_says_why() {
    let mut world = world();
    let (client, first) = world.connected(ALL);
    world.drop_transport(client);
    world.advance(120_000);
    let (closed, other) = world.connected(ALL);
    world.send(closed, &ProtocolMessage::new(Action::Close));
    for (key, code) in
        [(key_of(&first), 80008), (key_of(&other), 80008), ("nonsense".into(), 80018)]
    {
        let (_, second) = world.connected(&format!("{ALL}&resume={key}"));
        assert_ne!(second.connection_id, first.connection_id);
        assert_eq!(second.error.map(|error| error.code), Some(code));
    }
}

#[test]
fn a_state_that_has_expired_is_gone_however_late_the_tick() {
    let mut world = world();
    let (client, first) = world.connected(ALL);
    world.drop_transport(client);
    world.now += 120_000;
    let (_, second) = world.connected(&resuming(&first));
    assert_eq!(second.error.map(|error| error.code), Some(80008));
}

#[test]
fn a_connection_of_others_is_not_resumed() {
    let mut world = world();
    let (client, first) = world.connected(&format!("{ALL}&clientId=bob"));
    world.drop_transport(client);
    for query in ["key=app.reader:secret of reader", &format!("{ALL}&clientId=eve"), ALL] {
        let thief = world.open(&format!("{query}&resume={}", key_of(&first)));
        assert_eq!(world.seen(thief), ["error 40102"], "{query}");
    }
    world.connect(&format!("{ALL}&clientId=bob&resume={}", key_of(&first)));
}

#[test]
fn a_superseded_transport_is_closed_and_what_it_says_is_void() {
    let mut world = world();
    let (old, first) = world.connected(ALL);
    world.attach(old, "news");
    world.send(old, &enter("news", 0, "x"));
    world.seen(old);
    let new = world.connect(&resuming(&first));
    assert!(world.closed(old) && world.transports[&old].superseded);
    world.send(old, &ProtocolMessage::new(Action::Close));
    world.drop_transport(old);
    world.attach(new, "news");
    world.advance(60_000);
    assert_eq!(world.seen(new), ["sync news x"]);
    assert_eq!(world.ask(new, &publish("news", 1, "y")), ["message news y", "ack 1+1"]);
    assert!(world.seen(old).is_empty());
}

#[test]
fn a_resumed_transport_may_speak_another_format() {
    let mut world = world();
    let (old, first) = world.connected(ALL);
    world.drop_transport(old);
    let query = format!("v=6&{}", resuming(&first));
    let new = world.open_as(Format::MessagePack, &query);
    assert_eq!(world.seen(new), ["connected"]);
    world.attach(new, "news");
    assert_eq!(world.ask(new, &publish("news", 0, "x")), ["message news x", "ack 0+1"]);
}

/// A client attached to `news`, dropped, with what it saw last.
fn dropped(world: &mut World) -> (ProtocolMessage, ProtocolMessage) {
    let (client, connected) = world.connected(ALL);
    let attached = world.attach(client, "news");
    world.drop_transport(client);
    (connected, attached)
}

#[test]
fn a_resumed_attach_echoes_its_position_then_replays_then_goes_live() {
    let mut world = world();
    let other = world.connect(ALL);
    let (connected, attached) = dropped(&mut world);
    world.send(other, &publish("news", 0, "a"));
    world.send(other, &publish("news", 1, "b"));
    let client = world.connect(&resuming(&connected));
    world.send(client, &attach_from("news", &attached));
    world.send(other, &publish("news", 2, "c"));
    let frames = world.frames(client);
    let seen: Vec<_> = frames.iter().map(crate::show::show).collect();
    assert_eq!(
        seen,
        ["attached news resumed backlog", "message news a", "message news b", "message news c"]
    );
    assert_eq!(frames[0].channel_serial, attached.channel_serial);
    let client = world.connect(&resuming(&connected));
    assert_eq!(
        world.ask(client, &attach_from("news", &frames[1])),
        ["attached news resumed backlog", "message news b", "message news c"],
        "from the label of a replayed message too"
    );
}

#[test]
fn the_only_client_of_a_quiet_channel_resumes_its_position() {
    let mut world = world();
    let (connected, attached) = dropped(&mut world);
    world.advance(119_999);
    let client = world.connect(&resuming(&connected));
    assert_eq!(world.ask(client, &attach_from("news", &attached)), ["attached news resumed"]);
}

#[test]
fn a_position_that_the_log_has_trimmed_is_answered_without_resumed() {
    let mut world = world();
    let other = world.connect(ALL);
    world.attach(other, "news");
    let (_, attached) = dropped(&mut world);
    world.send(other, &publish("news", 0, "a"));
    world.advance(121_000);
    let client = world.connect(ALL);
    assert_eq!(world.ask(client, &attach_from("news", &attached)), ["attached news 90003"]);
}

#[test]
fn a_publish_that_is_sent_again_is_acknowledged_again_and_happens_once() {
    let mut world = world();
    let other = world.connect(ALL);
    world.attach(other, "news");
    let (client, connected) = world.connected(ALL);
    world.send(client, &publish("news", 0, "a"));
    let first = world.frames(client).remove(0);
    world.drop_transport(client);
    let client = world.connect(&resuming(&connected));
    world.send(client, &publish("news", 0, "a"));
    assert_eq!(world.frames(client), [first]);
    assert_eq!(world.seen(other), ["message news a"]);
    assert_eq!(world.ask(client, &publish("news", 0, "other")), ["nack 0+1 40030"]);
}

#[test]
fn a_publish_that_waited_for_the_store_is_acknowledged_on_the_transport_that_repeats_it() {
    let mut world = world();
    let (client, connected) = world.connected(ALL);
    world.attach(client, "kept:a");
    world.store.holding = true;
    world.send(client, &publish("kept:a", 0, "x"));
    world.drop_transport(client);
    let client = world.connect(&resuming(&connected));
    world.send(client, &publish("kept:a", 0, "x"));
    world.release();
    assert_eq!(world.seen(client), ["ack 0+1"]);
    let stored: usize = world.store.entries.values().map(Vec::len).sum();
    assert_eq!(stored, 1);
}

#[test]
fn a_resumed_transport_may_start_with_a_gap() {
    let mut world = world();
    let (client, connected) = world.connected(ALL);
    world.send(client, &publish("news", 0, "a"));
    world.drop_transport(client);
    let client = world.connect(&resuming(&connected));
    assert_eq!(world.ask(client, &publish("news", 5, "b")), ["ack 5+1"]);
}

#[test]
fn rates_never_refuse_what_is_sent_again_and_do_not_excuse_anything_else() {
    let mut world = world_with(|setup| setup.app.limits.connection_inbound_rate = 4);
    let (client, connected) = world.connected(ALL);
    for n in 0..4 {
        world.send(client, &publish("news", n, "x"));
    }
    world.drop_transport(client);
    let client = world.connect(&resuming(&connected));
    for n in 0..4 {
        assert_eq!(world.ask(client, &publish("news", n, "x")), [format!("ack {n}+1")]);
    }
    assert_eq!(world.ask(client, &publish("news", 4, "new")), ["nack 4+1 42911"]);
    assert_eq!(world.ask(client, &publish("other", 0, "old serial")), ["nack 0+1 42911"]);
}

#[test]
fn rates_never_refuse_what_is_sent_again_while_its_channel_makes_it_wait() {
    for (channel, attached) in [("kept:a", true), ("kept:a", false), ("conflated:a", false)] {
        let mut world = world_with(|setup| {
            setup.app.limits.connection_inbound_rate = 2;
            setup.app.namespaces.push(types::Namespace {
                id: "conflated".into(),
                conflation_enabled: true,
                conflation_interval: Some(100),
                conflation_key: Some("#{message.name}".into()),
                ..types::Namespace::default()
            });
        });
        let (mut client, connected) = world.connected(ALL);
        if attached {
            world.attach(client, channel);
        }
        world.store.holding = true;
        for _ in 0..3 {
            for n in 0..2 {
                world.send(client, &publish(channel, n, "x"));
            }
            assert!(world.seen(client).is_empty(), "{channel}");
            client = world.connect(&resuming(&connected));
        }
    }
}

#[test]
fn what_was_refused_is_refused_again_under_an_id_of_its_own_too() {
    for code in [42911, 42913] {
        let mut world = world_with(|setup| match code {
            42911 => setup.app.limits.connection_inbound_rate = 1,
            _ => setup.app.limits.channel_message_rate = 1,
        });
        let reader = world.connect(ALL);
        world.attach(reader, "news");
        let named = types::Message { id: Some("mine".into()), ..text("b") };
        let named = publish_all("news", 1, vec![named]);
        let (client, connected) = world.connected(ALL);
        let refusal = [format!("nack 1+1 {code}")];
        assert_eq!(world.ask(client, &publish("news", 0, "a")), ["ack 0+1"]);
        assert_eq!(world.ask(client, &named), refusal);
        world.advance(2_000);
        assert_eq!(world.ask(client, &publish("news", 2, "c")), ["ack 2+1"]);
        world.advance(2_000);
        for _ in 0..2 {
            let client = world.connect(&resuming(&connected));
            assert_eq!(world.ask(client, &named), refusal);
            assert_eq!(world.ask(client, &publish("news", 2, "c")), ["ack 2+1"]);
        }
        assert_eq!(world.seen(reader), ["message news a", "message news c"]);
    }
}

fn restarted(store: crate::world::Store, now: u64) -> World {
    world_with(|setup| {
        setup.incarnation = 2;
        setup.previous = Some(PreviousIncarnation { number: 1, last_alive: Timestamp(START) });
        setup.now = now;
        setup.store = store;
    })
}

#[test]
fn a_connection_of_the_incarnation_before_keeps_its_id_for_a_while() {
    let mut before = world();
    let (_, first) = before.connected(ALL);
    let mut world = restarted(crate::world::Store::default(), START + 119_999);
    let (client, second) = world.connected(&resuming(&first));
    assert_eq!((second.connection_id, second.error), (first.connection_id.clone(), None));
    world.send(client, &ProtocolMessage::new(Action::Close));
    let mut world = restarted(crate::world::Store::default(), START + 120_000);
    let (_, third) = world.connected(&resuming(&first));
    assert_ne!(third.connection_id, first.connection_id);
    assert_eq!(third.error.map(|error| error.code), Some(80008));
}

#[test]
fn after_a_restart_stored_messages_are_replayed_and_repeats_recognised() {
    let mut before = world();
    let (client, connected) = before.connected(ALL);
    let attached = before.attach(client, "kept:a");
    before.send(client, &publish("kept:a", 0, "a"));
    before.send(client, &enter("kept:a", 1, "x"));
    let mut world = restarted(before.store, START + 1_000);
    let client = world.connect(&resuming(&connected));
    assert_eq!(
        world.ask(client, &attach_from("kept:a", &attached)),
        ["attached kept:a resumed backlog", "message kept:a a"]
    );
    assert_eq!(world.ask(client, &publish("kept:a", 0, "a")), ["ack 0+1"]);
    assert_eq!(
        world.ask(client, &enter("kept:a", 1, "x")),
        ["presence kept:a enter:x", "ack 1+1"],
        "a member did not outlive the node, so it enters"
    );
}

#[test]
fn a_channel_without_a_store_says_after_a_restart_that_messages_may_be_missing() {
    let mut before = world();
    let (client, connected) = before.connected(ALL);
    let attached = before.attach(client, "news");
    let mut world = restarted(crate::world::Store::default(), START + 1_000);
    let client = world.connect(&resuming(&connected));
    assert_eq!(world.ask(client, &attach_from("news", &attached)), ["attached news 90003"]);
    assert_eq!(world.ask(client, &attach("other")), ["attached other"]);
}
