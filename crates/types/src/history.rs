//! A question about a channel's past, and its answer. Items (messages or presence events) are
//! counted one by one, though an entry may hold several.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::{Body, Cursor, Entry, Serial, SerialText, Timestamp};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As they were published.
    Messages,
    Presence,
    /// Updates, deletes and appends of messages.
    Changes,
    Annotations,
    /// Kept for the ids only: operations on objects have no history.
    Objects,
}

impl Kind {
    pub fn of(body: &Body) -> Self {
        match body {
            Body::Messages(_) if body.change().is_some() => Self::Changes,
            Body::Messages(_) => Self::Messages,
            Body::Annotations(_) => Self::Annotations,
            Body::Presence(_) => Self::Presence,
            Body::Objects(_) => Self::Objects,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    Forwards,
    /// Newest first.
    Backwards,
}

#[derive(Clone, Debug)]
pub struct HistoryQuery {
    pub kind: Kind,
    /// Only what changes or annotates this message.
    pub about: Option<ItemPosition>,
    pub direction: Direction,
    /// Inclusive, as is `end` (RSL2b1).
    pub start: Option<Timestamp>,
    pub end: Option<Timestamp>,
    /// Items on a page.
    pub limit: usize,
    /// Only what this cursor covers (`untilAttach`, RTL10b).
    pub until: Option<Cursor>,
    /// Continue behind this item, in the query's direction.
    pub after: Option<ItemPosition>,
}

impl HistoryQuery {
    /// Everything of one kind, newest first.
    pub fn new(kind: Kind, limit: usize) -> Self {
        let direction = Direction::Backwards;
        Self {
            kind,
            about: None,
            direction,
            start: None,
            end: None,
            limit,
            until: None,
            after: None,
        }
    }

    /// Whether an item of the entry with this serial can lie behind the page before.
    pub fn may_have_items_of(&self, serial: Serial) -> bool {
        self.after.is_none_or(|after| match self.direction {
            Direction::Forwards => serial >= after.serial,
            Direction::Backwards => serial <= after.serial,
        })
    }

    /// Whether the item at `position` lies behind the page before.
    pub fn continues_at(&self, position: ItemPosition) -> bool {
        self.after.is_none_or(|after| match self.direction {
            Direction::Forwards => position > after,
            Direction::Backwards => position < after,
        })
    }
}

#[derive(Clone, Debug, Default)]
pub struct HistoryPage {
    /// Entries with the index of the item.
    pub items: Vec<(Arc<Entry>, usize)>,
    /// The last item of this page, if more follow.
    pub next: Option<ItemPosition>,
}

/// One item of one entry. As text: the serial of the item, which is safe in a URL's query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ItemPosition {
    pub serial: Serial,
    pub index: usize,
}

impl ItemPosition {
    /// What [`Display`](fmt::Display) writes.
    pub fn text(&self) -> SerialText {
        self.serial.item_text(self.index)
    }
}

impl fmt::Display for ItemPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
    }
}

impl FromStr for ItemPosition {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (serial, index) = Serial::parse(text).ok_or("not a serial")?;
        let index = index.and_then(|index| usize::try_from(index).ok()).ok_or("not an item")?;
        Ok(Self { serial, index })
    }
}
