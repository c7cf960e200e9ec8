//! The last hop: from one committed entry to the frames of every attachment. A frame is encoded
//! once for each format (and channel name as clients wrote it) and shared.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use channel::AttachmentId;
use protocol::Format;
use session::{Subscription, TransportId};
use types::{Cursor, Entry, Rate, Timestamp};

use crate::event::Effect;

#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) subscription: Subscription,
    pub(crate) transport: TransportId,
    pub(crate) format: Format,
}

/// The rate at which one attachment receives, and whether it is missing something.
#[derive(Clone, Copy, Debug, Default)]
struct Outbound {
    rate: Rate,
    lossy: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Fanout {
    subscribers: BTreeMap<AttachmentId, (Subscriber, Outbound)>,
}

impl Fanout {
    /// Starts delivery, or goes on with it under other options.
    pub(crate) fn subscribe(&mut self, subscriber: Subscriber) {
        let id = subscriber.subscription.attachment;
        let outbound = self.subscribers.get(&id).map(|(_, outbound)| *outbound);
        self.subscribers.insert(id, (subscriber, outbound.unwrap_or_default()));
    }

    pub(crate) fn unsubscribe(&mut self, attachment: AttachmentId) {
        self.subscribers.remove(&attachment);
    }

    /// Delivers `entry` to every attachment that wants it. One that would receive more than `rate`
    /// messages a second misses some; returned are those that begin to, or that go on again after
    /// it, because both times the client has to be told (80020). Neither time does it receive
    /// `entry`: it must not hold a cursor beyond a loss that it has not been told of.
    pub(crate) fn deliver(
        &mut self,
        now: Timestamp,
        rate: u32,
        entry: &Entry,
        cursor: &Cursor,
        effects: &mut Vec<Effect>,
    ) -> Vec<(AttachmentId, Arc<str>)> {
        let count = u32::try_from(entry.body.len()).unwrap_or(u32::MAX);
        let mut batches: Vec<Batch> = Vec::new();
        let mut changed = Vec::new();
        for (id, (subscriber, outbound)) in &mut self.subscribers {
            if !subscriber.subscription.wants(entry) {
                continue;
            }
            let lossy = !outbound.rate.take(now, rate, count);
            if lossy != std::mem::replace(&mut outbound.lossy, lossy) {
                changed.push((*id, Arc::clone(&subscriber.subscription.requested)));
                continue;
            }
            if lossy {
                continue;
            }
            let batch = batches.iter_mut().find(|batch| {
                batch.format == subscriber.format
                    && batch.requested == subscriber.subscription.requested
            });
            match batch {
                Some(batch) => batch.transports.push(subscriber.transport),
                None => batches.push(Batch::new(subscriber, entry, cursor)),
            }
        }
        for Batch { frame, transports, .. } in batches {
            effects.push(Effect::Deliver { transports, frame });
        }
        changed
    }
}

/// The attachments that share one encoded frame.
struct Batch {
    format: Format,
    requested: Arc<str>,
    frame: Bytes,
    transports: Vec<TransportId>,
}

impl Batch {
    fn new(subscriber: &Subscriber, entry: &Entry, cursor: &Cursor) -> Self {
        let frame = subscriber.subscription.delivery(entry, cursor);
        Self {
            format: subscriber.format,
            requested: Arc::clone(&subscriber.subscription.requested),
            frame: protocol::encode(&frame, subscriber.format),
            transports: vec![subscriber.transport],
        }
    }
}
