//! Answers about push: devices (PCD2), subscriptions (PCS1), and what became of the notifications of
//! a batch.

use auth::TokenDetails;
use http::StatusCode;
use node::{Notified, PushResponse, Reveal};
use push::{Device, Subscriber, Subscription};
use serde_json::{Map, Value, json};
use types::{ErrorInfo, error::INTERNAL};

use super::{
    answer::{self, Answer},
    call::Call,
    page,
};

pub(super) fn answer(response: PushResponse, call: &Call<'_>) -> Result<Answer, ErrorInfo> {
    match response {
        PushResponse::Device { device, reveal } => {
            let created = matches!(reveal, Reveal::Token(_));
            let body = revealing(describe(&device), &device, reveal)?;
            one(if created { StatusCode::CREATED } else { StatusCode::OK }, &body.into(), call)
        }
        PushResponse::Devices(page) => {
            let items = page.items.iter().map(describe).map(Value::from).collect();
            list(items, page.next.as_deref(), call)
        }
        PushResponse::Subscription(subscription) => {
            one(StatusCode::CREATED, &subscribed(&subscription), call)
        }
        PushResponse::Subscriptions(page) => {
            let items = page.items.iter().map(subscribed).collect();
            list(items, page.next.as_deref(), call)
        }
        PushResponse::Channels(page) => {
            let items = page.items.into_iter().map(Value::from).collect();
            list(items, page.next.as_deref(), call)
        }
        PushResponse::Batch(results) => one(StatusCode::CREATED, &batch(results), call),
    }
}

fn one(status: StatusCode, body: &Value, call: &Call<'_>) -> Result<Answer, ErrorInfo> {
    Ok(answer::formatted(status, protocol::encode_value(body, call.format)?, call.format))
}

fn list(items: Vec<Value>, next: Option<&str>, call: &Call<'_>) -> Result<Answer, ErrorInfo> {
    let mut answer = one(StatusCode::OK, &items.into(), call)?;
    page::link(&mut answer, call, next);
    Ok(answer)
}

fn describe(device: &Device) -> Map<String, Value> {
    let mut push = Map::new();
    push.insert("recipient".into(), device.recipient.fields().clone().into());
    push.insert("state".into(), device.state.name().into());
    if let Some(error) = &device.error {
        // The name that client libraries read, and the one of the REST reference.
        push.insert("errorReason".into(), failure(error));
        push.insert("error".into(), failure(error));
    }
    let mut body = Map::new();
    body.insert("id".into(), device.id.as_str().into());
    if let Some(client_id) = &device.client_id {
        body.insert("clientId".into(), client_id.as_str().into());
    }
    body.insert("platform".into(), device.platform.name().into());
    body.insert("formFactor".into(), device.form_factor.name().into());
    body.insert("metadata".into(), device.metadata.as_ref().clone().into());
    body.insert("push".into(), push.into());
    body
}

fn revealing(
    mut body: Map<String, Value>,
    device: &Device,
    reveal: Reveal,
) -> Result<Map<String, Value>, ErrorInfo> {
    match reveal {
        Reveal::Nothing | Reveal::Token(None) => {}
        Reveal::Secret => {
            if let Some(secret) = &device.secret {
                body.insert("deviceSecret".into(), secret.as_ref().into());
            }
        }
        Reveal::Token(Some(details)) => {
            body.insert("updateToken".into(), details.token.as_str().into());
            body.insert("deviceIdentityToken".into(), identity(&details, device)?);
        }
    }
    Ok(body)
}

fn identity(details: &TokenDetails, device: &Device) -> Result<Value, ErrorInfo> {
    let mut token = serde_json::to_value(details)
        .map_err(|error| INTERNAL.with(format!("token not representable: {error}")))?;
    if let Some(fields) = token.as_object_mut() {
        fields.insert("deviceId".into(), device.id.as_str().into());
    }
    Ok(token)
}

fn subscribed(subscription: &Subscription) -> Value {
    let channel = subscription.channel.as_str();
    match &subscription.subscriber {
        Subscriber::Device(id) => json!({ "channel": channel, "deviceId": id.as_str() }),
        Subscriber::Client(id) => json!({ "channel": channel, "clientId": id.as_str() }),
    }
}

/// A result for each recipient, in their order.
fn batch(results: Vec<Notified>) -> Value {
    let failed = results.iter().filter(|(_, result)| result.is_err()).count();
    let succeeded = results.len() - failed;
    let describe = |(recipient, result): Notified| match result {
        Ok(()) => json!({ "recipient": recipient }),
        Err(error) => json!({ "recipient": recipient, "error": failure(&error) }),
    };
    let results: Vec<Value> = results.into_iter().map(describe).collect();
    json!({ "successCount": succeeded, "failureCount": failed, "results": results })
}

fn failure(error: &ErrorInfo) -> Value {
    json!({ "code": error.code, "statusCode": error.status, "message": error.message })
}
