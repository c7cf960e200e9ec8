//! Connection keys: what a client brings back to resume its connection, at any node of any site.
//!
//! `<node>!<sealed>`: the home frontend's node id in the clear, for routers, and the rest sealed.
//! The text can be a segment of a URL's path if the node id can. It proves who the connection
//! belongs to; whether its state still exists is the home frontend's answer.

use std::sync::Arc;

use rand::Rng;
use types::error::INVALID_RESUME_KEY;
use types::{AppId, ClientId, ConnectionId, ErrorInfo, Timestamp};

use crate::{Identity, SealingKey};

const PURPOSE: &str = "connection key";
/// Longest text that is looked at, in bytes: ids and a clientId of the longest.
const MAX_TEXT: usize = 4096;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumeKey {
    pub connection_id: ConnectionId,
    pub identity: Identity,
    /// The home frontend: letters, digits, `-` and `_`.
    pub node: Arc<str>,
    /// Of the home frontend, when it sealed this.
    pub incarnation: u64,
    /// Counts the resumes of the session.
    pub epoch: u32,
    pub issued: Timestamp,
}

/// The stored format, under the version of the sealing key.
type Stored<'a> = (&'a str, &'a str, &'a str, Option<&'a str>, u64, u32, Timestamp);
type Loaded = (ConnectionId, AppId, Arc<str>, Option<ClientId>, u64, u32, Timestamp);

impl ResumeKey {
    pub fn seal(&self, secret: &SealingKey, rng: &mut impl Rng) -> String {
        let stored: Stored<'_> = (
            self.connection_id.as_str(),
            self.identity.app_id.as_str(),
            &self.identity.key_id,
            self.identity.client_id.as_ref().map(ClientId::as_str),
            self.incarnation,
            self.epoch,
            self.issued,
        );
        let content = serde_json::json!(stored).to_string();
        let sealed = secret.seal(&[PURPOSE, &self.node], content.as_bytes(), rng);
        format!("{}!{sealed}", self.node)
    }

    /// 80018 for anything that this cluster did not seal.
    pub fn open(text: &str, secret: &SealingKey) -> Result<Self, ErrorInfo> {
        Self::load(text, secret).ok_or_else(|| INVALID_RESUME_KEY.info())
    }

    /// The node that `text` names as its home, unproven: a hint for routers.
    pub fn hint(text: &str) -> Option<&str> {
        text.split_once('!').map(|(node, _)| node)
    }

    fn load(text: &str, secret: &SealingKey) -> Option<Self> {
        let (node, sealed) = text.split_once('!').filter(|_| text.len() <= MAX_TEXT)?;
        let content = secret.open(&[PURPOSE, node], sealed)?;
        let (connection_id, app_id, key_id, client_id, incarnation, epoch, issued): Loaded =
            serde_json::from_slice(&content).ok()?;
        let identity = Identity { app_id, key_id, client_id };
        Some(Self { connection_id, identity, node: node.into(), incarnation, epoch, issued })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{NOW, rng, secret};

    fn key() -> ResumeKey {
        ResumeKey {
            connection_id: "connection".into(),
            identity: Identity {
                app_id: "app".into(),
                key_id: "key".into(),
                client_id: Some("bob ☃ \"quoted\"".into()),
            },
            node: "us1-a".into(),
            incarnation: u64::MAX,
            epoch: 3,
            issued: NOW,
        }
    }

    #[test]
    fn a_connection_key_comes_back_whole() {
        let anonymous = Identity { client_id: None, ..key().identity };
        for key in [key(), ResumeKey { identity: anonymous, ..key() }] {
            let text = key.seal(&secret(), &mut rng());
            assert_eq!(ResumeKey::open(&text, &secret()), Ok(key));
            assert_eq!(ResumeKey::hint(&text), Some("us1-a"));
        }
    }

    #[test]
    fn a_connection_key_is_a_segment_of_a_path() {
        let text = key().seal(&secret(), &mut rng());
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_!".contains(c);
        assert!(text.chars().all(allowed), "{text}");
    }

    #[test]
    fn keys_that_were_never_sealed_are_refused_with_80018() {
        let token = secret().seal(&["token", "us1-a"], b"[]", &mut rng());
        let unread = secret().seal(&[PURPOSE, "us1-a"], b"[]", &mut rng());
        let texts = [
            String::new(),
            "ab".into(),
            "!".into(),
            "_____!not_a_real-key____".into(),
            format!("us1-a!{token}"),
            format!("us1-a!{unread}"),
            "a!".repeat(MAX_TEXT),
        ];
        for text in texts {
            let error = ResumeKey::open(&text, &secret()).unwrap_err();
            assert_eq!((error.code, error.status), (80018, 400), "{text:.60}");
        }
        let text = key().seal(&secret(), &mut rng());
        assert!(ResumeKey::open(&text, &SealingKey::from_bytes([9; 32])).is_err());
    }

    proptest! {
        #[test]
        fn a_connection_key_with_any_byte_changed_is_refused(at in 0_usize..10_000, byte in 0x20_u8..0x7f) {
            let text = key().seal(&secret(), &mut rng());
            let mut bytes = text.clone().into_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            let changed = String::from_utf8(bytes).unwrap();
            prop_assert_eq!(ResumeKey::open(&changed, &secret()).is_ok(), changed == text);
        }
    }
}
