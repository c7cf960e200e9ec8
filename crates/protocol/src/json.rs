//! JSON: a strict reader over text that is known to be UTF-8, and a compact writer.
//!
//! Strings without escapes are borrowed, nested payloads are cut out as they stand. Half of a
//! surrogate pair becomes U+FFFD, as MessagePack libraries make of it before sending.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Number;

use crate::read::{Kind, Problem, Read, Reader, descend};
use crate::write::Writer;

pub(crate) struct JsonReader<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
}

impl<'a> JsonReader<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn slice(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// The next byte that is not white space; 0 at the end, which no value begins with.
    #[inline]
    fn peek(&mut self) -> u8 {
        match self.byte() {
            Some(byte) if byte > b' ' => byte,
            Some(_) | None => self.peek_after_space(),
        }
    }

    fn peek_after_space(&mut self) -> u8 {
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
        self.at += self.rest().iter().take_while(|byte| is_space(byte)).count();
        self.byte().unwrap_or_default()
    }

    #[inline]
    fn expect(&mut self, byte: u8, otherwise: &'static str) -> Read<()> {
        if self.peek() != byte {
            return Err(Problem::Malformed(otherwise));
        }
        self.at += 1;
        Ok(())
    }

    fn literal(&mut self, literal: &str) -> Read<()> {
        self.peek();
        if !self.rest().starts_with(literal.as_bytes()) {
            return Err(Problem::Malformed("unexpected value"));
        }
        self.at += literal.len();
        Ok(())
    }

    /// After an item: whether another one follows.
    #[inline]
    fn another(&mut self, close: u8) -> Read<bool> {
        let more = match self.peek() {
            b',' => true,
            byte if byte == close => false,
            _ => return Err(Problem::Malformed("comma or end expected")),
        };
        self.at += 1;
        Ok(more)
    }

    /// A list or map, whose brackets these are.
    #[inline]
    fn within(
        &mut self,
        [open, close]: [u8; 2],
        otherwise: &'static str,
        mut item: impl FnMut(&mut Self) -> Read<()>,
    ) -> Read<()> {
        self.expect(open, otherwise)?;
        descend(&mut self.depth)?;
        let mut more = self.peek() != close;
        if !more {
            self.at += 1;
        }
        while more {
            item(self)?;
            more = self.another(close)?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// A string that is short and has no escapes, as most; of another, nothing is read.
    fn short_text(&mut self) -> Option<&'a str> {
        let [b'"', rest @ ..] = self.text.as_bytes().get(self.at..)? else { return None };
        let len = short_run(rest)?;
        if rest.get(len) != Some(&b'"') {
            return None;
        }
        let start = self.at + 1;
        self.at = start + len + 1;
        self.text.get(start..start + len)
    }

    /// Like [`JsonReader::short_text`], with the colon after it.
    #[inline]
    fn short_key(&mut self) -> Option<&'a [u8]> {
        let [b'"', rest @ ..] = self.text.as_bytes().get(self.at..)? else { return None };
        let (key, rest) = rest.split_at_checked(short_run(rest)?)?;
        if !rest.starts_with(b"\":") {
            return None;
        }
        self.at += key.len() + 3;
        Some(key)
    }

    fn long_text(&mut self) -> Read<Cow<'a, str>> {
        self.expect(b'"', "string expected")?;
        let start = self.at;
        self.at += plain_run(self.rest());
        let first = self.slice(start);
        if self.byte() != Some(b'"') {
            return self.unescape(first);
        }
        self.at += 1;
        Ok(first.into())
    }

    /// The rest of a string that has escapes, after its first run.
    #[cold]
    fn unescape(&mut self, first: &str) -> Read<Cow<'a, str>> {
        let mut text = String::with_capacity(first.len() * 2 + 16);
        text.push_str(first);
        loop {
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text.into());
                }
                Some(b'\\') => text.push(self.escape()?),
                Some(_) => return Err(Problem::Malformed("control character in a string")),
                None => return Err(Problem::Malformed("string without end")),
            }
            let start = self.at;
            self.at += plain_run(self.rest());
            text.push_str(self.slice(start));
        }
    }

    fn escape(&mut self) -> Read<char> {
        let kind = self.rest().get(1).copied();
        self.at += 2;
        Ok(match kind {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => self.escaped_char()?,
            _ => return Err(Problem::Malformed("invalid escape")),
        })
    }

    fn escaped_char(&mut self) -> Read<char> {
        let unit = self.code_unit()?;
        if !(0xd800..0xdc00).contains(&unit) || !self.rest().starts_with(b"\\u") {
            return Ok(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let before = self.at;
        self.at += 2;
        let low = self.code_unit()?;
        if !(0xdc00..0xe000).contains(&low) {
            self.at = before;
            return Ok(char::REPLACEMENT_CHARACTER);
        }
        let code = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
        Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// The four hex digits after `\u`.
    fn code_unit(&mut self) -> Read<u32> {
        let digits = self.rest().first_chunk::<4>().ok_or(Problem::Malformed("invalid escape"))?;
        self.at += 4;
        digits.iter().try_fold(0, |unit, digit| {
            let digit = char::from(*digit).to_digit(16);
            Ok(unit * 16 + digit.ok_or(Problem::Malformed("invalid escape"))?)
        })
    }

    fn digits(&mut self) -> Read<()> {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { Err(Problem::Malformed("digit expected")) } else { Ok(()) }
    }

    fn eat(&mut self, bytes: &[u8]) -> bool {
        let eaten = self.byte().is_some_and(|byte| bytes.contains(&byte));
        self.at += usize::from(eaten);
        eaten
    }
}

impl<'a> Reader<'a> for JsonReader<'a> {
    fn position(&self) -> usize {
        self.at
    }

    #[inline]
    fn kind(&mut self) -> Read<Kind> {
        Ok(match self.peek() {
            b'n' => Kind::Null,
            b't' | b'f' => Kind::Boolean,
            b'"' => Kind::Text,
            b'[' => Kind::List,
            b'{' => Kind::Map,
            b'-' | b'0'..=b'9' => Kind::Number,
            _ => return Err(Problem::Malformed("value expected")),
        })
    }

    fn boolean(&mut self) -> Read<bool> {
        let value = self.peek() == b't';
        self.literal(if value { "true" } else { "false" })?;
        Ok(value)
    }

    fn natural(&mut self) -> Option<u64> {
        /// Any number of so few digits fits.
        const DIGITS: usize = 19;
        let first = self.peek();
        let (mut value, mut end) = (0_u64, self.at);
        let next = loop {
            match self.text.as_bytes().get(end) {
                Some(digit @ b'0'..=b'9') => {
                    value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
                }
                other => break other,
            }
            end += 1;
        };
        let fits = match end - self.at {
            0 => false,
            1 => true,
            digits => digits <= DIGITS && first != b'0',
        };
        if !fits || matches!(next, Some(b'.' | b'e' | b'E')) {
            return None;
        }
        self.at = end;
        Some(value)
    }

    fn number(&mut self) -> Read<Number> {
        if let Some(natural) = self.natural() {
            return Ok(natural.into());
        }
        let start = self.at;
        self.eat(b"-");
        if !self.eat(b"0") {
            self.digits()?;
        }
        let integral = self.at;
        if self.eat(b".") {
            self.digits()?;
        }
        if self.eat(b"eE") {
            self.eat(b"+-");
            self.digits()?;
        }
        let text = self.slice(start);
        if integral == self.at {
            if let Ok(value) = text.parse::<u64>() {
                return Ok(value.into());
            }
            if let Ok(value) = text.parse::<i64>() {
                return Ok(value.into());
            }
        }
        let float = text.parse().ok().and_then(Number::from_f64);
        float.ok_or(Problem::Malformed("number out of range"))
    }

    #[inline]
    fn text(&mut self) -> Read<Cow<'a, str>> {
        match self.short_text() {
            Some(text) => Ok(text.into()),
            None => self.long_text(),
        }
    }

    fn binary(&mut self) -> Read<&'a [u8]> {
        Err(Problem::Malformed("unexpected value"))
    }

    #[inline]
    fn list(&mut self, item: impl FnMut(&mut Self) -> Read<()>) -> Read<()> {
        self.within([b'[', b']'], "list expected", item)
    }

    fn map(&mut self, mut entry: impl FnMut(&mut Self, &str) -> Read<()>) -> Read<()> {
        self.within([b'{', b'}'], "map expected", |r| {
            let key = r.text()?;
            r.expect(b':', "colon expected")?;
            entry(r, &key)
        })
    }

    #[inline]
    fn fields(&mut self, mut field: impl FnMut(&mut Self, &[u8]) -> Read<()>) -> Read<()> {
        self.within([b'{', b'}'], "map expected", |r| {
            let unusual;
            let key = match r.short_key() {
                Some(key) => key,
                None => {
                    unusual = r.long_text()?;
                    r.expect(b':', "colon expected")?;
                    unusual.as_bytes()
                }
            };
            if r.peek() == b'n' { r.skip_null() } else { field(r, key) }
        })
    }

    fn skip_null(&mut self) -> Read<()> {
        self.literal("null")
    }

    fn skip_foreign(&mut self) -> Read<()> {
        Err(Problem::Malformed("value expected"))
    }

    fn nested(&mut self) -> Read<Cow<'a, str>> {
        self.peek();
        let start = self.at;
        self.skip()?;
        Ok(self.slice(start).into())
    }

    fn end(&mut self) -> Read<()> {
        self.peek();
        if self.rest().is_empty() { Ok(()) } else { Err(Problem::Malformed("trailing bytes")) }
    }
}

