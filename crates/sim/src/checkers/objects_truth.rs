//! Objects: once faults stop, every client that follows the objects of a channel, and the node itself,
//! show the same tree, which is what everything that was committed adds up to by the rules of client
//! libraries. That an acknowledged operation is committed, and once, is said by `commit_first` and
//! `once_per_id`.

use protocol::{Tree, flags};
use types::Body;

use super::{Verdict, violation};
use crate::client::{ChannelState, Client, Objects};
use crate::truth::Channel;

pub(crate) const NAME: &str = "objects_truth";

/// What is committed adds up to this, also across restarts.
pub(crate) fn model(known: &Channel) -> Objects {
    let mut objects = Objects::default();
    for record in known.certain() {
        let Body::Objects(messages) = &record.entry.body else { continue };
        for (index, message) in messages.iter().enumerate() {
            let at = types::ItemPosition { serial: record.entry.serial, index };
            objects.follow(at, &message.operation.object_id, &message.operation.action);
        }
    }
    objects
}

pub(crate) fn settled(
    channel: &str,
    model: &Objects,
    clients: &[Client],
    node: Option<&Tree>,
) -> Verdict {
    let expected = model.tree();
    if let Some(node) = node.filter(|node| **node != expected) {
        return violation(NAME, format!("{channel}: the node has {node:?}, not {expected:?}"));
    }
    for client in clients.iter().filter(|client| client.is_connected()) {
        let Some(known) = client.channel(channel) else { continue };
        let follows = known.modes & flags::OBJECT_SUBSCRIBE != 0 && client.hears_itself();
        if known.state != ChannelState::Attached || !follows {
            continue;
        }
        let index = client.index;
        let tree = known.objects.tree();
        if !known.objects.is_synced() || tree != expected {
            let message = format!("{channel}: client {index} has {tree:?}, not {expected:?}");
            return violation(NAME, message);
        }
        serials(channel, index, model, &known.objects)?;
    }
    Ok(())
}

/// A client knows of each object what one site did, and not more than it did.
fn serials(channel: &str, client: usize, model: &Objects, objects: &Objects) -> Verdict {
    let newest = model.serials().flat_map(|(_, sites)| sites.values()).max();
    for (id, sites) in objects.serials() {
        if sites.len() > 1 || sites.values().max() > newest {
            let message = format!("{channel}: client {client} has of {id} the serials {sites:?}");
            return violation(NAME, message);
        }
    }
    Ok(())
}
