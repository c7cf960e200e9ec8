//! What a node remembers of itself, and the app documents. All of it is durable when the call
//! returns, except that the node was alive: of that a power failure may cost the last seconds.

use fjall::PersistMode;
use packed::Unreadable;
use serde::{Deserialize, Serialize};
use types::{App, AppId, Timestamp};

use crate::{Store, StoreError, key};

const APP_DOCUMENT: u64 = 1;

const SECRET_KEY: &str = "secret";
const INCARNATION_KEY: &str = "incarnation";
const ALIVE_KEY: &str = "alive";
const APP_PREFIX: &str = "app:";

/// One run of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incarnation {
    /// Counts the runs, from 1.
    pub number: u64,
    /// When the run before was last known to be alive; none if there was none.
    pub previous_alive: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Header {
    version: u64,
}

#[derive(Serialize, Deserialize)]
struct AppDocument<A> {
    version: u64,
    app: A,
}

impl Store {
    /// The secret that this node was given, if it was given one.
    pub fn secret(&self) -> Result<Option<[u8; 32]>, StoreError> {
        self.array(SECRET_KEY, "the node's secret")
    }

    pub fn set_secret(&self, secret: &[u8; 32]) -> Result<(), StoreError> {
        self.put_durably(SECRET_KEY, secret)
    }

    /// The run of the node that would begin now.
    pub fn next_incarnation(&self) -> Result<Incarnation, StoreError> {
        let number =
            self.number(INCARNATION_KEY, "the incarnation")?.unwrap_or(0).saturating_add(1);
        let previous_alive = self.number(ALIVE_KEY, "the time last alive")?.map(Timestamp);
        Ok(Incarnation { number, previous_alive })
    }

    /// Counts this run, which is alive at `now`, or when the one before was if the clock has been set back since.
    /// To be called when nothing can keep the run from serving any more: one that fails does not count.
    pub fn begin_incarnation(
        &self,
        incarnation: Incarnation,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let alive = incarnation.previous_alive.unwrap_or_default().max(now);
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        batch.insert(&self.meta, INCARNATION_KEY, incarnation.number.to_be_bytes());
        batch.insert(&self.meta, ALIVE_KEY, alive.0.to_be_bytes());
        Ok(batch.commit()?)
    }

    /// Remembers that the node is alive at `now`. May wait for a write of history to end.
    pub fn mark_alive(&self, now: Timestamp) -> Result<(), StoreError> {
        Ok(self.meta.insert(ALIVE_KEY, now.0.to_be_bytes())?)
    }

    /// The apps, in the order of their ids.
    pub fn apps(&self) -> Result<Vec<App>, StoreError> {
        let rows = self.meta.prefix(APP_PREFIX);
        rows.map(|guard| {
            let (key, value) = guard.into_inner()?;
            let id = key.strip_prefix(APP_PREFIX.as_bytes()).unwrap_or_default();
            app_from_document(&AppId::from(String::from_utf8_lossy(id).as_ref()), &value)
        })
        .collect()
    }

    /// Adds the app, or replaces the one with its id.
    pub fn put_app(&self, app: &App) -> Result<(), StoreError> {
        let document = serde_json::to_vec(&AppDocument { version: APP_DOCUMENT, app })
            .map_err(|source| StoreError::AppDocument { app: app.id.clone(), source })?;
        self.put_durably(&app_key(&app.id), &document)
    }

    /// Removes the app's document, its records and objects; its history expires as ever.
    pub fn remove_app(&self, id: &AppId) -> Result<(), StoreError> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        batch.remove(&self.meta, app_key(id));
        for guard in self.records.prefix(key::app(id)) {
            batch.remove(&self.records, guard.key()?);
        }
        for guard in self.objects.prefix(key::app(id)) {
            batch.remove(&self.objects, guard.key()?);
        }
        Ok(batch.commit()?)
    }

    pub(crate) fn number(&self, key: &str, what: &'static str) -> Result<Option<u64>, StoreError> {
        Ok(self.array(key, what)?.map(u64::from_be_bytes))
    }

    fn array<const N: usize>(
        &self,
        key: &str,
        what: &'static str,
    ) -> Result<Option<[u8; N]>, StoreError> {
        let Some(value) = self.meta.get(key)? else { return Ok(None) };
        value
            .first_chunk()
            .filter(|_| value.len() == N)
            .map_or_else(|| Err(Unreadable::Damaged(what).into()), |array| Ok(Some(*array)))
    }

    pub(crate) fn put_durably(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        batch.insert(&self.meta, key, value);
        Ok(batch.commit()?)
    }
}

fn app_key(id: &AppId) -> String {
    format!("{APP_PREFIX}{id}")
}

fn app_from_document(id: &AppId, json: &[u8]) -> Result<App, StoreError> {
    let damaged = |source| StoreError::AppDocument { app: id.clone(), source };
    match serde_json::from_slice::<Header>(json).map_err(damaged)?.version {
        APP_DOCUMENT => Ok(serde_json::from_slice::<AppDocument<App>>(json).map_err(damaged)?.app),
        found => Err(Unreadable::UnknownFormat { what: "the document of an app", found }.into()),
    }
}
