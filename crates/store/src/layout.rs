//! The layout of the data directory: which keyspaces there are, and how keys are made. An earlier one is brought
//! up to date when it is opened; one that this version does not know is not opened.

use std::collections::BTreeSet;

use fjall::KeyspaceCreateOptions;
use packed::Unreadable;

use crate::{Store, StoreError, key};

const LAYOUT: u64 = 4;
/// No row is compressed but by the engine.
const LAYOUT_OF_PLAIN_ROWS: u64 = 3;
/// Each chunk is one entry.
const LAYOUT_OF_SINGLE_ENTRIES: u64 = 2;
/// Has `times` instead of `minutes`: a row for each entry, `<ms><key of the entry>`.
const LAYOUT_WITH_TIMES: u64 = 1;

const LAYOUT_KEY: &str = "layout";
const TIMES: &str = "times";

/// Rows of an earlier layout that are read before what they become is written.
const STEP: usize = 4096;

impl Store {
    pub(crate) fn check_layout(&self) -> Result<(), StoreError> {
        const WHAT: &str = "the data directory";
        match self.number(LAYOUT_KEY, WHAT)? {
            Some(LAYOUT) => {}
            Some(LAYOUT_OF_PLAIN_ROWS | LAYOUT_OF_SINGLE_ENTRIES) => {
                self.put_durably(LAYOUT_KEY, &LAYOUT.to_be_bytes())?;
            }
            Some(LAYOUT_WITH_TIMES) => {
                self.index_minutes()?;
                self.put_durably(LAYOUT_KEY, &LAYOUT.to_be_bytes())?;
            }
            Some(found) => return Err(Unreadable::UnknownFormat { what: WHAT, found }.into()),
            None => self.put_durably(LAYOUT_KEY, &LAYOUT.to_be_bytes())?,
        }
        // Also if it was there still when the process ended.
        if self.database.keyspace_exists(TIMES) {
            let times = self.database.keyspace(TIMES, KeyspaceCreateOptions::default)?;
            self.database.delete_keyspace(times)?;
        }
        Ok(())
    }

    fn index_minutes(&self) -> Result<(), StoreError> {
        let times = self.database.keyspace(TIMES, KeyspaceCreateOptions::default)?;
        let mut rows = times.iter().peekable();
        while rows.peek().is_some() {
            let mut minutes = BTreeSet::new();
            for guard in rows.by_ref().take(STEP) {
                let row = guard.key()?;
                let (_ms, entry_key) = row
                    .split_at_checked(size_of::<u64>())
                    .ok_or(Unreadable::Damaged("the index by time"))?;
                let (head, serial) = key::take_entry(entry_key)?;
                minutes.insert(key::minute(head, serial.ms));
            }
            let mut batch = self.database.batch();
            minutes.into_iter().for_each(|key| batch.insert(&self.minutes, key, []));
            batch.commit()?;
        }
        Ok(())
    }
}
