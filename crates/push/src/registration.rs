//! What clients say of devices: all of one that they register, or what they want to have changed.
//! Wrong values are refused with 40000, an id that is none with 40015.

use std::sync::Arc;

use serde_json::{Map, Value};
use types::error::{BAD_REQUEST, INVALID_DEVICE_ID};
use types::{ClientId, DeviceId, ErrorInfo};

use crate::fields::{label, object, required, size, text};
use crate::{Device, FormFactor, Platform, Recipient, State};

/// Bytes of an id or a secret of a device.
const MAX_LABEL: usize = 512;
/// Bytes of a device's metadata as JSON.
const MAX_METADATA: usize = 4 << 10;

/// A device as a client registers it. State and token are said to be as they are, or not at all.
#[derive(Debug)]
pub struct Registration {
    pub id: DeviceId,
    pub client_id: Option<ClientId>,
    platform: Platform,
    form_factor: FormFactor,
    metadata: Arc<Map<String, Value>>,
    pub secret: Option<Arc<str>>,
    recipient: Recipient,
    state: Option<State>,
    pub update_token: Option<String>,
}

impl Registration {
    /// `named` is the id by which the request names the device, if it does.
    pub fn parse(details: &Map<String, Value>, named: Option<&str>) -> Result<Self, ErrorInfo> {
        let push = required(object(details, "push")?, "push")?;
        let platform = required(text(details, "platform")?, "platform")?;
        let form_factor = required(text(details, "formFactor")?, "formFactor")?;
        let state = text(push, "state")?;
        let secret = label(details, "deviceSecret")?;
        if secret.is_some_and(|secret| secret.len() > MAX_LABEL) {
            return Err(BAD_REQUEST.with("deviceSecret too long"));
        }
        Ok(Self {
            id: device_id(details, named)?,
            client_id: label(details, "clientId")?.map(ClientId::from),
            platform: known(Platform::from_name(platform), "platform")?,
            form_factor: known(FormFactor::from_name(form_factor), "formFactor")?,
            metadata: metadata(details)?.unwrap_or_default(),
            secret: secret.map(Arc::from),
            recipient: recipient(push)?,
            state: state.map(|name| known(State::from_name(name), "state")).transpose()?,
            update_token: text(details, "updateToken")?.map(str::to_owned),
        })
    }

    /// The device; what is not for clients to say is as it was `before`.
    pub fn into_device(
        self,
        before: Option<&Device>,
        tokens: Arc<str>,
    ) -> Result<Device, ErrorInfo> {
        let mut device = Device {
            id: self.id,
            client_id: self.client_id,
            platform: self.platform,
            form_factor: self.form_factor,
            metadata: self.metadata,
            secret: self.secret,
            recipient: self.recipient,
            state: State::Active,
            error: None,
            tokens,
        };
        if let Some(before) = before {
            if device.secret.is_some() && before.secret.is_some() && device.secret != before.secret
            {
                return Err(BAD_REQUEST.with("the secret of a device cannot change"));
            }
            device.secret = device.secret.or_else(|| before.secret.clone());
            device.tokens = Arc::clone(&before.tokens);
            if device.recipient == before.recipient {
                (device.state, device.error) = (before.state, before.error.clone());
            }
        }
        let known = before.map_or(State::Active, |before| before.state);
        if self.state.is_some_and(|state| state != known) {
            return Err(BAD_REQUEST.with("the state of a device is not the client's to say"));
        }
        Ok(device)
    }
}

/// What is to be changed of a registered device; everything else stays.
#[derive(Debug)]
pub struct Changes {
    pub client_id: Option<Option<ClientId>>,
    pub metadata: Option<Arc<Map<String, Value>>>,
    pub recipient: Option<Recipient>,
}

impl Changes {
    /// Refuses other fields than those that can be changed, unless they are null.
    pub fn parse(details: &Map<String, Value>) -> Result<Self, ErrorInfo> {
        let is_fixed = |name: &String| !matches!(name.as_str(), "clientId" | "metadata" | "push");
        let stated = details.iter().filter(|(_, value)| !value.is_null());
        if let Some(name) = stated.map(|(name, _)| name).find(|name| is_fixed(name)) {
            let shown: String = name.chars().take(64).collect();
            return Err(BAD_REQUEST.with(format!("'{shown}' cannot be changed")));
        }
        let push = object(details, "push")?;
        if push.is_some_and(|push| push.keys().any(|name| name != "recipient")) {
            return Err(BAD_REQUEST.with("only the recipient of push can be changed"));
        }
        let client_id = label(details, "clientId")?.map(ClientId::from);
        Ok(Self {
            client_id: details.contains_key("clientId").then_some(client_id),
            metadata: metadata(details)?,
            recipient: push.map(recipient).transpose()?,
        })
    }

    pub fn apply(self, device: &mut Device) {
        if let Some(client_id) = self.client_id {
            device.client_id = client_id;
        }
        if let Some(metadata) = self.metadata {
            device.metadata = metadata;
        }
        if let Some(recipient) = self.recipient {
            device.move_to(recipient);
        }
    }
}

