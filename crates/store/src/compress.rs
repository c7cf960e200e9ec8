//! Rows that are compressed, once and for all: the engine writes each into its journal and then into a table, and
//! would compress it for both.
//!
//! `<0x81><length when it is not compressed><LZ4 block>`; no other row begins so.

use fjall::Slice;
use lz4_flex::block::{
    CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size,
};
use packed::{Decoder, Unreadable};

const COMPRESSED: u8 = 0x81;

/// Shorter rows stay as they are.
const MIN_LENGTH: usize = 4 << 10;

/// An LZ4 block says at most so many times what it has bytes.
const MAX_RATIO: usize = 255;

#[derive(Default)]
pub(crate) struct Compressor {
    table: CompressTable,
    /// Room for one row.
    compressed: Vec<u8>,
}

impl Compressor {
    /// Adds the row to `to`: compressed if that is worth it.
    pub(crate) fn put(&mut self, row: &[u8], to: &mut Vec<u8>) {
        match self.compress(row) {
            Some((length, compressed)) => {
                to.push(COMPRESSED);
                to.extend_from_slice(&length.to_be_bytes());
                to.extend_from_slice(compressed);
            }
            None => to.extend_from_slice(row),
        }
    }

    fn compress(&mut self, row: &[u8]) -> Option<(u32, &[u8])> {
        let length = u32::try_from(row.len()).ok().filter(|_| row.len() >= MIN_LENGTH)?;
        let room = get_maximum_output_size(row.len());
        if self.compressed.len() < room {
            self.compressed.resize(room, 0);
        }
        let end = compress_into_with_table(row, &mut self.compressed, &mut self.table).ok()?;
        self.compressed.get(..end).filter(|_| end < row.len() / 8 * 7).map(|row| (length, row))
    }
}

/// The row as it was before [`Compressor::put`].
pub(crate) fn plain(row: &Slice) -> Result<Slice, Unreadable> {
    const WHAT: &str = "a compressed row";
    if row.first() != Some(&COMPRESSED) {
        return Ok(row.clone());
    }
    let mut from = Decoder::new(row, WHAT);
    from.byte()?;
    let length = u32::from_be_bytes(from.array()?) as usize;
    if length > from.rest().len().saturating_mul(MAX_RATIO) {
        return Err(Unreadable::Damaged(WHAT));
    }
    let mut plain = vec![0; length];
    let written = decompress_into(from.rest(), &mut plain).or(Err(Unreadable::Damaged(WHAT)))?;
    if written != length {
        return Err(Unreadable::Damaged(WHAT));
    }
    Ok(plain.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn put(row: &[u8]) -> Vec<u8> {
        let mut kept = Vec::new();
        Compressor::default().put(row, &mut kept);
        kept
    }

    fn plain_of(kept: &[u8]) -> Result<Vec<u8>, Unreadable> {
        plain(&kept.into()).map(|row| row.to_vec())
    }

    #[test]
    fn what_says_little_is_kept_in_few_bytes_and_what_is_short_or_says_much_as_it_is() {
        let dull = b"a message like many others, ".repeat(200);
        assert!(put(&dull).len() < dull.len() / 10);
        assert_eq!(plain_of(&put(&dull)).unwrap(), dull);
        let short = &dull[..MIN_LENGTH - 1];
        assert_eq!(put(short), short);
        let noise: Vec<u8> =
            (1..=MIN_LENGTH as u64).map(|n| (n.wrapping_pow(9) % 251) as u8).collect();
        assert_eq!(put(&noise), noise);
    }

    #[test]
    fn what_is_damaged_is_an_error() {
        let kept = put(&b"again and ".repeat(1000));
        let changed = |at: usize, byte: u8| {
            let mut changed = kept.clone();
            changed[at] = byte;
            changed
        };
        for damaged in [&kept[..3], &kept[..kept.len() - 1], &changed(4, 1), &changed(1, 0xff)] {
            assert!(plain_of(damaged).is_err(), "{} bytes", damaged.len());
        }
    }

    proptest! {
        #[test]
        fn rows_are_what_they_were_whatever_was_compressed_before(
            rows in prop::collection::vec((any::<[u8; 24]>(), 1..4000_usize), 1..9),
        ) {
            let mut compressor = Compressor::default();
            for (piece, times) in rows {
                // As rows of history, which never begin as compressed ones do.
                let row = [&[0x80], piece.repeat(times).as_slice()].concat();
                let mut kept = b"before".to_vec();
                compressor.put(&row, &mut kept);
                prop_assert_eq!(plain_of(&kept[6..]).unwrap(), row);
            }
        }

        #[test]
        fn no_bytes_are_trouble(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let row = [&[COMPRESSED], bytes.as_slice()].concat();
            let length = bytes.first_chunk().map_or(0, |length| u32::from_be_bytes(*length));
            if let Ok(plain) = plain_of(&row) {
                prop_assert_eq!(plain.len(), length as usize);
            }
        }
    }
}
