//! What sessions and channels have asked for and is not worked off: depth first, so that what an effect
//! causes happens before the effect behind it, and no live delivery overtakes the attach that it belongs to.

use push::Delivery;
use types::AppId;

use crate::event::ChannelKey;
use crate::node::SessionKey;

/// An effect of a core that waits to be worked off.
#[derive(Debug)]
pub(crate) enum Work {
    Session(SessionKey, session::Effect),
    Channel(ChannelKey, channel::Effect),
    Push { app: AppId, delivery: Delivery },
}

#[derive(Debug, Default)]
pub(crate) struct Agenda {
    /// The next on top.
    stack: Vec<Work>,
    /// How much of it was there before what is being worked off began to add to it.
    behind: usize,
}

impl Agenda {
    pub(crate) fn is_empty(&self) -> bool {
        self.stack.is_empty()
    }

    pub(crate) fn next(&mut self) -> Option<Work> {
        let next = self.stack.pop()?;
        self.behind = self.stack.len();
        Some(next)
    }

    /// Takes over what was asked for: the first of it first, all of it behind what has been added since
    /// [`Self::next`].
    pub(crate) fn add<T>(&mut self, asked: &mut Vec<T>, work: impl Fn(T) -> Work) {
        let top = self.stack.len();
        while let Some(last) = asked.pop() {
            self.stack.push(work(last));
        }
        if let Some(added) = self.stack.get_mut(self.behind..).filter(|_| top > self.behind) {
            added.rotate_left(top - self.behind);
        }
    }
}

#[cfg(test)]
mod tests {
    use session::TransportId;

    use super::*;

    fn add(agenda: &mut Agenda, numbers: &[u64]) {
        let mut pings: Vec<_> =
            numbers.iter().map(|n| session::Effect::Ping(TransportId(*n))).collect();
        agenda.add(&mut pings, |effect| Work::Session(SessionKey(1), effect));
        assert!(pings.is_empty());
    }

    fn next(agenda: &mut Agenda) -> Option<u64> {
        agenda.next().map(|work| match work {
            Work::Session(_, session::Effect::Ping(TransportId(n))) => n,
            other => panic!("{other:?} was not added"),
        })
    }

    #[test]
    fn what_was_added_first_comes_first_and_what_it_causes_before_the_rest() {
        let mut agenda = Agenda::default();
        add(&mut agenda, &[1, 2]);
        add(&mut agenda, &[]);
        add(&mut agenda, &[3, 4, 5]);
        assert_eq!(next(&mut agenda), Some(1));
        add(&mut agenda, &[11]);
        add(&mut agenda, &[12, 13]);
        assert_eq!(next(&mut agenda), Some(11));
        add(&mut agenda, &[111]);
        let rest: Vec<_> = std::iter::from_fn(|| next(&mut agenda)).collect();
        assert_eq!(rest, [111, 12, 13, 2, 3, 4, 5]);
        add(&mut agenda, &[6]);
        add(&mut agenda, &[7]);
        assert_eq!(
            [next(&mut agenda), next(&mut agenda), next(&mut agenda)],
            [Some(6), Some(7), None]
        );
        assert!(agenda.is_empty());
    }
}
