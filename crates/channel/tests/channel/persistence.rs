//! A persisted channel: nothing before it is durable, and what earlier hosts stored still counts.

use std::sync::Arc;

use channel::{Attach, AttachmentId, Config, Event, Rewind};
use types::{Body, Cursor, Data, Entry, MessageAction, PresenceAction, PresenceMessage, error};

use crate::host::{
    DEADLINE_MS, Host, RETENTION_MS, config, content, entries, messages, named, persisted,
    presence, sent, told,
};

fn unloaded(seed: u64, now: u64) -> Host {
    Host::open(Config { persisted: true, ..config() }, seed, now)
}

/// Publishes and stores one message per text; what the store then holds.
fn store(host: &mut Host, texts: &[&str]) -> Vec<Arc<Entry>> {
    let mut stored = Vec::new();
    for text in texts {
        let event = host.publish_event(named(&format!("id-{text}")), messages(&[text]));
        for entry in entries(&host.handle(event)) {
            host.durable(entry.position);
            stored.push(entry);
        }
    }
    stored
}

#[test]
fn nothing_is_delivered_or_acknowledged_before_it_is_durable() {
    let mut host = persisted();
    assert_eq!(host.post(&["a", "b"]), ["store 1 a", "store 2 b"]);
    assert_eq!(host.channel.metrics().entries, 0);
    assert_eq!(host.durable(1), ["deliver a", "1 accepted 1"]);
    assert_eq!(host.durable(2), ["deliver b", "2 accepted 1"]);
}

#[test]
fn a_pending_entry_is_not_replayed_and_comes_live() {
    let mut host = persisted();
    let start = host.attach().cursor;
    host.post(&["a"]);
    let resumed = host.resume(&start);
    assert_eq!(told(&resumed), "resumed");
    assert_eq!(host.durable(1)[0], "deliver a");
    assert_eq!(told(&host.resume(&resumed.cursor)), "resumed a");
}

#[test]
fn a_repeat_of_a_pending_publish_waits_with_the_original() {
    let mut host = persisted();
    host.publish(sent("c", 0), messages(&["a"]));
    assert!(host.publish(sent("c", 0), messages(&["a"])).is_empty());
    assert_eq!(host.publish(sent("c", 0), messages(&["b"])), ["3 refused 40030"]);
    assert_eq!(host.durable(1), ["deliver a", "1 accepted 1", "2 accepted 1"]);
}

#[test]
fn what_the_store_refuses_is_refused_its_id_free_and_its_position_not() {
    let mut host = persisted();
    host.post(&["a"]);
    assert!(host.post(&["a"]).is_empty());
    assert_eq!(host.not_durable(1), ["1 refused 50003", "2 refused 50003"]);
    assert_eq!(host.post(&["a"]), ["store 2 a"]);
    assert_eq!(host.durable(2), ["deliver a", "3 accepted 1"]);
}

#[test]
fn a_cursor_from_before_a_failed_position_resumes_behind_it() {
    let mut host = persisted();
    host.post(&["a", "b", "c"]);
    host.durable(1);
    let head = host.attach().cursor;
    host.not_durable(2);
    host.durable(3);
    assert_eq!(told(&host.resume(&head)), "resumed c");
}

#[test]
fn a_publish_that_waits_too_long_is_refused_and_its_late_entry_delivered_once() {
    let mut host = persisted();
    host.post(&["a"]);
    assert!(host.at(DEADLINE_MS - 1).is_empty());
    assert_eq!(host.at(DEADLINE_MS), ["1 refused 50003"]);
    assert!(host.post(&["a"]).is_empty());
    assert_eq!(host.durable(1), ["deliver a", "2 accepted 1"]);
    assert_eq!(host.post(&["a"]), ["3 accepted 1"]);
}

