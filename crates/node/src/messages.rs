//! REST on single messages: change one, annotate it, and read what became of it. What is read is
//! the store's, if the channel persists; else the message is as it was published.

use std::sync::Arc;

use auth::{Operation as Capability, Principal};
use channel::{MessageState, Publish, PublishToken};
use session::{
    change_owner, check_annotations, check_change, check_mutable, check_privileged,
    stamp_user_claim,
};
use types::error::{self, ErrorInfo};
use types::{
    Annotation, AppId, Body, ChannelName, ClientId, Direction, Entry, EntryId, ItemPosition,
    Message, Timestamp, random_text,
};

use crate::event::{Effect, RequestId, Response};
use crate::node::{Node, Requester};
use crate::rest::MESSAGE_ID_LENGTH;

/// What somebody wants to know of one message.
#[derive(Clone, Debug)]
pub enum What {
    Latest,
    Versions(VersionsQuery),
    /// What one client contributed to its summary; none means the caller.
    SummaryOf(Option<ClientId>),
}

#[derive(Clone, Copy, Debug)]
pub struct VersionsQuery {
    pub direction: Direction,
    pub limit: usize,
    /// Continue behind the version with this serial, in the query's direction.
    pub after: Option<ItemPosition>,
}

#[derive(Clone, Debug)]
pub struct VersionsPage {
    pub versions: Vec<Message>,
    pub next: Option<Arc<str>>,
}

#[derive(Clone, Debug)]
pub struct Question {
    pub message: ItemPosition,
    pub what: What,
}

impl Question {
    /// The answer, from all entries about the message, in the order of serials.
    pub fn answer(&self, entries: &[Arc<Entry>]) -> Response {
        let state = || MessageState::of(self.message, entries);
        let response = match &self.what {
            What::Latest => state().latest().map(Box::new).map(Response::Message),
            What::Versions(query) => {
                let versions = channel::versions(self.message, entries);
                (!versions.is_empty()).then(|| Response::Versions(query.page(versions)))
            }
            What::SummaryOf(None) => {
                return Response::Error(error::INVALID_PARAM.with("forClientId missing"));
            }
            What::SummaryOf(Some(client)) => {
                state().summary_of_client(client).map(Arc::new).map(Response::Summary)
            }
        };
        response.unwrap_or_else(|| Response::Error(not_found()))
    }
}

impl VersionsQuery {
    fn page(&self, mut versions: Vec<Message>) -> VersionsPage {
        if self.direction == Direction::Backwards {
            versions.reverse();
        }
        let lies_behind = |position: ItemPosition, after: ItemPosition| match self.direction {
            Direction::Forwards => position > after,
            Direction::Backwards => position < after,
        };
        versions.retain(|version| match (self.after, position_of(version)) {
            (Some(after), Some(position)) => lies_behind(position, after),
            (None, _) | (_, None) => true,
        });
        let more = versions.len() > self.limit;
        versions.truncate(self.limit);
        let next = versions.last().filter(|_| more).and_then(position_of);
        VersionsPage { versions, next: next.map(|next| next.to_string().into()) }
    }
}

/// Where a version lies among the others of its message.
fn position_of(version: &Message) -> Option<ItemPosition> {
    let of_change = version.version.as_ref().and_then(|version| version.serial.as_deref());
    of_change.or(version.serial.as_deref())?.parse().ok()
}

fn not_found() -> ErrorInfo {
    error::NOT_FOUND.with("no message with this serial")
}

fn parse_serial(serial: &str) -> Result<ItemPosition, ErrorInfo> {
    serial.parse().map_err(|_not_a_serial| not_found())
}

/// A message as a path names it.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) channel: &'a str,
    pub(crate) serial: &'a str,
}

impl Node {
    pub(crate) fn change(
        &mut self,
        now: Timestamp,
        id: RequestId,
        principal: &Principal,
        at: At<'_>,
        change: Message,
    ) -> Result<(), ErrorInfo> {
        let (name, publish) = self.check_change_at(now, principal, at, change)?;
        let app = principal.app_id.clone();
        let publisher = Requester::Change { id, app: app.clone() };
        self.publish_in(now, publisher.into(), &app, &name, publish);
        Ok(())
    }

