//! Where attachments start, and that a resume says the truth.

use channel::{AttachmentId, Event, Rewind};
use types::{Body, Cursor, CursorError, PresenceAction, SeriesId};

use crate::host::{Host, RETENTION_MS, host, host_with, messages, named, presence, sent, told};

fn unknown(position: u64) -> Cursor {
    Cursor::at(SeriesId::from_bytes(b"eu1000000000").unwrap(), position)
}

#[test]
fn a_first_attach_starts_at_the_head() {
    let mut host = host();
    host.post(&["a", "b"]);
    let attached = host.attach();
    assert_eq!(told(&attached), "new");
    assert_eq!(told(&host.resume(&attached.cursor)), "resumed");
    host.post(&["c"]);
    assert_eq!(told(&host.resume(&attached.cursor)), "resumed c");
}

#[test]
fn a_channel_without_entries_has_a_cursor_that_resumes() {
    let mut host = host();
    let attached = host.attach();
    host.post(&["a"]);
    assert_eq!(told(&host.resume(&attached.cursor)), "resumed a");
}

#[test]
fn a_resumed_attach_is_answered_with_the_cursor_that_it_presented() {
    let mut host = host();
    let start = host.attach().cursor;
    host.post(&["a", "b"]);
    assert_eq!(host.resume(&start).cursor, start);
}

#[test]
fn each_replayed_entry_is_labelled_so_that_a_drop_behind_it_loses_and_repeats_nothing() {
    let mut host = host();
    let start = host.attach().cursor;
    host.publish(named("1"), messages(&["a", "b"]));
    host.post(&["c", "d"]);
    let replay = host.resume(&start).replay;
    let rest: Vec<String> = replay.iter().map(|(_, label)| told(&host.resume(label))).collect();
    assert_eq!(rest, ["resumed c d", "resumed d", "resumed"]);
}

#[test]
fn resume_with_expired_cursor_says_so() {
    let mut host = host();
    let start = host.attach().cursor;
    host.post(&["a"]);
    host.at(RETENTION_MS - 1);
    assert_eq!(told(&host.resume(&start)), "resumed a");
    host.post(&["b"]);
    host.at(RETENTION_MS);
    let refused = host.resume(&start);
    assert_eq!(told(&refused), "90003");
    assert_eq!(told(&host.resume(&refused.cursor)), "resumed");
}

#[test]
fn a_resume_that_needs_more_than_16_mib_is_refused() {
    let mut host = host_with(|config| {
        config.limits.kib_rate = 0;
        config.limits.log_bytes = 64 << 20;
    });
    let start = host.attach().cursor;
    let large = "x".repeat(1 << 20);
    for n in 0..15 {
        host.publish(named(&n.to_string()), messages(&[&large]));
    }
    let resumed = host.resume(&start);
    assert_eq!((resumed.replay.len(), resumed.error), (15, None));
    host.publish(named("15"), messages(&[&large]));
    assert_eq!(told(&host.resume(&start)), "90004");
    let next = &resumed.replay[0].1;
    assert_eq!(host.resume(next).replay.len(), 15);
}

#[test]
fn a_cursor_at_the_trimmed_end_of_the_log_still_resumes() {
    let mut host = host();
    host.post(&["a"]);
    let head = host.attach().cursor;
    host.at(RETENTION_MS);
    assert_eq!(host.channel.metrics().entries, 0);
    assert_eq!(told(&host.resume(&head)), "resumed");
    host.post(&["b"]);
    assert_eq!(told(&host.resume(&head)), "resumed b");
}

#[test]
fn what_the_byte_bound_trims_is_reported_as_lost() {
    let mut host = host_with(|config| config.limits.log_bytes = 4_000);
    let mut cursors = vec![host.attach().cursor];
    let long = "x".repeat(900);
    for n in 0..5 {
        host.publish(sent("c", n), messages(&[&long]));
        cursors.push(host.attach().cursor);
    }
    let held = host.channel.metrics().entries;
    assert!((1..5).contains(&held) && host.channel.metrics().bytes <= 4_000);
    let resumed: Vec<bool> = cursors.iter().map(|cursor| host.resume(cursor).resumed).collect();
    let expected: Vec<bool> = (0..6).map(|seen| seen >= 5 - held).collect();
    assert_eq!(resumed, expected);
}

