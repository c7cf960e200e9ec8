//! What one connection published, by msgSerial. Mostly that is one entry after the other of one series, of which
//! little has to be said; whatever is special is kept aside.

use std::collections::BTreeMap;

use types::{Accepted, Serial, SeriesId};

use crate::briefs::{Brief, Briefs};
use crate::content::Content;

/// What became of a publish, and what it said if that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) msg_serial: i64,
    pub(crate) content: Option<Content>,
    pub(crate) accepted: Accepted,
}

#[derive(Debug)]
pub(crate) struct Run {
    /// The highest msgSerial here and in the runs before.
    latest: Option<i64>,
    /// The msgSerial of the publish that came first.
    first: i64,
    /// Of the first entry.
    series: Option<SeriesId>,
    /// Those that became an entry of the series, by how far they are behind the first.
    usual: Briefs,
    special: BTreeMap<i64, Sent>,
}

impl Run {
    /// Of a connection whose highest msgSerial up to now was `latest`.
    pub(crate) fn new(latest: Option<i64>, sent: Sent) -> Self {
        let (first, usual) = (sent.msg_serial, Briefs::default());
        let mut run = Self { latest, first, series: None, usual, special: BTreeMap::new() };
        run.add(sent);
        run
    }

    pub(crate) fn latest(&self) -> Option<i64> {
        self.latest
    }

    pub(crate) fn find(&self, msg_serial: i64) -> Option<Sent> {
        self.find_usual(msg_serial).or_else(|| self.special.get(&msg_serial).copied())
    }

    fn find_usual(&self, msg_serial: i64) -> Option<Sent> {
        let brief = self.usual.find(self.behind(msg_serial)?)?;
        Some(brief.expand(msg_serial, self.series?))
    }

    pub(crate) fn add(&mut self, sent: Sent) {
        self.latest = self.latest.max(Some(sent.msg_serial));
        self.series = self.series.or(sent.accepted.serial.map(|serial| serial.series));
        match self.brief(&sent) {
            Some(brief) => self.usual.add(brief),
            None => {
                self.special.insert(sent.msg_serial, sent);
            }
        }
    }

    /// None if it cannot be said so briefly.
    fn brief(&self, sent: &Sent) -> Option<Brief> {
        let Sent { msg_serial, content, accepted: Accepted { serial, items, dropped } } = *sent;
        let Serial { ms, counter, series } = serial?;
        if dropped != 0 || self.series != Some(series) || ms > u64::MAX >> u16::BITS {
            return None;
        }
        Some(Brief {
            content,
            ms_and_counter: ms << u16::BITS | u64::from(counter),
            behind: self.behind(msg_serial)?,
            items: u32::try_from(items).ok()?,
        })
    }

    fn behind(&self, msg_serial: i64) -> Option<u32> {
        u32::try_from(msg_serial.checked_sub(self.first)?).ok()
    }
}

impl Brief {
    fn expand(&self, msg_serial: i64, series: SeriesId) -> Sent {
        let [low, high, ..] = self.ms_and_counter.to_le_bytes();
        let counter = u16::from_le_bytes([low, high]);
        let serial = Serial { ms: self.ms_and_counter >> u16::BITS, counter, series };
        let accepted = Accepted { serial: Some(serial), items: self.items as usize, dropped: 0 };
        Sent { msg_serial, content: self.content, accepted }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use types::{Body, EntryId, Message};

    use super::*;

    #[test]
    fn what_is_usual_is_told_briefly() {
        let sent = |n: u16| Sent { msg_serial: n.into(), ..sent(0, 7, n, b"dunAbCdEfGhI") };
        let mut run = Run::new(None, sent(0));
        (1..1_000).for_each(|n| run.add(sent(n)));
        assert!(run.special.is_empty());
    }

    fn sent(msg_serial: i64, ms: u64, counter: u16, series: &[u8]) -> Sent {
        let serial = SeriesId::from_bytes(series).map(|series| Serial { ms, counter, series });
        let id = EntryId::Connection { connection_id: "c".into(), msg_serial };
        let said = Message { name: Some(counter.to_string().into()), ..Message::default() };
        let content = Content::of(&id, &Body::Messages(vec![said])).filter(|_| counter > 0);
        Sent { msg_serial, content, accepted: Accepted { serial, items: 1, dropped: 0 } }
    }

    fn any_sent() -> impl Strategy<Value = Sent> {
        let msg_serial = prop_oneof![
            8 => 0..50_i64,
            1 => (1 << 32) - 9..(1_i64 << 32) + 9,
            1 => i64::MIN..i64::MIN + 9,
            1 => i64::MAX - 9..i64::MAX,
        ];
        let ms = prop_oneof![8 => 0..9_u64, 1 => (1 << 48) - 1..(1_u64 << 48) + 2];
        let series = prop_oneof![
            8 => Just(b"dunAbCdEfGhI".as_slice()),
            1 => Just(b"dunIhGfEdCbA".as_slice()),
            1 => Just(b"".as_slice()),
        ];
        let items = prop_oneof![
            8 => 0..4_usize,
            1 => Just(u32::MAX as usize),
            1 => Just(u32::MAX as usize + 1),
        ];
        let dropped = prop_oneof![8 => Just(0), 1 => any::<u64>()];
        (msg_serial, ms, any::<u16>(), series, items, dropped).prop_map(
            |(msg_serial, ms, counter, series, items, dropped)| {
                let plain = sent(msg_serial, ms, counter, series);
                Sent { accepted: Accepted { items, dropped, ..plain.accepted }, ..plain }
            },
        )
    }

    proptest! {
        #[test]
        fn all_is_found_as_it_was(all in prop::collection::vec(any_sent(), 1..60)) {
            let mut known = BTreeMap::new();
            let mut run: Option<Run> = None;
            for sent in all {
                // Nobody adds what is known.
                if known.contains_key(&sent.msg_serial) {
                    continue;
                }
                known.insert(sent.msg_serial, sent);
                match &mut run {
                    Some(run) => run.add(sent),
                    None => run = Some(Run::new(Some(3), sent)),
                }
            }
            let run = run.unwrap();
            prop_assert_eq!(run.latest(), known.keys().copied().max().max(Some(3)));
            for near in known.keys().flat_map(|n| [n.saturating_sub(1), *n, n.saturating_add(1)]) {
                prop_assert_eq!(run.find(near), known.get(&near).copied());
            }
        }
    }
}
