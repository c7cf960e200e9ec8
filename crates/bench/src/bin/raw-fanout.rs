//! Fan-out as fast as an epoll loop can: shared frames, written straight from the loop, with one
//! write for each message or for all messages of one turn.

use std::convert::Infallible;
use std::net::SocketAddr;

use bench::announce;
use bench::fanout::{self, Coalesce, Direct};
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
    let sockets = Sockets::listen(args.listen)?;
    announce("listening", sockets.address()?, std::process::id());
    Ok(fanout::serve(sockets, args.coalesce, Direct)?)
}
