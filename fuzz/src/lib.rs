//! What the codec targets have in common: bytes are offered as everything that can arrive, and what
//! decodes must survive both formats unchanged.

use std::fmt::Debug;

use protocol::{
    Format, decode, decode_messages, decode_presence, decode_value, encode, encode_messages,
    encode_presence,
};
use types::ErrorInfo;

/// Offers `bytes` to every decoder of `format`.
pub fn arrive(format: Format, bytes: &[u8]) {
    if let Ok(frame) = decode(format, bytes) {
        survives(&frame, decode, |frame, format| encode(frame, format));
    }
    if let Ok(messages) = decode_messages(format, bytes) {
        survives(&messages, decode_messages, |messages, format| encode_messages(messages, format));
    }
    if let Ok(presence) = decode_presence(format, bytes) {
        survives(&presence, decode_presence, |presence, format| encode_presence(presence, format));
    }
    drop(decode_value::<Vec<Option<(String, u64)>>>(format, bytes));
}

fn survives<T: PartialEq + Debug, B: AsRef<[u8]>>(
    value: &T,
    decode: fn(Format, &[u8]) -> Result<T, ErrorInfo>,
    encode: fn(&T, Format) -> B,
) {
    for format in Format::ALL {
        let again = decode(format, encode(value, format).as_ref());
        assert_eq!(again.as_ref(), Ok(value), "through {format:?}");
    }
}
