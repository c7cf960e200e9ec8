//! Publishing: a publish is recognised as a repeat, or checked and appended; an appended entry is
//! committed when it is durable, or if it need not be, when those before it are.
//!
//! Invariant (I5): the log, the presence set, subscribers and the publisher see an entry only when
//! it is committed.

use std::ops::Range;
use std::sync::Arc;

use smallvec::smallvec;
use types::{
    Accepted, Body, ClientId, ConnectionId, Entry, EntryId, ErrorInfo, ObjectAction, ObjectId,
    ObjectMessage, ObjectOperation, Timestamp, error,
};

use crate::Channel;
use crate::content::{Content, check_repeat};
use crate::event::{Effect, Publish};
use crate::ids::Standing;
use crate::log::{before, cursor_at};
use crate::objects::Objects;
use crate::pending::{Append, Wait, Waiters};
use crate::presence::Presence;

const NOTHING_APPENDED: Accepted = Accepted { serial: None, items: 0, dropped: 0 };

/// Objects that one entry deletes; more take further entries.
const DELETIONS: usize = 500;

/// What becomes an entry.
struct Draft {
    id: EntryId,
    content: Option<Content>,
    connection_id: Option<ConnectionId>,
    body: Body,
    /// As in [`Accepted`].
    dropped: u64,
    waiters: Waiters,
}

/// Where a publish stands when its event has been handled.
enum Progress {
    Known(Accepted),
    /// It is answered when its entry is committed, or has been already.
    Appended,
}

impl Channel {
    pub(crate) fn publish(&mut self, now: Timestamp, publish: Publish, effects: &mut Vec<Effect>) {
        let content = Content::of(&publish.id, &publish.body);
        self.publish_rest(now, publish, (content, 0), effects);
    }

    /// As [`Self::publish`], of what is left of a publish that said `content`, without the items that
    /// were dropped of it.
    pub(crate) fn publish_rest(
        &mut self,
        now: Timestamp,
        publish: Publish,
        of: (Option<Content>, u64),
        effects: &mut Vec<Effect>,
    ) {
        let token = publish.token;
        let result = match self.accept(now, publish, of, effects) {
            Ok(Progress::Appended) => return,
            Ok(Progress::Known(accepted)) => Ok(accepted),
            Err(error) => Err(error),
        };
        effects.push(Effect::Published { token, result });
    }

    /// The first pending entry is durable.
    pub(crate) fn stored(&mut self, now: Timestamp, position: u64, effects: &mut Vec<Effect>) {
        if let Some(append) = self.pending.settle(position) {
            self.commit(now, append, effects);
        }
        self.commit_ready(now, effects);
    }

    /// Commits what has only waited for its predecessors.
    fn commit_ready(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        while let Some(append) = self.pending.take_ready() {
            self.commit(now, append, effects);
        }
    }

    /// The first pending entry could not be stored. Its id is free again, its position is not.
    pub(crate) fn store_failed(
        &mut self,
        now: Timestamp,
        position: u64,
        effects: &mut Vec<Effect>,
    ) {
        let Some(append) = self.pending.settle(position) else { return };
        if is_of_server(append.entry.connection_id.as_ref(), &append.entry.body) {
            // A LEAVE that nobody repeats: better in memory only than a member for ever.
            self.commit(now, append, effects);
            return;
        }
        if let Some(place) = append.place {
            self.log.discard(place);
        }
        if let Some(presence) = &mut self.presence {
            presence.fail(&append.entry);
        }
        self.messages.fail(&append.entry);
        if let Some(objects) = &mut self.objects {
            objects.fail(&append.entry);
        }
        for token in append.waiters {
            let error = error::TIMEOUT.with("could not be stored");
            effects.push(Effect::Published { token, result: Err(error) });
        }
        self.commit_ready(now, effects);
    }

    /// Whether a publish with this id was accepted lately, or may still be: what waits to be judged is not
    /// looked through.
    pub fn may_know(&self, id: &EntryId) -> bool {
        self.knows(id)
            || self.pending.contains(id)
            || !(self.waiting.is_empty() && self.conflation.collected.is_empty())
    }

