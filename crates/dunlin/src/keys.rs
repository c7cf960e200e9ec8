//! `dunlin keys`: the keys of the app that the data directory keeps. Other apps have theirs in the
//! configuration file.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, ensure};
use auth::Capability;
use clap::{Args, Subcommand};
use types::{App, ErrorInfo, Key};

use crate::Failure;
use crate::config::{Config, FULL_CAPABILITY};
use crate::data_dir;

/// List, make and revoke keys of the app in the data directory
///
/// The server must not run: it has the data directory for itself, and reads keys when it starts.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,

    /// Where the app is kept [default: dunlin-data]
    #[arg(long, env = "DUNLIN_DATA_DIR", value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Print the keys, one in a line: text, capability, and whether it is revoked
    List,
    /// Make a key and print it
    Create {
        /// What it may do, as JSON
        #[arg(long, value_name = "JSON", default_value = FULL_CAPABILITY, value_parser = capability)]
        capability: Arc<str>,

        /// Let its tokens be revoked; they live for an hour at most
        #[arg(long)]
        revocable_tokens: bool,
    },
    /// Revoke a key and all its tokens, for good
    Revoke {
        /// The part of the key between dot and colon
        id: String,
    },
}

pub(crate) fn run(args: KeysArgs) -> Result<(), Failure> {
    let directory = args.data_dir.unwrap_or_else(|| Config::default().data_dir);
    Ok(change(&directory, &args.command)?)
}

fn change(directory: &Path, command: &KeysCommand) -> Result<()> {
    ensure!(directory.is_dir(), "there is no data directory {}", directory.display());
    let store = data_dir::open(directory, store::DEFAULT_RETENTION)?;
    let kept = store.apps()?.into_iter().next();
    let mut app = kept.ok_or_else(|| anyhow!("there is no app in {}", directory.display()))?;
    match command {
        KeysCommand::List => print(&list(&app)),
        KeysCommand::Create { capability, revocable_tokens } => {
            let mut key = data_dir::new_key(&mut data_dir::seeded_rng()?);
            key.capability = Arc::clone(capability);
            key.revocable_tokens = *revocable_tokens;
            let text = format!("{}.{}:{}\n", app.id, key.id, key.secret);
            app.keys.push(key);
            store.put_app(&app)?;
            print(&text)
        }
        KeysCommand::Revoke { id } => {
            let known = app.keys.iter_mut().find(|key| *key.id == **id);
            let key = known.ok_or_else(|| anyhow!("the app has no key {id}"))?;
            key.restrictions.revoked = true;
            store.put_app(&app)?;
            Ok(())
        }
    }
}

fn list(app: &App) -> String {
    let line = |key: &Key| {
        let state = if key.restrictions.revoked { "  revoked" } else { "" };
        format!("{}.{}:{}  {}{state}\n", app.id, key.id, key.secret, key.capability)
    };
    app.keys.iter().map(line).collect()
}

fn print(text: &str) -> Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("cannot print")
}

fn capability(json: &str) -> Result<Arc<str>, ErrorInfo> {
    Capability::parse(json).map(|_| json.into())
}
