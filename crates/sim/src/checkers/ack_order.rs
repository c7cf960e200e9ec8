//! Acknowledgements are contiguous from the oldest pending publish and never skip or repeat (RTN7); from
//! protocol version 5 on they carry one result for each publish.

use super::{Verdict, violation};

pub(crate) const NAME: &str = "ack_order";
const RES_VERSION: u32 = 5;

/// An ACK or NACK as it came.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) accepted: bool,
    pub(super) msg_serial: i64,
    pub(super) count: u32,
    pub(super) serials: usize,
    pub(super) version: u32,
}

pub(super) fn answered(
    client: usize,
    answer: &Answer,
    oldest: Option<i64>,
    pending: usize,
) -> Verdict {
    let count = answer.count as usize;
    if oldest != Some(answer.msg_serial) || count == 0 || count > pending {
        let message =
            format!("client {client} has {pending} pending from {oldest:?} on and got {answer:?}");
        return violation(NAME, message);
    }
    let expected = if answer.accepted && answer.version >= RES_VERSION { count } else { 0 };
    if answer.serials != expected {
        return violation(
            NAME,
            format!("client {client} got {answer:?} with {} results", answer.serials),
        );
    }
    Ok(())
}
