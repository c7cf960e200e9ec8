//! Connecting: what a client is told about its connection, and with which code it is refused.

use std::time::Duration;

use node::Event;
use protocol::{Action, Format, ProtocolMessage};

use crate::world::{ALL, START, attach, publish, world, world_with};

const FULL: &str = r#"{"*":["*"]}"#;

#[test]
fn a_client_is_told_what_holds_for_its_connection() {
    for format in Format::ALL {
        let mut world = world();
        let client = world.open_as(format, &format!("v=6&{ALL}&clientId=bob"));
        let [connected] = world.frames(client).try_into().unwrap();
        let details = connected.connection_details.unwrap();
        assert_eq!(connected.connection_id.unwrap().as_str().len(), 10);
        assert_eq!(details.client_id.unwrap().as_str(), "bob");
        assert_eq!(Some(&details.connection_key), connected.connection_key.as_ref());
        assert_eq!((details.max_message_size, details.max_frame_size), (65_536, 524_288));
        assert_eq!((details.connection_state_ttl, details.max_idle_interval), (120_000, 15_000));
        assert_eq!(details.server_id.as_ref(), "node-1");
        assert_eq!(details.site_code.as_str(), "dun");
    }
}

#[test]
fn a_refused_client_gets_an_error_with_the_code_and_is_closed() {
    let mut world = world();
    let bob = world.token(FULL, Some("bob"), Duration::from_mins(1)).token;
    let anonymous = world.token(FULL, None, Duration::from_mins(1)).token;
    let expired = world.token(FULL, None, Duration::from_millis(5)).token;
    world.advance(10);
    let cases = [
        ("v=6", 40100),
        ("v=6&key=nonsense", 40101),
        ("v=6&key=app.all:wrong", 40101),
        ("v=6&key=app.nobody:x", 40101),
        ("v=6&key=nobody.all:x", 40101),
        ("v=6&accessToken=app.nonsense", 40143),
        (&format!("v=6&accessToken={expired}"), 40142),
        (&format!("v=6&accessToken={bob}&clientId=eve"), 40102),
        (&format!("v=6&accessToken={anonymous}&clientId=eve"), 40102),
        (&format!("v=6&{ALL}&clientId=*"), 40012),
        (ALL, 40017),
        (&format!("v=7&{ALL}"), 40017),
        (&format!("v=1.2&{ALL}"), 80024),
        (&format!("v=6&{ALL}&remainPresentFor=never"), 40003),
        (&format!("v=6&{ALL}&heartbeatInterval=1"), 40003),
    ];
    for (query, code) in cases {
        for format in Format::ALL {
            let client = world.open_as(format, query);
            assert_eq!(world.seen(client), [format!("error {code}")], "{query}");
            assert!(world.closed(client));
        }
    }
    assert!(world.node.is_empty());
}

#[test]
fn a_refusal_that_another_attempt_may_mend_is_disconnected() {
    let mut world = world_with(|setup| setup.app.limits.connection_rate = 1);
    world.connect(ALL);
    let second = world.open(ALL);
    assert_eq!(world.seen(second), ["disconnected 80021"]);
    assert!(world.closed(second));
    world.advance(1_000);
    world.connect(ALL);
}

#[test]
fn connections_beyond_the_limit_of_the_app_are_refused_until_one_ends() {
    let mut world = world_with(|setup| setup.app.limits.connections = 1);
    let first = world.connect(ALL);
    let second = world.open(ALL);
    assert_eq!(world.seen(second), ["error 40150"]);
    world.send(first, &ProtocolMessage::new(Action::Close));
    world.connect(ALL);
}

#[test]
fn what_a_refused_transport_sends_is_void() {
    let mut world = world();
    let client = world.open("key=nonsense");
    world.seen(client);
    world.send(client, &ProtocolMessage::new(Action::Close));
    world.drop_transport(client);
    assert!(world.seen(client).is_empty());
}

#[test]
fn heartbeats_are_messages_or_pings_as_the_client_asked() {
    let mut world = world();
    let messages = world.connect(&format!("{ALL}&heartbeats=true"));
    let pings = world.connect(&format!("{ALL}&heartbeats=false"));
    let own = world.connect(&format!("{ALL}&heartbeatInterval=5000"));
    world.advance(15_000);
    assert_eq!(world.seen(messages), ["heartbeat"]);
    assert!(world.seen(pings).is_empty());
    assert_eq!([messages, pings, own].map(|id| world.transports[&id].pings), [0, 1, 3]);
}

#[test]
fn an_idle_interval_of_0_means_no_heartbeats() {
    let mut world = world_with(|setup| setup.limits.max_idle_interval_ms = 0);
    let client = world.connect(ALL);
    world.advance(60_000);
    assert_eq!((world.transports[&client].pings, world.now), (0, START + 60_000));
}

#[test]
fn a_ping_is_answered_with_its_id_after_a_measurable_time_and_one_without_is_not() {
    let mut world = world();
    let client = world.connect(ALL);
    let mut ping = ProtocolMessage::new(Action::Heartbeat);
    assert!(world.ask(client, &ping).is_empty());
    for id in ["p1", "p2"] {
        ping.id = Some(id.into());
        assert!(world.ask(client, &ping).is_empty());
    }
    world.advance(2);
    let answers = world.frames(client);
    let ids: Vec<_> = answers.iter().map(|answer| answer.id.as_deref()).collect();
    assert_eq!(ids, [Some("p1"), Some("p2")]);
}

#[test]
fn what_comes_together_is_acknowledged_together_and_before_anything_else_is_said() {
    let mut world = world();
    let transport = world.connect(ALL);
    let frames = vec![
        attach("news"),
        publish("news", 0, "a"),
        publish("news", 1, "b"),
        attach("other"),
        publish("other", 2, "c"),
        ProtocolMessage::new(Action::Close),
    ];
    world.handle(Event::Frames { transport, frames });
    let seen = world.seen(transport);
    let what: Vec<&str> = seen.iter().filter_map(|line| line.split(' ').next()).collect();
    let expected =
        ["attached", "message", "message", "ack", "attached", "message", "ack", "closed"];
    assert_eq!(what, expected);
    assert_eq!((seen[3].as_str(), seen[6].as_str()), ("ack 0+2", "ack 2+1"));
}

#[test]
fn a_client_that_closes_is_told_so_and_forgotten() {
    let mut world = world();
    let client = world.connect(ALL);
    assert_eq!(world.ask(client, &ProtocolMessage::new(Action::Close)), ["closed"]);
    assert!(world.closed(client));
    assert_eq!(world.node.session_count(), 0);
}

#[test]
fn a_client_that_disconnects_may_resume() {
    let mut world = world();
    let (client, connected) = world.connected(ALL);
    assert_eq!(world.ask(client, &ProtocolMessage::new(Action::Disconnect)), ["disconnected"]);
    assert!(world.closed(client));
    world.connect(&crate::world::resuming(&connected));
}

#[test]
fn what_is_no_frame_or_no_action_of_a_client_ends_or_changes_nothing() {
    let mut world = world();
    let client = world.connect(ALL);
    assert!(world.ask(client, &ProtocolMessage::new(Action::Other(200))).is_empty());
    assert!(world.ask(client, &ProtocolMessage::new(Action::Connected)).is_empty());
    world.handle(Event::BadFrame { transport: client, error: types::error::PROTOCOL_ERROR.info() });
    assert_eq!(world.seen(client), ["error 80013"]);
    assert!(world.closed(client));
    assert!(world.node.is_empty());
}
