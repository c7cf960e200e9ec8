//! The link: connect, resume on every reconnect, idle detection, retries, close (RTN14–RTN19, RTN23).

use protocol::{Action, ProtocolMessage};
use rand::RngExt;
use session::{Echo, Heartbeats, TransportId};
use types::Timestamp;

use super::publishing::Serials;
use super::{Act, Client};
use crate::transport;
use crate::truth::End;

/// `maxIdleInterval` and the request timeout (RTN23a).
const IDLE_MS: u64 = 25_000;
const REQUEST_TIMEOUT_MS: u64 = 10_000;
/// Without a connection for this long, pending publishes fail (RTN7e).
const SUSPENDED_MS: u64 = 120_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Never connected, closed or failed: only a call of the application changes it.
    Closed,
    Waiting {
        until: Timestamp,
    },
    Opening {
        transport: TransportId,
        until: Timestamp,
    },
    Connected(TransportId),
    Closing {
        transport: TransportId,
        until: Timestamp,
    },
}

impl Client {
    pub(crate) fn connect(&mut self, now: Timestamp) {
        if self.link == Link::Closed {
            self.lost = Some(now);
            self.open(now);
        }
    }

    fn open(&mut self, now: Timestamp) {
        self.transports += 1;
        let transport = transport::id(self.index, self.transports);
        self.link = Link::Opening { transport, until: Timestamp(now.0 + REQUEST_TIMEOUT_MS) };
        let messages = self.profile.heartbeats == Heartbeats::Messages;
        let mut query = vec![
            ("v".to_owned(), self.profile.version.to_string()),
            ("echo".to_owned(), (self.profile.echo == Echo::On).to_string()),
            ("heartbeats".to_owned(), messages.to_string()),
            ("clientId".to_owned(), self.profile.client_id.to_string()),
        ];
        if let Some(ms) = self.profile.remain_present_for {
            query.push(("remainPresentFor".to_owned(), ms.to_string()));
        }
        if let Some(key) = &self.key {
            query.push(("resume".to_owned(), key.to_string()));
        }
        self.acts.push(Act::Open { transport, query });
    }

    pub(crate) fn close(&mut self, now: Timestamp) {
        match self.link {
            Link::Connected(transport) => {
                self.send(ProtocolMessage::new(Action::Close));
                self.link =
                    Link::Closing { transport, until: Timestamp(now.0 + REQUEST_TIMEOUT_MS) };
                self.end_channels();
            }
            Link::Waiting { .. } | Link::Opening { .. } => self.end(),
            Link::Closed | Link::Closing { .. } => {}
        }
    }

    /// The session is over for this client; the next connect starts anew.
    fn end(&mut self) {
        if let Link::Connected(transport)
        | Link::Opening { transport, .. }
        | Link::Closing { transport, .. } = self.link
        {
            self.acts.push(Act::HangUp(transport));
        }
        self.link = Link::Closed;
        self.connection_id = None;
        self.key = None;
        self.msg_serial = 0;
        self.fail_pending();
        self.end_channels();
    }

    fn is_current(&self, transport: TransportId) -> bool {
        match self.link {
            Link::Connected(current)
            | Link::Opening { transport: current, .. }
            | Link::Closing { transport: current, .. } => current == transport,
            Link::Closed | Link::Waiting { .. } => false,
        }
    }

    pub(crate) fn transport_closed(&mut self, now: Timestamp, transport: TransportId) {
        if !self.is_current(transport) {
            return;
        }
        if let Link::Closing { .. } = self.link {
            self.end();
        } else {
            self.lose(now);
        }
    }

    /// The client is out of reach for a while.
    pub(crate) fn stay_away(&mut self, now: Timestamp, ms: u64) {
        self.lose(now);
        self.link = Link::Waiting { until: Timestamp(now.0 + ms) };
    }

