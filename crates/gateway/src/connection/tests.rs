//! A connection task against a scripted driver.

use bytes::Bytes;
use protocol::Action;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::*;
use crate::{
    events::EVENT_QUEUE,
    testing::{Answered, Bench, settings},
    ws::testing::{BINARY, CLOSE, TEXT, fragment, frame},
};

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Opens a WebSocket; the node's event is taken off the queue.
async fn open(bench: &mut Bench, target: &str) -> (TcpStream, TransportId, Format) {
    let mut stream = bench.connect().await;
    let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n{UPGRADE}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert_eq!(Answered::parse(&head).status, 101);
    let Event::Connect { transport, format, .. } = bench.next_event().await else { panic!() };
    (stream, transport, format)
}

/// The next frame from the server: opcode and payload.
async fn read(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let opcode = stream.read_u8().await.unwrap() & 0x0f;
    let len = match stream.read_u8().await.unwrap() {
        126 => usize::from(stream.read_u16().await.unwrap()),
        127 => usize::try_from(stream.read_u64().await.unwrap()).unwrap(),
        short => usize::from(short),
    };
    let mut payload = vec![0; len];
    stream.read_exact(&mut payload).await.unwrap();
    (opcode, payload)
}

fn heartbeat(id: &str, format: Format) -> Bytes {
    let mut message = ProtocolMessage::new(Action::Heartbeat);
    message.id = Some(id.into());
    protocol::encode(&message, format)
}

fn assert_closed(event: &Event, expected: TransportId) {
    assert!(matches!(event, Event::TransportClosed { transport } if *transport == expected));
}

#[tokio::test]
async fn a_connection_is_announced_brings_frames_in_order_and_ends_once() {
    let mut bench = Bench::new(settings()).await;
    let (mut stream, id, format) = open(&mut bench, "/?v=6&key=a.b%3Ac&format=json").await;
    assert_eq!(format, Format::Json);
    for text in ["a", "b"] {
        stream.write_all(&frame(TEXT, &heartbeat(text, Format::Json))).await.unwrap();
    }
    let mut frames = Vec::new();
    while frames.len() < 2 {
        let Event::Frames { transport, frames: next } = bench.next_event().await else { panic!() };
        assert_eq!(transport, id);
        frames.extend(next);
    }
    assert!(frames.iter().map(|frame| frame.id.as_deref()).eq([Some("a"), Some("b")]));
    stream.write_all(&frame(CLOSE, &[])).await.unwrap();
    assert_eq!(read(&mut stream).await.0, CLOSE);
    drop(stream);
    assert_closed(&bench.next_event().await, id);
    assert_eq!(bench.hub.counters().connections.load(Relaxed), 0);
    assert_eq!(bench.hub.counters().frames_in.load(Relaxed), 2);
    assert!(bench.events.as_mut().unwrap().try_recv().is_none());
}

