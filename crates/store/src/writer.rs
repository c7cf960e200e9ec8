//! Group commit: one thread that makes durable, with one fsync, whatever has gathered while it was
//! busy with the last one. It also removes what has expired, between batches.
//!
//! Requests are completed in the order in which they were taken. A request that was not taken is
//! handed back at once; nobody ever waits for the disk but this thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use types::{AppId, ChannelName, Entry, ObjectsSnapshot, RecordChange, Timestamp};

use crate::stage::{Stage, Staged};
use crate::{Store, expiry};

/// Requests that wait for the writer at most; further ones are handed back.
const MAX_QUEUED: usize = 16_384;
/// Payload that waits for the writer at most; further requests are handed back.
const MAX_QUEUED_BYTES: usize = 64 << 20;
/// What one fsync makes durable at most. More would only make the first of a batch wait longer.
const MAX_BATCH: usize = 4096;
const MAX_BATCH_BYTES: usize = 8 << 20;
/// Time between looks for expired entries, and between the steps of removing many.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(10);
const EXPIRY_PAUSE: Duration = Duration::from_millis(20);

pub struct WriteRequest {
    pub write: Write,
    /// Called once, on the writer's thread: whether the write is durable. It must neither block
    /// nor panic.
    pub done: Box<dyn FnOnce(bool) + Send>,
}

pub enum Write {
    /// Adds an entry to what is kept of a channel.
    Entry { app: AppId, channel: ChannelName, entry: Arc<Entry>, place: Place },
    /// Keeps an entry as what was published last on its channel, in the place of the one before.
    Last { app: AppId, channel: ChannelName, entry: Arc<Entry> },
    /// Adds a snapshot of a channel's objects. Operations that it contains and that are older than
    /// `since` go.
    Objects { app: AppId, channel: ChannelName, snapshot: ObjectsSnapshot, since: Timestamp },
    /// Changes records: all of these, or none.
    Records(Vec<RecordChange>),
}

/// Where an entry belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// To the history, and if it is one on objects to these as well.
    History,
    /// To the objects alone.
    Objects,
}

impl Write {
    fn size(&self) -> usize {
        match self {
            Self::Entry { entry, .. } | Self::Last { entry, .. } => entry.body.size(),
            Self::Objects { snapshot, .. } => snapshot.size(),
            Self::Records(changes) => changes.iter().map(RecordChange::size).sum(),
        }
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
    /// Writes that could not be made durable.
    pub failed: u64,
    /// Time spent in committing batches: the journal's write and its fsync.
    pub commit_micros: u64,
    /// The longest of these commits.
    pub max_commit_micros: u64,
}

/// The owner of the writing thread. Dropping it writes what was taken, then ends the thread.
pub struct Writer {
    /// None only while it is dropped.
    queue: Option<SyncSender<Queued>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Queued {
    request: WriteRequest,
    bytes: usize,
}

#[derive(Default)]
struct Shared {
    queued_bytes: AtomicUsize,
    batches: AtomicU64,
    entries: AtomicU64,
    bytes: AtomicU64,
    failed: AtomicU64,
    commit_micros: AtomicU64,
    max_commit_micros: AtomicU64,
}

impl Writer {
    /// Starts the writer of `store`. A store has one.
    pub fn start(store: Store) -> std::io::Result<Self> {
        let (queue, requests) = sync_channel(MAX_QUEUED);
        let shared = Arc::new(Shared::default());
        let run = Run { store, requests, shared: Arc::clone(&shared), waiting: Vec::new() };
        let thread = std::thread::Builder::new().name("store-writer".into()).spawn(|| run.run())?;
        Ok(Self { queue: Some(queue), shared, thread: Some(thread) })
    }

    /// Takes the request, or hands it back if too much is waiting. Never blocks.
    pub fn try_write(&self, request: WriteRequest) -> Result<(), WriteRequest> {
        let bytes = request.write.size();
        let queued = self.shared.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let refused = match &self.queue {
            Some(queue) if queued.saturating_add(bytes) <= MAX_QUEUED_BYTES => {
                match queue.try_send(Queued { request, bytes }) {
                    Ok(()) => return Ok(()),
                    Err(TrySendError::Full(back) | TrySendError::Disconnected(back)) => {
                        back.request
                    }
                }
            }
            _ => request,
        };
        self.shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        Err(refused)
    }

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

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the writer of the store panicked");
        }
    }
}

/// The writing thread.
struct Run {
    store: Store,
    requests: Receiver<Queued>,
    shared: Arc<Shared>,
    /// The batch at hand; kept for its memory.
    waiting: Vec<Queued>,
}

impl Run {
    fn run(mut self) {
        let mut next_expiry = Instant::now();
        loop {
            let patience = next_expiry.saturating_duration_since(Instant::now());
            match self.requests.recv_timeout(patience) {
                Ok(first) => {
                    self.gather(first);
                    self.write();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if Instant::now() >= next_expiry {
                next_expiry = Instant::now() + self.expire();
            }
        }
    }

    fn gather(&mut self, first: Queued) {
        let mut bytes = first.bytes;
        self.waiting.push(first);
        while self.waiting.len() < MAX_BATCH && bytes < MAX_BATCH_BYTES {
            let Ok(next) = self.requests.try_recv() else { return };
            bytes += next.bytes;
            self.waiting.push(next);
        }
    }

    fn write(&mut self) {
        let mut stage = Stage::new(&self.store);
        let writes = self.waiting.iter().map(|queued| &queued.request.write);
        let staged: Vec<_> = writes.map(|write| stage.add(write)).collect();
        let started = Instant::now();
        let committed = stage.commit();
        let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.shared.commit_micros.fetch_add(micros, Ordering::Relaxed);
        self.shared.max_commit_micros.fetch_max(micros, Ordering::Relaxed);
        self.shared.batches.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = &committed {
            tracing::error!(%error, writes = staged.len(), "the store could not be written");
        }
        for (queued, staged) in self.waiting.drain(..).zip(staged) {
            let stored = staged.filter(|_| committed.is_ok());
            match stored {
                Some(Staged { entries, bytes }) => {
                    self.shared.entries.fetch_add(entries, Ordering::Relaxed);
                    self.shared.bytes.fetch_add(bytes, Ordering::Relaxed);
                }
                None => {
                    self.shared.failed.fetch_add(1, Ordering::Relaxed);
                }
            }
            self.shared.queued_bytes.fetch_sub(queued.bytes, Ordering::Relaxed);
            (queued.request.done)(stored.is_some());
        }
    }

    /// Returns when to look again.
    fn expire(&self) -> Duration {
        match self.store.expire(wall_clock()) {
            Ok(removed) if removed >= expiry::STEP => EXPIRY_PAUSE,
            Ok(_) => EXPIRY_INTERVAL,
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
