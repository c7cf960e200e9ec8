//! The ids of committed entries, kept for the id window: longer than the log keeps the entries,
//! and whatever the log trims for its bytes (I3, I4).
//!
//! Ids are kept in generations of a quarter of the window, dropped as a whole, so an id lives for
//! one window to one and a quarter; one that is read from the store when newer ones are known, as long
//! as they do. Within a generation the ids of a connection form a run sorted
//! by msgSerial: 9 to 16 bytes an id. A named id takes 64 bytes, its text and the share of a tree node.
//! A run knows the highest msgSerial of its connection up to then: the newest one tells what is new.
//!
//! Ids of pending entries are not here; see `pending`.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use types::{Accepted, ConnectionId, EntryId, Timestamp};

use crate::content::Content;
use crate::few::Few;
use crate::run::{Run, Sent};

/// Generations in a window: more make ids leave sooner after their window, and lookups slower.
const GENERATIONS: u32 = 4;

#[derive(Debug)]
pub(crate) struct Ids {
    /// Oldest first; at most `GENERATIONS` + 2, because each spans a quarter of the window.
    generations: Vec<Generation>,
    window: Duration,
}

/// Where an id stands among those that are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing<T> {
    /// It is not among them.
    New,
    /// As [`New`](Self::New), but a later one of the same connection is.
    Late,
    Known(T),
}

#[derive(Debug)]
struct Generation {
    /// From then on there is another one.
    until: Timestamp,
    last: Timestamp,
    len: usize,
    runs: Few<ConnectionId, Run>,
    named: Few<Arc<str>, Accepted>,
}

impl Ids {
    pub(crate) fn new(window: Duration) -> Self {
        Self { generations: Vec::new(), window }
    }

    /// What became of the publish with this id, and what it said if that is known.
    pub(crate) fn find(&self, id: &EntryId) -> Option<(Accepted, Option<Content>)> {
        match id {
            EntryId::Named(name) => {
                let mut newest_first = self.generations.iter().rev();
                let accepted = newest_first.find_map(|generation| generation.named.get(name))?;
                Some((*accepted, None))
            }
            EntryId::Connection { connection_id, msg_serial } => self
                .runs(connection_id)
                .take_while(|run| Some(*msg_serial) <= run.latest())
                .find_map(|run| run.find(*msg_serial))
                .map(|sent| (sent.accepted, sent.content)),
        }
    }

    /// Of what was accepted lately: what became of it, and what it said if that is known.
    pub(crate) fn standing(&self, id: &EntryId) -> Standing<(Accepted, Option<Content>)> {
        // Where the latest of its connection is, seen from it.
        let latest = match id {
            EntryId::Named(_) => None,
            EntryId::Connection { connection_id, msg_serial } => {
                Some(self.latest(connection_id).cmp(&Some(*msg_serial)))
            }
        };
        if latest == Some(Ordering::Less) {
            return Standing::New;
        }
        match self.find(id) {
            Some(known) => Standing::Known(known),
            None if latest == Some(Ordering::Greater) => Standing::Late,
            None => Standing::New,
        }
    }

    fn latest(&self, connection_id: &ConnectionId) -> Option<i64> {
        self.runs(connection_id).next()?.latest()
    }

    /// Newest first.
    fn runs(&self, connection_id: &ConnectionId) -> impl Iterator<Item = &Run> {
        self.generations.iter().rev().filter_map(|known| known.runs.get(connection_id))
    }

    /// Remembers `id` for a window from `at`, and for as long as what was remembered before.
    pub(crate) fn insert(
        &mut self,
        at: Timestamp,
        id: &EntryId,
        content: Option<Content>,
        accepted: Accepted,
    ) {
        let at = self.generations.last().map_or(at, |newest| at.max(newest.last));
        if self.generations.last().is_none_or(|newest| newest.until <= at) {
            self.generations.reserve_exact(1);
            let width = (self.window / GENERATIONS).max(Duration::from_millis(1));
            let until = at.plus(width);
            self.generations.push(Generation::new(at, until));
        }
        if let Some(newest) = self.generations.last_mut() {
            (newest.last, newest.len) = (at, newest.len + 1);
            match id {
                EntryId::Named(name) => newest.named.insert(Arc::clone(name), accepted),
                EntryId::Connection { connection_id, msg_serial } => {
                    self.add(connection_id, Sent { msg_serial: *msg_serial, content, accepted });
                }
            }
        }
    }