/// How many bytes can stand in a string as they are: up to a quote, backslash or control
/// character.
fn plain_run(bytes: &[u8]) -> usize {
    let (blocks, _) = bytes.as_chunks::<32>();
    let start = blocks.iter().take_while(|block| is_plain(block)).count() * 32;
    let (words, tail) = bytes.get(start..).unwrap_or_default().as_chunks();
    for (index, word) in words.iter().enumerate() {
        if let Some(at) = first_special(*word) {
            return start + index * 8 + at;
        }
    }
    let plain = tail.iter().position(|byte| is_special(*byte)).unwrap_or(tail.len());
    start + words.len() * 8 + plain
}

/// Like [`plain_run`], if it ends within two words.
#[inline]
fn short_run(bytes: &[u8]) -> Option<usize> {
    let (words, _) = bytes.first_chunk::<16>()?.as_chunks();
    words.iter().enumerate().find_map(|(index, word)| Some(index * 8 + first_special(*word)?))
}

/// Whether nothing in the block is special. Without a branch, so that the compiler makes vector
/// instructions of it.
#[inline]
fn is_plain<const N: usize>(block: &[u8; N]) -> bool {
    !block.iter().fold(false, |special, byte| special | is_special(*byte))
}

/// A backslash, a control character, or a quote, which differs from a space in one bit.
fn is_special(byte: u8) -> bool {
    (byte ^ (b'"' ^ b' ') <= b' ') | (byte == b'\\')
}

