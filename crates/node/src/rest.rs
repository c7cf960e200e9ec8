//! REST requests: authenticate, check, and answer from the cores; what only the store knows is
//! asked of the store.

use std::sync::Arc;

use auth::{Operation as Capability, Principal, ResumeKey};
use channel::{Publish, PublishToken};
use session::{check_messages, check_privileged, check_push, check_rules, stamp_user_claim};
use types::error::{self, ErrorInfo};
use types::{
    AppId, Body, ChannelName, ChannelRef, ConnectionId, Cursor, EntryId, HistoryPage, HistoryQuery,
    Kind, Message, PresenceAction, PresenceMessage, Timestamp, random_text,
};

use crate::apps::{admit, identify};
use crate::client_events::Credential;
use crate::count::{Asker, RequestKind, Volume};
use crate::event::{
    Caller, Effect, Operation, PresencePage, PresenceQuery, Request, RequestId, Response,
};
use crate::messages::At;
use crate::node::{Node, Requester};

/// Random characters of the id that a publish without one receives.
pub(crate) const MESSAGE_ID_LENGTH: usize = 12;

impl Node {
    pub(crate) fn handle_request(&mut self, now: Timestamp, id: RequestId, request: Request) {
        let Request { caller, operation, origin } = request;
        let answer = self.answer(now, id, &caller, operation);
        let asker = self.asker.take();
        let credential = self.credential.take();
        self.watch_request(now, id, origin, (asker.as_ref(), credential), &caller);
        match answer {
            Ok(None) => {}
            Ok(Some(response)) => self.respond(now, id, asker, response),
            Err(error) => self.respond(now, id, asker, Response::Error(error)),
        }
    }

    pub(crate) fn respond(
        &mut self,
        now: Timestamp,
        id: RequestId,
        asker: Option<Asker>,
        response: Response,
    ) {
        if let Some((app, kind)) = asker {
            let error = if let Response::Error(error) = &response { Some(error) } else { None };
            self.count_request(now, &app, kind, error);
            if let Some(volume) = Volume::of_response(&response) {
                self.count_answer(now, &app, volume);
            }
        }
        self.effects.push(Effect::Reply { request: id, response });
    }

    /// The response, or none if it follows later.
    #[expect(clippy::too_many_lines, reason = "one arm for each operation")]
    fn answer(
        &mut self,
        now: Timestamp,
        id: RequestId,
        caller: &Caller,
        operation: Operation,
    ) -> Result<Option<Response>, ErrorInfo> {
        self.security = caller.source.security;
        match operation {
            Operation::Publish { channel, messages } => {
                let principal = self.authenticate_caller(now, caller)?;
                self.publish_request(now, id, &principal, channel, messages)?;
                Ok(None)
            }
            Operation::BatchPublish(batch) => {
                let principal = self.authenticate_caller(now, caller)?;
                self.batch_publish(now, id, &principal, batch)?;
                Ok(None)
            }
            Operation::BatchPresence { channels } => {
                self.batch_presence(now, caller, channels).map(Some)
            }
            Operation::ChannelDetails { channel } => {
                let principal = self.authenticate_caller(now, caller)?;
                let details = self.channel_details(now, &principal, &channel)?;
                Ok(Some(Response::ChannelDetails(details)))
            }
            Operation::Channels(query) => {
                let principal = self.authenticate_caller(now, caller)?;
                Ok(Some(Response::Channels(self.enumerate(&principal, &query)?)))
            }
            Operation::History { channel, query, until } => {
                let principal = self.authenticate_caller(now, caller)?;
                self.listen(now, &principal, &channel)?;
                let page = self.history(id, &principal, &channel, query, until.as_deref())?;
                if page.is_none() {
                    // The store answers, and the node learns later how much.
                    self.count_request(now, &principal.app_id, RequestKind::Other, None);
                }
                Ok(page)
            }
            Operation::Change { channel, serial, change } => {
                let principal = self.authenticate_caller(now, caller)?;
                let at = At { channel: &channel, serial: &serial };
                self.change(now, id, &principal, at, change)?;
                Ok(None)
            }
            Operation::Annotate { channel, serial, annotations } => {
                let principal = self.authenticate_caller(now, caller)?;
                let at = At { channel: &channel, serial: &serial };
                self.annotate(now, id, &principal, at, annotations)?;
                Ok(None)
            }
            Operation::ReadMessage { channel, serial, what } => {
                let principal = self.authenticate_caller(now, caller)?;
                self.read_message(id, &principal, &channel, &serial, what)
            }
            Operation::Chat { room, message } => self.chat(now, id, caller, &room, message),
            Operation::Presence { channel, query } => {
                let principal = self.authenticate_caller(now, caller)?;
                let page = self.presence(&principal, &channel, &query)?;
                Ok(Some(Response::Presence(page)))
            }
            Operation::PublishObjects { channel, operations } => {
                self.publish_objects(now, id, caller, &channel, operations)?;
                Ok(None)
            }
            Operation::ReadObject(query) => self.read_object(now, caller, &query).map(Some),
            Operation::RequestToken { key_name, request } => {
                self.request_token(now, caller, &key_name, &request).map(Some)
            }
            Operation::RevokeTokens { key_name, request } => {
                self.revoke_tokens(now, id, caller, &key_name, request)
            }
            Operation::Push(request) => self.push_request(now, id, caller, request),
            Operation::CreateApp(spec) => self.create_app(now, id, &spec),
            Operation::DeleteApp(app) => self.delete_app(now, caller, &app).map(Some),
            Operation::Stats(query) => self.stats(now, caller, &query).map(Some),
            Operation::PostStats(fixtures) => self.post_stats(now, caller, &fixtures).map(Some),
        }
    }

