//! Invariant 1: every entry is seen exactly once by an attachment that stays attached or resumes. The
//! same for presence events is said in the name of `presence_truth`.

use types::Kind;

use super::{StreamKey, Verdict, checker_of, violation};
use crate::truth::{Channel, Place};

pub(crate) const NAME: &str = "exactly_once";

pub(super) fn twice(key: &StreamKey, kind: Kind, place: Place, known: &Channel) -> Verdict {
    let id = known.records.get(&place).map(|record| record.id.to_string()).unwrap_or_default();
    violation(
        checker_of(kind),
        format!("client {} saw {id} at {place:?} of {} twice", key.0, key.1),
    )
}

pub(super) fn missing(key: &StreamKey, kind: Kind, place: Place) -> Verdict {
    violation(
        checker_of(kind),
        format!("client {} never saw {place:?} of {}, and was not told", key.0, key.1),
    )
}
