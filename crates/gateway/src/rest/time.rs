//! `GET /time`: the server's clock, for clients whose own is wrong.

use http::StatusCode;
use types::ErrorInfo;

use super::{
    answer::{self, Answer},
    call::Call,
};
use crate::server::Server;

/// Milliseconds since the epoch, in a list.
pub(super) fn answer(server: &Server, call: &Call<'_>) -> Result<Answer, ErrorInfo> {
    Ok(answer::formatted(
        StatusCode::OK,
        protocol::encode_value(&[(server.settings.now)()], call.format)?,
        call.format,
    ))
}
