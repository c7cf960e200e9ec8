//! Serials: the canonical name of an entry, and the hybrid clock that they come from.
//!
//! On the wire: `<ms:014>-<counter:03>@<series>:<index:03>`, ordered lexicographically (TM2r). An
//! entry's own serial carries no index; its items are named by [`Serial::item`].

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rand::Rng;

use crate::{Timestamp, random_text};

/// Longest text of a serial, with the largest numbers.
const MAX_TEXT: usize = 20 + 1 + 5 + 1 + SeriesId::LENGTH + 1 + 20;

/// Highest counter within one millisecond; the clock moves to the next millisecond beyond it.
const MAX_COUNTER: u16 = 999;

/// Three ASCII characters that name a site in series ids and in `connectionDetails.siteCode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteCode([u8; 3]);

impl SiteCode {
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for SiteCode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(code) if code.iter().all(u8::is_ascii_alphanumeric) => Ok(Self(code)),
            _ => Err("a site code is three ASCII letters or digits"),
        }
    }
}

/// A series: 12 ASCII characters, the site code and nine random ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesId([u8; 12]);

impl SeriesId {
    pub const LENGTH: usize = 12;

    pub fn random(site: SiteCode, rng: &mut impl Rng) -> Self {
        let mut id = [b'0'; Self::LENGTH];
        let text = random_text(rng, Self::LENGTH - site.0.len());
        for (to, from) in id.iter_mut().zip(site.0.iter().chain(text.as_bytes())) {
            *to = *from;
        }
        Self(id)
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let id = <[u8; Self::LENGTH]>::try_from(bytes).ok()?;
        id.iter().all(u8::is_ascii_alphanumeric).then_some(Self(id))
    }

    /// The site whose host writes it.
    pub fn site(&self) -> SiteCode {
        let [first, second, third, ..] = self.0;
        SiteCode([first, second, third])
    }

    pub fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for SeriesId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SeriesId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The serial of an entry. The derived order is the canonical order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial {
    pub ms: u64,
    pub counter: u16,
    pub series: SeriesId,
}

impl Serial {
    /// The serial of the item at `index` of the entry.
    pub fn item(&self, index: usize) -> Arc<str> {
        self.item_text(index).as_str().into()
    }

    pub(crate) fn item_text(&self, index: usize) -> SerialText {
        let mut text = SerialText::of(self);
        text.push(b":");
        text.push_padded::<3>(index as u64);
        text
    }

    /// Parses an entry's serial, with or without an index.
    pub fn parse(text: &str) -> Option<(Self, Option<u32>)> {
        let (ms, rest) = text.split_once('-')?;
        let (counter, rest) = rest.split_once('@')?;
        let (series, index) = match rest.split_once(':') {
            Some((series, index)) => (series, Some(index.parse().ok()?)),
            None => (rest, None),
        };
        let series = SeriesId::from_bytes(series.as_bytes())?;
        Some((Self { ms: ms.parse().ok()?, counter: counter.parse().ok()?, series }, index))
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SerialText::of(self).as_str())
    }
}

/// Text that is put together without an allocation: every delivery and every acknowledgement has a serial.
pub struct SerialText {
    room: [u8; MAX_TEXT],
    len: usize,
}

impl SerialText {
    fn of(serial: &Serial) -> Self {
        let mut text = Self { room: [0; MAX_TEXT], len: 0 };
        text.push_padded::<14>(serial.ms);
        text.push(b"-");
        text.push_padded::<3>(serial.counter.into());
        text.push(b"@");
        text.push(&serial.series.0);
        text
    }

    /// The number with at least `N` digits, of which there are no more than 16.
    #[inline]
    fn push_padded<const N: usize>(&mut self, number: u64) {
        #[expect(clippy::cast_possible_truncation, reason = "no more than 16")]
        if number >= const { 10_u64.pow(N as u32) } {
            return self.push_all(itoa::Buffer::new().format(number).as_bytes());
        }
        let halves = [eight_digits(number / 100_000_000), eight_digits(number % 100_000_000)];
        if let Some(digits) = halves.as_flattened().last_chunk::<N>() {
            self.push(digits);
        }
    }

