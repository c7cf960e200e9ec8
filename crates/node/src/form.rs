//! As what an append reaches an attachment: by itself, if the attachment has the message that it
//! appends to, else as the whole message, once.

use std::collections::VecDeque;

use channel::Channel;
use session::{Appends, Subscription};
use types::{Entry, ItemPosition, MessageAction, Serial};

/// Messages of which an attachment is known to have the whole; of one more than that, the next append
/// is delivered as the whole message again.
const MAX_COMPLETED: usize = 32;

/// As what an entry is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    AsItIs,
    /// An append, as the message that it makes.
    Whole,
}

/// A message that is appended to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Appended {
    key: ItemPosition,
    /// When it was last delivered to everybody in one piece.
    newest_whole: Option<Serial>,
}

impl Appended {
    /// None if `entry` is no append.
    pub(crate) fn of(entry: &Entry, host: &Channel) -> Option<Self> {
        let change = entry.body.change()?;
        let key = entry.body.target()?;
        (change.action == MessageAction::Append)
            .then(|| Self { key, newest_whole: host.newest_whole(key) })
    }
}

/// What one attachment has of messages that are appended to.
#[derive(Debug, Default)]
pub(crate) struct Completed {
    /// Messages that it was given in one piece because of an append, the newest last.
    given: VecDeque<ItemPosition>,
    /// It missed something that was delivered to everybody.
    lost: bool,
}

impl Completed {
    pub(crate) fn form(&mut self, subscription: &Subscription, appended: Appended) -> Form {
        if subscription.appends == Appends::Whole {
            return Form::Whole;
        }
        let Subscription { from, changes_from, .. } = subscription;
        let received = !self.lost
            && (from.is_some_and(|from| appended.key.serial >= from)
                || changes_from.is_some_and(|from| appended.newest_whole >= Some(from)));
        if received || self.given.contains(&appended.key) {
            return Form::AsItIs;
        }
        if self.given.len() == MAX_COMPLETED {
            self.given.pop_front();
        }
        self.given.push_back(appended.key);
        Form::Whole
    }

    /// The attachment is missing entries.
    pub(crate) fn lose(&mut self) {
        *self = Self { given: VecDeque::new(), lost: true };
    }
}
