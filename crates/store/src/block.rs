//! Blocks: memory for the rows of a batch. The engine keeps it as it is until it has written them into a table; then a
//! large one serves again, instead of being given back to the system and taken from it anew.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Blocks from this size on serve again.
const MIN_SPARE: usize = 64 << 10;
/// Bytes of blocks that wait for their next use at most: those of one of the engine's tables, and room for what they
/// are not filled with.
const MAX_SPARE: usize = 96 << 20;

/// The memory of blocks that are no longer needed.
#[derive(Clone, Default)]
pub(crate) struct Blocks(Arc<Mutex<Spare>>);

#[derive(Default)]
struct Spare {
    /// Those that have waited longest first.
    blocks: VecDeque<Vec<u8>>,
    bytes: usize,
    /// How many have waited since [`Blocks::trim`].
    idle: usize,
}

/// What the engine has of a block.
struct Shared {
    block: Vec<u8>,
    blocks: Blocks,
}

impl Blocks {
    /// A block of these rows, which are parts of it.
    pub(crate) fn keep(&self, rows: &[u8]) -> Bytes {
        if rows.len() < MIN_SPARE {
            return Bytes::copy_from_slice(rows);
        }
        let mut block = self.take(rows.len().next_multiple_of(MIN_SPARE));
        block.extend_from_slice(rows);
        Bytes::from_owner(Shared { block, blocks: self.clone() })
    }

    /// An empty block with room for so many bytes, but at most for twice as many.
    fn take(&self, size: usize) -> Vec<u8> {
        let mut spare = self.lock();
        let fits = |block: &Vec<u8>| (size..=2 * size).contains(&block.capacity());
        let Some(at) = spare.blocks.iter().rposition(fits) else {
            return Vec::with_capacity(size);
        };
        spare.idle = spare.idle.min(at);
        let block = spare.blocks.remove(at).unwrap_or_default();
        spare.bytes -= block.capacity();
        block
    }

    /// Gives back what has waited since the last time.
    pub(crate) fn trim(&self) {
        let mut spare = self.lock();
        let idle = spare.idle;
        spare.drop_oldest(idle);
        spare.idle = spare.blocks.len();
    }

    fn take_back(&self, mut block: Vec<u8>) {
        block.clear();
        let mut spare = self.lock();
        spare.bytes += block.capacity();
        spare.blocks.push_back(block);
        while spare.bytes > MAX_SPARE {
            spare.drop_oldest(1);
        }
    }

    /// What is locked is whole between any two statements.
    fn lock(&self) -> MutexGuard<'_, Spare> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spare {
    fn drop_oldest(&mut self, count: usize) {
        let dropped = self.blocks.drain(..count).map(|block| block.capacity());
        self.bytes -= dropped.sum::<usize>();
        self.idle = self.idle.saturating_sub(count);
    }
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.block
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.blocks.take_back(std::mem::take(&mut self.block));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(blocks: &Blocks, size: usize) -> Bytes {
        let rows = vec![7; size];
        let kept = blocks.keep(&rows);
        assert_eq!(kept, rows);
        kept
    }

    fn waiting(blocks: &Blocks) -> usize {
        blocks.lock().blocks.iter().map(Vec::capacity).sum()
    }

    #[test]
    fn a_large_block_serves_again_when_the_last_of_its_rows_is_gone() {
        let blocks = Blocks::default();
        let first = keep(&blocks, MIN_SPARE);
        let place = first.as_ptr();
        let part = first.slice(..10);
        drop(first);
        let second = keep(&blocks, MIN_SPARE);
        assert_ne!(second.as_ptr(), place);
        assert_eq!(part.as_ref(), [7; 10]);
        drop(part);
        assert_eq!(keep(&blocks, MIN_SPARE).as_ptr(), place);
    }

    #[test]
    fn no_block_serves_for_less_than_half_of_what_it_holds() {
        let blocks = Blocks::default();
        drop(keep(&blocks, 4 * MIN_SPARE));
        drop(keep(&blocks, MIN_SPARE));
        assert_eq!(waiting(&blocks), 5 * MIN_SPARE);
        drop(keep(&blocks, 2 * MIN_SPARE));
        assert_eq!(waiting(&blocks), 5 * MIN_SPARE);
    }

    #[test]
    fn a_small_block_does_not_wait() {
        let blocks = Blocks::default();
        drop(keep(&blocks, MIN_SPARE - 1));
        assert_eq!(waiting(&blocks), 0);
    }

    #[test]
    fn of_too_many_the_oldest_is_given_back() {
        let blocks = Blocks::default();
        let all: Vec<_> = (0..4).map(|_| keep(&blocks, MAX_SPARE / 4)).collect();
        let small = keep(&blocks, MIN_SPARE);
        drop((all, small));
        assert_eq!(waiting(&blocks), MAX_SPARE / 4 * 3 + MIN_SPARE);
    }

    #[test]
    fn what_nobody_needed_for_a_while_is_given_back() {
        let blocks = Blocks::default();
        drop([(); 2].map(|()| keep(&blocks, MIN_SPARE)));
        blocks.trim();
        drop(keep(&blocks, MIN_SPARE));
        blocks.trim();
        assert_eq!(waiting(&blocks), MIN_SPARE, "one was in use");
        blocks.trim();
        assert_eq!((waiting(&blocks), blocks.lock().bytes), (0, 0));
    }
}
