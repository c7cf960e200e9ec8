//! A persisted channel starts by reading what earlier hosts stored, when the first attach or
//! publish needs it; then the messages that what it read is about. Later it reads single messages,
//! when a publish is about one that it does not hold. Until it has read, everything waits, in
//! order; if the store cannot be read, what waited is refused and the next event asks again. Only
//! members that the server says have left are gone in any case.
//!
//! Members are not restored: they belong to sessions, which enter again.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use types::{Accepted, Entry, ErrorInfo, ItemPosition, ObjectsSnapshot, Timestamp, error};

use crate::Channel;
use crate::conflation::dropped_before;
use crate::content::Content;
use crate::event::{AttachmentId, Effect, Event, Publish};
use crate::log::{Log, body_memory};
use crate::messages::{MessageState, Messages};

/// Attaches and publishes that wait for the load; one more is refused with 50004, unless it is of the
/// server. As many as a busy channel's sessions that all resume after a restart.
const MAX_EVENTS: usize = 16_384;
/// Bytes of publishes that wait for the load; a publish beyond is refused with 50004, unless it is of
/// the server.
const MAX_BYTES: usize = 8 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Unloaded,
    Loading,
    /// Reads the messages that the loaded entries are about.
    Completing(BTreeSet<ItemPosition>),
    Loaded,
    /// Reads a message that a publish is about.
    Fetching(Box<ItemPosition>),
}

/// What waits for the load, in order of arrival.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    queue: VecDeque<(Timestamp, Event)>,
    bytes: usize,
}

impl Waiting {
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The messages that publishes in the queue are about.
    pub(crate) fn targets(&self) -> BTreeSet<ItemPosition> {
        let targets = self.queue.iter().filter_map(|(_, event)| target(event));
        targets.collect()
    }

    /// Takes in an event until `deadline`; gives it back if there is no room.
    pub(crate) fn push(&mut self, deadline: Timestamp, event: Event) -> Result<(), Event> {
        let bytes = memory(&event);
        let is_full =
            self.queue.len() >= MAX_EVENTS || (bytes > 0 && self.bytes + bytes > MAX_BYTES);
        let is_of_server = matches!(&event, Event::Publish(publish) if publish.is_of_server());
        if is_full && !is_of_server {
            return Err(event);
        }
        self.bytes += bytes;
        self.queue.push_back((deadline, event));
        Ok(())
    }

    pub(crate) fn pop_if(&mut self, predicate: impl FnOnce(Timestamp) -> bool) -> Option<Event> {
        let (_, event) = self.queue.pop_front_if(|(deadline, _)| predicate(*deadline))?;
        self.bytes -= memory(&event);
        Some(event)
    }

    /// The message that the first event in the queue is about.
    fn target(&self) -> Option<ItemPosition> {
        self.queue.front().and_then(|(_, event)| target(event))
    }

    pub(crate) fn forget(&mut self, attachment: AttachmentId) {
        let is_it = |event: &Event| matches!(event, Event::Attach(a) if a.attachment == attachment);
        self.queue.retain(|(_, event)| !is_it(event));
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.queue.front().map(|(deadline, _)| *deadline)
    }
}

impl Channel {
    /// Keeps an attach or a publish until the channel is loaded.
    pub(crate) fn wait(&mut self, now: Timestamp, event: Event, effects: &mut Vec<Effect>) {
        let deadline = now.plus(self.config.limits.publish_deadline);
        if let Err(event) = self.waiting.push(deadline, event) {
            refuse(event, error::OVERLOADED.with("too much waits for the channel"), effects);
        } else if self.stage == Stage::Unloaded {
            self.stage = Stage::Loading;
            effects.push(Effect::Load);
        }
    }

    pub(crate) fn expire_waiting(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let error = error::TIMEOUT.with("the store did not answer in time");
        self.refuse_while(now, |deadline| deadline <= now, &error, effects);
    }