/// Where the first special byte of a word is.
#[inline]
fn first_special(word: [u8; 8]) -> Option<usize> {
    let special = special_bytes(u64::from_le_bytes(word));
    (special != 0).then(|| special.trailing_zeros() as usize / 8)
}

/// The top bit of each special byte of a word; bits above the lowest one set may be wrong.
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    let quotes_and_controls =
        (word ^ (ONES * u64::from(b'"' ^ b' '))).wrapping_sub(ONES * u64::from(b' ' + 1));
    let backslashes = (word ^ (ONES * u64::from(b'\\'))).wrapping_sub(ONES);
    (quotes_and_controls | backslashes) & !word & (ONES * 0x80)
}

/// Whether a text of these bytes needs no escapes. What is left at the end is looked at with some of
/// what is before it, as one more block.
fn is_all_plain(bytes: &[u8]) -> bool {
    if let (blocks, Some(last)) = (bytes.as_chunks::<32>().0, bytes.last_chunk::<32>()) {
        blocks.iter().all(is_plain) && is_plain(last)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        is_plain::<16>(first) && is_plain::<16>(last)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        first_special(*first).is_none() && first_special(*last).is_none()
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let [first, last] = [first, last].map(|half| u64::from(u32::from_le_bytes(*half)));
        special_bytes(first | (last << 32)) == 0
    } else {
        !bytes.iter().any(|byte| is_special(*byte))
    }
}

/// What stands before the entry of a map: the first opens it.
#[inline]
fn before(index: usize) -> u8 {
    if index == 0 { b'{' } else { b',' }
}

pub(crate) struct JsonWriter {
    out: Vec<u8>,
}

impl JsonWriter {
    fn push(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    #[inline]
    fn push_text(&mut self, text: &str) {
        if is_all_plain(text.as_bytes()) {
            self.push(text);
        } else {
            self.push_escaped(text.as_bytes());
        }
    }

    #[inline(never)]
    fn push_escaped(&mut self, text: &[u8]) {
        let mut rest = text;
        loop {
            let (plain, special) = rest.split_at(plain_run(rest));
            self.out.extend_from_slice(plain);
            let Some((byte, after)) = special.split_first() else { return };
            self.push_escape(*byte);
            rest = after;
        }
    }

    fn push_escape(&mut self, byte: u8) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        match byte {
            b'"' => self.push("\\\""),
            b'\\' => self.push("\\\\"),
            b'\n' => self.push("\\n"),
            b'\r' => self.push("\\r"),
            b'\t' => self.push("\\t"),
            0x8 => self.push("\\b"),
            0xc => self.push("\\f"),
            _ => {
                self.push("\\u00");
                let digits = [byte >> 4, byte & 0xf];
                self.out.extend(digits.iter().filter_map(|digit| HEX.get(usize::from(*digit))));
            }
        }
    }
}

