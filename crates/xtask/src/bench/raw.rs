//! The reference programs of `crates/bench`, as contestants.

use std::path::Path;

use super::contestant::{Launch, Place};
use super::pinned::{SERVER_CORE, pinned};

/// One program. It listens where it is told, and needs nothing else.
pub(super) struct Raw {
    pub(super) program: &'static str,
    pub(super) title: &'static str,
    pub(super) wire: &'static str,
    /// The option that names the file or folder into which it writes, if it does.
    file: Option<&'static str>,
}

pub(super) const FANOUT: Raw =
    Raw { program: "raw-fanout", title: "raw: epoll loop", wire: "raw", file: None };
pub(super) const FANOUT_URING: Raw =
    Raw { program: "raw-fanout-uring", title: "raw: io_uring", wire: "raw", file: None };
pub(super) const INGEST: Raw =
    Raw { program: "raw-ingest", title: "raw: unmask and reply", wire: "raw-ingest", file: None };
pub(super) const INGEST_JSON: Raw = Raw {
    program: "raw-ingest-json",
    title: "raw: unmask, parse and reply",
    wire: "raw-ingest-json",
    file: None,
};
pub(super) const STORE: Raw = Raw {
    program: "raw-store",
    title: "raw: parse, store with group commit",
    wire: "raw-ingest-json",
    file: Some("--folder"),
};
pub(super) const APPEND: Raw = Raw {
    program: "raw-append",
    title: "raw: file with group commit",
    wire: "raw-ingest",
    file: Some("--file"),
};

impl Raw {
    pub(super) fn launch(&self, programs: &Path, place: &Place<'_>) -> Launch {
        let mut command = pinned(SERVER_CORE, programs.join(self.program));
        command.arg("--listen").arg(place.address.to_string());
        if let Some(option) = self.file {
            command.arg(option).arg(place.scratch.join("records"));
        }
        Launch { command, url: format!("tcp://{}", place.address), key: None }
    }
}
