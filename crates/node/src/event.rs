//! What goes into a node and what comes out of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use auth::{Credentials, RevocationRequest, Source, TokenDetails, TokenRequest};
use bytes::Bytes;
use channel::{AttachmentId, Occupancy};
use protocol::{BatchPublish, BatchResult, Format, ProtocolMessage, RestOperation, Tree};
use serde::Deserialize;
use session::TransportId;
use types::{
    Accepted, Annotation, App, AppId, AppLimits, ChannelName, ClientId, ConnectionId, Entry,
    ErrorInfo, Extras, HistoryPage, HistoryQuery, ItemPosition, Key, Message, Namespace, ObjectId,
    ObjectsSnapshot, PresenceMessage, RecordChange, TableKey, Timestamp,
};

use crate::count::Volume;
use crate::messages::{Question, VersionsPage, What};
use crate::origin::Origin;
use crate::push::{PushRequest, PushResponse};

/// Names one activation of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelKey(pub u64);

impl TableKey for ChannelKey {
    fn from_number(number: u64) -> Self {
        Self(number)
    }

    fn number(self) -> u64 {
        self.0
    }
}

/// Names a change of records that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Names one REST request on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

#[derive(Debug)]
pub enum Event {
    /// A transport is open; `query` holds the decoded parameters of the connect URL.
    Connect {
        transport: TransportId,
        format: Format,
        query: Vec<(String, String)>,
        origin: Box<Origin>,
    },
    Frame {
        transport: TransportId,
        frame: Box<ProtocolMessage>,
    },
    /// Those that came together, in order.
    Frames {
        transport: TransportId,
        frames: Vec<ProtocolMessage>,
    },
    /// The transport carried something that is not a protocol message.
    BadFrame {
        transport: TransportId,
        error: ErrorInfo,
    },
    TransportClosed {
        transport: TransportId,
    },
    Request {
        id: RequestId,
        request: Box<Request>,
    },
    /// Answers one [`Effect::Store`] or more, in the order in which they came.
    Stored(Vec<Stored>),
    /// Answers [`Effect::Load`].
    Loaded {
        channel: ChannelKey,
        entries: Result<Vec<Arc<Entry>>, ErrorInfo>,
    },
    /// Answers [`Effect::LoadMessages`].
    MessagesLoaded {
        channel: ChannelKey,
        entries: Result<Vec<Arc<Entry>>, ErrorInfo>,
    },
    /// Answers [`Effect::LoadBacklog`].
    BacklogLoaded {
        channel: ChannelKey,
        attachment: AttachmentId,
        entries: Result<Vec<Arc<Entry>>, ErrorInfo>,
    },
    /// Answers [`Effect::Keep`].
    Kept {
        ticket: Ticket,
        durable: bool,
    },
    /// An app has these keys from now on.
    Keys {
        app: AppId,
        keys: Vec<Key>,
    },
    /// The store has answered [`Effect::ReadHistory`] with so much.
    Answered {
        app: AppId,
        volume: Volume,
    },
    /// Answers [`Effect::Push`].
    Pushed {
        app: AppId,
        delivery: push::Delivery,
        outcome: Result<(), push::Failure>,
    },
    /// The node is about to stop: clients are told to reconnect, nobody new is served.
    Shutdown,
    /// Time passed.
    Tick,
}

/// What became of an entry that was to be stored.
#[derive(Clone, Copy, Debug)]
pub struct Stored {
    pub channel: ChannelKey,
    pub position: u64,
    pub durable: bool,
}

impl Event {
    /// The frames that came with it, or one for anything else.
    pub fn frames(&self) -> usize {
        if let Self::Frames { frames, .. } = self { frames.len() } else { 1 }
    }

    /// The messages that it publishes.
    pub fn messages(&self) -> usize {
        let of_frame = |frame: &ProtocolMessage| {
            frame.messages.len() + frame.annotations.len() + frame.presence.len()
        };
        if let Self::Frame { frame, .. } = self {
            of_frame(frame)
        } else if let Self::Frames { frames, .. } = self {
            frames.iter().map(of_frame).sum()
        } else if let Self::Request { request, .. } = self {
            request.operation.messages()
        } else {
            0
        }
    }
}

