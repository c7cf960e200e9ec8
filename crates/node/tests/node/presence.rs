//! Members: entering, SYNC, and every way to leave.

use protocol::{Action, ProtocolMessage, flags};
use types::PresenceAction::{Enter, Leave, Present, Update};
use types::PresenceMessage;

use crate::show::show;
use crate::world::{ALL, World, act, attach, attach_from, enter, on, resuming, world, world_with};

/// Somebody who watches `news`.
fn watcher(world: &mut World) -> node::TransportId {
    let watcher = world.connect(ALL);
    world.attach(watcher, "news");
    watcher
}

#[test]
fn members_are_told_to_those_who_are_there_and_to_those_who_come() {
    let mut world = world();
    let client = world.connect(ALL);
    world.attach(client, "news");
    assert_eq!(world.ask(client, &enter("news", 0, "x")), ["presence news enter:x", "ack 0+1"]);
    world.send(client, &act("news", 1, Update, "x"));
    world.send(client, &enter("news", 2, "y"));
    let other = world.connect(ALL);
    assert_eq!(world.ask(other, &attach("news")), ["attached news presence", "sync news x y"]);
    world.seen(client);
    world.send(client, &act("news", 3, Leave, "x"));
    assert_eq!(world.seen(other), ["presence news leave:x"]);
}

#[test]
fn a_large_set_comes_in_pages_of_one_sequence_and_the_last_says_so() {
    let mut world = world_with(|setup| setup.app.limits.max_message_size = 13_100);
    let client = world.connect(ALL);
    world.attach(client, "news");
    let items = (0..250).map(|n| PresenceMessage {
        client_id: Some(format!("{n:03}").as_str().into()),
        ..PresenceMessage::new(Enter)
    });
    let frame = ProtocolMessage {
        msg_serial: Some(0),
        presence: items.collect(),
        ..on(Action::Presence, "news")
    };
    world.send(client, &frame);
    world.seen(client);
    let sequence = |world: &mut World| {
        world.send(client, &on(Action::Sync, "news"));
        let frames = world.frames(client);
        assert_eq!(frames.iter().map(|f| f.presence.len()).collect::<Vec<_>>(), [100, 100, 50]);
        let serials: Vec<_> = frames.iter().map(|f| f.channel_serial.clone().unwrap()).collect();
        let (sequence, _) = serials[0].split_once(':').unwrap();
        assert_eq!(serials, ["1", "2", ""].map(|page| format!("{sequence}:{page}").into()));
        sequence.to_owned()
    };
    assert_ne!(sequence(&mut world), sequence(&mut world));
}

#[test]
fn own_presence_comes_back_whatever_the_echo_and_modes() {
    let mut world = world();
    let client = world.connect(&format!("{ALL}&echo=false"));
    let modes = ProtocolMessage { flags: Some(flags::PRESENCE), ..attach("news") };
    world.attach_with(client, &modes);
    assert_eq!(world.ask(client, &enter("news", 0, "x")), ["presence news enter:x", "ack 0+1"]);
    let other = world.connect(ALL);
    world.attach(other, "news");
    world.send(other, &enter("news", 0, "y"));
    assert!(world.seen(client).is_empty());
}

#[test]
fn each_refusal_of_presence_has_its_code() {
    let mut world = world();
    let client = world.connect(ALL);
    assert_eq!(world.ask(client, &enter("news", 0, "x")), ["nack 0+1 91001"]);
    world.attach(client, "news");
    let anonymous = ProtocolMessage {
        msg_serial: Some(1),
        presence: vec![PresenceMessage::new(Enter)],
        ..on(Action::Presence, "news")
    };
    assert_eq!(world.ask(client, &anonymous), ["nack 1+1 91000"]);
    assert_eq!(world.ask(client, &act("news", 2, Present, "x")), ["nack 2+1 40000"]);
    let empty = ProtocolMessage { presence: vec![], msg_serial: Some(3), ..anonymous };
    assert_eq!(world.ask(client, &empty), ["nack 3+1 40030"]);
    let bob = world.connect(&format!("{ALL}&clientId=bob"));
    world.attach_with(bob, &ProtocolMessage { flags: Some(flags::SUBSCRIBE), ..attach("news") });
    assert_eq!(world.ask(bob, &enter("news", 0, "bob")), ["nack 0+1 40165"]);
    world.attach(bob, "other");
    assert_eq!(world.ask(bob, &enter("other", 1, "eve")), ["nack 1+1 40012"]);
    let reader = world.connect("key=app.reader:secret of reader");
    world.attach(reader, "news");
    assert_eq!(world.ask(reader, &enter("news", 0, "x")), ["nack 0+1 40160"]);
}

