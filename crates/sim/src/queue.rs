//! What is going to happen, in the order of virtual time; ties happen in the order of scheduling.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use node::{AttachmentId, ChannelKey, RequestId, Ticket};
use protocol::ProtocolMessage;
use session::TransportId;
use types::{Entry, ErrorInfo, ItemPosition, Timestamp};

use crate::truth::End;

/// What arrives at the node over a transport.
#[derive(Debug)]
pub(crate) enum Uplink {
    Opened(Vec<(String, String)>),
    Bytes(Bytes),
    Closed,
}

/// What arrives at a client over a transport.
#[derive(Debug)]
pub(crate) enum Downlink {
    Frame(Arc<ProtocolMessage>, Option<End>),
    Ping,
    Closed,
}

#[derive(Debug)]
pub(crate) enum Happening {
    ToNode(TransportId, Uplink),
    ToClient(TransportId, Downlink),
    /// The node's own deadline; the number is its incarnation.
    NodeTick(u64),
    /// A timer of the client with this index.
    ClientTimer(usize),
    /// The store has worked off a write of this incarnation.
    Written {
        incarnation: u64,
        channel: ChannelKey,
        entry: Arc<Entry>,
        outcome: Write,
    },
    /// The store has worked off changes of records.
    Changed {
        incarnation: u64,
        ticket: Option<Ticket>,
        outcome: Write,
    },
    Read {
        incarnation: u64,
        channel: ChannelKey,
        name: Arc<str>,
        wanted: Wanted,
        error: Option<ErrorInfo>,
    },
    ReadBacklog {
        incarnation: u64,
        channel: ChannelKey,
        attachment: AttachmentId,
        entries: Result<Vec<Arc<Entry>>, ErrorInfo>,
    },
    /// A REST publisher sends its request, hears the answer, or gives up waiting.
    RestSend(usize),
    RestReply {
        publisher: usize,
        request: RequestId,
        result: Result<(), ErrorInfo>,
    },
    RestTimeout {
        publisher: usize,
        request: RequestId,
    },
    Restart,
    Work,
    Fault,
}

/// What a host wants to read of its channel.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// What is newer than this.
    Since(Timestamp),
    /// What was said of these messages.
    About(BTreeSet<ItemPosition>),
}

/// The fate of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    Durable,
    Failed,
    /// Reported as failed, but there.
    FailedButThere,
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    happenings: BTreeMap<(Timestamp, u64), Happening>,
    scheduled: u64,
}

impl Queue {
    pub(crate) fn push(&mut self, at: Timestamp, happening: Happening) {
        self.scheduled += 1;
        self.happenings.insert((at, self.scheduled), happening);
    }

    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.happenings.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the next happening if it is at `at`, and wanted.
    pub(crate) fn pop_if(
        &mut self,
        at: Timestamp,
        is_wanted: impl FnOnce(&Happening) -> bool,
    ) -> Option<Happening> {
        let next = self.happenings.first_entry()?;
        (next.key().0 == at && is_wanted(next.get())).then(|| next.remove())
    }

    pub(crate) fn pop(&mut self) -> Option<(Timestamp, Happening)> {
        self.happenings.pop_first().map(|((at, _), happening)| (at, happening))
    }
}
