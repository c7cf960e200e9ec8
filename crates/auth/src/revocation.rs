//! Revoked tokens: which tokens of a key, issued before when, are void from when on (RSA17).
//!
//! Nothing is known of single tokens, only of what they have in common: a clientId, a revocation
//! key, a channel. A revocation is forgotten when every token that it is about has expired.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use types::error::{BAD_REQUEST, INVALID_BODY, INVALID_PARAM, RATE_LIMIT};
use types::{ClientId, ErrorInfo, Timestamp};

use crate::Principal;
use crate::token_request::MAX_REVOCABLE_TTL;

/// Targets of one request; more are refused (40001).
const MAX_TARGETS: usize = 100;
/// Longest target, in bytes (40000).
const MAX_TARGET: usize = 2048;
/// Revocations of one app that are remembered; one more is refused (42910).
const MAX_REVOCATIONS: usize = 10_000;
/// What `allowReauthMargin` leaves clients to obtain another token.
const REAUTH_MARGIN: Duration = Duration::from_secs(30);

/// The body of a `revokeTokens` request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevocationRequest {
    pub targets: Vec<Arc<str>>,
    /// Milliseconds since the epoch.
    #[serde(default)]
    pub issued_before: Option<u64>,
    #[serde(default)]
    pub allow_reauth_margin: bool,
}

impl RevocationRequest {
    /// When tokens must have been issued to be void, and from when on: 40003 if that is longer ago
    /// than any token lives, 40001 for too many targets or none.
    pub fn terms(&self, now: Timestamp) -> Result<Revocation, ErrorInfo> {
        if self.targets.is_empty() || self.targets.len() > MAX_TARGETS {
            return Err(INVALID_BODY.with(format!("targets must be 1 to {MAX_TARGETS}")));
        }
        let issued_before = self.issued_before.map_or(now, Timestamp).min(now);
        if issued_before < now.minus(MAX_REVOCABLE_TTL) {
            return Err(INVALID_PARAM.with("issuedBefore is more than an hour ago"));
        }
        let margin = if self.allow_reauth_margin { REAUTH_MARGIN } else { Duration::ZERO };
        Ok(Revocation { issued_before, applies_at: now.plus(margin) })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revocation {
    /// Only tokens issued before this instant are void.
    pub issued_before: Timestamp,
    /// They are void from this instant on.
    pub applies_at: Timestamp,
}

impl Revocation {
    /// Whether all that `other` makes void is void by this one, and no later.
    fn covers(&self, other: &Self) -> bool {
        self.issued_before >= other.issued_before && self.applies_at <= other.applies_at
    }

    fn is_over(&self, now: Timestamp) -> bool {
        self.issued_before.plus(MAX_REVOCABLE_TTL) <= now
    }
}

/// What revoked tokens have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    Client(ClientId),
    /// The claim `x-ably-revocation-key` of a JWT.
    RevocationKey(Arc<str>),
    /// A resource of the token's capability, as it is written there.
    Channel(Arc<str>),
}

impl Target {
    /// Reads `type:value`; 40000 for other types.
    pub fn parse(text: &str) -> Result<Self, ErrorInfo> {
        let (kind, value) = text.split_once(':').unwrap_or((text, ""));
        if value.is_empty() || value.len() > MAX_TARGET {
            return Err(BAD_REQUEST.with("a revocation target is type:value"));
        }
        match kind {
            "clientId" => Ok(Self::Client(value.into())),
            "revocationKey" => Ok(Self::RevocationKey(value.into())),
            "channel" => Ok(Self::Channel(value.into())),
            _ => Err(BAD_REQUEST.with("a revocation target is clientId, revocationKey or channel")),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(id) => write!(f, "clientId:{id}"),
            Self::RevocationKey(key) => write!(f, "revocationKey:{key}"),
            Self::Channel(name) => write!(f, "channel:{name}"),
        }
    }
}

/// The revocations of one app.
#[derive(Debug, Default)]
pub struct Revocations {
    by_key: BTreeMap<Arc<str>, BTreeMap<Target, Vec<Revocation>>>,
}

impl Revocations {
    /// Revokes tokens of the key `key_id`; returns all that is revoked of the target, or 42910 if
    /// there is no room for it.
    pub fn revoke(
        &mut self,
        key_id: &Arc<str>,
        target: Target,
        revocation: Revocation,
    ) -> Result<&[Revocation], ErrorInfo> {
        let count: usize = self.by_key.values().flat_map(BTreeMap::values).map(Vec::len).sum();
        let known = self.by_key.entry(Arc::clone(key_id)).or_default().entry(target).or_default();
        if known.iter().any(|known| known.covers(&revocation)) {
            return Ok(known);
        }
        let before = known.len();
        known.retain(|known| !revocation.covers(known));
        if count - (before - known.len()) >= MAX_REVOCATIONS {
            return Err(RATE_LIMIT.with("too many revocations at a time"));
        }
        known.push(revocation);
        Ok(known)
    }

