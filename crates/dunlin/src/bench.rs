//! `dunlin bench`: the load generator of `load` on the command line.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use load::{Arrival, LoadError, Mixture, Options, Pace, Scenario, Waiting, WireKind};

use crate::Failure;

/// Measure a server: rates, latencies, what it uses, and whether every message arrives
///
/// Ends with 1 if a message was lost, repeated or overtaken by one that its publisher sent later.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    scenario: ScenarioArgs,

    /// The server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", global = true)]
    url: String,

    /// Key to connect with, as the server prints it
    #[arg(long, env = "DUNLIN_KEY", value_name = "NAME:SECRET", global = true)]
    key: Option<String>,

    /// What to speak: json, msgpack; rest to publish; raw, raw-ingest and raw-ingest-json for the reference programs; nats, centrifugo, socketio and mqtt for other servers
    #[arg(long, value_name = "WIRE", default_value_t = WireKind::Json, global = true)]
    wire: WireKind,

    /// Process of the server, to read its CPU time and memory
    #[arg(long, value_name = "PID", global = true)]
    pid: Option<u32>,

    /// How long to measure
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration, global = true)]
    duration: Duration,

    /// How long to send before measuring
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration, global = true)]
    warmup: Duration,

    /// How long to wait at the end for the next delivery; what has not come by then is lost
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration, global = true)]
    patience: Duration,

    /// Until something comes, be asleep, or awake: so a server on the same machine does not use CPU time to wake the generator, which needs a core of its own
    #[arg(long, value_name = "HOW", default_value = "asleep", value_parser = waiting, global = true)]
    waiting: Waiting,

    /// Bytes of data in a message
    #[arg(long, value_name = "BYTES", default_value_t = 300, global = true)]
    payload: usize,

    /// What channel names begin with [default: bench- and the number of this process]
    #[arg(long, value_name = "NAME", global = true)]
    channel: Option<String>,

    /// Look for the highest rate within the budget, beginning at --rate; each step takes as long as a run
    #[arg(long, global = true)]
    search: bool,

    /// What the 99th percentile of the latencies may be in a search
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = duration, global = true)]
    budget: Duration,

    /// Write a page with a chart
    #[arg(long, value_name = "FILE", global = true)]
    html: Option<PathBuf>,

    /// Print the result as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum ScenarioArgs {
    /// One channel with many subscribers
    FanOut {
        #[arg(long, default_value_t = 1000)]
        subscribers: u32,
        #[arg(long, default_value_t = 1)]
        publishers: u32,
        /// Further subscribers, which never read
        #[arg(long, default_value_t = 0)]
        stalled: u32,
        #[command(flatten)]
        pace: PaceArgs,
    },
    /// Many channels with a few subscribers each
    Channels {
        #[arg(long, default_value_t = 1000)]
        channels: u32,
        /// Of each channel
        #[arg(long, default_value_t = 10)]
        subscribers: u32,
        #[arg(long, default_value_t = 1)]
        publishers: u32,
        #[command(flatten)]
        pace: PaceArgs,
    },
    /// Publishers that are acknowledged, each on a channel of its own
    Publish {
        #[arg(long, default_value_t = 1)]
        publishers: u32,
        /// Messages of each publisher that wait for their acknowledgement
        #[arg(long, default_value_t = 1, conflicts_with = "rate")]
        pipeline: u32,
        /// Messages per second of all publishers, whatever is acknowledged
        #[arg(long)]
        rate: Option<f64>,
    },
    /// Connections that do nothing
    Idle {
        #[arg(long, default_value_t = 10_000)]
        connections: u32,
        /// Attach them
        #[arg(long)]
        attached: bool,
        /// To so many channels in turn
        #[arg(long, default_value_t = 1, requires = "attached")]
        channels: u32,
    },
    /// Members who enter and leave a channel, and watchers who are told
    Presence {
        #[arg(long, default_value_t = 50)]
        members: u32,
        #[arg(long, default_value_t = 50)]
        watchers: u32,
        #[command(flatten)]
        pace: PaceArgs,
    },
    /// Subscribers who are dropped at the same moment and resume
    Resume {
        #[arg(long, default_value_t = 1000)]
        subscribers: u32,
        /// Messages per second meanwhile
        #[arg(long, default_value_t = 20.0)]
        rate: f64,
    },
    /// Readers of the newest page of a channel, over REST
    History {
        #[arg(long, default_value_t = 10)]
        readers: u32,
        /// Messages of a page
        #[arg(long, default_value_t = 100)]
        page: u32,
    },
    /// Messages, presence and reconnecting clients together, each at its own rate per second
    Mixed {
        #[arg(long, default_value_t = 200)]
        channels: u32,
        /// Of each channel
        #[arg(long, default_value_t = 5)]
        subscribers: u32,
        /// Subscribers of one further channel
        #[arg(long, default_value_t = 200)]
        audience: u32,
        #[arg(long, default_value_t = 2)]
        publishers: u32,
        #[arg(long, default_value_t = 500.0)]
        rate: f64,
        /// As many members as watchers
        #[arg(long, default_value_t = 20)]
        members: u32,
        #[arg(long, default_value_t = 10.0)]
        presence_rate: f64,
        /// Clients that do nothing but come again
        #[arg(long, default_value_t = 50)]
        returning: u32,
        #[arg(long, default_value_t = 10.0)]
        reconnect_rate: f64,
    },
    /// Connections as they are made
    Connect {
        #[arg(long, default_value_t = 1000)]
        connections: u32,
        /// So many per second
        #[arg(long, default_value_t = 250.0, conflicts_with = "storm")]
        rate: f64,
        /// All at once, after they were dropped together
        #[arg(long)]
        storm: bool,
    },
}

