//! `POST /messages` and `GET /presence`: requests about several channels, and the form of answers
//! that have a result for each of several things.

use http::{Method, StatusCode};
use node::Operation;
use protocol::{BatchBody, BatchResult};
use types::{
    ErrorInfo,
    error::{BATCH_FAILED, INVALID_PARAM},
};

use super::{
    answer::{self, Answer},
    call::Call,
};

/// Bytes of the body of a batch publish; more are refused (40009).
pub(super) const MAX_BODY: usize = 2 << 20;

/// The version from which on a batch that failed in part is a success with failures in it.
const SUMMARIES_SINCE: u32 = 3;

pub(super) fn publish(call: &Call<'_>, body: &[u8]) -> Result<Operation, ErrorInfo> {
    Ok(Operation::BatchPublish(protocol::decode_batch(call.body_format()?, body)?))
}

pub(super) fn presence(call: &Call<'_>) -> Result<Operation, ErrorInfo> {
    let channels = call.param("channels").unwrap_or_default();
    if channels.is_empty() {
        return Err(INVALID_PARAM.with("channels must name at least one channel"));
    }
    let separator = call.param("separator").filter(|text| !text.is_empty()).unwrap_or(",");
    let channels = channels.split(separator).map(str::to_owned).collect();
    Ok(Operation::BatchPresence { channels })
}

pub(super) fn answer(results: &[BatchResult], call: &Call<'_>) -> Answer {
    if has_summaries(call) {
        succeeded(BatchBody::One(results), call)
    } else {
        legacy(results, call)
    }
}

/// Before version 3 the results of all specifications are one list.
pub(super) fn answers(batches: &[Vec<BatchResult>], call: &Call<'_>) -> Answer {
    if has_summaries(call) {
        succeeded(BatchBody::Many(batches), call)
    } else {
        legacy(&batches.concat(), call)
    }
}

fn has_summaries(call: &Call<'_>) -> bool {
    call.version() >= SUMMARIES_SINCE || call.param("newBatchResponse") == Some("true")
}

fn legacy(results: &[BatchResult], call: &Call<'_>) -> Answer {
    let body = BatchBody::Legacy(results);
    if results.iter().all(|result| result.outcome.is_ok()) {
        return succeeded(body, call);
    }
    let body = protocol::encode_batch(&body, call.format);
    answer::failed(StatusCode::BAD_REQUEST, &BATCH_FAILED.info(), body, call.format)
}

fn succeeded(body: BatchBody<'_>, call: &Call<'_>) -> Answer {
    let status = if call.head.method == Method::GET { StatusCode::OK } else { StatusCode::CREATED };
    answer::formatted(status, protocol::encode_batch(&body, call.format), call.format)
}
