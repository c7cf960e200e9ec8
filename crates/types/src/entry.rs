//! An entry: one thing that happened on a channel. It is one atomic publish: one or more messages,
//! presence events, or operations on objects, that were accepted, stored and are delivered together.

use std::fmt;
use std::sync::Arc;

use crate::{ConnectionId, Message, ObjectMessage, PresenceMessage, Serial, Timestamp};

/// The id under which a publish is accepted once (`connectionId:msgSerial`, or the client's own).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryId {
    Connection { connection_id: ConnectionId, msg_serial: i64 },
    Named(Arc<str>),
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection { connection_id, msg_serial } => {
                write!(f, "{connection_id}:{msg_serial}")
            }
            Self::Named(id) => f.write_str(id),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    Messages(Vec<Message>),
    Presence(Vec<PresenceMessage>),
    Objects(Vec<ObjectMessage>),
}

impl Body {
    pub fn len(&self) -> usize {
        match self {
            Self::Messages(messages) => messages.len(),
            Self::Presence(presence) => presence.len(),
            Self::Objects(objects) => objects.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Size as limits count it (TM6), summed over the items.
    pub fn size(&self) -> usize {
        match self {
            Self::Messages(messages) => messages.iter().map(Message::size).sum(),
            Self::Presence(presence) => presence.iter().map(PresenceMessage::size).sum(),
            Self::Objects(objects) => objects.iter().map(ObjectMessage::size).sum(),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub id: EntryId,
    pub serial: Serial,
    /// Counts the entries of the serial's series, from 1.
    pub position: u64,
    pub timestamp: Timestamp,
    /// The publisher's connection; none for REST and for events that the server makes.
    pub connection_id: Option<ConnectionId>,
    pub body: Body,
}

impl Entry {
    /// The id of the item at `index`: its own, or the entry's with the index appended (TM2a).
    pub fn item_id(&self, index: usize) -> String {
        let own = match &self.body {
            Body::Messages(messages) => messages.get(index).and_then(|m| m.id.as_deref()),
            Body::Presence(presence) => presence.get(index).and_then(|p| p.id.as_deref()),
            Body::Objects(objects) => objects.get(index).and_then(|o| o.id.as_deref()),
        };
        own.map_or_else(|| format!("{}:{index}", self.id), str::to_owned)
    }
}
