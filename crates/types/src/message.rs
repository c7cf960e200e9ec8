//! Messages and presence events as clients publish and receive them. Payloads are carried, not
//! interpreted; cloning shares them.
//!
//! Fields that the host fills in (`connection_id`, `timestamp`, `serial`) are optional here because
//! a publish arrives without them.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::{ClientId, ConnectionId, Timestamp};

/// A payload. Binary stays binary in every format; JSON transports carry it as base64 (RSL4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Data {
    #[default]
    None,
    Text(Arc<str>),
    Binary(Bytes),
}

impl Data {
    /// Bytes that count towards the message size (TM6).
    pub fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// `extras`: a JSON object, carried as it came.
pub type Extras = Arc<serde_json::Map<String, Value>>;

/// The field of extras for what the publisher's token says about the user; only servers set it.
pub const USER_CLAIM: &str = "userClaim";

/// `message.action` (TM5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MessageAction {
    #[default]
    Create,
    Update,
    Delete,
    Meta,
    Summary,
    Append,
}

impl MessageAction {
    pub fn code(self) -> u8 {
        match self {
            Self::Create => 0,
            Self::Update => 1,
            Self::Delete => 2,
            Self::Meta => 3,
            Self::Summary => 4,
            Self::Append => 5,
        }
    }

    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Create, Self::Update, Self::Delete, Self::Meta, Self::Summary, Self::Append]
            .into_iter()
            .find(|action| action.code() == code)
    }

    /// Whether it makes a new version of a message that exists.
    pub fn is_change(self) -> bool {
        matches!(self, Self::Update | Self::Delete | Self::Append)
    }
}

/// `message.version` (TM2s).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    pub serial: Option<Arc<str>>,
    pub timestamp: Option<Timestamp>,
    pub client_id: Option<ClientId>,
    pub description: Option<Arc<str>>,
    pub metadata: Option<Extras>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    pub id: Option<Arc<str>>,
    pub name: Option<Arc<str>>,
    pub data: Data,
    pub encoding: Option<Arc<str>>,
    pub client_id: Option<ClientId>,
    pub connection_id: Option<ConnectionId>,
    /// Client to server only: publish on behalf of the connection with this key (TM2h).
    pub connection_key: Option<Arc<str>>,
    pub extras: Option<Extras>,
    pub timestamp: Option<Timestamp>,
    pub serial: Option<Arc<str>>,
    pub action: MessageAction,
    pub version: Option<Arc<Version>>,
    /// `annotations.summary` (TM8a), by annotation type; the server's alone.
    pub summary: Option<Extras>,
}

impl Message {
    /// Size as limits count it: name, clientId, data and extras (TM6), and what a client says of a
    /// change.
    pub fn size(&self) -> usize {
        text_len(self.name.as_deref())
            + text_len(self.client_id.as_ref().map(ClientId::as_str))
            + self.data.len()
            + extras_len(self.extras.as_ref())
            + self.version.as_ref().map_or(0, |version| version.size())
    }

    /// Whether it is delivered to those who are there and kept nowhere (`extras.ephemeral`).
    pub fn is_ephemeral(&self) -> bool {
        let flag = self.extras.as_ref().and_then(|extras| extras.get("ephemeral"));
        flag.is_some_and(|flag| flag == &Value::Bool(true))
    }
}

impl Version {
    fn size(&self) -> usize {
        text_len(self.description.as_deref()) + extras_len(self.metadata.as_ref())
    }
}

/// `presence.action` (TP2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PresenceAction {
    Absent,
    Present,
    Enter,
    Leave,
    Update,
}

impl PresenceAction {
    pub fn code(self) -> u8 {
        match self {
            Self::Absent => 0,
            Self::Present => 1,
            Self::Enter => 2,
            Self::Leave => 3,
            Self::Update => 4,
        }
    }

    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Absent, Self::Present, Self::Enter, Self::Leave, Self::Update]
            .into_iter()
            .find(|action| action.code() == code)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct PresenceMessage {
    pub id: Option<Arc<str>>,
    pub action: PresenceAction,
    pub client_id: Option<ClientId>,
    pub connection_id: Option<ConnectionId>,
    pub data: Data,
    pub encoding: Option<Arc<str>>,
    pub extras: Option<Extras>,
    pub timestamp: Option<Timestamp>,
}

impl PresenceMessage {
    pub fn new(action: PresenceAction) -> Self {
        Self {
            id: None,
            action,
            client_id: None,
            connection_id: None,
            data: Data::None,
            encoding: None,
            extras: None,
            timestamp: None,
        }
    }

    /// Size as limits count it: clientId, data and extras (TM6).
    pub fn size(&self) -> usize {
        text_len(self.client_id.as_ref().map(ClientId::as_str))
            + self.data.len()
            + extras_len(self.extras.as_ref())
    }
}

pub(crate) fn text_len(text: Option<&str>) -> usize {
    text.map_or(0, str::len)
}

/// Sets what the publisher's token says about the user, or removes what is there.
pub fn set_user_claim(extras: &mut Option<Extras>, claim: Option<Value>) {
    match claim {
        Some(claim) => {
            Arc::make_mut(extras.get_or_insert_default()).insert(USER_CLAIM.to_owned(), claim);
        }
        None => {
            if let Some(extras) = extras.as_mut().filter(|said| said.contains_key(USER_CLAIM)) {
                Arc::make_mut(extras).remove(USER_CLAIM);
            }
        }
    }
}

#[inline]
pub(crate) fn extras_len(extras: Option<&Extras>) -> usize {
    match extras {
        Some(extras) => json_len(extras),
        None => 0,
    }
}

fn json_len(extras: &Extras) -> usize {
    serde_json::to_vec(extras.as_ref()).map_or(0, |json| json.len())
}
