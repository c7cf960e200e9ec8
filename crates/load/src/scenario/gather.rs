//! Brings connections to where a scenario begins: connected, and subscribed if they are to be.

use crate::LoadError;
use crate::engine::{Engine, Player};
use crate::wire::{Channel, Event};

/// Connections that are being made ready at a time.
const OPENING_MAX: usize = 128;
/// Seconds without any step forward.
const PATIENCE_SECONDS: u64 = 10;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Publisher,
    /// Of the channel with this index.
    Subscriber(u32),
}

/// Connects them all; their numbers, in order.
pub(super) fn gather(
    engine: &mut Engine,
    roles: &[Role],
    channels: &[Channel],
) -> Result<Vec<usize>, LoadError> {
    let connections: Vec<usize> = roles.iter().map(|_| engine.add()).collect();
    let mut gathering = Gathering {
        waiting: connections.iter().copied().zip(roles.iter().copied()).collect(),
        roles,
        first: connections.first().copied().unwrap_or_default(),
        channels,
        greeted: Vec::new(),
        opening: 0,
        joined: 0,
        ended: None,
    };
    gathering.waiting.reverse();
    let patience = PATIENCE_SECONDS * 1_000_000_000;
    let (mut joined, mut until) = (0, engine.now() + patience);
    gathering.act(engine)?;
    while gathering.joined < roles.len() {
        engine.turn(&mut gathering, until)?;
        if gathering.joined > joined {
            (joined, until) = (gathering.joined, engine.now() + patience);
        } else if engine.now() >= until {
            let waiting = roles.len() - joined;
            return Err(LoadError::NotReady { seconds: PATIENCE_SECONDS, waiting });
        }
    }
    Ok(connections)
}

struct Gathering<'a> {
    waiting: Vec<(usize, Role)>,
    roles: &'a [Role],
    first: usize,
    channels: &'a [Channel],
    /// Ready, but not yet told what to do.
    greeted: Vec<usize>,
    opening: usize,
    joined: usize,
    ended: Option<LoadError>,
}

impl Gathering<'_> {
    fn join(&mut self) {
        self.joined += 1;
        self.opening = self.opening.saturating_sub(1);
    }
}

impl Player for Gathering<'_> {
    fn hear(&mut self, connection: usize, event: Event<'_>, _now: u64) {
        match event {
            Event::Ready(_) => self.greeted.push(connection),
            Event::Subscribed(_) => self.join(),
            Event::Ended(reason) => self.ended = Some(LoadError::Ended { connection, reason }),
            Event::Message(_)
            | Event::Acknowledged { .. }
            | Event::Refused { .. }
            | Event::Reply(_)
            | Event::Other(_) => {}
        }
    }

    fn act(&mut self, engine: &mut Engine) -> Result<(), LoadError> {
        if let Some(ended) = self.ended.take() {
            return Err(ended);
        }
        while let Some(connection) = self.greeted.pop() {
            match self.roles.get(connection - self.first) {
                Some(Role::Subscriber(channel)) => {
                    if let Some(channel) = self.channels.get(*channel as usize) {
                        engine.subscribe(connection, channel);
                    }
                }
                Some(Role::Publisher) | None => {
                    engine.introduce_publisher(connection);
                    self.join();
                }
            }
            engine.flush(connection)?;
        }
        while self.opening < OPENING_MAX
            && let Some((connection, _)) = self.waiting.pop()
        {
            engine.connect(connection)?;
            self.opening += 1;
        }
        Ok(())
    }

    fn due(&self) -> Option<u64> {
        None
    }
}
