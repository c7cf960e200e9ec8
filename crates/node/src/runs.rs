//! From entries that are delivered at the same time to frames: several changes of one message become
//! one, of its summaries only the last is left, and consecutive messages travel together.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::{Body, Cursor, Entry};

use crate::window::{Held, Topic};

/// Messages in one frame at most.
const MAX_MESSAGES: usize = 200;

/// What travels in one frame: an entry, or the messages of several.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) entries: Vec<Arc<Entry>>,
    /// Covers all of them.
    pub(crate) cursor: Cursor,
    bytes: usize,
}

/// How much may travel in one frame.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Grouped {
    No,
    /// Up to so many bytes.
    Messages {
        max_bytes: usize,
    },
}

impl Run {
    pub(crate) fn is_of_messages(&self) -> bool {
        self.entries.iter().all(|entry| matches!(entry.body, Body::Messages(_)))
    }

    fn has_room_for(&self, entry: &Entry, grouped: Grouped) -> bool {
        let Grouped::Messages { max_bytes } = grouped else { return false };
        let count: usize = self.entries.iter().map(|entry| entry.body.len()).sum();
        matches!(entry.body, Body::Messages(_))
            && self.is_of_messages()
            && count + entry.body.len() <= MAX_MESSAGES
            && self.bytes + entry.body.size() <= max_bytes
    }
}

/// `held` in frames, in its order.
pub(crate) fn runs(held: &[Held], grouped: Grouped) -> Vec<Run> {
    let mut about: BTreeMap<Topic, Vec<Arc<Entry>>> = BTreeMap::new();
    for held in held {
        if let Some(topic) = Topic::of(&held.entry) {
            about.entry(topic).or_default().push(Arc::clone(&held.entry));
        }
    }
    let mut runs: Vec<Run> = Vec::new();
    for Held { entry, cursor, .. } in held {
        let said = Topic::of(entry).and_then(|topic| Some((topic, about.get(&topic)?)));
        let entry = match said {
            // It stands in the place of the newest.
            Some((_, said)) if said.last().is_some_and(|last| !Arc::ptr_eq(last, entry)) => {
                continue;
            }
            Some((Topic::Change(_), said)) if said.len() > 1 => channel::combine(said),
            Some(_) | None => None,
        }
        .unwrap_or_else(|| Arc::clone(entry));
        match runs.last_mut().filter(|run| run.has_room_for(&entry, grouped)) {
            Some(run) => {
                run.bytes += entry.body.size();
                run.entries.push(entry);
                run.cursor = cursor.clone();
            }
            None => {
                let bytes = entry.body.size();
                runs.push(Run { entries: vec![entry], cursor: cursor.clone(), bytes });
            }
        }
    }
    runs
}