#[derive(Debug, Args)]
struct PaceArgs {
    /// Messages under way at a time; the next is sent when one has arrived everywhere
    #[arg(long, default_value_t = 1, conflicts_with = "rate")]
    in_flight: u32,
    /// Messages per second, whatever has arrived
    #[arg(long)]
    rate: Option<f64>,
}

pub(crate) fn run(args: BenchArgs) -> Result<(), Failure> {
    let (json, page, budget) = (args.json, args.html.clone(), args.search.then_some(args.budget));
    let options = Options::from(args);
    let mut progress = io::stderr().lock();
    let ran = match budget {
        Some(budget) => load::search(&options, budget, &mut progress),
        None => load::run(&options, &mut progress),
    };
    let report = match ran {
        Ok(report) => report,
        Err(error @ (LoadError::Usage(_) | LoadError::NoKey)) => {
            return Err(Failure::of_configuration(error.into()));
        }
        Err(error) => return Err(anyhow::Error::from(error).into()),
    };
    if let Some(page) = page {
        let written = std::fs::write(&page, load::html(&report));
        written.with_context(|| format!("cannot write {}", page.display()))?;
    }
    let told = if json { format!("{:#}\n", load::json(&report)) } else { load::text(&report) };
    io::stdout().write_all(told.as_bytes()).context("cannot print")?;
    if report.passes() {
        return Ok(());
    }
    Err(Failure {
        error: anyhow!("messages were lost, repeated or reordered"),
        code: ExitCode::FAILURE,
    })
}

impl From<BenchArgs> for Options {
    fn from(args: BenchArgs) -> Self {
        Self {
            url: args.url,
            key: args.key,
            wire: args.wire,
            pid: args.pid,
            warmup: args.warmup,
            duration: args.duration,
            patience: args.patience,
            waiting: args.waiting,
            payload: args.payload,
            channel: args.channel.unwrap_or_else(|| format!("bench-{}", std::process::id())),
            scenario: args.scenario.into(),
        }
    }
}

impl From<ScenarioArgs> for Scenario {
    fn from(args: ScenarioArgs) -> Self {
        match args {
            ScenarioArgs::FanOut { subscribers, publishers, stalled, pace } => {
                Self::FanOut { subscribers, publishers, stalled, pace: pace.into() }
            }
            ScenarioArgs::Channels { channels, subscribers, publishers, pace } => {
                Self::Channels { channels, subscribers, publishers, pace: pace.into() }
            }
            ScenarioArgs::Publish { publishers, pipeline, rate } => {
                let pace = rate.map_or(Pace::InFlight(pipeline), Pace::Rate);
                Self::Publish { publishers, pace }
            }
            ScenarioArgs::Idle { connections, attached, channels } => {
                Self::Idle { connections, channels: if attached { channels } else { 0 } }
            }
            ScenarioArgs::Presence { members, watchers, pace } => {
                Self::Presence { members, watchers, pace: pace.into() }
            }
            ScenarioArgs::Resume { subscribers, rate } => Self::Resume { subscribers, rate },
            ScenarioArgs::History { readers, page } => Self::History { readers, page },
            ScenarioArgs::Mixed {
                channels,
                subscribers,
                audience,
                publishers,
                rate,
                members,
                presence_rate,
                returning,
                reconnect_rate,
            } => Self::Mixed(Mixture {
                channels,
                subscribers,
                audience,
                publishers,
                rate,
                members,
                presence_rate,
                returning,
                reconnect_rate,
            }),
            ScenarioArgs::Connect { connections, rate, storm } => {
                let arrival = if storm { Arrival::Storm } else { Arrival::Ramp(rate) };
                Self::Connect { connections, arrival }
            }
        }
    }
}

impl From<PaceArgs> for Pace {
    fn from(args: PaceArgs) -> Self {
        args.rate.map_or(Self::InFlight(args.in_flight), Self::Rate)
    }
}

fn waiting(text: &str) -> Result<Waiting, String> {
    match text {
        "asleep" => Ok(Waiting::Asleep),
        "awake" => Ok(Waiting::Awake),
        _ => Err("asleep or awake".to_owned()),
    }
}

/// `10s`, `250ms`, `2m`, or a number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..).unwrap_or_default() {
        "ms" => 0.001,
        "s" | "" => 1.0,
        "m" => 60.0,
        _ => return Err("a time ends with ms, s or m".to_owned()),
    };
    let number: f64 = digits.parse().map_err(|error| format!("{text}: {error}"))?;
    Duration::try_from_secs_f64(number * unit).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_or_is_in_seconds() {
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1.5"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "s", "-1s", "3h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
