//! `GET /channels/{channel}` and `GET /channels`: channels themselves, with their occupancy (CHD2).

use http::StatusCode;
use node::{ChannelDetails, ChannelsPage, ChannelsQuery, Operation};
use serde_json::Value;
use types::{ErrorInfo, error::INVALID_PARAM};

use super::{
    answer::{self, Answer},
    call::Call,
    page,
};

/// The version from which on a list of channels is a list of names unless asked otherwise.
const NAMES_SINCE: u32 = 3;

pub(super) fn details(channel: &str) -> Operation {
    Operation::ChannelDetails { channel: channel.into() }
}

pub(super) fn list(call: &Call<'_>) -> Result<Operation, ErrorInfo> {
    names_only(call)?;
    let query = ChannelsQuery {
        limit: page::limit(call)?,
        prefix: call.param("prefix").unwrap_or_default().to_owned(),
        after: call.param(page::AFTER).map(str::to_owned),
    };
    Ok(Operation::Channels(query))
}

pub(super) fn details_answer(
    details: &ChannelDetails,
    call: &Call<'_>,
) -> Result<Answer, ErrorInfo> {
    let body = protocol::encode_value(&details.describe(), call.format)?;
    Ok(answer::formatted(StatusCode::OK, body, call.format))
}

pub(super) fn list_answer(page: &ChannelsPage, call: &Call<'_>) -> Result<Answer, ErrorInfo> {
    let names_only = names_only(call)?;
    let item = |details: &ChannelDetails| {
        if names_only { Value::from(details.name.as_str()) } else { details.describe() }
    };
    let items: Vec<Value> = page.channels.iter().map(item).collect();
    let body = protocol::encode_value(&items, call.format)?;
    let mut answer = answer::formatted(StatusCode::OK, body, call.format);
    page::link(&mut answer, call, page.next.as_deref());
    Ok(answer)
}

/// What `by` asks for: the ids of channels, or all about them.
fn names_only(call: &Call<'_>) -> Result<bool, ErrorInfo> {
    match call.param("by") {
        Some("id") => Ok(true),
        Some("value") => Ok(false),
        Some(_) => Err(INVALID_PARAM.with("by is id or value")),
        None => Ok(call.version() >= NAMES_SINCE),
    }
}