    /// The client's end of the transport fails.
    pub(crate) fn drop_link(&mut self, now: Timestamp) {
        if self.is_connected() {
            self.lose(now);
        }
    }

    fn lose(&mut self, now: Timestamp) {
        if let Link::Connected(transport) | Link::Opening { transport, .. } = self.link {
            self.acts.push(Act::HangUp(transport));
        }
        let was_connected = self.is_connected();
        self.lost.get_or_insert(now);
        self.retries = if was_connected { 0 } else { self.retries + 1 };
        let longest = match self.retries {
            0 => 300,
            1 | 2 => 2_000,
            _ => 15_000,
        };
        let delay = self.rng.random_range(10..longest);
        self.link = Link::Waiting { until: Timestamp(now.0 + delay) };
    }

    pub(crate) fn ping(&mut self, now: Timestamp, transport: TransportId) {
        if self.is_current(transport) {
            self.heard = now;
        }
    }

    pub(crate) fn receive(
        &mut self,
        now: Timestamp,
        transport: TransportId,
        frame: &ProtocolMessage,
        end: Option<End>,
    ) {
        if !self.is_current(transport) {
            return;
        }
        self.heard = now;
        match frame.action {
            Action::Connected => self.connected(now, transport, frame),
            Action::Disconnected => self.lose(now),
            Action::Closed => self.end(),
            Action::Error if frame.channel.is_none() => self.end(),
            Action::Ack | Action::Nack => self.answered(frame),
            Action::Auth => self.acts.push(Act::Renew(transport)),
            Action::Attached
            | Action::Detached
            | Action::Message
            | Action::Presence
            | Action::Sync
            | Action::Annotation
            | Action::Object
            | Action::ObjectSync
            | Action::Error => self.on_channel(now, frame, end),
            _ => {}
        }
    }

    fn connected(&mut self, now: Timestamp, transport: TransportId, frame: &ProtocolMessage) {
        let details = frame.connection_details.as_deref();
        if let Some(details) = details {
            self.key = Some(details.connection_key.clone());
            self.site = Some(details.site_code);
        }
        let Link::Opening { .. } = self.link else { return };
        self.link = Link::Connected(transport);
        let same = self.connection_id.is_some() && self.connection_id == frame.connection_id;
        let serials = if same { Serials::Kept } else { Serials::New };
        self.connection_id.clone_from(&frame.connection_id);
        self.lost = None;
        self.retries = 0;
        if !same {
            self.msg_serial = 0;
        }
        if self.profile.attaches_first {
            self.attach_all(now);
            self.resend(serials);
        } else {
            self.resend(serials);
            self.attach_all(now);
        }
    }

    /// When the client next wants to be woken.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        let link = match self.link {
            Link::Closed => return None,
            Link::Waiting { until } => {
                let suspends = self.lost.filter(|_| !self.is_settled());
                suspends.map_or(until, |lost| until.min(Timestamp(lost.0 + SUSPENDED_MS)))
            }
            Link::Opening { until, .. } | Link::Closing { until, .. } => until,
            Link::Connected(_) => Timestamp(self.heard.0 + IDLE_MS),
        };
        let channels = self.channels.values().filter_map(|channel| channel.deadline);
        channels.filter(|_| self.is_connected()).chain([link]).min()
    }

    pub(crate) fn wake(&mut self, now: Timestamp) {
        let suspended = self.lost.is_some_and(|lost| now.0 >= lost.0 + SUSPENDED_MS);
        if suspended && !self.is_connected() {
            self.fail_pending();
            self.suspend_channels();
        }
        match self.link {
            Link::Waiting { until } if now >= until => self.open(now),
            Link::Opening { until, .. } if now >= until => self.lose(now),
            Link::Closing { until, .. } if now >= until => self.end(),
            Link::Connected(_) if now.0 >= self.heard.0 + IDLE_MS => self.lose(now),
            Link::Connected(_) => self.wake_channels(now),
            _ => {}
        }
    }
}
