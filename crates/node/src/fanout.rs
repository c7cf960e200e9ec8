//! The last hop: from one committed entry to the frames of every attachment. A frame is encoded
//! once for each format (and channel name as clients wrote it, form, and base of deltas) and shared.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use channel::{AttachmentId, Channel, Occupancy};
use protocol::Format;
use session::{Chain, Deltas, Subscription, TransportId};
use types::{Body, Cursor, Entry, Rate, Timestamp};

use crate::event::Effect;
use crate::form::{Appended, Completed, Form};

#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) subscription: Subscription,
    pub(crate) transport: TransportId,
    pub(crate) format: Format,
    pub(crate) completed: Completed,
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

#[derive(Debug, Default)]
pub(crate) struct Fanout {
    subscribers: BTreeMap<AttachmentId, (Subscriber, Continuity)>,
    /// What those who want to know of the occupancy were last told.
    told: BTreeMap<AttachmentId, Occupancy>,
}

/// One entry on its way to the attachments of a channel.
pub(crate) struct Delivery<'a> {
    pub(crate) now: Timestamp,
    /// Messages a second that one connection receives at most.
    pub(crate) limit: u32,
    pub(crate) rates: &'a mut OutboundRates,
    pub(crate) entry: &'a Entry,
    pub(crate) cursor: &'a Cursor,
    pub(crate) host: &'a Channel,
}

impl Fanout {
    /// Starts delivery, or goes on with it under other options.
    pub(crate) fn subscribe(&mut self, mut subscriber: Subscriber) -> Arrival {
        let id = subscriber.subscription.attachment;
        let (mut continuity, mut arrival) = (Continuity::Kept, Arrival::New);
        if let Some((before, known)) = self.subscribers.remove(&id) {
            (subscriber.completed, continuity) = (before.completed, known);
            arrival = Arrival::Known;
        }
        self.subscribers.insert(id, (subscriber, continuity));
        arrival
    }

    pub(crate) fn subscribers(&self) -> impl Iterator<Item = (AttachmentId, &Subscriber)> {
        self.subscribers.iter().map(|(id, (subscriber, _))| (*id, subscriber))
    }

    /// Ends delivery; says whether the attachment is missing something.
    pub(crate) fn unsubscribe(&mut self, attachment: AttachmentId) -> Continuity {
        self.told.remove(&attachment);
        self.subscribers.remove(&attachment).map(|(_, continuity)| continuity).unwrap_or_default()
    }

    /// The attachments that were missing something and whose connections may receive again.
    pub(crate) fn recover(
        &mut self,
        now: Timestamp,
        limit: u32,
        rates: &mut OutboundRates,
    ) -> Vec<(AttachmentId, Arc<str>)> {
        let mut recovered = Vec::new();
        for (id, (subscriber, continuity)) in &mut self.subscribers {
            if *continuity == Continuity::Lost && rates.take(now, subscriber.transport, limit, 0) {
                *continuity = Continuity::Kept;
                recovered.push((*id, Arc::clone(&subscriber.subscription.requested)));
            }
        }
        recovered
    }

    pub(crate) fn is_lossy(&self) -> bool {
        self.subscribers.values().any(|(_, continuity)| *continuity == Continuity::Lost)
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
        for (id, (subscriber, _)) in &mut self.subscribers {
            if !whom(self.told.get(id)) {
                continue;
            }
            let Some(frame) = subscriber.subscription.occupancy(occupancy, now) else { continue };
            subscriber.subscription.chain.restart();
            let frame = protocol::encode(&frame, subscriber.format);
            effects.push(Effect::Send { transport: subscriber.transport, frame });
            self.told.insert(*id, *occupancy);
        }
    }

