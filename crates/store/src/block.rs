//! Blocks: memory for rows. The engine keeps a row as it is until it has written it into a table; when all rows of a
//! block are gone it serves again, instead of being given back to the system and taken from it anew.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// A longer row has memory of its own.
const BLOCK: usize = 1 << 20;
/// Blocks that are looked at for one that is free: mostly the oldest is.
const LOOKED_AT: usize = 4;

#[derive(Debug, Default)]
pub(crate) struct Blocks {
    /// What is left of the newest.
    room: Option<BytesMut>,
    /// Those that have no room left; mostly those whose rows go first come first.
    full: VecDeque<BytesMut>,
    /// How often one has served again since [`Blocks::trim`].
    served: usize,
}

impl Blocks {
    pub(crate) fn keep(&mut self, row: &[u8]) -> Bytes {
        if row.len() > BLOCK {
            return Bytes::copy_from_slice(row);
        }
        self.full.extend(self.room.take_if(|room| room.capacity() < row.len()));
        let mut room = self.room.take().or_else(|| self.free()).unwrap_or_else(empty);
        room.extend_from_slice(row);
        let kept = room.split().freeze();
        self.room = Some(room);
        kept
    }

    /// A block of which all rows are gone.
    fn free(&mut self) -> Option<BytesMut> {
        for _ in 0..LOOKED_AT.min(self.full.len()) {
            let mut oldest = self.full.pop_front()?;
            if oldest.try_reclaim(BLOCK) {
                self.served += 1;
                return Some(oldest);
            }
            self.full.push_back(oldest);
        }
        None
    }

    /// Gives back what is free, but for as much as has served again since the last time.
    pub(crate) fn trim(&mut self) {
        let mut keep = std::mem::take(&mut self.served);
        self.full.retain_mut(|block| {
            let free = block.try_reclaim(BLOCK);
            let kept = !free || keep > 0;
            keep -= usize::from(free && kept);
            kept
        });
    }
}

fn empty() -> BytesMut {
    BytesMut::with_capacity(BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of which a block has room for four.
    const QUARTER: usize = BLOCK / 4;

    fn keep(blocks: &mut Blocks, size: usize) -> Bytes {
        let row = vec![7; size];
        let kept = blocks.keep(&row);
        assert_eq!(kept, row);
        kept
    }

    fn quarters(blocks: &mut Blocks, count: usize) -> Vec<Bytes> {
        (0..count).map(|_| keep(blocks, QUARTER)).collect()
    }

    #[test]
    fn a_block_serves_again_when_the_last_of_its_rows_is_gone() {
        let mut blocks = Blocks::default();
        let mut first = quarters(&mut blocks, 4);
        let place = first[0].as_ptr();
        let last = first.pop().unwrap().slice(..10);
        drop(first);
        let second = quarters(&mut blocks, 4);
        assert!(second.iter().all(|row| row.as_ptr() != place));
        assert_eq!(last, [7; 10].as_slice());
        drop(last);
        assert_eq!(keep(&mut blocks, QUARTER).as_ptr(), place);
    }

    #[test]
    fn one_row_that_stays_does_not_keep_other_blocks_from_serving_again() {
        let mut blocks = Blocks::default();
        let stays = keep(&mut blocks, BLOCK);
        for _ in 0..20 {
            drop(keep(&mut blocks, BLOCK));
        }
        assert_eq!((blocks.full.len(), stays.len()), (1, BLOCK));
    }

    #[test]
    fn a_row_that_is_longer_than_a_block_has_memory_of_its_own() {
        let mut blocks = Blocks::default();
        drop(keep(&mut blocks, BLOCK + 1));
        assert!(blocks.room.is_none() && blocks.full.is_empty());
    }

    #[test]
    fn what_nobody_needed_for_a_while_is_given_back() {
        let mut blocks = Blocks::default();
        drop(quarters(&mut blocks, 12));
        let stays = quarters(&mut blocks, 5);
        assert_eq!(blocks.full.len(), 2, "of three, two have served again");
        blocks.trim();
        assert_eq!(blocks.full.len(), 2, "so the third may be needed");
        blocks.trim();
        assert_eq!(blocks.full.len(), 1);
        drop(stays);
        blocks.trim();
        assert_eq!(blocks.full.len(), 0);
    }
}
