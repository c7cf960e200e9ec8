//! A cursor: for each series, the position up to which a reader has seen. On the wire it is
//! `channelSerial`: opaque to clients, bound to its channel, granting nothing (so it has no MAC).
//!
//! Encoding: base64url of a version byte, two bytes of the channel's hash, then for each series its
//! 12-byte id and its position as a varint.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use smallvec::{SmallVec, smallvec};
use xxhash_rust::xxh3::xxh3_64;

use crate::SeriesId;

const VERSION: u8 = 1;
/// A cursor with more elements is not accepted; a host rolls its series before it emits one.
const MAX_SERIES: usize = 16;
/// Room for a cursor with one element, which so needs no allocation, and for its text.
const BYTES_INLINE: usize = 32;
const TEXT_INLINE: usize = 36;
/// Longest text that is decoded: header and `MAX_SERIES` elements of 22 bytes, in base64.
const MAX_TEXT: usize = 480;

/// In the order of the series, each once. Most cursors have one: every delivery has such a cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor(SmallVec<[(SeriesId, u64); 1]>);

/// A cursor as it travels.
pub struct CursorText(SmallVec<[u8; TEXT_INLINE]>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorError {
    Malformed,
    OtherChannel,
}

impl Cursor {
    pub fn at(series: SeriesId, position: u64) -> Self {
        Self(smallvec![(series, position)])
    }

    /// The position reached in `series`; none if this cursor does not name it.
    pub fn position(&self, series: SeriesId) -> Option<u64> {
        let at = self.place(series).ok()?;
        self.0.get(at).map(|(_, position)| *position)
    }

    pub fn iter(&self) -> impl Iterator<Item = (SeriesId, u64)> + '_ {
        self.0.iter().copied()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Moves `series` forward to `position`; never back.
    pub fn advance(&mut self, series: SeriesId, position: u64) {
        match self.place(series) {
            Ok(at) => {
                if let Some((_, known)) = self.0.get_mut(at) {
                    *known = position.max(*known);
                }
            }
            Err(at) => self.0.insert(at, (series, position)),
        }
    }

    pub fn remove(&mut self, series: SeriesId) {
        self.0.retain(|(of, _)| *of != series);
    }

    fn place(&self, series: SeriesId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&series, |(of, _)| *of)
    }

    /// The smallest cursor that covers both.
    pub fn join(&mut self, other: &Self) {
        for (series, position) in other.iter() {
            self.advance(series, position);
        }
    }

    /// Whether everything that `other` covers is covered here.
    pub fn dominates(&self, other: &Self) -> bool {
        other.iter().all(|(series, position)| self.position(series).is_some_and(|p| p >= position))
    }

    pub fn encode(&self, channel: &str) -> CursorText {
        let [hash0, hash1] = channel_hash(channel);
        let mut bytes: SmallVec<[u8; BYTES_INLINE]> = smallvec![VERSION, hash0, hash1];
        for (series, position) in self.iter() {
            bytes.extend_from_slice(series.as_bytes());
            push_varint(&mut bytes, position);
        }
        let mut text = smallvec![0; (bytes.len() * 4).div_ceil(3)];
        let written = URL_SAFE_NO_PAD.encode_slice(&bytes, &mut text);
        assert!(written == Ok(text.len()), "a cursor does not fit its text");
        CursorText(text)
    }

    pub fn decode(text: &str, channel: &str) -> Result<Self, CursorError> {
        if text.len() > MAX_TEXT {
            return Err(CursorError::Malformed);
        }
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(text) else { return Err(CursorError::Malformed) };
        let [VERSION, hash0, hash1, rest @ ..] = bytes.as_slice() else {
            return Err(CursorError::Malformed);
        };
        if [*hash0, *hash1] != channel_hash(channel) {
            return Err(CursorError::OtherChannel);
        }
        let mut cursor = Self::default();
        let mut rest = rest;
        while let Some((id, tail)) = rest.split_at_checked(SeriesId::LENGTH) {
            let series = SeriesId::from_bytes(id).ok_or(CursorError::Malformed)?;
            let (position, tail) = take_varint(tail).ok_or(CursorError::Malformed)?;
            cursor.advance(series, position);
            rest = tail;
        }
        if rest.is_empty() && cursor.len() <= MAX_SERIES {
            Ok(cursor)
        } else {
            Err(CursorError::Malformed)
        }
    }
}

impl CursorText {
    /// ASCII without anything that a format would escape.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

fn channel_hash(channel: &str) -> [u8; 2] {
    let [hash0, hash1, ..] = xxh3_64(channel.as_bytes()).to_le_bytes();
    [hash0, hash1]
}

fn push_varint(bytes: &mut SmallVec<[u8; BYTES_INLINE]>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            bytes.push(low & 0x7f);
            return;
        }
        bytes.push(low | 0x80);
    }
}

fn take_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (n, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f).checked_shl(u32::try_from(n).ok()? * 7)?;
        if byte & 0x80 == 0 {
            return Some((value, bytes.split_at_checked(n + 1)?.1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn series(n: u8) -> SeriesId {
        SeriesId::from_bytes(format!("dun{n:09}").as_bytes()).unwrap()
    }

    #[test]
    fn one_live_series_takes_about_25_characters() {
        let text = Cursor::at(series(1), 100_000).encode("orders");
        let text = text.as_str();
        assert!(text.len() <= 25, "{text}");
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
    }

    #[test]
    fn a_cursor_is_bound_to_its_channel() {
        let text = Cursor::at(series(1), 7).encode("orders");
        assert_eq!(Cursor::decode(text.as_str(), "other"), Err(CursorError::OtherChannel));
    }

    #[test]
    fn a_join_dominates_both() {
        let (mut a, b) = (Cursor::at(series(1), 7), Cursor::at(series(2), 3));
        assert!(!a.dominates(&b));
        a.join(&b);
        assert!(a.dominates(&b) && a.dominates(&Cursor::at(series(1), 7)));
        assert!(!a.dominates(&Cursor::at(series(1), 8)));
    }

    proptest! {
        #[test]
        fn cursors_round_trip(positions in prop::collection::btree_map(0_u8..9, any::<u64>(), 0..9)) {
            let mut cursor = Cursor::default();
            for (n, position) in positions {
                cursor.advance(series(n), position);
            }
            let text = cursor.encode("c");
            prop_assert_eq!(Cursor::decode(text.as_str(), "c"), Ok(cursor));
        }

        #[test]
        fn any_text_decodes_or_is_refused(text in ".{0,600}") {
            let _outcome = Cursor::decode(&text, "c");
        }
    }
}
