//! A connection that publishes: what it has sent and is not told of yet.

use std::collections::VecDeque;

/// Serials count what the connection has published, from 0.
#[derive(Debug, Default)]
pub(super) struct Publisher {
    waiting: VecDeque<Sent>,
    /// The serial of what waits longest.
    first: u64,
    /// Whether something is to be flushed.
    pub(super) dirty: bool,
}

/// A message that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) stream: u32,
    pub(super) sequence: u64,
    /// When it was to be sent.
    pub(super) at: u64,
}

impl Publisher {
    /// The serial of the next message.
    pub(super) fn serial(&self) -> u64 {
        self.first + self.waiting.len() as u64
    }

    /// The serial of what waits longest.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    pub(super) fn push(&mut self, sent: Sent) {
        self.waiting.push_back(sent);
        self.dirty = true;
    }

    /// What was sent with this serial, if it waits.
    pub(super) fn find(&self, serial: u64) -> Option<Sent> {
        let index = usize::try_from(serial.checked_sub(self.first)?).ok()?;
        self.waiting.get(index).copied()
    }

    /// Everything before this serial waits no more.
    pub(super) fn forget(&mut self, serial: u64) {
        while self.first < serial && self.waiting.pop_front().is_some() {
            self.first += 1;
        }
    }

    pub(super) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_answered_is_found_by_its_serial_and_then_forgotten() {
        let mut publisher = Publisher::default();
        let sent = |sequence| Sent { stream: 0, sequence, at: 7 };
        for sequence in 0..3 {
            assert_eq!(publisher.serial(), sequence);
            publisher.push(sent(sequence));
        }
        assert_eq!(publisher.find(1), Some(sent(1)));
        publisher.forget(2);
        assert_eq!((publisher.find(1), publisher.find(2)), (None, Some(sent(2))));
        assert_eq!(publisher.serial(), 3);
        publisher.forget(9);
        assert!(!publisher.waits());
        assert_eq!(publisher.serial(), 3, "what was never sent is not forgotten");
    }
}