    pub(crate) fn loaded(
        &mut self,
        now: Timestamp,
        result: Result<Vec<Arc<Entry>>, ErrorInfo>,
        effects: &mut Vec<Effect>,
    ) {
        assert!(self.stage == Stage::Loading, "the store answers what it was asked, once");
        match result {
            Ok(entries) => {
                if self.config.persist_last {
                    self.last.restore(&entries);
                }
                // Of a channel that is not persisted only the last message is there.
                let persisted = self.config.persisted;
                let missing = if persisted { self.restore(now, entries) } else { BTreeSet::new() };
                if missing.is_empty() {
                    self.release(now, effects);
                } else {
                    effects.push(Effect::LoadMessages(missing.clone()));
                    self.stage = Stage::Completing(missing);
                }
            }
            Err(reason) => {
                self.stage = Stage::Unloaded;
                self.refuse_waiting(now, &reason, effects);
            }
        }
    }

    /// Reads the message at `key`; `event`, which is about it, and all that follow wait.
    pub(crate) fn fetch(
        &mut self,
        now: Timestamp,
        key: ItemPosition,
        event: Event,
        effects: &mut Vec<Effect>,
    ) {
        self.wait(now, event, effects);
        if !self.waiting.is_empty() {
            self.start_fetch(key, effects);
        }
    }

    pub(crate) fn start_fetch(&mut self, key: ItemPosition, effects: &mut Vec<Effect>) {
        self.stage = Stage::Fetching(Box::new(key));
        effects.push(Effect::LoadMessages(BTreeSet::from([key])));
    }

    pub(crate) fn messages_loaded(
        &mut self,
        now: Timestamp,
        result: Result<Vec<Arc<Entry>>, ErrorInfo>,
        effects: &mut Vec<Effect>,
    ) {
        let asked = matches!(self.stage, Stage::Completing(_) | Stage::Fetching(_));
        assert!(asked, "the store answers what it was asked, once");
        let (keys, before) = match std::mem::replace(&mut self.stage, Stage::Loaded) {
            Stage::Completing(keys) => (keys, Stage::Unloaded),
            Stage::Fetching(key) => (BTreeSet::from([*key]), Stage::Loaded),
            Stage::Unloaded | Stage::Loading | Stage::Loaded => return,
        };
        match result {
            Ok(entries) => {
                for key in keys {
                    // One that the store does not know is held as such: it is not read again soon.
                    self.messages.hold(now, MessageState::of(key, &entries));
                }
                self.release(now, effects);
            }
            Err(reason) => {
                self.stage = before;
                self.refuse_waiting(now, &reason, effects);
            }
        }
    }

    /// Goes on with what waited, up to the next publish that needs the store.
    fn release(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        self.stage = Stage::Loaded;
        loop {
            let target = self.waiting.target();
            if let Some(key) = self.unheld(now, target) {
                return self.start_fetch(key, effects);
            }
            let Some(event) = self.waiting.pop_if(|_| true) else { return };
            self.handle(now, event, effects);
        }
    }

    fn refuse_waiting(&mut self, now: Timestamp, reason: &ErrorInfo, effects: &mut Vec<Effect>) {
        let error = error::TIMEOUT.with(format!("the store failed: {}", reason.message));
        self.refuse_while(now, |_| true, &error, effects);
    }

    /// Refuses what waits, the oldest first. What the server publishes goes on instead, since nobody
    /// would repeat it: as those before it do not wait any longer, or behind what is still collected.
    fn refuse_while(
        &mut self,
        now: Timestamp,
        predicate: impl Fn(Timestamp) -> bool,
        error: &ErrorInfo,
        effects: &mut Vec<Effect>,
    ) {
        while let Some(event) = self.conflation.collected.pop_if(&predicate) {
            match of_server(event) {
                Ok(publish) => self.publish(now, publish, effects),
                Err(event) => refuse(event, error.clone(), effects),
            }
        }
        while let Some(event) = self.waiting.pop_if(&predicate) {
            match of_server(event) {
                Ok(publish) if self.conflation.collected.is_empty() => {
                    self.publish(now, publish, effects);
                }
                Ok(publish) => self.collect(now, publish, effects),
                Err(event) => refuse(event, error.clone(), effects),
            }
        }
    }

