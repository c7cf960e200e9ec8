//! The publishes whose outcome is not known, and who waits for each.
//!
//! They come in the order of their tokens, and go in nearly the same: so this is a queue, in which who goes
//! before others leaves a gap, and not a tree, of which every publish would build and drop a node.
//!
//! Most are decided at once: the newest is apart, and joins the others when it has to wait.
//!
//! Invariant: tokens ascend, neither end is a gap, and of what is between no more than half are gaps.

use std::collections::VecDeque;

use channel::PublishToken;

use crate::count::Volume;
use crate::event::ChannelKey;
use crate::node::Publisher;

#[derive(Debug, Default)]
pub(crate) struct Publishers {
    newest: Option<(PublishToken, Waiting)>,
    places: VecDeque<Place>,
    gaps: usize,
}

#[derive(Debug)]
struct Place {
    token: PublishToken,
    waiting: Option<Waiting>,
}

#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) host: ChannelKey,
    pub(crate) publisher: Publisher,
    pub(crate) volume: Volume,
}

impl Publishers {
    pub(crate) fn is_empty(&self) -> bool {
        self.newest.is_none() && self.places.is_empty()
    }

    pub(crate) fn insert(&mut self, token: PublishToken, waiting: Waiting) {
        if let Some((token, waiting)) = self.newest.replace((token, waiting)) {
            self.line_up(token, waiting);
        }
    }

    pub(crate) fn remove(&mut self, token: PublishToken) -> Option<Waiting> {
        let newest = self.newest.take_if(|(newest, _)| *newest == token);
        newest.map_or_else(|| self.leave(token), |(_, waiting)| Some(waiting))
    }

    fn line_up(&mut self, token: PublishToken, waiting: Waiting) {
        let place = Place { token, waiting: Some(waiting) };
        if self.places.back().is_none_or(|last| last.token < token) {
            self.places.push_back(place);
        } else {
            // What one publish causes may be worked off before the next, and has a later token.
            self.places.insert(self.places.partition_point(|known| known.token < token), place);
        }
    }

    fn leave(&mut self, token: PublishToken) -> Option<Waiting> {
        if let Some(oldest) = self.places.pop_front_if(|oldest| oldest.token == token) {
            self.close_gaps();
            return oldest.waiting;
        }
        let at = self.places.binary_search_by_key(&token, |place| place.token).ok()?;
        let waiting = self.places.get_mut(at)?.waiting.take()?;
        self.gaps += 1;
        self.close_gaps();
        Some(waiting)
    }

    /// Takes out those whose channel is not there any more.
    pub(crate) fn take_homeless(
        &mut self,
        is_there: impl Fn(ChannelKey) -> bool,
    ) -> Vec<(PublishToken, Waiting)> {
        if let Some((token, waiting)) = self.newest.take() {
            self.line_up(token, waiting);
        }
        let homeless = |place: &mut Place| {
            let waiting = place.waiting.take_if(|waiting| !is_there(waiting.host))?;
            Some((place.token, waiting))
        };
        let taken: Vec<_> = self.places.iter_mut().filter_map(homeless).collect();
        self.gaps += taken.len();
        self.close_gaps();
        taken
    }

    fn close_gaps(&mut self) {
        if self.gaps == 0 {
            return;
        }
        while self.places.pop_front_if(|place| place.waiting.is_none()).is_some() {
            self.gaps -= 1;
        }
        while self.places.pop_back_if(|place| place.waiting.is_none()).is_some() {
            self.gaps -= 1;
        }
        if self.gaps > self.places.len() / 2 {
            self.places.retain(|place| place.waiting.is_some());
            self.gaps = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use types::Body;

    use super::*;
    use crate::node::SessionKey;

    fn waiting(host: u64) -> Waiting {
        Waiting {
            host: ChannelKey(host),
            publisher: Publisher::Session(SessionKey(1)),
            volume: Volume::of(&Body::Messages(Vec::new())),
        }
    }

    fn is_new(publishers: &Publishers, token: u64) -> bool {
        let newest = publishers.newest.iter().map(|(token, _)| *token);
        publishers
            .places
            .iter()
            .map(|place| place.token)
            .chain(newest)
            .all(|known| known.0 != token)
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert { token: u64, host: u64 },
        Remove(u64),
        Close(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0..40_u64, 0..3_u64).prop_map(|(token, host)| Step::Insert { token, host }),
            4 => (0..40_u64).prop_map(Step::Remove),
            1 => (0..3_u64).prop_map(Step::Close),
        ];
        prop::collection::vec(step, 0..120)
    }

    proptest! {
        #[test]
        fn it_is_a_map_with_few_gaps(steps in steps()) {
            let (mut publishers, mut map) = (Publishers::default(), BTreeMap::new());
            for step in steps {
                match step {
                    // No token is ever used twice.
                    Step::Insert { token, host } if is_new(&publishers, token) => {
                        publishers.insert(PublishToken(token), waiting(host));
                        map.insert(token, host);
                    }
                    Step::Insert { .. } => {}
                    Step::Remove(token) => {
                        let removed = publishers.remove(PublishToken(token)).map(|w| w.host.0);
                        prop_assert_eq!(removed, map.remove(&token));
                    }
                    Step::Close(host) => {
                        let gone = publishers.take_homeless(|key| key.0 != host);
                        let gone: Vec<_> = gone.iter().map(|(token, _)| token.0).collect();
                        let known: Vec<_> = map.extract_if(.., |_, of| *of == host).collect();
                        prop_assert_eq!(gone, known.iter().map(|(token, _)| *token).collect::<Vec<_>>());
                    }
                }
                prop_assert_eq!(publishers.is_empty(), map.is_empty());
                prop_assert!(publishers.places.len() <= 2 * map.len());
                prop_assert!(publishers.places.iter().is_sorted_by_key(|place| place.token));
            }
        }
    }
}
