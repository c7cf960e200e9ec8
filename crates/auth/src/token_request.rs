//! Token requests (TE): signed by the holder of a key, presented by anyone, good for one token.
//!
//! `verify` decides what the token may be; `issue` makes it.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use types::error::{
    INCOMPATIBLE_CREDENTIALS, INVALID_CREDENTIALS, INVALID_PARAM, TIMESTAMP_NOT_CURRENT,
};
use types::{App, ErrorInfo, Key, Timestamp};

use crate::authenticate::no_such_key;
use crate::{Capability, ClientPolicy, Grant, KeyName, Method, Nonces, Principal, restriction};

/// How far clocks of signers may be from ours.
pub(crate) const CLOCK_SKEW: Duration = Duration::from_mins(2);
const DEFAULT_TTL: Duration = Duration::from_mins(60);
const MAX_TTL: Duration = Duration::from_hours(24);
/// For keys whose tokens can be revoked: as long as a revocation is remembered.
pub(crate) const MAX_REVOCABLE_TTL: Duration = Duration::from_mins(60);
/// Longest nonce, in bytes.
const MAX_NONCE: usize = 256;

/// The body of a `requestToken` request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenRequest {
    /// Names the app and the key that the token is to be of.
    pub key_name: String,
    /// Milliseconds.
    ttl: Option<Number>,
    /// JSON text.
    capability: Option<String>,
    client_id: Option<String>,
    /// Milliseconds since the epoch.
    timestamp: Option<Number>,
    nonce: Option<String>,
    mac: Option<String>,
}

/// A number, or its text: requests that travelled in a query string have texts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Integer(i64),
    Float(f64),
    Text(String),
    Other(IgnoredAny),
}

impl Number {
    /// As it was signed.
    fn text(&self) -> String {
        match self {
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Text(text) => text.clone(),
            Self::Other(_) => String::new(),
        }
    }

    /// A whole number that is not negative; 40003 otherwise.
    fn value(&self, name: &str) -> Result<u64, ErrorInfo> {
        self.text().parse().map_err(|_number| INVALID_PARAM.with(format!("invalid {name}")))
    }
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest").field("key_name", &self.key_name).finish_non_exhaustive()
    }
}

impl TokenRequest {
    /// Whether the request carries its own proof, so that anyone may present it.
    pub fn is_signed(&self) -> bool {
        self.mac.is_some()
    }

    /// What a token for this request allows. `app` is the app of `key_name`; `basic` is who
    /// presents the request with a key, if so: its own key needs no MAC.
    pub fn verify(
        &self,
        app: &App,
        basic: Option<&Principal>,
        nonces: &mut Nonces,
        now: Timestamp,
    ) -> Result<Grant, ErrorInfo> {
        let name = KeyName::parse(&self.key_name)?;
        let key = Some(app)
            .filter(|app| app.id.as_str() == name.app_id)
            .and_then(|app| app.key(name.key_id))
            .ok_or_else(no_such_key)?;
        restriction::check_key(key, now)?;
        let client = ClientPolicy::parse(self.client_id.as_deref())?;
        let ttl = self.granted_ttl(key)?;
        match &self.mac {
            Some(mac) => self.verify_mac(mac, key)?,
            None => verify_presenter(name, basic)?,
        }
        let capability = self.granted_capability(key)?;
        if self.mac.is_some() {
            self.verify_first_use(nonces, now)?;
        }
        Ok(Grant { app_id: app.id.clone(), key_id: key.id.clone(), client, capability, ttl })
    }

    fn verify_mac(&self, mac: &str, key: &Key) -> Result<(), ErrorInfo> {
        let refused = || INVALID_CREDENTIALS.with("invalid mac");
        let mac = STANDARD.decode(mac).map_err(|_base64| refused())?;
        let secret = hmac::Key::new(hmac::HMAC_SHA256, key.secret.as_bytes());
        hmac::verify(&secret, self.signed_text().as_bytes(), &mac).map_err(|_unspecified| refused())
    }

    fn signed_text(&self) -> String {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let number = |field: &Option<Number>| field.as_ref().map(Number::text).unwrap_or_default();
        format!(
            "{}\n{}\n{}\n{}\n{}\n{}\n",
            self.key_name,
            number(&self.ttl),
            text(&self.capability),
            text(&self.client_id),
            number(&self.timestamp),
            text(&self.nonce),
        )
    }

    fn granted_capability(&self, key: &Key) -> Result<Capability, ErrorInfo> {
        let own = Capability::parse(&key.capability)?;
        match self.capability.as_deref() {
            None | Some("") => Ok(own),
            Some(requested) => Capability::parse(requested)?.intersect(&own),
        }
    }

    fn granted_ttl(&self, key: &Key) -> Result<Duration, ErrorInfo> {
        let ttl = match &self.ttl {
            None => DEFAULT_TTL,
            Some(Number::Text(text)) if text.is_empty() => DEFAULT_TTL,
            Some(number) => Duration::from_millis(number.value("ttl")?),
        };
        let longest = if key.revocable_tokens { MAX_REVOCABLE_TTL } else { MAX_TTL };
        if ttl.is_zero() || ttl > longest {
            return Err(INVALID_PARAM.with("invalid ttl"));
        }
        Ok(ttl)
    }

