//! JSON Web Tokens. Two kinds are accepted:
//!
//! - signed with a key's secret: HS256, the key's name in `kid`. The algorithm is fixed; the
//!   header may only agree with it.
//! - around an opaque token, in the claim or header `x-ably-token`: the outer one is its issuer's
//!   business, is not checked, and grants nothing. A readable `exp` can only shorten the life of
//!   the token inside. Of an encrypted one (JWE) only the header is read.

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use types::error::{INVALID_CLIENT_ID, INVALID_JWT, TOKEN_EXPIRED};
use types::{ErrorInfo, Timestamp};

use crate::token_request::CLOCK_SKEW;
use crate::{Claims, ClientPolicy, ClientType, KeyName};

#[derive(Deserialize)]
struct Header {
    alg: Option<String>,
    kid: Option<String>,
    /// Extensions that must be understood; none is.
    crit: Option<Value>,
    #[serde(rename = "x-ably-token")]
    token: Option<String>,
}

#[derive(Deserialize)]
struct Payload {
    /// Seconds since the epoch, possibly with a fraction, as `exp` is.
    iat: Option<f64>,
    exp: Option<f64>,
    #[serde(rename = "x-ably-capability")]
    capability: Option<String>,
    #[serde(rename = "x-ably-clientId")]
    client_id: Option<Value>,
    #[serde(rename = "x-ably-revocation-key")]
    revocation_key: Option<Arc<str>>,
    #[serde(rename = "x-ably-clientType")]
    client_type: Option<Value>,
    #[serde(rename = "x-ably-token")]
    token: Option<String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// A JWT whose shape is right; nothing in it is proven yet.
pub(crate) enum Jwt<'a> {
    Signed(Signed<'a>),
    Around { token: String, expires: Option<Timestamp> },
}

pub(crate) struct Signed<'a> {
    kid: String,
    /// Header and payload as signed.
    signed: &'a str,
    signature: &'a str,
    payload: Payload,
}

/// What a signed JWT says, once proven.
pub(crate) struct Proven {
    pub(crate) client: ClientPolicy,
    pub(crate) client_type: ClientType,
    pub(crate) claims: Claims,
    pub(crate) revocation_key: Option<Arc<str>>,
    /// None: all that the key may do.
    pub(crate) capability: Option<String>,
    pub(crate) issued: Timestamp,
    pub(crate) expires: Timestamp,
}

impl<'a> Jwt<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, ErrorInfo> {
        let (signed, signature) = text.rsplit_once('.').ok_or_else(malformed)?;
        let (header, payload) = signed.split_once('.').ok_or_else(malformed)?;
        let header: Header = decode(header)?;
        // Three parts, or the five of a JWE.
        let encrypted = payload.contains('.');
        let payload = if encrypted { None } else { Some(decode::<Payload>(payload)?) };
        let claimed = payload.as_ref().and_then(|payload| payload.token.clone());
        if let Some(token) = header.token.or(claimed) {
            let expires = payload.and_then(|payload| payload.exp).map(instant);
            return Ok(Self::Around { token, expires });
        }
        match (payload, header.alg.as_deref(), header.kid, header.crit) {
            (Some(payload), Some("HS256"), Some(kid), None) => {
                Ok(Self::Signed(Signed { kid, signed, signature, payload }))
            }
            (None, ..) => Err(INVALID_JWT.with("an encrypted JWT without a token in its header")),
            (_, _, None, _) => Err(unnamed_key()),
            (_, _, _, Some(_)) => Err(INVALID_JWT.with("crit is not supported")),
            _ => Err(INVALID_JWT.with("alg must be HS256")),
        }
    }
}

impl Signed<'_> {
    /// The key that is said to have signed.
    pub(crate) fn key_name(&self) -> Result<KeyName<'_>, ErrorInfo> {
        KeyName::parse(&self.kid).map_err(|_unreadable| unnamed_key())
    }

    /// The claims, if `secret` signed them and they hold now.
    pub(crate) fn verify(self, secret: &str, now: Timestamp) -> Result<Proven, ErrorInfo> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let signature = URL_SAFE_NO_PAD.decode(self.signature).map_err(|_base64| malformed())?;
        hmac::verify(&key, self.signed.as_bytes(), &signature)
            .map_err(|_unspecified| INVALID_JWT.with("signature verification failed"))?;

        let required = |seconds: Option<f64>, name: &str| {
            let missing = || INVALID_JWT.with(format!("{name} must be specified"));
            seconds.map(instant).ok_or_else(missing)
        };
        let issued = required(self.payload.iat, "iat")?;
        let expires = required(self.payload.exp, "exp")?;
        if expires <= now {
            return Err(TOKEN_EXPIRED.info());
        }
        if issued > now.plus(CLOCK_SKEW) {
            return Err(INVALID_JWT.with("iat is in the future"));
        }
        let client = match &self.payload.client_id {
            None | Some(Value::Null) => ClientPolicy::Anonymous,
            Some(Value::String(text)) => ClientPolicy::parse(Some(text))?,
            Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
                return Err(INVALID_CLIENT_ID.with("clientId must be a string"));
            }
        };
        let Payload { capability, revocation_key, client_type, others, .. } = self.payload;
        let client_type = ClientType::claimed(client_type.as_ref().and_then(Value::as_str));
        let claims = Claims::read(&others, &signature)?;
        Ok(Proven { client, client_type, claims, revocation_key, capability, issued, expires })
    }
}

fn decode<T: DeserializeOwned>(part: &str) -> Result<T, ErrorInfo> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_base64| malformed())?;
    serde_json::from_slice(&json).map_err(|_json| malformed())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, which is right for instants out of range"
)]
fn instant(seconds: f64) -> Timestamp {
    Timestamp((seconds * 1000.0) as u64)
}

fn malformed() -> ErrorInfo {
    INVALID_JWT.with("malformed JWT")
}

fn unnamed_key() -> ErrorInfo {
    INVALID_JWT.with("kid must name a key")
}
