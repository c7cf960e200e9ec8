//! Publishes of one connection by msgSerial, packed: mostly one came right after the other, and all that there
//! is to keep of it is what it said and, in a byte, that it did.

use std::iter;

use packed::{Decoder, Unreadable, put_varint};

use crate::content::Content;

/// Bytes of the steps of a page at most.
const PAGE: usize = 1024;

/// Bytes of a step at most: a byte, three varints and what was said.
const LONGEST_STEP: usize = 1 + 5 + 5 + 10 + size_of::<u64>();

/// It is behind by one more than the one before.
const NEXT: u8 = 1;

/// Its serial is the one after the one before.
const NEXT_SERIAL: u8 = 2;

/// It has as many items as the one before.
const AS_MANY: u8 = 4;

/// A publish that all of became an entry of a certain series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Brief {
    pub(crate) content: Option<Content>,
    pub(crate) ms_and_counter: u64,
    /// How far it is behind a certain msgSerial.
    pub(crate) behind: u32,
    pub(crate) items: u32,
}

/// Each is further behind than the one before.
#[derive(Debug, Default)]
pub(crate) struct Briefs {
    pages: Vec<Page>,
    last: Brief,
}

#[derive(Debug)]
struct Page {
    first: Brief,
    /// How each of the others differs from the one before.
    steps: Vec<u8>,
}

impl Briefs {
    pub(crate) fn find(&self, behind: u32) -> Option<Brief> {
        let page = self.pages.get(self.page_of(behind)?)?;
        page.briefs().find(|brief| brief.behind >= behind).filter(|brief| brief.behind == behind)
    }

    pub(crate) fn add(&mut self, brief: Brief) {
        match self.pages.last_mut() {
            Some(_) if brief.behind < self.last.behind => return self.insert(brief),
            Some(page) if page.steps.len() + LONGEST_STEP <= PAGE => {
                put_step(&mut page.steps, &self.last, &brief);
            }
            Some(_) => self.pages.push(Page { first: brief, steps: Vec::with_capacity(PAGE) }),
            None => {
                // Most connections publish little.
                self.pages.reserve_exact(1);
                self.pages.push(Page { first: brief, steps: Vec::new() });
            }
        }
        self.last = brief;
    }

    /// Of one that is not the last.
    fn insert(&mut self, brief: Brief) {
        let at = self.page_of(brief.behind).unwrap_or(0);
        let mut briefs: Vec<_> = self.pages.get(at).into_iter().flat_map(Page::briefs).collect();
        briefs.insert(briefs.partition_point(|known| known.behind < brief.behind), brief);
        let whole = Page::of(&briefs);
        let pages = if whole.as_ref().is_some_and(|page| page.steps.len() <= PAGE) {
            [whole, None]
        } else {
            let (one, other) = briefs.split_at(briefs.len() / 2);
            [Page::of(one), Page::of(other)]
        };
        self.pages.splice(at..=at, pages.into_iter().flatten());
    }

    /// Where one that is so far behind is, if it is known.
    fn page_of(&self, behind: u32) -> Option<usize> {
        self.pages.partition_point(|page| page.first.behind <= behind).checked_sub(1)
    }
}

impl Page {
    fn of(briefs: &[Brief]) -> Option<Self> {
        let mut steps = Vec::new();
        for (before, brief) in briefs.iter().zip(briefs.iter().skip(1)) {
            put_step(&mut steps, before, brief);
        }
        Some(Self { first: *briefs.first()?, steps })
    }

    fn briefs(&self) -> impl Iterator<Item = Brief> {
        let mut steps = Decoder::new(&self.steps, "a page of publishes");
        iter::successors(Some(self.first), move |before| take_step(&mut steps, before).ok())
    }
}

