//! Once, in order, and within limits.

use channel::{Effect, Event};
use types::{Body, Message, Timestamp};

use crate::host::{
    DEADLINE_MS, RETENTION_MS, host, host_with, line, messages, named, sent, window_ms,
};

#[test]
fn a_publish_is_delivered_and_then_acknowledged() {
    let mut host = host();
    let lines = host.publish(sent("c", 0), messages(&["a", "b"]));
    assert_eq!(lines, ["deliver a+b", "1 accepted 2"]);
}

#[test]
fn an_entry_says_who_when_and_where() {
    let mut host = host();
    let event = host.publish_event(sent("c", 0), messages(&["a"]));
    let effects = host.handle(event);
    let [Effect::Deliver { entry, .. }, Effect::Published { result, .. }] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(entry.position, 1);
    assert_eq!(entry.connection_id, Some("c".into()));
    assert_eq!((entry.timestamp, entry.serial.ms), (Timestamp(host.now), host.now));
    assert_eq!(result.as_ref().unwrap().serial, Some(entry.serial));
    assert!(entry.serial.series.to_string().starts_with("dun"));
}

#[test]
fn a_repeat_is_acknowledged_with_the_originals_serial_and_not_delivered() {
    let mut host = host();
    for id in [sent("c", 7), named("mine")] {
        let mut accepted = Vec::new();
        for _ in 0..3 {
            let event = host.publish_event(id.clone(), messages(&["a"]));
            let effects = host.handle(event);
            accepted.extend(effects.iter().filter_map(|effect| match effect {
                Effect::Published { result, .. } => Some(result.clone().unwrap()),
                _ => None,
            }));
            assert_eq!(effects.len(), if accepted.len() == 1 { 2 } else { 1 });
        }
        assert!(accepted.len() == 3 && accepted.iter().all(|a| a == &accepted[0]));
    }
}

#[test]
fn another_content_under_the_id_of_a_connection_is_refused_and_never_acknowledged() {
    let mut host = host();
    host.publish(sent("c", 20), messages(&["mine"]));
    assert_eq!(host.publish(sent("c", 20), messages(&["other tab"])), ["2 refused 40030"]);
    assert_eq!(host.publish(sent("c", 20), messages(&["mine"])), ["3 accepted 1"]);
}

#[test]
fn what_servers_fill_in_is_not_content() {
    let mut host = host();
    let body = |timestamp| {
        Body::Messages(vec![Message { timestamp: Some(timestamp), ..Message::default() }])
    };
    host.publish(sent("c", 0), body(Timestamp(1)));
    assert_eq!(host.publish(sent("c", 0), body(Timestamp(2))), ["2 accepted 1"]);
}

#[test]
fn a_clients_own_id_may_be_repeated_with_other_content() {
    let mut host = host();
    host.publish(named("mine"), messages(&["a"]));
    assert_eq!(host.publish(named("mine"), messages(&["b"])), ["2 accepted 1"]);
}

#[test]
fn an_id_is_recognised_to_the_end_of_the_window_although_the_log_has_trimmed_its_entry() {
    let mut host = host_with(|config| config.limits.log_bytes = 1);
    host.publish(sent("c", 0), messages(&["a"]));
    assert_eq!(host.channel.metrics().entries, 0);
    host.at(window_ms() - 1);
    assert_eq!(host.publish(sent("c", 0), messages(&["a"])), ["2 accepted 1"]);
    host.at(window_ms());
    assert_eq!(host.channel.metrics().ids, 0);
    assert_eq!(host.publish(sent("c", 0), messages(&["a"])), ["deliver a", "3 accepted 1"]);
}

#[test]
fn a_resend_over_the_last_possible_resume_is_still_a_repeat() {
    let mut host = host();
    host.publish(sent("c", 0), messages(&["a"]));
    host.at(RETENTION_MS + DEADLINE_MS + 20_000);
    assert_eq!(host.publish(sent("c", 0), messages(&["a"])), ["2 accepted 1"]);
}

#[test]
fn beyond_the_bound_on_ids_publishes_are_refused_and_no_id_is_forgotten() {
    let mut host = host_with(|config| config.limits.ids = 2);
    host.post(&["a", "b"]);
    assert_eq!(host.post(&["c"]), ["3 refused 42913"]);
    assert_eq!(host.post(&["a"]), ["4 accepted 1"]);
    host.at(window_ms());
    assert_eq!(host.post(&["c"]), ["deliver c", "5 accepted 1"]);
}

#[test]
fn the_message_rate_counts_messages_and_spares_repeats() {
    let mut host = host_with(|config| config.limits.message_rate = 2);
    assert_eq!(host.publish(named("1"), messages(&["a", "b"])), ["deliver a+b", "1 accepted 2"]);
    assert_eq!(host.publish(named("2"), messages(&["c"])), ["2 refused 42913"]);
    assert_eq!(host.publish(named("1"), messages(&["a", "b"])), ["3 accepted 2"]);
    host.at(1_000);
    assert_eq!(host.publish(named("2"), messages(&["c"])), ["deliver c", "4 accepted 1"]);
}

#[test]
fn the_byte_rate_has_its_own_error() {
    let mut host = host_with(|config| config.limits.kib_rate = 1);
    let long = "x".repeat(1024);
    host.publish(named("1"), messages(&[&long]));
    assert_eq!(host.publish(named("2"), messages(&["c"])), ["2 refused 42914"]);
}

#[test]
fn nothing_cannot_be_published() {
    assert_eq!(host().publish(named("1"), messages(&[])), ["1 refused 40030"]);
}

#[test]
fn serials_increase_also_when_time_stands_still() {
    let mut host = host();
    let serials: Vec<_> = (0..2_000)
        .map(|n| {
            let event = host.publish_event(sent("c", n), messages(&["a"]));
            crate::host::entries(&host.handle(event))[0].serial
        })
        .collect();
    assert!(serials.is_sorted_by(|a, b| a < b));
}

#[test]
fn a_channel_is_idle_when_nothing_would_be_lost() {
    let mut host = host();
    let is_idle = |host: &crate::host::Host| host.channel.is_idle(Timestamp(host.now));
    assert!(is_idle(&host));
    host.attach();
    assert!(!is_idle(&host));
    host.say(Event::Detach(channel::AttachmentId(1)));
    let retention = window_ms();
    host.at(retention);
    assert!(is_idle(&host));
    host.post(&["a"]);
    host.at(retention + window_ms() - 1);
    assert!(!is_idle(&host));
    host.at(retention + window_ms());
    assert!(is_idle(&host) && host.channel.next_deadline().is_none());
}

#[test]
fn an_empty_channel_is_kept_for_the_cursor_of_its_last_attachment() {
    let mut host = host();
    host.attach();
    host.say(Event::Detach(channel::AttachmentId(1)));
    let until = host.channel.next_deadline().unwrap();
    assert!(!host.channel.is_idle(Timestamp(until.0 - 1)));
    host.channel.handle(until, Event::Tick, &mut Vec::new());
    assert!(host.channel.is_idle(until) && host.channel.next_deadline().is_none());
}

#[test]
fn the_same_events_give_the_same_effects() {
    let run = || {
        let mut host = host();
        (0..50)
            .flat_map(|n| {
                let event = host.publish_event(sent("c", n), messages(&["a"]));
                host.handle(event)
            })
            .map(|effect| format!("{effect:?} {}", line(&effect)))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}
