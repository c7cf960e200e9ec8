//! What every endpoint may ask of a request: parameters, credentials, version, body.

use std::{str::FromStr, time::Duration};

use auth::{Credentials, Source};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, header, header::AsHeaderName, request::Parts};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use node::{Caller, Operation, Origin, Request, Way};
use protocol::{Format, MessageShape};
use tokio::time::timeout;
use types::{
    ErrorInfo,
    error::{
        BAD_REQUEST, INVALID_BODY, INVALID_CLIENT_ID, INVALID_CREDENTIAL, INVALID_PARAM, TOO_LARGE,
    },
};

use super::form;

const VERSION: HeaderName = HeaderName::from_static("x-ably-version");
const CLIENT_ID: HeaderName = HeaderName::from_static("x-ably-clientid");

/// What a request that names no version is taken for.
const NEWEST_VERSION: u32 = 6;

/// What the decimal versions of REST are taken for.
const OLDEST_VERSION: u32 = 2;

/// How long a body may take from its head to its end.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes read of a body beyond its limit, so that clients that write before they read get the
/// answer, and not a reset.
const MAX_DISCARDED: usize = 4 << 20;

/// A request without its body.
pub(super) struct Call<'a> {
    pub(super) head: &'a Parts,
    /// Decoded.
    pub(super) query: Vec<(String, String)>,
    pub(super) source: Source,
    /// Of the answer.
    pub(super) format: Format,
}

impl Call<'_> {
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        param(&self.query, name)
    }

    /// A parameter that must have a certain form if it is there (40003).
    pub(super) fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, ErrorInfo> {
        let Some(text) = self.param(name) else { return Ok(None) };
        match text.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(INVALID_PARAM.with(format!("invalid value of {name}"))),
        }
    }

    /// The segments of the path, decoded one by one: a slash within a name is not a separator.
    pub(super) fn segments(&self) -> Result<Vec<String>, ErrorInfo> {
        let path = self.head.uri.path();
        path.strip_prefix('/').unwrap_or(path).split('/').map(protocol::decode_segment).collect()
    }

    /// Whether this server speaks the version that the request names, if it names one.
    pub(super) fn check_version(&self) -> Result<(), ErrorInfo> {
        self.stated_version().map(drop)
    }

    /// The protocol version whose shapes the answer has.
    pub(super) fn version(&self) -> u32 {
        self.stated_version().ok().flatten().unwrap_or(NEWEST_VERSION)
    }

    pub(super) fn message_shape(&self) -> MessageShape {
        MessageShape::of(self.version())
    }

    fn stated_version(&self) -> Result<Option<u32>, ErrorInfo> {
        match header(self.head, VERSION).or_else(|| self.param("v")) {
            None => Ok(None),
            // What REST answered before the versions of sessions differs in nothing from version 2.
            Some("0.8" | "0.9" | "1.0" | "1.1" | "1.2") => Ok(Some(OLDEST_VERSION)),
            version => session::parse_version(version).map(Some),
        }
    }

    /// The request for the node; 40005 or 40012 if the credentials cannot be read.
    pub(super) fn request(&self, operation: Operation) -> Result<Request, ErrorInfo> {
        let caller = Caller {
            credentials: self.credentials()?,
            client_id: self.client_id()?,
            client_type: self.param("clientType").map(str::to_owned),
            source: self.source.clone(),
        };
        let method = self.head.method.as_str().to_owned();
        let origin = self.origin(Way::Request { method, path: self.head.uri.path().to_owned() });
        Ok(Request { caller, operation, origin })
    }

    pub(super) fn origin(&self, way: Way) -> Origin {
        let header = |name| text(&self.head.headers, name);
        Origin::new(way, self.source.clone(), header, &self.query)
    }

    /// The query of a transport that cannot be pinged, for the node: credentials come from the
    /// header if they are there.
    pub(super) fn connect_query(&self) -> Result<Vec<(String, String)>, ErrorInfo> {
        let mut query = self.query.clone();
        query.retain(|(name, _)| name != "heartbeats");
        query.push(("heartbeats".into(), "true".into()));
        if self.head.headers.contains_key(header::AUTHORIZATION) {
            query.retain(|(name, _)| {
                !matches!(name.as_str(), "key" | "accessToken" | "access_token")
            });
            query.extend(self.credentials()?.map(|credentials| match credentials {
                Credentials::Key(text) => ("key".into(), text),
                Credentials::Token(text) => ("accessToken".into(), text),
            }));
        }
        Ok(query)
    }

    fn credentials(&self) -> Result<Option<Credentials>, ErrorInfo> {
        match self.head.headers.get(header::AUTHORIZATION) {
            Some(value) => {
                let value = value.to_str().map_err(|_not_ascii| INVALID_CREDENTIAL.info())?;
                Credentials::from_header(value).map(Some)
            }
            None => Credentials::from_query(
                self.query.iter().map(|(name, value)| (name.as_str(), value.as_str())),
            ),
        }
    }

    /// What a header says, or else a parameter.
    pub(super) fn header_or_param(&self, name: HeaderName, parameter: &str) -> Option<&str> {
        header(self.head, name).or_else(|| self.param(parameter))
    }

    /// The type of the body, without its parameters.
    pub(super) fn content_type(&self) -> Option<&str> {
        let value = header(self.head, header::CONTENT_TYPE)?;
        Some(value.split_once(';').map_or(value, |(kind, _)| kind).trim())
    }

    fn client_id(&self) -> Result<Option<String>, ErrorInfo> {
        let Some(value) = self.head.headers.get(CLIENT_ID) else { return Ok(None) };
        BASE64_STANDARD
            .decode(value.as_bytes())
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .map(Some)
            .ok_or_else(|| INVALID_CLIENT_ID.with("X-Ably-ClientId is not text in base64"))
    }

    /// The format of the request's body: JSON unless it says otherwise. A form has been made JSON.
    pub(super) fn body_format(&self) -> Result<Format, ErrorInfo> {
        let Some(value) = self.head.headers.get(header::CONTENT_TYPE) else {
            return Ok(Format::Json);
        };
        if self.content_type() == Some(form::CONTENT_TYPE) {
            return Ok(Format::Json);
        }
        value.to_str().ok().and_then(Format::from_content_type).ok_or_else(|| {
            let known =
                "application/json, application/x-msgpack and application/x-www-form-urlencoded";
            INVALID_BODY.with(format!("content types of a body are {known}"))
        })
    }
}

