//! `GET /channels/{channel}/messages` and `GET /channels/{channel}/presence/history`

use http::StatusCode;
use node::Operation;
use types::{
    Body, Direction, Entry, ErrorInfo, HistoryPage, HistoryQuery, Kind, Message, MessageAction,
    PresenceMessage, Timestamp, error::INVALID_PARAM,
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
    let direction = match call.param("direction") {
        None | Some("backwards") => Direction::Backwards,
        Some("forwards") => Direction::Forwards,
        Some(_) => return Err(INVALID_PARAM.with("direction is forwards or backwards")),
    };
    let query = HistoryQuery {
        kind,
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
    let mut presence = Vec::new();
    for (entry, index) in &page.items {
        match &entry.body {
            Body::Messages(all) => {
                messages.extend(all.get(*index).map(|m| message(entry, *index, m)));
            }
            Body::Objects(_) => {}
            Body::Presence(all) => {
                presence.extend(all.get(*index).map(|p| event(entry, *index, p)));
            }
        }
    }
    let body = if messages.is_empty() {
        protocol::encode_presence(&presence, call.format)
    } else {
        protocol::encode_messages(&messages, call.format)
    };
    let mut answer = answer::formatted(StatusCode::OK, body, call.format);
    page::link(&mut answer, call, page.next.map(|next| next.to_string()).as_deref());
    answer
}

/// A message as subscribers received it, with what its frame said of it.
fn message(entry: &Entry, index: usize, message: &Message) -> Message {
    Message {
        id: Some(entry.item_id(index).into()),
        connection_id: message.connection_id.clone().or_else(|| entry.connection_id.clone()),
        timestamp: message.timestamp.or(Some(entry.timestamp)),
        serial: Some(entry.serial.item(index).into()),
        action: MessageAction::Create,
        ..message.clone()
    }
}

fn event(entry: &Entry, index: usize, event: &PresenceMessage) -> PresenceMessage {
    PresenceMessage {
        id: Some(entry.item_id(index).into()),
        connection_id: event.connection_id.clone().or_else(|| entry.connection_id.clone()),
        timestamp: event.timestamp.or(Some(entry.timestamp)),
        ..event.clone()
    }
}
