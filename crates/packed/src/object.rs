//! Operations on objects, within the format of entries.

use std::sync::Arc;

use bytes::Bytes;
use types::{ClientId, Finite, ObjectAction, ObjectData, ObjectId, ObjectMessage, ObjectOperation};

use crate::codec::{Decoder, Unreadable, put_bytes, put_option, put_text, put_varint};
use crate::extras;

const OBJECT: u8 = 0;
const BOOLEAN: u8 = 1;
const BYTES: u8 = 2;
const NUMBER: u8 = 3;
const TEXT: u8 = 4;
const JSON: u8 = 5;

const MAP_CREATE: u8 = 0;
const MAP_SET: u8 = 1;
const MAP_REMOVE: u8 = 2;
const COUNTER_CREATE: u8 = 3;
const COUNTER_INC: u8 = 4;
const DELETE: u8 = 5;
const MAP_CLEAR: u8 = 6;

pub(crate) fn put(to: &mut Vec<u8>, message: &ObjectMessage) {
    put_option(to, message.id.as_deref(), put_text);
    put_option(to, message.client_id.as_ref().map(ClientId::as_str), put_text);
    put_option(to, message.extras.as_ref(), extras::put);
    put_text(to, message.operation.object_id.as_str());
    put_action(to, &message.operation.action);
}

pub(crate) fn take(from: &mut Decoder<'_>) -> Result<ObjectMessage, Unreadable> {
    Ok(ObjectMessage {
        id: from.option(Decoder::text)?,
        client_id: from.option(Decoder::text)?.map(ClientId::new),
        extras: from.option(extras::take)?,
        operation: ObjectOperation { object_id: take_id(from)?, action: take_action(from)? },
    })
}

pub(crate) fn put_action(to: &mut Vec<u8>, action: &ObjectAction) {
    match action {
        ObjectAction::MapCreate(entries) => {
            to.push(MAP_CREATE);
            put_varint(to, entries.len() as u64);
            for (key, data) in entries {
                put_text(to, key);
                put_data(to, data);
            }
        }
        ObjectAction::MapSet { key, value } => {
            to.push(MAP_SET);
            put_text(to, key);
            put_data(to, value);
        }
        ObjectAction::MapRemove { key } => {
            to.push(MAP_REMOVE);
            put_text(to, key);
        }
        ObjectAction::CounterCreate(count) => {
            to.push(COUNTER_CREATE);
            put_number(to, *count);
        }
        ObjectAction::CounterInc(number) => {
            to.push(COUNTER_INC);
            put_number(to, *number);
        }
        ObjectAction::Delete => to.push(DELETE),
        ObjectAction::MapClear => to.push(MAP_CLEAR),
    }
}

pub(crate) fn take_action(from: &mut Decoder<'_>) -> Result<ObjectAction, Unreadable> {
    Ok(match from.byte()? {
        MAP_CREATE => {
            let count = from.length()?;
            let entries = (0..count).map(|_| Ok((from.text()?, take_data(from)?)));
            ObjectAction::MapCreate(entries.collect::<Result<_, Unreadable>>()?)
        }
        MAP_SET => ObjectAction::MapSet { key: from.text()?, value: take_data(from)? },
        MAP_REMOVE => ObjectAction::MapRemove { key: from.text()? },
        COUNTER_CREATE => ObjectAction::CounterCreate(take_number(from)?),
        COUNTER_INC => ObjectAction::CounterInc(take_number(from)?),
        DELETE => ObjectAction::Delete,
        MAP_CLEAR => ObjectAction::MapClear,
        _ => return Err(from.damaged()),
    })
}

pub(crate) fn put_data(to: &mut Vec<u8>, data: &ObjectData) {
    match data {
        ObjectData::Object(id) => {
            to.push(OBJECT);
            put_text(to, id.as_str());
        }
        ObjectData::Boolean(value) => to.extend([BOOLEAN, u8::from(*value)]),
        ObjectData::Bytes(bytes) => {
            to.push(BYTES);
            put_bytes(to, bytes);
        }
        ObjectData::Number(number) => {
            to.push(NUMBER);
            put_number(to, *number);
        }
        ObjectData::Text(text) => {
            to.push(TEXT);
            put_text(to, text);
        }
        ObjectData::Json(json) => {
            to.push(JSON);
            put_text(to, json);
        }
    }
}

pub(crate) fn take_data(from: &mut Decoder<'_>) -> Result<ObjectData, Unreadable> {
    Ok(match from.byte()? {
        OBJECT => ObjectData::Object(take_id(from)?),
        BOOLEAN => ObjectData::Boolean(match from.byte()? {
            0 => false,
            1 => true,
            _ => return Err(from.damaged()),
        }),
        BYTES => ObjectData::Bytes(Bytes::copy_from_slice(from.bytes()?)),
        NUMBER => ObjectData::Number(take_number(from)?),
        TEXT => ObjectData::Text(from.text()?),
        JSON => ObjectData::Json(from.text()?),
        _ => return Err(from.damaged()),
    })
}

pub(crate) fn take_id(from: &mut Decoder<'_>) -> Result<ObjectId, Unreadable> {
    let text: Arc<str> = from.text()?;
    ObjectId::parse(&text).ok_or_else(|| from.damaged())
}

pub(crate) fn put_number(to: &mut Vec<u8>, number: Finite) {
    to.extend_from_slice(&number.get().to_be_bytes());
}

pub(crate) fn take_number(from: &mut Decoder<'_>) -> Result<Finite, Unreadable> {
    Finite::new(f64::from_be_bytes(from.array()?)).ok_or_else(|| from.damaged())
}
