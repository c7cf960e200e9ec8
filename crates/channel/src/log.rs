//! The log: the committed entries that the host still holds, in the order in which it observed
//! them, and what it knows of the series that they belong to. Entries are held as bytes, on a tape: in half
//! the memory of values, and they leave without a look at each; who wants one gets a value of his own.
//!
//! In a site with one core node the series form a chain: the base of each is the end of the one
//! before. So a cursor is a point on the chain, naming a series covers all earlier ones, and
//! `join(presented, prefix)` of a replayed entry is that entry's own position.
//!
//! Invariants: the own series is the last span; records are ordered by (span, position), which is
//! the order of serials; what lies
//! at or below `floor` in the first span is trimmed, nothing beyond it is.

use std::ops::Range;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};
use types::{
    Annotation, Body, Cursor, Entry, Message, ObjectMessage, PresenceMessage, Serial, SeriesId,
    Timestamp,
};

use crate::config::Config;
use crate::pieces::Pieces;
use crate::tape::Tape;

#[derive(Debug)]
pub(crate) struct Log {
    /// Known series, oldest first, and the own one. A series leaves when an entry of a later one is trimmed: no
    /// cursor in it can be served any more. So there are never more than the log has entries, and
    /// two.
    spans: SmallVec<[Span; 1]>,
    /// Highest trimmed position of the first span.
    floor: u64,
    /// Bounded by the retention and by `log_bytes`; the oldest go first.
    records: Pieces<Record>,
    /// What the records are of, in their order, and behind that what is pending.
    tape: Tape,
    /// Where on the tape the first begins that is pending.
    settled: usize,
    config: Arc<Config>,
}

#[derive(Debug)]
struct Span {
    series: SeriesId,
    /// Position of the last committed entry; 0 if there is none.
    end: u64,
}

/// An entry, and where on the tape it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) serial: Serial,
    position: u64,
    appended: Timestamp,
    place: usize,
}

/// What a cursor covers: everything up to here on the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    span: usize,
    position: u64,
}

impl Log {
    pub(crate) fn new(own: SeriesId, config: Arc<Config>) -> Self {
        Self {
            spans: smallvec![Span { series: own, end: 0 }],
            floor: 0,
            records: Pieces::default(),
            tape: Tape::default(),
            settled: 0,
            config,
        }
    }

    /// Puts what earlier hosts committed below the own series. The log must be empty; `entries` are
    /// in the order of serials, own ones behind the others. What lies before the first counts as trimmed.
    pub(crate) fn restore(&mut self, entries: &[Arc<Entry>]) {
        let own = self.spans.pop();
        self.spans.clear();
        self.floor = entries.first().map_or(0, |entry| entry.position.saturating_sub(1));
        for entry in entries {
            let place = self.lay(entry);
            self.push(entry, place, entry.timestamp);
        }
        let last = self.spans.last().map(|last| last.series);
        self.spans.extend(own.filter(|own| last != Some(own.series)));
    }

    /// Puts an entry on the tape that is to be committed, or dropped, after those that were put there before.
    pub(crate) fn lay(&mut self, entry: &Entry) -> Range<usize> {
        let start = self.tape.push(packed_length(&entry.body), |to| packed::encode(entry, to));
        start..self.tape.end()
    }

    /// Appends a committed entry of the own series. What is too old at `now` has been trimmed.
    pub(crate) fn append(&mut self, entry: &Entry, place: Range<usize>, now: Timestamp) {
        self.push(entry, place, now);
        if self.bytes() > self.config.limits.log_bytes {
            self.trim(now);
        }
    }

    fn push(&mut self, entry: &Entry, place: Range<usize>, appended: Timestamp) {
        let (serial, position) = (entry.serial, entry.position);
        match self.spans.last_mut() {
            Some(last) if last.series == serial.series => last.end = position,
            Some(_) | None => self.spans.push(Span { series: serial.series, end: position }),
        }
        let record = Record { serial, position, appended, place: place.start };
        debug_assert_eq!(self.entry(&record).as_deref(), Some(entry), "what was committed is held");
        self.records.push(record);
        self.settled = place.end;
    }

    /// What is at this place will not be committed.
    pub(crate) fn discard(&mut self, place: Range<usize>) {
        self.settled = place.end;
        self.tape.release(self.start());
    }

    /// Drops what is older than the retention, and the oldest beyond the byte bound: some at a time, because
    /// they are no longer in any cache.
    pub(crate) fn trim(&mut self, now: Timestamp) {
        let bound = self.config.limits.log_bytes;
        let bound = if self.bytes() > bound { bound - bound / 512 } else { bound };
        let mut last = None;
        while let Some(oldest) = self.records.first()
            && (self.bytes() > bound || self.expiry(oldest) <= now)
        {
            last = self.records.pop_first();
        }
        if let Some(Record { serial, position, .. }) = last {
            let gone = self.spans.iter().take_while(|span| span.series != serial.series).count();
            self.spans.drain(..gone);
            self.floor = position;
            self.tape.release(self.start());
        }
    }

    /// Where on the tape the log begins.
    fn start(&self) -> usize {
        self.records.first().map_or(self.settled, |oldest| oldest.place)
    }

