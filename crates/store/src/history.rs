//! Reading history: pages for clients, and what a host loads when it starts to serve a channel.
//!
//! The time of an entry is that of its serial, so that order and time never disagree.

use std::iter::Peekable;
use std::sync::Arc;

use fjall::Slice;
use packed::Decoder;
use types::{
    AppId, ChannelName, Cursor, Direction, Entry, HistoryPage, HistoryQuery, ItemPosition, Kind,
    Serial, SeriesId, Timestamp,
};

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
            let (serial, value) = row?;
            if let Some(until) = &until
                && !until.covers(serial, packed::head(&value)?.position)
            {
                continue;
            }
            let entry = Arc::new(packed::decode(serial, &value)?);
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
            let (serial, value) = row?;
            bytes += value.len();
            if !entries.is_empty() && bytes > MAX_RECENT_BYTES {
                break;
            }
            entries.push(Arc::new(packed::decode(serial, &value)?));
            if serial.ms < since.0 {
                break;
            }
        }
        entries.reverse();
        Ok(entries)
    }

    /// The entries within the times and behind the start of the query, in its direction.
    fn rows(&self, channel: &[u8], query: &HistoryQuery) -> impl Iterator<Item = Row> + use<> {
        let horizon = self.retention.horizon();
        let first = query.start.map_or(horizon, |start| start.max(horizon));
        let last = query.end.unwrap_or(Timestamp(u64::MAX));
        let head = key::head(channel, query.kind);
        let (mut low, mut high) = key::span(&head, first.0, last.0);
        if let Some(after) = query.after {
            let after = key::at(&head, &packed::serial(&after.serial));
            match query.direction {
                Direction::Backwards => high = high.min(after),
                Direction::Forwards => low = low.max(after),
            }
        }
        let mut range = (low <= high).then(|| self.history.range(low..=high));
        let direction = query.direction;
        std::iter::from_fn(move || match direction {
            Direction::Backwards => range.as_mut()?.next_back(),
            Direction::Forwards => range.as_mut()?.next(),
        })
        .map(|guard| {
            let (key, value) = guard.into_inner()?;
            Ok((key::serial_of(&key)?, value))
        })
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
        let read = |serial: Result<Serial, StoreError>| {
            let serial = serial?;
            let value = self.history.get(key::at(&head, &packed::serial(&serial)))?;
            Ok(value.map(|value| (serial, value)))
        };
        serials.into_iter().filter_map(|serial| read(serial).transpose()).collect()
    }

    fn until<'a>(&self, channel: &[u8], cursor: &'a Cursor) -> Result<Until<'a>, StoreError> {
        let mut others_before: Option<Serial> = None;
        for (series, _) in cursor.iter() {
            if let Some(serial) = self.last_of(channel, series)? {
                others_before = Some(others_before.map_or(serial, |known| known.min(serial)));
            }
        }
        Ok(Until { cursor, others_before })
    }

    /// The serial last stored of the series; none if nothing of it is stored.
    fn last_of(&self, channel_key: &[u8], series: SeriesId) -> Result<Option<Serial>, StoreError> {
        let Some(value) = self.series.get(key::series(channel_key, series))? else {
            return Ok(None);
        };
        Ok(Some(packed::take_serial(&mut Decoder::new(&value, "the index of series"))?))
    }
}

type Row = Result<(Serial, Slice), StoreError>;

/// What a cursor covers of a channel.
///
/// The series of one channel follow each other, so any entry of a series in the cursor tells earlier
/// series from later ones. If nothing is stored of the series in the cursor, all others are earlier.
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
            Some(Ok((serial, _))) => newest = newest.max(Some((*serial, at))),
        }
    }
    rows.get_mut(newest?.1)?.next()
}
