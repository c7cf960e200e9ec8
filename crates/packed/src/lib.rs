//! What a channel has taken, as bytes: an entry as a log holds it and a store keeps it, and a snapshot of
//! a channel's objects. No wire format: each begins with a version byte, then come the fields in the
//! order of the code; a new field is a new version.
//!
//! Decoding takes any bytes, since disks lose some: what does not fit is [`Unreadable`].
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

mod codec;
mod entry;
mod extras;
mod message;
mod object;
mod serial;
mod snapshot;
mod version_1;

pub use codec::{Decoder, Unreadable, put_bytes, put_varint, put_written};
pub use entry::{decode, encode, position};
pub use serial::{SERIAL_LENGTH, serial, take_serial};
pub use snapshot::{decode as decode_snapshot, encode as encode_snapshot};
