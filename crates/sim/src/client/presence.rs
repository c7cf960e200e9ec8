//! The presence map of one channel (RTP2, RTP18, RTP19) and the members that the client entered itself
//! (RTP17).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::flags;
use types::{ClientId, ConnectionId, PresenceAction, PresenceMessage};

type Key = (ConnectionId, ClientId);

#[derive(Debug, Default)]
pub struct Presence {
    /// Members, and during a sync also those that left (as ABSENT).
    members: BTreeMap<Key, PresenceMessage>,
    /// Members that the sync has not named yet.
    residual: Option<BTreeSet<Key>>,
    sequence: Option<String>,
    own: BTreeMap<ClientId, PresenceMessage>,
}

impl Presence {
    /// The set as the application sees it.
    pub fn members(&self) -> impl Iterator<Item = &PresenceMessage> {
        self.members.values().filter(|member| member.action != PresenceAction::Absent)
    }

    pub fn is_synced(&self) -> bool {
        self.residual.is_none()
    }

    pub fn own(&self) -> impl Iterator<Item = &PresenceMessage> {
        self.own.values()
    }

    pub(super) fn attached(&mut self, set: u32) {
        if set & flags::HAS_PRESENCE != 0 {
            self.start_sync();
        } else {
            self.members.clear();
            self.residual = None;
        }
    }

    pub(super) fn left(&mut self) {
        self.own.clear();
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn sync(
        &mut self,
        serial: &str,
        items: &[PresenceMessage],
        own: Option<&ConnectionId>,
    ) {
        let (sequence, cursor) = serial.split_once(':').unwrap_or((serial, ""));
        let other = self.sequence.as_deref().is_some_and(|known| known != sequence);
        if self.residual.is_none() || other {
            self.start_sync();
        }
        self.sequence = Some(sequence.to_owned());
        self.apply(items, own);
        if cursor.is_empty() {
            self.end_sync();
        }
    }

    pub(super) fn apply(&mut self, items: &[PresenceMessage], own: Option<&ConnectionId>) {
        for item in items {
            let (Some(connection), Some(client)) = (&item.connection_id, &item.client_id) else {
                continue;
            };
            let key = (connection.clone(), client.clone());
            let mine = own == Some(connection);
            match item.action {
                PresenceAction::Enter | PresenceAction::Update | PresenceAction::Present => {
                    self.put(key, item);
                    let known = self.own.get(client);
                    if mine && known.is_none_or(|known| supersedes(item, known)) {
                        self.own.insert(client.clone(), item.clone());
                    }
                }
                PresenceAction::Leave => {
                    self.remove(key, item);
                    let known = self.own.get(client);
                    if mine
                        && parse_id(item).is_some()
                        && known.is_some_and(|known| supersedes(item, known))
                    {
                        self.own.remove(client);
                    }
                }
                PresenceAction::Absent => {}
            }
        }
    }

    fn put(&mut self, key: Key, item: &PresenceMessage) {
        if let Some(residual) = &mut self.residual {
            residual.remove(&key);
        }
        if self.members.get(&key).is_none_or(|known| is_newer(item, known)) {
            self.members.insert(key, item.clone());
        }
    }

    fn remove(&mut self, key: Key, item: &PresenceMessage) {
        if self.members.get(&key).is_some_and(|known| !is_newer(item, known)) {
            return;
        }
        if self.residual.is_some() {
            let absent = PresenceMessage { action: PresenceAction::Absent, ..item.clone() };
            self.members.insert(key, absent);
        } else {
            self.members.remove(&key);
        }
    }

    fn start_sync(&mut self) {
        let present = |(key, member): (&Key, &PresenceMessage)| {
            (member.action != PresenceAction::Absent).then(|| key.clone())
        };
        self.residual = Some(self.members.iter().filter_map(present).collect());
    }

    fn end_sync(&mut self) {
        let residual = self.residual.take().unwrap_or_default();
        self.members.retain(|key, member| {
            member.action != PresenceAction::Absent && !residual.contains(key)
        });
        self.sequence = None;
    }
}

/// Own members are kept per client: what happens on a new connection is newer, whatever its msgSerial
/// says. Libraries that only compare as below enter a member again that has left.
fn supersedes(item: &PresenceMessage, known: &PresenceMessage) -> bool {
    item.connection_id != known.connection_id || is_newer(item, known)
}

/// RTP2b: events of servers are compared by time, others by msgSerial and index.
fn is_newer(item: &PresenceMessage, known: &PresenceMessage) -> bool {
    match (parse_id(item), parse_id(known)) {
        (Some(item), Some(known)) => item > known,
        _ => item.timestamp >= known.timestamp,
    }
}

/// msgSerial and index; none if a server made the event (RTP2b1).
fn parse_id(item: &PresenceMessage) -> Option<(i64, i64)> {
    let connection: &ConnectionId = item.connection_id.as_ref()?;
    let id: &Arc<str> = item.id.as_ref()?;
    let rest = id.strip_prefix(connection.as_str())?.strip_prefix(':')?;
    let (msg_serial, index) = rest.split_once(':')?;
    Some((msg_serial.parse().ok()?, index.parse().ok()?))
}
