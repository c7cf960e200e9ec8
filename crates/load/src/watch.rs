//! What server and generator use: readings at the edges of what is measured.

use crate::LoadError;
use crate::engine::Engine;
use crate::measure::SECOND;
use crate::process::{CpuTime, Process};
use crate::report::{GeneratorUse, Second, ServerUse};

/// From this share of a core on, the generator holds the server up.
const BUSY: f64 = 0.9;

/// The processes that are watched.
pub(crate) struct Watch {
    server: Option<Process>,
    own: Process,
    rss_before: u64,
    rss_peak: u64,
}

/// Of the whole run until now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sent: u64,
    pub(crate) delivered: u64,
}

/// What there was at one moment.
pub(crate) struct Reading {
    pub(crate) now: u64,
    counts: Counts,
    server: CpuTime,
    own: CpuTime,
    /// Nanoseconds of it in which the generator had nothing to do.
    in_vain: u64,
    rss: u64,
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

impl Watch {
    /// Before the first connection is made.
    pub(crate) fn new(server: Option<u32>) -> Result<Self, LoadError> {
        let server = server.map(Process::of).transpose()?;
        let rss_before = server.as_ref().map_or(Ok(0), Process::resident_bytes)?;
        Ok(Self { server, own: Process::own()?, rss_before, rss_peak: rss_before })
    }

    /// Looks at the server's memory.
    pub(crate) fn look(&mut self) -> Result<u64, LoadError> {
        let resident = self.server.as_ref().map_or(Ok(0), Process::resident_bytes)?;
        self.rss_peak = self.rss_peak.max(resident);
        Ok(resident)
    }

    pub(crate) fn read(&mut self, engine: &Engine, counts: Counts) -> Result<Reading, LoadError> {
        let rss = self.look()?;
        let server = self.server.as_ref().map_or_else(|| Ok(CpuTime::default()), Process::cpu)?;
        let (now, own, in_vain) = (engine.now(), self.own.cpu()?, engine.in_vain());
        Ok(Reading { now, counts, server, own, in_vain, rss })
    }

    pub(crate) fn between(&self, before: &Reading, after: &Reading) -> Measured {
        let seconds = (after.now - before.now) as f64 / SECOND as f64;
        let counts = after.counts.since(before.counts);
        let in_vain = (after.in_vain - before.in_vain) as f64 / SECOND as f64;
        let cpu_seconds = (after.own.seconds_since(&before.own) - in_vain).max(0.0);
        let generator = GeneratorUse { cpu_seconds, cpu_share: cpu_seconds / seconds };
        let server = self.server.is_some().then(|| {
            let cpu_seconds = after.server.seconds_since(&before.server);
            ServerUse {
                cpu_seconds,
                deliveries_per_cpu_second: counts.delivered as f64 / cpu_seconds,
                messages_per_cpu_second: counts.sent as f64 / cpu_seconds,
                rss_before: self.rss_before,
                rss_after: after.rss,
                rss_peak: self.rss_peak,
                bytes_per_connection: None,
            }
        });
        let mut notes = Vec::new();
        if generator.cpu_share > BUSY {
            notes.push(format!(
                "the generator used {:.0} % of a core: rates and latencies are bounded by it, \
                 what the server uses for a message is not",
                generator.cpu_share * 100.0
            ));
        }
        Measured { seconds, counts, server, generator, timeline: Vec::new(), notes }
    }
}

impl Counts {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self { sent: self.sent + other.sent, delivered: self.delivered + other.delivered }
    }

    pub(crate) fn since(self, earlier: Self) -> Self {
        Self { sent: self.sent - earlier.sent, delivered: self.delivered - earlier.delivered }
    }
}
