//! Who a notification is for: an address at a provider, or a device or client that has registered one.

use std::sync::Arc;

use serde_json::{Map, Value};
use types::error::BAD_REQUEST;
use types::{ClientId, DeviceId, ErrorInfo};

use crate::fields::{label, object, required, size};

/// Bytes of an address as JSON; longer ones are refused (40000).
const MAX_SIZE: usize = 4 << 10;

/// What carries a notification to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Apns,
    Fcm,
    Web,
    /// A channel instead of a device, for tests: the notification is published there.
    Channel,
}

impl Transport {
    fn parse(name: &str) -> Result<Self, ErrorInfo> {
        match name {
            "apns" => Ok(Self::Apns),
            "fcm" | "gcm" => Ok(Self::Fcm),
            "web" => Ok(Self::Web),
            "ablyChannel" => Ok(Self::Channel),
            _ => Err(BAD_REQUEST.with("transportType is apns, fcm, web or ablyChannel")),
        }
    }
}

/// An address, complete for its transport. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipient {
    transport: Transport,
    fields: Arc<Map<String, Value>>,
}

impl Recipient {
    /// Fields that the transport does not need are kept.
    pub fn parse(fields: &Map<String, Value>) -> Result<Self, ErrorInfo> {
        let transport =
            Transport::parse(required(label(fields, "transportType")?, "transportType")?)?;
        let needed: &[&str] = match transport {
            Transport::Apns if object(fields, "apnsDeviceTokens")?.is_some() => &[],
            Transport::Apns => &["deviceToken"],
            Transport::Fcm => &["registrationToken"],
            Transport::Web => &["targetUrl", "publicVapidKey"],
            Transport::Channel => &["channel", "ablyKey", "ablyUrl"],
        };
        for name in needed {
            required(label(fields, name)?, name)?;
        }
        if transport == Transport::Web {
            let key = required(object(fields, "encryptionKey")?, "encryptionKey")?;
            for name in ["p256dh", "auth"] {
                required(label(key, name)?, name)?;
            }
        }
        if size(fields) > MAX_SIZE {
            return Err(BAD_REQUEST.with("recipient too long"));
        }
        Ok(Self { transport, fields: Arc::new(fields.clone()) })
    }

    pub fn transport(&self) -> Transport {
        self.transport
    }

    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name).and_then(Value::as_str)
    }

    /// Equal for equal addresses.
    pub(crate) fn address(&self) -> Arc<str> {
        Value::Object(self.fields.as_ref().clone()).to_string().into()
    }
}

/// Whom somebody wants to push to directly.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    Device(DeviceId),
    /// All devices of the client.
    Client(ClientId),
    Address(Recipient),
}

impl Target {
    /// 40000 unless exactly one of `deviceId`, `clientId` and `transportType` says who is meant.
    pub fn parse(value: &Value) -> Result<Self, ErrorInfo> {
        let fields =
            value.as_object().ok_or_else(|| BAD_REQUEST.with("recipient must be an object"))?;
        match (label(fields, "deviceId")?, label(fields, "clientId")?) {
            (Some(id), None) => Ok(Self::Device(DeviceId::new(id))),
            (None, Some(id)) => Ok(Self::Client(ClientId::new(id))),
            (None, None) if fields.contains_key("transportType") => {
                Recipient::parse(fields).map(Self::Address)
            }
            (Some(_), Some(_)) | (None, None) => {
                Err(BAD_REQUEST.with("recipient needs one of deviceId, clientId and transportType"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(value: &Value) -> Result<Recipient, u32> {
        Recipient::parse(value.as_object().unwrap()).map_err(|error| error.code)
    }

    #[test]
    fn an_address_is_complete_for_its_transport() {
        let key = json!({"p256dh": "a", "auth": "b"});
        for (transport, good) in [
            (Transport::Apns, json!({"transportType": "apns", "deviceToken": "t"})),
            (
                Transport::Apns,
                json!({"transportType": "apns", "apnsDeviceTokens": {"default": "t"}}),
            ),
            (Transport::Fcm, json!({"transportType": "fcm", "registrationToken": "t"})),
            (Transport::Fcm, json!({"transportType": "gcm", "registrationToken": "t", "more": 1})),
            (
                Transport::Web,
                json!({"transportType": "web", "targetUrl": "u", "publicVapidKey": "k", "encryptionKey": key}),
            ),
            (
                Transport::Channel,
                json!({"transportType": "ablyChannel", "channel": "c", "ablyKey": "k", "ablyUrl": "u"}),
            ),
        ] {
            let recipient = parse(&good).unwrap();
            assert_eq!(
                (recipient.transport(), recipient.fields()),
                (transport, good.as_object().unwrap())
            );
        }
        for bad in [
            json!({}),
            json!({"transportType": "xyz"}),
            json!({"transportType": "fcm"}),
            json!({"transportType": "fcm", "registrationToken": 1}),
            json!({"transportType": "fcm", "registrationToken": ""}),
            json!({"transportType": "web", "targetUrl": "u", "publicVapidKey": "k", "encryptionKey": {}}),
            json!({"transportType": "ablyChannel", "channel": "c"}),
            json!({"transportType": "fcm", "registrationToken": "x".repeat(MAX_SIZE)}),
        ] {
            assert_eq!(parse(&bad), Err(40000), "{bad:.80}");
        }
    }

    #[test]
    fn a_target_is_named_in_one_way() {
        assert_eq!(Target::parse(&json!({"deviceId": "d"})), Ok(Target::Device("d".into())));
        assert_eq!(Target::parse(&json!({"clientId": "c"})), Ok(Target::Client("c".into())));
        for bad in
            [json!({}), json!([]), json!({"deviceId": "d", "clientId": "c"}), json!({"foo": "bar"})]
        {
            assert_eq!(Target::parse(&bad).unwrap_err().code, 40000, "{bad}");
        }
    }
}
