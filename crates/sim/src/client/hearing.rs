//! What a client hears on a channel: the state of the channel, entries, and what they make of members,
//! objects and messages.

use std::sync::Arc;

use protocol::{Action, ObjectItem, ProtocolMessage, flags};
use types::{
    Accepted, ConnectionId, Kind, Message, MessageAction, PresenceAction, PresenceMessage,
    Timestamp,
};

use super::channel::{ChannelState, RETRY_MS};
use super::{Client, Observed};
use crate::setup::MUTABLE;
use crate::truth::{End, Label};

impl Client {
    pub(super) fn on_channel(&mut self, now: Timestamp, frame: &ProtocolMessage, end: Option<End>) {
        let Some(name) = frame.channel.clone() else { return };
        let own = self.connection_id.clone();
        let Some(channel) = self.channels.get_mut(&name) else { return };
        // Own events that come after the application has left are late or replayed, and the LEAVE that
        // a DETACH causes does not count (RTP2b1). Libraries that take them for current enter again.
        let own = own.filter(|_| channel.wants_presence != Some(false));
        // RTL15b
        let carries = matches!(
            frame.action,
            Action::Attached
                | Action::Message
                | Action::Presence
                | Action::Annotation
                | Action::Object
        );
        if carries && frame.channel_serial.is_some() {
            channel.cursor.clone_from(&frame.channel_serial);
        }
        match frame.action {
            Action::Attached => self.on_attached(&name, frame, end.unwrap_or_default()),
            Action::Detached if channel.state == ChannelState::Detaching => {
                channel.end(ChannelState::Detached);
            }
            Action::Detached => self.on_detached(now, &name),
            Action::Error => {
                channel.end(ChannelState::Failed);
                self.observe(Observed::Left { channel: name });
            }
            Action::Sync => {
                let serial = frame.channel_serial.as_deref().unwrap_or_default();
                channel.presence.sync(serial, &frame.presence, own.as_ref());
            }
            Action::ObjectSync => {
                let serial = frame.channel_serial.as_deref().unwrap_or_default();
                channel.objects.sync(serial, &frame.state);
            }
            Action::Message | Action::Presence | Action::Annotation | Action::Object => {
                self.on_entry(name, frame);
            }
            _ => {}
        }
    }

    fn on_entry(&mut self, name: Arc<str>, frame: &ProtocolMessage) {
        let (own, follows) = (self.connection_id.clone(), self.hears_itself());
        let Some(channel) = self.channels.get_mut(&name) else { return };
        let own = own.filter(|_| channel.wants_presence != Some(false));
        let follows = follows && channel.state == ChannelState::Attached;
        let mut steps = Vec::new();
        match frame.action {
            Action::Presence => channel.presence.apply(&with_inherited(frame), own.as_ref()),
            Action::Object => channel.objects.operate(&frame.state),
            Action::Message if follows && name.starts_with(MUTABLE) => {
                steps.extend(frame.messages.iter().filter_map(|m| channel.messages.receive(m)));
            }
            _ => {}
        }
        let state = channel.state;
        for step in steps {
            self.observe(Observed::Version { channel: Arc::clone(&name), step });
        }
        let is_summary = |message: &Message| message.action == MessageAction::Summary;
        if !frame.messages.iter().any(is_summary) {
            self.observe(entry(frame, name, state));
        }
    }

    /// Own operations were acknowledged.
    pub(super) fn operated(&mut self, name: &Arc<str>, items: &[ObjectItem], accepted: &Accepted) {
        if let (Some(channel), Some(site)) = (self.channels.get_mut(name), self.site) {
            channel.objects.acknowledged(items, accepted, site);
        }
    }

    fn on_attached(&mut self, name: &Arc<str>, frame: &ProtocolMessage, end: End) {
        let Some(channel) = self.channels.get_mut(name) else { return };
        if matches!(channel.state, ChannelState::Detaching | ChannelState::Detached) {
            return;
        }
        let set = frame.flags.unwrap_or_default();
        let resumed = set & flags::RESUMED != 0;
        let was_attached = channel.state == ChannelState::Attached;
        channel.state = ChannelState::Attached;
        channel.deadline = None;
        channel.losses += u32::from(!resumed && frame.error.is_some());
        channel.modes = set;
        channel.objects.attached(set);
        if !resumed {
            channel.messages.clear();
        }
        self.observe(Observed::Attached {
            channel: Arc::clone(name),
            resumed,
            modes: set,
            cursor: frame.channel_serial.clone().unwrap_or_default(),
            connection_id: self.connection_id.clone().unwrap_or_else(|| "".into()),
            end,
        });
        if was_attached && resumed {
            return;
        }
        let Some(channel) = self.channels.get_mut(name) else { return };
        channel.presence.attached(set);
        let again: Vec<_> =
            channel.presence.own().map(|own| reenter(own, self.connection_id.as_ref())).collect();
        let queued = std::mem::take(&mut channel.queued_presence);
        for item in again {
            self.send_presence(name, vec![item]);
        }
        if !queued.is_empty() {
            self.send_presence(name, queued);
        }
    }

    /// RTL13: at once if it was attached, else later.
    fn on_detached(&mut self, now: Timestamp, name: &Arc<str>) {
        let Some(channel) = self.channels.get_mut(name) else { return };
        match channel.state {
            ChannelState::Attached | ChannelState::Suspended => self.send_attach(now, name),
            ChannelState::Attaching => {
                channel.suspend();
                channel.deadline = Some(Timestamp(now.0 + RETRY_MS));
            }
            _ => {}
        }
    }
}

/// RTP17g: with the old id as long as the connection is the same.
fn reenter(own: &PresenceMessage, connection: Option<&ConnectionId>) -> PresenceMessage {
    PresenceMessage {
        id: own.id.clone().filter(|_| own.connection_id.as_ref() == connection),
        client_id: own.client_id.clone(),
        data: own.data.clone(),
        ..PresenceMessage::new(PresenceAction::Enter)
    }
}

/// Items without their own id, connection or time have the frame's (TM2).
fn with_inherited(frame: &ProtocolMessage) -> Vec<PresenceMessage> {
    let fill = |(index, item): (usize, &PresenceMessage)| {
        let mut item = item.clone();
        item.connection_id = item.connection_id.or_else(|| frame.connection_id.clone());
        item.timestamp = item.timestamp.or(frame.timestamp);
        item.id = item.id.or_else(|| frame.id.as_ref().map(|id| format!("{id}:{index}").into()));
        item
    };
    frame.presence.iter().enumerate().map(fill).collect()
}

fn entry(frame: &ProtocolMessage, channel: Arc<str>, state: ChannelState) -> Observed {
    Observed::Entry {
        channel,
        cursor: frame.channel_serial.clone().unwrap_or_default(),
        id: frame.id.clone().unwrap_or_default(),
        kind: match frame.action {
            Action::Presence => Kind::Presence,
            Action::Annotation => Kind::Annotations,
            Action::Object => Kind::Objects,
            _ => Kind::Messages,
        },
        connection_id: frame.connection_id.clone(),
        labels: frame
            .messages
            .iter()
            .filter(|message| message.action == MessageAction::Create)
            .filter_map(|message| Label::parse(&message.data))
            .collect(),
        taken: frame.action == Action::Presence || state == ChannelState::Attached,
    }
}
