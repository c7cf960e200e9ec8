//! One file for each scenario: what it connects, sends and expects.

mod broadcast;
mod channels;
mod connect;
mod fan_out;
mod gather;
mod history;
mod idle;
mod mixed;
mod presence;
mod publish;
mod publisher;
mod resume;
mod topology;

use std::io::Write;

use serde_json::{Map, Value};

use crate::account::Tally;
use crate::engine::Engine;
use crate::latency::Quantiles;
use crate::measure::{Course, Scene};
use crate::watch::{Measured, Watch};
use crate::wire::Channel;
use crate::{LoadError, Options, Pace, Report, Scenario};

pub use connect::Arrival;
pub use mixed::Mixture;

/// Filler behind the marker of a payload.
const FILLER: u8 = b'.';

/// What every scenario is given.
struct Run<'a> {
    options: &'a Options,
    progress: &'a mut dyn Write,
}

pub(crate) fn run(options: &Options, progress: &mut dyn Write) -> Result<Report, LoadError> {
    options.check()?;
    let mut run = Run { options, progress };
    match options.scenario {
        Scenario::FanOut { subscribers, publishers, stalled, pace } => {
            fan_out::run(&mut run, fan_out::Shape { subscribers, publishers, stalled, pace })
        }
        Scenario::Channels { channels, subscribers, publishers, pace } => {
            channels::run(&mut run, channels::Shape { channels, subscribers, publishers, pace })
        }
        Scenario::Publish { publishers, pace } => {
            publish::run(&mut run, publish::Shape { publishers, pace })
        }
        Scenario::Idle { connections, channels } => {
            idle::run(&mut run, idle::Shape { connections, channels })
        }
        Scenario::Presence { members, watchers, pace } => {
            presence::run(&mut run, presence::Shape { members, watchers, pace })
        }
        Scenario::Resume { subscribers, rate } => {
            resume::run(&mut run, resume::Shape { subscribers, rate })
        }
        Scenario::History { readers, page } => {
            history::run(&mut run, history::Shape { readers, page })
        }
        Scenario::Mixed(shape) => mixed::run(&mut run, shape),
        Scenario::Connect { connections, arrival } => {
            connect::run(&mut run, connect::Shape { connections, kind: arrival })
        }
    }
}

impl Run<'_> {
    fn engine(&self, connections: usize) -> Result<Engine, LoadError> {
        let (server, place) = self.options.place()?;
        Engine::new(server, self.options.wire.at(&place)?, connections, self.options.waiting)
    }

    fn watch(&self) -> Result<Watch, LoadError> {
        Watch::new(self.options.pid)
    }

    fn channels(&self, count: u32) -> Vec<Channel> {
        self.channels_named(&self.options.channel, count)
    }

    fn channels_named(&self, prefix: &str, count: u32) -> Vec<Channel> {
        (0..count).map(|number| Channel { number, name: format!("{prefix}-{number}") }).collect()
    }

    /// Room for a marker, and filler behind it.
    fn payload(&self) -> Vec<u8> {
        vec![FILLER; self.options.payload]
    }

    fn course(&self) -> Course {
        let Options { warmup, duration, patience, .. } = *self.options;
        Course { warmup, duration, patience }
    }

    fn tell(&mut self, what: &str) -> Result<(), LoadError> {
        writeln!(self.progress, "{what}")?;
        Ok(())
    }

    /// The parameters that all scenarios have, and some more.
    fn parameters(&self, more: Vec<(&str, Value)>) -> Map<String, Value> {
        let Options { warmup, duration, payload, .. } = self.options;
        let general = [
            ("payload", Value::from(*payload)),
            ("warmup_seconds", warmup.as_secs_f64().into()),
            ("duration_seconds", duration.as_secs_f64().into()),
        ];
        let all = more.into_iter().chain(general);
        all.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// What a scene has come to.
    fn report(
        &self,
        scenario: &'static str,
        parameters: Map<String, Value>,
        scene: &dyn Scene,
        measured: Measured,
    ) -> Report {
        let mut report = self.plain_report(scenario, parameters, scene.tally(), measured);
        report.sent = scene.counts().sent;
        report.latency = scene.latency().quantiles();
        report
    }

    /// Without what only a scene knows.
    fn plain_report(
        &self,
        scenario: &'static str,
        parameters: Map<String, Value>,
        tally: Tally,
        measured: Measured,
    ) -> Report {
        let mut notes = measured.notes;
        if tally.refused > 0 {
            notes.push(format!(
                "the server refused {} messages: it has limits, which `dunlin serve --unlimited` and \
                 the settings of [node] lift",
                tally.refused
            ));
        }
        Report {
            scenario,
            wire: self.options.wire,
            parameters,
            seconds: measured.seconds,
            sent: measured.counts.sent,
            tally,
            sent_per_second: measured.counts.sent as f64 / measured.seconds,
            delivered_per_second: measured.counts.delivered as f64 / measured.seconds,
            latency: Quantiles::default(),
            completion: None,
            server: measured.server,
            generator: measured.generator,
            timeline: measured.timeline,
            notes,
        }
    }
}

impl Pace {
    /// As a parameter of a report.
    fn parameter(self) -> (&'static str, Value) {
        match self {
            Self::InFlight(count) => ("in_flight", count.into()),
            Self::Rate(rate) => ("rate", rate.into()),
        }
    }
}