    pub(crate) fn authenticate_caller(
        &mut self,
        now: Timestamp,
        caller: &Caller,
    ) -> Result<Principal, ErrorInfo> {
        let credentials = caller
            .credentials
            .as_ref()
            .ok_or_else(|| error::UNAUTHORIZED.with("no credentials"))?;
        let principal = identify(
            &self.apps,
            &self.config.sealing_key,
            credentials,
            caller.client_id.as_deref(),
            auth::Place::Rest,
            now,
        )?;
        self.asker = Some((principal.app_id.clone(), RequestKind::Other));
        self.credential = Some(Credential::of(&principal));
        admit(&self.apps, &principal, caller.client_type.as_deref(), &caller.source)?;
        if let Some(app) = self.apps.get_mut(&principal.app_id) {
            app.admit_request(now)?;
        }
        Ok(principal)
    }

    fn request_token(
        &mut self,
        now: Timestamp,
        caller: &Caller,
        key_name: &str,
        request: &auth::TokenRequest,
    ) -> Result<Response, ErrorInfo> {
        let basic = match caller.credentials {
            Some(_) if !request.is_signed() => Some(self.authenticate_caller(now, caller)?),
            Some(_) | None => None,
        };
        let app_id = key_name.split('.').next().unwrap_or_default();
        let state = self
            .apps
            .get_mut(&AppId::new(app_id))
            .ok_or_else(|| error::NOT_FOUND.with("unknown app or key"))?;
        self.asker = Some((state.app.id.clone(), RequestKind::Token));
        state.admit_token_request(now)?;
        if request.key_name != key_name {
            return Err(error::BAD_REQUEST.with("the key name of the path is not the request's"));
        }
        let grant = request.verify(&state.app, basic.as_ref(), &mut state.nonces, now)?;
        if let Some(key) = state.app.key(&grant.key_id) {
            auth::check_source(key, &caller.source)?;
        }
        let details = auth::issue(&grant, &self.config.sealing_key, now, &mut self.rng);
        Ok(Response::Token(details))
    }

