//! MessagePack: a strict reader over bytes, and a writer that uses the shortest forms.
//!
//! Map keys are text. Extensions are skipped where nobody asks for their value; the one that
//! JavaScript's client writes for `undefined` is null.

use std::borrow::Cow;

use rmp::Marker;
use serde_json::Number;

use crate::read::{Kind, Problem, Read, Reader, descend};
use crate::write::Writer;

/// The type and content of the one-byte extension that JavaScript's client writes for `undefined`.
const UNDEFINED: &[u8] = &[0, 0];

const TRUNCATED: Problem = Problem::Malformed("unexpected end");

pub(crate) struct MsgPackReader<'a> {
    rest: &'a [u8],
    len: usize,
    depth: u32,
}

/// A marker with its number or claimed length.
enum Head {
    Null,
    Boolean(bool),
    Number(Number),
    /// A number, if it is finite: that is judged by who reads it.
    Float(f64),
    Text(usize),
    Binary(usize),
    List(usize),
    Map(usize),
    Foreign(usize),
}

impl<'a> MsgPackReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, len: bytes.len(), depth: 0 }
    }

    #[inline]
    fn take<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(*bytes)
    }

    #[inline]
    fn take_slice(&mut self, len: usize) -> Read<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn len8(&mut self) -> Read<usize> {
        Ok(usize::from(u8::from_be_bytes(self.take()?)))
    }

    fn len16(&mut self) -> Read<usize> {
        Ok(usize::from(u16::from_be_bytes(self.take()?)))
    }

    fn len32(&mut self) -> Read<usize> {
        usize::try_from(u32::from_be_bytes(self.take()?)).or(Err(TRUNCATED))
    }

    /// Most heads are a single byte with a small number in it.
    #[inline]
    fn head(&mut self) -> Read<Head> {
        let [byte] = self.take()?;
        match byte {
            0x00..=0x7f => Ok(Head::Number(byte.into())),
            0x80..=0x8f => Ok(Head::Map(usize::from(byte & 0x0f))),
            0x90..=0x9f => Ok(Head::List(usize::from(byte & 0x0f))),
            0xa0..=0xbf => Ok(Head::Text(usize::from(byte & 0x1f))),
            0xc0..=0xff => self.head_of(Marker::from_u8(byte)),
        }
    }

    fn head_of(&mut self, marker: Marker) -> Read<Head> {
        Ok(match marker {
            Marker::Null => Head::Null,
            Marker::True => Head::Boolean(true),
            Marker::False => Head::Boolean(false),
            Marker::FixPos(value) => Head::Number(value.into()),
            Marker::FixNeg(value) => Head::Number(value.into()),
            Marker::U8 => Head::Number(u8::from_be_bytes(self.take()?).into()),
            Marker::U16 => Head::Number(u16::from_be_bytes(self.take()?).into()),
            Marker::U32 => Head::Number(u32::from_be_bytes(self.take()?).into()),
            Marker::U64 => Head::Number(u64::from_be_bytes(self.take()?).into()),
            Marker::I8 => Head::Number(i8::from_be_bytes(self.take()?).into()),
            Marker::I16 => Head::Number(i16::from_be_bytes(self.take()?).into()),
            Marker::I32 => Head::Number(i32::from_be_bytes(self.take()?).into()),
            Marker::I64 => Head::Number(i64::from_be_bytes(self.take()?).into()),
            Marker::F32 => Head::Float(f64::from(f32::from_be_bytes(self.take()?))),
            Marker::F64 => Head::Float(f64::from_be_bytes(self.take()?)),
            Marker::FixStr(len) => Head::Text(len.into()),
            Marker::Str8 => Head::Text(self.len8()?),
            Marker::Str16 => Head::Text(self.len16()?),
            Marker::Str32 => Head::Text(self.len32()?),
            Marker::Bin8 => Head::Binary(self.len8()?),
            Marker::Bin16 => Head::Binary(self.len16()?),
            Marker::Bin32 => Head::Binary(self.len32()?),
            Marker::FixArray(len) => Head::List(len.into()),
            Marker::Array16 => Head::List(self.len16()?),
            Marker::Array32 => Head::List(self.len32()?),
            Marker::FixMap(len) => Head::Map(len.into()),
            Marker::Map16 => Head::Map(self.len16()?),
            Marker::Map32 => Head::Map(self.len32()?),
            Marker::FixExt1 if self.rest.starts_with(UNDEFINED) => {
                self.take_slice(UNDEFINED.len())?;
                Head::Null
            }
            Marker::FixExt1 => Head::Foreign(1),
            Marker::FixExt2 => Head::Foreign(2),
            Marker::FixExt4 => Head::Foreign(4),
            Marker::FixExt8 => Head::Foreign(8),
            Marker::FixExt16 => Head::Foreign(16),
            Marker::Ext8 => Head::Foreign(self.len8()?),
            Marker::Ext16 => Head::Foreign(self.len16()?),
            Marker::Ext32 => Head::Foreign(self.len32()?),
            Marker::Reserved => return Err(Problem::Malformed("reserved marker")),
        })
    }

    /// The bytes of a string, which may be anything.
    #[inline]
    fn bytes(&mut self) -> Read<&'a [u8]> {
        let Head::Text(len) = self.head()? else {
            return Err(Problem::Malformed("string expected"));
        };
        self.take_slice(len)
    }

    #[inline]
    fn str(&mut self) -> Read<&'a str> {
        utf8(self.bytes()?)
    }

    /// Reads so many items.
    #[inline]
    fn each(&mut self, len: usize, mut item: impl FnMut(&mut Self) -> Read<()>) -> Read<()> {
        descend(&mut self.depth)?;
        for _ in 0..len {
            item(self)?;
        }
        self.depth -= 1;
        Ok(())
    }
}

