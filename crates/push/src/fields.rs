//! Fields of JSON objects that clients send, each of the type that it must have (40000).

use serde_json::{Map, Value};
use types::ErrorInfo;
use types::error::BAD_REQUEST;

/// A text; absent and null are the same.
pub(crate) fn text<'a>(
    map: &'a Map<String, Value>,
    name: &str,
) -> Result<Option<&'a str>, ErrorInfo> {
    match map.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(BAD_REQUEST.with(format!("{name} must be a text"))),
    }
}

/// A text that is not empty.
pub(crate) fn label<'a>(
    map: &'a Map<String, Value>,
    name: &str,
) -> Result<Option<&'a str>, ErrorInfo> {
    match text(map, name)? {
        Some("") => Err(BAD_REQUEST.with(format!("{name} must not be empty"))),
        label => Ok(label),
    }
}

/// An object; absent and null are the same.
pub(crate) fn object<'a>(
    map: &'a Map<String, Value>,
    name: &str,
) -> Result<Option<&'a Map<String, Value>>, ErrorInfo> {
    match map.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(_) => Err(BAD_REQUEST.with(format!("{name} must be an object"))),
    }
}

pub(crate) fn required<T>(field: Option<T>, name: &str) -> Result<T, ErrorInfo> {
    field.ok_or_else(|| BAD_REQUEST.with(format!("{name} missing")))
}

/// Bytes of the object as JSON.
pub(crate) fn size(map: &Map<String, Value>) -> usize {
    serde_json::to_vec(map).map_or(usize::MAX, |json| json.len())
}
