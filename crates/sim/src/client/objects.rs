//! The objects of one channel as a client library keeps them (RTO, RTLM, RTLC): a sync replaces them,
//! operations change them, and an own operation counts from its acknowledgement on. It never forgets
//! what was removed, which nobody can see. The same rules, applied to everything that was committed, are
//! the model that checkers compare with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::{InitialValue, ObjectItem, ObjectPayload, Tree, flags};
use types::{
    Accepted, Finite, ItemPosition, MapValue, ObjectAction, ObjectData, ObjectId, ObjectKind,
    ObjectState, ObjectValue, SiteCode,
};

#[derive(Debug, Default)]
pub struct Objects {
    pool: BTreeMap<ObjectId, Object>,
    sync: Option<Sync>,
    /// What arrived during a sync (RTO7a).
    buffered: Vec<ObjectItem>,
    /// Own operations that were acknowledged during a sync (RTO20e).
    waiting: Vec<ObjectItem>,
    /// Own operations that were applied and whose echo has not come (RTO7b).
    applied: BTreeSet<Arc<str>>,
}

#[derive(Debug, Default)]
struct Sync {
    sequence: Option<String>,
    states: BTreeMap<ObjectId, ObjectState>,
}

#[derive(Clone, Debug, PartialEq)]
struct Object {
    sites: BTreeMap<SiteCode, Arc<str>>,
    deleted: bool,
    created: bool,
    value: Value,
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Map { entries: BTreeMap<Arc<str>, Slot>, cleared: Option<Arc<str>> },
    Counter(f64),
}

/// The value at a key, none if it was removed, and the serial of the operation.
#[derive(Clone, Debug, PartialEq)]
struct Slot {
    serial: Option<Arc<str>>,
    data: Option<ObjectData>,
}

/// Where an operation comes from (RTO22).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Channel,
    Local,
}

impl Objects {
    pub fn is_synced(&self) -> bool {
        self.sync.is_none()
    }

    /// ATTACHED (RTO4).
    pub(super) fn attached(&mut self, set: u32) {
        self.sync = Some(Sync::default());
        self.buffered.clear();
        if set & flags::HAS_OBJECTS == 0 {
            self.pool.clear();
            self.end_sync();
        }
    }

    /// The channel is of no use: what waits for a sync has failed (RTO20e1).
    pub(super) fn suspend(&mut self) {
        self.waiting.clear();
    }

    /// OBJECT_SYNC (RTO5).
    pub(super) fn sync(&mut self, serial: &str, items: &[ObjectItem]) {
        let (sequence, cursor) = serial.split_once(':').unwrap_or((serial, ""));
        let sync = self.sync.get_or_insert_default();
        if sync.sequence.as_deref() != Some(sequence) {
            *sync = Sync { sequence: Some(sequence.to_owned()), ..Sync::default() };
        }
        for state in items.iter().filter_map(|item| item.object.as_deref()) {
            match sync.states.get_mut(&state.object_id) {
                Some(known) => merge(known, state),
                None => drop(sync.states.insert(state.object_id.clone(), state.clone())),
            }
        }
        if cursor.is_empty() {
            self.end_sync();
        }
    }

    /// RTO5c.
    fn end_sync(&mut self) {
        let states = self.sync.take().map(|sync| sync.states).unwrap_or_default();
        self.pool.retain(|id, _| id.is_root() || states.contains_key(id));
        for (id, state) in states {
            let object = Object::of_state(&state, self.pool.get(&id));
            self.pool.insert(id, object);
        }
        self.applied.clear();
        let buffered = std::mem::take(&mut self.buffered);
        buffered.iter().for_each(|item| self.receive(item, Source::Channel));
        let waiting = std::mem::take(&mut self.waiting);
        waiting.iter().for_each(|item| self.receive(item, Source::Local));
    }

    /// OBJECT (RTO8).
    pub(super) fn operate(&mut self, items: &[ObjectItem]) {
        if self.is_synced() {
            items.iter().for_each(|item| self.receive(item, Source::Channel));
        } else {
            self.buffered.extend_from_slice(items);
        }
    }

