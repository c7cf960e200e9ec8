//! What a persisted channel acknowledged is in the store, once, also after crashes.

use types::EntryId;

use super::{Verdict, violation};
use crate::client::Publish;
use crate::store::Store;
use crate::truth::{Channel, Standing, Truth};

pub(crate) const NAME: &str = "durability";

pub(super) fn acknowledged(
    client: usize,
    known: &Channel,
    store: &Store,
    publish: &Publish,
    id: &EntryId,
) -> Verdict {
    if known.persisted && !store.has(&publish.channel, id) {
        let message = format!(
            "{id} of client {client} on {} was acknowledged, but not stored",
            publish.channel
        );
        return violation(NAME, message);
    }
    Ok(())
}

/// No id is stored twice within the id window, and every committed entry is there.
pub(crate) fn settled(truth: &Truth, store: &Store) -> Verdict {
    for (name, entries) in store.names() {
        for entry in entries {
            let committed = truth.get(name).map(|known| {
                known
                    .with_id(&entry.id)
                    .filter(|record| record.standing == Standing::Certain)
                    .count()
            });
            if store.copies(name, &entry.id) > committed.unwrap_or_default().max(1) {
                return violation(NAME, format!("{} is stored twice in {name}", entry.id));
            }
        }
    }
    Ok(())
}
