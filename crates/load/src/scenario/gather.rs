//! Brings connections to where a scenario begins: connected, and subscribed if they are to be.

use std::collections::BTreeMap;

use crate::LoadError;
use crate::engine::{Engine, Player};
use crate::latency::Latency;
use crate::wire::{Channel, Event};

/// Connections that are being made ready at a time, where nothing depends on it.
const FEW: usize = 128;
/// Seconds without any step forward.
const PATIENCE_SECONDS: u64 = 10;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Publisher,
    /// Of the channel with this index.
    Subscriber(u32),
    /// Of the channel with this index; it publishes nothing but its presence.
    Member(u32),
    /// Nothing: it is there.
    Idle,
}

/// When the next connection is begun.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Opening {
    /// So that no more than a few are being made.
    AFew,
    AtOnce,
    /// As many per second.
    Rate(f64),
}

pub(super) struct Gathered {
    pub(super) connections: Vec<usize>,
    /// From when a connection was to be begun until it was ready, and subscribed if it was to be.
    pub(super) latency: Latency,
    pub(super) joined: usize,
    /// What subscribers were told when they were ready.
    pub(super) greetings: BTreeMap<usize, Vec<u8>>,
    /// Why the first that was ended was ended.
    pub(super) ended: Option<(usize, String)>,
}

/// Makes as many clients as there are roles and connects them all, in order.
pub(super) fn gather(
    engine: &mut Engine,
    roles: &[Role],
    channels: &[Channel],
    opening: Opening,
) -> Result<Gathered, LoadError> {
    let connections = roles.iter().map(|_| engine.add()).collect();
    reconnect(engine, connections, roles, channels, opening)
}

/// Connects clients, which follow each other in number, whether they were connected before or not.
pub(super) fn reconnect(
    engine: &mut Engine,
    connections: Vec<usize>,
    roles: &[Role],
    channels: &[Channel],
    opening: Opening,
) -> Result<Gathered, LoadError> {
    let listens = |role: &Role| matches!(role, Role::Subscriber(_) | Role::Member(_));
    if !engine.wire().delivers() && roles.iter().any(listens) {
        return Err(LoadError::Usage("this wire has no subscriptions".to_owned()));
    }
    let mut gathering = Gathering {
        roles,
        first: connections.first().copied().unwrap_or_default(),
        channels,
        opening,
        due: engine.now() as f64,
        begun: Vec::with_capacity(roles.len()),
        greeted: Vec::new(),
        settled: vec![false; roles.len()],
        done: 0,
        gathered: Gathered {
            connections,
            latency: Latency::new(),
            joined: 0,
            greetings: BTreeMap::new(),
            ended: None,
        },
    };
    let patience = PATIENCE_SECONDS * 1_000_000_000;
    let (mut done, mut until) = (0, engine.now() + patience);
    gathering.act(engine)?;
    while gathering.done < roles.len() && engine.now() < until {
        engine.turn(&mut gathering, until)?;
        if gathering.done > done {
            (done, until) = (gathering.done, engine.now() + patience);
        }
    }
    Ok(gathering.gathered)
}

impl Gathered {
    /// The connections, if every one is ready.
    pub(super) fn all(self) -> Result<Vec<usize>, LoadError> {
        if let Some((connection, reason)) = self.ended {
            return Err(LoadError::Ended { connection, reason });
        }
        let waiting = self.connections.len() - self.joined;
        if waiting > 0 {
            return Err(LoadError::NotReady { seconds: PATIENCE_SECONDS, waiting });
        }
        Ok(self.connections)
    }
}

struct Gathering<'a> {
    roles: &'a [Role],
    first: usize,
    channels: &'a [Channel],
    opening: Opening,
    due: f64,
    /// When each connection was to be begun, of those that have been.
    begun: Vec<u64>,
    /// Ready, but not yet told what to do.
    greeted: Vec<usize>,
    /// Whether each connection has joined, or was ended.
    settled: Vec<bool>,
    /// How many have.
    done: usize,
    gathered: Gathered,
}

impl Gathering<'_> {
    fn join(&mut self, connection: usize, now: u64) {
        let begun = self.begun.get(connection.wrapping_sub(self.first)).copied();
        if self.settle(connection) {
            self.gathered.joined += 1;
            self.gathered.latency.record(now.saturating_sub(begun.unwrap_or(now)));
        }
    }

    /// Whether it is for the first time.
    fn settle(&mut self, connection: usize) -> bool {
        let settled = self.settled.get_mut(connection.wrapping_sub(self.first));
        let first = settled.is_some_and(|settled| !std::mem::replace(settled, true));
        self.done += usize::from(first);
        first
    }

    /// When the next connection is to be begun; none if not yet.
    fn next_is_due(&self, now: u64) -> Option<u64> {
        match self.opening {
            Opening::AtOnce => Some(now),
            Opening::AFew => (self.begun.len() < self.done + FEW).then_some(now),
            Opening::Rate(_) => (self.due <= now as f64).then_some(self.due as u64),
        }
    }
}

impl Player for Gathering<'_> {
    fn hear(&mut self, connection: usize, event: Event<'_>, now: u64) {
        match event {
            Event::Ready(frame) => match self.roles.get(connection.wrapping_sub(self.first)) {
                Some(Role::Idle) | None => self.join(connection, now),
                Some(Role::Publisher) => {
                    self.greeted.push(connection);
                    self.join(connection, now);
                }
                Some(Role::Subscriber(_)) => {
                    self.gathered.greetings.insert(connection, frame.to_vec());
                    self.greeted.push(connection);
                }
                Some(Role::Member(_)) => self.greeted.push(connection),
            },
            Event::Subscribed(_) => self.join(connection, now),
            Event::Ended(reason) => {
                self.settle(connection);
                self.gathered.ended.get_or_insert((connection, reason));
            }
            Event::Message(_)
            | Event::Acknowledged { .. }
            | Event::Refused { .. }
            | Event::Answered(_)
            | Event::Reply(_)
            | Event::Other(_) => {}
        }
    }

    fn act(&mut self, engine: &mut Engine) -> Result<(), LoadError> {
        while let Some(connection) = self.greeted.pop() {
            let role = self.roles.get(connection.wrapping_sub(self.first));
            let channel = |index: &u32| self.channels.get(*index as usize);
            engine.write(connection, |wire, out| match role {
                Some(Role::Subscriber(index)) => {
                    channel(index).inspect(|channel| wire.subscribe(channel, out));
                }
                Some(Role::Member(index)) => {
                    let realtime = wire.realtime().zip(channel(index));
                    realtime.inspect(|(wire, channel)| wire.attach_member(channel, out));
                }
                Some(Role::Publisher) => wire.introduce_publisher(out),
                Some(Role::Idle) | None => {}
            });
            engine.flush(connection)?;
        }
        while let Some(due) = self.next_is_due(engine.now())
            && let Some(connection) = self.gathered.connections.get(self.begun.len())
        {
            engine.connect(*connection)?;
            self.begun.push(due);
            if let Opening::Rate(rate) = self.opening {
                self.due += 1e9 / rate;
            }
        }
        Ok(())
    }

    fn due(&self) -> Option<u64> {
        let open = self.begun.len() < self.roles.len();
        (open && matches!(self.opening, Opening::Rate(_))).then_some(self.due as u64)
    }
}
