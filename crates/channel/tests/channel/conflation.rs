//! Conflation at a channel: what becomes of a publish whose messages are replaced.

use channel::Event;
use types::{Body, Data, Message};

use crate::host::{Host, conflation, host_with, messages, named, sent};

/// Publishes within one interval, which then ends.
fn interval(host: &mut Host, publishes: Vec<Event>) -> Vec<String> {
    let mut lines: Vec<String> = publishes.into_iter().flat_map(|event| host.say(event)).collect();
    host.now += 100;
    lines.extend(host.say(Event::Tick));
    lines
}

fn keyed(texts: &[(&str, &str)]) -> Body {
    let message = |(name, data): &(&str, &str)| Message {
        name: Some((*name).into()),
        data: Data::Text((*data).into()),
        ..Message::default()
    };
    Body::Messages(texts.iter().map(message).collect())
}

#[test]
fn what_is_replaced_takes_no_more_room_than_there_is_for_ids() {
    let mut host = host_with(|config| {
        config.grouping = conflation();
        config.limits.ids = 2;
    });
    let publishes =
        ["1", "2", "3", "4"].map(|text| host.publish_event(named(text), messages(&[text])));
    assert_eq!(
        interval(&mut host, publishes.into()),
        [
            "deliver 4",
            "4 accepted 1",
            "1 accepted 1 dropped 1",
            "2 refused 42913",
            "3 refused 42913"
        ]
    );
    assert_eq!(host.channel.metrics().ids, 2);
}

#[test]
fn what_is_replaced_is_refused_with_what_replaces_it() {
    let mut host = host_with(|config| {
        config.grouping = conflation();
        config.limits.message_rate = 1;
    });
    let debt = host.publish_event(named("debt"), keyed(&[("a", "1"), ("b", "1"), ("c", "1")]));
    interval(&mut host, vec![debt]);
    let publishes = vec![
        host.publish_event(sent("x", 0), keyed(&[("k", "1"), ("l", "1")])),
        host.publish_event(sent("x", 0), keyed(&[("k", "1"), ("l", "1")])),
        host.publish_event(sent("y", 0), keyed(&[("k", "2"), ("l", "2")])),
    ];
    let lines = interval(&mut host, publishes);
    assert_eq!(lines, ["4 refused 42913", "2 refused 42913", "3 refused 42913"]);
    assert!(!host.channel.knows(&sent("x", 0)));
}

#[test]
fn what_is_replaced_is_accepted_with_all_that_replaces_it_and_so_is_its_repeat() {
    let mut host = host_with(|config| config.grouping = conflation());
    let publishes = vec![
        host.publish_event(sent("x", 0), keyed(&[("k", "1"), ("l", "1")])),
        host.publish_event(sent("x", 1), keyed(&[("k", "2")])),
        host.publish_event(sent("x", 0), keyed(&[("k", "1"), ("l", "1")])),
        host.publish_event(sent("y", 0), keyed(&[("k", "3")])),
        host.publish_event(sent("z", 0), keyed(&[("l", "3")])),
    ];
    assert_eq!(
        interval(&mut host, publishes),
        [
            "deliver 3",
            "4 accepted 1",
            "deliver 3",
            "5 accepted 1",
            "1 accepted 2 dropped 11",
            "2 accepted 1 dropped 1",
            "3 accepted 2 dropped 11",
        ]
    );
}
