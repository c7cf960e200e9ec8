//! Requests are answered when they are on disk: appended to a file with group commit. Each record is
//! the length of the payload (u32, big-endian) and the payload.

use std::convert::Infallible;
use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use bench::commit::run;
use bench::ingest::record;
use clap::Parser;

#[derive(Debug, Parser)]
struct Args {
    /// Where clients connect.
    #[arg(long)]
    listen: SocketAddr,
    /// The file, which is emptied first and stays behind: on the disk that is to be measured.
    #[arg(long, default_value = "raw-append.data")]
    file: PathBuf,
}

/// Size at which the file begins anew: it is written for its cost, not for what is in it.
const FILE_MAX: usize = 1024 * 1024 * 1024;

fn main() -> anyhow::Result<Infallible> {
    let args = Args::parse();
    let mut file =
        File::create(&args.file).with_context(|| format!("create {}", args.file.display()))?;
    let mut written = 0;
    let write = move |bytes: &[u8]| {
        file.write_all(bytes)?;
        file.sync_data()?;
        written += bytes.len();
        if written > FILE_MAX {
            file.set_len(0)?;
            file.rewind()?;
            written = 0;
        }
        Ok(())
    };
    run(args.listen, write, |records, sequence, payload| {
        record(records, payload);
        Some(sequence)
    })
}
