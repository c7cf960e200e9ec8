//! Objects on the wire: operations in the form of every version, values, and what OBJECT and
//! OBJECT_SYNC look like.

use std::collections::BTreeMap;

use bytes::Bytes;
use protocol::{
    Action, Format, InitialValue, ObjectItem, ObjectPayload, ObjectRequest, ProtocolMessage, Tree,
    decode, decode_initial_value, decode_object_operations, encode, encode_tree,
};
use types::{
    Finite, MapEntry, MapValue, ObjectAction, ObjectData, ObjectId, ObjectKind, ObjectState,
    ObjectValue, Timestamp,
};

/// The operation of an OBJECT frame in JSON.
fn operation(json: &str) -> ObjectRequest {
    let frame = format!(r#"{{"action":19,"state":[{{"operation":{json}}}]}}"#);
    let mut frame = decode(Format::Json, frame.as_bytes()).unwrap();
    frame.state.remove(0).operation.unwrap()
}

fn action_of(json: &str) -> Option<ObjectAction> {
    match operation(json).payload {
        Some(ObjectPayload::Action(action)) => Some(action),
        Some(ObjectPayload::Create(_)) | None => None,
    }
}

fn number(number: f64) -> Finite {
    Finite::new(number).unwrap()
}

#[test]
fn operations_on_objects_are_read_in_the_form_of_every_version() {
    let set = ObjectAction::MapSet { key: "k".into(), value: ObjectData::Text("v".into()) };
    let remove = ObjectAction::MapRemove { key: "k".into() };
    let increment = ObjectAction::CounterInc(number(-2.5));
    for (json, expected) in [
        (r#"{"action":1,"mapSet":{"key":"k","value":{"string":"v"}}}"#, &set),
        (r#"{"action":1,"mapOp":{"key":"k","data":{"string":"v"}}}"#, &set),
        (r#"{"action":2,"mapRemove":{"key":"k"}}"#, &remove),
        (r#"{"action":2,"mapOp":{"key":"k"}}"#, &remove),
        (r#"{"action":4,"counterInc":{"number":-2.5}}"#, &increment),
        (r#"{"counterOp":{"amount":-2.5},"action":4}"#, &increment),
        (r#"{"action":6,"mapClear":{}}"#, &ObjectAction::MapClear),
    ] {
        assert_eq!(action_of(json).as_ref(), Some(expected), "{json}");
    }
    let created = InitialValue { kind: ObjectKind::Map, json: "{}".into(), nonce: "n".into() };
    for json in [
        r#"{"action":0,"mapCreateWithObjectId":{"initialValue":"{}","nonce":"n"}}"#,
        r#"{"action":0,"initialValue":"{}","nonce":"n"}"#,
    ] {
        assert_eq!(operation(json).payload, Some(ObjectPayload::Create(created.clone())), "{json}");
    }
}

#[test]
fn an_operation_that_makes_no_sense_costs_nobody_the_frame() {
    for json in [
        "{}",
        r#"{"action":4}"#,
        r#"{"action":77,"counterInc":{"number":1}}"#,
        r#"{"action":1,"counterInc":{"number":1}}"#,
        r#"{"action":4,"counterInc":{}}"#,
        r#"{"action":1,"mapSet":{"key":"k"}}"#,
        r#"{"action":1,"mapSet":{"value":{"number":1}}}"#,
        r#"{"action":1,"mapSet":{"key":"k","value":{"objectId":"nonsense"}}}"#,
        r#"{"action":1,"mapSet":{"key":"k","value":{"json":"1"}}}"#,
        r#"{"action":1,"mapSet":{"key":"k","value":{"bytes":"%"}}}"#,
    ] {
        assert_eq!(operation(json).payload, None, "{json}");
    }
}

#[test]
fn values_of_objects_are_typed_and_bytes_are_base64_in_json() {
    let value =
        |json: &str| action_of(&format!(r#"{{"action":1,"mapSet":{{"key":"","value":{json}}}}}"#));
    let set = |value| Some(ObjectAction::MapSet { key: "".into(), value });
    assert_eq!(
        value(r#"{"bytes":"AQID"}"#),
        set(ObjectData::Bytes(Bytes::from_static(&[1, 2, 3])))
    );
    let json = || set(ObjectData::Json("[1]".into()));
    assert_eq!(value(r#"{"json":"[1]"}"#), json());
    assert_eq!(value(r#"{"json":[1]}"#), json());
    assert_eq!(value(r#"{"string":"[1]","encoding":"json"}"#), json());
    assert_eq!(value(r#"{"number":0}"#), set(ObjectData::Number(number(0.0))));
}

#[test]
fn initial_values_are_read_and_nothing_but_last_writer_wins_is_accepted() {
    let entries = vec![("k".into(), ObjectData::Boolean(true))];
    for json in [
        r#"{"semantics":0,"entries":{"k":{"data":{"boolean":true}}}}"#,
        r#"{"map":{"semantics":0,"entries":{"k":{"data":{"boolean":true}}}}}"#,
        r#"{"semantics":"LWW","entries":{"k":{"data":{"boolean":true}}}}"#,
    ] {
        let read = decode_initial_value(ObjectKind::Map, json).unwrap();
        assert_eq!(read, Some(ObjectAction::MapCreate(entries.clone())), "{json}");
    }
    assert_eq!(
        decode_initial_value(ObjectKind::Counter, r#"{"count":3}"#).unwrap(),
        Some(ObjectAction::CounterCreate(number(3.0)))
    );
    assert_eq!(decode_initial_value(ObjectKind::Map, r#"{"semantics":1}"#).unwrap(), None);
    assert_eq!(decode_initial_value(ObjectKind::Map, "{").unwrap_err().code, 92_000);
}

#[test]
fn an_operation_in_json_and_a_float_in_messagepack() {
    let request = ObjectRequest {
        object_id: Some("counter:h@1".into()),
        payload: Some(ObjectPayload::Action(ObjectAction::CounterInc(number(3.0)))),
    };
    let item = ObjectItem {
        operation: Some(request),
        serial: Some("s".into()),
        serial_timestamp: Some(Timestamp(5)),
        site_code: Some("dun".parse().unwrap()),
        ..ObjectItem::default()
    };
    let frame = ProtocolMessage { state: vec![item], ..ProtocolMessage::new(Action::Object) };
    assert_eq!(
        encode(&frame, Format::Json),
        r#"{"action":19,"state":[{"operation":{"action":4,"objectId":"counter:h@1","counterInc":{"number":3}},"serial":"s","serialTimestamp":5,"siteCode":"dun"}]}"#
    );
    let packed = encode(&frame, Format::MessagePack);
    let float = [&[0xcb], 3_f64.to_be_bytes().as_slice()].concat();
    assert!(packed.windows(float.len()).any(|window| window == float));
}

#[test]
fn an_object_as_it_is_in_json() {
    let serial: types::ItemPosition = "00000000000007-000@dunabcdefghi:001".parse().unwrap();
    let entry = |value, serial| MapEntry { value, serial };
    let entries = BTreeMap::from([
        ("a".into(), entry(MapValue::Data(ObjectData::Number(number(0.5))), None)),
        ("b".into(), entry(MapValue::Tombstone(Timestamp(7)), Some(serial))),
    ]);
    let object = ObjectState {
        object_id: ObjectId::root(),
        site_serials: BTreeMap::from([("dun".parse().unwrap(), serial)]),
        deleted: None,
        created: Some(ObjectAction::MapCreate(Vec::new())),
        value: ObjectValue::Map { entries, cleared: Some(serial) },
    };
    let item = ObjectItem { object: Some(Box::new(object)), ..ObjectItem::default() };
    let frame = ProtocolMessage { state: vec![item], ..ProtocolMessage::new(Action::ObjectSync) };
    let s = serial.to_string();
    assert_eq!(
        encode(&frame, Format::Json),
        format!(
            r#"{{"action":20,"state":[{{"object":{{"objectId":"root","siteTimeserials":{{"dun":"{s}"}},"tombstone":false,"createOp":{{"action":0,"objectId":"root","mapCreate":{{"semantics":0,"entries":{{}}}}}},"map":{{"semantics":0,"entries":{{"a":{{"data":{{"number":0.5}}}},"b":{{"timeserial":"{s}","tombstone":true,"serialTimestamp":7}}}},"clearTimeserial":"{s}"}}}}}}]}}"#
        )
    );
}

#[test]
fn rest_operations_come_alone_or_in_a_list_and_carry_id_and_path() {
    let one = br#"{"id":"x","path":"a.b","mapCreate":{"semantics":0}}"#;
    let list = [b"[", one.as_slice(), b"]"].concat();
    for body in [one.as_slice(), &list] {
        let read = decode_object_operations(Format::Json, body).unwrap();
        let [operation] = read.as_slice() else { panic!("{read:?}") };
        assert_eq!((operation.id.as_deref(), operation.path.as_deref()), (Some("x"), Some("a.b")));
        let create = ObjectPayload::Action(ObjectAction::MapCreate(Vec::new()));
        assert_eq!(operation.request.payload, Some(create));
    }
}

#[test]
fn trees_are_json_with_bytes() {
    let tree = Tree::Map(vec![
        ("a".into(), Tree::Bytes(Bytes::from_static(&[1, 2, 3]))),
        ("b".into(), Tree::Number(number(1.0))),
        ("c".into(), Tree::Boolean(false)),
        ("d".into(), Tree::Text("x".into())),
    ]);
    let json = encode_tree(&tree, Format::Json);
    assert_eq!(json, r#"{"a":"AQID","b":1,"c":false,"d":"x"}"#);
    let packed = encode_tree(&tree, Format::MessagePack);
    assert!(packed.windows(5).any(|window| window == [0xc4, 3, 1, 2, 3]));
}
