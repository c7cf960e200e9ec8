//! Deadlines of sessions and channels, one of each kind, in the order in which they come due.

use std::collections::{BTreeMap, BTreeSet};

use types::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerKey {
    Session(u64),
    Channel(u64),
    /// Attachments of the channel that are missing something.
    Losses(u64),
    /// What the channel has not delivered yet.
    Window(u64),
    /// The minute that those who listen to the channel are told of.
    Minute(u64),
    /// The pause between two tellings of the channel's objects.
    Inband(u64),
    App(u64),
    /// Notifications that are for channels.
    Pushes,
    /// What was counted is to be written.
    Stats,
}

#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeSet<(Timestamp, TimerKey)>,
    at: BTreeMap<TimerKey, Timestamp>,
}

impl Timers {
    /// Sets the deadline of `key`, or none.
    pub(crate) fn set(&mut self, key: TimerKey, deadline: Option<Timestamp>) {
        let known = match deadline {
            Some(deadline) => self.at.insert(key, deadline),
            None => self.at.remove(&key),
        };
        if known == deadline {
            return;
        }
        if let Some(known) = known {
            self.due.remove(&(known, key));
        }
        if let Some(deadline) = deadline {
            self.due.insert((deadline, key));
        }
    }

    /// Sets the deadline of `key` unless it has one.
    pub(crate) fn set_if_none(&mut self, key: TimerKey, deadline: Timestamp) {
        if !self.at.contains_key(&key) {
            self.set(key, Some(deadline));
        }
    }

    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.due.first().map(|(deadline, _)| *deadline)
    }

    /// Takes one key whose deadline has come.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Option<TimerKey> {
        let (deadline, key) = *self.due.first()?;
        if deadline > now {
            return None;
        }
        self.due.pop_first();
        self.at.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_due_in_order_and_once() {
        let mut timers = Timers::default();
        timers.set(TimerKey::Session(1), Some(Timestamp(20)));
        timers.set(TimerKey::Session(2), Some(Timestamp(10)));
        timers.set(TimerKey::Session(1), Some(Timestamp(5)));
        timers.set(TimerKey::Channel(1), Some(Timestamp(7)));
        timers.set(TimerKey::Channel(1), None);
        assert_eq!(timers.next(), Some(Timestamp(5)));
        let due: Vec<_> = std::iter::from_fn(|| timers.take_due(Timestamp(15))).collect();
        assert_eq!(due, [TimerKey::Session(1), TimerKey::Session(2)]);
        assert_eq!(timers.next(), None);
    }
}
