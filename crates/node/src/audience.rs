//! Who is given the messages of a channel just as they are: the attachments for which there is nothing
//! to decide by message, in lists that stay the same until somebody comes or goes.
//!
//! All others are considered one by one, whatever is delivered.

use std::collections::BTreeMap;
use std::sync::Arc;

use channel::AttachmentId;
use protocol::{Format, MessageShape};
use session::{Subscription, TransportId};

use crate::fanout::{Continuity, Subscriber};

/// Lists at most: names of the channel as clients wrote it, formats, and shapes. Who would begin one more is
/// considered alone.
const MAX_AUDIENCES: usize = 16;

/// Attachments that are given the same frames.
#[derive(Debug)]
pub(crate) struct Audience {
    /// One of them.
    pub(crate) like: AttachmentId,
    format: Format,
    requested: Arc<str>,
    shape: MessageShape,
    /// In order.
    pub(crate) transports: Arc<[TransportId]>,
    /// The number of the entry behind which the last of them joined.
    pub(crate) joined: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Audiences {
    pub(crate) all: Vec<Audience>,
    /// In order.
    pub(crate) others: Vec<AttachmentId>,
}

impl Audiences {
    pub(crate) fn of(subscribers: &BTreeMap<AttachmentId, Box<Subscriber>>) -> Self {
        let mut audiences = Self::default();
        let mut transports: BTreeMap<usize, Vec<TransportId>> = BTreeMap::new();
        for (id, subscriber) in subscribers {
            let plain =
                subscriber.continuity == Continuity::Kept && subscriber.subscription.is_plain();
            match plain.then(|| audiences.place(*id, subscriber)).flatten() {
                Some(place) => transports.entry(place).or_default().push(subscriber.transport),
                None => audiences.others.push(*id),
            }
        }
        for (audience, mut transports) in audiences.all.iter_mut().zip(transports.into_values()) {
            transports.sort_unstable();
            audience.transports = transports.into();
        }
        audiences
    }

    /// The audience that the subscriber belongs to.
    fn place(&mut self, id: AttachmentId, subscriber: &Subscriber) -> Option<usize> {
        let Subscription { requested, shape, .. } = &subscriber.subscription;
        let suits = |audience: &Audience| {
            audience.format == subscriber.format
                && audience.requested == *requested
                && audience.shape == *shape
        };
        let place = self.all.iter().position(suits).unwrap_or(self.all.len());
        if place == self.all.len() {
            if place == MAX_AUDIENCES {
                return None;
            }
            self.all.push(Audience {
                like: id,
                format: subscriber.format,
                requested: Arc::clone(requested),
                shape: *shape,
                transports: Arc::default(),
                joined: 0,
            });
        }
        let audience = self.all.get_mut(place)?;
        audience.joined = audience.joined.max(subscriber.joined);
        Some(place)
    }
}
