//! Whether a node can serve. That it lives needs no answer from here: a process that answers, lives.
//!
//! The driver reports each of its turns, so a loop that hangs is noticed by its silence.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A driver that was silent for longer than this does not serve.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct Health {
    started: Instant,
    /// Milliseconds between `started` and the last turn; zero before the first.
    last_turn: AtomicU64,
    store_failed: AtomicBool,
    leaving: AtomicBool,
}

/// Why a node cannot serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReady {
    Leaving,
    StoreFailed,
    DriverSilent,
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leaving => "the node is shutting down",
            Self::StoreFailed => "the store cannot be written",
            Self::DriverSilent => "the driver does not answer",
        })
    }
}

impl Health {
    pub fn new(now: Instant) -> Self {
        Self {
            started: now,
            last_turn: AtomicU64::new(0),
            store_failed: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
        }
    }

    /// The driver has completed a turn.
    pub fn turned(&self, now: Instant) {
        self.last_turn.fetch_max(self.millis(now).max(1), Ordering::Relaxed);
    }

    pub fn store_works(&self) {
        self.store_failed.store(false, Ordering::Relaxed);
    }

    pub fn store_failed(&self) {
        self.store_failed.store(true, Ordering::Relaxed);
    }

    /// The node has begun to shut down; it does not come back.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    pub fn ready(&self, now: Instant) -> Result<(), NotReady> {
        let last_turn = self.last_turn.load(Ordering::Relaxed);
        let silence = Duration::from_millis(self.millis(now).saturating_sub(last_turn));
        if self.leaving.load(Ordering::Relaxed) {
            Err(NotReady::Leaving)
        } else if self.store_failed.load(Ordering::Relaxed) {
            Err(NotReady::StoreFailed)
        } else if last_turn == 0 || silence > PATIENCE {
            Err(NotReady::DriverSilent)
        } else {
            Ok(())
        }
    }

    fn millis(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.started);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_ready_from_its_first_turn_until_the_driver_falls_silent() {
        let start = Instant::now();
        let health = Health::new(start);
        assert_eq!(health.ready(start), Err(NotReady::DriverSilent));
        health.turned(start);
        assert_eq!(health.ready(start + PATIENCE), Ok(()));
        let late = start + PATIENCE + Duration::from_millis(2);
        assert_eq!(health.ready(late), Err(NotReady::DriverSilent));
        health.turned(late);
        assert_eq!(health.ready(late), Ok(()));
    }

    #[test]
    fn a_node_without_store_is_not_ready_until_the_store_works_again() {
        let start = Instant::now();
        let health = Health::new(start);
        health.turned(start);
        health.store_failed();
        assert_eq!(health.ready(start), Err(NotReady::StoreFailed));
        health.store_works();
        assert_eq!(health.ready(start), Ok(()));
    }

    #[test]
    fn a_node_that_leaves_is_not_ready() {
        let start = Instant::now();
        let health = Health::new(start);
        health.turned(start);
        health.leave();
        assert_eq!(health.ready(start), Err(NotReady::Leaving));
    }
}
