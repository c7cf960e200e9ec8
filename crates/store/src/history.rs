//! Reading history: pages for clients, and what a host loads when it starts to serve a channel.
//!
//! The time of an entry is that of its serial, so that order and time never disagree.

use std::iter::Peekable;
use std::sync::Arc;

use fjall::{Readable as _, Slice};
use packed::Decoder;
use types::{
    AppId, ChannelName, Cursor, Direction, Entry, HistoryPage, HistoryQuery, ItemPosition, Kind,
    Serial, Timestamp,
};

use crate::chunk::{self, StoredEntry};
use crate::key::OwnSerial;
use crate::{Store, StoreError, key};

/// What a host loads of one channel at most, in stored bytes: a log starts later in a channel that
/// is busier than that, and resuming from before its start is a discontinuity as ever.
const MAX_RECENT_BYTES: usize = 64 << 20;

impl Store {
    pub fn history(
        &self,
        app: &AppId,
        name: &ChannelName,
        query: &HistoryQuery,
    ) -> Result<HistoryPage, StoreError> {
        let channel = key::channel(app, name);
        let until = query.until.as_ref().map(|cursor| self.until(&channel, cursor)).transpose()?;
        let mut items = Vec::new();
        let about = query.about.map(|message| self.rows_about(&channel, query, message));
        let all = query.about.is_none().then(|| self.rows(&channel, query));
        for row in all.into_iter().flatten().chain(about.into_iter().flatten()) {
            let stored = row?;
            let serial = stored.serial;
            if let Some(until) = &until
                && !until.covers(serial, packed::position(stored.packed())?)
            {
                continue;
            }
            let entry = stored.unpack()?;
            for index in indices(entry.body.len(), query.direction) {
                if !query.continues_at(ItemPosition { serial, index }) {
                    continue;
                }
                if items.len() >= query.limit {
                    return Ok(HistoryPage { next: end_of(&items), items });
                }
                items.push((Arc::clone(&entry), index));
            }
        }
        if items.is_empty() {
            return self.last_page(app, name, query);
        }
        Ok(HistoryPage { items, next: None })
    }

    /// The one message that a channel without history may have: what was published last.
    fn last_page(
        &self,
        app: &AppId,
        name: &ChannelName,
        query: &HistoryQuery,
    ) -> Result<HistoryPage, StoreError> {
        let asked = query.kind == Kind::Messages
            && query.after.is_none()
            && query.until.is_none()
            && query.limit > 0;
        let last = if asked { self.last(app, name)? } else { None };
        let last = last.filter(|entry| {
            query.start.is_none_or(|start| entry.timestamp >= start)
                && query.end.is_none_or(|end| entry.timestamp <= end)
        });
        let indices = |entry: &Arc<Entry>| indices(entry.body.len(), query.direction);
        let items = last.iter().flat_map(|entry| indices(entry).map(|n| (Arc::clone(entry), n)));
        Ok(HistoryPage { items: items.take(query.limit).collect(), next: None })
    }

    /// The newest entries of all kinds, oldest first: those since `since`, and the newest before
    /// it, so that the host knows where they begin.
    pub fn load_recent(
        &self,
        app: &AppId,
        channel: &ChannelName,
        since: Timestamp,
    ) -> Result<Vec<Arc<Entry>>, StoreError> {
        let channel = key::channel(app, channel);
        let kinds =
            [Kind::Messages, Kind::Presence, Kind::Changes, Kind::Annotations, Kind::Objects];
        let mut rows =
            kinds.map(|kind| self.rows(&channel, &HistoryQuery::new(kind, usize::MAX)).peekable());
        let mut entries = Vec::new();
        let mut bytes = 0;
        while let Some(row) = take_newest(&mut rows) {
            let stored = row?;
            bytes += stored.packed().len();
            if !entries.is_empty() && bytes > MAX_RECENT_BYTES {
                break;
            }
            entries.push(stored.unpack()?);
            if stored.serial.ms < since.0 {
                break;
            }
        }
        entries.reverse();
        Ok(entries)
    }

