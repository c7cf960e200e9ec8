//! Retention: what is too old is not read, and removed step by step.
//!
//! The horizon divides kept from expired entries. It is moved by [`Store::expire`] alone and never
//! back, so reads need no clock. Removal follows it in bounded steps along the index by time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fjall::PersistMode;
use types::Timestamp;

use crate::{Store, StoreError, key};

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
        for guard in self.times.range(removed.to_be_bytes()..horizon.to_be_bytes()).take(STEP) {
            let (time_key, about_key) = guard.into_inner()?;
            let Some((_, entry_key)) = time_key.split_at_checked(size_of::<u64>()) else {
                return Err(StoreError::Damaged("the index by time"));
            };
            let serial = key::serial_of(entry_key)?;
            let series_key = key::series_of(entry_key)?;
            if self.series.get(&series_key)?.as_deref() == Some(key::serial(&serial).as_slice()) {
                batch.remove(&self.series, series_key);
            }
            if !about_key.is_empty() {
                batch.remove(&self.about, about_key);
            }
            batch.remove(&self.history, entry_key);
            batch.remove(&self.times, time_key);
            (count, reached) = (count + 1, serial.ms);
        }
        batch.commit()?;
        let reached = if count < STEP { horizon } else { reached };
        self.retention.removed.store(reached, Ordering::Relaxed);
        Ok(count)
    }
}
