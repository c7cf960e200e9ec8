//! Wall-clock milliseconds that never go backwards, for all threads of a node.
//!
//! The clock is the system's at its start and runs with the monotonic clock from then on. When the
//! system's clock jumps ahead (it was set, or the machine slept), this one follows; when the system's
//! clock is set back, this one goes on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use types::Timestamp;

#[derive(Debug)]
pub(crate) struct Clock {
    anchor: Instant,
    /// The wall-clock time of the anchor, in the light of the furthest that the system's clock
    /// has been ahead.
    base: AtomicU64,
}

impl Clock {
    /// Starts at the system's time, or at `earliest` if that is later: where an earlier run ended.
    pub(crate) fn start(earliest: Timestamp) -> Self {
        Self { anchor: Instant::now(), base: AtomicU64::new(earliest.max(system_time()).0) }
    }

    pub(crate) fn now(&self) -> Timestamp {
        // In this order: a delay between the two makes the system's clock look behind, not ahead.
        let system = system_time();
        self.at(self.anchor.elapsed(), system)
    }

    fn at(&self, elapsed: Duration, system: Timestamp) -> Timestamp {
        let ahead = system.minus(elapsed).0;
        let base = self.base.fetch_max(ahead, Ordering::Relaxed).max(ahead);
        Timestamp(base).plus(elapsed)
    }
}

/// The system's time as it is, for once; it may go backwards.
fn system_time() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::default().plus(since_epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn clock(base: u64) -> Clock {
        Clock { anchor: Instant::now(), base: AtomicU64::new(base) }
    }

    #[test]
    fn it_runs_with_the_monotonic_clock() {
        let clock = clock(1000);
        assert_eq!(clock.at(ms(0), Timestamp(1000)), Timestamp(1000));
        assert_eq!(clock.at(ms(250), Timestamp(1250)), Timestamp(1250));
    }

    #[test]
    fn it_goes_on_when_the_system_clock_is_set_back() {
        let clock = clock(1000);
        assert_eq!(clock.at(ms(10), Timestamp(400)), Timestamp(1010));
        assert_eq!(clock.at(ms(20), Timestamp(410)), Timestamp(1020));
    }

    #[test]
    fn it_follows_when_the_system_clock_jumps_ahead_and_stays_there() {
        let clock = clock(1000);
        assert_eq!(clock.at(ms(10), Timestamp(5010)), Timestamp(5010));
        assert_eq!(clock.at(ms(20), Timestamp(1020)), Timestamp(5020));
    }

    #[test]
    fn it_does_not_start_before_the_end_of_an_earlier_run() {
        let later = Timestamp(system_time().0 + 60_000);
        assert!(Clock::start(later).now() >= later);
    }
}
