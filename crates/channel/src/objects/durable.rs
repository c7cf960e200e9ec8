//! What is kept of objects on disk: every operation, and from time to time a snapshot of all objects,
//! behind which earlier operations can go.
//!
//! A snapshot holds what is committed. Since entries are committed in the order of their serials, one
//! serial says which operations it contains.

use std::sync::Arc;

use types::{Entry, ObjectsSnapshot, Timestamp};

use super::live::LiveObject;
use super::{Objects, collect};

/// Bytes of operations behind a snapshot, at least, before the next. Beyond it there may be as many as
/// the objects have, so that what is written stays proportional to what is published.
const MIN_UNSAVED: usize = 64 << 10;

impl Objects {
    /// A snapshot, if enough was applied since the last one.
    pub(crate) fn snapshot_if_due(&mut self) -> Option<ObjectsSnapshot> {
        let due = self.unsaved > MIN_UNSAVED.max(self.weight.held);
        due.then(|| self.snapshot()).flatten()
    }

    /// A snapshot, if anything was applied since the last one.
    pub(crate) fn snapshot(&mut self) -> Option<ObjectsSnapshot> {
        let until = self.last.filter(|_| self.unsaved > 0)?;
        self.unsaved = 0;
        Some(ObjectsSnapshot { until, objects: self.states() })
    }

    /// Begins with what an earlier host kept: entries each once and in the order of serials.
    pub(crate) fn restore(
        &mut self,
        now: Timestamp,
        snapshot: Option<ObjectsSnapshot>,
        entries: &[Arc<Entry>],
    ) {
        self.last = snapshot.as_ref().map(|snapshot| snapshot.until);
        for state in snapshot.into_iter().flat_map(|snapshot| snapshot.objects) {
            let object = LiveObject::from(&state);
            self.weight += object.weight();
            if let Some(before) = self.pool.insert(state.object_id, object) {
                self.weight -= before.weight();
            }
        }
        for entry in entries {
            if self.last.is_none_or(|last| last < entry.serial) {
                self.commit(now, entry);
            }
        }
        if !self.pool.is_empty() {
            self.sweep_at.get_or_insert_with(|| now.plus(collect::interval(self.grace)));
        }
    }
}
