//! How many messages a publish counts for in the channel's rate. A batch counts for one, and so do
//! appends to one message that are delivered as one.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use types::{Body, Grouping, ItemPosition, MessageAction, Timestamp};

use crate::Channel;

/// Appends to one message within this time count once.
const APPENDS: Duration = Duration::from_millis(40);

#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// Until when what is published belongs to a batch that has been counted.
    batch: Option<Timestamp>,
    /// The messages that were appended to, and until when an append to each has been counted.
    appends: BTreeMap<ItemPosition, Timestamp>,
}

impl Channel {
    pub(crate) fn units(&mut self, now: Timestamp, body: &Body) -> usize {
        if let Grouping::Batching { interval } = self.config.grouping {
            if self.counted.batch.is_some_and(|until| now < until) {
                return 0;
            }
            self.counted.batch = Some(now.plus(interval));
            return 1;
        }
        let appends = body.change().is_some_and(|change| change.action == MessageAction::Append);
        let Some(key) = body.target().filter(|_| appends) else { return body.len() };
        self.counted.appends.retain(|_, until| now < *until);
        match self.counted.appends.entry(key) {
            Entry::Occupied(_) => 0,
            Entry::Vacant(free) => {
                free.insert(now.plus(APPENDS));
                1
            }
        }
    }
}
