//! One client connection: what it may do, what it is attached to, and the order of its
//! acknowledgements. A session outlives its transport until its state expires.
//!
//! Deterministic and without IO: every call takes a [`Context`] and appends effects. A session
//! knows nothing of sockets, of other sessions, or of what is inside a channel.
//!
//! Invariants: at most one transport; acknowledgements leave in the order of arrival; no entry is
//! sent for an attachment between its ATTACH and its ATTACHED; members leave when the session
//! closes, detaches, or stays away longer than its grace.
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

mod ack;
mod annotation;
mod attach;
mod change;
mod claims;
mod delivery;
mod delta;
mod effect;
mod extras;
mod filter;
mod inband;
mod members;
mod object_sync;
mod objects;
mod options;
mod pages;
mod params;
mod presence;
mod publish;
mod push;
mod rollup;
mod rules;
mod session;
mod timing;

pub use crate::push::check_push;
pub use annotation::{check_annotations, check_mutable};
pub use change::{change_owner, check_change};
pub use claims::{ClaimedRates, stamp_user_claim};
pub use delivery::{Appends, Subscription};
pub use delta::{Chain, Deltas};
pub use effect::{Context, Draft, Effect, Identity, TransportId};
pub use extras::check_privileged;
pub use inband::Inband;
pub use objects::{check_objects_size, check_operation, derive_object_id, parse_object_id};
pub use options::OccupancyOf;
pub use params::{DEFAULT_APPEND_ROLLUP, Echo, Heartbeats, Params, parse_version};
pub use publish::{check_messages, named_id};
pub use rules::check_rules;
pub use session::{Connect, Session, is_retryable};
