//! The cores composed into one deterministic value: all sessions (the frontend role) and all
//! channels (the core role) of a node. Events in, effects out; the driver turns sockets, disks and
//! clocks into events, and effects into IO.
//!
//! Invariants: one event is worked off completely, depth first, before the next; every effect names
//! what it belongs to, so the driver keeps no state of its own.
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

mod apps;
mod audience;
mod batch;
mod chat;
mod client_events;
mod config;
mod connect;
mod count;
mod deliver;
mod event;
mod fanout;
mod form;
mod host;
mod inband;
mod kept_stats;
mod keys;
mod messages;
mod metachannel;
mod node;
mod objects;
mod origin;
mod path;
mod publishers;
mod push;
mod records;
mod rest;
mod revoke;
mod runs;
mod sandbox;
mod settle;
mod status;
mod timers;
mod window;
mod work;

pub use crate::push::{Notified, PushOperation, PushQuery, PushRequest, PushResponse, Reveal};
pub use channel::{AttachmentId, Occupancy};
pub use config::{Config, PreviousIncarnation};
pub use count::Volume;
pub use event::{
    AppSpec, Caller, ChannelDetails, ChannelKey, ChannelsPage, ChannelsQuery, Effect, Event,
    KeySpec, ObjectQuery, Operation, PresencePage, PresenceQuery, Request, RequestId, Response,
    Stored, Ticket, View,
};
pub use messages::{Question, VersionsPage, VersionsQuery, What};
pub use node::Node;
pub use origin::{Origin, Way};
pub use records::{Damaged, KeptObjects};
pub use session::TransportId;
