//! What a node gets back at its start, before it serves anybody: records one by one, and the objects
//! of channel after channel, in any order.
//!
//! Records are what the node keeps of its apps beside history. Memory is changed at once; whoever
//! asked for the change is answered when it is durable.

use std::sync::Arc;

use types::error::{self, ErrorInfo};
use types::{
    AppId, ChannelName, Entry, ObjectsSnapshot, Record, RecordChange, RecordKind, Timestamp,
};

use crate::count::Asker;
use crate::event::{Effect, RequestId, Response, Ticket};
use crate::node::Node;

/// A record that cannot be read, and was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged;

/// The objects of a channel, as earlier runs of the node kept them.
#[derive(Debug)]
pub struct KeptObjects {
    pub app: AppId,
    pub name: ChannelName,
    pub snapshot: Option<ObjectsSnapshot>,
    pub operations: Vec<Arc<Entry>>,
}

/// An answer that waits until records are durable.
#[derive(Debug)]
pub(crate) struct Unkept {
    request: RequestId,
    asker: Option<Asker>,
    response: Response,
}

impl Node {
    /// Takes back a record that an earlier run of the node kept.
    pub fn restore(&mut self, now: Timestamp, record: &Record) -> Result<(), Damaged> {
        let Record { id, value } = record;
        match id.kind {
            RecordKind::Passing => {
                self.keep(vec![RecordChange::DeleteApp(id.app.clone())]);
                Ok(())
            }
            RecordKind::Revocation => self.restore_revocation(now, id, value),
            RecordKind::Channel => self.restore_channel(id),
            RecordKind::PushDevice => self.restore_device(id, value),
            RecordKind::PushSubscription => self.restore_subscription(id),
            RecordKind::Statistics => self.restore_stats(id, value),
        }
    }

    /// Takes back the objects of a channel, which is active from then on for as long as it has any.
    pub fn restore_objects(&mut self, now: Timestamp, kept: KeptObjects) {
        let KeptObjects { app, name, snapshot, operations } = kept;
        let Some(key) = self.open_channel(now, &app, &name) else { return };
        if let Some(slot) = self.channels.get_mut(key) {
            slot.host.restore_objects(now, snapshot, operations);
        }
        self.on_channel(now, key, channel::Event::Tick);
        self.work_off(now);
    }

    /// Changes records, all of these or none; nobody waits for it.
    pub(crate) fn keep(&mut self, changes: Vec<RecordChange>) {
        self.effects.push(Effect::Keep { ticket: None, changes });
    }

    /// Changes records, all of these or none, and answers the request that is being handled when
    /// they are durable; 50003 if they are not. Returns the response if there is nothing to wait for.
    pub(crate) fn keep_and_answer(
        &mut self,
        request: RequestId,
        changes: Vec<RecordChange>,
        response: Response,
    ) -> Option<Response> {
        if changes.is_empty() {
            return Some(response);
        }
        let ticket = Ticket(self.next());
        let unkept = Unkept { request, asker: self.asker.take(), response };
        self.unkept.insert(ticket, unkept);
        self.effects.push(Effect::Keep { ticket: Some(ticket), changes });
        None
    }

    pub(crate) fn kept(&mut self, now: Timestamp, ticket: Ticket, outcome: Result<(), ErrorInfo>) {
        let Some(Unkept { request, asker, response }) = self.unkept.remove(&ticket) else { return };
        let response = outcome.map_or_else(Response::Error, |()| response);
        self.respond(now, request, asker, response);
    }
}

pub(crate) fn not_kept() -> ErrorInfo {
    error::TIMEOUT.with("the store could not be written; the outcome is unknown")
}
