//! Invariant 7: RESUMED only if nothing is missing between what the client had seen and what follows.

use super::stream::{Attacher, Stream};
use super::{StreamKey, Verdict, violation};
use crate::truth::{Channel, Place};

pub(crate) const NAME: &str = "truthful_resume";

pub(super) fn attached(
    key: &StreamKey,
    stream: Option<&mut Stream>,
    known: &Channel,
    place: Place,
    by: Attacher,
    end: Place,
) -> Verdict {
    let (client, channel) = key;
    let Some(stream) = stream else {
        let message = format!("client {client} got RESUMED on {channel} and had nothing to resume");
        return violation(NAME, message);
    };
    stream.connection_id = by.connection_id;
    stream.incarnation = by.incarnation;
    stream.modes = by.modes;
    let lost = stream.unseen(known, place).count();
    if lost > 0 {
        let message = format!(
            "client {client} got RESUMED on {channel} at {place:?}, {lost} entries too late"
        );
        return violation(NAME, message);
    }
    stream.owed = end;
    Ok(())
}

pub(super) fn skipped(key: &StreamKey, first: Place, count: usize) -> Verdict {
    let (client, channel) = key;
    violation(
        NAME,
        format!(
            "client {client} got RESUMED on {channel}, but {count} entries from {first:?} on were not replayed"
        ),
    )
}
