//! Invariant 2: entries of one publisher (a session; for REST, a caller that waits for each answer) are
//! observed in the order of publishing.

use std::collections::BTreeMap;

use types::ConnectionId;

use super::{StreamKey, Verdict, violation};
use crate::truth::Label;

pub(crate) const NAME: &str = "publisher_order";

#[derive(Debug, Default)]
pub(crate) struct PublisherOrder {
    last: BTreeMap<StreamKey, BTreeMap<(usize, Option<ConnectionId>), u64>>,
}

impl PublisherOrder {
    pub(super) fn restart(&mut self, key: &StreamKey) {
        self.last.remove(key);
    }

    pub(super) fn entry(
        &mut self,
        key: &StreamKey,
        connection_id: Option<&ConnectionId>,
        labels: &[Label],
    ) -> Verdict {
        let seen = self.last.entry(key.clone()).or_default();
        for Label { publisher, number } in labels {
            let last = seen.entry((*publisher, connection_id.cloned())).or_default();
            if number < last {
                let (client, channel) = key;
                let message = format!(
                    "client {client} saw {number} of publisher {publisher} on {channel} after {last}"
                );
                return violation(NAME, message);
            }
            *last = *number;
        }
        Ok(())
    }
}
