//! The exact bytes of the main frames, in both formats.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use protocol::{
    Action, ConnectionDetails, Format, MessageShape, ProtocolMessage, decode, encode, encode_error,
    encode_messages, encode_presence, flags,
};
use types::error::{CHANNEL_STATE, TOKEN_EXPIRED, UNAUTHORIZED};
use types::{
    Accepted, ClientId, ConnectionId, Data, ItemPosition, Message, MessageAction, PresenceAction,
    PresenceMessage, Timestamp, Version,
};

/// Of two messages, of which the second was dropped.
fn accepted() -> Accepted {
    let first: ItemPosition = "00000000001000-002@dunAbCdEfGhI:000".parse().unwrap();
    Accepted { serial: Some(first.serial), items: 2, dropped: 0b10 }
}

fn connected() -> ProtocolMessage {
    ProtocolMessage {
        connection_id: Some(ConnectionId::new("c1")),
        connection_key: Some("c1!k".into()),
        connection_details: Some(Box::new(ConnectionDetails {
            client_id: Some(ClientId::new("ann")),
            connection_key: "c1!k".into(),
            max_message_size: 65_536,
            max_frame_size: 524_288,
            max_inbound_rate: 50,
            connection_state_ttl: 120_000,
            max_idle_interval: 15_000,
            server_id: "n1".into(),
            site_code: "dun".parse().unwrap(),
            objects_gc_grace_period: 86_400_000,
        })),
        ..ProtocolMessage::new(Action::Connected)
    }
}

fn message() -> ProtocolMessage {
    let extras = serde_json::json!({ "headers": { "a": [1, -2.5, null, true, "é"] } });
    ProtocolMessage {
        id: Some("c1:0".into()),
        channel: Some("room".into()),
        channel_serial: Some("s1".into()),
        connection_id: Some(ConnectionId::new("c1")),
        timestamp: Some(Timestamp(1_700_000_000_000)),
        messages: vec![
            Message {
                name: Some("say".into()),
                data: Data::Text("a \"quoted\"\nline".into()),
                extras: extras.as_object().map(|object| Arc::new(object.clone())),
                serial: Some("s1:000".into()),
                ..Message::default()
            },
            Message {
                data: Data::Binary(Bytes::from_static(&[0xde, 0xad, 0xbe, 0xef])),
                client_id: Some(ClientId::new("ann")),
                serial: Some("s1:001".into()),
                action: MessageAction::Update,
                version: Some(Arc::new(Version {
                    serial: Some("s2".into()),
                    timestamp: Some(Timestamp(5)),
                    ..Version::default()
                })),
                ..Message::default()
            },
        ],
        ..ProtocolMessage::new(Action::Message)
    }
}

fn presence(action: Action) -> ProtocolMessage {
    ProtocolMessage {
        channel: Some("room".into()),
        channel_serial: Some("q:".into()),
        presence: vec![PresenceMessage {
            id: Some("c1:3:0".into()),
            client_id: Some(ClientId::new("ann")),
            connection_id: Some(ConnectionId::new("c1")),
            data: Data::Text("{}".into()),
            encoding: Some("json".into()),
            timestamp: Some(Timestamp(9)),
            ..PresenceMessage::new(PresenceAction::Present)
        }],
        ..ProtocolMessage::new(action)
    }
}

