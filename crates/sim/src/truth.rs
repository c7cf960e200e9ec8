//! What really happened on each channel: every committed entry and its place in the one order that
//! a site has. Taken from the store's answers for persisted channels, and from the node's own history
//! for the others; what subscribers see is judged by it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use types::{ConnectionId, Cursor, Data, Entry, EntryId, Kind, Serial, SeriesId, Timestamp};

use crate::checkers::{Verdict, once_per_id};

/// A position on the chain of series of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    span: usize,
    position: u64,
}

/// The end of a channel at one time, and the incarnation of the node that served it.
pub(crate) type End = (Place, u64);

/// A message of the workload: its publisher and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    pub publisher: usize,
    pub number: u64,
}

impl Label {
    pub fn text(self) -> String {
        format!("p{} {}", self.publisher, self.number)
    }

    pub fn parse(data: &Data) -> Option<Self> {
        let Data::Text(text) = data else { return None };
        let (publisher, number) = text.strip_prefix('p')?.split_once(' ')?;
        Some(Self { publisher: publisher.parse().ok()?, number: number.parse().ok()? })
    }
}

#[derive(Clone, Debug)]
pub struct Record {
    pub id: EntryId,
    pub connection_id: Option<ConnectionId>,
    pub kind: Kind,
    pub committed: Timestamp,
    pub incarnation: u64,
    pub standing: Standing,
    pub entry: Arc<Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Certain,
    /// The store reported it as failed: nobody must see it, anybody may.
    Doubtful,
}

#[derive(Debug, Default)]
pub struct Channel {
    pub persisted: bool,
    spans: Vec<SeriesId>,
    pub records: BTreeMap<Place, Record>,
    by_serial: BTreeMap<Serial, Place>,
    by_id: BTreeMap<EntryId, Vec<Place>>,
    newest: [Option<Serial>; 3],
}

#[derive(Debug, Default)]
pub struct Truth {
    /// Of the node that lives now.
    pub incarnation: u64,
    channels: BTreeMap<Arc<str>, Channel>,
}

impl Truth {
    pub fn channel(&mut self, name: &Arc<str>) -> &mut Channel {
        self.channels.entry(Arc::clone(name)).or_default()
    }

    pub fn get(&self, name: &str) -> Option<&Channel> {
        self.channels.get(name)
    }
}

impl Channel {
    pub(crate) fn commit(
        &mut self,
        now: Timestamp,
        incarnation: u64,
        entry: &Arc<Entry>,
        standing: Standing,
        window: Duration,
    ) -> Verdict {
        let place = Place { span: self.span(entry.serial.series), position: entry.position };
        if self.records.contains_key(&place) {
            return Ok(());
        }
        let kind = Kind::of(&entry.body);
        let record = Record {
            id: entry.id.clone(),
            connection_id: entry.connection_id.clone(),
            kind,
            committed: now,
            incarnation,
            standing,
            entry: Arc::clone(entry),
        };
        once_per_id::committed(self, &record, window)?;
        self.by_serial.insert(entry.serial, place);
        self.by_id.entry(entry.id.clone()).or_default().push(place);
        self.records.insert(place, record);
        let newest = &mut self.newest[index(kind)];
        *newest = (*newest).max(Some(entry.serial));
        Ok(())
    }

    /// The newest entry of this kind that is known.
    pub(crate) fn newest(&self, kind: Kind) -> Option<Serial> {
        self.newest[index(kind)]
    }

    pub fn with_id(&self, id: &EntryId) -> impl Iterator<Item = &Record> {
        let places = self.by_id.get(id).into_iter().flatten();
        places.filter_map(|place| self.records.get(place))
    }

    /// What was certainly committed, in order.
    pub fn certain(&self) -> impl Iterator<Item = &Record> {
        self.records.values().filter(|record| record.standing == Standing::Certain)
    }

    pub fn by_serial(&self, serial: &Serial) -> Option<Place> {
        self.by_serial.get(serial).copied()
    }

    /// The place up to which `cursor` covers; a series that was never heard of is the newest.
    pub(crate) fn place(&mut self, cursor: &Cursor) -> Place {
        let places =
            cursor.iter().map(|(series, position)| Place { span: self.span(series), position });
        places.max().unwrap_or_default()
    }

    /// Behind the last entry that is known.
    pub fn end(&self) -> Place {
        self.records.last_key_value().map(|(place, _)| *place).unwrap_or_default()
    }

    fn span(&mut self, series: SeriesId) -> usize {
        match self.spans.iter().position(|known| *known == series) {
            Some(span) => span,
            None => {
                self.spans.push(series);
                self.spans.len() - 1
            }
        }
    }
}

fn index(kind: Kind) -> usize {
    match kind {
        Kind::Messages | Kind::Changes | Kind::Annotations => 0,
        Kind::Presence => 1,
        Kind::Objects => 2,
    }
}
