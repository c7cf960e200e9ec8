//! What goes into a channel and what comes out of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use types::{
    Accepted, Body, ClientId, ConnectionId, Cursor, CursorError, Entry, EntryId, ErrorInfo,
    HistoryQuery, ItemPosition, ObjectState, ObjectsSnapshot, Serial,
};

use crate::{Member, Occupancy};

/// Names one attachment of one session, for as long as it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttachmentId(pub u64);

/// Names one publish on its way, so that its outcome finds the publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublishToken(pub u64);

#[derive(Debug)]
pub enum Event {
    Attach(Attach),
    Detach(AttachmentId),
    /// Somebody reads without attaching, and will want what follows: as if an attachment had gone.
    Linger,
    /// What an attachment counts for, until it counts otherwise or ends.
    Occupy {
        attachment: AttachmentId,
        share: Occupancy,
    },
    Publish(Publish),
    /// Answers [`Effect::Load`]. An error means that the store could not be read.
    Loaded(Result<Vec<Arc<Entry>>, ErrorInfo>),
    /// Answers [`Effect::LoadMessages`], in any order.
    MessagesLoaded(Result<Vec<Arc<Entry>>, ErrorInfo>),
    /// Answers [`Effect::LoadBacklog`], in any order: entries of messages as they are now, oldest
    /// first.
    BacklogLoaded {
        attachment: AttachmentId,
        result: Result<Vec<Arc<Entry>>, ErrorInfo>,
    },
    /// Answers [`Effect::Store`], in the order of the effects. Not durable means that the entry was
    /// not stored, as far as the store knows.
    Stored {
        position: u64,
        durable: bool,
    },
    /// Time passed.
    Tick,
}

#[derive(Debug)]
pub struct Attach {
    pub attachment: AttachmentId,
    /// The cursor that the client presents, decoded.
    pub resume: Option<Result<Cursor, CursorError>>,
    /// Ignored when `resume` is given.
    pub rewind: Option<Rewind>,
}

/// Messages that a rewind replays at most.
pub const MAX_REWIND: u32 = 100;

/// Where a first attach starts: at most so many messages before the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rewind {
    Messages(u32),
    Millis { duration_ms: u64, limit: u32 },
}

#[derive(Debug)]
pub struct Publish {
    pub token: PublishToken,
    pub id: EntryId,
    pub connection_id: Option<ConnectionId>,
    /// Only a message that this client published may be changed.
    pub owner: Option<ClientId>,
    pub body: Body,
}

#[derive(Debug)]
pub enum Effect {
    Attached(Box<Attached>),
    /// The attachment does not exist; nothing else is said to it.
    AttachRefused {
        attachment: AttachmentId,
        error: ErrorInfo,
    },
    /// Committed: to every attachment of the channel. `cursor` covers the entry, unless the entry is
    /// kept nowhere or one that cannot be without it follows.
    Deliver {
        entry: Arc<Entry>,
        cursor: Cursor,
    },
    Published {
        token: PublishToken,
        result: Result<Accepted, ErrorInfo>,
    },
    /// To those who want to know.
    Occupancy(Occupancy),
    /// Make the entry durable, then say [`Event::Stored`].
    Store(Arc<Entry>),
    /// Keep the entry as what was published last; nobody waits for it.
    KeepLast(Arc<Entry>),
    /// Make the snapshot durable, in the order of these effects and of [`Effect::Store`]; operations up
    /// to it that are older than the id window are no longer needed. Nobody waits for it.
    StoreObjects(ObjectsSnapshot),
    /// Read what the store holds of this channel's last id window
    /// ([`crate::Limits::id_window`]) and the newest entry before it, oldest first; then say
    /// [`Event::Loaded`].
    Load,
    /// Read what the store holds of these messages: the entries that published, changed and
    /// annotated them; then say [`Event::MessagesLoaded`].
    LoadMessages(BTreeSet<ItemPosition>),
    /// Read what the query asks for; then say [`Event::BacklogLoaded`].
    LoadBacklog {
        attachment: AttachmentId,
        query: Box<HistoryQuery>,
    },
}

#[derive(Debug)]
pub struct Attached {
    pub attachment: AttachmentId,
    /// Nothing is missing between the presented cursor and the first live delivery.
    pub resumed: bool,
    /// Why `resumed` is false although a cursor was presented.
    pub error: Option<ErrorInfo>,
    /// The presented cursor when resumed, else the position at which the replay, or without one
    /// live delivery, starts.
    pub cursor: Cursor,
    /// Messages with this serial or a later one are replayed or delivered.
    pub from: Serial,
    /// Changes with this serial or a later one are: a rewind replays messages as they are now, and no
    /// changes of those before them.
    pub changes_from: Serial,
    /// Entries to replay before live delivery, each with the cursor to label it with.
    pub replay: Vec<(Arc<Entry>, Cursor)>,
    /// The presence set at this point.
    pub members: Vec<Arc<Member>>,
    /// The objects at this point; none if there never were any.
    pub objects: Vec<ObjectState>,
}
