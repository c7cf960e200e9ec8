//! The store as the node sees it: writes take time, are answered in order, sometimes fail, and are
//! lost by a crash when they are not yet durable. What is durable survives every crash.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use channel::MessageState;
use node::{ChannelKey, KeptObjects, Node};
use types::{
    Body, ChannelName, Direction, Entry, EntryId, HistoryPage, HistoryQuery, ItemPosition, Kind,
    ObjectsSnapshot, Record, RecordChange, RecordId, Timestamp,
};

use crate::queue::Write;

#[derive(Debug, Default)]
pub(crate) struct Store {
    durable: BTreeMap<Arc<str>, Vec<Arc<Entry>>>,
    /// Entries whose writes were reported as failed.
    doubtful: BTreeSet<(Arc<str>, u64, [u8; 12])>,
    /// Writes on their way, in order; the channel's last answer keeps the order.
    waiting: Vec<(Arc<str>, Arc<Entry>)>,
    last: BTreeMap<ChannelKey, Timestamp>,
    records: BTreeMap<RecordId, Record>,
    objects: BTreeMap<Arc<str>, Objects>,
    /// Changes of records on their way, in order, and when the last of them is answered.
    changes: VecDeque<Vec<RecordChange>>,
    last_change: Timestamp,
}

/// The last snapshot of a channel's objects, and operations that it may lack.
type Objects = (Option<ObjectsSnapshot>, Vec<Arc<Entry>>);

impl Store {
    /// When a write that takes `delay` is answered.
    pub(crate) fn begin(
        &mut self,
        channel: ChannelKey,
        name: &Arc<str>,
        entry: &Arc<Entry>,
        at: Timestamp,
    ) -> Timestamp {
        self.waiting.push((Arc::clone(name), Arc::clone(entry)));
        let last = self.last.entry(channel).or_default();
        *last = at.max(*last);
        *last
    }

    pub(crate) fn finish(&mut self, entry: &Arc<Entry>, outcome: Write) -> Option<Arc<str>> {
        let at = self.waiting.iter().position(|(_, waiting)| Arc::ptr_eq(waiting, entry))?;
        let (name, entry) = self.waiting.remove(at);
        if outcome != Write::Durable {
            self.doubtful.insert(doubt(&name, &entry));
        }
        if outcome != Write::Failed {
            self.keep(&name, entry);
        }
        Some(name)
    }

    /// When changes of records that would be made at `at` are answered.
    pub(crate) fn begin_change(&mut self, changes: Vec<RecordChange>, at: Timestamp) -> Timestamp {
        self.changes.push_back(changes);
        self.last_change = at.max(self.last_change);
        self.last_change
    }

    pub(crate) fn finish_change(&mut self, outcome: Write) {
        let changes = self.changes.pop_front();
        if outcome != Write::Failed {
            changes.into_iter().flatten().for_each(|change| self.change(change));
        }
    }

    /// Gives a new node what earlier ones kept. Returns the records that it cannot read.
    pub(crate) fn restore(&self, now: Timestamp, node: &mut Node) -> Vec<RecordId> {
        let damaged = self.records.values().filter(|record| node.restore(now, record).is_err());
        let damaged = damaged.map(|record| record.id.clone()).collect();
        for (name, (snapshot, operations)) in &self.objects {
            if let Ok(name) = ChannelName::parse(Arc::clone(name)) {
                let (snapshot, operations) = (snapshot.clone(), operations.clone());
                let app = "app".into();
                node.restore_objects(now, KeptObjects { app, name, snapshot, operations });
            }
        }
        damaged
    }

    /// Operations on objects that are kept, by channel.
    pub(crate) fn operations(&self) -> Vec<(Arc<str>, Vec<Arc<Entry>>)> {
        let each =
            |(name, (_, operations)): (&Arc<str>, &Objects)| (Arc::clone(name), operations.clone());
        self.objects.iter().map(each).collect()
    }

    /// Keeps a snapshot, at once: it holds nothing that is not durable.
    pub(crate) fn keep_objects(&mut self, name: &str, snapshot: ObjectsSnapshot, since: Timestamp) {
        let (kept, operations) = self.objects.entry(name.into()).or_default();
        operations.retain(|entry| entry.serial > snapshot.until || entry.serial.ms >= since.0);
        *kept = Some(snapshot);
    }

    fn change(&mut self, change: RecordChange) {
        match change {
            RecordChange::Keep(record) => {
                self.records.insert(record.id.clone(), record);
            }
            RecordChange::Delete(id) => {
                self.records.remove(&id);
            }
            RecordChange::DeleteApp(app) => self.records.retain(|id, _| id.app != app),
        }
    }

