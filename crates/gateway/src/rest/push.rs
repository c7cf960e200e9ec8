//! `/push/…`: devices, subscriptions to channels, and notifications. How a request proves from which
//! device it comes is in headers of its own (RSH6).

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use http::{HeaderName, Method};
use node::{Operation, PushOperation, PushQuery, PushRequest};
use push::{DeviceFilter, State, Subscriber, SubscriptionFilter};
use serde_json::{Map, Value};
use types::{
    ChannelName, ClientId, DeviceId, ErrorInfo,
    error::{BAD_REQUEST, INVALID_BODY, INVALID_PARAM},
};

use super::{call::Call, page, route::NoRoute};

const DEVICE_TOKEN: HeaderName = HeaderName::from_static("x-ably-devicetoken");
const DEVICE_SECRET: HeaderName = HeaderName::from_static("x-ably-devicesecret");

/// Bytes of the body of a batch publish; more are refused (40009).
pub(super) const MAX_BATCH_BODY: usize = 2 << 20;

/// Items on a page at most; who asks for more gets as many.
const MAX_LIMIT: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint<'a> {
    Register,
    Devices,
    RemoveDevices,
    Device { id: &'a str },
    Save { id: &'a str },
    Change { id: &'a str },
    Remove { id: &'a str },
    ResetToken { id: &'a str },
    Subscribe,
    Subscriptions,
    Unsubscribe,
    Channels,
    Publish,
    BatchPublish,
}

/// What a device and a client in one filter mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Both {
    Refused,
    /// Subscriptions of either.
    Either,
}

/// What a path below `/push` names.
pub(super) fn route<'a>(method: &Method, segments: &[&'a str]) -> Result<Endpoint<'a>, NoRoute> {
    let (methods, allow): (&[(Method, Endpoint<'a>)], _) = match *segments {
        ["deviceRegistrations"] => (
            &[
                (Method::POST, Endpoint::Register),
                (Method::GET, Endpoint::Devices),
                (Method::DELETE, Endpoint::RemoveDevices),
            ],
            "GET, POST, DELETE",
        ),
        ["deviceRegistrations", id] => (
            &[
                (Method::GET, Endpoint::Device { id }),
                (Method::PUT, Endpoint::Save { id }),
                (Method::PATCH, Endpoint::Change { id }),
                (Method::DELETE, Endpoint::Remove { id }),
            ],
            "GET, PUT, PATCH, DELETE",
        ),
        ["deviceRegistrations", id, "resetUpdateToken"] => {
            (&[(Method::POST, Endpoint::ResetToken { id })], "POST")
        }
        ["channelSubscriptions"] => (
            &[
                (Method::POST, Endpoint::Subscribe),
                (Method::GET, Endpoint::Subscriptions),
                (Method::DELETE, Endpoint::Unsubscribe),
            ],
            "GET, POST, DELETE",
        ),
        ["channels"] => (&[(Method::GET, Endpoint::Channels)], "GET"),
        ["publish"] => (&[(Method::POST, Endpoint::Publish)], "POST"),
        ["batch", "publish"] | ["admin", "batch", "publish"] => {
            (&[(Method::POST, Endpoint::BatchPublish)], "POST")
        }
        _ => return Err(NoRoute::NotFound),
    };
    let found = methods.iter().find(|(of, _)| of == method);
    found.map(|(_, endpoint)| *endpoint).ok_or(NoRoute::Method(allow))
}

pub(super) fn operation(
    endpoint: Endpoint<'_>,
    call: &Call<'_>,
    body: &[u8],
) -> Result<Operation, ErrorInfo> {
    let operation = match endpoint {
        Endpoint::Register => PushOperation::Register(object(call, body)?),
        Endpoint::Devices => {
            let (limit, after) = page_of(call)?;
            PushOperation::Read(PushQuery::Devices { filter: devices(call)?, limit, after })
        }
        Endpoint::RemoveDevices => {
            PushOperation::Remove(DeviceFilter { state: None, ..devices(call)? })
        }
        Endpoint::Device { id } => PushOperation::Read(PushQuery::Device(id.into())),
        Endpoint::Save { id } => PushOperation::Save(id.into(), object(call, body)?),
        Endpoint::Change { id } => PushOperation::Change(id.into(), object(call, body)?),
        Endpoint::Remove { id } => PushOperation::Remove(DeviceFilter {
            device_id: Some(DeviceId::from(id)),
            ..DeviceFilter::default()
        }),
        Endpoint::ResetToken { id } => PushOperation::ResetToken(id.into()),
        Endpoint::Subscribe => PushOperation::Subscribe(object(call, body)?),
        Endpoint::Subscriptions => {
            let either = call.parsed("concatFilters")?.unwrap_or(false);
            let both = if either { Both::Either } else { Both::Refused };
            let (limit, after) = page_of(call)?;
            PushOperation::Read(PushQuery::Subscriptions {
                filter: subscriptions(call, both)?,
                limit,
                after,
            })
        }
        Endpoint::Unsubscribe => PushOperation::Unsubscribe(subscriptions(call, Both::Refused)?),
        Endpoint::Channels => {
            let (limit, after) = page_of(call)?;
            PushOperation::Read(PushQuery::Channels { limit, after })
        }
        Endpoint::Publish => PushOperation::Publish(object(call, body)?),
        Endpoint::BatchPublish => {
            PushOperation::BatchPublish(protocol::decode_value(call.body_format()?, body)?)
        }
    };
    let header = |name| super::call::header(call.head, name);
    Ok(Operation::Push(PushRequest {
        device_token: header(DEVICE_TOKEN).map(token),
        device_secret: header(DEVICE_SECRET).map(str::to_owned),
        operation,
    }))
}

/// An identity token, which some client libraries send in base64: no base64 has a dot.
fn token(text: &str) -> String {
    let encoded = Some(text.trim_end_matches('=')).filter(|text| !text.contains('.'));
    let decoded = encoded.and_then(|text| BASE64_STANDARD_NO_PAD.decode(text).ok());
    decoded.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| text.to_owned())
}

fn object(call: &Call<'_>, body: &[u8]) -> Result<Map<String, Value>, ErrorInfo> {
    match protocol::decode_value(call.body_format()?, body)? {
        Value::Object(object) => Ok(object),
        _ => Err(INVALID_BODY.with("the body must be an object")),
    }
}

fn devices(call: &Call<'_>) -> Result<DeviceFilter, ErrorInfo> {
    let state = |name| {
        State::from_name(name)
            .ok_or_else(|| INVALID_PARAM.with("state is ACTIVE, FAILING or FAILED"))
    };
    Ok(DeviceFilter {
        device_id: call.param("deviceId").map(DeviceId::from),
        client_id: call.param("clientId").map(ClientId::from),
        state: call.param("state").map(state).transpose()?,
    })
}

fn subscriptions(call: &Call<'_>, both: Both) -> Result<SubscriptionFilter, ErrorInfo> {
    let device = call.param("deviceId").map(|id| Subscriber::Device(id.into()));
    let client = call.param("clientId").map(|id| Subscriber::Client(id.into()));
    if device.is_some() && client.is_some() && both == Both::Refused {
        return Err(BAD_REQUEST.with("deviceId and clientId together need concatFilters=true"));
    }
    Ok(SubscriptionFilter {
        channel: call.param("channel").map(ChannelName::parse).transpose()?,
        subscribers: device.into_iter().chain(client).collect(),
    })
}

fn page_of(call: &Call<'_>) -> Result<(usize, Option<String>), ErrorInfo> {
    let limit = match call.parsed::<usize>("limit")? {
        Some(limit @ 1..) => limit.min(MAX_LIMIT),
        Some(0) | None => page::limit(call)?,
    };
    Ok((limit, call.param(page::AFTER).map(str::to_owned)))
}

#[cfg(test)]
mod tests;
