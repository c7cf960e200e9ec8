//! What the node sends in one turn: frames for the same connections leave together, so that a write
//! carries as many as there are.
//!
//! Invariants: frames of one channel reach a connection in the order in which they were handed over, and
//! so do those that are for one connection alone. A delivery may pass an acknowledgement, and one of
//! another channel; nothing else passes anything, so who publishes is told of it last.

use std::{collections::HashMap, io, sync::Arc};

use bytes::Bytes;
use node::{ChannelKey, TransportId};

use crate::{
    hub::{Hub, MAX_PIECE},
    writers::{Job, Writers},
};

/// Runs of one channel of which any may still grow: more are not worth the search.
const MAX_GROWING: usize = 16;

/// Writes that are done at once: to wake a thread for them would take longer.
const FEW_WRITES: usize = 64;

#[derive(Debug)]
pub struct Turn {
    writers: Writers,
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
    /// With so many threads to help with writing.
    pub fn new(hub: Arc<Hub>, threads: usize) -> io::Result<Self> {
        Ok(Self {
            writers: Writers::start(hub, threads)?,
            runs: Vec::new(),
            growing: HashMap::new(),
            single: Vec::new(),
            ordered: false,
        })
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
                && run.bytes + frame.len() <= MAX_PIECE
            {
                run.bytes += frame.len();
                run.frames.push(frame);
                return;
            }
        }
        let mut known = growing.iter().filter_map(|at| self.runs.get(*at));
        if growing.len() == MAX_GROWING || known.any(|run| meet(&run.transports, &transports)) {
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
        self.hand_over(&[Job::Ping(transport)]);
    }

    /// Carries out [`node::Effect::Close`].
    pub fn close(&mut self, transport: TransportId) {
        self.flush();
        self.hand_over(&[Job::Close(transport)]);
    }

    /// Whether so much is left to write that handing over more might wait for it.
    pub fn may_wait(&self) -> bool {
        self.writers.are_behind()
    }

    /// Hands over all that has gathered: at the end of the turn at the latest.
    pub fn flush(&mut self) {
        if self.single.is_empty() && self.runs.is_empty() {
            return;
        }
        self.ordered = false;
        self.growing.clear();
        self.single.sort_by_key(|(transport, _)| *transport);
        let mut jobs: Vec<Job> = self
            .runs
            .drain(..)
            .map(|Run { transports, frames, .. }| Job::Deliver {
                transports,
                frames: frames.into(),
            })
            .collect();
        let single = self.single.chunk_by(|(one, _), (other, _)| one == other);
        jobs.extend(single.filter_map(|same| {
            let (transport, _) = *same.first()?;
            let frames = same.iter().map(|(_, frame)| frame.clone()).collect();
            Some(Job::Answer { transport, frames })
        }));
        self.single.clear();
        self.hand_over(&jobs);
    }

    fn hand_over(&self, jobs: &[Job]) {
        let writes: usize = jobs.iter().map(|job| job.transports().len()).sum();
        if writes <= FEW_WRITES && self.writers.are_idle() {
            jobs.iter().for_each(|job| self.writers.perform(job));
        } else {
            jobs.iter().for_each(|job| self.writers.dispatch(job));
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
