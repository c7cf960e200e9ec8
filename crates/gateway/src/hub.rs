//! Where the IO tasks and the node meet: events one way, frames and responses
//! the other.
//!
//! Events queue up to a bound, beyond which connections stop reading from their sockets. Who has queued
//! one rings, so that it is worked off. Frames never wait: a transport that does not take them in time
//! is told so and closed. Nothing here waits or rings while it holds a lock.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use node::{Event, Request, RequestId, Response, TransportId};
use protocol::{Action, Format, ProtocolMessage};
use tokio::{
    net::TcpStream,
    sync::{SemaphorePermit, oneshot},
    time::timeout,
};
use types::{ErrorInfo, NodeLimits, Table, error};

use crate::{
    comet::Comets,
    events::{self, Events, Refused},
    mailbox::Mailbox,
    ws::{CloseCode, Frame, Opcode, Outbox, Pushed},
};

/// Transports that are looked up together: connects do not wait for a long fan-out.
const LOOKED_UP: usize = 64;

/// Bytes that are joined at most, or one frame that is longer.
pub(crate) const MAX_PIECE: usize = 128 << 10;

/// What a request may take beyond the node's own deadline for a publish.
const REPLY_SLACK: Duration = Duration::from_secs(2);

/// The meeting point; one per node.
#[derive(Debug)]
pub struct Hub {
    events: events::Sender,
    bell: OnceLock<Bell>,
    peers: Mutex<Table<TransportId, Peer>>,
    requests: Mutex<HashMap<RequestId, oneshot::Sender<Response>>>,
    comets: Comets,
    last_id: AtomicU64,
    counters: Counters,
    send_queue_bytes: usize,
    reply_deadline: Duration,
}

/// What is called when an event has been queued, with the number of frames in it.
struct Bell(Box<dyn Fn(usize) + Send + Sync>);

/// There is no node any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeGone;

/// What went through the hub since it was made; `connections` is how many there are now.
#[derive(Debug, Default)]
pub struct Counters {
    pub connections: AtomicU64,
    pub connections_opened: AtomicU64,
    pub frames_in: AtomicU64,
    pub bytes_in: AtomicU64,
    pub frames_out: AtomicU64,
    pub bytes_out: AtomicU64,
    /// Transports closed because their peer read too slowly.
    pub overflowed: AtomicU64,
    pub requests: AtomicU64,
}

#[derive(Clone, Debug)]
pub(crate) struct Peer {
    sink: Sink,
    format: Format,
}

/// Where the frames of a transport go.
#[derive(Clone, Debug)]
enum Sink {
    Socket(Arc<Outbox>),
    /// To whatever request the client has open.
    Mailbox(Arc<Mailbox>),
}

/// A transport that the node can send to, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Transport {
    pub(crate) id: TransportId,
    hub: Arc<Hub>,
}

/// A request that may be answered, for as long as this lives.
struct Pending<'a> {
    id: RequestId,
    hub: &'a Hub,
}

impl Hub {
    /// A hub, and the events for the node to work off in order.
    pub fn new(limits: &NodeLimits) -> (Arc<Self>, Events) {
        let (events, receiver) = events::queue();
        let hub = Self {
            events,
            bell: OnceLock::new(),
            peers: Mutex::default(),
            requests: Mutex::default(),
            comets: Comets::default(),
            last_id: AtomicU64::new(0),
            counters: Counters::default(),
            send_queue_bytes: usize::try_from(limits.send_queue_bytes).unwrap_or(usize::MAX),
            reply_deadline: Duration::from_millis(limits.publish_deadline_ms) + REPLY_SLACK,
        };
        (Arc::new(hub), receiver)
    }

    /// Calls `ring` from now on for each event that has been queued, on the thread of whoever queued it,
    /// with the number of frames in it. Only the first call counts.
    pub fn on_event(&self, ring: impl Fn(usize) + Send + Sync + 'static) {
        self.bell.set(Bell(Box::new(ring))).ok();
    }

    /// Tells the node, as soon as there is room.
    pub async fn tell(&self, event: Event) -> Result<(), NodeGone> {
        let room = self.events.room(&event).await.map_err(|_closed| NodeGone)?;
        self.send(event, room);
        Ok(())
    }

