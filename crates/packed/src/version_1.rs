//! Entries as earlier servers wrote them, which are read only: every optional field has a byte that says
//! whether it is there, and nothing is left out that follows from something else.

use std::sync::Arc;

use types::{ClientId, ConnectionId, Entry, EntryId, Message, MessageAction, Serial, Timestamp};

use crate::codec::{Decoder, Unreadable};
use crate::entry::{take_body, take_data};
use crate::extras;
use crate::message::take_version;

pub(crate) const VERSION: u8 = 1;

const CONNECTION_ID: u8 = 0;
const NAMED_ID: u8 = 1;

/// What follows the version.
pub(crate) fn take(serial: Serial, from: &mut Decoder<'_>) -> Result<Entry, Unreadable> {
    let position = from.varint()?;
    let timestamp = Timestamp(from.varint()?);
    let id = match from.byte()? {
        CONNECTION_ID => EntryId::Connection {
            connection_id: ConnectionId::new(from.text()?),
            msg_serial: i64::from_be_bytes(from.array()?),
        },
        NAMED_ID => EntryId::Named(from.text()?),
        _ => return Err(from.damaged()),
    };
    let connection_id = from.option(Decoder::text)?.map(ConnectionId::new);
    let kind = from.byte()?;
    let body = take_body(from, kind, take_message)?;
    Ok(Entry { id, serial, position, timestamp, connection_id, body })
}

fn take_message(from: &mut Decoder<'_>) -> Result<Message, Unreadable> {
    Ok(Message {
        id: from.option(Decoder::text)?,
        name: from.option(Decoder::text)?,
        data: take_data(from)?,
        encoding: from.option(Decoder::text)?,
        client_id: from.option(Decoder::text)?.map(ClientId::new),
        connection_id: from.option(Decoder::text)?.map(ConnectionId::new),
        connection_key: from.option(Decoder::text)?,
        extras: from.option(extras::take)?,
        timestamp: from.option(Decoder::varint)?.map(Timestamp),
        serial: from.option(Decoder::text)?,
        action: MessageAction::from_code(from.byte()?).ok_or_else(|| from.damaged())?,
        version: from.option(take_version)?.map(Arc::new),
        summary: None,
    })
}
