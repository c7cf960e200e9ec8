//! Where pending entries are, by id: those of a connection in the order of their msgSerials, in which they
//! mostly come and go.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use types::{ConnectionId, EntryId};

#[derive(Debug, Default)]
pub(crate) struct Positions {
    /// None is empty.
    sent: BTreeMap<ConnectionId, VecDeque<Sent>>,
    named: BTreeMap<Arc<str>, u64>,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    msg_serial: i64,
    position: u64,
}

impl Positions {
    pub(crate) fn get(&self, id: &EntryId) -> Option<u64> {
        match id {
            EntryId::Named(name) => self.named.get(name).copied(),
            EntryId::Connection { connection_id, msg_serial } => {
                let sent = self.sent.get(connection_id)?;
                sent.back().filter(|latest| *msg_serial <= latest.msg_serial)?;
                let at = sent.binary_search_by_key(msg_serial, |sent| sent.msg_serial).ok()?;
                sent.get(at).map(|sent| sent.position)
            }
        }
    }

    /// Whether there is a later one of the same connection.
    pub(crate) fn has_later(&self, id: &EntryId) -> bool {
        let EntryId::Connection { connection_id, msg_serial } = id else { return false };
        let latest = self.sent.get(connection_id).and_then(VecDeque::back);
        latest.is_some_and(|latest| *msg_serial < latest.msg_serial)
    }

    /// Adds an id that is not there.
    pub(crate) fn insert(&mut self, id: &EntryId, position: u64) {
        match id {
            EntryId::Named(name) => {
                self.named.insert(Arc::clone(name), position);
            }
            EntryId::Connection { connection_id, msg_serial } => {
                let new = Sent { msg_serial: *msg_serial, position };
                match self.sent.get_mut(connection_id) {
                    Some(sent) => {
                        let at = sent.partition_point(|sent| sent.msg_serial < new.msg_serial);
                        sent.insert(at, new);
                    }
                    None => {
                        self.sent.insert(connection_id.clone(), VecDeque::from([new]));
                    }
                }
            }
        }
    }

    pub(crate) fn remove(&mut self, id: &EntryId) {
        match id {
            EntryId::Named(name) => {
                self.named.remove(name);
            }
            EntryId::Connection { connection_id, msg_serial } => {
                let Some(sent) = self.sent.get_mut(connection_id) else { return };
                if sent.pop_front_if(|first| first.msg_serial == *msg_serial).is_none() {
                    sent.retain(|sent| sent.msg_serial != *msg_serial);
                }
                if sent.is_empty() {
                    self.sent.remove(connection_id);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_id() -> impl Strategy<Value = EntryId> {
        let connection = (0..3_u8, 0..20_i64).prop_map(|(connection, msg_serial)| {
            let connection_id = ConnectionId::new(connection.to_string());
            EntryId::Connection { connection_id, msg_serial }
        });
        let named = (0..9_u8).prop_map(|name| EntryId::Named(name.to_string().into()));
        prop_oneof![4 => connection, 1 => named]
    }

    fn is_later(one: &EntryId, other: &EntryId) -> bool {
        match (one, other) {
            (
                EntryId::Connection { connection_id, msg_serial },
                EntryId::Connection { connection_id: same, msg_serial: before },
            ) => connection_id == same && msg_serial > before,
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn it_is_a_map_of_ids(steps in prop::collection::vec((any_id(), any::<bool>()), 0..90)) {
            let (mut positions, mut map) = (Positions::default(), BTreeMap::new());
            for (position, (id, is_new)) in (0..).zip(steps) {
                if !is_new {
                    positions.remove(&id);
                    map.remove(&id);
                } else if !map.contains_key(&id) {
                    positions.insert(&id, position);
                    map.insert(id.clone(), position);
                }
                for known in map.keys().chain([&id]) {
                    prop_assert_eq!(positions.get(known), map.get(known).copied());
                    let has_later = map.keys().any(|other| is_later(other, known));
                    prop_assert_eq!(positions.has_later(known), has_later);
                }
            }
            map.keys().for_each(|id| positions.remove(id));
            prop_assert!(positions.sent.is_empty() && positions.named.is_empty());
        }
    }
}
