//! Sockudo, through the same protocol and the same connections as the server that is measured. What a
//! client may resume from is kept in memory, for as long as here.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::Peer;
use crate::bench::contestant::{Launch, Place};
use crate::bench::pinned::{SERVER_CORE, pinned};
use crate::process::{cargo, run, tool};

const VERSION: &str = "5.2.0";
const FEATURES: &str = "ably-compat,monolith";

pub(super) const PEER: Peer = Peer {
    name: "sockudo",
    title: "Sockudo 5.2.0 (the same protocol)",
    wire: "json",
    acknowledges: true,
    program,
    install,
    launch,
};

fn program(folder: &Path) -> PathBuf {
    folder.join("bin/sockudo")
}

fn install(folder: &Path) -> Result<()> {
    let protoc = tool("protoc").arg("--version").output();
    ensure!(protoc.is_ok(), "needs apt-get install protobuf-compiler libprotobuf-dev");
    let mut install = cargo(&["install", "sockudo", "--version", VERSION, "--locked"]);
    install.args(["--features", FEATURES, "--root"]).arg(folder);
    install.env("CARGO_TARGET_DIR", folder.join("target"));
    run(&mut install)
}

fn launch(folder: &Path, place: &Place<'_>) -> Result<Launch> {
    let configuration = place.scratch.join("config.toml");
    fs::write(&configuration, configure(place)).context("write the configuration")?;
    let mut command = pinned(SERVER_CORE, program(folder));
    command.current_dir(place.scratch).arg("--config").arg(configuration);
    command.env("PUSH_ALLOW_MEMORY_DRIVERS", "true").env("RUST_LOG", "warn");
    let url = format!("http://{}", place.address);
    Ok(Launch { command, url, key: Some("bench.key:secret") })
}

fn configure(place: &Place<'_>) -> String {
    format!(
        r#"
host = "{}"
port = {}
max_connections = 100000
[ably_compat]
enabled = true
[history]
enabled = true
backend = "memory"
retention_window_seconds = 120
[metrics]
enabled = false
[rate_limiter]
enabled = false
[app_manager]
driver = "memory"
[[app_manager.array.apps]]
id = "bench"
key = "bench.key"
secret = "secret"
enabled = true
max_connections = 100000
max_client_events_per_second = 0
enable_client_messages = true
"#,
        place.address.ip(),
        place.address.port()
    )
}
