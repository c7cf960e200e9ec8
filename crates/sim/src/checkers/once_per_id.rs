//! Invariant 3: no two observable entries of a channel carry the same id within the id window, neither
//! in the channel itself nor on the wire.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{StreamKey, Verdict, violation};
use crate::truth::{Channel, Place, Record, Standing};

pub(crate) const NAME: &str = "once_per_id";

#[derive(Debug, Default)]
pub(crate) struct OncePerId {
    delivered: BTreeMap<(Arc<str>, Arc<str>), Place>,
}

impl OncePerId {
    pub(super) fn delivered(
        &mut self,
        key: &StreamKey,
        known: &Channel,
        id: &Arc<str>,
        place: Place,
    ) -> Verdict {
        let (client, channel) = key;
        let record = known.records.get(&place);
        if record.is_some_and(|record| record.id.to_string() != id.as_ref()) {
            let message = format!("client {client} saw {place:?} of {channel} under the id {id}");
            return violation(NAME, message);
        }
        let first = *self.delivered.entry((channel.clone(), id.clone())).or_insert(place);
        let (Some(record), Some(other)) = (record, known.records.get(&first)) else {
            return Ok(());
        };
        let same_life = record.incarnation == other.incarnation;
        let soon = record.committed.since(other.committed) < Duration::from_secs(120);
        if first != place && same_life && soon && certain(other) {
            let message =
                format!("client {client} saw {id} on {channel} at {first:?} and {place:?}");
            return violation(NAME, message);
        }
        Ok(())
    }
}

/// A new entry of the channel. What a channel without a store had before a crash is forgotten.
pub(crate) fn committed(channel: &Channel, record: &Record, window: Duration) -> Verdict {
    for other in channel.with_id(&record.id) {
        let remembered = channel.persisted || other.incarnation == record.incarnation;
        let soon = record.committed.since(other.committed) < window;
        if remembered && soon && certain(other) && certain(record) {
            return violation(NAME, format!("{} was committed twice", record.id));
        }
    }
    Ok(())
}

fn certain(record: &Record) -> bool {
    record.standing == Standing::Certain
}
