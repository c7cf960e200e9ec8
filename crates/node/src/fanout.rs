//! The last hop: from committed entries to the frames of every attachment. A frame is encoded
//! once for each format (and channel name as clients wrote it, form, and base of deltas) and shared.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use channel::{AttachmentId, Channel, Occupancy};
use protocol::{Format, MessageShape, ProtocolMessage};
use session::{Chain, Deltas, Subscription, TransportId};
use smallvec::SmallVec;
use types::{Body, Cursor, Entry, MessageAction, Rate, Timestamp};

use crate::audience::Audiences;
use crate::count::Volume;
use crate::event::{ChannelKey, Effect};
use crate::form::{Appended, Completed, Form};
use crate::runs::{Grouped, Run, runs};
use crate::window::{Held, Window};

#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) subscription: Subscription,
    pub(crate) transport: TransportId,
    pub(crate) format: Format,
    pub(crate) completed: Completed,
    /// The number of the entry behind which delivery starts.
    pub(crate) joined: u64,
    pub(crate) continuity: Continuity,
    /// The occupancy that it was last told, if it wants to know.
    pub(crate) told: Option<Occupancy>,
}

/// The rates at which connections receive, all their channels together.
#[derive(Debug, Default)]
pub(crate) struct OutboundRates(BTreeMap<TransportId, Rate>);

impl OutboundRates {
    pub(crate) fn forget(&mut self, transport: TransportId) {
        self.0.remove(&transport);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, now: Timestamp, transport: TransportId, limit: u32, count: u32) -> bool {
        limit == 0 || self.0.entry(transport).or_default().take(now, limit, count)
    }
}

/// Whether an attachment is missing something for being beyond its connection's rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Continuity {
    #[default]
    Kept,
    Lost,
}

/// Whether an attachment begins to receive, or goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    New,
    Known,
}

#[derive(Debug)]
pub(crate) struct Fanout {
    pub(crate) window: Window,
    /// Boxed, because most channels have few and a node of the tree has room for eleven.
    subscribers: BTreeMap<AttachmentId, Box<Subscriber>>,
    /// None after a change of subscribers.
    audiences: Option<Audiences>,
}

/// Entries on their way to the attachments of a channel.
pub(crate) struct Delivery<'a> {
    pub(crate) now: Timestamp,
    pub(crate) channel: ChannelKey,
    /// Messages a second that one connection receives at most.
    pub(crate) limit: u32,
    pub(crate) rates: &'a mut OutboundRates,
    pub(crate) held: &'a [Held],
    pub(crate) grouped: Grouped,
    /// Only to this one; it is about to be replaced.
    pub(crate) only: Option<AttachmentId>,
    pub(crate) host: &'a Channel,
}

/// How often a volume left. Most deliveries are of one frame.
pub(crate) type Sent = SmallVec<[(Volume, usize); 1]>;

/// What a delivery came to.
#[derive(Default)]
pub(crate) struct Delivered {
    /// To how many attachments.
    pub(crate) sent: Sent,
    /// Attachments to be told that they miss something.
    pub(crate) changed: Vec<(AttachmentId, Arc<str>)>,
    pub(crate) deltas: Deltas,
    /// Frames of messages, however many attachments each went to.
    pub(crate) batches: usize,
}

impl Fanout {
    pub(crate) fn new(window: Window) -> Self {
        Self { window, subscribers: BTreeMap::new(), audiences: None }
    }

    /// Starts delivery, or goes on with it under other options.
    pub(crate) fn subscribe(&mut self, mut subscriber: Box<Subscriber>) -> Arrival {
        self.audiences = None;
        let id = subscriber.subscription.attachment;
        let mut arrival = Arrival::New;
        if let Some(before) = self.subscribers.remove(&id) {
            (subscriber.completed, subscriber.joined) = (before.completed, before.joined);
            (subscriber.continuity, subscriber.told) = (before.continuity, before.told);
            arrival = Arrival::Known;
        }
        self.subscribers.insert(id, subscriber);
        arrival
    }

    /// Whether nobody is there to deliver to, nothing waits, and nothing is counted of what is delivered.
    pub(crate) fn is_unheard(&self) -> bool {
        self.subscribers.is_empty() && !self.window.waits() && !self.window.groups()
    }

    pub(crate) fn subscribers(&self) -> impl Iterator<Item = (AttachmentId, &Subscriber)> {
        self.subscribers.iter().map(|(id, subscriber)| (*id, subscriber.as_ref()))
    }

