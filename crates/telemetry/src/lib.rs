//! What operators see of a node: metrics, logs and health.
//!
//! Values, no globals: every node of a process has its own [`Metrics`] and its own [`Health`]. Only
//! the log subscriber is the process's. Nothing here opens a port or asks anybody: whoever knows a
//! number writes it, and whoever serves HTTP reads the text.

mod health;
mod logs;
mod metrics;
mod process;

pub use health::{Health, NotReady};
pub use logs::{LogError, LogFormat, check_filter, log_to_stderr};
pub use metrics::{GatewayTotals, Metrics, StoreTotals};
