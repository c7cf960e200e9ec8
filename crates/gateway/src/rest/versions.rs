//! `GET /channels/{channel}/messages/{serial}/versions`: what a message was, and is (RSL14). The
//! oldest version comes first unless the direction says otherwise.

use http::StatusCode;
use node::{Operation, VersionsPage, VersionsQuery, What};
use types::{Direction, ErrorInfo};

use super::{
    answer::{self, Answer},
    call::Call,
    page,
};

pub(super) fn operation(
    channel: &str,
    serial: &str,
    call: &Call<'_>,
) -> Result<Operation, ErrorInfo> {
    let what = What::Versions(VersionsQuery {
        direction: page::direction(call, Direction::Forwards)?,
        limit: page::limit(call)?,
        after: call.parsed(page::AFTER)?,
    });
    Ok(Operation::ReadMessage { channel: channel.into(), serial: serial.into(), what })
}

pub(super) fn answer(page: &VersionsPage, call: &Call<'_>) -> Answer {
    let body = protocol::encode_messages_as(call.message_shape(), &page.versions, call.format);
    let mut answer = answer::formatted(StatusCode::OK, body, call.format);
    page::link(&mut answer, call, page.next.as_deref());
    answer
}