#[test]
fn each_waiter_has_its_own_deadline() {
    let mut host = persisted();
    host.post(&["a"]);
    host.at(6_000);
    host.post(&["a"]);
    assert_eq!(host.at(DEADLINE_MS), ["1 refused 50003"]);
    assert_eq!(host.at(6_000 + DEADLINE_MS), ["2 refused 50003"]);
    assert_eq!(host.durable(1), ["deliver a"]);
}

#[test]
fn repeats_without_end_do_not_pile_up() {
    let mut host = persisted();
    let refused: Vec<String> = (0..20).flat_map(|_| host.post(&["a"])).collect();
    assert_eq!(refused[..2], ["store 1 a", "17 refused 50004"]);
}

#[test]
fn a_store_that_stands_still_makes_publishes_be_refused() {
    let mut host = persisted();
    let long = "x".repeat(60_000);
    let publish = |n: i64| host.publish(sent("c", n), messages(&[&long]));
    let last = (0..300).map(publish).find(|lines| lines[0].contains("refused")).unwrap();
    assert!(last[0].ends_with("refused 50004"));
    assert!(host.channel.metrics().pending < 300);
}

#[test]
fn a_store_that_stands_still_keeps_no_member_that_left() {
    let mut host = persisted();
    host.publish(sent("c", 0), Body::Presence(vec![presence(PresenceAction::Enter, "x", "")]));
    host.durable(1);
    let long = "x".repeat(60_000);
    let publish = |n: i64| host.publish(sent("c", n), messages(&[&long]));
    assert!((1..300).map(publish).any(|lines| lines[0].ends_with("refused 50004")));
    let leave = presence(PresenceAction::Leave, "x", "");
    let leave = PresenceMessage { connection_id: Some("c".into()), ..leave };
    let lines = host.publish(named("leave"), Body::Presence(vec![leave]));
    assert!(lines[0].starts_with("store"), "{lines:?}");
}

#[test]
fn the_first_need_loads_and_everything_waits_in_order() {
    let mut host = unloaded(1, 0);
    assert!(host.say(Event::Tick).is_empty());
    assert_eq!(host.post(&["a"]), ["load"]);
    let attach = Attach { attachment: AttachmentId(1), resume: None, rewind: None };
    assert!(host.say(Event::Attach(attach)).is_empty());
    assert!(host.post(&["b"]).is_empty());
    let lines = host.say(Event::Loaded(Ok(vec![])));
    assert_eq!(lines, ["store 1 a", "attached new", "store 2 b"]);
}

#[test]
fn a_detach_while_loading_takes_back_the_attach() {
    let mut host = unloaded(1, 0);
    let attachment = AttachmentId(1);
    host.say(Event::Attach(Attach { attachment, resume: None, rewind: None }));
    host.say(Event::Detach(attachment));
    assert!(host.say(Event::Loaded(Ok(vec![]))).is_empty());
    assert_eq!(host.channel.metrics().attachments, 0);
}

#[test]
fn a_store_that_cannot_be_read_refuses_what_waited_and_is_asked_again() {
    let mut host = unloaded(1, 0);
    host.post(&["a"]);
    let attach = || Attach { attachment: AttachmentId(1), resume: None, rewind: None };
    host.say(Event::Attach(attach()));
    let lines = host.say(Event::Loaded(Err(error::INTERNAL.info())));
    assert_eq!(lines, ["1 refused 50003", "attach refused 50003"]);
    assert_eq!(host.channel.metrics().attachments, 0);
    assert_eq!(host.post(&["a"]), ["load"]);
    assert_eq!(host.say(Event::Loaded(Ok(vec![]))), ["store 1 a"]);
}

#[test]
fn what_waits_too_long_for_the_load_is_refused() {
    let mut host = unloaded(1, 0);
    host.post(&["a"]);
    assert_eq!(host.at(DEADLINE_MS), ["1 refused 50003"]);
    assert!(host.say(Event::Loaded(Ok(vec![]))).is_empty());
}