    fn add(&mut self, connection_id: &ConnectionId, sent: Sent) {
        let newest = self.generations.last_mut();
        if let Some(run) = newest.and_then(|newest| newest.runs.get_mut(connection_id)) {
            return run.add(sent);
        }
        let run = Run::new(self.latest(connection_id), sent);
        if let Some(newest) = self.generations.last_mut() {
            newest.runs.insert(connection_id.clone(), run);
        }
    }

    pub(crate) fn expire(&mut self, now: Timestamp) {
        let is_over = |oldest: &&Generation| oldest.last.plus(self.window) <= now;
        let over = self.generations.iter().take_while(is_over).count();
        self.generations.drain(..over);
    }

    pub(crate) fn len(&self) -> usize {
        self.generations.iter().map(|generation| generation.len).sum()
    }

    /// When the next ids leave.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.generations.first().map(|generation| generation.last.plus(self.window))
    }

    /// Whether nothing is left at `now`.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        self.generations.last().is_none_or(|newest| newest.last.plus(self.window) <= now)
    }
}

impl Generation {
    fn new(at: Timestamp, until: Timestamp) -> Self {
        Self { until, last: at, len: 0, runs: Few::None, named: Few::None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Accepted = Accepted { serial: None, items: 0, dropped: 0 };

    fn id(connection: &str, msg_serial: i64) -> EntryId {
        EntryId::Connection { connection_id: connection.into(), msg_serial }
    }

    #[test]
    fn an_id_lives_for_its_window_and_a_quarter_at_most() {
        let window = Duration::from_millis(100);
        let mut ids = Ids::new(window);
        for ms in 0..1_000 {
            ids.expire(Timestamp(ms));
            ids.insert(Timestamp(ms), &id("c", i64::try_from(ms).unwrap()), None, NOTHING);
            let known = |age: u64| {
                ms.checked_sub(age).map(|at| ids.find(&id("c", i64::try_from(at).unwrap())))
            };
            assert!(known(99).is_none_or(|found| found.is_some()), "{ms}");
            assert!(known(126).is_none_or(|found| found.is_none()), "{ms}");
            assert!(ids.generations.len() <= 6 && ids.len() <= 126);
        }
        ids.expire(Timestamp(1_099));
        assert!(ids.len() == 0 && ids.is_over(Timestamp(1_099)) && ids.deadline().is_none());
    }

    #[test]
    fn ids_that_come_out_of_order_are_found() {
        let mut ids = Ids::new(Duration::from_secs(1));
        for msg_serial in [5, 1, 9, 3] {
            ids.insert(Timestamp(1), &id("c", msg_serial), None, NOTHING);
        }
        assert!((0..10).all(|n| ids.find(&id("c", n)).is_some() == [1, 3, 5, 9].contains(&n)));
        assert!(ids.find(&id("d", 1)).is_none());
    }

    #[test]
    fn ids_are_found_in_whatever_order_their_generations_hold_them() {
        let mut ids = Ids::new(Duration::from_millis(40));
        for (ms, msg_serial) in [(0, 5), (10, 3), (20, 9), (30, 1)] {
            ids.insert(Timestamp(ms), &id("c", msg_serial), None, NOTHING);
        }
        assert_eq!(ids.generations.len(), 4);
        assert!((0..10).all(|n| ids.find(&id("c", n)).is_some() == [1, 3, 5, 9].contains(&n)));
        for n in 0..12 {
            let standing = match n {
                1 | 3 | 5 | 9 => Standing::Known((NOTHING, None)),
                0..9 => Standing::Late,
                _ => Standing::New,
            };
            assert_eq!(ids.standing(&id("c", n)), standing, "{n}");
        }
        assert_eq!(ids.standing(&id("d", 0)), Standing::New);
    }
}