    /// The publish that a change amounts to.
    pub(crate) fn check_change_at(
        &mut self,
        now: Timestamp,
        principal: &Principal,
        at: At<'_>,
        mut change: Message,
    ) -> Result<(ChannelName, Publish), ErrorInfo> {
        let operations = [
            Capability::MessageUpdateAny,
            Capability::MessageUpdateOwn,
            Capability::MessageDeleteAny,
            Capability::MessageDeleteOwn,
        ];
        let name = self.channel_for(principal, at.channel, &operations)?;
        check_privileged(principal, &name, [&change.extras])?;
        change.serial = Some(parse_serial(at.serial)?.to_string().into());
        let state = self.apps.get(&principal.app_id).ok_or_else(not_found)?;
        check_mutable(&state.app, &name)?;
        let named = check_change(principal, &state.app.limits, &mut change)?;
        let owner = change_owner(principal, &name, &change)?;
        let body = Body::Messages(vec![change]);
        let (_, publish) = self.publish_of(named, owner, body);
        self.take_claimed_rate(now, principal, &name, &publish)?;
        Ok((name, publish))
    }

    pub(crate) fn annotate(
        &mut self,
        now: Timestamp,
        id: RequestId,
        principal: &Principal,
        at: At<'_>,
        mut annotations: Vec<Annotation>,
    ) -> Result<(), ErrorInfo> {
        let name = self.channel_for(principal, at.channel, &[Capability::AnnotationPublish])?;
        check_privileged(principal, &name, annotations.iter().map(|item| &item.extras))?;
        let serial: Arc<str> = parse_serial(at.serial)?.to_string().into();
        for annotation in &mut annotations {
            annotation.message_serial = Some(Arc::clone(&serial));
        }
        let state = self.apps.get(&principal.app_id).ok_or_else(not_found)?;
        check_mutable(&state.app, &name)?;
        let named = check_annotations(principal, &state.app.limits, &mut annotations)?;
        let mut body = Body::Annotations(annotations);
        stamp_user_claim(principal, &name, &mut body);
        let (message_id, publish) = self.publish_of(named, None, body);
        self.take_claimed_rate(now, principal, &name, &publish)?;
        let channel = at.channel.to_owned();
        let app = principal.app_id.clone();
        let publisher = Requester::Request { id, app, channel, message_id };
        self.publish_in(now, publisher.into(), &principal.app_id.clone(), &name, publish);
        Ok(())
    }

    /// A publish, and the id that it has.
    fn publish_of(
        &mut self,
        named: Option<Arc<str>>,
        owner: Option<ClientId>,
        body: Body,
    ) -> (String, Publish) {
        let base = named.unwrap_or_else(|| random_text(&mut self.rng, MESSAGE_ID_LENGTH).into());
        let message_id = base.to_string();
        let token = PublishToken(self.next());
        let id = EntryId::Named(base);
        (message_id, Publish { token, id, connection_id: None, owner, body })
    }

    pub(crate) fn read_message(
        &mut self,
        id: RequestId,
        principal: &Principal,
        channel: &str,
        serial: &str,
        what: What,
    ) -> Result<Option<Response>, ErrorInfo> {
        let (operations, what): (&[Capability], _) = match what {
            What::Latest | What::Versions(_) => (&[Capability::History], what),
            What::SummaryOf(client) => (
                &[Capability::Subscribe, Capability::History],
                What::SummaryOf(client.or_else(|| principal.client_id().cloned())),
            ),
        };
        let name = self.channel_for(principal, channel, operations)?;
        let question = Question { message: parse_serial(serial)?, what };
        let app = principal.app_id.clone();
        Ok(self.answer_question(id, app, name, question))
    }

    /// The answer, or none if it comes from the store.
    pub(crate) fn answer_question(
        &mut self,
        id: RequestId,
        app: AppId,
        name: ChannelName,
        question: Question,
    ) -> Option<Response> {
        if self.persists(&app, &name) {
            self.effects.push(Effect::ReadMessage { request: id, app, name, question });
            return None;
        }
        let host = self.active(&app, &name).and_then(|host| self.channels.get(host));
        let published = host.and_then(|slot| slot.host.published(question.message));
        Some(question.answer(published.as_slice()))
    }

    /// Whether the channel is kept in the store.
    pub(crate) fn persists(&self, app: &AppId, name: &ChannelName) -> bool {
        self.apps.get(app).is_some_and(|state| state.app.persists(name))
    }
}
