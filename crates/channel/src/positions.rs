//! Where pending entries are, by id: those of a connection in the order of their msgSerials, in which they
//! mostly come and go.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use types::{ConnectionId, EntryId};

use crate::ids::Standing;

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
    pub(crate) fn standing(&self, id: &EntryId) -> Standing<u64> {
        match id {
            EntryId::Named(name) => {
                self.named.get(name).map_or(Standing::New, |position| Standing::Known(*position))
            }
            EntryId::Connection { connection_id, msg_serial } => {
                let Some(sent) = self.sent.get(connection_id) else { return Standing::New };
                if sent.back().is_none_or(|latest| latest.msg_serial < *msg_serial) {
                    return Standing::New;
                }
                let at = sent.binary_search_by_key(msg_serial, |sent| sent.msg_serial).ok();
                let known = at.and_then(|at| sent.get(at));
                known.map_or(Standing::Late, |sent| Standing::Known(sent.position))
            }
        }
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
                    Some(sent) if sent.back().is_none_or(|last| last.msg_serial < *msg_serial) => {
                        sent.push_back(new);
                    }
                    Some(sent) => {
                        let at = sent.partition_point(|sent| sent.msg_serial < *msg_serial);
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
                    let has_later = map.keys().any(|other| is_later(other, known));
                    let otherwise = if has_later { Standing::Late } else { Standing::New };
                    let standing = map.get(known).map_or(otherwise, |at| Standing::Known(*at));
                    prop_assert_eq!(positions.standing(known), standing);
                }
            }
            map.keys().for_each(|id| positions.remove(id));
            prop_assert!(positions.sent.is_empty() && positions.named.is_empty());
        }
    }
}
