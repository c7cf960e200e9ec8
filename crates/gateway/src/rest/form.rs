//! Bodies as HTML forms and `curl -d` send them: the fields of an object, all of them text.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::call::Call;

pub(super) const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";

/// The body as JSON if it is a form. One that begins like JSON is JSON: `curl -d` says of everything
/// that it is a form. The body of a publish without envelope is data, whatever its type.
pub(super) fn readable(call: &Call<'_>, body: Bytes) -> Bytes {
    let is_form = call.content_type() == Some(CONTENT_TYPE);
    if !is_form
        || call.param("enveloped") == Some("false")
        || body.starts_with(b"{")
        || body.starts_with(b"[")
    {
        return body;
    }
    let fields = std::str::from_utf8(&body).ok().and_then(|text| protocol::parse_query(text).ok());
    match fields {
        Some(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (name, Value::from(value)));
            Value::from(fields.collect::<Map<String, Value>>()).to_string().into()
        }
        // It will be refused as what it is not.
        None => body,
    }
}
