//! What was committed and is not yet delivered, because more may come that is delivered with it: in a
//! namespace with batching everything, in one with conflation what one interval leaves; elsewhere
//! appends to a message, and summaries of one, that follow the one before closely.
//!
//! Invariants: what waits is delivered in the order in which it was committed, and before anything that
//! was committed later; so cursors never go back. Nothing waits longer than its rule says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use types::{Body, Cursor, Entry, Grouping, ItemPosition, Message, MessageAction, Timestamp};

/// Entries that wait at most, and their bytes; with one more all of them are delivered.
const MAX_HELD: usize = 10_000;
const MAX_BYTES: usize = 4 << 20;
/// How often the summary of one message is delivered at most.
const SUMMARY_INTERVAL: Duration = Duration::from_millis(100);
/// How long what one conflation interval leaves is waited for, when it has to be stored.
const MAX_GATHERING: Duration = Duration::from_secs(1);

/// An entry on its way.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) entry: Arc<Entry>,
    pub(crate) cursor: Cursor,
    /// Counts the entries that came this way.
    pub(crate) number: u64,
    /// What it is about, and how long more of that has to wait once it has been delivered.
    pace: Option<(Topic, Duration)>,
}

/// What only the newest of is of interest, if several follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    Change(ItemPosition),
    Summary(ItemPosition),
}

impl Topic {
    pub(crate) fn of(entry: &Entry) -> Option<Self> {
        if entry.body.change().is_some() {
            return entry.body.target().map(Self::Change);
        }
        let Body::Messages(messages) = &entry.body else { return None };
        let [message] = messages.as_slice() else { return None };
        let serial = message.serial.as_deref().filter(|_| message.action == MessageAction::Summary);
        serial?.parse().ok().map(Self::Summary)
    }
}

/// When what waits is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Now,
    At(Timestamp),
}

/// What the surroundings say of an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) now: Timestamp,
    /// How long the publisher of an append lets it wait for more.
    pub(crate) rollup: Duration,
    /// Whether more entries have been appended that are not committed.
    pub(crate) more: bool,
}

#[derive(Debug)]
pub(crate) struct Window {
    config: Arc<channel::Config>,
    held: Vec<Held>,
    bytes: usize,
    until: Option<Timestamp>,
    count: u64,
    newest: Option<Cursor>,
    /// Until when more of a topic has to wait; those that are over are forgotten with every delivery.
    recent: BTreeMap<Topic, Timestamp>,
}

impl Window {
    pub(crate) fn new(config: Arc<channel::Config>) -> Self {
        Self {
            config,
            held: Vec::new(),
            bytes: 0,
            until: None,
            count: 0,
            newest: None,
            recent: BTreeMap::new(),
        }
    }

    /// The number of the entry that came last.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The position of the entry that came last. The channel may be further: what it commits at once
    /// comes one by one.
    pub(crate) fn newest(&self) -> Option<&Cursor> {
        self.newest.as_ref()
    }

    pub(crate) fn grouping(&self) -> &Grouping {
        &self.config.grouping
    }

    /// Whether several messages may travel in one frame.
    pub(crate) fn groups(&self) -> bool {
        !matches!(self.config.grouping, Grouping::None)
    }

    /// Whether something is due later.
    pub(crate) fn waits(&self) -> bool {
        self.until.is_some()
    }

    pub(crate) fn held(&self) -> &[Held] {
        &self.held
    }

    /// Takes an entry in, and says when to deliver what is there.
    pub(crate) fn take_in(&mut self, entry: Arc<Entry>, cursor: Cursor, arrival: Arrival) -> Due {
        let pace = self.pace(&entry, arrival.rollup);
        let until = self.wait(&entry, pace, arrival);
        self.note(cursor.clone());
        self.bytes += entry.body.size();
        self.held.push(Held { entry, cursor, number: self.count, pace });
        let full = self.held.len() >= MAX_HELD || self.bytes >= MAX_BYTES;
        match until.filter(|_| !full) {
            Some(until) => {
                self.until = Some(until);
                Due::At(until)
            }
            None => Due::Now,
        }
    }

    /// Takes note of an entry that has come, whether anybody is there to receive it or not.
    pub(crate) fn note(&mut self, cursor: Cursor) {
        self.count += 1;
        self.newest = Some(cursor);
    }

    /// How long the next entry of the same topic has to wait for its turn; none if it need not.
    fn pace(&self, entry: &Entry, rollup: Duration) -> Option<(Topic, Duration)> {
        let topic = Topic::of(entry).filter(|_| !self.groups())?;
        let is_append =
            |change: &Message| change.action == MessageAction::Append && !rollup.is_zero();
        match topic {
            Topic::Change(_) => {
                entry.body.change().is_some_and(is_append).then_some((topic, rollup))
            }
            Topic::Summary(_) => Some((topic, SUMMARY_INTERVAL)),
        }
    }

    fn wait(
        &self,
        entry: &Entry,
        pace: Option<(Topic, Duration)>,
        arrival: Arrival,
    ) -> Option<Timestamp> {
        let now = arrival.now;
        match &self.config.grouping {
            Grouping::Batching { interval } => Some(self.until.unwrap_or(now.plus(*interval))),
            Grouping::Conflation { .. } if arrival.more => {
                Some(self.until.filter(|until| *until > now).unwrap_or(now.plus(MAX_GATHERING)))
            }
            // At the end of what happens now: by then everything of the interval has come.
            Grouping::Conflation { .. } => Some(now),
            Grouping::None => match pace {
                Some((topic, _)) => {
                    let until = self.recent.get(&topic).copied().filter(|until| now < *until)?;
                    Some(self.until.map_or(until, |earlier| earlier.min(until)))
                }
                // A raw annotation stays behind its summary.
                None => self.until.filter(|_| matches!(entry.body, Body::Annotations(_))),
            },
        }
    }

    /// What waits; nothing does any more.
    pub(crate) fn take(&mut self, now: Timestamp) -> Vec<Held> {
        self.until = None;
        self.bytes = 0;
        self.recent.retain(|_, until| now < *until);
        let held = std::mem::take(&mut self.held);
        let paces = held.iter().filter_map(|held| held.pace);
        self.recent.extend(paces.map(|(topic, pace)| (topic, now.plus(pace))));
        held
    }
}
