//! Connections and requests as they are told on metachannels: who came, from where, with what
//! success. Credentials appear by type and name of the key.

use auth::{Credentials, Method, Principal};
use serde_json::{Map, Value, json};
use types::error::ErrorInfo;
use types::{AppId, Metachannel, Timestamp};

use crate::connect::Dial;
use crate::count::Asker;
use crate::event::{Caller, Effect, RequestId, Response};
use crate::metachannel::describe_error;
use crate::node::{Node, SessionSlot};
use crate::origin::Origin;

/// A request on its way whose end somebody waits to hear of.
#[derive(Debug)]
pub(crate) struct Watched {
    app: AppId,
    credential: Option<Credential>,
    origin: Origin,
}

/// What is told of a credential.
#[derive(Clone, Debug)]
pub(crate) struct Credential {
    kind: &'static str,
    key_name: Option<String>,
}

impl Credential {
    pub(crate) fn of(principal: &Principal) -> Self {
        let kind = match principal.method {
            Method::Basic => "key",
            Method::Token => "token",
            Method::Jwt => "jwt",
        };
        Self { kind, key_name: Some(format!("{}.{}", principal.app_id, principal.key_id)) }
    }

    /// Of one that was not accepted: what it says of itself.
    fn claimed(credentials: &Credentials) -> Self {
        match credentials {
            Credentials::Key(text) => {
                let name = text.split_once(':').map(|(name, _)| name.to_owned());
                Self { kind: "key", key_name: name }
            }
            Credentials::Token(_) => Self { kind: "token", key_name: None },
        }
    }

    fn describe(&self) -> Value {
        match &self.key_name {
            Some(name) => json!({ "type": self.kind, "keyName": name }),
            None => json!({ "type": self.kind }),
        }
    }
}

impl Node {
    pub(crate) fn tell_connection_opened(&mut self, now: Timestamp, slot: &SessionSlot) {
        let app = slot.session.app_id().clone();
        let lifecycle = |_: &Self| describe_connection(slot).into();
        self.tell(now, &app, Metachannel::ConnectionLifecycle, "connection.opened", lifecycle);
        self.tell(now, &app, Metachannel::ConnectionEvents, "connection.opened", |node| {
            node.connection_event(slot).into()
        });
    }

    /// Without a reason the client closed it.
    pub(crate) fn tell_connection_closed(
        &mut self,
        now: Timestamp,
        slot: &SessionSlot,
        reason: Option<&ErrorInfo>,
    ) {
        let app = slot.session.app_id().clone();
        let lifecycle = |_: &Self| with_error(describe_connection(slot), reason);
        self.tell(now, &app, Metachannel::ConnectionLifecycle, "connection.closed", lifecycle);
        let event = if reason.is_some() { "connection.failed" } else { "connection.closed" };
        self.tell(now, &app, Metachannel::ConnectionEvents, event, |node| {
            let mut fields = node.connection_event(slot);
            fields.insert("duration".into(), now.0.saturating_sub(slot.opened_at.0).into());
            with_error(fields, reason)
        });
    }

    /// A connection that was not made. Whose app it was about is only what its credentials claim.
    pub(crate) fn tell_connection_refused(
        &mut self,
        now: Timestamp,
        dial: Dial<'_>,
        error: &ErrorInfo,
    ) {
        let pairs = dial.query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let Ok(Some(credentials)) = Credentials::from_query(pairs) else { return };
        let Some(app) = credentials.claimed_app().map(AppId::from) else { return };
        let event = if error.status >= 500 { "connection.failed" } else { "connection.refused" };
        self.tell(now, &app, Metachannel::ConnectionEvents, event, |node| {
            let credential = Credential::claimed(&credentials);
            with_error(node.origin_fields(Some(dial.origin), Some(&credential)), Some(error))
        });
    }

    /// Notes a request if somebody waits to hear of its end. Whose app it is about, its credentials
    /// claim, if they were not accepted.
    pub(crate) fn watch_request(
        &mut self,
        now: Timestamp,
        id: RequestId,
        origin: Origin,
        (asker, credential): (Option<&Asker>, Option<Credential>),
        caller: &Caller,
    ) {
        let credentials = caller.credentials.as_ref();
        let claimed = || credentials.and_then(Credentials::claimed_app).map(AppId::from);
        let Some(app) = asker.map(|(app, _)| app.clone()).or_else(claimed) else { return };
        let listened = self.audience(now, &app, Metachannel::RequestEvents).is_some();
        if !listened || origin.is_about_metachannel() {
            return;
        }
        let credential = credential.or_else(|| credentials.map(Credential::claimed));
        self.watched.insert(id, Watched { app, credential, origin });
    }

    /// Tells of the watched requests that have their answer, or whose answer is the store's.
    pub(crate) fn tell_answered(&mut self, now: Timestamp) {
        if self.watched.is_empty() {
            return;
        }
        let mut answered = Vec::new();
        for effect in &self.effects {
            let (id, error) = if let Effect::Reply { request, response } = effect {
                (request, if let Response::Error(error) = response { Some(error) } else { None })
            } else if let Effect::ReadHistory { request, .. }
            | Effect::ReadMessage { request, .. } = effect
            {
                (request, None)
            } else {
                continue;
            };
            answered.extend(self.watched.remove(id).map(|watched| (watched, error.cloned())));
        }
        for (Watched { app, credential, origin }, error) in answered {
            let event = match &error {
                None => "request.succeeded",
                Some(error) if error.status >= 500 => "request.failed",
                Some(_) => "request.refused",
            };
            self.tell(now, &app, Metachannel::RequestEvents, event, |node| {
                with_error(node.origin_fields(Some(&origin), credential.as_ref()), error.as_ref())
            });
        }
    }

    fn connection_event(&self, slot: &SessionSlot) -> Map<String, Value> {
        let credential = Credential::of(slot.session.principal());
        let mut fields = self.origin_fields(slot.origin.as_deref(), Some(&credential));
        fields.extend(describe_connection(slot));
        fields
    }

    fn origin_fields(
        &self,
        origin: Option<&Origin>,
        credential: Option<&Credential>,
    ) -> Map<String, Value> {
        let mut fields = origin.map(Origin::describe).unwrap_or_default();
        fields.insert("region".into(), self.config.identity.site.as_str().into());
        fields.extend(credential.map(|c| ("credential".to_owned(), c.describe())));
        fields
    }
}

fn describe_connection(slot: &SessionSlot) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("connectionId".into(), slot.session.id().as_str().into());
    let client_id = slot.session.principal().client_id();
    fields.extend(client_id.map(|id| ("clientId".to_owned(), id.as_str().into())));
    fields
}

fn with_error(mut fields: Map<String, Value>, error: Option<&ErrorInfo>) -> Value {
    fields.extend(error.map(|error| ("error".to_owned(), describe_error(error).into())));
    fields.into()
}
