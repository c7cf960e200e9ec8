//! History as far as the log reaches: the items of its entries, page by page. What is older is the
//! store's to answer; a persisted channel's store holds all of it.

use std::sync::Arc;

use types::{Direction, Entry, ErrorInfo, HistoryPage, HistoryQuery, ItemPosition, Kind, error};

use crate::Channel;
use crate::log::Record;

type Item = (Arc<Entry>, usize);

impl Channel {
    /// Fails with 90008 if `until` is not a position that the log knows.
    pub fn history(&self, query: &HistoryQuery) -> Result<HistoryPage, ErrorInfo> {
        let known = |cursor| self.log.point(cursor).ok_or_else(|| error::ATTACH_POINT_GONE.info());
        let until = query.until.as_ref().map(known).transpose()?;
        let may_be_asked_for = |record: &&Record| {
            query.may_have_items_of(record.serial)
                && until.is_none_or(|point| self.log.covers(point, record))
        };
        let records = self.log.records().filter(may_be_asked_for);
        let entries = records.filter_map(|record| self.log.entry(record));
        let items = entries
            .filter(|entry| lies_within(query, entry))
            .map(|entry| self.in_place(entry))
            .flat_map(|entry| (0..entry.body.len()).map(move |index| (Arc::clone(&entry), index)));
        Ok(match query.direction {
            Direction::Forwards => page(query, items),
            Direction::Backwards => page(query, items.rev()),
        })
    }
}

fn lies_within(query: &HistoryQuery, entry: &Entry) -> bool {
    Kind::of(&entry.body) == query.kind
        && query.about.is_none_or(|about| entry.body.target() == Some(about))
        && query.start.is_none_or(|start| entry.timestamp >= start)
        && query.end.is_none_or(|end| entry.timestamp <= end)
}

fn page(query: &HistoryQuery, items: impl Iterator<Item = Item>) -> HistoryPage {
    let mut rest = items.filter(|item| query.continues_at(position(item)));
    let items: Vec<Item> = rest.by_ref().take(query.limit).collect();
    let next = rest.next().and(items.last()).map(position);
    HistoryPage { items, next }
}

fn position((entry, index): &Item) -> ItemPosition {
    ItemPosition { serial: entry.serial, index: *index }
}