fn device_id(details: &Map<String, Value>, named: Option<&str>) -> Result<DeviceId, ErrorInfo> {
    let stated = match details.get("id") {
        None | Some(Value::Null) => named,
        Some(id) => id.as_str().filter(|id| named.is_none_or(|named| named == *id)),
    };
    let valid =
        |id: &&str| !id.is_empty() && id.len() <= MAX_LABEL && !id.chars().any(char::is_control);
    stated.filter(valid).map(DeviceId::from).ok_or_else(|| INVALID_DEVICE_ID.info())
}

fn metadata(details: &Map<String, Value>) -> Result<Option<Arc<Map<String, Value>>>, ErrorInfo> {
    let metadata = object(details, "metadata")?;
    if metadata.is_some_and(|metadata| size(metadata) > MAX_METADATA) {
        return Err(BAD_REQUEST.with("metadata too long"));
    }
    Ok(metadata.cloned().map(Arc::new))
}

fn recipient(push: &Map<String, Value>) -> Result<Recipient, ErrorInfo> {
    Recipient::parse(required(object(push, "recipient")?, "recipient")?)
}

fn known<T>(value: Option<T>, name: &str) -> Result<T, ErrorInfo> {
    value.ok_or_else(|| BAD_REQUEST.with(format!("invalid {name}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn details() -> Value {
        json!({
            "id": "d", "clientId": "bob", "platform": "ios", "formFactor": "phone",
            "deviceSecret": "s", "metadata": {"a": "b"},
            "push": {"recipient": {"transportType": "fcm", "registrationToken": "t"}},
        })
    }

    fn parse(details: &Value) -> Result<Registration, u32> {
        Registration::parse(details.as_object().unwrap(), None).map_err(|error| error.code)
    }

    fn with(name: &str, value: Value) -> Value {
        let mut details = details();
        details[name] = value;
        details
    }

    fn device() -> Device {
        parse(&details()).unwrap().into_device(None, "1".into()).unwrap()
    }

    #[test]
    fn details_that_are_wrong_are_refused() {
        for (name, value, code) in [
            ("id", json!(7), 40015),
            ("id", json!(null), 40015),
            ("id", json!(""), 40015),
            ("id", json!("a\n"), 40015),
            ("platform", json!("native"), 40000),
            ("platform", json!(null), 40000),
            ("formFactor", json!("fridge"), 40000),
            ("metadata", json!("text"), 40000),
            ("metadata", json!({"a": "x".repeat(MAX_METADATA)}), 40000),
            ("clientId", json!(1), 40000),
            ("deviceSecret", json!("x".repeat(MAX_LABEL + 1)), 40000),
            ("push", json!({"color": "red"}), 40000),
            ("push", json!({"recipient": {"transportType": "xyz"}}), 40000),
        ] {
            assert_eq!(parse(&with(name, value)).unwrap_err(), code, "{name}");
        }
        let other = Registration::parse(details().as_object().unwrap(), Some("other"));
        assert_eq!(other.unwrap_err().code, 40015);
    }

    #[test]
    fn a_device_that_registers_again_keeps_secret_tokens_and_state() {
        let mut before = device();
        before.state = State::Failing;
        let again = with("deviceSecret", json!(null));
        let again = parse(&again).unwrap().into_device(Some(&before), "2".into()).unwrap();
        assert_eq!(again, before);
        let mut moved = details();
        moved["push"]["recipient"]["registrationToken"] = json!("u");
        let moved = parse(&moved).unwrap().into_device(Some(&before), "2".into()).unwrap();
        assert_eq!((moved.state, moved.tokens.as_ref()), (State::Active, "1"));
    }

    #[test]
    fn secret_and_state_are_not_changed_by_registering_again() {
        let again = |details: &Value| {
            let registration = parse(details).unwrap();
            registration.into_device(Some(&device()), "2".into()).map_err(|error| error.code)
        };
        assert_eq!(again(&with("deviceSecret", json!("other"))).unwrap_err(), 40000);
        let mut stated = details();
        stated["push"]["state"] = json!("FAILED");
        assert_eq!(again(&stated).unwrap_err(), 40000);
        stated["push"]["state"] = json!("active");
        assert!(again(&stated).is_ok());
    }

    #[test]
    fn changes_are_of_the_client_the_metadata_and_the_address() {
        let changes = |value: &Value| Changes::parse(value.as_object().unwrap());
        let mut device = device();
        changes(&json!({"metadata": {"c": 1}, "clientId": null})).unwrap().apply(&mut device);
        assert_eq!((device.client_id.clone(), device.metadata["c"].as_u64()), (None, Some(1)));
        device.state = State::Failed;
        let push = json!({"push": {"recipient": {"transportType": "apns", "deviceToken": "t"}}});
        changes(&push).unwrap().apply(&mut device);
        assert_eq!(device.state, State::Active);
        for fixed in
            [json!({"platform": "ios"}), json!({"id": "e"}), json!({"push": {"state": "ACTIVE"}})]
        {
            assert_eq!(changes(&fixed).unwrap_err().code, 40000, "{fixed}");
        }
    }
}