#[test]
fn members_leave_with_a_close_at_once() {
    let mut world = world();
    let watcher = watcher(&mut world);
    let client = world.connect(ALL);
    world.attach(client, "news");
    world.send(client, &enter("news", 0, "x"));
    world.seen(watcher);
    world.send(client, &ProtocolMessage::new(Action::Close));
    assert_eq!(world.seen(watcher), ["presence news leave:x"]);
}

#[test]
fn members_leave_with_the_last_attachment_of_their_channel() {
    let mut world = world();
    let watcher = watcher(&mut world);
    let client = world.connect(ALL);
    world.attach(client, "news");
    world.attach(client, "[?echo=false]news");
    world.send(client, &enter("news", 0, "x"));
    world.seen(watcher);
    world.send(client, &on(Action::Detach, "news"));
    assert!(world.seen(watcher).is_empty());
    world.send(client, &on(Action::Detach, "[?echo=false]news"));
    assert_eq!(world.seen(watcher), ["presence news leave:x"]);
}

#[test]
fn members_of_a_dropped_connection_leave_after_the_grace_by_the_servers_word() {
    let mut world = world();
    let watcher = watcher(&mut world);
    let (client, connected) = world.connected(ALL);
    world.attach(client, "news");
    world.send(client, &enter("news", 0, "x"));
    world.seen(watcher);
    world.drop_transport(client);
    world.advance(14_999);
    assert!(world.seen(watcher).is_empty());
    world.advance(1);
    let [leave] = world.frames(watcher).try_into().unwrap();
    assert_eq!(show(&leave), "presence news leave:x");
    let connection = connected.connection_id.unwrap();
    let item = &leave.presence[0];
    let id = item.id.as_deref().or(leave.id.as_deref()).unwrap();
    assert!(!id.starts_with(connection.as_str()), "{id}");
    assert_eq!(item.connection_id.as_ref(), Some(&connection));
}

#[test]
fn the_grace_is_what_the_client_asked_for() {
    let mut world = world();
    let watcher = watcher(&mut world);
    let client = world.connect(&format!("{ALL}&remainPresentFor=1000"));
    world.attach(client, "news");
    world.send(client, &enter("news", 0, "x"));
    world.drop_transport(client);
    world.seen(watcher);
    world.advance(1_000);
    assert_eq!(world.seen(watcher), ["presence news leave:x"]);
}

#[test]
fn a_resume_within_the_grace_keeps_the_members_and_tells_them_again() {
    let mut world = world();
    let watcher = watcher(&mut world);
    let (client, connected) = world.connected(ALL);
    let attached = world.attach(client, "news");
    world.send(client, &enter("news", 0, "x"));
    let position = world.frames(client).remove(0);
    world.seen(watcher);
    world.drop_transport(client);
    world.advance(10_000);
    let client = world.connect(&resuming(&connected));
    assert_eq!(
        world.ask(client, &attach_from("news", &position)),
        ["attached news resumed presence", "sync news x"]
    );
    world.advance(60_000);
    assert!(world.seen(watcher).is_empty());
    assert_eq!(
        world.ask(client, &attach_from("news", &attached)),
        ["attached news resumed presence backlog", "presence news enter:x", "sync news x"]
    );
}

#[test]
fn members_of_channels_that_a_resumed_client_does_not_attach_again_leave() {
    let mut world = world();
    let watcher = watcher(&mut world);
    let (client, connected) = world.connected(ALL);
    for (n, channel) in (0..).zip(["news", "other"]) {
        world.attach(client, channel);
        world.send(client, &enter(channel, n, "x"));
    }
    world.drop_transport(client);
    world.seen(watcher);
    let client = world.connect(&resuming(&connected));
    world.attach(client, "other");
    world.advance(15_000);
    assert_eq!(world.seen(watcher), ["presence news leave:x"]);
    world.attach(watcher, "other");
    assert_eq!(world.seen(watcher), ["sync other x"]);
}

