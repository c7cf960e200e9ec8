//! Conflation: what is published within an interval waits, and then only the newest message of each
//! key becomes part of an entry. Whoever published the others is told so: they have no serial.
//!
//! Everything waits, not only messages, so that the order of each publisher holds. A publish is judged
//! by its id when its interval is over; a repeat of one that waits waits as well, and is then found to
//! be one. What is dropped is remembered by its id like what is appended.

use std::collections::{BTreeMap, BTreeSet};

use types::{
    Accepted, Body, Entry, EntryId, Grouping, Message, Subject, Template, Timestamp, error,
};

use crate::Channel;
use crate::content::Content;
use crate::event::{Effect, Event, Publish};
use crate::load::{Stage, Waiting, refuse};

/// Messages of one publish that may be dropped; those behind them never are.
const MAX_DROPPED: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Conflation {
    /// What was published within the interval, in order of arrival.
    pub(crate) collected: Waiting,
    until: Option<Timestamp>,
}

impl Channel {
    pub(crate) fn conflates(&self) -> bool {
        matches!(self.config.grouping, Grouping::Conflation { .. })
    }

    /// When the interval is over, if anything waits for it and could go on.
    pub(crate) fn collected_until(&self) -> Option<Timestamp> {
        self.conflation.until.filter(|_| self.stage == Stage::Loaded)
    }

    pub(crate) fn collect(&mut self, now: Timestamp, publish: Publish, effects: &mut Vec<Effect>) {
        let Grouping::Conflation { interval, .. } = self.config.grouping else { return };
        let deadline = now.plus(self.config.limits.publish_deadline);
        self.conflation.until.get_or_insert(now.plus(interval));
        let Err(event) = self.conflation.collected.push(deadline, Event::Publish(publish)) else {
            return;
        };
        // Full: its interval ends early.
        self.conflation.until = Some(now);
        self.release_collected(now, effects);
        self.conflation.until = Some(now.plus(interval));
        if let Err(event) = self.conflation.collected.push(deadline, event) {
            refuse(event, error::OVERLOADED.with("too much waits for the channel"), effects);
        }
    }

    /// Publishes what is left of an interval that is over.
    pub(crate) fn release_collected(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.collected_until().is_none_or(|until| now < until) {
            return;
        }
        let mut targets = self.conflation.collected.targets().into_iter();
        if let Some(key) = targets.find_map(|key| self.unheld(now, Some(key))) {
            // Goes on once the message is there.
            return self.start_fetch(key, effects);
        }
        self.conflation.until = None;
        let mut publishes = Vec::new();
        while let Some(event) = self.conflation.collected.pop_if(|_| true) {
            if let Event::Publish(publish) = event {
                publishes.push(publish);
            }
        }
        let dropped = self.dropped(now, &publishes);
        for (publish, dropped) in publishes.into_iter().zip(dropped) {
            self.publish_undropped(now, publish, dropped, effects);
        }
    }

    /// Of each publish, which messages a newer one replaces.
    fn dropped(&self, now: Timestamp, publishes: &[Publish]) -> Vec<u64> {
        let mut dropped = vec![0_u64; publishes.len()];
        let Grouping::Conflation { key, .. } = &self.config.grouping else { return dropped };
        let mut newest: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        let mut ids = BTreeSet::new();
        for (at, publish) in publishes.iter().enumerate() {
            let is_repeat = self.ids.find(&publish.id).is_some()
                || self.pending.contains(&publish.id)
                || !ids.insert(&publish.id);
            for (index, message) in new_messages(publish).iter().enumerate() {
                if is_repeat {
                    continue;
                }
                let text = self.render(key, now, publish, (index, message));
                let Some((before, index)) = newest.insert(text, (at, index)) else { continue };
                if let Some(dropped) = dropped.get_mut(before).filter(|_| index < MAX_DROPPED) {
                    *dropped |= 1 << index;
                }
            }
        }
        dropped
    }

    fn render(
        &self,
        key: &Template,
        now: Timestamp,
        publish: &Publish,
        (index, message): (usize, &Message),
    ) -> String {
        let id = message.id.clone().unwrap_or_else(|| item_id(&publish.id, index).into());
        key.render(Subject {
            channel: &self.name,
            id: &id,
            connection_id: publish.connection_id.as_ref().map_or("", |id| id.as_str()),
            timestamp: now.0,
            message,
        })
    }

    fn publish_undropped(
        &mut self,
        now: Timestamp,
        mut publish: Publish,
        dropped: u64,
        effects: &mut Vec<Effect>,
    ) {
        if dropped == 0 {
            return self.publish(now, publish, effects);
        }
        let content = Content::of(&publish.id, &publish.body);
        let items = publish.body.len();
        if let Body::Messages(messages) = &mut publish.body {
            let mut index = 0;
            messages.retain_mut(|message| {
                message.id.get_or_insert_with(|| item_id(&publish.id, index).into());
                let keep = index >= MAX_DROPPED || dropped >> index & 1 == 0;
                index += 1;
                keep
            });
        }
        if !publish.body.is_empty() {
            return self.publish_rest(now, publish, (content, dropped), effects);
        }
        self.ids.insert(now, &publish.id, content, Accepted { serial: None, items, dropped });
        let result = Ok(Accepted { serial: None, items, dropped });
        effects.push(Effect::Published { token: publish.token, result });
    }
}

/// What conflation is about: not changes of messages, of which each is about one message anyway.
fn new_messages(publish: &Publish) -> &[Message] {
    match &publish.body {
        Body::Messages(messages) if publish.body.change().is_none() => messages,
        Body::Messages(_) | Body::Annotations(_) | Body::Presence(_) | Body::Objects(_) => &[],
    }
}

fn item_id(id: &EntryId, index: usize) -> String {
    format!("{id}:{index}")
}

/// The places that the messages of `entry` had in its publish, of those whose ids tell.
pub(crate) fn places(entry: &Entry) -> impl Iterator<Item = usize> {
    let of_entry = format!("{}:", entry.id);
    let messages = match &entry.body {
        Body::Messages(messages) => messages.as_slice(),
        Body::Annotations(_) | Body::Presence(_) | Body::Objects(_) => &[],
    };
    let ids = messages.iter().filter_map(|message| message.id.as_deref());
    ids.filter_map(move |id| id.strip_prefix(&of_entry)?.parse().ok())
}

/// What was dropped of a publish before `entry` was stored, as in [`Accepted`]: in front of what was kept.
/// Whether there was more behind it is not known.
pub(crate) fn dropped_before(entry: &Entry) -> u64 {
    let (mut dropped, mut next) = (0, 0);
    for place in places(entry) {
        (next..place.min(MAX_DROPPED)).for_each(|index| dropped |= 1 << index);
        next = place.saturating_add(1);
    }
    dropped
}
