//! Presence at the host: what is broadcast, what is only acknowledged, what is refused.

use std::sync::Arc;

use channel::{Config, Limits, Member};
use types::PresenceAction::{Absent, Enter, Leave, Present, Update};
use types::{Body, EntryId, PresenceMessage, Timestamp};

use crate::host::{Host, config, host, host_with, named, persisted, presence, sent, text};

fn act(
    host: &mut Host,
    id: EntryId,
    items: impl IntoIterator<Item = PresenceMessage>,
) -> Vec<String> {
    host.publish(id, Body::Presence(items.into_iter().collect()))
}

fn members(host: &Host) -> Vec<String> {
    let member = |m: &Arc<Member>| format!("{}/{}={}", m.connection_id, m.client_id, text(&m.data));
    host.channel.members().map(member).collect()
}

#[test]
fn what_a_client_asks_for_becomes_what_happened() {
    let mut host = host();
    let steps = [
        (presence(Update, "x", "1"), "deliver enter:x=1"),
        (presence(Enter, "x", "2"), "deliver update:x=2"),
        (presence(Present, "x", "3"), "deliver update:x=3"),
        (presence(Leave, "x", ""), "deliver leave:x=3"),
        (presence(Present, "x", "4"), "deliver enter:x=4"),
        (presence(Leave, "x", "bye"), "deliver leave:x=bye"),
    ];
    for (n, (item, expected)) in (0..).zip(steps) {
        assert_eq!(act(&mut host, sent("c", n), [item])[0], expected);
    }
    assert_eq!(host.channel.metrics().members, 0);
}

#[test]
fn an_attach_gets_the_members_as_they_are() {
    let mut host = host();
    act(&mut host, sent("c", 0), [presence(Enter, "x", "1"), presence(Enter, "y", "2")]);
    act(&mut host, sent("d", 0), [presence(Enter, "x", "3")]);
    act(&mut host, sent("c", 1), [presence(Leave, "y", "")]);
    let attached = host.attach();
    assert_eq!(members(&host), ["c/x=1", "d/x=3"]);
    assert!(attached.members.iter().eq(host.channel.members()));
}

#[test]
fn a_member_is_named_by_its_own_id_or_by_its_entry_and_place() {
    let mut host = host();
    let own = PresenceMessage { id: Some("mine".into()), ..presence(Enter, "y", "") };
    act(&mut host, sent("c", 4), [presence(Leave, "z", ""), presence(Enter, "x", ""), own]);
    let ids: Vec<String> = host.channel.members().map(|member| member.id.to_string()).collect();
    assert_eq!(ids, ["c:4:1", "mine"]);
}

#[test]
fn the_leave_of_somebody_absent_is_acknowledged_and_that_is_all() {
    let mut host = host();
    assert_eq!(act(&mut host, sent("c", 0), [presence(Leave, "x", "")]), ["1 changed nothing"]);
    assert_eq!(host.channel.metrics().entries, 0);
}

#[test]
fn a_repeated_leave_that_changed_nothing_does_not_end_a_later_membership() {
    let mut host = host();
    act(&mut host, sent("c", 0), [presence(Leave, "x", "")]);
    act(&mut host, sent("c", 1), [presence(Enter, "x", "")]);
    assert_eq!(act(&mut host, sent("c", 0), [presence(Leave, "x", "")]), ["3 changed nothing"]);
    assert_eq!(members(&host), ["c/x="]);
}

