//! Group commit: one thread that makes durable, with one fsync, whatever has gathered while it was
//! busy with the last one. It also removes what has expired, between batches.
//!
//! Requests are completed in the order in which they were taken. A request that was not taken is
//! handed back at once; nobody ever waits for the disk but this thread.

use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SendError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use types::{AppId, ChannelName, Entry, ObjectsSnapshot, RecordChange, Timestamp};

use crate::stage::{Kit, Stage};
use crate::{Store, expiry};

/// Entries, and requests for something else, that wait for the writer at most; further requests are handed back.
const MAX_QUEUED: usize = 16_384;
/// Payload that waits for the writer at most; further requests are handed back.
const MAX_QUEUED_BYTES: usize = 64 << 20;
/// What one fsync makes durable at most, but for what was asked for together with the last of it. More would
/// only make the first of a batch wait longer.
const MAX_BATCH: usize = 4096;
const MAX_BATCH_BYTES: usize = 8 << 20;
/// Time between looks for expired entries, and between the steps of removing many.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(10);
const EXPIRY_PAUSE: Duration = Duration::from_millis(20);

pub struct WriteRequest<T> {
    pub write: Write,
    /// What the outcome is told with.
    pub token: T,
}

pub enum Write {
    /// Adds entries to what is kept of a channel: all of these, or none.
    Entries { app: AppId, channel: ChannelName, entries: Vec<Arc<Entry>>, place: Place },
    /// Keeps an entry as what was published last on its channel, in the place of the one before.
    Last { app: AppId, channel: ChannelName, entry: Arc<Entry> },
    /// Adds a snapshot of a channel's objects. Operations that it contains and that are older than
    /// `since` go.
    Objects { app: AppId, channel: ChannelName, snapshot: ObjectsSnapshot, since: Timestamp },
    /// Changes records: all of these, or none.
    Records(Vec<RecordChange>),
}

/// Where entries belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// To the history, and those on objects to these as well.
    History,
    /// To the objects alone.
    Objects,
}

/// Whether a write is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durable {
    Yes,
    No,
}

/// What became of requests, by their tokens.
pub type Outcomes<T> = Vec<(T, Durable)>;

/// How much writes are.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    /// Entries, and one for anything else.
    count: usize,
    bytes: usize,
}

impl Write {
    fn load(&self) -> Load {
        let (count, bytes) = match self {
            Self::Entries { entries, .. } => {
                (entries.len(), entries.iter().map(|entry| entry.body.size()).sum())
            }
            Self::Last { entry, .. } => (1, entry.body.size()),
            Self::Objects { snapshot, .. } => (1, snapshot.size()),
            Self::Records(changes) => (1, changes.iter().map(RecordChange::size).sum()),
        };
        Load { count, bytes }
    }
}

impl AddAssign for Load {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.bytes += other.bytes;
    }
}

/// What the writer has done since it started. Durations are in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriterCounters {
    pub batches: u64,
    /// Entries made durable.
    pub entries: u64,
    /// Stored bytes of these entries, without keys.
    pub bytes: u64,
    /// Entries, and writes of something else, that could not be made durable.
    pub failed: u64,
    /// Time spent in committing batches: making their rows, the journal's write and its fsync.
    pub commit_micros: u64,
    /// The longest of these commits.
    pub max_commit_micros: u64,
}

/// The owner of the writing thread. Dropping it writes what was taken, then ends the thread.
pub struct Writer<T> {
    /// None only while it is dropped.
    queue: Option<Sender<Group<T>>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Requests that were taken together.
struct Group<T> {
    requests: Vec<WriteRequest<T>>,
    load: Load,
}

#[derive(Default)]
struct Shared {
    queued: AtomicUsize,
    queued_bytes: AtomicUsize,
    batches: AtomicU64,
    entries: AtomicU64,
    bytes: AtomicU64,
    failed: AtomicU64,
    commit_micros: AtomicU64,
    max_commit_micros: AtomicU64,
}

impl Shared {
    /// Makes room in the queue for one request, if there is enough.
    fn reserve(&self, load: Load) -> bool {
        let queued = self.queued.fetch_add(load.count, Ordering::Relaxed);
        let queued_bytes = self.queued_bytes.fetch_add(load.bytes, Ordering::Relaxed);
        let fits = queued.saturating_add(load.count) <= MAX_QUEUED
            && queued_bytes.saturating_add(load.bytes) <= MAX_QUEUED_BYTES;
        if !fits {
            self.release(load);
        }
        fits
    }