    /// The node dies: of the writes on their way, the first `reached` get there, and of the changes
    /// of records the first `changed`.
    pub(crate) fn crash(&mut self, reached: usize, changed: usize) {
        let changes: Vec<_> = std::mem::take(&mut self.changes).into_iter().take(changed).collect();
        changes.into_iter().flatten().for_each(|change| self.change(change));
        self.last_change = Timestamp::default();
        for (at, (name, entry)) in std::mem::take(&mut self.waiting).into_iter().enumerate() {
            if at < reached {
                self.keep(&name, entry);
            }
        }
        self.last.clear();
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn waiting_changes(&self) -> usize {
        self.changes.len()
    }

    /// What was stored since `since`, and the newest before, oldest first.
    pub(crate) fn load(&self, name: &str, since: Timestamp) -> Vec<Arc<Entry>> {
        let all = self.durable.get(name).map(Vec::as_slice).unwrap_or_default();
        let from = all.iter().position(|entry| entry.timestamp >= since).unwrap_or(all.len());
        all[from.saturating_sub(1)..].to_vec()
    }

    /// The entries that published, changed and annotated these messages, oldest first.
    pub(crate) fn about(&self, name: &str, messages: &BTreeSet<ItemPosition>) -> Vec<Arc<Entry>> {
        let all = self.durable.get(name).into_iter().flatten();
        let published =
            |entry: &Entry| messages.iter().any(|message| message.serial == entry.serial);
        let is_it = |entry: &&Arc<Entry>| {
            published(entry) || entry.body.target().is_some_and(|key| messages.contains(&key))
        };
        all.filter(is_it).cloned().collect()
    }

    /// A page of what is stored, newest first, with every message as it is now.
    pub(crate) fn history(&self, name: &str, query: &HistoryQuery) -> HistoryPage {
        let mut items: Vec<(Arc<Entry>, usize)> = Vec::new();
        let all = self.durable.get(name).into_iter().flatten();
        for entry in all.filter(|entry| Kind::of(&entry.body) == query.kind) {
            let places = (0..entry.body.len()).map(|index| (Arc::clone(entry), index));
            items.extend(places.filter(|(entry, index)| {
                query.continues_at(ItemPosition { serial: entry.serial, index: *index })
            }));
        }
        if query.direction == Direction::Backwards {
            items.reverse();
        }
        let more = items.len() > query.limit;
        items.truncate(query.limit);
        let position = |(entry, index): &(Arc<Entry>, usize)| ItemPosition {
            serial: entry.serial,
            index: *index,
        };
        let next = items.last().filter(|_| more).map(position);
        for item in &mut items {
            let key = position(item);
            let latest = MessageState::of(key, &self.about(name, &BTreeSet::from([key]))).latest();
            if let Some(latest) = latest.filter(|_| query.kind == Kind::Messages) {
                let body = Body::Messages(vec![latest]);
                *item = (Arc::new(Entry { body, ..item.0.as_ref().clone() }), 0);
            }
        }
        HistoryPage { items, next }
    }

    /// Messages that the query asks for, oldest first.
    pub(crate) fn backlog(&self, name: &str, query: &HistoryQuery) -> Vec<Arc<Entry>> {
        let all = self.durable.get(name).map(Vec::as_slice).unwrap_or_default();
        let is_covered = |entry: &Entry| {
            let until = query.until.as_ref().and_then(|until| until.position(entry.serial.series));
            until.is_none_or(|position| entry.position <= position)
        };
        let asked = all.iter().rev().filter(|entry| {
            Kind::of(&entry.body) == query.kind
                && query.start.is_none_or(|start| entry.timestamp >= start)
                && is_covered(entry)
        });
        let newest = asked.take(query.limit).map(|entry| self.in_place(name, entry));
        let mut newest: Vec<_> = newest.collect();
        newest.reverse();
        newest
    }

    /// The entry with every message as it is now.
    fn in_place(&self, name: &str, entry: &Arc<Entry>) -> Arc<Entry> {
        let mut shown = entry.as_ref().clone();
        if let Body::Messages(messages) = &mut shown.body {
            for (index, message) in messages.iter_mut().enumerate() {
                let key = ItemPosition { serial: entry.serial, index };
                let about = self.about(name, &BTreeSet::from([key]));
                if about.len() > 1
                    && let Some(latest) = MessageState::of(key, &about).latest()
                {
                    *message = latest;
                }
            }
        }
        Arc::new(shown)
    }

    pub(crate) fn is_doubtful(&self, name: &Arc<str>, entry: &Entry) -> bool {
        self.doubtful.contains(&doubt(name, entry))
    }

    /// How often an id is stored, without writes that were reported as failed.
    pub(crate) fn copies(&self, name: &Arc<str>, id: &EntryId) -> usize {
        let all = self.durable.get(name).map(Vec::as_slice).unwrap_or_default();
        all.iter().filter(|entry| entry.id == *id && !self.is_doubtful(name, entry)).count()
    }

    pub(crate) fn has(&self, name: &Arc<str>, id: &EntryId) -> bool {
        let all = self.durable.get(name).map(Vec::as_slice).unwrap_or_default();
        all.iter().rev().any(|entry| entry.id == *id)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = (&Arc<str>, &Vec<Arc<Entry>>)> {
        self.durable.iter()
    }

    fn keep(&mut self, name: &Arc<str>, entry: Arc<Entry>) {
        if Kind::of(&entry.body) == Kind::Objects {
            self.objects.entry(Arc::clone(name)).or_default().1.push(Arc::clone(&entry));
        }
        self.durable.entry(Arc::clone(name)).or_default().push(entry);
    }
}

fn doubt(name: &Arc<str>, entry: &Entry) -> (Arc<str>, u64, [u8; 12]) {
    (Arc::clone(name), entry.position, *entry.serial.series.as_bytes())
}
