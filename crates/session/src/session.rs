//! The session itself: its life from connect to close, and which frame goes where.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use auth::Principal;
use protocol::{Action, ConnectionDetails, ProtocolMessage};
use types::error::{self, ErrorInfo};
use types::{AppId, ChannelName, ClientId, ConnectionId, Rate, Timestamp};

use crate::ack::AckQueue;
use crate::attach::Attachment;
use crate::claims::ClaimedRates;
use crate::members::Members;
use crate::rollup::Rollup;
use crate::{Context, Draft, Effect, Params, TransportId};

/// Channels whose rates are remembered at a time; publishes on others are refused (42911).
const MAX_CLAIMED_RATES: usize = 1_000;

/// A transport that has been authenticated for a session.
#[derive(Debug)]
pub struct Connect {
    pub transport: TransportId,
    pub params: Params,
    pub principal: Principal,
    /// The sealed key with which the client may resume.
    pub connection_key: Arc<str>,
    /// Counts the transports of this connection.
    pub epoch: u32,
}

#[derive(Debug)]
pub struct Session {
    pub(crate) id: ConnectionId,
    pub(crate) principal: Principal,
    pub(crate) params: Params,
    pub(crate) transport: Option<TransportId>,
    pub(crate) epoch: u32,
    connection_key: Arc<str>,
    pub(crate) dropped_at: Option<Timestamp>,
    pub(crate) heartbeat_at: Option<Timestamp>,
    /// Pings that wait for their answer, and when it is due.
    pub(crate) pings: VecDeque<(Timestamp, Arc<str>)>,
    pub(crate) reattach_by: Option<Timestamp>,
    pub(crate) reauth_requested: bool,
    pub(crate) acks: AckQueue,
    /// Whether [`Session::acknowledge`] will be called.
    pub(crate) acks_due: bool,
    /// The highest msgSerial on this transport, and on those before it.
    pub(crate) last_msg_serial: Option<i64>,
    pub(crate) sent_before: Option<i64>,
    /// By the name that the client used. Boxed: a node of the tree has room for eleven, and most sessions
    /// have one.
    pub(crate) attachments: BTreeMap<Arc<str>, Box<Attachment>>,
    /// Where it published messages last, by a name without qualifier, and still may: most go on there. Forgotten
    /// when its credentials change, and when it attaches to anything.
    pub(crate) publishable: Option<ChannelName>,
    pub(crate) members: Members,
    /// Changes when the members had to leave.
    pub(crate) presence_life: u32,
    pub(crate) leaves: i64,
    pub(crate) publish_rate: Rate,
    pub(crate) fatal_rate: Rate,
    pub(crate) claimed_rates: ClaimedRates<ChannelName>,
    pub(crate) rollup: Rollup,
    /// Of the bytes that ATTACH and SYNC are answered with.
    pub(crate) answer_rate: Rate,
    frame_rate: Rate,
}

impl Session {
    /// A new connection. `error` says why it is not the one that the client wanted to resume.
    pub fn open(
        ctx: &mut Context<'_>,
        id: ConnectionId,
        connect: Connect,
        error: Option<ErrorInfo>,
    ) -> Self {
        let mut session = Self {
            id,
            principal: connect.principal,
            params: connect.params,
            transport: Some(connect.transport),
            epoch: connect.epoch,
            connection_key: connect.connection_key,
            dropped_at: None,
            heartbeat_at: None,
            pings: VecDeque::new(),
            reattach_by: None,
            reauth_requested: false,
            acks: AckQueue::default(),
            acks_due: false,
            last_msg_serial: None,
            sent_before: None,
            attachments: BTreeMap::new(),
            publishable: None,
            members: Members::default(),
            presence_life: connect.epoch,
            leaves: 0,
            publish_rate: Rate::default(),
            fatal_rate: Rate::default(),
            claimed_rates: ClaimedRates::new(MAX_CLAIMED_RATES),
            rollup: Rollup::default(),
            answer_rate: Rate::default(),
            frame_rate: Rate::default(),
        };
        session.schedule(ctx);
        session.send_connected(ctx, error);
        session
    }