    fn publish_request(
        &mut self,
        now: Timestamp,
        id: RequestId,
        principal: &Principal,
        channel: String,
        messages: Vec<Message>,
    ) -> Result<(), ErrorInfo> {
        let (name, publish, message_id) = self.check_publish(now, principal, &channel, messages)?;
        let publisher = Requester::Request {
            id,
            app: principal.app_id.clone(),
            channel,
            message_id: message_id.to_string(),
        };
        self.publish_in(now, publisher.into(), &principal.app_id.clone(), &name, publish);
        Ok(())
    }

    /// The publish that a request amounts to, and the id of its messages.
    pub(crate) fn check_publish(
        &mut self,
        now: Timestamp,
        principal: &Principal,
        channel: &str,
        mut messages: Vec<Message>,
    ) -> Result<(ChannelName, Publish, Arc<str>), ErrorInfo> {
        let name = self.channel_for(principal, channel, &[Capability::Publish])?;
        check_privileged(principal, &name, messages.iter().map(|message| &message.extras))?;
        let on_behalf = self.on_behalf_of(principal, &mut messages)?;
        let publisher = on_behalf.as_ref().map_or(principal, |(_, publisher)| publisher);
        let state = self.apps.get_mut(&principal.app_id).ok_or_else(|| error::NOT_FOUND.info())?;
        let named = check_messages(publisher, &state.app.limits, &mut messages)?;
        check_push(&state.app, &name, &messages)?;
        let mut body = Body::Messages(messages);
        let batched = state.app.batches(&name);
        let mut random = || Arc::from(random_text(&mut self.rng, MESSAGE_ID_LENGTH));
        let id = named.clone().filter(|_| !batched).unwrap_or_else(&mut random);
        let base = named.unwrap_or_else(|| Arc::clone(&id));
        stamp_user_claim(publisher, &name, &mut body);
        let publish = Publish {
            token: PublishToken(self.next()),
            id: EntryId::Named(id),
            connection_id: on_behalf.map(|(connection_id, _)| connection_id),
            owner: None,
            body,
        };
        self.take_claimed_rate(now, principal, &name, &publish)?;
        Ok((name, publish, base))
    }

    /// Counts a publish for the rate that its token sets, unless it repeats one that was accepted.
    pub(crate) fn take_claimed_rate(
        &mut self,
        now: Timestamp,
        principal: &Principal,
        channel: &ChannelName,
        publish: &Publish,
    ) -> Result<(), ErrorInfo> {
        let Some(limit) = principal.claims.publish_rate(channel) else { return Ok(()) };
        if self.knows(&principal.app_id, channel, publish) {
            return Ok(());
        }
        let key = (Arc::clone(principal.claims.token()), channel.clone());
        let count = u32::try_from(publish.body.len()).unwrap_or(u32::MAX);
        let state = self.apps.get_mut(&principal.app_id).ok_or_else(|| error::NOT_FOUND.info())?;
        state.claimed_rates.take(now, key, limit, count)
    }

    /// The connection whose key the messages carry, with its identity (TM2h).
    fn on_behalf_of(
        &self,
        principal: &Principal,
        messages: &mut [Message],
    ) -> Result<Option<(ConnectionId, Principal)>, ErrorInfo> {
        let mut keys = messages.iter_mut().map(|message| message.connection_key.take());
        let Some(key) = keys.next().flatten() else {
            return if keys.any(|key| key.is_some()) {
                Err(error::INVALID_CONNECTION_KEY.info())
            } else {
                Ok(None)
            };
        };
        if keys.any(|other| other.as_ref() != Some(&key)) {
            return Err(error::INVALID_CONNECTION_KEY.info());
        }
        let invalid = |_| error::INVALID_CONNECTION_KEY.info();
        let key = ResumeKey::open(&key, &self.config.sealing_key).map_err(invalid)?;
        let session = self
            .by_connection
            .get(&key.connection_id)
            .and_then(|session| self.sessions.get(*session))
            .filter(|slot| *slot.session.app_id() == principal.app_id)
            .ok_or_else(|| error::INVALID_CONNECTION_KEY.info())?;
        Ok(Some((key.connection_id, session.session.principal().clone())))
    }

