//! The messages that are changed or annotated: each with its versions and its summary, for as long
//! as the log speaks of them. The others are in the log as they were published, or in the store.
//!
//! Invariants: a message that is held reflects every committed entry about it; one that an entry in
//! the log changes or annotates is held.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use types::{Body, ClientId, Entry, ItemPosition, Message, MessageAction, Serial, Timestamp};

use crate::summaries::Summaries;
use crate::versions::Versions;

/// Bytes of held messages; with more, a change of one that is not held is refused (42913).
const MAX_BYTES: usize = 64 << 20;

/// One message as all entries about it leave it.
#[derive(Clone, Debug)]
pub struct MessageState {
    key: ItemPosition,
    pub(crate) versions: Versions,
    pub(crate) summaries: Summaries,
}

impl MessageState {
    pub(crate) fn new(key: ItemPosition) -> Self {
        Self { key, versions: Versions::default(), summaries: Summaries::default() }
    }

    /// The message that `entries` tell of: its publish, changes and annotations, in any order, each
    /// once.
    pub fn of<'a>(key: ItemPosition, entries: impl IntoIterator<Item = &'a Arc<Entry>>) -> Self {
        let mut state = Self::new(key);
        entries.into_iter().for_each(|entry| state.apply(entry));
        state
    }

    pub(crate) fn apply(&mut self, entry: &Entry) {
        self.versions.apply(self.key, entry);
        if entry.body.target() == Some(self.key) {
            self.summaries.apply(entry);
        }
    }

    /// The newest version in one piece, with the summary of its annotations; none if the message is
    /// not known.
    pub fn latest(&self) -> Option<Message> {
        let whole = self.versions.whole()?;
        Some(Message { summary: self.summaries.summary(), ..whole })
    }

    /// What `client` contributed to the summary, unclipped; none if the message is not known.
    pub fn summary_of_client(&self, client: &ClientId) -> Option<Map<String, Value>> {
        self.versions.is_known().then(|| self.summaries.of_client(client))
    }

    fn memory(&self) -> usize {
        size_of::<Held>() + self.versions.memory() + self.summaries.memory()
    }
}

#[derive(Debug)]
struct Held {
    state: MessageState,
    /// Changes of it that were appended and may still fail, oldest first.
    staged: VecDeque<Arc<Entry>>,
    until: Timestamp,
}

#[derive(Debug)]
pub(crate) struct Messages {
    held: BTreeMap<ItemPosition, Held>,
    /// When to look whether a message is still needed, in order; one for each that is held.
    timers: VecDeque<(Timestamp, ItemPosition)>,
    retention: Duration,
    bytes: usize,
}

/// What a change of a message has to fit to: the message with everything pending.
pub(crate) struct Expected<'a> {
    pub(crate) newest: &'a Message,
    pub(crate) data_len: usize,
}

impl Messages {
    pub(crate) fn new(retention: Duration) -> Self {
        Self { held: BTreeMap::new(), timers: VecDeque::new(), retention, bytes: 0 }
    }

    pub(crate) fn holds(&self, key: ItemPosition) -> bool {
        self.held.contains_key(&key)
    }

    pub(crate) fn get(&self, key: ItemPosition) -> Option<&MessageState> {
        self.held.get(&key).map(|held| &held.state)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= MAX_BYTES
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Holds the message for a retention.
    pub(crate) fn hold(&mut self, now: Timestamp, state: MessageState) {
        let (key, until) = (state.key, now.plus(self.retention));
        self.bytes += state.memory();
        self.timers.push_back((until, key));
        let held = Held { state, staged: VecDeque::new(), until };
        let before = self.held.insert(key, held);
        assert!(before.is_none(), "a message is held once");
    }

    /// Notes an entry that was appended and may still fail.
    pub(crate) fn stage(&mut self, entry: &Arc<Entry>) {
        if let Some(held) = self.said_by(entry) {
            held.staged.push_back(Arc::clone(entry));
        }
    }

    pub(crate) fn fail(&mut self, entry: &Entry) {
        if let Some(held) = self.said_by(entry) {
            held.staged.retain(|staged| staged.position != entry.position);
        }
    }

    pub(crate) fn commit(&mut self, now: Timestamp, entry: &Entry) {
        self.fail(entry);
        let retention = self.retention;
        let Some(held) = self.said_by(entry) else { return };
        let before = held.state.memory();
        held.state.apply(entry);
        held.until = now.plus(retention);
        let after = held.state.memory();
        self.bytes = (self.bytes + after).saturating_sub(before);
    }

    /// The held message that the entry changes or annotates.
    fn said_by(&mut self, entry: &Entry) -> Option<&mut Held> {
        // Mostly none is held at all.
        if self.held.is_empty() {
            return None;
        }
        self.held.get_mut(&entry.body.target()?)
    }

    pub(crate) fn expected(&self, key: ItemPosition) -> Option<Expected<'_>> {
        let held = self.held.get(&key)?;
        let committed = held.state.versions.newest()?;
        let (mut newest, mut data_len) = (committed, held.state.versions.data_len());
        for change in held.staged.iter().filter_map(|entry| entry.body.change()) {
            let before = if change.action == MessageAction::Append { data_len } else { 0 };
            (newest, data_len) = (change, before + change.data.len());
        }
        Some(Expected { newest, data_len })
    }