    /// The entries within the times and behind the start of the query, in its direction.
    fn rows(&self, channel: &[u8], query: &HistoryQuery) -> Rows {
        let horizon = self.retention.horizon();
        let first = query.start.map_or(horizon, |start| start.max(horizon));
        let last = query.end.unwrap_or(Timestamp(u64::MAX));
        let head = key::head(channel, query.kind);
        let (mut low, mut high) = key::span(first.0, last.0);
        if let Some(after) = query.after {
            let after = packed::serial(&after.serial);
            match query.direction {
                Direction::Backwards => high = high.min(after),
                Direction::Forwards => low = low.max(after),
            }
        }
        let chunks = (low <= high).then(|| self.chunks_between(&head, &low, &high));
        Rows { chunks, entries: Vec::new().into_iter(), low, high, direction: query.direction }
    }

    /// The chunks that may have entries with these serials, and all between them.
    fn chunks_between(&self, head: &[u8], low: &OwnSerial, high: &OwnSerial) -> fjall::Iter {
        let snapshot = self.database.snapshot();
        let [lowest, low, high] = [&key::LOWEST, low, high].map(|serial| key::at(head, serial));
        let before = snapshot.range(&self.history, lowest..=low.clone()).next_back();
        // One that cannot be read will say so again.
        let from = before.and_then(|guard| guard.key().ok()).map_or(low, |key| key.to_vec());
        snapshot.range(&self.history, from..=high)
    }

    /// The chunks that begin no later than this, if it is given, newest first, with their keys. Those that
    /// cannot be read are left out.
    pub(crate) fn chunks_until(
        &self,
        head: &[u8],
        until: Option<Serial>,
    ) -> impl Iterator<Item = Result<(Slice, Vec<StoredEntry>), StoreError>> + use<> {
        let until = until.map_or(key::HIGHEST, |until| packed::serial(&until));
        let range = key::at(head, &key::LOWEST)..=key::at(head, &until);
        self.history.range(range).rev().filter_map(|guard| {
            let (key, chunk) = match guard.into_inner() {
                Ok(row) => row,
                Err(error) => return Some(Err(error.into())),
            };
            let entries = chunk::read(&key, &chunk).inspect_err(|error| {
                tracing::error!(%error, "a chunk of history is left as it is");
            });
            entries.ok().map(|entries| Ok((key, entries)))
        })
    }

    /// The serial of the newest entry that is stored.
    pub(crate) fn newest(&self, head: &[u8]) -> Result<Option<Serial>, StoreError> {
        let newest = self.chunks_until(head, None).next().transpose()?;
        Ok(newest.and_then(|(_, entries)| entries.last().map(|entry| entry.serial)))
    }

    /// The entry with this serial.
    pub(crate) fn entry(
        &self,
        head: &[u8],
        serial: Serial,
    ) -> Result<Option<StoredEntry>, StoreError> {
        let range = key::at(head, &key::LOWEST)..=key::at(head, &packed::serial(&serial));
        let Some(chunk) = self.history.range(range).next_back() else { return Ok(None) };
        Ok(read(chunk)?.into_iter().find(|entry| entry.serial == serial))
    }

    /// The entries of the query's kind about one message, in its direction, from its start.
    fn rows_about(&self, channel: &[u8], query: &HistoryQuery, message: ItemPosition) -> Vec<Row> {
        let mut serials: Vec<_> = self.said(channel, query.kind, message).collect();
        if query.direction == Direction::Backwards {
            serials.reverse();
        }
        let after = query.after.map(|after| after.serial);
        let behind = |serial: Serial| match query.direction {
            Direction::Forwards => after.is_none_or(|after| serial >= after),
            Direction::Backwards => after.is_none_or(|after| serial <= after),
        };
        serials.retain(|serial| serial.as_ref().map_or(true, |serial| behind(*serial)));
        // One more than a page, so that it is known whether there is a next one.
        serials.truncate(query.limit.saturating_add(2));
        let head = key::head(channel, query.kind);
        let read = |serial: Result<Serial, StoreError>| self.entry(&head, serial?);
        serials.into_iter().filter_map(|serial| read(serial).transpose()).collect()
    }

