//! The node's store at work: writes and reads begin, are worked off, and fail as the setup says.

use std::sync::Arc;

use node::{AttachmentId, ChannelKey, Event, Stored, Ticket};
use rand::RngExt;
use types::{Entry, ErrorInfo, HistoryQuery, Kind, RecordChange, Timestamp, error};

use super::World;
use super::hosting::ID_WINDOW;
use crate::checkers::{Verdict, Violation};
use crate::queue::{Happening, Wanted, Write};
use crate::truth::Standing;

impl World {
    pub(super) fn begin_write(&mut self, channel: ChannelKey, name: &str, entry: Arc<Entry>) {
        let outcome = self.fate();
        let at = Timestamp(self.now.0 + self.between(self.setup.store.delay));
        let at = self.store.begin(channel, &name.into(), &entry, at);
        let incarnation = self.incarnation;
        self.queue.push(at, Happening::Written { incarnation, channel, entry, outcome });
    }

    fn fate(&mut self) -> Write {
        let setup = &self.setup.store;
        match self.rng.random_bool(setup.fail_chance) {
            false => Write::Durable,
            true if self.rng.random_bool(setup.doubt_chance) => Write::FailedButThere,
            true => Write::Failed,
        }
    }

    pub(super) fn begin_change(&mut self, ticket: Option<Ticket>, changes: Vec<RecordChange>) {
        let outcome = self.fate();
        let at = Timestamp(self.now.0 + self.between(self.setup.store.delay));
        let at = self.store.begin_change(changes, at);
        let incarnation = self.incarnation;
        self.queue.push(at, Happening::Changed { incarnation, ticket, outcome });
    }

    pub(super) fn changed(
        &mut self,
        incarnation: u64,
        ticket: Option<Ticket>,
        outcome: Write,
    ) -> Verdict {
        if incarnation != self.incarnation || self.node.is_none() {
            return Ok(());
        }
        self.store.finish_change(outcome);
        let durable = outcome == Write::Durable;
        ticket.map_or(Ok(()), |ticket| self.feed(Event::Kept { ticket, durable }))
    }

    /// What the store has worked off of one channel at the same moment is answered together.
    pub(super) fn written(
        &mut self,
        incarnation: u64,
        channel: ChannelKey,
        entry: &Arc<Entry>,
        outcome: Write,
    ) -> Verdict {
        if incarnation != self.incarnation || self.node.is_none() {
            return Ok(());
        }
        let Some((name, first)) = self.finish_write(channel, entry, outcome)? else {
            return Ok(());
        };
        let mut outcomes = vec![first];
        while let Some(Happening::Written { entry, outcome, .. }) =
            self.queue.pop_if(self.now, |next| is_of(next, incarnation, channel))
        {
            self.stats.happenings += 1;
            let next = self.finish_write(channel, &entry, outcome)?;
            outcomes.extend(next.map(|(_, stored)| stored));
        }
        self.feed_on(Some(name), Event::Stored(outcomes))
    }

    fn finish_write(
        &mut self,
        channel: ChannelKey,
        entry: &Arc<Entry>,
        outcome: Write,
    ) -> Result<Option<(Arc<str>, Stored)>, Violation> {
        let durable = outcome == Write::Durable;
        let forgotten = durable && self.planted.as_mut().is_some_and(|planted| planted.forgets());
        let Some(name) = self.store.finish(entry, if forgotten { Write::Failed } else { outcome })
        else {
            return Ok(None);
        };
        self.trace.note(self.now, || format!("{name} {} is stored: {outcome:?}", entry.id));
        if durable {
            let known = self.truth.channel(&name);
            known.commit(self.now, self.incarnation, entry, Standing::Certain, ID_WINDOW)?;
        }
        let by_server = entry.connection_id.is_none() && Kind::of(&entry.body) == Kind::Presence;
        if !durable && by_server {
            // A LEAVE that the node makes happens in memory at least.
            let known = self.truth.channel(&name);
            known.commit(self.now, self.incarnation, entry, Standing::Doubtful, ID_WINDOW)?;
        }
        Ok(Some((name, Stored { channel, position: entry.position, durable })))
    }

