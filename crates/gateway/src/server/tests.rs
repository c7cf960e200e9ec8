//! The server: limits on what comes before a request, and its end.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::testing::{Answered, Bench, settings};

const REQUEST: &[u8] = b"GET /time HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn a_head_over_the_limit_is_answered_with_431() {
    let bench = Bench::new(settings()).await;
    let long = format!("X-Long: {}", "x".repeat(MAX_HEAD_BYTES));
    assert_eq!(bench.ask("GET /time", &[&long], b"").await.status, 431);
    assert_eq!(bench.get("/time").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_in_time_is_not_waited_for() {
    let bench = Bench::new(settings()).await;
    for partial in [&b""[..], b"GET /time HTTP/1.1\r\nHo"] {
        let mut stream = bench.connect().await;
        stream.write_all(partial).await.unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await.unwrap();
        assert!(!got.starts_with(b"HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_a_free_slot_is_used() {
    let bench = Bench::new(Settings { max_connections: 1, ..settings() }).await;
    let mut first = bench.connect().await;
    let refused = Answered::read(bench.connect().await).await;
    assert_eq!((refused.status, refused.header("x-ably-errorcode")), (503, Some("50004")));

    first.write_all(REQUEST).await.unwrap();
    assert_eq!(Answered::read(first).await.status, 200);
    // The slot is free soon after the client has seen the end.
    let reused = async {
        loop {
            let mut stream = bench.connect().await;
            let mut got = Vec::new();
            if stream.write_all(REQUEST).await.is_ok()
                && stream.read_to_end(&mut got).await.is_ok()
                && got.starts_with(b"HTTP/1.1 200")
            {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reused).await.unwrap();
}

#[tokio::test]
async fn shutdown_lets_a_request_in_flight_finish_and_then_ends() {
    let mut bench = Bench::new(settings()).await;
    let mut stream = bench.connect().await;
    stream.write_all(b"DELETE /apps/a HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let node::Event::Request { id, .. } = bench.next_event().await else { panic!() };

    bench.stop.send(true).unwrap();
    bench.hub.reply(id, node::Response::NoContent);
    assert_eq!(Answered::read(stream).await.status, 204);
    bench.served.await.unwrap().unwrap();
    assert!(TcpStream::connect(bench.address).await.is_err());
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_a_shutdown() {
    let bench = Bench::new(settings()).await;
    let idle = bench.connect().await;
    assert_eq!(bench.get("/health/ready").await.status, 200);
    bench.stop.send(true).unwrap();
    bench.served.await.unwrap().unwrap();
    drop(idle);
}
