//! Acknowledgements leave in the order in which publishes arrived: contiguous, none skipped, none
//! repeated (RTN7). Outcomes may arrive in any order.
//!
//! What was refused is refused again if it comes again over another transport, because the refusal was lost:
//! accepted then, it would be behind what the client published after it (I2).

use std::collections::{BTreeMap, VecDeque};

use channel::PublishToken;
use protocol::{Action, ProtocolMessage};
use types::{Accepted, ErrorInfo, error};

/// The protocol version from which ACK carries `res`.
const RES_VERSION: u32 = 5;

/// Refusals that are remembered. Of more, those with the highest msgSerials: a client that has not heard
/// of so many is judged anew by the others.
const MAX_REFUSED: usize = 1_000;

#[derive(Debug)]
enum Outcome {
    Waiting,
    Accepted(Accepted),
    Refused(ErrorInfo),
}

#[derive(Debug)]
struct Publish {
    msg_serial: i64,
    token: PublishToken,
    outcome: Outcome,
}

/// Tokens ascend.
#[derive(Debug, Default)]
pub(crate) struct AckQueue {
    publishes: VecDeque<Publish>,
    /// So many at the front are settled, at least.
    settled: usize,
    /// By msgSerial.
    refused: BTreeMap<i64, ErrorInfo>,
}

impl AckQueue {
    pub(crate) fn len(&self) -> usize {
        self.publishes.len()
    }

    /// The transport is gone, and with it whoever waited.
    pub(crate) fn clear(&mut self) {
        self.settled = 0;
        for publish in std::mem::take(&mut self.publishes) {
            if let Outcome::Refused(error) = publish.outcome {
                self.remember(publish.msg_serial, error);
            }
        }
    }

    /// Why a publish was refused that the client may not have heard of.
    pub(crate) fn refusal(&self, msg_serial: i64) -> Option<&ErrorInfo> {
        self.refused.get(&msg_serial)
    }

    fn remember(&mut self, msg_serial: i64, error: ErrorInfo) {
        // What has timed out may be accepted still.
        if error.code != error::TIMEOUT.code {
            self.refused.insert(msg_serial, error);
        }
        if self.refused.len() > MAX_REFUSED {
            self.refused.pop_first();
        }
    }

    pub(crate) fn wait(&mut self, msg_serial: i64, token: PublishToken) {
        self.publishes.push_back(Publish { msg_serial, token, outcome: Outcome::Waiting });
    }

    pub(crate) fn refuse(&mut self, msg_serial: i64, token: PublishToken, error: ErrorInfo) {
        let outcome = Outcome::Refused(error);
        self.publishes.push_back(Publish { msg_serial, token, outcome });
    }

    /// Records an outcome; a token that is not waited for (any more) is ignored.
    pub(crate) fn settle(&mut self, token: PublishToken, result: Result<Accepted, ErrorInfo>) {
        let Some(at) = self.place_of(token) else { return };
        let waits = |known: &&mut Publish| matches!(known.outcome, Outcome::Waiting);
        let Some(publish) = self.publishes.get_mut(at).filter(waits) else { return };
        publish.outcome = match result {
            Ok(accepted) => Outcome::Accepted(accepted),
            Err(error) => Outcome::Refused(error),
        };
        self.settled += usize::from(at == self.settled);
    }

    /// Mostly it is the first that is not settled, or the newest.
    fn place_of(&self, token: PublishToken) -> Option<usize> {
        let is_at = |at: &usize| self.publishes.get(*at).is_some_and(|known| known.token == token);
        let likely = [self.settled, self.publishes.len().wrapping_sub(1)];
        let search = || self.publishes.binary_search_by_key(&token, |known| known.token).ok();
        likely.into_iter().find(is_at).or_else(search)
    }

    /// The next frame that is due: one ACK for a run of accepted publishes, or one NACK for a run
    /// that was refused for the same reason.
    pub(crate) fn drain(&mut self, version: u32) -> Option<ProtocolMessage> {
        let Publish { msg_serial: first, outcome, .. } = self.publishes.front()?;
        let first = *first;
        let mut frame = match outcome {
            Outcome::Waiting => return None,
            Outcome::Accepted(_) => ProtocolMessage::new(Action::Ack),
            Outcome::Refused(error) => {
                let mut nack = ProtocolMessage::new(Action::Nack);
                nack.error = Some(error.clone());
                nack
            }
        };
        let continues = |(publish, at): &(&Publish, i64)| {
            publish.msg_serial == first.saturating_add(*at) && belongs(&frame, &publish.outcome)
        };
        let count = self.publishes.iter().zip(0..).take_while(continues).count();
        if version >= RES_VERSION && frame.action == Action::Ack {
            frame.res.reserve_exact(count);
        }
        self.settled = self.settled.saturating_sub(count);
        for _ in 0..count {
            let Some(publish) = self.publishes.pop_front() else { break };
            match publish.outcome {
                Outcome::Accepted(accepted) if version >= RES_VERSION => frame.res.push(accepted),
                Outcome::Refused(error) => self.remember(publish.msg_serial, error),
                Outcome::Accepted(_) | Outcome::Waiting => {}
            }
        }
        frame.msg_serial = Some(first);
        frame.count = Some(u32::try_from(count).unwrap_or(u32::MAX));
        Some(frame)
    }
}

