//! Invariant 6: once faults stop, the presence set of every client, the node's, and the members that
//! live sessions entered are the same.

use std::collections::BTreeSet;

use protocol::flags;
use types::{ClientId, ConnectionId, PresenceMessage};

use super::{Verdict, violation};
use crate::client::{ChannelState, Client};

pub(crate) const NAME: &str = "presence_truth";

type Members = BTreeSet<(ConnectionId, ClientId)>;

pub(crate) fn settled(channel: &str, clients: &[Client], node: &[PresenceMessage]) -> Verdict {
    let node: Members = node.iter().filter_map(key).collect();
    let mut live = Members::new();
    for client in clients.iter().filter(|client| client.is_connected()) {
        let Some(known) = client.channel(channel) else { continue };
        let own: Members = known.presence.own().filter_map(key).collect();
        if known.wants_presence.is_some_and(|wants| wants == own.is_empty()) {
            let message = format!(
                "client {} on {channel}: entered {:?}, own members {own:?}",
                client.index, known.wants_presence
            );
            return violation(NAME, message);
        }
        live.extend(own);
    }
    if live != node {
        let message = format!("{channel}: live sessions entered {live:?}, the node has {node:?}");
        return violation(NAME, message);
    }
    for client in clients.iter().filter(|client| client.is_connected()) {
        let Some(known) = client.channel(channel) else { continue };
        let sees = known.modes & flags::PRESENCE_SUBSCRIBE != 0;
        if known.state != ChannelState::Attached || !sees {
            continue;
        }
        let seen: Members = known.presence.members().filter_map(key).collect();
        if seen != node || !known.presence.is_synced() {
            let message =
                format!("{channel}: client {} sees {seen:?}, the node has {node:?}", client.index);
            return violation(NAME, message);
        }
    }
    Ok(())
}

fn key(member: &PresenceMessage) -> Option<(ConnectionId, ClientId)> {
    Some((member.connection_id.clone()?, member.client_id.clone()?))
}
