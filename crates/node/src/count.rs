//! What is counted for the statistics of an app, and where: publishes when their outcome is known,
//! deliveries when they leave, requests when they are answered. What leaves counts against the
//! app's limits as well.
//!
//! Not counted: what a session refuses before it reaches a channel, replays, and what the store
//! answers without the node.

use auth::Operation;
use stats::{Class, Fixture, Query, Traffic};
use types::error::{self, ErrorInfo};
use types::{Annotation, AppId, Body, Entry, Message, ObjectMessage, PresenceMessage, Timestamp};

use crate::event::{Caller, Response};
use crate::node::{Node, Publisher};

/// What a request counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    Token,
    Other,
}

/// Whose request it is, and what it counts as.
pub(crate) type Asker = (AppId, RequestKind);

/// A publish on its way, as it will be counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Volume {
    class: Class,
    count: u64,
    bytes: u64,
}

impl Volume {
    pub(crate) fn of(body: &Body) -> Self {
        Self { class: class_of(body), count: number(body.len()), bytes: number(body.size()) }
    }

    /// Both, of one class, or what there is of the two.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { count: self.count + other.count, bytes: self.bytes + other.bytes, ..other }
    }

    pub(crate) fn none() -> Self {
        Self { class: Class::Messages, count: 0, bytes: 0 }
    }

    /// As a batch counts.
    pub(crate) fn as_one(self) -> Self {
        Self { count: 1, ..self }
    }

    pub(crate) fn count(self) -> u64 {
        self.count
    }

    /// As many copies of it.
    fn times(self, copies: usize) -> Self {
        let copies = number(copies);
        Self { count: self.count * copies, bytes: self.bytes * copies, ..self }
    }

    fn add_to(self, traffic: &mut Traffic) {
        traffic.class(self.class).add(self.count, self.bytes);
    }
}

impl Node {
    pub(crate) fn count_publish(
        &mut self,
        now: Timestamp,
        app: &AppId,
        publisher: &Publisher,
        volume: Volume,
        error: Option<&ErrorInfo>,
    ) {
        let Some(state) = self.apps.get_mut(app) else { return };
        let inbound = &mut state.stats.at(now).inbound;
        let traffic = match publisher {
            Publisher::Session(_) => &mut inbound.realtime,
            Publisher::Request { .. }
            | Publisher::Batch { .. }
            | Publisher::Change { .. }
            | Publisher::Chat(_)
            | Publisher::Objects { .. } => &mut inbound.rest,
            Publisher::Push { .. } | Publisher::Fixture(_) => return,
        };
        match error {
            None => volume.add_to(traffic),
            Some(error) if error.status >= 500 => {
                traffic.class(volume.class).failed += volume.count;
            }
            Some(_) => traffic.class(volume.class).refused += volume.count,
        }
    }

    /// What was delivered, each to so many attachments.
    pub(crate) fn count_deliveries(
        &mut self,
        now: Timestamp,
        app: &AppId,
        sent: Vec<(Volume, usize)>,
    ) {
        let Some(state) = self.apps.get_mut(app) else { return };
        for (volume, copies) in sent {
            let volume = volume.times(copies);
            volume.add_to(&mut state.stats.at(now).outbound.realtime);
            state.usage.deliver(now, &state.app.limits, volume.count, volume.bytes);
        }
    }

    /// An entry that is in the store.
    pub(crate) fn count_persisted(&mut self, now: Timestamp, app: &AppId, entry: &Entry) {
        if let Some(state) = self.apps.get_mut(app) {
            Volume::of(&entry.body).add_to(&mut state.stats.at(now).persisted);
        }
    }

    pub(crate) fn count_request(
        &mut self,
        now: Timestamp,
        app: &AppId,
        kind: RequestKind,
        error: Option<&ErrorInfo>,
    ) {
        let Some(state) = self.apps.get_mut(app) else { return };
        let totals = state.stats.at(now);
        let requests = match kind {
            RequestKind::Token => &mut totals.token_requests,
            RequestKind::Other => &mut totals.api_requests,
        };
        match error {
            None => requests.succeeded += 1,
            Some(error) if error.status >= 500 => requests.failed += 1,
            Some(_) => requests.refused += 1,
        }
    }

    /// What a response carries out.
    pub(crate) fn count_response(&mut self, now: Timestamp, app: &AppId, response: &Response) {
        let Some(state) = self.apps.get_mut(app) else { return };
        let outbound = &mut state.stats.at(now).outbound.rest;
        let mut deliver = |class, count, bytes| {
            outbound.class(class).add(count, bytes);
            state.usage.deliver(now, &state.app.limits, count, bytes);
        };
        if let Response::History(page) = response {
            for (entry, index) in &page.items {
                let bytes = match &entry.body {
                    Body::Messages(all) => all.get(*index).map(Message::size),
                    Body::Presence(all) => all.get(*index).map(PresenceMessage::size),
                    Body::Annotations(all) => all.get(*index).map(Annotation::size),
                    Body::Objects(all) => all.get(*index).map(ObjectMessage::size),
                };
                deliver(class_of(&entry.body), 1, number(bytes.unwrap_or_default()));
            }
        } else if let Response::Presence(page) = response {
            let bytes = page.members.iter().map(PresenceMessage::size).sum();
            deliver(Class::Presence, number(page.members.len()), number(bytes));
        }
    }

    pub(crate) fn stats(
        &mut self,
        now: Timestamp,
        caller: &Caller,
        query: &Query,
    ) -> Result<Response, ErrorInfo> {
        let principal = self.authenticate_caller(now, caller)?;
        if !principal.capability.permits_everywhere(Operation::Stats) {
            return Err(error::CAPABILITY_MISSING.info());
        }
        let app = principal.app_id;
        let state = self.apps.get_mut(&app).ok_or_else(|| error::NOT_FOUND.info())?;
        Ok(Response::Stats { page: state.stats.query(now, query)?, app })
    }

    pub(crate) fn post_stats(
        &mut self,
        now: Timestamp,
        caller: &Caller,
        fixtures: &[Fixture],
    ) -> Result<Response, ErrorInfo> {
        let principal = self.authenticate_caller(now, caller)?;
        let state = self.apps.get_mut(&principal.app_id);
        let state = state.ok_or_else(|| error::NOT_FOUND.info())?;
        fixtures.iter().try_for_each(|fixture| state.stats.insert(now, fixture))?;
        Ok(Response::Created)
    }
}

fn class_of(body: &Body) -> Class {
    match body {
        Body::Messages(_) => Class::Messages,
        Body::Presence(_) => Class::Presence,
        Body::Annotations(_) => Class::Annotations,
        Body::Objects(_) => Class::Objects,
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
