//! Statistics of one app: counted by the minute, added up to hours, days and months, and asked for
//! by interval.
//!
//! Deterministic and without IO. What is counted, and when, is decided by whoever records it; here
//! is only how counts add up, how long they are kept, and the two forms in which clients read them.
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

mod forms;
mod gauge;
mod interval;
mod kept;
mod series;
mod totals;

pub use interval::{Interval, Unit};
pub use series::{Page, Period, Query, Stats};
pub use totals::{
    Batches, Class, Count, Deltas, Fixture, Level, Notifications, Push, Requests, Sources, Totals,
    Traffic,
};
