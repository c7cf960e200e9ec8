//! What a session is told about its surroundings, and what it asks of them.

use std::sync::Arc;

use channel::{Attach, AttachmentId, Publish, PublishToken};
use protocol::ProtocolMessage;
use types::{App, ChannelName, ErrorInfo, NodeLimits, SiteCode, TableKey, Timestamp, Usage};

use crate::Subscription;

/// Names one transport for as long as it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransportId(pub u64);

impl TableKey for TransportId {
    fn from_number(number: u64) -> Self {
        Self(number)
    }

    fn number(self) -> u64 {
        self.0
    }
}

/// What clients are told about the node that serves them.
#[derive(Clone, Debug)]
pub struct Identity {
    pub site: SiteCode,
    pub server_id: Arc<str>,
}

/// The surroundings of one call.
pub struct Context<'a> {
    pub now: Timestamp,
    pub limits: &'a NodeLimits,
    pub app: &'a App,
    /// What the whole app has used.
    pub usage: &'a mut Usage,
    pub identity: &'a Identity,
    /// Source of attachment ids and publish tokens, unique within the node.
    pub next_id: &'a mut u64,
    pub effects: &'a mut Vec<Effect>,
}

impl Context<'_> {
    fn next(&mut self) -> u64 {
        *self.next_id += 1;
        *self.next_id
    }

    pub(crate) fn attachment_id(&mut self) -> AttachmentId {
        AttachmentId(self.next())
    }

    pub(crate) fn publish_token(&mut self) -> PublishToken {
        PublishToken(self.next())
    }

    /// Tells one SYNC from the others.
    pub(crate) fn sync_sequence(&mut self) -> String {
        format!("s{}", self.next())
    }
}

/// A publish that a session has checked, for the host of its channel.
#[derive(Debug)]
pub struct Draft {
    pub channel: ChannelName,
    pub publish: Publish,
    /// The size of its body, as limits count it.
    pub size: usize,
    /// What is to be counted ([`Session::count_resend`](crate::Session::count_resend)) unless its channel
    /// may know it: the client says that it sends it again.
    pub uncounted: Option<u32>,
}

#[derive(Debug)]
pub enum Effect {
    Send(TransportId, Box<ProtocolMessage>),
    /// A ping of the transport itself.
    Ping(TransportId),
    /// Close the transport once what was sent has been written.
    CloseTransport(TransportId),
    Attach {
        channel: ChannelName,
        attach: Box<Attach>,
    },
    Detach {
        channel: ChannelName,
        attachment: AttachmentId,
    },
    /// Live deliveries may start for this attachment.
    Subscribe(Box<Subscription>),
    /// Live deliveries stop until the next `Subscribe`.
    Unsubscribe {
        channel: ChannelName,
        attachment: AttachmentId,
        requested: Arc<str>,
    },
    /// What the session publishes of itself.
    Publish(Box<Draft>),
    /// Call `Session::acknowledge` before the node waits again.
    AcknowledgeSoon,
    /// Hand the presence set to `Session::send_members`.
    Sync {
        channel: ChannelName,
        requested: Arc<str>,
    },
    /// Verify the token, then call `Session::authenticated`.
    Authenticate(Arc<str>),
    /// The session is over: forget it. Without a reason its client closed it.
    End(Option<ErrorInfo>),
}
