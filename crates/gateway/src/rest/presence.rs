//! `GET /channels/{channel}/presence`: the members that are there now.

use http::StatusCode;
use node::{Operation, PresencePage, PresenceQuery};
use types::{ClientId, ConnectionId, ErrorInfo};

use super::{
    answer::{self, Answer},
    call::Call,
    page,
};

pub(super) fn operation(channel: &str, call: &Call<'_>) -> Result<Operation, ErrorInfo> {
    let query = PresenceQuery {
        limit: page::limit(call)?,
        client_id: call.param("clientId").map(ClientId::from),
        connection_id: call.param("connectionId").map(ConnectionId::from),
        after: call.param(page::AFTER).map(str::to_owned),
    };
    Ok(Operation::Presence { channel: channel.into(), query })
}

pub(super) fn answer(page: &PresencePage, call: &Call<'_>) -> Answer {
    let body = protocol::encode_presence(&page.members, call.format);
    let mut answer = answer::formatted(StatusCode::OK, body, call.format);
    page::link(&mut answer, call, page.next.as_deref());
    answer
}
