//! Registrations of devices (RSH1b, RSH3). Whoever has `push-subscribe` may register a device that
//! is not registered yet; from then on it takes the device itself, or `push-admin`.

use std::sync::Arc;
use std::time::Duration;

use auth::{Capability, ClientPolicy, DeviceToken, Grant, Operation, Principal, TokenDetails};
use push::{Changes, Device, DeviceFilter, Registration};
use serde_json::{Map, Value};
use types::error::{self, ErrorInfo};
use types::{ClientId, DeviceId, Timestamp, random_text};

use super::{Actor, Done, PushResponse, Reveal, records};
use crate::event::Response;
use crate::node::Node;

/// Devices keep their identity token for as long as they are registered.
const TOKEN_TTL: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// The most that an identity token allows.
const TOKEN_CAPABILITY: &str = r#"{"[*]*":["push-subscribe"]}"#;
/// Random characters that tell the tokens of a device from those that it had before.
const TOKENS_LENGTH: usize = 12;

impl Node {
    pub(super) fn register(
        &mut self,
        now: Timestamp,
        actor: &Actor,
        details: &Map<String, Value>,
    ) -> Result<Done, ErrorInfo> {
        let mut registration = Registration::parse(details, None)?;
        if registration.client_id.is_none() {
            registration.client_id = actor.principal.client_id().cloned();
        }
        let device = self.keep_device(actor, registration)?;
        let token = self.identity_token(now, &actor.principal, &device);
        saved(actor, device, Reveal::Token(token))
    }

    pub(super) fn save_device(
        &mut self,
        actor: &Actor,
        id: &str,
        details: &Map<String, Value>,
    ) -> Result<Done, ErrorInfo> {
        let registration = Registration::parse(details, Some(id))?;
        let device = self.keep_device(actor, registration)?;
        saved(actor, device, Reveal::Nothing)
    }

    fn keep_device(
        &mut self,
        actor: &Actor,
        mut registration: Registration,
    ) -> Result<Device, ErrorInfo> {
        let before = self.app(actor)?.push.devices.get(&registration.id).cloned();
        if !actor.is_admin() {
            registration.client_id = may_register(actor, &registration, before.as_ref())?;
        }
        if let Some(stated) = &registration.update_token {
            let token = DeviceToken::open(stated, &self.config.sealing_key);
            let is_current = |token: DeviceToken, before: &Device| {
                token.device_id == before.id && *token.tokens == *before.tokens
            };
            if !token.zip(before.as_ref()).is_some_and(|(token, before)| is_current(token, before))
            {
                return Err(error::BAD_REQUEST.with("updateToken is not the device's"));
            }
        }
        let tokens: Arc<str> = random_text(&mut self.rng, TOKENS_LENGTH).into();
        let device = registration.into_device(before.as_ref(), tokens)?;
        let app = self.app_mut(&actor.principal.app_id)?;
        app.push.devices.insert(device.clone())?;
        Ok(device)
    }

    pub(super) fn change_device(
        &mut self,
        actor: &Actor,
        id: &str,
        details: &Map<String, Value>,
    ) -> Result<Done, ErrorInfo> {
        let changes = Changes::parse(details)?;
        let mut device = self.device(actor, id)?.clone();
        if !actor.is_admin() {
            may_change(actor, &changes, &device)?;
        }
        changes.apply(&mut device);
        let app = self.app_mut(&actor.principal.app_id)?;
        app.push.devices.insert(device.clone())?;
        saved(actor, device, Reveal::Nothing)
    }

    /// All identity tokens of the device are void from now on, but for the one in the answer.
    pub(super) fn reset_token(
        &mut self,
        now: Timestamp,
        actor: &Actor,
        id: &str,
    ) -> Result<Done, ErrorInfo> {
        let mut device = self.device(actor, id)?.clone();
        device.tokens = random_text(&mut self.rng, TOKENS_LENGTH).into();
        let app = self.app_mut(&actor.principal.app_id)?;
        app.push.devices.insert(device.clone())?;
        let token = self.identity_token(now, &actor.principal, &device);
        saved(actor, device, Reveal::Token(token))
    }