#[test]
fn what_waits_for_the_load_is_bounded() {
    let mut host = unloaded(1, 0);
    let long = "x".repeat(60_000);
    let publish = |n: i64| host.publish(sent("c", n), messages(&[&long]));
    let refused = (0..300).map(publish).filter(|lines| lines.len() == 1).nth(1).unwrap();
    assert!(refused[0].ends_with("refused 50004"), "{refused:?}");
    let attach = |n| Attach { attachment: AttachmentId(n), resume: None, rewind: None };
    let refused = (0..20_000).map(|n| host.say(Event::Attach(attach(n)))).find(|l| !l.is_empty());
    assert_eq!(refused.unwrap(), ["attach refused 50004"]);
}

#[test]
fn a_resume_from_an_earlier_incarnation_replays_what_it_missed() {
    let mut first = persisted();
    let mut cursors = vec![];
    let mut stored = vec![];
    for text in ["a", "b", "c"] {
        stored.extend(store(&mut first, &[text]));
        cursors.push(first.attach().cursor);
    }
    let mut second = unloaded(2, 1_000);
    second.load(stored.clone());
    stored.extend(store(&mut second, &["d"]));
    let mut third = unloaded(3, 2_000);
    third.load(stored);
    store(&mut third, &["e"]);
    let told: Vec<String> = cursors.iter().map(|cursor| told(&third.resume(cursor))).collect();
    assert_eq!(told, ["resumed b c d e", "resumed c d e", "resumed d e"]);
}

#[test]
fn labels_of_a_replay_across_series_lose_and_repeat_nothing() {
    let mut first = persisted();
    let start = first.attach().cursor;
    let stored = store(&mut first, &["a", "b"]);
    let mut second = unloaded(2, 1_000);
    second.load(stored);
    store(&mut second, &["c", "d"]);
    let replay = second.resume(&start).replay;
    let rest: Vec<String> = replay.iter().map(|(_, label)| told(&second.resume(label))).collect();
    assert_eq!(rest, ["resumed b c d", "resumed c d", "resumed d", "resumed"]);
}

#[test]
fn a_cursor_that_also_names_the_covered_series_is_the_same_position() {
    let mut first = persisted();
    let stored = store(&mut first, &["a", "b"]);
    let earlier = Cursor::at(stored[0].serial.series, 1);
    let mut second = unloaded(2, 1_000);
    second.load(stored);
    let own = store(&mut second, &["c", "d"]);
    let mut both = Cursor::at(own[0].serial.series, 1);
    both.join(&earlier);
    assert_eq!(told(&second.resume(&both)), "resumed d");
}

#[test]
fn an_attach_to_a_host_without_own_entries_can_resume_at_the_next_one() {
    let stored = store(&mut persisted(), &["a"]);
    let mut second = unloaded(2, 1_000);
    second.load(stored.clone());
    let cursor = second.attach().cursor;
    let mut third = unloaded(3, 2_000);
    third.load(stored);
    assert_eq!(told(&third.resume(&cursor)), "resumed");
    store(&mut third, &["b"]);
    assert_eq!(told(&third.resume(&cursor)), "resumed b");
}

#[test]
fn what_was_not_loaded_or_is_trimmed_is_reported_as_lost() {
    let mut first = persisted();
    let start = first.attach().cursor;
    let stored = store(&mut first, &["a", "b", "c"]);
    let at = |n: usize| Cursor::at(stored[n].serial.series, stored[n].position);
    let mut second = unloaded(2, 1_000);
    second.load(stored[1..].to_vec());
    assert_eq!(told(&second.resume(&start)), "90003");
    assert_eq!(told(&second.resume(&at(0))), "resumed b c");
    second.at(RETENTION_MS);
    assert_eq!(told(&second.resume(&at(0))), "90003");
    assert_eq!(told(&second.resume(&at(2))), "resumed");
    store(&mut second, &["d"]);
    second.at(3 * RETENTION_MS);
    assert_eq!(told(&second.resume(&at(2))), "90003");
}

