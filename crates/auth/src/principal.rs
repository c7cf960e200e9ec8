//! Who a client turned out to be: the outcome of authentication, and what it says about clientIds.

use std::sync::Arc;

use types::error::{INCOMPATIBLE_CREDENTIALS, INVALID_CLIENT_ID, UNTRUSTED_CLIENT_TYPE};
use types::{AppId, ClientId, ErrorInfo, Timestamp};

use crate::{Capability, Claims};

/// Longest clientId, in bytes (40012).
const MAX_CLIENT_ID: usize = 1024;

/// Which clientIds a client may act as (RSA7, TD6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientPolicy {
    /// No identity of its own, but any clientId per operation: `*`.
    Any,
    /// No clientId at all.
    Anonymous,
    /// This one, and no other.
    Fixed(ClientId),
}

impl ClientPolicy {
    /// From the `clientId` of a credential; 40012 if it is empty or too long.
    pub fn parse(client_id: Option<&str>) -> Result<Self, ErrorInfo> {
        match client_id {
            None => Ok(Self::Anonymous),
            Some("*") => Ok(Self::Any),
            Some(text) => Ok(Self::Fixed(concrete(text)?)),
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Any => Some("*"),
            Self::Anonymous => None,
            Self::Fixed(client_id) => Some(client_id.as_str()),
        }
    }
}

/// How a client authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Basic,
    Token,
    Jwt,
}

/// What the holder of the key says that the client is. Everything but a server is alike here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientType {
    Device,
    Server,
}

impl ClientType {
    /// From the claim `x-ably-clientType`, or the parameter `clientType`.
    pub(crate) fn claimed(text: Option<&str>) -> Self {
        if text == Some("server") { Self::Server } else { Self::Device }
    }
}

/// What must stay the same over the life of a connection, whatever credentials it presents.
/// The method may change: a client that connected with a key may go on with a token of that key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub app_id: AppId,
    pub key_id: Arc<str>,
    pub client_id: Option<ClientId>,
}

impl Identity {
    /// Whether credentials of `other` may take over; 40102 if not (RTN15, RTC8a2).
    pub fn compatible_with(&self, other: &Self) -> Result<(), ErrorInfo> {
        if self == other { Ok(()) } else { Err(INCOMPATIBLE_CREDENTIALS.info()) }
    }
}

/// An authenticated client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    pub app_id: AppId,
    /// The key that was presented, or that issued or signed the token.
    pub key_id: Arc<str>,
    pub client: ClientPolicy,
    /// What revocations may name the token by (`x-ably-revocation-key`).
    pub revocation_key: Option<Arc<str>>,
    pub capability: Arc<Capability>,
    pub claims: Arc<Claims>,
    pub client_type: ClientType,
    pub method: Method,
    /// None for keys.
    pub issued: Option<Timestamp>,
    /// From this instant on the credential is void (40142, or 40132 for a key).
    pub expires: Option<Timestamp>,
    /// From this instant on the token is revoked (40141), if anybody revoked it.
    pub revoked_at: Option<Timestamp>,
}

impl Principal {
    pub fn identity(&self) -> Identity {
        Identity {
            app_id: self.app_id.clone(),
            key_id: self.key_id.clone(),
            client_id: self.client_id().cloned(),
        }
    }

    /// When the credential becomes void.
    pub fn ends_at(&self) -> Option<Timestamp> {
        self.expires.into_iter().chain(self.revoked_at).min()
    }

    pub fn compatible_with(&self, other: &Self) -> Result<(), ErrorInfo> {
        self.identity().compatible_with(&other.identity())
    }

    /// The one clientId of an identified client.
    pub fn client_id(&self) -> Option<&ClientId> {
        match &self.client {
            ClientPolicy::Fixed(client_id) => Some(client_id),
            ClientPolicy::Any | ClientPolicy::Anonymous => None,
        }
    }

    /// `connectionDetails.clientId`.
    pub fn client_id_for_connection(&self) -> Option<&str> {
        self.client.as_str()
    }

    /// The clientId of something that this client publishes as `stated`; 40012 if it may not.
    #[inline]
    pub fn check_client_id(
        &self,
        stated: Option<&ClientId>,
    ) -> Result<Option<ClientId>, ErrorInfo> {
        let Some(stated) = stated else {
            return Ok(self.client_id().cloned());
        };
        match &self.client {
            ClientPolicy::Any => Ok(Some(concrete(stated.as_str())?)),
            ClientPolicy::Fixed(client_id) if client_id == stated => Ok(Some(stated.clone())),
            ClientPolicy::Fixed(_) | ClientPolicy::Anonymous => {
                Err(INVALID_CLIENT_ID.with("clientId differs from the one of the credentials"))
            }
        }
    }

