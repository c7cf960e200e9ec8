//! The fields of messages and presence events (TM2, TP3), and of errors (TI1).

use std::borrow::Cow;
use std::sync::Arc;

use types::{
    ClientId, ConnectionId, ErrorInfo, Extras, Message, MessageAction, PresenceAction,
    PresenceMessage, Timestamp, Version,
};

use crate::payload::{self, Payload, read_extras};
use crate::read::{Decode, Kind, Problem, Read, Reader};
use crate::write::{Encode, Writer};

impl Decode for Message {
    fn read<'a, R: Reader<'a>>(r: &mut R) -> Read<Self> {
        let mut message = Self::default();
        let mut payload = Payload::default();
        r.fields(|r, key| {
            match key {
                "id" => message.id = Some(r.shared()?),
                "name" => message.name = Some(r.shared()?),
                "data" => payload.read_data(r)?,
                "encoding" => payload.read_encoding(r)?,
                "clientId" => message.client_id = Some(ClientId::new(r.text()?)),
                "connectionId" => message.connection_id = Some(ConnectionId::new(r.text()?)),
                "connectionKey" => message.connection_key = Some(r.shared()?),
                "extras" => message.extras = read_extras(r)?,
                "timestamp" => message.timestamp = Some(Timestamp(r.integer()?)),
                "serial" => message.serial = Some(r.shared()?),
                "action" => {
                    message.action = MessageAction::from_code(r.integer()?)
                        .ok_or(Problem::Malformed("unknown message action"))?;
                }
                // What versions before 4 call `operation`; their `version` is a text.
                "version" | "operation" if r.kind()? == Kind::Map => {
                    message.version = Some(Arc::new(Version::read(r)?));
                }
                "annotations" if r.kind()? == Kind::Map => message.summary = read_summary(r)?,
                _ => r.skip()?,
            }
            Ok(())
        })?;
        (message.data, message.encoding) = payload.finish();
        Ok(message)
    }
}

impl Encode for Message {
    fn write<W: Writer>(&self, w: &mut W) {
        w.map(|f| {
            f.text("id", self.id.as_deref());
            f.text("name", self.name.as_deref());
            payload::write(f, &self.data, self.encoding.as_deref());
            f.text("clientId", self.client_id.as_ref().map(ClientId::as_str));
            f.text("connectionId", self.connection_id.as_ref().map(ConnectionId::as_str));
            f.text("connectionKey", self.connection_key.as_deref());
            f.object("extras", self.extras.as_deref());
            f.unsigned("timestamp", self.timestamp.map(|timestamp| timestamp.0));
            f.text("serial", self.serial.as_deref());
            let told = self.serial.is_some() || self.action != MessageAction::Create;
            f.unsigned("action", told.then(|| self.action.code()));
            f.value("version", self.version.as_deref());
            if let Some(summary) = &self.summary {
                f.field("annotations").map(|f| f.object("summary", Some(summary)));
            }
        });
    }
}

fn read_summary<'a, R: Reader<'a>>(r: &mut R) -> Read<Option<Extras>> {
    let mut summary = None;
    r.fields(|r, key| {
        match key {
            "summary" if r.kind()? == Kind::Map => summary = Some(Arc::new(r.object()?)),
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
                "serial" => version.serial = Some(r.shared()?),
                "timestamp" => version.timestamp = Some(Timestamp(r.integer()?)),
                "clientId" => version.client_id = Some(ClientId::new(r.text()?)),
                "description" => version.description = Some(r.shared()?),
                "metadata" => version.metadata = read_extras(r)?,
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
            f.text("clientId", self.client_id.as_ref().map(ClientId::as_str));
            f.text("description", self.description.as_deref());
            f.object("metadata", self.metadata.as_deref());
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
                "id" => event.id = Some(r.shared()?),
                "action" => action = PresenceAction::from_code(r.integer()?),
                "clientId" => event.client_id = Some(ClientId::new(r.text()?)),
                "connectionId" => event.connection_id = Some(ConnectionId::new(r.text()?)),
                "data" => payload.read_data(r)?,
                "encoding" => payload.read_encoding(r)?,
                "extras" => event.extras = read_extras(r)?,
                "timestamp" => event.timestamp = Some(Timestamp(r.integer()?)),
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
                "code" => error.code = r.integer()?,
                "statusCode" => error.status = r.integer()?,
                "message" => error.message = r.text()?.into_owned().into(),
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