#[test]
fn ids_of_an_earlier_incarnation_are_recognised() {
    let mut first = persisted();
    let event = first.publish_event(sent("c", 0), messages(&["a"]));
    let stored = entries(&first.handle(event));
    let mut second = unloaded(2, 1_000);
    second.load(stored);
    assert_eq!(second.publish(sent("c", 0), messages(&["a"])), ["1 accepted 1"]);
    assert_eq!(second.publish(sent("c", 0), messages(&["b"])), ["2 refused 40030"]);
    assert_eq!(second.publish(sent("c", 1), messages(&["b"])), ["store 1 b"]);
}

#[test]
fn serials_are_ahead_of_everything_stored_although_the_clock_is_behind() {
    let mut first = unloaded(1, 50_000);
    first.load(vec![]);
    let stored = store(&mut first, &["a"]);
    let mut second = unloaded(2, 0);
    second.load(stored.clone());
    let next = store(&mut second, &["b"]);
    assert!(next[0].serial > stored[0].serial);
}

#[test]
fn members_of_an_earlier_incarnation_are_gone_until_they_enter_again() {
    let enter = |id: Option<&str>| {
        let mut item = presence(PresenceAction::Enter, "x", "1");
        item.id = id.map(Into::into);
        Body::Presence(vec![item])
    };
    let mut first = persisted();
    let event = first.publish_event(sent("c", 3), enter(None));
    let stored = entries(&first.handle(event));
    let mut second = unloaded(2, 1_000);
    second.load(stored);
    assert!(second.attach().members.is_empty());
    let lines = second.publish(sent("c", 4), enter(Some("c:3:0")));
    assert_eq!(lines, ["store 1 enter:x=1"]);
}

#[test]
fn of_two_stored_copies_the_one_that_was_acknowledged_counts() {
    let mut first = persisted();
    let event = first.publish_event(named("id-a"), messages(&["a"]));
    let mut stored = entries(&first.handle(event));
    first.not_durable(1);
    stored.extend(store(&mut first, &["b", "a"]));
    let seen_b = Cursor::at(stored[1].serial.series, stored[1].position);
    let mut second = unloaded(2, 1_000);
    second.load(stored.clone());
    let replay = second.resume(&seen_b).replay;
    assert_eq!(replay.iter().map(|(entry, _)| content(entry)).collect::<Vec<_>>(), ["a"]);
    assert_eq!(second.channel.metrics().entries, 2);
}

/// Attaches with a rewind that the store has to be asked for, and says what it knows.
fn rewound(host: &mut Host, rewind: Rewind, stored: &[Arc<Entry>]) -> String {
    let attachment = AttachmentId(9);
    let attach = Attach { attachment, resume: None, rewind: Some(rewind) };
    let asked = host.say(Event::Attach(attach));
    assert!(asked.len() == 1 && asked[0].ends_with("older"), "{asked:?}");
    answer(host, Ok(stored.to_vec())).join("; ")
}

fn answer(host: &mut Host, result: Result<Vec<Arc<Entry>>, types::ErrorInfo>) -> Vec<String> {
    host.say(Event::BacklogLoaded { attachment: AttachmentId(9), result })
}

#[test]
fn a_rewind_goes_on_in_the_store_where_the_log_ends() {
    let mut host = persisted();
    let mut stored = store(&mut host, &["a", "b"]);
    host.at(RETENTION_MS + 1_000);
    stored.extend(store(&mut host, &["c"]));
    host.at(RETENTION_MS + 2_000);
    let minutes = |count: u64, limit| Rewind::Millis { duration_ms: count * 60_000, limit };
    for (rewind, known, expected) in [
        (Rewind::Messages(2), 2, "attached new b c"),
        (Rewind::Messages(3), 3, "attached new a b c"),
        (Rewind::Messages(100), 3, "attached new a b c"),
        (minutes(5, 100), 3, "attached new a b c"),
        (minutes(2, 100), 1, "attached new c"),
    ] {
        let newest = &stored[3 - known..];
        assert_eq!(rewound(&mut host, rewind, newest), expected, "{rewind:?}");
    }
    assert_eq!(told(&host.rewind(Rewind::Messages(1))), "new c");
    let millis = Rewind::Millis { duration_ms: 500, limit: 100 };
    assert_eq!(told(&host.rewind(millis)), "new");
}

