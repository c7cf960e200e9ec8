//! Bytes to values and back, for frames and for REST bodies.
//!
//! A frame that is malformed is a protocol error (80013), a malformed body an invalid body (40001).
//! Payloads and extras that no message can have are refused with codes of their own (40013, 40032).

use std::fmt;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use types::error::{INTERNAL, INVALID_BODY, OBJECT_INVALID, PROTOCOL_ERROR};
use types::{Annotation, ErrorCode, ErrorInfo, Message, ObjectAction, ObjectKind, PresenceMessage};

use crate::Format;
use crate::batch::{BatchBody, BatchPublish};
use crate::delivered::Delivered;
use crate::frame::ProtocolMessage;
use crate::json::{JsonReader, JsonWriter};
use crate::message::{Flat, MessageShape};
use crate::msgpack::{MsgPackReader, MsgPackWriter};
use crate::object::{Created, RestOperation};
use crate::object_data::Tree;
use crate::read::{Decode, Kind, Problem, Read, Reader};
use crate::write::{Encode, Writer};

/// Room for the fields of a frame, and for those of a message besides its data.
const FIELDS_CAPACITY: usize = 256;

/// Room for what an acknowledgement says of a publish of one message.
const RESULT_CAPACITY: usize = 64;

/// Room for what a list adds to its items.
const LIST_CAPACITY: usize = 8;

/// Reads one frame. Unknown fields and actions are tolerated, absent and null are the same, and
/// integers may travel as floats.
pub fn decode(format: Format, bytes: &[u8]) -> Result<ProtocolMessage, ErrorInfo> {
    read(format, bytes, PROTOCOL_ERROR)
}

/// Like [`decode`], from text and onto a list, where the frame stays, since it is large. On an error the
/// list is as it was.
pub fn decode_json_onto(frames: &mut Vec<ProtocolMessage>, text: &str) -> Result<(), ErrorInfo> {
    decode_onto(frames, JsonReader::new(text))
}

/// Like [`decode_json_onto`], from MessagePack.
pub fn decode_msgpack_onto(
    frames: &mut Vec<ProtocolMessage>,
    bytes: &[u8],
) -> Result<(), ErrorInfo> {
    decode_onto(frames, MsgPackReader::new(bytes))
}

/// Writes one frame, without absent fields.
pub fn encode(frame: &ProtocolMessage, format: Format) -> Bytes {
    let messages: usize = frame.messages.iter().map(|message| capacity(message.data.len())).sum();
    let presence: usize = frame.presence.iter().map(|event| capacity(event.data.len())).sum();
    let annotations: usize = frame.annotations.iter().map(|a| capacity(a.data.len())).sum();
    let res = frame.res.len() * RESULT_CAPACITY;
    write(frame, format, FIELDS_CAPACITY + messages + presence + annotations + res)
}

/// Writes one frame that delivers messages.
pub(crate) fn encode_delivered(frame: &Delivered<'_>, format: Format) -> Bytes {
    let messages: usize = frame.messages.iter().map(|message| capacity(message.data.len())).sum();
    write(frame, format, FIELDS_CAPACITY + messages)
}

/// Reads several frames in one body: a list of them, or just one.
pub fn decode_all(format: Format, body: &[u8]) -> Result<Vec<ProtocolMessage>, ErrorInfo> {
    read(format, body, PROTOCOL_ERROR).map(|OneOrMany(frames)| frames)
}

/// One body of several encoded frames: a list of them.
pub fn join(frames: &[Bytes], format: Format) -> Vec<u8> {
    let capacity = frames.iter().map(|frame| frame.len() + 1).sum::<usize>() + LIST_CAPACITY;
    match format {
        Format::Json => write_to::<JsonWriter, _>(&Joined(frames), capacity),
        Format::MessagePack => write_to::<MsgPackWriter, _>(&Joined(frames), capacity),
    }
}

/// Reads the body of a publish: one message, or a list of them.
pub fn decode_messages(format: Format, body: &[u8]) -> Result<Vec<Message>, ErrorInfo> {
    read(format, body, INVALID_BODY).map(|OneOrMany(messages)| messages)
}