#[test]
fn entering_again_with_the_old_id_is_acknowledged_if_present_and_broadcast_if_gone() {
    let mut host = host();
    let again = || PresenceMessage { id: Some("c:3:0".into()), ..presence(Enter, "x", "1") };
    assert_eq!(act(&mut host, sent("c", 3), [presence(Enter, "x", "1")])[0], "deliver enter:x=1");
    assert_eq!(act(&mut host, sent("c", 4), [again()]), ["2 changed nothing"]);
    host.at(25_000);
    let leave = PresenceMessage { connection_id: Some("c".into()), ..presence(Leave, "x", "") };
    assert_eq!(act(&mut host, named("leave:c:1"), [leave])[0], "deliver leave:x=1");
    host.at(40_000);
    assert_eq!(act(&mut host, sent("c", 5), [again()])[0], "deliver enter:x=1");
    let member = host.channel.members().next().unwrap();
    assert_eq!((member.id.as_ref(), member.timestamp), ("c:3:0", Timestamp(host.now)));
}

#[test]
fn entering_anew_with_another_id_is_an_update() {
    let mut host = host();
    act(&mut host, sent("c", 0), [presence(Enter, "x", "1")]);
    assert_eq!(act(&mut host, sent("c", 1), [presence(Enter, "x", "1")])[0], "deliver update:x=1");
}

#[test]
fn a_leave_that_the_server_makes_names_its_connection_and_happens_once() {
    let mut host = host();
    act(&mut host, sent("c", 0), [presence(Enter, "x", "1")]);
    act(&mut host, sent("d", 0), [presence(Enter, "x", "2")]);
    let leave = || PresenceMessage { connection_id: Some("c".into()), ..presence(Leave, "x", "") };
    let lines = act(&mut host, named("leave:c:1"), [leave()]);
    assert_eq!(lines, ["deliver leave:x=1", "3 accepted 1"]);
    assert_eq!(act(&mut host, named("leave:c:1"), [leave()]), ["4 accepted 1"]);
    assert_eq!(members(&host), ["d/x=2"]);
}

#[test]
fn a_leave_that_the_server_makes_is_not_refused_by_rates_or_ids() {
    let mut host = host_with(|config| {
        config.limits.message_rate = 1;
        config.limits.ids = 1;
    });
    act(&mut host, sent("c", 0), [presence(Enter, "x", "")]);
    assert_eq!(act(&mut host, sent("c", 1), [presence(Leave, "x", "")]), ["2 refused 42913"]);
    let leave = PresenceMessage { connection_id: Some("c".into()), ..presence(Leave, "x", "") };
    assert_eq!(act(&mut host, named("leave:c:1"), [leave])[0], "deliver leave:x=");
}

#[test]
fn presence_counts_for_the_message_rate() {
    let mut host = host_with(|config| config.limits.message_rate = 1);
    act(&mut host, sent("c", 0), [presence(Enter, "x", "")]);
    assert_eq!(act(&mut host, sent("c", 1), [presence(Update, "x", "")]), ["2 refused 42913"]);
}

#[test]
fn events_of_one_publish_follow_each_other() {
    let mut host = host();
    let events = [presence(Enter, "x", "1"), presence(Leave, "x", ""), presence(Leave, "y", "")];
    assert_eq!(act(&mut host, sent("c", 0), events)[0], "deliver enter:x=1+leave:x=1");
    assert!(members(&host).is_empty());
}

#[test]
fn what_cannot_be_presence_is_refused() {
    let anonymous = || PresenceMessage::new(Enter);
    let cases = [
        (sent("c", 0), anonymous(), "1 refused 91000"),
        (sent("c", 0), presence(Absent, "x", ""), "1 refused 40030"),
        (named("rest"), presence(Enter, "x", ""), "1 refused 40030"),
    ];
    for (id, item, expected) in cases {
        assert_eq!(act(&mut host(), id, [item]), [expected]);
    }
}

#[test]
fn the_bound_on_members_refuses_one_more_and_spares_those_who_are_there() {
    let mut host = host_with(|config| config.limits.presence_members = 1);
    act(&mut host, sent("c", 0), [presence(Enter, "x", "")]);
    assert_eq!(act(&mut host, sent("c", 1), [presence(Enter, "y", "")]), ["2 refused 91003"]);
    assert_eq!(act(&mut host, sent("c", 2), [presence(Update, "x", "")])[0], "deliver update:x=");
    let swap = [presence(Leave, "x", ""), presence(Enter, "y", "")];
    assert_eq!(act(&mut host, sent("c", 3), swap)[0], "deliver leave:x=+enter:y=");
}

