//! The vocabulary of every other crate: ids, names, serials, cursors, instants, limits, apps and
//! the table of protocol errors; and [`Table`], the shape of what is found by a key that it gives out. No IO,
//! no clock, no async; values only.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::wildcard_enum_match_arm
    )
)]

mod accepted;
mod annotation;
mod app;
pub mod calendar;
mod cursor;
mod entry;
pub mod error;
mod grouping;
mod history;
mod id;
pub mod limits;
mod message;
mod metachannel;
mod name;
mod network;
mod object;
mod rate;
mod record;
mod serial;
mod table;
mod template;
mod time;
mod usage;

pub use accepted::Accepted;
pub use annotation::{Annotation, AnnotationAction};
pub use app::{App, Key, Namespace, Restrictions};
pub use cursor::{Cursor, CursorError, CursorText};
pub use entry::{Body, Entry, EntryId};
pub use error::{ErrorCode, ErrorInfo};
pub use grouping::Grouping;
pub use history::{Direction, HistoryPage, HistoryQuery, ItemPosition, Kind};
pub use id::{AppId, ClientId, ConnectionId, DeviceId, random_text};
pub use limits::{AppLimits, NodeLimits};
pub use message::{
    Data, Extras, Message, MessageAction, PresenceAction, PresenceMessage, USER_CLAIM, Version,
    set_user_claim,
};
pub use metachannel::Metachannel;
pub use name::{CHANNELS_OF_OWNERS, ChannelName, ChannelRef, Params, owner_of_channel};
pub use network::{Network, NetworkError};
pub use object::{
    Finite, MapEntry, MapValue, ObjectAction, ObjectData, ObjectId, ObjectKind, ObjectMessage,
    ObjectOperation, ObjectState, ObjectValue, ObjectsSnapshot,
};
pub use rate::{Allowance, Exceeded, Meter, Rate};
pub use record::{Record, RecordChange, RecordId, RecordKind};
pub use serial::{Clock, Serial, SerialText, SeriesId, SiteCode};
pub use table::{Table, TableKey};
pub use template::{BadTemplate, Subject, Template};
pub use time::Timestamp;
pub use usage::Usage;
