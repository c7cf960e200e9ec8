//! What is said of messages: the changes and annotations of one, found without reading the rest of
//! its channel.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use types::{AppId, ChannelName, Entry, ItemPosition, Kind, Serial};

use crate::{Store, StoreError, key};

impl Store {
    /// The entries that published, changed and annotated these messages, in the order of serials.
    pub fn about(
        &self,
        app: &AppId,
        channel: &ChannelName,
        messages: &BTreeSet<ItemPosition>,
    ) -> Result<Vec<Arc<Entry>>, StoreError> {
        let channel = key::channel(app, channel);
        let mut entries = BTreeMap::new();
        for message in messages {
            self.read_entry(&channel, Kind::Messages, message.serial, &mut entries)?;
            for kind in [Kind::Changes, Kind::Annotations] {
                for serial in self.said(&channel, kind, *message) {
                    self.read_entry(&channel, kind, serial?, &mut entries)?;
                }
            }
        }
        Ok(entries.into_values().collect())
    }

    /// Whether anything was said of a message of this channel since the given one was published.
    pub fn is_changed(
        &self,
        app: &AppId,
        channel: &ChannelName,
        message: ItemPosition,
    ) -> Result<bool, StoreError> {
        let channel = key::channel(app, channel);
        for kind in [Kind::Changes, Kind::Annotations] {
            if let Some(serial) = self.said(&channel, kind, message).next() {
                return serial.map(|_| true);
            }
        }
        Ok(false)
    }

    /// The serials of what is said of a message, oldest first. What has expired is left out.
    pub(crate) fn said(
        &self,
        channel: &[u8],
        kind: Kind,
        message: ItemPosition,
    ) -> impl DoubleEndedIterator<Item = Result<Serial, StoreError>> + use<> {
        let (low, high) = key::span(self.retention.horizon().0, u64::MAX);
        let head = key::head(channel, kind);
        let [low, high] = [low, high].map(|own| key::about(&head, message, &own));
        self.about.range(low..=high).map(|guard| Ok(key::serial_of(&guard.key()?)?))
    }

    fn read_entry(
        &self,
        channel: &[u8],
        kind: Kind,
        serial: Serial,
        into: &mut BTreeMap<Serial, Arc<Entry>>,
    ) -> Result<(), StoreError> {
        if serial.ms < self.retention.horizon().0 || into.contains_key(&serial) {
            return Ok(());
        }
        // The index is written and removed with its entry; between two reads it may have expired.
        if let Some(stored) = self.entry(&key::head(channel, kind), serial)? {
            into.insert(serial, stored.unpack()?);
        }
        Ok(())
    }
}
