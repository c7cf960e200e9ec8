//! The same as `raw-fanout`, but all writes of one message, or of one turn to a channel, are one
//! system call.

use std::convert::Infallible;
use std::net::SocketAddr;

use anyhow::Context as _;
use bench::announce;
use bench::fanout::{self, Coalesce};
use bench::ring::Ring;
use bench::sockets::Sockets;
use clap::Parser;

#[derive(Debug, Parser)]
struct Args {
    /// Where clients connect.
    #[arg(long)]
    listen: SocketAddr,
    /// Messages that may share a write.
    #[arg(long, value_enum, default_value_t = Coalesce::Tick)]
    coalesce: Coalesce,
}

fn main() -> anyhow::Result<Infallible> {
    let args = Args::parse();
    let ring = Ring::new().context("no io_uring")?;
    let sockets = Sockets::listen(args.listen)?;
    announce("listening", sockets.address()?, std::process::id());
    Ok(fanout::serve(sockets, args.coalesce, ring)?)
}
