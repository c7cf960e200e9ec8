//! The metrics of one node, in the text format of OpenMetrics that Prometheus reads.
//!
//! Names are promises to operators: `docs/metrics.md` lists them, and a test compares the two. There
//! are no labels per app, channel or connection, so the size of the text is bounded.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use crate::process::resident_bytes;

pub struct Metrics {
    registry: Registry,
    /// 1 or 0, see [`Health::ready`](crate::Health::ready).
    pub ready: Gauge,
    pub sessions: Gauge,
    pub channels: Gauge,
    /// Events that wait for the driver.
    pub queued_events: Gauge,
    pub events: Counter,
    pub messages_received: Counter,
    pub deliveries: Counter,
    pub turn_seconds: Histogram,
    pub append_seconds: Histogram,
    gateway: Gateway,
    store: Store,
    resident_memory: Gauge,
}

/// What went through the gateway since the process started; `transports` is how many there are now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GatewayTotals {
    pub transports: i64,
    pub transports_opened: u64,
    pub slow_readers: u64,
    pub frames_received: u64,
    pub bytes_received: u64,
    pub frames_sent: u64,
    pub bytes_sent: u64,
    pub requests: u64,
}

/// What the store has done since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StoreTotals {
    pub batches: u64,
    pub entries: u64,
    pub bytes: u64,
    pub failed: u64,
    pub commit_seconds: f64,
}

struct Gateway {
    transports: Gauge,
    transports_opened: Counter,
    slow_readers: Counter,
    frames_received: Counter,
    bytes_received: Counter,
    frames_sent: Counter,
    bytes_sent: Counter,
    requests: Counter,
}

struct Store {
    batches: Counter,
    entries: Counter,
    bytes: Counter,
    failures: Counter,
    commit_seconds: Counter<f64, AtomicU64>,
}

impl Metrics {
    pub fn new(version: &'static str) -> Self {
        let mut registry = Registry::default();
        register_process(&mut registry, version);
        let resident_memory = add_unit(
            &mut registry,
            "process_resident_memory",
            "Memory of the process that is in RAM",
            Unit::Bytes,
            Gauge::default(),
        );
        let node = registry.sub_registry_with_prefix("dunlin");
        let mut gauge = |name, help| add(node, name, help, Gauge::default());
        let ready = gauge("ready", "1 if the node can serve, else 0");
        let sessions = gauge("sessions", "Client connections, live or waiting to be resumed");
        let channels = gauge("channels", "Active channels");
        let queued_events = gauge("queued_events", "Events that wait for the driver");
        let mut counter = |name, help| add(node, name, help, Counter::default());
        let events = counter("events", "Events that the driver has handled");
        let messages_received =
            counter("messages_received", "Messages and presence events that clients have sent");
        let deliveries = counter("deliveries", "Live frames, counted once for each subscriber");
        let turn = Histogram::new(exponential_buckets(0.000_01, 4.0, 10));
        let append = Histogram::new(exponential_buckets(0.000_25, 2.0, 16));
        let mut seconds = |name, help, metric| add_unit(node, name, help, Unit::Seconds, metric);
        let turn_help = "Time that the driver is busy with what has gathered";
        let append_help = "Time until what came together for a persisted channel is durable";
        Self {
            turn_seconds: seconds("driver_turn", turn_help, turn),
            append_seconds: seconds("store_append", append_help, append),
            gateway: Gateway::register(node),
            store: Store::register(node),
            ready,
            sessions,
            channels,
            queued_events,
            events,
            messages_received,
            deliveries,
            resident_memory,
            registry,
        }
    }

    /// The text for Prometheus. Gateway and store count for themselves; their totals are shown as
    /// given.
    pub fn encode(&self, gateway: GatewayTotals, store: StoreTotals) -> String {
        self.gateway.show(gateway);
        self.store.show(store);
        self.resident_memory.set(resident_bytes());
        let mut page = String::new();
        // Writing to a string does not fail.
        text::encode(&mut page, &self.registry).map_or_else(|_| String::new(), |()| page)
    }
}

impl Gateway {
    fn register(node: &mut Registry) -> Self {
        let transports = add(node, "transports", "Open WebSocket connections", Gauge::default());
        let [transports_opened, slow_readers, frames_received, frames_sent, requests] = [
            ("transports_opened", "WebSocket connections ever opened"),
            ("slow_readers", "Clients disconnected for reading too slowly"),
            ("frames_received", "Frames that clients have sent"),
            ("frames_sent", "Frames sent to clients"),
            ("requests", "REST requests that reached the node"),
        ]
        .map(|(name, help)| add(node, name, help, Counter::default()));
        let [bytes_received, bytes_sent] = [
            ("received", "Content of the frames that clients have sent"),
            ("sent", "Content of the frames sent to clients"),
        ]
        .map(|(name, help)| add_unit(node, name, help, Unit::Bytes, Counter::default()));
        Self {
            transports,
            transports_opened,
            slow_readers,
            frames_received,
            bytes_received,
            frames_sent,
            bytes_sent,
            requests,
        }
    }

    fn show(&self, totals: GatewayTotals) {
        self.transports.set(totals.transports);
        show(&self.transports_opened, totals.transports_opened);
        show(&self.slow_readers, totals.slow_readers);
        show(&self.frames_received, totals.frames_received);
        show(&self.bytes_received, totals.bytes_received);
        show(&self.frames_sent, totals.frames_sent);
        show(&self.bytes_sent, totals.bytes_sent);
        show(&self.requests, totals.requests);
    }
}

impl Store {
    fn register(node: &mut Registry) -> Self {
        let store = node.sub_registry_with_prefix("store");
        let mut counter = |name, help| add(store, name, help, Counter::default());
        Self {
            batches: counter("batches", "Batches that the store has committed, or failed to"),
            entries: counter("entries", "Entries that were made durable"),
            failures: counter("failures", "Entries that could not be made durable"),
            bytes: add_unit(
                store,
                "written",
                "Size of the entries that were made durable",
                Unit::Bytes,
                Counter::default(),
            ),
            commit_seconds: add_unit(
                store,
                "commit",
                "Time spent in committing batches, their fsync included",
                Unit::Seconds,
                Counter::default(),
            ),
        }
    }

    fn show(&self, totals: StoreTotals) {
        show(&self.batches, totals.batches);
        show(&self.entries, totals.entries);
        show(&self.bytes, totals.bytes);
        show(&self.failures, totals.failed);
        self.commit_seconds.inner().store(totals.commit_seconds.to_bits(), Ordering::Relaxed);
    }
}

fn register_process(registry: &mut Registry, version: &'static str) {
    registry.register("dunlin_build", "The running version", Info::new(vec![("version", version)]));
    let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let started = Gauge::<f64, AtomicU64>::default();
    started.set(start.as_secs_f64());
    registry.register_with_unit(
        "process_start_time",
        "When the process started, since the Unix epoch",
        Unit::Seconds,
        started,
    );
}

/// Makes a counter show a total that was counted elsewhere.
fn show(counter: &Counter, total: u64) {
    counter.inner().store(total, Ordering::Relaxed);
}

fn add<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

fn add_unit<M: Metric + Clone>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    unit: Unit,
    metric: M,
) -> M {
    registry.register_with_unit(name, help, unit, metric.clone());
    metric
}