#[derive(Debug)]
pub enum Effect {
    Send {
        transport: TransportId,
        frame: Bytes,
    },
    /// What became of publishes. In order with [`Effect::Send`]; a later [`Effect::Deliver`] may pass
    /// it.
    Acknowledge {
        transport: TransportId,
        frame: Bytes,
    },
    /// The transport carries a connection that its client names by this key from now on. Comes
    /// before the CONNECTED that tells the client.
    Connected {
        transport: TransportId,
        connection_key: Arc<str>,
        /// The transport that carried the connection until now.
        supersedes: Option<TransportId>,
    },
    /// One frame of a channel to many transports, which are in order. Frames of other channels may
    /// pass it.
    Deliver {
        channel: ChannelKey,
        transports: Arc<[TransportId]>,
        frame: Bytes,
    },
    /// A ping of the transport itself.
    Ping(TransportId),
    /// Close the transport once what was sent has been written.
    Close(TransportId),
    Reply {
        request: RequestId,
        response: Response,
    },
    /// Make the entries durable; answered one by one, in the order of these effects per channel. Operations on
    /// objects are kept until a snapshot contains them.
    Store {
        channel: ChannelKey,
        app: AppId,
        name: ChannelName,
        entries: Vec<Arc<Entry>>,
        /// Whether they belong to the history too; those on objects may not.
        persisted: bool,
    },
    /// Make the snapshot durable, and let go of operations that it contains and that are older than
    /// `since`. In the order of these effects and the former; not answered.
    StoreObjects {
        app: AppId,
        name: ChannelName,
        snapshot: ObjectsSnapshot,
        since: Timestamp,
    },
    /// Make these changes of records durable, all or none, and in the order of these effects. Answered
    /// if there is a ticket.
    Keep {
        ticket: Option<Ticket>,
        changes: Vec<RecordChange>,
    },
    /// Keep the entry as what was published last on the channel; nobody waits for it.
    KeepLast {
        app: AppId,
        name: ChannelName,
        entry: Arc<Entry>,
    },
    /// Read the stored entries since `since`, the newest before it, and what was kept as the last,
    /// oldest first.
    Load {
        channel: ChannelKey,
        app: AppId,
        name: ChannelName,
        since: Timestamp,
    },
    /// Read the stored entries that published, changed and annotated these messages.
    LoadMessages {
        channel: ChannelKey,
        app: AppId,
        name: ChannelName,
        messages: BTreeSet<ItemPosition>,
    },
    /// Read the stored entries of messages that the query asks for, as they are now, oldest first.
    LoadBacklog {
        channel: ChannelKey,
        attachment: AttachmentId,
        app: AppId,
        name: ChannelName,
        query: Box<HistoryQuery>,
    },
    /// Read the stored entries that published, changed and annotated one message, and answer the
    /// request with [`Question::answer`].
    ReadMessage {
        request: RequestId,
        app: AppId,
        name: ChannelName,
        question: Question,
    },
    /// Bring a notification to the provider of the device. Each device has one on its way at most.
    Push {
        app: AppId,
        delivery: push::Delivery,
    },
    /// Answer the request from the store, with [`Response::History`]: messages as they are now.
    ReadHistory {
        request: RequestId,
        app: AppId,
        name: ChannelName,
        query: Box<HistoryQuery>,
    },
}

/// A REST request, its body decoded.
#[derive(Debug)]
pub struct Request {
    pub caller: Caller,
    pub operation: Operation,
    pub origin: Origin,
}

/// Who a request says that it comes from.
#[derive(Debug, Default)]
pub struct Caller {
    pub credentials: Option<Credentials>,
    /// The identity that a key's holder acts as (`X-Ably-ClientId`).
    pub client_id: Option<String>,
    /// What it says that it is (`clientType`).
    pub client_type: Option<String>,
    pub source: Source,
}

#[derive(Debug)]
pub enum Operation {
    Publish {
        channel: String,
        messages: Vec<Message>,
    },
    BatchPublish(BatchPublish),
    ChannelDetails {
        channel: String,
    },
    Channels(ChannelsQuery),
    /// A change of the message with this serial.
    Change {
        channel: String,
        serial: String,
        change: Message,
    },
    Annotate {
        channel: String,
        serial: String,
        annotations: Vec<Annotation>,
    },
    ReadMessage {
        channel: String,
        serial: String,
        what: What,
    },
    /// Publish a message in a chat room, or change the one with its serial. Answered with the
    /// message as it then is.
    Chat {
        room: String,
        message: Message,
    },
    History {
        channel: String,
        query: HistoryQuery,
        until: Option<String>,
    },
    Presence {
        channel: String,
        query: PresenceQuery,
    },
    BatchPresence {
        channels: Vec<String>,
    },
    PublishObjects {
        channel: String,
        operations: Vec<RestOperation>,
    },
    ReadObject(ObjectQuery),
    RequestToken {
        key_name: String,
        request: TokenRequest,
    },
    RevokeTokens {
        key_name: String,
        request: RevocationRequest,
    },
    Push(PushRequest),
    CreateApp(AppSpec),
    DeleteApp(AppId),
    Stats(stats::Query),
    /// Statistics that test suites want to have been counted.
    PostStats(Vec<stats::Fixture>),
}

