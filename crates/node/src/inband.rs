//! When the objects of a channel are told in messages (the param `objects`): at once, then at most
//! once in [`PAUSE`], and after the last change in any case. A change tells all objects, as they are
//! then.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use channel::AttachmentId;
use protocol::Format;
use session::{Inband, TransportId};
use types::{Metachannel, ObjectId, ObjectState, ObjectValue, Timestamp};

use crate::event::{ChannelKey, Effect};
use crate::fanout::Subscriber;
use crate::node::Node;
use crate::timers::TimerKey;

/// The least time between two tellings: each has all the objects of a channel.
const PAUSE: Duration = Duration::from_millis(500);

/// What a channel does about changes of its objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Telling {
    /// Tells the next one at once.
    #[default]
    Ready,
    /// Has told lately.
    Pausing { changed: bool },
}

/// The frames for everybody who calls the channel the same and wants the same of it.
struct Told {
    requested: Arc<str>,
    inband: Inband,
    format: Format,
    frames: Vec<Bytes>,
    transports: Vec<TransportId>,
}

impl Node {
    /// The objects of the channel have changed.
    pub(crate) fn objects_changed(&mut self, now: Timestamp, key: ChannelKey) {
        let Some(slot) = self.channels.get_mut(key) else { return };
        if !slot.fanout.subscribers().any(|(_, who)| who.subscription.inband.is_some()) {
            return;
        }
        match slot.telling {
            Telling::Ready => self.tell_change(now, key),
            Telling::Pausing { .. } => slot.telling = Telling::Pausing { changed: true },
        }
    }

    pub(crate) fn objects_pause_over(&mut self, now: Timestamp, key: ChannelKey) {
        let Some(slot) = self.channels.get_mut(key) else { return };
        if std::mem::take(&mut slot.telling) == (Telling::Pausing { changed: true }) {
            self.tell_change(now, key);
        }
    }

    fn tell_change(&mut self, now: Timestamp, key: ChannelKey) {
        if let Some(slot) = self.channels.get_mut(key) {
            slot.telling = Telling::Pausing { changed: false };
            self.timers.set(TimerKey::Inband(key.0), Some(now.plus(PAUSE)));
        }
        self.tell_objects(now, key, |_, _| true);
    }

    /// Whoever wants to know the objects learns what they are now.
    pub(crate) fn greet_with_objects(
        &mut self,
        now: Timestamp,
        key: ChannelKey,
        attachment: AttachmentId,
    ) {
        self.tell_objects(now, key, |id, inband| id == attachment && inband == Inband::Objects);
    }

    fn tell_objects(
        &mut self,
        now: Timestamp,
        key: ChannelKey,
        whom: impl Fn(AttachmentId, Inband) -> bool,
    ) {
        let sequence = format!("{:x}", self.next());
        let Some(slot) = self.channels.get(key) else { return };
        let Some(state) = self.apps.get(&slot.app) else { return };
        let max = state.app.limits.max_message_size as usize;
        let mut objects = slot.host.objects();
        if objects.is_empty() {
            objects.push(empty_root());
        }
        let mut told: Vec<Told> = Vec::new();
        let mut refused = None;
        let mut attachments = Vec::new();
        for (id, subscriber) in slot.fanout.subscribers() {
            let Some(inband) = subscriber.subscription.inband.filter(|inband| whom(id, *inband))
            else {
                continue;
            };
            attachments.push(id);
            if let Some(known) = told.iter_mut().find(|known| known.includes(subscriber, inband)) {
                known.transports.push(subscriber.transport);
                continue;
            }
            match subscriber.subscription.inband_frames(&objects, &sequence, max, now) {
                Ok(frames) => told.push(Told {
                    requested: Arc::clone(&subscriber.subscription.requested),
                    inband,
                    format: subscriber.format,
                    frames: frames.iter().map(|f| protocol::encode(f, subscriber.format)).collect(),
                    transports: vec![subscriber.transport],
                }),
                Err(error) => refused = Some(error),
            }
        }
        for Told { frames, mut transports, .. } in told {
            transports.sort_unstable();
            let transports: Arc<[TransportId]> = transports.into();
            self.effects.extend(frames.into_iter().map(|frame| Effect::Deliver {
                channel: key,
                transports: Arc::clone(&transports),
                frame,
            }));
        }
        let (app, name) = (slot.app.clone(), slot.host.name().clone());
        if let Some(slot) = self.channels.get_mut(key) {
            slot.fanout.restart_chains(&attachments);
        }
        if let Some(error) = refused {
            self.log(now, &app, Metachannel::Log, &error, &[("channel", name.as_str())]);
        }
    }
}

impl Told {
    fn includes(&self, subscriber: &Subscriber, inband: Inband) -> bool {
        self.inband == inband
            && self.format == subscriber.format
            && self.requested == subscriber.subscription.requested
    }
}

/// What every channel has before the first operation.
fn empty_root() -> ObjectState {
    ObjectState {
        object_id: ObjectId::root(),
        site_serials: std::collections::BTreeMap::new(),
        deleted: None,
        created: None,
        value: ObjectValue::Map { entries: std::collections::BTreeMap::new(), cleared: None },
    }
}
