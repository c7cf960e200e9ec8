//! `POST /channels/{channel}/messages`

use std::sync::Arc;

use http::StatusCode;
use node::Operation;
use protocol::PublishResult;
use serde::Serialize;
use types::ErrorInfo;

use super::{
    answer::{self, Answer},
    call::Call,
};

/// The answer; clients of versions before 5 ignore `serials`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Published<'a> {
    channel: &'a str,
    message_id: &'a str,
    serials: &'a [Option<Arc<str>>],
}

pub(super) fn operation(
    channel: &str,
    call: &Call<'_>,
    body: &[u8],
) -> Result<Operation, ErrorInfo> {
    let messages = protocol::decode_messages(call.body_format()?, body)?;
    Ok(Operation::Publish { channel: channel.into(), messages })
}

pub(super) fn answer(
    channel: &str,
    message_id: &str,
    result: &PublishResult,
    call: &Call<'_>,
) -> Result<Answer, ErrorInfo> {
    let body = Published { channel, message_id, serials: &result.serials };
    let body = protocol::encode_value(&body, call.format)?;
    Ok(answer::formatted(StatusCode::CREATED, body, call.format))
}
