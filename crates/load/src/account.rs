//! Exact accounting: which messages of which stream each subscriber has heard, how often and in which
//! order.
//!
//! A *stream* is what one publisher sends on one channel, numbered from 0 without gaps; every subscriber
//! of the channel is to hear all of it, in order and once. What was refused need not be heard.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Gaps that are remembered, so that a late message is told from a repeated one. What is missing beyond
/// them counts as lost at once, and as repeated when it comes after all.
const GAPS_MAX: usize = 1 << 20;

/// What a run comes to. `expected` is `delivered` and `lost` together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub expected: u64,
    pub delivered: u64,
    pub lost: u64,
    /// Heard again, or by somebody who was not to hear it.
    pub duplicated: u64,
    /// Heard after a later message of the same stream.
    pub reordered: u64,
    /// Sent, but refused by the server: not expected.
    pub refused: u64,
}

impl Tally {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            expected: self.expected + other.expected,
            delivered: self.delivered + other.delivered,
            lost: self.lost + other.lost,
            duplicated: self.duplicated + other.duplicated,
            reordered: self.reordered + other.reordered,
            refused: self.refused + other.refused,
        }
    }

    pub fn is_exact(&self) -> bool {
        (self.lost, self.duplicated, self.reordered) == (0, 0, 0)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Account {
    streams: Vec<Stream>,
    /// The streams of each channel, by place.
    channels: BTreeMap<u32, Vec<usize>>,
    subscribers: Vec<Subscriber>,
    /// For each subscriber and stream of its channel, the sequence after the highest one heard.
    next: Vec<u64>,
    /// What was passed over, by index in `next`.
    gaps: BTreeMap<usize, Vec<Range<u64>>>,
    gap_count: usize,
    tally: Tally,
}

#[derive(Debug)]
struct Stream {
    channel: u32,
    /// Among the streams of its channel.
    place: usize,
    sent: u64,
    refused: BTreeSet<u64>,
}

#[derive(Debug)]
struct Subscriber {
    channel: u32,
    /// Index in `next` of its channel's first stream.
    first: usize,
}

impl Account {
    /// For streams and subscribers on these channels.
    pub(crate) fn new(streams: &[u32], subscribers: &[u32]) -> Self {
        let mut account = Self::default();
        for &channel in streams {
            let others = account.channels.entry(channel).or_default();
            let place = others.len();
            others.push(account.streams.len());
            account.streams.push(Stream { channel, place, sent: 0, refused: BTreeSet::new() });
        }
        for &channel in subscribers {
            let first = account.next.len();
            account.subscribers.push(Subscriber { channel, first });
            let count = account.channels.get(&channel).map_or(0, Vec::len);
            account.next.resize(first + count, 0);
        }
        account
    }

    /// The sequence of the stream's next message, which is now sent.
    pub(crate) fn send(&mut self, stream: u32) -> Option<u64> {
        let stream = self.streams.get_mut(stream as usize)?;
        let sequence = stream.sent;
        stream.sent += 1;
        Some(sequence)
    }

    /// Whether it is heard for the first time by somebody who was to hear it.
    pub(crate) fn hear(&mut self, subscriber: usize, stream: u32, sequence: u64) -> bool {
        let stream = self.streams.get(stream as usize);
        let heard =
            stream.zip(self.subscribers.get(subscriber)).and_then(|(stream, subscriber)| {
                let awaited = stream.channel == subscriber.channel && sequence < stream.sent;
                awaited.then_some(subscriber.first + stream.place)
            });
        let Some((index, next)) = heard.and_then(|index| Some((index, self.next.get_mut(index)?)))
        else {
            self.tally.duplicated += 1;
            return false;
        };
        let expected = *next;
        *next = expected.max(sequence + 1);
        if sequence > expected {
            self.miss(index, expected..sequence);
        } else if sequence < expected && !self.find(index, sequence) {
            self.tally.duplicated += 1;
            return false;
        }
        self.tally.delivered += 1;
        true
    }

    /// The server has refused it.
    pub(crate) fn refuse(&mut self, stream: u32, sequence: u64) {
        if let Some(stream) = self.streams.get_mut(stream as usize)
            && stream.refused.insert(sequence)
        {
            self.tally.refused += 1;
        }
    }

    /// As if nothing more came.
    pub(crate) fn tally(&self) -> Tally {
        let mut lost = self.tally.lost;
        for subscriber in &self.subscribers {
            let streams = self.channels.get(&subscriber.channel).into_iter().flatten();
            for stream in streams.filter_map(|stream| self.streams.get(*stream)) {
                let index = subscriber.first + stream.place;
                let next = self.next.get(index).copied().unwrap_or_default();
                let tail = next..stream.sent;
                let gaps = self.gaps.get(&index).into_iter().flatten();
                for missing in gaps.chain([&tail]) {
                    let refused = stream.refused.range(missing.clone()).count() as u64;
                    lost += (missing.end - missing.start) - refused;
                }
            }
        }
        Tally { expected: self.tally.delivered + lost, lost, ..self.tally }
    }

    fn miss(&mut self, index: usize, missing: Range<u64>) {
        if self.gap_count == GAPS_MAX {
            self.tally.lost += missing.end - missing.start;
            return;
        }
        self.gap_count += 1;
        self.gaps.entry(index).or_default().push(missing);
    }

    /// Takes a late message out of the gap that it left.
    fn find(&mut self, index: usize, sequence: u64) -> bool {
        let Some(gaps) = self.gaps.get_mut(&index) else { return false };
        let Some(at) = gaps.iter().position(|gap| gap.contains(&sequence)) else { return false };
        let gap = gaps.swap_remove(at);
        let rest = [gap.start..sequence, sequence + 1..gap.end];
        let before = gaps.len();
        gaps.extend(rest.into_iter().filter(|gap| !gap.is_empty()));
        self.gap_count = self.gap_count + gaps.len() - before - 1;
        self.tally.reordered += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Two channels: two streams and two subscribers on the first, one of each on the other.
    const STREAMS: [u32; 3] = [0, 0, 1];
    const SUBSCRIBERS: [u32; 3] = [0, 0, 1];

    /// Every delivery of a run in which each stream sends `count` messages, publishers alternating.
    fn deliveries(count: u64) -> (Account, Vec<(usize, u32, u64)>) {
        let mut account = Account::new(&STREAMS, &SUBSCRIBERS);
        let mut deliveries = Vec::new();
        for _ in 0..count {
            for (stream, channel) in (0..).zip(STREAMS) {
                let sequence = account.send(stream).unwrap();
                let hearers = (0..).zip(SUBSCRIBERS).filter(|(_, of)| *of == channel);
                deliveries.extend(hearers.map(|(subscriber, _)| (subscriber, stream, sequence)));
            }
        }
        (account, deliveries)
    }

    fn tally(mut account: Account, deliveries: &[(usize, u32, u64)]) -> Tally {
        for &(subscriber, stream, sequence) in deliveries {
            account.hear(subscriber, stream, sequence);
        }
        account.tally()
    }

    fn exact(deliveries: usize) -> Tally {
        let count = deliveries as u64;
        Tally { expected: count, delivered: count, ..Tally::default() }
    }

    proptest! {
        #[test]
        fn a_run_without_faults_is_exact_however_streams_interleave(count in 0u64..30, turn in 0usize..100) {
            let (account, mut all) = deliveries(count);
            let places = all.len().max(1);
            all.rotate_left(turn % places);
            all.sort_by_key(|(subscriber, stream, _)| (subscriber * turn + *stream as usize) % 5);
            all.sort_by_key(|(subscriber, stream, sequence)| (*sequence, (subscriber + turn) % 3, *stream));
            prop_assert_eq!(tally(account, &all), exact(all.len()));
        }

        #[test]
        fn every_lost_message_is_found(count in 1u64..30, picks in proptest::collection::vec(any::<prop::sample::Index>(), 1..5)) {
            let (account, all) = deliveries(count);
            let gone: BTreeSet<usize> = picks.iter().map(|pick| pick.index(all.len())).collect();
            let heard: Vec<_> = all.iter().enumerate().filter(|(at, _)| !gone.contains(at)).map(|(_, heard)| *heard).collect();
            let lost = gone.len() as u64;
            let found = tally(account, &heard);
            let expected = Tally { lost, delivered: heard.len() as u64, ..exact(all.len()) };
            prop_assert_eq!(found, expected);
            prop_assert!(!found.is_exact());
        }

        #[test]
        fn every_repeated_message_is_found(count in 1u64..30, which in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()) {
            let (account, mut all) = deliveries(count);
            let clean = exact(all.len());
            let at = which.index(all.len());
            let after = at + 1 + to.index(all.len() - at);
            all.insert(after, all[at]);
            prop_assert_eq!(tally(account, &all), Tally { duplicated: 1, ..clean });
        }

        #[test]
        fn every_late_message_is_found(count in 2u64..30, which in any::<prop::sample::Index>()) {
            let (account, mut all) = deliveries(count);
            let clean = exact(all.len());
            let (subscriber, stream, sequence) = all[which.index(all.len() - 5)];
            let early = all.iter().position(|heard| *heard == (subscriber, stream, sequence)).unwrap();
            let late = all.iter().position(|heard| *heard == (subscriber, stream, sequence + 1)).unwrap();
            all.swap(early, late);
            prop_assert_eq!(tally(account, &all), Tally { reordered: 1, ..clean });
        }
    }

    #[test]
    fn a_message_for_somebody_else_counts_as_repeated() {
        let (mut account, _) = deliveries(1);
        assert!(!account.hear(2, 0, 0), "another channel");
        assert!(!account.hear(0, 0, 1), "never sent");
        assert!(!account.hear(0, 9, 0), "no such stream");
        assert!(!account.hear(9, 0, 0), "no such subscriber");
        assert_eq!(account.tally().duplicated, 4);
    }

    #[test]
    fn what_was_refused_is_not_missed() {
        let (mut account, all) = deliveries(3);
        for sequence in [0, 1, 1, 2] {
            account.refuse(2, sequence);
        }
        let heard: Vec<_> = all.iter().filter(|(_, stream, _)| *stream != 2).copied().collect();
        let expected = Tally { refused: 3, ..exact(heard.len()) };
        assert_eq!(tally(account, &heard), expected);
    }

    #[test]
    fn the_last_message_of_a_stream_is_missed_too() {
        let (account, all) = deliveries(1);
        assert_eq!(tally(account, &all[1..]).lost, 1);
    }
}
