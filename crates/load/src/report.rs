//! What a run has found.

use std::fmt;

use serde_json::{Map, Value};

use crate::account::Tally;
use crate::latency::Quantiles;
use crate::wire::WireKind;

#[derive(Clone, Debug)]
pub struct Report {
    pub scenario: &'static str,
    pub wire: WireKind,
    pub parameters: Map<String, Value>,
    /// How long the measured part took, without what came before and after it.
    pub seconds: f64,
    /// Of the whole run, like the tally.
    pub sent: u64,
    pub tally: Tally,
    /// Of the measured part.
    pub sent_per_second: f64,
    /// Of the measured part.
    pub delivered_per_second: f64,
    /// From when a message was to be sent to each of its deliveries, of those sent in the measured part.
    pub latency: Quantiles,
    /// The same to the last of its deliveries, where several are expected.
    pub completion: Option<Quantiles>,
    pub server: Option<ServerUse>,
    pub generator: GeneratorUse,
    pub timeline: Vec<Second>,
    pub notes: Vec<String>,
}

/// What the server's process used. CPU of the measured part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ServerUse {
    pub cpu_seconds: f64,
    pub deliveries_per_cpu_second: f64,
    pub messages_per_cpu_second: f64,
    /// Bytes before the first connection.
    pub rss_before: u64,
    /// Bytes at the end of the measured part.
    pub rss_after: u64,
    /// The highest of the readings, one each second.
    pub rss_peak: u64,
    /// How much more memory for each connection, where nothing else takes any.
    pub bytes_per_connection: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GeneratorUse {
    pub cpu_seconds: f64,
    /// Of one core. Near 1 the figures are those of the generator and not of the server.
    pub cpu_share: f64,
}

/// Of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    WarmUp,
    Measured,
}

/// One second of the run, or what there was of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Second {
    pub part: Part,
    pub sent_per_second: f64,
    pub delivered_per_second: f64,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WarmUp => "warm-up",
            Self::Measured => "measured",
        })
    }
}

impl Report {
    pub fn passes(&self) -> bool {
        self.tally.is_exact()
    }
}