    /// These were given messages that are not entries: what comes next to them is no delta.
    pub(crate) fn restart_chains(&mut self, attachments: &[AttachmentId]) {
        for id in attachments {
            if let Some(subscriber) = self.subscribers.get_mut(id) {
                subscriber.subscription.chain.restart();
            }
        }
    }

    /// Ends delivery; says whether the attachment is missing something.
    pub(crate) fn unsubscribe(&mut self, attachment: AttachmentId) -> Continuity {
        self.audiences = None;
        self.subscribers.remove(&attachment).map(|was| was.continuity).unwrap_or_default()
    }

    /// The attachments that were missing something and whose connections may receive again.
    pub(crate) fn recover(
        &mut self,
        now: Timestamp,
        limit: u32,
        rates: &mut OutboundRates,
    ) -> Vec<(AttachmentId, Arc<str>)> {
        self.audiences = None;
        let mut recovered = Vec::new();
        for (id, subscriber) in &mut self.subscribers {
            let is_lossy = subscriber.continuity == Continuity::Lost;
            if is_lossy && rates.take(now, subscriber.transport, limit, 0) {
                subscriber.continuity = Continuity::Kept;
                recovered.push((*id, Arc::clone(&subscriber.subscription.requested)));
            }
        }
        recovered
    }

    pub(crate) fn is_lossy(&self) -> bool {
        self.subscribers.values().any(|subscriber| subscriber.continuity == Continuity::Lost)
    }

    /// Tells the occupancy to those who want to know it and of whom `whom` holds, by what they were
    /// told last.
    pub(crate) fn tell_occupancy(
        &mut self,
        now: Timestamp,
        occupancy: &Occupancy,
        whom: impl Fn(Option<&Occupancy>) -> bool,
        effects: &mut Vec<Effect>,
    ) {
        for subscriber in self.subscribers.values_mut() {
            if !whom(subscriber.told.as_ref()) {
                continue;
            }
            let Some(frame) = subscriber.subscription.occupancy(occupancy, now) else { continue };
            subscriber.subscription.chain.restart();
            let frame = protocol::encode(&frame, subscriber.format);
            effects.push(Effect::Send { transport: subscriber.transport, frame });
            subscriber.told = Some(*occupancy);
        }
    }

    /// Delivers what has waited to every attachment that wants it. One whose connection would receive
    /// more than its limit misses some; told of are those that begin to, or that go on again after
    /// it, because both times the client has to be told (80020). Neither time does it receive
    /// the entry, nor what is delivered behind it: it must not hold a cursor beyond a loss that it has
    /// not been told of.
    pub(crate) fn deliver(
        &mut self,
        mut delivery: Delivery<'_>,
        effects: &mut Vec<Effect>,
    ) -> Delivered {
        let audiences = match self.audiences.take() {
            Some(audiences) => audiences,
            None => Audiences::of(&self.subscribers),
        };
        let mut delivered = Delivered::default();
        match delivery.plain() {
            Some(held) if audiences.all.iter().all(|audience| audience.joined < held.number) => {
                delivered.batches = 1;
                self.deliver_plain(&audiences, held, delivery.channel, &mut delivered, effects);
                if !audiences.others.is_empty() {
                    let mut round = Round::new(&mut delivered);
                    for id in &audiences.others {
                        if let Some(subscriber) = self.subscribers.get_mut(id) {
                            round.consider(&mut delivery, subscriber);
                        }
                    }
                    round.end(&delivery, effects);
                }
            }
            _ => {
                let mut round = Round::new(&mut delivered);
                for (id, subscriber) in &mut self.subscribers {
                    if delivery.only.is_none_or(|only| only == *id) {
                        round.consider(&mut delivery, subscriber);
                    }
                }
                round.end(&delivery, effects);
            }
        }
        self.audiences = delivered.changed.is_empty().then_some(audiences);
        delivered
    }

    fn deliver_plain(
        &self,
        audiences: &Audiences,
        held: &Held,
        channel: ChannelKey,
        delivered: &mut Delivered,
        effects: &mut Vec<Effect>,
    ) {
        let volume = Volume::of(&held.entry.body);
        for audience in &audiences.all {
            let Some(one) = self.subscribers.get(&audience.like) else { continue };
            let frame = one.subscription.encoded(&held.entry, &held.cursor, one.format);
            let transports = Arc::clone(&audience.transports);
            delivered.sent.push((volume, transports.len()));
            effects.push(Effect::Deliver { channel, transports, frame });
        }
    }
}

