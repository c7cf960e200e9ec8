//! Comet: one connection over many HTTP requests, for clients that cannot have a WebSocket.
//!
//! What the node sends gathers in a mailbox; a task carries it to the one request that the client
//! has open for it (its *receiver*). Frames go out that way only, never with the answer to a send:
//! two answers could overtake each other. The connection key in a path finds the connection; it is
//! secret and tells who asks, so credentials of these requests are not looked at again.
//!
//! Invariants: at most one receiver, the newest; a frame goes to at most one receiver, and if that
//! one does not take it the transport ends, so that the client resumes and misses nothing; a client
//! without a receiver for long is taken for gone.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use node::{Event, Origin, TransportId};
use protocol::Format;
use tokio::{
    sync::{mpsc, mpsc::error::SendError},
    time::{Instant, sleep, sleep_until, timeout},
};
use types::{ErrorCode, ErrorInfo, error};

use crate::{
    hub::{Hub, Transport},
    mailbox::Mailbox,
};

/// How long a receiver is served: a poll gets an empty list then, a stream ends.
const RECEIVE_FOR: Duration = Duration::from_secs(60);

/// How long a client may be without a receiver before its transport ends.
const ABSENCE: Duration = Duration::from_secs(20);

/// How long a receiver may take nothing while there is something for it.
const WRITE_STALL: Duration = Duration::from_secs(30);

/// How long requests are told what became of a connection that is over.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Keys that lead to one connection: a client goes on with the one before while it learns of a new
/// one.
const KEYS: usize = 2;

/// Receivers that wait to take over; more only come from a client that breaks the rules.
const WAITING: usize = 1;

/// How a receiver wants frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// As they come, list after list.
    Stream,
    /// One list, as soon as there is something.
    Poll,
}

/// A request that waits for frames: its answer's body.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) delivery: Delivery,
    pub(crate) body: mpsc::Sender<Bytes>,
}

/// One connection as requests see it.
#[derive(Debug)]
pub(crate) struct Comet {
    pub(crate) format: Format,
    /// What the connecting request asked for.
    pub(crate) delivery: Delivery,
    transport: TransportId,
    receivers: mpsc::Sender<Receiver>,
    /// Held while a request's frames are handed to the node: one send at a time.
    sending: tokio::sync::Mutex<()>,
    /// Why there is nothing more to be had.
    over: OnceLock<ErrorCode>,
}

/// All connections by the keys that name them.
#[derive(Debug, Default)]
pub(crate) struct Comets(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    by_transport: HashMap<TransportId, Named>,
    by_key: HashMap<Arc<str>, Arc<Comet>>,
}

#[derive(Debug)]
struct Named {
    comet: Arc<Comet>,
    keys: VecDeque<Arc<str>>,
}

/// Why a receiver is not served any more.
enum Served {
    Done,
    TakenOver(Receiver),
    /// The transport has ended, or its client does not take what it is sent.
    Over,
}

/// Opens a connection whose frames go to `receiver` first.
pub(crate) fn open(
    hub: &Arc<Hub>,
    format: Format,
    query: Vec<(String, String)>,
    origin: Origin,
    receiver: Receiver,
) {
    let (transport, mailbox) = hub.open_mailbox(format);
    let (receivers, waiting) = mpsc::channel(WAITING);
    hub.comets().insert(Comet {
        format,
        delivery: receiver.delivery,
        transport: transport.id,
        receivers,
        sending: tokio::sync::Mutex::default(),
        over: OnceLock::new(),
    });
    let carrier = Carrier { format, mailbox, waiting };
    let connect =
        Event::Connect { transport: transport.id, format, query, origin: Box::new(origin) };
    let (hub, id) = (Arc::clone(hub), transport.id);
    tokio::spawn(async move {
        if hub.tell(connect).await.is_ok() {
            carrier.run(receiver).await;
            close(&hub, transport).await;
            sleep(REMEMBERED).await;
        }
        hub.comets().remove(id);
    });
}

async fn close(hub: &Hub, transport: Transport) {
    let id = transport.id;
    drop(transport);
    // A node that is gone needs no news.
    hub.tell(Event::TransportClosed { transport: id }).await.ok();
}

impl Comet {
    /// Hands frames to the node, in their order, behind those of earlier sends.
    pub(crate) async fn send(
        &self,
        hub: &Hub,
        frames: Result<Vec<protocol::ProtocolMessage>, ErrorInfo>,
    ) -> Result<(), ErrorInfo> {
        let _turn = self.sending.lock().await;
        self.check()?;
        let transport = self.transport;
        let gone = |_| error::SERVER_LEAVING.info();
        match frames {
            Ok(frames) => {
                for frame in frames {
                    let event = Event::Frame { transport, frame: Box::new(frame) };
                    hub.tell(event).await.map_err(gone)?;
                }
                Ok(())
            }
            Err(error) => {
                let event = Event::BadFrame { transport, error: error.clone() };
                hub.tell(event).await.map_err(gone)?;
                Err(error)
            }
        }
    }

