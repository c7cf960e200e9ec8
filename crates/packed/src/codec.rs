//! The primitives: varints, and texts and bytes with their length in front. A length is believed only as far
//! as there are bytes.

use std::sync::Arc;

use thiserror::Error;

/// Bytes that are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unreadable {
    #[error("{what} has format {found}, which this version does not know")]
    UnknownFormat { what: &'static str, found: u64 },
    #[error("{0} is damaged")]
    Damaged(&'static str),
}

pub fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
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

pub fn put_bytes(bytes: &mut Vec<u8>, value: &[u8]) {
    put_varint(bytes, value.len() as u64);
    bytes.extend_from_slice(value);
}

/// As [`put_bytes`], of bytes that are written where they belong. Returns how many these are.
pub fn put_written(bytes: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> usize {
    // As long as most lengths are, so that little is moved.
    const GUESS: usize = 2;
    let place = bytes.len();
    bytes.extend([0; GUESS]);
    write(bytes);
    let length = bytes.len() - place - GUESS;
    let guessed = u16::try_from(length).ok().filter(|length| (0x80..0x4000).contains(length));
    let prefix = bytes.get_mut(place..).and_then(|written| written.first_chunk_mut::<GUESS>());
    if let (Some(length), Some(prefix)) = (guessed, prefix) {
        let [low, high] = (length << 1).to_le_bytes();
        *prefix = [low >> 1 | 0x80, high];
    } else {
        let mut varint = Vec::new();
        put_varint(&mut varint, length as u64);
        bytes.splice(place..place + GUESS, varint);
    }
    length
}

pub(crate) fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_bytes(bytes, text.as_bytes());
}

/// A byte that says whether there is a value, then the value.
pub(crate) fn put_option<T>(
    bytes: &mut Vec<u8>,
    value: Option<T>,
    put: impl FnOnce(&mut Vec<u8>, T),
) {
    bytes.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(bytes, value);
    }
}

/// Reads what the functions above wrote; `what` names it in errors.
pub struct Decoder<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Decoder<'a> {
    pub fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    pub fn damaged(&self) -> Unreadable {
        Unreadable::Damaged(self.what)
    }

    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Unreadable> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.damaged())?;
        self.rest = rest;
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(|| self.damaged())?;
        self.rest = rest;
        Ok(*taken)
    }

    pub fn byte(&mut self) -> Result<u8, Unreadable> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub fn varint(&mut self) -> Result<u64, Unreadable> {
        let mut value = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits.leading_zeros() < shift {
                return Err(self.damaged());
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.damaged())
    }

    pub fn length(&mut self) -> Result<usize, Unreadable> {
        usize::try_from(self.varint()?).map_err(|_too_long| self.damaged())
    }

    pub fn bytes(&mut self) -> Result<&'a [u8], Unreadable> {
        let length = self.length()?;
        self.take(length)
    }

    pub fn text(&mut self) -> Result<Arc<str>, Unreadable> {
        str::from_utf8(self.bytes()?).map(Arc::from).map_err(|_not_text| self.damaged())
    }

    pub fn option<T>(
        &mut self,
        take: impl FnOnce(&mut Self) -> Result<T, Unreadable>,
    ) -> Result<Option<T>, Unreadable> {
        match self.byte()? {
            0 => Ok(None),
            1 => take(self).map(Some),
            _ => Err(self.damaged()),
        }
    }

    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn finish(self) -> Result<(), Unreadable> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.damaged()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_where_it_belongs_is_as_if_it_were_copied() {
        for length in [0, 1, 0x7f, 0x80, 0x81, 0xff, 0x100, 0x3fff, 0x4000, 0x1_0000, 0x20_0000] {
            let value: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
            let (mut copied, mut written) = (vec![7], vec![7]);
            put_bytes(&mut copied, &value);
            assert_eq!(put_written(&mut written, |to| to.extend_from_slice(&value)), length);
            assert_eq!(written, copied);
        }
    }
}
