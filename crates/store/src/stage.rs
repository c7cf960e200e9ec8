//! What one batch of the writer is going to write. A write that cannot be stored is left out of it,
//! which is no reason to lose the others: so what must be read of the store for it is read when it is added. Only
//! what entries out of order overlap is read when all are there, and fails the batch if it cannot be.
//!
//! The engine orders nothing within a batch, so what several of its writes change is put into it
//! once, as the last of them leaves it. Entries become chunks, few rows instead of many.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use fjall::{OwnedWriteBatch, PersistMode};
use packed::SERIAL_LENGTH;
use types::{AppId, ChannelName, Entry, Kind, ObjectsSnapshot, RecordChange, Serial, Timestamp};

use crate::block::Blocks;
use crate::chunk::{self, Chunk};
use crate::compress::Compressor;
use crate::key::OwnSerial;
use crate::newest::Newest;
use crate::writer::{Place, Write};
use crate::{Store, StoreError, key};

/// The engine's longest key.
const MAX_KEY: usize = u16::MAX as usize;

/// What one batch leaves to the next.
#[derive(Default)]
pub(crate) struct Kit {
    newest: Newest,
    blocks: Blocks,
    compressor: Compressor,
    /// The rows of a batch before they are compressed, and one of them after that; kept for their memory.
    plain: Vec<u8>,
    compressed: Vec<u8>,
}

pub(crate) struct Stage<'a> {
    store: &'a Store,
    kit: &'a mut Kit,
    batch: OwnedWriteBatch,
    staged: Staged,
    history: Additions<'a>,
    minutes: BTreeSet<Vec<u8>>,
    series: BTreeMap<Vec<u8>, OwnSerial>,
    last: BTreeMap<Vec<u8>, Vec<u8>>,
    /// By key; none is deleted.
    records: BTreeMap<Vec<u8>, Option<Bytes>>,
    objects: BTreeMap<Vec<u8>, Option<Bytes>>,
}

/// What entries are of: app, channel, and the code of their kind.
type Subject<'a> = (&'a AppId, &'a ChannelName, u8);

/// What is added to the history, by what it is of.
#[derive(Default)]
struct Additions<'a> {
    all: Vec<Addition<'a>>,
    places: BTreeMap<Subject<'a>, usize>,
    /// Where the last entry was added, because most come behind others of their channel.
    at_hand: usize,
}

struct Addition<'a> {
    subject: Subject<'a>,
    /// What the keys begin with.
    head: Vec<u8>,
    /// The newest of what is stored; not looked up while there are no entries.
    newest: Option<Serial>,
    entries: Vec<&'a Entry>,
}

/// Rows of the history: their keys, and where they are.
type Rows = Vec<(Vec<u8>, Range<usize>)>;

/// What a batch adds to the history.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Staged {
    pub(crate) entries: u64,
    /// Stored bytes, without keys.
    pub(crate) bytes: u64,
}

impl Kit {
    /// What is stored may not be what was to be.
    pub(crate) fn forget(&mut self) {
        self.newest.forget();
    }

    /// Gives back memory that was not needed of late.
    pub(crate) fn trim(&mut self) {
        self.blocks.trim();
        self.compressor = Compressor::default();
        self.plain = Vec::new();
        self.compressed = Vec::new();
    }
}

impl<'a> Stage<'a> {
    pub(crate) fn new(store: &'a Store, kit: &'a mut Kit) -> Self {
        Self {
            store,
            kit,
            batch: store.database.batch().durability(Some(PersistMode::SyncAll)),
            staged: Staged::default(),
            history: Additions::default(),
            minutes: BTreeSet::new(),
            series: BTreeMap::new(),
            last: BTreeMap::new(),
            records: BTreeMap::new(),
            objects: BTreeMap::new(),
        }
    }

    /// Whether it can be stored.
    pub(crate) fn add(&mut self, write: &'a Write) -> bool {
        match write {
            Write::Entries { app, channel, entries, place } => {
                let staged = self.add_entries((app, channel), entries, *place);
                let staged = staged.inspect_err(|error| {
                    tracing::error!(%error, %app, %channel, "entries cannot be stored");
                });
                staged.is_ok()
            }
            Write::Last { app, channel, entry } => {
                self.last.insert(key::channel(app, channel), crate::last::encode(entry));
                true
            }
            Write::Objects { app, channel, snapshot, since } => {
                let channel_key = key::channel(app, channel);
                let staged = self.add_objects(channel_key, snapshot, *since);
                let staged = staged.inspect_err(|error| {
                    tracing::error!(%error, %app, %channel, "objects cannot be stored");
                });
                staged.is_ok()
            }
            Write::Records(changes) => {
                let staged = self.add_records(changes).inspect_err(|error| {
                    tracing::error!(%error, "records cannot be stored");
                });
                staged.is_ok()
            }
        }
    }

