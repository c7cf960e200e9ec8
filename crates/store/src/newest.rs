//! What the writer knows of the end of channels without asking the engine.

use std::collections::BTreeMap;

use types::{Serial, Timestamp};

/// Channels and kinds of entries that are known at most.
const MAX_KNOWN: usize = 65_536;

/// The serials of the newest entries that were stored, by what the keys of their channel and kind begin with. They
/// may have expired since.
#[derive(Default)]
pub(crate) struct Newest(BTreeMap<Vec<u8>, Serial>);

impl Newest {
    /// None also if it is older than `horizon`.
    pub(crate) fn get(&self, head: &[u8], horizon: Timestamp) -> Option<Serial> {
        self.0.get(head).copied().filter(|serial| serial.ms >= horizon.0)
    }

    pub(crate) fn set(&mut self, head: Vec<u8>, serial: Serial) {
        if self.0.len() >= MAX_KNOWN {
            self.forget();
        }
        self.0.insert(head, serial);
    }

    /// What is stored may be different now.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }
}
