//! `POST /channels/{channel}/messages`

use bytes::Bytes;
use http::{HeaderName, StatusCode};
use node::Operation;
use serde::Serialize;
use types::{
    Accepted, Data, ErrorInfo, Message,
    error::{FORCED_NACK, INVALID_DATA},
};

use super::{
    answer::{self, Answer},
    call::Call,
};

const MESSAGE_ID: HeaderName = HeaderName::from_static("x-ably-messageid");
const NAME: HeaderName = HeaderName::from_static("x-ably-name");
const CONNECTION_KEY: HeaderName = HeaderName::from_static("x-ably-connectionkey");
const ENCODING: HeaderName = HeaderName::from_static("x-ably-encoding");

/// The answer; clients of versions before 5 ignore `serials`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Published<'a> {
    channel: &'a str,
    message_id: &'a str,
    serials: Vec<Option<String>>,
}

pub(super) fn operation(
    channel: &str,
    call: &Call<'_>,
    body: &[u8],
) -> Result<Operation, ErrorInfo> {
    if call.param("_forceNack") == Some("true") {
        return Err(FORCED_NACK.info());
    }
    let messages = if call.param("enveloped") == Some("false") {
        vec![unenveloped(call, body)?]
    } else {
        protocol::decode_messages(call.body_format()?, body)?
    };
    Ok(Operation::Publish { channel: channel.into(), messages })
}

/// A message whose data is the body; what else it has is in headers, or parameters.
fn unenveloped(call: &Call<'_>, body: &[u8]) -> Result<Message, ErrorInfo> {
    let is_json = call.content_type() == Some("application/json");
    let is_text = is_json || call.content_type().is_some_and(|kind| kind.starts_with("text/"));
    let data = if is_text {
        let text = std::str::from_utf8(body);
        Data::Text(text.map_err(|_utf8| INVALID_DATA.with("text must be UTF-8"))?.into())
    } else {
        Data::Binary(Bytes::copy_from_slice(body))
    };
    let encoding = call.header_or_param(ENCODING, "encoding").or(is_json.then_some("json"));
    Ok(Message {
        id: call.header_or_param(MESSAGE_ID, "messageId").map(Into::into),
        name: call.header_or_param(NAME, "name").map(Into::into),
        connection_key: call.header_or_param(CONNECTION_KEY, "connectionKey").map(Into::into),
        client_id: call.param("clientId").map(Into::into),
        encoding: encoding.map(Into::into),
        data,
        ..Message::default()
    })
}

pub(super) fn answer(
    channel: &str,
    message_id: &str,
    accepted: &Accepted,
    call: &Call<'_>,
) -> Result<Answer, ErrorInfo> {
    let serials = accepted.serials().map(|serial| serial.map(|serial| serial.to_string()));
    let body = Published { channel, message_id, serials: serials.collect() };
    let body = protocol::encode_value(&body, call.format)?;
    Ok(answer::formatted(StatusCode::CREATED, body, call.format))
}
