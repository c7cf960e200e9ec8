//! What a persisted channel acknowledged is in the store, once, also after crashes.

use types::{EntryId, HistoryPage, Kind};

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

/// A page of history has the newest messages that were committed, each once.
pub(crate) fn remembered(name: &str, known: &Channel, page: &HistoryPage) -> Verdict {
    let all = known.certain().filter(|record| record.kind == Kind::Messages);
    let mut expected: Vec<_> =
        all.flat_map(|record| vec![record.entry.serial; record.entry.body.len()]).collect();
    expected.sort();
    let said: Vec<_> = page.items.iter().map(|(entry, _)| entry.serial).collect();
    let said: Vec<_> =
        said.into_iter().filter(|serial| expected.binary_search(serial).is_ok()).collect();
    if known.persisted && !said.iter().eq(expected.iter().rev().take(said.len())) {
        return violation(NAME, format!("the history of {name} is not what was committed"));
    }
    Ok(())
}
