//! The thread that owns the node: it takes events, asks the clock, and carries out effects.
//!
//! A turn works off what has gathered, whatever it is, and then carries out all effects in their
//! order; only when nothing is there does the thread sleep, until the node's next deadline. It never
//! waits for a disk or a peer: frames are queued, entries are handed to the store's writer, reads
//! are others' work.
//!
//! Clients' events come through the gateway's bounded queue. What the store answers comes through a
//! queue of its own, so that a flood of frames cannot hold it up.

mod appends;
mod push;
mod reads;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::push::{Delivery, Failure};
use gateway::{Hub, Turn};
use node::{AttachmentId, ChannelKey, Effect, Event, Node, Ticket, Volume};
use store::{Place, Store, Write, WriteRequest, Writer};
use telemetry::{Health, Metrics};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use types::{AppId, Entry, ErrorInfo, RecordChange, Timestamp};

use crate::clock::Clock;
use appends::{Append, Appends, Durable};

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
    /// The writer has completed what it took.
    Appended {
        append: Append,
        durable: Durable,
    },
    /// The writer took nothing more.
    Refused(Append),
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
    /// Changes of records that the node waits for have been worked off.
    Kept {
        ticket: Ticket,
        durable: bool,
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
    pub(crate) writer: Arc<Writer>,
    /// Whose blocking threads read from the store.
    pub(crate) reads: Handle,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) health: Arc<Health>,
}

/// The running thread. It ends when it is told to stop; what was handed to the store is then done.
pub(crate) struct Running {
    inside: UnboundedSender<Inside>,
    ended: oneshot::Receiver<()>,
}

struct Turns {
    driver: Driver,
    appends: Appends,
    inside: UnboundedSender<Inside>,
    effects: Vec<Effect>,
    /// What leaves for transports.
    outgoing: Turn,
}

/// The queues, and what was taken out of them for the next turn.
struct Mail {
    inside: UnboundedReceiver<Inside>,
    outside: Receiver<Event>,
    from_inside: Vec<Inside>,
    from_outside: Vec<Event>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    GoOn,
    End,
}

impl Driver {
    pub(crate) fn start(self, outside: Receiver<Event>) -> io::Result<Running> {
        let (inside, receiver) = unbounded_channel();
        let (ending, ended) = oneshot::channel();
        let mail = Mail {
            inside: receiver,
            outside,
            from_inside: Vec::new(),
            from_outside: Vec::with_capacity(MAX_TURN),
        };
        let turns = Turns {
            appends: Appends::new(Arc::clone(&self.writer), inside.clone()),
            inside: inside.clone(),
            effects: Vec::new(),
            outgoing: Turn::new(Arc::clone(&self.hub), helpers())?,
            driver: self,
        };
        let timer = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        std::thread::Builder::new().name("driver".into()).spawn(move || {
            timer.block_on(turns.run(mail));
            // Nobody waits any more if the grace is over.
            ending.send(()).ok();
        })?;
        Ok(Running { inside, ended })
    }
}

impl Running {
    /// Tells clients to reconnect; from now on nobody new is served.
    pub(crate) fn leave(&self) {
        self.tell(Inside::Leave);
    }

    pub(crate) fn stop(&self) {
        self.tell(Inside::Stop);
    }

    /// Waits for the end of the thread; an error if it did not end by itself.
    pub(crate) async fn ended(&mut self) -> Result<(), oneshot::error::RecvError> {
        (&mut self.ended).await
    }

    fn tell(&self, message: Inside) {
        if self.inside.send(message).is_err() {
            tracing::error!("the driver has ended already");
        }
    }
}

impl Mail {
    /// Waits until something is there, but not longer than `patience`; then takes what is there.
    async fn gather(&mut self, patience: Duration) {
        let first = async {
            tokio::select! {
                biased;
                Some(message) = self.inside.recv() => self.from_inside.push(message),
                Some(event) = self.outside.recv() => self.from_outside.push(event),
            }
        };
        // When the time is over there is nothing to take, and that is an answer too.
        tokio::time::timeout(patience, first).await.ok();
        while let Ok(message) = self.inside.try_recv() {
            self.from_inside.push(message);
        }
        let mut frames: usize = self.from_outside.iter().map(Event::frames).sum();
        while frames < MAX_TURN
            && let Ok(event) = self.outside.try_recv()
        {
            frames += event.frames();
            self.from_outside.push(event);
        }
    }
}

impl Turns {
    async fn run(mut self, mut mail: Mail) {
        let mut then = Then::GoOn;
        while then == Then::GoOn {
            self.driver.health.turned(Instant::now());
            mail.gather(self.patience()).await;
            let began = Instant::now();
            self.report(&mail);
            then = self.turn(&mut mail, began);
            self.driver.metrics.turn_seconds.observe(began.elapsed().as_secs_f64());
        }
    }

    fn patience(&self) -> Duration {
        let deadline = self.driver.node.next_deadline().unwrap_or(Timestamp(u64::MAX));
        deadline.since(self.driver.clock.now()).min(MAX_SLEEP)
    }

    fn report(&self, mail: &Mail) {
        let metrics = &self.driver.metrics;
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        metrics.queued_events.set(gauge(mail.outside.len()));
        metrics.sessions.set(gauge(self.driver.node.session_count()));
        metrics.channels.set(gauge(self.driver.node.channel_count()));
        let events = mail.from_inside.len() + mail.from_outside.len();
        metrics.events.inc_by(u64::try_from(events).unwrap_or(u64::MAX));
    }

