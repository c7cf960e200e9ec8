//! Attaching: where an attachment starts, what is replayed to it, and what it is told.
//!
//! Invariant (I7): `resumed` only if nothing is missing between the presented cursor and the first
//! live delivery. Each replayed entry is labelled so that the label, when presented, replays
//! exactly what follows.

use std::sync::Arc;

use types::{Body, Cursor, CursorError, Entry, ErrorInfo, Kind, Timestamp, error};

use crate::Channel;
use crate::event::{Attach, Attached, AttachmentId, Effect, MAX_REWIND, Rewind};
use crate::log::{before, cursor_at};
use crate::replay::Replay;

/// Entries that one attach replays; a resume that needs more is answered with 90004. It bounds
/// what one attach holds in labels to about 5 MB.
const MAX_REPLAY: usize = 20_000;

/// Bytes of these entries, in the same way.
const MAX_REPLAY_BYTES: usize = 16 << 20;

impl Channel {
    pub(crate) fn attach(&mut self, now: Timestamp, attach: Attach, effects: &mut Vec<Effect>) {
        let attachment = attach.attachment;
        self.attachments.insert(attachment);
        let Some(presented) = attach.resume else {
            let rewind = attach.rewind.unwrap_or(Rewind::Messages(0));
            let rewound = self.rewind(now, rewind, &[]);
            if self.config.persisted && rewound.reach == Reach::WholeLog {
                self.ask_for_backlog(now, attachment, rewind, effects);
            } else {
                self.answer_rewind(now, attachment, rewound, effects);
            }
            return;
        };
        let start = match presented.map_err(unreadable).and_then(|c| self.resume(c)) {
            Ok((cursor, replay)) => Start { cursor, replay, resumed: true, error: None },
            Err(error) => Start {
                cursor: self.log.head(),
                replay: Replay::new(),
                resumed: false,
                error: Some(error),
            },
        };
        self.answer(now, attachment, start, effects);
    }

    pub(crate) fn answer_rewind(
        &mut self,
        now: Timestamp,
        attachment: AttachmentId,
        rewound: Rewound,
        effects: &mut Vec<Effect>,
    ) {
        let Rewound { cursor, replay, reach } = rewound;
        let error = (reach == Reach::TooMany).then(|| error::RESUME_TOO_LARGE.info());
        self.answer(now, attachment, Start { cursor, replay, resumed: false, error }, effects);
    }

    fn answer(
        &self,
        now: Timestamp,
        attachment: AttachmentId,
        start: Start,
        effects: &mut Vec<Effect>,
    ) {
        let Start { cursor, replay, resumed, error } = start;
        let members = self.members().cloned().collect();
        let next = self.clock.clone().next(now, self.series);
        let from = replay.first().map_or(next, |(entry, _)| entry.serial);
        effects.push(Effect::Attached(Box::new(Attached {
            attachment,
            resumed,
            error,
            cursor,
            from,
            changes_from: if resumed { from } else { next },
            replay,
            members,
            objects: self.objects(),
        })));
    }

    fn resume(&self, presented: Cursor) -> Result<(Cursor, Replay), ErrorInfo> {
        let expired = || error::RESUME_EXPIRED.info();
        let point = self.log.point(&presented).ok_or_else(expired)?;
        let missed = self.log.beyond(point).ok_or_else(expired)?;
        let bytes = missed.clone().next().map_or(0, |first| self.log.bytes_from(first));
        if bytes > MAX_REPLAY_BYTES || missed.clone().nth(MAX_REPLAY).is_some() {
            return Err(error::RESUME_TOO_LARGE.info());
        }
        let missed = missed.filter_map(|record| self.log.entry(record));
        let missed: Vec<_> = missed.filter(|entry| self.still_holds(entry)).collect();
        Ok((presented, self.replay(&missed)))
    }

    /// Members of earlier hosts are gone without a LEAVE: their events would bring them back.
    fn still_holds(&self, entry: &Entry) -> bool {
        !matches!(entry.body, Body::Presence(_)) || entry.serial.series == self.series
    }

    /// Where a first attach starts, and the messages before the head that it asked for: of the log,
    /// and of `older`, which lie before it. An entry is replayed whole, and the last one in any
    /// case, even if it has more messages than asked for.
    pub(crate) fn rewind(&self, now: Timestamp, rewind: Rewind, older: &[Arc<Entry>]) -> Rewound {
        let (limit, oldest) = (rewind.limit(), rewind.oldest(now));
        let mut replay = Replay::new();
        let (mut left, mut bytes) = (limit as usize, 0);
        let mut reach = if left == 0 { Reach::Enough } else { Reach::WholeLog };
        let log = self.log.entries().rev();
        let log = log.map(|entry| (Kind::of(&entry.body) == Kind::Messages, entry));
        // A message that was changed looks like its change by now.
        let older = older.iter().rev().map(|entry| (true, Arc::clone(entry)));
        for (is_publish, entry) in log.chain(older) {
            if entry.timestamp < oldest {
                reach = Reach::Enough;
                break;
            }
            if !is_publish {
                continue;
            }
            let count = entry.body.len();
            if left == 0 || (count > left && !replay.is_empty()) {
                reach = rewind.reach_of_more();
                break;
            }
            bytes += entry.body.size();
            if bytes > MAX_REPLAY_BYTES && !replay.is_empty() {
                reach = Reach::TooMany;
                break;
            }
            left = left.saturating_sub(count);
            let cursor = cursor_at(&entry);
            replay.push((self.in_place(entry), cursor));
            if left == 0 && rewind.reach_of_more() == Reach::Enough {
                reach = Reach::Enough;
                break;
            }
        }
        if replay.is_empty() && rewind == Rewind::Messages(1) {
            let (cursor, replay) = self.rewind_to_last();
            return Rewound { cursor, replay, reach };
        }
        replay.reverse();
        let start = replay.first().map_or_else(|| self.log.head(), |(entry, _)| before(entry));
        Rewound { cursor: start, replay, reach }
    }
}

/// Where an attachment starts.
struct Start {
    cursor: Cursor,
    replay: Replay,
    resumed: bool,
    error: Option<ErrorInfo>,
}

pub(crate) struct Rewound {
    cursor: Cursor,
    replay: Replay,
    reach: Reach,
}

/// How far a rewind got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// To where it wanted to.
    Enough,
    /// To the beginning of what there is.
    WholeLog,
    /// Not to where it wanted to, because there are too many messages.
    TooMany,
}

impl Rewind {
    fn limit(self) -> u32 {
        match self {
            Self::Messages(limit) | Self::Millis { limit, .. } => limit,
        }
    }

    pub(crate) fn oldest(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Messages(_) => Timestamp(0),
            Self::Millis { duration_ms, .. } => Timestamp(now.0.saturating_sub(duration_ms)),
        }
    }

    /// What it means that there are more messages than the limit: nothing to who chose it.
    fn reach_of_more(self) -> Reach {
        match self {
            Self::Millis { limit: MAX_REWIND, .. } => Reach::TooMany,
            Self::Messages(_) | Self::Millis { .. } => Reach::Enough,
        }
    }
}

fn unreadable(reason: CursorError) -> ErrorInfo {
    error::INVALID_HISTORY_POSITION.with(match reason {
        CursorError::Malformed => "unreadable channelSerial",
        CursorError::OtherChannel => "channelSerial of another channel",
    })
}