    fn until<'a>(&self, channel: &[u8], cursor: &'a Cursor) -> Result<Until<'a>, StoreError> {
        let mut others_before: Option<Serial> = None;
        for (series, position) in cursor.iter() {
            let expired = (position > 0).then_some(Serial { ms: 0, counter: 0, series });
            if let Some(serial) = self.any_of(&key::series(channel, series))?.or(expired) {
                others_before = Some(others_before.map_or(serial, |known| known.min(serial)));
            }
        }
        Ok(Until { cursor, others_before })
    }

    /// The serial of an entry of the series with this key, in the last minute of which there are any; none if
    /// nothing of it is stored.
    pub(crate) fn any_of(&self, series_key: &[u8]) -> Result<Option<Serial>, StoreError> {
        let Some(value) = self.series.get(series_key)? else { return Ok(None) };
        Ok(Some(packed::take_serial(&mut Decoder::new(&value, "the index of series"))?))
    }
}

type Row = Result<StoredEntry, StoreError>;

/// The entries of some chunks from `low` to `high`.
struct Rows {
    /// None behind the last.
    chunks: Option<fjall::Iter>,
    /// Those of the chunk at hand that are still to come, oldest first.
    entries: std::vec::IntoIter<StoredEntry>,
    low: OwnSerial,
    high: OwnSerial,
    direction: Direction,
}

impl Iterator for Rows {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        loop {
            let entry = match self.direction {
                Direction::Backwards => self.entries.next_back(),
                Direction::Forwards => self.entries.next(),
            };
            if let Some(entry) = entry {
                let own = packed::serial(&entry.serial);
                if self.low <= own && own <= self.high {
                    return Some(Ok(entry));
                }
                continue;
            }
            let chunks = self.chunks.as_mut()?;
            let chunk = match self.direction {
                Direction::Backwards => chunks.next_back(),
                Direction::Forwards => chunks.next(),
            };
            match read(chunk?) {
                Ok(entries) => self.entries = entries.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

fn read(chunk: fjall::Guard) -> Result<Vec<StoredEntry>, StoreError> {
    let (key, chunk) = chunk.into_inner()?;
    Ok(chunk::read(&key, &chunk)?)
}

/// What a cursor covers of a channel.
///
/// The series of one channel follow each other, so any entry of a series in the cursor tells earlier
/// series from later ones. If nothing is stored of the series in the cursor, it has expired if the cursor covers any
/// of it, and all others are later; else it has not begun, and all others are earlier.
struct Until<'a> {
    cursor: &'a Cursor,
    others_before: Option<Serial>,
}

impl Until<'_> {
    fn covers(&self, serial: Serial, position: u64) -> bool {
        self.cursor.position(serial.series).map_or_else(
            || self.others_before.is_none_or(|bound| serial < bound),
            |covered| position <= covered,
        )
    }
}

fn indices(count: usize, direction: Direction) -> impl Iterator<Item = usize> {
    (0..count).map(move |n| match direction {
        Direction::Backwards => count - 1 - n,
        Direction::Forwards => n,
    })
}

fn end_of(items: &[(Arc<Entry>, usize)]) -> Option<ItemPosition> {
    items.last().map(|(entry, index)| ItemPosition { serial: entry.serial, index: *index })
}

/// The next row of several that go backwards, errors first.
fn take_newest(rows: &mut [Peekable<impl Iterator<Item = Row>>]) -> Option<Row> {
    let mut newest: Option<(Serial, usize)> = None;
    for (at, rows) in rows.iter_mut().enumerate() {
        match rows.peek() {
            None => {}
            Some(Err(_)) => return rows.next(),
            Some(Ok(entry)) => newest = newest.max(Some((entry.serial, at))),
        }
    }
    rows.get_mut(newest?.1)?.next()
}
