//! Presence at append: what a client asks for (ENTER, UPDATE, LEAVE) becomes what happened, judged
//! by the set as it will be once everything pending is committed.
//!
//! Invariant: only what changes nothing in the *committed* set is acknowledged without an entry.
//! While an event of the same member is pending, every further one is appended, because the
//! pending one may still fail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use types::{
    Body, ConnectionId, Data, Entry, EntryId, ErrorInfo, PresenceAction, PresenceMessage,
    Timestamp, error,
};

use crate::config::Limits;
use crate::fold::{Fold, Key, Member, events};

#[derive(Debug)]
pub(crate) struct Presence {
    committed: Fold,
    /// The last pending event of each member. Bounded by the pending entries.
    staged: BTreeMap<Key, Staged>,
    /// Counts the set with everything pending.
    totals: Totals,
    max_members: usize,
    max_data_bytes: usize,
}

#[derive(Debug)]
struct Staged {
    position: u64,
    shown: Option<Shown>,
}

/// Whether what is known of a member can still fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Committed,
    Uncommitted,
}

/// What later events of a member need to know of it.
#[derive(Clone, Debug)]
struct Shown {
    id: Option<Arc<str>>,
    data: Data,
    encoding: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    members: usize,
    data_bytes: usize,
}

impl Presence {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            committed: Fold::new(limits.retention),
            staged: BTreeMap::new(),
            totals: Totals::default(),
            max_members: limits.presence_members,
            max_data_bytes: limits.presence_data_bytes,
        }
    }

    pub(crate) fn committed(&self) -> &Fold {
        &self.committed
    }

    pub(crate) fn expire(&mut self, now: Timestamp) {
        self.committed.expire(now);
    }

    /// The events that a publish amounts to; none if it changes nothing.
    pub(crate) fn resolve(
        &self,
        entry_id: &EntryId,
        connection: Option<&ConnectionId>,
        items: Vec<PresenceMessage>,
    ) -> Result<Vec<PresenceMessage>, ErrorInfo> {
        let mut totals = self.totals;
        let mut earlier: BTreeMap<Key, Option<Shown>> = BTreeMap::new();
        let mut resolved = Vec::with_capacity(items.len());
        for (index, mut item) in items.into_iter().enumerate() {
            let key = member_key(connection, &item)?;
            item.id.get_or_insert_with(|| format!("{entry_id}:{index}").into());
            item.timestamp = None;
            let staged = || self.staged.get(&key).map(|staged| staged.shown.clone());
            let (before, standing) = match earlier.get(&key).cloned().or_else(staged) {
                Some(shown) => (shown, Standing::Uncommitted),
                None => (self.committed.get(&key).map(Shown::member), Standing::Committed),
            };
            let Some(action) = outcome(&item, before.as_ref(), standing)? else { continue };
            item.action = action;
            if action == PresenceAction::Leave && matches!(item.data, Data::None) {
                let last = before.clone();
                (item.data, item.encoding) = last.map_or_else(Default::default, Shown::payload);
            }
            let after = Shown::after(&item);
            totals.replace(before.as_ref(), after.as_ref());
            self.check(&totals, before.as_ref(), after.as_ref())?;
            earlier.insert(key, after);
            resolved.push(item);
        }
        Ok(resolved)
    }

    /// Notes an entry that was appended and may still fail.
    pub(crate) fn stage(&mut self, entry: &Entry) {
        self.recount(entry, |presence| {
            for (_, key, item) in events(entry) {
                let staged = Staged { position: entry.position, shown: Shown::after(item) };
                presence.staged.insert(key, staged);
            }
        });
    }

    pub(crate) fn commit(&mut self, now: Timestamp, entry: &Entry) {
        self.recount(entry, |presence| {
            presence.unstage(entry);
            presence.committed.apply(now, entry);
        });
    }

    pub(crate) fn fail(&mut self, entry: &Entry) {
        self.recount(entry, |presence| presence.unstage(entry));
    }

    fn unstage(&mut self, entry: &Entry) {
        for (_, key, _) in events(entry) {
            if self.staged.get(&key).is_some_and(|staged| staged.position == entry.position) {
                self.staged.remove(&key);
            }
        }
    }

    /// Changes what is known of the members of `entry` and keeps the totals right.
    fn recount(&mut self, entry: &Entry, change: impl FnOnce(&mut Self)) {
        if !matches!(entry.body, Body::Presence(_)) {
            return;
        }
        let keys: BTreeSet<Key> = events(entry).map(|(_, key, _)| key).collect();
        for key in &keys {
            self.totals.replace(self.expected(key).as_ref(), None);
        }
        change(self);
        for key in &keys {
            self.totals.replace(None, self.expected(key).as_ref());
        }
    }

    /// The member once everything pending is committed.
    fn expected(&self, key: &Key) -> Option<Shown> {
        match self.staged.get(key) {
            Some(staged) => staged.shown.clone(),
            None => self.committed.get(key).map(Shown::member),
        }
    }

    fn check(
        &self,
        totals: &Totals,
        before: Option<&Shown>,
        after: Option<&Shown>,
    ) -> Result<(), ErrorInfo> {
        let joins = before.is_none() && after.is_some();
        if joins && self.max_members > 0 && totals.members > self.max_members {
            return Err(error::PRESENCE_MEMBER_LIMIT.info());
        }
        let grows = data_bytes(after) > data_bytes(before);
        if grows && self.max_data_bytes > 0 && totals.data_bytes > self.max_data_bytes {
            return Err(error::PRESENCE_DATA_LIMIT.info());
        }
        Ok(())
    }
}