    fn turn(&mut self, mail: &mut Mail, began: Instant) -> Then {
        let now = self.driver.clock.now();
        let mut then = Then::GoOn;
        for message in mail.from_inside.drain(..) {
            match message {
                Inside::Appended { append, durable } => {
                    self.appended(now, append, durable, began);
                }
                Inside::Refused(append) => {
                    self.driver.node.handle(now, append.outcome(Durable::No));
                }
                Inside::Loaded { channel, entries } => {
                    self.driver.node.handle(now, Event::Loaded { channel, entries });
                }
                Inside::MessagesLoaded { channel, entries } => {
                    self.driver.node.handle(now, Event::MessagesLoaded { channel, entries });
                }
                Inside::BacklogLoaded { channel, attachment, entries } => {
                    let loaded = Event::BacklogLoaded { channel, attachment, entries };
                    self.driver.node.handle(now, loaded);
                }
                Inside::Kept { ticket, durable } => {
                    self.driver.node.handle(now, Event::Kept { ticket, durable });
                }
                Inside::Answered { app, volume } => {
                    self.driver.node.handle(now, Event::Answered { app, volume });
                }
                Inside::Pushed { app, delivery, outcome } => {
                    self.driver.node.handle(now, Event::Pushed { app, delivery, outcome });
                }
                Inside::Leave => self.driver.node.handle(now, Event::Shutdown),
                Inside::Stop => then = Then::End,
            }
        }
        for event in mail.from_outside.drain(..) {
            let messages = u64::try_from(event.messages()).unwrap_or(u64::MAX);
            self.driver.metrics.messages_received.inc_by(messages);
            self.driver.node.handle(now, event);
        }
        if self.driver.node.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.driver.node.handle(now, Event::Tick);
        }
        self.carry_out(began);
        then
    }

    fn appended(&mut self, now: Timestamp, append: Append, durable: Durable, began: Instant) {
        let seconds = began.saturating_duration_since(append.since).as_secs_f64();
        self.driver.metrics.append_seconds.observe(seconds);
        self.driver.node.handle(now, append.outcome(durable));
        for refused in self.appends.complete() {
            self.driver.node.handle(now, refused.outcome(Durable::No));
        }
    }

    fn carry_out(&mut self, began: Instant) {
        let mut effects = std::mem::take(&mut self.effects);
        self.driver.node.drain_effects(&mut effects);
        for effect in effects.drain(..) {
            self.perform(effect, began);
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
            Effect::Store { channel, app, name: channel_name, entry, persisted } => {
                let append = Append { channel, position: entry.position, since: began };
                let place = if persisted { Place::History } else { Place::Objects };
                let write = Write::Entry { app, channel: channel_name, entry, place };
                self.appends.start(append, write);
            }
            Effect::StoreObjects { app, name, snapshot, since } => {
                self.write(Write::Objects { app, channel: name, snapshot, since }, |_| {});
            }
            Effect::Keep { ticket, changes } => self.keep(ticket, changes),
            Effect::KeepLast { app, name, entry } => {
                self.write(Write::Last { app, channel: name, entry }, |_| {});
            }
            Effect::Load { channel, app, name, since } => {
                self.read(move |store, inside| {
                    let entries = reads::recent(store, &app, &name, since);
                    inside.send(Inside::Loaded { channel, entries }).ok();
                });
            }
            Effect::LoadMessages { channel, app, name, messages } => {
                self.read(move |store, inside| {
                    let entries = reads::about(store, &app, &name, &messages);
                    inside.send(Inside::MessagesLoaded { channel, entries }).ok();
                });
            }
            Effect::LoadBacklog { channel, attachment, app, name, query } => {
                self.read(move |store, inside| {
                    let entries = reads::backlog(store, &app, &name, &query);
                    inside.send(Inside::BacklogLoaded { channel, attachment, entries }).ok();
                });
            }
            Effect::Push { app, delivery } => {
                let outcome = Err(push::not_configured());
                // The driver reads its own queue as long as it lives.
                self.inside.send(Inside::Pushed { app, delivery, outcome }).ok();
            }
            Effect::ReadHistory { request, app, name, query } => {
                let hub = Arc::clone(hub);
                self.read(move |store, inside| {
                    let response = reads::history(store, &app, &name, &query);
                    if let Some(volume) = Volume::of_response(&response) {
                        inside.send(Inside::Answered { app, volume }).ok();
                    }
                    hub.reply(request, response);
                });
            }
            Effect::ReadMessage { request, app, name, question } => {
                let hub = Arc::clone(hub);
                self.read(move |store, _| {
                    hub.reply(request, reads::message(store, &app, &name, &question));
                });
            }
        }
    }

    /// Hands changes of records to the writer. Without a ticket nobody asks what became of them.
    fn keep(&self, ticket: Option<Ticket>, changes: Vec<RecordChange>) {
        let inside = self.inside.clone();
        self.write(Write::Records(changes), move |durable| {
            if let Some(ticket) = ticket {
                inside.send(Inside::Kept { ticket, durable }).ok();
            }
        });
    }

    /// Hands the writer what needs no order among the outcomes.
    fn write(&self, write: Write, done: impl FnOnce(bool) + Send + 'static) {
        let request = WriteRequest { write, done: Box::new(done) };
        if let Err(refused) = self.driver.writer.try_write(request) {
            tracing::warn!("something is not kept: too much waits for the store");
            (refused.done)(false);
        }
    }

    /// Reads from the store on another thread. A driver that has ended wants no answer.
    fn read(&self, read: impl FnOnce(&Store, &UnboundedSender<Inside>) + Send + 'static) {
        let (store, inside) = (self.driver.store.clone(), self.inside.clone());
        self.driver.reads.spawn_blocking(move || read(&store, &inside));
    }
}

/// Threads that help with writing: one for each core that the driver does not use.
fn helpers() -> usize {
    std::thread::available_parallelism().map_or(0, |cores| (cores.get() - 1).min(MAX_HELPERS))
}
