//! What is counted in an interval, and how the counts of several intervals add up. The fields have
//! the names and the nesting of fixtures.

use serde::{Deserialize, Deserializer};

/// Messages of one class in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Count {
    pub count: u64,
    /// Bytes as limits count them.
    pub data: u64,
    /// Could not be carried out, which was not the client's fault.
    pub failed: u64,
    pub refused: u64,
}

impl Count {
    pub fn add(&mut self, count: u64, data: u64) {
        self.count = self.count.saturating_add(count);
        self.data = self.data.saturating_add(data);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.add(other.count, other.data);
        self.failed = self.failed.saturating_add(other.failed);
        self.refused = self.refused.saturating_add(other.refused);
    }
}

/// What a count is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Messages,
    Presence,
    Objects,
    Annotations,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Traffic {
    pub messages: Count,
    pub presence: Count,
    pub objects: Count,
    pub annotations: Count,
}

impl Traffic {
    pub fn class(&mut self, class: Class) -> &mut Count {
        match class {
            Class::Messages => &mut self.messages,
            Class::Presence => &mut self.presence,
            Class::Objects => &mut self.objects,
            Class::Annotations => &mut self.annotations,
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.messages.merge(&other.messages);
        self.presence.merge(&other.presence);
        self.objects.merge(&other.objects);
        self.annotations.merge(&other.annotations);
    }

    pub(crate) fn all(&self) -> Count {
        let mut all = self.messages;
        for class in [&self.presence, &self.objects, &self.annotations] {
            all.merge(class);
        }
        all
    }
}

/// One direction, by the way that it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Sources {
    pub realtime: Traffic,
    pub rest: Traffic,
}

impl Sources {
    pub(crate) fn merge(&mut self, other: &Self) {
        self.realtime.merge(&other.realtime);
        self.rest.merge(&other.rest);
    }

    pub(crate) fn all(&self) -> Traffic {
        let mut all = self.realtime;
        all.merge(&self.rest);
        all
    }
}

/// How many there were of something that lasts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Level {
    pub peak: u64,
    pub min: u64,
    pub mean: f64,
    pub opened: u64,
    pub refused: u64,
    /// How many minutes the mean is of; none if nothing was there to be counted.
    #[serde(skip)]
    pub(crate) minutes: u32,
}

impl Level {
    pub(crate) fn merge(&mut self, other: &Self) {
        self.opened = self.opened.saturating_add(other.opened);
        self.refused = self.refused.saturating_add(other.refused);
        if other.minutes == 0 {
            return;
        }
        self.min = if self.minutes == 0 { other.min } else { self.min.min(other.min) };
        self.peak = self.peak.max(other.peak);
        let (own, more) = (f64::from(self.minutes), f64::from(other.minutes));
        self.mean = (self.mean * own + other.mean * more) / (own + more);
        self.minutes = self.minutes.saturating_add(other.minutes);
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Requests {
    pub succeeded: u64,
    pub failed: u64,
    pub refused: u64,
}

impl Requests {
    pub(crate) fn merge(&mut self, other: &Self) {
        self.succeeded = self.succeeded.saturating_add(other.succeeded);
        self.failed = self.failed.saturating_add(other.failed);
        self.refused = self.refused.saturating_add(other.refused);
    }
}

/// Deltas, each of which may be delivered to many.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Deltas {
    pub succeeded: u64,
    /// Not tried, because enough time had gone into others.
    pub skipped: u64,
    /// Not smaller than the message.
    pub failed: u64,
}

impl Deltas {
    pub fn merge(&mut self, other: &Self) {
        self.succeeded = self.succeeded.saturating_add(other.succeeded);
        self.skipped = self.skipped.saturating_add(other.skipped);
        self.failed = self.failed.saturating_add(other.failed);
    }
}

/// Messages of channels whose messages wait for each other, and what was made of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Batches {
    pub messages: u64,
    pub batches: u64,
}

impl Batches {
    fn merge(&mut self, other: &Self) {
        self.messages = self.messages.saturating_add(other.messages);
        self.batches = self.batches.saturating_add(other.batches);
    }
}

/// Notifications by the way that they took; those to channels are in the total alone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Notifications {
    pub apns: u64,
    pub fcm: u64,
    pub web: u64,
    pub total: u64,
}