    /// Delivers the entry to every attachment that wants it, and says to how many. One whose connection would receive
    /// more than its limit misses some; returned are those that begin to, or that go on again after
    /// it, because both times the client has to be told (80020). Neither time does it receive
    /// the entry: it must not hold a cursor beyond a loss that it has not been told of.
    pub(crate) fn deliver(
        &mut self,
        delivery: Delivery<'_>,
        effects: &mut Vec<Effect>,
    ) -> (usize, Vec<(AttachmentId, Arc<str>)>) {
        let Delivery { now, limit, rates, entry, cursor, host } = delivery;
        let appended = Appended::of(entry, host);
        let mut whole = None;
        let mut deltas = Deltas::default();
        let count = u32::try_from(entry.body.len()).unwrap_or(u32::MAX);
        let mut batches: Vec<Batch> = Vec::new();
        let mut changed = Vec::new();
        for (id, (subscriber, continuity)) in &mut self.subscribers {
            if !subscriber.subscription.wants(entry) {
                continue;
            }
            if subscriber.is_own_presence(entry) && *continuity == Continuity::Lost {
                effects.push(subscriber.without_cursor(entry, cursor));
                continue;
            }
            let within = subscriber.is_own_presence(entry)
                || rates.take(now, subscriber.transport, limit, count);
            let this = if within { Continuity::Kept } else { Continuity::Lost };
            if this == Continuity::Lost || *continuity == Continuity::Lost {
                subscriber.completed.lose();
                subscriber.subscription.chain.restart();
            }
            if this != std::mem::replace(continuity, this) {
                changed.push((*id, Arc::clone(&subscriber.subscription.requested)));
                continue;
            }
            if this == Continuity::Lost {
                continue;
            }
            let form = appended.map_or(Form::AsItIs, |appended| subscriber.form(appended));
            let batch = batches.iter_mut().find(|batch| {
                batch.form == form
                    && batch.format == subscriber.format
                    && batch.requested == subscriber.subscription.requested
                    && batch.chain_before == subscriber.subscription.chain
            });
            if let Some(batch) = batch {
                batch.transports.push(subscriber.transport);
                subscriber.subscription.chain.clone_from(&batch.chain_behind);
                continue;
            }
            if form == Form::Whole && whole.is_none() {
                whole = host.whole(entry);
            }
            let shown = whole.as_ref().filter(|_| form == Form::Whole).unwrap_or(entry);
            batches.push(Batch::new(subscriber, form, shown, cursor, &mut deltas));
        }
        let copies = batches.iter().map(|batch| batch.transports.len()).sum();
        for Batch { frame, transports, .. } in batches {
            effects.push(Effect::Deliver { transports, frame });
        }
        (copies, changed)
    }
}

impl Subscriber {
    fn form(&mut self, appended: Appended) -> Form {
        self.completed.form(&self.subscription, appended)
    }

    /// A client must see what became of its own members (RTP17a), whatever its rate.
    fn is_own_presence(&self, entry: &Entry) -> bool {
        matches!(entry.body, Body::Presence(_))
            && entry.connection_id.as_ref() == Some(&self.subscription.connection_id)
    }

    /// A frame that does not move the client's cursor beyond what it is missing.
    fn without_cursor(&self, entry: &Entry, cursor: &Cursor) -> Effect {
        let mut frame = self.subscription.delivery(entry, cursor);
        frame.channel_serial = None;
        Effect::Send { transport: self.transport, frame: protocol::encode(&frame, self.format) }
    }
}

/// The attachments that share one encoded frame.
struct Batch {
    form: Form,
    format: Format,
    requested: Arc<str>,
    chain_before: Chain,
    chain_behind: Chain,
    frame: Bytes,
    transports: Vec<TransportId>,
}

impl Batch {
    fn new(
        subscriber: &mut Subscriber,
        form: Form,
        entry: &Entry,
        cursor: &Cursor,
        deltas: &mut Deltas,
    ) -> Self {
        let mut frame = subscriber.subscription.delivery(entry, cursor);
        let chain_before = subscriber.subscription.chain.clone();
        subscriber.subscription.chain.append(&mut frame, deltas);
        Self {
            chain_before,
            chain_behind: subscriber.subscription.chain.clone(),
            form,
            format: subscriber.format,
            requested: Arc::clone(&subscriber.subscription.requested),
            frame: protocol::encode(&frame, subscriber.format),
            transports: vec![subscriber.transport],
        }
    }
}
