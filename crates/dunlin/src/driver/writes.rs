//! What is to be written, on its way through the store's writer.
//!
//! What a turn wants written is handed over at its end, together. A channel needs the outcomes of its
//! appends in the order in which it asked for them. The writer keeps that order for what it takes; what it
//! hands back, because too much is waiting, has failed at once, but that may be told only behind the outcomes
//! of everything taken before.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use node::{ChannelKey, Stored, Ticket};
use store::{Durable, Write, WriteRequest, Writer};

/// Whom the outcome of a write is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    Channel(Appends),
    /// Who waits for records that changed.
    Records(Ticket),
    Nobody,
}

/// Asks for the outcome of appends to one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Appends {
    pub(super) channel: ChannelKey,
    pub(super) positions: Vec<u64>,
    pub(super) since: Instant,
}

pub(super) struct Writes {
    writer: Arc<Writer<Asker>>,
    /// Not handed over yet.
    gathered: Vec<WriteRequest<Asker>>,
    order: Order,
}

/// Which outcome may be told when.
#[derive(Debug, Default)]
struct Order {
    taken: u64,
    completed: u64,
    /// With how many must be completed before. Bounded by what channels let be pending.
    refused: VecDeque<(u64, Asker)>,
}

impl Appends {
    pub(super) fn outcomes(self, durable: Durable) -> impl Iterator<Item = Stored> {
        let Self { channel, positions, since: _ } = self;
        let durable = durable == Durable::Yes;
        positions.into_iter().map(move |position| Stored { channel, position, durable })
    }
}

impl Writes {
    pub(super) fn new(writer: Arc<Writer<Asker>>) -> Self {
        Self { writer, gathered: Vec::new(), order: Order::default() }
    }

    pub(super) fn add(&mut self, write: Write, asker: Asker) {
        self.gathered.push(WriteRequest { write, token: asker });
    }

    /// Hands over what was gathered. Returns whether something has failed that may be told at once.
    pub(super) fn hand_over(&mut self) -> bool {
        if self.gathered.is_empty() {
            return false;
        }
        let asked = self.gathered.len();
        let refused = self.writer.try_write(std::mem::take(&mut self.gathered));
        self.order.take(asked - refused.len());
        refused.into_iter().for_each(|request| self.order.refuse(request.token));
        self.order.may_refuse()
    }

    /// One that was taken is completed.
    pub(super) fn complete(&mut self) {
        self.order.complete();
    }

    /// The next that may be told to have failed.
    pub(super) fn next_refused(&mut self) -> Option<Asker> {
        self.order.next_refused()
    }
}

impl Order {
    fn take(&mut self, count: usize) {
        self.taken += count as u64;
    }

    fn refuse(&mut self, asker: Asker) {
        self.refused.push_back((self.taken, asker));
    }

    fn complete(&mut self) {
        self.completed += 1;
    }

    fn may_refuse(&self) -> bool {
        self.refused.front().is_some_and(|(before, _)| *before <= self.completed)
    }

    fn next_refused(&mut self) -> Option<Asker> {
        self.refused.pop_front_if(|(before, _)| *before <= self.completed).map(|(_, asker)| asker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(position: u64) -> Asker {
        let positions = vec![position];
        Asker::Channel(Appends { channel: ChannelKey(1), positions, since: Instant::now() })
    }

    #[test]
    fn a_refusal_is_told_behind_everything_that_was_taken_before() {
        let mut order = Order::default();
        order.take(2);
        let refused = append(3);
        order.refuse(refused.clone());
        assert!(!order.may_refuse());
        order.take(1);
        order.complete();
        assert_eq!(order.next_refused(), None);
        order.complete();
        assert_eq!(order.next_refused(), Some(refused));
        order.complete();
        assert_eq!(order.next_refused(), None);
    }

    #[test]
    fn a_refusal_with_nothing_on_its_way_is_told_at_once() {
        let mut order = Order::default();
        order.take(1);
        order.complete();
        let refused = append(2);
        order.refuse(refused.clone());
        assert!(order.may_refuse());
        assert_eq!(order.next_refused(), Some(refused));
        assert!(!order.may_refuse());
    }

    #[test]
    fn refusals_keep_their_order() {
        let mut order = Order::default();
        order.take(1);
        let refused = [append(2), append(3)];
        refused.iter().for_each(|append| order.refuse(append.clone()));
        order.complete();
        assert_eq!([order.next_refused(), order.next_refused()], refused.map(Some));
    }
}
