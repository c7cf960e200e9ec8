//! The fields of messages and presence events (TM2, TP3), and of errors (TI1). Of messages both shapes
//! are read, and written as the receiver's version of the protocol has them.

use std::borrow::Cow;
use std::sync::Arc;

use types::{
    ClientId, ConnectionId, ErrorInfo, Extras, ItemPosition, Message, MessageAction,
    PresenceAction, PresenceMessage, Timestamp, Version,
};

use crate::payload::{self, Payload, read_extras};
use crate::read::{Decode, Kind, Problem, Read, Reader};
use crate::write::{Encode, Fields, Writer};

/// The first version of the protocol whose messages have a version that is an object.
const VERSIONED_SINCE: u32 = 4;

/// How messages say what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MessageShape {
    /// `version` and `annotations` (TM2s, TM2u); `timestamp` is of the message as it was published.
    #[default]
    Versioned,
    /// Before version 4 of the protocol: `version` is a text, and beside it are `operation`,
    /// `createdAt` and `summary` (TM2n to TM2q of specification 3.1); `timestamp` is of the version.
    Flat,
}

impl MessageShape {
    pub fn of(protocol_version: u32) -> Self {
        if protocol_version < VERSIONED_SINCE { Self::Flat } else { Self::Versioned }
    }
}

impl Decode for Message {
    fn read<'a, R: Reader<'a>>(r: &mut R) -> Read<Self> {
        let mut message = Self::default();
        read_message(&mut message, None, r)?;
        Ok(message)
    }

    #[inline]
    fn read_onto<'a, R: Reader<'a>>(messages: &mut Vec<Self>, r: &mut R) -> Read<()> {
        read_message_onto(messages, None, r)
    }
}

/// Reads one more message; `known` came before the list.
#[inline]
pub(crate) fn read_message_onto<'a, R: Reader<'a>>(
    messages: &mut Vec<Message>,
    known: Option<&Message>,
    r: &mut R,
) -> Read<()> {
    // Made where it stays: what is pushed is moved.
    messages.resize_with(messages.len() + 1, Message::default);
    let Some((message, before)) = messages.split_last_mut() else { return Ok(()) };
    read_message(message, before.last().or(known), r)
}

/// Fills an empty message. The name that it has in common with the one before it is shared.
#[inline]
fn read_message<'a, R: Reader<'a>>(
    message: &mut Message,
    before: Option<&Message>,
    r: &mut R,
) -> Read<()> {
    let mut payload = Payload::default();
    let (mut version_serial, mut created_at) = (None, None);
    r.fields(|r, key| {
        match key {
            b"id" => message.id = Some(r.shared()?),
            b"name" => {
                let known = before.and_then(|before| before.name.as_ref());
                message.name = Some(r.shared_if_known(known)?);
            }
            b"data" => payload.read_data(r)?,
            b"encoding" => payload.read_encoding(r)?,
            b"clientId" => message.client_id = Some(ClientId::new(r.text()?)),
            b"connectionId" => message.connection_id = Some(ConnectionId::new(r.text()?)),
            b"connectionKey" => message.connection_key = Some(r.shared()?),
            b"extras" => message.extras = read_extras(r)?,
            b"timestamp" => message.timestamp = Some(Timestamp(r.integer()?)),
            b"serial" => message.serial = Some(r.shared()?),
            b"action" => {
                message.action = MessageAction::from_code(r.integer()?)
                    .ok_or(Problem::Malformed("unknown message action"))?;
            }
            b"version" | b"operation" if r.kind()? == Kind::Map => {
                message.version = Some(Arc::new(Version::read(r)?));
            }
            b"version" if r.kind()? == Kind::Text => version_serial = Some(r.shared()?),
            b"createdAt" if r.kind()? == Kind::Number => {
                created_at = r.number()?.as_u64().map(Timestamp);
            }
            b"annotations" if r.kind()? == Kind::Map => message.summary = read_summary(r)?,
            b"summary" if r.kind()? == Kind::Map => message.summary = read_extras(r)?,
            _ => r.skip()?,
        }
        Ok(())
    })?;
    (message.data, message.encoding) = payload.finish();
    // A new message is its own first version.
    if let Some(serial) = version_serial.filter(|_| message.action.is_change()) {
        Arc::make_mut(message.version.get_or_insert_default()).serial = Some(serial);
    }
    if let Some(created_at) = created_at.filter(|_| message.action != MessageAction::Create) {
        let timestamp = message.timestamp.replace(created_at);
        if let Some(version) = &mut message.version {
            Arc::make_mut(version).timestamp = timestamp;
        }
    }
    Ok(())
}

