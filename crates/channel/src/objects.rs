//! LiveObjects as a fold over committed entries: the same operations give the same objects in any
//! order (maps: the newest serial of each key wins; counters add up). The rules are those by which
//! client libraries apply operations, so that both sides agree; that each operation is applied once
//! is the log's doing, and not that of the serials that clients compare.
//!
//! All objects of a channel live in memory as long as it has any; [`durable`] says what is kept on disk.

mod collect;
mod durable;
mod live;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use types::{
    Entry, ErrorInfo, Finite, ItemPosition, MapEntry, ObjectAction, ObjectData, ObjectId,
    ObjectMessage, ObjectState, Serial, Timestamp, error,
};

use crate::config::Limits;
use live::{LiveObject, Weight};

/// Operations in one publish: what the three digits of an item's serial order (92000).
const MAX_OPERATIONS: usize = 1000;
/// What an operation occupies in the store beside its bytes, about.
const OPERATION_OVERHEAD: usize = 128;
/// What a channel holds in memory for its objects, tombstones and unreachable ones included, may be
/// this many times what may be reachable; beyond it nothing is added (92001).
const HELD_FACTOR: usize = 8;

/// An object as readers see it.
#[derive(Clone, Copy, Debug)]
pub enum ObjectView<'a> {
    /// With removed keys.
    Map(&'a BTreeMap<Arc<str>, MapEntry>),
    Counter(Finite),
    Deleted,
}

#[derive(Debug)]
pub(crate) struct Objects {
    /// Empty until the first operation; then the root is among them.
    pool: BTreeMap<ObjectId, LiveObject>,
    weight: Weight,
    /// Objects that pending entries create, with the position of the entry.
    staged: BTreeMap<ObjectId, u64>,
    /// When to look for garbage next; none while there are no objects.
    sweep_at: Option<Timestamp>,
    /// Of the last entry that was applied.
    last: Option<Serial>,
    /// Bytes of what was applied since the last snapshot.
    unsaved: usize,
    grace: std::time::Duration,
    max_bytes: usize,
}