    fn release(&self, load: Load) {
        self.queued.fetch_sub(load.count, Ordering::Relaxed);
        self.queued_bytes.fetch_sub(load.bytes, Ordering::Relaxed);
    }
}

impl<T: Send + 'static> Writer<T> {
    /// Starts the writer of `store`, which has one. `completed` is called on its thread with the outcomes of
    /// each batch, in the order of the requests; it must neither block nor panic.
    pub fn start(
        store: Store,
        completed: impl FnMut(Outcomes<T>) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (queue, groups) = channel();
        let shared = Arc::new(Shared::default());
        let run = Run {
            store,
            groups,
            completed: Box::new(completed),
            shared: Arc::clone(&shared),
            kit: Kit::default(),
            waiting: Vec::new(),
        };
        let thread = std::thread::Builder::new().name("store-writer".into()).spawn(|| run.run())?;
        Ok(Self { queue: Some(queue), shared, thread: Some(thread) })
    }

    /// Takes the requests, and hands those back for which too much is waiting. Never blocks.
    pub fn try_write(&self, mut requests: Vec<WriteRequest<T>>) -> Vec<WriteRequest<T>> {
        let mut load = Load::default();
        let taken = requests.iter().take_while(|request| {
            let one = request.write.load();
            let fits = self.shared.reserve(one);
            if fits {
                load += one;
            }
            fits
        });
        let taken = taken.count();
        let mut refused = requests.split_off(taken);
        if let Some(queue) = self.queue.as_ref().filter(|_| taken > 0)
            && let Err(SendError(mut back)) = queue.send(Group { requests, load })
        {
            self.shared.release(load);
            refused.splice(..0, back.requests.drain(..));
        }
        refused
    }
}

impl<T> Writer<T> {
    pub fn counters(&self) -> WriterCounters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        WriterCounters {
            batches: read(&self.shared.batches),
            entries: read(&self.shared.entries),
            bytes: read(&self.shared.bytes),
            failed: read(&self.shared.failed),
            commit_micros: read(&self.shared.commit_micros),
            max_commit_micros: read(&self.shared.max_commit_micros),
        }
    }
}

impl<T> Drop for Writer<T> {
    fn drop(&mut self) {
        drop(self.queue.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the writer of the store panicked");
        }
    }
}

/// The writing thread.
struct Run<T> {
    store: Store,
    groups: Receiver<Group<T>>,
    completed: Box<dyn FnMut(Outcomes<T>) + Send>,
    shared: Arc<Shared>,
    kit: Kit,
    /// The batch at hand; kept for its memory.
    waiting: Vec<WriteRequest<T>>,
}

impl<T> Run<T> {
    fn run(mut self) {
        let mut next_expiry = Instant::now();
        loop {
            let patience = next_expiry.saturating_duration_since(Instant::now());
            match self.groups.recv_timeout(patience) {
                Ok(first) => {
                    // Who waits for this core has more to write, perhaps: an fsync for all of it costs as much as one
                    // for the first.
                    std::thread::yield_now();
                    let load = self.gather(first);
                    self.write(load);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if Instant::now() >= next_expiry {
                next_expiry = Instant::now() + self.expire();
            }
        }
    }

    /// Returns how much is waiting.
    fn gather(&mut self, first: Group<T>) -> Load {
        let mut load = first.load;
        self.waiting.extend(first.requests);
        while load.count < MAX_BATCH && load.bytes < MAX_BATCH_BYTES {
            let Ok(next) = self.groups.try_recv() else { break };
            load += next.load;
            self.waiting.extend(next.requests);
        }
        load
    }

    fn write(&mut self, load: Load) {
        let mut stage = Stage::new(&self.store, &mut self.kit);
        let staged: Vec<_> = self.waiting.iter().map(|request| stage.add(&request.write)).collect();
        let started = Instant::now();
        let committed = stage.commit();
        let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.shared.commit_micros.fetch_add(micros, Ordering::Relaxed);
        self.shared.max_commit_micros.fetch_max(micros, Ordering::Relaxed);
        self.shared.batches.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = &committed {
            self.kit.forget();
            tracing::error!(%error, writes = staged.len(), "the store could not be written");
        }
        let mut failed = 0;
        let outcomes = self.waiting.drain(..).zip(staged).map(|(request, staged)| {
            let durable = if staged && committed.is_ok() { Durable::Yes } else { Durable::No };
            failed += if durable == Durable::No { request.write.load().count as u64 } else { 0 };
            (request.token, durable)
        });
        let outcomes: Vec<_> = outcomes.collect();
        let done = committed.unwrap_or_default();
        self.shared.entries.fetch_add(done.entries, Ordering::Relaxed);
        self.shared.bytes.fetch_add(done.bytes, Ordering::Relaxed);
        self.shared.failed.fetch_add(failed, Ordering::Relaxed);
        self.shared.release(load);
        (self.completed)(outcomes);
    }

    /// Returns when to look again.
    fn expire(&mut self) -> Duration {
        match self.store.expire(wall_clock()) {
            Ok(removed) if removed >= expiry::STEP => EXPIRY_PAUSE,
            Ok(_) => {
                self.kit.trim();
                EXPIRY_INTERVAL
            }
            Err(error) => {
                tracing::error!(%error, "expired history could not be removed");
                EXPIRY_INTERVAL
            }
        }
    }
}

fn wall_clock() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
