//! The loop over loopback sockets.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::{Notify, mpsc},
    task::JoinHandle,
};

use super::*;
use crate::ws::{
    outbox::Pushed,
    testing::{BINARY, CLOSE, PING, TEXT, frame, owned},
};

/// Generous: no test waits for these.
const LIMITS: Limits = Limits {
    max_message: 64 * 1024 * 1024,
    write_stall: Duration::from_secs(60),
    linger: Duration::from_secs(60),
};

/// Reports what comes in; full after each message once `ready` is given.
struct Recorder {
    seen: mpsc::UnboundedSender<Message<'static>>,
    ready: Option<Arc<Notify>>,
}

impl Handler for Recorder {
    fn on_message(&mut self, message: Message<'_>) -> Intake {
        self.seen.send(owned(message)).unwrap();
        if self.ready.is_some() { Intake::Full } else { Intake::More }
    }

    async fn ready(&mut self) {
        if let Some(ready) = &self.ready {
            ready.notified().await;
        }
    }
}

struct Bench {
    client: TcpStream,
    outbox: Arc<Outbox>,
    seen: mpsc::UnboundedReceiver<Message<'static>>,
    served: JoinHandle<Ended>,
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

impl Bench {
    async fn new(limits: Limits, leftover: &'static [u8], ready: Option<Arc<Notify>>) -> Self {
        let (client, server) = pair().await;
        let outbox = Arc::new(Outbox::new(server, 64 * 1024 * 1024));
        let (seen_by, seen) = mpsc::unbounded_channel();
        let served = tokio::spawn({
            let outbox = Arc::clone(&outbox);
            async move {
                let mut handler = Recorder { seen: seen_by, ready };
                run(outbox, leftover.to_vec(), limits, &mut handler).await
            }
        });
        Self { client, outbox, seen, served }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.client.write_all(bytes).await.unwrap();
    }

    async fn expect(&mut self, frame: &Frame) {
        let mut got = vec![0; frame.as_bytes().len()];
        self.client.read_exact(&mut got).await.unwrap();
        let start = frame.as_bytes().get(..10).unwrap_or(frame.as_bytes());
        assert!(got == frame.as_bytes(), "not the frame that starts with {start:02x?}");
    }

    async fn expect_end(&mut self) {
        assert_eq!(self.client.read(&mut [0]).await.unwrap(), 0);
    }

