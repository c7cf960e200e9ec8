//! What one batch of the writer is going to write. A write that cannot be stored is left out of it,
//! which is no reason to lose the others.
//!
//! The engine orders nothing within a batch, so what several of its writes change is put into it
//! once, as the last of them leaves it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use fjall::{OwnedWriteBatch, PersistMode};
use packed::SERIAL_LENGTH;
use types::{AppId, ChannelName, Entry, Kind, ObjectsSnapshot, RecordChange, Timestamp};

use crate::writer::{Place, Write};
use crate::{Store, StoreError, key};

/// The engine's longest key.
const MAX_KEY: usize = u16::MAX as usize;

pub(crate) struct Stage<'a> {
    store: &'a Store,
    batch: OwnedWriteBatch,
    minutes: BTreeSet<Vec<u8>>,
    last_of_series: BTreeMap<Vec<u8>, [u8; SERIAL_LENGTH]>,
    last: BTreeMap<Vec<u8>, Vec<u8>>,
    /// By key; none is deleted.
    records: BTreeMap<Vec<u8>, Option<Bytes>>,
    objects: BTreeMap<Vec<u8>, Option<Bytes>>,
}

/// What a write adds to the history.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Staged {
    pub(crate) entries: u64,
    /// Stored bytes, without keys.
    pub(crate) bytes: u64,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self {
            store,
            batch: store.database.batch().durability(Some(PersistMode::SyncAll)),
            minutes: BTreeSet::new(),
            last_of_series: BTreeMap::new(),
            last: BTreeMap::new(),
            records: BTreeMap::new(),
            objects: BTreeMap::new(),
        }
    }

    /// None if it cannot be stored.
    pub(crate) fn add(&mut self, write: &Write) -> Option<Staged> {
        match write {
            Write::Entry { app, channel, entry, place } => {
                let staged = self.add_entry(app, channel, entry, *place).inspect_err(|error| {
                    tracing::error!(%error, %app, %channel, "an entry cannot be stored");
                });
                staged.ok()
            }
            Write::Last { app, channel, entry } => {
                self.last.insert(key::channel(app, channel), crate::last::encode(entry));
                Some(Staged::default())
            }
            Write::Objects { app, channel, snapshot, since } => {
                let channel_key = key::channel(app, channel);
                let staged = self.add_objects(channel_key, snapshot, *since);
                let staged = staged.inspect_err(|error| {
                    tracing::error!(%error, %app, %channel, "objects cannot be stored");
                });
                staged.ok()
            }
            Write::Records(changes) => {
                let staged = self.add_records(changes).inspect_err(|error| {
                    tracing::error!(%error, "records cannot be stored");
                });
                staged.ok()
            }
        }
    }

    pub(crate) fn commit(mut self) -> fjall::Result<()> {
        for key in self.minutes {
            self.batch.insert(&self.store.minutes, key, []);
        }
        for (key, serial) in self.last_of_series {
            self.batch.insert(&self.store.series, key, serial);
        }
        for (key, value) in self.last {
            self.batch.insert(&self.store.last, key, value);
        }
        for (keyspace, rows) in
            [(&self.store.records, self.records), (&self.store.objects, self.objects)]
        {
            for (key, value) in rows {
                match value {
                    Some(value) => self.batch.insert(keyspace, key, value.as_ref()),
                    None => self.batch.remove(keyspace, key),
                }
            }
        }
        self.batch.commit()
    }

    fn add_entry(
        &mut self,
        app: &AppId,
        channel: &ChannelName,
        entry: &Entry,
        place: Place,
    ) -> Result<Staged, StoreError> {
        let channel_key = key::channel(app, channel);
        let kind = Kind::of(&entry.body);
        let own = packed::serial(&entry.serial);
        let head = key::head(&channel_key, kind);
        let entry_key = key::at(&head, &own);
        let target = entry.body.target();
        let about_key = target.map(|message| key::about(&head, message, &own));
        let mut value = Vec::with_capacity(512);
        packed::encode(entry, &mut value);
        if about_key.as_ref().unwrap_or(&entry_key).len() > MAX_KEY {
            return Err(StoreError::NameTooLong);
        }
        let staged = Staged { entries: 1, bytes: value.len() as u64 };
        if kind == Kind::Objects {
            let operation_key = key::operation(&channel_key, &entry.serial);
            self.objects.insert(operation_key, Some(Bytes::copy_from_slice(&value)));
        }
        if place == Place::Objects {
            return Ok(staged);
        }
        if let Some(about_key) = about_key {
            self.batch.insert(&self.store.about, about_key, []);
        }
        self.minutes.insert(key::minute(&head, entry.serial.ms));
        self.batch.insert(&self.store.history, entry_key, value);
        let series_key = key::series(&channel_key, entry.serial.series);
        self.last_of_series.insert(series_key, own);
        Ok(staged)
    }

    fn add_objects(
        &mut self,
        channel_key: Vec<u8>,
        snapshot: &ObjectsSnapshot,
        since: Timestamp,
    ) -> Result<Staged, StoreError> {
        let mut contained = Vec::new();
        for guard in self.store.objects.prefix(&channel_key) {
            let key = guard.key()?;
            if key.len() > channel_key.len() {
                let serial = key::serial_behind(&channel_key, &key)?;
                if serial > snapshot.until || serial.ms >= since.0 {
                    break;
                }
                contained.push((key.to_vec(), None));
            }
        }
        self.objects.extend(contained);
        self.objects.insert(channel_key, Some(packed::encode_snapshot(snapshot).into()));
        Ok(Staged::default())
    }

    fn add_records(&mut self, changes: &[RecordChange]) -> Result<Staged, StoreError> {
        let mut changed = BTreeMap::new();
        for change in changes {
            match change {
                RecordChange::Keep(record) => {
                    changed.insert(key::record(&record.id), Some(record.value.clone()));
                }
                RecordChange::Delete(id) => {
                    changed.insert(key::record(id), None);
                }
                RecordChange::DeleteApp(app) => {
                    let app = key::app(app);
                    for guard in self.store.objects.prefix(&app) {
                        self.objects.insert(guard.key()?.to_vec(), None);
                    }
                    let earlier = self.objects.iter_mut().filter(|(key, _)| key.starts_with(&app));
                    earlier.for_each(|(_, value)| *value = None);
                    for guard in self.store.records.prefix(&app) {
                        changed.insert(guard.key()?.to_vec(), None);
                    }
                    let earlier = self.records.keys().filter(|key| key.starts_with(&app));
                    changed.extend(earlier.map(|key| (key.clone(), None)));
                    let within = changed.iter_mut().filter(|(key, _)| key.starts_with(&app));
                    within.for_each(|(_, value)| *value = None);
                }
            }
        }
        if changed.keys().any(|key| key.len() > MAX_KEY) {
            return Err(StoreError::NameTooLong);
        }
        self.records.append(&mut changed);
        Ok(Staged::default())
    }
}
