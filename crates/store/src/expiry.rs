//! Retention: what is too old is not read, and removed step by step.
//!
//! The horizon divides kept from expired entries. It is moved by [`Store::expire`] alone and never
//! back, so reads need no clock. Removal follows it in bounded steps, a minute of one kind of entries of one
//! channel after the other, once all of the minute has expired.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fjall::{OwnedWriteBatch, PersistMode, Slice};
use types::Timestamp;

use crate::{Store, StoreError, chunk, key};

/// Entries that one step removes: a few milliseconds of the writer's time.
pub(crate) const STEP: usize = 1024;

pub(crate) struct Retention {
    period: Duration,
    now: AtomicU64,
    /// Entries before this millisecond have expired.
    horizon: AtomicU64,
    /// Entries before this millisecond are removed; where the next step begins to look.
    removed: AtomicU64,
    /// The key behind those of `last` that were looked at.
    last_looked_at: Mutex<Vec<u8>>,
}

impl Retention {
    pub(crate) fn new(period: Duration) -> Self {
        Self {
            period,
            now: AtomicU64::new(0),
            horizon: AtomicU64::new(0),
            removed: AtomicU64::new(0),
            last_looked_at: Mutex::default(),
        }
    }

    pub(crate) fn horizon(&self) -> Timestamp {
        Timestamp(self.horizon.load(Ordering::Relaxed))
    }

    /// When somebody last looked for what has expired.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::Relaxed))
    }

    pub(crate) fn last_looked_at(&self) -> MutexGuard<'_, Vec<u8>> {
        self.last_looked_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Hides what is older than the retention at `now`, and removes some of it. Returns how many
    /// entries it removed; zero when there is nothing left to remove. Not to be called while
    /// somebody else appends: the [`Writer`](crate::Writer) does it by itself.
    pub fn expire(&self, now: Timestamp) -> Result<usize, StoreError> {
        let mut batch = self.database.batch().durability(Some(PersistMode::Buffer));
        self.retention.now.fetch_max(now.0, Ordering::Relaxed);
        self.expire_last(&mut batch, now)?;
        let horizon = now.minus(self.retention.period).0;
        let horizon = self.retention.horizon.fetch_max(horizon, Ordering::Relaxed).max(horizon);
        let removed = self.retention.removed.load(Ordering::Relaxed);
        if removed >= horizon {
            batch.commit()?;
            return Ok(0);
        }
        let (mut count, mut reached) = (0, horizon);
        let over = horizon.saturating_add(1).to_be_bytes();
        for guard in self.minutes.range(removed.to_be_bytes()..over) {
            let minute_key = guard.key()?;
            let (end, (low, high)) = key::span_of_minute(&minute_key)?;
            for guard in self.history.range(low..=high) {
                let (chunk_key, chunk) = guard.into_inner()?;
                count += self.remove_chunk(&mut batch, &chunk_key, &chunk)?;
                if count >= STEP {
                    break;
                }
            }
            if count >= STEP {
                // Of this minute there may be more.
                reached = end;
                break;
            }
            batch.remove(&self.minutes, minute_key);
        }
        batch.commit()?;
        self.retention.removed.store(reached, Ordering::Relaxed);
        Ok(count)
    }

    /// Returns how many entries it has.
    fn remove_chunk(
        &self,
        batch: &mut OwnedWriteBatch,
        chunk_key: &[u8],
        chunk: &Slice,
    ) -> Result<usize, StoreError> {
        batch.remove(&self.history, chunk_key);
        let (head, first) = key::take_entry(chunk_key)?;
        // What cannot be read goes all the same; what is left of it in `about` leads nowhere.
        let entries = chunk::read(chunk_key, chunk).unwrap_or_default();
        let series_key = key::series_of(head, first.series);
        let of_series = self.any_of(&series_key)?;
        if of_series.is_some_and(|serial| chunk::belong_together(serial, first)) {
            batch.remove(&self.series, series_key);
        }
        if key::is_about(head) {
            for stored in &entries {
                if let Ok(entry) = stored.unpack()
                    && let Some(message) = entry.body.target()
                {
                    let own = packed::serial(&stored.serial);
                    batch.remove(&self.about, key::about(head, message, &own));
                }
            }
        }
        Ok(entries.len())
    }
}
