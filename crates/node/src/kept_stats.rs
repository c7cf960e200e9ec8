//! Statistics in the store: every interval in which something was counted is a record, written again
//! as long as it runs. A crash costs what was counted since the last write.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use stats::{Interval, Totals};
use types::{Record, RecordChange, RecordId, RecordKind, Timestamp};

use crate::node::Node;
use crate::records::Damaged;
use crate::timers::TimerKey;

/// Time from something that is counted to the write, and so between writes.
const SAVE_INTERVAL: Duration = Duration::from_secs(10);
/// The version of the record's format, which is JSON.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    numbers: Vec<u64>,
}

impl Node {
    /// Something may have been counted: it is written soon.
    pub(crate) fn save_stats_soon(&mut self, now: Timestamp) {
        self.timers.set_if_none(TimerKey::Stats, now.plus(SAVE_INTERVAL));
    }

    /// Writes what was counted since the last time.
    pub(crate) fn save_stats(&mut self, now: Timestamp) {
        for state in self.apps.values_mut() {
            let changes =
                state.stats.take_unsaved(now).into_iter().filter_map(|(interval, totals)| {
                    let key = interval.to_string().into();
                    let id =
                        RecordId { app: state.app.id.clone(), kind: RecordKind::Statistics, key };
                    let Some(totals) = totals else { return Some(RecordChange::Delete(id)) };
                    let document = Document { version: VERSION, numbers: totals.to_numbers() };
                    let value = Bytes::from(serde_json::to_vec(&document).ok()?);
                    Some(RecordChange::Keep(Record { id, value }))
                });
            let changes: Vec<_> = changes.collect();
            if !changes.is_empty() {
                self.effects.push(crate::event::Effect::Keep { ticket: None, changes });
            }
        }
    }

    pub(crate) fn restore_stats(&mut self, id: &RecordId, value: &[u8]) -> Result<(), Damaged> {
        let Some(state) = self.apps.get_mut(&id.app) else { return Ok(()) };
        let interval = Interval::parse(&id.key).ok_or(Damaged)?;
        let document: Document = serde_json::from_slice(value).or(Err(Damaged))?;
        let totals = Totals::from_numbers(&document.numbers);
        let totals = totals.filter(|_| document.version == VERSION).ok_or(Damaged)?;
        state.stats.restore(interval, totals);
        Ok(())
    }
}