fn utf8(bytes: &[u8]) -> Read<&str> {
    match simdutf8::basic::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(_) => Err(Problem::Malformed("not UTF-8")),
    }
}

impl<'a> Reader<'a> for MsgPackReader<'a> {
    fn position(&self) -> usize {
        self.len - self.rest.len()
    }

    #[inline]
    fn kind(&mut self) -> Read<Kind> {
        let start = self.rest;
        let head = self.head()?;
        self.rest = start;
        Ok(match head {
            Head::Null => Kind::Null,
            Head::Boolean(_) => Kind::Boolean,
            Head::Number(_) | Head::Float(_) => Kind::Number,
            Head::Text(_) => Kind::Text,
            Head::Binary(_) => Kind::Binary,
            Head::List(_) => Kind::List,
            Head::Map(_) => Kind::Map,
            Head::Foreign(_) => Kind::Foreign,
        })
    }

    fn boolean(&mut self) -> Read<bool> {
        let Head::Boolean(value) = self.head()? else {
            return Err(Problem::Malformed("boolean expected"));
        };
        Ok(value)
    }

    fn number(&mut self) -> Read<Number> {
        match self.head()? {
            Head::Number(value) => Ok(value),
            Head::Float(value) => {
                Number::from_f64(value).ok_or(Problem::NotJson("number not finite"))
            }
            Head::Null
            | Head::Boolean(_)
            | Head::Text(_)
            | Head::Binary(_)
            | Head::List(_)
            | Head::Map(_)
            | Head::Foreign(_) => Err(Problem::Malformed("number expected")),
        }
    }

    fn skip_number(&mut self) -> Read<()> {
        self.head().map(drop)
    }

    #[inline]
    fn natural(&mut self) -> Option<u64> {
        let (byte, rest) = self.rest.split_first().filter(|(byte, _)| **byte < 0x80)?;
        self.rest = rest;
        Some(u64::from(*byte))
    }

    #[inline]
    fn text(&mut self) -> Read<Cow<'a, str>> {
        self.str().map(Cow::Borrowed)
    }

    fn binary(&mut self) -> Read<&'a [u8]> {
        let Head::Binary(len) = self.head()? else {
            return Err(Problem::Malformed("binary expected"));
        };
        self.take_slice(len)
    }

    #[inline]
    fn list(&mut self, item: impl FnMut(&mut Self) -> Read<()>) -> Read<()> {
        let Head::List(len) = self.head()? else {
            return Err(Problem::Malformed("list expected"));
        };
        self.each(len, item)
    }

    fn map(&mut self, mut entry: impl FnMut(&mut Self, &str) -> Read<()>) -> Read<()> {
        let Head::Map(len) = self.head()? else {
            return Err(Problem::Malformed("map expected"));
        };
        self.each(len, |r| {
            let key = r.str()?;
            entry(r, key)
        })
    }

    #[inline]
    fn fields(&mut self, mut field: impl FnMut(&mut Self, &[u8]) -> Read<()>) -> Read<()> {
        let Head::Map(len) = self.head()? else {
            return Err(Problem::Malformed("map expected"));
        };
        self.each(len, |r| {
            let key = r.bytes()?;
            if !key.is_ascii() {
                utf8(key)?;
            }
            if r.kind()? == Kind::Null { r.skip_null() } else { field(r, key) }
        })
    }

    fn skip_null(&mut self) -> Read<()> {
        let Head::Null = self.head()? else {
            return Err(Problem::Malformed("null expected"));
        };
        Ok(())
    }

    fn skip_foreign(&mut self) -> Read<()> {
        let Head::Foreign(len) = self.head()? else {
            return Err(Problem::Malformed("extension expected"));
        };
        self.take::<1>()?;
        self.take_slice(len).map(drop)
    }

    fn nested(&mut self) -> Read<Cow<'a, str>> {
        Ok(self.value()?.to_string().into())
    }

    fn end(&mut self) -> Read<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(Problem::Malformed("trailing bytes")) }
    }
}

