//! One channel at its host: its series, its log, the ids it has accepted, its presence set, its
//! objects, and the messages that are changed or annotated.
//!
//! Deterministic and without IO: [`Channel::handle`] takes the time and an event and appends
//! effects. An entry enters the log when it is committed; a pending one exists only for its ids.
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

mod channel;
mod config;
mod event;
mod few;

mod attach;
mod backlog;
mod change;
mod conflation;
mod history;
mod last;
mod load;
mod publish;
mod replay;

mod briefs;
mod combine;
mod content;
mod counted;
mod fold;
mod ids;
mod log;
mod messages;
mod objects;
mod occupancy;
mod pending;
mod pieces;
mod positions;
mod presence;
mod run;
mod summaries;
mod tape;
mod versions;

pub use channel::{Channel, Metrics};
pub use combine::combine;
pub use config::{Config, Limits};
pub use event::{
    Attach, Attached, AttachmentId, Effect, Event, MAX_REWIND, Publish, PublishToken, Rewind,
};
pub use fold::Member;
pub use messages::MessageState;
pub use objects::ObjectView;
pub use occupancy::Occupancy;
pub use summaries::Method;
pub use versions::versions;
