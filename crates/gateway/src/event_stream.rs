//! Event streams: subscribe-only readers that have nothing but an HTTP client.
//!
//! The gateway is the client of the node here: it connects on a mailbox, attaches the channels, and
//! writes what is delivered as the body of one answer. Nothing of the session is kept for a later
//! request but the channels' logs: a reader goes on from the id of the last event that it has.
//!
//! Invariants: an id covers exactly the events up to its own, so that a reader that goes on from it
//! gets each later one once; what cannot be had is told as an `error` event.

mod feed;

mod framing;

mod position;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use node::{Event, Origin};
use protocol::Format;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use types::{ErrorInfo, error};

use self::feed::{Feed, Step};
pub(crate) use self::{
    feed::{Contents, Wanted},
    framing::{Framing, Heartbeats},
    position::Position,
};
use crate::{
    body::Body,
    hub::{Hub, Transport},
    mailbox::Mailbox,
};

/// How long a reader may take nothing while there is something for it.
const WRITE_STALL: Duration = Duration::from_secs(30);

/// Connects, and returns the stream once it can begin, or why it cannot.
pub(crate) async fn open(
    hub: &Arc<Hub>,
    query: Vec<(String, String)>,
    origin: Origin,
    wanted: Wanted,
) -> Result<Body, ErrorInfo> {
    let (transport, mailbox) = hub.open_mailbox(Format::Json);
    let (sender, body) = Body::live();
    let (begun, begins) = oneshot::channel();
    let (format, origin) = (Format::Json, Box::new(origin));
    let connect = Event::Connect { transport: transport.id, format, query, origin };
    let stream = Stream {
        hub: Arc::clone(hub),
        transport,
        mailbox,
        feed: Feed::new(wanted),
        body: sender,
        begun: Some(begun),
    };
    tokio::spawn(stream.run(connect));
    match timeout(hub.reply_deadline(), begins).await {
        Ok(Ok(Ok(()))) => Ok(body),
        Ok(Ok(Err(error))) => Err(error),
        Ok(Err(_)) => Err(error::SERVER_LEAVING.info()),
        Err(_) => Err(error::TIMEOUT.info()),
    }
}

struct Stream {
    hub: Arc<Hub>,
    transport: Transport,
    mailbox: Arc<Mailbox>,
    feed: Feed,
    body: mpsc::Sender<Bytes>,
    /// Until the stream has begun: what waits to hear of it.
    begun: Option<oneshot::Sender<Result<(), ErrorInfo>>>,
}

/// Nobody is there any more, on one side or the other.
struct Gone;

impl Stream {
    async fn run(mut self, connect: Event) {
        let id = self.transport.id;
        if self.hub.tell(connect).await.is_ok() {
            // Both ends of it are the end.
            self.carry().await.ok();
        }
        drop(self.transport);
        // A node that is gone needs no news.
        self.hub.tell(Event::TransportClosed { transport: id }).await.ok();
    }

    async fn carry(&mut self) -> Result<(), Gone> {
        loop {
            let frames = tokio::select! {
                () = self.body.closed() => return Err(Gone),
                frames = self.mailbox.next() => frames.ok_or(Gone)?,
            };
            for frame in frames {
                let step = protocol::decode(Format::Json, &frame).and_then(|f| self.feed.take(&f));
                match step {
                    Ok(Some(step)) => self.follow(step).await?,
                    Ok(None) => {}
                    Err(error) => return self.end(error).await,
                }
            }
        }
    }

    async fn follow(&mut self, step: Step) -> Result<(), Gone> {
        match step {
            Step::Attach(frames) => {
                for frame in frames {
                    let frame = Box::new(frame);
                    let event = Event::Frame { transport: self.transport.id, frame };
                    self.hub.tell(event).await.map_err(|_node_gone| Gone)?;
                }
                Ok(())
            }
            Step::Begin(text) | Step::Write(text) => {
                self.begin(Ok(()));
                self.write(text).await
            }
        }
    }

    /// An end before the beginning is the answer; later it is the last event.
    async fn end(&mut self, error: ErrorInfo) -> Result<(), Gone> {
        match self.begun {
            Some(_) => {
                self.begin(Err(error));
                Ok(())
            }
            None => self.write(self.feed.framing().error(&error)).await,
        }
    }

    fn begin(&mut self, outcome: Result<(), ErrorInfo>) {
        if let Some(begun) = self.begun.take() {
            // A client that has gone meanwhile closes the body too.
            begun.send(outcome).ok();
        }
    }

    async fn write(&self, text: String) -> Result<(), Gone> {
        if text.is_empty() {
            return Ok(());
        }
        match timeout(WRITE_STALL, self.body.send(text.into())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }
}

#[cfg(test)]
mod tests;
