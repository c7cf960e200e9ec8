//! Centrifugo, in its JSON protocol over WebSocket, with its memory engine. Clients may publish and
//! subscribe; nothing is kept of a channel, which is its default.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Peer;
use crate::bench::contestant::{Launch, Place};
use crate::bench::pinned::{SERVER_CORE, pinned};
use crate::process::{run, tool};

/// 6.9.1 asks for a commit between two releases of its library, which a module proxy need not have;
/// this takes the release.
const MODULE: &str = "\
module install

go 1.26

require github.com/centrifugal/centrifugo/v6 v6.9.1

replace github.com/centrifugal/centrifuge => github.com/centrifugal/centrifuge v0.38.0
";
const PACKAGE: &str = "github.com/centrifugal/centrifugo/v6";
/// What makes the module need the package, and so all that the package needs.
const TOOLS: &str = "\
//go:build tools

package tools

import _ \"github.com/centrifugal/centrifugo/v6\"
";

pub(super) const PEER: Peer = Peer {
    name: "centrifugo",
    title: "Centrifugo 6.9.1 (WebSocket)",
    wire: "centrifugo",
    acknowledges: true,
    program,
    install,
    launch,
};

fn program(folder: &Path) -> PathBuf {
    folder.join("centrifugo")
}

fn install(folder: &Path) -> Result<()> {
    fs::write(folder.join("go.mod"), MODULE).context("write go.mod")?;
    fs::write(folder.join("tools.go"), TOOLS).context("write tools.go")?;
    run(tool("go").current_dir(folder).args(["mod", "tidy"]))?;
    run(tool("go").current_dir(folder).args(["build", "-o"]).arg(program(folder)).arg(PACKAGE))
}

fn launch(folder: &Path, place: &Place<'_>) -> Result<Launch> {
    let configuration = place.scratch.join("config.json");
    let text = format!(
        r#"{{
  "http_server": {{"address": "{}", "port": {}}},
  "log": {{"level": "error"}},
  "client": {{"allow_anonymous_connect_without_token": true}},
  "channel": {{"without_namespace": {{
    "allow_subscribe_for_client": true, "allow_subscribe_for_anonymous": true,
    "allow_publish_for_client": true, "allow_publish_for_anonymous": true
  }}}}
}}
"#,
        place.address.ip(),
        place.address.port()
    );
    fs::write(&configuration, text).context("write the configuration")?;
    let mut command = pinned(SERVER_CORE, program(folder));
    command.arg("--config").arg(configuration);
    let url = format!("ws://{}/connection/websocket", place.address);
    Ok(Launch { command, url, key: None })
}
