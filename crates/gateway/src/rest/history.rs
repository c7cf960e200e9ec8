//! `GET /channels/{channel}/messages` and `GET /channels/{channel}/presence/history`

use http::StatusCode;
use node::Operation;
use types::{
    Body, Direction, Entry, ErrorInfo, HistoryPage, HistoryQuery, Kind, PresenceMessage, Timestamp,
};

use super::{
    answer::{self, Answer},
    call::Call,
    page,
};

pub(super) fn operation(
    channel: &str,
    kind: Kind,
    call: &Call<'_>,
) -> Result<Operation, ErrorInfo> {
    let direction = page::direction(call, Direction::Backwards)?;
    let query = HistoryQuery {
        kind,
        about: None,
        direction,
        start: call.parsed("start")?.map(Timestamp),
        end: call.parsed("end")?.map(Timestamp),
        limit: page::limit(call)?,
        until: None,
        after: call.parsed(page::AFTER)?,
    };
    let until = call.param("fromSerial").or_else(|| call.param("from_serial"));
    Ok(Operation::History { channel: channel.into(), query, until: until.map(str::to_owned) })
}

/// A page holds items of one kind; an empty list is the same for both.
pub(super) fn answer(page: &HistoryPage, call: &Call<'_>) -> Answer {
    let mut messages = Vec::new();
    let mut annotations = Vec::new();
    let mut presence = Vec::new();
    for (entry, index) in &page.items {
        messages.extend(entry.message(*index));
        annotations.extend(entry.annotation(*index));
        if let Body::Presence(all) = &entry.body {
            presence.extend(all.get(*index).map(|event| self::event(entry, *index, event)));
        }
    }
    let body = if !messages.is_empty() {
        protocol::encode_messages_as(call.message_shape(), &messages, call.format)
    } else if !annotations.is_empty() {
        protocol::encode_annotations(&annotations, call.format)
    } else {
        protocol::encode_presence(&presence, call.format)
    };
    let mut answer = answer::formatted(StatusCode::OK, body, call.format);
    page::link(&mut answer, call, page.next.map(|next| next.to_string()).as_deref());
    answer
}

fn event(entry: &Entry, index: usize, event: &PresenceMessage) -> PresenceMessage {
    PresenceMessage {
        id: Some(entry.item_id(index).into()),
        connection_id: event.connection_id.clone().or_else(|| entry.connection_id.clone()),
        timestamp: event.timestamp.or(Some(entry.timestamp)),
        ..event.clone()
    }
}
