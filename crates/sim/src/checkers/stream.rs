//! What one attachment has seen since its continuity began: the common ground of the checkers for
//! loss, repetition and false resumes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included};

use protocol::flags;
use session::Echo;
use types::{ConnectionId, Kind, MessageAction};

use super::{StreamKey, Verdict, exactly_once, truthful_resume};
use crate::truth::{Channel, Place, Record, Standing};

/// Who attached, and to which life of the node.
pub(super) struct Attacher {
    pub(super) connection_id: ConnectionId,
    pub(super) incarnation: u64,
    pub(super) modes: u32,
}

#[derive(Debug)]
pub(super) struct Stream {
    /// The last entry seen, or where continuity began.
    pub(super) at: Place,
    /// What came before this and is no message is not owed: members came as a sync, and messages as
    /// they then were.
    live_from: Place,
    pub(super) modes: u32,
    /// The end of the channel when RESUMED was last promised: up to here everything must be replayed.
    pub(super) owed: Place,
    pub(super) connection_id: ConnectionId,
    /// Presence events of earlier incarnations are void: their members are gone.
    pub(super) incarnation: u64,
    echo: Echo,
    seen: BTreeSet<Place>,
    /// Passed over and not seen since.
    missing: BTreeMap<Place, Kind>,
}

impl Stream {
    pub(super) fn new(start: Place, end: Place, by: Attacher, echo: Echo) -> Self {
        let Attacher { connection_id, incarnation, modes } = by;
        Self {
            incarnation,
            at: start,
            live_from: end.max(start),
            modes,
            owed: Place::default(),
            connection_id,
            echo,
            seen: BTreeSet::new(),
            missing: BTreeMap::new(),
        }
    }

    fn wants(&self, place: Place, record: &Record) -> bool {
        let own = record.connection_id.as_ref() == Some(&self.connection_id);
        record.standing == Standing::Certain
            && match record.kind {
                Kind::Messages => self.echo == Echo::On || !own,
                // A resume replays some appends as the message that they make.
                Kind::Changes => {
                    let change = record.entry.body.change();
                    place > self.live_from
                        && (self.echo == Echo::On || !own)
                        && change.is_some_and(|change| change.action != MessageAction::Append)
                }
                Kind::Annotations => {
                    place > self.live_from && self.modes & flags::ANNOTATION_SUBSCRIBE != 0
                }
                Kind::Presence => {
                    place > self.live_from
                        && record.incarnation >= self.incarnation
                        && (own || self.modes & flags::PRESENCE_SUBSCRIBE != 0)
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
            self.missing.remove(&place);
            return Ok(());
        }
        let passed: Vec<_> = self
            .unseen(known, place)
            .filter(|(passed, _)| *passed != place)
            .map(|(passed, record)| (passed, record.kind))
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
        match self.missing.first_key_value() {
            Some((place, kind)) => exactly_once::missing(key, *kind, *place),
            None => Ok(()),
        }
    }
}
