//! History over the log.

use types::{Body, Cursor, Direction, HistoryQuery, Kind, PresenceAction, SeriesId, Timestamp};

use crate::host::{Host, START, content, host, messages, named, presence, sent, text};

fn query() -> HistoryQuery {
    HistoryQuery { direction: Direction::Forwards, ..HistoryQuery::new(Kind::Messages, 100) }
}

/// The pages of a query, all items of a page in one line.
fn pages(host: &Host, mut query: HistoryQuery) -> Vec<String> {
    let mut pages = Vec::new();
    loop {
        let page = host.channel.history(&query).unwrap();
        let items = page.items.iter().map(|(entry, index)| match &entry.body {
            Body::Messages(messages) => text(&messages[*index].data).to_owned(),
            Body::Annotations(_) | Body::Presence(_) | Body::Objects(_) => content(entry),
        });
        pages.push(items.collect::<Vec<_>>().join(" "));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return pages,
        }
    }
}

fn filled() -> Host {
    let mut host = host();
    host.post(&["a"]);
    host.at(1_000);
    host.publish(named("1"), messages(&["b", "c"]));
    host.at(2_000);
    host.publish(sent("c", 0), Body::Presence(vec![presence(PresenceAction::Enter, "x", "")]));
    host.post(&["d"]);
    host
}

#[test]
fn history_goes_both_ways_item_by_item_page_by_page() {
    let host = filled();
    let backwards = HistoryQuery { direction: Direction::Backwards, ..query() };
    assert_eq!(pages(&host, query()), ["a b c d"]);
    assert_eq!(pages(&host, backwards.clone()), ["d c b a"]);
    assert_eq!(pages(&host, HistoryQuery { limit: 2, ..query() }), ["a b", "c d"]);
    assert_eq!(pages(&host, HistoryQuery { limit: 2, ..backwards }), ["d c", "b a"]);
}

#[test]
fn presence_has_a_history_of_its_own() {
    let presence = HistoryQuery { kind: Kind::Presence, ..query() };
    assert_eq!(pages(&filled(), presence), ["enter:x="]);
}

#[test]
fn start_and_end_are_inclusive() {
    let host = filled();
    let between = |start, end| HistoryQuery {
        start: Some(Timestamp(START + start)),
        end: Some(Timestamp(START + end)),
        ..query()
    };
    assert_eq!(pages(&host, between(0, 999)), ["a"]);
    assert_eq!(pages(&host, between(1_000, 2_000)), ["b c d"]);
    assert_eq!(pages(&host, between(1_001, 1_999)), [""]);
}

#[test]
fn paging_goes_on_where_it_was_although_the_log_grows() {
    let mut host = filled();
    let backwards = HistoryQuery { direction: Direction::Backwards, limit: 2, ..query() };
    let first = host.channel.history(&backwards).unwrap();
    host.post(&["e"]);
    assert_eq!(pages(&host, HistoryQuery { after: first.next, ..backwards }), ["b a"]);
}

#[test]
fn history_until_the_attach_abuts_on_what_is_delivered_live() {
    let mut host = filled();
    let cursor = host.attach().cursor;
    host.post(&["e", "f"]);
    let until = HistoryQuery { until: Some(cursor.clone()), ..query() };
    assert_eq!(pages(&host, until), ["a b c d"]);
    assert_eq!(crate::host::told(&host.resume(&cursor)), "resumed e f");
}

#[test]
fn an_attach_point_that_is_not_known_here_is_gone() {
    let elsewhere = Cursor::at(SeriesId::from_bytes(b"eu1000000000").unwrap(), 1);
    let until = HistoryQuery { until: Some(elsewhere), ..query() };
    assert_eq!(filled().channel.history(&until).unwrap_err().code, 90008);
}
