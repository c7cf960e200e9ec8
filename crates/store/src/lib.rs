//! The embedded store of one node, in one data directory: the history of persisted channels, the
//! app documents with the records of each app, the objects of channels, and what the node remembers of itself.
//!
//! Reads happen on any thread, through clones of [`Store`]. History and records are written by one [`Writer`],
//! which makes what has gathered durable with one fsync. Nothing here decides what is persisted, and
//! nothing here knows the client protocol: what is kept are entries, in formats of their own.
//!
//! Invariants: a write that was completed with `true` is on disk; every stored value names its
//! format, and one that is not known is an error; an entry past its retention is never read again.

mod about;
mod block;
mod chunk;
mod compress;
mod error;
mod expiry;
mod history;
mod key;
mod last;
mod layout;
mod meta;
mod newest;
mod objects;
mod record;
mod stage;
mod writer;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions};

pub use error::StoreError;
pub use meta::Incarnation;
pub use objects::StoredObjects;
pub use writer::{Durable, Outcomes, Place, Write, WriteRequest, Writer, WriterCounters};

use expiry::Retention;

/// How long history is kept unless the operator says otherwise.
pub const DEFAULT_RETENTION: Duration = Duration::from_hours(72);

/// Files that the store keeps open for reading; one that is needed beyond them takes the place of another. A merge of
/// tables has those open that it reads, besides.
pub const MAX_OPEN_FILES: usize = 256;

/// The folder of the data directory that the engine owns.
const FOLDER: &str = "store";
/// For the owner alone: keys are in it. A data directory that is there already has the mode that it was given.
const MODE: u32 = 0o700;

/// Rows of history that are so long, compressed, lie in files of their own, which are not written again whenever
/// the engine merges its tables, and go with the last of their rows.
const MIN_SEPARATE: u32 = 2 << 10;

/// Handles to an open store; clones share it. It closes, and frees its directory, with the last one.
#[derive(Clone)]
pub struct Store {
    database: Database,
    /// What the node remembers of itself, and the app documents.
    meta: Keyspace,
    /// Chunks of entries by channel, kind and serial.
    history: Keyspace,
    /// The minutes of which `history` has entries, with what their keys begin with, so that expiry finds the
    /// oldest.
    minutes: Keyspace,
    /// Changes and annotations by message.
    about: Keyspace,
    /// A serial of each series, from the last minute of which there are any, by channel.
    series: Keyspace,
    /// The entry last published, by channel.
    last: Keyspace,
    /// Records by app, kind and key.
    records: Keyspace,
    /// By channel a snapshot of its objects, and operations on them by serial.
    objects: Keyspace,
    retention: Arc<Retention>,
}

impl Store {
    /// Opens the store in `directory`, which nobody else may have open, and makes both if there are
    /// none. History is kept for `retention`.
    pub fn open(directory: &Path, retention: Duration) -> Result<Self, StoreError> {
        let folder = directory.join(FOLDER);
        let made = DirBuilder::new().recursive(true).mode(MODE).create(&folder);
        made.map_err(|source| StoreError::Folder { folder: folder.clone(), source })?;
        let database = Database::builder(folder)
            .max_cached_files(Some(MAX_OPEN_FILES))
            // What is long is compressed before.
            .journal_compression(CompressionType::None)
            .open()
            .map_err(|error| match error {
                fjall::Error::Locked => StoreError::Locked { directory: directory.to_owned() },
                other => StoreError::Engine(other),
            })?;
        let keyspace = |name| database.keyspace(name, KeyspaceCreateOptions::default);
        let separate = || {
            let options = KvSeparationOptions::default().separation_threshold(MIN_SEPARATE);
            let options = options.compression(CompressionType::None);
            KeyspaceCreateOptions::default().with_kv_separation(Some(options))
        };
        let store = Self {
            meta: keyspace("meta")?,
            history: database.keyspace("history", separate)?,
            minutes: keyspace("minutes")?,
            about: keyspace("about")?,
            series: keyspace("series")?,
            last: keyspace("last")?,
            records: keyspace("records")?,
            objects: keyspace("objects")?,
            retention: Arc::new(Retention::new(retention)),
            database,
        };
        store.check_layout()?;
        Ok(store)
    }
}
