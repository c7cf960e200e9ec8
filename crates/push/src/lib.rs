//! Push notifications of one app: devices that are registered, their subscriptions to channels, and
//! the jobs that bring notifications to them.
//!
//! Not here: who may do what, how notifications reach the providers of devices, and where
//! registrations are kept; all of it is in memory. A job is handed out as a [`Delivery`]; whoever
//! delivers says what became of it.
//!
//! Invariants: the jobs of one device run one at a time, in the order in which they were started; a
//! device that is gone, or whose address was given up, receives nothing; the numbers of devices,
//! subscriptions and jobs are bounded.
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

mod device;
mod devices;
mod fields;
mod payload;
mod push;
mod queue;
mod recipient;
mod registration;
mod subscriptions;

pub use device::{Device, FormFactor, Platform, State};
pub use devices::{DeviceFilter, Devices};
pub use payload::Payload;
pub use push::{Delivery, Failure, Lasting, Push, Settled};
pub use queue::JobId;
pub use recipient::{Recipient, Target, Transport};
pub use registration::{Changes, Registration};
pub use subscriptions::{Subscriber, Subscription, SubscriptionFilter, Subscriptions};

/// Some of the items that were asked for, and where the rest begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// What to continue behind.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// The first `limit` of `items`; `position` names an item.
    fn of(
        mut items: impl Iterator<Item = T>,
        limit: usize,
        position: impl Fn(&T) -> String,
    ) -> Self {
        let page: Vec<T> = items.by_ref().take(limit).collect();
        let next = items.next().and(page.last()).map(position);
        Self { items: page, next }
    }
}
