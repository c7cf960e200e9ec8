//! Whatever can be held in memory is read back from both formats as it was.

use std::sync::Arc;

use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use protocol::{
    Action, ConnectionDetails, Format, InitialValue, MessageShape, ObjectItem, ObjectPayload,
    ObjectRequest, ProtocolMessage, decode, encode,
};
use serde_json::Value;
use types::{
    Accepted, Annotation, AnnotationAction, ClientId, ConnectionId, Data, ErrorInfo, Extras,
    Finite, ItemPosition, MapEntry, MapValue, Message, MessageAction, ObjectAction, ObjectData,
    ObjectId, ObjectKind, ObjectState, ObjectValue, PresenceAction, PresenceMessage, Timestamp,
    Version,
};

fn text() -> impl Strategy<Value = Arc<str>> {
    prop_oneof!["[a-z:!@/-]{0,40}", ".{0,8}", "[\"\\\\\u{0}-\u{20}]{0,8}"].prop_map(Arc::from)
}

fn client_id() -> impl Strategy<Value = Option<ClientId>> {
    of(text().prop_map(ClientId::new))
}

fn connection_id() -> impl Strategy<Value = Option<ConnectionId>> {
    of(text().prop_map(ConnectionId::new))
}

fn timestamp() -> impl Strategy<Value = Option<Timestamp>> {
    of(any::<u64>().prop_map(Timestamp))
}

fn extras() -> impl Strategy<Value = Option<Extras>> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 12, 3, |inner| vec(inner, 0..3).prop_map(Value::from));
    of(btree_map(".{0,8}", value, 0..20).prop_map(|map| Arc::new(map.into_iter().collect())))
}

/// Data with an encoding that is not undone on arrival.
fn payload() -> impl Strategy<Value = (Data, Option<Arc<str>>)> {
    let data = prop_oneof![
        Just(Data::None),
        text().prop_map(Data::Text),
        vec(any::<u8>(), 0..40).prop_map(|bytes| Data::Binary(bytes.into())),
    ];
    (data, of("(json|utf-8|vcdiff|x/)(/utf-8|/odd)?").prop_map(|steps| steps.map(Arc::from)))
}

fn version() -> impl Strategy<Value = Option<Arc<Version>>> {
    let fields = (of(text()), timestamp(), client_id(), of(text()), extras());
    of(fields.prop_map(|(serial, timestamp, client_id, description, metadata)| {
        Arc::new(Version { serial, timestamp, client_id, description, metadata })
    }))
}

fn message() -> impl Strategy<Value = Message> {
    let texts = (of(text()), of(text()), of(text()), of(text()));
    let ids = (client_id(), connection_id(), timestamp());
    let action = (0u8..6).prop_map(|code| MessageAction::from_code(code).unwrap());
    let rest = (action, version(), extras());
    (texts, ids, payload(), extras(), rest).prop_map(
        |((id, name, connection_key, serial), ids, (data, encoding), extras, rest)| {
            let (action, version, summary) = rest;
            let (client_id, connection_id, timestamp) = ids;
            Message {
                id,
                name,
                data,
                encoding,
                client_id,
                connection_id,
                connection_key,
                extras,
                timestamp,
                serial,
                action,
                version,
                summary,
            }
        },
    )
}

fn annotation() -> impl Strategy<Value = Annotation> {
    let action = (0u8..2).prop_map(|code| AnnotationAction::from_code(code).unwrap());
    let texts = (of(text()), text(), of(text()), of(text()), of(text()));
    let rest = (action, of(any::<u32>()), client_id(), timestamp());
    (texts, payload(), extras(), rest).prop_map(
        |((id, kind, name, message_serial, serial), (data, encoding), extras, rest)| {
            let (action, count, client_id, timestamp) = rest;
            Annotation {
                id,
                action,
                kind,
                name,
                count,
                client_id,
                data,
                encoding,
                extras,
                message_serial,
                serial,
                timestamp,
            }
        },
    )
}