    /// Frames go to `receiver` from now on.
    pub(crate) async fn receive(&self, receiver: Receiver) -> Result<(), ErrorInfo> {
        self.check()?;
        match self.receivers.send(receiver).await {
            Ok(()) => Ok(()),
            Err(SendError(_)) => Err(self.reason()),
        }
    }

    /// The client has asked for the end of the connection.
    pub(crate) fn closing(&self) {
        if !self.receivers.is_closed() {
            // Whatever was known before it is the reason.
            self.over.set(error::CONNECTION_CLOSED).ok();
        }
    }

    fn check(&self) -> Result<(), ErrorInfo> {
        if self.receivers.is_closed() { Err(self.reason()) } else { Ok(()) }
    }

    fn reason(&self) -> ErrorInfo {
        self.over.get().copied().unwrap_or(error::CONNECTION_NOT_FOUND).info()
    }
}

impl Comets {
    /// The connection that `key` names; 80022 or what became of it.
    pub(crate) fn find(&self, key: &str) -> Result<Arc<Comet>, ErrorInfo> {
        let found = self.lock().by_key.get(key).cloned();
        found.ok_or_else(|| error::CONNECTION_NOT_FOUND.info())
    }

    pub(crate) fn name(&self, transport: TransportId, key: Arc<str>) {
        let tables = &mut *self.lock();
        let Some(named) = tables.by_transport.get_mut(&transport) else { return };
        tables.by_key.insert(Arc::clone(&key), Arc::clone(&named.comet));
        named.keys.push_back(key);
        if named.keys.len() > KEYS
            && let Some(key) = named.keys.pop_front()
        {
            tables.by_key.remove(&key);
        }
    }

    /// Another transport has taken the connection over.
    pub(crate) fn supersede(&self, transport: TransportId) {
        if let Some(named) = self.lock().by_transport.get(&transport) {
            // Whatever was known before it is the reason.
            named.comet.over.set(error::CONNECTION_SUPERSEDED).ok();
        }
    }

    fn insert(&self, comet: Comet) {
        let named = Named { comet: Arc::new(comet), keys: VecDeque::new() };
        self.lock().by_transport.insert(named.comet.transport, named);
    }

    fn remove(&self, transport: TransportId) {
        let tables = &mut *self.lock();
        if let Some(named) = tables.by_transport.remove(&transport) {
            for key in named.keys {
                tables.by_key.remove(&key);
            }
        }
    }

    /// The tables are whole between any two statements.
    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Carries frames from the mailbox to receivers.
struct Carrier {
    format: Format,
    mailbox: Arc<Mailbox>,
    waiting: mpsc::Receiver<Receiver>,
}

impl Carrier {
    async fn run(mut self, first: Receiver) {
        let mut receiver = first;
        loop {
            receiver = match self.serve(receiver).await {
                Served::TakenOver(next) => next,
                Served::Over => break,
                Served::Done => match timeout(ABSENCE, self.waiting.recv()).await {
                    Ok(Some(next)) => next,
                    Ok(None) | Err(_) => break,
                },
            };
        }
        self.waiting.close();
        while let Ok(late) = self.waiting.try_recv() {
            self.dismiss(&late);
        }
    }

    async fn serve(&mut self, receiver: Receiver) -> Served {
        let until = Instant::now() + RECEIVE_FOR;
        loop {
            tokio::select! {
                next = self.waiting.recv() => {
                    self.dismiss(&receiver);
                    return next.map_or(Served::Over, Served::TakenOver);
                }
                () = receiver.body.closed() => return Served::Done,
                () = sleep_until(until) => {
                    self.dismiss(&receiver);
                    return Served::Done;
                }
                frames = self.mailbox.next() => {
                    let Some(frames) = frames else {
                        self.dismiss(&receiver);
                        return Served::Over;
                    };
                    let sent = receiver.body.send(self.list(&frames));
                    if !matches!(timeout(WRITE_STALL, sent).await, Ok(Ok(()))) {
                        return Served::Over;
                    }
                    if receiver.delivery == Delivery::Poll {
                        return Served::Done;
                    }
                }
            }
        }
    }

    /// A poll that ends without frames is told that there are none.
    fn dismiss(&self, receiver: &Receiver) {
        if receiver.delivery == Delivery::Poll {
            // One that has gone does not need it.
            receiver.body.try_send(self.list(&[])).ok();
        }
    }

    /// In JSON, lists are lines.
    fn list(&self, frames: &[Bytes]) -> Bytes {
        let mut list = protocol::join(frames, self.format);
        if self.format == Format::Json {
            list.push(b'\n');
        }
        list.into()
    }
}

#[cfg(test)]
mod tests;
