//! One channel at its host: its series, its log, the ids it has accepted, its presence set and its
//! objects.
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

mod attach;
mod history;
mod load;
mod publish;

mod content;
mod fold;
mod ids;
mod log;
mod objects;
mod pending;
mod presence;

pub use channel::{Channel, Metrics};
pub use config::{Config, Limits};
pub use event::{
    Accepted, Attach, Attached, AttachmentId, Effect, Event, Publish, PublishToken, Rewind,
};
pub use fold::Member;
pub use objects::ObjectView;
