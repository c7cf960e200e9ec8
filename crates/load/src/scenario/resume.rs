//! All subscribers lose their transports at the same moment, come back, and go on where they were, while
//! messages are published all the time: none may be missing, and none come twice.

use std::collections::BTreeMap;

use super::Run;
use super::broadcast::Broadcast;
use super::topology::{Stage, Topology};
use crate::account::Tally;
use crate::engine::{Engine, Player, nanoseconds};
use crate::latency::Latency;
use crate::measure::{Scene, measure};
use crate::watch::Counts;
use crate::wire::Event;
use crate::{LoadError, Pace, Report};

#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) subscribers: u32,
    pub(super) rate: f64,
}

pub(super) fn run(run: &mut Run<'_>, shape: Shape) -> Result<Report, LoadError> {
    let Shape { subscribers, rate } = shape;
    let pace = Pace::Rate(rate).check()?;
    let topology = Topology::one_channel(subscribers, 1, pace);
    let mut watch = run.watch()?;
    let mut engine = run.engine(topology.connections())?;
    if engine.wire().realtime().is_none() {
        return Err(LoadError::Usage("only the wire json resumes".to_owned()));
    }
    let channels = run.channels(1);
    let mut stage = Stage::join(run, &mut engine, &topology, channels)?;
    let mut scene = Resume {
        after: nanoseconds(run.options.duration / 3),
        drop_at: None,
        dropped_at: 0,
        positions: BTreeMap::new(),
        connected: std::mem::take(&mut stage.greetings),
        greeted: Vec::new(),
        gone: 0,
        anew: 0,
        latency: Latency::new(),
        inner: Broadcast::new(&topology, run, &stage),
    };
    let course = run.course();
    let measured = measure(&mut engine, &mut scene, course, &mut watch, run.progress)?;
    let parameters =
        run.parameters(vec![("subscribers", subscribers.into()), ("rate", rate.into())]);
    let mut report = run.report("resume", parameters, &scene, measured);
    report.completion = Some(scene.latency.quantiles());
    let told = "what is told as latency to the last is from the moment of the drop until a subscriber is attached again";
    report.notes.push(told.to_owned());
    if scene.anew > 0 {
        report.notes.push(format!("{} subscribers could not resume and began anew", scene.anew));
    }
    Ok(report)
}

struct Resume {
    inner: Broadcast,
    /// From the beginning of the measured part.
    after: u64,
    drop_at: Option<u64>,
    dropped_at: u64,
    /// What each subscriber was told when it connected.
    connected: BTreeMap<usize, Vec<u8>>,
    /// The frame that each subscriber heard last.
    positions: BTreeMap<usize, Vec<u8>>,
    greeted: Vec<usize>,
    /// Subscribers that are not attached again yet.
    gone: usize,
    /// Subscribers whose channel did not go on where it was.
    anew: usize,
    latency: Latency,
}

impl Resume {
    fn drop_all(&mut self, engine: &mut Engine) -> Result<(), LoadError> {
        for (connection, connected) in &self.connected {
            engine.drop_transport(*connection);
            engine.connect(*connection)?;
            engine.write(*connection, |wire, out| {
                if let Some(wire) = wire.realtime() {
                    wire.resume(connected, out);
                }
            });
        }
        self.gone = self.connected.len();
        self.dropped_at = engine.now();
        self.drop_at = None;
        Ok(())
    }
}

impl Player for Resume {
    fn hear(&mut self, connection: usize, event: Event<'_>, now: u64) {
        match event {
            Event::Message(frame) => {
                let position = self.positions.entry(connection).or_default();
                position.clear();
                position.extend_from_slice(frame);
                self.inner.hear(connection, Event::Message(frame), now);
            }
            Event::Ready(_) => self.greeted.push(connection),
            Event::Subscribed(frame) if self.gone > 0 => {
                self.gone -= 1;
                self.latency.record(now - self.dropped_at);
                self.anew += usize::from(memchr::memmem::find(frame, b"\"error\"").is_some());
            }
            event => self.inner.hear(connection, event, now),
        }
    }

    fn act(&mut self, engine: &mut Engine) -> Result<(), LoadError> {
        self.inner.act(engine)?;
        if self.drop_at.is_some_and(|at| at <= engine.now()) {
            self.drop_all(engine)?;
        }
        while let Some(connection) = self.greeted.pop() {
            let heard = self.positions.get(&connection);
            let channel = self.inner.first_channel();
            engine.write(connection, |wire, out| {
                if let Some((wire, channel)) = wire.realtime().zip(channel) {
                    wire.attach_from(channel, heard.map(Vec::as_slice).unwrap_or_default(), out);
                }
            });
            engine.flush(connection)?;
        }
        Ok(())
    }

    fn due(&self) -> Option<u64> {
        self.inner.due().into_iter().chain(self.drop_at).min()
    }
}

impl Scene for Resume {
    fn begin(&mut self, now: u64) {
        self.inner.begin(now);
    }

    fn measure(&mut self, now: u64) {
        self.inner.measure(now);
        self.drop_at = Some(now.saturating_add(self.after));
    }

    fn stop(&mut self, now: u64) {
        self.inner.stop(now);
    }

    fn counts(&self) -> Counts {
        self.inner.counts()
    }

    fn latency(&self) -> &Latency {
        self.inner.latency()
    }

    fn is_settled(&self) -> bool {
        self.gone == 0 && self.inner.is_settled()
    }

    fn tally(&self) -> Tally {
        self.inner.tally()
    }
}
