//! Comet against a scripted driver: over real HTTP, and where time matters without sockets.

use protocol::{Action, ProtocolMessage};
use serde_json::{Value, json};

use super::*;
use crate::{
    body::Body,
    testing::{Bench, Live, settings},
};

const JSON: &str = "Content-Type: application/json";

fn frame(id: &str, format: Format) -> Bytes {
    let mut frame = ProtocolMessage::new(Action::Heartbeat);
    frame.id = Some(id.into());
    protocol::encode(&frame, format)
}

/// The ids of the frames of a list.
fn ids(list: &[u8], format: Format) -> Vec<String> {
    let frames = protocol::decode_all(format, list).unwrap();
    frames.iter().map(|frame| frame.id.as_deref().unwrap().to_owned()).collect()
}

/// Connects as `query` says; the node names the connection `key` and sends `c`.
async fn connect(bench: &mut Bench, query: &str, key: &str) -> (Live, TransportId) {
    let live = Live::open(bench, &format!("GET /comet/connect?{query}"), &[]).await;
    let Event::Connect { transport, format, .. } = bench.next_event().await else { panic!() };
    bench.hub.connected(transport, key.into(), None);
    bench.hub.deliver([transport], &[frame("c", format)]);
    (live, transport)
}

async fn code(bench: &Bench, call: &str) -> (u16, u64) {
    bench.ask(call, &[JSON], b"[]").await.error()
}

#[tokio::test]
async fn a_stream_carries_lists_as_lines_for_as_long_as_it_is_open() {
    let mut bench = Bench::new(settings()).await;
    let (mut live, id) = connect(&mut bench, "v=6&stream=true", "k").await;
    assert_eq!(live.head.header("content-type"), Some("application/json"));
    assert_eq!(live.part().await, "[{\"action\":0,\"id\":\"c\"}]\n");
    bench.hub.deliver([id], &[frame("a", Format::Json)]);
    assert_eq!(live.part().await, "[{\"action\":0,\"id\":\"a\"}]\n");
    bench.hub.deliver([id], &[frame("last", Format::Json)]);
    bench.hub.close(id);
    assert_eq!(live.part().await, "[{\"action\":0,\"id\":\"last\"}]\n");
    assert_eq!(live.part().await, "");
    let closed = bench.next_event().await;
    assert!(matches!(closed, Event::TransportClosed { transport } if transport == id));
}

#[tokio::test]
async fn polls_get_one_list_each_and_what_comes_between_them_waits() {
    for format in Format::ALL {
        let name = if format == Format::Json { "json" } else { "msgpack" };
        let mut bench = Bench::new(settings()).await;
        let (mut live, id) = connect(&mut bench, &format!("v=6&format={name}"), "k").await;
        assert_eq!(ids(&live.bytes().await, format), ["c"]);
        assert_eq!(live.bytes().await, b"");
        bench.hub.deliver([id], &[frame("a", format)]);
        bench.hub.deliver([id], &[frame("b", format)]);
        let mut live = Live::open(&bench, "GET /comet/k/recv?rnd=1", &[]).await;
        assert_eq!(live.head.header("content-type"), Some(format.content_type()));
        assert_eq!(ids(&live.bytes().await, format), ["a", "b"]);
        assert_eq!(live.bytes().await, b"");
    }
}

#[tokio::test]
async fn a_send_reaches_the_node_in_order_and_is_answered_with_an_empty_list() {
    let mut bench = Bench::new(settings()).await;
    let (_live, id) = connect(&mut bench, "v=6&stream=true", "k").await;
    let body =
        [b"[", &frame("1", Format::Json)[..], b",", &frame("2", Format::Json), b"]"].concat();
    let answer = bench.ask("POST /comet/k/send?key=a.b%3Ac", &[JSON], &body).await;
    assert_eq!((answer.status, answer.json()), (200, json!([])));
    for expected in ["1", "2"] {
        let Event::Frame { transport, frame } = bench.next_event().await else { panic!() };
        assert_eq!((transport, frame.id.as_deref()), (id, Some(expected)));
    }
    let (status, code) = bench.ask("POST /comet/k/send", &[JSON], b"[{").await.error();
    assert_eq!((status, code), (400, 80013));
    assert!(matches!(bench.next_event().await, Event::BadFrame { .. }));
}

