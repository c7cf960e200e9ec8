//! One MESSAGE, in either format: read as a client publishes it, written as a subscriber gets it.

use std::hint::black_box;

use protocol::{Format, ProtocolMessage, decode, decode_json_onto, decode_msgpack_onto, encode};
use types::ErrorInfo;

/// Bytes of data in each message.
const DATA: usize = 300;

/// Frames that come together. More would measure how the system allocator treats many texts of one size.
const GATHERED: usize = 4;

pub(crate) fn decode_json(count: u64) {
    let json = encode(&published(), Format::Json);
    let Ok(text) = std::str::from_utf8(&json) else { return };
    decode_often(count, |frames| decode_json_onto(frames, black_box(text)));
}

pub(crate) fn decode_msgpack(count: u64) {
    let bytes = encode(&published(), Format::MessagePack);
    decode_often(count, |frames| decode_msgpack_onto(frames, black_box(&bytes)));
}

pub(crate) fn encode_json(count: u64) {
    encode_often(count, Format::Json);
}

pub(crate) fn encode_msgpack(count: u64) {
    encode_often(count, Format::MessagePack);
}

fn decode_often(count: u64, decode: impl Fn(&mut Vec<ProtocolMessage>) -> Result<(), ErrorInfo>) {
    let mut frames = Vec::with_capacity(GATHERED);
    for _ in 0..count {
        assert!(decode(&mut frames).is_ok());
        if frames.len() == GATHERED {
            black_box(&mut frames).clear();
        }
    }
}

fn encode_often(count: u64, format: Format) {
    let frame = delivered();
    for _ in 0..count {
        black_box(encode(black_box(&frame), format));
    }
}

/// A publish of one message.
pub(crate) fn published() -> ProtocolMessage {
    frame(&format!(
        r#"{{"action":15,"channel":"room","msgSerial":7,"messages":[{{"name":"greeting","data":"{}"}}]}}"#,
        "x".repeat(DATA)
    ))
}

fn delivered() -> ProtocolMessage {
    frame(&format!(
        r#"{{"action":15,"id":"hQ3yAcWJ2b:7","channel":"room","channelSerial":"dun@01770000000000-000:0000000042",
        "connectionId":"hQ3yAcWJ2b","timestamp":1770000000000,"messages":[{{"id":"hQ3yAcWJ2b:7:0","name":"greeting",
        "serial":"01770000000000-000@dun:000","action":0,"data":"{}"}}]}}"#,
        "x".repeat(DATA)
    ))
}

/// A frame from its JSON, in which it is shorter than as a value.
pub(crate) fn frame(json: &str) -> ProtocolMessage {
    match decode(Format::Json, json.as_bytes()) {
        Ok(frame) => frame,
        Err(error) => panic!("{json}: {error:?}"),
    }
}