    /// Gives the event back if there is no room. A node that is gone takes anything.
    pub(crate) fn try_tell(&self, event: Event) -> Option<Event> {
        let frames = event.frames();
        match self.events.try_send(event) {
            Ok(()) => self.ring(frames),
            Err(Refused::Full(event)) => return Some(event),
            Err(Refused::Closed) => {}
        }
        None
    }

    /// Tells the node of the first of `events`, as soon as there is room; cancel safe.
    pub(crate) async fn tell_first(&self, events: &mut VecDeque<Event>) -> Result<(), NodeGone> {
        let Some(first) = events.front() else { return Ok(()) };
        let room = self.events.room(first).await.map_err(|_closed| NodeGone)?;
        if let Some(first) = events.pop_front() {
            self.send(first, room);
        }
        Ok(())
    }

    fn send(&self, event: Event, room: SemaphorePermit<'_>) {
        let frames = event.frames();
        self.events.send(event, room);
        self.ring(frames);
    }

    fn ring(&self, frames: usize) {
        if let Some(Bell(ring)) = self.bell.get() {
            ring(frames);
        }
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Whether somebody takes the events.
    pub fn is_alive(&self) -> bool {
        !self.events.is_closed()
    }

    /// Hands the same frames to many transports, joined for those that have sockets.
    pub(crate) fn deliver(
        &self,
        transports: impl IntoIterator<Item = TransportId>,
        frames: &[Bytes],
    ) {
        let mut joined = Joined::default();
        let mut accepted = 0;
        let mut transports = transports.into_iter().peekable();
        let mut found = Vec::new();
        while transports.peek().is_some() {
            let peers = lock(&self.peers);
            let looked_up = transports.by_ref().take(LOOKED_UP);
            found.extend(looked_up.filter_map(|transport| peers.get(transport).cloned()));
            drop(peers);
            for peer in found.drain(..) {
                let pushed = match &peer.sink {
                    Sink::Socket(outbox) => outbox.push(joined.of(peer.format, frames)),
                    Sink::Mailbox(mailbox) => mailbox.push_all(frames),
                };
                self.settle(&peer, pushed);
                accepted += u64::from(pushed == Pushed::Accepted);
            }
        }
        self.count_out(accepted, frames);
    }

    /// Hands a transport what its client has asked for, which may be much.
    pub(crate) fn answer(&self, transport: TransportId, frames: &[Bytes]) {
        let Some(peer) = self.peer(transport) else { return };
        let pushed = match &peer.sink {
            Sink::Socket(outbox) => outbox.answer(in_pieces(peer.format, frames)),
            Sink::Mailbox(mailbox) => mailbox.answer(frames),
        };
        self.settle(&peer, pushed);
        self.count_out(u64::from(pushed == Pushed::Accepted), frames);
    }

    /// Each to so many transports.
    fn count_out(&self, transports: u64, frames: &[Bytes]) {
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let bytes = frames.iter().map(Bytes::len).sum();
        self.counters.frames_out.fetch_add(transports * number(frames.len()), Relaxed);
        self.counters.bytes_out.fetch_add(transports.saturating_mul(number(bytes)), Relaxed);
    }

    /// Carries out [`node::Effect::Connected`].
    pub fn connected(
        &self,
        transport: TransportId,
        connection_key: Arc<str>,
        supersedes: Option<TransportId>,
    ) {
        self.comets.name(transport, connection_key);
        if let Some(superseded) = supersedes {
            self.comets.supersede(superseded);
        }
    }

    /// Carries out [`node::Effect::Ping`]. What has no socket has no pings.
    pub(crate) fn ping(&self, transport: TransportId) {
        if let Some(peer) = self.peer(transport)
            && let Sink::Socket(outbox) = &peer.sink
        {
            self.settle(&peer, outbox.push(&Frame::ping(&[])));
        }
    }

    /// Carries out [`node::Effect::Close`].
    pub(crate) fn close(&self, transport: TransportId) {
        match self.peer(transport).map(|peer| peer.sink) {
            Some(Sink::Socket(outbox)) => {
                outbox.close_after_flush(None, Frame::close(CloseCode::NORMAL, ""));
            }
            Some(Sink::Mailbox(mailbox)) => mailbox.close(None),
            None => {}
        }
    }

    /// Carries out [`node::Effect::Reply`]. A request that nobody waits for any more is ignored.
    pub fn reply(&self, request: RequestId, response: Response) {
        if let Some(waiting) = lock(&self.requests).remove(&request) {
            // The connection may have ended just now; then nobody wants the response.
            waiting.send(response).ok();
        }
    }

    /// Asks the node. A node that is gone is 80003; one that does not answer in time is 50003, and
    /// the outcome is unknown.
    pub(crate) async fn request(&self, request: Request) -> Result<Response, ErrorInfo> {
        let (sender, receiver) = oneshot::channel();
        let pending = Pending { id: RequestId(self.next_id()), hub: self };
        lock(&self.requests).insert(pending.id, sender);
        self.counters.requests.fetch_add(1, Relaxed);
        let event = Event::Request { id: pending.id, request: Box::new(request) };
        let exchange = async {
            self.tell(event).await.ok()?;
            receiver.await.ok()
        };
        match timeout(self.reply_deadline, exchange).await {
            Ok(Some(response)) => Ok(response),
            Ok(None) => Err(error::SERVER_LEAVING.info()),
            Err(_elapsed) => Err(error::TIMEOUT.info()),
        }
    }

    /// A new transport on a socket of its own, and what is to be written there.
    pub(crate) fn open_socket(
        self: &Arc<Self>,
        format: Format,
        stream: TcpStream,
    ) -> (Transport, Arc<Outbox>) {
        let outbox = Arc::new(Outbox::new(stream, self.send_queue_bytes));
        (self.register(format, Sink::Socket(Arc::clone(&outbox))), outbox)
    }

    /// A new transport without a socket.
    pub(crate) fn open_mailbox(self: &Arc<Self>, format: Format) -> (Transport, Arc<Mailbox>) {
        let mailbox = Arc::new(Mailbox::new(self.send_queue_bytes));
        (self.register(format, Sink::Mailbox(Arc::clone(&mailbox))), mailbox)
    }

    pub(crate) fn comets(&self) -> &Comets {
        &self.comets
    }

    /// What a request may take, from its arrival to the node's answer.
    pub(crate) fn reply_deadline(&self) -> Duration {
        self.reply_deadline
    }

    fn register(self: &Arc<Self>, format: Format, sink: Sink) -> Transport {
        let id = lock(&self.peers).insert(Peer { sink, format });
        self.counters.connections.fetch_add(1, Relaxed);
        self.counters.connections_opened.fetch_add(1, Relaxed);
        Transport { id, hub: Arc::clone(self) }
    }

    /// When there was no room for a frame, the peer is to reconnect and resume: the session and
    /// what it has missed outlive the transport, so this is DISCONNECTED with a status that makes
    /// clients retry, and not ERROR, which would fail the connection for good.
    fn settle(&self, peer: &Peer, pushed: Pushed) {
        if pushed != Pushed::Overflowed {
            return;
        }
        let mut last = ProtocolMessage::new(Action::Disconnected);
        last.error = Some(error::SERVER_LEAVING.with("messages were not read fast enough"));
        let last = protocol::encode(&last, peer.format);
        match &peer.sink {
            Sink::Socket(outbox) => {
                let close = Frame::close(CloseCode::POLICY, "messages were not read fast enough");
                let last = Frame::messages(opcode(peer.format), &[last]);
                outbox.close_after_flush(Some(last), close);
            }
            Sink::Mailbox(mailbox) => mailbox.close(Some(last)),
        }
        self.counters.overflowed.fetch_add(1, Relaxed);
    }

    fn peer(&self, transport: TransportId) -> Option<Peer> {
        lock(&self.peers).get(transport).cloned()
    }

    fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Relaxed) + 1
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bell")
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        lock(&self.hub.peers).remove(self.id);
        self.hub.counters.connections.fetch_sub(1, Relaxed);
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        lock(&self.hub.requests).remove(&self.id);
    }
}

