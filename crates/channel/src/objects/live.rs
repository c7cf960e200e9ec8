//! One object and what operations do to it (RTLO, RTLM, RTLC), without those around it.
//!
//! Invariant: the weight is that of the content.

use std::collections::BTreeMap;
use std::ops::{AddAssign, SubAssign};
use std::sync::Arc;

use types::{
    Finite, ItemPosition, MapEntry, MapValue, ObjectAction, ObjectId, ObjectKind, ObjectState,
    ObjectValue, SiteCode, Timestamp,
};

use super::ObjectView;

/// What an object or an entry occupies beside its bytes, about.
const OVERHEAD: usize = 128;
/// Bytes that a counter counts for.
const COUNTER: usize = 8;

/// What something adds to its channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    /// Objects other than the root, and keys, that are not deleted.
    pub(super) items: usize,
    /// Bytes of what is not deleted, as limits count them.
    pub(super) bytes: usize,
    /// Bytes in memory, tombstones included.
    pub(super) held: usize,
}

#[derive(Debug)]
pub(super) struct LiveObject {
    is_root: bool,
    site_serials: BTreeMap<SiteCode, ItemPosition>,
    deleted: Option<Timestamp>,
    created: Option<ObjectAction>,
    value: Value,
    /// Since when nothing has referred to it, as far as was looked.
    pub(super) unused_since: Option<Timestamp>,
}

#[derive(Debug)]
enum Value {
    Map(Map),
    /// The sum of the increments.
    Counter(Finite),
}

#[derive(Debug, Default)]
struct Map {
    entries: BTreeMap<Arc<str>, MapEntry>,
    cleared: Option<ItemPosition>,
    weight: Weight,
}

impl LiveObject {
    pub(super) fn new(id: &ObjectId) -> Self {
        Self {
            is_root: id.is_root(),
            site_serials: BTreeMap::new(),
            deleted: None,
            created: None,
            value: Value::new(id.kind()),
            unused_since: None,
        }
    }

    /// What the state says; since when it is unused is not known.
    pub(super) fn from(state: &ObjectState) -> Self {
        let value = match &state.value {
            ObjectValue::Map { entries, cleared } => {
                let mut map = Map { cleared: *cleared, ..Map::default() };
                for (key, entry) in entries {
                    map.weight += weigh(key, entry);
                    map.entries.insert(Arc::clone(key), entry.clone());
                }
                Value::Map(map)
            }
            ObjectValue::Counter(sum) => Value::Counter(*sum),
        };
        Self {
            is_root: state.object_id.is_root(),
            site_serials: state.site_serials.clone(),
            deleted: state.deleted,
            created: state.created.clone(),
            value,
            unused_since: None,
        }
    }

    /// Applies an operation, which has not been applied before.
    pub(super) fn apply(&mut self, at: ItemPosition, time: Timestamp, action: &ObjectAction) {
        let last = self.site_serials.entry(at.serial.series.site()).or_insert(at);
        *last = at.max(*last);
        if let Some(deleted) = &mut self.deleted {
            if *action == ObjectAction::Delete {
                *deleted = time.max(*deleted);
            }
            return;
        }
        match (&mut self.value, action) {
            (Value::Map(map), ObjectAction::MapCreate(entries)) if self.created.is_none() => {
                for (key, data) in entries {
                    map.put(key, MapValue::Data(data.clone()), None);
                }
                self.created = Some(ObjectAction::MapCreate(Vec::new()));
            }
            (Value::Counter(_), ObjectAction::CounterCreate(_)) if self.created.is_none() => {
                self.created = Some(action.clone());
            }
            (Value::Map(map), ObjectAction::MapSet { key, value }) => {
                map.put(key, MapValue::Data(value.clone()), Some(at));
            }
            (Value::Map(map), ObjectAction::MapRemove { key }) => {
                map.put(key, MapValue::Tombstone(time), Some(at));
            }
            (Value::Map(map), ObjectAction::MapClear) => map.clear(at),
            (Value::Counter(sum), ObjectAction::CounterInc(number)) => *sum = sum.plus(*number),
            (value, ObjectAction::Delete) if !self.is_root => {
                self.deleted = Some(time);
                self.created = None;
                *value = Value::new(value.kind());
            }
            // Created before, or of the other kind, which is refused before it is appended.
            (
                Value::Map(_) | Value::Counter(_),
                ObjectAction::MapCreate(_)
                | ObjectAction::CounterCreate(_)
                | ObjectAction::MapSet { .. }
                | ObjectAction::MapRemove { .. }
                | ObjectAction::MapClear
                | ObjectAction::CounterInc(_)
                | ObjectAction::Delete,
            ) => {}
        }
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.deleted.is_some()
    }

