//! What a resume replays of messages that are changed or annotated: not everything that was said,
//! but what leaves the attachment with the same messages.
//!
//! An attachment has nothing of what lies before the replay for certain. So of the appends to a
//! message only the last is replayed, as the whole message; those before a full version in the
//! replay not at all. The last annotation of a message comes with its summary.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::{Body, Cursor, Entry, ItemPosition, MessageAction};

use crate::Channel;
use crate::log::{before, cursor_at};

pub(crate) type Replay = Vec<(Arc<Entry>, Cursor)>;

/// Where, in the replay, things are said about one message.
#[derive(Default)]
struct Said {
    first_full: Option<usize>,
    last_append: usize,
    last_annotation: usize,
}

impl Channel {
    /// `missed` is the end of the log, oldest first.
    pub(crate) fn replay(&self, missed: &[Arc<Entry>]) -> Replay {
        let said = said(missed);
        let first = missed.first().map(|entry| entry.serial);
        let mut replay = Replay::with_capacity(missed.len());
        for (at, entry) in missed.iter().enumerate() {
            let about = entry.body.target().and_then(|key| Some((key, said.get(&key)?)));
            let Some((key, said)) = about else {
                replay.push((Arc::clone(entry), cursor_at(entry)));
                continue;
            };
            if is_append(entry) && first.is_some_and(|first| key.serial < first) {
                let replaced = said.first_full.map_or(at < said.last_append, |full| at < full);
                if replaced {
                    continue;
                }
                if said.first_full.is_none()
                    && let Some(whole) = self.whole(entry)
                {
                    replay.push((Arc::new(whole), cursor_at(entry)));
                    continue;
                }
            }
            if matches!(entry.body, Body::Annotations(_)) && at == said.last_annotation {
                let summary = self.summary(entry);
                replay.extend(summary.map(|summary| (Arc::new(summary), before(entry))));
            }
            replay.push((Arc::clone(entry), cursor_at(entry)));
        }
        replay
    }
}

fn said(missed: &[Arc<Entry>]) -> BTreeMap<ItemPosition, Said> {
    let mut all: BTreeMap<ItemPosition, Said> = BTreeMap::new();
    for (at, entry) in missed.iter().enumerate() {
        let Some(key) = entry.body.target() else { continue };
        let said = all.entry(key).or_default();
        if matches!(entry.body, Body::Annotations(_)) {
            said.last_annotation = at;
        } else if is_append(entry) {
            said.last_append = at;
        } else {
            said.first_full.get_or_insert(at);
        }
    }
    all
}

fn is_append(entry: &Entry) -> bool {
    entry.body.change().is_some_and(|change| change.action == MessageAction::Append)
}
