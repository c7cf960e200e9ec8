//! Reactions to messages of a chat room: annotations of the types `reaction:{kind}.v1`, and their
//! summaries by kind.

use node::Operation;
use serde::Deserialize;
use serde_json::{Map, Value};
use types::{Annotation, AnnotationAction, ClientId, ErrorInfo, error::INVALID_PARAM};

use super::Call;

const KINDS: [&str; 3] = ["unique", "distinct", "multiple"];

#[derive(Deserialize)]
struct Reaction {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    count: Option<u32>,
}

pub(super) fn add(
    channel: String,
    serial: &str,
    call: &Call<'_>,
    body: &[u8],
) -> Result<Operation, ErrorInfo> {
    let Reaction { kind, name, count } = protocol::decode_value(call.body_format()?, body)?;
    let annotation = Annotation {
        name: Some(name.into()),
        count: count.filter(|_| kind == "multiple"),
        ..annotation(AnnotationAction::Create, &kind, call)?
    };
    Ok(Operation::Annotate { channel, serial: serial.into(), annotations: vec![annotation] })
}

/// A unique reaction is taken back whatever its name.
pub(super) fn remove(
    channel: String,
    serial: &str,
    call: &Call<'_>,
) -> Result<Operation, ErrorInfo> {
    let kind = call.param("type").unwrap_or_default();
    let annotation = Annotation {
        name: call.param("name").filter(|_| kind != "unique").map(Into::into),
        ..annotation(AnnotationAction::Delete, kind, call)?
    };
    Ok(Operation::Annotate { channel, serial: serial.into(), annotations: vec![annotation] })
}

fn annotation(
    action: AnnotationAction,
    kind: &str,
    call: &Call<'_>,
) -> Result<Annotation, ErrorInfo> {
    if !KINDS.contains(&kind) {
        return Err(INVALID_PARAM.with("type is unique, distinct or multiple"));
    }
    let client_id = call.param("clientId").map(ClientId::from);
    Ok(Annotation { client_id, ..Annotation::new(action, type_of(kind)) })
}

fn type_of(kind: &str) -> String {
    format!("reaction:{kind}.v1")
}

/// The summary of a message, or of a client's part in it; every kind is there.
pub(super) fn show(summary: Option<&Map<String, Value>>) -> Value {
    let of_kind = |kind: &str| summary.and_then(|summary| summary.get(&type_of(kind))).cloned();
    let shown = KINDS.map(|kind| (kind.into(), of_kind(kind).unwrap_or_else(|| Map::new().into())));
    Map::from_iter(shown).into()
}