    /// The end of the log: of the last series that has entries, so that the cursor outlives this
    /// host if its own series stays empty.
    pub(crate) fn head(&self) -> Cursor {
        let last = self.spans.iter().rev().find(|span| span.end > 0).or(self.spans.last());
        last.map_or_else(Cursor::default, |span| Cursor::at(span.series, span.end))
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

    /// What lies beyond `point`, oldest first; none if some of it is trimmed.
    pub(crate) fn beyond(&self, point: Point) -> Option<impl Iterator<Item = &Record> + Clone> {
        if point.span == 0 && point.position < self.floor {
            return None;
        }
        Some(self.records.behind(move |record| self.covers(point, record)))
    }

    /// Whether the record lies at or before `point`.
    pub(crate) fn covers(&self, point: Point, record: &Record) -> bool {
        self.span(record.serial.series)
            .is_some_and(|span| Point { span, position: record.position } <= point)
    }

    /// The entry with this serial, if it is still there.
    pub(crate) fn find(&self, serial: Serial) -> Option<Arc<Entry>> {
        let mut records = self.records.behind(|record| record.serial < serial);
        self.entry(records.next().filter(|record| record.serial == serial)?)
    }

    pub(crate) fn records(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.records.iter()
    }

    pub(crate) fn entries(&self) -> impl DoubleEndedIterator<Item = Arc<Entry>> {
        self.records.iter().filter_map(|record| self.entry(record))
    }

    /// The entry of a record of this log. There always is one.
    pub(crate) fn entry(&self, record: &Record) -> Option<Arc<Entry>> {
        let entry = packed::decode(record.serial, self.tape.text(record.place));
        debug_assert!(entry.is_ok(), "{record:?}: {entry:?}");
        entry.ok().map(Arc::new)
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.settled - self.start() + self.records.len() * size_of::<Record>()
    }

    /// Of the entry of a record, and of those behind it.
    pub(crate) fn bytes_from(&self, record: &Record) -> usize {
        self.settled - record.place
    }

    /// When the next entry leaves.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.records.first().map(|record| self.expiry(record))
    }

    /// Whether nothing is left at `now`.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        self.records.last().is_none_or(|record| self.expiry(record) <= now)
    }

    fn expiry(&self, record: &Record) -> Timestamp {
        record.appended.plus(self.config.limits.retention)
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

/// Bytes that an entry occupies as a value, so that empty messages count too.
pub(crate) fn memory(entry: &Entry) -> usize {
    size_of::<Entry>() + body_memory(&entry.body)
}

/// About how many bytes it is when it is packed, found out at once.
fn packed_length(body: &Body) -> usize {
    const FIELDS: usize = 128;
    let data = match body {
        Body::Messages(messages) => messages.iter().map(|message| message.data.len()).sum(),
        Body::Annotations(_) | Body::Presence(_) | Body::Objects(_) => 0,
    };
    data + FIELDS * body.len()
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::time::Duration;

    use proptest::prelude::*;
    use types::{AppLimits, Data, EntryId, Grouping, NodeLimits};

    use super::*;
    use crate::config::Limits;

    const SIZE: usize = 1_000;

    fn log() -> Log {
        let limits = Limits::new(&AppLimits::unlimited(), &NodeLimits::default());
        let config = Config {
            site: "dun".parse().unwrap(),
            persisted: true,
            persist_last: false,
            grouping: Grouping::None,
            limits: Limits { retention: Duration::MAX, log_bytes: 50 * SIZE, ..limits },
        };
        Log::new(series(), Arc::new(config))
    }

    fn series() -> SeriesId {
        SeriesId::from_bytes(b"dun000000001").unwrap()
    }

    fn entry(position: u64) -> Entry {
        let data = Data::Text(format!("{position:>SIZE$}").into());
        let message = Message { data, ..Message::default() };
        Entry {
            id: EntryId::Named(position.to_string().into()),
            serial: Serial { ms: position, counter: 0, series: series() },
            position,
            timestamp: Timestamp(position),
            connection_id: None,
            body: Body::Messages(vec![message]),
        }
    }

    proptest! {
        #[test]
        fn what_is_pending_is_held_once_it_is_committed_and_gone_once_it_is_not(
            steps in prop::collection::vec(prop::sample::select(vec!['l', 'l', 'c', 'd']), 0..400),
        ) {
            let (mut log, mut pending, mut committed) = (log(), VecDeque::new(), Vec::new());
            for (step, position) in steps.into_iter().zip(1..) {
                match step {
                    'l' => {
                        let entry = entry(position);
                        pending.push_back((log.lay(&entry), entry));
                    }
                    'c' => if let Some((place, entry)) = pending.pop_front() {
                        log.append(&entry, place, Timestamp(0));
                        committed.push(entry);
                    },
                    _ => if let Some((place, _)) = pending.pop_front() {
                        log.discard(place);
                    },
                }
                log.trim(Timestamp(0));
                let held: Vec<_> = log.entries().map(Arc::unwrap_or_clone).collect();
                prop_assert!(committed.ends_with(&held));
                prop_assert!(held.len() == committed.len() || log.tape.end() > 45 * SIZE);
                prop_assert!(log.bytes() <= 50 * SIZE);
            }
        }
    }

    #[test]
    fn what_is_never_committed_leaves_the_tape() {
        let mut log = log();
        let first = log.lay(&entry(1));
        log.discard(first.clone());
        for position in 2..1_000 {
            let place = log.lay(&entry(position));
            log.discard(place);
        }
        assert!(log.tape.text(first.start).is_empty());
        assert_eq!(log.bytes(), 0);
    }
}