#[test]
fn frames_in_json_are_compact_and_without_absent_fields() {
    let new = ProtocolMessage::new;
    let channel = Some(Arc::from("room"));
    let res = vec![accepted(), Accepted::default()];
    let token = Some(Arc::from("jwt"));
    let params = BTreeMap::from([("rewind".to_owned(), "1".to_owned())]);
    let frames = [
        (new(Action::Heartbeat), r#"{"action":0}"#),
        (
            ProtocolMessage { msg_serial: Some(3), count: Some(2), res, ..new(Action::Ack) },
            r#"{"action":1,"count":2,"msgSerial":3,"res":[{"serials":["00000000001000-002@dunAbCdEfGhI:000",null]},{"serials":[]}]}"#,
        ),
        (
            ProtocolMessage {
                msg_serial: Some(0),
                count: Some(1),
                error: Some(CHANNEL_STATE.with("no")),
                ..new(Action::Nack)
            },
            r#"{"action":2,"count":1,"error":{"code":90001,"statusCode":400,"message":"no"},"msgSerial":0}"#,
        ),
        (
            connected(),
            r#"{"action":4,"connectionId":"c1","connectionKey":"c1!k","connectionDetails":{"clientId":"ann","connectionKey":"c1!k","maxMessageSize":65536,"maxFrameSize":524288,"maxInboundRate":50,"connectionStateTtl":120000,"maxIdleInterval":15000,"serverId":"n1","siteCode":"dun","objectsGCGracePeriod":86400000}}"#,
        ),
        (
            ProtocolMessage { error: Some(TOKEN_EXPIRED.with("old")), ..new(Action::Disconnected) },
            r#"{"action":6,"error":{"code":40142,"statusCode":401,"message":"old"}}"#,
        ),
        (
            ProtocolMessage {
                channel: channel.clone(),
                flags: Some(flags::PUBLISH | flags::RESUMED),
                params,
                ..new(Action::Attached)
            },
            r#"{"action":11,"channel":"room","flags":131076,"params":{"rewind":"1"}}"#,
        ),
        (ProtocolMessage { channel, ..new(Action::Detached) }, r#"{"action":13,"channel":"room"}"#),
        (
            presence(Action::Sync),
            r#"{"action":16,"channel":"room","channelSerial":"q:","presence":[{"id":"c1:3:0","action":1,"clientId":"ann","connectionId":"c1","data":"{}","encoding":"json","timestamp":9}]}"#,
        ),
        (
            message(),
            r#"{"action":15,"id":"c1:0","channel":"room","channelSerial":"s1","connectionId":"c1","messages":[{"name":"say","data":"a \"quoted\"\nline","extras":{"headers":{"a":[1,-2.5,null,true,"é"]}},"serial":"s1:000","action":0},{"data":"3q2+7w==","encoding":"base64","clientId":"ann","serial":"s1:001","action":1,"version":{"serial":"s2","timestamp":5}}],"timestamp":1700000000000}"#,
        ),
        (
            ProtocolMessage { access_token: token, ..new(Action::Auth) },
            r#"{"action":17,"auth":{"accessToken":"jwt"}}"#,
        ),
        (new(Action::Other(18)), r#"{"action":18}"#),
    ];
    for (frame, json) in frames {
        assert_eq!(std::str::from_utf8(&encode(&frame, Format::Json)).unwrap(), json);
        assert_eq!(decode(Format::Json, json.as_bytes()).unwrap(), frame);
        let packed = encode(&frame, Format::MessagePack);
        assert_eq!(decode(Format::MessagePack, &packed).unwrap(), frame);
    }
}

#[test]
fn frames_in_messagepack_are_maps_with_the_shortest_forms() {
    let ack = ProtocolMessage {
        msg_serial: Some(300),
        count: Some(1),
        res: vec![accepted()],
        ..ProtocolMessage::new(Action::Ack)
    };
    let cases: [(ProtocolMessage, &[u8]); 4] = [
        (ProtocolMessage::new(Action::Heartbeat), b"\x81\xa6action\x00"),
        (
            ack,
            b"\x84\xa6action\x01\xa5count\x01\xa9msgSerial\xcd\x01\x2c\
              \xa3res\x91\x81\xa7serials\x92\xd9\x2300000000001000-002@dunAbCdEfGhI:000\xc0",
        ),
        (
            presence(Action::Presence),
            b"\x84\xa6action\x0e\xa7channel\xa4room\xadchannelSerial\xa2q:\xa8presence\x91\
              \x87\xa2id\xa6c1:3:0\xa6action\x01\xa8clientId\xa3ann\xacconnectionId\xa2c1\
              \xa4data\xa2{}\xa8encoding\xa4json\xa9timestamp\x09",
        ),
        (
            message(),
            b"\x87\xa6action\x0f\xa2id\xa4c1:0\xa7channel\xa4room\xadchannelSerial\xa2s1\
              \xacconnectionId\xa2c1\xa8messages\x92\
              \x85\xa4name\xa3say\xa4data\xafa \"quoted\"\nline\
              \xa6extras\x81\xa7headers\x81\xa1a\x95\x01\xcb\xc0\x04\0\0\0\0\0\0\xc0\xc3\xa2\xc3\xa9\
              \xa6serial\xa6s1:000\xa6action\x00\
              \x85\xa4data\xc4\x04\xde\xad\xbe\xef\xa8clientId\xa3ann\
              \xa6serial\xa6s1:001\xa6action\x01\
              \xa7version\x82\xa6serial\xa2s2\xa9timestamp\x05\
              \xa9timestamp\xcf\x00\x00\x01\x8b\xcf\xe5\x68\x00",
        ),
    ];
    for (frame, bytes) in cases {
        assert_eq!(encode(&frame, Format::MessagePack), bytes);
        assert_eq!(decode(Format::MessagePack, bytes).unwrap(), frame);
    }
}

#[test]
fn before_version_4_messages_are_flat_and_mean_the_same() {
    let object = |value: serde_json::Value| value.as_object().cloned().map(Arc::new);
    let new = Message {
        data: Data::Text("a".into()),
        timestamp: Some(Timestamp(9)),
        serial: Some("s1:000".into()),
        ..Message::default()
    };
    let version = Version {
        serial: Some("s2:000".into()),
        timestamp: Some(Timestamp(12)),
        client_id: Some(ClientId::new("ann")),
        description: Some("typo".into()),
        metadata: object(serde_json::json!({ "k": "v" })),
    };
    let action = MessageAction::Update;
    let changed = Message { action, version: Some(Arc::new(version)), ..new.clone() };
    let summary = object(serde_json::json!({ "like:total.v1": { "total": 1 } }));
    let action = MessageAction::Summary;
    let summary = Message { data: Data::None, action, summary, ..new.clone() };
    let frame = ProtocolMessage {
        messages: vec![new, changed, summary],
        message_shape: MessageShape::of(3),
        ..ProtocolMessage::new(Action::Message)
    };
    let expected = concat!(
        r#"{"action":15,"messages":["#,
        r#"{"data":"a","timestamp":9,"serial":"s1:000","action":0,"version":"s1:000"},"#,
        r#"{"data":"a","timestamp":12,"createdAt":9,"serial":"s1:000","action":1,"#,
        r#""version":"s2:000","#,
        r#""operation":{"clientId":"ann","description":"typo","metadata":{"k":"v"}}},"#,
        r#"{"timestamp":9,"createdAt":9,"serial":"s1:000","action":4,"#,
        r#""summary":{"like:total.v1":{"total":1}}}]}"#,
    );
    assert_eq!(encode(&frame, Format::Json), expected);
    for format in Format::ALL {
        let read = decode(format, &encode(&frame, format)).unwrap();
        assert_eq!(read.messages, frame.messages);
    }
    assert_eq!(MessageShape::of(4), MessageShape::default());
}

#[test]
fn bodies_are_lists_and_errors_are_wrapped() {
    let messages = [Message { name: Some("n".into()), ..Message::default() }];
    assert_eq!(encode_messages(&messages, Format::Json), r#"[{"name":"n"}]"#);
    assert_eq!(encode_messages(&messages, Format::MessagePack), &b"\x91\x81\xa4name\xa1n"[..]);
    assert_eq!(encode_messages(&[], Format::Json), "[]");
    let presence = [PresenceMessage::new(PresenceAction::Leave)];
    assert_eq!(encode_presence(&presence, Format::Json), r#"[{"action":3}]"#);
    assert_eq!(
        encode_error(&UNAUTHORIZED.with("who?"), Format::Json),
        r#"{"error":{"code":40100,"statusCode":401,"message":"who?"}}"#
    );
    assert_eq!(
        encode_error(&UNAUTHORIZED.with("who?"), Format::MessagePack),
        &b"\x81\xa5error\x83\xa4code\xcd\x9c\xa4\xaastatusCode\xcd\x01\x91\xa7message\xa4who?"[..]
    );
}
