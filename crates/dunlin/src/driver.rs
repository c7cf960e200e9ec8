//! What owns the node: it takes events, asks the clock, and carries out effects.
//!
//! A turn works off what has gathered, whatever it is, and then carries out all effects in their
//! order. The thread that brings a client's event takes the turn if nobody else is at it ([`Relay`]), and
//! while many come, when it has read what else is ready ([`Soon`]). For what the store has written a thread of the
//! runtime takes it: the clients that it answers send more, which that thread then reads, where two would get
//! into each other's way. The driver's thread takes the others, and those for what the store has read and for
//! the node's deadlines. A turn never waits for a disk or a peer:
//! frames are queued, entries are handed to the store's writer, reads are others' work.
//!
//! Clients' events come through the gateway's bounded queue. What the store answers comes through a
//! queue of its own, so that a flood of frames cannot hold it up.

mod push;
mod reads;
mod relay;
mod soon;
mod writes;

use std::io;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use ::push::{Delivery, Failure};
use gateway::{Events, Hub, Turn};
use node::{AttachmentId, ChannelKey, Effect, Event, Node, RequestId, Stored, Volume};
use store::{Durable, Outcomes, Place, Store, Write, Writer, WriterCounters};
use telemetry::{Health, Metrics};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use types::{AppId, ChannelName, Entry, ErrorInfo, HistoryQuery, Timestamp};

use crate::clock::Clock;
use relay::{Alarm, Next, Relay, Worker};
use soon::Soon;
use writes::{Appends, Asker, Writes};

/// Clients' frames and requests that one turn takes at most, but for what comes with the last of
/// them: what the first of them causes leaves soon.
const MAX_TURN: usize = 256;
/// Threads that help with writing, at most.
const MAX_HELPERS: usize = 16;
/// An idle driver shows at least this often that it lives.
const MAX_SLEEP: Duration = Duration::from_millis(500);

/// What comes from within the process. The queue has no bound of its own: of outcomes there are at
/// most as many as the writer takes and channels let be pending, of loads one for each channel, of
/// notifications one for each device.
#[derive(Debug)]
pub(crate) enum Inside {
    /// What became of what the writer took; what it did not take may have failed by now.
    Written(Outcomes<Asker>),
    Loaded {
        channel: ChannelKey,
        entries: Result<Vec<Arc<Entry>>, ErrorInfo>,
    },
    MessagesLoaded {
        channel: ChannelKey,
        entries: Result<Vec<Arc<Entry>>, ErrorInfo>,
    },
    BacklogLoaded {
        channel: ChannelKey,
        attachment: AttachmentId,
        entries: Result<Vec<Arc<Entry>>, ErrorInfo>,
    },
    /// The store has answered a request for history with so much.
    Answered {
        app: AppId,
        volume: Volume,
    },
    Pushed {
        app: AppId,
        delivery: Delivery,
        outcome: Result<(), Failure>,
    },
    Leave,
    Stop,
}

/// What the driver works with.
pub(crate) struct Driver {
    pub(crate) node: Node,
    pub(crate) clock: Arc<Clock>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) store: Store,
    /// Whose blocking threads read from the store.
    pub(crate) reads: Handle,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Arc<Health>,
}

/// The running thread. It ends when it is told to stop; what was handed to the store is then done.
pub(crate) struct Running {
    inside: Inbox,
    ended: oneshot::Receiver<()>,
    writer: Weak<Writer<Asker>>,
}

/// Where what comes from within the process is put.
#[derive(Clone, Debug)]
pub(crate) struct Inbox {
    queue: Sender<Inside>,
    alarm: Alarm,
}

struct Turns {
    driver: Driver,
    mail: Mail,
    writes: Writes,
    inside: Inbox,
    /// What became of appends, until the node is told.
    outcomes: Vec<Stored>,
    effects: Vec<Effect>,
    /// What leaves for transports.
    outgoing: Turn,
    told_to_stop: bool,
}