    pub(crate) fn commit(mut self) -> Result<Staged, StoreError> {
        self.insert_history()?;
        for key in self.minutes {
            self.batch.insert(&self.store.minutes, key, []);
        }
        for (key, serial) in self.series {
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
        self.batch.commit()?;
        Ok(self.staged)
    }

    fn add_entries(
        &mut self,
        (app, channel): (&'a AppId, &'a ChannelName),
        entries: &'a [Arc<Entry>],
        place: Place,
    ) -> Result<(), StoreError> {
        let kind = |entry: &Entry| Kind::of(&entry.body);
        let runs = entries.chunk_by(|one, other| kind(one) == kind(other));
        // All or none: what may fail comes first.
        for first in runs.clone().filter_map(|run| run.first()) {
            self.prepare((app, channel, key::code(kind(first))), first, place)?;
        }
        for run in runs {
            self.add_run((app, channel), run, place);
        }
        Ok(())
    }

    /// Looks whether entries such as this one can be added.
    fn prepare(
        &mut self,
        subject: Subject<'a>,
        entry: &Entry,
        place: Place,
    ) -> Result<(), StoreError> {
        let addition = self.history.get(subject).ok_or(StoreError::NameTooLong)?;
        if about(&addition.head, entry).is_some_and(|about| about.len() > MAX_KEY) {
            return Err(StoreError::NameTooLong);
        }
        if place == Place::History && addition.entries.is_empty() {
            let known = self.kit.newest.get(&addition.head, self.store.retention.horizon());
            let stored = || self.store.newest(&addition.head);
            addition.newest = known.map_or_else(stored, |known| Ok(Some(known)))?;
        }
        Ok(())
    }

    /// Adds entries of one kind.
    fn add_run(
        &mut self,
        (app, channel): (&'a AppId, &'a ChannelName),
        run: &'a [Arc<Entry>],
        place: Place,
    ) {
        let Some(kind) = run.first().map(|first| Kind::of(&first.body)) else { return };
        let Some(addition) = self.history.get((app, channel, key::code(kind))) else { return };
        self.staged.entries += run.len() as u64;
        if kind == Kind::Objects {
            for entry in run {
                let mut packed = Vec::new();
                packed::encode(entry, &mut packed);
                if place == Place::Objects {
                    self.staged.bytes += packed.len() as u64;
                }
                let operation_key = key::operation(&key::channel(app, channel), &entry.serial);
                self.objects.insert(operation_key, Some(packed.into()));
            }
        }
        if place == Place::History {
            if key::is_about(&addition.head) {
                for about in run.iter().filter_map(|entry| about(&addition.head, entry)) {
                    self.batch.insert(&self.store.about, about, []);
                }
            }
            addition.entries.extend(run.iter().map(Arc::as_ref));
        }
    }

    /// Puts the entries into the batch.
    fn insert_history(&mut self) -> Result<(), StoreError> {
        let mut plain = std::mem::take(&mut self.kit.plain);
        plain.clear();
        let mut rows = Rows::new();
        for addition in std::mem::take(&mut self.history.all) {
            self.lay_out(addition, &mut plain, &mut rows)?;
        }
        let Kit { blocks, compressor, compressed, .. } = &mut *self.kit;
        for (key, place) in rows {
            compressed.clear();
            compressor.put(plain.get(place).unwrap_or_default(), compressed);
            self.batch.insert(&self.store.history, key, blocks.keep(compressed));
        }
        self.kit.plain = plain;
        Ok(())
    }

    /// Makes chunks of the entries of one kind of one channel.
    fn lay_out(
        &mut self,
        addition: Addition<'a>,
        plain: &mut Vec<u8>,
        rows: &mut Rows,
    ) -> Result<(), StoreError> {
        let Addition { head, newest, entries, .. } = addition;
        let mut chunks = Vec::new();
        for entry in entries {
            let pack = |to: &mut Vec<u8>| packed::encode(entry, to);
            self.staged.bytes += chunk::push(&mut chunks, plain, entry.serial, pack) as u64;
        }
        let known = self.kit.newest.get(&head, self.store.retention.horizon());
        let last = chunks.iter().map(|chunk| chunk.last).max().max(newest);
        if !follow(newest, &chunks) {
            chunks = self.merge(&head, &chunks, plain)?;
        }
        for chunk in chunks {
            let first = chunk.first;
            if !known.is_some_and(|known| chunk::belong_together(known, first)) {
                self.minutes.insert(key::minute(&head, first.ms));
                let of_series = self.series.entry(key::series_of(&head, first.series));
                let serial = of_series.or_insert(key::LOWEST);
                *serial = packed::serial(&first).max(*serial);
            }
            rows.push((key::at(&head, &packed::serial(&first)), chunk.row()));
        }
        if let Some(last) = last {
            self.kit.newest.set(head, last);
        }
        Ok(())
    }

    /// What becomes of chunks that do not follow what is stored, or each other, together with the stored ones
    /// that they overlap. Of two entries with one serial the one that is given later is kept.
    fn merge(
        &mut self,
        head: &[u8],
        chunks: &[Chunk],
        plain: &mut Vec<u8>,
    ) -> Result<Vec<Chunk>, StoreError> {
        let first = chunks.iter().map(|chunk| chunk.first).min();
        let last = chunks.iter().map(|chunk| chunk.last).max();
        let mut overlapped = Vec::new();
        let mut entries = BTreeMap::new();
        for row in self.store.chunks_until(head, last) {
            let (key, stored) = row?;
            if stored.last().map(|entry| entry.serial) < first {
                break;
            }
            overlapped.push(key);
            for entry in stored {
                entries.insert(entry.serial, entry.packed().to_vec());
            }
        }
        for chunk in chunks {
            let row = plain.get(chunk.row()).unwrap_or_default();
            for (serial, within) in chunk::entries(chunk.first, row)? {
                entries.insert(serial, row.get(within).unwrap_or_default().to_vec());
            }
        }
        let mut merged = Vec::new();
        for (serial, packed) in entries {
            chunk::push(&mut merged, plain, serial, |to| to.extend_from_slice(&packed));
        }
        // The engine orders nothing within a batch.
        let keys = merged.iter().map(|chunk| key::at(head, &packed::serial(&chunk.first)));
        let kept: BTreeSet<_> = keys.collect();
        for key in overlapped.into_iter().filter(|key| !kept.contains(key.as_ref())) {
            self.batch.remove(&self.store.history, key);
        }
        Ok(merged)
    }

    fn add_objects(
        &mut self,
        channel_key: Vec<u8>,
        snapshot: &ObjectsSnapshot,
        since: Timestamp,
    ) -> Result<(), StoreError> {
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
        Ok(())
    }

    fn add_records(&mut self, changes: &[RecordChange]) -> Result<(), StoreError> {
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
        Ok(())
    }
}

impl<'a> Additions<'a> {
    /// None if the names are too long for a key.
    fn get(&mut self, subject: Subject<'a>) -> Option<&mut Addition<'a>> {
        if self.all.get(self.at_hand).is_none_or(|last| last.subject != subject) {
            self.at_hand = match self.places.get(&subject) {
                Some(place) => *place,
                None => self.add(subject)?,
            };
        }
        self.all.get_mut(self.at_hand)
    }

    fn add(&mut self, subject: Subject<'a>) -> Option<usize> {
        let (app, channel, kind) = subject;
        let mut head = key::channel(app, channel);
        head.push(kind);
        if head.len() + SERIAL_LENGTH > MAX_KEY {
            return None;
        }
        let place = self.all.len();
        self.places.insert(subject, place);
        self.all.push(Addition { subject, head, newest: None, entries: Vec::new() });
        Some(place)
    }
}

/// The key in `about` of an entry that says something of a message.
fn about(head: &[u8], entry: &Entry) -> Option<Vec<u8>> {
    let own = packed::serial(&entry.serial);
    entry.body.target().map(|message| key::about(head, message, &own))
}

/// Whether the chunks are in order, behind what is stored.
fn follow(newest: Option<Serial>, chunks: &[Chunk]) -> bool {
    let mut last = newest;
    chunks.iter().all(|chunk| last.replace(chunk.last) < Some(chunk.first))
}
