//! Rewinds of a persisted channel that reach behind its log: what is older is read from the store,
//! once for each attach, which waits for it.
//!
//! Nothing is missing and nothing comes twice: asked for is what was committed when the attach came;
//! of the answer only what lies before the log is taken, and nothing of it if the log has lost
//! entries that were committed since.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::{Cursor, Direction, Entry, ErrorInfo, HistoryQuery, Kind, Timestamp, error};

use crate::Channel;
use crate::event::{AttachmentId, Effect, Rewind};
use crate::load::keep_last_of_each_id;

/// The attaches that wait for the store. No more than the channel has attachments.
#[derive(Debug, Default)]
pub(crate) struct Backlogs(BTreeMap<AttachmentId, Asked>);

#[derive(Debug)]
struct Asked {
    rewind: Rewind,
    at: Timestamp,
    /// The end of the log then.
    head: Cursor,
    deadline: Timestamp,
}

impl Backlogs {
    pub(crate) fn forget(&mut self, attachment: AttachmentId) {
        self.0.remove(&attachment);
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.0.values().map(|asked| asked.deadline).min()
    }
}

impl Channel {
    /// Asks the store for what the log does not have of this rewind.
    pub(crate) fn ask_for_backlog(
        &mut self,
        now: Timestamp,
        attachment: AttachmentId,
        rewind: Rewind,
        effects: &mut Vec<Effect>,
    ) {
        let head = self.log.head();
        let deadline = now.plus(self.config.limits.publish_deadline);
        let (limit, start) = match rewind {
            Rewind::Messages(limit) => (limit, None),
            Rewind::Millis { limit, .. } => (limit, Some(rewind.oldest(now))),
        };
        let query = HistoryQuery {
            direction: Direction::Backwards,
            start,
            until: Some(head.clone()),
            // One more, so that it is known whether there are more.
            ..HistoryQuery::new(Kind::Messages, (limit as usize).saturating_add(1))
        };
        self.backlogs.0.insert(attachment, Asked { rewind, at: now, head, deadline });
        effects.push(Effect::LoadBacklog { attachment, query: Box::new(query) });
    }

    /// `result` has the entries of what was asked for, oldest first.
    pub(crate) fn backlog_loaded(
        &mut self,
        now: Timestamp,
        attachment: AttachmentId,
        result: Result<Vec<Arc<Entry>>, ErrorInfo>,
        effects: &mut Vec<Effect>,
    ) {
        // Detached, or refused for having waited too long.
        let Some(asked) = self.backlogs.0.remove(&attachment) else { return };
        match result {
            Ok(mut older) => {
                let log = &self.log;
                let first = log.records().next().map(|record| record.serial);
                older.retain(|entry| {
                    first.is_none_or(|first| entry.serial < first) && !self.is_repeated(entry)
                });
                keep_last_of_each_id(&mut older);
                if log.point(&asked.head).and_then(|point| log.beyond(point)).is_none() {
                    older.clear();
                }
                let rewound = self.rewind(asked.at, asked.rewind, &older);
                self.answer_rewind(now, attachment, rewound, effects);
            }
            Err(reason) => {
                let error = error::TIMEOUT.with(format!("the store failed: {}", reason.message));
                self.refuse_rewind(attachment, error, effects);
            }
        }
    }

    /// Whether what the channel knows under the id of this entry is another one: a write that was
    /// reported as failed, and was there all the same.
    fn is_repeated(&self, entry: &Entry) -> bool {
        let known = self.ids.find(&entry.id).and_then(|(accepted, _)| accepted.serial);
        known.is_some_and(|serial| serial != entry.serial)
    }

    pub(crate) fn expire_backlogs(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        let late = |(id, asked): (&AttachmentId, &Asked)| (asked.deadline <= now).then_some(*id);
        let late: Vec<AttachmentId> = self.backlogs.0.iter().filter_map(late).collect();
        for attachment in late {
            self.backlogs.forget(attachment);
            let error = error::TIMEOUT.with("the store did not answer in time");
            self.refuse_rewind(attachment, error, effects);
        }
    }

    fn refuse_rewind(
        &mut self,
        attachment: AttachmentId,
        error: ErrorInfo,
        effects: &mut Vec<Effect>,
    ) {
        self.attachments.remove(&attachment);
        effects.push(Effect::AttachRefused { attachment, error });
    }
}