    fn history(
        &mut self,
        id: RequestId,
        principal: &Principal,
        channel: &str,
        mut query: HistoryQuery,
        until: Option<&str>,
    ) -> Result<Option<Response>, ErrorInfo> {
        let operations: &[Capability] = match query.kind {
            Kind::Annotations => &[Capability::History, Capability::AnnotationSubscribe],
            Kind::Messages | Kind::Presence | Kind::Changes | Kind::Objects => {
                &[Capability::History]
            }
        };
        let name = self.channel_for(principal, channel, operations)?;
        if let Some(until) = until {
            let cursor = Cursor::decode(until, name.as_str())
                .or(Err(error::INVALID_HISTORY_POSITION.info()))?;
            query.until = Some(cursor);
        }
        let app = &principal.app_id;
        if self.persists(app, &name) {
            let app = app.clone();
            let query = Box::new(query);
            self.effects.push(Effect::ReadHistory { request: id, app, name, query });
            return Ok(None);
        }
        let host = self.active(app, &name).and_then(|host| self.channels.get(host));
        let page = match host {
            Some(slot) => slot.host.history(&query)?,
            None if query.until.is_some() => return Err(error::ATTACH_POINT_GONE.info()),
            None => HistoryPage::default(),
        };
        if page.items.is_empty() && self.keeps_last(app, &name) {
            let app = app.clone();
            let query = Box::new(query);
            self.effects.push(Effect::ReadHistory { request: id, app, name, query });
            return Ok(None);
        }
        Ok(Some(Response::History(page)))
    }

    fn keeps_last(&self, app: &AppId, name: &ChannelName) -> bool {
        let rules = self.apps.get(app).and_then(|state| state.app.namespace(name));
        rules.is_some_and(|rules| rules.persist_last)
    }

    pub(crate) fn presence(
        &self,
        principal: &Principal,
        channel: &str,
        query: &PresenceQuery,
    ) -> Result<PresencePage, ErrorInfo> {
        let either = [Capability::Presence, Capability::Subscribe];
        let name = self.channel_for(principal, channel, &either)?;
        let members = self
            .active(&principal.app_id, &name)
            .and_then(|host| self.channels.get(host))
            .map(|slot| slot.host.members());
        let mut selected = members
            .into_iter()
            .flatten()
            .map(|member| (format!("{}:{}", member.connection_id, member.client_id), member))
            .filter(|(key, _)| query.after.as_ref().is_none_or(|after| key > after))
            .filter(|(_, member)| {
                query.client_id.as_ref().is_none_or(|id| *id == member.client_id)
                    && query.connection_id.as_ref().is_none_or(|id| *id == member.connection_id)
            });
        let page: Vec<_> = selected.by_ref().take(query.limit).collect();
        let next = selected.next().and_then(|_| page.last().map(|(key, _)| key.clone()));
        let members = page
            .into_iter()
            .map(|(_, member)| PresenceMessage {
                id: Some(member.id.clone()),
                action: PresenceAction::Present,
                client_id: Some(member.client_id.clone()),
                connection_id: Some(member.connection_id.clone()),
                data: member.data.clone(),
                encoding: member.encoding.clone(),
                extras: member.extras.clone(),
                timestamp: Some(member.timestamp),
            })
            .collect();
        Ok(PresencePage { members, next })
    }

    /// The channel, if `principal` may do one of `operations` there.
    pub(crate) fn channel_for(
        &self,
        principal: &Principal,
        channel: &str,
        operations: &[Capability],
    ) -> Result<ChannelName, ErrorInfo> {
        let reference = ChannelRef::parse(channel)?;
        if reference.filter.is_some() {
            return Err(error::INVALID_CHANNEL_NAME.with("a derived channel can only be attached"));
        }
        let name = reference.name;
        let permitted = |operation| principal.capability.permits(name.as_str(), operation);
        if !operations.iter().copied().any(permitted) {
            return Err(error::CAPABILITY_MISSING.info());
        }
        if let Some(state) = self.apps.get(&principal.app_id) {
            check_rules(&state.app, &name, principal, self.security)?;
        }
        Ok(name)
    }
}
