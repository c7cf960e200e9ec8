//! A model client: the rules of the client libraries about connections, channels, acknowledgements and
//! presence (RTN, RTL, RTP), as far as a server can observe them. It acts on frames and timers and
//! says what it observed; it knows nothing of the truth.
//!
//! [`connection`] owns the link and its retries, [`publishing`] the publishes that wait for their
//! acknowledgement, [`channel`] the state of one channel, [`hearing`]
//! what arrives on it, [`presence`] the presence map, [`objects`] the
//! objects, [`messages`] the versions of messages.

mod channel;
mod connection;
mod hearing;
mod messages;
mod objects;
mod presence;
mod publishing;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use protocol::{Format, ProtocolMessage};
use rand_chacha::ChaCha12Rng;
use session::{Echo, Heartbeats, TransportId};
use types::{ClientId, ConnectionId, ErrorInfo, Kind, SiteCode, Timestamp};

use crate::transport::Framing;
use crate::truth::{End, Label};

pub use channel::{Channel, ChannelState};
pub use connection::Link;
pub use messages::{Known, Messages};
pub(crate) use messages::{Step, join};
pub use objects::Objects;
pub use presence::Presence;
pub use publishing::{Content, Publish};

/// How a client differs from others for all its life.
#[derive(Clone, Debug)]
pub struct Profile {
    pub client_id: ClientId,
    pub format: Format,
    pub version: u32,
    pub echo: Echo,
    pub heartbeats: Heartbeats,
    /// Tokens of this many milliseconds instead of the key.
    pub token_ttl: Option<u64>,
    pub remain_present_for: Option<u64>,
    /// Attaches channels before it sends again what is pending, instead of after.
    pub attaches_first: bool,
    /// Modes of its attachments.
    pub modes: u32,
    pub framing: Framing,
}

/// What a client does.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "frames are the common case; boxes cost more")]
pub(crate) enum Act {
    Open {
        transport: TransportId,
        query: Vec<(String, String)>,
    },
    Send(TransportId, ProtocolMessage),
    HangUp(TransportId),
    /// AUTH with a new token.
    Renew(TransportId),
    Observe(Observed),
}

/// What a client saw that checkers want to know.
#[derive(Debug)]
pub(crate) enum Observed {
    Attached {
        channel: Arc<str>,
        resumed: bool,
        cursor: Arc<str>,
        connection_id: ConnectionId,
        modes: u32,
        /// The end of the channel when the answer was sent, and the life of the node that sent it.
        end: End,
    },
    Entry {
        channel: Arc<str>,
        cursor: Arc<str>,
        id: Arc<str>,
        kind: Kind,
        connection_id: Option<ConnectionId>,
        labels: Vec<Label>,
        /// Whether the application received it (RTL17).
        taken: bool,
    },
    /// A version of a message.
    Version {
        channel: Arc<str>,
        step: Step,
    },
    /// An ATTACH left with the stored cursor: the client relies on it.
    Relied {
        channel: Arc<str>,
        cursor: Arc<str>,
    },
    /// The client itself ended its attachment.
    Left {
        channel: Arc<str>,
    },
    /// An ACK or NACK, against what was pending.
    Answered {
        accepted: bool,
        msg_serial: i64,
        count: u32,
        serials: usize,
        oldest: Option<i64>,
        pending: usize,
        version: u32,
    },
    Settled {
        publish: Publish,
        id: types::EntryId,
        result: Result<(), ErrorInfo>,
    },
}

pub struct Client {
    pub index: usize,
    pub profile: Profile,
    pub link: Link,
    pub connection_id: Option<ConnectionId>,
    pub channels: BTreeMap<Arc<str>, Channel>,
    pub(crate) acts: Vec<Act>,
    key: Option<Arc<str>>,
    site: Option<SiteCode>,
    msg_serial: i64,
    /// Sent and not acknowledged, oldest first.
    pending: VecDeque<publishing::Pending>,
    /// Not yet sent.
    queued: VecDeque<publishing::Pending>,
    transports: u64,
    heard: Timestamp,
    lost: Option<Timestamp>,
    retries: u32,
    rng: ChaCha12Rng,
}

impl Client {
    pub fn new(index: usize, profile: Profile, rng: ChaCha12Rng) -> Self {
        Self {
            index,
            profile,
            link: Link::Closed,
            connection_id: None,
            channels: BTreeMap::new(),
            acts: Vec::new(),
            key: None,
            site: None,
            msg_serial: 0,
            pending: VecDeque::new(),
            queued: VecDeque::new(),
            transports: 0,
            heard: Timestamp(0),
            lost: None,
            retries: 0,
            rng,
        }
    }

    /// How many transports it has opened.
    pub fn transports(&self) -> u64 {
        self.transports
    }

    pub fn is_connected(&self) -> bool {
        matches!(self.link, Link::Connected(_))
    }

    /// Whether what it publishes comes back to it.
    pub fn hears_itself(&self) -> bool {
        self.profile.echo == Echo::On
    }

    /// Nothing that it sent waits for an answer.
    pub fn is_settled(&self) -> bool {
        self.pending.is_empty() && self.queued.is_empty()
    }

    pub fn channel(&self, name: &str) -> Option<&Channel> {
        self.channels.get(name)
    }

    /// Whether application calls make sense: neither closed nor failed.
    pub fn is_live(&self) -> bool {
        !matches!(self.link, Link::Closed | Link::Closing { .. })
    }

    fn observe(&mut self, observed: Observed) {
        self.acts.push(Act::Observe(observed));
    }

    fn send(&mut self, frame: ProtocolMessage) {
        if let Link::Connected(transport) = self.link {
            self.acts.push(Act::Send(transport, frame));
        }
    }
}
