//! What clients leave behind once they are gone: nothing.

use protocol::{Action, ProtocolMessage};

use crate::world::{
    ALL, World, act, attach, attach_from, enter, key_caller, on, publish, resuming, text,
    with_params, world, world_with,
};

fn is_empty_after_a_while(world: &mut World) {
    world.advance(10 * 60_000);
    assert!(world.node.is_empty(), "something is left");
    assert_eq!(world.node.next_deadline(), None);
}

/// A client that does a bit of everything, over three transports; returns the last.
fn busy_client(world: &mut World) -> node::TransportId {
    let (client, connected) = world.connected(ALL);
    let attached = world.attach(client, "news");
    for channel in ["other", "kept:a", "[?rewind=1]news", "[filter=bmFtZQ]news"] {
        world.send(client, &attach(channel));
    }
    world.send(client, &attach("news"));
    world.send(client, &with_params(attach("other"), &[("echo", "false")]));
    world.send(client, &on(Action::Detach, "other"));
    world.send(client, &enter("news", 0, "x"));
    world.send(client, &enter("kept:a", 1, "x"));
    world.send(client, &publish("transient", 2, "x"));
    world.send(client, &publish("", 3, "refused"));
    world.drop_transport(client);
    world.advance(16_000);
    let client = world.connect(&resuming(&connected));
    world.send(client, &attach_from("news", &attached));
    world.send(client, &act("news", 4, types::PresenceAction::Update, "x"));
    let client = world.connect(&resuming(&connected));
    world.send(client, &attach("fresh"));
    client
}

#[test]
fn a_client_that_closed_leaves_nothing_behind() {
    let mut world = world();
    let client = busy_client(&mut world);
    world.send(client, &ProtocolMessage::new(Action::Close));
    is_empty_after_a_while(&mut world);
}

#[test]
fn a_client_that_vanished_leaves_nothing_behind() {
    let mut world = world();
    let client = busy_client(&mut world);
    world.drop_transport(client);
    is_empty_after_a_while(&mut world);
}

#[test]
fn a_client_that_was_refused_everything_leaves_nothing_behind() {
    let mut world = world_with(|setup| setup.app.limits.presence_members = 1);
    let client = world.connect(ALL);
    world.attach(client, "news");
    for n in 0..20 {
        world.send(client, &enter("news", n, &n.to_string()));
    }
    world.store.holding = true;
    world.send(client, &publish("kept:b", 20, "x"));
    world.release_failed();
    world.send(client, &ProtocolMessage::new(Action::Close));
    is_empty_after_a_while(&mut world);
}

#[test]
fn a_channel_whose_only_publish_was_refused_ends_at_once() {
    let mut world = world_with(|setup| setup.limits.ids_per_channel = 0);
    let client = world.connect(ALL);
    assert_eq!(world.ask(client, &publish("news", 0, "x")), ["nack 0+1 42913"]);
    assert_eq!(world.node.channel_count(), 0);
}

#[test]
fn a_store_that_answers_too_late_leaves_nothing_behind() {
    let mut world = world();
    let client = world.connect(ALL);
    world.store.holding = true;
    world.send(client, &attach("kept:a"));
    world.send(client, &publish("kept:a", 0, "x"));
    world.advance(30_000);
    assert_eq!(world.seen(client), ["detached kept:a 50003", "nack 0+1 50003"]);
    world.send(client, &ProtocolMessage::new(Action::Close));
    world.release();
    is_empty_after_a_while(&mut world);
}

#[test]
fn requests_leave_nothing_behind() {
    let mut world = world();
    let publish = |channel: &str| node::Operation::Publish {
        channel: channel.into(),
        messages: vec![text("x")],
    };
    world.request("all", publish("news"));
    world.request("reader", publish("news"));
    world.store.holding = true;
    let waiting = world.start_request(key_caller("all"), publish("kept:a"));
    world.advance(20_000);
    assert!(world.reply(waiting).is_some());
    world.release();
    is_empty_after_a_while(&mut world);
}

#[test]
fn channels_that_a_resuming_client_does_not_attach_again_do_not_pile_up() {
    let mut world = world();
    let (mut client, connected) = world.connected(ALL);
    for n in 0..50 {
        world.send(client, &attach(&format!("channel {n}")));
        world.send(client, &attach("news"));
        client = world.connect(&resuming(&connected));
        world.advance(60_000);
        assert!(world.node.channel_count() <= 4);
    }
}
