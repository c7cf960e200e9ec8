//! Requests are answered when they are on disk: appended to a file with group commit. Each record is
//! the length of the payload (u32, big-endian) and the payload.

use std::convert::Infallible;
use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use bench::announce;
use bench::commit::{Committer, Group};
use bench::ingest::{receive, record, reply};
use bench::sockets::{READ_BUFFER, Sockets};
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

fn main() -> anyhow::Result<Infallible> {
    let args = Args::parse();
    let file =
        File::create(&args.file).with_context(|| format!("create {}", args.file.display()))?;
    let committer = Committer::start(file)?;
    let mut sockets = Sockets::<()>::listen(args.listen)?;
    let committed = sockets.watch(&committer)?;
    announce("listening", sockets.address()?, std::process::id());
    let mut buffer = vec![0; READ_BUFFER];
    let mut ready = Vec::new();
    let mut group = Group::default();
    loop {
        sockets.wait(&mut ready)?;
        for id in ready.drain(..) {
            if id == committed {
                for (id, sequence) in committer.take_done()? {
                    sockets.gather(id, &reply(sequence));
                }
                sockets.send_gathered();
            } else {
                receive(&mut sockets, id, &mut buffer, |_, sequence, payload| {
                    record(&mut group.bytes, payload);
                    group.waiting.push((id, sequence));
                });
            }
        }
        if !group.waiting.is_empty() {
            committer.append(&mut group);
        }
    }
}
