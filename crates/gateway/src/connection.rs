//! One WebSocket connection as the node sees it: a transport that opens, brings frames, and closes.
//!
//! The format that the connect URL asks for is the connection's: a frame of the other kind (text
//! on a MessagePack connection, binary on a JSON one) is a bad frame, whatever is in it. Frames are
//! decoded here, on the connection's task, outside of the node's turns, which come one after the other.
//!
//! Invariants: the node hears of a transport once that it is open and then once that it is closed,
//! and its frames in between and in order; nothing is read from a client while the node is busy.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use node::{Event, Origin, TransportId};
use protocol::{Format, ProtocolMessage};
use tokio::net::TcpStream;
use types::{ErrorInfo, error};

use crate::{
    events::items,
    hub::{Hub, Transport},
    ws::{self, Ended, Handler, Intake, Message, Outbox},
};

/// How long a peer may accept nothing while there is something to send.
const WRITE_STALL: Duration = Duration::from_secs(30);

/// Frames in one event, and items in their lists with which it is handed over earlier.
const MAX_GATHERED: usize = 64;
const MANY_ITEMS: usize = 1_024;

/// How long closing may take, from the decision to the end of the stream.
const LINGER: Duration = Duration::from_secs(5);

/// A connection that the node knows of.
pub(crate) struct Opened {
    transport: Transport,
    outbox: Arc<Outbox>,
    format: Format,
}

/// Tells the node of a stream after the handshake. `query` are the decoded parameters of the connect
/// URL, `origin` what else its request said. None if there is no node any more.
pub(crate) async fn open(
    stream: TcpStream,
    hub: &Arc<Hub>,
    query: Vec<(String, String)>,
    origin: Origin,
) -> Option<Opened> {
    let format = format_of(&query);
    let (transport, outbox) = hub.open_socket(format, stream);
    let origin = Box::new(origin);
    let connect = Event::Connect { transport: transport.id, format, query, origin };
    hub.tell(connect).await.ok()?;
    Some(Opened { transport, outbox, format })
}

/// Serves a connection until it is over. `leftover` is what was read beyond the handshake.
pub(crate) async fn serve(opened: Opened, hub: Arc<Hub>, leftover: Vec<u8>, max_message: usize) {
    let Opened { transport, outbox, format } = opened;
    let id = transport.id;
    let limits = ws::Limits { max_message, write_stall: WRITE_STALL, linger: LINGER };
    let mut inbound = Inbound {
        hub,
        transport: id,
        format,
        gathered: Vec::new(),
        items: 0,
        bytes: 0,
        waiting: VecDeque::new(),
    };
    let ended = ws::run(outbox, leftover, limits, &mut inbound).await;
    drop(transport);
    log(id, &ended);
    // What came last is not lost because the node was busy then.
    inbound.ready().await;
    // A node that is gone needs no news.
    inbound.hub.tell(Event::TransportClosed { transport: id }).await.ok();
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

/// Turns what a peer sends into events, and waits for the node to have room for them. What one read
/// brings is one event, so that it is worked off in one turn.
struct Inbound {
    hub: Arc<Hub>,
    transport: TransportId,
    format: Format,
    gathered: Vec<ProtocolMessage>,
    items: usize,
    /// Bytes that are not counted yet.
    bytes: usize,
    /// Events that there was no room for.
    waiting: VecDeque<Event>,
}

impl Inbound {
    fn decode_text(&mut self, text: &str) -> Result<(), ErrorInfo> {
        match self.format {
            Format::Json => protocol::decode_json_onto(self.room(), text),
            Format::MessagePack => {
                Err(error::PROTOCOL_ERROR.with("a text frame on a MessagePack connection"))
            }
        }
    }

    fn decode_binary(&mut self, bytes: &[u8]) -> Result<(), ErrorInfo> {
        match self.format {
            Format::Json => Err(error::PROTOCOL_ERROR.with("a binary frame on a JSON connection")),
            Format::MessagePack => protocol::decode_msgpack_onto(self.room(), bytes),
        }
    }

    /// The list, with room for one more.
    fn room(&mut self) -> &mut Vec<ProtocolMessage> {
        match self.gathered.len() {
            // Most reads bring one, and those that bring more bring many: frames are large.
            0 => self.gathered.reserve_exact(1),
            1 => self.gathered.reserve_exact(MAX_GATHERED - 1),
            _ => {}
        }
        &mut self.gathered
    }

    /// Once for all that comes together: others count in the same place.
    fn count(&mut self, frames: usize) {
        let counters = self.hub.counters();
        counters.frames_in.fetch_add(u64::try_from(frames).unwrap_or(u64::MAX), Relaxed);
        let bytes = std::mem::take(&mut self.bytes);
        counters.bytes_in.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Relaxed);
    }

    fn hand_over(&mut self, event: Event) -> Intake {
        if !self.waiting.is_empty() {
            self.waiting.push_back(event);
        } else if let Some(event) = self.hub.try_tell(event) {
            self.waiting.push_back(event);
        }
        if self.waiting.is_empty() { Intake::More } else { Intake::Full }
    }
}

impl Handler for Inbound {
    fn on_message(&mut self, message: Message<'_>) -> Intake {
        let (decoded, bytes) = match message {
            Message::Text(text) => (self.decode_text(&text), text.len()),
            Message::Binary(bytes) => (self.decode_binary(&bytes), bytes.len()),
            Message::Close(_) | Message::Ping(_) | Message::Pong(_) => return Intake::More,
        };
        self.bytes += bytes;
        match decoded {
            Ok(()) => {
                self.items += self.gathered.last().map_or(0, items);
                if self.gathered.len() < MAX_GATHERED && self.items < MANY_ITEMS {
                    Intake::More
                } else {
                    self.on_pause()
                }
            }
            Err(error) => {
                self.on_pause();
                self.count(1);
                self.hand_over(Event::BadFrame { transport: self.transport, error })
            }
        }
    }

    fn on_pause(&mut self) -> Intake {
        let frames = std::mem::take(&mut self.gathered);
        if frames.is_empty() {
            return Intake::More;
        }
        self.items = 0;
        self.count(frames.len());
        self.hand_over(Event::Frames { transport: self.transport, frames })
    }

    async fn ready(&mut self) {
        while !self.waiting.is_empty() && self.hub.tell_first(&mut self.waiting).await.is_ok() {}
    }
}

#[cfg(test)]
mod tests;
