//! Push notifications over REST: who asks, and what of it is theirs to ask. Registrations,
//! subscriptions and the queue of jobs are values of the crate `push`, one for each app.
//!
//! `push-admin` on every channel is for all devices of the app. `push-subscribe` is for what is a
//! client's own: a device that proves to be one (RSH6), and the clientId of its credentials.

mod deliver;
mod devices;
mod publish;
mod records;
mod subscriptions;

use auth::{
    Credentials, DeviceToken, Operation as Capability, Principal, TokenDetails, same_secret,
};
use push::{Device, DeviceFilter, Page, Registration, Subscription, SubscriptionFilter};
use serde_json::{Map, Value};
use types::error::{self, ErrorInfo};
use types::{AppId, DeviceId, RecordChange, Timestamp};

use crate::apps::{AppState, identify};
use crate::count::RequestKind;
use crate::event::{Caller, RequestId, Response};
use crate::node::Node;

/// A request about push, and how it proves from which device it comes.
#[derive(Debug)]
pub struct PushRequest {
    /// `X-Ably-DeviceToken` (RSH6a).
    pub device_token: Option<String>,
    /// `X-Ably-DeviceSecret` (RSH6b).
    pub device_secret: Option<String>,
    pub operation: PushOperation,
}

#[derive(Debug)]
pub enum PushOperation {
    /// A device, or its owner, registers it: it is given an identity token.
    Register(Map<String, Value>),
    /// The registration of the device with this id is to be what is said here.
    Save(String, Map<String, Value>),
    Change(String, Map<String, Value>),
    Remove(DeviceFilter),
    ResetToken(String),
    Subscribe(Map<String, Value>),
    Unsubscribe(SubscriptionFilter),
    Read(PushQuery),
    Publish(Map<String, Value>),
    BatchPublish(Vec<Value>),
}

/// What changes nothing.
#[derive(Debug)]
pub enum PushQuery {
    Device(String),
    Devices { filter: DeviceFilter, limit: usize, after: Option<String> },
    Subscriptions { filter: SubscriptionFilter, limit: usize, after: Option<String> },
    Channels { limit: usize, after: Option<String> },
}

#[derive(Debug)]
pub enum PushResponse {
    Device { device: Device, reveal: Reveal },
    Devices(Page<Device>),
    Subscription(Subscription),
    Subscriptions(Page<Subscription>),
    Channels(Page<String>),
    Batch(Vec<Notified>),
}

/// A recipient, and what became of its notification.
pub type Notified = (Value, Result<(), ErrorInfo>);

/// What an answer says of a device beside what everybody may know who may see it.
#[derive(Debug)]
pub enum Reveal {
    Nothing,
    Secret,
    /// A token that was issued for it, if its owner's capability lets it have one.
    Token(Option<TokenDetails>),
}

/// An answer, and the changes of records that it waits for.
type Done = (Response, Vec<RecordChange>);

/// Who asks.
struct Actor {
    principal: Principal,
    /// The device that it has an identity token of.
    device: Option<DeviceId>,
    secret: Option<String>,
}

impl Actor {
    fn is_admin(&self) -> bool {
        self.principal.capability.permits_everywhere(Capability::PushAdmin)
    }

    fn check_admin(&self) -> Result<(), ErrorInfo> {
        if self.is_admin() { Ok(()) } else { Err(error::CAPABILITY_MISSING.info()) }
    }

    /// Whether it has proven to be `device`.
    fn is(&self, device: &Device) -> bool {
        self.device.as_ref() == Some(&device.id) || knows(device, self.secret.as_deref())
    }

    /// Whether it is `device` when it registers that again.
    fn is_registered_as(&self, device: &Device, registration: &Registration) -> bool {
        self.is(device) || knows(device, registration.secret.as_deref())
    }
}

fn knows(device: &Device, secret: Option<&str>) -> bool {
    matches!((&device.secret, secret), (Some(own), Some(stated)) if same_secret(own, stated))
}