    /// Own operations and the serials that they got (RTO20).
    pub(super) fn acknowledged(
        &mut self,
        items: &[ObjectItem],
        accepted: &Accepted,
        site: SiteCode,
    ) {
        if accepted.items != items.len() {
            return;
        }
        for (item, serial) in items.iter().zip(accepted.serials()) {
            let Some(serial) = serial else { continue };
            let serial = Some(serial.to_string().into());
            let item = ObjectItem { serial, site_code: Some(site), ..item.clone() };
            if self.is_synced() {
                self.receive(&item, Source::Local);
            } else {
                self.waiting.push(item);
            }
        }
    }

    /// RTO9a.
    fn receive(&mut self, item: &ObjectItem, source: Source) {
        let Some(request) = &item.operation else { return };
        let id = request.object_id.as_deref().and_then(ObjectId::parse);
        let action = request.payload.as_ref().and_then(action_of);
        let (Some(id), Some(action)) = (id, action) else { return };
        let (Some(serial), Some(site)) = (&item.serial, item.site_code) else { return };
        if self.applied.remove(serial) {
            return;
        }
        if self.apply(serial, site, &id, &action, source) && source == Source::Local {
            self.applied.insert(Arc::clone(serial));
        }
    }

    /// What a client that saw everything, and published nothing, makes of an operation.
    pub(crate) fn follow(&mut self, at: ItemPosition, id: &ObjectId, action: &ObjectAction) {
        let serial = at.to_string().into();
        self.apply(&serial, at.serial.series.site(), id, action, Source::Channel);
    }

    /// Says whether it was applied (RTLM15, RTLC7).
    fn apply(
        &mut self,
        serial: &Arc<str>,
        site: SiteCode,
        id: &ObjectId,
        action: &ObjectAction,
        source: Source,
    ) -> bool {
        let object = self.pool.entry(id.clone()).or_insert_with(|| Object::new(id.kind()));
        if object.sites.get(&site).is_some_and(|last| serial <= last) {
            return false;
        }
        if source == Source::Channel {
            object.sites.insert(site, Arc::clone(serial));
        }
        if object.deleted {
            return false;
        }
        object.operate(serial, action, id);
        true
    }

    /// What a reader sees, from the root on.
    pub fn tree(&self) -> Tree {
        self.show(&ObjectId::root()).unwrap_or_else(|| Tree::Map(Vec::new()))
    }

    fn show(&self, id: &ObjectId) -> Option<Tree> {
        let object = self.pool.get(id).filter(|object| !object.deleted)?;
        match &object.value {
            Value::Counter(count) => Finite::new(*count).map(Tree::Number),
            Value::Map { entries, .. } => {
                let shown = |(key, slot): (&Arc<str>, &Slot)| {
                    let tree = match slot.data.as_ref()? {
                        ObjectData::Object(id) => self.show(id)?,
                        ObjectData::Boolean(value) => Tree::Boolean(*value),
                        ObjectData::Bytes(bytes) => Tree::Bytes(bytes.clone()),
                        ObjectData::Number(number) => Tree::Number(*number),
                        ObjectData::Text(text) | ObjectData::Json(text) => Tree::Text(text.clone()),
                    };
                    Some((Arc::clone(key), tree))
                };
                Some(Tree::Map(entries.iter().filter_map(shown).collect()))
            }
        }
    }

    /// What can be worked on: objects that are not deleted.
    pub(crate) fn known(&self, kind: ObjectKind) -> impl Iterator<Item = &ObjectId> {
        let live = self.pool.iter().filter(|(_, object)| !object.deleted && object.created);
        live.map(|(id, _)| id).filter(move |id| id.kind() == kind)
    }

    /// Each object with the last serial that it knows of each site.
    pub(crate) fn serials(
        &self,
    ) -> impl Iterator<Item = (&ObjectId, &BTreeMap<SiteCode, Arc<str>>)> {
        self.pool.iter().map(|(id, object)| (id, &object.sites))
    }
}

impl Object {
    fn new(kind: ObjectKind) -> Self {
        let value = match kind {
            ObjectKind::Map => Value::Map { entries: BTreeMap::new(), cleared: None },
            ObjectKind::Counter => Value::Counter(0.0),
        };
        Self { sites: BTreeMap::new(), deleted: false, created: false, value }
    }

