//! Every limit that a node applies: its code, and whether the connection outlives it. (Limits on
//! connections are in `connecting`, sizes in `publish`.)

use protocol::{Action, ProtocolMessage};
use types::PresenceMessage;

use crate::world::{
    ALL, World, attach, code, enter, key_caller, on, publish, publish_all, resuming, text,
    world_with,
};

/// Publishes `count` messages, each in a frame, and returns how many were not acknowledged.
fn refused(world: &mut World, client: node::TransportId, count: i64, code: u32) -> usize {
    for n in 0..count {
        world.send(client, &publish("news", n, "x"));
    }
    let seen = world.seen(client);
    let refusals = seen.iter().filter(|line| line.ends_with(&format!(" {code}"))).count();
    assert_eq!(seen.len(), usize::try_from(count).unwrap(), "{seen:?}");
    assert!(!world.closed(client));
    refusals
}

#[test]
fn publishes_beyond_the_rate_of_a_connection_are_refused_with_42911() {
    let mut world = world_with(|setup| setup.app.limits.connection_inbound_rate = 10);
    let [client, other] = [(); 2].map(|()| world.connect(ALL));
    assert_eq!(refused(&mut world, client, 15, 42911), 5);
    assert_eq!(refused(&mut world, other, 10, 42911), 0, "others are not affected");
    world.advance(1_000);
    assert_eq!(world.ask(client, &publish("news", 99, "x")), ["ack 99+1"]);
}

#[test]
fn publishes_far_beyond_the_rate_of_a_connection_end_it_with_42921() {
    let mut world = world_with(|setup| setup.app.limits.connection_inbound_rate = 10);
    let client = world.connect(ALL);
    for n in 0..=200 {
        world.send(client, &publish("news", n, "x"));
    }
    assert_eq!(world.seen(client).last().unwrap(), "error 42921");
    assert!(world.closed(client));
}

#[test]
fn what_no_channel_knows_is_not_excused_from_the_rate_of_a_connection_as_sent_again() {
    for last in [49, 1_000_000] {
        let mut world = world_with(|setup| setup.app.limits.connection_inbound_rate = 4);
        let (client, connected) = world.connected(ALL);
        assert_eq!(world.ask(client, &publish("a", last, "x")).len(), 1);
        world.drop_transport(client);
        let client = world.connect(&resuming(&connected));
        assert_eq!(refused(&mut world, client, 49, 42911), 46, "{last}");
        assert_eq!(world.ask(client, &publish("a", last, "x")), [format!("ack {last}+1")]);
    }
}

#[test]
fn what_no_channel_knows_is_not_excused_from_the_quotas_of_the_app_as_sent_again() {
    let mut world = world_with(|setup| setup.app.limits.messages_per_hour = 1);
    let (client, connected) = world.connected(ALL);
    assert_eq!(world.ask(client, &publish("a", 9, "x")), ["ack 9+1"]);
    world.drop_transport(client);
    let client = world.connect(&resuming(&connected));
    assert_eq!(refused(&mut world, client, 3, 40112), 3);
    assert_eq!(world.ask(client, &publish("a", 9, "x")), ["ack 9+1"]);
}

#[test]
fn frames_beyond_the_rate_end_the_connection_with_42924() {
    let mut world = world_with(|setup| setup.limits.connection_frame_rate = 4);
    let client = world.connect(ALL);
    for _ in 0..5 {
        world.send(client, &ProtocolMessage::new(Action::Heartbeat));
    }
    assert_eq!(world.seen(client), ["error 42924"]);
    assert!(world.closed(client));
}

#[test]
fn too_many_unacknowledged_publishes_end_the_connection_with_42920() {
    let mut world = world_with(|setup| setup.limits.connection_unacknowledged = 2);
    let client = world.connect(ALL);
    world.attach(client, "kept:a");
    world.store.holding = true;
    for n in 0..3 {
        world.send(client, &publish("kept:a", n, "x"));
    }
    assert_eq!(world.seen(client), ["error 42920"]);
    assert!(world.closed(client));
}

#[test]
fn messages_beyond_the_rate_of_the_app_are_refused_with_42917() {
    let mut world = world_with(|setup| setup.app.limits.message_rate = 1);
    let [client, other] = [(); 2].map(|()| world.connect(ALL));
    assert_eq!(refused(&mut world, client, 24, 42917), 0, "an average over 24 seconds");
    assert_eq!(refused(&mut world, other, 2, 42917), 2);
    let publish = node::Operation::Publish { channel: "news".into(), messages: vec![text("x")] };
    assert_eq!(code(&world.request("all", publish)), 42917);
}

