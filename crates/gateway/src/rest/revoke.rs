//! `POST /keys/{keyName}/revokeTokens`: a batch with a result for each target.

use node::Operation;
use types::ErrorInfo;

use super::call::Call;

pub(super) fn operation(
    key_name: &str,
    call: &Call<'_>,
    body: &[u8],
) -> Result<Operation, ErrorInfo> {
    let request = protocol::decode_value(call.body_format()?, body)?;
    Ok(Operation::RevokeTokens { key_name: key_name.into(), request })
}
