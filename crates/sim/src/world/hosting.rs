//! The node's side: events in, effects out, and what really happened taken down on the way.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use auth::Credentials;
use node::{
    Caller, Config, Effect, Event, Node, Operation, Origin, PreviousIncarnation, Request,
    RequestId, Response,
};
use protocol::{Action, ProtocolMessage};
use rand::RngExt;
use session::{Identity, TransportId};
use types::{Entry, HistoryQuery, Kind, NodeLimits};

use super::{KEY, World, fork, sealing_key};
use crate::checkers::{Verdict, bad_input, bounds, violation};
use crate::planted::Route;
use crate::queue::{Downlink, Happening, Uplink, Wanted};
use crate::report::show;
use crate::setup::Theme;
use crate::transport;
use crate::truth::{Place, Standing};

/// How long a channel remembers ids: retention, publish deadline and slack.
pub(super) const ID_WINDOW: Duration = Duration::from_secs(160);
/// Garbage goes while a run lasts.
const OBJECTS_GRACE_MS: u64 = 180_000;
/// What is peeked at counts against the limits of the app: more at a time would keep one whose rate is exceeded
/// from ever being served again.
const PEEK: usize = 4;
const PEEK_REQUEST: RequestId = RequestId(0);

/// One frame that the node sent, decoded once.
struct Sent {
    to: Vec<TransportId>,
    frame: Arc<ProtocolMessage>,
    route: Route,
}

impl World {
    pub(super) fn start_node(&mut self) {
        if self.node.is_some() {
            return;
        }
        self.incarnation += 1;
        let previous = (self.incarnation > 1).then_some(PreviousIncarnation {
            number: self.incarnation - 1,
            last_alive: self.last_alive,
        });
        let site = "dun".parse();
        let Ok(site) = site else { return };
        let config = Config {
            identity: Identity { site, server_id: "node-1".into() },
            limits: NodeLimits { objects_grace_ms: OBJECTS_GRACE_MS, ..NodeLimits::default() },
            apps: vec![self.app()],
            sealing_key: sealing_key(),
            incarnation: self.incarnation,
            previous,
        };
        self.trace.note(self.now, || format!("node starts, incarnation {}", self.incarnation));
        self.truth.incarnation = self.incarnation;
        self.tick_at = None;
        let mut node = Node::new(config, fork(&mut self.rng));
        let damaged = self.store.restore(self.now, &mut node);
        assert!(damaged.is_empty(), "a node reads what it kept: {damaged:?}");
        self.node = Some(node);
    }

    pub(super) fn drop_node(&mut self) {
        self.node = None;
        self.last_alive = self.now;
        self.requests.clear();
    }

    pub(super) fn node_is_up(&self) -> bool {
        self.node.is_some()
    }

    pub(super) fn arrive_at_node(&mut self, transport: TransportId, uplink: Uplink) -> Verdict {
        let Some(link) = self.transports.get_mut(&transport) else { return Ok(()) };
        let format = link.format;
        match uplink {
            Uplink::Closed => {
                let was_open = link.open;
                self.transports.remove(&transport);
                self.cursor_order.closed(transport);
                self.trace.note(self.now, || format!("{transport:?} closed at the node"));
                // A transport that the node closed itself may or may not be reported.
                if was_open || self.rng.random_bool(0.5) {
                    return self.feed(Event::TransportClosed { transport });
                }
                Ok(())
            }
            Uplink::Opened(query) => {
                if link.up.cut {
                    return Ok(());
                }
                self.trace.note(self.now, || format!("{transport:?} connects: {query:?}"));
                self.feed(Event::Connect { transport, format, query, origin: Box::default() })
            }
            Uplink::Bytes(bytes) => {
                if link.up.cut || !link.open {
                    return Ok(());
                }
                if link.up.breaks_now() {
                    self.break_transport(transport);
                    return Ok(());
                }
                if transport::is_vandal(transport) {
                    return self.hear_vandal(transport, format, &bytes);
                }
                match protocol::decode(format, &bytes) {
                    Ok(frame) => {
                        self.trace.note(self.now, || format!("{transport:?} > {}", show(&frame)));
                        self.feed(Event::Frame { transport, frame: Box::new(frame) })
                    }
                    Err(error) => {
                        violation("codec", format!("a client's frame was refused: {error}"))
                    }
                }
            }
        }
    }

    /// Lets the node handle one event, and does what it asks for.
    pub(crate) fn feed(&mut self, event: Event) -> Verdict {
        let touched = touched(&event);
        self.feed_on(touched, event)
    }

    /// Feeds an event that may commit something on a channel.
    pub(super) fn feed_on(&mut self, touched: Option<Arc<str>>, event: Event) -> Verdict {
        let (event, faked) = match &mut self.planted {
            Some(planted) => planted.receive(event, &self.transports),
            None => (Some(event), Vec::new()),
        };
        let mut effects = std::mem::take(&mut self.effects);
        effects.clear();
        if let Some(event) = event {
            self.handle(event, &mut effects)?;
        }
        effects.extend(faked);
        if let Some(planted) = &mut self.planted {
            planted.emit(&mut effects, &self.transports);
        }
        self.judge_vandal(&effects)?;
        let outcome = self.work_off(&mut effects, touched);
        self.effects = effects;
        self.schedule_tick();
        outcome
    }

