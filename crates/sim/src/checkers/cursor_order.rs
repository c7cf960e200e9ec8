//! The cursors that a node sends on one attachment never go back, and each covers exactly what was sent
//! up to it: clients overwrite theirs with every frame and rely on it (RTL15b).

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::{Action, ProtocolMessage};
use session::TransportId;
use types::{MessageAction, Serial};

use super::{Verdict, decode, violation};
use crate::truth::{Channel, Place};

pub(crate) const NAME: &str = "cursor_order";

#[derive(Debug, Default)]
pub(crate) struct CursorOrder {
    last: BTreeMap<(TransportId, Arc<str>), Place>,
}

impl CursorOrder {
    /// A frame of this channel leaves the node.
    pub(crate) fn sent(
        &mut self,
        transport: TransportId,
        name: &Arc<str>,
        known: &mut Channel,
        frame: &ProtocolMessage,
    ) -> Verdict {
        if frame.action == Action::Presence && frame.channel_serial.is_none() {
            // A client beyond its rate sees its own members; its cursor stays where it is.
            return Ok(());
        }
        let cursor = frame.channel_serial.as_deref().unwrap_or_default();
        let place = known.place(&decode(cursor, name)?);
        let last = self.last.entry((transport, Arc::clone(name))).or_default();
        let before = std::mem::replace(last, place);
        if frame.action == Action::Attached {
            return Ok(());
        }
        if place < before || (place == before && !is_summary(frame)) {
            let message =
                format!("{name} on {transport:?}: a frame at {place:?} follows {before:?}");
            return violation(NAME, message);
        }
        let mut serials = serials(frame).peekable();
        let found = |serial: &str| {
            let (serial, _) = Serial::parse(serial)?;
            known.by_serial(&serial)
        };
        if is_summary(frame) || serials.peek().is_none() {
            return Ok(());
        }
        let entries: Vec<_> = serials.filter_map(found).collect();
        if !entries.is_empty() && !entries.contains(&place) {
            let message =
                format!("{name} on {transport:?}: the cursor of {entries:?} says {place:?}");
            return violation(NAME, message);
        }
        Ok(())
    }

    pub(crate) fn closed(&mut self, transport: TransportId) {
        self.last.retain(|(of, _), _| *of != transport);
    }
}

/// A summary comes in front of the annotation that brought it about, under the cursor before it.
fn is_summary(frame: &ProtocolMessage) -> bool {
    frame.messages.iter().any(|message| message.action == MessageAction::Summary)
}

/// What a frame says of the entry that it is: the serial of a message is that of its publish, also when
/// a change of it is delivered.
fn serials(frame: &ProtocolMessage) -> impl Iterator<Item = &str> {
    let messages = frame.messages.first();
    let version = messages.and_then(|message| message.version.as_deref()?.serial.as_deref());
    let annotation = frame.annotations.first().and_then(|item| item.serial.as_deref());
    let operation = frame.state.first().and_then(|item| item.serial.as_deref());
    let message = messages.and_then(|message| message.serial.as_deref());
    [message, version, annotation, operation].into_iter().flatten()
}
