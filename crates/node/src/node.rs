//! The node: its state, and the loop that works off one event completely.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use auth::Security;
use channel::AttachmentId;
use protocol::{Action, Format, ProtocolMessage};
use push::Delivery;
use rand_chacha::ChaCha12Rng;
use session::{Context, Session, TransportId};
use types::error::{self, ErrorInfo};
use types::{AppId, ChannelName, ConnectionId, Table, TableKey, Timestamp};

use crate::apps::{AppState, Apps};
use crate::batch::{Batch, Part};
use crate::chat::ChatRequest;
use crate::client_events::{Credential, Watched};
use crate::config::Config;
use crate::connect::Dial;
use crate::count::Asker;
use crate::event::{ChannelKey, Effect, Event, RequestId, Stored, Ticket};
use crate::fanout::OutboundRates;
use crate::host::Slot;
use crate::origin::Origin;
use crate::publishers::Publishers;
use crate::records::{Unkept, not_kept};
use crate::sandbox::Fixtures;
use crate::timers::{TimerKey, Timers};
use crate::work::{Agenda, Work};

/// Names one session for as long as it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SessionKey(pub(crate) u64);

impl TableKey for SessionKey {
    fn from_number(number: u64) -> Self {
        Self(number)
    }

    fn number(self) -> u64 {
        self.0
    }
}

#[derive(Debug)]
pub(crate) struct SessionSlot {
    pub(crate) session: Session,
    pub(crate) format: Format,
    pub(crate) opened_at: Timestamp,
    /// Only if somebody listened to connections when it was opened.
    pub(crate) origin: Option<Box<Origin>>,
    /// Where it published last. The channel may have ended.
    pub(crate) published_on: Option<(ChannelName, ChannelKey)>,
}

/// Who waits for the outcome of a publish. Small: there may be many.
#[derive(Debug)]
pub(crate) enum Publisher {
    Session(SessionKey),
    Other(Box<Requester>),
}

/// Who has published, if not a client over its connection.
#[derive(Debug)]
pub(crate) enum Requester {
    Request { id: RequestId, app: AppId, channel: String, message_id: String },
    Batch { part: Part, message_id: Arc<str> },
    Change { id: RequestId, app: AppId },
    Chat(ChatRequest),
    Objects { id: RequestId, app: AppId, channel: ChannelName, message_id: Arc<str> },
    Push { app: AppId, delivery: Delivery },
    Fixture(RequestId),
}

impl From<Requester> for Publisher {
    fn from(requester: Requester) -> Self {
        Self::Other(Box::new(requester))
    }
}

pub struct Node {
    pub(crate) config: Config,
    pub(crate) rng: ChaCha12Rng,
    pub(crate) apps: Apps,
    pub(crate) sessions: Table<SessionKey, Box<SessionSlot>>,
    pub(crate) by_transport: BTreeMap<TransportId, SessionKey>,
    pub(crate) outbound_rates: OutboundRates,
    pub(crate) by_connection: BTreeMap<ConnectionId, SessionKey>,
    pub(crate) channels: Table<ChannelKey, Box<Slot>>,
    pub(crate) attachments: BTreeMap<AttachmentId, SessionKey>,
    pub(crate) publishers: Publishers,
    /// How the request came that is being answered.
    pub(crate) security: Security,
    /// Whose request is being answered, once that is known, and by what they showed it.
    pub(crate) asker: Option<Asker>,
    pub(crate) credential: Option<Credential>,
    /// Requests whose end is told on a metachannel.
    pub(crate) watched: BTreeMap<RequestId, Watched>,
    pub(crate) batches: BTreeMap<RequestId, Batch>,
    pub(crate) unkept: BTreeMap<Ticket, Unkept>,
    pub(crate) fixtures: BTreeMap<RequestId, Fixtures>,
    pub(crate) app_expiries: BTreeMap<u64, AppId>,
    /// Notifications that are for channels, and when they are published.
    pub(crate) channel_pushes: VecDeque<(Timestamp, AppId, Delivery)>,
    pub(crate) timers: Timers,
    pub(crate) next_id: u64,
    pub(crate) effects: Vec<Effect>,
    pub(crate) agenda: Agenda,
    /// Sessions whose clients are to be told what became of their publishes.
    pub(crate) unacknowledged: Vec<SessionKey>,
    /// What something has happened to since deadlines were looked at last.
    pub(crate) touched_sessions: Vec<SessionKey>,
    pub(crate) touched_channels: Vec<ChannelKey>,
    /// Empty, and with room for what a session or a channel asks for.
    session_effects: Vec<session::Effect>,
    pub(crate) channel_effects: Vec<channel::Effect>,
    leaving: bool,
}

