//! An entry, without its serial, which whoever keeps it knows. What follows from the serial or the id is
//! left out.

use bytes::Bytes;
use types::{
    Annotation, AnnotationAction, Body, ClientId, ConnectionId, Data, Entry, EntryId, Message,
    PresenceAction, PresenceMessage, Serial, Timestamp,
};

use crate::codec::{Decoder, Unreadable, put_bytes, put_option, put_text, put_varint};
use crate::{extras, message, object, version_1};

const VERSION: u8 = 2;
const WHAT: &str = "a stored entry";

/// The bits of the kind.
const KIND: u8 = 0b11;
const MESSAGES: u8 = 0;
const PRESENCE: u8 = 1;
const ANNOTATIONS: u8 = 2;
const OBJECTS: u8 = 3;

const NAMED_ID: u8 = 1 << 2;
/// The connection is the one in the id.
const CONNECTION_OF_ID: u8 = 1 << 3;
const OTHER_CONNECTION: u8 = 1 << 4;
/// The time is not that of the serial.
const OTHER_TIMESTAMP: u8 = 1 << 5;
const ALL: u8 = KIND | NAMED_ID | CONNECTION_OF_ID | OTHER_CONNECTION | OTHER_TIMESTAMP;

const NO_DATA: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;

/// Adds the entry to `to`.
pub fn encode(entry: &Entry, to: &mut Vec<u8>) {
    to.push(VERSION);
    put_varint(to, entry.position);
    put_envelope(to, entry);
    put_varint(to, entry.body.len() as u64);
    match &entry.body {
        Body::Messages(messages) => messages.iter().for_each(|item| message::put(to, item)),
        Body::Annotations(items) => items.iter().for_each(|item| put_annotation(to, item)),
        Body::Presence(presence) => presence.iter().for_each(|item| put_presence(to, item)),
        Body::Objects(objects) => objects.iter().for_each(|item| object::put(to, item)),
    }
}

/// The kind of the entry and what follows, then just that.
fn put_envelope(to: &mut Vec<u8>, entry: &Entry) {
    let place = to.len();
    let mut said = match &entry.body {
        Body::Messages(_) => MESSAGES,
        Body::Annotations(_) => ANNOTATIONS,
        Body::Presence(_) => PRESENCE,
        Body::Objects(_) => OBJECTS,
    };
    to.push(said);
    match &entry.id {
        EntryId::Connection { connection_id, msg_serial } => {
            put_text(to, connection_id.as_str());
            put_varint(to, msg_serial.cast_unsigned());
        }
        EntryId::Named(id) => {
            said |= NAMED_ID;
            put_text(to, id);
        }
    }
    match (&entry.connection_id, &entry.id) {
        (None, _) => {}
        (Some(own), EntryId::Connection { connection_id, .. }) if own == connection_id => {
            said |= CONNECTION_OF_ID;
        }
        (Some(own), _) => {
            said |= OTHER_CONNECTION;
            put_text(to, own.as_str());
        }
    }
    if entry.timestamp.0 != entry.serial.ms {
        said |= OTHER_TIMESTAMP;
        put_varint(to, entry.timestamp.0);
    }
    if let Some(place) = to.get_mut(place) {
        *place = said;
    }
}

pub fn decode(serial: Serial, bytes: &[u8]) -> Result<Entry, Unreadable> {
    let mut from = Decoder::new(bytes, WHAT);
    let entry = match take_version(&mut from)? {
        Known::First => version_1::take(serial, &mut from)?,
        Known::Second => take(serial, &mut from)?,
    };
    from.finish()?;
    Ok(entry)
}

/// What follows the version.
fn take(serial: Serial, from: &mut Decoder<'_>) -> Result<Entry, Unreadable> {
    let position = from.varint()?;
    let said = from.byte()?;
    if said & !ALL != 0 {
        return Err(from.damaged());
    }
    let id = if said & NAMED_ID != 0 {
        EntryId::Named(from.text()?)
    } else {
        let connection_id = ConnectionId::new(from.text()?);
        EntryId::Connection { connection_id, msg_serial: from.varint()?.cast_signed() }
    };
    let connection_id = match &id {
        _ if said & OTHER_CONNECTION != 0 => Some(ConnectionId::new(from.text()?)),
        EntryId::Connection { connection_id, .. } if said & CONNECTION_OF_ID != 0 => {
            Some(connection_id.clone())
        }
        EntryId::Connection { .. } | EntryId::Named(_) => None,
    };
    let ms = if said & OTHER_TIMESTAMP != 0 { from.varint()? } else { serial.ms };
    let body = take_body(from, said & KIND, message::take)?;
    Ok(Entry { id, serial, position, timestamp: Timestamp(ms), connection_id, body })
}

