//! The two forms in which clients read statistics: flat entries with dotted keys, since version 3,
//! and nested objects before. Sums over sources and classes are made here. Zeros are left out.

use serde_json::{Map, Value, json};
use types::AppId;

use crate::series::Period;
use crate::totals::{
    Batches, Count, Deltas, Level, Notifications, Requests, Sources, Totals, Traffic,
};

/// The schema of flat entries.
const SCHEMA: &str = "https://schemas.ably.com/json/app-stats-0.0.5.json";

impl Period {
    /// With flat entries.
    pub fn flat(&self, app: &AppId) -> Value {
        let mut item = self.head();
        item.insert("schema".into(), SCHEMA.into());
        item.insert("appId".into(), app.as_str().into());
        item.insert("entries".into(), self.totals.flat().into());
        item.into()
    }

    /// In the nested form.
    pub fn nested(&self) -> Value {
        let mut item = self.head();
        item.extend(self.totals.nested());
        item.into()
    }

    fn head(&self) -> Map<String, Value> {
        let mut item = Map::new();
        item.insert("intervalId".into(), self.interval.to_string().into());
        item.insert("unit".into(), self.interval.unit.name().into());
        if let Some(minute) = self.in_progress {
            item.insert("inProgress".into(), minute.to_string().into());
        }
        item
    }
}

impl Totals {
    /// `entries` (TS12r).
    pub fn flat(&self) -> Map<String, Value> {
        let mut entries = Map::new();
        let (inbound, outbound) = (self.inbound.all(), self.outbound.all());
        let mut all = inbound;
        all.merge(&outbound);
        let traffic = [
            ("messages.all", all),
            ("messages.inbound.all", inbound),
            ("messages.inbound.realtime", self.inbound.realtime),
            ("messages.inbound.rest", self.inbound.rest),
            ("messages.outbound.all", outbound),
            ("messages.outbound.realtime", self.outbound.realtime),
            ("messages.outbound.rest", self.outbound.rest),
            ("messages.persisted", self.persisted),
        ];
        for (prefix, traffic) in traffic {
            flat_traffic(&mut entries, prefix, &traffic);
        }
        flat_level(&mut entries, "connections.all", &self.connections);
        flat_level(&mut entries, "channels", &self.channels);
        let mut requests = self.api_requests;
        requests.merge(&self.token_requests);
        requests.merge(&self.push_requests);
        flat_requests(&mut entries, "apiRequests.all", &requests);
        flat_requests(&mut entries, "apiRequests.tokenRequests", &self.token_requests);
        flat_requests(&mut entries, "apiRequests.push", &self.push_requests);
        flat_requests(&mut entries, "apiRequests.other", &self.api_requests);
        put(&mut entries, "messages.processed.delta.xdelta", &deltas(&self.deltas));
        for (name, metrics) in self.grouped() {
            put(&mut entries, &format!("messages.processed.batching.{name}"), &metrics);
        }
        self.flat_push(&mut entries);
        entries
    }

    fn flat_push(&self, entries: &mut Map<String, Value>) {
        let push = &self.push;
        let published = [
            ("channelMessages", push.channel_messages),
            ("directPublishes", push.direct_publishes),
        ];
        put(entries, "push", &published);
        for (name, sent) in [
            ("all", push.attempted()),
            ("delivered", push.delivered),
            ("refused.retriable", push.refused),
            ("refused.final", push.refused_finally),
        ] {
            put(entries, &format!("push.notifications.{name}"), &transports(&sent));
        }
    }