    /// RTLM6, RTLC6. What was deleted stays so.
    fn of_state(state: &ObjectState, known: Option<&Self>) -> Self {
        let mut object = Self::new(state.object_id.kind());
        let sites = state.site_serials.iter();
        object.sites = sites.map(|(site, at)| (*site, at.to_string().into())).collect();
        object.deleted = state.deleted.is_some() || known.is_some_and(|known| known.deleted);
        if object.deleted {
            return object;
        }
        object.value = match &state.value {
            ObjectValue::Counter(sum) => Value::Counter(sum.get()),
            ObjectValue::Map { entries, cleared } => {
                let slot = |(key, entry): (&Arc<str>, &types::MapEntry)| {
                    let data = match &entry.value {
                        MapValue::Data(data) => Some(data.clone()),
                        MapValue::Tombstone(_) => None,
                    };
                    let serial = entry.serial.map(|serial| serial.to_string().into());
                    (Arc::clone(key), Slot { serial, data })
                };
                let cleared = cleared.map(|cleared| cleared.to_string().into());
                Value::Map { entries: entries.iter().map(slot).collect(), cleared }
            }
        };
        if let Some(created) = &state.created {
            object.create(created);
        }
        object
    }

    fn operate(&mut self, serial: &Arc<str>, action: &ObjectAction, id: &ObjectId) {
        match (action, &mut self.value) {
            (ObjectAction::MapCreate(_) | ObjectAction::CounterCreate(_), _) => self.create(action),
            (ObjectAction::MapSet { key, value }, _) => {
                self.put(key, Some(value.clone()), Some(serial));
            }
            (ObjectAction::MapRemove { key }, _) => self.put(key, None, Some(serial)),
            (ObjectAction::CounterInc(number), Value::Counter(count)) => *count += number.get(),
            (ObjectAction::MapClear, Value::Map { entries, cleared })
                if cleared.as_ref() <= Some(serial) =>
            {
                *cleared = Some(Arc::clone(serial));
                entries.retain(|_, slot| slot.serial.as_ref() >= Some(serial));
            }
            (ObjectAction::Delete, _) if !id.is_root() => {
                self.deleted = true;
                self.value = Self::new(id.kind()).value;
            }
            (ObjectAction::CounterInc(_) | ObjectAction::MapClear | ObjectAction::Delete, _) => {}
        }
    }

    /// The initial value counts once (RTLM23, RTLC16).
    fn create(&mut self, action: &ObjectAction) {
        if std::mem::replace(&mut self.created, true) {
            return;
        }
        match (action, &mut self.value) {
            (ObjectAction::CounterCreate(number), Value::Counter(count)) => *count += number.get(),
            (ObjectAction::MapCreate(initial), Value::Map { .. }) => {
                for (key, data) in initial {
                    self.put(key, Some(data.clone()), None);
                }
            }
            _ => {}
        }
    }

    /// RTLM7, RTLM8, RTLM9: no serial is older than any.
    fn put(&mut self, key: &Arc<str>, data: Option<ObjectData>, serial: Option<&Arc<str>>) {
        let Value::Map { entries, cleared } = &mut self.value else { return };
        let known = entries.get(key).map(|slot| slot.serial.as_ref());
        let old = known.is_some_and(|known| known >= serial);
        if old || cleared.as_ref().is_some_and(|cleared| Some(cleared) >= serial) {
            return;
        }
        entries.insert(Arc::clone(key), Slot { serial: serial.cloned(), data });
    }
}

/// RTO5f2: another part of a map.
fn merge(known: &mut ObjectState, part: &ObjectState) {
    match (&mut known.value, &part.value) {
        (ObjectValue::Map { entries, .. }, ObjectValue::Map { entries: more, .. }) => {
            entries.extend(more.iter().map(|(key, entry)| (Arc::clone(key), entry.clone())));
        }
        (ObjectValue::Map { .. } | ObjectValue::Counter(_), _) => {}
    }
}

fn action_of(payload: &ObjectPayload) -> Option<ObjectAction> {
    match payload {
        ObjectPayload::Action(action) => Some(action.clone()),
        ObjectPayload::Create(InitialValue { kind, json, .. }) => {
            protocol::decode_initial_value(*kind, json).ok().flatten()
        }
    }
}