#[tokio::test]
async fn the_connect_url_reaches_the_node_decoded() {
    let mut bench = Bench::new(settings()).await;
    let mut stream = bench.connect().await;
    let head = format!("GET /?key=a.b%3Ac&clientId=%C3%A9+x HTTP/1.1\r\nHost: a\r\n{UPGRADE}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let Event::Connect { query, .. } = bench.next_event().await else { panic!() };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(query, [pair("key", "a.b:c"), pair("clientId", "é x")]);
}

#[tokio::test]
async fn a_request_sent_along_with_the_first_frame_loses_nothing() {
    let mut bench = Bench::new(settings()).await;
    let mut stream = bench.connect().await;
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{UPGRADE}\r\n");
    let eager = frame(TEXT, &heartbeat("early", Format::Json));
    stream.write_all(&[head.as_bytes(), &eager].concat()).await.unwrap();
    let Event::Connect { .. } = bench.next_event().await else { panic!() };
    let Event::Frames { frames, .. } = bench.next_event().await else { panic!() };
    assert_eq!(frames[0].id.as_deref(), Some("early"));
}

#[tokio::test]
async fn frames_go_out_as_the_format_says() {
    let mut bench = Bench::new(settings()).await;
    let (mut json, json_id, _) = open(&mut bench, "/").await;
    let (mut packed, packed_id, format) = open(&mut bench, "/?format=msgpack").await;
    assert_eq!(format, Format::MessagePack);
    bench.hub.deliver([json_id], &[Bytes::from_static(b"{}")]);
    bench.hub.deliver([packed_id, TransportId(u64::MAX)], &[Bytes::from_static(b"\x80")]);
    bench.hub.ping(json_id);
    assert_eq!(read(&mut json).await, (TEXT, b"{}".to_vec()));
    assert_eq!(read(&mut json).await, (0x9, vec![]));
    assert_eq!(read(&mut packed).await, (BINARY, b"\x80".to_vec()));
    assert_eq!(bench.hub.counters().frames_out.load(Relaxed), 2);
}

#[tokio::test]
async fn a_frame_of_the_other_kind_or_without_meaning_is_a_bad_frame() {
    let mut bench = Bench::new(settings()).await;
    let packed = heartbeat("a", Format::MessagePack);
    let json = heartbeat("a", Format::Json);
    for (target, opcode, payload) in [
        ("/?format=msgpack", TEXT, &json),
        ("/?format=json", BINARY, &packed),
        ("/", TEXT, &Bytes::from_static(b"hello")),
    ] {
        let (mut stream, id, _) = open(&mut bench, target).await;
        stream.write_all(&frame(opcode, payload)).await.unwrap();
        let Event::BadFrame { transport, error } = bench.next_event().await else { panic!() };
        assert_eq!((transport, error.code), (id, 80013));
        drop(stream);
        assert_closed(&bench.next_event().await, id);
    }
}

#[tokio::test]
async fn a_bad_frame_comes_after_those_before_it_and_those_after_it_follow() {
    let mut bench = Bench::new(settings()).await;
    let (mut stream, _, _) = open(&mut bench, "/").await;
    let [first, last] = ["first", "last"].map(|id| heartbeat(id, Format::Json));
    let bad = br#"{"action":0,"id":"bad""#;
    let together = [frame(TEXT, &first), frame(TEXT, bad), frame(TEXT, &last)].concat();
    stream.write_all(&together).await.unwrap();
    let Event::Frames { frames, .. } = bench.next_event().await else { panic!() };
    assert!(frames.iter().map(|frame| frame.id.as_deref()).eq([Some("first")]));
    let Event::BadFrame { .. } = bench.next_event().await else { panic!() };
    let Event::Frames { frames, .. } = bench.next_event().await else { panic!() };
    assert!(frames.iter().map(|frame| frame.id.as_deref()).eq([Some("last")]));
    assert_eq!(bench.hub.counters().frames_in.load(Relaxed), 3);
    let bytes = (first.len() + bad.len() + last.len()) as u64;
    assert_eq!(bench.hub.counters().bytes_in.load(Relaxed), bytes);
}

#[tokio::test]
async fn a_text_in_pieces_is_read_as_one() {
    let mut bench = Bench::new(settings()).await;
    let (mut stream, _, _) = open(&mut bench, "/").await;
    let whole = heartbeat("caf\u{e9}", Format::Json);
    let (start, end) = whole.split_at(whole.len() - 3);
    stream.write_all(&[fragment(TEXT, start), frame(0, end)].concat()).await.unwrap();
    let Event::Frames { frames, .. } = bench.next_event().await else { panic!() };
    assert!(frames.iter().map(|frame| frame.id.as_deref()).eq([Some("caf\u{e9}")]));
}

#[tokio::test]
async fn a_close_by_the_node_comes_after_what_was_sent() {
    let mut bench = Bench::new(settings()).await;
    let (mut stream, id, _) = open(&mut bench, "/").await;
    bench.hub.deliver([id], &[Bytes::from_static(b"{}")]);
    bench.hub.close(id);
    assert_eq!(read(&mut stream).await, (TEXT, b"{}".to_vec()));
    assert_eq!(read(&mut stream).await, (CLOSE, 1000_u16.to_be_bytes().to_vec()));
    drop(stream);
    assert_closed(&bench.next_event().await, id);
}

#[tokio::test]
async fn a_message_over_the_limit_ends_the_connection() {
    let mut settings = settings();
    settings.limits.max_frame_size = 100;
    let mut bench = Bench::new(settings).await;
    let (mut stream, id, _) = open(&mut bench, "/").await;
    stream.write_all(&frame(TEXT, &[b' '; 101])).await.unwrap();
    let (opcode, payload) = read(&mut stream).await;
    assert_eq!((opcode, &payload[..2]), (CLOSE, &1009_u16.to_be_bytes()[..]));
    drop(stream);
    assert_closed(&bench.next_event().await, id);
}

#[tokio::test]
async fn a_busy_node_slows_its_clients_down_and_misses_nothing() {
    let mut bench = Bench::new(settings()).await;
    let (mut stream, _, _) = open(&mut bench, "/").await;
    let count = 3 * EVENT_QUEUE * MAX_GATHERED;
    let frames: Vec<u8> =
        (0..count).flat_map(|n| frame(TEXT, &heartbeat(&n.to_string(), Format::Json))).collect();
    let events = bench.events.as_mut().unwrap();
    let all = async {
        while events.len() < EVENT_QUEUE {
            tokio::task::yield_now().await;
        }
        let mut seen = 0;
        while seen < count {
            let Event::Frames { frames, .. } = events.recv().await.unwrap() else { panic!() };
            for frame in frames {
                assert_eq!(frame.id.as_deref(), Some(seen.to_string().as_str()));
                seen += 1;
            }
        }
    };
    let both = async { tokio::join!(stream.write_all(&frames), all) };
    timeout(Duration::from_secs(30), both).await.unwrap().0.unwrap();
}

#[tokio::test]
async fn messages_that_take_nothing_on_the_wire_fill_the_queue_too() {
    let mut bench = Bench::new(settings()).await;
    let (mut stream, _, _) = open(&mut bench, "/?format=msgpack").await;
    let empty = ProtocolMessage {
        messages: vec![types::Message::default(); 5_000],
        ..ProtocolMessage::new(Action::Message)
    };
    let bytes = frame(BINARY, &protocol::encode(&empty, Format::MessagePack));
    // Until nothing more is read.
    while timeout(Duration::from_millis(300), stream.write_all(&bytes)).await.is_ok() {}
    let (mut messages, events) = (0, bench.events.as_mut().unwrap());
    while let Some(event) = events.try_recv() {
        messages += event.messages();
    }
    assert!((1..=64 * EVENT_QUEUE).contains(&messages), "{messages}");
}

#[tokio::test]
async fn what_comes_last_reaches_a_node_that_is_busy() {
    let mut bench = Bench::new(settings()).await;
    let (mut stream, id, _) = open(&mut bench, "/").await;
    let other = || Event::TransportClosed { transport: TransportId(u64::MAX) };
    while bench.hub.try_tell(other()).is_none() {}
    let last = [frame(TEXT, &heartbeat("last", Format::Json)), frame(CLOSE, b"")].concat();
    stream.write_all(&last).await.unwrap();
    assert_eq!(read(&mut stream).await.0, CLOSE);
    drop(stream);
    let mut came = Vec::new();
    loop {
        match bench.next_event().await {
            Event::Frames { frames, .. } => came.extend(frames),
            Event::TransportClosed { transport } if transport == id => break,
            _ => {}
        }
    }
    assert_eq!(came.iter().map(|frame| frame.id.as_deref()).collect::<Vec<_>>(), [Some("last")]);
}

#[tokio::test]
async fn what_a_client_has_asked_for_arrives_however_much_it_is() {
    let mut bench = Bench::new(settings()).await;
    let (mut stream, id, _) = open(&mut bench, "/").await;
    let mut turn = crate::Turn::new(Arc::clone(&bench.hub), 0).unwrap();
    let much = Bytes::from(vec![b' '; 64 * 1024]);
    let count = 2 * settings().limits.send_queue_bytes as usize / much.len();
    (0..count).for_each(|_| turn.send(id, much.clone()));
    turn.flush();
    for _ in 0..count {
        assert_eq!(read(&mut stream).await, (TEXT, much.to_vec()));
    }
    assert_eq!(bench.hub.counters().overflowed.load(Relaxed), 0);
}

#[tokio::test]
async fn a_slow_reader_is_told_to_reconnect_and_closed() {
    let mut bench = Bench::new(settings()).await;
    let (mut stream, id, _) = open(&mut bench, "/").await;
    let message = Bytes::from(vec![b' '; 64 * 1024]);
    while bench.hub.counters().overflowed.load(Relaxed) == 0 {
        bench.hub.deliver([id], std::slice::from_ref(&message));
        tokio::task::yield_now().await;
    }
    bench.hub.deliver([id], std::slice::from_ref(&message));
    let mut last = Vec::new();
    let close = loop {
        match read(&mut stream).await {
            (TEXT, payload) => last = payload,
            (opcode, payload) => break (opcode, payload),
        }
    };
    let last: Value = serde_json::from_slice(&last).unwrap();
    assert_eq!(last["action"], 6);
    let error = &last["error"];
    assert_eq!((&error["code"], &error["statusCode"]), (&json!(80003), &json!(503)));
    assert_eq!((close.0, &close.1[..2]), (CLOSE, &1008_u16.to_be_bytes()[..]));
    drop(stream);
    assert_closed(&bench.next_event().await, id);
    assert_eq!(bench.hub.counters().overflowed.load(Relaxed), 1);
}

#[tokio::test]
async fn a_client_that_just_vanishes_is_closed_and_forgotten() {
    let mut bench = Bench::new(settings()).await;
    let (stream, id, _) = open(&mut bench, "/").await;
    drop(stream);
    assert_closed(&bench.next_event().await, id);
    bench.hub.deliver([id], &[Bytes::from_static(b"{}")]);
    assert_eq!(bench.hub.counters().frames_out.load(Relaxed), 0);
}

#[tokio::test]
async fn only_the_root_becomes_a_websocket_and_only_by_a_valid_upgrade() {
    let bench = Bench::new(settings()).await;
    for (call, status) in [("GET /elsewhere", 404), ("GET /", 426), ("GET /?a=%ff", 426)] {
        let answer = bench.ask(call, &["Upgrade: websocket"], b"").await;
        assert_eq!(answer.status, status, "{call}");
    }
    let mut stream = bench.connect().await;
    let head = format!("GET /?a=%ff HTTP/1.1\r\nHost: a\r\n{UPGRADE}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(Answered::read(stream).await.error(), (400, 40003));
}

#[tokio::test]
async fn a_shutdown_waits_for_websockets_until_the_node_closes_them() {
    let mut bench = Bench::new(settings()).await;
    let (mut stream, id, _) = open(&mut bench, "/").await;
    bench.stop.send(true).unwrap();
    stream.write_all(&frame(TEXT, &heartbeat("a", Format::Json))).await.unwrap();
    let Event::Frames { .. } = bench.next_event().await else { panic!() };
    assert!(!bench.served.is_finished());
    bench.hub.close(id);
    assert_eq!(read(&mut stream).await.0, CLOSE);
    drop(stream);
    bench.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_idle_connection_is_small() {
    let bench = Bench::new(settings()).await;
    let stream = bench.connect().await;
    let opened = super::open(stream, &bench.hub, vec![], Origin::default()).await.unwrap();
    let task = serve(opened, Arc::clone(&bench.hub), Vec::new(), 1);
    assert!(size_of_val(&task) <= 800, "{} bytes", size_of_val(&task));
}
