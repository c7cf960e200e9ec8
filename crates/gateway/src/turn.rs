//! What the node sends in one turn: frames for the same connections leave together, so that a write
//! carries as many as there are.
//!
//! Invariants: frames of one channel reach a connection in the order in which they were handed over, and
//! so do those that are for one connection alone. Acknowledgements may pass deliveries, and
//! deliveries of one channel those of another; nothing else passes anything.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use node::{ChannelKey, TransportId};

use crate::hub::Hub;

/// Bytes that are joined at most, or one frame that is longer.
const MAX_RUN: usize = 128 << 10;

#[derive(Debug)]
pub struct Turn {
    hub: Arc<Hub>,
    runs: Vec<Run>,
    /// Of each channel the runs that may still grow: none of them shares a connection with another.
    growing: HashMap<ChannelKey, Vec<usize>>,
    /// Frames for one connection each.
    single: Vec<(TransportId, Bytes)>,
    /// Whether one of those must not be passed.
    ordered: bool,
}

/// Frames that go to the same connections.
#[derive(Debug)]
struct Run {
    transports: Arc<[TransportId]>,
    frames: Vec<Bytes>,
    bytes: usize,
}

impl Turn {
    pub fn new(hub: Arc<Hub>) -> Self {
        Self { hub, runs: Vec::new(), growing: HashMap::new(), single: Vec::new(), ordered: false }
    }

    /// Carries out [`node::Effect::Deliver`].
    pub fn deliver(&mut self, channel: ChannelKey, transports: Arc<[TransportId]>, frame: Bytes) {
        if self.ordered {
            self.flush();
        }
        let growing = self.growing.entry(channel).or_default();
        for at in growing.iter() {
            if let Some(run) = self.runs.get_mut(*at)
                && Arc::ptr_eq(&run.transports, &transports)
                && run.bytes + frame.len() <= MAX_RUN
            {
                run.bytes += frame.len();
                run.frames.push(frame);
                return;
            }
        }
        let known = growing.iter().filter_map(|at| self.runs.get(*at));
        if known.into_iter().any(|run| meet(&run.transports, &transports)) {
            growing.clear();
        }
        growing.push(self.runs.len());
        self.runs.push(Run { transports, bytes: frame.len(), frames: vec![frame] });
    }

    /// Carries out [`node::Effect::Send`].
    pub fn send(&mut self, transport: TransportId, frame: Bytes) {
        if !self.runs.is_empty() {
            self.flush();
        }
        self.single.push((transport, frame));
        self.ordered = true;
    }

    /// Carries out [`node::Effect::Acknowledge`].
    pub fn acknowledge(&mut self, transport: TransportId, frame: Bytes) {
        self.single.push((transport, frame));
    }

    /// Carries out [`node::Effect::Ping`].
    pub fn ping(&mut self, transport: TransportId) {
        self.flush();
        self.hub.ping(transport);
    }

    /// Carries out [`node::Effect::Close`].
    pub fn close(&mut self, transport: TransportId) {
        self.flush();
        self.hub.close(transport);
    }

    /// Hands over all that has gathered: at the end of the turn at the latest.
    pub fn flush(&mut self) {
        self.ordered = false;
        self.single.sort_by_key(|(transport, _)| *transport);
        for same in self.single.chunk_by(|(one, _), (other, _)| one == other) {
            let frames: Vec<&Bytes> = same.iter().map(|(_, frame)| frame).collect();
            self.hub.deliver(same.first().map(|(transport, _)| *transport).as_slice(), &frames);
        }
        self.single.clear();
        self.growing.clear();
        for run in self.runs.drain(..) {
            self.hub.deliver(&run.transports, &run.frames.iter().collect::<Vec<_>>());
        }
    }
}

/// Whether two lists, both in order, have anybody in common.
fn meet(one: &[TransportId], other: &[TransportId]) -> bool {
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    while let (Some(left), Some(right)) = (one.peek(), other.peek()) {
        match left.cmp(right) {
            std::cmp::Ordering::Less => one.next(),
            std::cmp::Ordering::Greater => other.next(),
            std::cmp::Ordering::Equal => return true,
        };
    }
    false
}

#[cfg(test)]
mod tests;
