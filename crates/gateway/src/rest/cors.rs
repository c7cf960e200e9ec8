//! Cross-origin requests: scripts of every origin may call and read everything.
//!
//! That is safe because nothing is authorised by a cookie or by where a request comes from, only by
//! credentials that the script itself must have. The origin is repeated rather than `*`, which
//! browsers refuse for requests with an `Authorization` header in credentials mode.

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::answer::{self, Answer};

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
const EXPOSED: HeaderValue =
    HeaderValue::from_static("Link, X-Ably-ErrorCode, X-Ably-ErrorMessage, X-Ably-ServerId");

/// Seconds that a browser may remember a preflight.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// The answer to any preflight: whatever is asked for is allowed.
pub(super) fn preflight(request: &HeaderMap) -> Answer {
    let mut answer = answer::empty(StatusCode::NO_CONTENT);
    let headers = answer.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    if let Some(asked) = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    answer
}

/// Lets the script that made the request read the answer.
pub(super) fn expose(request: &HeaderMap, answer: &mut HeaderMap) {
    let Some(origin) = request.get(header::ORIGIN) else { return };
    answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    answer.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    answer.insert(header::VARY, HeaderValue::from_static("Origin"));
}
