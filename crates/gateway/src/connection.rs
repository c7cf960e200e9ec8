//! One WebSocket connection as the node sees it: a transport that opens, brings frames, and closes.
//!
//! The format that the connect URL asks for is the connection's: a frame of the other kind (text
//! on a MessagePack connection, binary on a JSON one) is a bad frame, whatever is in it. Frames are
//! decoded here, on the connection's task, so that the node's thread does not have to.
//!
//! Invariants: the node hears of a transport once that it is open and then once that it is closed,
//! and its frames in between and in order; nothing is read from a client while the node is busy.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;
use node::{Event, Origin, TransportId};
use protocol::Format;
use tokio::{net::TcpStream, sync::mpsc::error::TrySendError};
use types::error;

use crate::{
    hub::Hub,
    ws::{self, Ended, Handler, Intake, Opcode},
};

/// How long a peer may accept nothing while there is something to send.
const WRITE_STALL: Duration = Duration::from_secs(30);

/// How long closing may take, from the decision to the end of the stream.
const LINGER: Duration = Duration::from_secs(5);

/// Serves a stream after the handshake until it is over. `leftover` is what was read beyond it,
/// `query` the decoded parameters of the connect URL, `origin` what else its request said.
pub(crate) async fn run(
    stream: TcpStream,
    leftover: Bytes,
    hub: Arc<Hub>,
    query: Vec<(String, String)>,
    origin: Origin,
    max_message: usize,
) {
    let format = format_of(&query);
    let (stream, sink) = stream.into_split();
    let (transport, outbox) = hub.open_socket(format, sink);
    let id = transport.id;
    let origin = Box::new(origin);
    if hub.events().send(Event::Connect { transport: id, format, query, origin }).await.is_err() {
        return;
    }
    let limits = ws::Limits { max_message, write_stall: WRITE_STALL, linger: LINGER };
    let mut inbound = Inbound { hub: Arc::clone(&hub), transport: id, format, waiting: None };
    let ended = ws::run(stream, leftover, outbox, limits, &mut inbound).await;
    drop(transport);
    log(id, &ended);
    // A node that is gone needs no news.
    hub.events().send(Event::TransportClosed { transport: id }).await.ok();
}

fn format_of(query: &[(String, String)]) -> Format {
    query
        .iter()
        .find(|(name, _)| name == "format")
        .and_then(|(_, value)| Format::from_param(value))
        .unwrap_or_default()
}

fn log(transport: TransportId, ended: &Ended) {
    tracing::debug!(transport = transport.0, ?ended, "connection ended");
}

/// Turns what a peer sends into events, and waits for the node to have room for them.
struct Inbound {
    hub: Arc<Hub>,
    transport: TransportId,
    format: Format,
    /// The event that there was no room for.
    waiting: Option<Event>,
}

impl Inbound {
    fn event(&self, opcode: Opcode, payload: &[u8]) -> Option<Event> {
        let transport = self.transport;
        let decoded = match (opcode, self.format) {
            (Opcode::Text, Format::Json) | (Opcode::Binary, Format::MessagePack) => {
                protocol::decode(self.format, payload)
            }
            (Opcode::Text, Format::MessagePack) => {
                Err(error::PROTOCOL_ERROR.with("a text frame on a MessagePack connection"))
            }
            (Opcode::Binary, Format::Json) => {
                Err(error::PROTOCOL_ERROR.with("a binary frame on a JSON connection"))
            }
            (Opcode::Ping | Opcode::Pong | Opcode::Close, _) => return None,
        };
        Some(match decoded {
            Ok(frame) => Event::Frame { transport, frame },
            Err(error) => Event::BadFrame { transport, error },
        })
    }
}

impl Handler for Inbound {
    fn on_message(&mut self, opcode: Opcode, payload: Bytes) -> Intake {
        let Some(event) = self.event(opcode, &payload) else { return Intake::More };
        let counters = self.hub.counters();
        counters.frames_in.fetch_add(1, Relaxed);
        counters.bytes_in.fetch_add(u64::try_from(payload.len()).unwrap_or(u64::MAX), Relaxed);
        match self.hub.events().try_send(event) {
            Ok(()) | Err(TrySendError::Closed(_)) => Intake::More,
            Err(TrySendError::Full(event)) => {
                self.waiting = Some(event);
                Intake::Full
            }
        }
    }

    async fn ready(&mut self) {
        if let Ok(room) = self.hub.events().reserve().await
            && let Some(event) = self.waiting.take()
        {
            room.send(event);
        }
    }
}

#[cfg(test)]
mod tests;
