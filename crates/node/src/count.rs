//! What is counted for the statistics of an app, and where: publishes when their outcome is known,
//! deliveries when they leave, requests when they are answered. What leaves counts against the
//! app's limits as well.
//!
//! Not counted: what a session refuses before it reaches a channel.

use auth::Operation;
use protocol::{Action, ProtocolMessage};
use push::{Lasting, Transport};
use session::Deltas;
use smallvec::smallvec;
use stats::{Batches, Class, Fixture, Notifications, Query, Totals, Traffic};
use types::error::{self, ErrorInfo};
use types::{
    Accepted, Annotation, AppId, Body, Entry, Grouping, Message, ObjectMessage, PresenceMessage,
    Timestamp,
};

use crate::event::{Caller, ChannelKey, Response};
use crate::fanout::Sent;
use crate::node::{Node, Publisher, Requester, SessionKey};

/// What a request counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    Token,
    Push,
    Other,
}

/// Whose request it is, and what it counts as.
pub(crate) type Asker = (AppId, RequestKind);

/// Messages on their way, as they are counted.
#[derive(Clone, Copy, Debug)]
pub struct Volume {
    class: Class,
    count: u64,
    bytes: u64,
}

impl Volume {
    /// What a response carries out.
    pub fn of_response(response: &Response) -> Option<Self> {
        if let Response::History(page) = response {
            let volumes = page.items.iter().map(|(entry, index)| Self::of_item(entry, *index));
            Some(volumes.fold(Self::none(), Self::and))
        } else if let Response::Presence(page) = response {
            Some(Self::of_presence(&page.members))
        } else {
            None
        }
    }

    fn of_presence(all: &[PresenceMessage]) -> Self {
        let bytes = number(all.iter().map(PresenceMessage::size).sum());
        Self { class: Class::Presence, count: number(all.len()), bytes }
    }

    fn of_item(entry: &Entry, index: usize) -> Self {
        let bytes = match &entry.body {
            Body::Messages(all) => all.get(index).map(Message::size),
            Body::Presence(all) => all.get(index).map(PresenceMessage::size),
            Body::Annotations(all) => all.get(index).map(Annotation::size),
            Body::Objects(all) => all.get(index).map(ObjectMessage::size),
        };
        Self { class: class_of(&entry.body), count: 1, bytes: number(bytes.unwrap_or_default()) }
    }

    /// What a frame delivers, if that is anything that was published.
    fn of_frame(frame: &ProtocolMessage) -> Option<Self> {
        let ProtocolMessage { action, messages, annotations, presence, .. } = frame;
        if *action == Action::Message {
            let bytes = number(messages.iter().map(Message::size).sum());
            Some(Self { class: Class::Messages, count: number(messages.len()), bytes })
        } else if *action == Action::Annotation {
            let bytes = number(annotations.iter().map(Annotation::size).sum());
            Some(Self { class: Class::Annotations, count: number(annotations.len()), bytes })
        } else {
            (*action == Action::Presence).then(|| Self::of_presence(presence))
        }
    }

    pub(crate) fn of(body: &Body) -> Self {
        Self::sized(body, body.size())
    }

