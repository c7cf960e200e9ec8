//! Identity tokens of devices that are registered for push: `<appId>.<sealed>`. Inside is a token
//! like any other, and which device it stands for.
//!
//! Whether the device still exists, and whether this token is one of those that it may use, is for
//! the keeper of registrations to check; what the token allows, for `authenticate`.

use std::fmt;

use aws_lc_rs::constant_time;
use rand::Rng;
use types::{AppId, DeviceId};

use crate::SealingKey;

const PURPOSE: &str = "device token";

#[derive(Clone, PartialEq, Eq)]
pub struct DeviceToken {
    pub app_id: AppId,
    pub device_id: DeviceId,
    /// Which tokens of the device it is one of.
    pub tokens: String,
    /// What the device may do.
    pub token: String,
}

type Stored<'a> = (&'a DeviceId, &'a str, &'a str);
type Loaded = (DeviceId, String, String);

impl DeviceToken {
    pub fn seal(&self, secret: &SealingKey, rng: &mut impl Rng) -> String {
        let stored: Stored<'_> = (&self.device_id, &self.tokens, &self.token);
        let content = serde_json::json!(stored).to_string();
        let app_id = self.app_id.as_str();
        let sealed = secret.seal(&[PURPOSE, app_id], content.as_bytes(), rng);
        format!("{app_id}.{sealed}")
    }

    /// None if `text` is no identity token that was sealed with this key.
    pub fn open(text: &str, secret: &SealingKey) -> Option<Self> {
        let (app_id, sealed) = text.split_once('.')?;
        let content = secret.open(&[PURPOSE, app_id], sealed)?;
        let (device_id, tokens, token): Loaded = serde_json::from_slice(&content).ok()?;
        Some(Self { app_id: app_id.into(), device_id, tokens, token })
    }
}

impl fmt::Debug for DeviceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceToken").field("device_id", &self.device_id).finish_non_exhaustive()
    }
}

/// Whether two secrets are the same; takes as long for any two of a length.
pub fn same_secret(one: &str, other: &str) -> bool {
    constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{rng, secret};

    #[test]
    fn a_device_token_opens_only_as_what_it_is() {
        let token = DeviceToken {
            app_id: "app".into(),
            device_id: "device".into(),
            tokens: "1".into(),
            token: "app.inner".into(),
        };
        let text = token.seal(&secret(), &mut rng());
        assert_eq!(DeviceToken::open(&text, &secret()), Some(token));
        for other in ["", "app", &text.replace("app.", "ppa."), &format!("{text}A")] {
            assert_eq!(DeviceToken::open(other, &secret()), None, "{other}");
        }
        let ordinary = secret().seal(&["token", "app"], b"[\"device\",\"1\",\"x\"]", &mut rng());
        assert_eq!(DeviceToken::open(&format!("app.{ordinary}"), &secret()), None);
    }

    #[test]
    fn secrets_are_the_same_or_not() {
        assert!(same_secret("a", "a"));
        assert!(!same_secret("a", "b"));
        assert!(!same_secret("a", "aa"));
    }
}
