//! Publishes are parsed, as by `raw-ingest-json`, and answered when their data is on disk in a store: the engine that
//! the server has, with group commit. A row takes what has come together, up to 16 KB. Each record is the length of
//! the data (u32, big-endian) and the data.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bench::commit::run;
use bench::ingest::record;
use bench::publish::parse;
use clap::Parser;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};

#[derive(Debug, Parser)]
struct Args {
    /// Where clients connect.
    #[arg(long)]
    listen: SocketAddr,
    /// The folder of the store, which stays behind: on the disk that is to be measured.
    #[arg(long, default_value = "raw-store.data")]
    folder: PathBuf,
}

const ROW_MAX: usize = 16 * 1024;

fn main() -> anyhow::Result<Infallible> {
    let args = Args::parse();
    let (store, rows) =
        open(&args.folder).with_context(|| format!("open {}", args.folder.display()))?;
    let mut next = 0_u64;
    let write = move |bytes: &[u8]| {
        let mut batch = store.batch().durability(Some(PersistMode::SyncAll));
        for row in bytes.chunks(ROW_MAX) {
            batch.insert(&rows, next.to_be_bytes(), row);
            next += 1;
        }
        Ok(batch.commit()?)
    };
    run(args.listen, write, |records, _, payload| {
        let publish = parse(payload).ok()?;
        let data = publish.messages.iter().filter_map(|message| message.data.as_ref());
        data.for_each(|data| record(records, data.0.as_bytes()));
        Some(publish.msg_serial.to_be_bytes())
    })
}

/// With large rows in files of their own, as the server has its history.
fn open(folder: &Path) -> fjall::Result<(Database, Keyspace)> {
    let store = Database::builder(folder).open()?;
    let separate = KvSeparationOptions::default().separation_threshold(4 << 10);
    let rows = store
        .keyspace("rows", || KeyspaceCreateOptions::default().with_kv_separation(Some(separate)))?;
    Ok((store, rows))
}