/// One delivery, while attachment after attachment is considered.
struct Round<'a> {
    /// By the first entry that an attachment has not been given.
    plans: BTreeMap<usize, Vec<Run>>,
    /// By the place of their run, and the name of the channel as clients wrote it: there may be as many names as
    /// attachments, and few frames for one.
    frames: BTreeMap<(usize, Arc<str>), Vec<Shared>>,
    delivered: &'a mut Delivered,
}

impl<'a> Round<'a> {
    fn new(delivered: &'a mut Delivered) -> Self {
        Self { plans: BTreeMap::new(), frames: BTreeMap::new(), delivered }
    }

    fn consider(&mut self, delivery: &mut Delivery<'_>, subscriber: &mut Subscriber) {
        let start = delivery.held.partition_point(|held| held.number <= subscriber.joined);
        let plan = self.plans.entry(start).or_insert_with(|| delivery.plan(start));
        let mut gap = Gap::NotTold;
        for (at, run) in plan.iter().enumerate() {
            let wanted = subscriber.wanted(run);
            if wanted.is_empty() {
                continue;
            }
            let own = run.entries.first().filter(|entry| subscriber.is_own_presence(entry));
            if let Some(entry) = own
                && (subscriber.continuity == Continuity::Lost || gap == Gap::Told)
            {
                let name = Arc::clone(&subscriber.subscription.requested);
                let shared = subscriber.without_cursor(entry, &run.cursor);
                self.frames.entry((at, name)).or_default().push(shared);
                continue;
            }
            if gap == Gap::Told {
                continue;
            }
            let this = match own {
                Some(_) => Continuity::Kept,
                None => delivery.admit(subscriber.transport, run),
            };
            if this == Continuity::Lost || subscriber.continuity == Continuity::Lost {
                subscriber.completed.lose();
                subscriber.subscription.chain.restart();
            }
            if this != std::mem::replace(&mut subscriber.continuity, this) {
                let Subscription { attachment, requested, .. } = &subscriber.subscription;
                self.delivered.changed.push((*attachment, Arc::clone(requested)));
                gap = Gap::Told;
            } else if this == Continuity::Kept {
                let forms = subscriber.forms(run, wanted, delivery.host);
                let name = Arc::clone(&subscriber.subscription.requested);
                let shared = self.frames.entry((at, name)).or_default();
                match shared.iter_mut().find(|shared| shared.suits(start, &forms, subscriber)) {
                    Some(shared) => shared.join(subscriber),
                    None => {
                        let share = Share { start, forms, deltas: &mut self.delivered.deltas };
                        shared.push(subscriber.encode(run, share, delivery.host));
                    }
                }
            }
        }
    }

    fn end(self, delivery: &Delivery<'_>, effects: &mut Vec<Effect>) {
        let Self { plans, frames, delivered } = self;
        for ((at, _), shared) in frames {
            for Shared { frame, mut transports, start, .. } in shared {
                let run = plans.get(&start).and_then(|plan| plan.get(at));
                delivered.sent.extend(run.map(|run| (delivery.volume(run), transports.len())));
                transports.sort_unstable();
                let (channel, transports) = (delivery.channel, transports.into());
                effects.push(Effect::Deliver { channel, transports, frame });
            }
        }
        // Who joined first has the most of what waited.
        let most = plans.values().next().map(Vec::as_slice).unwrap_or_default();
        let batches = most.iter().filter(|run| run.is_of_messages()).count();
        delivered.batches = delivered.batches.max(batches);
    }
}

/// Whether an attachment will be told of a gap once this delivery is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gap {
    NotTold,
    Told,
}

