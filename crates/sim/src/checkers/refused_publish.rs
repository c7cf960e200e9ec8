//! Invariant 4: a publish that was refused for a reason of its own is not delivered; one whose outcome
//! is unknown is delivered at most once, and a retry with its id leads to one delivery. (That there is
//! never a second one is `once_per_id`'s, that there is one after an ACK is `commit_first`'s.)

use std::collections::BTreeSet;
use std::sync::Arc;

use types::{EntryId, ErrorInfo};

use super::{Verdict, violation};
use crate::client::Publish;
use crate::truth::{Channel, Standing, Truth};

pub(crate) const NAME: &str = "refused_publish";

#[derive(Debug, Default)]
pub(crate) struct RefusedPublish {
    refused: BTreeSet<(Arc<str>, EntryId)>,
}

impl RefusedPublish {
    pub(super) fn settled(
        &mut self,
        client: usize,
        (known, incarnation): (&Channel, u64),
        publish: &Publish,
        id: &EntryId,
        result: &Result<(), ErrorInfo>,
    ) -> Verdict {
        let key = (publish.channel.clone(), id.clone());
        match result {
            Ok(()) => {
                self.refused.remove(&key);
                Ok(())
            }
            // Its own id may have been refused for the rate of its repeat.
            Err(error) if error.status == 429 && matches!(id, EntryId::Named(_)) => Ok(()),
            Err(error) if (400..500).contains(&error.status) && error.code != 80017 => {
                self.refused.insert(key);
                let context = format!("client {client}: {error}");
                check(known, incarnation, publish.channel.as_ref(), id, &context)
            }
            Err(_) => Ok(()),
        }
    }

    pub(super) fn settled_at_last(&self, truth: &Truth) -> Verdict {
        for (channel, id) in &self.refused {
            if let Some(known) = truth.get(channel) {
                check(known, truth.incarnation, channel, id, "at the end")?;
            }
        }
        Ok(())
    }
}

/// A node that has just started may refuse the repeat of what its predecessor accepted.
fn check(known: &Channel, incarnation: u64, channel: &str, id: &EntryId, context: &str) -> Verdict {
    let mut records = known.with_id(id);
    if records
        .all(|record| record.standing == Standing::Doubtful || record.incarnation < incarnation)
    {
        return Ok(());
    }
    violation(NAME, format!("{id} on {channel} was refused and is there ({context})"))
}
