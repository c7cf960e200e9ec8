//! The course of a measured run: warm up, measure, stop, and wait for what is under way. What server and
//! generator use is read at the edges of the measured part.

use std::io::Write;
use std::time::Duration;

use crate::LoadError;
use crate::account::Tally;
use crate::engine::{Engine, Player};
use crate::latency::Latency;
use crate::process::{CpuTime, Process};
use crate::report::{GeneratorUse, Part, Second, ServerUse};

const SECOND: u64 = 1_000_000_000;
/// Without any delivery for so long, what has not come is lost.
const PATIENCE: u64 = 5 * SECOND;
/// From this share of a core on, the generator holds the server up.
const BUSY: f64 = 0.9;

/// What goes on between the engine and a scenario's accounting.
pub(crate) trait Scene: Player {
    /// Sends from now on.
    fn begin(&mut self, now: u64);
    /// What is sent from now on is measured.
    fn measure(&mut self, now: u64);
    /// Sends nothing more, and measures only what has been sent.
    fn stop(&mut self, now: u64);
    fn counts(&self) -> Counts;
    fn latency(&self) -> &Latency;
    /// Whether nothing more is to come.
    fn is_settled(&self) -> bool;
    fn tally(&self) -> Tally;
}

/// Of the whole run until now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) delivered: u64,
}

/// The processes that are watched.
pub(crate) struct Watch {
    server: Option<Process>,
    own: Process,
    rss_before: u64,
}

/// What the measured part of a run came to.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    pub(crate) counts: Counts,
    pub(crate) server: Option<ServerUse>,
    pub(crate) generator: GeneratorUse,
    pub(crate) timeline: Vec<Second>,
    pub(crate) notes: Vec<String>,
}

/// How long the parts of a run take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    pub(crate) warmup: Duration,
    pub(crate) duration: Duration,
    /// Connections that the run has made.
    pub(crate) connections: usize,
}

/// Readings at one moment.
struct Reading {
    now: u64,
    counts: Counts,
    server: CpuTime,
    own: CpuTime,
}

impl Watch {
    /// Before the first connection is made.
    pub(crate) fn new(server: Option<u32>) -> Result<Self, LoadError> {
        let server = server.map(Process::of).transpose()?;
        let rss_before = server.as_ref().map_or(Ok(0), Process::resident_bytes)?;
        Ok(Self { server, own: Process::own()?, rss_before })
    }

    fn read(&self, engine: &Engine, counts: Counts) -> Result<Reading, LoadError> {
        let server = self.server.as_ref().map_or_else(|| Ok(CpuTime::default()), Process::cpu)?;
        Ok(Reading { now: engine.now(), counts, server, own: self.own.cpu()? })
    }

    fn resident(&self) -> Result<u64, LoadError> {
        self.server.as_ref().map_or(Ok(0), Process::resident_bytes)
    }
}

pub(crate) fn measure(
    engine: &mut Engine,
    scene: &mut dyn Scene,
    course: Course,
    watch: &Watch,
    progress: &mut dyn Write,
) -> Result<Measured, LoadError> {
    let mut told = Told { progress, timeline: Vec::new(), rss_peak: watch.rss_before };
    scene.begin(engine.now());
    scene.act(engine)?;
    told.play(engine, scene, course.warmup, watch, Part::WarmUp)?;
    scene.measure(engine.now());
    let before = watch.read(engine, scene.counts())?;
    told.play(engine, scene, course.duration, watch, Part::Measured)?;
    let after = watch.read(engine, scene.counts())?;
    scene.stop(after.now);
    let rss_after = watch.resident()?;
    drain(engine, scene)?;

    let seconds = (after.now - before.now) as f64 / SECOND as f64;
    let counts = after.counts.since(before.counts);
    let cpu_seconds = after.own.seconds_since(&before.own);
    let generator = GeneratorUse { cpu_seconds, cpu_share: cpu_seconds / seconds };
    let server = watch.server.is_some().then(|| {
        let cpu_seconds = after.server.seconds_since(&before.server);
        let grown = rss_after.saturating_sub(watch.rss_before) as f64;
        ServerUse {
            cpu_seconds,
            deliveries_per_cpu_second: counts.delivered as f64 / cpu_seconds,
            messages_per_cpu_second: counts.sent as f64 / cpu_seconds,
            rss_before: watch.rss_before,
            rss_after,
            rss_peak: told.rss_peak.max(rss_after),
            bytes_per_connection: grown / course.connections.max(1) as f64,
        }
    });
    let mut notes = Vec::new();
    if generator.cpu_share > BUSY {
        notes.push(format!(
            "the generator used {:.0} % of a core: rates and latencies are bounded by it, \
             deliveries per CPU second of the server are not",
            generator.cpu_share * 100.0
        ));
    }
    Ok(Measured { seconds, counts, server, generator, timeline: told.timeline, notes })
}

/// Waits for what is under way.
fn drain(engine: &mut Engine, scene: &mut dyn Scene) -> Result<(), LoadError> {
    let (mut heard, mut until) = (scene.counts().delivered, engine.now() + PATIENCE);
    while !scene.is_settled() && engine.now() < until {
        engine.turn(scene, until)?;
        let delivered = scene.counts().delivered;
        if delivered > heard {
            (heard, until) = (delivered, engine.now() + PATIENCE);
        }
    }
    Ok(())
}

/// Where progress is told, and what has been.
struct Told<'a> {
    progress: &'a mut dyn Write,
    timeline: Vec<Second>,
    rss_peak: u64,
}

impl Told<'_> {
    fn play(
        &mut self,
        engine: &mut Engine,
        scene: &mut dyn Scene,
        duration: Duration,
        watch: &Watch,
        part: Part,
    ) -> Result<(), LoadError> {
        let end = engine.now() + u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let (mut began, mut counted) = (engine.now(), scene.counts());
        while engine.now() < end {
            let until = end.min(began + SECOND);
            while engine.now() < until {
                engine.turn(scene, until)?;
            }
            let (now, counts) = (engine.now(), scene.counts());
            let (seconds, new) = ((now - began) as f64 / SECOND as f64, counts.since(counted));
            let second = Second {
                part,
                sent_per_second: new.sent as f64 / seconds,
                delivered_per_second: new.delivered as f64 / seconds,
            };
            self.tell(second, scene.latency())?;
            self.rss_peak = self.rss_peak.max(watch.resident()?);
            (began, counted) = (now, counts);
        }
        Ok(())
    }

    fn tell(&mut self, second: Second, latency: &Latency) -> Result<(), LoadError> {
        self.timeline.push(second);
        let number = self.timeline.len();
        let (sent, delivered) = (second.sent_per_second, second.delivered_per_second);
        write!(
            self.progress,
            "{number:4}  {}  sent {sent:.0}/s  delivered {delivered:.0}/s",
            second.part
        )?;
        if latency.count() > 0 {
            let (p50, p99) = (latency.microseconds(0.5), latency.microseconds(0.99));
            write!(self.progress, "  p50 {p50:.0} µs  p99 {p99:.0} µs")?;
        }
        writeln!(self.progress)?;
        Ok(())
    }
}

impl Counts {
    fn since(self, earlier: Self) -> Self {
        Self { sent: self.sent - earlier.sent, delivered: self.delivered - earlier.delivered }
    }
}
