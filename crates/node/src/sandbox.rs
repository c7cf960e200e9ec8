//! Apps that come and go by request, for the test suites of client libraries. They live in memory
//! and end by themselves, at the latest with the run of the node; their records end with them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use channel::{Publish, PublishToken};
use types::error::{self, ErrorInfo};
use types::{
    Accepted, App, AppId, Body, ChannelName, ClientId, Data, EntryId, Key, PresenceAction,
    PresenceMessage, Record, RecordChange, RecordId, RecordKind, Restrictions, Timestamp,
    random_text,
};

use crate::apps::AppState;
use crate::event::{AppSpec, Caller, Effect, MemberSpec, RequestId, Response};
use crate::node::{Node, Requester, SessionKey};
use crate::timers::TimerKey;

const APP_LIFETIME: Duration = Duration::from_secs(60 * 60);
/// Sandbox apps at a time; creating one more is refused.
const MAX_APPS: usize = 10_000;
const ID_LENGTH: usize = 6;
const SECRET_LENGTH: usize = 32;
const FULL_CAPABILITY: &str = r#"{"*":["*"]}"#;

/// An app whose presence fixtures are still on their way.
#[derive(Debug)]
pub(crate) struct Fixtures {
    app: Arc<App>,
    remaining: usize,
}

impl Node {
    pub(crate) fn create_app(
        &mut self,
        now: Timestamp,
        id: RequestId,
        spec: &AppSpec,
    ) -> Result<Option<Response>, ErrorInfo> {
        if self.app_expiries.len() >= MAX_APPS {
            return Err(error::APP_LIMIT.info());
        }
        for namespace in &spec.namespaces {
            namespace.grouping()?;
        }
        let fixtures = spec
            .channels
            .iter()
            .filter(|channel| !channel.presence.is_empty())
            .map(|channel| {
                Ok((ChannelName::parse(channel.name.as_str())?, channel.presence.as_slice()))
            })
            .collect::<Result<Vec<_>, ErrorInfo>>()?;
        let keys = spec
            .keys
            .iter()
            .map(|key| {
                let capability = key.capability.as_deref().unwrap_or(FULL_CAPABILITY);
                // In the form in which tokens of the key say it: suites compare the two as text.
                let capability = auth::Capability::parse(capability)?.to_string();
                Ok(Key {
                    id: random_text(&mut self.rng, ID_LENGTH).into(),
                    secret: random_text(&mut self.rng, SECRET_LENGTH).into(),
                    capability: capability.into(),
                    revocable_tokens: key.revocable_tokens,
                    restrictions: Restrictions::default(),
                })
            })
            .collect::<Result<Vec<_>, ErrorInfo>>()?;
        let app = Arc::new(App {
            id: AppId::new(random_text(&mut self.rng, ID_LENGTH)),
            account_id: random_text(&mut self.rng, ID_LENGTH).into(),
            keys,
            namespaces: spec.namespaces.clone(),
            limits: spec.limits.to_limits(),
        });
        app.check_counts(&self.config.limits)?;
        self.apps.insert(app.id.clone(), AppState::new(Arc::clone(&app)));
        let passing = RecordId { app: app.id.clone(), kind: RecordKind::Passing, key: "".into() };
        self.keep(vec![RecordChange::Keep(Record { id: passing, value: Bytes::new() })]);
        let expiry = self.next();
        self.app_expiries.insert(expiry, app.id.clone());
        self.timers.set(TimerKey::App(expiry), Some(now.plus(APP_LIFETIME)));
        Ok(self.enter_fixtures(now, id, &app, fixtures))
    }

    /// Enters the members that the app is to have from the start, all on one connection.
    fn enter_fixtures(
        &mut self,
        now: Timestamp,
        id: RequestId,
        app: &Arc<App>,
        fixtures: Vec<(ChannelName, &[MemberSpec])>,
    ) -> Option<Response> {
        if fixtures.is_empty() {
            return Some(Response::AppCreated(Arc::clone(app)));
        }
        let connection_id = self.new_connection_id();
        self.fixtures.insert(id, Fixtures { app: Arc::clone(app), remaining: fixtures.len() });
        for (msg_serial, (name, members)) in (0_i64..).zip(fixtures) {
            let members = members.iter().map(|member| PresenceMessage {
                client_id: Some(ClientId::new(member.client_id.as_str())),
                data: member.data.as_deref().map_or(Data::None, |data| Data::Text(data.into())),
                encoding: member.encoding.as_deref().map(Into::into),
                ..PresenceMessage::new(PresenceAction::Enter)
            });
            let publish = Publish {
                token: PublishToken(self.next()),
                id: EntryId::Connection { connection_id: connection_id.clone(), msg_serial },
                connection_id: Some(connection_id.clone()),
                owner: None,
                body: Body::Presence(members.collect()),
            };
            self.publish_in(now, Requester::Fixture(id).into(), &app.id, &name, publish);
        }
        None
    }

    pub(crate) fn fixture_published(&mut self, id: RequestId, result: Result<Accepted, ErrorInfo>) {
        let Some(fixtures) = self.fixtures.get_mut(&id) else { return };
        fixtures.remaining -= 1;
        let response = match result {
            Err(error) => Response::Error(error),
            Ok(_) if fixtures.remaining > 0 => return,
            Ok(_) => Response::AppCreated(Arc::clone(&fixtures.app)),
        };
        self.fixtures.remove(&id);
        self.effects.push(Effect::Reply { request: id, response });
    }

    pub(crate) fn delete_app(
        &mut self,
        now: Timestamp,
        caller: &Caller,
        app: &AppId,
    ) -> Result<Response, ErrorInfo> {
        if self.authenticate_caller(now, caller)?.app_id != *app {
            return Err(error::FORBIDDEN.info());
        }
        let Some(expiry) =
            self.app_expiries.iter().find(|(_, id)| *id == app).map(|(expiry, _)| *expiry)
        else {
            return Err(error::FORBIDDEN.with("only sandbox apps can be deleted"));
        };
        self.timers.set(TimerKey::App(expiry), Some(now));
        Ok(Response::NoContent)
    }

    /// Ends an app: its connections fail, its channels are forgotten.
    pub(crate) fn expire_app(&mut self, now: Timestamp, expiry: u64) {
        let Some(app) = self.app_expiries.remove(&expiry) else { return };
        let sessions: Vec<SessionKey> = self
            .sessions
            .iter()
            .filter(|(_, slot)| *slot.session.app_id() == app)
            .map(|(key, _)| key)
            .collect();
        for key in sessions {
            self.on_session(now, key, |session, ctx| {
                session.fail(ctx, error::NOT_FOUND.with("the app was deleted"));
            });
            self.work_off(now);
        }
        let channels: Vec<_> =
            self.channels.iter().filter(|(_, slot)| slot.app == app).map(|(key, _)| key).collect();
        for key in channels {
            self.deactivate(now, key);
        }
        self.abandon_publishers(now);
        self.apps.remove(&app);
        self.keep(vec![RecordChange::DeleteApp(app)]);
    }

    /// Answers those who wait for channels that no longer exist.
    fn abandon_publishers(&mut self, now: Timestamp) {
        let Self { publishers, channels, .. } = self;
        for (token, waiting) in publishers.take_homeless(|key| channels.contains(key)) {
            let error = error::NOT_FOUND.with("the app was deleted");
            self.published(now, waiting.publisher, token, Err(error));
        }
    }
}