#[test]
fn an_older_message_that_was_changed_is_rewound_as_the_store_shows_it() {
    let mut host = persisted();
    let mut stored = store(&mut host, &["a", "b"]);
    host.at(RETENTION_MS);
    let mut changed = stored[0].as_ref().clone();
    if let Body::Messages(messages) = &mut changed.body {
        messages[0].action = MessageAction::Update;
        messages[0].serial = Some(changed.serial.item(0));
        messages[0].data = Data::Text("changed".into());
    }
    stored[0] = Arc::new(changed);
    assert_eq!(rewound(&mut host, Rewind::Messages(9), &stored), "attached new changed b");
}

#[test]
fn what_is_published_while_the_store_is_asked_comes_once_and_in_order() {
    let mut host = persisted();
    let stored = store(&mut host, &["a"]);
    host.at(RETENTION_MS);
    let attach =
        Attach { attachment: AttachmentId(9), resume: None, rewind: Some(Rewind::Messages(9)) };
    assert_eq!(host.say(Event::Attach(attach)), ["load 10 older"]);
    host.post(&["b", "c"]);
    assert_eq!(host.durable(2)[0], "deliver b");
    assert_eq!(answer(&mut host, Ok(stored)), ["attached new a b"]);
    assert_eq!(host.durable(3)[0], "deliver c");
}

#[test]
fn a_rewind_that_the_store_cannot_serve_is_refused_and_ends_with_its_attachment() {
    let mut host = persisted();
    let attach =
        || Attach { attachment: AttachmentId(9), resume: None, rewind: Some(Rewind::Messages(9)) };
    host.say(Event::Attach(attach()));
    assert_eq!(answer(&mut host, Err(error::INTERNAL.info())), ["attach refused 50003"]);
    host.say(Event::Attach(attach()));
    assert_eq!(host.at(DEADLINE_MS), ["attach refused 50003"]);
    assert!(answer(&mut host, Ok(vec![])).is_empty());
    host.say(Event::Attach(attach()));
    host.say(Event::Detach(AttachmentId(9)));
    assert!(answer(&mut host, Ok(vec![])).is_empty());
    assert_eq!(host.channel.metrics().attachments, 0);
}

#[test]
fn a_time_with_too_many_messages_is_said_to_be_cut_off() {
    let mut host = persisted();
    let texts: Vec<String> = (0..101).map(|n| n.to_string()).collect();
    store(&mut host, &texts.iter().map(String::as_str).collect::<Vec<_>>());
    let minute = |limit| Rewind::Millis { duration_ms: 60_000, limit };
    let cut_off = host.rewind(minute(100));
    assert_eq!(cut_off.error.map(|error| error.code), Some(90004));
    assert_eq!(cut_off.replay.len(), 100);
    assert_eq!(host.rewind(minute(99)).error, None, "who says how many gets as many");
}

#[test]
fn a_write_that_failed_and_was_repeated_is_rewound_once() {
    let mut host = persisted();
    let event = host.publish_event(named("id-a"), messages(&["a"]));
    let mut stored = entries(&host.handle(event));
    host.not_durable(1);
    stored.extend(store(&mut host, &["a"]));
    host.at(RETENTION_MS);
    assert_eq!(rewound(&mut host, Rewind::Messages(9), &stored), "attached new a");
}