/// Frames of the protocol as frames of a WebSocket, made for each format when it is first needed.
#[derive(Default)]
struct Joined {
    json: Option<Frame>,
    msgpack: Option<Frame>,
}

impl Joined {
    fn of(&mut self, format: Format, frames: &[Bytes]) -> &Frame {
        let known = match format {
            Format::Json => &mut self.json,
            Format::MessagePack => &mut self.msgpack,
        };
        known.get_or_insert_with(|| Frame::messages(opcode(format), frames))
    }
}

/// Frames of the protocol as frames of a WebSocket, of which a piece has several: what is written is let go.
fn in_pieces(format: Format, frames: &[Bytes]) -> impl Iterator<Item = Frame> {
    let mut rest = frames;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|frame| {
            bytes += frame.len();
            bytes <= MAX_PIECE
        });
        let (piece, behind) = rest.split_at_checked(fits.count().max(1))?;
        rest = behind;
        Some(Frame::messages(opcode(format), piece))
    })
}

fn opcode(format: Format) -> Opcode {
    match format {
        Format::Json => Opcode::Text,
        Format::MessagePack => Opcode::Binary,
    }
}

/// The tables are whole between any two statements, so a poisoned lock is as good as another.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use node::{Caller, Operation, Origin};

    use super::*;
    use crate::events::EVENT_QUEUE;

    #[tokio::test]
    async fn a_transport_is_known_for_as_long_as_it_lives() {
        let (hub, _events) = Hub::new(&NodeLimits::default());
        let known = || lock(&hub.peers).len();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let socket = hub.open_socket(Format::Json, stream);
        let transports = (socket, hub.open_mailbox(Format::Json));
        assert_ne!(transports.0.0.id, transports.1.0.id);
        assert_eq!((known(), hub.counters.connections.load(Relaxed)), (2, 2));
        drop(transports);
        assert_eq!((known(), hub.counters.connections.load(Relaxed)), (0, 0));
        assert_eq!(hub.counters.connections_opened.load(Relaxed), 2);
    }

    #[tokio::test]
    async fn an_event_is_in_the_queue_when_the_bell_rings_and_one_without_room_does_not_ring() {
        let (hub, mut events) = Hub::new(&NodeLimits::default());
        let (rung, taken) = std::sync::mpsc::channel();
        let length = {
            let hub = Arc::downgrade(&hub);
            move || hub.upgrade().map(|hub| hub.events.taken())
        };
        hub.on_event(move |frames| {
            assert_eq!(frames, 1);
            rung.send(length()).unwrap();
        });
        let event = || Event::TransportClosed { transport: TransportId(1) };
        hub.tell(event()).await.unwrap();
        assert_eq!(taken.try_recv(), Ok(Some(1)));
        assert!((1..EVENT_QUEUE).all(|_| hub.try_tell(event()).is_none()));
        assert_eq!(taken.try_iter().last(), Some(Some(EVENT_QUEUE)));
        assert!(hub.try_tell(event()).is_some());
        assert!(taken.try_recv().is_err());
        events.recv().await.unwrap();
        hub.tell(event()).await.unwrap();
        assert_eq!(taken.try_recv(), Ok(Some(EVENT_QUEUE)));
    }

    #[tokio::test]
    async fn a_request_that_is_given_up_is_forgotten_and_its_response_ignored() {
        let (hub, mut events) = Hub::new(&NodeLimits::default());
        let asking = tokio::spawn({
            let hub = Arc::clone(&hub);
            async move {
                let request = Request {
                    caller: Caller::default(),
                    operation: Operation::PostStats(Vec::new()),
                    origin: Origin::default(),
                };
                hub.request(request).await
            }
        });
        let Some(Event::Request { id, .. }) = events.recv().await else { panic!() };
        assert_eq!(lock(&hub.requests).len(), 1);
        asking.abort();
        assert!(asking.await.unwrap_err().is_cancelled());
        assert_eq!(lock(&hub.requests).len(), 0);
        hub.reply(id, Response::Created);
    }
}