    /// The message with everything pending, in one piece.
    pub(crate) fn expected_whole(&self, key: ItemPosition) -> Option<Message> {
        let held = self.held.get(&key)?;
        let mut versions = held.state.versions.clone();
        held.staged.iter().for_each(|entry| versions.apply(key, entry));
        versions.whole()
    }

    /// Lets go of messages that no entry of the log is about any more.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        while let Some((_, key)) = self.timers.pop_front_if(|(at, _)| *at <= now) {
            let Some(held) = self.held.get(&key) else { continue };
            if held.until > now || !held.staged.is_empty() {
                // Kept in order: nothing is later than a retention from now.
                self.timers.push_back((now.plus(self.retention), key));
            } else {
                self.bytes = self.bytes.saturating_sub(held.state.memory());
                self.held.remove(&key);
            }
        }
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.timers.front().map(|(at, _)| *at)
    }
}

/// What an attachment receives of entries that it cannot take as they are.
impl crate::Channel {
    /// The append `entry` as the whole message, for those who do not have what it appends to.
    pub fn whole(&self, entry: &Entry) -> Option<Entry> {
        let change = entry.body.change()?;
        if change.action != MessageAction::Append {
            return None;
        }
        let whole = self.messages.get(entry.body.target()?)?.versions.whole()?;
        Some(with_message(entry, whole))
    }

    /// The entry that published the message, if the log has it.
    pub fn published(&self, key: ItemPosition) -> Option<Arc<Entry>> {
        self.log.find(key.serial).filter(|entry| key.index < entry.body.len())
    }

    /// The serial of the newest version of the message that was delivered in one piece.
    pub fn newest_whole(&self, key: ItemPosition) -> Option<Serial> {
        self.messages.get(key)?.versions.base_serial()
    }

    /// The summary after an entry of annotations, as a message.
    pub(crate) fn summary(&self, entry: &Entry) -> Option<Entry> {
        let Body::Annotations(annotations) = &entry.body else { return None };
        let state = self.messages.get(entry.body.target()?)?;
        let newest = state.versions.newest()?;
        let summary = Message {
            name: newest.name.clone(),
            serial: newest.serial.clone(),
            timestamp: newest.timestamp,
            client_id: newest.client_id.clone(),
            action: MessageAction::Summary,
            summary: Some(state.summaries.summary()?),
            ..Message::default()
        };
        let summarised =
            annotations.iter().any(|annotation| crate::Method::of(&annotation.kind).is_some());
        summarised.then(|| with_message(entry, summary))
    }

    /// What `entry`, a publish of messages, is in history: each message as it is now.
    pub(crate) fn in_place(&self, entry: Arc<Entry>) -> Arc<Entry> {
        let Body::Messages(messages) = &entry.body else { return entry };
        let key = |index| ItemPosition { serial: entry.serial, index };
        let held = |index| self.messages.get(key(index));
        if self.messages.is_empty() || (0..messages.len()).all(|index| held(index).is_none()) {
            return entry;
        }
        let latest = |index| held(index)?.latest();
        let messages = messages.iter().enumerate();
        let body =
            messages.map(|(index, message)| latest(index).unwrap_or_else(|| message.clone()));
        Arc::new(Entry { body: Body::Messages(body.collect()), ..entry.as_ref().clone() })
    }

    /// Holds the messages that restored entries are about. Returned are those that were published
    /// before the log begins.
    pub(crate) fn hold_restored(
        &mut self,
        now: Timestamp,
        entries: &[Arc<Entry>],
    ) -> BTreeSet<ItemPosition> {
        let mut about: BTreeMap<ItemPosition, Vec<Arc<Entry>>> = BTreeMap::new();
        for entry in entries {
            if let Some(key) = entry.body.target() {
                about.entry(key).or_default().push(Arc::clone(entry));
            }
        }
        let mut missing = BTreeSet::new();
        for (key, said) in about {
            match self.log.find(key.serial) {
                Some(published) => {
                    let entries = std::iter::once(&published).chain(&said);
                    self.messages.hold(now, MessageState::of(key, entries));
                }
                None => {
                    missing.insert(key);
                }
            }
        }
        missing
    }
}

fn with_message(entry: &Entry, message: Message) -> Entry {
    Entry { body: Body::Messages(vec![message]), ..entry.clone() }
}
