//! Why a run did not come to a report. What a report says against the server is no error.

use std::io;
use std::path::PathBuf;

use crate::wire::WireError;

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{0}")]
    Usage(String),
    #[error("this wire needs a key: --key NAME:SECRET")]
    NoKey,
    #[error(
        "{needed} open files are needed and {allowed} allowed: raise the hard limit (ulimit -Hn)"
    )]
    TooFewFiles { needed: u64, allowed: u64 },
    #[error("the server does not read what it is sent")]
    ServerDoesNotRead,
    #[error("connection {connection}: {reason}")]
    Ended { connection: usize, reason: String },
    #[error("nothing came for {seconds} s while {waiting} connections were being made ready")]
    NotReady { seconds: u64, waiting: usize },
    #[error("cannot read {path}: {reason}")]
    Unread { path: PathBuf, reason: String },
    #[error("the server said what this wire does not have: {0}")]
    Wire(String),
    #[error("no rate is good: {steps}")]
    NoGoodRate { steps: String },
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<WireError> for LoadError {
    fn from(error: WireError) -> Self {
        Self::Wire(error.0)
    }
}
