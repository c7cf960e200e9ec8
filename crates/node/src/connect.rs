//! A transport that wants to be a connection: who it is, and whether it continues an earlier one.

use std::sync::Arc;

use auth::{Credentials, Principal, ResumeKey};
use protocol::{Action, Format, ProtocolMessage};
use session::{Connect, Context, Params, Session, TransportId, is_retryable};
use types::error::{self, ErrorInfo};
use types::{ConnectionId, Metachannel, Timestamp, random_text};

use crate::apps::{admit, identify};
use crate::event::Effect;
use crate::node::{Node, SessionKey, SessionSlot};
use crate::origin::Origin;
use crate::work::Work;

const CONNECTION_ID_LENGTH: usize = 10;

/// How a client asks for a connection: with what parameters, and from where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dial<'a> {
    pub(crate) query: &'a [(String, String)],
    pub(crate) origin: &'a Origin,
}

/// A transport whose credentials were accepted.
struct Arrival {
    transport: TransportId,
    format: Format,
    params: Params,
    principal: Principal,
    origin: Option<Box<Origin>>,
}

/// What a resume key leads to.
enum Claim {
    /// A session of this incarnation.
    Live(SessionKey),
    /// A session of the incarnation before, whose state went with it.
    Restored(ResumeKey),
    /// None: the client gets a new connection, and the reason.
    Lost(ErrorInfo),
}

impl Node {
    pub(crate) fn connect(
        &mut self,
        now: Timestamp,
        transport: TransportId,
        format: Format,
        dial: Dial<'_>,
    ) {
        if let Err(error) = self.try_connect(now, transport, format, dial) {
            self.tell_connection_refused(now, dial, &error);
            // What another attempt may mend is DISCONNECTED, the rest fails the connection.
            let action = if is_retryable(&error) { Action::Disconnected } else { Action::Error };
            self.refuse(transport, format, action, error);
        }
    }

    pub(crate) fn refuse(
        &mut self,
        transport: TransportId,
        format: Format,
        action: Action,
        error: ErrorInfo,
    ) {
        let mut frame = ProtocolMessage::new(action);
        frame.error = Some(error);
        self.effects.push(Effect::Send { transport, frame: protocol::encode(&frame, format) });
        self.effects.push(Effect::Close(transport));
    }

    fn try_connect(
        &mut self,
        now: Timestamp,
        transport: TransportId,
        format: Format,
        dial: Dial<'_>,
    ) -> Result<(), ErrorInfo> {
        let params = Params { security: dial.origin.source.security, ..Params::parse(dial.query)? };
        let pairs = dial.query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let credentials = Credentials::from_query(pairs)?
            .ok_or_else(|| error::UNAUTHORIZED.with("no credentials"))?;
        let principal = identify(
            &self.apps,
            &self.config.sealing_key,
            &credentials,
            params.client_id.as_deref(),
            auth::Place::Connect,
            now,
        )?;
        admit(&self.apps, &principal, params.client_type.as_deref(), &dial.origin.source)?;
        let claim = match &params.resume {
            None => None,
            Some(key) => Some(self.claim(now, key, &principal)?),
        };
        let listened = self.audience(now, &principal.app_id, Metachannel::ConnectionEvents);
        let origin = listened.map(|_| Box::new(dial.origin.clone()));
        let arrival = Arrival { transport, format, params, principal, origin };
        match claim {
            Some(Claim::Live(key)) => {
                self.resume(now, key, arrival);
                Ok(())
            }
            Some(Claim::Restored(resumed)) => {
                let epoch = resumed.epoch.saturating_add(1);
                self.open(now, resumed.connection_id, arrival, epoch, None)
            }
            Some(Claim::Lost(reason)) => {
                let id = self.new_connection_id();
                self.open(now, id, arrival, 0, Some(reason))
            }
            None => {
                let id = self.new_connection_id();
                self.open(now, id, arrival, 0, None)
            }
        }
    }

    /// Looks for the connection that `key` names (RTN15, RTN16).
    fn claim(&self, now: Timestamp, key: &str, principal: &Principal) -> Result<Claim, ErrorInfo> {
        let key = match ResumeKey::open(key, &self.config.sealing_key) {
            Ok(key) => key,
            Err(error) => return Ok(Claim::Lost(error)),
        };
        if let Some(live) = self.by_connection.get(&key.connection_id).copied()
            && let Some(slot) = self.sessions.get(live)
        {
            slot.session.principal().compatible_with(principal)?;
            return Ok(Claim::Live(live));
        }
        key.identity.compatible_with(&principal.identity())?;
        let ttl = std::time::Duration::from_millis(self.config.limits.connection_state_ttl_ms);
        let restored = self.config.previous.is_some_and(|previous| {
            previous.number == key.incarnation && now < previous.last_alive.plus(ttl)
        });
        if restored {
            Ok(Claim::Restored(key))
        } else {
            Ok(Claim::Lost(error::RESUME_FAILED.info()))
        }
    }