    fn accept(
        &mut self,
        now: Timestamp,
        publish: Publish,
        (content, dropped): (Option<Content>, u64),
        effects: &mut Vec<Effect>,
    ) -> Result<Progress, ErrorInfo> {
        let Publish { token, id, connection_id, owner, body } = publish;
        let standing = self.ids.standing(&id);
        if let Standing::Known((accepted, original)) = standing {
            return check_repeat(&id, original, content).map(|()| Progress::Known(accepted));
        }
        let deadline = now.plus(self.config.limits.publish_deadline);
        let pending = self.pending.standing(&id);
        if let Standing::Known(position) = pending
            && let Some(joined) = self.pending.join(position, (&id, content), token, deadline)
        {
            return joined.map(|()| Progress::Appended);
        }
        if standing == Standing::Late || pending == Standing::Late {
            // Refused before, and the refusal was lost: accepted now it would break the order.
            let message = "refused before; later publishes of the connection were accepted";
            return Err(error::INVALID_PUBLISH.with(message));
        }
        self.check_room(connection_id.as_ref(), &body)?;
        let Some(body) = self.resolve(&id, connection_id.as_ref(), owner.as_ref(), body)? else {
            self.ids.insert(now, &id, content, NOTHING_APPENDED);
            return Ok(Progress::Known(NOTHING_APPENDED));
        };
        self.check_rates(now, connection_id.as_ref(), &body)?;
        let draft = Draft { id, content, connection_id, body, dropped, waiters: smallvec![token] };
        self.append(now, draft, effects);
        Ok(Progress::Appended)
    }

    fn append(&mut self, now: Timestamp, draft: Draft, effects: &mut Vec<Effect>) {
        let Draft { id, content, connection_id, body, dropped, waiters } = draft;
        let serial = self.clock.next(now, self.series);
        self.position += 1;
        let (position, timestamp) = (self.position, Timestamp(serial.ms));
        let entry = Arc::new(Entry { id, serial, position, timestamp, connection_id, body });
        let place = (!entry.body.is_ephemeral()).then(|| self.log.lay(&entry));
        let stored = place.is_some() && self.is_stored(&entry.body);
        let wait = if stored { Wait::Store } else { Wait::Turn };
        let append = Append { entry, place, content, dropped, waiters, wait };
        let deadline = now.plus(self.config.limits.publish_deadline);
        if append.wait == Wait::Turn && self.pending.len() == 0 {
            self.commit(now, append, effects);
            return;
        }
        if append.wait == Wait::Store {
            effects.push(Effect::Store(Arc::clone(&append.entry)));
        }
        if append.place.is_some() {
            self.messages.stage(&append.entry);
            match append.entry.body {
                Body::Presence(_) => self.presence_mut().stage(&append.entry),
                Body::Objects(_) => self.objects_mut().stage(&append.entry),
                Body::Messages(_) | Body::Annotations(_) => {}
            }
        }
        self.pending.push(append, deadline);
    }

    /// Of what is kept: objects are durable in every namespace.
    fn is_stored(&self, body: &Body) -> bool {
        match body {
            Body::Objects(_) => true,
            Body::Messages(_) | Body::Annotations(_) | Body::Presence(_) => self.config.persisted,
        }
    }

    /// Deletes objects without use, by entries of the server's own.
    pub(crate) fn collect_objects(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let Some(objects) = &mut self.objects else { return };
        if objects.deadline().is_some_and(|at| at <= now) {
            effects.extend(objects.snapshot().map(Effect::StoreObjects));
        }
        for ids in objects.sweep(now).chunks(DELETIONS) {
            let delete = |id: &ObjectId| {
                let (object_id, action) = (id.clone(), ObjectAction::Delete);
                ObjectMessage::new(ObjectOperation { object_id, action })
            };
            // No client can publish under it.
            let connection_id = format!("collect-{}-{}", self.series, self.position);
            let connection_id = ConnectionId::new(connection_id);
            let draft = Draft {
                id: EntryId::Connection { connection_id, msg_serial: 0 },
                content: None,
                connection_id: None,
                body: Body::Objects(ids.iter().map(delete).collect()),
                dropped: 0,
                waiters: Waiters::new(),
            };
            self.append(now, draft, effects);
        }
    }

    fn commit(&mut self, now: Timestamp, append: Append, effects: &mut Vec<Effect>) {
        let Append { entry, place, content, dropped, waiters, wait: _ } = append;
        let items = entry.body.len() + dropped.count_ones() as usize;
        let accepted = Accepted { serial: Some(entry.serial), items, dropped };
        self.ids.insert(now, &entry.id, content, accepted);
        match place {
            Some(place) => self.keep(now, entry, place, effects),
            None => effects.push(Effect::Deliver { entry, cursor: self.log.head() }),
        }
        let published = |token| Effect::Published { token, result: Ok(accepted) };
        effects.extend(waiters.into_iter().map(published));
    }