impl Operation {
    /// The messages that it publishes.
    fn messages(&self) -> usize {
        if let Self::Publish { messages, .. } = self {
            messages.len()
        } else if let Self::BatchPublish(batch) = self {
            batch.messages()
        } else if let Self::Annotate { annotations, .. } = self {
            annotations.len()
        } else {
            usize::from(matches!(self, Self::Change { .. } | Self::Chat { .. }))
        }
    }
}

#[derive(Clone, Debug)]
pub struct ObjectQuery {
    pub channel: String,
    /// Where the path begins; without it, at the root.
    pub object_id: Option<String>,
    pub path: Option<String>,
    pub view: View,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Values only.
    Compact,
    /// With ids and types.
    Full,
}

#[derive(Clone, Debug)]
pub struct PresenceQuery {
    pub limit: usize,
    pub client_id: Option<ClientId>,
    pub connection_id: Option<ConnectionId>,
    /// Continue behind this member (`connectionId:clientId`).
    pub after: Option<String>,
}

#[derive(Debug)]
pub struct PresencePage {
    pub members: Vec<PresenceMessage>,
    pub next: Option<String>,
}

#[derive(Clone, Debug)]
pub struct ChannelsQuery {
    pub limit: usize,
    /// Only channels whose names begin with this.
    pub prefix: String,
    /// Continue behind the channel of this name.
    pub after: Option<String>,
}

#[derive(Debug)]
pub struct ChannelsPage {
    pub channels: Vec<ChannelDetails>,
    pub next: Option<String>,
}

#[derive(Debug)]
pub struct ChannelDetails {
    pub name: ChannelName,
    pub is_active: bool,
    pub occupancy: Occupancy,
}

#[derive(Debug)]
pub enum Response {
    Error(ErrorInfo),
    Published {
        channel: String,
        message_id: String,
        accepted: Accepted,
    },
    Batch(Vec<BatchResult>),
    ChannelDetails(ChannelDetails),
    Channels(ChannelsPage),
    /// One for each specification of a list of them.
    Batches(Vec<Vec<BatchResult>>),
    /// None if something newer came before it was published.
    Changed {
        version_serial: Option<Arc<str>>,
    },
    Message(Box<Message>),
    Versions(VersionsPage),
    Summary(Extras),
    History(HistoryPage),
    Presence(PresencePage),
    ObjectsPublished {
        channel: ChannelName,
        message_id: Arc<str>,
        object_ids: Vec<ObjectId>,
    },
    Object(Tree),
    Token(TokenDetails),
    Push(PushResponse),
    Stats {
        app: AppId,
        page: stats::Page,
    },
    AppCreated(Arc<App>),
    Created,
    NoContent,
}

/// The body of `POST /apps`, as client libraries' test suites send it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct AppSpec {
    pub keys: Vec<KeySpec>,
    pub namespaces: Vec<Namespace>,
    pub channels: Vec<ChannelSpec>,
    pub limits: LimitsSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct KeySpec {
    pub capability: Option<String>,
    pub revocable_tokens: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ChannelSpec {
    pub name: String,
    pub presence: Vec<MemberSpec>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MemberSpec {
    pub client_id: String,
    pub data: Option<String>,
    pub encoding: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct LimitsSpec {
    pub presence: PresenceLimitsSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PresenceLimitsSpec {
    pub max_members: Option<u32>,
}

impl LimitsSpec {
    /// Sandbox apps are for test suites: no rates, and the member limit that was asked for.
    pub(crate) fn to_limits(&self) -> AppLimits {
        AppLimits {
            presence_members: self.presence.max_members.unwrap_or_default(),
            presence_members_batched: self.presence.max_members.unwrap_or_default(),
            ..AppLimits::unlimited()
        }
    }
}