impl Objects {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            pool: BTreeMap::new(),
            weight: Weight::default(),
            staged: BTreeMap::new(),
            sweep_at: None,
            last: None,
            unsaved: 0,
            grace: limits.objects_grace,
            max_bytes: limits.objects_bytes,
        }
    }

    /// Whether there is nothing that the channel has to be kept for.
    pub(crate) fn is_idle(&self) -> bool {
        self.weight.items == 0
    }

    pub(crate) fn view(&self, id: &ObjectId) -> Option<ObjectView<'_>> {
        self.pool.get(id).map(LiveObject::view)
    }

    /// All objects; none if there never were any.
    pub(crate) fn states(&self) -> Vec<ObjectState> {
        self.pool.iter().map(|(id, object)| object.state(id)).collect()
    }

    /// Whether clients may publish these operations together.
    pub(crate) fn check(&self, messages: &[ObjectMessage]) -> Result<(), ErrorInfo> {
        if messages.len() > MAX_OPERATIONS {
            let message = format!("more than {MAX_OPERATIONS} operations in one publish");
            return Err(error::OBJECT_INVALID.with(message));
        }
        let mut created: BTreeSet<&ObjectId> = BTreeSet::new();
        let mut added = 0;
        for ObjectMessage { operation, .. } in messages {
            let (id, action) = (&operation.object_id, &operation.action);
            match action.kind() {
                None => return Err(error::OBJECT_INVALID.with("clients do not delete objects")),
                Some(kind) if kind != id.kind() => {
                    let message = format!("{id} is a {}", id.kind().as_str());
                    return Err(error::OBJECT_NOT_PROCESSABLE.with(message));
                }
                Some(_) => {}
            }
            let known = id.is_root() || created.contains(id) || self.staged.contains_key(id);
            match self.pool.get(id) {
                Some(object) if object.is_deleted() => {
                    return Err(error::OBJECT_DELETED.with(format!("{id} was deleted")));
                }
                None if !known && !action.is_create() => {
                    return Err(error::OBJECT_NOT_FOUND.with(format!("{id} does not exist")));
                }
                Some(_) | None => {}
            }
            if action.is_create() {
                created.insert(id);
            }
            added += self.growth(id, action);
        }
        self.check_size(added)
    }

    /// Bytes that an operation adds at most.
    fn growth(&self, id: &ObjectId, action: &ObjectAction) -> usize {
        match action {
            ObjectAction::MapCreate(_)
            | ObjectAction::MapSet { .. }
            | ObjectAction::CounterCreate(_) => action.size(),
            ObjectAction::MapRemove { key } => {
                let has = self.pool.get(id).is_some_and(|object| object.has_key(key));
                if has { 0 } else { key.len() }
            }
            ObjectAction::MapClear | ObjectAction::CounterInc(_) | ObjectAction::Delete => 0,
        }
    }

    fn check_size(&self, added: usize) -> Result<(), ErrorInfo> {
        let max = self.max_bytes;
        if added == 0 || max == 0 {
            return Ok(());
        }
        let reached = self.weight.bytes + added > max && self.reachable_bytes() + added > max;
        if reached || self.weight.held > max.saturating_mul(HELD_FACTOR) {
            let message = format!("the objects of a channel may have {max} bytes");
            return Err(error::OBJECTS_TOO_LARGE.with(message));
        }
        Ok(())
    }

    /// Notes an entry that was appended and may still fail.
    pub(crate) fn stage(&mut self, entry: &Entry) {
        for (_, message) in operations(entry) {
            if message.operation.action.is_create() {
                self.staged.insert(message.operation.object_id.clone(), entry.position);
            }
        }
    }

    pub(crate) fn fail(&mut self, entry: &Entry) {
        for (_, message) in operations(entry) {
            let id = &message.operation.object_id;
            if self.staged.get(id).is_some_and(|position| *position == entry.position) {
                self.staged.remove(id);
            }
        }
    }

    pub(crate) fn commit(&mut self, now: Timestamp, entry: &Entry) {
        self.fail(entry);
        for (index, message) in operations(entry) {
            let operation = &message.operation;
            let at = ItemPosition { serial: entry.serial, index };
            self.ensure(&ObjectId::root());
            for id in references(&operation.action) {
                self.ensure(id);
            }
            self.change(&operation.object_id, |object| {
                object.apply(at, entry.timestamp, &operation.action);
            });
            self.sweep_at.get_or_insert_with(|| now.plus(collect::interval(self.grace)));
            self.unsaved += OPERATION_OVERHEAD + message.size();
            self.last = Some(entry.serial);
        }
    }

    /// Makes an object without content if there is none (RTO6).
    fn ensure(&mut self, id: &ObjectId) {
        if !self.pool.contains_key(id) {
            self.change(id, |_| {});
        }
    }

    fn change(&mut self, id: &ObjectId, change: impl FnOnce(&mut LiveObject)) {
        if !self.pool.contains_key(id) {
            let object = LiveObject::new(id);
            self.weight += object.weight();
            self.pool.insert(id.clone(), object);
        }
        if let Some(object) = self.pool.get_mut(id) {
            self.weight -= object.weight();
            change(object);
            self.weight += object.weight();
        }
    }
}

/// The operations of an entry with their indexes.
fn operations(entry: &Entry) -> impl Iterator<Item = (usize, &ObjectMessage)> {
    let messages = match &entry.body {
        types::Body::Objects(messages) => messages.as_slice(),
        types::Body::Messages(_) | types::Body::Annotations(_) | types::Body::Presence(_) => &[],
    };
    messages.iter().enumerate()
}

/// The objects that an operation puts into a map.
fn references(action: &ObjectAction) -> impl Iterator<Item = &ObjectId> {
    let (entries, value) = match action {
        ObjectAction::MapCreate(entries) => (entries.as_slice(), None),
        ObjectAction::MapSet { value, .. } => ([].as_slice(), Some(value)),
        ObjectAction::MapRemove { .. }
        | ObjectAction::MapClear
        | ObjectAction::CounterCreate(_)
        | ObjectAction::CounterInc(_)
        | ObjectAction::Delete => ([].as_slice(), None),
    };
    entries.iter().map(|(_, value)| value).chain(value).filter_map(ObjectData::reference)
}

#[cfg(test)]
mod tests;
