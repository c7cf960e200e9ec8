//! The cursors that a node sends on one attachment never go back, and each covers exactly what was sent
//! up to it: clients overwrite theirs with every frame and rely on it (RTL15b).

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::{Action, ProtocolMessage};
use session::TransportId;
use types::Serial;

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
        if place <= before {
            let message =
                format!("{name} on {transport:?}: a frame at {place:?} follows {before:?}");
            return violation(NAME, message);
        }
        let serial = frame.messages.first().and_then(|message| message.serial.as_deref());
        let entry = serial
            .and_then(Serial::parse)
            .and_then(|(serial, _)| known.by_serial(&serial))
            .unwrap_or(place);
        if entry != place {
            let message =
                format!("{name} on {transport:?}: the cursor of {entry:?} says {place:?}");
            return violation(NAME, message);
        }
        Ok(())
    }

    pub(crate) fn closed(&mut self, transport: TransportId) {
        self.last.retain(|(of, _), _| *of != transport);
    }
}
