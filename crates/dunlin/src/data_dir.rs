//! The data directory: the store in it, and what a first start puts there: a secret, and an app with
//! a key. Randomness comes from the operating system here, and from nowhere else.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, anyhow};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha12Rng;
use store::{Store, StoreError};
use types::{App, AppId, Key, Restrictions, random_text};

use crate::config::{ACCOUNT, FULL_CAPABILITY};
use crate::settings::Settings;

/// Characters of the ids of apps and keys; unique among a few million.
const ID_LENGTH: usize = 6;
/// Characters of a key's secret; 256 bits.
const SECRET_LENGTH: usize = 43;

/// Opens the store in the data directory, and makes both if there are none.
pub(crate) fn open(directory: &Path, history_retention: Duration) -> Result<Store> {
    Store::open(directory, history_retention).map_err(|error| match error {
        locked @ StoreError::Locked { .. } => anyhow!(locked),
        other => {
            anyhow!(other).context(format!("cannot open the store in {}", directory.display()))
        }
    })
}

/// A generator that nobody can foresee.
pub(crate) fn seeded_rng() -> Result<ChaCha12Rng> {
    let mut seed = [0; 32];
    aws_lc_rs::rand::fill(&mut seed)
        .map_err(|_unspecified| anyhow!("the operating system gives no random bytes"))?;
    Ok(ChaCha12Rng::from_seed(seed))
}

/// The secret of the node; a first start makes it.
pub(crate) fn secret(store: &Store, rng: &mut ChaCha12Rng) -> Result<[u8; 32]> {
    if let Some(secret) = store.secret()? {
        return Ok(secret);
    }
    let mut secret = [0; 32];
    rng.fill_bytes(&mut secret);
    store.set_secret(&secret)?;
    Ok(secret)
}

/// The app that the data directory keeps, with limits and namespaces as they are configured now; a
/// first start makes it.
pub(crate) fn app(store: &Store, settings: &Settings, rng: &mut ChaCha12Rng) -> Result<App> {
    let (limits, namespaces) = (settings.limits.clone(), settings.namespaces.clone());
    if let Some(kept) = store.apps()?.into_iter().next() {
        return Ok(App { limits, namespaces, ..kept });
    }
    let key = new_key(rng);
    let app = App {
        id: AppId::new(random_text(rng, ID_LENGTH)),
        account_id: ACCOUNT.into(),
        keys: vec![key],
        namespaces,
        limits,
    };
    store.put_app(&app)?;
    Ok(app)
}

/// A key that may do everything.
pub(crate) fn new_key(rng: &mut ChaCha12Rng) -> Key {
    Key {
        id: random_text(rng, ID_LENGTH).into(),
        secret: random_text(rng, SECRET_LENGTH).into(),
        capability: FULL_CAPABILITY.into(),
        revocable_tokens: false,
        restrictions: Restrictions::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_generators_draw_different_texts() {
        let mut rngs = [seeded_rng().unwrap(), seeded_rng().unwrap()];
        let [one, other] = rngs.each_mut().map(|rng| random_text(rng, SECRET_LENGTH));
        assert_ne!(one, other);
    }
}
