//! Liveness: once faults stop, everybody is connected and attached, and nothing waits for an answer.

use super::{Verdict, violation};
use crate::client::{ChannelState, Client};

pub(crate) const NAME: &str = "progress";

pub(crate) fn settled(client: &Client) -> Verdict {
    let index = client.index;
    if !client.is_connected() {
        return violation(NAME, format!("client {index} is {:?}", client.link));
    }
    if !client.is_settled() {
        return violation(NAME, format!("publishes of client {index} are still pending"));
    }
    for (name, channel) in &client.channels {
        let moving = matches!(
            channel.state,
            ChannelState::Attaching | ChannelState::Detaching | ChannelState::Suspended
        );
        if moving {
            return violation(
                NAME,
                format!("client {index} is still {:?} on {name}", channel.state),
            );
        }
    }
    Ok(())
}
