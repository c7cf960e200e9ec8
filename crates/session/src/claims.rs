//! What the claims of a token do to what its client publishes: they go on it, for others to read,
//! and they limit how fast it comes.

use std::collections::BTreeMap;
use std::time::Duration;

use auth::Principal;
use serde_json::Value;
use types::error::{self, ErrorInfo};
use types::{Body, ChannelName, Extras, Rate, Timestamp, set_user_claim};

/// How often rates that count no more are looked for at most.
const SWEEP_INTERVAL: Duration = Duration::from_millis(100);

/// Puts on a publish what the claims of `principal` say about the user. A change of a message keeps
/// what the message has: that is about its publisher.
pub fn stamp_user_claim(principal: &Principal, channel: &ChannelName, body: &mut Body) {
    if body.change().is_some() {
        return;
    }
    let claim = principal.claims.user_claim(channel);
    let stamp = |extras: &mut Option<Extras>| {
        if claim.is_some() || extras.is_some() {
            set_user_claim(extras, claim.map(|claim| Value::from(claim.as_ref())));
        }
    };
    match body {
        Body::Messages(items) => items.iter_mut().for_each(|item| stamp(&mut item.extras)),
        Body::Presence(items) => items.iter_mut().for_each(|item| stamp(&mut item.extras)),
        Body::Annotations(items) => items.iter_mut().for_each(|item| stamp(&mut item.extras)),
        Body::Objects(_) => {}
    }
}

/// The rates that claims limit, each of what a key names. They outlast attachments, so that attaching
/// anew does not begin a new one; one of which nothing counts any more is forgotten.
#[derive(Debug)]
pub struct ClaimedRates<K> {
    rates: BTreeMap<K, Rate>,
    most: usize,
    swept: Timestamp,
}

impl<K: Ord> ClaimedRates<K> {
    /// Remembers so many at a time; what would need one more is refused.
    pub fn new(most: usize) -> Self {
        Self { rates: BTreeMap::new(), most, swept: Timestamp::default() }
    }

    /// Counts what is published, or refuses it with 42911.
    pub fn take(
        &mut self,
        now: Timestamp,
        key: K,
        limit: u32,
        count: u32,
    ) -> Result<(), ErrorInfo> {
        let known = self.rates.contains_key(&key);
        if !known && now >= self.swept.plus(SWEEP_INTERVAL) {
            self.rates.retain(|_, rate| !rate.is_idle(now));
            self.swept = now;
        }
        let room = known || self.rates.len() < self.most;
        if room && self.rates.entry(key).or_default().take(now, limit, count) {
            return Ok(());
        }
        Err(error::CONNECTION_RATE_LIMIT
            .with(format!("publish rate limit of the token exceeded: {limit} messages per second")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_rates_as_may_be_are_remembered_until_they_count_no_more() {
        let mut rates = ClaimedRates::new(2);
        let mut take = |ms: u64, key: &str| {
            rates.take(Timestamp(ms), key.to_owned(), 1, 1).map_err(|error| error.code)
        };
        assert_eq!(take(1_000, "a"), Ok(()));
        assert_eq!(take(1_300, "b"), Ok(()));
        assert_eq!(take(1_400, "c"), Err(42911), "no room");
        assert_eq!(take(1_400, "b"), Ok(()), "known");
        assert_eq!(take(1_400, "b"), Err(42911), "too fast");
        assert_eq!(take(2_000, "c"), Ok(()), "in the place of a");
        assert_eq!(take(2_100, "a"), Err(42911), "no room");
    }
}
