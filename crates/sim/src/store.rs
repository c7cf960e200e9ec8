//! The store as the node sees it: writes take time, are answered in order, sometimes fail, and are
//! lost by a crash when they are not yet durable. What is durable survives every crash.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use node::{ChannelKey, Node};
use types::{Entry, EntryId, Record, RecordChange, RecordId, Timestamp};

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
    /// Changes of records on their way, in order, and when the last of them is answered.
    changes: VecDeque<Vec<RecordChange>>,
    last_change: Timestamp,
}

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
        damaged.map(|record| record.id.clone()).collect()
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
        self.durable.entry(Arc::clone(name)).or_default().push(entry);
    }
}

fn doubt(name: &Arc<str>, entry: &Entry) -> (Arc<str>, u64, [u8; 12]) {
    (Arc::clone(name), entry.position, *entry.serial.series.as_bytes())
}