    pub(super) fn remove_devices(
        &mut self,
        actor: &Actor,
        filter: &DeviceFilter,
    ) -> Result<Done, ErrorInfo> {
        match (&filter.device_id, &filter.client_id) {
            (Some(_), Some(_)) | (None, None) => {
                return Err(error::BAD_REQUEST.with("give one of deviceId and clientId"));
            }
            (Some(id), None) if !actor.is_admin() => drop(self.device(actor, id.as_str())?),
            (Some(_), None) => {}
            (None, Some(_)) => actor.check_admin()?,
        }
        let app = &actor.principal.app_id;
        let (devices, subscriptions) = self.app_mut(app)?.push.remove_devices(filter);
        let devices = devices.iter().map(|device| records::delete_device(app, device));
        let ended = subscriptions.iter().map(|ended| records::delete_subscription(app, ended));
        Ok((Response::NoContent, devices.chain(ended).collect()))
    }

    /// The device, if it is the actor's business.
    pub(super) fn device(&self, actor: &Actor, id: &str) -> Result<&Device, ErrorInfo> {
        let device = self.app(actor)?.push.devices.get(&DeviceId::from(id));
        match device {
            Some(device) if actor.is_admin() || actor.is(device) => Ok(device),
            None if actor.is_admin() => Err(error::NOT_FOUND.with("no such device")),
            Some(_) | None => Err(error::CAPABILITY_MISSING.info()),
        }
    }

    /// None if the capability that it would be taken from has nothing for a device.
    fn identity_token(
        &mut self,
        now: Timestamp,
        principal: &Principal,
        device: &Device,
    ) -> Option<TokenDetails> {
        let most = Capability::parse(TOKEN_CAPABILITY).ok()?;
        let grant = Grant {
            app_id: principal.app_id.clone(),
            key_id: Arc::clone(&principal.key_id),
            client: device.client_id.clone().map_or(ClientPolicy::Anonymous, ClientPolicy::Fixed),
            capability: most.intersect(&principal.capability).ok()?,
            ttl: TOKEN_TTL,
        };
        let key = &self.config.sealing_key;
        let details = auth::issue(&grant, key, now, &mut self.rng);
        let token = DeviceToken {
            app_id: grant.app_id,
            device_id: device.id.clone(),
            tokens: device.tokens.to_string(),
            token: details.token,
        };
        Some(TokenDetails { token: token.seal(key, &mut self.rng), ..details })
    }
}

fn saved(actor: &Actor, device: Device, reveal: Reveal) -> Result<Done, ErrorInfo> {
    let change = records::keep_device(&actor.principal.app_id, &device)?;
    Ok((Response::Push(PushResponse::Device { device, reveal }), vec![change]))
}

/// The clientId of a device that somebody registers who is no administrator.
fn may_register(
    actor: &Actor,
    registration: &Registration,
    before: Option<&Device>,
) -> Result<Option<ClientId>, ErrorInfo> {
    if !actor.principal.capability.permits_somewhere(Operation::PushSubscribe) {
        return Err(error::CAPABILITY_MISSING.info());
    }
    let client_id = actor.principal.check_client_id(registration.client_id.as_ref())?;
    if let Some(before) = before {
        if !actor.is_registered_as(before, registration) {
            return Err(
                error::INVALID_CREDENTIALS.with("the request does not come from the device")
            );
        }
        if before.client_id.is_some() && before.client_id != client_id {
            return Err(error::DEVICE_OF_OTHER_CLIENT.info());
        }
    }
    Ok(client_id)
}

/// What a device may change of itself: its address, and its clientId if it had none.
fn may_change(actor: &Actor, changes: &Changes, device: &Device) -> Result<(), ErrorInfo> {
    if changes.metadata.is_some() {
        return Err(error::CAPABILITY_MISSING.with("metadata is changed with push-admin only"));
    }
    match &changes.client_id {
        Some(stated) if *stated != device.client_id => {
            if device.client_id.is_some() {
                return Err(error::DEVICE_OF_OTHER_CLIENT.info());
            }
            actor.principal.check_client_id(stated.as_ref()).map(drop)
        }
        Some(_) | None => Ok(()),
    }
}
