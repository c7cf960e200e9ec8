//! The client protocol on the wire: protocol messages, their JSON and MessagePack codecs, and the
//! shapes of REST bodies. Pure: bytes in, values out, and back. Knows nothing of connections.
//!
//! `read` and `write` say what a format must offer, `json` and `msgpack` offer it, and `message`,
//! `annotation`, `payload`, `object*` and `frame_fields` describe the fields once for both.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::wildcard_enum_match_arm
    )
)]

mod annotation;
mod batch;
mod codec;
mod delivered;
mod format;
mod frame;
mod frame_fields;
mod json;
mod message;
mod msgpack;
mod object;
mod object_data;
mod object_state;
mod payload;
mod query;
mod read;
mod results;
mod vcdiff;
mod write;

pub use batch::{BatchBody, BatchPublish, BatchResult, BatchSpec, BatchSuccess, Subject};
pub use codec::{
    decode, decode_all, decode_annotations, decode_batch, decode_initial_value, decode_json_onto,
    decode_messages, decode_msgpack_onto, decode_object_operations, decode_presence, decode_value,
    encode, encode_annotations, encode_batch, encode_error, encode_message, encode_messages,
    encode_messages_as, encode_presence, encode_tree, encode_value, join,
};
pub use delivered::Delivered;
pub use format::Format;
pub use frame::{Action, ConnectionDetails, ProtocolMessage, flags};
pub use message::MessageShape;
pub use object::{InitialValue, ObjectItem, ObjectPayload, ObjectRequest, RestOperation};
pub use object_data::Tree;
pub use query::{decode_segment, encode_segment, parse_query};
pub use vcdiff::delta;
