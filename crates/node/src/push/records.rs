//! What is kept of devices and subscriptions, as JSON: one record for each. A record of a
//! subscription is its key alone.

use std::sync::Arc;

use bytes::Bytes;
use push::{Device, FormFactor, Platform, Recipient, State, Subscription};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use types::error::{self, ErrorInfo};
use types::{AppId, ClientId, DeviceId, Record, RecordChange, RecordId, RecordKind};

use crate::node::Node;
use crate::records::Damaged;

/// The version of the format of devices.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    version: u32,
    client_id: Option<ClientId>,
    platform: String,
    form_factor: String,
    metadata: Arc<Map<String, Value>>,
    secret: Option<Arc<str>>,
    recipient: Map<String, Value>,
    state: String,
    error: Option<Reason>,
    tokens: Arc<str>,
}

#[derive(Serialize, Deserialize)]
struct Reason {
    code: u32,
    status: u16,
    message: String,
}

pub(super) fn keep_device(app: &AppId, device: &Device) -> Result<RecordChange, ErrorInfo> {
    let reason = |error: &ErrorInfo| Reason {
        code: error.code,
        status: error.status,
        message: error.message.to_string(),
    };
    let document = Document {
        version: VERSION,
        client_id: device.client_id.clone(),
        platform: device.platform.name().into(),
        form_factor: device.form_factor.name().into(),
        metadata: Arc::clone(&device.metadata),
        secret: device.secret.clone(),
        recipient: device.recipient.fields().clone(),
        state: device.state.name().into(),
        error: device.error.as_ref().map(reason),
        tokens: Arc::clone(&device.tokens),
    };
    let value = serde_json::to_vec(&document).map_err(|_unwritable| error::INTERNAL.info())?;
    Ok(RecordChange::Keep(Record { id: device_id(app, &device.id), value: value.into() }))
}

pub(super) fn delete_device(app: &AppId, device: &DeviceId) -> RecordChange {
    RecordChange::Delete(device_id(app, device))
}

pub(super) fn keep_subscription(app: &AppId, subscription: &Subscription) -> RecordChange {
    let id = subscription_id(app, subscription);
    RecordChange::Keep(Record { id, value: Bytes::new() })
}

pub(super) fn delete_subscription(app: &AppId, subscription: &Subscription) -> RecordChange {
    RecordChange::Delete(subscription_id(app, subscription))
}

fn device_id(app: &AppId, device: &DeviceId) -> RecordId {
    RecordId { app: app.clone(), kind: RecordKind::PushDevice, key: device.as_str().into() }
}

fn subscription_id(app: &AppId, subscription: &Subscription) -> RecordId {
    let key = subscription.position().into();
    RecordId { app: app.clone(), kind: RecordKind::PushSubscription, key }
}

impl Node {
    pub(crate) fn restore_device(&mut self, id: &RecordId, value: &[u8]) -> Result<(), Damaged> {
        let Some(state) = self.apps.get_mut(&id.app) else { return Ok(()) };
        let document: Document = serde_json::from_slice(value).or(Err(Damaged))?;
        if document.version != VERSION {
            return Err(Damaged);
        }
        let error = document.error.map(|reason| ErrorInfo {
            code: reason.code,
            status: reason.status,
            message: reason.message.into(),
        });
        let device = Device {
            id: DeviceId::new(Arc::clone(&id.key)),
            client_id: document.client_id,
            platform: Platform::from_name(&document.platform).ok_or(Damaged)?,
            form_factor: FormFactor::from_name(&document.form_factor).ok_or(Damaged)?,
            metadata: document.metadata,
            secret: document.secret,
            recipient: Recipient::parse(&document.recipient).or(Err(Damaged))?,
            state: State::from_name(&document.state).ok_or(Damaged)?,
            error,
            tokens: document.tokens,
        };
        state.push.devices.insert(device).or(Err(Damaged))
    }

    pub(crate) fn restore_subscription(&mut self, id: &RecordId) -> Result<(), Damaged> {
        let Some(state) = self.apps.get_mut(&id.app) else { return Ok(()) };
        let subscription = Subscription::at(&id.key).ok_or(Damaged)?;
        state.push.subscriptions.insert(subscription).or(Err(Damaged))
    }
}