    /// Returns the messages that they are about and that have to be read.
    fn restore(&mut self, now: Timestamp, mut entries: Vec<Arc<Entry>>) -> BTreeSet<ItemPosition> {
        // Garbage of objects does not wait: what was appended here is in the log when it is committed.
        let is_own = |entry: &Arc<Entry>| entry.serial.series == self.series;
        entries.retain(|entry| !is_own(entry));
        entries.extend(self.log.entries().filter(is_own));
        entries.sort_by_key(|entry| entry.serial);
        keep_last_of_each_id(&mut entries);
        // Anew, if an earlier load was not completed.
        self.log = Log::new(self.series, Arc::clone(&self.config));
        self.messages = Messages::new(self.config.limits.retention);
        self.remember(now, &entries);
        self.log.restore(&entries);
        self.pending.lay(&mut self.log);
        self.log.trim(now);
        let in_log = entries.split_off(entries.len().saturating_sub(self.log.len()));
        self.hold_restored(now, &in_log)
    }

    /// Recognises these entries when they are published again, beside those that are known already:
    /// what is kept of objects goes further back than what is read of history.
    fn remember(&mut self, now: Timestamp, entries: &[Arc<Entry>]) {
        for entry in entries {
            self.clock.observe(&entry.serial);
            if self.knows(&entry.id) {
                continue;
            }
            let dropped = dropped_before(entry);
            let items = entry.body.len() + dropped.count_ones() as usize;
            let accepted = Accepted { serial: Some(entry.serial), items, dropped };
            let content = Content::of_stored(entry);
            self.ids.insert(entry.timestamp, &entry.id, content, accepted);
        }
        self.ids.expire(now);
    }
}

impl Channel {
    /// Begins with the objects that earlier hosts kept, before any other event.
    pub fn restore_objects(
        &mut self,
        now: Timestamp,
        snapshot: Option<ObjectsSnapshot>,
        mut entries: Vec<Arc<Entry>>,
    ) {
        entries.sort_by_key(|entry| entry.serial);
        keep_last_of_each_id(&mut entries);
        let newest = entries.last().map(|entry| entry.serial);
        let newest = newest.max(snapshot.as_ref().map(|snapshot| snapshot.until));
        newest.iter().for_each(|serial| self.clock.observe(serial));
        self.remember(now, &entries);
        self.objects_mut().restore(now, snapshot, &entries);
    }
}

/// A write that failed may have reached the store after all. What subscribers saw, and what the
/// publisher was told of, is the repeat.
pub(crate) fn keep_last_of_each_id(entries: &mut Vec<Arc<Entry>>) {
    let mut seen = BTreeSet::new();
    entries.reverse();
    entries.retain(|entry| seen.insert(entry.id.clone()));
    entries.reverse();
}

fn target(event: &Event) -> Option<ItemPosition> {
    if let Event::Publish(publish) = event { publish.body.target() } else { None }
}

fn memory(event: &Event) -> usize {
    match event {
        Event::Publish(publish) => body_memory(&publish.body),
        Event::Attach(_)
        | Event::Detach(_)
        | Event::Occupy { .. }
        | Event::Loaded(_)
        | Event::MessagesLoaded(_)
        | Event::BacklogLoaded { .. }
        | Event::Stored { .. }
        | Event::Linger
        | Event::Tick => 0,
    }
}

/// What the server publishes, or else the event.
fn of_server(event: Event) -> Result<Publish, Event> {
    if let Event::Publish(publish) = event {
        return if publish.is_of_server() { Ok(publish) } else { Err(Event::Publish(publish)) };
    }
    Err(event)
}

pub(crate) fn refuse(event: Event, error: ErrorInfo, effects: &mut Vec<Effect>) {
    match event {
        Event::Attach(attach) => {
            effects.push(Effect::AttachRefused { attachment: attach.attachment, error });
        }
        Event::Publish(publish) => {
            effects.push(Effect::Published { token: publish.token, result: Err(error) });
        }
        Event::Detach(_)
        | Event::Occupy { .. }
        | Event::Loaded(_)
        | Event::MessagesLoaded(_)
        | Event::BacklogLoaded { .. }
        | Event::Stored { .. }
        | Event::Linger
        | Event::Tick => {}
    }
}