    fn open(
        &mut self,
        now: Timestamp,
        id: ConnectionId,
        mut arrival: Arrival,
        epoch: u32,
        reason: Option<ErrorInfo>,
    ) -> Result<(), ErrorInfo> {
        let origin = arrival.origin.take();
        let Arrival { transport, format, .. } = arrival;
        let connect = self.accept(now, &id, arrival, epoch);
        let connection_key = Arc::clone(&connect.connection_key);
        let Some(state) = self.apps.get_mut(&connect.principal.app_id) else {
            return Err(error::NOT_FOUND.info());
        };
        state.admit_connection(now)?;
        self.effects.push(Effect::Connected { transport, connection_key, supersedes: None });
        let mut effects = Vec::new();
        let mut ctx = Context {
            now,
            limits: &self.config.limits,
            app: &state.app,
            usage: &mut state.usage,
            identity: &self.config.identity,
            next_id: &mut self.next_id,
            effects: &mut effects,
        };
        let session = Session::open(&mut ctx, id.clone(), connect, reason);
        let slot = SessionSlot { session, format, opened_at: now, origin, published_on: None };
        self.tell_connection_opened(now, &slot);
        let key = self.sessions.insert(Box::new(slot));
        self.by_connection.insert(id, key);
        self.by_transport.insert(transport, key);
        self.agenda.add(&mut effects, |effect| Work::Session(key, effect));
        self.touch_session(key);
        Ok(())
    }

    fn resume(&mut self, now: Timestamp, key: SessionKey, arrival: Arrival) {
        let Some(slot) = self.sessions.get_mut(key) else { return };
        slot.format = arrival.format;
        let (id, epoch) = (slot.session.id().clone(), slot.session.epoch() + 1);
        let supersedes = slot.session.transport();
        self.by_transport.insert(arrival.transport, key);
        let connect = self.accept(now, &id, arrival, epoch);
        self.effects.push(Effect::Connected {
            transport: connect.transport,
            connection_key: Arc::clone(&connect.connection_key),
            supersedes,
        });
        self.on_session(now, key, |session, ctx| session.resume(ctx, connect));
    }

    fn accept(
        &mut self,
        now: Timestamp,
        id: &ConnectionId,
        arrival: Arrival,
        epoch: u32,
    ) -> Connect {
        let Arrival { transport, params, principal, .. } = arrival;
        let connection_key = self.seal_key(now, id.clone(), &principal, epoch);
        Connect { transport, params, principal, connection_key, epoch }
    }

    pub(crate) fn seal_key(
        &mut self,
        now: Timestamp,
        connection_id: ConnectionId,
        principal: &Principal,
        epoch: u32,
    ) -> Arc<str> {
        let key = ResumeKey {
            connection_id,
            identity: principal.identity(),
            node: Arc::clone(&self.config.identity.server_id),
            incarnation: self.config.incarnation,
            epoch,
            issued: now,
        };
        key.seal(&self.config.sealing_key, &mut self.rng).into()
    }

    /// AUTH on a live connection (RTC8).
    pub(crate) fn authenticate(&mut self, now: Timestamp, key: SessionKey, token: &str) {
        let Some(slot) = self.sessions.get(key) else { return };
        let (id, epoch) = (slot.session.id().clone(), slot.session.epoch());
        let requested = slot.session.requested_client_id().map(str::to_owned);
        let transport = slot.session.transport();
        let result = identify(
            &self.apps,
            &self.config.sealing_key,
            &Credentials::Token(token.to_owned()),
            requested.as_deref(),
            auth::Place::Connect,
            now,
        );
        let result = result.map(|principal| {
            let key = self.seal_key(now, id, &principal, epoch);
            if let Some(transport) = transport {
                let connection_key = Arc::clone(&key);
                self.effects.push(Effect::Connected {
                    transport,
                    connection_key,
                    supersedes: None,
                });
            }
            (principal, key)
        });
        self.on_session(now, key, |session, ctx| session.authenticated(ctx, result));
    }

    pub(crate) fn new_connection_id(&mut self) -> ConnectionId {
        ConnectionId::new(random_text(&mut self.rng, CONNECTION_ID_LENGTH))
    }
}