    fn handle(&mut self, event: Event, effects: &mut Vec<Effect>) -> Verdict {
        let (now, Some(node)) = (self.now, self.node.as_mut()) else { return Ok(()) };
        let name = format!("{:?}", std::mem::discriminant(&event));
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            node.handle(now, event);
            node.drain_effects(effects);
        }));
        match outcome {
            Ok(()) => Ok(()),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
                bad_input::panicked(&format!("{name}: {}", text.unwrap_or_default()))
            }
        }
    }

    fn work_off(&mut self, effects: &mut Vec<Effect>, touched: Option<Arc<str>>) -> Verdict {
        let mut sent = self.decode(effects)?.into_iter();
        let names = sent.as_slice().iter().filter_map(|sent| sent.frame.channel.clone());
        let mut names: Vec<Arc<str>> = names.chain(touched).collect();
        names.sort();
        names.dedup();
        for name in names {
            self.peek(&name)?;
        }
        for effect in effects.drain(..) {
            match effect {
                Effect::Send { .. } | Effect::Acknowledge { .. } | Effect::Deliver { .. } => {
                    if let Some(sent) = sent.next() {
                        self.send_down(&sent)?;
                    }
                }
                // Transports are found by their ids here, never by a connection's key.
                Effect::Connected { .. } => {}
                // Not in the namespaces of a run.
                Effect::KeepLast { .. } => {}
                Effect::Ping(transport) => self.downlink(transport, Downlink::Ping),
                Effect::Close(transport) => self.close_down(transport),
                Effect::Reply { request, response } => self.reply(request, response),
                Effect::Store { channel, name, entries, .. } => {
                    for entry in entries {
                        self.begin_write(channel, name.as_str(), entry);
                    }
                }
                Effect::StoreObjects { name, snapshot, since, .. } => {
                    self.store.keep_objects(name.as_str(), snapshot, since);
                }
                Effect::Keep { ticket, changes } => self.begin_change(ticket, changes),
                Effect::Load { channel, name, since, .. } => {
                    self.begin_read(channel, name.as_str(), Wanted::Since(since));
                }
                Effect::LoadMessages { channel, name, messages, .. } => {
                    self.begin_read(channel, name.as_str(), Wanted::About(messages));
                }
                Effect::LoadBacklog { channel, attachment, name, query, .. } => {
                    self.begin_backlog(channel, attachment, &name.as_str().into(), &query)?;
                }
                Effect::Push { .. } => violation("workload", "nobody registers devices")?,
                Effect::ReadMessage { request, name, question, .. } => {
                    let entries =
                        self.store.about(name.as_str(), &BTreeSet::from([question.message]));
                    self.reply(request, question.answer(&entries));
                }
                Effect::ReadHistory { request, name, query, .. } => {
                    let page = self.store.history(name.as_str(), &query);
                    self.reply(request, Response::History(page));
                }
            }
        }
        Ok(())
    }

    fn decode(&self, effects: &[Effect]) -> Result<Vec<Sent>, crate::checkers::Violation> {
        let mut all = Vec::new();
        for effect in effects {
            let (to, bytes, route) = match effect {
                Effect::Send { transport, frame } | Effect::Acknowledge { transport, frame } => {
                    (vec![*transport], frame, Route::Direct)
                }
                Effect::Deliver { transports, frame, .. } => {
                    (transports.to_vec(), frame, Route::Shared)
                }
                _ => continue,
            };
            let format = to.iter().find_map(|to| self.transports.get(to)).map(|link| link.format);
            let frame = match format.map(|format| protocol::decode(format, bytes)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => {
                    violation("codec", format!("the node's frame cannot be read: {error}"))?;
                    continue;
                }
                None => ProtocolMessage::new(Action::Heartbeat),
            };
            all.push(Sent { to, frame: Arc::new(frame), route });
        }
        Ok(all)
    }

    fn send_down(&mut self, sent: &Sent) -> Verdict {
        let Sent { to, frame, route } = sent;
        self.stats.frames += to.len() as u64;
        let name = frame.channel.as_ref().filter(|name| self.setup.channels.contains(*name));
        let mut end = Place::default();
        if let Some(name) = name {
            let known = self.truth.channel(name);
            end = known.end();
            let ordered = matches!(
                frame.action,
                Action::Attached
                    | Action::Message
                    | Action::Presence
                    | Action::Annotation
                    | Action::Object
            );
            for transport in to.iter().filter(|_| ordered) {
                if self.transports.contains_key(transport) {
                    self.cursor_order.sent(*transport, name, known, frame)?;
                }
            }
        }
        for transport in to {
            self.trace.note(self.now, || format!("{transport:?} < {}", show(frame)));
            let fates = match &mut self.planted {
                Some(planted) => planted.carry(*transport, frame, *route),
                None => vec![Arc::clone(frame)],
            };
            for frame in fates {
                self.downlink(*transport, Downlink::Frame(frame, Some((end, self.incarnation))));
            }
        }
        Ok(())
    }

    pub(super) fn downlink(&mut self, transport: TransportId, downlink: Downlink) {
        let latency = self.between(self.setup.latency);
        let Some(link) = self.transports.get_mut(&transport) else { return };
        if let Some(at) = link.down.send(self.now, latency) {
            self.queue.push(at, Happening::ToClient(transport, downlink));
        }
    }

    fn close_down(&mut self, transport: TransportId) {
        self.trace.note(self.now, || format!("{transport:?} closed by the node"));
        self.downlink(transport, Downlink::Closed);
        if let Some(link) = self.transports.get_mut(&transport) {
            link.open = false;
        }
        let delay = self.between((0, 200));
        self.after(delay + 500, Happening::ToNode(transport, Uplink::Closed));
    }

    fn schedule_tick(&mut self) {
        let deadline = self.node.as_ref().and_then(Node::next_deadline);
        if let Some(at) = deadline.map(|at| at.max(self.now))
            && self.tick_at.is_none_or(|scheduled| scheduled > at)
        {
            self.tick_at = Some(at);
            self.queue.push(at, Happening::NodeTick(self.incarnation));
        }
    }

    pub(super) fn node_tick(&mut self, incarnation: u64) -> Verdict {
        if incarnation != self.incarnation || self.tick_at.is_none_or(|at| at > self.now) {
            return Ok(());
        }
        self.tick_at = None;
        let due = self.node.as_ref().and_then(Node::next_deadline).is_some_and(|at| at <= self.now);
        if due {
            return self.feed(Event::Tick);
        }
        self.schedule_tick();
        Ok(())
    }

    /// Takes down what the node has committed on a channel that is not persisted.
    fn peek(&mut self, name: &Arc<str>) -> Verdict {
        if !self.setup.channels.contains(name) || self.truth.channel(name).persisted {
            return Ok(());
        }
        for kind in [Kind::Messages, Kind::Presence, Kind::Objects] {
            if kind == Kind::Objects && self.setup.theme != Theme::Objects {
                continue;
            }
            let newest = self.truth.channel(name).newest(kind);
            let mut fresh: Vec<Arc<Entry>> = Vec::new();
            let mut query = HistoryQuery::new(kind, PEEK);
            loop {
                let operation = Operation::History {
                    channel: name.to_string(),
                    query: query.clone(),
                    until: None,
                };
                let Some(Response::History(page)) = self.ask(operation)? else { break };
                let new = page.items.iter().filter(|(entry, _)| Some(entry.serial) > newest);
                for (entry, _) in new {
                    if fresh.last().is_none_or(|last| last.serial != entry.serial) {
                        fresh.push(Arc::clone(entry));
                    }
                }
                let oldest = page.items.last().map(|(entry, _)| entry.serial);
                query.after = page.next;
                if query.after.is_none() || oldest <= newest {
                    break;
                }
            }
            let (now, incarnation) = (self.now, self.incarnation);
            let known = self.truth.channel(name);
            for entry in fresh.iter().rev() {
                known.commit(now, incarnation, entry, Standing::Certain, ID_WINDOW)?;
            }
        }
        Ok(())
    }

    /// Asks the node something that it answers at once.
    pub(super) fn ask(
        &mut self,
        operation: Operation,
    ) -> Result<Option<Response>, crate::checkers::Violation> {
        let mut effects = Vec::new();
        let event = Event::Request { id: PEEK_REQUEST, request: request(operation) };
        self.handle(event, &mut effects)?;
        Ok(effects.into_iter().find_map(|effect| match effect {
            Effect::Reply { request: PEEK_REQUEST, response } => Some(response),
            Effect::ReadMessage { name, question, .. } => {
                let about = BTreeSet::from([question.message]);
                Some(question.answer(&self.store.about(name.as_str(), &about)))
            }
            Effect::ReadHistory { name, query, .. } => {
                Some(Response::History(self.store.history(name.as_str(), &query)))
            }
            _ => None,
        }))
    }

    pub(crate) fn check_idle(&self) -> Verdict {
        self.node.as_ref().map_or(Ok(()), bounds::idle)
    }
}

pub(crate) fn request(operation: Operation) -> Box<Request> {
    let credentials = Some(Credentials::Key(KEY.to_owned()));
    let caller = Caller { credentials, ..Caller::default() };
    Box::new(Request { caller, operation, origin: Origin::default() })
}

/// The channel on which the event may commit something that nobody is told of.
fn touched(event: &Event) -> Option<Arc<str>> {
    match event {
        Event::Frame { frame, .. } => frame.channel.clone(),
        Event::Request { request, .. } => match &request.operation {
            Operation::Publish { channel, .. } => Some(channel.as_str().into()),
            _ => None,
        },
        _ => None,
    }
}
