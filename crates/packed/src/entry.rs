//! An entry, without its serial, which whoever keeps it knows.

use std::sync::Arc;

use bytes::Bytes;
use types::{
    Annotation, AnnotationAction, Body, ClientId, ConnectionId, Data, Entry, EntryId, Message,
    MessageAction, PresenceAction, PresenceMessage, Serial, Timestamp, Version,
};

use crate::codec::{Decoder, Unreadable, put_bytes, put_option, put_text, put_varint};
use crate::{extras, object};

const VERSION: u8 = 1;
const WHAT: &str = "a stored entry";

const CONNECTION_ID: u8 = 0;
const NAMED_ID: u8 = 1;

const MESSAGES: u8 = 0;
const PRESENCE: u8 = 1;
const ANNOTATIONS: u8 = 2;
const OBJECTS: u8 = 3;

const NO_DATA: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;

/// Adds the entry to `to`.
pub fn encode(entry: &Entry, to: &mut Vec<u8>) {
    to.push(VERSION);
    put_varint(to, entry.position);
    put_varint(to, entry.timestamp.0);
    match &entry.id {
        EntryId::Connection { connection_id, msg_serial } => {
            to.push(CONNECTION_ID);
            put_text(to, connection_id.as_str());
            to.extend_from_slice(&msg_serial.to_be_bytes());
        }
        EntryId::Named(id) => {
            to.push(NAMED_ID);
            put_text(to, id);
        }
    }
    put_option(to, entry.connection_id.as_ref().map(ConnectionId::as_str), put_text);
    let (kind, count) = match &entry.body {
        Body::Messages(messages) => (MESSAGES, messages.len()),
        Body::Annotations(annotations) => (ANNOTATIONS, annotations.len()),
        Body::Presence(presence) => (PRESENCE, presence.len()),
        Body::Objects(objects) => (OBJECTS, objects.len()),
    };
    to.push(kind);
    put_varint(to, count as u64);
    match &entry.body {
        Body::Messages(messages) => messages.iter().for_each(|item| put_message(to, item)),
        Body::Annotations(items) => items.iter().for_each(|item| put_annotation(to, item)),
        Body::Presence(presence) => presence.iter().for_each(|item| put_presence(to, item)),
        Body::Objects(objects) => objects.iter().for_each(|item| object::put(to, item)),
    }
}

pub fn decode(serial: Serial, bytes: &[u8]) -> Result<Entry, Unreadable> {
    let mut from = Decoder::new(bytes, WHAT);
    let Head { position, timestamp } = take_head(&mut from)?;
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
    let count = from.length()?;
    let body = match kind {
        MESSAGES => {
            Body::Messages((0..count).map(|_| take_message(&mut from)).collect::<Result<_, _>>()?)
        }
        ANNOTATIONS => {
            let items = (0..count).map(|_| take_annotation(&mut from));
            Body::Annotations(items.collect::<Result<_, _>>()?)
        }
        PRESENCE => {
            Body::Presence((0..count).map(|_| take_presence(&mut from)).collect::<Result<_, _>>()?)
        }
        OBJECTS => {
            Body::Objects((0..count).map(|_| object::take(&mut from)).collect::<Result<_, _>>()?)
        }
        _ => return Err(from.damaged()),
    };
    from.finish()?;
    Ok(Entry { id, serial, position, timestamp, connection_id, body })
}

/// What can be told of an entry without decoding all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub position: u64,
    pub timestamp: Timestamp,
}

pub fn head(bytes: &[u8]) -> Result<Head, Unreadable> {
    take_head(&mut Decoder::new(bytes, WHAT))
}

fn take_head(from: &mut Decoder<'_>) -> Result<Head, Unreadable> {
    match from.byte()? {
        VERSION => Ok(Head { position: from.varint()?, timestamp: Timestamp(from.varint()?) }),
        other => Err(Unreadable::UnknownFormat { what: WHAT, found: other.into() }),
    }
}

