//! A day in small: many channels and one large one, members who come and go, and clients who lose their
//! connection and make a new one, all at fixed rates.

use super::Run;
use super::broadcast::Broadcast;
use super::gather::{self, Opening, Role};
use super::topology::{Kind, Stage, Topology};
use crate::account::Tally;
use crate::engine::{Engine, Player};
use crate::latency::Latency;
use crate::measure::{Scene, measure};
use crate::watch::Counts;
use crate::wire::Event;
use crate::{LoadError, Pace, Report};

/// Rates are per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mixture {
    pub channels: u32,
    /// Of each channel.
    pub subscribers: u32,
    /// Subscribers of one further channel.
    pub audience: u32,
    pub publishers: u32,
    /// Messages, evenly over all channels.
    pub rate: f64,
    /// On a channel of their own, and all told of each other by as many watchers.
    pub members: u32,
    /// Of members entering or leaving.
    pub presence_rate: f64,
    /// Clients that do nothing but come again.
    pub returning: u32,
    pub reconnect_rate: f64,
}

pub(super) fn run(run: &mut Run<'_>, mixture: Mixture) -> Result<Report, LoadError> {
    let Mixture { channels, subscribers, audience, members, returning, .. } = mixture;
    let hearers = (0..channels).flat_map(|channel| (0..subscribers).map(move |_| channel));
    let messages = Topology {
        kind: Kind::Messages,
        subscribers: hearers.chain((0..audience).map(|_| channels)).collect(),
        streams: (0..=channels).collect(),
        publishers: mixture.publishers,
        stalled: 0,
        pace: Pace::Rate(mixture.rate).check()?,
    };
    let presence = Topology {
        kind: Kind::Presence,
        ..Topology::one_channel(members, members, Pace::Rate(mixture.presence_rate).check()?)
    };
    Pace::Rate(mixture.reconnect_rate).check()?;
    let mut watch = run.watch()?;
    let connections = messages.connections() + presence.connections() + returning as usize;
    let mut engine = run.engine(connections)?;
    let names = run.channels(channels + 1);
    let message_stage = Stage::join(run, &mut engine, &messages, names)?;
    let names = run.channels_named(&format!("{}-members", run.options.channel), 1);
    let presence_stage = Stage::join(run, &mut engine, &presence, names)?;
    let roles = vec![Role::Idle; returning as usize];
    let returning = gather::gather(&mut engine, &roles, &[], Opening::AFew)?.all()?;
    let mut scene = Mixed {
        messages: Broadcast::new(&messages, run, &message_stage),
        presence: Broadcast::new(&presence, run, &presence_stage),
        first_member: presence_stage.first,
        returning: Returning::new(returning, mixture.reconnect_rate),
    };
    let course = run.course();
    let measured = measure(&mut engine, &mut scene, course, &mut watch, run.progress)?;
    let mut report = run.report("mixed", parameters(run, &mixture), &scene, measured);
    report.completion = Some(scene.messages.completion().quantiles());
    let came = scene.returning.came;
    report.notes.push(format!("{came} connections were dropped and made again"));
    report.notes.push("latencies are those of messages, the rest counts presence too".to_owned());
    Ok(report)
}

fn parameters(run: &Run<'_>, mixture: &Mixture) -> serde_json::Map<String, serde_json::Value> {
    run.parameters(vec![
        ("channels", mixture.channels.into()),
        ("subscribers", mixture.subscribers.into()),
        ("audience", mixture.audience.into()),
        ("publishers", mixture.publishers.into()),
        ("rate", mixture.rate.into()),
        ("members", mixture.members.into()),
        ("presence_rate", mixture.presence_rate.into()),
        ("returning", mixture.returning.into()),
        ("reconnect_rate", mixture.reconnect_rate.into()),
    ])
}

struct Mixed {
    messages: Broadcast,
    presence: Broadcast,
    /// Connections from here on are members and watchers, and then those who return.
    first_member: usize,
    returning: Returning,
}

/// Clients that lose their connections, one after the other.
struct Returning {
    connections: Vec<usize>,
    next: usize,
    rate: f64,
    due: Option<f64>,
    came: u64,
    ended: Option<LoadError>,
}

impl Returning {
    fn new(connections: Vec<usize>, rate: f64) -> Self {
        Self { connections, next: 0, rate, due: None, came: 0, ended: None }
    }

    fn act(&mut self, engine: &mut Engine) -> Result<(), LoadError> {
        if let Some(ended) = self.ended.take() {
            return Err(ended);
        }
        let now = engine.now() as f64;
        while let Some(due) = self.due.filter(|due| *due <= now)
            && let Some(connection) = self.connections.get(self.next)
        {
            engine.connect(*connection)?;
            self.next = (self.next + 1) % self.connections.len();
            self.due = Some(due + 1e9 / self.rate);
        }
        Ok(())
    }
}

impl Player for Mixed {
    fn hear(&mut self, connection: usize, event: Event<'_>, now: u64) {
        let is_returning = self.returning.connections.first().is_some_and(|at| connection >= *at);
        match event {
            Event::Ready(_) if is_returning => self.returning.came += 1,
            Event::Ended(reason) if is_returning => {
                self.returning.ended = Some(LoadError::Ended { connection, reason });
            }
            _ if is_returning => {}
            event if connection >= self.first_member => self.presence.hear(connection, event, now),
            event => self.messages.hear(connection, event, now),
        }
    }

    fn act(&mut self, engine: &mut Engine) -> Result<(), LoadError> {
        self.messages.act(engine)?;
        self.presence.act(engine)?;
        self.returning.act(engine)
    }

    fn due(&self) -> Option<u64> {
        let returning = self.returning.due.map(|due| due as u64);
        [self.messages.due(), self.presence.due(), returning].into_iter().flatten().min()
    }
}

impl Scene for Mixed {
    fn begin(&mut self, now: u64) {
        self.messages.begin(now);
        self.presence.begin(now);
        self.returning.due = (!self.returning.connections.is_empty()).then_some(now as f64);
    }

    fn measure(&mut self, now: u64) {
        self.messages.measure(now);
        self.presence.measure(now);
    }

    fn stop(&mut self, now: u64) {
        self.messages.stop(now);
        self.presence.stop(now);
        self.returning.due = None;
    }

    fn counts(&self) -> Counts {
        self.messages.counts().plus(self.presence.counts())
    }

    fn latency(&self) -> &Latency {
        self.messages.latency()
    }

    fn is_settled(&self) -> bool {
        self.messages.is_settled() && self.presence.is_settled()
    }

    fn tally(&self) -> Tally {
        self.messages.tally().plus(self.presence.tally())
    }
}