impl Notifications {
    pub(crate) fn merge(&mut self, other: &Self) {
        self.apns = self.apns.saturating_add(other.apns);
        self.fcm = self.fcm.saturating_add(other.fcm);
        self.web = self.web.saturating_add(other.web);
        self.total = self.total.saturating_add(other.total);
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Push {
    pub channel_messages: u64,
    pub direct_publishes: u64,
    pub delivered: Notifications,
    /// Refused in a way that leaves the address valid.
    pub refused: Notifications,
    /// Refused because the address is void.
    pub refused_finally: Notifications,
}

impl Push {
    fn merge(&mut self, other: &Self) {
        self.channel_messages = self.channel_messages.saturating_add(other.channel_messages);
        self.direct_publishes = self.direct_publishes.saturating_add(other.direct_publishes);
        self.delivered.merge(&other.delivered);
        self.refused.merge(&other.refused);
        self.refused_finally.merge(&other.refused_finally);
    }

    /// Whatever became of them.
    pub(crate) fn attempted(&self) -> Notifications {
        let mut all = self.delivered;
        all.merge(&self.refused);
        all.merge(&self.refused_finally);
        all
    }
}

/// All that is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Totals {
    pub inbound: Sources,
    pub outbound: Sources,
    pub persisted: Traffic,
    #[serde(deserialize_with = "by_transport")]
    pub connections: Level,
    pub channels: Level,
    /// Without token requests, and without those about push.
    pub api_requests: Requests,
    pub token_requests: Requests,
    #[serde(skip)]
    pub push_requests: Requests,
    #[serde(skip)]
    pub deltas: Deltas,
    #[serde(skip)]
    pub batching: Batches,
    #[serde(skip)]
    pub conflation: Batches,
    #[serde(skip)]
    pub push: Push,
    /// Messages that conflation has left out.
    #[serde(skip)]
    pub discarded: u64,
}

impl Totals {
    pub(crate) fn merge(&mut self, other: &Self) {
        self.inbound.merge(&other.inbound);
        self.outbound.merge(&other.outbound);
        self.persisted.merge(&other.persisted);
        self.connections.merge(&other.connections);
        self.channels.merge(&other.channels);
        self.api_requests.merge(&other.api_requests);
        self.token_requests.merge(&other.token_requests);
        self.push_requests.merge(&other.push_requests);
        self.deltas.merge(&other.deltas);
        self.batching.merge(&other.batching);
        self.conflation.merge(&other.conflation);
        self.push.merge(&other.push);
        self.discarded = self.discarded.saturating_add(other.discarded);
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a test suite wants to have been counted in an interval.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fixture {
    pub interval_id: String,
    #[serde(flatten)]
    pub totals: Totals,
}

/// Fixtures tell connections with TLS from those without; here they are the same.
fn by_transport<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Level, D::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct ByTransport {
        all: Level,
        plain: Level,
        tls: Level,
    }
    let ByTransport { mut all, plain, tls } = ByTransport::deserialize(deserializer)?;
    for level in [plain, tls] {
        all.peak = all.peak.saturating_add(level.peak);
        all.min = all.min.saturating_add(level.min);
        all.mean += level.mean;
        all.opened = all.opened.saturating_add(level.opened);
        all.refused = all.refused.saturating_add(level.refused);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_add_up_to_the_extremes_and_the_mean_over_time() {
        let level =
            |peak, min, mean, minutes| Level { peak, min, mean, minutes, ..Level::default() };
        let mut sum = Level { opened: 1, ..Level::default() };
        sum.merge(&level(10, 4, 6.0, 1));
        sum.merge(&level(3, 2, 3.0, 2));
        sum.merge(&Level { opened: 2, refused: 1, ..Level::default() });
        let expected = Level { opened: 3, refused: 1, ..level(10, 2, 4.0, 3) };
        assert_eq!(sum, expected);
    }

    #[test]
    fn a_fixture_is_read_in_the_form_that_suites_send() {
        let json = r#"{"intervalId": "2024-02-03:15:05", "unknown": {},
            "inbound": {"realtime": {"messages": {"count": 70, "data": 7000}}},
            "connections": {"tls": {"peak": 20, "opened": 10}, "plain": {"peak": 1}},
            "apiRequests": {"succeeded": 50, "failed": 10}}"#;
        let fixture: Fixture = serde_json::from_str(json).unwrap();
        assert_eq!(fixture.interval_id, "2024-02-03:15:05");
        let messages = fixture.totals.inbound.realtime.messages;
        assert_eq!(messages, Count { count: 70, data: 7000, ..Count::default() });
        assert_eq!((fixture.totals.connections.peak, fixture.totals.connections.opened), (21, 10));
        assert_eq!(fixture.totals.api_requests.failed, 10);
    }
}