    pub(super) fn begin_read(&mut self, channel: ChannelKey, name: &str, wanted: Wanted) {
        let failed = self.rng.random_bool(self.setup.store.fail_chance);
        let error = failed.then(|| error::INTERNAL.with("the store is out of order"));
        let (incarnation, name) = (self.incarnation, name.into());
        let delay = self.between(self.setup.store.delay);
        self.after(delay, Happening::Read { incarnation, channel, name, wanted, error });
    }

    pub(super) fn read(
        &mut self,
        incarnation: u64,
        channel: ChannelKey,
        name: &Arc<str>,
        wanted: &Wanted,
        error: Option<ErrorInfo>,
    ) -> Verdict {
        if incarnation != self.incarnation || self.node.is_none() {
            return Ok(());
        }
        let entries = match wanted {
            Wanted::Since(since) => self.store.load(name, *since),
            Wanted::About(messages) => self.store.about(name, messages),
        };
        let entries = match error {
            Some(error) => Err(error),
            None => {
                self.surface(name, &entries)?;
                self.trace.note(self.now, || format!("{name} is read: {} entries", entries.len()));
                Ok(entries)
            }
        };
        self.feed(match wanted {
            Wanted::Since(_) => Event::Loaded { channel, entries },
            Wanted::About(_) => Event::MessagesLoaded { channel, entries },
        })
    }

    /// The store looks at once, and answers later.
    pub(super) fn begin_backlog(
        &mut self,
        channel: ChannelKey,
        attachment: AttachmentId,
        name: &Arc<str>,
        query: &HistoryQuery,
    ) -> Verdict {
        let failed = self.rng.random_bool(self.setup.store.fail_chance);
        let error = failed.then(|| error::INTERNAL.with("the store is out of order"));
        let entries = error.map_or_else(|| Ok(self.store.backlog(name, query)), Err);
        self.surface(name, entries.as_deref().unwrap_or_default())?;
        let (incarnation, delay) = (self.incarnation, self.between(self.setup.store.delay));
        self.after(delay, Happening::ReadBacklog { incarnation, channel, attachment, entries });
        Ok(())
    }

    pub(super) fn read_backlog(
        &mut self,
        incarnation: u64,
        channel: ChannelKey,
        attachment: AttachmentId,
        entries: Result<Vec<Arc<Entry>>, ErrorInfo>,
    ) -> Verdict {
        if incarnation != self.incarnation || self.node.is_none() {
            return Ok(());
        }
        self.feed(Event::BacklogLoaded { channel, attachment, entries })
    }

    /// The same of operations on objects, which a node is given when it starts.
    pub(super) fn surface_objects(&mut self) -> Verdict {
        for (name, operations) in self.store.operations() {
            self.surface(&name, &operations)?;
        }
        Ok(())
    }

    /// What became durable without anybody being told is committed by being read.
    fn surface(&mut self, name: &Arc<str>, entries: &[Arc<Entry>]) -> Verdict {
        for (at, entry) in entries.iter().enumerate() {
            let repeated = entries.iter().skip(at + 1).any(|later| later.id == entry.id);
            let standing = if self.store.is_doubtful(name, entry) {
                Standing::Doubtful
            } else {
                Standing::Certain
            };
            let known = self.truth.channel(name);
            if known.by_serial(&entry.serial).is_none() && !repeated {
                known.commit(entry.timestamp, self.incarnation - 1, entry, standing, ID_WINDOW)?;
            }
        }
        Ok(())
    }
}

/// Whether it is a write of the channel in that life of the node.
fn is_of(happening: &Happening, life: u64, of: ChannelKey) -> bool {
    matches!(happening, Happening::Written { incarnation, channel, .. } if (*incarnation, *channel) == (life, of))
}