#[tokio::test]
async fn close_and_disconnect_are_frames_to_the_node_and_their_outcome_goes_to_the_receiver() {
    let mut bench = Bench::new(settings()).await;
    for (name, action) in [("close", Action::Close), ("disconnect", Action::Disconnect)] {
        let (_live, _) = connect(&mut bench, "v=6&stream=true", name).await;
        let answer = bench.get(&format!("/comet/{name}/{name}")).await;
        assert_eq!((answer.status, answer.json()), (200, json!([])));
        let Event::Frame { frame, .. } = bench.next_event().await else { panic!() };
        assert_eq!(frame.action, action);
    }
}

#[tokio::test]
async fn credentials_come_from_the_header_and_heartbeats_are_always_messages() {
    let bench = &mut Bench::new(settings()).await;
    let auth = ["Authorization: Basic YXBwLmtleTpzZWNyZXQ="];
    let _live = Live::open(bench, "GET /comet/connect?v=6&heartbeats=false&key=x", &auth).await;
    let Event::Connect { query, .. } = bench.next_event().await else { panic!() };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(query, [pair("v", "6"), pair("heartbeats", "true"), pair("key", "app.key:secret")]);
}

#[tokio::test]
async fn the_newest_receiver_gets_what_comes_and_the_one_before_it_nothing() {
    let mut bench = Bench::new(settings()).await;
    let (mut live, id) = connect(&mut bench, "v=6", "k").await;
    live.part().await;
    let mut first = Live::open(&bench, "GET /comet/k/recv", &[]).await;
    let mut second = Live::open(&bench, "GET /comet/k/recv", &[]).await;
    assert_eq!(first.part().await, "[]\n");
    bench.hub.deliver([id], &[frame("a", Format::Json)]);
    assert_eq!(ids(second.part().await.as_bytes(), Format::Json), ["a"]);
}

#[tokio::test]
async fn a_new_key_leads_to_the_connection_and_so_does_the_one_before_it_but_no_older_one() {
    let mut bench = Bench::new(settings()).await;
    let (_live, id) = connect(&mut bench, "v=6&stream=true", "k1").await;
    for key in ["k2", "k3"] {
        bench.hub.connected(id, key.into(), None);
    }
    assert_eq!(code(&bench, "POST /comet/k1/send").await, (410, 80022));
    for key in ["k2", "k3"] {
        let answer = bench.ask(&format!("POST /comet/{key}/send"), &[JSON], b"[]").await;
        assert_eq!(answer.status, 200, "{key}");
    }
}

#[tokio::test]
async fn requests_of_a_connection_that_is_over_are_told_why() {
    let mut bench = Bench::new(settings()).await;
    assert_eq!(code(&bench, "GET /comet/unknown/recv").await, (410, 80022));
    for (key, expected) in [("superseded", (410, 80016)), ("dropped", (410, 80022))] {
        let (mut live, id) = connect(&mut bench, "v=6&stream=true", key).await;
        if key == "superseded" {
            bench.hub.connected(TransportId(u64::MAX), "other".into(), Some(id));
        }
        bench.hub.close(id);
        while !live.part().await.is_empty() {}
        let Event::TransportClosed { .. } = bench.next_event().await else { panic!() };
        for call in ["GET /comet/KEY/recv", "POST /comet/KEY/send", "GET /comet/KEY/close"] {
            assert_eq!(code(&bench, &call.replace("KEY", key)).await, expected, "{call}");
        }
    }
}

#[tokio::test]
async fn after_a_close_requests_are_told_that_the_connection_is_closed() {
    let mut bench = Bench::new(settings()).await;
    let (mut live, id) = connect(&mut bench, "v=6&stream=true", "k").await;
    bench.get("/comet/k/close").await;
    let Event::Frame { .. } = bench.next_event().await else { panic!() };
    bench.hub.close(id);
    while !live.part().await.is_empty() {}
    let Event::TransportClosed { .. } = bench.next_event().await else { panic!() };
    assert_eq!(code(&bench, "GET /comet/k/recv").await, (400, 80017));
}