/// The format that the head of a request and its parameters ask for.
pub(super) fn answer_format(head: &Parts, query: &[(String, String)]) -> Format {
    Format::accepted(header(head, header::ACCEPT), param(query, "format"))
}

/// Browser builds of client libraries read an error only as JSON, whatever they asked for.
pub(super) fn error_format(head: &Parts, format: Format) -> Format {
    if head.headers.contains_key(header::ORIGIN) { Format::Json } else { format }
}

/// The whole body, of at most `max` bytes (40009).
pub(super) async fn read(body: Incoming, max: usize) -> Result<Bytes, ErrorInfo> {
    let too_large = || TOO_LARGE.with(format!("a body has at most {max} bytes"));
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > max.saturating_add(MAX_DISCARDED) {
        return Err(too_large());
    }
    match timeout(BODY_TIMEOUT, collect(body, max)).await {
        Ok(Ok(body)) if body.len() <= max => Ok(body.into()),
        Ok(Ok(_)) => Err(too_large()),
        Ok(Err(error)) => Err(BAD_REQUEST.with(format!("incomplete body: {error}"))),
        Err(_elapsed) => Err(BAD_REQUEST.with("the body did not come in time")),
    }
}

/// The body, or more than `max` bytes of one that is too long.
async fn collect(mut body: Incoming, max: usize) -> hyper::Result<Vec<u8>> {
    let mut collected = Vec::new();
    let mut discarded = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if collected.len() <= max {
            collected.extend_from_slice(&data);
        } else if discarded <= MAX_DISCARDED {
            discarded += data.len();
        } else {
            break;
        }
    }
    Ok(collected)
}

pub(super) fn header(head: &Parts, name: HeaderName) -> Option<&str> {
    text(&head.headers, name)
}

/// What a header says, if it is text.
pub(crate) fn text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

pub(super) fn param<'q>(query: &'q [(String, String)], name: &str) -> Option<&'q str> {
    query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}
