//! One channel as a client library keeps it (RTL): its state, its cursor, and what happens to both.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::{Action, ProtocolMessage, flags};
use types::{ConnectionId, Data, ErrorInfo, Kind, PresenceAction, PresenceMessage, Timestamp};

use super::{Client, Observed, Presence};
use crate::truth::{End, Label};

const REQUEST_TIMEOUT_MS: u64 = 10_000;
const RETRY_MS: u64 = 15_000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelState {
    #[default]
    Initialized,
    Attaching,
    Attached,
    Detaching,
    Detached,
    Suspended,
    Failed,
}

#[derive(Debug, Default)]
pub struct Channel {
    pub state: ChannelState,
    /// `channelSerial` (RTL15b).
    pub cursor: Option<Arc<str>>,
    pub presence: Presence,
    /// What the application last did about its own presence; none if that failed.
    pub wants_presence: Option<bool>,
    /// How often it was told that it missed something.
    pub losses: u32,
    pub(super) params: BTreeMap<String, String>,
    pub(super) deadline: Option<Timestamp>,
    queued_presence: Vec<PresenceMessage>,
}

impl Client {
    pub(crate) fn attach(&mut self, now: Timestamp, name: &Arc<str>, rewind: Option<u32>) {
        if !self.is_live() {
            return;
        }
        let channel = self.channels.entry(Arc::clone(name)).or_default();
        if matches!(
            channel.state,
            ChannelState::Initialized | ChannelState::Detached | ChannelState::Failed
        ) {
            channel.wants_presence.get_or_insert(false);
            channel.params.clear();
            if let Some(count) = rewind {
                channel.params.insert("rewind".to_owned(), count.to_string());
            }
            self.send_attach(now, name);
        }
    }

    /// Other options for an attached channel: it stays attached, and says so only if they changed
    /// (RTL16a).
    pub(crate) fn set_options(&mut self, name: &Arc<str>, rewind: u32) {
        let Some(channel) = self.channels.get_mut(name) else { return };
        if channel.state == ChannelState::Attached && matches!(self.link, super::Link::Connected(_))
        {
            let before = channel.params.insert("rewind".to_owned(), rewind.to_string());
            if before != Some(rewind.to_string()) {
                let frame = attach_frame(name, channel);
                self.send(frame);
            }
        }
    }

    pub(crate) fn detach(&mut self, now: Timestamp, name: &Arc<str>) {
        let connected = self.is_connected();
        let Some(channel) = self.channels.get_mut(name) else { return };
        if channel.state != ChannelState::Attached {
            return;
        }
        if connected {
            channel.state = ChannelState::Detaching;
            channel.deadline = Some(Timestamp(now.0 + REQUEST_TIMEOUT_MS));
            self.send_detach(name);
        } else {
            channel.end(ChannelState::Detached);
        }
        self.observe(Observed::Left { channel: Arc::clone(name) });
    }

    pub(crate) fn enter(&mut self, name: &Arc<str>, action: PresenceAction, data: u64) {
        let client_id = self.profile.client_id.clone();
        if !self.is_live() {
            return;
        }
        let Some(channel) = self.channels.get_mut(name) else { return };
        let attached = channel.state == ChannelState::Attached;
        if !attached && channel.state != ChannelState::Attaching {
            return;
        }
        let item = PresenceMessage {
            client_id: Some(client_id),
            data: Data::Text(format!("d{data}").into()),
            ..PresenceMessage::new(action)
        };
        channel.wants_presence = Some(action != PresenceAction::Leave);
        if attached {
            self.send_presence(name, vec![item]);
        } else {
            channel.queued_presence.push(item);
        }
    }

    /// Presence that waited for a connection waits for the channel from now on (RTL3d).
    pub(super) fn requeue_presence(&mut self, frame: ProtocolMessage) {
        let name = frame.channel.unwrap_or_default();
        let Some(channel) = self.channels.get_mut(&name) else { return };
        match channel.state {
            ChannelState::Attached | ChannelState::Attaching | ChannelState::Suspended => {
                channel.queued_presence.splice(0..0, frame.presence);
            }
            _ => channel.wants_presence = None,
        }
    }

    /// A LEAVE of somebody who is no member is acknowledged without an echo.
    pub(super) fn presence_settled(
        &mut self,
        frame: &ProtocolMessage,
        result: &Result<(), ErrorInfo>,
    ) {
        let name = frame.channel.clone().unwrap_or_default();
        let Some(channel) = self.channels.get_mut(&name) else { return };
        if result.is_err() {
            channel.wants_presence = None;
        } else if channel.wants_presence == Some(false)
            && frame.presence.last().is_some_and(|item| item.action == PresenceAction::Leave)
        {
            channel.presence.left();
        }
    }