#[test]
fn messages_beyond_the_hourly_quota_of_the_app_are_refused_with_40112() {
    let mut world = world_with(|setup| setup.app.limits.messages_per_hour = 4);
    let client = world.connect(ALL);
    assert_eq!(refused(&mut world, client, 6, 40112), 2);
    let publish = node::Operation::Publish { channel: "news".into(), messages: vec![text("x")] };
    assert_eq!(code(&world.request("all", publish)), 40112);
}

#[test]
fn a_repeated_publish_is_answered_whatever_the_app_has_used() {
    let mut world = world_with(|setup| setup.app.limits.messages_per_hour = 1);
    let mut publish = |id: &str| {
        let message = types::Message { id: Some(id.into()), ..text("x") };
        let channel = "news".into();
        world.request("all", node::Operation::Publish { channel, messages: vec![message] })
    };
    assert!(matches!(publish("a"), node::Response::Published { .. }));
    assert!(matches!(publish("a"), node::Response::Published { .. }));
    assert_eq!(code(&publish("b")), 40112);
}

#[test]
fn messages_beyond_the_monthly_quota_of_the_app_are_refused_with_40112() {
    let mut world = world_with(|setup| setup.app.limits.messages_per_month = 4);
    let client = world.connect(ALL);
    assert_eq!(refused(&mut world, client, 6, 40112), 2);
}

#[test]
fn what_is_delivered_counts_against_the_limits_of_the_app() {
    let mut world = world_with(|setup| setup.app.limits.messages_per_hour = 6);
    let [publisher, reader] = [(); 2].map(|()| world.connect(ALL));
    world.attach(reader, "news");
    assert_eq!(refused(&mut world, publisher, 4, 40112), 1);
    assert_eq!(world.seen(reader).len(), 3);
}

#[test]
fn bytes_beyond_the_bandwidth_of_the_app_are_refused_with_42910() {
    let mut world = world_with(|setup| setup.app.limits.bandwidth_kib_rate = 1);
    let client = world.connect(ALL);
    let large = "x".repeat(24 << 10);
    assert_eq!(world.ask(client, &publish("news", 0, &large)), ["ack 0+1"]);
    assert_eq!(world.ask(client, &publish("news", 1, "x")), ["nack 1+1 42910"]);
    world.advance(1_000);
    assert_eq!(world.ask(client, &publish("news", 2, "x")), ["ack 2+1"]);
}

#[test]
fn bytes_beyond_the_hourly_bandwidth_of_the_app_are_refused_with_40112() {
    let mut world = world_with(|setup| setup.app.limits.bandwidth_mib_per_hour = 1);
    let client = world.connect(ALL);
    let large = "x".repeat(60 << 10);
    for n in 0..17 {
        assert_eq!(world.ask(client, &publish("news", n, &large)), [format!("ack {n}+1")]);
    }
    assert_eq!(world.ask(client, &publish("news", 17, &large)), ["nack 17+1 40112"]);
    assert_eq!(world.ask(client, &publish("news", 18, "x")), ["ack 18+1"]);
}

#[test]
fn apps_with_too_many_keys_or_namespaces_are_refused_with_40127_and_40126() {
    let mut world = world_with(|setup| {
        setup.limits.keys_per_app = 2;
        setup.limits.namespaces_per_app = 1;
    });
    let mut create = |keys: usize, namespaces: usize| {
        let spec = serde_json::from_value(serde_json::json!({
            "keys": vec![serde_json::json!({}); keys],
            "namespaces": vec![serde_json::json!({ "id": "a" }); namespaces],
        }))
        .unwrap();
        world.request_as(node::Caller::default(), node::Operation::CreateApp(spec))
    };
    assert_eq!(code(&create(3, 1)), 40127);
    assert_eq!(code(&create(2, 2)), 40126);
    assert!(matches!(create(2, 1), node::Response::AppCreated(_)));
}

#[test]
fn requests_beyond_the_hourly_quota_are_refused_with_40115() {
    let mut world = world_with(|setup| {
        setup.app.limits.requests_per_hour = 1;
        setup.app.limits.token_requests_per_hour = 1;
    });
    let stats = || node::Operation::PostStats(Vec::new());
    assert!(matches!(world.request("all", stats()), node::Response::Created));
    assert_eq!(code(&world.request("all", stats())), 40115);
    world.advance(3_600_000);
    assert!(matches!(crate::tokens::unsigned(&mut world), node::Response::Token(_)));
    assert_eq!(code(&crate::tokens::unsigned(&mut world)), 40115);
}

