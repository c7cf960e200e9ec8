//! Pages of results: their size, and the links between them.
//!
//! A link is relative and has one word after `./`, the last of the path, and the request's own
//! parameters with the position in `after`. Client libraries split links at commas, so there are
//! none, and ignore a link without parameters, so the limit is always there. Credentials are left
//! out: whoever follows a link has them.

use http::{HeaderValue, header};
use protocol::encode_segment;
use types::{Direction, ErrorInfo, error::INVALID_PARAM};

use super::{answer::Answer, call::Call};

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

/// The parameter that says where a page begins: behind this item.
pub(super) const AFTER: &str = "after";

const CREDENTIALS: [&str; 3] = ["key", "accessToken", "access_token"];

/// Items on a page, by the parameter `limit`.
pub(super) fn limit(call: &Call<'_>) -> Result<usize, ErrorInfo> {
    match call.parsed("limit")? {
        None => Ok(DEFAULT_LIMIT),
        Some(limit @ 1..=MAX_LIMIT) => Ok(limit),
        Some(_) => Err(INVALID_PARAM.with(format!("limit must be 1 to {MAX_LIMIT}"))),
    }
}

/// The parameter `direction`.
pub(super) fn direction(call: &Call<'_>, default: Direction) -> Result<Direction, ErrorInfo> {
    match call.param("direction") {
        None => Ok(default),
        Some("forwards") => Ok(Direction::Forwards),
        Some("backwards") => Ok(Direction::Backwards),
        Some(_) => Err(INVALID_PARAM.with("direction is forwards or backwards")),
    }
}

/// Adds the links to the first page, to this one, and to the one that begins behind `next`.
pub(super) fn link(answer: &mut Answer, call: &Call<'_>, next: Option<&str>) {
    let current = call.param(AFTER);
    let pages = [("first", Some(None)), ("current", Some(current)), ("next", next.map(Some))];
    for (rel, after) in pages {
        let value = after.map(|after| format!("<{}>; rel=\"{rel}\"", reference(call, after)));
        if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
            answer.headers_mut().append(header::LINK, value);
        }
    }
}

fn reference(call: &Call<'_>, after: Option<&str>) -> String {
    let word = call.head.uri.path().rsplit('/').next().unwrap_or_default();
    let kept = call
        .query
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| *name != AFTER && !CREDENTIALS.contains(name));
    let limit = DEFAULT_LIMIT.to_string();
    let limit = call.param("limit").is_none().then_some(("limit", limit.as_str()));
    let pairs: Vec<String> = kept
        .chain(limit)
        .chain(after.map(|after| (AFTER, after)))
        .map(|(name, value)| format!("{}={}", encode_segment(name), encode_segment(value)))
        .collect();
    format!("./{word}?{}", pairs.join("&"))
}
