//! `POST /keys/{keyName}/requestToken`

use auth::TokenDetails;
use http::StatusCode;
use node::Operation;
use types::ErrorInfo;

use super::{
    answer::{self, Answer},
    call::Call,
};

pub(super) fn operation(
    key_name: &str,
    call: &Call<'_>,
    body: &[u8],
) -> Result<Operation, ErrorInfo> {
    let request = protocol::decode_value(call.body_format()?, body)?;
    Ok(Operation::RequestToken { key_name: key_name.into(), request })
}

pub(super) fn answer(details: &TokenDetails, call: &Call<'_>) -> Result<Answer, ErrorInfo> {
    let body = protocol::encode_value(details, call.format)?;
    Ok(answer::formatted(StatusCode::CREATED, body, call.format))
}