fn presence() -> impl Strategy<Value = PresenceMessage> {
    let action = (0u8..5).prop_map(|code| PresenceAction::from_code(code).unwrap());
    let ids = (of(text()), client_id(), connection_id(), timestamp());
    (ids, payload(), extras(), action).prop_map(
        |((id, client_id, connection_id, timestamp), (data, encoding), extras, action)| {
            PresenceMessage {
                id,
                action,
                client_id,
                connection_id,
                data,
                encoding,
                extras,
                timestamp,
            }
        },
    )
}

fn object_id() -> impl Strategy<Value = ObjectId> {
    "root|(map|counter):[a-zA-Z0-9_-]{1,9}@[0-9]{1,14}".prop_map(|id| ObjectId::parse(&id).unwrap())
}

fn finite() -> impl Strategy<Value = Finite> {
    prop_oneof![any::<f64>(), any::<i32>().prop_map(f64::from)]
        .prop_filter_map("finite", Finite::new)
}

fn object_data() -> impl Strategy<Value = ObjectData> {
    prop_oneof![
        object_id().prop_map(ObjectData::Object),
        any::<bool>().prop_map(ObjectData::Boolean),
        vec(any::<u8>(), 0..9).prop_map(|bytes| ObjectData::Bytes(bytes.into())),
        finite().prop_map(ObjectData::Number),
        text().prop_map(ObjectData::Text),
        Just(ObjectData::Json(r#"{"a":[1,"b"]}"#.into())),
    ]
}

fn entries() -> impl Strategy<Value = Vec<(Arc<str>, ObjectData)>> {
    btree_map(text(), object_data(), 0..3).prop_map(|entries| entries.into_iter().collect())
}

fn object_payload() -> impl Strategy<Value = ObjectPayload> {
    let action = prop_oneof![
        entries().prop_map(ObjectAction::MapCreate),
        (text(), object_data()).prop_map(|(key, value)| ObjectAction::MapSet { key, value }),
        text().prop_map(|key| ObjectAction::MapRemove { key }),
        Just(ObjectAction::MapClear),
        finite().prop_map(ObjectAction::CounterCreate),
        finite().prop_map(ObjectAction::CounterInc),
        Just(ObjectAction::Delete),
    ];
    let kind = prop_oneof![Just(ObjectKind::Map), Just(ObjectKind::Counter)];
    let initial =
        (kind, text(), text()).prop_map(|(kind, json, nonce)| InitialValue { kind, json, nonce });
    prop_oneof![action.prop_map(ObjectPayload::Action), initial.prop_map(ObjectPayload::Create),]
}

fn item_serial() -> impl Strategy<Value = ItemPosition> {
    "[0-9]{14}-[0-9]{3}@dun[a-z]{9}:[0-9]{3}".prop_map(|serial| serial.parse().unwrap())
}

fn object_state() -> impl Strategy<Value = ObjectState> {
    let value = prop_oneof![
        object_data().prop_map(MapValue::Data),
        any::<u64>().prop_map(|at| MapValue::Tombstone(Timestamp(at))),
    ];
    let entry = (value, of(item_serial())).prop_map(|(value, serial)| MapEntry { value, serial });
    let value = prop_oneof![
        finite().prop_map(ObjectValue::Counter),
        (btree_map(text(), entry, 0..3), of(item_serial()))
            .prop_map(|(entries, cleared)| ObjectValue::Map { entries, cleared }),
    ];
    let sites = btree_map("[a-z]{3}".prop_map(|site| site.parse().unwrap()), item_serial(), 0..2);
    let created = of(entries().prop_map(ObjectAction::MapCreate));
    (object_id(), sites, timestamp(), created, value).prop_map(
        |(object_id, site_serials, deleted, created, value)| ObjectState {
            object_id,
            site_serials,
            deleted,
            created,
            value,
        },
    )
}

fn object_item() -> impl Strategy<Value = ObjectItem> {
    let operation = (of(text()), of(object_payload()))
        .prop_map(|(object_id, payload)| ObjectRequest { object_id, payload });
    let ids = (of(text()), client_id(), connection_id(), of(text()), of("[a-z]{3}"));
    let times = (timestamp(), timestamp());
    (ids, times, extras(), of(operation), of(object_state())).prop_map(
        |((id, client_id, connection_id, serial, site), times, extras, operation, object)| {
            let deleted = object.as_ref().and_then(|object| object.deleted);
            ObjectItem {
                id,
                client_id,
                connection_id,
                extras,
                timestamp: times.0,
                operation,
                object: object.map(Box::new),
                serial,
                serial_timestamp: deleted.or(times.1),
                site_code: site.map(|site| site.parse().unwrap()),
            }
        },
    )
}

fn details() -> impl Strategy<Value = Option<Box<ConnectionDetails>>> {
    let numbers = (any::<[u32; 3]>(), any::<[u64; 3]>());
    of((client_id(), text(), text(), "[a-z]{3}", numbers).prop_map(
        |(client_id, connection_key, server_id, site_code, (small, large))| {
            Box::new(ConnectionDetails {
                client_id,
                connection_key,
                max_message_size: small[0],
                max_frame_size: small[1],
                max_inbound_rate: small[2],
                connection_state_ttl: large[0],
                max_idle_interval: large[1],
                server_id,
                site_code: site_code.parse().unwrap(),
                objects_gc_grace_period: large[2],
            })
        },
    ))
}

fn error() -> impl Strategy<Value = Option<ErrorInfo>> {
    of((any::<u32>(), any::<u16>(), ".{0,8}").prop_map(|(code, status, message)| ErrorInfo {
        code,
        status,
        message: message.into(),
    }))
}

/// Not more items than bits, and no serial where there is nothing that has it.
fn accepted() -> impl Strategy<Value = Accepted> {
    (item_serial(), 0..20_usize, any::<u64>()).prop_map(|(first, items, dropped)| {
        let all = (1 << items) - 1;
        let dropped = dropped & all;
        Accepted { serial: (dropped != all).then_some(first.serial), items, dropped }
    })
}

fn frame() -> impl Strategy<Value = ProtocolMessage> {
    let texts = (of(text()), of(text()), of(text()), of(text()), of(text()));
    let numbers = (any::<u8>(), of(any::<u32>()), of(any::<u32>()), of(any::<i64>()), timestamp());
    let res = vec(accepted(), 0..3);
    let items = (vec(message(), 0..3), vec(annotation(), 0..3), vec(presence(), 0..3));
    let items = (items, vec(object_item(), 0..3), res);
    let rest = (details(), error(), connection_id(), btree_map(".{0,8}", ".{0,8}", 0..20));
    (texts, numbers, items, rest).prop_map(|(texts, numbers, items, rest)| {
        let (id, access_token, channel, channel_serial, connection_key) = texts;
        let (action, count, flags, msg_serial, timestamp) = numbers;
        let ((messages, annotations, presence), state, res) = items;
        let (connection_details, error, connection_id, params) = rest;
        ProtocolMessage {
            action: Action::from_code(action),
            id,
            access_token,
            channel,
            channel_serial,
            connection_id,
            connection_key,
            connection_details,
            count,
            error,
            flags,
            msg_serial,
            messages,
            message_shape: MessageShape::default(),
            presence,
            state,
            annotations,
            res,
            timestamp,
            params,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn frames_round_trip_in_both_formats(frame in frame()) {
        for format in Format::ALL {
            prop_assert_eq!(&decode(format, &encode(&frame, format)).unwrap(), &frame);
        }
    }

    #[test]
    fn json_frames_are_json(frame in frame()) {
        prop_assert!(serde_json::from_slice::<Value>(&encode(&frame, Format::Json)).is_ok());
    }

    #[test]
    fn truncated_frames_are_refused(frame in frame(), cut in any::<prop::sample::Index>()) {
        for format in Format::ALL {
            let bytes = encode(&frame, format);
            prop_assert!(decode(format, &bytes[..cut.index(bytes.len())]).is_err());
        }
    }
}

#[test]
fn frames_joined_in_one_body_are_read_back_in_order() {
    for format in Format::ALL {
        for count in [0, 1, 15, 16, 300] {
            let frames: Vec<_> = (0..count)
                .map(|serial| {
                    let mut frame = ProtocolMessage::new(Action::Heartbeat);
                    frame.msg_serial = Some(serial);
                    frame
                })
                .collect();
            let encoded: Vec<_> = frames.iter().map(|frame| encode(frame, format)).collect();
            let body = protocol::join(&encoded, format);
            assert_eq!(protocol::decode_all(format, &body).unwrap(), frames);
        }
    }
}
