//! What a notification says: what all providers of devices understand, and what is for one of them.

use std::sync::Arc;

use serde_json::{Map, Value};

/// Every one of them is an object, and a payload has one of them at least.
const PARTS: [&str; 6] = ["notification", "data", "apns", "fcm", "gcm", "web"];

/// Cheap to clone: one payload goes to many devices.
#[derive(Clone, Debug, PartialEq)]
pub struct Payload(Arc<Map<String, Value>>);

impl Payload {
    /// The payload, or what is wrong with it. Parts that are not known are kept.
    pub fn parse(value: &Value) -> Result<Self, &'static str> {
        let map = value.as_object().ok_or("push must be an object")?;
        let parts: Vec<&Value> = PARTS.iter().filter_map(|part| map.get(*part)).collect();
        if parts.is_empty() {
            return Err("push needs a notification, data, or something for a provider");
        }
        if !parts.into_iter().all(Value::is_object) {
            return Err("the parts of push must be objects");
        }
        Ok(Self(Arc::new(map.clone())))
    }

    pub fn fields(&self) -> &Map<String, Value> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_payload_has_a_part_that_somebody_understands() {
        for good in [json!({"data": {"a": "b"}}), json!({"notification": {}, "more": 1})] {
            assert_eq!(Payload::parse(&good).unwrap().fields(), good.as_object().unwrap());
        }
        for bad in [json!({}), json!({"xxx": 5}), json!({"data": "text"}), json!("text")] {
            assert!(Payload::parse(&bad).is_err(), "{bad}");
        }
    }
}
