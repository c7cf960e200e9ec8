//! Appends to one message that follow each other within the window of their publisher's connection
//! (`appendRollupWindow`) are delivered as one, and count as one in its rate.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use types::{Message, MessageAction, Timestamp};

/// The messages that were appended to, and until when an append to each has been counted: as many as
/// the rate lets pass within a window.
#[derive(Debug, Default)]
pub(crate) struct Rollup(BTreeMap<Arc<str>, Timestamp>);

impl Rollup {
    /// How many messages a publish counts for.
    pub(crate) fn count(&mut self, now: Timestamp, window: Duration, publish: &[Message]) -> usize {
        let [message] = publish else { return publish.len() };
        let Some(serial) = &message.serial else { return 1 };
        if message.action != MessageAction::Append || window.is_zero() {
            return 1;
        }
        self.0.retain(|_, until| now < *until);
        match self.0.entry(Arc::clone(serial)) {
            Entry::Occupied(_) => 0,
            Entry::Vacant(free) => {
                free.insert(now.plus(window));
                1
            }
        }
    }
}
