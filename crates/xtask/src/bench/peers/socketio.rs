//! Socket.IO on Node.js, WebSocket only: a server of a few lines (`socketio.mjs`) in which a client
//! subscribes to a room and publishes to one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Peer;
use crate::bench::contestant::{Launch, Place};
use crate::bench::pinned::{SERVER_CORE, pinned};
use crate::process::{run, tool};

const PACKAGE: &str = "socket.io@4.8.4";
const SERVER: &str = include_str!("socketio.mjs");

pub(super) const PEER: Peer = Peer {
    name: "socketio",
    title: "Socket.IO 4.8.4 (WebSocket)",
    wire: "socketio",
    acknowledges: true,
    program,
    install,
    launch,
};

fn program(folder: &Path) -> PathBuf {
    folder.join("node_modules/socket.io/package.json")
}

fn install(folder: &Path) -> Result<()> {
    let mut npm = tool("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(folder);
    run(npm.arg(PACKAGE))
}

fn launch(folder: &Path, place: &Place<'_>) -> Result<Launch> {
    // Beside the package, where Node.js finds it.
    let server = folder.join("server.mjs");
    fs::write(&server, SERVER).context("write the server")?;
    let mut command = pinned(SERVER_CORE, "node");
    command.env("NODE_ENV", "production").arg(server).arg(place.address.port().to_string());
    Ok(Launch { command, url: format!("http://{}", place.address), key: None })
}
