//! Occupancy: who is attached and may do what, counted (CHM2). A fold over attachments, not over
//! entries; of the presence set only the size counts.
//!
//! Who listens is told at once when a category becomes or ceases to be zero, and of other changes
//! within [`DEBOUNCE`], however many they are.

use std::collections::BTreeMap;
use std::time::Duration;

use types::Timestamp;

use crate::AttachmentId;

/// The longest that a change waits to be told.
const DEBOUNCE: Duration = Duration::from_secs(15);

/// Counts by category; one attachment counts 0 or 1 in each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupancy {
    pub connections: u32,
    pub publishers: u32,
    pub subscribers: u32,
    pub presence_connections: u32,
    pub presence_members: u32,
    pub presence_subscribers: u32,
    pub object_publishers: u32,
    pub object_subscribers: u32,
}

impl Occupancy {
    /// The counts under the names that clients know them by.
    pub fn categories(&self) -> [(&'static str, u32); 8] {
        [
            ("connections", self.connections),
            ("publishers", self.publishers),
            ("subscribers", self.subscribers),
            ("presenceConnections", self.presence_connections),
            ("presenceMembers", self.presence_members),
            ("presenceSubscribers", self.presence_subscribers),
            ("objectPublishers", self.object_publishers),
            ("objectSubscribers", self.object_subscribers),
        ]
    }

    fn combine(self, other: Self, with: fn(u32, u32) -> u32) -> Self {
        Self {
            connections: with(self.connections, other.connections),
            publishers: with(self.publishers, other.publishers),
            subscribers: with(self.subscribers, other.subscribers),
            presence_connections: with(self.presence_connections, other.presence_connections),
            presence_members: with(self.presence_members, other.presence_members),
            presence_subscribers: with(self.presence_subscribers, other.presence_subscribers),
            object_publishers: with(self.object_publishers, other.object_publishers),
            object_subscribers: with(self.object_subscribers, other.object_subscribers),
        }
    }

    /// Whether some category is zero in one and not in the other.
    fn differs_in_kind(&self, other: &Self) -> bool {
        let both = self.categories().into_iter().zip(other.categories());
        both.into_iter().any(|((_, a), (_, b))| (a == 0) != (b == 0))
    }
}

/// What the attachments of a channel add up to, and what was told of it. Bounded as the
/// attachments are.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    shares: BTreeMap<AttachmentId, Occupancy>,
    total: Occupancy,
    told: Occupancy,
    due: Option<Timestamp>,
}

impl Counts {
    /// Counts an attachment, or counts it anew.
    pub(crate) fn set(&mut self, attachment: AttachmentId, share: Occupancy) {
        self.remove(attachment);
        self.total = self.total.combine(share, u32::saturating_add);
        self.shares.insert(attachment, share);
    }

    pub(crate) fn remove(&mut self, attachment: AttachmentId) {
        if let Some(share) = self.shares.remove(&attachment) {
            self.total = self.total.combine(share, u32::saturating_sub);
        }
    }

    pub(crate) fn occupancy(&self, members: usize) -> Occupancy {
        Occupancy { presence_members: u32::try_from(members).unwrap_or(u32::MAX), ..self.total }
    }

    /// What is to be told now. Without attachments there is nobody to tell.
    pub(crate) fn tell(&mut self, now: Timestamp, members: usize) -> Option<Occupancy> {
        let current = self.occupancy(members);
        if current == self.told || self.shares.is_empty() {
            (self.told, self.due) = (current, None);
            return None;
        }
        let due = *self.due.get_or_insert(now.plus(DEBOUNCE));
        if now < due && !current.differs_in_kind(&self.told) {
            return None;
        }
        (self.told, self.due) = (current, None);
        Some(current)
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBSCRIBER: Occupancy = Occupancy {
        connections: 1,
        publishers: 0,
        subscribers: 1,
        presence_connections: 0,
        presence_members: 0,
        presence_subscribers: 0,
        object_publishers: 0,
        object_subscribers: 0,
    };
    const PUBLISHER: Occupancy = Occupancy { publishers: 1, subscribers: 0, ..SUBSCRIBER };

    fn at(seconds: u64) -> Timestamp {
        Timestamp(seconds * 1_000)
    }

    #[test]
    fn what_begins_or_ends_is_told_at_once_and_other_changes_together_and_later() {
        let mut counts = Counts::default();
        counts.set(AttachmentId(1), SUBSCRIBER);
        assert_eq!(counts.tell(at(0), 0), Some(SUBSCRIBER));
        counts.set(AttachmentId(2), SUBSCRIBER);
        assert_eq!((counts.tell(at(1), 0), counts.deadline()), (None, Some(at(16))));
        counts.set(AttachmentId(3), SUBSCRIBER);
        assert_eq!((counts.tell(at(2), 0), counts.deadline()), (None, Some(at(16))));
        let three = Occupancy { connections: 3, subscribers: 3, ..SUBSCRIBER };
        assert_eq!((counts.tell(at(16), 0), counts.deadline()), (Some(three), None));
        let entered = Occupancy { presence_members: 1, ..three };
        assert_eq!(counts.tell(at(17), 1), Some(entered));
        assert_eq!(counts.tell(at(18), 0), Some(three));
    }

    #[test]
    fn a_change_that_is_undone_before_it_is_told_is_not_told() {
        let mut counts = Counts::default();
        counts.set(AttachmentId(1), SUBSCRIBER);
        counts.tell(at(0), 0);
        counts.set(AttachmentId(2), SUBSCRIBER);
        counts.tell(at(1), 0);
        counts.remove(AttachmentId(2));
        assert_eq!((counts.tell(at(2), 0), counts.deadline()), (None, None));
    }

    #[test]
    fn an_attachment_that_changes_its_modes_counts_once() {
        let mut counts = Counts::default();
        counts.set(AttachmentId(1), SUBSCRIBER);
        counts.set(AttachmentId(1), PUBLISHER);
        assert_eq!(counts.occupancy(0), PUBLISHER);
        counts.remove(AttachmentId(1));
        counts.remove(AttachmentId(1));
        assert_eq!(counts.occupancy(0), Occupancy::default());
    }
}
