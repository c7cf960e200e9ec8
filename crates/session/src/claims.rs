//! What the claims of a token do to what its client publishes: they go on it, for others to read,
//! and they limit how fast it comes.

use std::collections::BTreeMap;

use auth::Principal;
use serde_json::Value;
use types::error::{self, ErrorInfo};
use types::{Body, ChannelName, Rate, Timestamp, set_user_claim};

/// Channels whose rates are remembered at a time; publishes on others are refused (42911).
const MAX_CHANNELS: usize = 1_000;

/// Puts on a publish what the claims of `principal` say about the user. A change of a message keeps
/// what the message has: that is about its publisher.
pub fn stamp_user_claim(principal: &Principal, channel: &ChannelName, body: &mut Body) {
    if body.change().is_some() {
        return;
    }
    let claim = principal.claims.user_claim(channel).map(|claim| Value::from(claim.as_ref()));
    match body {
        Body::Messages(items) => {
            items.iter_mut().for_each(|item| set_user_claim(&mut item.extras, claim.clone()));
        }
        Body::Presence(items) => {
            items.iter_mut().for_each(|item| set_user_claim(&mut item.extras, claim.clone()));
        }
        Body::Annotations(items) => {
            items.iter_mut().for_each(|item| set_user_claim(&mut item.extras, claim.clone()));
        }
        Body::Objects(_) => {}
    }
}

/// The rates that claims limit, by channel. They outlast attachments, so that attaching anew does not
/// begin a new one; what has not been used for a while is forgotten.
#[derive(Debug, Default)]
pub(crate) struct ClaimedRates(BTreeMap<ChannelName, Rate>);

impl ClaimedRates {
    pub(crate) fn take(
        &mut self,
        now: Timestamp,
        principal: &Principal,
        channel: &ChannelName,
        count: u32,
    ) -> Result<(), ErrorInfo> {
        let Some(limit) = principal.claims.publish_rate(channel) else { return Ok(()) };
        if !self.0.contains_key(channel) {
            self.0.retain(|_, rate| !rate.is_idle(now));
        }
        let room = self.0.len() < MAX_CHANNELS || self.0.contains_key(channel);
        if room && self.0.entry(channel.clone()).or_default().take(now, limit, count) {
            return Ok(());
        }
        Err(error::CONNECTION_RATE_LIMIT
            .with(format!("publish rate limit of the token exceeded: {limit} messages per second")))
    }
}
