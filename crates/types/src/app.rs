//! Apps, keys and namespaces: the configuration that decides who may do what, and how.
//! Plain documents; where they are kept and how they change is not known here.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{AppId, AppLimits, ChannelName, ErrorInfo, Network, NodeLimits, Timestamp, error};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct App {
    pub id: AppId,
    pub account_id: Arc<str>,
    pub keys: Vec<Key>,
    #[serde(default)]
    pub namespaces: Vec<Namespace>,
    #[serde(default)]
    pub limits: AppLimits,
}

impl App {
    pub fn key(&self, key_id: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.id.as_ref() == key_id)
    }

    /// Whether it has no more keys and namespaces than an app may have.
    pub fn check_counts(&self, limits: &NodeLimits) -> Result<(), ErrorInfo> {
        let beyond = |count: usize, limit: u32| limit != 0 && count > limit as usize;
        if beyond(self.keys.len(), limits.keys_per_app) {
            return Err(error::KEY_LIMIT.info());
        }
        if beyond(self.namespaces.len(), limits.namespaces_per_app) {
            return Err(error::NAMESPACE_LIMIT.info());
        }
        Ok(())
    }

    /// The namespace whose rules apply to `channel`; none to a metachannel.
    pub fn namespace(&self, channel: &ChannelName) -> Option<&Namespace> {
        let mut namespaces = self.namespaces.iter();
        let rules = namespaces.find(|namespace| namespace.id.as_ref() == channel.namespace());
        rules.filter(|_| channel.metachannel().is_none())
    }

    /// Whether messages of `channel` may be changed and annotated: chat rooms need no rule for it.
    pub fn is_mutable(&self, channel: &ChannelName) -> bool {
        channel.is_chat_room()
            || self.namespace(channel).is_some_and(|rules| rules.mutable_messages)
    }

    /// Whether `channel` is kept in the store.
    pub fn persists(&self, channel: &ChannelName) -> bool {
        self.is_mutable(channel) || self.namespace(channel).is_some_and(|rules| rules.persisted)
    }

    /// Whether messages of `channel` are batched: then their own ids do not tell repeats.
    pub fn batches(&self, channel: &ChannelName) -> bool {
        self.namespace(channel).is_some_and(|rules| rules.batching_enabled)
    }
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Key {
    /// The part of the key name behind the dot.
    pub id: Arc<str>,
    pub secret: Arc<str>,
    /// The capability as JSON text, in the order it was given.
    pub capability: Arc<str>,
    #[serde(default)]
    pub revocable_tokens: bool,
    #[serde(default)]
    pub restrictions: Restrictions,
}

/// What limits the use of a key, and of the tokens that were made with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Restrictions {
    /// Nobody may use it any more (40131).
    pub revoked: bool,
    /// From this instant on nobody may use it (40132).
    pub expires: Option<Timestamp>,
    /// Where its clients are (80030); anywhere if empty.
    pub allowed_ips: Vec<Network>,
    /// What web pages its clients are on, as the header `Origin` says (80030); any, and none, if
    /// empty.
    pub allowed_origins: Vec<Arc<str>>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("capability", &self.capability).finish()
    }
}

/// Rules for the channels named `id` or `id:…`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_excessive_bools, reason = "a document of switches that operators set")]
pub struct Namespace {
    pub id: Arc<str>,
    /// Keep messages and presence events in the store; acknowledge only what is durable.
    pub persisted: bool,
    /// Keep what was published last for a year, for who rewinds by one.
    pub persist_last: bool,
    /// Refuse clients without a clientId (40161).
    #[serde(alias = "identified")]
    pub authenticated: bool,
    /// Refuse clients that do not use TLS (40311).
    pub tls_only: bool,
    /// Let clients push to the devices that are subscribed to the channel.
    pub push_enabled: bool,
    /// Deliver a message's serial in its extras as well (`extras.timeserial`).
    pub expose_timeserial: bool,
    /// Let clients update, delete, append to and annotate messages. It implies `persisted`.
    pub mutable_messages: bool,
    /// Enumerate its channels also when they are not active.
    pub populate_channel_registry: bool,
    /// Deliver what was published within an interval together.
    pub batching_enabled: bool,
    /// Milliseconds.
    pub batching_interval: Option<u64>,
    /// Publish only the newest message of each key within an interval.
    pub conflation_enabled: bool,
    /// Milliseconds.
    pub conflation_interval: Option<u64>,
    /// A [`Template`](crate::Template).
    pub conflation_key: Option<Arc<str>>,
}