/// The queues, and what was taken out of them for this turn.
struct Mail {
    inside: mpsc::Receiver<Inside>,
    outside: Events,
    from_inside: Vec<Inside>,
    from_outside: Vec<Event>,
}

impl Driver {
    pub(crate) fn start(self, outside: Events) -> io::Result<Running> {
        let (queue, receiver) = mpsc::channel();
        let hub = Arc::clone(&self.hub);
        let mut writer = Weak::new();
        let (relay, ended) = Relay::start("driver", |relay| {
            let inside = Inbox { queue: queue.clone(), alarm: relay.alarm().clone() };
            let (queue, relay, runtime) = (queue.clone(), Arc::downgrade(relay), Handle::current());
            let tell = move |outcomes| {
                if queue.send(Inside::Written(outcomes)).is_ok() {
                    Relay::take_turn_on(&relay, &runtime);
                }
            };
            let started = Arc::new(Writer::start(self.store.clone(), tell)?);
            writer = Arc::downgrade(&started);
            Ok(Turns {
                mail: Mail {
                    inside: receiver,
                    outside,
                    from_inside: Vec::new(),
                    from_outside: Vec::with_capacity(MAX_TURN),
                },
                writes: Writes::new(started),
                inside,
                outcomes: Vec::new(),
                effects: Vec::new(),
                outgoing: Turn::new(Arc::clone(&self.hub), helpers())?,
                told_to_stop: false,
                driver: self,
            })
        })?;
        let inside = Inbox { queue, alarm: relay.alarm().clone() };
        let soon = Soon::new(&relay);
        hub.on_event(move |frames| soon.take_turn(frames));
        Ok(Running { inside, ended, writer })
    }
}

impl Running {
    /// Tells clients to reconnect; from now on nobody new is served.
    pub(crate) fn leave(&self) {
        self.inside.put(Inside::Leave);
    }

    pub(crate) fn stop(&self) {
        self.inside.put(Inside::Stop);
    }

    /// What the store's writer has done; nothing any more once the thread has ended.
    pub(crate) fn written(&self) -> impl Fn() -> WriterCounters + use<> {
        let writer = self.writer.clone();
        move || writer.upgrade().map(|writer| writer.counters()).unwrap_or_default()
    }

    /// Waits for the end of the thread; an error if it did not end by itself.
    pub(crate) async fn ended(&mut self) -> Result<(), oneshot::error::RecvError> {
        (&mut self.ended).await
    }
}

impl Inbox {
    /// A driver that has ended takes nothing more.
    fn put(&self, message: Inside) {
        if self.queue.send(message).is_ok() {
            self.alarm.ring();
        }
    }
}

impl Mail {
    /// Takes what is there, up to a bound.
    fn gather(&mut self) {
        self.from_inside.extend(self.inside.try_iter());
        let mut frames = 0;
        while frames < MAX_TURN
            && let Some(event) = self.outside.try_recv()
        {
            frames += event.frames();
            self.from_outside.push(event);
        }
    }
}

impl Worker for Turns {
    fn turn(&mut self) -> Next {
        let began = Instant::now();
        self.driver.health.turned(began);
        self.mail.gather();
        self.report();
        let now = self.driver.clock.now();
        self.handle(now, began);
        self.carry_out(began);
        self.driver.metrics.turn_seconds.observe(began.elapsed().as_secs_f64());
        if self.told_to_stop {
            return Next::End;
        }
        if !self.mail.outside.is_empty() {
            return Next::TurnIn(Duration::ZERO);
        }
        let deadline = self.driver.node.next_deadline().unwrap_or(Timestamp(u64::MAX));
        Next::TurnIn(deadline.since(self.driver.clock.now()).min(MAX_SLEEP))
    }

    fn may_wait(&self) -> bool {
        self.outgoing.may_wait()
    }
}

