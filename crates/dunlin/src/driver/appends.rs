//! Appends on their way through the store's writer.
//!
//! A channel needs the outcomes of its appends in the order in which it asked for them. The writer
//! keeps that order for what it takes; what it hands back, because too much is waiting, has failed at
//! once, but that may be told only behind the outcomes of everything taken before.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use node::{ChannelKey, Stored};
use store::{Write, WriteRequest, Writer};

use super::{Inbox, Inside};

/// Asks for the outcome of one append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Append {
    pub(super) channel: ChannelKey,
    pub(super) position: u64,
    pub(super) since: Instant,
}

pub(super) struct Appends {
    writer: Arc<Writer>,
    outcomes: Inbox,
    order: Order,
}

/// Which outcome may be told when.
#[derive(Debug, Default)]
struct Order {
    taken: u64,
    completed: u64,
    /// With how many must be completed before. Bounded by what channels let be pending.
    refused: VecDeque<(u64, Append)>,
}

impl Append {
    pub(super) fn outcome(self, durable: Durable) -> Stored {
        let Self { channel, position, since: _ } = self;
        Stored { channel, position, durable: durable == Durable::Yes }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durable {
    Yes,
    No,
}

impl Appends {
    pub(super) fn new(writer: Arc<Writer>, outcomes: Inbox) -> Self {
        Self { writer, outcomes, order: Order::default() }
    }

    /// Starts an append. What becomes of it arrives as [`Inside`].
    pub(super) fn start(&mut self, append: Append, write: Write) {
        let outcomes = self.outcomes.clone();
        let done = Box::new(move |durable| {
            let durable = if durable { Durable::Yes } else { Durable::No };
            outcomes.put(Inside::Appended { append, durable });
        });
        if self.writer.try_write(WriteRequest { write, done }).is_ok() {
            self.order.take();
        } else if let Some(refused) = self.order.refuse(append) {
            self.outcomes.put(Inside::Refused(refused));
        }
    }

    /// One that was taken is completed. Returns those that may be told to have failed now.
    pub(super) fn complete(&mut self) -> impl Iterator<Item = Append> {
        self.order.complete()
    }
}

impl Order {
    fn take(&mut self) {
        self.taken += 1;
    }

    fn refuse(&mut self, append: Append) -> Option<Append> {
        if self.completed == self.taken {
            return Some(append);
        }
        self.refused.push_back((self.taken, append));
        None
    }

    fn complete(&mut self) -> impl Iterator<Item = Append> {
        self.completed += 1;
        let completed = self.completed;
        std::iter::from_fn(move || {
            self.refused.pop_front_if(|(before, _)| *before <= completed).map(|(_, append)| append)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(position: u64) -> Append {
        Append { channel: ChannelKey(1), position, since: Instant::now() }
    }

    #[test]
    fn a_refusal_is_told_behind_everything_that_was_taken_before() {
        let mut order = Order::default();
        order.take();
        order.take();
        let refused = append(3);
        assert_eq!(order.refuse(refused), None);
        order.take();
        assert_eq!(order.complete().count(), 0);
        assert_eq!(order.complete().collect::<Vec<_>>(), [refused]);
        assert_eq!(order.complete().count(), 0);
    }

    #[test]
    fn a_refusal_with_nothing_on_its_way_is_told_at_once() {
        let mut order = Order::default();
        order.take();
        assert_eq!(order.complete().count(), 0);
        let refused = append(2);
        assert_eq!(order.refuse(refused), Some(refused));
    }

    #[test]
    fn refusals_keep_their_order() {
        let mut order = Order::default();
        order.take();
        let refused = [append(2), append(3)];
        assert!(refused.iter().all(|append| order.refuse(*append).is_none()));
        assert_eq!(order.complete().collect::<Vec<_>>(), refused);
    }
}
