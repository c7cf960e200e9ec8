//! A running node: the wiring of store, driver and gateway, and their orderly end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use auth::SealingKey;
use gateway::{Hub, Sandbox};
use http::HeaderValue;
use node::{Damaged, Event, KeptObjects, Node, PreviousIncarnation};
use rand_chacha::ChaCha12Rng;
use session::Identity;
use store::{Store, StoredObjects, WriterCounters};
use telemetry::{GatewayTotals, Health, Metrics, StoreTotals};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval, timeout};
use types::{App, NodeLimits, Timestamp, error, random_text};

use crate::clock::Clock;
use crate::data_dir;
use crate::driver::{Driver, Running};
use crate::settings::Settings;

/// How often the node records that it lives; the time of its death is known to that.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);
/// How long the objects of a channel are kept after their last change; looked at when a node starts.
const OBJECTS_RETENTION: Duration = Duration::from_hours(90 * 24);
/// Characters of the server id that clients are shown.
const SERVER_ID_LENGTH: usize = 8;

pub(crate) struct Server {
    /// The app that the data directory keeps.
    pub(crate) app: App,
    clock: Arc<Clock>,
    hub: Arc<Hub>,
    store: Store,
    health: Arc<Health>,
    driver: Running,
    gateway: JoinHandle<io::Result<()>>,
    stopping: watch::Sender<bool>,
}

impl Server {
    /// Starts to serve on `listener`.
    pub(crate) fn start(settings: &Settings, store: Store, listener: TcpListener) -> Result<Self> {
        let incarnation = store.next_incarnation()?;
        let clock = Arc::new(Clock::start(incarnation.previous_alive.unwrap_or_default()));
        let mut rng = data_dir::seeded_rng()?;
        let app = data_dir::app(&store, settings, &mut rng)?;
        let config = configure(settings, &app, &store, incarnation, &mut rng)?;
        let server_id = HeaderValue::from_str(&config.identity.server_id)?;
        let (hub, events) = Hub::new(&settings.node);
        let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION")));
        let health = Arc::new(Health::new(Instant::now()));
        let driver = Driver {
            node: restore(Node::new(config, rng), &store, clock.now())?,
            clock: clock.clone(),
            hub: hub.clone(),
            store: store.clone(),
            reads: Handle::current(),
            metrics: metrics.clone(),
            health: health.clone(),
        };
        let driver = driver.start(events).context("cannot start the driver")?;
        // Not before all that can fail: whoever was connected to the last run can come back to the next one only.
        store.begin_incarnation(incarnation, clock.now())?;
        let page = {
            let (hub, health, written) = (hub.clone(), health.clone(), driver.written());
            move || page(&hub, written(), &metrics, &health)
        };
        let (stopping, stop) = watch::channel(false);
        let (ready, time) = (health.clone(), clock.clone());
        let gateway = gateway::Settings {
            limits: settings.node.clone(),
            max_connections: settings.max_connections,
            server_id,
            sandbox: if settings.sandbox { Sandbox::On } else { Sandbox::Off },
            trusted_proxies: settings.trusted_proxies.clone(),
            metrics: Arc::new(page),
            ready: Arc::new(move || ready.ready(Instant::now()).is_ok()),
            now: Arc::new(move || time.now()),
        };
        let gateway = tokio::spawn(gateway::serve(listener, hub.clone(), gateway, stop));
        tracing::info!(app = %app.id, incarnation = incarnation.number, "serving");
        tokio::spawn(show_life(store.clone(), clock.clone(), health.clone()));
        Ok(Self { app, clock, hub, store, health, driver, gateway, stopping })
    }

    /// Gives the apps that there are the keys of these; others are not added, and none removed.
    pub(crate) async fn set_keys(&self, apps: Vec<App>) {
        for app in apps {
            let keys = Event::Keys { app: app.id, keys: app.keys };
            if self.hub.tell(keys).await.is_err() {
                tracing::error!("nobody takes the keys: the driver has ended");
            }
        }
    }

    /// Waits for what should not happen.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        tokio::select! {
            _ = self.driver.ended() => anyhow!("the driver has ended"),
            ended = &mut self.gateway => match ended {
                Ok(Ok(())) => anyhow!("the gateway has ended"),
                Ok(Err(error)) => anyhow!(error).context("the gateway has ended"),
                Err(panic) => anyhow!(panic).context("the gateway has ended"),
            },
        }
    }

    /// Stops to accept, tells clients to reconnect, and waits until what is queued has been written,
    /// but not longer than `grace`.
    pub(crate) async fn stop(mut self, grace: Duration) {
        self.health.leave();
        self.stopping.send_replace(true);
        self.driver.leave();
        let drained = async {
            if let Err(error) = (&mut self.gateway).await {
                tracing::error!(%error, "the gateway did not end by itself");
            }
            self.driver.stop();
            if self.driver.ended().await.is_err() {
                tracing::error!("the driver did not end by itself");
            }
        };
        if timeout(grace, drained).await.is_err() {
            tracing::warn!(?grace, "the grace is over; not everybody has been told");
        }
        record_end(self.store, self.clock.now()).await;
    }
}

