//! The channel as one value: its parts, the events that reach them, and what time does to them.

use std::collections::BTreeSet;
use std::sync::Arc;

use rand::Rng;
use types::{
    ChannelName, Clock, Cursor, Entry, EntryId, ObjectId, ObjectState, Rate, Serial, SeriesId,
    Timestamp, error,
};

use crate::backlog::Backlogs;
use crate::config::Config;
use crate::conflation::Conflation;
use crate::counted::Counted;
use crate::event::{AttachmentId, Effect, Event};
use crate::fold::Member;
use crate::ids::Ids;
use crate::last::Last;
use crate::load::{Stage, Waiting};
use crate::log::Log;
use crate::messages::Messages;
use crate::objects::{ObjectView, Objects};
use crate::occupancy::{Counts, Occupancy};
use crate::pending::Pending;
use crate::presence::Presence;

/// One channel at its host.
#[derive(Debug)]
pub struct Channel {
    pub(crate) name: ChannelName,
    pub(crate) config: Arc<Config>,
    /// The own series, and the position of the last entry that was appended to it. Positions of
    /// entries that failed are not used again.
    pub(crate) series: SeriesId,
    pub(crate) position: u64,
    pub(crate) clock: Clock,
    pub(crate) stage: Stage,
    pub(crate) waiting: Waiting,
    pub(crate) backlogs: Backlogs,
    pub(crate) conflation: Conflation,
    pub(crate) last: Last,
    pub(crate) pending: Pending,
    pub(crate) ids: Ids,
    pub(crate) log: Log,
    /// None until the first event.
    pub(crate) presence: Option<Box<Presence>>,
    pub(crate) messages: Messages,
    /// None until the first operation.
    pub(crate) objects: Option<Box<Objects>>,
    /// Only counted: fan-out is the frontend's. Bounded by the frontends' limits on connections
    /// and on channels of a connection.
    pub(crate) attachments: BTreeSet<AttachmentId>,
    counts: Counts,
    /// When the last of them went: within retention it may come back with its cursor.
    deserted_at: Option<Timestamp>,
    pub(crate) message_rate: Rate,
    pub(crate) byte_rate: Rate,
    pub(crate) counted: Counted,
    /// When what was over was let go last.
    expired_at: Timestamp,
}

/// Sizes of a channel, as they are now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metrics {
    pub attachments: usize,
    pub members: usize,
    /// Entries in the log, and the bytes that they occupy.
    pub entries: usize,
    pub bytes: usize,
    /// Entries that wait to be durable.
    pub pending: usize,
    pub ids: usize,
}

impl Channel {
    /// Opens a new series of the channel.
    pub fn new(name: ChannelName, config: Arc<Config>, rng: &mut impl Rng) -> Self {
        let series = SeriesId::random(config.site, rng);
        Self {
            name,
            series,
            position: 0,
            clock: Clock::default(),
            stage: if config.persisted || config.persist_last {
                Stage::Unloaded
            } else {
                Stage::Loaded
            },
            waiting: Waiting::default(),
            backlogs: Backlogs::default(),
            conflation: Conflation::default(),
            last: Last::default(),
            pending: Pending::default(),
            ids: Ids::new(config.limits.id_window()),
            log: Log::new(series, Arc::clone(&config)),
            presence: None,
            messages: Messages::new(config.limits.retention),
            objects: None,
            attachments: BTreeSet::new(),
            counts: Counts::default(),
            deserted_at: None,
            message_rate: Rate::default(),
            byte_rate: Rate::default(),
            counted: Counted::default(),
            expired_at: Timestamp::default(),
            config,
        }
    }

    /// `now` never goes backwards.
    pub fn handle(&mut self, now: Timestamp, event: Event, effects: &mut Vec<Effect>) {
        // Of what comes together the first finds all that is over.
        if self.expired_at < now || matches!(event, Event::Tick) {
            self.expired_at = now;
            self.expire(now, effects);
        }
        match event {
            Event::Tick => {}
            Event::Detach(attachment) => {
                self.waiting.forget(attachment);
                self.backlogs.forget(attachment);
                self.counts.remove(attachment);
                if self.attachments.remove(&attachment) && self.attachments.is_empty() {
                    self.deserted_at = Some(now);
                }
            }
            Event::Occupy { attachment, share } if self.attachments.contains(&attachment) => {
                self.counts.set(attachment, share);
            }
            Event::Occupy { .. } => {}
            Event::Linger => self.deserted_at = Some(now),
            Event::Loaded(result) => self.loaded(now, result, effects),
            Event::MessagesLoaded(result) => self.messages_loaded(now, result, effects),
            Event::BacklogLoaded { attachment, result } => {
                self.backlog_loaded(now, attachment, result, effects);
            }
            Event::Stored { position, durable: true } => self.stored(now, position, effects),
            Event::Stored { position, durable: false } => self.store_failed(now, position, effects),
            // Nobody who only changes options may miss what is committed meanwhile.
            Event::Attach(attach) if matches!(self.stage, Stage::Fetching(_)) => {
                self.attach(now, attach, effects);
            }
            Event::Attach(_) | Event::Publish(_) if self.stage != Stage::Loaded => {
                self.wait(now, event, effects);
            }
            Event::Attach(attach) => self.attach(now, attach, effects),
            Event::Publish(publish) if self.conflates() => self.collect(now, publish, effects),
            Event::Publish(publish) => match self.unheld(now, publish.body.target()) {
                Some(key) => self.fetch(now, key, Event::Publish(publish), effects),
                None => self.publish(now, publish, effects),
            },
        }
        let members = self.present();
        effects.extend(self.counts.tell(now, members).map(Effect::Occupancy));
    }