/// Reads the body of a batch publish: one specification, or a list of them.
pub fn decode_batch(format: Format, body: &[u8]) -> Result<BatchPublish, ErrorInfo> {
    read(format, body, INVALID_BODY)
}

/// Reads a list of presence events, or one of them.
pub fn decode_presence(format: Format, body: &[u8]) -> Result<Vec<PresenceMessage>, ErrorInfo> {
    read(format, body, INVALID_BODY).map(|OneOrMany(presence)| presence)
}

pub fn encode_messages(messages: &[Message], format: Format) -> Bytes {
    encode_messages_as(MessageShape::Versioned, messages, format)
}

pub fn encode_messages_as(shape: MessageShape, messages: &[Message], format: Format) -> Bytes {
    let capacity = messages.iter().map(|message| capacity(message.data.len())).sum();
    match shape {
        MessageShape::Versioned => write(messages, format, capacity),
        MessageShape::Flat => write(Flat::all(messages).as_slice(), format, capacity),
    }
}

pub fn encode_presence(presence: &[PresenceMessage], format: Format) -> Bytes {
    write(presence, format, presence.iter().map(|event| capacity(event.data.len())).sum())
}

/// Reads the body of a publish on objects: one operation, or a list of them.
pub fn decode_object_operations(
    format: Format,
    body: &[u8],
) -> Result<Vec<RestOperation>, ErrorInfo> {
    read(format, body, INVALID_BODY).map(|OneOrMany(operations)| operations)
}

/// The creation that a client derived an object's id from; none if the text is not valid.
pub fn decode_initial_value(
    kind: ObjectKind,
    json: &str,
) -> Result<Option<ObjectAction>, ErrorInfo> {
    let created = read_whole(JsonReader::new(json), OBJECT_INVALID, Created::read)?;
    Ok(created.into_action(kind))
}

pub fn encode_tree(tree: &Tree, format: Format) -> Bytes {
    write(tree, format, FIELDS_CAPACITY)
}

/// The body of the answer to a batch request.
pub fn encode_batch(body: &BatchBody<'_>, format: Format) -> Bytes {
    write(body, format, FIELDS_CAPACITY)
}

/// Reads the body of a publish of annotations, which is always a list.
pub fn decode_annotations(format: Format, body: &[u8]) -> Result<Vec<Annotation>, ErrorInfo> {
    read(format, body, INVALID_BODY).map(|Many(annotations)| annotations)
}

pub fn encode_annotations(annotations: &[Annotation], format: Format) -> Bytes {
    write(annotations, format, annotations.iter().map(|a| capacity(a.data.len())).sum())
}

/// One message as the body of an answer.
pub fn encode_message(shape: MessageShape, message: &Message, format: Format) -> Bytes {
    let capacity = capacity(message.data.len());
    match shape {
        MessageShape::Versioned => write(message, format, capacity),
        MessageShape::Flat => write(&Flat(message), format, capacity),
    }
}

/// The body of an answer that reports an error.
pub fn encode_error(error: &ErrorInfo, format: Format) -> Bytes {
    write(&ErrorBody(error), format, FIELDS_CAPACITY)
}

/// Reads a small REST body that has no payloads.
pub fn decode_value<T: DeserializeOwned>(format: Format, body: &[u8]) -> Result<T, ErrorInfo> {
    match format {
        Format::Json => serde_json::from_slice(body).map_err(invalid_body),
        Format::MessagePack => {
            read::<WellFormed>(format, body, INVALID_BODY)?;
            rmp_serde::from_slice(body).map_err(invalid_body)
        }
    }
}

/// Writes a small REST body, in MessagePack as maps with names. Fails only if `value` has no form
/// in the format, such as a map whose keys are not text.
pub fn encode_value<T: Serialize>(value: &T, format: Format) -> Result<Bytes, ErrorInfo> {
    let body = match format {
        Format::Json => serde_json::to_vec(value).map_err(not_representable)?,
        Format::MessagePack => rmp_serde::to_vec_named(value).map_err(not_representable)?,
    };
    Ok(body.into())
}