#[test]
fn a_client_that_enters_again_with_its_old_id_is_back_after_the_grace() {
    let mut world = world();
    let watcher = watcher(&mut world);
    let (client, connected) = world.connected(ALL);
    world.attach(client, "news");
    world.send(client, &enter("news", 3, "x"));
    world.drop_transport(client);
    world.advance(20_000);
    let client = world.connect(&resuming(&connected));
    world.attach(client, "news");
    world.seen(watcher);
    let mut again = enter("news", 4, "x");
    again.presence[0].id = Some(format!("{}:3:0", connected.connection_id.unwrap()).into());
    assert_eq!(world.ask(client, &again), ["presence news enter:x", "ack 4+1"]);
    assert_eq!(world.seen(watcher), ["presence news enter:x"]);
    again.msg_serial = Some(5);
    assert_eq!(world.ask(client, &again), ["ack 5+1"], "a member already: not told again");
}

#[test]
fn an_enter_that_is_sent_again_after_its_member_had_to_leave_enters() {
    let mut world = world();
    let watcher = watcher(&mut world);
    let (client, connected) = world.connected(ALL);
    world.attach(client, "news");
    world.send(client, &enter("news", 0, "x"));
    world.drop_transport(client);
    world.advance(20_000);
    assert_eq!(world.seen(watcher), ["presence news enter:x", "presence news leave:x"]);
    let client = world.connect(&resuming(&connected));
    world.attach(client, "news");
    assert_eq!(world.ask(client, &enter("news", 0, "x")), ["presence news enter:x", "ack 0+1"]);
    let [entered] = world.frames(watcher).try_into().unwrap();
    let id = entered.presence[0].id.clone().unwrap();
    assert_eq!(id.as_ref(), format!("{}:0:0", connected.connection_id.unwrap()));
}

#[test]
fn an_enter_that_is_sent_again_within_the_grace_is_acknowledged_and_not_repeated() {
    let mut world = world();
    let watcher = watcher(&mut world);
    let (client, connected) = world.connected(ALL);
    world.attach(client, "news");
    world.send(client, &enter("news", 0, "x"));
    world.drop_transport(client);
    world.seen(watcher);
    let client = world.connect(&resuming(&connected));
    world.attach(client, "news");
    assert_eq!(world.ask(client, &enter("news", 0, "x")), ["sync news x", "ack 0+1"]);
    assert!(world.seen(watcher).is_empty());
}

#[test]
fn a_member_that_was_refused_does_not_leave() {
    let mut world = world_with(|setup| setup.app.limits.presence_members = 1);
    let watcher = watcher(&mut world);
    let client = world.connect(ALL);
    world.attach(client, "news");
    world.send(client, &enter("news", 0, "x"));
    assert_eq!(world.ask(client, &enter("news", 1, "y")).last().unwrap(), "nack 1+1 91003");
    world.seen(watcher);
    world.send(client, &ProtocolMessage::new(Action::Close));
    assert_eq!(world.seen(watcher), ["presence news leave:x"]);
}

#[test]
fn a_member_whose_entry_is_not_yet_stored_leaves_too() {
    let mut world = world();
    let [watcher, client] = [(); 2].map(|()| world.connect(ALL));
    world.attach(watcher, "kept:a");
    world.attach(client, "kept:a");
    world.store.holding = true;
    world.send(client, &enter("kept:a", 0, "x"));
    world.send(client, &ProtocolMessage::new(Action::Close));
    world.release();
    assert_eq!(world.seen(watcher), ["presence kept:a enter:x", "presence kept:a leave:x"]);
}

#[test]
fn nobody_can_take_the_id_under_which_members_leave() {
    let mut world = world();
    let watcher = watcher(&mut world);
    let (client, connected) = world.connected(ALL);
    world.attach(client, "news");
    world.send(client, &enter("news", 0, "x"));
    let connection = connected.connection_id.unwrap();
    for (n, id) in (0..).zip([
        format!("leave-{connection}-0:1"),
        format!("leave-{connection}-0:1:0"),
        format!("leave-{connection}-0"),
    ]) {
        let message = types::Message { id: Some(id.into()), ..crate::world::text("mine") };
        world.send(watcher, &crate::world::publish_all("news", n, vec![message]));
    }
    world.seen(watcher);
    world.send(client, &ProtocolMessage::new(Action::Close));
    assert_eq!(world.seen(watcher), ["presence news leave:x"]);
}
