//! Several changes of one message as one: what a subscriber needs to know who sees none in between.
//!
//! Appends add up to one append. A full version (an update or a delete) replaces what was before it,
//! and with appends behind it is one update. The newest change says who made it, and when.

use std::sync::Arc;

use types::{Body, Entry, MessageAction};

use crate::MessageState;
use crate::versions::join;

/// `changes` are of one message, oldest first; the outcome stands in the place of the newest.
pub fn combine(changes: &[Arc<Entry>]) -> Option<Arc<Entry>> {
    let newest = changes.last()?;
    let key = newest.body.target()?;
    let is_full = |entry: &Arc<Entry>| {
        entry.body.change().is_some_and(|change| change.action != MessageAction::Append)
    };
    let message = match changes.iter().rposition(is_full) {
        Some(at) if at + 1 == changes.len() => return Some(Arc::clone(newest)),
        Some(at) => MessageState::of(key, changes.iter().skip(at)).latest()?,
        None => {
            let mut pieces = changes.iter().filter_map(|entry| entry.body.change());
            let first = pieces.next()?;
            let data = join(&first.data, pieces.map(|piece| &piece.data));
            types::Message { data, ..newest.body.change()?.clone() }
        }
    };
    Some(Arc::new(Entry { body: Body::Messages(vec![message]), ..newest.as_ref().clone() }))
}