    /// From when on the token of `principal` is void, if it is revoked.
    pub fn applies_at(&self, principal: &Principal) -> Option<Timestamp> {
        let issued = principal.issued?;
        let revocations = self.by_key.get(&principal.key_id)?;
        targets(principal)
            .filter_map(|target| revocations.get(&target))
            .flatten()
            .filter(|revocation| issued < revocation.issued_before)
            .map(|revocation| revocation.applies_at)
            .min()
    }

    /// Forgets what is about expired tokens only. Returns the keys and targets of which nothing is
    /// left.
    pub fn expire(&mut self, now: Timestamp) -> Vec<(Arc<str>, Target)> {
        let mut over = Vec::new();
        self.by_key.retain(|key_id, targets| {
            let empty = targets.extract_if(.., |_, revocations| {
                revocations.retain(|revocation| !revocation.is_over(now));
                revocations.is_empty()
            });
            over.extend(empty.map(|(target, _)| (Arc::clone(key_id), target)));
            !targets.is_empty()
        });
        over
    }
}

/// All targets that the token of `principal` falls under.
fn targets(principal: &Principal) -> impl Iterator<Item = Target> {
    let client = principal.client_id_for_connection().map(|id| Target::Client(id.into()));
    let key = principal.revocation_key.clone().map(Target::RevocationKey);
    let channels = principal.capability.resource_names().map(|name| Target::Channel(name.into()));
    client.into_iter().chain(key).chain(channels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::NOW;
    use crate::{Capability, ClientPolicy, ClientType, Method};

    const SOON: Timestamp = Timestamp(NOW.0 + 30_000);

    fn principal(issued: Timestamp) -> Principal {
        Principal {
            app_id: "app".into(),
            key_id: "key".into(),
            client: ClientPolicy::Fixed("bob".into()),
            revocation_key: Some("group".into()),
            capability: Arc::new(Capability::parse(r#"{"a:*":["publish"]}"#).unwrap()),
            claims: Arc::default(),
            client_type: ClientType::Device,
            method: Method::Jwt,
            issued: Some(issued),
            expires: None,
            revoked_at: None,
        }
    }

    fn request(issued_before: Option<u64>) -> RevocationRequest {
        let targets = vec!["x".into()];
        RevocationRequest { targets, issued_before, allow_reauth_margin: false }
    }

    fn with_margin() -> RevocationRequest {
        RevocationRequest { allow_reauth_margin: true, ..request(None) }
    }

    fn revoked(target: &str, revocation: Revocation) -> Revocations {
        let mut revocations = Revocations::default();
        revocations.revoke(&"key".into(), Target::parse(target).unwrap(), revocation).unwrap();
        revocations
    }

    #[test]
    fn a_token_is_revoked_by_its_client_its_revocation_key_and_its_resources() {
        let terms = request(None).terms(NOW).unwrap();
        let earlier = principal(Timestamp(NOW.0 - 1));
        for target in ["clientId:bob", "revocationKey:group", "channel:a:*"] {
            assert_eq!(revoked(target, terms).applies_at(&earlier), Some(NOW), "{target}");
        }
        for target in ["clientId:eve", "revocationKey:bob", "channel:a:b", "channel:a"] {
            assert_eq!(revoked(target, terms).applies_at(&earlier), None, "{target}");
        }
        let other_key = Principal { key_id: "other".into(), ..earlier };
        assert_eq!(revoked("clientId:bob", terms).applies_at(&other_key), None);
        assert_eq!(revoked("clientId:bob", terms).applies_at(&principal(NOW)), None);
    }

    #[test]
    fn a_revocation_with_margin_does_not_delay_an_earlier_one_without() {
        let at_once = request(None).terms(NOW).unwrap();
        let later = with_margin().terms(Timestamp(NOW.0 + 10)).unwrap();
        let mut revocations = revoked("clientId:bob", at_once);
        revocations.revoke(&"key".into(), Target::Client("bob".into()), later).unwrap();
        assert_eq!(revocations.applies_at(&principal(Timestamp(NOW.0 - 1))), Some(NOW));
        let since = Timestamp(NOW.0 + 5);
        assert_eq!(revocations.applies_at(&principal(since)), Some(Timestamp(SOON.0 + 10)));
    }

    #[test]
    fn terms_out_of_range_are_refused() {
        let hour = 3_600_000;
        assert_eq!(with_margin().terms(NOW).unwrap().applies_at, SOON);
        let earliest = request(Some(NOW.0 - hour)).terms(NOW).unwrap();
        assert_eq!(earliest.issued_before, Timestamp(NOW.0 - hour));
        assert_eq!(request(Some(NOW.0 - hour - 1)).terms(NOW).unwrap_err().code, 40003);
        assert_eq!(request(Some(NOW.0 + 5)).terms(NOW).unwrap().issued_before, NOW);
        let none = RevocationRequest { targets: Vec::new(), ..request(None) };
        assert_eq!(none.terms(NOW).unwrap_err().code, 40001);
        for target in ["clientId:a:b", "revocationKey:k", "channel:[x]a:*"] {
            assert_eq!(Target::parse(target).unwrap().to_string(), target);
        }
        for target in ["invalidType:abc", "clientId", "clientId:", ""] {
            assert_eq!(Target::parse(target).unwrap_err().code, 40000, "{target}");
        }
    }

    #[test]
    fn revocations_end_with_the_tokens_that_they_are_about() {
        let mut revocations = revoked("clientId:bob", request(None).terms(NOW).unwrap());
        assert_eq!(revocations.expire(NOW.plus(Duration::from_mins(59))), []);
        let over = revocations.expire(NOW.plus(MAX_REVOCABLE_TTL));
        assert_eq!(over, [("key".into(), Target::Client("bob".into()))]);
        assert!(revocations.by_key.is_empty());
    }

    #[test]
    fn revocations_beyond_the_bound_are_refused() {
        let terms = request(None).terms(NOW).unwrap();
        let mut revocations = Revocations::default();
        let mut revoke = |n: usize| {
            let target = Target::Client(n.to_string().as_str().into());
            revocations.revoke(&"key".into(), target, terms).is_ok()
        };
        // Counting is linear, so the bound is approached from just below.
        assert!((0..3).all(&mut revoke));
        let full: Vec<_> = (0..MAX_REVOCATIONS as u64)
            .map(|n| Revocation { issued_before: NOW, applies_at: Timestamp(NOW.0 + n) })
            .collect();
        revocations
            .by_key
            .insert("key".into(), BTreeMap::from([(Target::Client("bob".into()), full)]));
        let eve = Target::Client("eve".into());
        assert_eq!(revocations.revoke(&"key".into(), eve, terms).unwrap_err().code, 42910);
    }
}