    /// What was made of messages that wait for each other, by the way in which they do.
    fn grouped(&self) -> [(&'static str, [(&'static str, u64); 3]); 2] {
        let metrics = |Batches { messages, batches }, discarded| {
            [
                ("inboundMessages", messages),
                ("generatedBatches", batches),
                ("discardedMessages", discarded),
            ]
        };
        [
            ("simple", metrics(self.batching, 0)),
            ("conflating", metrics(self.conflation, self.discarded)),
        ]
    }

    /// The members of the nested form.
    pub fn nested(&self) -> Map<String, Value> {
        let mut all = self.inbound.all();
        all.merge(&self.outbound.all());
        let sources = |sources: &Sources| {
            json!({
                "all": nested_traffic(&sources.all()),
                "realtime": nested_traffic(&sources.realtime),
                "rest": nested_traffic(&sources.rest),
            })
        };
        let requests = |requests: &Requests| {
            let Requests { succeeded, failed, refused } = requests;
            numbers(&[("succeeded", *succeeded), ("failed", *failed), ("refused", *refused)])
        };
        let mut api_requests = self.api_requests;
        api_requests.merge(&self.push_requests);
        let members = [
            ("all", nested_traffic(&all)),
            ("inbound", sources(&self.inbound)),
            ("outbound", sources(&self.outbound)),
            ("persisted", nested_traffic(&self.persisted)),
            ("connections", json!({ "all": numbers(&level(&self.connections)) })),
            ("channels", numbers(&level(&self.channels))),
            ("apiRequests", requests(&api_requests)),
            ("tokenRequests", requests(&self.token_requests)),
            ("processed", self.nested_processed()),
            ("push", self.nested_push()),
        ];
        members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn nested_processed(&self) -> Value {
        let batching = self.grouped().map(|(name, metrics)| (name.to_owned(), numbers(&metrics)));
        json!({
            "delta": { "xdelta": numbers(&deltas(&self.deltas)) },
            "batching": batching.into_iter().collect::<Value>(),
        })
    }

    fn nested_push(&self) -> Value {
        let push = &self.push;
        json!({
            "messages": push.channel_messages,
            "directPublishes": push.direct_publishes,
            "notifications": {
                "attempted": numbers(&transports(&push.attempted())),
                "successful": numbers(&transports(&push.delivered)),
                "failed": {
                    "retriable": numbers(&transports(&push.refused)),
                    "final": numbers(&transports(&push.refused_finally)),
                },
            },
        })
    }
}

