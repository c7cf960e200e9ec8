//! A protocol message: what one WebSocket frame carries, in either format (TR1–TR4).
//!
//! Wire shape only: whether a message makes sense where it arrives is the session's business.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::{
    Accepted, Annotation, ClientId, ConnectionId, ErrorInfo, Message, PresenceMessage, SiteCode,
    Timestamp,
};

use crate::message::MessageShape;
use crate::object::ObjectItem;

/// `action` (TR2). Numbers that no client sends to a server, or that this version does not know,
/// decode as `Other`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Heartbeat,
    Ack,
    Nack,
    Connected,
    Disconnect,
    Disconnected,
    Close,
    Closed,
    Error,
    Attach,
    Attached,
    Detach,
    Detached,
    Presence,
    Message,
    Sync,
    Auth,
    Object,
    ObjectSync,
    Annotation,
    Other(u8),
}

impl Action {
    pub fn code(self) -> u8 {
        match self {
            Self::Heartbeat => 0,
            Self::Ack => 1,
            Self::Nack => 2,
            Self::Connected => 4,
            Self::Disconnect => 5,
            Self::Disconnected => 6,
            Self::Close => 7,
            Self::Closed => 8,
            Self::Error => 9,
            Self::Attach => 10,
            Self::Attached => 11,
            Self::Detach => 12,
            Self::Detached => 13,
            Self::Presence => 14,
            Self::Message => 15,
            Self::Sync => 16,
            Self::Auth => 17,
            Self::Object => 19,
            Self::ObjectSync => 20,
            Self::Annotation => 21,
            Self::Other(code) => code,
        }
    }

    pub fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Heartbeat,
            1 => Self::Ack,
            2 => Self::Nack,
            4 => Self::Connected,
            5 => Self::Disconnect,
            6 => Self::Disconnected,
            7 => Self::Close,
            8 => Self::Closed,
            9 => Self::Error,
            10 => Self::Attach,
            11 => Self::Attached,
            12 => Self::Detach,
            13 => Self::Detached,
            14 => Self::Presence,
            15 => Self::Message,
            16 => Self::Sync,
            17 => Self::Auth,
            19 => Self::Object,
            20 => Self::ObjectSync,
            21 => Self::Annotation,
            other => Self::Other(other),
        }
    }
}

/// Bits of `flags` (TR3).
pub mod flags {
    pub const HAS_PRESENCE: u32 = 1;
    pub const HAS_BACKLOG: u32 = 1 << 1;
    pub const RESUMED: u32 = 1 << 2;
    pub const ATTACH_RESUME: u32 = 1 << 5;
    pub const HAS_OBJECTS: u32 = 1 << 7;
    pub const PRESENCE: u32 = 1 << 16;
    pub const PUBLISH: u32 = 1 << 17;
    pub const SUBSCRIBE: u32 = 1 << 18;
    pub const PRESENCE_SUBSCRIBE: u32 = 1 << 19;
    pub const ANNOTATION_PUBLISH: u32 = 1 << 21;
    pub const ANNOTATION_SUBSCRIBE: u32 = 1 << 22;
    pub const OBJECT_SUBSCRIBE: u32 = 1 << 24;
    pub const OBJECT_PUBLISH: u32 = 1 << 25;
}

/// `connectionDetails` (CD2).
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionDetails {
    pub client_id: Option<ClientId>,
    pub connection_key: Arc<str>,
    pub max_message_size: u32,
    pub max_frame_size: u32,
    pub max_inbound_rate: u32,
    pub connection_state_ttl: u64,
    pub max_idle_interval: u64,
    pub server_id: Arc<str>,
    pub site_code: SiteCode,
    pub objects_gc_grace_period: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ProtocolMessage {
    pub action: Action,
    pub id: Option<Arc<str>>,
    /// `auth.accessToken`.
    pub access_token: Option<Arc<str>>,
    pub channel: Option<Arc<str>>,
    pub channel_serial: Option<Arc<str>>,
    pub connection_id: Option<ConnectionId>,
    pub connection_key: Option<Arc<str>>,
    pub connection_details: Option<Box<ConnectionDetails>>,
    pub count: Option<u32>,
    pub error: Option<ErrorInfo>,
    pub flags: Option<u32>,
    pub msg_serial: Option<i64>,
    pub messages: Vec<Message>,
    /// How `messages` are written. It does not travel.
    pub message_shape: MessageShape,
    pub presence: Vec<PresenceMessage>,
    pub annotations: Vec<Annotation>,
    /// Operations on objects, or objects.
    pub state: Vec<ObjectItem>,
    /// Of each publish that is acknowledged, the serials (TR4s).
    pub res: Vec<Accepted>,
    pub timestamp: Option<Timestamp>,
    pub params: BTreeMap<String, String>,
}

impl ProtocolMessage {
    pub fn new(action: Action) -> Self {
        Self {
            action,
            id: None,
            access_token: None,
            channel: None,
            channel_serial: None,
            connection_id: None,
            connection_key: None,
            connection_details: None,
            count: None,
            error: None,
            flags: None,
            msg_serial: None,
            messages: Vec::new(),
            message_shape: MessageShape::default(),
            presence: Vec::new(),
            annotations: Vec::new(),
            state: Vec::new(),
            res: Vec::new(),
            timestamp: None,
            params: BTreeMap::new(),
        }
    }
}