    /// What the log holds at `place` is committed: it changes what the channel knows, and is delivered.
    fn keep(
        &mut self,
        now: Timestamp,
        entry: Arc<Entry>,
        place: Range<usize>,
        effects: &mut Vec<Effect>,
    ) {
        self.messages.commit(now, &entry);
        match entry.body {
            Body::Presence(_) => self.presence_mut().commit(now, &entry),
            Body::Objects(_) => self.objects_mut().commit(now, &entry),
            Body::Messages(_) | Body::Annotations(_) => {}
        }
        self.log.append(&entry, place, now);
        self.keep_last(&entry, effects);
        // A drop between the two repeats the summary, which changes nothing.
        if let Some(summary) = self.summary(&entry) {
            effects.push(Effect::Deliver { entry: Arc::new(summary), cursor: before(&entry) });
        }
        let cursor = cursor_at(&entry);
        effects.push(Effect::Deliver { entry, cursor });
        let snapshot = self.objects.as_mut().and_then(|objects| objects.snapshot_if_due());
        effects.extend(snapshot.map(Effect::StoreObjects));
    }

    pub(crate) fn check_room(
        &self,
        connection: Option<&ConnectionId>,
        body: &Body,
    ) -> Result<(), ErrorInfo> {
        if body.is_empty() {
            return Err(error::INVALID_PUBLISH.with("nothing to publish"));
        }
        if is_of_server(connection, body) {
            // LEAVEs, of which there are at most as many as members: nobody would repeat them.
            return Ok(());
        }
        let ids = self.ids.len() + self.pending.len();
        if ids >= self.config.limits.ids {
            let message = "too many publishes within the deduplication window of the channel";
            return Err(error::CHANNEL_RATE_LIMIT.with(message));
        }
        if self.pending.is_full() {
            return Err(error::OVERLOADED.with("too many publishes wait to be stored"));
        }
        Ok(())
    }

    /// What is appended; none if the publish changes nothing.
    fn resolve(
        &self,
        id: &EntryId,
        connection: Option<&ConnectionId>,
        owner: Option<&ClientId>,
        body: Body,
    ) -> Result<Option<Body>, ErrorInfo> {
        match body {
            Body::Messages(messages) => self.resolve_messages(owner, messages).map(Some),
            Body::Annotations(_) => self.check_annotated(&body).map(|()| Some(body)),
            Body::Objects(ref messages) => {
                match &self.objects {
                    Some(objects) => objects.check(messages)?,
                    None => Objects::new(&self.config.limits).check(messages)?,
                }
                Ok(Some(body))
            }
            Body::Presence(items) => {
                let items = match &self.presence {
                    Some(presence) => presence.resolve(id, connection, items)?,
                    None => Presence::new(&self.config.limits).resolve(id, connection, items)?,
                };
                Ok((!items.is_empty()).then_some(Body::Presence(items)))
            }
        }
    }

    fn check_rates(
        &mut self,
        now: Timestamp,
        connection: Option<&ConnectionId>,
        body: &Body,
    ) -> Result<(), ErrorInfo> {
        if is_of_server(connection, body) {
            return Ok(());
        }
        let count = self.units(now, body);
        let limits = &self.config.limits;
        let units = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        if !self.message_rate.take(now, limits.message_rate, units(count)) {
            return Err(error::CHANNEL_RATE_LIMIT.info());
        }
        let bytes_per_second = limits.kib_rate.saturating_mul(1024);
        if !self.byte_rate.take(now, bytes_per_second, units(body.size())) {
            return Err(error::CHANNEL_BYTES_LIMIT.info());
        }
        Ok(())
    }
}

impl Publish {
    pub(crate) fn is_of_server(&self) -> bool {
        is_of_server(self.connection_id.as_ref(), &self.body)
    }
}

/// Presence events that the server publishes for lost connections are not limited: their members
/// would stay. There is at most one for each member of each session.
fn is_of_server(connection: Option<&ConnectionId>, body: &Body) -> bool {
    connection.is_none() && matches!(body, Body::Presence(_))
}