pub(crate) struct MsgPackWriter {
    out: Vec<u8>,
}

impl MsgPackWriter {
    fn push(&mut self, marker: Marker, bytes: &[u8]) {
        self.out.push(marker.to_u8());
        self.out.extend_from_slice(bytes);
    }

    #[inline]
    fn text_length(&mut self, len: usize) {
        match short(len, 32) {
            Some(len) => self.out.push(Marker::FixStr(len).to_u8()),
            None => {
                self.length(len, [Some(Marker::Str8), Some(Marker::Str16), Some(Marker::Str32)]);
            }
        }
    }

    /// A marker with the shortest length that it has; frames are far smaller than 4 GiB.
    fn length(&mut self, len: usize, [m8, m16, m32]: [Option<Marker>; 3]) {
        if let (Some(marker), Ok(len)) = (m8, u8::try_from(len)) {
            self.push(marker, &len.to_be_bytes());
        } else if let (Some(marker), Ok(len)) = (m16, u16::try_from(len)) {
            self.push(marker, &len.to_be_bytes());
        } else if let Some(marker) = m32 {
            self.push(marker, &u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
}

/// `len` if it fits the few bits that a marker has for it.
fn short(len: usize, limit: u8) -> Option<u8> {
    u8::try_from(len).ok().filter(|len| *len < limit)
}

impl Writer for MsgPackWriter {
    const BINARY_IS_BASE64: bool = false;

    fn with_capacity(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes) }
    }

    fn finish(self) -> Vec<u8> {
        self.out
    }

    fn begin_map(&mut self) -> usize {
        self.out.push(Marker::FixMap(0).to_u8());
        self.out.len() - 1
    }

    #[inline]
    fn key(&mut self, _index: usize, key: &'static str) {
        self.text(key);
    }

    fn foreign_key(&mut self, _index: usize, key: &str) {
        self.text(key);
    }

    fn end_map(&mut self, start: usize, len: usize) {
        if let (Some(len), Some(marker)) = (short(len, 16), self.out.get_mut(start)) {
            *marker = Marker::FixMap(len).to_u8();
            return;
        }
        let entries = self.out.split_off(start + 1);
        self.out.truncate(start);
        self.length(len, [None, Some(Marker::Map16), Some(Marker::Map32)]);
        self.out.extend_from_slice(&entries);
    }

    fn begin_list(&mut self, len: usize) {
        match short(len, 16) {
            Some(len) => self.push(Marker::FixArray(len), &[]),
            None => self.length(len, [None, Some(Marker::Array16), Some(Marker::Array32)]),
        }
    }

    fn item(&mut self, _index: usize) {}

    fn end_list(&mut self) {}

    fn encoded(&mut self, value: &[u8]) {
        self.out.extend_from_slice(value);
    }

    fn null(&mut self) {
        self.push(Marker::Null, &[]);
    }

    fn boolean(&mut self, value: bool) {
        self.push(if value { Marker::True } else { Marker::False }, &[]);
    }

    fn integer(&mut self, value: i64) {
        if let Ok(value) = u64::try_from(value) {
            self.unsigned(value);
        } else if let Some(value) = i8::try_from(value).ok().filter(|value| *value >= -32) {
            self.push(Marker::FixNeg(value), &[]);
        } else if let Ok(value) = i8::try_from(value) {
            self.push(Marker::I8, &value.to_be_bytes());
        } else if let Ok(value) = i16::try_from(value) {
            self.push(Marker::I16, &value.to_be_bytes());
        } else if let Ok(value) = i32::try_from(value) {
            self.push(Marker::I32, &value.to_be_bytes());
        } else {
            self.push(Marker::I64, &value.to_be_bytes());
        }
    }

    fn unsigned(&mut self, value: u64) {
        if let Some(value) = u8::try_from(value).ok().filter(|value| *value < 128) {
            self.out.push(Marker::FixPos(value).to_u8());
        } else if let Ok(value) = u8::try_from(value) {
            self.push(Marker::U8, &value.to_be_bytes());
        } else if let Ok(value) = u16::try_from(value) {
            self.push(Marker::U16, &value.to_be_bytes());
        } else if let Ok(value) = u32::try_from(value) {
            self.push(Marker::U32, &value.to_be_bytes());
        } else {
            self.push(Marker::U64, &value.to_be_bytes());
        }
    }

    fn number(&mut self, value: &Number) {
        if let Some(value) = value.as_u64() {
            self.unsigned(value);
        } else if let Some(value) = value.as_i64() {
            self.integer(value);
        } else {
            self.push(Marker::F64, &value.as_f64().unwrap_or_default().to_be_bytes());
        }
    }

    #[inline]
    fn text(&mut self, value: &str) {
        self.plain(value.as_bytes());
    }

    fn joined(&mut self, pieces: &[&str]) {
        self.text_length(pieces.iter().map(|piece| piece.len()).sum());
        for piece in pieces {
            self.out.extend_from_slice(piece.as_bytes());
        }
    }

    #[inline]
    fn plain(&mut self, value: &[u8]) {
        self.text_length(value.len());
        self.out.extend_from_slice(value);
    }

    fn binary(&mut self, value: &[u8]) {
        self.length(value.len(), [Some(Marker::Bin8), Some(Marker::Bin16), Some(Marker::Bin32)]);
        self.out.extend_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(bytes: &[u8]) -> Read<Value> {
        let mut reader = MsgPackReader::new(bytes);
        let value = reader.value()?;
        reader.end()?;
        Ok(value)
    }

    fn print(value: &Value) -> Vec<u8> {
        let mut writer = MsgPackWriter::with_capacity(0);
        writer.value(value);
        writer.finish()
    }

    #[test]
    fn values_of_every_width_are_read_and_written_as_rmp_does() {
        let mut values = vec![json!(null), json!(true), json!(false), json!(1.5), json!(-0.0)];
        for shift in 0..64 {
            for near in [-1, 0, 1] {
                values.push(json!((1u64 << shift).wrapping_add_signed(near)));
                values.push(json!((-1i64 << shift).wrapping_add(near)));
            }
        }
        for len in [0, 1, 15, 16, 31, 32, 255, 256, 65_535, 65_536] {
            values.push(json!("x".repeat(len)));
            values.push(json!(vec![7; len]));
            values.push(Value::Object((0..len).map(|n| (n.to_string(), json!(n))).collect()));
        }
        for value in values {
            let bytes = print(&value);
            assert_eq!(bytes, rmp_serde::to_vec_named(&value).unwrap());
            assert_eq!(parse(&bytes).unwrap(), value);
        }
    }

    #[test]
    fn binary_of_every_width_round_trips() {
        for len in [0, 1, 255, 256, 65_535, 65_536] {
            let binary = vec![7; len];
            let mut writer = MsgPackWriter::with_capacity(0);
            writer.binary(&binary);
            assert_eq!(MsgPackReader::new(&writer.finish()).binary().unwrap(), binary);
        }
    }

    #[test]
    fn what_is_truncated_or_not_json_is_refused() {
        for bytes in [
            &b""[..],
            b"\xc1",
            b"\xcd\x01",
            b"\xa2a",
            b"\xa1\xff",
            b"\x92\x01",
            b"\x81\xa1a",
            b"\x81\x01\x01",
            b"\xc4\x01a",
            b"\xd4\x01a",
            b"\xcb\x7f\xf0\0\0\0\0\0\0",
            b"\x01\x02",
        ] {
            assert!(parse(bytes).is_err(), "{bytes:x?}");
        }
    }

    #[test]
    fn claimed_lengths_and_nesting_cost_nothing() {
        for marker in [0xdb, 0xc6, 0xdd, 0xdf, 0xc9] {
            assert!(parse(&[marker, 0xff, 0xff, 0xff, 0xff]).is_err());
            assert!(MsgPackReader::new(&[marker, 0xff, 0xff, 0xff, 0xff]).skip().is_err());
        }
        assert!(parse(&[&[0x91; 63][..], &[0x90]].concat()).is_ok());
        assert!(parse(&[&[0x91; 64][..], &[0x90]].concat()).is_err());
        assert!(parse(&[0x91; 1_000_000]).is_err());
    }

    #[test]
    fn undefined_is_null_and_other_extensions_can_be_skipped() {
        assert_eq!(parse(&[0x92, 0xd4, 0, 0, 1]).unwrap(), json!([null, 1]));
        let mut reader = MsgPackReader::new(&[0xc7, 2, 5, 1, 2]);
        reader.skip().unwrap();
        reader.end().unwrap();
    }
}
