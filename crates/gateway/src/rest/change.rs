//! `PATCH /channels/{channel}/messages/{serial}`: update, delete or append (RSL15); and
//! `POST …/delete`, as which clients before protocol version 5 delete.

use http::StatusCode;
use node::Operation;
use serde::Serialize;
use types::{ErrorInfo, Message, MessageAction, error::INVALID_BODY};

use super::{
    answer::{self, Answer},
    call::Call,
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    version_serial: Option<&'a str>,
}

/// A body without an action updates, as it did before protocol version 5.
pub(super) fn operation(
    channel: &str,
    serial: &str,
    call: &Call<'_>,
    body: &[u8],
) -> Result<Operation, ErrorInfo> {
    let mut change = one(protocol::decode_messages(call.body_format()?, body)?)?;
    if change.action == MessageAction::Create {
        change.action = MessageAction::Update;
    }
    Ok(Operation::Change { channel: channel.into(), serial: serial.into(), change })
}

pub(super) fn delete(
    channel: &str,
    serial: &str,
    call: &Call<'_>,
    body: &[u8],
) -> Result<Operation, ErrorInfo> {
    let said = if body.is_empty() {
        Message::default()
    } else {
        one(protocol::decode_messages(call.body_format()?, body)?)?
    };
    let change = Message { action: MessageAction::Delete, ..said };
    Ok(Operation::Change { channel: channel.into(), serial: serial.into(), change })
}

pub(super) fn answer(version_serial: Option<&str>, call: &Call<'_>) -> Result<Answer, ErrorInfo> {
    let body = protocol::encode_value(&Body { version_serial }, call.format)?;
    Ok(answer::formatted(StatusCode::OK, body, call.format))
}

fn one(messages: Vec<Message>) -> Result<Message, ErrorInfo> {
    let [message] = <[Message; 1]>::try_from(messages)
        .map_err(|_none_or_many| INVALID_BODY.with("a change is one message"))?;
    Ok(message)
}
