//! Mosquitto, MQTT 3.1.1 over TCP: the package of Debian opens no WebSocket listener. Publishes that
//! are to be acknowledged have QoS 1; deliveries QoS 0.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Peer;
use crate::bench::contestant::{Launch, Place};
use crate::bench::pinned::{SERVER_CORE, pinned};

const PROGRAMS: &[&str] = &["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"];

pub(super) const PEER: Peer = Peer {
    name: "mosquitto",
    title: "Mosquitto (MQTT over TCP)",
    wire: "mqtt",
    acknowledges: true,
    program,
    install,
    launch,
};

/// Of the system, whatever the folder.
fn program(_: &Path) -> PathBuf {
    let found = PROGRAMS.iter().find(|program| Path::new(program).exists());
    PathBuf::from(found.or(PROGRAMS.first()).copied().unwrap_or_default())
}

fn install(_: &Path) -> Result<()> {
    bail!("it is a package of the system: apt-get install mosquitto")
}

fn launch(folder: &Path, place: &Place<'_>) -> Result<Launch> {
    let configuration = place.scratch.join("mosquitto.conf");
    // Started by root, it would become another user, and lose whom it ends with.
    let user = Command::new("id").arg("-un").output().context("ask for the user")?;
    let text = format!(
        "listener {} 127.0.0.1\nuser {}\nallow_anonymous true\npersistence false\n\
         set_tcp_nodelay true\nmax_queued_messages 0\nmax_inflight_messages 0\nlog_type error\n",
        place.address.port(),
        String::from_utf8_lossy(&user.stdout).trim()
    );
    fs::write(&configuration, text).context("write the configuration")?;
    let mut command = pinned(SERVER_CORE, program(folder));
    command.arg("-c").arg(configuration);
    Ok(Launch { command, url: format!("mqtt://{}", place.address), key: None })
}