impl Node {
    pub fn new(config: Config, rng: ChaCha12Rng) -> Self {
        let apps: Apps = config
            .apps
            .iter()
            .map(|app| (app.id.clone(), AppState::new(Arc::new(app.clone()))))
            .collect();
        Self {
            config,
            rng,
            apps,
            sessions: Table::default(),
            by_transport: BTreeMap::new(),
            outbound_rates: OutboundRates::default(),
            by_connection: BTreeMap::new(),
            channels: Table::default(),
            attachments: BTreeMap::new(),
            publishers: Publishers::default(),
            security: Security::default(),
            asker: None,
            credential: None,
            watched: BTreeMap::new(),
            batches: BTreeMap::new(),
            unkept: BTreeMap::new(),
            fixtures: BTreeMap::new(),
            app_expiries: BTreeMap::new(),
            channel_pushes: VecDeque::new(),
            timers: Timers::default(),
            next_id: 0,
            effects: Vec::new(),
            agenda: Agenda::default(),
            unacknowledged: Vec::new(),
            touched_sessions: Vec::new(),
            touched_channels: Vec::new(),
            session_effects: Vec::new(),
            channel_effects: Vec::new(),
            leaving: false,
        }
    }

    /// Works off one event. Effects wait until they are drained.
    pub fn handle(&mut self, now: Timestamp, event: Event) {
        // What was due before the event happens before it, however late the driver's tick.
        self.fire_timers(now);
        if !matches!(event, Event::Tick | Event::Kept { ticket: _, durable: _ }) {
            self.save_stats_soon(now);
        }
        match event {
            Event::Connect { transport, format, query, origin } => {
                if self.leaving {
                    self.refuse(
                        transport,
                        format,
                        Action::Disconnected,
                        error::SERVER_LEAVING.info(),
                    );
                } else {
                    self.connect(now, transport, format, Dial { query: &query, origin: &origin });
                }
            }
            Event::Frame { transport, mut frame } => self.take_frame(now, transport, &mut frame),
            Event::Frames { transport, mut frames } => {
                for frame in &mut frames {
                    self.take_frame(now, transport, frame);
                    self.work_off(now);
                }
            }
            Event::BadFrame { transport, error } => {
                self.on_transport(now, transport, |session, ctx| session.fail(ctx, error));
            }
            Event::TransportClosed { transport } => {
                self.on_transport(now, transport, |session, ctx| session.transport_lost(ctx));
                self.forget_transport(transport);
            }
            Event::Request { id, request } => self.handle_request(now, id, *request),
            Event::Stored(outcomes) => {
                for Stored { channel, position, durable } in outcomes {
                    self.on_channel(now, channel, channel::Event::Stored { position, durable });
                    self.work_off(now);
                }
            }
            Event::Loaded { channel, entries } => {
                self.on_channel(now, channel, channel::Event::Loaded(entries));
            }
            Event::MessagesLoaded { channel, entries } => {
                self.on_channel(now, channel, channel::Event::MessagesLoaded(entries));
            }
            Event::BacklogLoaded { channel, attachment, entries } => {
                let loaded = channel::Event::BacklogLoaded { attachment, result: entries };
                self.on_channel(now, channel, loaded);
            }
            Event::Kept { ticket, durable: true } => self.kept(now, ticket, Ok(())),
            Event::Kept { ticket, durable: false } => self.kept(now, ticket, Err(not_kept())),
            Event::Keys { app, keys } => self.set_keys(now, &app, keys),
            Event::Answered { app, volume } => self.count_answer(now, &app, volume),
            Event::Pushed { app, delivery, outcome } => {
                self.push_settled(now, app, &delivery, outcome);
            }
            Event::Shutdown => self.shut_down(now),
            Event::Tick => {}
        }
        self.settle(now);
        self.fire_timers(now);
        self.tell_answered(now);
        self.work_off(now);
        self.acknowledge(now);
        self.settle(now);
    }

