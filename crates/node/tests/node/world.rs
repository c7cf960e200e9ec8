//! A node with a clock, its clients' transports, and a store that answers at once unless told
//! otherwise. Every frame passes the codec, in both directions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use auth::{Capability, ClientPolicy, Credentials, Grant, SealingKey, TokenDetails};
use bytes::Bytes;
use node::{
    Caller, ChannelKey, Config, Effect, Event, KeptObjects, Node, Operation, Origin,
    PreviousIncarnation, Request, RequestId, Response, Stored, TransportId, Volume, Way,
};
use protocol::{Action, Format, ProtocolMessage};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;
use session::Identity;
use types::{
    App, AppId, AppLimits, Body, ChannelName, Data, Entry, HistoryPage, ItemPosition, Key, Kind,
    Message, Namespace, NodeLimits, ObjectsSnapshot, PresenceAction, PresenceMessage, Record,
    RecordChange, RecordId, Restrictions, Timestamp,
};

use crate::show::show;

pub(crate) const START: u64 = 1_700_000_000_000;
/// Connects with the key for metachannels.
pub(crate) const WATCHER: &str = "key=app.watcher:secret of watcher";
/// Connects with the key that may do everything on channels.
pub(crate) const ALL: &str = "key=app.all:secret of all";

pub(crate) struct World {
    pub(crate) node: Node,
    pub(crate) now: u64,
    pub(crate) store: Store,
    /// Records that the node could not read at its start.
    pub(crate) damaged: Vec<RecordId>,
    pub(crate) transports: BTreeMap<TransportId, Peer>,
    /// Where clients are that connect.
    pub(crate) place: auth::Source,
    replies: BTreeMap<RequestId, Response>,
    /// What is on its way to providers of devices.
    pub(crate) pushed: Vec<push::Delivery>,
    rng: ChaCha12Rng,
    last_id: u64,
}

/// One end of a transport.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    format: Format,
    frames: Vec<ProtocolMessage>,
    /// All of them, as they came.
    pub(crate) bytes: Vec<Bytes>,
    /// What the connection is named by, as the driver knows it.
    key: Option<Arc<str>>,
    pub(crate) superseded: bool,
    pub(crate) pings: usize,
    pub(crate) closed: bool,
}

/// The last snapshot of a channel's objects, and operations that it may lack.
pub(crate) type Objects = (Option<ObjectsSnapshot>, Vec<Arc<Entry>>);

#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) entries: BTreeMap<(AppId, ChannelName), Vec<Arc<Entry>>>,
    pub(crate) records: BTreeMap<RecordId, Record>,
    pub(crate) last: BTreeMap<(AppId, ChannelName), Arc<Entry>>,
    pub(crate) objects: BTreeMap<(AppId, ChannelName), Objects>,
    pub(crate) holding: bool,
    held: Vec<Event>,
}

/// What a test may change before the node starts.
pub(crate) struct Setup {
    pub(crate) limits: NodeLimits,
    pub(crate) app: App,
    pub(crate) incarnation: u64,
    pub(crate) previous: Option<PreviousIncarnation>,
    pub(crate) now: u64,
    pub(crate) store: Store,
}

pub(crate) fn world() -> World {
    world_with(|_| {})
}

