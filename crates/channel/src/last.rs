//! What was published last, if the namespace keeps it: for who rewinds by one when the log has no
//! message any more. It is of the store, and neither part of the log nor of what can be resumed.

use std::sync::Arc;

use types::{Cursor, Entry, Kind};

use crate::Channel;
use crate::event::Effect;
use crate::replay::Replay;

#[derive(Debug, Default)]
pub(crate) struct Last(Option<Arc<Entry>>);

impl Last {
    /// Takes the newest publish of what was loaded.
    pub(crate) fn restore(&mut self, entries: &[Arc<Entry>]) {
        let published = entries.iter().filter(|entry| Kind::of(&entry.body) == Kind::Messages);
        self.0 = published.max_by_key(|entry| entry.serial).cloned();
    }
}

impl Channel {
    /// Keeps the entry if it publishes messages. Changes of them are not kept.
    pub(crate) fn keep_last(&mut self, entry: &Arc<Entry>, effects: &mut Vec<Effect>) {
        let publishes = Kind::of(&entry.body) == Kind::Messages;
        if self.config.persist_last && publishes {
            self.last = Last(Some(Arc::clone(entry)));
            effects.push(Effect::KeepLast(Arc::clone(entry)));
        }
    }

    /// Where an attachment starts that wants the last message, and that message.
    pub(crate) fn rewind_to_last(&self) -> (Cursor, Replay) {
        let head = self.log.head();
        let last = self.last.0.iter().map(|entry| (self.in_place(Arc::clone(entry)), head.clone()));
        let replay = last.collect();
        (head, replay)
    }
}