    pub(super) fn deleted(&self) -> Option<Timestamp> {
        self.deleted
    }

    /// Whether it is more than something that others refer to.
    pub(super) fn is_initialised(&self) -> bool {
        self.is_root || self.created.is_some()
    }

    pub(super) fn has_key(&self, key: &str) -> bool {
        match &self.value {
            Value::Map(map) => map.entries.contains_key(key),
            Value::Counter(_) => false,
        }
    }

    /// The objects that its entries refer to.
    pub(super) fn references(&self) -> impl Iterator<Item = &ObjectId> {
        let entries = match &self.value {
            Value::Map(map) => Some(map.entries.values()),
            Value::Counter(_) => None,
        };
        entries.into_iter().flatten().filter_map(|entry| match &entry.value {
            MapValue::Data(data) => data.reference(),
            MapValue::Tombstone(_) => None,
        })
    }

    pub(super) fn view(&self) -> ObjectView<'_> {
        if self.is_deleted() {
            return ObjectView::Deleted;
        }
        match &self.value {
            Value::Map(map) => ObjectView::Map(&map.entries),
            Value::Counter(sum) => ObjectView::Counter(match &self.created {
                Some(ObjectAction::CounterCreate(count)) => count.plus(*sum),
                Some(_) | None => *sum,
            }),
        }
    }

    pub(super) fn state(&self, id: &ObjectId) -> ObjectState {
        ObjectState {
            object_id: id.clone(),
            site_serials: self.site_serials.clone(),
            deleted: self.deleted,
            created: self.created.clone(),
            value: match &self.value {
                Value::Map(map) => {
                    ObjectValue::Map { entries: map.entries.clone(), cleared: map.cleared }
                }
                Value::Counter(sum) => ObjectValue::Counter(*sum),
            },
        }
    }

    pub(super) fn weight(&self) -> Weight {
        let mut weight = Weight { items: 0, bytes: 0, held: OVERHEAD };
        if !self.is_deleted() {
            weight.items += usize::from(!self.is_root);
            match &self.value {
                Value::Map(map) => weight += map.weight,
                Value::Counter(_) => weight.bytes += COUNTER,
            }
        }
        weight
    }

    /// Forgets keys that were removed before `until`.
    pub(super) fn forget_removed(&mut self, until: Timestamp) {
        if let Value::Map(map) = &mut self.value {
            map.retain(|entry| !matches!(entry.value, MapValue::Tombstone(at) if at <= until));
        }
    }
}

impl Value {
    fn new(kind: ObjectKind) -> Self {
        match kind {
            ObjectKind::Map => Self::Map(Map::default()),
            ObjectKind::Counter => Self::Counter(Finite::default()),
        }
    }

    fn kind(&self) -> ObjectKind {
        match self {
            Self::Map(_) => ObjectKind::Map,
            Self::Counter(_) => ObjectKind::Counter,
        }
    }
}

impl Map {
    /// Puts an entry if it is newer than what is there (RTLM9) and than the last clear. One without
    /// a serial is older than everything.
    fn put(&mut self, key: &Arc<str>, value: MapValue, serial: Option<ItemPosition>) {
        let known = self.entries.get(key).map(|entry| entry.serial);
        if known.is_some_and(|known| known >= serial)
            || self.cleared.is_some_and(|cleared| Some(cleared) >= serial)
        {
            return;
        }
        let entry = MapEntry { value, serial };
        self.weight += weigh(key, &entry);
        if let Some(before) = self.entries.insert(Arc::clone(key), entry) {
            self.weight -= weigh(key, &before);
        }
    }

    fn clear(&mut self, at: ItemPosition) {
        if self.cleared < Some(at) {
            self.cleared = Some(at);
            self.retain(|entry| entry.serial > Some(at));
        }
    }

    fn retain(&mut self, keep: impl Fn(&MapEntry) -> bool) {
        let weight = &mut self.weight;
        self.entries.retain(|key, entry| {
            let kept = keep(entry);
            if !kept {
                *weight -= weigh(key, entry);
            }
            kept
        });
    }
}

fn weigh(key: &str, entry: &MapEntry) -> Weight {
    match &entry.value {
        MapValue::Data(data) => {
            let bytes = key.len() + data.size();
            Weight { items: 1, bytes, held: bytes + OVERHEAD }
        }
        MapValue::Tombstone(_) => Weight { items: 0, bytes: 0, held: key.len() + OVERHEAD },
    }
}

impl AddAssign for Weight {
    fn add_assign(&mut self, other: Self) {
        self.items += other.items;
        self.bytes += other.bytes;
        self.held += other.held;
    }
}

impl SubAssign for Weight {
    fn sub_assign(&mut self, other: Self) {
        self.items -= other.items;
        self.bytes -= other.bytes;
        self.held -= other.held;
    }
}
