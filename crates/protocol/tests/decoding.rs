//! What arrives: payloads in every form, what is tolerated, and what is refused with which code.

use std::sync::Arc;

use bytes::Bytes;
use protocol::{
    Action, Format, ProtocolMessage, decode, decode_json_onto, decode_messages,
    decode_msgpack_onto, decode_presence, decode_value, encode, encode_messages, encode_value,
};
use serde_json::{Value, json};
use types::{Data, ErrorInfo, Message, MessageAction, Timestamp};

fn pack(value: &Value) -> Vec<u8> {
    rmp_serde::to_vec_named(value).unwrap()
}

fn both(value: &Value) -> [(Format, Vec<u8>); 2] {
    [(Format::Json, value.to_string().into_bytes()), (Format::MessagePack, pack(value))]
}

/// The same value read from both formats.
fn frame(value: &Value) -> ProtocolMessage {
    let [json, packed] = both(value).map(|(format, bytes)| decode(format, &bytes).unwrap());
    assert_eq!(json, packed);
    json
}

fn message(value: &Value) -> Message {
    let [json, packed] =
        both(value).map(|(format, bytes)| decode_messages(format, &bytes).unwrap());
    assert_eq!(json, packed);
    json.into_iter().next().unwrap()
}

fn refusal(value: &Value) -> ErrorInfo {
    let [json, packed] =
        both(value).map(|(format, bytes)| decode_messages(format, &bytes).unwrap_err());
    assert_eq!(json.code, packed.code);
    json
}

fn text(text: &str) -> Data {
    Data::Text(text.into())
}

fn binary(bytes: &'static [u8]) -> Data {
    Data::Binary(Bytes::from_static(bytes))
}

#[test]
fn payloads_keep_their_meaning_from_either_format_to_either() {
    // What arrives, what is kept, and what JSON clients get for it.
    for (arrives, data, encoding, leaves) in [
        (json!({}), Data::None, None, json!({})),
        (json!({"encoding": "x"}), Data::None, Some("x"), json!({"encoding": "x"})),
        (json!({"data": "foo"}), text("foo"), None, json!({"data": "foo"})),
        (json!({"data": "", "encoding": ""}), text(""), None, json!({"data": ""})),
        (json!({"data": "{\"a\":1}"}), text("{\"a\":1}"), None, json!({"data": "{\"a\":1}"})),
        (
            json!({"data": "{\"a\":1}", "encoding": "json"}),
            text("{\"a\":1}"),
            Some("json"),
            json!({"data": "{\"a\":1}", "encoding": "json"}),
        ),
        (
            json!({"data": {"a": [1, "b"]}}),
            text("{\"a\":[1,\"b\"]}"),
            Some("json"),
            json!({"data": "{\"a\":[1,\"b\"]}", "encoding": "json"}),
        ),
        (
            json!({"data": [], "encoding": "json"}),
            text("[]"),
            Some("json"),
            json!({"data": "[]", "encoding": "json"}),
        ),
        (
            json!({"data": [1], "encoding": "odd"}),
            text("[1]"),
            Some("odd/json"),
            json!({"data": "[1]", "encoding": "odd/json"}),
        ),
        (
            json!({"data": "3q2+7w==", "encoding": "base64"}),
            binary(b"\xde\xad\xbe\xef"),
            None,
            json!({"data": "3q2+7w==", "encoding": "base64"}),
        ),
        (
            json!({"data": "3q2+7w", "encoding": "json/utf-8/cipher+aes-128-cbc/base64"}),
            binary(b"\xde\xad\xbe\xef"),
            Some("json/utf-8/cipher+aes-128-cbc"),
            json!({"data": "3q2+7w==", "encoding": "json/utf-8/cipher+aes-128-cbc/base64"}),
        ),
        (
            json!({"data": "", "encoding": "base64"}),
            binary(b""),
            None,
            json!({"data": "", "encoding": "base64"}),
        ),
        (
            json!({"data": "not base64!", "encoding": "utf-8/base64"}),
            text("not base64!"),
            Some("utf-8/base64"),
            json!({"data": "not base64!", "encoding": "utf-8/base64"}),
        ),
        (
            json!({"data": "3q2+7w==", "encoding": "base64/utf-8"}),
            text("3q2+7w=="),
            Some("base64/utf-8"),
            json!({"data": "3q2+7w==", "encoding": "base64/utf-8"}),
        ),
    ] {
        let read = message(&arrives);
        assert_eq!((&read.data, read.encoding.as_deref()), (&data, encoding), "{arrives}");
        let written = encode_messages(std::slice::from_ref(&read), Format::Json);
        assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), json!([leaves]));
        let packed = encode_messages(std::slice::from_ref(&read), Format::MessagePack);
        assert_eq!(decode_messages(Format::MessagePack, &packed).unwrap(), [read]);
    }
}

