//! What an app uses of messages and bandwidth, against its limits. Both count what is published and
//! what is delivered; only a publish is ever refused: what was accepted reaches all who are to have it.

use crate::error::{self, ErrorInfo};
use crate::{Allowance, AppLimits, Exceeded, Meter, Timestamp};

/// Seconds over which the rates of a whole app are averages.
const WINDOW_SECONDS: u64 = 24;

#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    messages: Meter,
    bytes: Meter,
}

impl Usage {
    /// Counts a publish of so many messages and bytes, or says what of its app is used up.
    pub fn publish(
        &mut self,
        now: Timestamp,
        limits: &AppLimits,
        count: usize,
        bytes: usize,
    ) -> Result<(), ErrorInfo> {
        let (count, bytes) = (number(count), number(bytes));
        self.bytes.check(now, &bandwidth(limits), bytes).map_err(|exceeded| match exceeded {
            Exceeded::Rate => error::RATE_LIMIT.with(format!(
                "bandwidth limit of the application exceeded: {} KiB per second",
                limits.bandwidth_kib_rate
            )),
            Exceeded::Hour | Exceeded::Month => {
                error::MESSAGE_QUOTA.with("bandwidth quota of the application used up")
            }
        })?;
        self.messages.take(now, &messages(limits), count).map_err(|exceeded| match exceeded {
            Exceeded::Rate => error::APP_RATE_LIMIT.info(),
            Exceeded::Hour | Exceeded::Month => error::MESSAGE_QUOTA.info(),
        })?;
        self.bytes.charge(now, &bandwidth(limits), bytes);
        Ok(())
    }

    /// Counts what was delivered.
    pub fn deliver(&mut self, now: Timestamp, limits: &AppLimits, count: u64, bytes: u64) {
        self.messages.charge(now, &messages(limits), count);
        self.bytes.charge(now, &bandwidth(limits), bytes);
    }
}

fn messages(limits: &AppLimits) -> Allowance {
    Allowance {
        per_second: limits.message_rate.into(),
        burst_seconds: WINDOW_SECONDS,
        per_hour: limits.messages_per_hour.into(),
        per_month: limits.messages_per_month.into(),
    }
}

fn bandwidth(limits: &AppLimits) -> Allowance {
    Allowance {
        per_second: u64::from(limits.bandwidth_kib_rate) << 10,
        burst_seconds: WINDOW_SECONDS,
        per_hour: u64::from(limits.bandwidth_mib_per_hour) << 20,
        per_month: u64::from(limits.bandwidth_gib_per_month) << 30,
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(usage: &mut Usage, at: u64, limits: &AppLimits) -> Option<u32> {
        usage.publish(Timestamp(at), limits, 1, 0).err().map(|error| error.code)
    }

    #[test]
    fn deliveries_use_up_what_publishes_have_and_are_never_refused() {
        let limits = AppLimits { bandwidth_gib_per_month: 1, ..AppLimits::unlimited() };
        let mut usage = Usage::default();
        usage.deliver(Timestamp(0), &limits, 1, 1 << 30);
        assert_eq!(refusal(&mut usage, 0, &limits), None, "of no bytes");
        usage.deliver(Timestamp(0), &limits, 1, 1);
        assert_eq!(refusal(&mut usage, 86_400_000, &limits), Some(40112));
        assert_eq!(refusal(&mut usage, 31 * 86_400_000, &limits), None);
    }

    #[test]
    fn a_publish_that_is_refused_for_one_reason_uses_up_nothing() {
        let limits = AppLimits { messages_per_hour: 1, ..AppLimits::unlimited() };
        let mut usage = Usage::default();
        assert_eq!(refusal(&mut usage, 0, &limits), None);
        for _ in 0..10 {
            assert_eq!(refusal(&mut usage, 0, &limits), Some(40112));
        }
        assert_eq!(refusal(&mut usage, 3_600_000, &limits), None);
    }
}