impl Node {
    pub(crate) fn push_request(
        &mut self,
        now: Timestamp,
        id: RequestId,
        caller: &Caller,
        request: PushRequest,
    ) -> Result<Option<Response>, ErrorInfo> {
        let PushRequest { device_token, device_secret, operation } = request;
        let actor = self.actor(now, caller, device_token.as_deref(), device_secret);
        if let Some((_, kind)) = &mut self.asker {
            *kind = RequestKind::Push;
        }
        let actor = &actor?;
        let (response, changes) = match operation {
            PushOperation::Register(details) => self.register(now, actor, &details)?,
            PushOperation::Save(id, details) => self.save_device(actor, &id, &details)?,
            PushOperation::Change(id, details) => self.change_device(actor, &id, &details)?,
            PushOperation::Remove(filter) => self.remove_devices(actor, &filter)?,
            PushOperation::ResetToken(id) => self.reset_token(now, actor, &id)?,
            PushOperation::Subscribe(details) => self.subscribe_to_push(actor, &details)?,
            PushOperation::Unsubscribe(filter) => self.unsubscribe_from_push(actor, &filter)?,
            PushOperation::Publish(body) => {
                actor.check_admin()?;
                self.push_directly(now, &actor.principal.app_id, body)?;
                (Response::NoContent, Vec::new())
            }
            PushOperation::BatchPublish(specs) => {
                actor.check_admin()?;
                let results = self.push_batch(now, &actor.principal.app_id, &specs)?;
                (Response::Push(PushResponse::Batch(results)), Vec::new())
            }
            PushOperation::Read(query) => {
                (Response::Push(self.read_push(actor, &query)?), Vec::new())
            }
        };
        Ok(self.keep_and_answer(id, changes, response))
    }

    fn read_push(&self, actor: &Actor, query: &PushQuery) -> Result<PushResponse, ErrorInfo> {
        match query {
            PushQuery::Device(_) => {}
            PushQuery::Subscriptions { filter, .. } => self.check_filter(actor, filter)?,
            PushQuery::Devices { .. } | PushQuery::Channels { .. } => actor.check_admin()?,
        }
        let push = &self.app(actor)?.push;
        Ok(match query {
            PushQuery::Device(id) => {
                let device = self.device(actor, id)?.clone();
                PushResponse::Device { device, reveal: Reveal::Secret }
            }
            PushQuery::Devices { filter, limit, after } => {
                PushResponse::Devices(push.devices.list(filter, *limit, after.as_deref()))
            }
            PushQuery::Subscriptions { filter, limit, after } => {
                let page = push.subscriptions.list(filter, *limit, after.as_deref())?;
                PushResponse::Subscriptions(page)
            }
            PushQuery::Channels { limit, after } => {
                PushResponse::Channels(push.subscriptions.channels(*limit, after.as_deref()))
            }
        })
    }

    /// Who asks: somebody with credentials, who may prove to be a device too, or a device with nothing
    /// but its identity token (RSH3d2b).
    fn actor(
        &mut self,
        now: Timestamp,
        caller: &Caller,
        device_token: Option<&str>,
        secret: Option<String>,
    ) -> Result<Actor, ErrorInfo> {
        let key = &self.config.sealing_key;
        let as_token = match &caller.credentials {
            Some(Credentials::Token(text)) => DeviceToken::open(text, key),
            Some(Credentials::Key(_)) | None => None,
        };
        let stated = device_token
            .map(|text| DeviceToken::open(text, key).ok_or_else(unknown_device))
            .transpose()?;
        let token_alone =
            as_token.or_else(|| stated.clone().filter(|_| caller.credentials.is_none()));
        if let Some(token) = token_alone {
            let caller = Caller {
                credentials: Some(Credentials::Token(token.token.clone())),
                source: caller.source.clone(),
                ..Caller::default()
            };
            let principal = self.authenticate_caller(now, &caller)?;
            let device = Some(self.registered(&principal, &token)?);
            return Ok(Actor { principal, device, secret });
        }
        let principal = self.authenticate_caller(now, caller)?;
        let device = match stated {
            Some(token) => {
                let inner = Credentials::Token(token.token.clone());
                let key = &self.config.sealing_key;
                identify(&self.apps, key, &inner, None, auth::Place::Rest, now)?;
                Some(self.registered(&principal, &token)?)
            }
            None => None,
        };
        Ok(Actor { principal, device, secret })
    }

    /// The device that an identity token stands for, if it is registered with this very token.
    fn registered(
        &self,
        principal: &Principal,
        token: &DeviceToken,
    ) -> Result<DeviceId, ErrorInfo> {
        self.apps
            .get(&principal.app_id)
            .filter(|state| state.app.id == token.app_id)
            .and_then(|state| state.push.devices.get(&token.device_id))
            .filter(|device| *device.tokens == *token.tokens)
            .map(|device| device.id.clone())
            .ok_or_else(unknown_device)
    }

    fn app(&self, actor: &Actor) -> Result<&AppState, ErrorInfo> {
        self.apps.get(&actor.principal.app_id).ok_or_else(|| error::NOT_FOUND.info())
    }

    fn app_mut(&mut self, app: &AppId) -> Result<&mut AppState, ErrorInfo> {
        self.apps.get_mut(app).ok_or_else(|| error::NOT_FOUND.info())
    }
}

fn unknown_device() -> ErrorInfo {
    error::INVALID_CREDENTIALS.with("not an identity token of a registered device")
}