fn put_step(steps: &mut Vec<u8>, before: &Brief, brief: &Brief) {
    let further = brief.behind.wrapping_sub(before.behind);
    let later = brief.ms_and_counter.wrapping_sub(before.ms_and_counter);
    let flag = |flag, is_so| if is_so { flag } else { 0 };
    let flags = flag(NEXT, further == 1)
        | flag(NEXT_SERIAL, later == 1)
        | flag(AS_MANY, brief.items == before.items);
    steps.push(flags);
    if flags & NEXT == 0 {
        put_varint(steps, further.into());
    }
    if flags & NEXT_SERIAL == 0 {
        put_varint(steps, later);
    }
    if flags & AS_MANY == 0 {
        put_varint(steps, brief.items.into());
    }
    steps.extend_from_slice(&brief.content.map_or(0, Content::bits).to_le_bytes());
}

fn take_step(steps: &mut Decoder<'_>, before: &Brief) -> Result<Brief, Unreadable> {
    let flags = steps.byte()?;
    let mut unless = |flag, usual| if flags & flag == 0 { steps.varint() } else { Ok(usual) };
    let (further, later) = (unless(NEXT, 1)?, unless(NEXT_SERIAL, 1)?);
    let items = unless(AS_MANY, before.items.into())?;
    let content = Content::from_bits(u64::from_le_bytes(steps.array()?));
    let small = |value: u64| u32::try_from(value).map_err(|_too_large| steps.damaged());
    Ok(Brief {
        content,
        ms_and_counter: before.ms_and_counter.wrapping_add(later),
        behind: before.behind.wrapping_add(small(further)?),
        items: small(items)?,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn brief(behind: u32, ms: u64, counter: u16) -> Brief {
        let content = Content::from_bits(u64::from(behind).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Brief { content, ms_and_counter: ms << 16 | u64::from(counter), behind, items: 1 }
    }

    fn bytes(briefs: &Briefs) -> usize {
        let pages = briefs.pages.iter();
        pages.map(|page| size_of::<Page>() + page.steps.capacity()).sum()
    }

    #[test]
    fn what_came_one_after_the_other_takes_10_bytes_each() {
        let mut briefs = Briefs::default();
        (0..50_000).for_each(|n| briefs.add(brief(n, u64::from(n) / 500, (n % 500) as u16)));
        assert!(bytes(&briefs) <= 10 * 50_000, "{}", bytes(&briefs));
    }

    #[test]
    fn what_came_now_and_then_takes_16_bytes_each() {
        let mut briefs = Briefs::default();
        (0..50_000).for_each(|n| briefs.add(brief(7 * n, 40 * u64::from(n), 0)));
        assert!(bytes(&briefs) <= 16 * 50_000, "{}", bytes(&briefs));
    }

    #[test]
    fn one_takes_the_room_of_one() {
        let mut briefs = Briefs::default();
        briefs.add(brief(0, 1, 2));
        assert_eq!((briefs.pages.capacity(), briefs.pages[0].steps.capacity()), (1, 0));
    }

    fn any_brief() -> impl Strategy<Value = Brief> {
        let behind = prop_oneof![8 => 0..3_000_u32, 1 => u32::MAX - 9..];
        let serial = prop_oneof![8 => 0..9_u64, 1 => any::<u64>()];
        let items = prop_oneof![8 => Just(1), 1 => any::<u32>()];
        (behind, serial, items, any::<u64>()).prop_map(|(behind, ms_and_counter, items, said)| {
            Brief { content: Content::from_bits(said), ms_and_counter, behind, items }
        })
    }

    proptest! {
        #[test]
        fn each_is_found_as_it_was(
            before in 0..2_000_u32,
            all in prop::collection::vec(any_brief(), 1..900),
        ) {
            let (mut briefs, mut known) = (Briefs::default(), BTreeMap::new());
            let in_order = (0..before).map(|n| brief(n, 1, 0));
            for brief in in_order.chain(all) {
                // Nobody adds what is known.
                known.entry(brief.behind).or_insert_with(|| {
                    briefs.add(brief);
                    brief
                });
            }
            for behind in known.keys().flat_map(|n| [n.saturating_sub(1), *n, n.saturating_add(1)]) {
                prop_assert_eq!(briefs.find(behind), known.get(&behind).copied());
            }
            prop_assert!(briefs.pages.iter().all(|page| page.steps.len() <= PAGE));
        }
    }
}