impl Encode for Message {
    fn write<W: Writer>(&self, w: &mut W) {
        Stamped { message: self, item: None }.write(w);
    }
}

/// A message in the shape of that name.
pub(crate) struct Flat<'a>(pub(crate) &'a Message);

impl<'a> Flat<'a> {
    pub(crate) fn all(messages: &'a [Message]) -> Vec<Self> {
        messages.iter().map(Self).collect()
    }
}

impl Encode for Flat<'_> {
    fn write<W: Writer>(&self, w: &mut W) {
        Stamped { message: self.0, item: None }.write_flat(w);
    }
}

/// A message, and what it is called if it does not say so itself.
pub(crate) struct Stamped<'a> {
    pub(crate) message: &'a Message,
    pub(crate) item: Option<ItemPosition>,
}

impl Stamped<'_> {
    pub(crate) fn write<W: Writer>(&self, w: &mut W) {
        let message = self.message;
        w.map(|f| {
            write_content(f, message);
            f.unsigned("timestamp", message.timestamp.map(|timestamp| timestamp.0));
            self.write_identity(f);
            f.value("version", message.version.as_deref());
            if let Some(summary) = &message.summary {
                f.field("annotations").map(|f| f.object("summary", Some(summary)));
            }
        });
    }

    pub(crate) fn write_flat<W: Writer>(&self, w: &mut W) {
        let message = self.message;
        let is_new = message.action == MessageAction::Create;
        let version = message.version.as_deref();
        let changed_at = version.and_then(|version| version.timestamp).or(message.timestamp);
        // Client libraries fill these in for a new message, except the version (TM2k, TM2o).
        let created_at = message.timestamp.filter(|_| !is_new);
        w.map(|f| {
            write_content(f, message);
            f.unsigned("timestamp", changed_at.map(|timestamp| timestamp.0));
            f.unsigned("createdAt", created_at.map(|timestamp| timestamp.0));
            self.write_identity(f);
            match version.and_then(|version| version.serial.as_deref()) {
                Some(serial) => f.text("version", Some(serial)),
                None if is_new => self.write_serial(f, "version"),
                None => {}
            }
            if let Some(version) = version.filter(|version| is_explained(version)) {
                f.field("operation").map(|f| write_explanation(f, version));
            }
            f.object("summary", message.summary.as_deref());
        });
    }

    /// Which message it is, and what is said of it.
    fn write_identity<W: Writer>(&self, f: &mut Fields<'_, W>) {
        let Message { serial, action, .. } = self.message;
        self.write_serial(f, "serial");
        let told = serial.is_some() || self.item.is_some() || *action != MessageAction::Create;
        f.unsigned("action", told.then(|| action.code()));
    }

    fn write_serial<W: Writer>(&self, f: &mut Fields<'_, W>, key: &'static str) {
        match (&self.message.serial, self.item) {
            (Some(serial), _) => f.text(key, Some(serial)),
            (None, Some(item)) => f.field(key).plain(item.text().as_bytes()),
            (None, None) => {}
        }
    }
}

/// What the publisher says.
fn write_content<W: Writer>(f: &mut Fields<'_, W>, message: &Message) {
    f.text("id", message.id.as_deref());
    f.text("name", message.name.as_deref());
    payload::write(f, &message.data, message.encoding.as_deref());
    f.text("clientId", message.client_id.as_ref().map(ClientId::as_str));
    f.text("connectionId", message.connection_id.as_ref().map(ConnectionId::as_str));
    f.text("connectionKey", message.connection_key.as_deref());
    f.object("extras", message.extras.as_deref());
}

fn is_explained(version: &Version) -> bool {
    version.client_id.is_some() || version.description.is_some() || version.metadata.is_some()
}

