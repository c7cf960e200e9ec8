//! Records: what the node keeps of its apps beside history, so that it survives a restart. Memory
//! is changed at once; whoever asked for the change is answered when it is durable.
//!
//! A node gets its records back before it serves anybody, one by one, in any order.

use types::error::{self, ErrorInfo};
use types::{Record, RecordChange, RecordKind, Timestamp};

use crate::count::Asker;
use crate::event::{Effect, RequestId, Response, Ticket};
use crate::node::Node;

/// A record that cannot be read, and was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged;

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
        }
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
