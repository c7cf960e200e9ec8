//! Messages of a chat room: what is said in one, and how one is shown. The text and its metadata
//! are the data of the channel's message, headers are its extras.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use types::{ClientId, Data, ErrorInfo, Message, MessageAction, Version, error::INVALID_BODY};

use super::{Call, reaction};

/// The name of every message of a room (CHA-M4).
const NAME: &str = "chat.message";

#[derive(Deserialize)]
struct Said {
    text: String,
    metadata: Option<Map<String, Value>>,
    headers: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct Update {
    message: Said,
    #[serde(flatten)]
    reason: Reason,
}

/// Why a message is changed.
#[derive(Default, Deserialize)]
struct Reason {
    description: Option<String>,
    metadata: Option<Map<String, Value>>,
}

pub(super) fn new(call: &Call<'_>, body: &[u8]) -> Result<Message, ErrorInfo> {
    let said: Said = protocol::decode_value(call.body_format()?, body)?;
    let client_id = call.param("clientId").map(ClientId::from);
    Ok(Message { client_id, ..said.message(call)? })
}

/// Replaces the whole content: what the update does not have is gone.
pub(super) fn update(serial: &str, call: &Call<'_>, body: &[u8]) -> Result<Message, ErrorInfo> {
    let Update { message, reason } = protocol::decode_value(call.body_format()?, body)?;
    Ok(Message {
        action: MessageAction::Update,
        serial: Some(serial.into()),
        version: Some(reason.version(call)),
        ..message.message(call)?
    })
}

/// Leaves a message without content.
pub(super) fn delete(serial: &str, call: &Call<'_>, body: &[u8]) -> Result<Message, ErrorInfo> {
    let reason = if body.is_empty() {
        Reason::default()
    } else {
        protocol::decode_value(call.body_format()?, body)?
    };
    Ok(Message {
        action: MessageAction::Delete,
        serial: Some(serial.into()),
        version: Some(reason.version(call)),
        ..message(call, &json!({}), Map::new())
    })
}

impl Said {
    fn message(self, call: &Call<'_>) -> Result<Message, ErrorInfo> {
        if self.text.is_empty() {
            return Err(INVALID_BODY.with("text must not be empty"));
        }
        let mut data = Map::from_iter([("text".into(), Value::from(self.text))]);
        data.extend(self.metadata.map(|metadata| ("metadata".into(), metadata.into())));
        let headers = self.headers.map(|headers| ("headers".into(), headers.into()));
        Ok(message(call, &data.into(), Map::from_iter(headers)))
    }
}

impl Reason {
    fn version(self, call: &Call<'_>) -> Arc<Version> {
        Arc::new(Version {
            client_id: call.param("clientId").map(ClientId::from),
            description: self.description.map(Into::into),
            metadata: self.metadata.map(Arc::new),
            ..Version::default()
        })
    }
}

fn message(call: &Call<'_>, data: &Value, extras: Map<String, Value>) -> Message {
    Message {
        id: call.param("idempotencyKey").map(Into::into),
        name: Some(NAME.into()),
        data: Data::Text(data.to_string().into()),
        encoding: Some("json".into()),
        extras: Some(Arc::new(extras)),
        ..Message::default()
    }
}

/// Of a message that is none of chat only the envelope is shown.
pub(super) fn show(message: &Message) -> Value {
    let data = content(message);
    let object = |value: Option<&Value>| value.cloned().filter(Value::is_object);
    let extra = |field: &str| message.extras.as_ref().and_then(|extras| extras.get(field));
    without_nulls(json!({
        "serial": message.serial,
        "clientId": message.client_id.as_ref().map(ClientId::as_str),
        "text": data.get("text").and_then(Value::as_str).unwrap_or_default(),
        "metadata": object(data.get("metadata")).unwrap_or_else(|| json!({})),
        "headers": object(extra("headers")).unwrap_or_else(|| json!({})),
        "userClaim": extra("userClaim"),
        "timestamp": message.timestamp.map(|timestamp| timestamp.0),
        "action": action(message.action),
        "version": version(message),
        "reactions": reaction::show(message.summary.as_deref()),
    }))
}

fn content(message: &Message) -> Value {
    match (&message.data, message.encoding.as_deref()) {
        (Data::Text(text), Some("json")) => serde_json::from_str(text).unwrap_or_default(),
        (Data::None | Data::Text(_) | Data::Binary(_), _) => Value::Null,
    }
}

fn action(action: MessageAction) -> &'static str {
    match action {
        MessageAction::Update | MessageAction::Append => "message.update",
        MessageAction::Delete => "message.delete",
        MessageAction::Create | MessageAction::Meta | MessageAction::Summary => "message.create",
    }
}

/// A message as it was sent is its own first version.
fn version(message: &Message) -> Value {
    let said = message.version.as_deref().cloned().unwrap_or_default();
    without_nulls(json!({
        "serial": said.serial.as_ref().or(message.serial.as_ref()),
        "timestamp": said.timestamp.or(message.timestamp).map(|timestamp| timestamp.0),
        "clientId": said.client_id.as_ref().map(ClientId::as_str),
        "description": said.description,
        "metadata": said.metadata.as_deref(),
    }))
}

fn without_nulls(mut fields: Value) -> Value {
    if let Some(fields) = fields.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    fields
}