fn belongs(frame: &ProtocolMessage, outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Waiting => false,
        Outcome::Accepted(_) => frame.action == Action::Ack,
        Outcome::Refused(error) => frame.error.as_ref() == Some(error),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Of so many at a time the outcomes come in any order, and are told now and then.
        #[test]
        fn each_outcome_is_told_once_and_in_order(
            turns in prop::collection::vec(prop::collection::vec(any::<(u8, bool)>(), 1..9), 1..9),
        ) {
            let (mut queue, mut next, mut told) = (AckQueue::default(), 0, 0);
            let mut waiting = Vec::new();
            for turn in turns {
                for (at, refused) in turn {
                    let (serial, token) = (i64::from(next), PublishToken(next.into()));
                    next += 1_u8;
                    if refused {
                        queue.refuse(serial, token, error::TOO_LARGE.info());
                    } else {
                        queue.wait(serial, token);
                        waiting.push(token);
                    }
                    if at % 3 > 0 && !waiting.is_empty() {
                        let token = waiting.remove(usize::from(at) % waiting.len());
                        queue.settle(token, Ok(Accepted::default()));
                    }
                }
                for (action, first, count) in drained(&mut queue) {
                    let first = u64::try_from(first).unwrap();
                    prop_assert_eq!(first, told);
                    told += u64::from(count);
                    let waits = waiting.iter().any(|token| (first..told).contains(&token.0));
                    prop_assert!(!waits && matches!(action, Action::Ack | Action::Nack));
                }
            }
            for token in waiting {
                queue.settle(token, Ok(Accepted::default()));
            }
            told += drained(&mut queue).iter().map(|(_, _, count)| u64::from(*count)).sum::<u64>();
            prop_assert_eq!((told, queue.len()), (u64::from(next), 0));
        }
    }

    fn drained(queue: &mut AckQueue) -> Vec<(Action, i64, u32)> {
        std::iter::from_fn(|| queue.drain(6))
            .map(|frame| (frame.action, frame.msg_serial.unwrap(), frame.count.unwrap()))
            .collect()
    }

    #[test]
    fn an_outcome_waits_for_the_ones_before_it() {
        let mut queue = AckQueue::default();
        for n in 0..3 {
            queue.wait(i64::from(n), PublishToken(u64::from(n as u8)));
        }
        queue.settle(PublishToken(1), Ok(Accepted::default()));
        assert_eq!(drained(&mut queue), []);
        queue.settle(PublishToken(0), Ok(Accepted::default()));
        assert_eq!(drained(&mut queue), [(Action::Ack, 0, 2)]);
        queue.settle(PublishToken(2), Ok(Accepted::default()));
        assert_eq!(drained(&mut queue), [(Action::Ack, 2, 1)]);
    }

    #[test]
    fn refusals_are_grouped_by_cause_and_stay_in_order() {
        let mut queue = AckQueue::default();
        queue.refuse(5, PublishToken(5), error::TOO_LARGE.info());
        queue.refuse(6, PublishToken(6), error::TOO_LARGE.info());
        queue.refuse(7, PublishToken(7), error::CAPABILITY_MISSING.info());
        queue.wait(8, PublishToken(8));
        queue.settle(PublishToken(8), Ok(Accepted::default()));
        assert_eq!(
            drained(&mut queue),
            [(Action::Nack, 5, 2), (Action::Nack, 7, 1), (Action::Ack, 8, 1)]
        );
    }

    #[test]
    fn an_outcome_is_not_replaced() {
        let mut queue = AckQueue::default();
        queue.wait(0, PublishToken(0));
        queue.wait(1, PublishToken(1));
        queue.settle(PublishToken(1), Err(error::TIMEOUT.info()));
        queue.settle(PublishToken(1), Ok(Accepted::default()));
        queue.settle(PublishToken(0), Ok(Accepted::default()));
        assert_eq!(drained(&mut queue), [(Action::Ack, 0, 1), (Action::Nack, 1, 1)]);
    }

    #[test]
    fn a_gap_in_the_serials_is_never_covered_by_a_count() {
        let mut queue = AckQueue::default();
        queue.wait(0, PublishToken(0));
        queue.wait(4, PublishToken(4));
        queue.settle(PublishToken(0), Ok(Accepted::default()));
        queue.settle(PublishToken(4), Ok(Accepted::default()));
        assert_eq!(drained(&mut queue), [(Action::Ack, 0, 1), (Action::Ack, 4, 1)]);
    }

    #[test]
    fn refusals_are_remembered_whether_told_or_not_but_not_what_may_be_accepted_still() {
        let mut queue = AckQueue::default();
        let refuse = |queue: &mut AckQueue, msg_serial: i64, error| {
            queue.refuse(msg_serial, PublishToken(msg_serial.unsigned_abs()), error);
        };
        refuse(&mut queue, 0, error::TOO_LARGE.info());
        refuse(&mut queue, 1, error::TIMEOUT.info());
        queue.wait(2, PublishToken(2));
        refuse(&mut queue, 3, error::TOO_LARGE.info());
        assert_eq!(drained(&mut queue), [(Action::Nack, 0, 1), (Action::Nack, 1, 1)]);
        queue.clear();
        let known = |queue: &AckQueue| queue.refused.keys().copied().collect::<Vec<_>>();
        assert_eq!(known(&queue), [0, 3]);
        (4..1_003).for_each(|n| refuse(&mut queue, n, error::TOO_LARGE.info()));
        queue.clear();
        assert_eq!(known(&queue), (3..1_003).collect::<Vec<_>>());
    }

    #[test]
    fn serials_of_messages_are_sent_from_version_5_on() {
        for (version, expected) in [(4, 0), (5, 1)] {
            let mut queue = AckQueue::default();
            queue.wait(0, PublishToken(0));
            queue.settle(PublishToken(0), Ok(Accepted::default()));
            assert_eq!(queue.drain(version).unwrap().res.len(), expected);
        }
    }
}