impl Turns {
    fn report(&self) {
        let (metrics, mail) = (&self.driver.metrics, &self.mail);
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        metrics.queued_events.set(gauge(mail.outside.len()));
        metrics.sessions.set(gauge(self.driver.node.session_count()));
        metrics.channels.set(gauge(self.driver.node.channel_count()));
        let events = mail.from_inside.len() + mail.from_outside.len();
        metrics.events.inc_by(u64::try_from(events).unwrap_or(u64::MAX));
    }

    fn handle(&mut self, now: Timestamp, began: Instant) {
        let mut messages = std::mem::take(&mut self.mail.from_inside);
        for message in messages.drain(..) {
            match message {
                Inside::Written(outcomes) => self.written(outcomes, now, began),
                Inside::Loaded { channel, entries } => {
                    self.tell(now, Event::Loaded { channel, entries });
                }
                Inside::MessagesLoaded { channel, entries } => {
                    self.tell(now, Event::MessagesLoaded { channel, entries });
                }
                Inside::BacklogLoaded { channel, attachment, entries } => {
                    self.tell(now, Event::BacklogLoaded { channel, attachment, entries });
                }
                Inside::Answered { app, volume } => {
                    self.tell(now, Event::Answered { app, volume });
                }
                Inside::Pushed { app, delivery, outcome } => {
                    self.tell(now, Event::Pushed { app, delivery, outcome });
                }
                Inside::Leave => self.tell(now, Event::Shutdown),
                Inside::Stop => self.told_to_stop = true,
            }
        }
        self.mail.from_inside = messages;
        self.tell_outcomes(now);
        for event in self.mail.from_outside.drain(..) {
            let messages = u64::try_from(event.messages()).unwrap_or(u64::MAX);
            self.driver.metrics.messages_received.inc_by(messages);
            self.driver.node.handle(now, event);
        }
        if self.driver.node.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.driver.node.handle(now, Event::Tick);
        }
    }

    fn written(&mut self, outcomes: Outcomes<Asker>, now: Timestamp, began: Instant) {
        self.tell_refused(now);
        for (asker, durable) in outcomes {
            if let Asker::Channel(appends) = &asker {
                let seconds = began.saturating_duration_since(appends.since).as_secs_f64();
                self.driver.metrics.append_seconds.observe(seconds);
            }
            self.tell_asker(now, asker, durable);
            self.writes.complete();
            self.tell_refused(now);
        }
    }

    fn tell_refused(&mut self, now: Timestamp) {
        while let Some(asker) = self.writes.next_refused() {
            self.tell_asker(now, asker, Durable::No);
        }
    }

    fn tell_asker(&mut self, now: Timestamp, asker: Asker, durable: Durable) {
        match (asker, durable) {
            (Asker::Channel(appends), _) => self.outcomes.extend(appends.outcomes(durable)),
            (Asker::Records(ticket), _) => {
                self.tell(now, Event::Kept { ticket, durable: durable == Durable::Yes });
            }
            (Asker::Nobody, Durable::Yes) => {}
            (Asker::Nobody, Durable::No) => tracing::warn!("the store has not kept something"),
        }
    }

    fn tell(&mut self, now: Timestamp, event: Event) {
        self.tell_outcomes(now);
        self.driver.node.handle(now, event);
    }

    /// Those that came one after the other are one event, so that they are acknowledged together.
    fn tell_outcomes(&mut self, now: Timestamp) {
        if !self.outcomes.is_empty() {
            let outcomes = std::mem::take(&mut self.outcomes);
            self.driver.node.handle(now, Event::Stored(outcomes));
        }
    }

    fn carry_out(&mut self, began: Instant) {
        let mut effects = std::mem::take(&mut self.effects);
        self.driver.node.drain_effects(&mut effects);
        for effect in effects.drain(..) {
            self.perform(effect, began);
        }
        if self.writes.hand_over() {
            self.inside.put(Inside::Written(Vec::new()));
        }
        self.outgoing.flush();
        self.effects = effects;
    }

    fn perform(&mut self, effect: Effect, began: Instant) {
        let hub = &self.driver.hub;
        match effect {
            Effect::Send { transport, frame } => self.outgoing.send(transport, frame),
            Effect::Acknowledge { transport, frame } => {
                self.outgoing.acknowledge(transport, frame);
            }
            Effect::Connected { transport, connection_key, supersedes } => {
                hub.connected(transport, connection_key, supersedes);
            }
            Effect::Deliver { channel, transports, frame } => {
                let count = u64::try_from(transports.len()).unwrap_or(u64::MAX);
                self.driver.metrics.deliveries.inc_by(count);
                self.outgoing.deliver(channel, transports, frame);
            }
            Effect::Ping(transport) => self.outgoing.ping(transport),
            Effect::Close(transport) => self.outgoing.close(transport),
            Effect::Reply { request, response } => hub.reply(request, response),
            Effect::Store { channel, app, name, entries, persisted } => {
                let positions = entries.iter().map(|entry| entry.position).collect();
                let place = if persisted { Place::History } else { Place::Objects };
                let write = Write::Entries { app, channel: name, entries, place };
                let appends = Appends { channel, positions, since: began };
                self.writes.add(write, Asker::Channel(appends));
            }
            Effect::StoreObjects { app, name, snapshot, since } => {
                let write = Write::Objects { app, channel: name, snapshot, since };
                self.writes.add(write, Asker::Nobody);
            }
            Effect::Keep { ticket, changes } => {
                let asker = ticket.map_or(Asker::Nobody, Asker::Records);
                self.writes.add(Write::Records(changes), asker);
            }
            Effect::KeepLast { app, name, entry } => {
                self.writes.add(Write::Last { app, channel: name, entry }, Asker::Nobody);
            }
            Effect::Load { channel, app, name, since } => {
                self.read(move |store, inside| {
                    let entries = reads::recent(store, &app, &name, since);
                    inside.put(Inside::Loaded { channel, entries });
                });
            }
            Effect::LoadMessages { channel, app, name, messages } => {
                self.read(move |store, inside| {
                    let entries = reads::about(store, &app, &name, &messages);
                    inside.put(Inside::MessagesLoaded { channel, entries });
                });
            }
            Effect::LoadBacklog { channel, attachment, app, name, query } => {
                self.read(move |store, inside| {
                    let entries = reads::backlog(store, &app, &name, &query);
                    inside.put(Inside::BacklogLoaded { channel, attachment, entries });
                });
            }
            Effect::Push { app, delivery } => {
                let outcome = Err(push::not_configured());
                // The driver reads its own queue as long as it lives.
                self.inside.put(Inside::Pushed { app, delivery, outcome });
            }
            Effect::ReadHistory { request, app, name, query } => {
                self.read_history(request, app, name, query);
            }
            Effect::ReadMessage { request, app, name, question } => {
                let hub = Arc::clone(hub);
                self.read(move |store, _| {
                    hub.reply(request, reads::message(store, &app, &name, &question));
                });
            }
        }
    }

    fn read_history(
        &self,
        request: RequestId,
        app: AppId,
        name: ChannelName,
        query: Box<HistoryQuery>,
    ) {
        let hub = Arc::clone(&self.driver.hub);
        self.read(move |store, inside| {
            let response = reads::history(store, &app, &name, &query);
            if let Some(volume) = Volume::of_response(&response) {
                inside.put(Inside::Answered { app, volume });
            }
            hub.reply(request, response);
        });
    }

    /// Reads from the store on another thread. A driver that has ended wants no answer.
    fn read(&self, read: impl FnOnce(&Store, &Inbox) + Send + 'static) {
        let (store, inside) = (self.driver.store.clone(), self.inside.clone());
        self.driver.reads.spawn_blocking(move || read(&store, &inside));
    }
}

/// Threads that help with writing: one for each core that the driver does not use.
fn helpers() -> usize {
    std::thread::available_parallelism().map_or(0, |cores| (cores.get() - 1).min(MAX_HELPERS))
}