    /// Whether the client may call itself `stated`: only the holder of the key says who is a server
    /// (40167).
    pub fn check_client_type(&self, stated: Option<&str>) -> Result<(), ErrorInfo> {
        match (ClientType::claimed(stated), self.client_type) {
            (ClientType::Server, ClientType::Device) => Err(UNTRUSTED_CLIENT_TYPE.info()),
            (ClientType::Device, _) | (ClientType::Server, ClientType::Server) => Ok(()),
        }
    }

    /// This client after it said which clientId it wants to have (RSA7e); 40102 if its credentials
    /// are for another one or for none.
    pub(crate) fn identified_as(mut self, requested: Option<&str>) -> Result<Self, ErrorInfo> {
        let Some(requested) = requested else {
            return Ok(self);
        };
        let requested = concrete(requested)?;
        match &self.client {
            ClientPolicy::Any => self.client = ClientPolicy::Fixed(requested),
            ClientPolicy::Fixed(client_id) if *client_id == requested => {}
            ClientPolicy::Fixed(_) | ClientPolicy::Anonymous => {
                return Err(INCOMPATIBLE_CREDENTIALS.with("invalid clientId for credentials"));
            }
        }
        Ok(self)
    }
}

/// A clientId that stands for one client; 40012 if `text` is empty, `*` or too long.
fn concrete(text: &str) -> Result<ClientId, ErrorInfo> {
    if text.is_empty() || text == "*" || text.len() > MAX_CLIENT_ID {
        return Err(INVALID_CLIENT_ID.with("clientId is empty, too long or a wildcard"));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(client_id: Option<&str>) -> Principal {
        Principal {
            app_id: "app".into(),
            key_id: "key".into(),
            client: ClientPolicy::parse(client_id).unwrap(),
            revocation_key: None,
            capability: Arc::default(),
            claims: Arc::default(),
            client_type: ClientType::Device,
            method: Method::Token,
            issued: None,
            expires: None,
            revoked_at: None,
        }
    }

    #[test]
    fn a_client_publishes_under_the_client_ids_of_its_policy() {
        let cases = [
            (None, None, Ok(None)),
            (None, Some("a"), Err(40012)),
            (Some("*"), None, Ok(None)),
            (Some("*"), Some("a"), Ok(Some("a"))),
            (Some("*"), Some("*"), Err(40012)),
            (Some("*"), Some(""), Err(40012)),
            (Some("a"), None, Ok(Some("a"))),
            (Some("a"), Some("a"), Ok(Some("a"))),
            (Some("a"), Some("b"), Err(40012)),
        ];
        for (policy, stated, expected) in cases {
            let outcome = principal(policy).check_client_id(stated.map(ClientId::from).as_ref());
            let outcome = outcome.map_err(|error| error.code);
            assert_eq!(outcome, expected.map(|id| id.map(ClientId::from)), "{policy:?} {stated:?}");
        }
    }

    #[test]
    fn a_client_connects_under_the_client_ids_of_its_policy() {
        let cases = [
            (None, None, Ok(None)),
            (None, Some("a"), Err(40102)),
            (Some("*"), None, Ok(Some("*"))),
            (Some("*"), Some("a"), Ok(Some("a"))),
            (Some("*"), Some("*"), Err(40012)),
            (Some("*"), Some(""), Err(40012)),
            (Some("a"), None, Ok(Some("a"))),
            (Some("a"), Some("a"), Ok(Some("a"))),
            (Some("a"), Some("b"), Err(40102)),
        ];
        for (policy, requested, expected) in cases {
            let outcome = principal(policy).identified_as(requested).map_err(|error| error.code);
            let client_id = outcome.as_ref().map(Principal::client_id_for_connection);
            assert_eq!(client_id, expected.as_ref().map(|id| *id), "{policy:?} {requested:?}");
        }
    }

    #[test]
    fn credentials_of_another_app_key_or_client_are_incompatible() {
        let own = principal(Some("a"));
        let key = Principal { method: Method::Basic, ..own.clone() };
        assert_eq!(own.compatible_with(&key), Ok(()));
        assert_eq!(principal(None).compatible_with(&principal(Some("*"))), Ok(()));
        let others = [
            Principal { app_id: "other".into(), ..own.clone() },
            Principal { key_id: "other".into(), ..own.clone() },
            principal(Some("b")),
            principal(None),
            principal(Some("*")),
        ];
        for other in others {
            assert_eq!(own.compatible_with(&other).unwrap_err().code, 40102);
            assert_eq!(other.compatible_with(&own).unwrap_err().code, 40102);
        }
    }

    #[test]
    fn client_ids_that_are_empty_or_too_long_are_refused_with_40012() {
        for client_id in ["", &"x".repeat(MAX_CLIENT_ID + 1)] {
            assert_eq!(ClientPolicy::parse(Some(client_id)).unwrap_err().code, 40012);
        }
    }
}
