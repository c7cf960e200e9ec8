//! Who is measured: the server, a reference program or a peer. Each is started afresh for each run,
//! in a folder that is empty, on a core of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::outcome::Outcome;
use super::peers::Peer;
use super::pinned::{GENERATOR_CORE, SERVER_CORE, pinned};
use super::raw::Raw;
use super::scenario::Scenario;
use crate::own;
use crate::process::{Server, empty, free_address};

/// What a run may take beyond the seconds that are measured: connecting, warming up, draining.
const OVERHEAD_SECONDS_MAX: u32 = 180;

/// What a server still does when it listens, such as taking memory, is no part of its load.
const SETTLING: Duration = Duration::from_millis(500);

#[derive(Clone, Copy)]
pub(super) enum Contestant {
    Own,
    Raw(&'static Raw),
    Peer(&'static Peer),
}

/// Where a server runs.
pub(super) struct Place<'a> {
    pub(super) address: SocketAddr,
    /// Empty, and its own.
    pub(super) scratch: &'a Path,
}

/// How a server is started and reached.
pub(super) struct Launch {
    pub(super) command: Command,
    pub(super) url: String,
    pub(super) key: Option<&'static str>,
}

/// What is the same for all runs of a comparison.
pub(super) struct Ring {
    /// The server that the others are compared with.
    pub(super) server: PathBuf,
    /// With the release builds of the generator and of the reference programs.
    pub(super) programs: PathBuf,
    pub(super) peers: PathBuf,
    pub(super) scratch: PathBuf,
    pub(super) seconds: u32,
}

impl Contestant {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Own => "dunlin",
            Self::Raw(raw) => raw.program,
            Self::Peer(peer) => peer.name,
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Own => "Dunlin",
            Self::Raw(raw) => raw.title,
            Self::Peer(peer) => peer.title,
        }
    }

    fn wire(self) -> &'static str {
        match self {
            Self::Own => "json",
            Self::Raw(raw) => raw.wire,
            Self::Peer(peer) => peer.wire,
        }
    }

    fn launch(self, ring: &Ring, place: &Place<'_>) -> Result<Launch> {
        match self {
            Self::Own => launch_own(ring, place),
            Self::Raw(raw) => Ok(raw.launch(&ring.programs, place)),
            Self::Peer(peer) => (peer.launch)(&ring.peers.join(peer.name), place),
        }
    }

    /// One run: starts the server, lets the generator measure it, stops the server.
    ///
    /// # Errors
    /// One of the two does not start, or the generator gives no result.
    pub(super) fn measure(self, ring: &Ring, scenario: &Scenario) -> Result<Outcome> {
        let folder = ring.scratch.join(self.name());
        empty(&folder)?;
        let place = Place { address: free_address()?, scratch: &folder };
        let mut launch = self.launch(ring, &place)?;
        let server = Server::start_at(&mut launch.command, place.address, &folder.join("log"))?;
        thread::sleep(SETTLING);
        let mut generator = pinned(GENERATOR_CORE, "timeout");
        generator.arg("--foreground").arg((ring.seconds + OVERHEAD_SECONDS_MAX).to_string());
        // Of the one that it is started by, which is `timeout`, and so when that is killed.
        generator.args(["setpriv", "--pdeathsig", "KILL"]).arg(ring.programs.join("dunlin"));
        generator.arg("bench").args(scenario.arguments).args(["--wire", self.wire(), "--json"]);
        generator.args(["--waiting", "awake"]);
        generator.args(["--url", &launch.url, "--pid", &server.pid().to_string()]);
        generator.args(["--duration", &format!("{}s", ring.seconds)]);
        if let Some(key) = launch.key {
            generator.args(["--key", key]);
        }
        let output = generator.stderr(Stdio::piped()).output().context("start the generator")?;
        let printed = String::from_utf8_lossy(&output.stdout);
        Outcome::parse(&printed).with_context(|| {
            let said = String::from_utf8_lossy(&output.stderr);
            format!("{}: {}", output.status, said.lines().last().unwrap_or_default())
        })
    }
}

fn launch_own(ring: &Ring, place: &Place<'_>) -> Result<Launch> {
    let mut command = pinned(SERVER_CORE, &ring.server);
    command.args(own::arguments(place.scratch, place.address)?);
    Ok(Launch { command, url: format!("http://{}", place.address), key: Some(own::KEY) })
}
