//! `GET /channels/{channel}/messages/{serial}/client-summary`: what one client contributed to the
//! summary of a message, for those whom a clipped summary leaves out.

use http::StatusCode;
use node::{Operation, What};
use types::{ClientId, ErrorInfo, Extras};

use super::{
    answer::{self, Answer},
    call::Call,
};

pub(super) fn operation(channel: &str, serial: &str, call: &Call<'_>) -> Operation {
    let what = What::SummaryOf(call.param("forClientId").map(ClientId::from));
    Operation::ReadMessage { channel: channel.into(), serial: serial.into(), what }
}

pub(super) fn answer(summary: &Extras, call: &Call<'_>) -> Result<Answer, ErrorInfo> {
    let body = protocol::encode_value(summary.as_ref(), call.format)?;
    Ok(answer::formatted(StatusCode::OK, body, call.format))
}
