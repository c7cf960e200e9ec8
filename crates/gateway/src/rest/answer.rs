//! Answers: status, body and content type, and errors in both body and headers.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use protocol::Format;
use types::{ErrorInfo, error::METHOD_NOT_ALLOWED};

pub(super) const SERVER_ID: HeaderName = HeaderName::from_static("x-ably-serverid");
const ERROR_CODE: HeaderName = HeaderName::from_static("x-ably-errorcode");
const ERROR_MESSAGE: HeaderName = HeaderName::from_static("x-ably-errormessage");

/// Characters of an error message that its header carries; the body has all of it.
const MAX_HEADER_MESSAGE: usize = 256;

pub(crate) type Answer = Response<Full<Bytes>>;

pub(super) fn formatted(status: StatusCode, body: Bytes, format: Format) -> Answer {
    with_type(status, HeaderValue::from_static(format.content_type()), body)
}

pub(super) fn text(content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    with_type(StatusCode::OK, HeaderValue::from_static(content_type), body.into())
}

pub(super) fn empty(status: StatusCode) -> Answer {
    let mut answer = Answer::default();
    *answer.status_mut() = status;
    answer
}

pub(super) fn error(error: &ErrorInfo, format: Format) -> Answer {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    failed(status, error, protocol::encode_error(error, format), format)
}

/// An error whose body says more than the error.
pub(super) fn failed(status: StatusCode, error: &ErrorInfo, body: Bytes, format: Format) -> Answer {
    let mut answer = formatted(status, body, format);
    answer.headers_mut().insert(ERROR_CODE, error.code.into());
    answer.headers_mut().insert(ERROR_MESSAGE, header_safe(&error.message));
    answer
}

/// 405, with the methods that the path has.
pub(super) fn method_not_allowed(allow: &'static str, format: Format) -> Answer {
    let mut answer = error(&METHOD_NOT_ALLOWED.info(), format);
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    answer
}

fn with_type(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, content_type);
    answer
}

/// A message may hold what a client sent; a header holds visible ASCII only.
fn header_safe(message: &str) -> HeaderValue {
    let safe: String = message
        .chars()
        .take(MAX_HEADER_MESSAGE)
        .map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' })
        .collect();
    HeaderValue::try_from(safe).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use types::error::INVALID_CHANNEL_NAME;

    use super::*;

    #[test]
    fn a_message_with_anything_in_it_fits_a_header() {
        let info = INVALID_CHANNEL_NAME.with(format!("a\r\nSet-Cookie: ü\0{}", "x".repeat(1000)));
        let answer = error(&info, Format::Json);
        let message = answer.headers()["x-ably-errormessage"].to_str().unwrap();
        assert!(message.starts_with("a??Set-Cookie: ??xxx"), "{message}");
        assert_eq!(message.len(), MAX_HEADER_MESSAGE);
        assert_eq!(answer.headers()["x-ably-errorcode"], "40010");
    }

    #[test]
    fn a_status_that_http_does_not_have_becomes_500() {
        let info = ErrorInfo { code: 1, status: 0, message: "x".into() };
        assert_eq!(error(&info, Format::Json).status(), 500);
    }
}