    fn verify_first_use(&self, nonces: &mut Nonces, now: Timestamp) -> Result<(), ErrorInfo> {
        let missing = || INVALID_PARAM.with("a signed token request needs a timestamp and a nonce");
        let timestamp = self.timestamp.as_ref().ok_or_else(missing)?.value("timestamp")?;
        let nonce = self.nonce.as_deref().filter(|nonce| !nonce.is_empty()).ok_or_else(missing)?;
        if Duration::from_millis(now.0.abs_diff(timestamp)) > CLOCK_SKEW {
            return Err(TIMESTAMP_NOT_CURRENT.info());
        }
        if nonce.len() > MAX_NONCE {
            return Err(INVALID_PARAM.with("nonce too long"));
        }
        nonces.spend(&self.key_name, nonce, timestamp, now)
    }
}

fn verify_presenter(name: KeyName<'_>, basic: Option<&Principal>) -> Result<(), ErrorInfo> {
    let presenter = basic
        .filter(|principal| principal.method == Method::Basic)
        .ok_or_else(|| INVALID_CREDENTIALS.with("a token request needs a mac or a key"))?;
    if presenter.app_id.as_str() == name.app_id && presenter.key_id.as_ref() == name.key_id {
        return Ok(());
    }
    Err(INCOMPATIBLE_CREDENTIALS.with("a token request for another key needs its mac"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::ClientType;
    use crate::testing::{NOW, app};

    /// Both MACs were made with openssl.
    const FULL_MAC: &str = "w2tV1y0I0TFuFF08oDY/26M5XfovklEg9NzgL4vxWHE=";
    const MINIMAL_MAC: &str = "GG1fFWZ3rlXXaipXj6xznWTpF9jf/uSS5TjwGb5ebe0=";
    const NONCE: &str = "1234567890123456";

    fn request(json: Value) -> TokenRequest {
        serde_json::from_value(json).unwrap()
    }

    fn minimal() -> Value {
        json!({"keyName": "app.all", "timestamp": NOW.0, "nonce": NONCE, "mac": MINIMAL_MAC})
    }

    /// `minimal` with `changes`, signed as clients sign.
    fn signed(changes: &Value) -> TokenRequest {
        let mut json = minimal();
        for (name, value) in changes.as_object().unwrap() {
            json[name] = value.clone();
        }
        let mut request = request(json);
        let key_name = request.key_name.clone();
        let secret = format!("secret of {}", key_name.strip_prefix("app.").unwrap());
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let mac = hmac::sign(&key, request.signed_text().as_bytes());
        request.mac = Some(STANDARD.encode(mac.as_ref()));
        request
    }

    fn verify(request: &TokenRequest) -> Result<Grant, ErrorInfo> {
        request.verify(&app(), None, &mut Nonces::default(), NOW)
    }

    fn basic(key_id: &str, method: Method) -> Principal {
        Principal {
            app_id: "app".into(),
            key_id: key_id.into(),
            client: ClientPolicy::Any,
            revocation_key: None,
            capability: Arc::default(),
            claims: Arc::default(),
            client_type: ClientType::Server,
            method,
            issued: None,
            expires: None,
            revoked_at: None,
        }
    }

    #[test]
    fn requests_that_another_program_signed_are_granted() {
        let grant = verify(&request(minimal())).unwrap();
        assert_eq!((grant.app_id.as_str(), grant.key_id.as_ref()), ("app", "all"));
        assert_eq!((grant.client, grant.ttl), (ClientPolicy::Anonymous, DEFAULT_TTL));
        assert_eq!(grant.capability.to_string(), r#"{"*":["*"]}"#);
        let full = json!({
            "keyName": "app.all", "ttl": 3_600_000, "capability": r#"{"a":["publish"]}"#,
            "clientId": "bob", "timestamp": NOW.0, "nonce": NONCE, "mac": FULL_MAC,
        });
        let grant = verify(&request(full)).unwrap();
        assert_eq!(grant.client, ClientPolicy::Fixed("bob".into()));
        assert_eq!(grant.capability.to_string(), r#"{"a":["publish"]}"#);
    }

    #[test]
    fn numbers_may_be_texts_or_floats() {
        let mut json = minimal();
        json["timestamp"] = NOW.0.to_string().into();
        assert!(verify(&request(json.clone())).is_ok());
        json["timestamp"] = json!(1_700_000_000_000.0);
        assert!(verify(&request(json)).is_ok());
        assert_eq!(
            verify(&signed(&json!({"ttl": "100"}))).unwrap().ttl,
            Duration::from_millis(100)
        );
    }

    #[test]
    fn every_signed_field_is_covered_by_the_mac() {
        for (name, value) in [
            ("keyName", json!("app.some")),
            ("ttl", json!(1)),
            ("capability", json!(r#"{"a":["publish"]}"#)),
            ("clientId", json!("bob")),
            ("timestamp", json!(NOW.0 + 1)),
            ("nonce", json!("other")),
            ("mac", json!("12345")),
            ("mac", json!("")),
            ("mac", json!(FULL_MAC)),
        ] {
            let mut json = minimal();
            json[name] = value;
            let error = verify(&request(json)).unwrap_err();
            assert_eq!((error.code, error.status), (40101, 401), "{name}");
        }
    }

    #[test]
    fn requests_that_ask_for_too_much_are_refused() {
        let day: u64 = 24 * 60 * 60 * 1000;
        let cases = [
            (json!({"ttl": 365 * day}), 40003, 400),
            (json!({"ttl": day + 1}), 40003, 400),
            (json!({"ttl": -1}), 40003, 400),
            (json!({"ttl": 0}), 40003, 400),
            (json!({"ttl": 1.5}), 40003, 400),
            (json!({"ttl": "notanumber"}), 40003, 400),
            (json!({"ttl": true}), 40003, 400),
            (json!({"ttl": [1]}), 40003, 400),
            (json!({"clientId": ""}), 40012, 400),
            (json!({"capability": "x"}), 40000, 400),
            (json!({"capability": r#"{"a":["publish_"]}"#}), 40000, 400),
            (json!({"keyName": "app.some", "capability": r#"{"a":["subscribe"]}"#}), 40160, 401),
            (json!({"timestamp": "soon"}), 40003, 400),
            (json!({"timestamp": null}), 40003, 400),
            (json!({"nonce": null}), 40003, 400),
            (json!({"nonce": "x".repeat(MAX_NONCE + 1)}), 40003, 400),
            (json!({"timestamp": NOW.0 - 120_001}), 40104, 401),
            (json!({"timestamp": NOW.0 + 120_001}), 40104, 401),
        ];
        for (changes, code, status) in cases {
            let error = verify(&signed(&changes)).unwrap_err();
            assert_eq!((error.code, error.status), (code, status), "{changes}");
        }
        for changes in
            [json!({"ttl": day}), json!({"timestamp": NOW.0 - 120_000}), json!({"ttl": ""})]
        {
            assert!(verify(&signed(&changes)).is_ok(), "{changes}");
        }
    }

    #[test]
    fn a_grant_is_the_intersection_with_the_key() {
        let request = signed(&json!({"keyName": "app.some", "capability": r#"{"*":["*"]}"#}));
        let grant = verify(&request).unwrap();
        assert_eq!(grant.capability.to_string(), r#"{"a":["publish"],"b:*":["subscribe"]}"#);
    }

    #[test]
    fn tokens_of_revocable_keys_live_an_hour_at_most() {
        let mut app = app();
        app.keys[0].revocable_tokens = true;
        let ttl =
            |ttl: u64| signed(&json!({"ttl": ttl})).verify(&app, None, &mut Nonces::default(), NOW);
        assert!(ttl(3_600_000).is_ok());
        assert_eq!(ttl(3_600_001).unwrap_err().code, 40003);
    }

    #[test]
    fn a_nonce_is_used_once_and_only_by_a_request_that_is_granted() {
        let mut nonces = Nonces::default();
        let refused = signed(&json!({"capability": "x"}));
        assert_eq!(refused.verify(&app(), None, &mut nonces, NOW).unwrap_err().code, 40000);
        let request = request(minimal());
        assert!(request.verify(&app(), None, &mut nonces, NOW).is_ok());
        let error = request.verify(&app(), None, &mut nonces, NOW).unwrap_err();
        assert_eq!((error.code, error.status), (40105, 401));
    }

    #[test]
    fn a_key_needs_no_mac_for_its_own_tokens() {
        let unsigned = request(json!({"keyName": "app.all", "ttl": 1000}));
        let verify = |basic: Option<Principal>| {
            unsigned.verify(&app(), basic.as_ref(), &mut Nonces::default(), NOW)
        };
        assert!(verify(Some(basic("all", Method::Basic))).is_ok());
        assert_eq!(verify(Some(basic("some", Method::Basic))).unwrap_err().code, 40102);
        assert_eq!(verify(Some(basic("all", Method::Token))).unwrap_err().code, 40101);
        assert_eq!(verify(None).unwrap_err().code, 40101);
        let other = signed(&json!({"keyName": "app.some"}));
        let presenter = basic("all", Method::Basic);
        assert!(other.verify(&app(), Some(&presenter), &mut Nonces::default(), NOW).is_ok());
    }

    #[test]
    fn an_unknown_key_is_refused_with_40400() {
        for (key_name, code) in [("app.none", 40400), ("other.all", 40400), ("app", 40005)] {
            let error = verify(&request(json!({"keyName": key_name}))).unwrap_err();
            assert_eq!(error.code, code, "{key_name}");
        }
    }
}
