//! Changes of messages while others are being stored, and messages that only the store knows.

use std::sync::Arc;

use channel::{Config, Event};
use types::{
    Annotation, AnnotationAction, Body, Entry, Grouping, Message, MessageAction, PresenceAction,
    PresenceMessage, Serial, error,
};

use crate::host::{
    DEADLINE_MS, Host, RETENTION_MS, config, conflation, entries, messages, named, persisted,
    presence, sent, text, told,
};

fn change(action: MessageAction, of: &Entry, data: Option<&str>, name: Option<&str>) -> Body {
    let data = data.map_or(types::Data::None, |data| types::Data::Text(data.into()));
    Body::Messages(vec![Message {
        action,
        data,
        name: name.map(Into::into),
        serial: Some(of.serial.item(0)),
        ..Message::default()
    }])
}

fn append(of: &Entry, data: &str) -> Body {
    change(MessageAction::Append, of, Some(data), None)
}

/// Publishes `a`, and makes it durable.
fn published(host: &mut Host) -> Arc<Entry> {
    let event = host.publish_event(named("a"), messages(&["a"]));
    let entry = entries(&host.handle(event)).remove(0);
    host.durable(entry.position);
    entry
}

fn stored(host: &mut Host, id: &str, body: Body) -> Arc<Entry> {
    let event = host.publish_event(named(id), body);
    entries(&host.handle(event)).remove(0)
}

fn only(entry: &Entry) -> &Message {
    match &entry.body {
        Body::Messages(messages) => &messages[0],
        other => panic!("{other:?}"),
    }
}

fn reloaded(seed: u64, stored: Vec<Arc<Entry>>) -> Host {
    let mut host = Host::open(Config { persisted: true, ..config() }, seed, 1_000);
    host.load(stored);
    host
}

#[test]
fn a_change_builds_on_those_that_are_still_being_stored() {
    let mut host = persisted();
    let a = published(&mut host);
    stored(&mut host, "1", change(MessageAction::Update, &a, None, Some("n")));
    stored(&mut host, "2", append(&a, "b"));
    let update = stored(&mut host, "3", change(MessageAction::Update, &a, None, None));
    let update = only(&update);
    assert_eq!((update.name.as_deref(), text(&update.data)), (Some("n"), "ab"));
}

#[test]
fn a_change_that_could_not_be_stored_is_not_built_on() {
    let mut host = persisted();
    let a = published(&mut host);
    let lost = stored(&mut host, "1", append(&a, "lost"));
    host.not_durable(lost.position);
    let update = stored(&mut host, "2", change(MessageAction::Update, &a, None, Some("n")));
    assert_eq!(text(&only(&update).data), "a");
}

#[test]
fn the_size_of_a_message_counts_what_is_being_appended() {
    let mut host = persisted();
    let a = published(&mut host);
    stored(&mut host, "1", append(&a, &"x".repeat(60_000)));
    assert_eq!(host.publish(named("2"), append(&a, &"x".repeat(6_000))), ["3 refused 40009"]);
}

#[test]
fn a_repeated_change_is_one_change() {
    let mut host = persisted();
    let a = published(&mut host);
    let one = stored(&mut host, "1", append(&a, "b"));
    host.durable(one.position);
    assert_eq!(host.publish(named("1"), append(&a, "b")), ["3 accepted 1"]);
}

#[test]
fn a_message_that_is_not_in_memory_is_read_and_what_follows_waits() {
    let mut host = persisted();
    let a = published(&mut host);
    host.at(RETENTION_MS + 1);
    assert_eq!(host.publish(named("1"), append(&a, "b")), ["load 1 messages"]);
    assert!(host.publish(named("2"), messages(&["later"])).is_empty());
    let lines = host.say(Event::MessagesLoaded(Ok(vec![a])));
    assert_eq!(lines, ["store 2 b", "store 3 later"]);
}