impl Shown {
    fn member(member: &Arc<Member>) -> Self {
        Self {
            id: Some(member.id.clone()),
            data: member.data.clone(),
            encoding: member.encoding.clone(),
        }
    }

    /// The member after this event; none if it has left.
    fn after(item: &PresenceMessage) -> Option<Self> {
        (item.action != PresenceAction::Leave).then(|| Self {
            id: item.id.clone(),
            data: item.data.clone(),
            encoding: item.encoding.clone(),
        })
    }

    fn payload(self) -> (Data, Option<Arc<str>>) {
        (self.data, self.encoding)
    }
}

impl Totals {
    fn replace(&mut self, before: Option<&Shown>, after: Option<&Shown>) {
        self.members = self.members + usize::from(after.is_some()) - usize::from(before.is_some());
        self.data_bytes = self.data_bytes + data_bytes(after) - data_bytes(before);
    }
}

fn data_bytes(shown: Option<&Shown>) -> usize {
    shown.map_or(0, |shown| shown.data.len())
}

fn member_key(connection: Option<&ConnectionId>, item: &PresenceMessage) -> Result<Key, ErrorInfo> {
    let client_id = item.client_id.clone().ok_or_else(|| error::PRESENCE_NO_CLIENT_ID.info())?;
    let connection = item.connection_id.as_ref().or(connection);
    let no_connection = || error::INVALID_PUBLISH.with("presence needs a realtime connection");
    Ok((connection.ok_or_else(no_connection)?.clone(), client_id))
}

/// The action that is stored and broadcast; none if the event changes nothing. A client that
/// re-enters after a resume repeats the id of its member (RTP17g): it is broadcast only if the
/// member is gone.
fn outcome(
    item: &PresenceMessage,
    member: Option<&Shown>,
    standing: Standing,
) -> Result<Option<PresenceAction>, ErrorInfo> {
    Ok(match (item.action, member) {
        (PresenceAction::Absent, _) => {
            return Err(error::INVALID_PUBLISH.with("a client cannot publish ABSENT"));
        }
        (PresenceAction::Leave, None) if standing == Standing::Committed => None,
        (PresenceAction::Leave, _) => Some(PresenceAction::Leave),
        (PresenceAction::Enter, Some(member))
            if standing == Standing::Committed && member.id == item.id =>
        {
            None
        }
        (PresenceAction::Enter | PresenceAction::Present | PresenceAction::Update, Some(_)) => {
            Some(PresenceAction::Update)
        }
        (PresenceAction::Enter | PresenceAction::Present | PresenceAction::Update, None) => {
            Some(PresenceAction::Enter)
        }
    })
}
