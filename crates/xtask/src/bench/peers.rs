//! Other servers that ordinary package clients install: one per file, with how it is installed,
//! configured and started. Configurations are those of production, but for limits that a load from
//! one machine meets, and for credentials: anybody may connect, on loopback only.

mod centrifuge;
mod mosquitto;
mod nats;
mod socketio;
mod sockudo;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::contestant::{Launch, Place};
use crate::process::target_dir;

/// A server that the same load can be put on.
pub(super) struct Peer {
    pub(super) name: &'static str,
    /// With the version, and how clients reach it.
    pub(super) title: &'static str,
    /// As what `dunlin bench` speaks to it.
    pub(super) wire: &'static str,
    /// Whether it tells a publisher that its message was taken.
    pub(super) acknowledges: bool,
    /// What is there when it is installed in this folder.
    program: fn(&Path) -> PathBuf,
    install: fn(&Path) -> Result<()>,
    pub(super) launch: fn(&Path, &Place<'_>) -> Result<Launch>,
}

pub(super) const PEERS: &[&Peer] =
    &[&sockudo::PEER, &centrifuge::PEER, &nats::PEER, &socketio::PEER, &mosquitto::PEER];

impl Peer {
    pub(super) fn is_installed(&self, peers: &Path) -> bool {
        (self.program)(&peers.join(self.name)).exists()
    }
}

pub(super) fn default_folder() -> PathBuf {
    target_dir().join("peers")
}

/// Installs those that are named, or all. One that cannot be installed does not keep the others from it.
pub(super) fn install(args: &[&str]) -> Result<()> {
    let mut peers = default_folder();
    let mut named = Vec::new();
    let mut args = args.iter();
    while let Some(&arg) = args.next() {
        if arg == "--peers-dir" {
            peers = PathBuf::from(args.next().context("--peers-dir needs a folder")?);
        } else {
            let known = PEERS.iter().find(|peer| peer.name == arg);
            named.push(*known.with_context(|| format!("no peer {arg}"))?);
        }
    }
    let peers = std::path::absolute(&peers).context("find the folder for peers")?;
    let chosen = if named.is_empty() { PEERS } else { &named };
    let mut missing = Vec::new();
    for peer in chosen {
        let folder = peers.join(peer.name);
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        if !peer.is_installed(&peers)
            && let Err(error) = (peer.install)(&folder)
        {
            println!("{}: not installed: {error:#}", peer.name);
            missing.push(peer.name);
        } else {
            println!("{}: {}", peer.name, peer.title);
        }
    }
    ensure!(missing.is_empty(), "not installed: {}", missing.join(", "));
    Ok(())
}
