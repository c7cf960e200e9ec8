//! `GET /time`: the server's clock, for clients whose own is wrong.

use std::time::{SystemTime, UNIX_EPOCH};

use http::StatusCode;
use types::ErrorInfo;

use super::{
    answer::{self, Answer},
    call::Call,
};

/// Milliseconds since the epoch, in a list.
pub(super) fn answer(call: &Call<'_>) -> Result<Answer, ErrorInfo> {
    Ok(answer::formatted(
        StatusCode::OK,
        protocol::encode_value(&[now()], call.format)?,
        call.format,
    ))
}

/// Milliseconds since the epoch.
pub(super) fn now() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}
