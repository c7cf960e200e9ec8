//! The HTTP side of opening a WebSocket (RFC 6455, 4.2): is this a valid upgrade, and what is the answer?
//!
//! Pure: reads request parts, makes response heads. It never negotiates an extension or a
//! subprotocol: offering `permessage-deflate` is declined by not echoing it. Who may connect,
//! and from which origin, is decided elsewhere.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, header, request,
};

/// The constant every server appends to the client's key (RFC 6455, 1.3).
const ACCEPT_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Bytes in a decoded `Sec-WebSocket-Key`.
const KEY_LEN: usize = 16;

/// The one protocol version there is.
const VERSION: HeaderValue = HeaderValue::from_static("13");

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// Why a request does not open a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("a WebSocket is opened with GET over HTTP/1.1")]
    NotGet,
    #[error("the request does not ask for an upgrade to websocket")]
    NotUpgrade,
    #[error("only version 13 of the WebSocket protocol is spoken here")]
    Version,
    #[error("Sec-WebSocket-Key must be 16 bytes in base64, given once")]
    Key,
}

/// The head of the 101 answer to a valid upgrade request.
pub fn accept(request: &request::Parts) -> Result<Response<()>, Refusal> {
    if request.method != Method::GET || request.version != Version::HTTP_11 {
        return Err(Refusal::NotGet);
    }
    let headers = &request.headers;
    if !lists(headers, header::UPGRADE, "websocket")
        || !lists(headers, header::CONNECTION, "upgrade")
    {
        return Err(Refusal::NotUpgrade);
    }
    if only(headers, header::SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
        return Err(Refusal::Version);
    }
    let key = only(headers, header::SEC_WEBSOCKET_KEY).ok_or(Refusal::Key)?;
    let mut response = head(StatusCode::SWITCHING_PROTOCOLS);
    response.headers_mut().insert(header::SEC_WEBSOCKET_ACCEPT, accept_value(key.as_bytes())?);
    Ok(response)
}

impl Refusal {
    /// The head of the answer; the body is the caller's.
    pub fn response(self) -> Response<()> {
        match self {
            Self::NotGet => {
                let mut response = Response::new(());
                *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
                response
            }
            Self::NotUpgrade | Self::Version => {
                let mut response = head(StatusCode::UPGRADE_REQUIRED);
                response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, VERSION);
                response
            }
            Self::Key => {
                let mut response = Response::new(());
                *response.status_mut() = StatusCode::BAD_REQUEST;
                response
            }
        }
    }
}

/// A response head that names the protocol to upgrade to.
fn head(status: StatusCode) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    response.headers_mut().insert(header::UPGRADE, WEBSOCKET);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    response
}

fn accept_value(key: &[u8]) -> Result<HeaderValue, Refusal> {
    match BASE64_STANDARD.decode(key) {
        Ok(nonce) if nonce.len() == KEY_LEN => {}
        Ok(_) | Err(_) => return Err(Refusal::Key),
    }
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, ACCEPT_SUFFIX].concat());
    HeaderValue::try_from(BASE64_STANDARD.encode(hash)).map_err(|_not_ascii| Refusal::Key)
}

/// Whether a comma-separated list, over all lines of that name, holds `token` in any case.
fn lists(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(token))
}

/// The value of a header that stands there exactly once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: [(&str, &str); 4] = [
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn parts(headers: &[(&str, &str)]) -> request::Parts {
        let mut builder = http::Request::get("/?v=3");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    /// The sample request with one header replaced, or left out.
    fn refusal_with(name: &str, value: Option<&str>) -> Refusal {
        let mut headers: Vec<_> = SAMPLE.into_iter().filter(|(n, _)| *n != name).collect();
        headers.extend(value.map(|value| (name, value)));
        accept(&parts(&headers)).unwrap_err()
    }

    #[test]
    fn the_sample_handshake_of_the_rfc_gets_its_accept_value() {
        let response = accept(&parts(&SAMPLE)).unwrap();
        assert_eq!(response.status(), 101);
        assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(response.headers()["upgrade"], "websocket");
        assert_eq!(response.headers()["connection"], "Upgrade");
    }

    #[test]
    fn an_offer_of_compression_is_declined_by_silence() {
        let mut headers = SAMPLE.to_vec();
        headers.push(("sec-websocket-extensions", "permessage-deflate; client_max_window_bits"));
        let response = accept(&parts(&headers)).unwrap();
        assert!(!response.headers().contains_key("sec-websocket-extensions"));
    }

    #[test]
    fn another_version_is_told_which_one_to_use() {
        for version in [Some("8"), Some("14"), None] {
            let refusal = refusal_with("sec-websocket-version", version);
            assert_eq!(refusal, Refusal::Version);
            assert_eq!(refusal.response().status(), 426);
            assert_eq!(refusal.response().headers()["sec-websocket-version"], "13");
        }
    }

    #[test]
    fn a_key_that_is_not_sixteen_bytes_is_a_bad_request() {
        for key in [None, Some(""), Some("c2hvcnQ="), Some("dGhlIHNhbXBsZSBub25jZQ"), Some("*")] {
            let refusal = refusal_with("sec-websocket-key", key);
            assert_eq!(refusal, Refusal::Key);
            assert_eq!(refusal.response().status(), 400);
        }
        let twice = [SAMPLE.as_slice(), &SAMPLE[3..]].concat();
        assert_eq!(accept(&parts(&twice)).unwrap_err(), Refusal::Key);
    }

    #[test]
    fn a_plain_request_is_told_to_upgrade() {
        for (name, value) in
            [("upgrade", None), ("upgrade", Some("h2c")), ("connection", Some("keep-alive"))]
        {
            assert_eq!(refusal_with(name, value), Refusal::NotUpgrade);
        }
        assert_eq!(Refusal::NotUpgrade.response().headers()["upgrade"], "websocket");
    }

    #[test]
    fn only_get_over_http_1_1_opens_a_websocket() {
        let mut post = parts(&SAMPLE);
        post.method = Method::POST;
        assert_eq!(accept(&post).unwrap_err(), Refusal::NotGet);
        assert_eq!(Refusal::NotGet.response().status(), 405);
        let mut old = parts(&SAMPLE);
        old.version = Version::HTTP_10;
        assert_eq!(accept(&old).unwrap_err(), Refusal::NotGet);
    }
}
