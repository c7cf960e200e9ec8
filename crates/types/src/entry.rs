//! An entry: one thing that happened on a channel. It is one atomic publish: one or more messages,
//! a change of one message, annotations of one message, presence events, or operations on objects,
//! that were accepted, stored and are delivered together.

use std::fmt;
use std::sync::Arc;

use crate::{
    Annotation, ConnectionId, ItemPosition, Message, ObjectMessage, PresenceMessage, Serial,
    Timestamp, Version,
};

/// The id under which a publish is accepted once (`connectionId:msgSerial`, or the client's own).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryId {
    Connection { connection_id: ConnectionId, msg_serial: i64 },
    Named(Arc<str>),
}

impl EntryId {
    /// As it travels. Put together by hand, because every delivery has one.
    pub fn text(&self) -> Arc<str> {
        match self {
            Self::Connection { connection_id, msg_serial } => {
                let mut number = itoa::Buffer::new();
                [connection_id.as_str(), ":", number.format(*msg_serial)].concat().into()
            }
            Self::Named(id) => Arc::clone(id),
        }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// New messages, or one that changes an earlier one: its action says so, and its serial which.
    Messages(Vec<Message>),
    /// All of one message.
    Annotations(Vec<Annotation>),
    Presence(Vec<PresenceMessage>),
    Objects(Vec<ObjectMessage>),
}

impl Body {
    pub fn len(&self) -> usize {
        match self {
            Self::Messages(messages) => messages.len(),
            Self::Annotations(annotations) => annotations.len(),
            Self::Presence(presence) => presence.len(),
            Self::Objects(objects) => objects.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Size as limits count it (TM6), summed over the items.
    #[inline]
    pub fn size(&self) -> usize {
        match self {
            Self::Messages(messages) => messages.iter().map(Message::size).sum(),
            Self::Annotations(annotations) => annotations.iter().map(Annotation::size).sum(),
            Self::Presence(presence) => presence.iter().map(PresenceMessage::size).sum(),
            Self::Objects(objects) => objects.iter().map(ObjectMessage::size).sum(),
        }
    }

    /// The message that this changes or annotates, if it does.
    pub fn target(&self) -> Option<ItemPosition> {
        let serial = match self {
            Self::Messages(messages) => match messages.as_slice() {
                [message] if message.action.is_change() => message.serial.as_deref(),
                _ => None,
            },
            Self::Annotations(annotations) => annotations.first()?.message_serial.as_deref(),
            Self::Presence(_) | Self::Objects(_) => None,
        };
        serial?.parse().ok()
    }

    /// The change of a message that this is, if it is one.
    pub fn change(&self) -> Option<&Message> {
        match self {
            Self::Messages(messages) => match messages.as_slice() {
                [message] if message.action.is_change() => Some(message),
                _ => None,
            },
            Self::Annotations(_) | Self::Presence(_) | Self::Objects(_) => None,
        }
    }

    /// Whether it is delivered and kept nowhere.
    pub fn is_ephemeral(&self) -> bool {
        match self {
            Self::Messages(messages) => {
                !messages.is_empty() && messages.iter().all(Message::is_ephemeral)
            }
            Self::Annotations(_) | Self::Presence(_) | Self::Objects(_) => false,
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
            Body::Annotations(annotations) => annotations.get(index).and_then(|a| a.id.as_deref()),
            Body::Presence(presence) => presence.get(index).and_then(|p| p.id.as_deref()),
            Body::Objects(objects) => objects.get(index).and_then(|o| o.id.as_deref()),
        };
        own.map_or_else(|| format!("{}:{index}", self.id), str::to_owned)
    }

    /// The message at `index` with the serials that this entry gives it (TM2r, TM2s). What its
    /// frame says of it (id, connection, time) is left out.
    pub fn stamped(&self, index: usize, message: &Message) -> Message {
        let mut stamped = message.clone();
        if message.action.is_change() {
            let version = stamped.version.get_or_insert_default();
            if version.serial.is_none() {
                let version = Version {
                    serial: Some(self.serial.item(index)),
                    timestamp: Some(self.timestamp),
                    ..version.as_ref().clone()
                };
                stamped.version = Some(Arc::new(version));
            }
        } else if stamped.serial.is_none() {
            stamped.serial = Some(self.serial.item(index));
        }
        stamped
    }

    /// The message at `index` as it stands alone, with everything that is known of it.
    pub fn message(&self, index: usize) -> Option<Message> {
        let Body::Messages(messages) = &self.body else { return None };
        let mut message = self.stamped(index, messages.get(index)?);
        message.id.get_or_insert_with(|| self.item_id(index).into());
        message.connection_id = message.connection_id.or_else(|| self.connection_id.clone());
        message.timestamp = message.timestamp.or(Some(self.timestamp));
        Some(message)
    }

    /// The annotation at `index`, with everything that is known of it.
    pub fn annotation(&self, index: usize) -> Option<Annotation> {
        let Body::Annotations(annotations) = &self.body else { return None };
        let annotation = annotations.get(index)?;
        Some(Annotation {
            id: Some(self.item_id(index).into()),
            serial: Some(self.serial.item(index)),
            timestamp: Some(self.timestamp),
            ..annotation.clone()
        })
    }
}