#[test]
fn each_message_that_is_not_in_memory_is_read_in_turn() {
    let mut host = persisted();
    let a = published(&mut host);
    let event = host.publish_event(named("z"), messages(&["z"]));
    let z = entries(&host.handle(event)).remove(0);
    host.durable(z.position);
    host.at(RETENTION_MS + 1);
    assert_eq!(host.publish(named("1"), append(&a, "b")), ["load 1 messages"]);
    assert!(host.publish(named("2"), append(&z, "y")).is_empty());
    assert!(host.publish(named("3"), messages(&["later"])).is_empty());
    let lines = host.say(Event::MessagesLoaded(Ok(vec![a])));
    assert_eq!(lines, ["store 3 b", "load 1 messages"]);
    let lines = host.say(Event::MessagesLoaded(Ok(vec![z])));
    assert_eq!(lines, ["store 4 y", "store 5 later"]);
}

#[test]
fn a_message_that_does_not_exist_is_said_so_and_not_read_twice() {
    let mut host = persisted();
    let a = published(&mut host);
    host.at(RETENTION_MS + 1);
    host.publish(named("1"), append(&a, "b"));
    assert_eq!(host.say(Event::MessagesLoaded(Ok(vec![]))), ["2 refused 40400"]);
    assert_eq!(host.publish(named("2"), append(&a, "b")), ["3 refused 40400"]);
}

#[test]
fn a_message_that_cannot_be_read_refuses_what_waited_and_is_asked_for_again() {
    let mut host = persisted();
    let a = published(&mut host);
    host.at(RETENTION_MS + 1);
    host.publish(named("1"), append(&a, "b"));
    let lines = host.say(Event::MessagesLoaded(Err(error::INTERNAL.info())));
    assert_eq!(lines, ["2 refused 50003"]);
    assert_eq!(host.publish(named("1"), append(&a, "b")), ["load 1 messages"]);
}

/// Channels with the member `x`, and a message of which they only know that it is in the store.
fn with_member() -> [(Host, Arc<Entry>); 2] {
    [Grouping::None, conflation()].map(|grouping| {
        let mut host = Host::open(Config { persisted: true, grouping, ..config() }, 1, 0);
        host.load(vec![]);
        let enter = Body::Presence(vec![presence(PresenceAction::Enter, "x", "")]);
        let enter = host.publish_event(sent("c", 0), enter);
        let publish = host.publish_event(named("a"), messages(&["a"]));
        let a = settle(&mut host, vec![enter, publish]).pop().unwrap();
        host.at(RETENTION_MS + 1_000);
        assert_eq!(host.channel.metrics().members, 1);
        (host, a)
    })
}

/// Handles events and what follows of them within an interval, and stores the entries.
fn settle(host: &mut Host, events: Vec<Event>) -> Vec<Arc<Entry>> {
    let mut effects: Vec<_> = events.into_iter().flat_map(|event| host.handle(event)).collect();
    host.now += 100;
    effects.extend(host.handle(Event::Tick));
    let stored = entries(&effects);
    stored.iter().for_each(|entry| drop(host.durable(entry.position)));
    stored
}

fn leave(host: &mut Host) -> Vec<String> {
    let leave = presence(PresenceAction::Leave, "x", "");
    let leave = PresenceMessage { connection_id: Some("c".into()), ..leave };
    host.publish(named("leave"), Body::Presence(vec![leave]))
}

#[test]
fn what_is_collected_while_a_message_is_read_for_too_long_is_refused_in_time() {
    let [_, (mut host, a)] = with_member();
    host.publish(named("1"), append(&a, "b"));
    assert_eq!(host.at(RETENTION_MS + 1_100), ["load 1 messages"]);
    assert_eq!(host.at(RETENTION_MS + 1_000 + DEADLINE_MS), ["3 refused 50003"]);
    assert!(host.say(Event::MessagesLoaded(Ok(vec![a]))).is_empty());
}

#[test]
fn a_member_that_left_is_gone_although_a_message_cannot_be_read() {
    for (mut host, a) in with_member() {
        host.publish(named("1"), append(&a, "b"));
        assert!(leave(&mut host).is_empty());
        host.at(RETENTION_MS + 1_100);
        let lines = host.say(Event::MessagesLoaded(Err(error::INTERNAL.info())));
        assert_eq!(lines, ["3 refused 50003", "store 3 leave:x="]);
        host.durable(3);
        assert_eq!(host.channel.metrics().members, 0);
    }
}

