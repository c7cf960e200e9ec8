//! Conflation: what is published within an interval waits, and then only the newest message of each
//! key becomes part of an entry. Whoever published the others is told so: they have no serial.
//!
//! Everything waits, not only messages, so that the order of each publisher holds. A publish is judged
//! by its id when its interval is over; a repeat of one that waits waits as well, and is then found to
//! be one. What is dropped is remembered by its id like what is appended, in the same room. A publish of
//! which nothing is left is accepted if those that replace it are, and refused with them otherwise.

use std::collections::BTreeMap;

use types::{
    Accepted, Body, Entry, EntryId, ErrorInfo, Grouping, Message, Subject, Template, Timestamp,
    error,
};

use crate::Channel;
use crate::content::Content;
use crate::event::{Effect, Event, Publish, PublishToken};
use crate::load::{Stage, Waiting, refuse};

/// Messages of one publish that may be dropped; those behind them never are.
const MAX_DROPPED: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Conflation {
    /// What was published within the interval, in order of arrival.
    pub(crate) collected: Waiting,
    until: Option<Timestamp>,
}

/// What becomes of a publish because of others of its interval.
#[derive(Debug, Default)]
struct Fate {
    /// Its messages that newer ones replace, as in [`Accepted`].
    dropped: u64,
    /// If nothing is left of it, the publishes that are there instead: all that have the newer messages, or
    /// the one that it repeats.
    instead: Vec<PublishToken>,
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
        self.publish_collected(now, publishes, effects);
    }

    /// Publishes what is left, and then answers for what is not: as what is there instead was answered.
    fn publish_collected(
        &mut self,
        now: Timestamp,
        publishes: Vec<Publish>,
        effects: &mut Vec<Effect>,
    ) {
        let (fates, before) = (self.fates(now, &publishes), effects.len());
        let mut replaced = Vec::new();
        for (publish, fate) in publishes.into_iter().zip(fates) {
            if fate.instead.is_empty() {
                self.publish_undropped(now, publish, fate.dropped, effects);
            } else {
                replaced.push((publish, fate));
            }
        }
        let mut refused: BTreeMap<_, _> = effects.iter().skip(before).filter_map(refusal).collect();
        for (publish, Fate { dropped, instead }) in replaced {
            let token = publish.token;
            let error = instead.iter().find_map(|token| refused.get(token).cloned());
            let result = match error {
                Some(error) => Err(error),
                None if dropped == 0 => {
                    self.publish(now, publish, effects);
                    continue;
                }
                None => self.drop_whole(now, &publish, dropped),
            };
            refused.extend(result.as_ref().err().map(|error| (token, error.clone())));
            effects.push(Effect::Published { token, result });
        }
    }

    /// What becomes of each publish, as far as the others decide it.
    fn fates(&self, now: Timestamp, publishes: &[Publish]) -> Vec<Fate> {
        let mut originals = BTreeMap::new();
        for publish in publishes {
            originals.entry(&publish.id).or_insert(publish.token);
        }
        let mut newest = BTreeMap::new();
        // From the newest to the oldest.
        let fate = |publish: &Publish| match originals.get(&publish.id) {
            Some(original) if *original != publish.token => {
                Fate { dropped: 0, instead: vec![*original] }
            }
            Some(_) | None if self.knows(&publish.id) || self.pending.contains(&publish.id) => {
                Fate::default()
            }
            Some(_) | None => self.fate(now, publish, &mut newest),
        };
        let mut fates: Vec<Fate> = publishes.iter().rev().map(fate).collect();
        fates.reverse();
        fates
    }

    /// As [`Self::fates`], of one of which `newest` says what is newer of each key.
    fn fate(
        &self,
        now: Timestamp,
        publish: &Publish,
        newest: &mut BTreeMap<String, PublishToken>,
    ) -> Fate {
        let Grouping::Conflation { key, .. } = &self.config.grouping else {
            return Fate::default();
        };
        let (messages, mut fate) = (new_messages(publish), Fate::default());
        for (index, message) in messages.iter().enumerate().rev() {
            let text = self.render(key, now, publish, (index, message));
            match newest.get(&text) {
                Some(newer) if index < MAX_DROPPED => {
                    fate.dropped |= 1 << index;
                    fate.instead.push(*newer);
                }
                Some(_) => {}
                None => {
                    newest.insert(text, publish.token);
                }
            }
        }
        if fate.instead.len() < messages.len() {
            fate.instead.clear();
        }
        fate
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
        if let Body::Messages(messages) = &mut publish.body {
            let mut index = 0;
            messages.retain_mut(|message| {
                message.id.get_or_insert_with(|| item_id(&publish.id, index).into());
                let keep = index >= MAX_DROPPED || dropped >> index & 1 == 0;
                index += 1;
                keep
            });
        }
        self.publish_rest(now, publish, (content, dropped), effects);
    }

    fn drop_whole(
        &mut self,
        now: Timestamp,
        publish: &Publish,
        dropped: u64,
    ) -> Result<Accepted, ErrorInfo> {
        self.check_room(publish.connection_id.as_ref(), &publish.body)?;
        let accepted = Accepted { serial: None, items: publish.body.len(), dropped };
        let content = Content::of(&publish.id, &publish.body);
        self.ids.insert(now, &publish.id, content, accepted);
        Ok(accepted)
    }
}

fn refusal(effect: &Effect) -> Option<(PublishToken, ErrorInfo)> {
    match effect {
        Effect::Published { token, result: Err(error) } => Some((*token, error.clone())),
        Effect::Published { .. }
        | Effect::Attached(_)
        | Effect::AttachRefused { .. }
        | Effect::Deliver { .. }
        | Effect::Occupancy(_)
        | Effect::Store(_)
        | Effect::KeepLast(_)
        | Effect::StoreObjects(_)
        | Effect::Load
        | Effect::LoadMessages(_)
        | Effect::LoadBacklog { .. } => None,
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
