//! One channel as a client library keeps it (RTL): its state, its cursor, and what the client does
//! with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::{Action, ProtocolMessage};
use types::{Data, ErrorInfo, PresenceAction, PresenceMessage, Timestamp};

use super::{Client, Messages, Objects, Observed, Presence};

const REQUEST_TIMEOUT_MS: u64 = 10_000;
pub(super) const RETRY_MS: u64 = 15_000;

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
    pub objects: Objects,
    pub messages: Messages,
    /// The modes that were granted.
    pub modes: u32,
    /// What the application last did about its own presence; none if that failed.
    pub wants_presence: Option<bool>,
    /// How often it was told that it missed something.
    pub losses: u32,
    pub(super) params: BTreeMap<String, String>,
    pub(super) deadline: Option<Timestamp>,
    pub(super) queued_presence: Vec<PresenceMessage>,
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
                let frame = attach_frame(name, channel, self.profile.modes);
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
                let last = channel.queued_presence.last();
                let enters = last.is_some_and(|item| item.action != PresenceAction::Leave);
                // The application has detached since, which what is under way does not mind (RTL11a).
                if channel.wants_presence == Some(false) && enters {
                    channel.wants_presence = None;
                }
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

    pub(super) fn send_attach(&mut self, now: Timestamp, name: &Arc<str>) {
        let connected = self.is_connected();
        let Some(channel) = self.channels.get_mut(name) else { return };
        channel.state = ChannelState::Attaching;
        channel.deadline = Some(Timestamp(now.0 + REQUEST_TIMEOUT_MS));
        if !connected {
            return;
        }
        let frame = attach_frame(name, channel, self.profile.modes);
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
}

impl Channel {
    pub(super) fn suspend(&mut self) {
        self.state = ChannelState::Suspended;
        self.deadline = None;
        self.objects.suspend();
        if !std::mem::take(&mut self.queued_presence).is_empty() {
            self.wants_presence = None;
        }
    }

    pub(super) fn end(&mut self, state: ChannelState) {
        self.state = state;
        self.cursor = None;
        self.deadline = None;
        self.presence.clear();
        self.objects.suspend();
        self.messages.clear();
        self.queued_presence.clear();
        self.wants_presence = Some(false);
    }
}

fn attach_frame(name: &Arc<str>, channel: &Channel, modes: u32) -> ProtocolMessage {
    let mut frame = ProtocolMessage::new(Action::Attach);
    frame.flags = Some(modes);
    frame.channel = Some(Arc::clone(name));
    frame.channel_serial.clone_from(&channel.cursor);
    frame.params = channel.params.clone();
    frame
}
