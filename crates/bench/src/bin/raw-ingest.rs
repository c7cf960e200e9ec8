//! Requests in, replies out: reads, unmasks, and answers all requests of one read with one write.

use std::convert::Infallible;
use std::hint::black_box;
use std::net::SocketAddr;

use bench::announce;
use bench::ingest::{receive, reply};
use bench::sockets::{READ_BUFFER, Sockets};
use clap::Parser;

#[derive(Debug, Parser)]
struct Args {
    /// Where clients connect.
    #[arg(long)]
    listen: SocketAddr,
}

fn main() -> anyhow::Result<Infallible> {
    let args = Args::parse();
    let mut sockets = Sockets::<()>::listen(args.listen)?;
    announce("listening", sockets.address()?, std::process::id());
    let mut buffer = vec![0; READ_BUFFER];
    let mut ready = Vec::new();
    loop {
        sockets.wait(&mut ready)?;
        for id in ready.drain(..) {
            receive(&mut sockets, id, &mut buffer, |sockets, sequence, payload| {
                black_box(payload);
                sockets.gather(id, &reply(sequence));
            });
            sockets.send_gathered();
        }
    }
}