fn invalid_body(error: impl fmt::Display) -> ErrorInfo {
    INVALID_BODY.with(format!("invalid body: {error}"))
}

fn not_representable(error: impl fmt::Display) -> ErrorInfo {
    INTERNAL.with(format!("answer not representable: {error}"))
}

fn capacity(data: usize) -> usize {
    FIELDS_CAPACITY + data
}

fn read<T: Decode>(format: Format, bytes: &[u8], malformed: ErrorCode) -> Result<T, ErrorInfo> {
    match format {
        Format::Json => read_whole(JsonReader::new(utf8(bytes, malformed)?), malformed, T::read),
        Format::MessagePack => read_whole(MsgPackReader::new(bytes), malformed, T::read),
    }
}

fn utf8(bytes: &[u8], malformed: ErrorCode) -> Result<&str, ErrorInfo> {
    simdutf8::basic::from_utf8(bytes)
        .map_err(|_invalid| explain(Problem::Malformed("not UTF-8"), 0, malformed))
}

fn decode_onto<'a, R: Reader<'a>>(
    frames: &mut Vec<ProtocolMessage>,
    reader: R,
) -> Result<(), ErrorInfo> {
    let before = frames.len();
    let read = read_whole(reader, PROTOCOL_ERROR, |r| ProtocolMessage::read_onto(frames, r));
    if read.is_err() {
        frames.truncate(before);
    }
    read
}

fn read_whole<'a, R: Reader<'a>, T>(
    mut reader: R,
    malformed: ErrorCode,
    read: impl FnOnce(&mut R) -> Read<T>,
) -> Result<T, ErrorInfo> {
    let value = read(&mut reader).and_then(|value| reader.end().map(|()| value));
    value.map_err(|problem| explain(problem, reader.position(), malformed))
}

#[cold]
fn explain(problem: Problem, position: usize, malformed: ErrorCode) -> ErrorInfo {
    match problem {
        Problem::Malformed(what) | Problem::NotJson(what) => {
            malformed.with(format!("{}: {what} at byte {position}", malformed.meaning))
        }
        Problem::Refused(error) => error,
    }
}

fn write<T: Encode + ?Sized>(value: &T, format: Format, capacity: usize) -> Bytes {
    match format {
        Format::Json => write_to::<JsonWriter, T>(value, capacity).into(),
        Format::MessagePack => write_to::<MsgPackWriter, T>(value, capacity).into(),
    }
}

fn write_to<W: Writer, T: Encode + ?Sized>(value: &T, capacity: usize) -> Vec<u8> {
    let mut writer = W::with_capacity(capacity);
    value.write(&mut writer);
    writer.finish()
}

/// Bounds nesting and refuses trailing bytes, which `rmp_serde` does not.
struct WellFormed;

impl Decode for WellFormed {
    fn read<'a, R: Reader<'a>>(r: &mut R) -> Read<Self> {
        r.skip().map(|()| Self)
    }
}

pub(crate) struct OneOrMany<T>(pub(crate) Vec<T>);

impl<T: Decode> Decode for OneOrMany<T> {
    fn read<'a, R: Reader<'a>>(r: &mut R) -> Read<Self> {
        if r.kind()? == Kind::List { r.items().map(Self) } else { Ok(Self(vec![T::read(r)?])) }
    }
}

struct Many<T>(Vec<T>);

impl<T: Decode> Decode for Many<T> {
    fn read<'a, R: Reader<'a>>(r: &mut R) -> Read<Self> {
        r.items().map(Self)
    }
}

impl<T: Encode> Encode for [T] {
    fn write<W: Writer>(&self, w: &mut W) {
        w.items(self);
    }
}

struct Joined<'b>(&'b [Bytes]);

impl Encode for Joined<'_> {
    fn write<W: Writer>(&self, w: &mut W) {
        w.list(self.0, |w, frame| w.encoded(frame));
    }
}

struct ErrorBody<'e>(&'e ErrorInfo);

impl Encode for ErrorBody<'_> {
    fn write<W: Writer>(&self, w: &mut W) {
        w.map(|f| f.value("error", Some(self.0)));
    }
}
