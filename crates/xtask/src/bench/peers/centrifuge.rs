//! Centrifuge, the library that Centrifugo is made of, in a server of a few lines (`centrifuge.go`): its
//! JSON protocol over WebSocket, with its memory engine.
//!
//! Not Centrifugo itself: its releases pin commits of the library between two of the library's own
//! releases, which module proxies need not have.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Peer;
use crate::bench::contestant::{Launch, Place};
use crate::bench::pinned::{SERVER_CORE, pinned};
use crate::process::{run, tool};

const MODULE: &str = "\
module server

go 1.26

require github.com/centrifugal/centrifuge v0.38.0
";
const SERVER: &str = include_str!("centrifuge.go");

pub(super) const PEER: Peer = Peer {
    name: "centrifuge",
    title: "Centrifuge 0.38.0 (WebSocket)",
    wire: "centrifugo",
    acknowledges: true,
    program,
    install,
    launch,
};

fn program(folder: &Path) -> PathBuf {
    folder.join("server")
}

fn install(folder: &Path) -> Result<()> {
    fs::write(folder.join("go.mod"), MODULE).context("write go.mod")?;
    fs::write(folder.join("main.go"), SERVER).context("write main.go")?;
    run(tool("go").current_dir(folder).args(["mod", "tidy"]))?;
    run(tool("go").current_dir(folder).args(["build", "-o"]).arg(program(folder)).arg("."))
}

#[expect(clippy::unnecessary_wraps, reason = "other peers write a configuration, which can fail")]
fn launch(folder: &Path, place: &Place<'_>) -> Result<Launch> {
    let mut command = pinned(SERVER_CORE, program(folder));
    command.arg(place.address.to_string());
    let url = format!("ws://{}/connection/websocket", place.address);
    Ok(Launch { command, url, key: None })
}
