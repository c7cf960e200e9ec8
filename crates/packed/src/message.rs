//! A message in an entry: a word with its action and a bit for each field that it has, then these fields.

use std::sync::Arc;

use bytes::Bytes;
use types::{ClientId, ConnectionId, Data, Message, MessageAction, Timestamp, Version};

use crate::codec::{Decoder, Unreadable, put_bytes, put_option, put_text, put_varint};
use crate::extras;

const ID: u16 = 1;
const NAME: u16 = 1 << 1;
const TEXT: u16 = 1 << 2;
const BINARY: u16 = 1 << 3;
const ENCODING: u16 = 1 << 4;
const CLIENT_ID: u16 = 1 << 5;
const CONNECTION_ID: u16 = 1 << 6;
const CONNECTION_KEY: u16 = 1 << 7;
const EXTRAS: u16 = 1 << 8;
const TIMESTAMP: u16 = 1 << 9;
const SERIAL: u16 = 1 << 10;
const VERSION: u16 = 1 << 11;
/// Where the bits of the action begin, which are the rest.
const ACTION: u32 = 12;

pub(crate) fn put(to: &mut Vec<u8>, message: &Message) {
    let start = to.len();
    let mut word = u16::from(message.action.code()) << ACTION;
    to.extend_from_slice(&word.to_le_bytes());
    let fields = &mut Fields { to, word: &mut word };
    fields.text(ID, message.id.as_deref());
    fields.text(NAME, message.name.as_deref());
    match &message.data {
        Data::None => {}
        Data::Text(text) => fields.text(TEXT, Some(text)),
        Data::Binary(bytes) => fields.put(BINARY, Some(bytes), |to, bytes| put_bytes(to, bytes)),
    }
    fields.text(ENCODING, message.encoding.as_deref());
    fields.text(CLIENT_ID, message.client_id.as_ref().map(ClientId::as_str));
    fields.text(CONNECTION_ID, message.connection_id.as_ref().map(ConnectionId::as_str));
    fields.text(CONNECTION_KEY, message.connection_key.as_deref());
    fields.put(EXTRAS, message.extras.as_ref(), extras::put);
    fields.put(TIMESTAMP, message.timestamp.map(|at| at.0), put_varint);
    fields.text(SERIAL, message.serial.as_deref());
    fields.put(VERSION, message.version.as_deref(), put_version);
    if let Some(place) = to.get_mut(start..).and_then(|message| message.first_chunk_mut()) {
        *place = word.to_le_bytes();
    }
}

pub(crate) fn take(from: &mut Decoder<'_>) -> Result<Message, Unreadable> {
    let word = u16::from_le_bytes(from.array()?);
    let fields = &mut Found { from, word };
    Ok(Message {
        id: fields.take(ID, Decoder::text)?,
        name: fields.take(NAME, Decoder::text)?,
        data: fields.take_data()?,
        encoding: fields.take(ENCODING, Decoder::text)?,
        client_id: fields.take(CLIENT_ID, Decoder::text)?.map(ClientId::new),
        connection_id: fields.take(CONNECTION_ID, Decoder::text)?.map(ConnectionId::new),
        connection_key: fields.take(CONNECTION_KEY, Decoder::text)?,
        extras: fields.take(EXTRAS, extras::take)?,
        timestamp: fields.take(TIMESTAMP, Decoder::varint)?.map(Timestamp),
        serial: fields.take(SERIAL, Decoder::text)?,
        version: fields.take(VERSION, take_version)?.map(Arc::new),
        action: fields.action()?,
        summary: None,
    })
}

/// The fields of a message, as they are written.
struct Fields<'a> {
    to: &'a mut Vec<u8>,
    word: &'a mut u16,
}

impl Fields<'_> {
    fn put<T>(&mut self, field: u16, value: Option<T>, put: impl FnOnce(&mut Vec<u8>, T)) {
        if let Some(value) = value {
            *self.word |= field;
            put(self.to, value);
        }
    }

    fn text(&mut self, field: u16, text: Option<&str>) {
        self.put(field, text, put_text);
    }
}

/// The fields of a message, as they are read.
struct Found<'a, 'b> {
    from: &'a mut Decoder<'b>,
    word: u16,
}

impl<'b> Found<'_, 'b> {
    fn take<T>(
        &mut self,
        field: u16,
        take: impl FnOnce(&mut Decoder<'b>) -> Result<T, Unreadable>,
    ) -> Result<Option<T>, Unreadable> {
        if self.word & field == 0 { Ok(None) } else { take(self.from).map(Some) }
    }

    fn take_data(&mut self) -> Result<Data, Unreadable> {
        match (self.take(TEXT, Decoder::text)?, self.take(BINARY, Decoder::bytes)?) {
            (None, None) => Ok(Data::None),
            (Some(text), None) => Ok(Data::Text(text)),
            (None, Some(bytes)) => Ok(Data::Binary(Bytes::copy_from_slice(bytes))),
            (Some(_), Some(_)) => Err(self.from.damaged()),
        }
    }

    fn action(&self) -> Result<MessageAction, Unreadable> {
        let code = u8::try_from(self.word >> ACTION).ok();
        code.and_then(MessageAction::from_code).ok_or_else(|| self.from.damaged())
    }
}

pub(crate) fn put_version(to: &mut Vec<u8>, version: &Version) {
    put_option(to, version.serial.as_deref(), put_text);
    put_option(to, version.timestamp.map(|at| at.0), put_varint);
    put_option(to, version.client_id.as_ref().map(ClientId::as_str), put_text);
    put_option(to, version.description.as_deref(), put_text);
    put_option(to, version.metadata.as_ref(), extras::put);
}

pub(crate) fn take_version(from: &mut Decoder<'_>) -> Result<Version, Unreadable> {
    Ok(Version {
        serial: from.option(Decoder::text)?,
        timestamp: from.option(Decoder::varint)?.map(Timestamp),
        client_id: from.option(Decoder::text)?.map(ClientId::new),
        description: from.option(Decoder::text)?,
        metadata: from.option(extras::take)?,
    })
}
