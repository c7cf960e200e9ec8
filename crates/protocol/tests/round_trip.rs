//! Whatever can be held in memory is read back from both formats as it was.

use std::sync::Arc;

use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use protocol::{Action, ConnectionDetails, Format, ProtocolMessage, PublishResult, decode, encode};
use serde_json::Value;
use types::{
    Annotation, AnnotationAction, ClientId, ConnectionId, Data, ErrorInfo, Extras, Message,
    MessageAction, PresenceAction, PresenceMessage, Timestamp, Version,
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

fn frame() -> impl Strategy<Value = ProtocolMessage> {
    let texts = (of(text()), of(text()), of(text()), of(text()), of(text()));
    let numbers = (any::<u8>(), of(any::<u32>()), of(any::<u32>()), of(any::<i64>()), timestamp());
    let res = vec(vec(of(text()), 0..20), 0..3);
    let items = (vec(message(), 0..3), vec(annotation(), 0..3), vec(presence(), 0..3), res);
    let rest = (details(), error(), connection_id(), btree_map(".{0,8}", ".{0,8}", 0..20));
    (texts, numbers, items, rest).prop_map(|(texts, numbers, items, rest)| {
        let (id, access_token, channel, channel_serial, connection_key) = texts;
        let (action, count, flags, msg_serial, timestamp) = numbers;
        let (messages, annotations, presence, res) = items;
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
            presence,
            annotations,
            res: res.into_iter().map(|serials| PublishResult { serials }).collect(),
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