#[test]
fn a_member_that_left_is_gone_although_a_message_is_read_for_too_long() {
    for (mut host, a) in with_member() {
        host.publish(named("1"), append(&a, "b"));
        leave(&mut host);
        let lines = host.at(RETENTION_MS + 1_000 + DEADLINE_MS);
        assert_eq!(lines[lines.len() - 2..], ["3 refused 50003", "store 3 leave:x="]);
        host.durable(3);
        assert_eq!(host.channel.metrics().members, 0);
    }
}

#[test]
fn a_member_that_left_is_gone_although_what_it_did_before_is_collected_for_longer() {
    let [_, (mut host, a)] = with_member();
    host.publish(named("1"), append(&a, "b"));
    assert_eq!(host.at(RETENTION_MS + 1_100), ["load 1 messages"]);
    host.publish(sent("c", 1), Body::Presence(vec![presence(PresenceAction::Enter, "x", "")]));
    let unknown = Entry { serial: Serial { counter: 9, ..a.serial }, ..a.as_ref().clone() };
    host.publish(named("2"), append(&unknown, "b"));
    leave(&mut host);
    host.at(RETENTION_MS + DEADLINE_MS);
    let lines = host.say(Event::MessagesLoaded(Ok(vec![a])));
    assert_eq!(lines, ["load 1 messages"]);
    assert_eq!(host.at(RETENTION_MS + 1_100 + DEADLINE_MS), ["3 refused 50003", "5 refused 50003"]);
    settle(&mut host, vec![Event::MessagesLoaded(Ok(vec![]))]);
    assert_eq!(host.channel.metrics().members, 0);
}

#[test]
fn a_member_that_left_is_gone_although_too_much_waits() {
    for (mut host, a) in with_member() {
        host.publish(named("1"), append(&a, "b"));
        host.at(RETENTION_MS + 1_100);
        let publish = |n: i64| host.publish(sent("d", n), messages(&["x"]));
        assert!((0..20_000).map(publish).any(|lines| lines.concat().ends_with("refused 50004")));
        assert!(leave(&mut host).is_empty());
        settle(&mut host, vec![Event::MessagesLoaded(Ok(vec![a]))]);
        assert_eq!(host.channel.metrics().members, 0);
    }
}

#[test]
fn a_reloaded_channel_reads_the_messages_that_its_log_is_about() {
    let mut host = persisted();
    let a = published(&mut host);
    let b = stored(&mut host, "1", append(&a, "b"));
    host.durable(b.position);
    let mut host = Host::open(Config { persisted: true, ..config() }, 2, 1_000);
    host.post(&["x"]);
    let lines = host.say(Event::Loaded(Ok(vec![Arc::clone(&b)])));
    assert_eq!(lines, ["load 1 messages"]);
    assert_eq!(host.say(Event::MessagesLoaded(Ok(vec![a, b]))), ["store 1 x"]);
}

#[test]
fn a_resume_over_a_restart_gives_the_whole_message() {
    let mut host = persisted();
    let a = published(&mut host);
    let behind_a = host.attach().cursor;
    let mut all = vec![Arc::clone(&a)];
    for (id, piece) in [("1", "b"), ("2", "c")] {
        let entry = stored(&mut host, id, append(&a, piece));
        host.durable(entry.position);
        all.push(entry);
    }
    let mut host = reloaded(2, all);
    assert_eq!(told(&host.resume(&behind_a)), "resumed abc");
}

#[test]
fn an_update_in_a_replay_replaces_the_appends_before_it() {
    let mut host = persisted();
    let a = published(&mut host);
    let behind_a = host.attach().cursor;
    for (id, body) in [
        ("1", append(&a, "lost")),
        ("2", change(MessageAction::Update, &a, Some("n"), None)),
        ("3", append(&a, "ew")),
    ] {
        let entry = stored(&mut host, id, body);
        host.durable(entry.position);
    }
    assert_eq!(told(&host.resume(&behind_a)), "resumed n ew");
}

#[test]
fn an_annotation_is_delivered_behind_its_summary() {
    let mut host = persisted();
    let a = published(&mut host);
    let annotation = Annotation {
        message_serial: Some(a.serial.item(0)),
        ..Annotation::new(AnnotationAction::Create, "m:total.v1")
    };
    let entry = stored(&mut host, "1", Body::Annotations(vec![annotation]));
    let lines = host.durable(entry.position);
    assert_eq!(lines, ["deliver ", "deliver m:total.v1:", "2 accepted 1"]);
}