#[test]
fn the_bound_on_data_refuses_growth_only() {
    let mut host = host_with(|config| config.limits.presence_data_bytes = 10);
    act(&mut host, sent("c", 0), [presence(Enter, "x", "12345678")]);
    let longer = [presence(Update, "x", "12345678901")];
    assert_eq!(act(&mut host, sent("c", 1), longer), ["2 refused 91006"]);
    assert_eq!(act(&mut host, sent("c", 2), [presence(Enter, "y", "123")]), ["3 refused 91006"]);
    assert_eq!(act(&mut host, sent("c", 3), [presence(Enter, "y", "12")])[1], "4 accepted 1");
    assert_eq!(act(&mut host, sent("c", 4), [presence(Update, "x", "1")])[1], "5 accepted 1");
}

#[test]
fn members_are_seen_when_their_entry_is_durable() {
    let mut host = persisted();
    act(&mut host, sent("c", 0), [presence(Enter, "x", "1")]);
    assert!(host.attach().members.is_empty());
    host.durable(1);
    assert_eq!(members(&host), ["c/x=1"]);
}

#[test]
fn pending_events_count_for_what_follows() {
    let mut host = persisted();
    let lines = [
        act(&mut host, sent("c", 0), [presence(Enter, "x", "1")]),
        act(&mut host, sent("c", 1), [presence(Enter, "x", "2")]),
        act(&mut host, sent("c", 2), [presence(Leave, "x", "")]),
        act(&mut host, sent("c", 3), [presence(Enter, "x", "3")]),
    ];
    let expected = ["enter:x=1", "update:x=2", "leave:x=2", "enter:x=3"];
    for (n, (lines, expected)) in lines.iter().zip(expected).enumerate() {
        assert_eq!(lines, &[format!("store {} {expected}", n + 1)]);
    }
}

#[test]
fn while_a_leave_may_still_fail_a_second_one_is_not_acknowledged_for_nothing() {
    let mut host = persisted();
    act(&mut host, sent("c", 0), [presence(Enter, "x", "1")]);
    host.durable(1);
    act(&mut host, sent("c", 1), [presence(Leave, "x", "")]);
    assert_eq!(act(&mut host, sent("c", 2), [presence(Leave, "x", "")]), ["store 3 leave:x="]);
    assert_eq!(host.not_durable(2), ["2 refused 50003"]);
    host.durable(3);
    assert!(members(&host).is_empty());
}

#[test]
fn an_event_that_failed_does_not_count_towards_the_bounds() {
    let limits = Limits { presence_members: 1, ..config().limits };
    let mut host = Host::open(Config { persisted: true, limits, ..config() }, 1, 0);
    host.load(vec![]);
    act(&mut host, sent("c", 0), [presence(Enter, "x", "1")]);
    assert_eq!(act(&mut host, sent("c", 1), [presence(Enter, "y", "")]), ["2 refused 91003"]);
    host.not_durable(1);
    assert_eq!(act(&mut host, sent("c", 2), [presence(Enter, "y", "")]), ["store 2 enter:y="]);
}

#[test]
fn members_stay_when_their_entry_has_left_the_log() {
    let mut host = host();
    act(&mut host, sent("c", 0), [presence(Enter, "x", "1")]);
    host.at(600_000);
    let metrics = host.channel.metrics();
    assert_eq!((metrics.entries, metrics.ids, metrics.members), (0, 0, 1));
    assert!(!host.channel.is_idle(Timestamp(host.now)));
    let lines = act(&mut host, sent("c", 1), [presence(Leave, "x", "")]);
    assert_eq!(lines[0], "deliver leave:x=1");
}
