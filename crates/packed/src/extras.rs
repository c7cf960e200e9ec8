//! `extras` in MessagePack, because JSON text does not keep every float as it is. Written by hand, since
//! nothing that is in them can fail to be written; read by the library.

use std::sync::Arc;

use serde_json::{Map, Number, Value};
use types::Extras;

use crate::codec::{Decoder, Unreadable, put_bytes};

pub(crate) fn put(to: &mut Vec<u8>, extras: &Extras) {
    let mut packed = Vec::new();
    put_map(&mut packed, extras);
    put_bytes(to, &packed);
}

pub(crate) fn take(from: &mut Decoder<'_>) -> Result<Extras, Unreadable> {
    rmp_serde::from_slice(from.bytes()?).map(Arc::new).map_err(|_not_extras| from.damaged())
}

fn put_value(to: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => to.push(0xc0),
        Value::Bool(value) => to.push(0xc2 + u8::from(*value)),
        Value::Number(number) => put_number(to, number),
        Value::String(text) => put_text(to, text),
        Value::Array(items) => {
            put_length(to, 0xdd, items.len());
            items.iter().for_each(|item| put_value(to, item));
        }
        Value::Object(map) => put_map(to, map),
    }
}

fn put_map(to: &mut Vec<u8>, map: &Map<String, Value>) {
    put_length(to, 0xdf, map.len());
    for (key, value) in map {
        put_text(to, key);
        put_value(to, value);
    }
}

fn put_text(to: &mut Vec<u8>, text: &str) {
    match u8::try_from(text.len()) {
        Ok(length) => to.extend([0xd9, length]),
        Err(_) => put_length(to, 0xdb, text.len()),
    }
    to.extend_from_slice(text.as_bytes());
}

/// What there can be of them has come in one frame, which is far smaller than 4 GiB.
fn put_length(to: &mut Vec<u8>, marker: u8, length: usize) {
    to.push(marker);
    to.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
}

fn put_number(to: &mut Vec<u8>, number: &Number) {
    if let Some(natural) = number.as_u64() {
        to.push(0xcf);
        to.extend(natural.to_be_bytes());
    } else if let Some(integer) = number.as_i64() {
        to.push(0xd3);
        to.extend(integer.to_be_bytes());
    } else {
        to.push(0xcb);
        to.extend(number.as_f64().unwrap_or_default().to_be_bytes());
    }
}