pub(crate) fn world_with(change: impl FnOnce(&mut Setup)) -> World {
    let key = |id: &str, capability: &str| Key {
        id: id.into(),
        secret: format!("secret of {id}").into(),
        capability: capability.into(),
        revocable_tokens: false,
        restrictions: Restrictions::default(),
    };
    let namespace = |id: &str| Namespace { id: id.into(), ..Namespace::default() };
    let app = App {
        id: "app".into(),
        account_id: "account".into(),
        keys: vec![
            key("all", r#"{"*":["*"],"[filter]*":["*"]}"#),
            key("reader", r#"{"*":["subscribe"]}"#),
            key("writer", r#"{"*":["publish"]}"#),
            key("news", r#"{"news":["*"]}"#),
            key("watcher", r#"{"[meta]*":["*"]}"#),
        ],
        namespaces: vec![
            Namespace { persisted: true, ..namespace("kept") },
            Namespace { authenticated: true, ..namespace("members") },
            Namespace { mutable_messages: true, ..namespace("mutable") },
            Namespace { push_enabled: true, ..namespace("pushed") },
        ],
        limits: AppLimits::unlimited(),
    };
    let limits = NodeLimits::default();
    let store = Store::default();
    let mut setup = Setup { limits, app, incarnation: 1, previous: None, now: START, store };
    change(&mut setup);
    World::start(setup)
}

impl World {
    fn start(setup: Setup) -> Self {
        let config = Config {
            identity: Identity { site: "dun".parse().unwrap(), server_id: "node-1".into() },
            limits: setup.limits,
            apps: vec![setup.app],
            sealing_key: secret(),
            incarnation: setup.incarnation,
            previous: setup.previous,
        };
        let mut node = Node::new(config, ChaCha12Rng::seed_from_u64(setup.incarnation));
        let now = Timestamp(setup.now);
        let records = setup.store.records.values();
        let damaged = records.filter(|record| node.restore(now, record).is_err());
        let damaged = damaged.map(|record| record.id.clone()).collect();
        for ((app, name), (snapshot, operations)) in setup.store.objects.clone() {
            node.restore_objects(now, KeptObjects { app, name, snapshot, operations });
        }
        let mut world = Self {
            node,
            now: setup.now,
            store: setup.store,
            damaged,
            transports: BTreeMap::new(),
            place: auth::Source::default(),
            replies: BTreeMap::new(),
            pushed: Vec::new(),
            rng: ChaCha12Rng::seed_from_u64(99),
            last_id: 0,
        };
        world.handle(Event::Tick);
        world
    }

    pub(crate) fn handle(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.node.handle(Timestamp(self.now), event);
        self.node.drain_effects(&mut effects);
        let answers: Vec<Event> =
            effects.into_iter().filter_map(|effect| self.carry_out(effect)).collect();
        if self.store.holding {
            self.store.held.extend(answers);
        } else {
            answers.into_iter().for_each(|answer| self.handle(answer));
        }
    }

    /// Does what the driver would; returns the store's answer, if it is asked.
    fn carry_out(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Send { transport, frame } | Effect::Acknowledge { transport, frame } => {
                self.receive(transport, &frame);
            }
            Effect::Deliver { transports, frame, .. } => {
                transports.iter().for_each(|transport| self.receive(*transport, &frame));
            }
            Effect::Connected { transport, connection_key, supersedes } => {
                self.transports.get_mut(&transport).unwrap().key = Some(connection_key);
                if let Some(superseded) = supersedes {
                    self.transports.get_mut(&superseded).unwrap().superseded = true;
                }
            }
            Effect::Ping(transport) => self.transports.get_mut(&transport).unwrap().pings += 1,
            Effect::Close(transport) => self.transports.get_mut(&transport).unwrap().closed = true,
            Effect::Reply { request, response } => {
                assert!(self.replies.insert(request, response).is_none(), "one reply a request");
            }
            Effect::Store { channel, app, name, entries, persisted } => {
                let outcomes = all_durable(channel, &entries);
                self.store.keep_operations(&(app.clone(), name.clone()), &entries);
                if persisted {
                    self.store.entries.entry((app, name)).or_default().extend(entries);
                }
                return Some(Event::Stored(outcomes));
            }
            Effect::StoreObjects { app, name, snapshot, since } => {
                self.store.keep_objects((app, name), snapshot, since);
            }
            Effect::Keep { ticket, changes } => {
                changes.into_iter().for_each(|change| self.store.change(change));
                return ticket.map(|ticket| Event::Kept { ticket, durable: true });
            }
            Effect::KeepLast { app, name, entry } => {
                self.store.last.insert((app, name), entry);
            }
            Effect::Load { channel, app, name, .. } => {
                let channel_name = (app, name);
                let stored = self.store.entries.get(&channel_name).cloned();
                let last = self.store.last.get(&channel_name).cloned();
                let entries = stored.unwrap_or_else(|| last.into_iter().collect());
                return Some(Event::Loaded { channel, entries: Ok(entries) });
            }
            Effect::LoadMessages { channel, app, name, messages } => {
                let entries = self.store.about(&(app, name), &messages);
                return Some(Event::MessagesLoaded { channel, entries: Ok(entries) });
            }
            Effect::LoadBacklog { channel, attachment, app, name, query } => {
                let stored = self.store.entries.get(&(app, name));
                let entries = newest(stored.map_or(&[], Vec::as_slice), &query);
                return Some(Event::BacklogLoaded { channel, attachment, entries: Ok(entries) });
            }
            Effect::ReadMessage { request, app, name, question } => {
                let entries = self.store.about(&(app, name), &BTreeSet::from([question.message]));
                self.replies.insert(request, question.answer(&entries));
            }
            Effect::Push { delivery, .. } => self.pushed.push(delivery),
            Effect::ReadHistory { request, app, name, .. } => {
                let last = self.store.last.get(&(app.clone(), name)).cloned();
                let items = last.into_iter().map(|entry| (entry, 0)).collect();
                let response = Response::History(HistoryPage { items, next: None });
                let volume = Volume::of_response(&response);
                self.replies.insert(request, response);
                return volume.map(|volume| Event::Answered { app, volume });
            }
        }
        None
    }

    fn receive(&mut self, transport: TransportId, bytes: &Bytes) {
        let peer = self.transports.get_mut(&transport).unwrap();
        assert!(!peer.closed, "nothing is sent on a closed transport");
        let frame = protocol::decode(peer.format, bytes).unwrap();
        if frame.action == Action::Connected {
            assert_eq!(frame.connection_key, peer.key, "the driver knows a key before its client");
        }
        peer.frames.push(frame);
        peer.bytes.push(bytes.clone());
    }

    /// The store answers what it held back.
    pub(crate) fn release(&mut self) {
        self.store.holding = false;
        for event in std::mem::take(&mut self.store.held) {
            self.handle(event);
        }
    }

    /// The store answers at once for all entries that it held back.
    pub(crate) fn release_together(&mut self) {
        self.store.holding = false;
        let held = std::mem::take(&mut self.store.held).into_iter();
        let outcomes = held.flat_map(|event| match event {
            Event::Stored(outcomes) => outcomes,
            other => panic!("{other:?} is held back"),
        });
        let outcomes = outcomes.collect();
        self.handle(Event::Stored(outcomes));
    }

    /// The store answers that nothing of what it held back worked.
    pub(crate) fn release_failed(&mut self) {
        self.store.holding = false;
        for event in std::mem::take(&mut self.store.held) {
            self.handle(match event {
                Event::Stored(mut outcomes) => {
                    outcomes.iter_mut().for_each(|outcome| outcome.durable = false);
                    Event::Stored(outcomes)
                }
                Event::Loaded { channel, .. } => failed_load(channel),
                Event::Kept { ticket, .. } => Event::Kept { ticket, durable: false },
                other => other,
            });
        }
    }

    /// Time passes, with a tick whenever the node asked for one.
    pub(crate) fn advance(&mut self, ms: u64) {
        let until = self.now + ms;
        while let Some(due) = self.node.next_deadline().filter(|due| due.0 <= until) {
            assert!(due.0 > self.now || self.now == START, "what is due is done");
            self.now = due.0.max(self.now);
            self.handle(Event::Tick);
        }
        self.now = until;
    }

    // Transports.

    /// A new transport; `query` as in a URL, but not encoded, without `v` and `format`.
    pub(crate) fn open(&mut self, query: &str) -> TransportId {
        self.open_as(Format::Json, &format!("v=6&{query}"))
    }

    pub(crate) fn open_as(&mut self, format: Format, query: &str) -> TransportId {
        let transport = TransportId(self.next_id());
        self.transports.insert(transport, Peer { format, ..Peer::default() });
        let query: Vec<_> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let origin = Origin::new(Way::default(), self.place.clone(), |_| None, &query);
        self.handle(Event::Connect { transport, format, query, origin: Box::new(origin) });
        transport
    }

    /// A transport that is connected.
    pub(crate) fn connect(&mut self, query: &str) -> TransportId {
        let transport = self.open(query);
        assert_eq!(self.seen(transport), ["connected"], "{query}");
        transport
    }

    /// Connects, and keeps what CONNECTED said.
    pub(crate) fn connected(&mut self, query: &str) -> (TransportId, ProtocolMessage) {
        let transport = self.open(query);
        let mut frames = self.frames(transport);
        assert_eq!(frames.first().map(|frame| frame.action), Some(Action::Connected));
        (transport, frames.remove(0))
    }

    pub(crate) fn drop_transport(&mut self, transport: TransportId) {
        self.transports.get_mut(&transport).unwrap().closed = true;
        self.handle(Event::TransportClosed { transport });
    }

    pub(crate) fn send(&mut self, transport: TransportId, frame: &ProtocolMessage) {
        let format = self.transports[&transport].format;
        let frame = protocol::decode(format, &protocol::encode(frame, format)).unwrap();
        self.handle(Event::Frame { transport, frame: Box::new(frame) });
    }

    /// What arrived since the last look.
    pub(crate) fn frames(&mut self, transport: TransportId) -> Vec<ProtocolMessage> {
        std::mem::take(&mut self.transports.get_mut(&transport).unwrap().frames)
    }

    pub(crate) fn seen(&mut self, transport: TransportId) -> Vec<String> {
        self.frames(transport).iter().map(show).collect()
    }

    pub(crate) fn closed(&self, transport: TransportId) -> bool {
        self.transports[&transport].closed
    }

    /// Sends one frame and returns what came.
    pub(crate) fn ask(&mut self, transport: TransportId, frame: &ProtocolMessage) -> Vec<String> {
        self.send(transport, frame);
        self.seen(transport)
    }

    pub(crate) fn attach(&mut self, transport: TransportId, channel: &str) -> ProtocolMessage {
        self.attach_with(transport, &attach(channel))
    }

    /// Sends an ATTACH and returns its ATTACHED; what follows it stays to be seen.
    pub(crate) fn attach_with(
        &mut self,
        transport: TransportId,
        frame: &ProtocolMessage,
    ) -> ProtocolMessage {
        self.send(transport, frame);
        let frames = &mut self.transports.get_mut(&transport).unwrap().frames;
        let at = frames.iter().position(|frame| frame.action == Action::Attached);
        frames.remove(at.expect("ATTACHED"))
    }

    // Requests.

    pub(crate) fn request(&mut self, key: &str, operation: Operation) -> Response {
        self.request_as(key_caller(key), operation)
    }

    pub(crate) fn request_as(&mut self, caller: Caller, operation: Operation) -> Response {
        let id = self.start_request(caller, operation);
        self.replies.remove(&id).expect("a reply")
    }

    pub(crate) fn start_request(&mut self, caller: Caller, operation: Operation) -> RequestId {
        self.begin(Request { caller, operation, origin: Origin::default() })
    }

    pub(crate) fn begin(&mut self, request: Request) -> RequestId {
        let id = RequestId(self.next_id());
        self.handle(Event::Request { id, request: Box::new(request) });
        id
    }

    pub(crate) fn reply(&mut self, id: RequestId) -> Option<Response> {
        self.replies.remove(&id)
    }

    /// A token of the key `all`.
    pub(crate) fn token(
        &mut self,
        capability: &str,
        client_id: Option<&str>,
        ttl: Duration,
    ) -> TokenDetails {
        let grant = Grant {
            app_id: "app".into(),
            key_id: "all".into(),
            client: ClientPolicy::parse(client_id).unwrap(),
            capability: Capability::parse(capability).unwrap(),
            ttl,
        };
        auth::issue(&grant, &secret(), Timestamp(self.now), &mut self.rng)
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

impl Store {
    fn about(
        &self,
        key: &(AppId, ChannelName),
        messages: &BTreeSet<ItemPosition>,
    ) -> Vec<Arc<Entry>> {
        let is_about = |entry: &&Arc<Entry>| messages.iter().any(|key| is_about(entry, *key));
        self.entries.get(key).into_iter().flatten().filter(is_about).cloned().collect()
    }

    /// How many entries each answer that is held back is about.
    pub(crate) fn held_outcomes(&self) -> Vec<usize> {
        let outcomes = self.held.iter().filter_map(|event| match event {
            Event::Stored(outcomes) => Some(outcomes.len()),
            _ => None,
        });
        outcomes.collect()
    }

    fn keep_operations(&mut self, key: &(AppId, ChannelName), entries: &[Arc<Entry>]) {
        for entry in entries.iter().filter(|entry| matches!(entry.body, Body::Objects(_))) {
            self.objects.entry(key.clone()).or_default().1.push(Arc::clone(entry));
        }
    }

    fn keep_objects(
        &mut self,
        key: (AppId, ChannelName),
        snapshot: ObjectsSnapshot,
        since: Timestamp,
    ) {
        let (kept, operations) = self.objects.entry(key).or_default();
        operations.retain(|op| op.serial > snapshot.until || op.serial.ms >= since.0);
        *kept = Some(snapshot);
    }

    fn change(&mut self, change: RecordChange) {
        match change {
            RecordChange::Keep(record) => {
                self.records.insert(record.id.clone(), record);
            }
            RecordChange::Delete(id) => {
                self.records.remove(&id);
            }
            RecordChange::DeleteApp(app) => self.records.retain(|id, _| id.app != app),
        }
    }
}

/// The newest entries that a query is about, oldest first.
fn newest(entries: &[Arc<Entry>], query: &types::HistoryQuery) -> Vec<Arc<Entry>> {
    let is_asked_for = |entry: &&Arc<Entry>| {
        Kind::of(&entry.body) == query.kind
            && query.start.is_none_or(|start| entry.timestamp >= start)
    };
    let newest = entries.iter().rev().filter(is_asked_for).take(query.limit);
    let mut entries: Vec<_> = newest.cloned().collect();
    entries.reverse();
    entries
}

fn is_about(entry: &Entry, message: ItemPosition) -> bool {
    entry.serial == message.serial || entry.body.target() == Some(message)
}

fn all_durable(channel: ChannelKey, entries: &[Arc<Entry>]) -> Vec<Stored> {
    let durable = |entry: &Arc<Entry>| Stored { channel, position: entry.position, durable: true };
    entries.iter().map(durable).collect()
}

fn failed_load(channel: ChannelKey) -> Event {
    Event::Loaded { channel, entries: Err(types::error::INTERNAL.info()) }
}

fn secret() -> SealingKey {
    SealingKey::from_bytes([7; 32])
}

pub(crate) fn key_caller(key: &str) -> Caller {
    let text = format!("app.{key}:secret of {key}");
    Caller { credentials: Some(Credentials::Key(text)), ..Caller::default() }
}

pub(crate) fn code(response: &Response) -> u32 {
    match response {
        Response::Error(error) => error.code,
        other => panic!("not an error: {other:?}"),
    }
}

// Frames that clients send.

pub(crate) fn on(action: Action, channel: &str) -> ProtocolMessage {
    ProtocolMessage { channel: Some(channel.into()), ..ProtocolMessage::new(action) }
}

pub(crate) fn attach(channel: &str) -> ProtocolMessage {
    on(Action::Attach, channel)
}

/// ATTACH from the position of `frame`.
pub(crate) fn attach_from(channel: &str, frame: &ProtocolMessage) -> ProtocolMessage {
    ProtocolMessage { channel_serial: frame.channel_serial.clone(), ..attach(channel) }
}

pub(crate) fn with_params(frame: ProtocolMessage, params: &[(&str, &str)]) -> ProtocolMessage {
    let params =
        params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    ProtocolMessage { params, ..frame }
}

pub(crate) fn publish(channel: &str, msg_serial: i64, data: &str) -> ProtocolMessage {
    publish_all(channel, msg_serial, vec![text(data)])
}

pub(crate) fn publish_all(
    channel: &str,
    msg_serial: i64,
    messages: Vec<Message>,
) -> ProtocolMessage {
    ProtocolMessage { msg_serial: Some(msg_serial), messages, ..on(Action::Message, channel) }
}

pub(crate) fn text(data: &str) -> Message {
    Message { data: Data::Text(data.into()), ..Message::default() }
}

pub(crate) fn act(
    channel: &str,
    msg_serial: i64,
    action: PresenceAction,
    client_id: &str,
) -> ProtocolMessage {
    let item =
        PresenceMessage { client_id: Some(client_id.into()), ..PresenceMessage::new(action) };
    ProtocolMessage {
        msg_serial: Some(msg_serial),
        presence: vec![item],
        ..on(Action::Presence, channel)
    }
}

pub(crate) fn enter(channel: &str, msg_serial: i64, client_id: &str) -> ProtocolMessage {
    act(channel, msg_serial, PresenceAction::Enter, client_id)
}

pub(crate) fn key_of(connected: &ProtocolMessage) -> String {
    connected.connection_key.as_ref().expect("a connection key").to_string()
}

/// The query that resumes the connection of `connected` with the key that may do everything.
pub(crate) fn resuming(connected: &ProtocolMessage) -> String {
    format!("{ALL}&resume={}", key_of(connected))
}