impl<'a> Delivery<'a> {
    /// The entry, if it is one that everybody who may receive it receives as it is.
    fn plain(&self) -> Option<&'a Held> {
        let [held] = self.held else { return None };
        let Body::Messages(messages) = &held.entry.body else { return None };
        let plain = self.only.is_none()
            && self.limit == 0
            && matches!(self.grouped, Grouped::No)
            && messages.iter().all(|message| message.action == MessageAction::Create);
        plain.then_some(held)
    }

    fn plan(&self, start: usize) -> Vec<Run> {
        runs(self.held.get(start..).unwrap_or_default(), self.grouped)
    }

    fn volume(&self, run: &Run) -> Volume {
        let grouped = matches!(self.grouped, Grouped::Messages { .. });
        let mut volume = Volume::none();
        for entry in &run.entries {
            volume = volume.and(Volume::of(&entry.body));
        }
        if grouped { volume.as_one() } else { volume }
    }

    /// Whether the connection may receive the run.
    fn admit(&mut self, transport: TransportId, run: &Run) -> Continuity {
        let count = u32::try_from(self.volume(run).count()).unwrap_or(u32::MAX);
        if self.rates.take(self.now, transport, self.limit, count) {
            Continuity::Kept
        } else {
            Continuity::Lost
        }
    }
}

impl Subscriber {
    /// Which entries of a run it wants.
    fn wanted(&self, run: &Run) -> Vec<usize> {
        let entries = run.entries.iter().enumerate();
        entries.filter(|(_, entry)| self.subscription.wants(entry)).map(|(n, _)| n).collect()
    }

    fn forms(&mut self, run: &Run, wanted: Vec<usize>, host: &Channel) -> Vec<(usize, Form)> {
        let mut form = |index: usize| {
            let appended = run.entries.get(index).and_then(|entry| Appended::of(entry, host));
            appended
                .map_or(Form::AsItIs, |appended| self.completed.form(&self.subscription, appended))
        };
        wanted.into_iter().map(|index| (index, form(index))).collect()
    }

    fn encode(&mut self, run: &Run, share: Share<'_>, host: &Channel) -> Shared {
        let Share { start, forms, deltas } = share;
        let shown = forms.iter().filter_map(|(index, form)| {
            let entry = run.entries.get(*index)?;
            let whole = if *form == Form::Whole { host.whole(entry) } else { None };
            Some(whole.map_or_else(|| Arc::clone(entry), Arc::new))
        });
        let shown: Vec<Arc<Entry>> = shown.collect();
        let mut frame = match shown.as_slice() {
            [entry] => self.subscription.delivery(entry, &run.cursor),
            entries => self.subscription.batch(entries.iter().map(Arc::as_ref), &run.cursor),
        };
        let chain_before = self.subscription.chain.clone();
        self.subscription.chain.append(&mut frame, deltas);
        Shared { start, forms, chain_before, ..self.alone(&frame) }
    }

    /// A client must see what became of its own members (RTP17a), whatever its rate.
    fn is_own_presence(&self, entry: &Entry) -> bool {
        matches!(entry.body, Body::Presence(_))
            && entry.connection_id.as_ref() == Some(&self.subscription.connection_id)
    }

    /// A frame that does not move the client's cursor beyond what it is missing.
    fn without_cursor(&self, entry: &Entry, cursor: &Cursor) -> Shared {
        let mut frame = self.subscription.delivery(entry, cursor);
        frame.channel_serial = None;
        self.alone(&frame)
    }

    /// The frame, for nobody else.
    fn alone(&self, frame: &ProtocolMessage) -> Shared {
        Shared {
            start: usize::MAX,
            forms: Vec::new(),
            format: self.format,
            shape: self.subscription.shape,
            chain_before: self.subscription.chain.clone(),
            chain_behind: self.subscription.chain.clone(),
            frame: protocol::encode(frame, self.format),
            transports: vec![self.transport],
        }
    }
}

/// What a frame of one run is made of.
struct Share<'a> {
    start: usize,
    forms: Vec<(usize, Form)>,
    deltas: &'a mut Deltas,
}

/// A frame of one run under one name, and the attachments that receive it.
struct Shared {
    /// The first entry of what waited that they have not been given; none if it is for one alone.
    start: usize,
    forms: Vec<(usize, Form)>,
    format: Format,
    shape: MessageShape,
    chain_before: Chain,
    chain_behind: Chain,
    frame: Bytes,
    transports: Vec<TransportId>,
}

impl Shared {
    /// Whether the subscriber, which is attached under that name, is to receive just this frame.
    fn suits(&self, start: usize, forms: &[(usize, Form)], subscriber: &Subscriber) -> bool {
        self.start == start
            && self.forms == forms
            && self.format == subscriber.format
            && self.shape == subscriber.subscription.shape
            && self.chain_before == subscriber.subscription.chain
    }

    fn join(&mut self, subscriber: &mut Subscriber) {
        self.transports.push(subscriber.transport);
        subscriber.subscription.chain.clone_from(&self.chain_behind);
    }
}