#[test]
fn messages_beyond_the_rate_of_a_channel_are_refused_with_42913() {
    let mut world = world_with(|setup| setup.app.limits.channel_message_rate = 4);
    let client = world.connect(ALL);
    assert_eq!(refused(&mut world, client, 6, 42913), 2);
    assert_eq!(world.ask(client, &publish("other", 6, "x")), ["ack 6+1"]);
}

#[test]
fn bytes_beyond_the_rate_of_a_channel_are_refused_with_42914() {
    let mut world = world_with(|setup| setup.app.limits.channel_kib_rate = 1);
    let client = world.connect(ALL);
    let large = "x".repeat(2_000);
    assert_eq!(world.ask(client, &publish("news", 0, &large)), ["ack 0+1"]);
    assert_eq!(world.ask(client, &publish("news", 1, &large)), ["nack 1+1 42914"]);
    assert!(!world.closed(client));
}

#[test]
fn ids_beyond_what_a_channel_remembers_are_refused_with_42913() {
    let mut world = world_with(|setup| setup.limits.ids_per_channel = 2);
    let client = world.connect(ALL);
    assert_eq!(refused(&mut world, client, 3, 42913), 1);
}

#[test]
fn a_publish_of_more_bytes_than_the_limit_is_refused_with_40009() {
    let mut world = world_with(|setup| setup.app.limits.max_message_size = 10);
    let client = world.connect(ALL);
    world.attach(client, "news");
    world.send(client, &publish("news", 0, "0123456789"));
    let two = publish_all("news", 1, vec![text("012345"), text("6789x")]);
    world.seen(client);
    assert_eq!(world.ask(client, &two), ["nack 1+1 40009"]);
    let mut large = enter("news", 2, "x");
    large.presence[0].data = types::Data::Text("0123456789".into());
    assert_eq!(world.ask(client, &large), ["nack 2+1 40009"]);
}

#[test]
fn channels_beyond_those_of_a_connection_are_refused_with_90010_until_one_is_detached() {
    let mut world = world_with(|setup| setup.app.limits.channels_per_connection = 1);
    let client = world.connect(ALL);
    world.attach(client, "a");
    assert_eq!(world.ask(client, &attach("b")), ["error b 90010"]);
    world.attach(client, "a");
    world.send(client, &on(Action::Detach, "a"));
    world.seen(client);
    world.attach(client, "b");
}

#[test]
fn channels_beyond_those_of_the_app_are_refused_with_40114_until_one_ends() {
    let mut world = world_with(|setup| setup.app.limits.channels = 1);
    let client = world.connect(ALL);
    world.attach(client, "a");
    assert_eq!(world.ask(client, &attach("b")), ["error b 40114"]);
    assert_eq!(world.ask(client, &publish("b", 0, "x")), ["nack 0+1 40114"]);
    world.send(client, &on(Action::Detach, "a"));
    world.seen(client);
    world.advance(120_000);
    world.attach(client, "b");
}

#[test]
fn channels_that_become_active_too_fast_are_refused_with_90021_and_tried_again() {
    let mut world = world_with(|setup| setup.app.limits.channel_rate = 1);
    let client = world.connect(ALL);
    world.attach(client, "a");
    assert_eq!(world.ask(client, &attach("b")), ["detached b 90021"]);
    world.advance(1_000);
    world.attach(client, "b");
}

#[test]
fn a_channel_with_batching_may_have_more_members() {
    let mut world = world_with(|setup| {
        setup.app.limits.presence_members = 1;
        setup.app.limits.presence_members_batched = 2;
        setup.app.namespaces.push(types::Namespace {
            id: "batched".into(),
            batching_enabled: true,
            ..types::Namespace::default()
        });
    });
    let client = world.connect(ALL);
    let mut serial = 0;
    for (channel, members) in [("news", 1), ("batched", 2)] {
        world.attach(client, channel);
        for n in 0..=members {
            world.send(client, &enter(channel, serial, &n.to_string()));
            serial += 1;
        }
        let refusal = format!("nack {}+1 91003", serial - 1);
        let seen = world.seen(client);
        let refused: Vec<_> = seen.iter().filter(|line| line.starts_with("nack")).collect();
        assert_eq!(refused, [&refusal], "{channel}");
    }
}

