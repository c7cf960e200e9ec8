//! Who publishes where to whom, and how they come together.

use std::collections::{BTreeMap, BTreeSet};

use super::Run;
use super::gather::{self, Opening, Role};
use crate::engine::Engine;
use crate::marker;
use crate::wire::Channel;
use crate::{LoadError, Pace};

/// What is broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Messages,
    /// Members who enter and leave.
    Presence,
}

/// By index of channel.
pub(super) struct Topology {
    pub(super) kind: Kind,
    pub(super) subscribers: Vec<u32>,
    pub(super) streams: Vec<u32>,
    /// Connections that the streams are dealt out to.
    pub(super) publishers: u32,
    /// Further subscribers of the first channel, who stop reading before the first message.
    pub(super) stalled: u32,
    pub(super) pace: Pace,
}

/// Everybody of a topology is connected and subscribed.
pub(super) struct Stage {
    /// The number of the first connection.
    pub(super) first: usize,
    pub(super) channels: Vec<Channel>,
    /// What subscribers were told when they connected.
    pub(super) greetings: BTreeMap<usize, Vec<u8>>,
    /// Whether publishers are told what became of a message.
    pub(super) acknowledges: bool,
}

impl Topology {
    /// Of one channel; each publisher is a stream.
    pub(super) fn one_channel(subscribers: u32, publishers: u32, pace: Pace) -> Self {
        Self {
            kind: Kind::Messages,
            subscribers: vec![0; subscribers as usize],
            streams: vec![0; publishers as usize],
            publishers,
            stalled: 0,
            pace,
        }
    }

    pub(super) fn connections(&self) -> usize {
        self.publishers as usize + self.subscribers.len() + self.stalled as usize
    }

    fn roles(&self) -> Vec<Role> {
        let publisher = match self.kind {
            Kind::Messages => Role::Publisher,
            Kind::Presence => Role::Member(0),
        };
        let publishers = (0..self.publishers).map(|_| publisher);
        let hearers = self.subscribers.iter().copied().chain((0..self.stalled).map(|_| 0));
        publishers.chain(hearers.map(Role::Subscriber)).collect()
    }
}

impl Stage {
    pub(super) fn join(
        run: &mut Run<'_>,
        engine: &mut Engine,
        topology: &Topology,
        channels: Vec<Channel>,
    ) -> Result<Self, LoadError> {
        let Topology { subscribers, streams, publishers, stalled, .. } = topology;
        let heard: BTreeSet<&u32> = subscribers.iter().collect();
        let unheard = streams.iter().any(|channel| !heard.contains(channel));
        if unheard || streams.is_empty() || *publishers == 0 {
            let missing = "somebody has to publish on each channel, and somebody to subscribe";
            return Err(LoadError::Usage(missing.to_owned()));
        }
        if streams.len() > marker::STREAMS_MAX as usize {
            return Err(LoadError::Usage(format!("at most {} streams", marker::STREAMS_MAX)));
        }
        if topology.kind == Kind::Presence && engine.wire().realtime().is_none() {
            return Err(LoadError::Usage("only the wire json has presence".to_owned()));
        }
        let roles = topology.roles();
        run.tell(&format!("{} connections", roles.len()))?;
        let mut gathered = gather::gather(engine, &roles, &channels, Opening::AFew)?;
        let greetings = std::mem::take(&mut gathered.greetings);
        let connections = gathered.all()?;
        for connection in connections.iter().rev().take(*stalled as usize) {
            engine.stop_reading(*connection)?;
        }
        let first = connections.first().copied().unwrap_or_default();
        Ok(Self { first, channels, greetings, acknowledges: engine.wire().acknowledges() })
    }
}
