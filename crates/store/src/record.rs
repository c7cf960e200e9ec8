//! Records: read all at once, when a node starts. They are changed by the [`Writer`](crate::Writer).

use bytes::Bytes;
use types::Record;

use crate::{Store, StoreError, key};

impl Store {
    /// All records, by app and kind. Those that this version cannot name are left out, and where
    /// they are.
    pub fn records(&self) -> impl Iterator<Item = Result<Record, StoreError>> + use<> {
        self.records.iter().filter_map(|guard| {
            let (key, value) = match guard.into_inner() {
                Ok(row) => row,
                Err(error) => return Some(Err(error.into())),
            };
            match key::take_record(&key) {
                Ok(id) => Some(Ok(Record { id, value: Bytes::copy_from_slice(&value) })),
                Err(error) => {
                    tracing::warn!(%error, "a record is skipped");
                    None
                }
            }
        })
    }
}
