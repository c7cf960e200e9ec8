//! Chunks: the rows of history. A chunk has entries that follow each other, of one series and minute, under the
//! key of the first. Chunks of one kind of entries of one channel never overlap.
//!
//! A chunk of one entry is the entry as it is packed. One of several begins with a byte that no packed entry
//! begins with; then come for each `<ms><counter><length of packed><packed>`. A long one is
//! [compressed](crate::compress).

use std::ops::Range;
use std::sync::Arc;

use fjall::Slice;
use packed::{Decoder, Unreadable, put_written};
use types::{Entry, Serial};

use crate::{compress, key};

const SEVERAL: u8 = 0x80;

/// A chunk that is larger takes no further entry: whoever looks for one entry reads so much.
const MAX_SIZE: usize = 16 << 10;

/// A chunk that is being made.
pub(crate) struct Chunk {
    pub(crate) first: Serial,
    pub(crate) last: Serial,
    /// Where it is, as of several, also while there is one.
    within: Range<usize>,
    /// Where the first is, as it is packed.
    first_at: Range<usize>,
}

/// An entry where it is stored.
#[derive(Clone)]
pub(crate) struct StoredEntry {
    pub(crate) serial: Serial,
    chunk: Slice,
    within: Range<usize>,
}

impl Chunk {
    fn new(to: &mut Vec<u8>, serial: Serial, pack: impl FnOnce(&mut Vec<u8>)) -> Self {
        let start = to.len();
        to.push(SEVERAL);
        let first_at = put(to, serial, pack);
        Self { first: serial, last: serial, within: start..to.len(), first_at }
    }

    /// Where its row is.
    pub(crate) fn row(&self) -> Range<usize> {
        if self.first == self.last { self.first_at.clone() } else { self.within.clone() }
    }

    /// Whether the entry with this serial belongs into it, behind those that are there.
    fn takes(&self, to: &[u8], serial: &Serial) -> bool {
        self.last < *serial
            && belong_together(self.last, *serial)
            && self.within.len() < MAX_SIZE
            && self.within.end == to.len()
    }

    /// Returns the length of what was packed.
    fn push(&mut self, to: &mut Vec<u8>, serial: Serial, pack: impl FnOnce(&mut Vec<u8>)) -> usize {
        self.last = serial;
        let packed = put(to, serial, pack);
        self.within.end = to.len();
        packed.len()
    }
}

/// Whether entries with these serials may share a chunk, and do share the rows that lead to it.
pub(crate) fn belong_together(one: Serial, other: Serial) -> bool {
    one.series == other.series && key::end_of_minute(one.ms) == key::end_of_minute(other.ms)
}

/// Makes chunks of entries in the order in which they come, at the end of `to`, and returns the length of what was
/// packed.
pub(crate) fn push(
    chunks: &mut Vec<Chunk>,
    to: &mut Vec<u8>,
    serial: Serial,
    pack: impl FnOnce(&mut Vec<u8>),
) -> usize {
    if let Some(chunk) = chunks.last_mut().filter(|chunk| chunk.takes(to, &serial)) {
        return chunk.push(to, serial, pack);
    }
    chunks.push_mut(Chunk::new(to, serial, pack)).first_at.len()
}

/// Returns where what was packed is.
fn put(to: &mut Vec<u8>, serial: Serial, pack: impl FnOnce(&mut Vec<u8>)) -> Range<usize> {
    to.extend_from_slice(&serial.ms.to_be_bytes());
    to.extend_from_slice(&serial.counter.to_be_bytes());
    let length = put_written(to, pack);
    to.len() - length..to.len()
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
    let chunk = compress::plain(chunk)?;
    let entries = entries(key::serial_of(key)?, &chunk)?;
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