#[test]
fn members_and_their_data_are_limited_with_91003_and_91006() {
    let mut world = world_with(|setup| {
        setup.app.limits.presence_members = 2;
        setup.app.limits.presence_data_bytes = 5;
    });
    let client = world.connect(ALL);
    world.attach(client, "news");
    let with_data = |n, client, data: &str| {
        let mut frame = enter("news", n, client);
        frame.presence[0].data = types::Data::Text(data.into());
        frame
    };
    world.send(client, &with_data(0, "x", "12345"));
    world.seen(client);
    assert_eq!(world.ask(client, &with_data(1, "y", "6")), ["nack 1+1 91006"]);
    world.send(client, &enter("news", 2, "y"));
    world.seen(client);
    assert_eq!(world.ask(client, &enter("news", 3, "z")), ["nack 3+1 91003"]);
    let leave = PresenceMessage {
        client_id: Some("x".into()),
        ..PresenceMessage::new(types::PresenceAction::Leave)
    };
    let mut frame = enter("news", 4, "z");
    frame.presence.insert(0, leave);
    assert_eq!(world.ask(client, &frame).last().unwrap(), "ack 4+1");
}

#[test]
fn a_client_that_receives_too_much_misses_some_and_is_told_before_and_after() {
    let mut world = world_with(|setup| setup.app.limits.connection_outbound_rate = 2);
    let [client, publisher] = [(); 2].map(|()| world.connect(ALL));
    world.attach(client, "[?rewindLimit=5]news");
    world.attach(publisher, "news");
    world.send(publisher, &enter("news", 0, "x"));
    for n in 1..5 {
        world.send(publisher, &publish("news", n, &n.to_string()));
    }
    let frames = world.frames(client);
    assert_eq!(
        frames.iter().map(crate::show::show).collect::<Vec<_>>(),
        [
            "presence [?rewindLimit=5]news enter:x",
            "message [?rewindLimit=5]news 1",
            "attached [?rewindLimit=5]news presence 80020",
            "sync [?rewindLimit=5]news x",
        ]
    );
    assert_eq!(frames[2].params.get("rewindLimit").map(String::as_str), Some("5"));
    world.advance(1_000);
    assert_eq!(
        world.seen(client),
        ["attached [?rewindLimit=5]news presence 80020", "sync [?rewindLimit=5]news x"]
    );
    world.send(publisher, &publish("news", 5, "5"));
    assert_eq!(world.seen(client), ["message [?rewindLimit=5]news 5"]);
    assert!(!world.closed(client));
}

#[test]
fn a_client_sees_its_own_members_whatever_it_receives_otherwise() {
    let mut world = world_with(|setup| setup.app.limits.connection_outbound_rate = 1);
    let [client, publisher] = [(); 2].map(|()| world.connect(ALL));
    world.attach(client, "news");
    for n in 0..3 {
        world.send(publisher, &publish("news", n, "x"));
    }
    world.seen(client);
    world.send(client, &enter("news", 0, "me"));
    let frames = world.frames(client);
    let own = frames.iter().find(|frame| !frame.presence.is_empty()).unwrap();
    assert_eq!(own.channel_serial, None, "a cursor beyond what is missing");
}

#[test]
fn new_options_do_not_hide_what_was_missed() {
    let mut world = world_with(|setup| setup.app.limits.connection_outbound_rate = 1);
    let [client, publisher] = [(); 2].map(|()| world.connect(ALL));
    world.attach(client, "news");
    for n in 0..3 {
        world.send(publisher, &publish("news", n, "x"));
    }
    world.seen(client);
    let mut attach = attach("news");
    attach.params.insert("rewind".into(), "1".into());
    let seen = world.ask(client, &attach);
    assert_eq!(seen, ["attached news 80020", "attached news resumed"]);
}

#[test]
fn the_outbound_rate_is_of_the_connection_whatever_the_channel() {
    let mut world = world_with(|setup| setup.app.limits.connection_outbound_rate = 2);
    let [client, publisher] = [(); 2].map(|()| world.connect(ALL));
    world.attach(client, "one");
    world.attach(client, "two");
    for (n, channel) in [(0, "one"), (1, "one"), (2, "two")] {
        world.send(publisher, &publish(channel, n, "x"));
    }
    assert_eq!(world.seen(client), ["message one x", "message one x", "attached two 80020"]);
}

#[test]
fn requests_beyond_the_rate_are_refused_with_42918() {
    let mut world = world_with(|setup| setup.app.limits.request_rate = 1);
    let stats = || node::Operation::PostStats(Vec::new());
    assert!(matches!(world.request("all", stats()), node::Response::Created));
    assert_eq!(code(&world.request("all", stats())), 42918);
    world.advance(1_000);
    assert!(matches!(world.request_as(key_caller("all"), stats()), node::Response::Created));
}

#[test]
fn token_requests_beyond_the_rate_are_refused_with_42910() {
    let mut world = world_with(|setup| setup.app.limits.token_request_rate = 1);
    assert!(matches!(crate::tokens::unsigned(&mut world), node::Response::Token(_)));
    assert_eq!(code(&crate::tokens::unsigned(&mut world)), 42910);
}