    #[inline]
    fn push<const N: usize>(&mut self, bytes: &[u8; N]) {
        let free = self.room.get_mut(self.len..).and_then(|free| free.first_chunk_mut());
        if let Some(free) = free {
            *free = *bytes;
            self.len += N;
        }
    }

    fn push_all(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if let Some(free) = self.room.get_mut(self.len..end) {
            free.copy_from_slice(bytes);
            self.len = end;
        }
    }

    /// ASCII without anything that a format would escape.
    pub fn as_bytes(&self) -> &[u8] {
        self.room.get(..self.len).unwrap_or_default()
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

/// The digits of a number below 100,000,000. All of them are found together: the word is divided into
/// halves of four digits each, these into quarters of two, and these into bytes of one.
#[inline]
fn eight_digits(number: u64) -> [u8; 8] {
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x7f_0000_007f;
    let twos = hundreds | ((fours - hundreds * 100) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    let ones = tens | ((twos - tens * 10) << 8);
    (ones | 0x3030_3030_3030_3030).to_le_bytes()
}

/// A hybrid logical clock: strictly increasing, never behind anything that it has seen.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    last: (u64, u16),
}

impl Clock {
    pub fn next(&mut self, now: Timestamp, series: SeriesId) -> Serial {
        self.last = match self.last {
            (ms, _) if now.0 > ms => (now.0, 0),
            (ms, counter) if counter < MAX_COUNTER => (ms, counter + 1),
            (ms, _) => (ms + 1, 0),
        };
        Serial { ms: self.last.0, counter: self.last.1, series }
    }

    pub fn observe(&mut self, serial: &Serial) {
        self.last = self.last.max((serial.ms, serial.counter));
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn series() -> SeriesId {
        SeriesId::random("dun".parse().unwrap(), &mut SmallRng::seed_from_u64(1))
    }

    #[test]
    fn serials_of_one_clock_increase_as_text() {
        let (mut clock, series) = (Clock::default(), series());
        let serials: Vec<Arc<str>> =
            (0..2500).map(|n| clock.next(Timestamp(1_000 + n / 2000), series).item(0)).collect();
        assert!(serials.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn a_clock_is_never_behind_what_it_observed() {
        let (mut clock, series) = (Clock::default(), series());
        let seen = Serial { ms: 5_000, counter: 7, series };
        clock.observe(&seen);
        assert!(clock.next(Timestamp(10), series) > seen);
    }

    #[test]
    fn numbers_have_at_least_their_width_and_all_their_digits() {
        let powers = (0..20).map(|power| 10_u64.pow(power));
        let near = powers.flat_map(|power| [power - 1, power, power + 1, power / 7 * 5]);
        let (mut rng, series) = (SmallRng::seed_from_u64(2), series());
        let random = std::iter::repeat_with(|| rng.random::<u64>() >> rng.random_range(0..64));
        for number in near.chain(random.take(10_000)).chain([u64::MAX]) {
            let serial = Serial { ms: number, counter: (number % 1_500) as u16, series };
            let text = format!("{number:014}-{:03}@{series}", serial.counter);
            assert_eq!(serial.to_string(), text);
            assert_eq!(*serial.item(number as usize), format!("{text}:{number:03}"));
        }
    }

    #[test]
    fn a_serial_round_trips_through_text() {
        let serial = Serial { ms: 1_726_585_978_590, counter: 1, series: series() };
        assert_eq!(Serial::parse(&serial.item(4)), Some((serial, Some(4))));
        assert_eq!(Serial::parse(&serial.to_string()), Some((serial, None)));
        assert_eq!(Serial::parse("nonsense"), None);
    }
}
