//! The log: the committed entries that the host still holds, in the order in which it observed
//! them, and what it knows of the series that they belong to.
//!
//! In a site with one core node the series form a chain: the base of each is the end of the one
//! before. So a cursor is a point on the chain, naming a series covers all earlier ones, and
//! `join(presented, prefix)` of a replayed entry is that entry's own position.
//!
//! Invariants: the own series is the last span; records are ordered by (span, position), which is
//! the order of serials; what lies
//! at or below `floor` in the first span is trimmed, nothing beyond it is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use smallvec::{SmallVec, smallvec};
use types::{
    Annotation, Body, Cursor, Entry, Message, ObjectMessage, PresenceMessage, Serial, SeriesId,
    Timestamp,
};

use crate::config::Limits;

#[derive(Debug)]
pub(crate) struct Log {
    own: SeriesId,
    /// Known series, oldest first. A series leaves when an entry of a later one is trimmed: no
    /// cursor in it can be served any more. So there are never more than the log has entries, and
    /// two.
    spans: SmallVec<[Span; 1]>,
    /// Highest trimmed position of the first span.
    floor: u64,
    /// Bounded by `retention` and `max_bytes`; the oldest go first.
    records: VecDeque<Record>,
    bytes: usize,
    retention: Duration,
    max_bytes: usize,
}

#[derive(Debug)]
struct Span {
    series: SeriesId,
    /// Position of the last committed entry; 0 if there is none.
    end: u64,
}

#[derive(Debug)]
struct Record {
    entry: Arc<Entry>,
    bytes: usize,
    appended: Timestamp,
}

/// What a cursor covers: everything up to here on the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    span: usize,
    position: u64,
}

impl Log {
    pub(crate) fn new(own: SeriesId, limits: &Limits) -> Self {
        Self {
            own,
            spans: smallvec![Span { series: own, end: 0 }],
            floor: 0,
            records: VecDeque::new(),
            bytes: 0,
            retention: limits.retention,
            max_bytes: limits.log_bytes,
        }
    }

    /// Puts what earlier hosts committed below the own series, which must be empty. `entries` are
    /// in the order of serials; what lies before the first of them counts as trimmed.
    pub(crate) fn restore(&mut self, entries: Vec<Arc<Entry>>) {
        self.spans.clear();
        self.floor = entries.first().map_or(0, |entry| entry.position.saturating_sub(1));
        for entry in entries {
            let appended = entry.timestamp;
            self.push(entry, appended);
        }
        self.spans.push(Span { series: self.own, end: 0 });
    }

    /// Appends a committed entry of the own series.
    pub(crate) fn append(&mut self, entry: Arc<Entry>, now: Timestamp) {
        self.push(entry, now);
        self.trim(now);
    }

    fn push(&mut self, entry: Arc<Entry>, appended: Timestamp) {
        let (series, end) = (entry.serial.series, entry.position);
        match self.spans.last_mut() {
            Some(last) if last.series == series => last.end = end,
            Some(_) | None => self.spans.push(Span { series, end }),
        }
        let bytes = memory(&entry);
        self.bytes += bytes;
        if self.records.is_empty() {
            self.records.reserve_exact(1);
        }
        self.records.push_back(Record { entry, bytes, appended });
    }

    /// Drops what is older than the retention, and the oldest beyond the byte bound.
    pub(crate) fn trim(&mut self, now: Timestamp) {
        while let Some(oldest) = self.records.front()
            && (self.bytes > self.max_bytes || self.expiry(oldest) <= now)
        {
            let (series, position) = (oldest.entry.serial.series, oldest.entry.position);
            self.bytes -= oldest.bytes;
            self.records.pop_front();
            let gone = self.spans.iter().take_while(|span| span.series != series).count();
            self.spans.drain(..gone);
            self.floor = position;
        }
    }

    /// The end of the log: of the last series that has entries, so that the cursor outlives this
    /// host if its own series stays empty.
    pub(crate) fn head(&self) -> Cursor {
        let last = self.spans.iter().rev().find(|span| span.end > 0);
        last.map_or(Cursor::at(self.own, 0), |span| Cursor::at(span.series, span.end))
    }

    /// The point that `cursor` names; none if it names a series that is not known here, or a
    /// position that does not exist, or nothing. So it is none unless the log dominates it.
    pub(crate) fn point(&self, cursor: &Cursor) -> Option<Point> {
        let points = cursor.iter().map(|(series, position)| {
            let span = self.span(series)?;
            let end = self.spans.get(span)?.end;
            (position <= end).then_some(Point { span, position })
        });
        points.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// The entries beyond `point`, oldest first; none if some of them are trimmed.
    pub(crate) fn beyond(
        &self,
        point: Point,
    ) -> Option<impl ExactSizeIterator<Item = &Arc<Entry>>> {
        if point.span == 0 && point.position < self.floor {
            return None;
        }
        let covered = self.records.partition_point(|record| self.covers(point, &record.entry));
        Some(self.records.range(covered..).map(|record| &record.entry))
    }

    /// Whether `entry`, which is in the log, lies at or before `point`.
    pub(crate) fn covers(&self, point: Point, entry: &Entry) -> bool {
        self.span(entry.serial.series)
            .is_some_and(|span| Point { span, position: entry.position } <= point)
    }

    /// The entry with this serial, if it is still there.
    pub(crate) fn find(&self, serial: Serial) -> Option<&Arc<Entry>> {
        let at = self.records.binary_search_by_key(&serial, |record| record.entry.serial).ok()?;
        self.records.get(at).map(|record| &record.entry)
    }

    pub(crate) fn entries(&self) -> impl DoubleEndedIterator<Item = &Arc<Entry>> {
        self.records.iter().map(|record| &record.entry)
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the next entry leaves.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.records.front().map(|record| self.expiry(record))
    }

    /// Whether nothing is left at `now`.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        self.records.back().is_none_or(|record| self.expiry(record) <= now)
    }

    fn expiry(&self, record: &Record) -> Timestamp {
        record.appended.plus(self.retention)
    }

    fn span(&self, series: SeriesId) -> Option<usize> {
        self.spans.iter().rposition(|span| span.series == series)
    }
}

/// The cursor that covers `entry` and everything before it in the log.
pub(crate) fn cursor_at(entry: &Entry) -> Cursor {
    Cursor::at(entry.serial.series, entry.position)
}

/// The cursor that covers everything before `entry`, and not `entry`.
pub(crate) fn before(entry: &Entry) -> Cursor {
    Cursor::at(entry.serial.series, entry.position.saturating_sub(1))
}

/// Bytes that an entry occupies, so that empty messages count too.
pub(crate) fn memory(entry: &Entry) -> usize {
    size_of::<Entry>() + body_memory(&entry.body)
}

pub(crate) fn body_memory(body: &Body) -> usize {
    let items = match body {
        Body::Messages(messages) => size_of::<Message>() * messages.len(),
        Body::Annotations(items) => size_of::<Annotation>() * items.len(),
        Body::Presence(items) => size_of::<PresenceMessage>() * items.len(),
        Body::Objects(items) => size_of::<ObjectMessage>() * items.len(),
    };
    items + body.size()
}
