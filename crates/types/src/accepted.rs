//! What the publisher of an accepted publish is told.

use crate::{ItemPosition, Serial};

/// An accepted publish: its first acceptance, also when it is repeated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// None if it changed nothing and so was not appended (a LEAVE of somebody absent).
    pub serial: Option<Serial>,
    /// Items that were published.
    pub items: usize,
    /// Of the first items, one bit for each, those that a newer one replaced before the rest became
    /// an entry.
    pub dropped: u64,
}

impl Accepted {
    /// The serial of each item that was published; none of those that were dropped.
    pub fn serials(&self) -> impl ExactSizeIterator<Item = Option<ItemPosition>> {
        let (serial, mut dropped, mut index) = (self.serial, self.dropped, 0);
        (0..self.items).map(move |_| {
            let is_kept = dropped & 1 == 0;
            dropped >>= 1;
            let item = serial.filter(|_| is_kept).map(|serial| ItemPosition { serial, index });
            index += usize::from(is_kept);
            item
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeriesId;

    #[test]
    fn items_are_numbered_without_those_that_were_dropped() {
        let series = SeriesId::from_bytes(b"dunAbCdEfGhI").unwrap();
        let serial = Serial { ms: 1, counter: 2, series };
        let indexes = |dropped, items| {
            let accepted = Accepted { serial: Some(serial), items, dropped };
            accepted.serials().map(|item| item.map(|item| item.index)).collect::<Vec<_>>()
        };
        assert_eq!(indexes(0b1010, 5), [Some(0), None, Some(1), None, Some(2)]);
        assert_eq!(indexes(1 << 63, 66)[62..], [Some(62), None, Some(63), Some(64)]);
        let nothing = Accepted { serial: None, items: 2, dropped: 0 };
        assert!(nothing.serials().eq([None, None]));
    }
}