    pub fn id(&self) -> &ConnectionId {
        &self.id
    }

    pub fn app_id(&self) -> &AppId {
        &self.principal.app_id
    }

    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The clientId that the client connected with, if it named one.
    pub fn requested_client_id(&self) -> Option<&str> {
        self.params.client_id.as_deref()
    }

    /// How long its appends to one message are gathered.
    pub fn append_rollup(&self) -> Duration {
        self.params.append_rollup
    }

    pub fn transport(&self) -> Option<TransportId> {
        self.transport
    }

    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The same connection on a new transport (RTN15c6). The client attaches its channels anew,
    /// each from its cursor, and sends again what was not acknowledged.
    pub fn resume(&mut self, ctx: &mut Context<'_>, connect: Connect) {
        if self.transport.is_some() {
            self.drop_transport(ctx);
        }
        self.principal = connect.principal;
        self.params = connect.params;
        self.publishable = None;
        self.transport = Some(connect.transport);
        self.epoch = connect.epoch;
        self.connection_key = connect.connection_key;
        self.dropped_at = None;
        self.reauth_requested = false;
        self.schedule(ctx);
        self.send_connected(ctx, None);
    }

    /// The transport is gone; what the session knows is kept for a resume.
    pub fn transport_lost(&mut self, ctx: &mut Context<'_>) {
        self.transport = None;
        self.dropped_at = Some(ctx.now);
        self.acks.clear();
        self.pings = VecDeque::new();
        self.sent_before = self.sent_before.max(self.last_msg_serial.take());
        for attachment in std::mem::take(&mut self.attachments).into_values() {
            let Attachment { channel, id, .. } = *attachment;
            ctx.effects.push(Effect::Detach { channel, attachment: id });
        }
    }

    /// Returns what the client publishes, to be published behind all effects: most of what comes is that,
    /// and takes the shortest way. What is kept of the frame is taken out of it: frames are large.
    pub fn handle_frame(
        &mut self,
        ctx: &mut Context<'_>,
        frame: &mut ProtocolMessage,
    ) -> Option<Draft> {
        if !self.frame_rate.take(ctx.now, ctx.limits.connection_frame_rate, 1) {
            self.fail(ctx, error::FATAL_FRAME_RATE.info());
            return None;
        }
        match frame.action {
            Action::Message => return self.handle_message(ctx, frame),
            Action::Presence => return self.handle_presence(ctx, frame),
            Action::Object => return self.handle_object(ctx, frame),
            Action::Annotation => return self.handle_annotation(ctx, frame),
            Action::Heartbeat => self.handle_heartbeat(ctx, frame.id.take()),
            Action::Close => self.handle_close(ctx),
            Action::Disconnect => self.disconnect(ctx, None),
            Action::Attach => self.handle_attach(ctx, frame),
            Action::Detach => self.handle_detach(ctx, &frame.channel.take().unwrap_or_default()),
            Action::Sync => self.handle_sync(ctx, &frame.channel.take().unwrap_or_default()),
            Action::Auth => self.handle_auth(ctx, frame.access_token.take()),
            // Not sent by clients, or not known to this version: tolerated (RTF1).
            Action::Ack
            | Action::Nack
            | Action::Connected
            | Action::Disconnected
            | Action::Closed
            | Action::Error
            | Action::Attached
            | Action::Detached
            | Action::ObjectSync
            | Action::Other(_) => {}
        }
        None
    }

    /// The answer to [`Effect::Authenticate`].
    pub fn authenticated(
        &mut self,
        ctx: &mut Context<'_>,
        result: Result<(Principal, Arc<str>), ErrorInfo>,
    ) {
        let (principal, connection_key) = match result {
            Ok(accepted) => accepted,
            Err(error) if error.is_token_error() => return self.disconnect(ctx, Some(error)),
            Err(error) => return self.fail(ctx, error),
        };
        if let Err(error) = self.principal.compatible_with(&principal) {
            return self.fail(ctx, error);
        }
        self.principal = principal;
        self.connection_key = connection_key;
        self.reauth_requested = false;
        self.apply_capability(ctx);
        self.send_connected(ctx, None);
    }

