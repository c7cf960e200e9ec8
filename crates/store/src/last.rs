//! What was published last on a channel, where that is kept, for a year. It is no part of history.

use std::sync::Arc;
use std::time::Duration;

use fjall::OwnedWriteBatch;
use packed::{Decoder, SERIAL_LENGTH, Unreadable, take_serial};
use types::{AppId, ChannelName, Entry, Timestamp};

use crate::{Store, StoreError, expiry, key};

const KEPT: Duration = Duration::from_hours(365 * 24);
const WHAT: &str = "the last message of a channel";

impl Store {
    /// The entry that was kept as the last of the channel, unless that was more than a year ago.
    pub fn last(
        &self,
        app: &AppId,
        channel: &ChannelName,
    ) -> Result<Option<Arc<Entry>>, StoreError> {
        let Some(value) = self.last.get(key::channel(app, channel))? else { return Ok(None) };
        let mut serial = Decoder::new(&value, WHAT);
        let serial = take_serial(&mut serial)?;
        if Timestamp(serial.ms) < self.retention.now().minus(KEPT) {
            return Ok(None);
        }
        let entry = value.get(SERIAL_LENGTH..).ok_or(Unreadable::Damaged(WHAT))?;
        Ok(Some(Arc::new(packed::decode(serial, entry)?)))
    }

    /// Removes some of what was kept for a year, a step further than the call before.
    pub(crate) fn expire_last(
        &self,
        batch: &mut OwnedWriteBatch,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut from = self.retention.last_looked_at();
        let mut seen = 0;
        for guard in self.last.range(from.clone()..).take(expiry::STEP) {
            let (channel_key, value) = guard.into_inner()?;
            if Timestamp(take_serial(&mut Decoder::new(&value, WHAT))?.ms) < now.minus(KEPT) {
                batch.remove(&self.last, channel_key.clone());
            }
            seen += 1;
            *from = [&channel_key, [0].as_slice()].concat();
        }
        if seen < expiry::STEP {
            from.clear();
        }
        Ok(())
    }
}

pub(crate) fn encode(entry: &Entry) -> Vec<u8> {
    let mut value = packed::serial(&entry.serial).to_vec();
    packed::encode(entry, &mut value);
    value
}
