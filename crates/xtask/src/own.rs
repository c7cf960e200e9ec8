//! The server itself, as something to put load on: with an app of which the key is known, and no bound that
//! a load from one machine meets.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};

pub(crate) const KEY: &str = "bench.key:secret";

const CONFIGURATION: &str = r#"
[node]
connection_frame_rate = 0
connection_unacknowledged = 100000
ids_per_channel = 100000000
[[apps]]
id = "bench"
keys = [{ id = "key", secret = "secret" }]
namespaces = [{ id = "persisted", persisted = true }]
"#;

/// What the binary is told to be that server at `address`; `scratch` is a folder of its own.
///
/// # Errors
/// Nothing can be written there.
pub(crate) fn arguments(scratch: &Path, address: SocketAddr) -> Result<Vec<OsString>> {
    let configuration = scratch.join("config.toml");
    fs::write(&configuration, CONFIGURATION).context("write the configuration")?;
    let mut arguments: Vec<OsString> =
        ["serve", "--unlimited", "--log", "warn", "--config"].map(OsString::from).into();
    arguments.extend([configuration.into(), "--listen".into(), address.to_string().into()]);
    arguments.extend(["--data-dir".into(), scratch.join("data").into()]);
    Ok(arguments)
}
