//! `GET /stats`, and `POST /stats` of test suites.

use http::StatusCode;
use node::Operation;
use serde_json::Value;
use stats::{Interval, Page, Period, Query};
use types::{AppId, Direction, ErrorInfo, Timestamp, error::INVALID_PARAM};

use super::{
    answer::{self, Answer},
    call::Call,
    page,
};

/// The version from which on statistics have flat entries.
const FLAT_SINCE: u32 = 3;

pub(super) fn operation(call: &Call<'_>) -> Result<Operation, ErrorInfo> {
    let unit = match call.parsed("unit")? {
        Some(unit) => unit,
        None => call.parsed("by")?.unwrap_or_default(),
    };
    let direction = match call.param("direction") {
        None | Some("backwards") => Direction::Backwards,
        Some("forwards") => Direction::Forwards,
        Some(_) => return Err(INVALID_PARAM.with("direction is forwards or backwards")),
    };
    Ok(Operation::Stats(Query {
        unit,
        start: instant(call, "start", |interval| interval.start)?,
        end: instant(call, "end", Interval::last)?,
        direction,
        limit: page::limit(call)?,
        after: call.parsed(page::AFTER)?.map(Timestamp),
    }))
}

/// Milliseconds, or the id of an interval and the end of it that is meant.
fn instant(
    call: &Call<'_>,
    name: &str,
    of: fn(&Interval) -> Timestamp,
) -> Result<Option<Timestamp>, ErrorInfo> {
    let Some(text) = call.param(name) else { return Ok(None) };
    match text.parse() {
        Ok(ms) => Ok(Some(Timestamp(ms))),
        Err(_) => Interval::parse(text).map(|interval| Some(of(&interval))).ok_or_else(|| {
            INVALID_PARAM.with(format!("{name} must be milliseconds or the id of an interval"))
        }),
    }
}

pub(super) fn fixtures(call: &Call<'_>, body: &[u8]) -> Result<Operation, ErrorInfo> {
    Ok(Operation::PostStats(protocol::decode_value(call.body_format()?, body)?))
}

pub(super) fn answer(app: &AppId, page: &Page, call: &Call<'_>) -> Result<Answer, ErrorInfo> {
    let describe = |period: &Period| {
        if call.version() >= FLAT_SINCE { period.flat(app) } else { period.nested() }
    };
    let items: Vec<Value> = page.periods.iter().map(describe).collect();
    let body = protocol::encode_value(&items, call.format)?;
    let mut answer = answer::formatted(StatusCode::OK, body, call.format);
    page::link(&mut answer, call, page.next.map(|next| next.0.to_string()).as_deref());
    Ok(answer)
}
