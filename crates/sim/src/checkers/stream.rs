//! What one attachment has seen since its continuity began: the common ground of the checkers for
//! loss, repetition and false resumes.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Included};

use session::Echo;
use types::{ConnectionId, Kind};

use super::{StreamKey, Verdict, exactly_once, truthful_resume};
use crate::truth::{Channel, Place, Record, Standing};

/// Who attached, and to which life of the node.
pub(super) struct Attacher {
    pub(super) connection_id: ConnectionId,
    pub(super) incarnation: u64,
}

#[derive(Debug)]
pub(super) struct Stream {
    /// The last entry seen, or where continuity began.
    pub(super) at: Place,
    /// Presence events before this came as a sync.
    presence_from: Place,
    /// The end of the channel when RESUMED was last promised: up to here everything must be replayed.
    pub(super) owed: Place,
    pub(super) connection_id: ConnectionId,
    /// Presence events of earlier incarnations are void: their members are gone.
    pub(super) incarnation: u64,
    echo: Echo,
    seen: BTreeSet<Place>,
    /// Passed over and not seen since.
    missing: BTreeSet<(Place, bool)>,
}

impl Stream {
    pub(super) fn new(start: Place, end: Place, by: Attacher, echo: Echo) -> Self {
        let Attacher { connection_id, incarnation } = by;
        Self {
            incarnation,
            at: start,
            presence_from: end.max(start),
            owed: Place::default(),
            connection_id,
            echo,
            seen: BTreeSet::new(),
            missing: BTreeSet::new(),
        }
    }

    fn wants(&self, place: Place, record: &Record) -> bool {
        let own = record.connection_id.as_ref() == Some(&self.connection_id);
        record.standing == Standing::Certain
            && match record.kind {
                Kind::Messages | Kind::Changes | Kind::Annotations => self.echo == Echo::On || !own,
                Kind::Presence => {
                    place > self.presence_from && record.incarnation >= self.incarnation
                }
                // Who attaches gets the objects, not the operations.
                Kind::Objects => false,
            }
    }

    /// The entries behind the last one seen, up to `until`, that it should have seen.
    pub(super) fn unseen<'a>(
        &'a self,
        known: &'a Channel,
        until: Place,
    ) -> impl Iterator<Item = (Place, &'a Record)> {
        let range = (self.at < until).then_some((Excluded(self.at), Included(until)));
        let records = range.into_iter().flat_map(|range| known.records.range(range));
        records
            .map(|(place, record)| (*place, record))
            .filter(|(place, record)| self.wants(*place, record) && !self.seen.contains(place))
    }

    pub(super) fn entry(
        &mut self,
        key: &StreamKey,
        known: &Channel,
        kind: Kind,
        place: Place,
    ) -> Verdict {
        if !self.seen.insert(place) {
            return exactly_once::twice(key, kind, place, known);
        }
        if place < self.at {
            self.missing.remove(&(place, kind == Kind::Messages));
            return Ok(());
        }
        let passed: Vec<_> = self
            .unseen(known, place)
            .filter(|(passed, _)| *passed != place)
            .map(|(passed, record)| (passed, record.kind == Kind::Messages))
            .collect();
        if let Some((first, _)) = passed.first().filter(|(first, _)| *first <= self.owed) {
            return truthful_resume::skipped(key, *first, passed.len());
        }
        self.missing.extend(passed);
        self.at = place;
        Ok(())
    }

    /// Nothing up to `place` may be missing: the client says that it has seen it all.
    pub(super) fn relied(&mut self, key: &StreamKey, known: &Channel, place: Place) -> Verdict {
        self.closed(key)?;
        let first = self.unseen(known, place).next().map(|(place, record)| (place, record.kind));
        match first {
            Some((place, kind)) => exactly_once::missing(key, kind, place),
            None => {
                self.at = self.at.max(place);
                Ok(())
            }
        }
    }

    /// Nothing before the last entry seen may be missing.
    pub(super) fn closed(&self, key: &StreamKey) -> Verdict {
        match self.missing.first() {
            Some((place, true)) => exactly_once::missing(key, Kind::Messages, *place),
            Some((place, false)) => exactly_once::missing(key, Kind::Presence, *place),
            None => Ok(()),
        }
    }
}