fn configure(
    settings: &Settings,
    app: &App,
    store: &Store,
    incarnation: store::Incarnation,
    rng: &mut ChaCha12Rng,
) -> Result<node::Config> {
    if let Some(twin) = settings.apps.iter().find(|other| other.id == app.id) {
        return Err(anyhow!("the configuration has an app {}, as has the data directory", twin.id));
    }
    let apps: Vec<App> = std::iter::once(app).chain(&settings.apps).cloned().collect();
    check_counts(&settings.node, &apps)?;
    let secret = data_dir::secret(store, rng)?;
    let server_id = format!("{}-{}", settings.site.as_str(), random_text(rng, SERVER_ID_LENGTH));
    let previous = incarnation.previous_alive.map(|last_alive| PreviousIncarnation {
        number: incarnation.number.saturating_sub(1),
        last_alive,
    });
    Ok(node::Config {
        identity: Identity { site: settings.site, server_id: server_id.into() },
        limits: settings.node.clone(),
        apps,
        sealing_key: SealingKey::from_bytes(secret),
        incarnation: incarnation.number,
        previous,
    })
}

pub(crate) fn check_counts(limits: &NodeLimits, apps: &[App]) -> Result<()> {
    let count = u32::try_from(apps.len()).unwrap_or(u32::MAX);
    ensure!(limits.apps == 0 || count <= limits.apps, "{}", error::APP_LIMIT.info());
    for app in apps {
        app.check_counts(limits).with_context(|| format!("app {}", app.id))?;
    }
    Ok(())
}

/// The node with what its earlier runs kept.
fn restore(mut node: Node, store: &Store, now: Timestamp) -> Result<Node> {
    for record in store.records() {
        let record = record?;
        if node.restore(now, &record) == Err(Damaged) {
            tracing::warn!(record = %record.id, "a record cannot be read, and is ignored");
        }
    }
    for objects in store.objects() {
        let objects = objects?;
        if objects.updated() < now.minus(OBJECTS_RETENTION) {
            store.remove_objects(&objects.app, &objects.channel)?;
            continue;
        }
        let StoredObjects { app, channel, snapshot, operations } = objects;
        node.restore_objects(now, KeptObjects { app, name: channel, snapshot, operations });
    }
    Ok(node)
}

/// Records again and again that the node lives, for as long as the runtime does.
async fn show_life(store: Store, clock: Arc<Clock>, health: Arc<Health>) {
    let mut beat = interval(SIGN_OF_LIFE);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        let (store, now) = (store.clone(), clock.now());
        match spawn_blocking(move || store.mark_alive(now)).await {
            Ok(Ok(())) => health.store_works(),
            Ok(Err(error)) => {
                tracing::error!(%error, "the store cannot be written");
                health.store_failed();
            }
            Err(error) => tracing::error!(%error, "a sign of life was not recorded"),
        }
    }
}

/// Waits for a disk that hangs no longer than until the next sign of life: the last one is hardly older.
async fn record_end(store: Store, now: Timestamp) {
    let recorded = spawn_blocking(move || store.mark_alive(now));
    match timeout(SIGN_OF_LIFE, recorded).await {
        Ok(Ok(Ok(()))) => tracing::info!("stopped"),
        Ok(Ok(Err(error))) => tracing::error!(%error, "the time of the end cannot be recorded"),
        Ok(Err(error)) => tracing::error!(%error, "the time of the end was not recorded"),
        Err(_elapsed) => tracing::error!("the disk hangs; the time of the end is not recorded"),
    }
}

/// The page of metrics.
fn page(hub: &Hub, written: WriterCounters, metrics: &Metrics, health: &Health) -> String {
    metrics.ready.set(health.ready(Instant::now()).is_ok().into());
    let counters = hub.counters();
    let gateway = GatewayTotals {
        transports: i64::try_from(counters.connections.load(Relaxed)).unwrap_or(i64::MAX),
        transports_opened: counters.connections_opened.load(Relaxed),
        slow_readers: counters.overflowed.load(Relaxed),
        frames_received: counters.frames_in.load(Relaxed),
        bytes_received: counters.bytes_in.load(Relaxed),
        frames_sent: counters.frames_out.load(Relaxed),
        bytes_sent: counters.bytes_out.load(Relaxed),
        requests: counters.requests.load(Relaxed),
    };
    let store = StoreTotals {
        batches: written.batches,
        entries: written.entries,
        bytes: written.bytes,
        failed: written.failed,
        commit_seconds: Duration::from_micros(written.commit_micros).as_secs_f64(),
    };
    metrics.encode(gateway, store)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use testkit::Folder;
    use tokio::runtime::Builder;
    use types::AppId;

    use super::*;

    #[test]
    fn a_disk_that_hangs_does_not_hold_the_end_up() {
        let folder = Folder::new();
        let store = Store::open(folder.path(), Duration::MAX).unwrap();
        let runtime =
            Builder::new_current_thread().enable_time().max_blocking_threads(1).build().unwrap();
        let (working, hangs) = mpsc::channel::<()>();
        runtime.spawn_blocking(move || hangs.recv());
        let ended = async { timeout(10 * SIGN_OF_LIFE, record_end(store, Timestamp(1))).await };
        let ended = runtime.block_on(ended);
        drop(working);
        assert!(ended.is_ok());
    }

    #[test]
    fn more_apps_than_the_limit_are_refused_with_40128() {
        let app = App {
            id: AppId::new("a"),
            account_id: "local".into(),
            keys: Vec::new(),
            namespaces: Vec::new(),
            limits: types::AppLimits::default(),
        };
        let limits = |apps| NodeLimits { apps, ..NodeLimits::default() };
        let two = [app.clone(), app];
        assert!(check_counts(&limits(2), &two).is_ok());
        assert!(check_counts(&limits(0), &two).is_ok());
        let refusal = check_counts(&limits(1), &two).unwrap_err();
        assert_eq!(refusal.to_string(), error::APP_LIMIT.info().to_string());
    }
}