    fn expire(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        self.expire_waiting(now, effects);
        self.expire_backlogs(now, effects);
        self.release_collected(now, effects);
        while let Some(token) = self.pending.expire(now) {
            let error = error::TIMEOUT.info();
            effects.push(Effect::Published { token, result: Err(error) });
        }
        if self.resumable_until().is_some_and(|until| now >= until) {
            self.deserted_at = None;
        }
        self.log.trim(now);
        self.ids.expire(now);
        if let Some(presence) = &mut self.presence {
            presence.expire(now);
        }
        self.messages.expire(now);
        self.collect_objects(now, effects);
    }

    /// When the channel next needs [`Event::Tick`].
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let deadlines = [
            self.resumable_until(),
            self.waiting.deadline(),
            self.conflation.collected.deadline(),
            self.backlogs.deadline(),
            self.collected_until(),
            self.pending.deadline(),
            self.log.deadline(),
            self.ids.deadline(),
            self.presence.as_ref().and_then(|presence| presence.committed().deadline()),
            self.counts.deadline(),
            self.messages.deadline(),
            self.objects.as_ref().and_then(|objects| objects.deadline()),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Whether nothing would be lost if the channel were dropped.
    pub fn is_idle(&self, now: Timestamp) -> bool {
        self.attachments.is_empty()
            && self.waiting.is_empty()
            && self.conflation.collected.is_empty()
            && matches!(self.stage, Stage::Unloaded | Stage::Loaded)
            && self.pending.len() == 0
            && self.present() == 0
            && self.objects.as_ref().is_none_or(|objects| objects.is_idle())
            && self.log.is_over(now)
            && self.ids.is_over(now)
            && self.resumable_until().is_none_or(|until| now >= until)
    }

    /// Whether there are attachments, or one may come back.
    pub fn has_audience(&self, now: Timestamp) -> bool {
        !self.attachments.is_empty() || self.resumable_until().is_some_and(|until| now < until)
    }

    /// Until when an attachment may come back to a channel that has none.
    fn resumable_until(&self) -> Option<Timestamp> {
        let deserted_at = self.deserted_at.filter(|_| self.attachments.is_empty())?;
        Some(deserted_at.plus(self.config.limits.retention))
    }

    /// The cursor that covers everything committed here.
    pub fn head(&self) -> Cursor {
        self.log.head()
    }

    /// Whether a publish with this id was accepted lately.
    pub fn knows(&self, id: &EntryId) -> bool {
        self.ids.find(id).is_some()
    }

    pub fn name(&self) -> &ChannelName {
        &self.name
    }

    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// The presence set, ordered by connection and client.
    pub fn members(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.presence.iter().flat_map(|presence| presence.committed().members())
    }

    fn present(&self) -> usize {
        self.presence.as_ref().map_or(0, |presence| presence.committed().present())
    }

    pub(crate) fn presence_mut(&mut self) -> &mut Presence {
        self.presence.get_or_insert_with(|| Box::new(Presence::new(&self.config.limits)))
    }

    /// None if there is no object with that id; the root is there from the first operation on.
    pub fn object(&self, id: &ObjectId) -> Option<ObjectView<'_>> {
        self.objects.as_ref()?.view(id)
    }

    /// The entry with this serial, if it is still in the log.
    pub fn entry(&self, serial: Serial) -> Option<Arc<Entry>> {
        self.log.find(serial)
    }

    /// All objects; none if there never were any.
    pub fn objects(&self) -> Vec<ObjectState> {
        self.objects.as_ref().map(|objects| objects.states()).unwrap_or_default()
    }

    pub(crate) fn objects_mut(&mut self) -> &mut Objects {
        self.objects.get_or_insert_with(|| Box::new(Objects::new(&self.config.limits)))
    }

    pub fn occupancy(&self) -> Occupancy {
        self.counts.occupancy(self.present())
    }

    /// Whether entries wait to be durable.
    pub fn has_pending(&self) -> bool {
        self.pending.len() > 0
    }

    pub fn metrics(&self) -> Metrics {
        Metrics {
            attachments: self.attachments.len(),
            members: self.present(),
            entries: self.log.len(),
            bytes: self.log.bytes(),
            pending: self.pending.len(),
            ids: self.ids.len(),
        }
    }
}
