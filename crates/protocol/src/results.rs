//! The results of an acknowledgement (`res`). Publishes that are acknowledged together came together, so
//! most of their serials are of one series and one millisecond: of results that differ in nothing but the
//! counter of a serial, the first is written out, and the others are copies of it with other digits.

use types::Accepted;

use crate::write::{Encode, Writer};

/// Counters from here on have more digits than the others.
const COUNTERS: u16 = 1_000;

/// More bytes than a result of one message takes.
const ROOM: usize = 64;

pub(crate) fn write_results<W: Writer>(w: &mut W, results: &[Accepted]) {
    let mut before: Option<&Accepted> = None;
    let mut copy: Option<Copy> = None;
    w.list(results, |w, result| {
        copy = match before.replace(result).filter(|before| is_alike(before, result)) {
            Some(before) => copy.take().or_else(|| Copy::of::<W>(before)),
            None => None,
        };
        match copy.as_mut().and_then(|copy| copy.with_counter_of(result)) {
            Some(encoded) => w.encoded(encoded),
            None => result.write(w),
        }
    });
}

/// Whether both are of one message, and their serials differ in the counter alone.
fn is_alike(one: &Accepted, other: &Accepted) -> bool {
    let (Some(a), Some(b)) = (one.serial, other.serial) else { return false };
    (a.ms, a.series) == (b.ms, b.series)
        && a.counter.max(b.counter) < COUNTERS
        && [one, other].iter().all(|result| result.items == 1 && result.dropped == 0)
}

/// A result as it is written, and where in it the digits of the counter are.
struct Copy {
    encoded: Vec<u8>,
    digits_at: usize,
}

impl Copy {
    fn of<W: Writer>(result: &Accepted) -> Option<Self> {
        let mut w = W::with_capacity(ROOM);
        result.write(&mut w);
        let encoded = w.finish();
        // There is none in what follows in a serial, nor in how a format ends a text or a list.
        let dash = encoded.iter().rposition(|byte| *byte == b'-')?;
        Some(Self { encoded, digits_at: dash + 1 })
    }

    fn with_counter_of(&mut self, result: &Accepted) -> Option<&[u8]> {
        let counter = result.serial?.counter;
        let digits = self.encoded.get_mut(self.digits_at..)?.first_chunk_mut()?;
        *digits = [counter / 100, counter / 10 % 10, counter % 10].map(digit);
        Some(&self.encoded)
    }
}

fn digit(value: u16) -> u8 {
    value.to_le_bytes()[0] + b'0'
}

#[cfg(test)]
mod tests {
    use types::{Serial, SeriesId};

    use super::*;
    use crate::json::JsonWriter;
    use crate::msgpack::MsgPackWriter;

    fn accepted(ms: u64, counter: u16) -> Accepted {
        let series = SeriesId::from_bytes(b"dunAbCdEfGhI").unwrap();
        Accepted { serial: Some(Serial { ms, counter, series }), items: 1, dropped: 0 }
    }

    fn results_are_written_as_if_each_were_alone<W: Writer>() {
        let other = SeriesId::from_bytes(b"dunZzCdEfGhI").unwrap();
        let mut results: Vec<Accepted> = (0..=1_001).map(|counter| accepted(7, counter)).collect();
        results.extend((998..1_002).rev().map(|counter| accepted(u64::MAX, counter)));
        results.extend([accepted(8, 1), accepted(9, 1), accepted(9, 0)]);
        let base = accepted(9, 5);
        results.extend([
            base,
            Accepted { items: 2, ..base },
            Accepted { items: 2, dropped: 1, ..base },
            Accepted { serial: None, ..base },
            Accepted { serial: None, ..base },
            Accepted {
                serial: base.serial.map(|serial| Serial { series: other, ..serial }),
                ..base
            },
            base,
        ]);
        for count in (0..20).chain([results.len()]) {
            let results = &results[results.len() - count..];
            let (mut together, mut alone) = (W::with_capacity(0), W::with_capacity(0));
            write_results(&mut together, results);
            alone.items(results);
            assert!(together.finish() == alone.finish(), "{count}");
        }
    }

    #[test]
    fn results_are_written_in_json_as_if_each_were_alone() {
        results_are_written_as_if_each_were_alone::<JsonWriter>();
    }

    #[test]
    fn results_are_written_in_msgpack_as_if_each_were_alone() {
        results_are_written_as_if_each_were_alone::<MsgPackWriter>();
    }
}