pub(crate) fn take_body(
    from: &mut Decoder<'_>,
    kind: u8,
    take_message: fn(&mut Decoder<'_>) -> Result<Message, Unreadable>,
) -> Result<Body, Unreadable> {
    let count = from.length()?;
    Ok(match kind {
        MESSAGES => Body::Messages(take_items(from, count, take_message)?),
        ANNOTATIONS => Body::Annotations(take_items(from, count, take_annotation)?),
        PRESENCE => Body::Presence(take_items(from, count, take_presence)?),
        OBJECTS => Body::Objects(take_items(from, count, object::take)?),
        _ => return Err(from.damaged()),
    })
}

fn take_items<T>(
    from: &mut Decoder<'_>,
    count: usize,
    take: fn(&mut Decoder<'_>) -> Result<T, Unreadable>,
) -> Result<Vec<T>, Unreadable> {
    (0..count).map(|_| take(from)).collect()
}

/// The position of the entry, which is told without decoding the rest.
pub fn position(bytes: &[u8]) -> Result<u64, Unreadable> {
    let mut from = Decoder::new(bytes, WHAT);
    take_version(&mut from)?;
    from.varint()
}

/// The versions that are read. The position follows in each.
enum Known {
    First,
    Second,
}

fn take_version(from: &mut Decoder<'_>) -> Result<Known, Unreadable> {
    match from.byte()? {
        version_1::VERSION => Ok(Known::First),
        VERSION => Ok(Known::Second),
        other => Err(Unreadable::UnknownFormat { what: WHAT, found: other.into() }),
    }
}

fn put_presence(to: &mut Vec<u8>, event: &PresenceMessage) {
    put_option(to, event.id.as_deref(), put_text);
    to.push(event.action.code());
    put_option(to, event.client_id.as_ref().map(ClientId::as_str), put_text);
    put_option(to, event.connection_id.as_ref().map(ConnectionId::as_str), put_text);
    put_data(to, &event.data);
    put_option(to, event.encoding.as_deref(), put_text);
    put_option(to, event.extras.as_ref(), extras::put);
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
    put_option(to, annotation.extras.as_ref(), extras::put);
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

pub(crate) fn take_data(from: &mut Decoder<'_>) -> Result<Data, Unreadable> {
    match from.byte()? {
        NO_DATA => Ok(Data::None),
        TEXT => from.text().map(Data::Text),
        BINARY => from.bytes().map(|bytes| Data::Binary(Bytes::copy_from_slice(bytes))),
        _ => Err(from.damaged()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::Value;
    use types::{
        Extras, Finite, MessageAction, ObjectAction, ObjectData, ObjectId, ObjectMessage,
        ObjectOperation, SeriesId, Version,
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
            timestamp in prop_oneof![Just(serial().ms), any::<u64>()].prop_map(Timestamp),
            connection_id in prop::option::of(text().prop_map(ConnectionId::new)),
            is_of_id in any::<bool>(),
            body in prop_oneof![
                prop::collection::vec(message(), 0..3).prop_map(Body::Messages),
                prop::collection::vec(annotation(), 0..3).prop_map(Body::Annotations),
                prop::collection::vec(presence(), 0..3).prop_map(Body::Presence),
                prop::collection::vec(object(), 0..3).prop_map(Body::Objects),
            ],
        ) -> Entry {
            let connection_id = match &id {
                EntryId::Connection { connection_id, .. } if is_of_id => Some(connection_id.clone()),
                _ => connection_id,
            };
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

    /// With everything that an entry of messages can have.
    fn full() -> Entry {
        let extras = serde_json::json!({ "headers": { "a": 1 } }).as_object().cloned();
        let version = Version {
            serial: Some("v".into()),
            timestamp: Some(Timestamp(200)),
            client_id: Some("c".into()),
            description: Some("d".into()),
            metadata: extras.clone().map(Arc::new),
        };
        let message = Message {
            id: Some("i".into()),
            name: Some("n".into()),
            data: Data::Text("text".into()),
            encoding: Some("json".into()),
            client_id: Some("c".into()),
            connection_id: Some("k".into()),
            connection_key: Some("key".into()),
            extras: extras.map(Arc::new),
            timestamp: Some(Timestamp(300)),
            serial: Some("s".into()),
            action: MessageAction::Append,
            version: Some(Arc::new(version)),
            summary: None,
        };
        Entry {
            id: EntryId::Connection { connection_id: "k".into(), msg_serial: 7 },
            serial: serial(),
            position: 1,
            timestamp: Timestamp(1_700_000_000_000),
            connection_id: Some("k".into()),
            body: Body::Messages(vec![message]),
        }
    }

    const SMALL_1: &[u8] =
        b"\x01\xac\x02\x07\x01\x01a\0\0\x01\0\x01\x08greeting\x02\x02\0\xff\0\0\0\0\0\0\0\0\0";

    const FULL_1: &[u8] = b"\x01\x01\x80\xd0\x95\xff\xbc1\0\x01k\0\0\0\0\0\0\0\x07\x01\x01k\0\x01\
        \x01\x01i\x01\x01n\x01\x04text\x01\x04json\x01\x01c\x01\x01k\x01\x03key\
        \x01\x1f\xdf\0\0\0\x01\xd9\x07headers\xdf\0\0\0\x01\xd9\x01a\xcf\0\0\0\0\0\0\0\x01\
        \x01\xac\x02\x01\x01s\x05\x01\x01\x01v\x01\xc8\x01\x01\x01c\x01\x01d\
        \x01\x1f\xdf\0\0\0\x01\xd9\x07headers\xdf\0\0\0\x01\xd9\x01a\xcf\0\0\0\0\0\0\0\x01";

    #[test]
    fn what_earlier_servers_wrote_is_read() {
        for (bytes, entry) in [(SMALL_1, small()), (FULL_1, full())] {
            assert_eq!(position(bytes).unwrap(), entry.position);
            assert_eq!(decode(serial(), bytes).unwrap(), entry);
        }
    }

    #[test]
    fn the_format_of_version_2_stays_as_it_is() {
        let small_2 = b"\x02\xac\x02\x24\x01a\x07\x01\x0a\0\x08greeting\x02\0\xff";
        let full_2 =
            b"\x02\x01\x08\x01k\x07\x01\xf7\x5f\x01i\x01n\x04text\x04json\x01c\x01k\x03key\
            \x1f\xdf\0\0\0\x01\xd9\x07headers\xdf\0\0\0\x01\xd9\x01a\xcf\0\0\0\0\0\0\0\x01\
            \xac\x02\x01s\x01\x01v\x01\xc8\x01\x01\x01c\x01\x01d\
            \x01\x1f\xdf\0\0\0\x01\xd9\x07headers\xdf\0\0\0\x01\xd9\x01a\xcf\0\0\0\0\0\0\0\x01";
        for (bytes, entry) in [(small_2.as_slice(), small()), (full_2, full())] {
            assert_eq!(
                bytes_of(&entry).escape_ascii().to_string(),
                bytes.escape_ascii().to_string()
            );
            assert_eq!(decode(serial(), bytes).unwrap(), entry);
        }
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
            prop_assert_eq!(position(&bytes).unwrap(), entry.position);
            prop_assert_eq!(decode(serial(), &bytes).unwrap(), entry);
        }

        #[test]
        fn a_cut_entry_is_refused(entry in entry(), cut in any::<prop::sample::Index>()) {
            let bytes = bytes_of(&entry);
            prop_assert!(decode(serial(), &bytes[..cut.index(bytes.len())]).is_err());
        }

        #[test]
        fn any_bytes_decode_or_are_refused(
            version in version_1::VERSION..=VERSION,
            mut bytes in prop::collection::vec(any::<u8>(), 1..200),
        ) {
            bytes[0] = version;
            let _outcome = decode(serial(), &bytes);
        }
    }
}
