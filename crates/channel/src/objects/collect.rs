//! Garbage: what was removed is forgotten after the grace, and an object that could not be reached
//! from the root, or that nobody created, for as long is to be deleted. Deleting is an operation like
//! any other, so that clients see it.

use std::collections::BTreeSet;
use std::time::Duration;

use types::{ObjectId, Timestamp};

use super::Objects;

/// How many times in a grace garbage is looked for: what goes, goes at most a sixteenth late.
const SWEEPS: u32 = 16;

/// Time from one look for garbage to the next.
pub(super) fn interval(grace: Duration) -> Duration {
    (grace / SWEEPS).max(Duration::from_secs(1))
}

impl Objects {
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.sweep_at
    }

    /// Forgets what is due, and returns the objects that have to be deleted.
    pub(crate) fn sweep(&mut self, now: Timestamp) -> Vec<ObjectId> {
        if self.sweep_at.is_none_or(|at| now < at) {
            return Vec::new();
        }
        self.sweep_at = Some(now.plus(interval(self.grace)));
        let until = now.minus(self.grace);
        self.forget(until);
        let reachable: BTreeSet<ObjectId> = self.reachable().cloned().collect();
        let mut unused = Vec::new();
        for (id, object) in &mut self.pool {
            if object.is_deleted() || (reachable.contains(id) && object.is_initialised()) {
                object.unused_since = None;
            } else if *object.unused_since.get_or_insert(now) <= until {
                unused.push(id.clone());
            }
        }
        unused
    }

    fn forget(&mut self, until: Timestamp) {
        let weight = &mut self.weight;
        self.pool.retain(|_, object| {
            *weight -= object.weight();
            let kept = object.deleted().is_none_or(|at| at > until);
            if kept {
                object.forget_removed(until);
                *weight += object.weight();
            }
            kept
        });
    }

    pub(super) fn reachable_bytes(&self) -> usize {
        self.reachable().filter_map(|id| self.pool.get(id)).map(|o| o.weight().bytes).sum()
    }

    /// The ids that lead on from the root, and the root.
    fn reachable(&self) -> impl Iterator<Item = &ObjectId> {
        let mut seen = BTreeSet::new();
        let mut next: Vec<&ObjectId> = self.pool.keys().filter(|id| id.is_root()).collect();
        while let Some(id) = next.pop() {
            if seen.insert(id)
                && let Some(object) = self.pool.get(id)
            {
                next.extend(object.references());
            }
        }
        seen.into_iter()
    }
}
