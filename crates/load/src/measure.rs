//! The course of a measured run: warm up, measure, stop, and wait for what is under way. What server and
//! generator use is read at the edges of the measured part.

use std::io::Write;
use std::time::Duration;

use crate::LoadError;
use crate::account::Tally;
use crate::engine::{Engine, Player, nanoseconds};
use crate::latency::Latency;
use crate::report::{Part, Second};
use crate::watch::{Counts, Measured, Watch};

pub(crate) const SECOND: u64 = 1_000_000_000;

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

/// How long the parts of a run take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    pub(crate) warmup: Duration,
    pub(crate) duration: Duration,
    pub(crate) patience: Duration,
}

pub(crate) fn measure(
    engine: &mut Engine,
    scene: &mut dyn Scene,
    course: Course,
    watch: &mut Watch,
    progress: &mut dyn Write,
) -> Result<Measured, LoadError> {
    let mut told = Told { progress, timeline: Vec::new() };
    engine.listen()?;
    scene.begin(engine.now());
    scene.act(engine)?;
    told.play(engine, scene, course.warmup, watch, Part::WarmUp)?;
    scene.measure(engine.now());
    let before = watch.read(engine, scene.counts())?;
    told.play(engine, scene, course.duration, watch, Part::Measured)?;
    let after = watch.read(engine, scene.counts())?;
    scene.stop(after.now);
    drain(engine, scene, course.patience)?;
    Ok(Measured { timeline: told.timeline, ..watch.between(&before, &after) })
}

/// Waits for what is under way.
fn drain(engine: &mut Engine, scene: &mut dyn Scene, patience: Duration) -> Result<(), LoadError> {
    let patience = nanoseconds(patience);
    let (mut heard, mut until) = (scene.counts().delivered, engine.now().saturating_add(patience));
    while !scene.is_settled() && engine.now() < until {
        engine.turn(scene, until)?;
        let delivered = scene.counts().delivered;
        if delivered > heard {
            (heard, until) = (delivered, engine.now().saturating_add(patience));
        }
    }
    Ok(())
}

/// Where progress is told, and what has been.
struct Told<'a> {
    progress: &'a mut dyn Write,
    timeline: Vec<Second>,
}

impl Told<'_> {
    fn play(
        &mut self,
        engine: &mut Engine,
        scene: &mut dyn Scene,
        duration: Duration,
        watch: &mut Watch,
        part: Part,
    ) -> Result<(), LoadError> {
        let end = engine.now().saturating_add(nanoseconds(duration));
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
            watch.look()?;
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