    /// On a new transport every channel is attached anew (RTN15c6, RTN15c7).
    pub(super) fn attach_all(&mut self, now: Timestamp) {
        let names: Vec<_> = self.channels.keys().cloned().collect();
        for name in names {
            match self.channels.get(&name).map(|channel| channel.state) {
                Some(
                    ChannelState::Attached | ChannelState::Attaching | ChannelState::Suspended,
                ) => self.send_attach(now, &name),
                Some(ChannelState::Detaching) => self.send_detach(&name),
                _ => {}
            }
        }
    }

    fn send_attach(&mut self, now: Timestamp, name: &Arc<str>) {
        let connected = self.is_connected();
        let Some(channel) = self.channels.get_mut(name) else { return };
        channel.state = ChannelState::Attaching;
        channel.deadline = Some(Timestamp(now.0 + REQUEST_TIMEOUT_MS));
        if !connected {
            return;
        }
        let frame = attach_frame(name, channel);
        if let Some(cursor) = channel.cursor.clone() {
            self.observe(Observed::Relied { channel: Arc::clone(name), cursor });
        }
        self.send(frame);
    }

    fn send_detach(&mut self, name: &Arc<str>) {
        let mut frame = ProtocolMessage::new(Action::Detach);
        frame.channel = Some(Arc::clone(name));
        self.send(frame);
    }

    pub(super) fn wake_channels(&mut self, now: Timestamp) {
        let due = |(name, channel): (&Arc<str>, &Channel)| {
            channel.deadline.is_some_and(|at| at <= now).then(|| Arc::clone(name))
        };
        let names: Vec<_> = self.channels.iter().filter_map(due).collect();
        for name in names {
            let Some(channel) = self.channels.get_mut(&name) else { continue };
            channel.deadline = None;
            match channel.state {
                ChannelState::Attaching => {
                    channel.suspend();
                    channel.deadline = Some(Timestamp(now.0 + RETRY_MS));
                }
                ChannelState::Suspended => self.send_attach(now, &name),
                // RTL5f: back to attached, though the server may think otherwise; ask again.
                ChannelState::Detaching => {
                    channel.deadline = Some(Timestamp(now.0 + REQUEST_TIMEOUT_MS));
                    self.send_detach(&name);
                }
                _ => {}
            }
        }
    }

    pub(super) fn suspend_channels(&mut self) {
        for channel in self.channels.values_mut() {
            if matches!(channel.state, ChannelState::Attached | ChannelState::Attaching) {
                channel.suspend();
            }
        }
    }

    /// The connection is over: all channels are detached.
    pub(super) fn end_channels(&mut self) {
        let names: Vec<_> = self.channels.keys().cloned().collect();
        for name in names {
            if let Some(channel) = self.channels.get_mut(&name) {
                channel.end(ChannelState::Detached);
            }
            self.observe(Observed::Left { channel: name });
        }
    }

    pub(super) fn on_channel(&mut self, now: Timestamp, frame: &ProtocolMessage, end: Option<End>) {
        let Some(name) = frame.channel.clone() else { return };
        let own = self.connection_id.clone();
        let Some(channel) = self.channels.get_mut(&name) else { return };
        // Own events that come after the application has left are late or replayed, and the LEAVE that
        // a DETACH causes does not count (RTP2b1). Libraries that take them for current enter again.
        let own = own.filter(|_| channel.wants_presence != Some(false));
        // RTL15b
        let carries = matches!(frame.action, Action::Attached | Action::Message | Action::Presence);
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
            Action::Message | Action::Presence => {
                if frame.action == Action::Presence {
                    channel.presence.apply(&with_inherited(frame), own.as_ref());
                }
                let state = channel.state;
                self.observe(entry(frame, name, state));
            }
            _ => {}
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
        self.observe(Observed::Attached {
            channel: Arc::clone(name),
            resumed,
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

impl Channel {
    fn suspend(&mut self) {
        self.state = ChannelState::Suspended;
        self.deadline = None;
        if !std::mem::take(&mut self.queued_presence).is_empty() {
            self.wants_presence = None;
        }
    }

    fn end(&mut self, state: ChannelState) {
        self.state = state;
        self.cursor = None;
        self.deadline = None;
        self.presence.clear();
        self.queued_presence.clear();
        self.wants_presence = Some(false);
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

fn attach_frame(name: &Arc<str>, channel: &Channel) -> ProtocolMessage {
    let mut frame = ProtocolMessage::new(Action::Attach);
    frame.channel = Some(Arc::clone(name));
    frame.channel_serial.clone_from(&channel.cursor);
    frame.params = channel.params.clone();
    frame
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
        kind: if frame.action == Action::Message { Kind::Messages } else { Kind::Presence },
        connection_id: frame.connection_id.clone(),
        labels: frame.messages.iter().filter_map(|message| Label::parse(&message.data)).collect(),
        taken: frame.action == Action::Presence || state == ChannelState::Attached,
    }
}