#[test]
fn binary_travels_as_binary_in_messagepack() {
    let bytes = b"\x82\xa4data\xc4\x02\x00\xff\xa8encoding\xa6vcdiff";
    let read = decode_messages(Format::MessagePack, bytes).unwrap();
    assert_eq!(read[0].data, binary(b"\x00\xff"));
    assert_eq!(read[0].encoding.as_deref(), Some("vcdiff"));
    assert_eq!(encode_messages(&read, Format::MessagePack)[1..], bytes[..]);
    assert_eq!(
        encode_messages(&read, Format::Json),
        r#"[{"data":"AP8=","encoding":"vcdiff/base64"}]"#
    );
}

#[test]
fn nested_json_data_is_kept_as_it_stands() {
    let body = br#"{"data" : { "b":1.50, "a":"\u0041" } }"#;
    let read = decode_messages(Format::Json, body).unwrap();
    assert_eq!(read[0].data, text(r#"{ "b":1.50, "a":"\u0041" }"#));
}

#[test]
fn payloads_that_no_message_has_are_refused() {
    for (value, code) in [
        (json!({"data": 1}), 40013),
        (json!({"data": 1.5}), 40013),
        (json!({"data": true}), 40013),
        (json!({"extras": []}), 40032),
        (json!({"extras": "x"}), 40032),
        (json!({"extras": 1}), 40032),
        (json!({"version": {"metadata": 1}}), 40032),
        (json!({"name": 1}), 40001),
        (json!({"clientId": {}}), 40001),
        (json!({"timestamp": -1}), 40001),
        (json!({"timestamp": 1.5}), 40001),
        (json!({"encoding": []}), 40001),
        (json!({"action": 6}), 40001),
        (json!({"action": "message.update"}), 40001),
        (json!([[]]), 40001),
        (json!([null]), 40001),
        (json!("text"), 40001),
        (json!(null), 40001),
    ] {
        assert_eq!(refusal(&value).code, code, "{value}");
    }
}

#[test]
fn values_that_json_lacks_are_refused_within_json() {
    for (bytes, code) in [
        (&b"\x81\xa6extras\x81\xa1a\xc4\x01x"[..], 40032),
        (b"\x81\xa6extras\x81\xa1a\xd6\xff\0\0\0\0", 40032),
        (b"\x81\xa6extras\x81\xa1a\xcb\x7f\xf8\0\0\0\0\0\0", 40032),
        (b"\x81\xa4data\x91\xc4\x01x", 40013),
        (b"\x81\xa4data\xd6\xff\0\0\0\0", 40013),
        (b"\x81\xa4data\x91\xca\x7f\xc0\0\0", 40013),
    ] {
        assert_eq!(decode_messages(Format::MessagePack, bytes).unwrap_err().code, code);
    }
}

#[test]
fn a_float_that_is_not_finite_is_refused_where_a_number_would_be() {
    for float in
        [&b"\xcb\x7f\xf8\0\0\0\0\0\0"[..], b"\xcb\xff\xf0\0\0\0\0\0\0", b"\xca\x7f\xc0\0\0"]
    {
        for (field, code) in [("data", 40013), ("extras", 40032), ("timestamp", 40001)] {
            let name = rmp_serde::to_vec(field).unwrap();
            let bytes = [b"\x81", name.as_slice(), float].concat();
            let refused = decode_messages(Format::MessagePack, &bytes).unwrap_err().code;
            assert_eq!(refused, code, "{field} {float:x?}");
        }
        let unknown = [b"\x82\xa6action\x00\xa6future", float].concat();
        assert_eq!(decode(Format::MessagePack, &unknown).unwrap().action, Action::Heartbeat);
        let truncated = &unknown[..unknown.len() - 1];
        assert_eq!(decode(Format::MessagePack, truncated).unwrap_err().code, 80013);
    }
}

#[test]
fn absent_null_and_unknown_fields_are_the_same() {
    let bare = frame(&json!({"action": 15, "messages": [{}]}));
    let full = frame(&json!({
        "action": 15, "id": null, "auth": null, "channel": null, "error": null, "flags": null,
        "connectionDetails": null, "params": null, "presence": null, "res": null,
        "inventions": [{"a": 1}], "future": {"deep": [1, "x", null, 1.5, true]},
        "messages": [{
            "id": null, "data": null, "encoding": null, "extras": null, "version": "old",
            "annotations": {}, "operation": null, "createdAt": 1
        }],
    }));
    assert_eq!(bare, full);
    assert_eq!(bare.messages, [Message::default()]);
}

#[test]
fn a_json_key_is_the_same_however_it_is_written() {
    for json in [
        r#"{"action":15,"messages":[{"connectionKey":"k","future of sixteen":1,"sixteen letters!":2}]}"#,
        r#" { "action" : 15 , "messages" : [ { "connectionKey" : "k" } ] } "#,
        r#"{"\u0061ction":15,"m\u0065ssages":[{"connection\u004bey":"k","a \"quoted\" key":[]}]}"#,
        r#"{"messages":[{"a very long key with an escape \n":0,"connectionKey":"k"}],"action":15}"#,
    ] {
        let read = decode(Format::Json, json.as_bytes()).unwrap();
        assert_eq!(read.action, Action::Message, "{json}");
        assert_eq!(read.messages[0].connection_key.as_deref(), Some("k"), "{json}");
    }
    for (json, position) in [
        (r#"{"action" 15}"#, 10),
        (r#"{"action";15,"channel":"room"}"#, 9),
        (r#"{"action"#, 8),
        ("{\"action\n\":15,\"channel\":\"room\"}", 8),
        (r#"{action:15,"channel":"room"}"#, 1),
    ] {
        let refused = decode(Format::Json, json.as_bytes()).unwrap_err().message;
        assert!(refused.ends_with(&format!("at byte {position}")), "{json}: {refused}");
    }
}

#[test]
fn json_that_is_not_utf8_is_refused() {
    for frame in [&b"\xff"[..], b"{\"action\":15,\"id\":\"\xc3\"}", b"{\"action\":15}\xe2\x82"] {
        let refused = decode(Format::Json, frame).unwrap_err();
        assert_eq!(refused.code, 80013);
        assert!(refused.message.ends_with("not UTF-8 at byte 0"), "{}", refused.message);
    }
    assert_eq!(decode_messages(Format::Json, b"{\"name\":\"\xff\"}").unwrap_err().code, 40001);
}

#[test]
fn a_key_that_is_not_utf8_is_refused() {
    for key in [&b"\xff"[..], b"actio\xc3", b"\xe2\x82"] {
        let length = 0xa0 + u8::try_from(key.len()).unwrap();
        let frame = [&[0x82, length], key, b"\x01\xa6action\x0f"].concat();
        let refused = decode(Format::MessagePack, &frame).unwrap_err().message;
        let expected = format!("not UTF-8 at byte {}", 2 + key.len());
        assert!(refused.ends_with(&expected), "{refused}");
    }
    let frame = b"\x82\xa2\xc3\xa9\x01\xa6action\x0f";
    assert_eq!(decode(Format::MessagePack, frame).unwrap().action, Action::Message);
}

#[test]
fn of_a_field_that_comes_twice_the_last_counts() {
    let twice = br#"{"action":15,"messages":[{"name":"a"},{}],"messages":[{"name":"b"}]}"#;
    let read = decode(Format::Json, twice).unwrap();
    assert_eq!(read.messages.len(), 1);
    assert_eq!(read.messages[0].name.as_deref(), Some("b"));
}

#[test]
fn integers_may_travel_as_floats() {
    let read = frame(&json!({"action": 15.0, "msgSerial": 7.0, "timestamp": 1.7e12, "flags": 0.0}));
    assert_eq!(read.action, Action::Message);
    assert_eq!(read.msg_serial, Some(7));
    assert_eq!(read.timestamp, Some(Timestamp(1_700_000_000_000)));
    assert_eq!(read.flags, Some(0));
}

#[test]
fn actions_that_are_not_known_are_tolerated() {
    for code in (0..=u8::MAX).map(u64::from) {
        assert_eq!(u64::from(frame(&json!({"action": code})).action.code()), code);
    }
    assert_eq!(frame(&json!({"action": 3})).action, Action::Other(3));
    assert_eq!(frame(&json!({"action": 1000})).action, Action::Other(255));
}

#[test]
fn params_are_texts_whatever_people_write() {
    let read = frame(&json!({"action": 10, "params": {"a": "x", "b": 1, "c": true, "d": null}}));
    let params: Vec<_> = read.params.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(params, [("a", "x"), ("b", "1"), ("c", "true")]);
}

#[test]
fn fields_of_updates_are_read() {
    let read = message(&json!({
        "serial": "s", "action": 5,
        "version": {"serial": "v", "timestamp": 3, "clientId": "ann", "description": "d",
                    "metadata": {"k": "v"}, "future": 1},
        "connectionKey": "c!k",
    }));
    assert_eq!(read.action, MessageAction::Append);
    assert_eq!(read.connection_key.as_deref(), Some("c!k"));
    let version = read.version.unwrap();
    assert_eq!(version.description.as_deref(), Some("d"));
    assert_eq!(version.metadata.as_ref().unwrap()["k"], "v");
}

#[test]
fn malformed_frames_are_protocol_errors() {
    for value in [
        json!({}),
        json!({"action": null}),
        json!({"action": -1}),
        json!({"action": "x"}),
        json!({"action": 15, "messages": {}}),
        json!({"action": 14, "presence": [{}]}),
        json!({"action": 14, "presence": [{"action": 5}]}),
        json!({"action": 14, "presence": [{"action": 300}]}),
        json!({"action": 10, "flags": -1}),
        json!({"action": 10, "params": {"a": []}}),
        json!({"action": 4, "connectionDetails": {}}),
        json!([15]),
        json!(15),
    ] {
        for (format, bytes) in both(&value) {
            assert_eq!(decode(format, &bytes).unwrap_err().code, 80013, "{value}");
        }
    }
    assert_eq!(decode(Format::Json, b"{\"action\":0}}").unwrap_err().code, 80013);
    assert_eq!(decode(Format::MessagePack, b"\x81\xa6action\x00\x00").unwrap_err().code, 80013);
}

#[test]
fn a_frame_is_read_onto_a_list_whole_or_not_at_all() {
    let mut frames = Vec::new();
    let values = [json!({"action": 15, "id": "a"}), json!({"action": 15, "channel": "b"})];
    for value in &values {
        decode_json_onto(&mut frames, &value.to_string()).unwrap();
        decode_msgpack_onto(&mut frames, &pack(value)).unwrap();
        let before = frames.clone();
        let cut_off = value.to_string().replace('}', ",");
        assert_eq!(decode_json_onto(&mut frames, &cut_off).unwrap_err().code, 80013);
        let trailing = [pack(value), vec![0]].concat();
        assert_eq!(decode_msgpack_onto(&mut frames, &trailing).unwrap_err().code, 80013);
        assert_eq!(frames, before);
    }
    assert_eq!(
        frames,
        values.iter().flat_map(|value| [frame(value), frame(value)]).collect::<Vec<_>>()
    );
}

#[test]
fn frames_that_come_together_share_the_name_of_their_channel() {
    let mut frames = Vec::new();
    for channel in [json!("a"), json!("a"), json!("b"), json!(null), json!("b")] {
        let value = json!({"action": 15, "channel": channel});
        decode_json_onto(&mut frames, &value.to_string()).unwrap();
        decode_msgpack_onto(&mut frames, &pack(&value)).unwrap();
    }
    let channels: Vec<_> = frames.iter().map(|frame| frame.channel.as_ref()).collect();
    let names = ["a", "a", "a", "a", "b", "b", "", "", "b", "b"];
    assert!(channels.iter().map(|channel| channel.map_or("", |name| name)).eq(names));
    let is_shared = channels.windows(2).map(|pair| {
        pair[0].is_some_and(|name| pair[1].is_some_and(|next| Arc::ptr_eq(name, next)))
    });
    assert!(is_shared.eq([true, true, true, false, true, false, false, false, true]));
}

#[test]
fn messages_that_come_together_share_their_names() {
    let mut frames = Vec::new();
    for names in [json!(["a", "a"]), json!(["a", "b", null]), json!(["a"])] {
        let messages: Vec<_> =
            names.as_array().unwrap().iter().map(|n| json!({"name": n})).collect();
        let value = json!({"action": 15, "messages": messages});
        decode_json_onto(&mut frames, &value.to_string()).unwrap();
    }
    let names: Vec<_> =
        frames.iter().flat_map(|frame| &frame.messages).map(|m| m.name.as_ref()).collect();
    let expected = ["a", "a", "a", "b", "", "a"];
    assert!(names.iter().map(|name| name.map_or("", |name| name)).eq(expected));
    let is_shared =
        names.iter().map(|name| name.is_some_and(|name| Arc::ptr_eq(name, names[0].unwrap())));
    assert!(is_shared.eq([true, true, true, false, false, true]));
}

#[test]
fn nesting_is_bounded_wherever_it_can_occur() {
    for key in ["data", "extras", "unknown"] {
        for depth in [40, 100, 100_000] {
            let nested = "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);
            let body = format!("{{\"{key}\":{nested}}}");
            let read = decode_messages(Format::Json, body.as_bytes());
            assert_eq!(read.map_err(|error| error.code).err(), (depth > 64).then_some(40001));

            let mut packed = vec![0x81, 0xa0 + u8::try_from(key.len()).unwrap()];
            packed.extend(key.as_bytes());
            packed.extend(b"\x81\xa1a".repeat(depth));
            packed.push(1);
            let read = decode_messages(Format::MessagePack, &packed);
            assert_eq!(read.map_err(|error| error.code).err(), (depth > 64).then_some(40001));
        }
    }
}

#[test]
fn lists_are_bounded() {
    let body = |len: usize| format!("[{}{{}}]", "{},".repeat(len - 1));
    assert_eq!(decode_messages(Format::Json, body(10_000).as_bytes()).unwrap().len(), 10_000);
    assert_eq!(decode_messages(Format::Json, body(10_001).as_bytes()).unwrap_err().code, 40001);
}

#[test]
fn bodies_may_hold_one_item_or_a_list() {
    for (format, bytes) in both(&json!([{"name": "a"}, {"name": "b"}])) {
        assert_eq!(decode_messages(format, &bytes).unwrap().len(), 2);
    }
    for (format, bytes) in both(&json!({"action": 2, "clientId": "ann"})) {
        assert_eq!(decode_presence(format, &bytes).unwrap().len(), 1);
    }
    for (format, bytes) in both(&json!([])) {
        assert_eq!(decode_messages(format, &bytes).unwrap(), []);
    }
}

#[test]
fn small_bodies_go_through_serde_in_both_formats() {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Request {
        key_name: String,
        ttl: Option<u64>,
    }
    let request = Request { key_name: "app.key".into(), ttl: Some(60_000) };
    assert_eq!(
        encode_value(&request, Format::Json).unwrap(),
        r#"{"keyName":"app.key","ttl":60000}"#
    );
    for format in Format::ALL {
        let body = encode_value(&request, format).unwrap();
        assert_eq!(decode_value::<Request>(format, &body).unwrap(), request);
        let mut trailing = body.to_vec();
        trailing.push(b'1');
        assert_eq!(decode_value::<Request>(format, &trailing).unwrap_err().code, 40001);
    }
    for depth in [10, 1_000, 100_000] {
        let json = vec![b'['; depth];
        let packed = vec![0x91; depth];
        assert!(decode_value::<Value>(Format::Json, &json).is_err());
        assert!(decode_value::<Value>(Format::MessagePack, &packed).is_err());
    }
}

#[test]
fn a_frame_can_be_reencoded_for_the_other_format() {
    let json = json!({"action": 15, "messages": [{"data": "AP8=", "encoding": "base64"}]});
    let read = decode(Format::Json, json.to_string().as_bytes()).unwrap();
    let packed = encode(&read, Format::MessagePack);
    assert_eq!(packed, &b"\x82\xa6action\x0f\xa8messages\x91\x81\xa4data\xc4\x02\x00\xff"[..]);
}
