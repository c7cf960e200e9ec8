//! The objects of channels: for each channel a snapshot, and the operations that it may lack. They do
//! not expire with the history, of which the operations of persisted channels are a part as well.

use std::sync::Arc;

use fjall::{PersistMode, Slice};
use types::{AppId, ChannelName, Entry, ObjectsSnapshot, Timestamp};

use crate::{Store, StoreError, key};

/// What is kept of one channel.
#[derive(Debug)]
pub struct StoredObjects {
    pub app: AppId,
    pub channel: ChannelName,
    pub snapshot: Option<ObjectsSnapshot>,
    /// In the order of serials; some may be contained in the snapshot.
    pub operations: Vec<Arc<Entry>>,
}

/// The rows of one channel as they are stored.
struct Rows {
    channel_key: Vec<u8>,
    snapshot: Option<Slice>,
    operations: Vec<(Slice, Slice)>,
}

impl Store {
    /// The objects of all channels. What cannot be read is logged and left out, and where it is.
    pub fn objects(&self) -> impl Iterator<Item = Result<StoredObjects, StoreError>> + use<> {
        let mut rows = self.objects.iter();
        let mut next: Option<Rows> = None;
        let channels = std::iter::from_fn(move || {
            loop {
                let Some(guard) = rows.next() else { return next.take().map(Ok) };
                let (key, value) = match guard.into_inner() {
                    Ok(row) => row,
                    Err(error) => return Some(Err(StoreError::from(error))),
                };
                let done = Rows::add(&mut next, key, value);
                if let Some(done) = done {
                    return Some(Ok(done));
                }
            }
        });
        channels.filter_map(|rows| match rows.map(|rows| rows.read()) {
            Ok(Ok(objects)) => Some(Ok(objects)),
            Ok(Err(error)) => {
                tracing::error!(%error, "the objects of a channel are skipped");
                None
            }
            Err(error) => Some(Err(error)),
        })
    }

    /// Forgets the objects of a channel.
    pub fn remove_objects(&self, app: &AppId, channel: &ChannelName) -> Result<(), StoreError> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        for guard in self.objects.prefix(key::channel(app, channel)) {
            batch.remove(&self.objects, guard.key()?);
        }
        Ok(batch.commit()?)
    }
}

impl StoredObjects {
    /// When an operation last changed them.
    pub fn updated(&self) -> Timestamp {
        let last = self.operations.last().map(|entry| entry.serial);
        let last = last.max(self.snapshot.as_ref().map(|snapshot| snapshot.until));
        last.map_or_else(Timestamp::default, |serial| Timestamp(serial.ms))
    }
}

impl Rows {
    /// Adds a row to those of its channel; returns those of the channel before, which are complete.
    fn add(rows: &mut Option<Self>, key: Slice, value: Slice) -> Option<Self> {
        if let Some(Self { operations, .. }) =
            rows.as_mut().filter(|rows| key.starts_with(&rows.channel_key))
        {
            operations.push((key, value));
            return None;
        }
        let Some(length) = key::channel_length(&key) else {
            tracing::error!("a row of objects is skipped: its key is damaged");
            return None;
        };
        let (channel_key, serial) = key.split_at(length);
        let channel_key = channel_key.to_vec();
        let next = if serial.is_empty() {
            Self { channel_key, snapshot: Some(value), operations: Vec::new() }
        } else {
            Self { channel_key, snapshot: None, operations: vec![(key, value)] }
        };
        rows.replace(next)
    }

    fn read(&self) -> Result<StoredObjects, StoreError> {
        let (app, channel) = key::take_channel(&self.channel_key)?;
        let snapshot = self.snapshot.as_ref();
        let snapshot = snapshot.map(|value| packed::decode_snapshot(value)).transpose()?;
        let operation = |(key, value): &(Slice, Slice)| {
            let serial = key::serial_behind(&self.channel_key, key)?;
            packed::decode(serial, value).map(Arc::new)
        };
        let operations = self.operations.iter().map(operation).collect::<Result<_, _>>()?;
        Ok(StoredObjects { app, channel, snapshot, operations })
    }
}