#[test]
fn a_cursor_that_the_log_does_not_dominate_is_not_resumed() {
    let mut host = host();
    host.post(&["a"]);
    let head = host.attach().cursor;
    let (own, position) = head.iter().next().unwrap();
    let mut partly = head.clone();
    partly.join(&unknown(1));
    let cases = [
        (unknown(5), "of a series that nobody here knows"),
        (unknown(0), "at the start of an unknown series"),
        (partly, "that also names an unknown series"),
        (Cursor::at(own, position + 1), "ahead of the log"),
        (Cursor::default(), "that names nothing"),
    ];
    for (cursor, case) in cases {
        let attached = host.resume(&cursor);
        assert_eq!(told(&attached), "90003", "a cursor {case}");
        assert_eq!(attached.cursor, head, "a cursor {case}");
    }
}

#[test]
fn an_unreadable_cursor_attaches_at_the_head_and_says_why() {
    let mut host = host();
    host.post(&["a"]);
    for error in [CursorError::Malformed, CursorError::OtherChannel] {
        let attached = host.attach_with(Some(Err(error)), Some(Rewind::Messages(9)));
        assert_eq!(told(&attached), "90002");
    }
}

#[test]
fn a_resume_that_needs_too_much_says_so() {
    let mut host = host();
    let start = host.attach().cursor;
    for n in 0..=20_000 {
        host.publish(sent("c", n), messages(&["a"]));
    }
    assert_eq!(told(&host.resume(&start)), "90004");
}

fn rewound(host: &mut Host, rewind: Rewind) -> String {
    told(&host.rewind(rewind))
}

#[test]
fn rewind_replays_messages_from_before_the_attach() {
    let mut host = host();
    host.post(&["a"]);
    host.at(1_000);
    host.publish(sent("c", 0), Body::Presence(vec![presence(PresenceAction::Enter, "x", "")]));
    host.publish(named("1"), messages(&["b", "c"]));
    host.at(2_000);
    host.post(&["d"]);
    let millis = |duration_ms, limit| Rewind::Millis { duration_ms, limit };
    let cases = [
        (Rewind::Messages(0), "new"),
        (Rewind::Messages(1), "new d"),
        (Rewind::Messages(2), "new d"),
        (Rewind::Messages(3), "new b+c d"),
        (Rewind::Messages(100), "new a b+c d"),
        (millis(500, 100), "new d"),
        (millis(1_000, 100), "new b+c d"),
        (millis(5_000, 1), "new d"),
        (millis(5_000, 100), "new a b+c d"),
    ];
    for (rewind, expected) in cases {
        assert_eq!(rewound(&mut host, rewind), expected, "{rewind:?}");
    }
}

#[test]
fn rewind_replays_the_last_publish_even_if_it_has_more_messages_than_asked_for() {
    let mut host = host();
    host.publish(named("1"), messages(&["a", "b"]));
    assert_eq!(rewound(&mut host, Rewind::Messages(1)), "new a+b");
}

#[test]
fn a_drop_within_a_rewind_resumes_behind_the_last_frame_seen() {
    let mut host = host();
    host.post(&["a", "b", "c"]);
    let attached = host.rewind(Rewind::Messages(2));
    assert_eq!(told(&host.resume(&attached.cursor)), "resumed b c");
    assert_eq!(told(&host.resume(&attached.replay[0].1)), "resumed c");
    assert_eq!(told(&host.resume(&attached.replay[1].1)), "resumed");
}

#[test]
fn a_detach_ends_the_attachment() {
    let mut host = host();
    host.attach();
    assert_eq!(host.channel.metrics().attachments, 1);
    host.say(Event::Detach(AttachmentId(1)));
    assert_eq!(host.channel.metrics().attachments, 0);
}
