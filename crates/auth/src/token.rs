//! Opaque tokens: `<appId>.<sealed claims>`. Stateless: any node of the cluster can read one, and
//! nothing is remembered of them.
//!
//! Whether the app and the key still exist, and what the key still allows, is checked when a token
//! is used, in `authenticate`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use serde::{Deserialize, Serialize};
use types::error::{INVALID_TOKEN, TOKEN_EXPIRED, TOKEN_UNRECOGNIZED};
use types::{AppId, ErrorInfo, Timestamp};

use crate::{Capability, ClientPolicy, SealingKey};

const PURPOSE: &str = "token";

/// What a token is to allow; the outcome of a token request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub app_id: AppId,
    pub key_id: Arc<str>,
    pub client: ClientPolicy,
    pub capability: Capability,
    pub ttl: Duration,
}

/// The answer to a token request (TD1).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenDetails {
    pub token: String,
    pub key_name: String,
    pub issued: Timestamp,
    pub expires: Timestamp,
    /// JSON text, canonical.
    pub capability: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

impl fmt::Debug for TokenDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenDetails")
            .field("key_name", &self.key_name)
            .field("client_id", &self.client_id)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// The sealed content. The order of the fields is the stored format; a change is a new version of
/// the sealing key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) key_id: Arc<str>,
    pub(crate) client: ClientPolicy,
    pub(crate) capability: String,
    pub(crate) issued: Timestamp,
    pub(crate) expires: Timestamp,
}

type Stored<'a> = (&'a str, Option<&'a str>, &'a str, Timestamp, Timestamp);
type Loaded = (Arc<str>, Option<String>, String, Timestamp, Timestamp);

/// Issues a token for `grant`.
pub fn issue(
    grant: &Grant,
    secret: &SealingKey,
    now: Timestamp,
    rng: &mut impl Rng,
) -> TokenDetails {
    let capability = grant.capability.to_string();
    let expires = now.plus(grant.ttl);
    let stored: Stored<'_> = (&grant.key_id, grant.client.as_str(), &capability, now, expires);
    let content = serde_json::json!(stored).to_string();
    let app_id = grant.app_id.as_str();
    let sealed = secret.seal(&[PURPOSE, app_id], content.as_bytes(), rng);
    TokenDetails {
        token: format!("{app_id}.{sealed}"),
        key_name: format!("{app_id}.{}", grant.key_id),
        issued: now,
        expires,
        client_id: grant.client.as_str().map(str::to_owned),
        capability,
    }
}

/// The app and the claims of a token: 40145 if it cannot be read, 40143 if this cluster did not
/// seal it, 40142 if it has expired.
pub(crate) fn open<'a>(
    token: &'a str,
    secret: &SealingKey,
    now: Timestamp,
) -> Result<(&'a str, Claims), ErrorInfo> {
    let (app_id, sealed) = token.split_once('.').ok_or(INVALID_TOKEN.info())?;
    let content =
        secret.open(&[PURPOSE, app_id], sealed).ok_or_else(|| TOKEN_UNRECOGNIZED.info())?;
    let (key_id, client_id, capability, issued, expires): Loaded =
        serde_json::from_slice(&content).map_err(|_json| INVALID_TOKEN.info())?;
    if expires <= now {
        return Err(TOKEN_EXPIRED.info());
    }
    let client = ClientPolicy::parse(client_id.as_deref())?;
    Ok((app_id, Claims { key_id, client, capability, issued, expires }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{NOW, rng, secret};

    fn grant() -> Grant {
        Grant {
            app_id: "app".into(),
            key_id: "key".into(),
            client: ClientPolicy::Fixed("bob".into()),
            capability: Capability::parse(r#"{"a":["publish"]}"#).unwrap(),
            ttl: Duration::from_secs(60),
        }
    }

    #[test]
    fn a_token_says_what_was_granted() {
        let details = issue(&grant(), &secret(), NOW, &mut rng());
        let (app_id, claims) = open(&details.token, &secret(), NOW).unwrap();
        assert_eq!((app_id, claims.key_id.as_ref()), ("app", "key"));
        assert_eq!(claims.client, grant().client);
        assert_eq!(claims.capability, r#"{"a":["publish"]}"#);
        assert_eq!((claims.issued, claims.expires), (NOW, NOW.plus(Duration::from_secs(60))));
    }

    #[test]
    fn details_have_the_shape_that_clients_read() {
        let details = issue(&grant(), &secret(), NOW, &mut rng());
        let json = serde_json::to_value(&details).unwrap();
        let expected = serde_json::json!({
            "token": details.token, "keyName": "app.key", "clientId": "bob",
            "issued": NOW.0, "expires": NOW.0 + 60_000, "capability": r#"{"a":["publish"]}"#,
        });
        assert_eq!(json, expected);
        let anonymous = Grant { client: ClientPolicy::Anonymous, ..grant() };
        let details = issue(&anonymous, &secret(), NOW, &mut rng());
        assert!(serde_json::to_value(&details).unwrap().get("clientId").is_none());
    }

    #[test]
    fn a_token_expires_at_its_instant_with_40142() {
        let details = issue(&grant(), &secret(), NOW, &mut rng());
        assert!(open(&details.token, &secret(), Timestamp(details.expires.0 - 1)).is_ok());
        let error = open(&details.token, &secret(), details.expires).unwrap_err();
        assert_eq!((error.code, error.status), (40142, 401));
    }

    #[test]
    fn a_token_of_another_cluster_or_purpose_is_unrecognised() {
        let token = issue(&grant(), &secret(), NOW, &mut rng()).token;
        let other = SealingKey::from_bytes([9; 32]);
        assert_eq!(open(&token, &other, NOW).unwrap_err().code, 40143);
        let sealed = secret().seal(&["connection key", "app"], b"[]", &mut rng());
        assert_eq!(open(&format!("app.{sealed}"), &secret(), NOW).unwrap_err().code, 40143);
        let sealed = secret().seal(&[PURPOSE, "app"], b"[]", &mut rng());
        assert_eq!(open(&format!("app.{sealed}"), &secret(), NOW).unwrap_err().code, 40145);
        assert_eq!(open("app", &secret(), NOW).unwrap_err().code, 40145);
    }

    proptest! {
        #[test]
        fn a_token_with_any_byte_changed_is_refused(at in 0_usize..10_000, byte in 0x20_u8..0x7f) {
            let token = issue(&grant(), &secret(), NOW, &mut rng()).token;
            let mut bytes = token.clone().into_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            let changed = String::from_utf8(bytes).unwrap();
            prop_assert_eq!(open(&changed, &secret(), NOW).is_ok(), changed == token);
        }
    }
}