/// What whoever made a version says of it.
fn write_explanation<W: Writer>(f: &mut Fields<'_, W>, version: &Version) {
    f.text("clientId", version.client_id.as_ref().map(ClientId::as_str));
    f.text("description", version.description.as_deref());
    f.object("metadata", version.metadata.as_deref());
}

fn read_summary<'a, R: Reader<'a>>(r: &mut R) -> Read<Option<Extras>> {
    let mut summary = None;
    r.fields(|r, key| {
        match key {
            b"summary" if r.kind()? == Kind::Map => summary = Some(Arc::new(r.object()?)),
            _ => r.skip()?,
        }
        Ok(())
    })?;
    Ok(summary)
}

impl Decode for Version {
    fn read<'a, R: Reader<'a>>(r: &mut R) -> Read<Self> {
        let mut version = Self::default();
        r.fields(|r, key| {
            match key {
                b"serial" => version.serial = Some(r.shared()?),
                b"timestamp" => version.timestamp = Some(Timestamp(r.integer()?)),
                b"clientId" => version.client_id = Some(ClientId::new(r.text()?)),
                b"description" => version.description = Some(r.shared()?),
                b"metadata" => version.metadata = read_extras(r)?,
                _ => r.skip()?,
            }
            Ok(())
        })?;
        Ok(version)
    }
}

impl Encode for Version {
    fn write<W: Writer>(&self, w: &mut W) {
        w.map(|f| {
            f.text("serial", self.serial.as_deref());
            f.unsigned("timestamp", self.timestamp.map(|timestamp| timestamp.0));
            write_explanation(f, self);
        });
    }
}

impl Decode for PresenceMessage {
    fn read<'a, R: Reader<'a>>(r: &mut R) -> Read<Self> {
        let mut action = None;
        let mut event = Self::new(PresenceAction::Absent);
        let mut payload = Payload::default();
        r.fields(|r, key| {
            match key {
                b"id" => event.id = Some(r.shared()?),
                b"action" => action = PresenceAction::from_code(r.integer()?),
                b"clientId" => event.client_id = Some(ClientId::new(r.text()?)),
                b"connectionId" => event.connection_id = Some(ConnectionId::new(r.text()?)),
                b"data" => payload.read_data(r)?,
                b"encoding" => payload.read_encoding(r)?,
                b"extras" => event.extras = read_extras(r)?,
                b"timestamp" => event.timestamp = Some(Timestamp(r.integer()?)),
                _ => r.skip()?,
            }
            Ok(())
        })?;
        event.action = action.ok_or(Problem::Malformed("presence action missing or unknown"))?;
        (event.data, event.encoding) = payload.finish();
        Ok(event)
    }
}

impl Encode for PresenceMessage {
    fn write<W: Writer>(&self, w: &mut W) {
        w.map(|f| {
            f.text("id", self.id.as_deref());
            f.unsigned("action", Some(self.action.code()));
            f.text("clientId", self.client_id.as_ref().map(ClientId::as_str));
            f.text("connectionId", self.connection_id.as_ref().map(ConnectionId::as_str));
            payload::write(f, &self.data, self.encoding.as_deref());
            f.object("extras", self.extras.as_deref());
            f.unsigned("timestamp", self.timestamp.map(|timestamp| timestamp.0));
        });
    }
}

impl Decode for ErrorInfo {
    fn read<'a, R: Reader<'a>>(r: &mut R) -> Read<Self> {
        let mut error = Self { code: 0, status: 0, message: Cow::Borrowed("") };
        r.fields(|r, key| {
            match key {
                b"code" => error.code = r.integer()?,
                b"statusCode" => error.status = r.integer()?,
                b"message" => error.message = r.text()?.into_owned().into(),
                _ => r.skip()?,
            }
            Ok(())
        })?;
        Ok(error)
    }
}

impl Encode for ErrorInfo {
    fn write<W: Writer>(&self, w: &mut W) {
        w.map(|f| {
            f.unsigned("code", Some(self.code));
            f.unsigned("statusCode", Some(self.status));
            f.text("message", Some(&self.message));
        });
    }
}
