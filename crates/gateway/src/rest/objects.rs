//! `POST` and `GET /channels/{channel}/object`, `GET /channels/{channel}/object/{id}`

use http::StatusCode;
use node::{ObjectQuery, Operation, View};
use protocol::Tree;
use serde::Serialize;
use types::{ChannelName, ErrorInfo, ObjectId};

use super::{
    answer::{self, Answer},
    call::Call,
};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Published<'a> {
    message_id: &'a str,
    channel: &'a str,
    object_ids: Vec<&'a str>,
}

pub(super) fn publish(channel: &str, call: &Call<'_>, body: &[u8]) -> Result<Operation, ErrorInfo> {
    let operations = protocol::decode_object_operations(call.body_format()?, body)?;
    Ok(Operation::PublishObjects { channel: channel.into(), operations })
}

pub(super) fn read(
    channel: &str,
    object_id: Option<&str>,
    call: &Call<'_>,
) -> Result<Operation, ErrorInfo> {
    let view = if call.parsed("compact")?.unwrap_or(true) { View::Compact } else { View::Full };
    Ok(Operation::ReadObject(ObjectQuery {
        channel: channel.into(),
        object_id: object_id.map(str::to_owned),
        path: call.param("path").map(str::to_owned),
        view,
    }))
}

pub(super) fn published(
    channel: &ChannelName,
    message_id: &str,
    object_ids: &[ObjectId],
    call: &Call<'_>,
) -> Result<Answer, ErrorInfo> {
    let object_ids = object_ids.iter().map(ObjectId::as_str).collect();
    let body = Published { message_id, channel: channel.as_str(), object_ids };
    let body = protocol::encode_value(&body, call.format)?;
    Ok(answer::formatted(StatusCode::CREATED, body, call.format))
}

pub(super) fn object(tree: &Tree, call: &Call<'_>) -> Answer {
    answer::formatted(StatusCode::OK, protocol::encode_tree(tree, call.format), call.format)
}
