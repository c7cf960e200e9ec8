//! Invariant 5: nothing is delivered and nothing is acknowledged before it is committed.

use types::EntryId;

use super::{StreamKey, Verdict, violation};
use crate::client::Publish;
use crate::truth::{Channel, Place};

pub(crate) const NAME: &str = "commit_first";

pub(super) fn delivered(key: &StreamKey, known: &Channel, place: Place) -> Verdict {
    if known.records.contains_key(&place) {
        return Ok(());
    }
    violation(NAME, format!("client {} saw {place:?} of {}, which is not committed", key.0, key.1))
}

pub(super) fn acknowledged(
    client: usize,
    known: &Channel,
    publish: &Publish,
    id: &EntryId,
) -> Verdict {
    if known.with_id(id).next().is_some() {
        return Ok(());
    }
    let channel = &publish.channel;
    violation(
        NAME,
        format!("{id} of client {client} on {channel} was acknowledged and is not there"),
    )
}
