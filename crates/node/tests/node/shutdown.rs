//! The node is about to stop.

use node::Event;

use crate::world::{ALL, world};

#[test]
fn clients_are_told_to_reconnect_and_nobody_new_is_served() {
    let mut world = world();
    let client = world.connect(ALL);
    world.attach(client, "news");
    world.handle(Event::Shutdown);
    assert_eq!(world.seen(client), ["disconnected 80003"]);
    assert!(world.closed(client));
    let late = world.open(ALL);
    assert_eq!(world.seen(late), ["disconnected 80003"]);
    assert!(world.closed(late));
}

#[test]
fn what_was_published_before_is_still_stored() {
    let mut world = world();
    let client = world.connect(ALL);
    world.attach(client, "kept:a");
    world.store.holding = true;
    world.send(client, &crate::world::publish("kept:a", 0, "x"));
    world.handle(Event::Shutdown);
    world.release();
    assert_eq!(world.seen(client), ["disconnected 80003"]);
    assert_eq!(world.store.entries.values().map(Vec::len).sum::<usize>(), 1);
}