fn deltas(deltas: &Deltas) -> [(&'static str, u64); 3] {
    let Deltas { succeeded, skipped, failed } = *deltas;
    [("succeeded", succeeded), ("skipped", skipped), ("failed", failed)]
}

fn transports(notifications: &Notifications) -> [(&'static str, u64); 4] {
    let Notifications { apns, fcm, web, total } = *notifications;
    [("apns", apns), ("fcm", fcm), ("web", web), ("total", total)]
}

fn flat_traffic(entries: &mut Map<String, Value>, prefix: &str, traffic: &Traffic) {
    for (class, count) in classes(traffic) {
        put(entries, &format!("{prefix}.{class}"), &metrics(&count));
    }
}

fn flat_level(entries: &mut Map<String, Value>, prefix: &str, level: &Level) {
    put(entries, prefix, &self::level(level));
}

fn flat_requests(entries: &mut Map<String, Value>, prefix: &str, requests: &Requests) {
    let Requests { succeeded, failed, refused } = *requests;
    put(entries, prefix, &[("succeeded", succeeded), ("failed", failed), ("refused", refused)]);
}

fn put(entries: &mut Map<String, Value>, prefix: &str, metrics: &[(&str, u64)]) {
    let present = metrics.iter().filter(|(_, number)| *number != 0);
    entries.extend(present.map(|(name, number)| (format!("{prefix}.{name}"), (*number).into())));
}

fn nested_traffic(traffic: &Traffic) -> Value {
    let of = |(class, count): (&'static str, Count)| (class.to_owned(), numbers(&metrics(&count)));
    classes(traffic).into_iter().map(of).collect()
}

fn metrics(count: &Count) -> [(&'static str, u64); 6] {
    let Count { count, data, failed, refused } = *count;
    [
        ("count", count),
        ("billableCount", count),
        ("data", data),
        ("uncompressedData", data),
        ("failed", failed),
        ("refused", refused),
    ]
}

fn classes(traffic: &Traffic) -> [(&'static str, Count); 5] {
    [
        ("all", traffic.all()),
        ("messages", traffic.messages),
        ("presence", traffic.presence),
        ("objects", traffic.objects),
        ("annotations", traffic.annotations),
    ]
}

fn level(level: &Level) -> [(&'static str, u64); 5] {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "entries are integers; a mean is not negative, and lies below the peak"
    )]
    let mean = level.mean.round() as u64;
    [
        ("peak", level.peak),
        ("min", level.min),
        ("mean", mean),
        ("opened", level.opened),
        ("refused", level.refused),
    ]
}

fn numbers(metrics: &[(&str, u64)]) -> Value {
    let present = metrics.iter().filter(|(_, number)| *number != 0);
    present.map(|(name, number)| ((*name).to_owned(), Value::from(*number))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals() -> Totals {
        let mut totals = Totals::default();
        totals.inbound.realtime.messages.add(2, 20);
        totals.inbound.rest.presence.add(1, 5);
        totals.inbound.rest.presence.refused = 11;
        totals.outbound.realtime.messages.add(3, 30);
        totals.connections = Level { peak: 4, mean: 1.6, ..Level::default() };
        totals.token_requests.succeeded = 1;
        totals.api_requests.refused = 2;
        totals.push_requests.failed = 3;
        totals.deltas.failed = 4;
        totals.conflation.batches = 5;
        totals.discarded = 10;
        totals.push.direct_publishes = 6;
        totals.push.delivered = Notifications { web: 7, total: 8, ..Notifications::default() };
        totals.push.refused_finally =
            Notifications { fcm: 9, total: 9, ..Notifications::default() };
        totals
    }

    #[test]
    fn flat_entries_have_sums_and_no_zeros() {
        let flat = Value::Object(totals().flat());
        for (key, number) in [
            ("messages.all.all.count", 6),
            ("messages.all.messages.data", 50),
            ("messages.inbound.all.all.count", 3),
            ("messages.inbound.all.messages.count", 2),
            ("messages.inbound.rest.presence.data", 5),
            ("messages.outbound.realtime.messages.uncompressedData", 30),
            ("connections.all.peak", 4),
            ("connections.all.mean", 2),
            ("apiRequests.all.succeeded", 1),
            ("apiRequests.tokenRequests.succeeded", 1),
            ("apiRequests.other.refused", 2),
            ("apiRequests.push.failed", 3),
            ("apiRequests.all.failed", 3),
            ("messages.inbound.rest.all.billableCount", 1),
            ("messages.processed.delta.xdelta.failed", 4),
            ("messages.processed.batching.conflating.generatedBatches", 5),
            ("messages.processed.batching.conflating.discardedMessages", 10),
            ("push.directPublishes", 6),
            ("push.notifications.delivered.web", 7),
            ("push.notifications.refused.final.fcm", 9),
            ("push.notifications.all.total", 17),
        ] {
            assert_eq!(flat[key], number, "{key}");
        }
        assert!(flat.as_object().unwrap().values().all(|number| *number != 0));
    }

    #[test]
    fn the_nested_form_has_the_same_numbers() {
        let nested = Value::Object(totals().nested());
        assert_eq!(nested["all"]["all"]["count"], 6);
        assert_eq!(
            nested["inbound"]["rest"]["presence"],
            json!({"count": 1, "billableCount": 1, "data": 5, "uncompressedData": 5, "refused": 11})
        );
        assert_eq!(nested["outbound"]["all"]["messages"]["count"], 3);
        assert_eq!(nested["connections"]["all"]["peak"], 4);
        assert_eq!(nested["tokenRequests"], json!({"succeeded": 1}));
        assert_eq!(nested["apiRequests"], json!({"failed": 3, "refused": 2}));
        assert_eq!(
            nested["processed"],
            json!({
                "delta": {"xdelta": {"failed": 4}},
                "batching": {
                    "simple": {},
                    "conflating": {"generatedBatches": 5, "discardedMessages": 10},
                },
            })
        );
        let notifications = json!({
            "attempted": {"web": 7, "fcm": 9, "total": 17},
            "successful": {"web": 7, "total": 8},
            "failed": {"retriable": {}, "final": {"fcm": 9, "total": 9}},
        });
        assert_eq!(nested["push"]["notifications"], notifications);
    }
}
