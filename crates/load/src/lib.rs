//! A load generator: drives a server over one of several wires through one of several scenarios, and
//! says exactly what arrived, how long it took, and what the server used for it.
//!
//! One thread with an epoll of its own, so that it costs little beside the server. It is no client
//! library: it speaks as much of each wire as a scenario needs, and trusts the server's syntax.

mod account;
mod engine;
mod error;
mod latency;
mod marker;
mod measure;
mod options;
mod output;
mod process;
mod report;
mod scenario;
mod search;
mod watch;
mod wire;

use std::io::Write;

pub use account::Tally;
pub use error::LoadError;
pub use latency::Quantiles;
pub use options::{Options, Pace, Scenario, Waiting};
pub use output::{html, json, text};
pub use report::{GeneratorUse, Part, Report, Second, ServerUse};
pub use scenario::{Arrival, Mixture};
pub use search::search;
pub use wire::WireKind;

/// Runs a scenario to its end. What happens meanwhile is told on `progress`.
pub fn run(options: &Options, progress: &mut dyn Write) -> Result<Report, LoadError> {
    scenario::run(options, progress)
}
