//! Chunks: the rows of history. A chunk has entries that follow each other, of one series and minute, under the
//! key of the first. Chunks of one kind of entries of one channel never overlap.
//!
//! A chunk of one entry is the entry as it is packed. One of several begins with a byte that no packed entry
//! begins with; then come for each `<ms><counter><length of packed><packed>`.

use std::ops::Range;
use std::sync::Arc;

use fjall::Slice;
use packed::{Decoder, Unreadable, put_written};
use types::{Entry, Serial};

use crate::key;

const SEVERAL: u8 = 0x80;

/// A chunk that is larger takes no further entry: whoever looks for one entry reads so much.
const MAX_SIZE: usize = 16 << 10;

/// Memory that a chunk begins with.
const FIRST_SIZE: usize = 512;

/// Buffers of chunks that were written, for those of the next batch: at most so many.
const MAX_SPARE: usize = 64;

/// A chunk that is being made.
pub(crate) struct Chunk {
    pub(crate) first: Serial,
    pub(crate) last: Serial,
    /// As of several, also while there is one.
    value: Vec<u8>,
    /// Where the first is.
    first_at: Range<usize>,
}

/// The memory of chunks that are no longer needed.
#[derive(Default)]
pub(crate) struct Spare(Vec<Vec<u8>>);

/// An entry where it is stored.
#[derive(Clone)]
pub(crate) struct StoredEntry {
    pub(crate) serial: Serial,
    chunk: Slice,
    within: Range<usize>,
}

impl Chunk {
    fn new(mut value: Vec<u8>, serial: Serial, pack: impl FnOnce(&mut Vec<u8>)) -> Self {
        value.push(SEVERAL);
        let first_at = put(&mut value, serial, pack);
        Self { first: serial, last: serial, value, first_at }
    }

    pub(crate) fn value(&self) -> &[u8] {
        if self.first == self.last {
            return self.value.get(self.first_at.clone()).unwrap_or_default();
        }
        &self.value
    }

    /// Whether the entry with this serial belongs into it, behind those that are there.
    fn takes(&self, serial: &Serial) -> bool {
        self.last < *serial && belong_together(self.last, *serial) && self.value.len() < MAX_SIZE
    }

    /// Returns the length of what was packed.
    fn push(&mut self, serial: Serial, pack: impl FnOnce(&mut Vec<u8>)) -> usize {
        self.last = serial;
        put(&mut self.value, serial, pack).len()
    }
}

impl Spare {
    fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_else(|| Vec::with_capacity(FIRST_SIZE))
    }

    pub(crate) fn keep(&mut self, chunk: Chunk) {
        let mut value = chunk.value;
        if self.0.len() < MAX_SPARE && value.capacity() <= 2 * MAX_SIZE {
            value.clear();
            self.0.push(value);
        }
    }
}

/// Whether entries with these serials may share a chunk, and do share the rows that lead to it.
pub(crate) fn belong_together(one: Serial, other: Serial) -> bool {
    one.series == other.series && key::end_of_minute(one.ms) == key::end_of_minute(other.ms)
}

/// Makes chunks of entries in the order in which they come, and returns the length of what was packed.
pub(crate) fn push(
    chunks: &mut Vec<Chunk>,
    spare: &mut Spare,
    serial: Serial,
    pack: impl FnOnce(&mut Vec<u8>),
) -> usize {
    if let Some(chunk) = chunks.last_mut().filter(|chunk| chunk.takes(&serial)) {
        return chunk.push(serial, pack);
    }
    chunks.push_mut(Chunk::new(spare.take(), serial, pack)).first_at.len()
}

/// Returns where what was packed is.
fn put(value: &mut Vec<u8>, serial: Serial, pack: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
    value.extend_from_slice(&serial.ms.to_be_bytes());
    value.extend_from_slice(&serial.counter.to_be_bytes());
    let length = put_written(value, pack);
    value.len() - length..value.len()
}

/// The entries of the chunk with this first serial, and where they are within it.
pub(crate) fn entries(
    first: Serial,
    value: &[u8],
) -> Result<Vec<(Serial, Range<usize>)>, Unreadable> {
    if value.first() != Some(&SEVERAL) {
        return Ok(vec![(first, 0..value.len())]);
    }
    let mut from = Decoder::new(value, "a chunk of history");
    from.byte()?;
    let mut entries = Vec::new();
    while !from.rest().is_empty() {
        let ms = u64::from_be_bytes(from.array()?);
        let counter = u16::from_be_bytes(from.array()?);
        let length = from.bytes()?.len();
        let end = value.len() - from.rest().len();
        entries.push((Serial { ms, counter, ..first }, end - length..end));
    }
    Ok(entries)
}

/// The entries of a row, oldest first.
pub(crate) fn read(key: &[u8], chunk: &Slice) -> Result<Vec<StoredEntry>, Unreadable> {
    let entries = entries(key::serial_of(key)?, chunk)?;
    let stored = |(serial, within)| StoredEntry { serial, chunk: chunk.clone(), within };
    Ok(entries.into_iter().map(stored).collect())
}

impl StoredEntry {
    pub(crate) fn packed(&self) -> &[u8] {
        self.chunk.get(self.within.clone()).unwrap_or_default()
    }

    pub(crate) fn unpack(&self) -> Result<Arc<Entry>, Unreadable> {
        packed::decode(self.serial, self.packed()).map(Arc::new)
    }
}