    /// The token is revoked, as of `at`: until then the client may present another one.
    pub fn revoke(&mut self, ctx: &mut Context<'_>, at: Timestamp) {
        self.principal.revoked_at = Some(at);
        self.reauth_requested = false;
        self.tick(ctx);
    }

    /// Asks the client to connect again, and drops its transport.
    pub fn disconnect(&mut self, ctx: &mut Context<'_>, reason: Option<ErrorInfo>) {
        if self.transport.is_none() {
            return;
        }
        let mut frame = ProtocolMessage::new(Action::Disconnected);
        frame.error = reason;
        self.send(ctx, frame);
        self.drop_transport(ctx);
    }

    /// Ends the connection with an error: the client must not resume.
    pub fn fail(&mut self, ctx: &mut Context<'_>, reason: ErrorInfo) {
        let mut frame = ProtocolMessage::new(Action::Error);
        frame.error = Some(reason.clone());
        self.send(ctx, frame);
        self.end(ctx, Some(reason));
    }

    /// Sends a frame behind all acknowledgements that are due.
    pub(crate) fn send(&mut self, ctx: &mut Context<'_>, frame: ProtocolMessage) {
        self.acknowledge(ctx);
        self.send_at_once(ctx, frame);
    }

    pub(crate) fn send_at_once(&self, ctx: &mut Context<'_>, frame: ProtocolMessage) {
        if let Some(transport) = self.transport {
            ctx.effects.push(Effect::Send(transport, Box::new(frame)));
        }
    }

    fn handle_close(&mut self, ctx: &mut Context<'_>) {
        self.send(ctx, ProtocolMessage::new(Action::Closed));
        self.end(ctx, None);
    }

    fn handle_auth(&mut self, ctx: &mut Context<'_>, access_token: Option<Arc<str>>) {
        match access_token {
            Some(token) => ctx.effects.push(Effect::Authenticate(token)),
            None => self.fail(ctx, error::PROTOCOL_ERROR.with("AUTH without an access token")),
        }
    }

    fn send_connected(&mut self, ctx: &mut Context<'_>, error: Option<ErrorInfo>) {
        let mut frame = ProtocolMessage::new(Action::Connected);
        frame.connection_id = Some(self.id.clone());
        frame.connection_key = Some(Arc::clone(&self.connection_key));
        frame.error = error;
        frame.connection_details = Some(Box::new(ConnectionDetails {
            client_id: self.principal.client_id_for_connection().map(ClientId::from),
            connection_key: Arc::clone(&self.connection_key),
            max_message_size: ctx.app.limits.max_message_size,
            max_frame_size: ctx.limits.max_frame_size,
            max_inbound_rate: ctx.app.limits.connection_inbound_rate,
            connection_state_ttl: ctx.limits.connection_state_ttl_ms,
            max_idle_interval: millis(self.heartbeat_interval(ctx)),
            server_id: Arc::clone(&ctx.identity.server_id),
            site_code: ctx.identity.site,
            objects_gc_grace_period: ctx.limits.objects_grace_ms,
        }));
        self.send(ctx, frame);
    }

    fn drop_transport(&mut self, ctx: &mut Context<'_>) {
        ctx.effects.extend(self.transport.map(Effect::CloseTransport));
        self.transport_lost(ctx);
    }

    pub(crate) fn end(&mut self, ctx: &mut Context<'_>, reason: Option<ErrorInfo>) {
        self.drop_transport(ctx);
        self.leave_all(ctx);
        ctx.effects.push(Effect::End(reason));
    }
}

/// Whether another attempt may succeed without a change on the client's side.
pub fn is_retryable(error: &ErrorInfo) -> bool {
    error.status >= 500 || error.status == 429
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
