//! Publishes in, replies out: as `raw-ingest`, but each request is parsed.

use std::convert::Infallible;
use std::hint::black_box;
use std::net::SocketAddr;

use bench::announce;
use bench::ingest::{receive, reply};
use bench::publish::parse;
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
            receive(&mut sockets, id, &mut buffer, |sockets, _, payload| match parse(payload) {
                Ok(publish) => {
                    let publish = black_box(publish);
                    sockets.gather(id, &reply(publish.msg_serial.to_be_bytes()));
                }
                Err(_) => sockets.close(id),
            });
            sockets.send_gathered();
        }
    }
}
