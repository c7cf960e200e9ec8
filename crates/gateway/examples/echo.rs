//! A WebSocket echo server: hyper speaks HTTP, this crate speaks WebSocket.
//!
//! `cargo run -p gateway --example echo -- 127.0.0.1:9001`; meant as the target of the Autobahn test suite.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use bytes::Bytes;
use gateway::ws::{self, Frame, Handler, Intake, Limits, Message, Outbox};
use http_body_util::Empty;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

const LIMITS: Limits = Limits {
    max_message: 32 * 1024 * 1024,
    write_stall: Duration::from_secs(10),
    linger: Duration::from_secs(5),
};

/// Room for two of the largest messages.
const OUTBOX_LIMIT: usize = 2 * LIMITS.max_message;

struct Echo(Arc<Outbox>);

impl Handler for Echo {
    fn on_message(&mut self, message: Message<'_>) -> Intake {
        let frame = match message {
            Message::Text(text) => Frame::text(text.as_bytes()),
            Message::Binary(bytes) => Frame::binary(&bytes),
            Message::Close(_) | Message::Ping(_) | Message::Pong(_) => return Intake::More,
        };
        self.0.push(&frame);
        Intake::More
    }
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "whoever started it waits for the address")]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1).context("usage: echo ADDRESS")?;
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(
            http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(upgrade))
                .with_upgrades(),
        );
    }
}

async fn upgrade(request: Request<Incoming>) -> anyhow::Result<Response<Empty<Bytes>>> {
    let (parts, body) = request.into_parts();
    let head = match ws::accept(&parts) {
        Ok(head) => {
            let upgrade = hyper::upgrade::on(Request::from_parts(parts, body));
            tokio::spawn(async { echo(upgrade.await?).await });
            head
        }
        Err(refusal) => refusal.response(),
    };
    Ok(head.map(|()| Empty::new()))
}

async fn echo(upgraded: hyper::upgrade::Upgraded) -> anyhow::Result<ws::Ended> {
    let parts = upgraded
        .downcast::<TokioIo<TcpStream>>()
        .map_err(|_other| anyhow!("the connection is not plain TCP"))?;
    let outbox = Arc::new(Outbox::new(parts.io.into_inner(), OUTBOX_LIMIT));
    let mut handler = Echo(Arc::clone(&outbox));
    Ok(ws::run(outbox, parts.read_buf.to_vec(), LIMITS, &mut handler).await)
}
