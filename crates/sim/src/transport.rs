//! A transport: two streams of frames that keep their order, delay what they carry, and can be cut at any
//! frame. What is in flight when a stream is cut is lost, and each end learns of it when it does.

use protocol::Format;
use session::TransportId;
use types::Timestamp;

/// How frames travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// Each by itself.
    #[default]
    Socket,
    /// In requests and answers, one at a time: what comes up meanwhile travels together with the next.
    Comet,
}

/// One direction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stream {
    framing: Framing,
    /// When the last request leaves or left, and the next one may.
    departure: Timestamp,
    free: Timestamp,
    /// When the last frame arrives.
    last: Timestamp,
    stalled_until: Timestamp,
    pub(crate) cut: bool,
    /// Frames that still arrive before the transport breaks by itself.
    breaks_after: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Transport {
    pub(crate) format: Format,
    pub(crate) up: Stream,
    pub(crate) down: Stream,
    /// Whether the node still counts on it.
    pub(crate) open: bool,
}

/// How the ends of a broken transport learn of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Both, soon.
    Clean,
    /// The client soon, the node after this many milliseconds.
    HalfOpen(u64),
    /// The client by its own idle timer, the node after this many milliseconds.
    Silent(u64),
}

impl Stream {
    /// When a frame that is sent now arrives; none if it never does.
    pub(crate) fn send(&mut self, now: Timestamp, latency: u64) -> Option<Timestamp> {
        if self.cut {
            return None;
        }
        if self.framing == Framing::Comet && now < self.departure {
            return Some(self.last);
        }
        let departure = match self.framing {
            Framing::Socket => now,
            Framing::Comet => now.max(self.free),
        };
        let at = Timestamp(departure.0 + latency).max(self.last).max(self.stalled_until);
        (self.departure, self.free) = (departure, Timestamp(at.0 + latency));
        self.last = at;
        Some(at)
    }

    pub(crate) fn stall(&mut self, until: Timestamp) {
        self.stalled_until = until;
    }

    pub(crate) fn break_after(&mut self, frames: u64) {
        self.breaks_after = Some(frames);
    }

    /// Counts a frame that arrives; says whether it is the one that breaks the transport.
    pub(crate) fn breaks_now(&mut self) -> bool {
        let left = self.breaks_after;
        self.breaks_after = left.map(|frames| frames.saturating_sub(1));
        left == Some(0)
    }
}

impl Transport {
    pub(crate) fn heal(&mut self) {
        for stream in [&mut self.up, &mut self.down] {
            stream.breaks_after = None;
            stream.stalled_until = Timestamp(0);
        }
    }

    pub(crate) fn new(format: Format, framing: Framing) -> Self {
        let stream = Stream { framing, ..Stream::default() };
        Self { format, up: stream, down: stream, open: true }
    }
}

/// The `count`th transport of a client. Ids are never used again.
pub(crate) fn id(client: usize, count: u64) -> TransportId {
    TransportId(((client as u64) << 32) | count)
}

/// Clients from here on are vandals.
pub(crate) const FIRST_VANDAL: usize = 100_000;

pub(crate) fn is_vandal(transport: TransportId) -> bool {
    transport.0 >> 32 >= FIRST_VANDAL as u64
}
