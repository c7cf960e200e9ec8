//! The presence set as a fold over committed entries: the newest event of each member by serial
//! wins, whatever order they are applied in. Members that left are remembered for the retention,
//! so that an older event that comes late does not bring them back (amendment 24).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use types::{
    Body, ClientId, ConnectionId, Data, Entry, Extras, PresenceAction, PresenceMessage, Serial,
    Timestamp,
};

/// A member is one client on one connection (TP3h).
pub(crate) type Key = (ConnectionId, ClientId);

/// A member of the presence set, as its newest event left it.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    pub connection_id: ConnectionId,
    pub client_id: ClientId,
    /// The id of the event: the client's own, or the entry's with the index appended.
    pub id: Arc<str>,
    pub data: Data,
    pub encoding: Option<Arc<str>>,
    pub extras: Option<Extras>,
    pub timestamp: Timestamp,
    /// The serial of the event's entry, and its index there.
    pub serial: Serial,
    pub index: usize,
}

#[derive(Debug)]
pub(crate) struct Fold {
    slots: BTreeMap<Key, Slot>,
    /// Members that left, by the time at which they are forgotten. Each came with an entry, so
    /// there are no more than the bound on ids allows.
    tombstones: VecDeque<(Timestamp, Key)>,
    retention: Duration,
    present: usize,
}

#[derive(Debug)]
struct Slot {
    serial: Serial,
    index: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Present(Arc<Member>),
    Left { until: Timestamp },
}

impl Fold {
    pub(crate) fn new(retention: Duration) -> Self {
        Self { slots: BTreeMap::new(), tombstones: VecDeque::new(), retention, present: 0 }
    }

    pub(crate) fn apply(&mut self, now: Timestamp, entry: &Entry) {
        for (index, key, item) in events(entry) {
            let known = self.slots.get(&key);
            if known.is_some_and(|slot| (slot.serial, slot.index) >= (entry.serial, index)) {
                continue;
            }
            let state = match item.action {
                PresenceAction::Absent => continue,
                PresenceAction::Leave => {
                    let until = now.plus(self.retention);
                    self.tombstones.push_back((until, key.clone()));
                    State::Left { until }
                }
                PresenceAction::Enter | PresenceAction::Present | PresenceAction::Update => {
                    State::Present(Arc::new(Member::new(entry, index, &key, item)))
                }
            };
            let slot = Slot { serial: entry.serial, index, state };
            self.present += usize::from(slot.member().is_some());
            let before = self.slots.insert(key, slot);
            self.present -= usize::from(before.is_some_and(|slot| slot.member().is_some()));
        }
    }

    /// Forgets members that left a retention ago.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        while let Some((_, key)) = self.tombstones.pop_front_if(|(at, _)| *at <= now) {
            let state = self.slots.get(&key).map(|slot| &slot.state);
            if matches!(state, Some(State::Left { until }) if *until <= now) {
                self.slots.remove(&key);
            }
        }
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Member>> {
        self.slots.get(key)?.member()
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.slots.values().filter_map(Slot::member)
    }

    pub(crate) fn present(&self) -> usize {
        self.present
    }

    /// When the next member that left is forgotten.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.tombstones.front().map(|(at, _)| *at)
    }
}

impl Slot {
    fn member(&self) -> Option<&Arc<Member>> {
        match &self.state {
            State::Present(member) => Some(member),
            State::Left { .. } => None,
        }
    }
}

impl Member {
    fn new(entry: &Entry, index: usize, key: &Key, item: &PresenceMessage) -> Self {
        Self {
            connection_id: key.0.clone(),
            client_id: key.1.clone(),
            id: item.id.clone().unwrap_or_else(|| entry.item_id(index).into()),
            data: item.data.clone(),
            encoding: item.encoding.clone(),
            extras: item.extras.clone(),
            timestamp: entry.timestamp,
            serial: entry.serial,
            index,
        }
    }
}

/// The presence events of an entry, each with its index and member.
pub(crate) fn events(entry: &Entry) -> impl Iterator<Item = (usize, Key, &PresenceMessage)> {
    let items = match &entry.body {
        Body::Messages(_) | Body::Annotations(_) | Body::Objects(_) => &[],
        Body::Presence(items) => items.as_slice(),
    };
    items.iter().enumerate().filter_map(|(index, item)| {
        let connection = item.connection_id.as_ref().or(entry.connection_id.as_ref())?;
        Some((index, (connection.clone(), item.client_id.clone()?), item))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use types::{EntryId, SeriesId};

    use super::*;

    const RETENTION: Duration = Duration::from_secs(120);

    fn entry(ms: u64, events: &[(u8, PresenceAction)]) -> Entry {
        let item = |(client, action): &(u8, PresenceAction)| PresenceMessage {
            client_id: Some(client.to_string().as_str().into()),
            data: Data::Text(ms.to_string().into()),
            ..PresenceMessage::new(*action)
        };
        Entry {
            id: EntryId::Named(ms.to_string().into()),
            serial: Serial {
                ms,
                counter: 0,
                series: SeriesId::from_bytes(b"dun000000001").unwrap(),
            },
            position: ms,
            timestamp: Timestamp(ms),
            connection_id: Some("c".into()),
            body: Body::Presence(events.iter().map(item).collect()),
        }
    }

    fn fold_of<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Fold {
        let mut fold = Fold::new(RETENTION);
        entries.into_iter().for_each(|entry| fold.apply(Timestamp(0), entry));
        fold
    }

    fn action() -> impl Strategy<Value = PresenceAction> {
        prop::sample::select(vec![
            PresenceAction::Enter,
            PresenceAction::Present,
            PresenceAction::Update,
            PresenceAction::Leave,
        ])
    }

    proptest! {
        #[test]
        fn any_order_of_the_same_events_gives_the_same_set(
            (straight, shuffled) in prop::collection::vec(
                prop::collection::vec((0_u8..4, action()), 1..4),
                0..20,
            ).prop_flat_map(|bodies| {
                let entries: Vec<Entry> =
                    bodies.iter().zip(1_u64..).map(|(body, ms)| entry(ms, body)).collect();
                (Just(entries.clone()), Just(entries).prop_shuffle())
            })
        ) {
            let (one, other) = (fold_of(&straight), fold_of(&shuffled));
            prop_assert!(one.members().eq(other.members()));
            prop_assert_eq!(one.present(), one.members().count());
            prop_assert_eq!(other.present(), other.members().count());
        }
    }

    #[test]
    fn a_member_that_left_stays_away_from_late_events_until_it_is_forgotten() {
        let mut fold = fold_of(&[entry(5, &[(1, PresenceAction::Leave)])]);
        fold.apply(Timestamp(10), &entry(4, &[(1, PresenceAction::Enter)]));
        assert_eq!(fold.present(), 0);
        fold.expire(Timestamp(0).plus(RETENTION));
        assert!(fold.slots.is_empty() && fold.deadline().is_none());
    }

    #[test]
    fn a_member_that_came_back_is_not_forgotten() {
        let mut fold = fold_of(&[
            entry(1, &[(1, PresenceAction::Leave)]),
            entry(2, &[(1, PresenceAction::Enter)]),
        ]);
        fold.expire(Timestamp(0).plus(RETENTION));
        assert_eq!(fold.present(), 1);
    }
}