    /// What the driver has to do, in order. Empties `effects` of earlier content first.
    pub fn drain_effects(&mut self, into: &mut Vec<Effect>) {
        into.clear();
        std::mem::swap(&mut self.effects, into);
    }

    /// When the node wants to be called again, at the latest.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// Sessions, live or waiting for a resume.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    pub fn channel_count(&self) -> usize {
        self.channels.len()
    }

    /// Whether nothing is left of any client: no session, no channel, nothing that waits.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
            && self.by_transport.is_empty()
            && self.outbound_rates.is_empty()
            && self.by_connection.is_empty()
            && self.channels.is_empty()
            && self.apps.values().all(|state| state.active.is_empty())
            && self.attachments.is_empty()
            && self.publishers.is_empty()
            && self.batches.is_empty()
            && self.unkept.is_empty()
            && self.fixtures.is_empty()
            && self.channel_pushes.is_empty()
            && self.watched.is_empty()
            && self.agenda.is_empty()
            && self.unacknowledged.is_empty()
    }

    fn fire_timers(&mut self, now: Timestamp) {
        while let Some(key) = self.timers.take_due(now) {
            match key {
                TimerKey::Session(key) => {
                    self.on_session(now, SessionKey(key), |session, ctx| session.tick(ctx));
                }
                TimerKey::Channel(key) => {
                    self.on_channel(now, ChannelKey(key), channel::Event::Tick);
                }
                TimerKey::Losses(key) => self.recover(now, ChannelKey(key)),
                TimerKey::Window(key) => self.flush(now, ChannelKey(key)),
                TimerKey::Minute(key) => self.minute_over(now, ChannelKey(key)),
                TimerKey::Inband(key) => self.objects_pause_over(now, ChannelKey(key)),
                TimerKey::App(key) => self.expire_app(now, key),
                TimerKey::Pushes => self.push_to_channels(now),
                TimerKey::Stats => self.save_stats(now),
            }
            self.settle(now);
        }
    }

    /// Nothing that is worked off calls this.
    pub(crate) fn work_off(&mut self, now: Timestamp) {
        while let Some(work) = self.agenda.next() {
            match work {
                Work::Session(key, effect) => self.session_effect(now, key, effect),
                Work::Channel(key, effect) => self.channel_effect(now, key, effect),
                Work::Push { app, delivery } => self.deliver_push(now, app, delivery),
            }
        }
    }

    /// Once all is worked off: so publishes that came together are acknowledged together, and behind
    /// what they brought about.
    fn acknowledge(&mut self, now: Timestamp) {
        let mut keys = std::mem::take(&mut self.unacknowledged);
        for key in keys.drain(..) {
            self.on_session(now, key, |session, ctx| session.acknowledge(ctx));
        }
        self.unacknowledged = keys;
        self.work_off(now);
    }

    fn take_frame(&mut self, now: Timestamp, transport: TransportId, frame: &mut ProtocolMessage) {
        let Some(key) = self.by_transport.get(&transport).copied() else { return };
        let mut draft = None;
        self.on_session(now, key, |session, ctx| draft = session.handle_frame(ctx, frame));
        if let Some(draft) = draft {
            self.work_off(now);
            self.publish(now, key, draft);
        }
    }

    fn forget_transport(&mut self, transport: TransportId) {
        self.by_transport.remove(&transport);
        self.outbound_rates.forget(transport);
    }

    pub(crate) fn on_transport(
        &mut self,
        now: Timestamp,
        transport: TransportId,
        act: impl FnOnce(&mut Session, &mut Context<'_>),
    ) {
        // A transport without a session was refused or superseded: what it still says is void.
        if let Some(key) = self.by_transport.get(&transport).copied() {
            self.on_session(now, key, act);
        }
    }

    pub(crate) fn on_session(
        &mut self,
        now: Timestamp,
        key: SessionKey,
        act: impl FnOnce(&mut Session, &mut Context<'_>),
    ) {
        let Some(slot) = self.sessions.get_mut(key) else { return };
        let Some(state) = self.apps.get_mut(slot.session.app_id()) else { return };
        let mut ctx = Context {
            now,
            limits: &self.config.limits,
            app: &state.app,
            usage: &mut state.usage,
            identity: &self.config.identity,
            next_id: &mut self.next_id,
            effects: &mut self.session_effects,
        };
        act(&mut slot.session, &mut ctx);
        self.agenda.add(&mut self.session_effects, |effect| Work::Session(key, effect));
        self.touch_session(key);
    }

    fn session_effect(&mut self, now: Timestamp, key: SessionKey, effect: session::Effect) {
        match effect {
            session::Effect::Send(transport, frame) => {
                self.count_replay(now, key, &frame);
                self.send(key, transport, &frame);
            }
            session::Effect::Ping(transport) => self.effects.push(Effect::Ping(transport)),
            session::Effect::CloseTransport(transport) => {
                self.forget_transport(transport);
                self.effects.push(Effect::Close(transport));
            }
            session::Effect::Attach { channel, attach } => self.attach(now, key, &channel, *attach),
            session::Effect::Detach { channel, attachment } => {
                self.detach(now, key, &channel, attachment);
            }
            session::Effect::Subscribe(subscription) => {
                self.subscribe(now, key, *subscription);
            }
            session::Effect::Unsubscribe { channel, attachment, requested } => {
                self.replace(now, key, &channel, (attachment, requested));
            }
            session::Effect::Publish(draft) => self.publish(now, key, *draft),
            session::Effect::AcknowledgeSoon => self.unacknowledged.push(key),
            session::Effect::Sync { channel, requested } => {
                self.sync(now, key, &channel, &requested);
            }
            session::Effect::Authenticate(token) => self.authenticate(now, key, &token),
            session::Effect::End(reason) => self.end_session(now, key, reason.as_ref()),
        }
    }

    fn send(&mut self, key: SessionKey, transport: TransportId, frame: &ProtocolMessage) {
        let Some(slot) = self.sessions.get(key) else { return };
        let acknowledges = matches!(frame.action, Action::Ack | Action::Nack);
        let frame = protocol::encode(frame, slot.format);
        self.effects.push(if acknowledges {
            Effect::Acknowledge { transport, frame }
        } else {
            Effect::Send { transport, frame }
        });
    }

    fn end_session(&mut self, now: Timestamp, key: SessionKey, reason: Option<&ErrorInfo>) {
        let Some(slot) = self.sessions.remove(key) else { return };
        self.touch_session(key);
        self.by_connection.remove(slot.session.id());
        if let Some(transport) = slot.session.transport() {
            self.forget_transport(transport);
        }
        if let Some(app) = self.apps.get_mut(slot.session.app_id()) {
            app.release_connection(now);
        }
        self.tell_connection_closed(now, &slot, reason);
    }

    fn shut_down(&mut self, now: Timestamp) {
        self.leaving = true;
        self.save_stats(now);
        let keys: Vec<SessionKey> = self.sessions.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.on_session(now, key, |session, ctx| {
                session.disconnect(ctx, Some(error::SERVER_LEAVING.info()));
            });
        }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}
