//! Attaching: where an attachment starts, what is replayed to it, and what it is told.
//!
//! Invariant (I7): `resumed` only if nothing is missing between the presented cursor and the first
//! live delivery. Each replayed entry is labelled so that the label, when presented, replays
//! exactly what follows.

use types::{Body, Cursor, CursorError, Entry, ErrorInfo, Kind, Timestamp, error};

use crate::Channel;
use crate::event::{Attach, Attached, Effect, Rewind};
use crate::log::{before, cursor_at};
use crate::replay::Replay;

/// Entries that one attach replays; a resume that needs more is answered with 90004. It bounds
/// what one attach holds in labels to about 5 MB.
const MAX_REPLAY: usize = 20_000;

impl Channel {
    pub(crate) fn attach(&mut self, now: Timestamp, attach: Attach, effects: &mut Vec<Effect>) {
        let attachment = attach.attachment;
        self.attachments.insert(attachment);
        let (cursor, replay, resumed, error) = match attach.resume {
            Some(presented) => match presented.map_err(unreadable).and_then(|c| self.resume(c)) {
                Ok((cursor, replay)) => (cursor, replay, true, None),
                Err(error) => (self.log.head(), Replay::new(), false, Some(error)),
            },
            None => {
                let (cursor, replay) = self.rewind(now, attach.rewind);
                (cursor, replay, false, None)
            }
        };
        let members = self.members().cloned().collect();
        let from = replay
            .first()
            .map_or_else(|| self.clock.clone().next(now, self.series), |(entry, _)| entry.serial);
        effects.push(Effect::Attached(Attached {
            attachment,
            resumed,
            error,
            cursor,
            from,
            replay,
            members,
            objects: self.objects(),
        }));
    }

    fn resume(&self, presented: Cursor) -> Result<(Cursor, Replay), ErrorInfo> {
        let expired = || error::RESUME_EXPIRED.info();
        let point = self.log.point(&presented).ok_or_else(expired)?;
        let missed = self.log.beyond(point).ok_or_else(expired)?;
        if missed.len() > MAX_REPLAY {
            return Err(error::RESUME_TOO_LARGE.info());
        }
        let missed: Vec<_> = missed.filter(|entry| self.still_holds(entry)).collect();
        Ok((presented, self.replay(&missed)))
    }

    /// Members of earlier hosts are gone without a LEAVE: their events would bring them back.
    fn still_holds(&self, entry: &Entry) -> bool {
        !matches!(entry.body, Body::Presence(_)) || entry.serial.series == self.series
    }

    /// Where a first attach starts, and the messages before the head that it asked for. An entry
    /// is replayed whole, and the last one in any case, even if it has more messages than asked
    /// for.
    fn rewind(&self, now: Timestamp, rewind: Option<Rewind>) -> (Cursor, Replay) {
        let (limit, oldest) = match rewind {
            None => (0, now),
            Some(Rewind::Messages(limit)) => (limit, Timestamp(0)),
            Some(Rewind::Millis { duration_ms, limit }) => {
                (limit, Timestamp(now.0.saturating_sub(duration_ms)))
            }
        };
        let mut replay = Replay::new();
        let mut left = limit as usize;
        for entry in self.log.entries().rev().take_while(|entry| entry.timestamp >= oldest) {
            if Kind::of(&entry.body) != Kind::Messages {
                continue;
            }
            let count = entry.body.len();
            if left == 0 || (count > left && !replay.is_empty()) {
                break;
            }
            left = left.saturating_sub(count);
            replay.push((self.in_place(entry), cursor_at(entry)));
        }
        if replay.is_empty() && rewind == Some(Rewind::Messages(1)) {
            return self.rewind_to_last();
        }
        replay.reverse();
        let start = replay.first().map_or_else(|| self.log.head(), |(entry, _)| before(entry));
        (start, replay)
    }
}

fn unreadable(reason: CursorError) -> ErrorInfo {
    error::INVALID_HISTORY_POSITION.with(match reason {
        CursorError::Malformed => "unreadable channelSerial",
        CursorError::OtherChannel => "channelSerial of another channel",
    })
}