#[tokio::test]
async fn a_receiver_that_is_too_slow_is_told_to_reconnect() {
    let mut bench = Bench::new(settings()).await;
    let (mut live, id) = connect(&mut bench, "v=6", "k").await;
    live.part().await;
    let message = Bytes::from(vec![b' '; 1 << 20]);
    while bench.hub.counters().overflowed.load(std::sync::atomic::Ordering::Relaxed) == 0 {
        bench.hub.deliver([id], std::slice::from_ref(&message));
    }
    let mut live = Live::open(&bench, "GET /comet/k/recv", &[]).await;
    let list: Value = serde_json::from_str(&live.part().await).unwrap();
    assert_eq!((&list[0]["action"], &list[0]["error"]["code"]), (&json!(6), &json!(80003)));
    assert_eq!(list.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn methods_and_parameters_that_do_not_exist_are_refused() {
    let bench = Bench::new(settings()).await;
    for (call, expected) in [
        ("POST /comet/connect", (405, 40500)),
        ("GET /comet/k/send", (405, 40500)),
        ("POST /comet/k/recv", (405, 40500)),
        ("GET /comet/k/other", (404, 40400)),
        ("GET /comet/connect?stream=maybe", (400, 40003)),
        ("GET /comet/connect?format=xml", (400, 40003)),
    ] {
        assert_eq!(bench.ask(call, &[], b"").await.error(), expected, "{call}");
    }
}

/// A connection without sockets, for tests of time.
struct Bare {
    hub: Arc<Hub>,
    events: crate::Events,
    body: mpsc::Receiver<Bytes>,
    id: TransportId,
}

impl Bare {
    async fn connect(delivery: Delivery) -> Self {
        let (hub, mut events) = Hub::new(&types::NodeLimits::default());
        let (sender, body) = live();
        open(
            &hub,
            Format::Json,
            Vec::new(),
            Origin::default(),
            Receiver { delivery, body: sender },
        );
        let Some(Event::Connect { transport: id, .. }) = events.recv().await else { panic!() };
        hub.connected(id, "k".into(), None);
        Self { hub, events, body, id }
    }

    async fn receive(&mut self, delivery: Delivery) {
        let (sender, body) = live();
        self.body = body;
        let comet = self.hub.comets().find("k").unwrap();
        comet.receive(Receiver { delivery, body: sender }).await.unwrap();
    }
}

fn live() -> (mpsc::Sender<Bytes>, mpsc::Receiver<Bytes>) {
    let (sender, Body::Live(body)) = Body::live() else { panic!() };
    (sender, body)
}

#[tokio::test(start_paused = true)]
async fn a_poll_without_news_gets_an_empty_list_and_a_stream_ends_after_a_minute() {
    let mut bare = Bare::connect(Delivery::Poll).await;
    let began = Instant::now();
    assert_eq!(bare.body.recv().await.unwrap(), "[]\n");
    assert_eq!(bare.body.recv().await, None);
    assert_eq!(began.elapsed().as_secs(), RECEIVE_FOR.as_secs());
    bare.receive(Delivery::Stream).await;
    assert_eq!(bare.body.recv().await, None);
    assert_eq!(began.elapsed().as_secs(), 2 * RECEIVE_FOR.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_asking_is_dropped_and_then_forgotten() {
    let mut bare = Bare::connect(Delivery::Poll).await;
    bare.hub.deliver([bare.id], &[frame("a", Format::Json)]);
    bare.body.recv().await.unwrap();
    let began = Instant::now();
    let Some(Event::TransportClosed { transport }) = bare.events.recv().await else { panic!() };
    assert_eq!((transport, began.elapsed().as_secs()), (bare.id, ABSENCE.as_secs()));
    assert!(bare.hub.comets().find("k").is_ok());
    sleep(REMEMBERED + Duration::from_secs(1)).await;
    assert_eq!(bare.hub.comets().find("k").unwrap_err().code, 80022);
    assert!(bare.hub.comets().lock().by_transport.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_takes_nothing_ends_the_transport() {
    let mut bare = Bare::connect(Delivery::Stream).await;
    let message = Bytes::from(vec![b' '; 64 << 10]);
    for _ in 0..3 {
        bare.hub.deliver([bare.id], std::slice::from_ref(&message));
    }
    let began = Instant::now();
    let Some(Event::TransportClosed { .. }) = bare.events.recv().await else { panic!() };
    assert_eq!(began.elapsed().as_secs(), WRITE_STALL.as_secs());
}
