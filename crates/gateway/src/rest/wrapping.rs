//! Answers for clients that see neither status nor headers: wrapped in an object (`envelope=json`), as
//! the argument of a function call (`format=jsonp`), or both (`envelope=jsonp`).
//!
//! What is wrapped has the status 200. Answers that go on, and those that are not JSON, are left as
//! they are.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header, request::Parts};
use http_body_util::BodyExt;
use serde_json::{Map, Value, json};
use types::{ErrorInfo, error::INVALID_PARAM};

use super::{answer::Answer, call};
use crate::body::Body;

const JAVASCRIPT: &str = "application/javascript";
const DEFAULT_CALLBACK: &str = "callback";
/// Longest name of a function.
const MAX_CALLBACK: usize = 128;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrapping {
    enveloped: bool,
    /// The function to call.
    callback: Option<String>,
}

impl Wrapping {
    /// What the head of a request and its parameters ask for; 40003 for what is neither a form nor
    /// the name of a function.
    pub(super) fn asked(
        head: &Parts,
        query: &[(String, String)],
    ) -> Result<Option<Self>, ErrorInfo> {
        // Clients that ask for an envelope in MessagePack read an answer without one too.
        let envelope = call::param(query, "envelope").filter(|form| *form != "msgpack");
        if !matches!(envelope, None | Some("json" | "jsonp")) {
            return Err(INVALID_PARAM.with("envelope is json or jsonp"));
        }
        let accepts = call::header(head, header::ACCEPT).unwrap_or_default();
        let calls = envelope == Some("jsonp")
            || call::param(query, "format") == Some("jsonp")
            || accepts.contains(JAVASCRIPT);
        if !calls && envelope.is_none() {
            return Ok(None);
        }
        let callback = call::param(query, "callback").unwrap_or(DEFAULT_CALLBACK);
        if calls && !is_function(callback) {
            return Err(INVALID_PARAM.with("callback does not name a function"));
        }
        let callback = calls.then(|| callback.to_owned());
        Ok(Some(Self { enveloped: envelope.is_some(), callback }))
    }

    pub(super) async fn wrap(&self, answer: Answer) -> Answer {
        let is_json = |kind: &HeaderValue| kind.as_bytes() == b"application/json";
        let wraps = answer.headers().get(header::CONTENT_TYPE).is_none_or(is_json);
        let (mut head, body) = answer.into_parts();
        let whole = match body {
            Body::Whole(whole) if wraps => whole,
            other => return Answer::from_parts(head, other),
        };
        let Ok(collected) = whole.collect().await;
        let response = String::from_utf8_lossy(&collected.to_bytes()).into_owned();
        let mut text = if self.enveloped {
            let envelope = envelope(&head, &response);
            head.status = StatusCode::OK;
            envelope
        } else {
            response
        };
        if let Some(callback) = &self.callback {
            // The comment keeps a name that a stranger chose from being the first bytes.
            text = format!("/**/{callback}({})", as_script(&text));
        }
        let kind = self.callback.as_ref().map_or("application/json", |_| JAVASCRIPT);
        head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        head.headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Answer::from_parts(head, Bytes::from(text).into())
    }
}

/// `{"statusCode", "headers", "rel", "response"}`; what is empty is left out.
fn envelope(head: &http::response::Parts, response: &str) -> String {
    let mut headers = Map::new();
    for name in head.headers.keys() {
        let values = head.headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        headers.insert(name.to_string(), values.collect::<Vec<_>>().join(", ").into());
    }
    let links =
        head.headers.get_all(header::LINK).into_iter().filter_map(|link| link.to_str().ok());
    let rel: Map<String, Value> = links.filter_map(relation).collect();
    let mut envelope = json!({"statusCode": head.status.as_u16(), "headers": headers});
    if !rel.is_empty() {
        envelope["rel"] = rel.into();
    }
    let mut text = envelope.to_string();
    if !response.is_empty() {
        // Not read again: it is JSON already.
        text.truncate(text.len() - 1);
        text += ",\"response\":";
        text += response;
        text.push('}');
    }
    text
}

/// `<url>; rel="name"`
fn relation(link: &str) -> Option<(String, Value)> {
    let (url, rest) = link.strip_prefix('<')?.split_once('>')?;
    let name = rest.split_once("rel=\"")?.1.strip_suffix('"')?;
    Some((name.to_owned(), url.into()))
}

/// JSON as an expression of any script: some took these for ends of lines.
fn as_script(json: &str) -> String {
    json.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// Names between dots, each with an index at most, as libraries make them.
fn is_function(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_$.[]".contains(&byte);
    text.len() <= MAX_CALLBACK
        && text.starts_with(|first: char| first.is_ascii_alphabetic() || "_$".contains(first))
        && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests;
