//! Where logs go: to standard error, as text for people or as JSON for machines. The one global of
//! this crate, because the process has one standard error.

use serde::Deserialize;
use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt;
use tracing_subscriber::util::TryInitError;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Error)]
pub enum LogError {
    #[error("log filter: {0}")]
    Filter(#[from] ParseError),
    #[error("logs already go elsewhere: {0}")]
    Taken(#[from] TryInitError),
}

/// Whether `filter` can be given to [`log_to_stderr`].
pub fn check_filter(filter: &str) -> Result<(), LogError> {
    Ok(EnvFilter::builder().parse(filter).map(drop)?)
}

/// Sends the process's logs to standard error from now on. `filter` is a level (`info`) or a list
/// of directives (`info,store=debug`).
pub fn log_to_stderr(filter: &str, format: LogFormat) -> Result<(), LogError> {
    use tracing_subscriber::util::SubscriberInitExt as _;

    let filter = EnvFilter::builder().parse(filter)?;
    let logs = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => logs.with_ansi(false).finish().try_init()?,
        LogFormat::Json => logs.json().flatten_event(true).finish().try_init()?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_directives_are_filters() {
        for filter in ["info", "warn,store=debug", "gateway[connection]=trace"] {
            assert!(check_filter(filter).is_ok(), "{filter}");
        }
    }

    #[test]
    fn an_unknown_level_is_no_filter() {
        assert!(check_filter("store=loud").is_err());
    }
}
