//! `POST` and `GET /channels/{channel}/messages/{serial}/annotations`: annotate a message, and read
//! its annotations, the oldest first (RSAN1–RSAN3). They are published as messages are, and listed
//! as history is.

use node::Operation;
use types::{Direction, ErrorInfo, HistoryQuery, Kind, error::NOT_FOUND};

use super::{call::Call, page};

pub(super) fn publish(
    channel: &str,
    serial: &str,
    call: &Call<'_>,
    body: &[u8],
) -> Result<Operation, ErrorInfo> {
    let annotations = protocol::decode_annotations(call.body_format()?, body)?;
    Ok(Operation::Annotate { channel: channel.into(), serial: serial.into(), annotations })
}

pub(super) fn list(channel: &str, serial: &str, call: &Call<'_>) -> Result<Operation, ErrorInfo> {
    let not_found = |_not_a_serial| NOT_FOUND.with("no message with this serial");
    let about = serial.parse().map_err(not_found)?;
    let query = HistoryQuery {
        about: Some(about),
        direction: page::direction(call, Direction::Forwards)?,
        after: call.parsed(page::AFTER)?,
        ..HistoryQuery::new(Kind::Annotations, page::limit(call)?)
    };
    Ok(Operation::History { channel: channel.into(), query, until: None })
}
