//! `GET /sse` and `GET /event-stream`: what the parameters ask for.

use std::sync::Arc;

use http::{HeaderName, header};
use node::Way;
use protocol::MessageShape;
use types::{
    ErrorInfo, Params,
    error::{CHANNELS_PER_CONNECTION, INVALID_PARAM, UNSUPPORTED_VERSION},
};

use super::{
    answer::{self, Answer},
    call::{self, Call},
};
use crate::{
    event_stream::{self, Contents, Framing, Heartbeats, Position, Wanted},
    server::Server,
};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Channels of one stream: their positions, however long, fit the head of a request.
const MAX_CHANNELS: usize = 100;

/// Parameters that are meant for every channel.
const CHANNEL_PARAMS: [&str; 7] =
    ["rewind", "rewindLimit", "delta", "occupancy", "objects", "modes", "appendMode"];

/// The version of the protocol that events are made from. The documented versions of this API are
/// decimal, and older than any that sessions speak.
const VERSION: &str = "2";

pub(super) async fn answer(
    server: &Server,
    call: &Call<'_>,
    framing: Framing,
) -> Result<Answer, ErrorInfo> {
    let mut query = call.connect_query()?;
    query.retain(|(name, _)| name != "v" && name != "resume" && name != "recover");
    let version = version(call.param("v"))?;
    let shape = MessageShape::of(session::parse_version(Some(version))?);
    query.push(("v".into(), version.into()));
    let framing = match call::header(call.head, header::ACCEPT) {
        Some(accept) if accept.contains(Framing::ServerSentEvents.content_type()) => {
            Framing::ServerSentEvents
        }
        Some(_) | None => framing,
    };
    let origin = call.origin(Way::Transport("sse"));
    let body =
        event_stream::open(&server.hub, query, origin, wanted(call, framing, shape)?).await?;
    Ok(answer::live(framing.content_type(), body))
}

fn wanted(call: &Call<'_>, framing: Framing, shape: MessageShape) -> Result<Wanted, ErrorInfo> {
    let channels = channels(call)?;
    let params = CHANNEL_PARAMS
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), call.param(name)?.to_owned())))
        .collect::<Params>();
    let heartbeats = match call.parsed::<bool>("heartbeats")? {
        Some(true) => Heartbeats::Events,
        Some(false) | None => Heartbeats::Hidden,
    };
    let contents = match call.parsed::<bool>("enveloped")? {
        Some(false) => Contents::Data,
        Some(true) | None => Contents::Envelope,
    };
    let resume = resume(call, channels.len())?;
    Ok(Wanted { channels, params, resume, framing, heartbeats, contents, shape })
}

fn channels(call: &Call<'_>) -> Result<Vec<Arc<str>>, ErrorInfo> {
    let names = call.param("channels").or_else(|| call.param("channel")).unwrap_or_default();
    let separator = call.param("separator").unwrap_or(",");
    if names.is_empty() || separator.is_empty() {
        return Err(INVALID_PARAM.with("channels missing"));
    }
    let mut channels: Vec<Arc<str>> = Vec::new();
    for name in names.split(separator) {
        if !channels.iter().any(|known| known.as_ref() == name) {
            channels.push(name.into());
        }
        if channels.len() > MAX_CHANNELS {
            return Err(CHANNELS_PER_CONNECTION.info());
        }
    }
    Ok(channels)
}

/// A header is newer than the URL: browsers repeat the URL when they reconnect.
fn resume(call: &Call<'_>, channels: usize) -> Result<Option<Position>, ErrorInfo> {
    let header = call::header(call.head, LAST_EVENT_ID).filter(|id| !id.is_empty());
    let Some(text) = header.or_else(|| call.param("lastEvent").filter(|id| !id.is_empty())) else {
        return Ok(None);
    };
    match Position::parse(text) {
        Some(position) if position.0.len() == channels => Ok(Some(position)),
        Some(_) | None => Err(INVALID_PARAM.with("lastEvent is not an event id of these channels")),
    }
}

fn version(text: Option<&str>) -> Result<&str, ErrorInfo> {
    let text = text.ok_or_else(|| UNSUPPORTED_VERSION.with("protocol version missing"))?;
    match text {
        "1.0" | "1.1" | "1.2" | "1" => Ok(VERSION),
        text => session::parse_version(Some(text)).map(|_| text),
    }
}