impl Writer for JsonWriter {
    const BINARY_IS_BASE64: bool = true;

    fn with_capacity(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes) }
    }

    fn finish(self) -> Vec<u8> {
        self.out
    }

    fn begin_map(&mut self) -> usize {
        0
    }

    #[inline]
    fn key(&mut self, index: usize, key: &'static str) {
        self.out.extend_from_slice(&[before(index), b'"']);
        self.push(key);
        self.push("\":");
    }

    fn foreign_key(&mut self, index: usize, key: &str) {
        self.out.push(before(index));
        self.text(key);
        self.push(":");
    }

    #[inline]
    fn end_map(&mut self, _start: usize, len: usize) {
        self.push(if len == 0 { "{}" } else { "}" });
    }

    fn begin_list(&mut self, _len: usize) {
        self.push("[");
    }

    fn item(&mut self, index: usize) {
        if index > 0 {
            self.push(",");
        }
    }

    fn end_list(&mut self) {
        self.push("]");
    }

    fn encoded(&mut self, value: &[u8]) {
        self.out.extend_from_slice(value);
    }

    fn null(&mut self) {
        self.push("null");
    }

    fn boolean(&mut self, value: bool) {
        self.push(if value { "true" } else { "false" });
    }

    fn integer(&mut self, value: i64) {
        match u64::try_from(value) {
            Ok(value) => self.unsigned(value),
            Err(_) => self.push(itoa::Buffer::new().format(value)),
        }
    }

    fn unsigned(&mut self, value: u64) {
        match u8::try_from(value) {
            Ok(digit @ 0..10) => self.out.push(b'0' + digit),
            Ok(digits @ 10..100) => {
                self.out.extend_from_slice(&[b'0' + digits / 10, b'0' + digits % 10]);
            }
            _ => self.push(itoa::Buffer::new().format(value)),
        }
    }

    fn number(&mut self, value: &Number) {
        self.push(&value.to_string());
    }

    fn text(&mut self, value: &str) {
        self.push("\"");
        self.push_text(value);
        self.push("\"");
    }

    fn joined(&mut self, pieces: &[&str]) {
        self.push("\"");
        for piece in pieces {
            self.push_text(piece);
        }
        self.push("\"");
    }

    fn plain(&mut self, value: &[u8]) {
        self.push("\"");
        self.out.extend_from_slice(value);
        self.push("\"");
    }

    fn binary(&mut self, value: &[u8]) {
        self.push("\"");
        self.push(&STANDARD.encode(value));
        self.push("\"");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn parse(text: &str) -> Read<Value> {
        let mut reader = JsonReader::new(text);
        let value = reader.value()?;
        reader.end()?;
        Ok(value)
    }

    /// A number as serde_json reads it, but floats as precisely as they are written.
    fn number(text: &str) -> Option<Value> {
        let value: Value = serde_json::from_str(text).ok()?;
        Some(if value.is_f64() { text.parse::<f64>().unwrap().into() } else { value })
    }

    fn print(value: &Value) -> String {
        let mut writer = JsonWriter::with_capacity(0);
        writer.value(value);
        String::from_utf8(writer.finish()).unwrap()
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in [
            "",
            " ",
            "nul",
            "tru",
            "[",
            "[1",
            "[1,",
            "[1,]",
            "[,]",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1,}",
            "{a:1}",
            "{1:1}",
            "01",
            "-",
            "1.",
            ".1",
            "1e",
            "1e+",
            "+1",
            "1e999",
            "\"",
            "\"\\",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"a\nb\"",
            "\"\u{0}\"",
            "'a'",
            "1 2",
            "{} x",
            "NaN",
            "\u{feff}1",
            "[1}",
            "\"\\ud800\\u\"",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
            assert!(serde_json::from_str::<Value>(text).is_err(), "{text:?} is JSON");
        }
    }

    #[test]
    fn escapes_stand_for_characters() {
        let text = r#""\"\\\/\b\f\n\r\t\u0000\u00e9\ud83d\ude00x""#;
        assert_eq!(parse(text).unwrap(), "\"\\/\u{8}\u{c}\n\r\t\0é😀x");
    }

    #[test]
    fn half_a_surrogate_pair_becomes_the_replacement_character() {
        for (text, read) in [
            (r#""\ud800""#, "\u{fffd}"),
            (r#""\udc00a""#, "\u{fffd}a"),
            (r#""\ud800\u0041""#, "\u{fffd}A"),
            (r#""\ud800\ud83d\ude00""#, "\u{fffd}😀"),
        ] {
            assert_eq!(parse(text).unwrap(), read);
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(&nested(64)).is_ok());
        assert!(parse(&nested(65)).is_err());
        assert!(parse(&"[".repeat(1_000_000)).is_err());
        assert!(parse(&"{\"a\":".repeat(1_000_000)).is_err());
    }

    #[test]
    fn a_plain_run_ends_at_the_first_special_byte() {
        for at in 0..20 {
            for special in [b'"', b'\\', 0, 0x1f] {
                let mut bytes = [0x21u8, 0xff, b'a', 0x80, 0x23, 0x7f, 0x5b, 0x5d].repeat(3);
                bytes[at] = special;
                bytes[at + 1] = b'"';
                assert_eq!(plain_run(&bytes), at);
            }
        }
        assert_eq!(plain_run("täglich frisch, 24 hours a day".as_bytes()), 31);
        for len in 0..120 {
            let mut bytes = vec![0x20; len];
            assert_eq!(plain_run(&bytes), len);
            for at in (0..len).rev() {
                for special in [b'"', b'\\', 0, 0x1f] {
                    bytes[at] = special;
                    assert_eq!(plain_run(&bytes), at);
                }
            }
        }
    }

    #[test]
    fn a_text_is_all_plain_unless_a_byte_of_it_is_special() {
        let plain = [0x20u8, 0x21, 0xff, b'a', 0x80, 0x23, 0x7f, 0x5b, 0x5d, 0xa2, 0xdc].repeat(12);
        for bytes in (0..plain.len()).map(|len| &plain[..len]) {
            assert!(is_all_plain(bytes));
            for at in 0..bytes.len() {
                for special in [b'"', b'\\', 0, 0x1f] {
                    let mut bytes = bytes.to_vec();
                    bytes[at] = special;
                    assert!(!is_all_plain(&bytes), "{special} at {at} of {}", bytes.len());
                }
            }
        }
    }

    #[test]
    fn numbers_are_read_as_serde_json_reads_them() {
        let near = |limit: i128| (-2..=2).map(move |offset| (limit + offset).to_string());
        let limits = [0, i64::MIN.into(), i64::MAX.into(), u64::MAX.into(), 10_i128.pow(19)];
        let others = [
            "00",
            "01",
            "-01",
            "007",
            "0.0",
            "-0.0",
            "0e1",
            "1e5",
            "1E+2",
            "1.5e-3",
            "1.",
            "1e",
            "1x",
            "1-",
            "-",
            "--1",
            "9999999999999999999",
            "99999999999999999999",
            "12345678901234567890123",
            "1234567890123456789.5",
            "12345678901234567890e1",
            "00000000000000000000001",
        ];
        for text in limits.into_iter().flat_map(near).chain(others.map(str::to_owned)) {
            assert_eq!(parse(&text).ok(), number(&text), "{text}");
        }
        assert_eq!(parse("-0").unwrap(), 0);
    }

    #[test]
    fn small_numbers_are_written_with_all_their_digits() {
        for number in -300..300_i64 {
            let mut writer = JsonWriter::with_capacity(0);
            writer.integer(number);
            assert_eq!(writer.finish(), number.to_string().as_bytes());
        }
    }

    #[test]
    fn what_is_wrong_with_a_number_is_said_where_it_is() {
        for (text, position) in
            [("01", 1), ("-01", 2), ("1.", 2), ("1e+", 3), ("-x", 1), ("12x", 2)]
        {
            let mut reader = JsonReader::new(text);
            assert!(reader.number().and_then(|_| reader.end()).is_err());
            assert_eq!(reader.position(), position, "{text}");
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
            "[\"\\\\\u{0}-\u{20}a]*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".*", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_number_is_read_as_serde_json_reads_it(
            text in "-?[0-9]{1,21}(\\.[0-9]{0,3})?([eE][+-]?[0-9]{0,2})?"
        ) {
            prop_assume!(text != "-0");
            prop_assert_eq!(parse(&text).ok(), number(&text));
        }

        #[test]
        fn values_are_read_and_written_as_serde_json_does(value in values()) {
            let compact = value.to_string();
            prop_assert_eq!(&parse(&compact).unwrap(), &value);
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(&parse(&pretty).unwrap(), &value);
            prop_assert_eq!(print(&value), compact);
        }
    }
}
