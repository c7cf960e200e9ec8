//! Entries that were appended and are not yet committed, in the order of their positions, and the
//! publishers that wait for them. Nobody else sees a pending entry.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use smallvec::SmallVec;
use types::{Entry, EntryId, ErrorInfo, Timestamp, error};

use crate::content::{Content, check_repeat};
use crate::event::PublishToken;
use crate::ids::Standing;
use crate::log::{Log, memory};
use crate::positions::Positions;

/// Entries that may wait for the store; a publish beyond is refused with 50004. Ten seconds (the
/// publish deadline) of a busy channel.
const MAX_ENTRIES: usize = 50_000;
/// Bytes of entries that may wait for the store; a publish beyond is refused with 50004.
const MAX_BYTES: usize = 16 << 20;
/// Publishers that may wait for one entry: each repeat over a new transport is one more, and the
/// transport before is gone. One more is refused with 50004.
const MAX_WAITERS: usize = 16;

/// Publishes that are answered with one entry.
pub(crate) type Waiters = SmallVec<[PublishToken; 1]>;

#[derive(Debug, Default)]
pub(crate) struct Pending {
    queue: VecDeque<Held>,
    bytes: usize,
    /// None until an entry has waited: most channels keep nothing on disk.
    register: Option<Box<Register>>,
}

/// What is known of the entries in the queue.
#[derive(Debug, Default)]
struct Register {
    positions: Positions,
    /// One for each waiter, ordered by deadline. The first is always of a pending entry.
    timers: VecDeque<Timer>,
}

#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) entry: Arc<Entry>,
    /// Where it lies on the tape of the log; none if it is kept nowhere.
    pub(crate) place: Option<Range<usize>>,
    pub(crate) content: Option<Content>,
    /// As in [`types::Accepted`].
    pub(crate) dropped: u64,
    /// Mostly one.
    pub(crate) waiters: Waiters,
    pub(crate) wait: Wait,
}

/// What an entry waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Store,
    /// Those before it.
    Turn,
}

#[derive(Debug)]
struct Held {
    append: Append,
    /// Of its entry.
    bytes: usize,
}

#[derive(Debug)]
struct Timer {
    deadline: Timestamp,
    position: u64,
    token: PublishToken,
}

impl Pending {
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() >= MAX_ENTRIES || self.bytes >= MAX_BYTES
    }

    pub(crate) fn push(&mut self, append: Append, deadline: Timestamp) {
        let (position, bytes) = (append.entry.position, memory(&append.entry));
        self.bytes += bytes;
        let register = self.register.get_or_insert_default();
        register.positions.insert(&append.entry.id, position);
        let timers = append.waiters.iter().map(|token| Timer { deadline, position, token: *token });
        register.timers.extend(timers);
        self.queue.push_back(Held { append, bytes });
    }

    /// Puts what is to be kept on the tape of a log that is new.
    pub(crate) fn lay(&mut self, log: &mut Log) {
        for Append { entry, place, .. } in self.queue.iter_mut().map(|held| &mut held.append) {
            *place = place.take().map(|_| log.lay(entry));
        }
    }

    /// Where it stands among what is pending: at which position.
    pub(crate) fn standing(&self, id: &EntryId) -> Standing<u64> {
        self.register.as_ref().map_or(Standing::New, |register| register.positions.standing(id))
    }

    pub(crate) fn contains(&self, id: &EntryId) -> bool {
        matches!(self.standing(id), Standing::Known(_))
    }

    /// Makes `token` one more waiter of the pending entry at `position`, which has this id. None if there is none.
    pub(crate) fn join(
        &mut self,
        position: u64,
        (id, content): (&EntryId, Option<Content>),
        token: PublishToken,
        deadline: Timestamp,
    ) -> Option<Result<(), ErrorInfo>> {
        let append = self.get_mut(position)?;
        if let Err(mismatch) = check_repeat(id, append.content, content) {
            return Some(Err(mismatch));
        }
        if append.waiters.len() >= MAX_WAITERS {
            return Some(Err(error::OVERLOADED.with("too many repeats of a pending publish")));
        }
        append.waiters.push(token);
        self.register.get_or_insert_default().timers.push_back(Timer { deadline, position, token });
        Some(Ok(()))
    }

    /// Takes out the first entry if it waits for nothing but those before it.
    pub(crate) fn take_ready(&mut self) -> Option<Append> {
        let ready = self.queue.pop_front_if(|held| held.append.wait == Wait::Turn)?;
        Some(self.let_go(ready))
    }

    /// Takes out the first entry, which is at `position`: its fate is known. Never none.
    pub(crate) fn settle(&mut self, position: u64) -> Option<Append> {
        let held = self.queue.pop_front_if(|held| held.append.entry.position == position);
        assert!(held.is_some(), "the store answers in the order in which it was asked");
        held.map(|held| self.let_go(held))
    }

    fn let_go(&mut self, Held { append, bytes }: Held) -> Append {
        self.bytes -= bytes;
        let next = self.next();
        if let Some(register) = &mut self.register {
            register.positions.remove(&append.entry.id);
            register.drop_before(next);
        }
        append
    }

    /// The next waiter whose deadline has passed; it waits no longer, its entry does.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Option<PublishToken> {
        let next = self.next();
        let register = self.register.as_mut()?;
        let timer = register.timers.pop_front_if(|timer| timer.deadline <= now)?;
        register.drop_before(next);
        if let Some(append) = self.get_mut(timer.position) {
            append.waiters.retain(|token| *token != timer.token);
        }
        Some(timer.token)
    }

    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.register.as_ref()?.timers.front().map(|timer| timer.deadline)
    }

    /// The position of the first entry.
    fn next(&self) -> u64 {
        self.queue.front().map_or(u64::MAX, |held| held.append.entry.position)
    }

    fn get_mut(&mut self, position: u64) -> Option<&mut Append> {
        let at = self.queue.binary_search_by_key(&position, |held| held.append.entry.position);
        self.queue.get_mut(at.ok()?).map(|held| &mut held.append)
    }
}

impl Register {
    /// Lets those timers go that are of entries before `next`.
    fn drop_before(&mut self, next: u64) {
        while self.timers.pop_front_if(|timer| timer.position < next).is_some() {}
    }
}
