//! Notifications that are for a provider of devices. This server has the credentials of none: every
//! delivery ends at once, and the device says why.

use push::{Failure, Lasting};
use types::error::PUSH_NOT_CONFIGURED;

/// What becomes of every delivery.
pub(super) fn not_configured() -> Failure {
    Failure { error: PUSH_NOT_CONFIGURED.info(), lasting: Lasting::No }
}