    async fn see(&mut self, message: Message<'static>) {
        assert_eq!(self.seen.recv().await, Some(message));
    }
}

fn text(payload: &'static str) -> Frame {
    Frame::text(payload.as_bytes())
}

#[tokio::test]
async fn messages_come_in_and_frames_go_out() {
    let mut bench = Bench::new(LIMITS, b"", None).await;
    bench.outbox.push(&text("welcome"));
    bench.expect(&text("welcome")).await;
    bench.send(&[frame(TEXT, b"a"), frame(BINARY, b"b")].concat()).await;
    bench.see(Message::Text("a".into())).await;
    bench.see(Message::Binary(b"b".into())).await;
    bench.outbox.push(&text("more"));
    bench.expect(&text("more")).await;
}

#[tokio::test]
async fn what_came_with_the_handshake_is_read_first() {
    const EMPTY_TEXT: &[u8] = &[0x81, 0x80, 1, 2, 3, 4];
    let mut bench = Bench::new(LIMITS, EMPTY_TEXT, None).await;
    bench.see(Message::Text("".into())).await;
}

#[tokio::test]
async fn of_many_pings_that_come_together_the_last_is_answered() {
    let mut bench = Bench::new(LIMITS, b"", None).await;
    let pings: Vec<u8> = (0..100_u8).flat_map(|n| frame(PING, &[n])).collect();
    bench.send(&pings).await;
    bench.expect(&Frame::pong(&[99])).await;
}

#[tokio::test]
async fn a_ping_is_answered_and_reported() {
    let mut bench = Bench::new(LIMITS, b"", None).await;
    bench.send(&frame(PING, b"are you there")).await;
    bench.expect(&Frame::pong(b"are you there")).await;
    bench.see(Message::Ping(b"are you there".into())).await;
}

#[tokio::test]
async fn a_close_frame_is_echoed_and_the_stream_ends() {
    let mut bench = Bench::new(LIMITS, b"", None).await;
    bench.outbox.push(&text("before"));
    bench.expect(&text("before")).await;
    bench.send(&frame(CLOSE, &[0x0f, 0xa0, b'!'])).await;
    bench.expect(&Frame::close(CloseCode(4000), "")).await;
    bench.expect_end().await;
    assert_eq!(bench.outbox.push(&text("late")), Pushed::Closed);
    drop(bench.client);
    assert!(matches!(bench.served.await.unwrap(), Ended::ByPeer(Some(CloseCode(4000)))));
}

#[tokio::test]
async fn a_violation_is_told_after_what_was_queued_before_it() {
    let mut bench = Bench::new(LIMITS, b"", None).await;
    bench.send(&[frame(PING, b""), vec![0x81, 0x00], frame(TEXT, b"ignored")].concat()).await;
    bench.expect(&Frame::pong(&[])).await;
    bench.expect(&Violation::Unmasked.frame()).await;
    bench.expect_end().await;
    bench.see(Message::Ping(b"".into())).await;
    drop(bench.client);
    assert!(matches!(bench.served.await.unwrap(), Ended::Violation(Violation::Unmasked)));
    assert_eq!(bench.seen.recv().await, None);
}

#[tokio::test]
async fn the_server_closes_after_its_last_frame() {
    let mut bench = Bench::new(LIMITS, b"", None).await;
    bench.outbox.close_after_flush(Some(text("bye")), Frame::close(CloseCode::GOING_AWAY, ""));
    bench.expect(&text("bye")).await;
    bench.expect(&Frame::close(CloseCode::GOING_AWAY, "")).await;
    bench.expect_end().await;
    drop(bench.client);
    assert!(matches!(bench.served.await.unwrap(), Ended::ByServer));
}

#[tokio::test]
async fn a_peer_that_never_closes_its_side_is_dropped_after_the_linger() {
    let limits = Limits { linger: Duration::from_millis(20), ..LIMITS };
    let bench = Bench::new(limits, b"", None).await;
    bench.outbox.close_after_flush(None, Frame::close_without_code());
    assert!(matches!(bench.served.await.unwrap(), Ended::ByServer));
}

#[tokio::test]
async fn a_peer_that_accepts_nothing_is_dropped_after_the_stall() {
    let limits = Limits { write_stall: Duration::from_millis(20), ..LIMITS };
    let bench = Bench::new(limits, b"", None).await;
    bench.outbox.push(&Frame::binary(&vec![0; 32 * 1024 * 1024]));
    assert!(matches!(bench.served.await.unwrap(), Ended::Stalled));
}

#[tokio::test]
async fn a_peer_that_overflowed_still_gets_a_whole_frame_and_the_last_word() {
    let mut bench = Bench::new(LIMITS, b"", None).await;
    let large = Frame::binary(&vec![7; 32 * 1024 * 1024]);
    bench.outbox.push(&large);
    bench.client.readable().await.unwrap();
    while bench.outbox.push(&large) == Pushed::Accepted {}
    bench.outbox.close_after_flush(Some(text("too slow")), Frame::close(CloseCode::POLICY, ""));
    bench.expect(&large).await;
    bench.expect(&text("too slow")).await;
    bench.expect(&Frame::close(CloseCode::POLICY, "")).await;
    bench.expect_end().await;
}

#[tokio::test]
async fn an_overflow_that_nobody_answers_ends_the_connection() {
    let limits = Limits { linger: Duration::from_millis(20), ..LIMITS };
    let bench = Bench::new(limits, b"", None).await;
    let large = Frame::binary(&vec![0; 65 * 1024 * 1024]);
    while bench.outbox.push(&large) == Pushed::Accepted {}
    assert!(matches!(bench.served.await.unwrap(), Ended::Stalled));
}

#[tokio::test]
async fn a_large_message_passes_in_both_directions() {
    let mut bench = Bench::new(LIMITS, b"", None).await;
    let payload: Vec<u8> = (0..5_000_000_u32).map(|i| i as u8).collect();
    bench.send(&frame(BINARY, &payload)).await;
    bench.see(Message::Binary(payload.clone().into())).await;
    bench.outbox.push(&Frame::binary(&payload));
    bench.expect(&Frame::binary(&payload)).await;
}

#[tokio::test]
async fn a_full_handler_stops_the_input_but_not_the_output() {
    let ready = Arc::new(Notify::new());
    let mut bench = Bench::new(LIMITS, b"", Some(Arc::clone(&ready))).await;
    bench.send(&[frame(TEXT, b"1"), frame(TEXT, b"2"), frame(CLOSE, b"")].concat()).await;
    bench.see(Message::Text("1".into())).await;
    bench.outbox.push(&text("still here"));
    bench.expect(&text("still here")).await;
    assert!(bench.seen.is_empty());
    ready.notify_one();
    bench.see(Message::Text("2".into())).await;
    assert!(bench.seen.is_empty());
    ready.notify_one();
    bench.see(Message::Close(None)).await;
    bench.expect(&Frame::close_without_code()).await;
}

#[tokio::test]
async fn a_stream_that_ends_without_a_close_frame_is_lost() {
    let bench = Bench::new(LIMITS, b"", None).await;
    drop(bench.client);
    assert!(matches!(bench.served.await.unwrap(), Ended::Lost(None)));
    assert_eq!(bench.outbox.push(&text("late")), Pushed::Closed);
}

#[tokio::test]
async fn a_connection_task_that_is_dropped_closes_its_outbox() {
    let mut bench = Bench::new(LIMITS, b"", None).await;
    bench.outbox.push(&text("running"));
    bench.expect(&text("running")).await;
    bench.served.abort();
    assert!(bench.served.await.unwrap_err().is_cancelled());
    assert_eq!(bench.outbox.push(&text("late")), Pushed::Closed);
}

#[tokio::test]
async fn an_idle_connection_is_small() {
    let (_client, server) = pair().await;
    let mut handler = Recorder { seen: mpsc::unbounded_channel().0, ready: None };
    let outbox = Arc::new(Outbox::new(server, 0));
    let served = run(outbox, Vec::new(), LIMITS, &mut handler);
    let size = size_of_val(&served);
    println!("connection future: {size} bytes, outbox: {} bytes", size_of::<Outbox>());
    assert!(size < 600, "{size} bytes");
}