    /// As [`Self::of`], of a body whose size is known.
    pub(crate) fn sized(body: &Body, size: usize) -> Self {
        Self { class: class_of(body), count: number(body.len()), bytes: number(size) }
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
    /// What was refused before a channel could decide.
    pub(crate) fn count_refused(
        &mut self,
        now: Timestamp,
        app: &AppId,
        publisher: &Publisher,
        volume: Volume,
        error: &ErrorInfo,
    ) {
        if let Some(state) = self.apps.get_mut(app) {
            count_outcome(state.stats.at(now), publisher, volume, Some(error));
        }
    }

    /// What was delivered, each to so many attachments.
    pub(crate) fn count_deliveries(&mut self, now: Timestamp, app: &AppId, sent: Sent) {
        let Some(state) = self.apps.get_mut(app) else { return };
        for (volume, copies) in sent {
            let volume = volume.times(copies);
            volume.add_to(&mut state.stats.at(now).outbound.realtime);
            state.usage.deliver(now, &state.app.limits, volume.count, volume.bytes);
        }
    }

    /// What a session delivers itself: a replay.
    pub(crate) fn count_replay(
        &mut self,
        now: Timestamp,
        key: SessionKey,
        frame: &ProtocolMessage,
    ) {
        let Some(volume) = Volume::of_frame(frame) else { return };
        let app = self.sessions.get(key).map(|slot| slot.session.app_id().clone());
        if let Some(app) = app {
            self.count_deliveries(now, &app, smallvec![(volume, 1)]);
        }
    }

    /// What a channel made of its messages when it delivered them.
    pub(crate) fn count_processed(
        &mut self,
        now: Timestamp,
        key: ChannelKey,
        deltas: &Deltas,
        batches: usize,
    ) {
        let Some(slot) = self.channels.get(key) else { return };
        let Some(state) = self.apps.get_mut(&slot.app) else { return };
        let totals = state.stats.at(now);
        let (succeeded, failed) = deltas.made();
        totals.deltas.merge(&stats::Deltas {
            succeeded: number(succeeded),
            skipped: deltas.skipped(),
            failed: number(failed),
        });
        if let Some(grouped) = grouped(totals, slot.fanout.window.grouping()) {
            grouped.batches += number(batches);
        }
    }

    /// What a channel has decided of a publish.
    pub(crate) fn count_decided(
        &mut self,
        now: Timestamp,
        key: ChannelKey,
        publisher: &Publisher,
        volume: Volume,
        result: Result<&Accepted, &ErrorInfo>,
    ) {
        let Some(slot) = self.channels.get(key) else { return };
        let Some(state) = self.apps.get_mut(&slot.app) else { return };
        let totals = state.stats.at(now);
        count_outcome(totals, publisher, volume, result.err());
        let Ok(accepted) = result else { return };
        if accepted.dropped != 0 {
            totals.discarded += u64::from(accepted.dropped.count_ones());
        }
        let grouped = grouped(totals, slot.fanout.window.grouping());
        if let (Class::Messages, Some(grouped)) = (volume.class, grouped) {
            grouped.messages += volume.count;
        }
    }

    pub(crate) fn count_push(
        &mut self,
        now: Timestamp,
        app: &AppId,
        transport: Transport,
        failed: Option<Lasting>,
    ) {
        let Some(state) = self.apps.get_mut(app) else { return };
        let push = &mut state.stats.at(now).push;
        let Notifications { apns, fcm, web, total } = match failed {
            None => &mut push.delivered,
            Some(Lasting::No) => &mut push.refused,
            Some(Lasting::Yes) => &mut push.refused_finally,
        };
        *total += 1;
        match transport {
            Transport::Apns => *apns += 1,
            Transport::Fcm => *fcm += 1,
            Transport::Web => *web += 1,
            Transport::Channel => {}
        }
    }

    /// An entry that is in the store.
    pub(crate) fn count_persisted(&mut self, now: Timestamp, key: ChannelKey, entry: &Entry) {
        let Some(slot) = self.channels.get(key) else { return };
        if let Some(state) = self.apps.get_mut(&slot.app) {
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
            RequestKind::Push => &mut totals.push_requests,
            RequestKind::Other => &mut totals.api_requests,
        };
        match error {
            None => requests.succeeded += 1,
            Some(error) if error.status >= 500 => requests.failed += 1,
            Some(_) => requests.refused += 1,
        }
    }

    /// What was delivered over REST.
    pub(crate) fn count_answer(&mut self, now: Timestamp, app: &AppId, volume: Volume) {
        let Some(state) = self.apps.get_mut(app) else { return };
        volume.add_to(&mut state.stats.at(now).outbound.rest);
        state.usage.deliver(now, &state.app.limits, volume.count, volume.bytes);
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

fn count_outcome(
    totals: &mut Totals,
    publisher: &Publisher,
    volume: Volume,
    error: Option<&ErrorInfo>,
) {
    let traffic = match publisher {
        Publisher::Session(_) => &mut totals.inbound.realtime,
        Publisher::Other(requester) => match &**requester {
            Requester::Request { .. }
            | Requester::Batch { .. }
            | Requester::Change { .. }
            | Requester::Chat(_)
            | Requester::Objects { .. } => &mut totals.inbound.rest,
            Requester::Push { .. } | Requester::Fixture(_) => return,
        },
    };
    match error {
        None => volume.add_to(traffic),
        Some(error) if error.status >= 500 => {
            traffic.class(volume.class).failed += volume.count;
        }
        Some(_) => traffic.class(volume.class).refused += volume.count,
    }
}

/// Where the messages of a channel count whose messages are grouped.
fn grouped<'a>(totals: &'a mut Totals, grouping: &Grouping) -> Option<&'a mut Batches> {
    match grouping {
        Grouping::Batching { .. } => Some(&mut totals.batching),
        Grouping::Conflation { .. } => Some(&mut totals.conflation),
        Grouping::None => None,
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