fn put_message(to: &mut Vec<u8>, message: &Message) {
    put_option(to, message.id.as_deref(), put_text);
    put_option(to, message.name.as_deref(), put_text);
    put_data(to, &message.data);
    put_option(to, message.encoding.as_deref(), put_text);
    put_option(to, message.client_id.as_ref().map(ClientId::as_str), put_text);
    put_option(to, message.connection_id.as_ref().map(ConnectionId::as_str), put_text);
    put_option(to, message.connection_key.as_deref(), put_text);
    extras::put(to, message.extras.as_ref());
    put_option(to, message.timestamp.map(|at| at.0), put_varint);
    put_option(to, message.serial.as_deref(), put_text);
    to.push(message.action.code());
    put_option(to, message.version.as_deref(), put_version);
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

fn put_version(to: &mut Vec<u8>, version: &Version) {
    put_option(to, version.serial.as_deref(), put_text);
    put_option(to, version.timestamp.map(|at| at.0), put_varint);
    put_option(to, version.client_id.as_ref().map(ClientId::as_str), put_text);
    put_option(to, version.description.as_deref(), put_text);
    extras::put(to, version.metadata.as_ref());
}

fn take_version(from: &mut Decoder<'_>) -> Result<Version, Unreadable> {
    Ok(Version {
        serial: from.option(Decoder::text)?,
        timestamp: from.option(Decoder::varint)?.map(Timestamp),
        client_id: from.option(Decoder::text)?.map(ClientId::new),
        description: from.option(Decoder::text)?,
        metadata: from.option(extras::take)?,
    })
}

fn put_presence(to: &mut Vec<u8>, event: &PresenceMessage) {
    put_option(to, event.id.as_deref(), put_text);
    to.push(event.action.code());
    put_option(to, event.client_id.as_ref().map(ClientId::as_str), put_text);
    put_option(to, event.connection_id.as_ref().map(ConnectionId::as_str), put_text);
    put_data(to, &event.data);
    put_option(to, event.encoding.as_deref(), put_text);
    extras::put(to, event.extras.as_ref());
    put_option(to, event.timestamp.map(|at| at.0), put_varint);
}

fn take_presence(from: &mut Decoder<'_>) -> Result<PresenceMessage, Unreadable> {
    Ok(PresenceMessage {
        id: from.option(Decoder::text)?,
        action: PresenceAction::from_code(from.byte()?).ok_or_else(|| from.damaged())?,
        client_id: from.option(Decoder::text)?.map(ClientId::new),
        connection_id: from.option(Decoder::text)?.map(ConnectionId::new),
        data: take_data(from)?,
        encoding: from.option(Decoder::text)?,
        extras: from.option(extras::take)?,
        timestamp: from.option(Decoder::varint)?.map(Timestamp),
    })
}

fn put_annotation(to: &mut Vec<u8>, annotation: &Annotation) {
    put_option(to, annotation.id.as_deref(), put_text);
    to.push(annotation.action.code());
    put_text(to, &annotation.kind);
    put_option(to, annotation.name.as_deref(), put_text);
    put_option(to, annotation.count.map(u64::from), put_varint);
    put_option(to, annotation.client_id.as_ref().map(ClientId::as_str), put_text);
    put_data(to, &annotation.data);
    put_option(to, annotation.encoding.as_deref(), put_text);
    extras::put(to, annotation.extras.as_ref());
    put_option(to, annotation.message_serial.as_deref(), put_text);
}

fn take_annotation(from: &mut Decoder<'_>) -> Result<Annotation, Unreadable> {
    let id = from.option(Decoder::text)?;
    let action = AnnotationAction::from_code(from.byte()?).ok_or_else(|| from.damaged())?;
    let kind = from.text()?;
    let name = from.option(Decoder::text)?;
    let count = from.option(Decoder::varint)?.map(u32::try_from).transpose();
    Ok(Annotation {
        id,
        name,
        count: count.map_err(|_too_large| from.damaged())?,
        client_id: from.option(Decoder::text)?.map(ClientId::new),
        data: take_data(from)?,
        encoding: from.option(Decoder::text)?,
        extras: from.option(extras::take)?,
        message_serial: from.option(Decoder::text)?,
        ..Annotation::new(action, kind)
    })
}

fn put_data(to: &mut Vec<u8>, data: &Data) {
    match data {
        Data::None => to.push(NO_DATA),
        Data::Text(text) => {
            to.push(TEXT);
            put_text(to, text);
        }
        Data::Binary(bytes) => {
            to.push(BINARY);
            put_bytes(to, bytes);
        }
    }
}

fn take_data(from: &mut Decoder<'_>) -> Result<Data, Unreadable> {
    match from.byte()? {
        NO_DATA => Ok(Data::None),
        TEXT => from.text().map(Data::Text),
        BINARY => from.bytes().map(|bytes| Data::Binary(Bytes::copy_from_slice(bytes))),
        _ => Err(from.damaged()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;
    use types::{
        Extras, Finite, ObjectAction, ObjectData, ObjectId, ObjectMessage, ObjectOperation,
        SeriesId,
    };

    use super::*;

    fn serial() -> Serial {
        Serial { ms: 1_700_000_000_000, counter: 3, series: series() }
    }

    fn series() -> SeriesId {
        SeriesId::from_bytes(b"dunAbCdEfGhI").unwrap()
    }

    fn text() -> impl Strategy<Value = Arc<str>> {
        ".{0,12}".prop_map(Arc::from)
    }

    fn data() -> impl Strategy<Value = Data> {
        prop_oneof![
            Just(Data::None),
            text().prop_map(Data::Text),
            prop::collection::vec(any::<u8>(), 0..300).prop_map(|b| Data::Binary(b.into())),
        ]
    }

    fn extras() -> impl Strategy<Value = Option<Extras>> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            prop::num::f64::NORMAL.prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        let value = leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".{0,5}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        });
        let map = prop::collection::btree_map(".{0,5}", value, 0..4);
        prop::option::of(map.prop_map(|map| Arc::new(map.into_iter().collect())))
    }

    prop_compose! {
        fn version()(
            serial in prop::option::of(text()),
            timestamp in prop::option::of(any::<u64>().prop_map(Timestamp)),
            client_id in prop::option::of(text().prop_map(ClientId::new)),
            description in prop::option::of(text()),
            metadata in extras(),
        ) -> Arc<Version> {
            Arc::new(Version { serial, timestamp, client_id, description, metadata })
        }
    }

    prop_compose! {
        fn message()(
            (id, name, encoding, serial) in prop::array::uniform4(prop::option::of(text()))
                .prop_map(|[a, b, c, d]| (a, b, c, d)),
            data in data(),
            client_id in prop::option::of(text().prop_map(ClientId::new)),
            connection_id in prop::option::of(text().prop_map(ConnectionId::new)),
            connection_key in prop::option::of(text()),
            extras in extras(),
            timestamp in prop::option::of(any::<u64>().prop_map(Timestamp)),
            action in (0_u8..6).prop_map(|code| MessageAction::from_code(code).unwrap()),
            version in prop::option::of(version()),
        ) -> Message {
            Message {
                id, name, data, encoding, client_id, connection_id, connection_key, extras,
                timestamp, serial, action, version, summary: None,
            }
        }
    }

    prop_compose! {
        fn annotation()(
            (id, name, encoding, message_serial) in prop::array::uniform4(prop::option::of(text()))
                .prop_map(|[a, b, c, d]| (a, b, c, d)),
            action in (0_u8..2).prop_map(|code| AnnotationAction::from_code(code).unwrap()),
            kind in text(),
            count in prop::option::of(any::<u32>()),
            client_id in prop::option::of(text().prop_map(ClientId::new)),
            data in data(),
            extras in extras(),
        ) -> Annotation {
            Annotation {
                id, name, count, client_id, data, encoding, extras, message_serial,
                ..Annotation::new(action, kind)
            }
        }
    }

    prop_compose! {
        fn presence()(
            id in prop::option::of(text()),
            action in (0_u8..5).prop_map(|code| PresenceAction::from_code(code).unwrap()),
            client_id in prop::option::of(text().prop_map(ClientId::new)),
            connection_id in prop::option::of(text().prop_map(ConnectionId::new)),
            data in data(),
            encoding in prop::option::of(text()),
            extras in extras(),
            timestamp in prop::option::of(any::<u64>().prop_map(Timestamp)),
        ) -> PresenceMessage {
            PresenceMessage {
                id, action, client_id, connection_id, data, encoding, extras, timestamp,
            }
        }
    }

    fn object_data() -> impl Strategy<Value = ObjectData> {
        prop_oneof![
            object_id().prop_map(ObjectData::Object),
            any::<bool>().prop_map(ObjectData::Boolean),
            prop::collection::vec(any::<u8>(), 0..9).prop_map(|b| ObjectData::Bytes(b.into())),
            number().prop_map(ObjectData::Number),
            text().prop_map(ObjectData::Text),
            text().prop_map(ObjectData::Json),
        ]
    }

    fn object_id() -> impl Strategy<Value = ObjectId> {
        "root|(map|counter):[a-z]{1,5}@[0-9]{1,9}".prop_map(|id| ObjectId::parse(&id).unwrap())
    }

    fn number() -> impl Strategy<Value = Finite> {
        prop::num::f64::NORMAL.prop_map(|number| Finite::new(number).unwrap())
    }

    fn object() -> impl Strategy<Value = ObjectMessage> {
        let action = prop_oneof![
            prop::collection::vec((text(), object_data()), 0..3).prop_map(ObjectAction::MapCreate),
            (text(), object_data()).prop_map(|(key, value)| ObjectAction::MapSet { key, value }),
            text().prop_map(|key| ObjectAction::MapRemove { key }),
            number().prop_map(ObjectAction::CounterCreate),
            number().prop_map(ObjectAction::CounterInc),
            Just(ObjectAction::Delete),
            Just(ObjectAction::MapClear),
        ];
        let client_id = prop::option::of(text().prop_map(ClientId::new));
        (prop::option::of(text()), client_id, extras(), object_id(), action).prop_map(
            |(id, client_id, extras, object_id, action)| {
                let operation = ObjectOperation { object_id, action };
                ObjectMessage { id, client_id, extras, operation }
            },
        )
    }

    prop_compose! {
        fn entry()(
            id in prop_oneof![
                text().prop_map(EntryId::Named),
                (text(), any::<i64>()).prop_map(|(id, msg_serial)| EntryId::Connection {
                    connection_id: ConnectionId::new(id),
                    msg_serial,
                }),
            ],
            position in any::<u64>(),
            timestamp in any::<u64>().prop_map(Timestamp),
            connection_id in prop::option::of(text().prop_map(ConnectionId::new)),
            body in prop_oneof![
                prop::collection::vec(message(), 0..3).prop_map(Body::Messages),
                prop::collection::vec(annotation(), 0..3).prop_map(Body::Annotations),
                prop::collection::vec(presence(), 0..3).prop_map(Body::Presence),
                prop::collection::vec(object(), 0..3).prop_map(Body::Objects),
            ],
        ) -> Entry {
            Entry { id, serial: serial(), position, timestamp, connection_id, body }
        }
    }

    fn bytes_of(entry: &Entry) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(entry, &mut bytes);
        bytes
    }

    fn small() -> Entry {
        let message = Message {
            name: Some("greeting".into()),
            data: Data::Binary(Bytes::from_static(&[0, 255])),
            ..Message::default()
        };
        Entry {
            id: EntryId::Named("a".into()),
            serial: serial(),
            position: 300,
            timestamp: Timestamp(7),
            connection_id: None,
            body: Body::Messages(vec![message]),
        }
    }

    #[test]
    fn the_format_of_version_1_stays_as_it_is() {
        let bytes =
            b"\x01\xac\x02\x07\x01\x01a\0\0\x01\0\x01\x08greeting\x02\x02\0\xff\0\0\0\0\0\0\0\0\0";
        assert_eq!(bytes_of(&small()), bytes);
        assert_eq!(decode(serial(), bytes).unwrap(), small());
    }

    #[test]
    fn an_unknown_version_is_an_error_that_names_it() {
        let mut bytes = bytes_of(&small());
        bytes[0] = 9;
        let error = decode(serial(), &bytes).unwrap_err();
        assert!(matches!(error, Unreadable::UnknownFormat { found: 9, .. }), "{error}");
    }

    #[test]
    fn bytes_behind_the_entry_are_damage() {
        let mut bytes = bytes_of(&small());
        bytes.push(0);
        assert!(matches!(decode(serial(), &bytes), Err(Unreadable::Damaged(_))));
    }

    proptest! {
        #[test]
        fn every_entry_round_trips(entry in entry()) {
            let bytes = bytes_of(&entry);
            let Entry { position, timestamp, .. } = entry;
            prop_assert_eq!(head(&bytes).unwrap(), Head { position, timestamp });
            prop_assert_eq!(decode(serial(), &bytes).unwrap(), entry);
        }

        #[test]
        fn a_cut_entry_is_refused(entry in entry(), cut in any::<prop::sample::Index>()) {
            let bytes = bytes_of(&entry);
            prop_assert!(decode(serial(), &bytes[..cut.index(bytes.len())]).is_err());
        }

        #[test]
        fn any_bytes_decode_or_are_refused(mut bytes in prop::collection::vec(any::<u8>(), 1..200)) {
            bytes[0] = VERSION;
            let _outcome = decode(serial(), &bytes);
        }
    }
}
